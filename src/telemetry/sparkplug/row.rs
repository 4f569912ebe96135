//! What a metric is, and the kinds of metrics there are.

use super::super::payload::Phases;
use super::super::units::Milli;
use super::datum::{Datatype, Datum};

/// How far a number may move before it is reported: the larger of both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Band {
    /// In thousandths of the unit.
    pub milli: i64,
    /// In percent of what was reported last.
    pub pct: i64,
}

impl Band {
    /// Whether a value lies within the band around another.
    #[must_use]
    pub fn holds(self, was: Milli, is: Milli) -> bool {
        let moved = is.0.abs_diff(was.0);
        let share = was.0.unsigned_abs() / 100 * self.pct.unsigned_abs();
        moved < self.milli.unsigned_abs().max(share).max(1)
    }
}

/// One metric of a thing `S`.
#[derive(Debug)]
pub struct Row<S> {
    /// Name; `/` is a folder.
    pub name: &'static str,
    /// Type.
    pub kind: Datatype,
    /// Unit.
    pub unit: Option<&'static str>,
    /// Dead band.
    pub band: Band,
    /// It is measured: once known and then no longer, it is stale.
    pub measured: bool,
    /// A host may write it, where commands are on.
    pub writable: bool,
    /// For people.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "docs/sparkplug.md is held equal to it")
    )]
    pub help: &'static str,
    /// Its value; `None`: null.
    pub read: fn(&S) -> Option<Datum>,
}

pub(super) const EXACT: Band = Band { milli: 0, pct: 0 };
pub(super) const POWER: Band = Band {
    milli: 10_000,
    pct: 1,
};
pub(super) const CURRENT: Band = Band { milli: 100, pct: 0 };
pub(super) const VOLTAGE: Band = Band { milli: 1_000, pct: 0 };
pub(super) const DEGREE: Band = Band { milli: 1_000, pct: 0 };
pub(super) const MHZ: Band = Band { milli: 20, pct: 0 };

/// A state: known or null, always good.
pub(super) const fn state<S>(
    name: &'static str,
    kind: Datatype,
    help: &'static str,
    read: fn(&S) -> Option<Datum>,
) -> Row<S> {
    Row {
        name,
        kind,
        unit: None,
        band: EXACT,
        measured: false,
        writable: false,
        help,
        read,
    }
}

/// Something measured.
pub(super) const fn gauge<S>(
    name: &'static str,
    unit: &'static str,
    band: Band,
    help: &'static str,
    read: fn(&S) -> Option<Datum>,
) -> Row<S> {
    Row {
        name,
        kind: Datatype::Double,
        unit: Some(unit),
        band,
        measured: true,
        writable: false,
        help,
        read,
    }
}

/// A register that is read.
pub(super) const fn register<S>(
    name: &'static str,
    help: &'static str,
    read: fn(&S) -> Option<Datum>,
) -> Row<S> {
    Row {
        kind: Datatype::Int64,
        ..gauge(name, "Wh", EXACT, help, read)
    }
}

/// What a host may write.
pub(super) const fn control<S>(
    name: &'static str,
    kind: Datatype,
    help: &'static str,
    read: fn(&S) -> Option<Datum>,
) -> Row<S> {
    Row {
        writable: true,
        ..state(name, kind, help, read)
    }
}

pub(super) fn number(value: Option<Milli>) -> Option<Datum> {
    value.map(Datum::Number)
}

pub(super) fn count(value: Option<u64>) -> Option<Datum> {
    value.map(|value| Datum::Count(i64::try_from(value).unwrap_or(i64::MAX)))
}

pub(super) fn small(value: u32) -> Option<Datum> {
    Some(Datum::Small(i32::try_from(value).unwrap_or(i32::MAX)))
}

#[expect(clippy::ref_option, reason = "fields of a picture, read by reference")]
pub(super) fn text(value: &Option<String>) -> Option<Datum> {
    value.clone().map(Datum::Text)
}

pub(super) fn phase<const N: usize>(phases: &Phases) -> Option<Datum> {
    number(phases[N])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_reported_when_it_leaves_its_band() {
        assert!(POWER.holds(Milli(0), Milli(9_999)));
        assert!(!POWER.holds(Milli(0), Milli(10_000)));
        assert!(POWER.holds(Milli(7_000_000), Milli(7_069_000)), "1 %");
        assert!(!POWER.holds(Milli(-7_000_000), Milli(-7_070_000)));
        assert!(EXACT.holds(Milli(5), Milli(5)));
        assert!(!EXACT.holds(Milli(5), Milli(6)));
    }
}
