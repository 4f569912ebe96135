//! Quantities with their unit: `500ms`, `0.5 s`, `16A`. Exact, no floats.

use std::time::Duration;

/// A unit as written and how many thousandths of the base (or milliseconds) it is.
type Units = &'static [(&'static str, i64)];

const TIME: Units = &[
    ("ms", 1),
    ("s", 1_000),
    ("min", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];
const CURRENT: Units = &[("A", 1_000), ("mA", 1)];
const DATA: Units = &[
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];
const VOLTAGE: Units = &[("V", 1_000), ("mV", 1), ("kV", 1_000_000)];

/// Which quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dimension {
    /// Milliseconds.
    Time,
    /// Milliampere.
    Current,
    /// Millivolt.
    Voltage,
    /// Bytes.
    Data,
}

/// Why a text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// A number alone.
    NoUnit,
    /// A unit of something else, or none at all.
    Unit(String),
    /// No number before the unit.
    Number,
    /// A decimal comma.
    Comma,
    /// Finer than a thousandth, or too large to count.
    Range,
}

impl Dimension {
    const fn units(self) -> Units {
        match self {
            Self::Time => TIME,
            Self::Current => CURRENT,
            Self::Voltage => VOLTAGE,
            Self::Data => DATA,
        }
    }

    /// The usual unit, for suggestions.
    pub const fn usual(self) -> &'static str {
        match self {
            Self::Time => "s",
            Self::Current => "A",
            Self::Voltage => "V",
            Self::Data => "MB",
        }
    }

    /// The units as a list for a person.
    pub const fn unit_names(self) -> &'static str {
        match self {
            Self::Time => "ms, s, min, h or d",
            Self::Current => "A or mA",
            Self::Voltage => "V",
            Self::Data => "kB, MB, GB, KiB, MiB or GiB",
        }
    }

    /// Endings of keys that carry the unit themselves (`poll_ms = 500`), with the unit.
    pub const fn suffixes(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Time => &[("_ms", "ms"), ("_s", "s")],
            Self::Current => &[("_ma", "mA"), ("_a", "A")],
            Self::Voltage => &[("_v", "V")],
            Self::Data => &[("_mb", "MB"), ("_mib", "MiB")],
        }
    }

    /// Reads a number with its unit into thousandths (milliseconds, milliampere, millivolt).
    pub fn parse(self, text: &str) -> Result<i64, Flaw> {
        let text = text.trim();
        let split = text
            .find(|letter: char| !(letter.is_ascii_digit() || matches!(letter, '.' | ',' | '-' | '+' | '_')))
            .unwrap_or(text.len());
        let (number, unit) = (text[..split].trim(), text[split..].trim());
        if number.is_empty() || !number.contains(|letter: char| letter.is_ascii_digit()) {
            return Err(Flaw::Number);
        }
        if number.contains(',') {
            return Err(Flaw::Comma);
        }
        if unit.is_empty() {
            let zero = number.chars().all(|letter| matches!(letter, '0' | '.'));
            return if zero { Ok(0) } else { Err(Flaw::NoUnit) };
        }
        let factor = self
            .units()
            .iter()
            .find(|(name, _)| *name == unit)
            .or_else(|| self.lenient(unit))
            .ok_or_else(|| Flaw::Unit(unit.to_owned()))?
            .1;
        scale(number, factor)
    }

    /// `16 a` and `1 S` can only mean one thing; `MA` cannot.
    fn lenient(self, unit: &str) -> Option<&'static (&'static str, i64)> {
        self.units()
            .iter()
            .find(|(name, _)| name.len() == 1 && *name != "B" && name.eq_ignore_ascii_case(unit))
    }

    /// The quantity as a person writes it.
    pub fn show(self, milli: i64) -> String {
        match self {
            Self::Time => show_time(milli.unsigned_abs()),
            Self::Current => format!("{}A", thousandths(milli)),
            Self::Voltage => format!("{}V", thousandths(milli)),
            Self::Data => show_data(milli.unsigned_abs()),
        }
    }
}

fn scale(number: &str, factor: i64) -> Result<i64, Flaw> {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, number.strip_prefix('+').unwrap_or(number)),
    };
    let digits = digits.replace('_', "");
    let (whole, part) = digits.split_once('.').unwrap_or((&digits, ""));
    let part = part.trim_end_matches('0');
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(part) || (whole.is_empty() && part.is_empty()) {
        return Err(Flaw::Number);
    }
    let whole: i64 = if whole.is_empty() {
        0
    } else {
        whole.parse().map_err(|_| Flaw::Range)?
    };
    let mut value = whole.checked_mul(factor).ok_or(Flaw::Range)?;
    let mut place = factor;
    for digit in part.bytes().map(|byte| i64::from(byte - b'0')) {
        if place % 10 != 0 && digit * place % 10 != 0 {
            return Err(Flaw::Range);
        }
        value = value.checked_add(digit * place / 10).ok_or(Flaw::Range)?;
        place /= 10;
    }
    Ok(sign * value)
}

fn thousandths(milli: i64) -> String {
    let (whole, part) = (milli / 1000, (milli % 1000).abs());
    if part == 0 {
        return whole.to_string();
    }
    format!("{whole}.{part:03}").trim_end_matches('0').to_owned()
}

fn show_time(ms: u64) -> String {
    // One day stays 24 hours: a wait, not a date.
    if ms > 86_400_000 && ms.is_multiple_of(86_400_000) {
        return format!("{}d", ms / 86_400_000);
    }
    for (unit, size) in [("h", 3_600_000), ("min", 60_000), ("s", 1000)] {
        if ms >= size && ms.is_multiple_of(size) {
            return format!("{}{unit}", ms / size);
        }
    }
    format!("{ms}ms")
}

fn show_data(bytes: u64) -> String {
    for (unit, size) in [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)] {
        if bytes >= size && bytes.is_multiple_of(size) {
            return format!("{}{unit}", bytes / size);
        }
    }
    format!("{bytes}B")
}

/// Bytes as the configuration writes them.
pub(super) fn data(bytes: u64) -> String {
    show_data(bytes)
}

/// A duration as the configuration writes it.
pub(super) fn duration(value: Duration) -> String {
    show_time(u64::try_from(value.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, ms) in [
            ("500ms", 500),
            ("1s", 1000),
            ("0.5 s", 500),
            (" 1.25s ", 1250),
            ("2min", 120_000),
            ("1h", 3_600_000),
            ("0", 0),
            ("1_000 ms", 1000),
            ("0.1min", 6000),
        ] {
            assert_eq!(Dimension::Time.parse(text), Ok(ms), "{text}");
        }
        assert_eq!(Dimension::Current.parse("16A"), Ok(16_000));
        assert_eq!(Dimension::Current.parse("6.5 a"), Ok(6_500));
        assert_eq!(Dimension::Current.parse("250 mA"), Ok(250));
        assert_eq!(Dimension::Current.parse("-1A"), Ok(-1000));
        assert_eq!(Dimension::Data.parse("50MB"), Ok(50_000_000));
        assert_eq!(Dimension::Data.parse("1.5 GiB"), Ok(1_610_612_736));
        assert_eq!(Dimension::Data.parse("0.5 B"), Err(Flaw::Range));
        assert_eq!(data(50_000_000), "50MB");
        assert_eq!(data(1_536), "1536B");
    }

    #[test]
    fn says_what_is_wrong() {
        use Flaw::{Comma, NoUnit, Number, Range};
        for (text, flaw) in [
            ("500", NoUnit),
            ("1 sec", Flaw::Unit("sec".to_owned())),
            ("fast", Number),
            ("", Number),
            ("0,5 s", Comma),
            ("0.0001 s", Range),
            ("99999999999999999999 s", Range),
            ("1.2.3 s", Number),
            (".s", Number),
            ("--1s", Number),
        ] {
            assert_eq!(Dimension::Time.parse(text), Err(flaw), "{text}");
        }
        assert_eq!(
            Dimension::Current.parse("16 MA"),
            Err(Flaw::Unit("MA".to_owned()))
        );
    }

    #[test]
    fn shows_the_shortest_form() {
        assert_eq!(Dimension::Time.show(90_000), "90s");
        assert_eq!(Dimension::Time.show(1500), "1500ms");
        assert_eq!(Dimension::Time.show(3_600_000), "1h");
        assert_eq!(Dimension::Current.show(6_500), "6.5A");
        assert_eq!(duration(Duration::ZERO), "0ms");
    }
}
