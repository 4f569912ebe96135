//! Numbers, times and names as they are published.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

pub use crate::domain::Slug;

/// A decimal number, held exactly in milli-units of the unit its key names: 6,500 is published as `6.5`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Milli(pub i64);

impl Milli {
    /// The value in the base unit.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "what is published is a JSON number")]
    pub fn value(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl Serialize for Milli {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.0 % 1000 == 0 {
            to.serialize_i64(self.0 / 1000)
        } else {
            to.serialize_f64(self.value())
        }
    }
}

impl JsonSchema for Milli {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Milli".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number" })
    }
}

/// A point in time, Unix milliseconds; published as RFC 3339 in UTC with milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At(pub i64);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        write!(f, "{at:.3}")
    }
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl JsonSchema for At {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "At".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_and_whole_ones_stay_whole() {
        let shown = |milli| serde_json::to_string(&Milli(milli)).unwrap_or_default();
        assert_eq!(
            [7_200_000, 6_500, -5, 0].map(shown),
            ["7200", "6.5", "-0.005", "0"]
        );
    }

    #[test]
    fn times_have_milliseconds_and_a_zone() {
        assert_eq!(At(1_772_359_200_123).to_string(), "2026-03-01T10:00:00.123Z");
        assert_eq!(At(1_772_359_200_000).to_string(), "2026-03-01T10:00:00.000Z");
    }
}
