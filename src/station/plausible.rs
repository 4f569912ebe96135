//! What no device of an EVSE can truly have measured. A checksum of 16 bits lets one damaged frame in 65,536 through;
//! what it carries must not reach a transaction (promise S1).
//!
//! The bounds are those of any EVSE of this kind, not of its configuration: a current above the limit is news that
//! must be heard.

use crate::domain::{EvseSetup, Phase, Quantity, Reading};

/// Per phase, more than the largest AC charging current (IEC 61851-1: 80 A), milliampere.
const CURRENT_LEAST_BOUND: i64 = 100_000;
/// Bound of a current in terms of what the installation allows.
const CURRENT_FACTOR: i64 = 4;
/// Bound of a voltage in terms of the nominal phase-to-neutral voltage; meters that tell the voltage between
/// phases stay below.
const VOLTAGE_FACTOR: i64 = 2;

/// Whether a value other than an energy register is possible at this EVSE.
pub(super) fn is_possible(reading: &Reading, setup: &EvseSetup) -> bool {
    let volts = i64::from(setup.nominal_voltage).saturating_mul(VOLTAGE_FACTOR);
    let phases = if reading.phase == Phase::Total { 3 } else { 1 };
    let current = setup
        .max_current
        .0
        .saturating_mul(CURRENT_FACTOR)
        .max(CURRENT_LEAST_BOUND)
        .saturating_mul(phases);
    let (least, most) = match reading.quantity {
        Quantity::Voltage => (0, volts.saturating_mul(1_000)),
        Quantity::Current => (-current, current),
        Quantity::CurrentOffered => (0, current),
        Quantity::Power | Quantity::ApparentPower | Quantity::ReactivePower => {
            let power = current.saturating_mul(volts);
            (-power, power)
        }
        Quantity::PowerFactor => (-1_100, 1_100),
        Quantity::Frequency => (0, 100_000),
        Quantity::Temperature => (-60_000, 250_000),
        Quantity::Soc => (0, 100_000),
        Quantity::EnergyImport
        | Quantity::EnergyExport
        | Quantity::ReactiveEnergyImport
        | Quantity::ReactiveEnergyExport => (0, i64::MAX),
    };
    (least..=most).contains(&reading.milli)
}

/// Whether a quantity is a counter, judged by how it goes on and not by its size.
pub(super) fn is_register(quantity: Quantity) -> bool {
    matches!(
        quantity,
        Quantity::EnergyImport
            | Quantity::EnergyExport
            | Quantity::ReactiveEnergyImport
            | Quantity::ReactiveEnergyExport
    )
}
