//! OBIS codes `A-B:C.D.E*F` (IEC 62056-61).

use std::fmt;

/// A code. Texts may leave out medium and channel (`A-B:`), which then match any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObisCode {
    medium: Option<u8>,
    channel: Option<u8>,
    /// C, D, E and F; F is 255, the present, unless a code names a past period.
    rest: [u8; 4],
}

impl ObisCode {
    /// The code of its six bytes.
    #[must_use]
    pub const fn of_bytes([medium, channel, c, d, e, f]: [u8; 6]) -> Self {
        Self {
            medium: Some(medium),
            channel: Some(channel),
            rest: [c, d, e, f],
        }
    }

    /// The code of a text: `1-0:1.8.0*255`, `1-0:1.8.0`, `1.8.0`, `C.1.0`, `F.F`. Letters are C = 96, F = 97, L = 98,
    /// P = 99 (IEC 62056-61, annex A).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (front, text) = match text.split_once(':') {
            Some((front, text)) => (Some(front), text),
            None => (None, text),
        };
        let (medium, channel) = match front.map(|front| front.split_once('-')) {
            None => (None, None),
            Some(Some((medium, channel))) => (Some(number(medium)?), Some(number(channel)?)),
            Some(None) => return None,
        };
        let (text, storage) = match text.split_once(['*', '&']) {
            Some((text, storage)) => (text, number(storage)?),
            None => (text, 255),
        };
        let mut groups = text.split('.');
        let (c, d) = (group(groups.next()?)?, group(groups.next()?)?);
        let e = groups.next().map_or(Some(255), group)?;
        groups.next().is_none().then_some(Self {
            medium,
            channel,
            rest: [c, d, e, storage],
        })
    }

    /// Whether both may mean the same.
    #[must_use]
    pub fn matches(self, other: Self) -> bool {
        let fits = |a: Option<u8>, b: Option<u8>| a.zip(b).is_none_or(|(a, b)| a == b);
        self.rest == other.rest && fits(self.medium, other.medium) && fits(self.channel, other.channel)
    }
}

impl fmt::Display for ObisCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(medium), Some(channel)) = (self.medium, self.channel) {
            write!(f, "{medium}-{channel}:")?;
        }
        let [c, d, e, storage] = self.rest;
        write!(f, "{c}.{d}.{e}")?;
        if storage == 255 {
            Ok(())
        } else {
            write!(f, "*{storage}")
        }
    }
}

fn number(text: &str) -> Option<u8> {
    let plain = (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn group(text: &str) -> Option<u8> {
    match text {
        "C" => Some(96),
        "F" => Some(97),
        "L" => Some(98),
        "P" => Some(99),
        _ => number(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> ObisCode {
        ObisCode::parse(text).unwrap()
    }

    #[test]
    fn long_short_and_binary_forms_are_one_code() {
        assert_eq!(code("1-0:1.8.0*255"), code("1-0:1.8.0"));
        assert_eq!(code("1-0:1.8.0"), ObisCode::of_bytes([1, 0, 1, 8, 0, 255]));
        assert!(code("1.8.0").matches(code("1-0:1.8.0")));
        assert!(code("C.1.0").matches(code("0-0:96.1.0")));
        assert!(code("F.F").matches(code("97.97")));
        assert_eq!(
            code("129-129:199.130.3*255"),
            ObisCode::of_bytes([0x81, 0x81, 0xC7, 0x82, 3, 255])
        );
    }

    #[test]
    fn another_medium_channel_tariff_or_period_is_another_code() {
        assert!(!code("1-0:1.8.0").matches(code("1-1:1.8.0")));
        assert!(!code("1-0:1.8.0").matches(code("0-0:1.8.0")));
        assert!(!code("1.8.0").matches(code("1.8.1")));
        assert!(!code("1.8.0").matches(code("1.8.0*01")));
        assert!(!code("1.8.0").matches(code("1.8.0&01")));
    }

    #[test]
    fn what_is_no_code_is_refused() {
        for text in [
            "",
            ".",
            "1",
            "1.8.0.0",
            "1.8.",
            "256.1.0",
            "1-:1.8.0",
            "1:1.8.0",
            "1-0:1.8.0*",
            "+1.8.0",
            "1.8.0*0001",
        ] {
            assert_eq!(ObisCode::parse(text), None, "{text:?}");
        }
    }
}
