//! Outcomes of the station to answers.

use super::super::wallclock::to_raw;
use super::profile;
use crate::domain::{Accepted, AvailabilityOutcome, Outcome, ResetOutcome, UnlockOutcome};
use ocpp_kit::rpc::CallError;
use ocpp_kit::v2_0_1::{
    Action, ChangeAvailabilityResponse, ChangeAvailabilityStatus, ChargingProfileStatus, ClearCacheResponse,
    ClearCacheStatus, ClearChargingProfileResponse, ClearChargingProfileStatus, GenericStatus,
    GetCompositeScheduleResponse, RequestStartStopStatus, RequestStartTransactionResponse,
    RequestStopTransactionResponse, ResetResponse, ResetStatus, SetChargingProfileResponse, StatusInfo,
    TriggerMessageResponse, TriggerMessageStatus, UnlockConnectorResponse, UnlockStatus,
};
use serde_json::value::RawValue;

/// Renders the station's answer to a CALL that was asked of it.
pub(super) fn render(
    action: &str,
    _payload: &RawValue,
    outcome: &Outcome,
) -> Result<Box<RawValue>, CallError> {
    let rendered = match (Action::from_wire(action), outcome) {
        (Some(action), Outcome::Simple(accepted)) => simple(action, *accepted),
        (Some(Action::ChangeAvailability), Outcome::Availability(outcome)) => {
            Some(to_raw(&ChangeAvailabilityResponse::new(match outcome {
                AvailabilityOutcome::Accepted => ChangeAvailabilityStatus::Accepted,
                AvailabilityOutcome::Rejected => ChangeAvailabilityStatus::Rejected,
                AvailabilityOutcome::Scheduled => ChangeAvailabilityStatus::Scheduled,
            })))
        }
        (Some(Action::Reset), Outcome::Reset(outcome)) => Some(to_raw(&ResetResponse::new(match outcome {
            ResetOutcome::Accepted => ResetStatus::Accepted,
            ResetOutcome::Scheduled => ResetStatus::Scheduled,
            ResetOutcome::Rejected => ResetStatus::Rejected,
        }))),
        (Some(Action::UnlockConnector), Outcome::Unlock(outcome)) => Some(to_raw(&unlock(*outcome))),
        (Some(Action::GetCompositeSchedule), Outcome::Composite(outcome)) => {
            let mut response = GetCompositeScheduleResponse::new(match outcome {
                Ok(_) => GenericStatus::Accepted,
                Err(_) => GenericStatus::Rejected,
            });
            response.schedule = outcome.as_ref().ok().map(profile::composite);
            response.status_info = outcome.as_ref().err().map(|why| unspecified(why));
            Some(to_raw(&response))
        }
        _ => None,
    };
    rendered.ok_or_else(|| CallError::internal("the station gave no answer that fits"))
}

fn unspecified(why: &str) -> StatusInfo {
    StatusInfo::new("Unspecified").with_additional_info(why)
}

/// Answers that are yes or no; a no says why.
fn simple(action: Action, accepted: Accepted) -> Option<Box<RawValue>> {
    let info = match accepted {
        Accepted::Yes => None,
        Accepted::No(why) => Some(unspecified(why)),
    };
    macro_rules! render {
        ($response:ident, $status:ident, $yes:ident, $no:ident) => {{
            let mut response = $response::new(if accepted.is_yes() {
                $status::$yes
            } else {
                $status::$no
            });
            response.status_info = info;
            Some(to_raw(&response))
        }};
    }
    match action {
        Action::RequestStartTransaction => {
            render!(
                RequestStartTransactionResponse,
                RequestStartStopStatus,
                Accepted,
                Rejected
            )
        }
        Action::RequestStopTransaction => {
            render!(
                RequestStopTransactionResponse,
                RequestStartStopStatus,
                Accepted,
                Rejected
            )
        }
        Action::ClearCache => render!(ClearCacheResponse, ClearCacheStatus, Accepted, Rejected),
        Action::SetChargingProfile => {
            render!(
                SetChargingProfileResponse,
                ChargingProfileStatus,
                Accepted,
                Rejected
            )
        }
        Action::ClearChargingProfile => {
            render!(
                ClearChargingProfileResponse,
                ClearChargingProfileStatus,
                Accepted,
                Unknown
            )
        }
        Action::TriggerMessage => render!(TriggerMessageResponse, TriggerMessageStatus, Accepted, Rejected),
        _ => None,
    }
}

fn unlock(outcome: UnlockOutcome) -> UnlockConnectorResponse {
    let (status, info) = match outcome {
        UnlockOutcome::Unlocked => (UnlockStatus::Unlocked, None),
        UnlockOutcome::Failed => (UnlockStatus::UnlockFailed, None),
        UnlockOutcome::NotSupported => (UnlockStatus::UnlockFailed, Some(StatusInfo::new("FixedCable"))),
        UnlockOutcome::TransactionRunning => (UnlockStatus::OngoingAuthorizedTransaction, None),
        UnlockOutcome::UnknownConnector => (UnlockStatus::UnknownConnector, None),
    };
    let mut response = UnlockConnectorResponse::new(status);
    response.status_info = info;
    response
}
