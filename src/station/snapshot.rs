//! What a person is shown of a station.

use super::io::Role;
use crate::domain::{
    AppliedLimit, Availability, ConnectorStatus, CpId, ErrorCode, EvseId, IdToken, LimitSource, MilliAmps,
    MilliWattHours, MilliWatts, TxId, VehicleState,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// A station at one moment, for `retrovolt status` and telemetry.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    /// Which charge point.
    pub cp: CpId,
    /// The controlling CSMS has accepted us.
    pub online: bool,
    /// The process is ending.
    pub leaving: bool,
    /// In service as a whole.
    pub availability: Availability,
    /// Its EVSEs in order.
    pub evses: Vec<EvseSnapshot>,
}

/// One EVSE at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvseSnapshot {
    /// Which.
    pub evse: EvseId,
    /// Status as computed, whether or not it was notified yet.
    pub status: ConnectorStatus,
    /// The error that goes with it.
    pub error: ErrorCode,
    /// What the charger says about the vehicle; `None`: not heard yet.
    pub vehicle: Option<VehicleState>,
    /// In or out of service (persisted).
    pub availability: Availability,
    /// The transaction.
    pub tx: Option<TxSnapshot>,
    /// The token that waits for a vehicle.
    pub token: Option<IdToken>,
    /// Billing register as it would be reported now.
    pub register: Option<MilliWattHours>,
    /// Active power.
    pub power: Option<MilliWatts>,
    /// The limit that should be in force, with its reason.
    pub applied: AppliedLimit,
    /// Every restriction, smallest first.
    pub limits: Vec<LimitSnapshot>,
    /// What the charger was last told.
    pub commanded: Option<MilliAmps>,
    /// The most the charger may be offering right now: a lower limit counts only once it was confirmed.
    pub in_force: MilliAmps,
    /// It would use current if it were given some; for the sharing of fuses.
    pub wants_current: bool,
    /// Devices that answer (true), do not (false), or were not heard of yet (absent).
    pub links: BTreeMap<Role, bool>,
    /// The billing meter's last accepted reading is too old.
    pub meter_stale: bool,
}

/// A running transaction.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TxSnapshot {
    /// Its id.
    pub id: TxId,
    /// For whom.
    pub token: Option<IdToken>,
    /// Energy so far.
    pub energy: MilliWattHours,
    /// Register at the begin.
    pub meter_start: MilliWattHours,
    /// How long it has run, seconds.
    pub seconds: u64,
}

/// One restriction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LimitSnapshot {
    /// Per phase.
    pub amps: MilliAmps,
    /// Who.
    pub source: LimitSource,
    /// Ends in so many seconds.
    pub remaining_s: Option<u64>,
}
