//! What an EVSE is doing, in words every dialect can translate.

use super::ids::EvseId;
use super::time::Stamp;
use serde::{Deserialize, Serialize};

/// IEC 61851-1 vehicle state with whether the EVSE offers current (the suffix 1 or 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VehicleState {
    /// A: no vehicle.
    Absent,
    /// B1: plugged in, the EVSE does not offer current.
    Connected,
    /// B2: plugged in, current offered, the vehicle does not ask.
    Ready,
    /// C1/D1: the vehicle asks, the EVSE does not offer current.
    Waiting,
    /// C2/D2: current may flow.
    Charging,
    /// E: fault.
    Fault(FaultKind),
    /// F: the charger is not available (locked, starting up).
    Unavailable,
}

impl VehicleState {
    /// Whether a vehicle is plugged in. `None`: the state does not tell.
    #[must_use]
    pub fn plugged(self) -> Option<bool> {
        match self {
            Self::Absent => Some(false),
            Self::Connected | Self::Ready | Self::Waiting | Self::Charging => Some(true),
            Self::Fault(_) | Self::Unavailable => None,
        }
    }
}

/// Causes of a fault, named as OCPP 1.6 `ChargePointErrorCode` (7.6) names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Connector could not be locked or unlocked.
    ConnectorLockFailure,
    /// Vehicle and EVSE do not understand each other.
    EvCommunicationError,
    /// Residual current device tripped.
    GroundFailure,
    /// Too hot.
    HighTemperature,
    /// Inside the charger, cause unknown.
    InternalError,
    /// Over current.
    OverCurrentFailure,
    /// Over voltage.
    OverVoltage,
    /// Under voltage.
    UnderVoltage,
    /// Contactor or power switch.
    PowerSwitchFailure,
    /// The meter does not answer.
    PowerMeterFailure,
    /// The charger does not answer on its bus (gateway's own; `OtherError` on the wire).
    CommunicationLost,
    /// The charger did not do what it was told (gateway's own; `OtherError` on the wire).
    NotObeying,
    /// Anything else.
    #[default]
    OtherError,
}

/// OCPP 1.6 `ErrorCode` plus the vendor's own text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCode {
    /// `None`: `NoError`.
    pub kind: Option<FaultKind>,
    /// The vendor's code as text, for `vendorErrorCode`.
    pub vendor: Option<String>,
    /// Words for a person, for `info`.
    pub info: Option<String>,
}

/// Status of a connector, the nine of OCPP 1.6 (7.7); 2.x folds them to five.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ConnectorStatus {
    /// Free.
    Available,
    /// Plugged or authorised, no transaction yet.
    Preparing,
    /// Current may flow.
    Charging,
    /// The EVSE withholds current.
    SuspendedEVSE,
    /// The vehicle does not take it.
    SuspendedEV,
    /// Transaction over, vehicle still plugged.
    Finishing,
    /// Kept for one token.
    Reserved,
    /// Taken out of service.
    Unavailable,
    /// Fault.
    Faulted,
}

/// 2.x `ChargingStateEnumType`, the state within a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChargingState {
    /// Current may flow.
    Charging,
    /// Plugged in, nothing offered and nothing asked.
    EVConnected,
    /// The vehicle does not take current.
    SuspendedEV,
    /// The EVSE withholds current.
    SuspendedEVSE,
    /// No vehicle.
    Idle,
}

/// State that is sent fresh and never queued: it is not history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A connector (or the charge point: `None`) changed its status.
    Status(StatusNotice),
    /// The CSMS judged a token otherwise than the local list it sent (1.6 section 3.5.2), at this time.
    ListConflict(Stamp),
}

/// A status as it was reached; 1.6 `StatusNotification.req`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusNotice {
    /// `None` is connector 0: the charge point as a whole.
    pub evse: Option<EvseId>,
    /// The status.
    pub status: ConnectorStatus,
    /// The error that goes with it.
    pub error: ErrorCode,
    /// Since when.
    pub at: Stamp,
}
