//! What a meter or charger measured.

use super::time::Mono;
use serde::{Deserialize, Serialize};

/// What is measured. Values of every quantity are `i64` milli-units of the unit named here.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Volt, phase to neutral (`Phase::Total`: single phase or average).
    Voltage,
    /// Ampere.
    Current,
    /// Watt, active, positive toward the vehicle.
    Power,
    /// Volt-ampere.
    ApparentPower,
    /// Var.
    ReactivePower,
    /// Watt-hour register, toward the vehicle. With `Phase::Total` the billing register.
    EnergyImport,
    /// Watt-hour register, from the vehicle.
    EnergyExport,
    /// Var-hour register, import.
    ReactiveEnergyImport,
    /// Var-hour register, export.
    ReactiveEnergyExport,
    /// Dimensionless, -1..1.
    PowerFactor,
    /// Hertz.
    Frequency,
    /// Degree Celsius.
    Temperature,
    /// Ampere offered to the vehicle, as the charger reports it.
    CurrentOffered,
    /// Percent, state of charge of the vehicle.
    Soc,
}

/// A phase of the supply, or the device as a whole.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Sum, or the only one.
    #[default]
    Total,
    /// Line 1.
    L1,
    /// Line 2.
    L2,
    /// Line 3.
    L3,
    /// Neutral.
    N,
}

/// How far a value can be believed.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// Measured by a meter meant for billing.
    #[default]
    Good,
    /// Measured, but not calibrated (a wallbox's own estimate, VA taken as W).
    Uncalibrated,
    /// Computed from other values.
    Derived,
    /// Failed the plausibility check; never billed, never used to raise a limit.
    Suspect,
}

/// One measured value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// What.
    pub quantity: Quantity,
    /// Where.
    pub phase: Phase,
    /// Milli-units of the quantity's unit.
    pub milli: i64,
    /// How good.
    pub quality: Quality,
    /// When the last byte of the answer was received.
    pub taken_at: Mono,
}
