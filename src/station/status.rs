//! Connector status (OCPP 1.6 sections 4.9 and 7.7): how it follows from the state of an EVSE, and when it is told.
//!
//! Rules:
//! * A status is told once it has been stable for `MinimumStatusDuration`, and at once after a (re)connection.
//! * From a transaction an EVSE goes straight to Unavailable when that was asked for: the status is computed once
//!   all consequences of an input are known, so nothing in between is ever seen.
//! * A reserved EVSE stays Reserved when a vehicle comes, until the token it is kept for is presented.
//! * `SuspendedEVSE` has precedence over `SuspendedEV`. Who withholds power decides, not who is asked for it.

use super::contacts::Standing;
use super::evse::Evse;
use crate::domain::{
    ChargingState, ConnectorStatus, ErrorCode, EvseId, FaultKind, Mono, Now, Stamp, StatusNotice,
    VehicleState,
};
use std::time::Duration;

/// How long after its begin a transaction whose vehicle was not yet offered current still counts as preparing.
const START_GRACE: Duration = Duration::from_secs(10);

/// Tells one connector's status when it is time to.
#[derive(Clone, Debug, Default)]
pub(super) struct Teller {
    told: Option<(ConnectorStatus, ErrorCode)>,
    next: Option<(ConnectorStatus, ErrorCode, Stamp)>,
}

impl Teller {
    /// Takes the status as it is now; gives the notice to send, if it is time.
    pub(super) fn update(
        &mut self,
        now: Now,
        evse: Option<EvseId>,
        status: ConnectorStatus,
        error: ErrorCode,
        min: Duration,
    ) -> Option<StatusNotice> {
        if self
            .told
            .as_ref()
            .is_some_and(|(s, e)| *s == status && *e == error)
        {
            self.next = None;
            return None;
        }
        let since = match &self.next {
            Some((s, e, since)) if *s == status && *e == error => *since,
            _ => now.stamp(),
        };
        if now.mono.since(since.mono) < min && self.told.is_some() {
            self.next = Some((status, error, since));
            return None;
        }
        self.next = None;
        self.told = Some((status, error.clone()));
        Some(StatusNotice {
            evse,
            status,
            error,
            at: since,
        })
    }

    /// Forgets what was told, so that the next update tells it at once.
    pub(super) fn forget(&mut self) {
        self.told = None;
    }

    /// When a status will have been stable long enough.
    pub(super) fn deadline(&self, min: Duration) -> Option<Mono> {
        self.next.as_ref().map(|(_, _, since)| since.mono.plus(min))
    }
}

/// The status of an EVSE and the error beside it. `kept`: it is reserved.
pub(super) fn of(evse: &Evse, inoperative: bool, kept: bool, now: Mono) -> (ConnectorStatus, ErrorCode) {
    if let Some(error) = fault(evse) {
        return (ConnectorStatus::Faulted, error);
    }
    let warning = warning(evse, now);
    if evse.tx.is_some() {
        let info = (evse.plugged == Some(false)).then(|| "EV side disconnected".to_owned());
        let error = if warning.kind.is_none() {
            ErrorCode { info, ..warning }
        } else {
            warning
        };
        return (in_transaction(evse, now), error);
    }
    if warning.kind.is_some() {
        return (ConnectorStatus::Faulted, warning);
    }
    let status = match (inoperative, evse.vehicle) {
        (true, _) | (_, None | Some(VehicleState::Unavailable)) => ConnectorStatus::Unavailable,
        _ if evse.plugged == Some(true) && evse.done && evse.pending.is_none() => ConnectorStatus::Finishing,
        _ if kept && evse.pending.is_none() => ConnectorStatus::Reserved,
        _ if evse.plugged == Some(true) || evse.pending.is_some() => ConnectorStatus::Preparing,
        _ => ConnectorStatus::Available,
    };
    (status, ErrorCode::default())
}

/// State within the transaction.
pub(super) fn charging_state(evse: &Evse, now: Mono) -> ChargingState {
    match (evse.plugged, evse.vehicle) {
        (Some(false), _) => ChargingState::Idle,
        _ if starting(evse, now) => ChargingState::EVConnected,
        _ if evse.applied.amps.0 == 0 => ChargingState::SuspendedEVSE,
        (_, Some(VehicleState::Charging)) => ChargingState::Charging,
        (_, Some(VehicleState::Ready)) => ChargingState::SuspendedEV,
        _ => ChargingState::SuspendedEVSE,
    }
}

/// When the grace of a beginning transaction ends, if that may change its status.
pub(super) fn grace_deadline(evse: &Evse, now: Mono) -> Option<Mono> {
    let tx = evse.tx.as_ref()?;
    starting(evse, now).then(|| tx.live_since.plus(START_GRACE))
}

fn in_transaction(evse: &Evse, now: Mono) -> ConnectorStatus {
    match charging_state(evse, now) {
        ChargingState::Charging => ConnectorStatus::Charging,
        ChargingState::EVConnected => ConnectorStatus::Preparing,
        ChargingState::SuspendedEV | ChargingState::Idle => ConnectorStatus::SuspendedEV,
        ChargingState::SuspendedEVSE => ConnectorStatus::SuspendedEVSE,
    }
}

/// Just begun, current is offered by us and has not shown at the vehicle yet.
fn starting(evse: &Evse, now: Mono) -> bool {
    evse.applied.amps.0 > 0
        && matches!(
            evse.vehicle,
            Some(VehicleState::Connected | VehicleState::Waiting)
        )
        && evse
            .tx
            .as_ref()
            .is_some_and(|tx| !tx.offered && now.since(tx.live_since) < START_GRACE)
}

/// What prevents any charging.
fn fault(evse: &Evse) -> Option<ErrorCode> {
    if evse.emergency == Standing::Active {
        return Some(code(FaultKind::OtherError, "the emergency stop is pressed"));
    }
    if evse.is_down(super::Role::Charger) {
        return Some(code(
            FaultKind::CommunicationLost,
            "the charger does not answer on its bus",
        ));
    }
    if evse.emergency == Standing::Lost {
        return Some(code(
            FaultKind::OtherError,
            "the GPIO lines of the emergency stop are lost",
        ));
    }
    if evse.actuator.is_not_obeying() {
        return Some(code(
            FaultKind::NotObeying,
            "the charger does not do what it is told",
        ));
    }
    if let Some(fault) = &evse.fault {
        return Some(ErrorCode {
            kind: Some(fault.kind),
            vendor: Some(fault.code.clone()),
            info: None,
        });
    }
    match evse.vehicle {
        Some(VehicleState::Fault(kind)) => Some(ErrorCode {
            kind: Some(kind),
            vendor: Some(evse.raw_state.to_string()),
            info: None,
        }),
        _ => None,
    }
}

/// What lets a running transaction go on but must be said.
fn warning(evse: &Evse, now: Mono) -> ErrorCode {
    if evse.is_down(evse.meter_role()) {
        code(
            FaultKind::PowerMeterFailure,
            "the meter does not answer on its bus",
        )
    } else if evse.tx.is_some() && evse.register.is_frozen(evse.setup.meter_stale_after) {
        code(
            FaultKind::PowerMeterFailure,
            "the register stands still while power flows",
        )
    } else if evse.tx.as_ref().is_some_and(|tx| tx.live) && evse.wakes.is_none() && evse.meter_stale(now) {
        code(
            FaultKind::PowerMeterFailure,
            "no plausible reading of the billing register",
        )
    } else if let Some(why) = &evse.unguarded {
        code(FaultKind::OtherError, why)
    } else {
        ErrorCode::default()
    }
}

fn code(kind: FaultKind, info: &str) -> ErrorCode {
    ErrorCode {
        kind: Some(kind),
        vendor: None,
        info: Some(info.to_owned()),
    }
}
