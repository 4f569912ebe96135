//! Limits have a reason: whatever restricts power is one entry of one stack.

use super::time::Mono;
use super::units::MilliAmps;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Who restricts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitSource {
    /// `max_current` of the EVSE in the configuration: fuse, cable and installation.
    Installation,
    /// The device's own rating or the cable in the socket.
    Hardware,
    /// A fuse shared by several EVSEs (`site`).
    SharedFuse,
    /// The dimming contact of the grid operator (in Germany section 14a EnWG).
    GridOperator,
    /// OCPP `ChargePointMaxProfile` / `ChargingStationMaxProfile`.
    ChargePointMaxProfile,
    /// OCPP `TxDefaultProfile`.
    TxDefaultProfile,
    /// OCPP `TxProfile`.
    TxProfile,
    /// Something is not healthy: meter stale, charger not obeying, charge point unavailable.
    Failsafe,
    /// No transaction, or the transaction is suspended: nothing is offered.
    NotAuthorised,
    /// Local command (MQTT, command line).
    Local,
}

impl fmt::Display for LimitSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Installation => "installation",
            Self::Hardware => "hardware",
            Self::SharedFuse => "shared fuse",
            Self::GridOperator => "grid operator",
            Self::ChargePointMaxProfile => "charge point max profile",
            Self::TxDefaultProfile => "tx default profile",
            Self::TxProfile => "tx profile",
            Self::Failsafe => "failsafe",
            Self::NotAuthorised => "not authorised",
            Self::Local => "local",
        })
    }
}

/// What a member of a shared fuse may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Per phase.
    pub amps: MilliAmps,
    /// Each change has a number of its own, by which its station says that it knows of it.
    pub number: u64,
}

/// One restriction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitEntry {
    /// Per phase; zero pauses.
    pub amps: MilliAmps,
    /// Who.
    pub source: LimitSource,
    /// It ends here; `None`: until replaced.
    pub until: Option<Mono>,
}

/// The limit in force with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedLimit {
    /// Per phase; zero is paused.
    pub amps: MilliAmps,
    /// The entry that won.
    pub source: LimitSource,
}
