//! What a CSMS that is not in control gets to hear: its questions are answered, its commands refused with the reason, and
//! of the variables it may set what concerns nothing but its own connection.

use super::super::dialect::{Reaction, Reply};
use super::super::read;
use super::super::wallclock::to_raw;
use super::answer;
use crate::domain::{OTHER_IN_CONTROL, Outcome};
use ocpp_kit::rpc::CallError;
use ocpp_kit::v2_0_1::{Action, CsmsRequest, StatusInfo};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

/// Variables of the connection itself: each CSMS has its own.
pub(super) const OWN_VARIABLES: [&str; 6] = [
    "OCPPCommCtrlr.HeartbeatInterval",
    "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]",
    "OCPPCommCtrlr.MessageAttempts[TransactionEvent]",
    "OCPPCommCtrlr.MessageTimeout[Default]",
    "OCPPCommCtrlr.OfflineThreshold",
    "OCPPCommCtrlr.WebSocketPingInterval",
];

#[derive(Serialize)]
struct Refusal {
    status: &'static str,
    #[serde(rename = "statusInfo")]
    info: StatusInfo,
}

/// Why.
pub(super) fn why() -> StatusInfo {
    StatusInfo::new("UnsupportedRequest").with_additional_info(OTHER_IN_CONTROL)
}

/// The refusal of a command as the station would say it, with the reason.
pub(super) fn refused(
    action: &str,
    payload: &RawValue,
    outcome: &Outcome,
) -> Result<Box<RawValue>, CallError> {
    let mut said = read::object(&answer::render(action, payload, outcome)?).map_err(CallError::internal)?;
    said["statusInfo"] = json!(why());
    Ok(to_raw(&said))
}

/// The refusal of what never becomes a command to the station; `None`: a question, a command, or something that
/// refuses for itself. A command is refused by [`Reaction::without_commands`].
pub(super) fn refusal(request: &CsmsRequest) -> Option<Reaction> {
    let status = match request.action() {
        Action::GetBaseReport
        | Action::GetChargingProfiles
        | Action::GetCompositeSchedule
        | Action::GetDisplayMessages
        | Action::GetInstalledCertificateIds
        | Action::GetLocalListVersion
        | Action::GetMonitoringReport
        | Action::GetReport
        | Action::GetTransactionStatus
        | Action::GetVariables
        // Refused variable by variable.
        | Action::SetVariables
        // Commands.
        | Action::ChangeAvailability
        | Action::ClearCache
        | Action::ClearChargingProfile
        | Action::RequestStartTransaction
        | Action::RequestStopTransaction
        | Action::Reset
        | Action::SetChargingProfile
        | Action::UnlockConnector => return None,
        Action::TriggerMessage if !asks_for_a_certificate(request) => return None,
        Action::CancelReservation
        | Action::CertificateSigned
        | Action::CustomerInformation
        | Action::GetLog
        | Action::InstallCertificate
        | Action::PublishFirmware
        | Action::ReserveNow
        | Action::SetDisplayMessage
        | Action::SetMonitoringBase
        | Action::SetMonitoringLevel
        | Action::SetNetworkProfile
        | Action::TriggerMessage
        | Action::UpdateFirmware => "Rejected",
        Action::ClearDisplayMessage => "Unknown",
        // No vendor's messages are spoken with a CSMS that only reads.
        Action::DataTransfer => "UnknownVendorId",
        Action::DeleteCertificate | Action::SendLocalList => "Failed",
        // Others have no answer that says no.
        other => return Some(Reply::Error(CallError::not_supported(other.as_str())).into()),
    };
    Some(Reply::result(&Refusal { status, info: why() }).into())
}

/// A new key pair and its certificate are not a report.
fn asks_for_a_certificate(request: &CsmsRequest) -> bool {
    let CsmsRequest::TriggerMessage(request) = request else {
        return false;
    };
    request.requested_message.as_str().starts_with("Sign")
}
