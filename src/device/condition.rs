//! What is known of a device, and conditions on it.

use super::profile::PointId;
use super::value::Raw;
use std::collections::BTreeMap;

/// The latest raw value of every point that was read since the device came up. A new connection begins with an
/// empty image: the device may have been exchanged or updated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image(BTreeMap<PointId, Raw>);

impl Image {
    /// An image that knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The latest raw value of a point.
    #[must_use]
    pub fn get(&self, point: PointId) -> Option<&Raw> {
        self.0.get(&point)
    }

    /// Takes over a raw value.
    pub fn set(&mut self, point: PointId, raw: Raw) {
        self.0.insert(point, raw);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// A test on the raw value of another point.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Whose value.
    pub point: PointId,
    /// Bits of it that count, shifted down to bit 0; `None`: all.
    pub mask: Option<u64>,
    /// The test.
    pub test: Test,
}

/// How a raw value is tested.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// Equal to one of these.
    OneOf(Vec<Raw>),
    /// Equal to none of these.
    NoneOf(Vec<Raw>),
    /// Within these bounds, both included.
    Within(Option<f64>, Option<f64>),
    /// Text that begins like one of these; upper and lower case are alike.
    StartsWith(Vec<String>),
    /// Text of at least so many characters, all of them printable ASCII.
    Chars(u16),
    /// Text that is a version, from the first (included) to the second (not included); parts compare as numbers.
    Version(Option<String>, Option<String>),
}

impl Condition {
    /// Whether it holds; `None` while the point was not read.
    #[must_use]
    pub fn holds(&self, image: &Image) -> Option<bool> {
        image.get(self.point).map(|raw| self.accepts(raw))
    }

    /// Whether a raw value passes.
    #[must_use]
    pub fn accepts(&self, raw: &Raw) -> bool {
        let raw = &masked(raw, self.mask);
        match &self.test {
            Test::OneOf(list) => list.contains(raw),
            Test::NoneOf(list) => !list.contains(raw),
            Test::Within(least, most) => raw.number().is_some_and(|value| {
                least.is_none_or(|least| value >= least) && most.is_none_or(|most| value <= most)
            }),
            Test::StartsWith(prefixes) => {
                let begins = |text: &str, prefix: &String| {
                    let start = text.get(..prefix.len());
                    start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
                };
                matches!(raw, Raw::Text(text) if prefixes.iter().any(|prefix| begins(text, prefix)))
            }
            Test::Chars(least) => matches!(raw, Raw::Text(text)
                if text.len() >= usize::from(*least) && text.bytes().all(|b| (0x20..0x7F).contains(&b))),
            Test::Version(since, before) => match raw {
                Raw::Text(text) => {
                    let version = version(text);
                    since.as_ref().is_none_or(|since| version >= self::version(since))
                        && before
                            .as_ref()
                            .is_none_or(|before| version < self::version(before))
                }
                Raw::Int(_) | Raw::Float(_) | Raw::Bytes(_) => false,
            },
        }
    }
}

/// Whether all hold. What is not known yet does not hold.
#[must_use]
pub fn all_hold(conditions: &[Condition], image: &Image) -> bool {
    conditions
        .iter()
        .all(|condition| condition.holds(image) == Some(true))
}

/// The bits of an integer under a mask, shifted down to bit 0. Other values pass unchanged.
pub(super) fn masked(raw: &Raw, mask: Option<u64>) -> Raw {
    match (raw, mask) {
        (Raw::Int(value), Some(mask)) if mask != 0 => {
            Raw::Int((value & i128::from(mask)) >> mask.trailing_zeros())
        }
        _ => raw.clone(),
    }
}

/// The numbers of a version text: `v3.187-b2` is 3, 187, 2.
fn version(text: &str) -> Vec<u64> {
    text.split(|c: char| !c.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(mask: Option<u64>, test: Test) -> Condition {
        Condition {
            point: PointId(0),
            mask,
            test,
        }
    }

    #[test]
    fn unknown_is_neither_true_nor_false() {
        let is_one = condition(None, Test::OneOf(vec![Raw::Int(1)]));
        let mut image = Image::new();
        assert_eq!(is_one.holds(&image), None);
        assert!(!all_hold(std::slice::from_ref(&is_one), &image));
        image.set(PointId(0), Raw::Int(1));
        assert_eq!(is_one.holds(&image), Some(true));
    }

    #[test]
    fn bits_and_versions() {
        let bit_two = condition(Some(4), Test::OneOf(vec![Raw::Int(1)]));
        assert!(bit_two.accepts(&Raw::Int(7)) && !bit_two.accepts(&Raw::Int(3)));
        let since = condition(None, Test::Version(Some("3.187".into()), Some("4".into())));
        assert!(since.accepts(&Raw::Text("v3.187.2".into())));
        assert!(!since.accepts(&Raw::Text("3.99".into())) && !since.accepts(&Raw::Text("4.0".into())));
    }
}
