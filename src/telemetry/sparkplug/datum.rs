//! Values as this gateway has them, and their way onto the wire.
//!
//! `UInt32` is never published: the specification writes it as `int_value`, the reference library as `long_value`. When
//! reading, a number is taken from whatever field it comes in.

use super::super::units::{At, Milli};
use super::wire::{Metric, Property, PropertySet, PropertyValue, Value};
use std::fmt;

/// Types that are published, with their numbers on the wire (6.4.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datatype {
    /// 32 bits with a sign.
    Int32 = 3,
    /// 64 bits with a sign.
    Int64 = 4,
    /// 64 bits, floating.
    Double = 10,
    /// Yes or no.
    Boolean = 11,
    /// UTF-8.
    String = 12,
    /// Unix milliseconds.
    DateTime = 13,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Datum {
    /// Int32.
    Small(i32),
    /// Int64.
    Count(i64),
    /// Double, exact.
    Number(Milli),
    /// Boolean.
    Flag(bool),
    /// String.
    Text(String),
    /// `DateTime`.
    Time(At),
}

impl fmt::Display for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Small(value) => value.fmt(f),
            Self::Count(value) => value.fmt(f),
            Self::Number(value) => value.value().fmt(f),
            Self::Flag(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
            Self::Time(at) => at.fmt(f),
        }
    }
}

/// Quality of a value that is not good, as hosts of the field number them.
const STALE: u32 = 500;

impl Datum {
    /// Its type.
    #[must_use]
    pub fn datatype(&self) -> Datatype {
        match self {
            Self::Small(_) => Datatype::Int32,
            Self::Count(_) => Datatype::Int64,
            Self::Number(_) => Datatype::Double,
            Self::Flag(_) => Datatype::Boolean,
            Self::Text(_) => Datatype::String,
            Self::Time(_) => Datatype::DateTime,
        }
    }

    /// As a field of a metric.
    #[must_use]
    pub fn wire(&self) -> Value {
        match self {
            Self::Small(value) => Value::Int(value.cast_unsigned()),
            Self::Count(value) => Value::Long(value.cast_unsigned()),
            Self::Number(value) => Value::Double(value.value()),
            Self::Flag(value) => Value::Boolean(*value),
            Self::Text(value) => Value::String(value.clone()),
            Self::Time(at) => Value::Long(unix_ms(*at)),
        }
    }
}

/// As Sparkplug counts time: never before 1970.
#[must_use]
pub fn unix_ms(at: At) -> u64 {
    u64::try_from(at.0).unwrap_or(0)
}

/// A number that somebody writes to a metric, whatever field it comes in; `None`: it is none, or not finite, or beyond
/// what is exact.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
pub fn written_number(metric: &Metric) -> Option<Milli> {
    let whole = |value: i64| value.checked_mul(1000).map(Milli);
    let real = |value: f64| {
        let milli = (value * 1000.0).round();
        // 2^53: what a double holds exactly.
        (milli.abs() < 9_007_199_254_740_992.0).then_some(Milli(milli as i64))
    };
    match metric.value.as_ref()? {
        // Without a type an int_value with its highest bit set is a negative number: nobody writes two thousand million.
        Value::Int(value) => whole(i64::from(value.cast_signed())),
        Value::Long(value) => whole(value.cast_signed()),
        // Through its shortest decimal: 6.1 is 6.1 and not 6.099999904632568.
        Value::Float(value) => real(value.to_string().parse().ok()?),
        Value::Double(value) => real(*value),
        Value::Boolean(_) | Value::String(_) | Value::Bytes(_) => None,
    }
}

/// What a birth says of a metric besides its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// Its unit.
    pub unit: Option<&'static str>,
    /// Least and most.
    pub range: Option<(Milli, Milli)>,
    /// A host may write it.
    pub writable: bool,
}

/// Properties as they are put together.
#[derive(Default)]
pub struct Properties(PropertySet);

impl Properties {
    fn with(mut self, key: &str, datatype: Datatype, value: Property) -> Self {
        self.0.keys.push(key.to_owned());
        self.0.values.push(PropertyValue {
            datatype: Some(datatype as u32),
            is_null: None,
            value: Some(value),
        });
        self
    }

    /// Those of a birth: `engUnit`, `engLow`, `engHigh`, `readOnly`.
    #[must_use]
    pub fn of_birth(traits: &Traits) -> Self {
        let mut all = Self::default();
        if let Some(unit) = traits.unit {
            all = all.with("engUnit", Datatype::String, Property::String(unit.to_owned()));
        }
        if let Some((low, high)) = traits.range {
            all = all
                .with("engLow", Datatype::Double, Property::Double(low.value()))
                .with("engHigh", Datatype::Double, Property::Double(high.value()));
        }
        all.with("readOnly", Datatype::Boolean, Property::Boolean(!traits.writable))
    }

    /// `Quality` where it is not good.
    #[must_use]
    pub fn stale(self, stale: bool) -> Self {
        if stale {
            self.with("Quality", Datatype::Int32, Property::Int(STALE))
        } else {
            self
        }
    }

    /// `None`: there are none.
    #[must_use]
    pub fn finish(self) -> Option<PropertySet> {
        (!self.0.keys.is_empty()).then_some(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_numbers_are_twos_complement_in_their_own_field() {
        assert_eq!(Datum::Small(-5).wire(), Value::Int(4_294_967_291));
        assert_eq!(Datum::Count(-1).wire(), Value::Long(u64::MAX));
        assert_eq!(Datum::Number(Milli(-2_500)).wire(), Value::Double(-2.5));
        assert_eq!(Datum::Time(At(-1)).wire(), Value::Long(0));
    }

    #[test]
    fn a_number_is_read_from_any_field_it_comes_in() {
        let read = |value| {
            written_number(&Metric {
                value: Some(value),
                ..Metric::default()
            })
        };
        for sixteen in [
            Value::Int(16),
            Value::Long(16),
            Value::Float(16.0),
            Value::Double(16.0),
        ] {
            assert_eq!(read(sixteen), Some(Milli(16_000)));
        }
        assert_eq!(read(Value::Float(6.1)), Some(Milli(6_100)));
        assert_eq!(read(Value::Int(4_294_967_291)), Some(Milli(-5_000)));
        assert_eq!(read(Value::Long(u64::MAX)), Some(Milli(-1_000)));
        for nothing in [
            Value::Double(f64::NAN),
            Value::Double(f64::INFINITY),
            Value::Float(f32::NEG_INFINITY),
            Value::Double(1e300),
            Value::Long(1 << 62),
            Value::String("16".to_owned()),
            Value::Boolean(true),
        ] {
            assert_eq!(read(nothing.clone()), None, "{nothing:?}");
        }
    }

    #[test]
    fn only_a_value_that_is_not_good_has_a_quality() {
        let keys = |stale| {
            let traits = Traits {
                unit: Some("A"),
                range: Some((Milli(0), Milli(32_000))),
                writable: true,
            };
            Properties::of_birth(&traits).stale(stale).finish().unwrap().keys
        };
        assert_eq!(keys(false), ["engUnit", "engLow", "engHigh", "readOnly"]);
        assert_eq!(keys(true).last().map(String::as_str), Some("Quality"));
        assert!(Properties::default().stale(false).finish().is_none());
    }
}
