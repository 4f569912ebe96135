//! Currents and times to raw values, always rounding down, and back.

use super::condition::Image;
use super::decimal::Decimal;
use super::profile::{Dimension, Limits, Point, PointId, Profile};
use super::value::{Raw, ValueType};
use crate::domain::MilliAmps;
use std::time::Duration;

/// What a limit in watt depends on. One phase is the careful default: the power then never allows more than the
/// commanded current on any phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Electrical {
    /// Phases in use.
    pub phases: u8,
    /// Nominal phase-to-neutral voltage, volt.
    pub volts: u32,
}

impl Default for Electrical {
    fn default() -> Self {
        Self {
            phases: 1,
            volts: 230,
        }
    }
}

/// The raw value for a current: the largest the point may be written with that does not exceed it. Below the
/// minimum it is the point's off value. `None`: nothing can be written.
#[must_use]
pub fn current_raw(
    point: &Point,
    amps: MilliAmps,
    limits: Option<Limits>,
    electrical: Electrical,
) -> Option<Raw> {
    let off = || point.off.map(|off| float_or_int(point, off));
    let least = limits.map_or(1, |limits| limits.min.0.max(1));
    if amps.0 < least {
        return off();
    }
    let mut amps = limits.map_or(amps, |limits| amps.min(limits.max)).0;
    if let Some(step) = limits.map(|limits| limits.step.0).filter(|step| *step > 0) {
        amps -= amps % step;
        if amps < least {
            return off();
        }
    }
    let fitting = if point.layout.kind.is_float() {
        float_at_most(point, value_milli(point.dimension, amps, electrical)?).filter(|raw| point.permits(raw))
    } else {
        let lowest = raw_at_least(point, value_milli(point.dimension, least, electrical)?)?;
        let highest = raw_at_most(point, value_milli(point.dimension, amps, electrical)?)?;
        permitted_within(point, lowest, highest).map(Raw::Int)
    };
    fitting.or_else(off)
}

/// The raw value for a time-out, rounded down to what the register can say.
#[must_use]
pub fn time_raw(point: &Point, time: Duration) -> Option<Raw> {
    let milli = i128::try_from(time.as_millis()).ok()?;
    if point.layout.kind.is_float() {
        return float_at_most(point, milli);
    }
    raw_at_most(point, milli).map(Raw::Int)
}

/// The current a raw value of a limit register stands for; the off value is zero. `None`: not a current.
#[must_use]
pub fn current_of(point: &Point, raw: &Raw, electrical: Electrical) -> Option<MilliAmps> {
    if raw.int().is_some_and(|raw| Some(raw) == point.off) {
        return Some(MilliAmps::ZERO);
    }
    let milli = milli_of(point, raw)?;
    let amps = match point.dimension {
        Dimension::Plain | Dimension::Current | Dimension::Time => i128::from(milli),
        Dimension::Power => {
            i128::from(milli) / (i128::from(electrical.volts) * i128::from(electrical.phases)).max(1)
        }
        Dimension::PercentOf(full) => i128::from(milli) * i128::from(full.0) / 100_000,
        Dimension::Duty if milli <= 85_000 => i128::from(milli) * 3 / 5,
        Dimension::Duty => (i128::from(milli) - 64_000) * 5 / 2,
    };
    i64::try_from(amps).ok().map(MilliAmps)
}

/// What other registers of the device multiply a value by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor {
    /// Product of the values of `times`, in thousandths.
    pub milli: i64,
    /// The power of ten of `exponent`.
    pub exponent: i32,
}

impl Factor {
    /// Changes nothing.
    pub const ONE: Self = Self {
        milli: 1000,
        exponent: 0,
    };
    /// Scale factors beyond this are none (SunSpec: -10 to 10).
    const MOST: i128 = 10;

    /// The factor of a point; `None` while a register it depends on is not known or says nothing usable.
    #[must_use]
    pub fn of(profile: &Profile, point: &Point, image: &Image) -> Option<Self> {
        let mut factor = Self::ONE;
        for id in &point.times {
            let other = profile.point(*id);
            let raw = image.get(*id).filter(|raw| !is_na(other, raw))?;
            let value = i128::from(milli_of(other, raw)?);
            let product = i128::from(factor.milli).checked_mul(value)?;
            factor.milli = i64::try_from(product / 1000).ok().filter(|milli| *milli > 0)?;
        }
        if let Some(id) = point.exponent {
            // A scale factor that is not implemented is 0 (SunSpec information model specification).
            let raw = image.get(id)?;
            let absent = profile.sunspec().is_some() && raw.int() == Some(i16::MIN.into());
            if !absent && !is_na(profile.point(id), raw) {
                let exponent = raw.int().filter(|e| (-Self::MOST..=Self::MOST).contains(e))?;
                factor.exponent = i32::try_from(exponent).ok()?;
            }
        }
        Some(factor)
    }

    /// The value in milli-units of a raw number of the point, without its terms.
    #[must_use]
    pub fn milli_of(self, point: &Point, raw: &Raw) -> Option<i64> {
        if self == Self::ONE {
            return milli_of(point, raw);
        }
        let scale = point
            .to_milli
            .times(Decimal::of_integer(self.milli))?
            .times(Decimal::new(1, self.exponent - 3))?;
        scaled(point, raw, scale)
    }
}

impl Profile {
    /// The value of a point in milli-units: its raw number by scale and factors, with its terms added and taken
    /// off. `None`: something of that is not known, or not available.
    #[must_use]
    pub fn milli(&self, point: &Point, image: &Image, raw: &Raw) -> Option<i64> {
        let own = |point: &Point, raw: &Raw| match is_na(point, raw) {
            true => None,
            false => Factor::of(self, point, image)?.milli_of(point, raw),
        };
        let of = |id: &PointId| {
            let raw = image.get(*id)?;
            if point.skip_na && is_na(self.point(*id), raw) {
                return Some(0);
            }
            own(self.point(*id), raw)
        };
        let mut sum = own(point, raw)?;
        for id in &point.plus {
            sum = sum.checked_add(of(id)?)?;
        }
        for id in &point.minus {
            sum = sum.checked_sub(of(id)?)?;
        }
        let valid = |(least, most): (i64, i64)| (least..=most).contains(&sum);
        point.valid.is_none_or(valid).then_some(sum)
    }
}

/// Whether a raw value means "not available".
pub(super) fn is_na(point: &Point, raw: &Raw) -> bool {
    raw.int().is_some_and(|raw| point.na.contains(&raw))
}

/// The value of a raw number in milli-units of the point's unit; `None` for text, NaN and overflow.
#[must_use]
pub fn milli_of(point: &Point, raw: &Raw) -> Option<i64> {
    scaled(point, raw, point.to_milli)
}

fn scaled(point: &Point, raw: &Raw, scale: Decimal) -> Option<i64> {
    let milli = match raw {
        Raw::Int(value) => match point.lookup.iter().find(|(_, raw)| raw == value) {
            Some((milli, _)) => *milli,
            None if point.lookup.is_empty() => scale.scale(*value)?,
            None => return None,
        },
        Raw::Float(value) => scale.scale_float(*value)?,
        Raw::Text(_) | Raw::Bytes(_) => return None,
    };
    let milli = milli.checked_add(point.offset_milli)?;
    if point.absolute {
        milli.checked_abs()
    } else {
        Some(milli)
    }
}

/// A current in milli-units of what the register counts, rounded down.
fn value_milli(dimension: Dimension, amps: i64, electrical: Electrical) -> Option<i128> {
    let amps = i128::from(amps);
    Some(match dimension {
        Dimension::Plain | Dimension::Current => amps,
        Dimension::Power => amps * i128::from(electrical.volts) * i128::from(electrical.phases),
        Dimension::PercentOf(full) => amps * 100_000 / i128::from(full.0).max(1),
        // IEC 61851-1: 0.6 A per percent up to 85 %, above it 2.5 A per percent from 64 %. The two lines do not
        // meet, hence the flat piece.
        Dimension::Duty if amps <= 51_000 => amps * 5 / 3,
        Dimension::Duty => (amps * 2 / 5 + 64_000).clamp(85_000, 96_000),
        Dimension::Time => return None,
    })
}

fn raw_at_most(point: &Point, milli: i128) -> Option<i128> {
    if !point.lookup.is_empty() {
        let below = point
            .lookup
            .iter()
            .rev()
            .find(|(value, _)| i128::from(*value) <= milli);
        return below.map(|(_, raw)| *raw);
    }
    let raw = point.to_milli.floor_div(milli - i128::from(point.offset_milli))?;
    let (least, most) = point.layout.kind.bounds()?;
    (raw >= least).then_some(raw.min(most))
}

fn raw_at_least(point: &Point, milli: i128) -> Option<i128> {
    if !point.lookup.is_empty() {
        let above = point.lookup.iter().find(|(value, _)| i128::from(*value) >= milli);
        return above.map(|(_, raw)| *raw);
    }
    point
        .to_milli
        .floor_div(milli - i128::from(point.offset_milli) - 1)
        .map(|raw| raw + 1)
}

/// The highest raw value from `lowest` to `highest` that may be written.
fn permitted_within(point: &Point, lowest: i128, highest: i128) -> Option<i128> {
    if !point.lookup.is_empty() {
        let from = point.lookup.iter().position(|(_, raw)| *raw == lowest)?;
        let to = point.lookup.iter().position(|(_, raw)| *raw == highest)?;
        let mut steps = point.lookup.get(from..=to)?.iter().rev().map(|(_, raw)| *raw);
        return steps.find(|raw| point.permits(&Raw::Int(*raw)));
    }
    // The answer is the highest itself, or the end of an allowed range, or just below a forbidden one.
    let ends = point.allowed.iter().map(|(_, most)| *most);
    let below = point.forbidden.iter().map(|(least, _)| least - 1);
    let candidates = ends.chain(below).chain([highest]);
    let fits = |raw: &i128| (lowest..=highest).contains(raw) && point.permits(&Raw::Int(*raw));
    candidates.filter(fits).max()
}

/// The largest float of the register's type that is not above the value.
fn float_at_most(point: &Point, milli: i128) -> Option<Raw> {
    let milli = i64::try_from(milli).ok()?.checked_sub(point.offset_milli)?;
    #[allow(
        clippy::cast_precision_loss,
        reason = "stepped down below until it is not above"
    )]
    let mut value = milli as f64 / ten_to(point.to_milli);
    let above = |value: f64| {
        point
            .to_milli
            .scale_float(value)
            .is_none_or(|scaled| scaled > milli)
    };
    if point.layout.kind == ValueType::F32 {
        #[allow(clippy::cast_possible_truncation, reason = "the register is that narrow")]
        let narrow = value as f32;
        value = if f64::from(narrow) > value {
            narrow.next_down()
        } else {
            narrow
        }
        .into();
    }
    while above(value) {
        value = value.next_down();
    }
    Some(Raw::Float(value))
}

#[allow(clippy::cast_precision_loss, reason = "mantissas of scales are short")]
fn ten_to(scale: Decimal) -> f64 {
    scale.mantissa as f64 * 10_f64.powi(scale.exponent)
}

fn float_or_int(point: &Point, raw: i128) -> Raw {
    if point.layout.kind.is_float() {
        #[allow(clippy::cast_precision_loss, reason = "off values are small")]
        return Raw::Float(raw as f64);
    }
    Raw::Int(raw)
}
