//! Exact integer units. Billing energy and limits are never floats.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Sub};

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident, $symbol:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl $name {
            /// Zero of this unit.
            pub const ZERO: Self = Self(0);

            /// A whole number of the base unit (ampere, volt, watt, watt-hour).
            #[must_use]
            pub const fn from_base(base: i64) -> Self {
                Self(base * 1000)
            }

            /// The value in the base unit, rounded toward zero.
            #[must_use]
            pub const fn base(self) -> i64 {
                self.0 / 1000
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }
        }

        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_milli(f, self.0)?;
                f.write_str(concat!(" ", $symbol))
            }
        }
    };
}

unit!(
    /// Current in milliampere.
    MilliAmps, "A"
);
unit!(
    /// Voltage in millivolt.
    MilliVolts, "V"
);
unit!(
    /// Active power in milliwatt; positive flows to the vehicle.
    MilliWatts, "W"
);
unit!(
    /// Energy in milliwatt-hour.
    MilliWattHours, "Wh"
);

/// Writes a value of milli-units as a decimal number of base units without trailing zeros: `6500` is `6.5`.
pub(crate) fn write_milli(f: &mut impl fmt::Write, milli: i64) -> fmt::Result {
    let sign = if milli < 0 { "-" } else { "" };
    let (whole, part) = (milli.unsigned_abs() / 1000, milli.unsigned_abs() % 1000);
    if part == 0 {
        return write!(f, "{sign}{whole}");
    }
    let digits = format!("{part:03}");
    write!(f, "{sign}{whole}.{}", digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_base_units_exactly() {
        assert_eq!(MilliAmps(6500).to_string(), "6.5 A");
        assert_eq!(MilliAmps(16000).to_string(), "16 A");
        assert_eq!(MilliWatts(-5).to_string(), "-0.005 W");
    }
}
