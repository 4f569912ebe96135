//! Telegrams without a checksum: one is believed only if the one before it had the same lines with numbers of the same
//! form. A byte that was lost changes the form, and so does a line that was lost.

use super::code::ObisCode;
use super::item::{Content, Item};

/// The form of the last telegram.
#[derive(Clone, Debug, Default)]
pub(in crate::device) struct Shapes(Option<Vec<(ObisCode, String)>>);

impl Shapes {
    /// Whether the telegram has the form of the one before, with one measured value at least; its own is remembered.
    pub fn confirms(&mut self, items: &[Item]) -> bool {
        let shape: Vec<(ObisCode, String)> = items.iter().filter_map(form).collect();
        let same = !shape.is_empty() && self.0.as_ref() == Some(&shape);
        self.0 = Some(shape);
        same
    }

    /// The next telegram follows nothing.
    pub fn forget(&mut self) {
        self.0 = None;
    }
}

/// Code and value with every digit as 0; a sign may come and go. Texts without a unit may change freely.
fn form(item: &Item) -> Option<(ObisCode, String)> {
    let Content::Texts(texts) = &item.content else {
        return None;
    };
    let measured = texts.iter().find(|text| text.contains('*'))?;
    let zeroed = measured
        .trim_start_matches(['+', '-'])
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    Some((item.code, zeroed))
}
