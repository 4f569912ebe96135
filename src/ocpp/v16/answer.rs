//! Outcomes of the station to answers.

use super::super::read;
use super::super::wallclock::to_raw;
use super::profile;
use super::transfers;
use crate::domain::{AvailabilityOutcome, ListOutcome, Outcome, ReserveOutcome, ResetOutcome, UnlockOutcome};
use ocpp_kit::rpc::CallError;
use ocpp_kit::v1_6::{
    Action, AvailabilityStatus, CancelReservationResponse, CancelReservationStatus,
    ChangeAvailabilityResponse, ChargingProfileStatus, ClearCacheResponse, ClearCacheStatus,
    ClearChargingProfileResponse, ClearChargingProfileStatus, ExtendedTriggerMessageResponse,
    GetCompositeScheduleResponse, GetCompositeScheduleStatus, GetLocalListVersionResponse,
    RemoteStartStopStatus, RemoteStartTransactionResponse, RemoteStopTransactionResponse, ReservationStatus,
    ReserveNowResponse, ResetResponse, ResetStatus, SendLocalListResponse, SetChargingProfileResponse,
    TriggerMessageResponse, TriggerMessageStatus, UnlockConnectorResponse, UnlockStatus, UpdateStatus,
};
use serde_json::value::RawValue;

/// Renders the station's answer to a CALL that was asked of it.
pub(super) fn render(
    action: &str,
    payload: &RawValue,
    outcome: &Outcome,
) -> Result<Box<RawValue>, CallError> {
    if let (Some(Action::UpdateFirmware), Outcome::Firmware(outcome)) = (Action::from_wire(action), outcome) {
        return transfers::update_answer(*outcome);
    }
    let rendered = match (Action::from_wire(action), outcome) {
        (Some(Action::SignedUpdateFirmware), Outcome::Firmware(outcome)) => {
            Some(to_raw(&transfers::signed_update_answer(*outcome)))
        }
        (Some(action), Outcome::Simple(accepted)) => simple(action, accepted.is_yes()),
        (Some(Action::ChangeAvailability), Outcome::Availability(outcome)) => {
            Some(to_raw(&ChangeAvailabilityResponse::new(availability(*outcome))))
        }
        (Some(Action::Reset), Outcome::Reset(outcome)) => Some(to_raw(&ResetResponse::new(match outcome {
            ResetOutcome::Accepted | ResetOutcome::Scheduled => ResetStatus::Accepted,
            ResetOutcome::Rejected => ResetStatus::Rejected,
        }))),
        (Some(Action::UnlockConnector), Outcome::Unlock(outcome)) => {
            Some(to_raw(&UnlockConnectorResponse::new(unlock(*outcome))))
        }
        (Some(Action::GetLocalListVersion), Outcome::ListVersion(version)) => {
            Some(to_raw(&GetLocalListVersionResponse::new(*version)))
        }
        (Some(Action::SendLocalList), Outcome::List(outcome)) => {
            Some(to_raw(&SendLocalListResponse::new(match outcome {
                ListOutcome::Accepted => UpdateStatus::Accepted,
                ListOutcome::Failed(_) => UpdateStatus::Failed,
                ListOutcome::VersionMismatch => UpdateStatus::VersionMismatch,
            })))
        }
        (Some(Action::ReserveNow), Outcome::Reserve(outcome)) => {
            Some(to_raw(&ReserveNowResponse::new(match outcome {
                ReserveOutcome::Accepted => ReservationStatus::Accepted,
                ReserveOutcome::Faulted => ReservationStatus::Faulted,
                ReserveOutcome::Occupied => ReservationStatus::Occupied,
                ReserveOutcome::Rejected(_) => ReservationStatus::Rejected,
                ReserveOutcome::Unavailable => ReservationStatus::Unavailable,
            })))
        }
        (Some(Action::GetDiagnostics), Outcome::Log(outcome)) => {
            Some(to_raw(&transfers::diagnostics_answer(outcome)))
        }
        (Some(Action::GetLog), Outcome::Log(outcome)) => Some(to_raw(&transfers::log_answer(outcome))),
        (Some(Action::GetCompositeSchedule), Outcome::Composite(Ok(schedule))) => {
            Some(to_raw(&profile::composite(asked_connector(payload), schedule)))
        }
        (Some(Action::GetCompositeSchedule), Outcome::Composite(Err(_))) => Some(to_raw(
            &GetCompositeScheduleResponse::new(GetCompositeScheduleStatus::Rejected),
        )),
        _ => None,
    };
    rendered.ok_or_else(|| CallError::internal("the station gave no answer that fits"))
}

/// Answers that are yes or no.
fn simple(action: Action, yes: bool) -> Option<Box<RawValue>> {
    let start_stop = if yes {
        RemoteStartStopStatus::Accepted
    } else {
        RemoteStartStopStatus::Rejected
    };
    let triggered = if yes {
        TriggerMessageStatus::Accepted
    } else {
        TriggerMessageStatus::Rejected
    };
    Some(match action {
        Action::RemoteStartTransaction => to_raw(&RemoteStartTransactionResponse::new(start_stop)),
        Action::RemoteStopTransaction => to_raw(&RemoteStopTransactionResponse::new(start_stop)),
        Action::CancelReservation => to_raw(&CancelReservationResponse::new(if yes {
            CancelReservationStatus::Accepted
        } else {
            CancelReservationStatus::Rejected
        })),
        Action::ClearCache => to_raw(&ClearCacheResponse::new(if yes {
            ClearCacheStatus::Accepted
        } else {
            ClearCacheStatus::Rejected
        })),
        Action::SetChargingProfile => to_raw(&SetChargingProfileResponse::new(if yes {
            ChargingProfileStatus::Accepted
        } else {
            ChargingProfileStatus::Rejected
        })),
        Action::ClearChargingProfile => to_raw(&ClearChargingProfileResponse::new(if yes {
            ClearChargingProfileStatus::Accepted
        } else {
            ClearChargingProfileStatus::Unknown
        })),
        Action::TriggerMessage => to_raw(&TriggerMessageResponse::new(triggered)),
        Action::ExtendedTriggerMessage => to_raw(&ExtendedTriggerMessageResponse::new(triggered)),
        _ => return None,
    })
}

fn availability(outcome: AvailabilityOutcome) -> AvailabilityStatus {
    match outcome {
        AvailabilityOutcome::Accepted => AvailabilityStatus::Accepted,
        AvailabilityOutcome::Rejected => AvailabilityStatus::Rejected,
        AvailabilityOutcome::Scheduled => AvailabilityStatus::Scheduled,
    }
}

fn unlock(outcome: UnlockOutcome) -> UnlockStatus {
    match outcome {
        UnlockOutcome::Unlocked => UnlockStatus::Unlocked,
        UnlockOutcome::Failed | UnlockOutcome::TransactionRunning => UnlockStatus::UnlockFailed,
        UnlockOutcome::NotSupported | UnlockOutcome::UnknownConnector => UnlockStatus::NotSupported,
    }
}

/// The connector a GetCompositeSchedule asked about.
fn asked_connector(payload: &RawValue) -> i32 {
    let value = read::object(payload).unwrap_or_default();
    let connector = value.get("connectorId").and_then(read::whole);
    connector
        .and_then(|number| i32::try_from(number).ok())
        .unwrap_or(0)
}
