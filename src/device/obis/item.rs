//! One value of a telegram.

use super::code::ObisCode;
use super::unit::{Unit, decimal};
use crate::device::Decimal;

/// A code with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::device) struct Item {
    /// Its code.
    pub code: ObisCode,
    /// Its value.
    pub content: Content,
}

/// A value as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::device) enum Content {
    /// A number with its unit, as far as it was named.
    Number(Decimal, Option<Unit>),
    /// Texts between brackets.
    Texts(Vec<String>),
    /// A number in a unit that no reading has.
    Strange,
}

impl Item {
    /// The number and the unit it names.
    pub fn number(&self) -> Option<(Decimal, Option<Unit>)> {
        match &self.content {
            Content::Number(number, unit) => Some((*number, *unit)),
            Content::Texts(texts) => texts.iter().find_map(|text| with_unit(text)),
            Content::Strange => None,
        }
    }

    /// The value as text.
    pub fn text(&self) -> Option<String> {
        match &self.content {
            Content::Texts(texts) => texts.first().map(|text| text.trim().to_owned()),
            Content::Number(number, _) if number.exponent == 0 => Some(number.mantissa.to_string()),
            Content::Number(..) | Content::Strange => None,
        }
        .filter(|text| !text.is_empty())
    }
}

/// `number*unit`, or a number alone. A unit that no reading has makes it none.
fn with_unit(text: &str) -> Option<(Decimal, Option<Unit>)> {
    match text.trim().split_once('*') {
        Some((number, unit)) => Some((decimal(number.trim())?, Some(Unit::of_text(unit.trim())?))),
        None => Some((decimal(text.trim())?, None)),
    }
}
