//! Units as meters write them, and the exact numbers before them.

use crate::device::Decimal;
use crate::domain::Quantity;
use schemars::JsonSchema;
use serde::Deserialize;

/// A unit a meter may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Unit {
    /// Volt.
    V,
    /// Ampere.
    A,
    /// Milliampere.
    #[serde(rename = "mA")]
    MilliAmpere,
    /// Watt.
    W,
    /// Kilowatt.
    #[serde(rename = "kW")]
    KiloWatt,
    /// Volt-ampere.
    #[serde(rename = "VA")]
    VoltAmpere,
    /// Kilovolt-ampere.
    #[serde(rename = "kVA")]
    KiloVoltAmpere,
    /// Var.
    #[serde(rename = "var")]
    Var,
    /// Kilovar.
    #[serde(rename = "kvar")]
    KiloVar,
    /// Watt-hour.
    Wh,
    /// Kilowatt-hour.
    #[serde(rename = "kWh")]
    KiloWattHour,
    /// Megawatt-hour.
    #[serde(rename = "MWh")]
    MegaWattHour,
    /// Var-hour.
    #[serde(rename = "varh")]
    VarHour,
    /// Kilovar-hour.
    #[serde(rename = "kvarh")]
    KiloVarHour,
    /// Hertz.
    Hz,
    /// Degree Celsius.
    #[serde(rename = "degC")]
    Celsius,
}

impl Unit {
    /// The unit of a text after `*`. Small and capital letters count: `mW` is not `MW`.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        Some(match text {
            "V" => Self::V,
            "A" => Self::A,
            "mA" => Self::MilliAmpere,
            "W" => Self::W,
            "kW" | "KW" => Self::KiloWatt,
            "VA" => Self::VoltAmpere,
            "kVA" => Self::KiloVoltAmpere,
            "var" | "VAr" => Self::Var,
            "kvar" | "kVAr" => Self::KiloVar,
            "Wh" => Self::Wh,
            "kWh" | "KWh" => Self::KiloWattHour,
            "MWh" => Self::MegaWattHour,
            "varh" | "VArh" => Self::VarHour,
            "kvarh" | "kVArh" => Self::KiloVarHour,
            "Hz" => Self::Hz,
            _ => return None,
        })
    }

    /// The unit of a DLMS code (IEC 62056-62, table of units).
    #[must_use]
    pub fn of_code(code: u64) -> Option<Self> {
        Some(match code {
            8 => Self::Celsius,
            27 => Self::W,
            28 => Self::VoltAmpere,
            29 => Self::Var,
            30 => Self::Wh,
            32 => Self::VarHour,
            33 => Self::A,
            35 => Self::V,
            44 => Self::Hz,
            _ => return None,
        })
    }

    /// A number in this unit, in milli-units of the quantity's own; `None`: the quantity has another unit, or the
    /// number is too large.
    #[must_use]
    pub fn milli(self, number: Decimal, quantity: Quantity) -> Option<i64> {
        let (exponent, fits) = match self {
            Self::V => (0, quantity == Quantity::Voltage),
            Self::MilliAmpere => (-3, is_current(quantity)),
            Self::A => (0, is_current(quantity)),
            Self::W => (0, quantity == Quantity::Power),
            Self::KiloWatt => (3, quantity == Quantity::Power),
            Self::VoltAmpere => (0, quantity == Quantity::ApparentPower),
            Self::KiloVoltAmpere => (3, quantity == Quantity::ApparentPower),
            Self::Var => (0, quantity == Quantity::ReactivePower),
            Self::KiloVar => (3, quantity == Quantity::ReactivePower),
            Self::Wh => (0, is_energy(quantity)),
            Self::KiloWattHour => (3, is_energy(quantity)),
            Self::MegaWattHour => (6, is_energy(quantity)),
            Self::VarHour => (0, is_reactive_energy(quantity)),
            Self::KiloVarHour => (3, is_reactive_energy(quantity)),
            Self::Hz => (0, quantity == Quantity::Frequency),
            Self::Celsius => (0, quantity == Quantity::Temperature),
        };
        fits.then(|| number.times(Decimal::new(1, exponent + 3))?.scale(1))
            .flatten()
    }
}

fn is_current(quantity: Quantity) -> bool {
    matches!(quantity, Quantity::Current | Quantity::CurrentOffered)
}

fn is_energy(quantity: Quantity) -> bool {
    matches!(quantity, Quantity::EnergyImport | Quantity::EnergyExport)
}

fn is_reactive_energy(quantity: Quantity) -> bool {
    matches!(
        quantity,
        Quantity::ReactiveEnergyImport | Quantity::ReactiveEnergyExport
    )
}

/// A decimal as meters write it: `001234.567`, `-0.5`. Nothing else: no exponent, no comma, no blanks inside.
#[must_use]
pub fn decimal(text: &str) -> Option<Decimal> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let dotted = digits.contains('.');
    if whole.is_empty() || !all_digits(whole) || !all_digits(part) || (dotted && part.is_empty()) {
        return None;
    }
    let mantissa: i64 = format!("{whole}{part}").parse().ok()?;
    Some(Decimal {
        mantissa: if negative { -mantissa } else { mantissa },
        exponent: -i32::try_from(part.len()).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_or_refused() {
        assert_eq!(decimal("001234.567"), Some(Decimal::new(1_234_567, -3)));
        assert_eq!(decimal("-0.5"), Some(Decimal::new(-5, -1)));
        assert_eq!(decimal("+7"), Some(Decimal::new(7, 0)));
        for text in [
            "",
            "-",
            ".5",
            "5.",
            "1,5",
            "1e3",
            "1 2",
            "0x10",
            "1.2.3",
            "99999999999999999999",
        ] {
            assert_eq!(decimal(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_value_in_the_unit_of_another_quantity_is_none() {
        let number = Decimal::new(123_456_789, -3);
        let kwh = Unit::of_text("kWh").unwrap();
        assert_eq!(kwh.milli(number, Quantity::EnergyImport), Some(123_456_789_000));
        assert_eq!(kwh.milli(number, Quantity::Power), None);
        assert_eq!(Unit::of_text("m3"), None);
        assert_eq!(Unit::of_text("MW"), None);
        assert_eq!(
            Unit::of_code(30)
                .unwrap()
                .milli(Decimal::new(15, -1), Quantity::EnergyImport),
            Some(1500)
        );
        assert_eq!(kwh.milli(Decimal::new(i64::MAX, 0), Quantity::EnergyImport), None);
    }
}
