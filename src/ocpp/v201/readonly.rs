//! What a CSMS that is not in control gets to hear: its questions are answered, its commands refused with the reason, and
//! of the variables it may set what concerns nothing but its own connection.

use super::super::dialect::{Reaction, Reply};
use super::measure;
use super::model::Model;
use crate::domain::Params;
use ocpp_kit::rpc::CallError;
use ocpp_kit::v2_0_1::{Action, CsmsRequest, StatusInfo};
use serde::Serialize;
use std::time::Duration;

/// Why, for people.
pub(super) const WHY: &str = "another CSMS is in control";

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

/// The refusal of a command; `None`: a question, or something that refuses for itself.
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
        | Action::SetVariables => return None,
        Action::TriggerMessage if !asks_for_a_certificate(request) => return None,
        Action::CancelReservation
        | Action::CertificateSigned
        | Action::ChangeAvailability
        | Action::ClearCache
        | Action::CustomerInformation
        | Action::GetLog
        | Action::InstallCertificate
        | Action::PublishFirmware
        | Action::RequestStartTransaction
        | Action::RequestStopTransaction
        | Action::ReserveNow
        | Action::Reset
        | Action::SetChargingProfile
        | Action::SetDisplayMessage
        | Action::SetMonitoringBase
        | Action::SetMonitoringLevel
        | Action::SetNetworkProfile
        | Action::TriggerMessage
        | Action::UpdateFirmware => "Rejected",
        Action::ClearChargingProfile | Action::ClearDisplayMessage => "Unknown",
        // No vendor's messages are spoken with a CSMS that only reads.
        Action::DataTransfer => "UnknownVendorId",
        Action::DeleteCertificate | Action::SendLocalList => "Failed",
        Action::UnlockConnector => "UnlockFailed",
        // Others have no answer that says no.
        other => return Some(Reply::Error(CallError::not_supported(other.as_str())).into()),
    };
    let info = StatusInfo::new("UnsupportedRequest").with_additional_info(WHY);
    Some(Reply::result(&Refusal { status, info }).into())
}

/// A new key pair and its certificate are not a report.
fn asks_for_a_certificate(request: &CsmsRequest) -> bool {
    let CsmsRequest::TriggerMessage(request) = request else {
        return false;
    };
    request.requested_message.as_str().starts_with("Sign")
}

/// The variables as the settings in force would have them; what 2.0.1 has no variable for is left out.
pub(super) fn follow(model: &mut Model, params: &Params) {
    let seconds = |wait: Duration| wait.as_secs().to_string();
    let flag = |on: bool| on.to_string();
    let list = measure::write_list;
    for (name, value) in [
        ("TxCtrlr.EVConnectionTimeOut", seconds(params.connection_timeout)),
        (
            "SampledDataCtrlr.TxUpdatedInterval",
            seconds(params.sample_interval),
        ),
        ("AlignedDataCtrlr.Interval", seconds(params.aligned_interval)),
        ("SampledDataCtrlr.TxUpdatedMeasurands", list(&params.sampled)),
        ("AlignedDataCtrlr.Measurands", list(&params.aligned)),
        ("SampledDataCtrlr.TxEndedMeasurands", list(&params.stop_sampled)),
        ("AlignedDataCtrlr.TxEndedMeasurands", list(&params.stop_aligned)),
        (
            "SampledDataCtrlr.TxEndedInterval",
            seconds(params.stop_sample_interval),
        ),
        (
            "AlignedDataCtrlr.TxEndedInterval",
            seconds(params.stop_aligned_interval),
        ),
        (
            "TxCtrlr.StopTxOnEVSideDisconnect",
            flag(params.stop_on_ev_disconnect),
        ),
        ("TxCtrlr.StopTxOnInvalidId", flag(params.stop_on_invalid_id)),
        (
            "TxCtrlr.MaxEnergyOnInvalidId",
            params.max_energy_on_invalid_id.base().to_string(),
        ),
        (
            "AuthCtrlr.AuthorizeRemoteStart",
            flag(params.authorize_remote_start),
        ),
        (
            "AuthCtrlr.LocalAuthorizeOffline",
            flag(params.local_authorize_offline),
        ),
        ("AuthCtrlr.LocalPreAuthorize", flag(params.local_pre_authorize)),
        (
            "AuthCtrlr.OfflineTxForUnknownIdEnabled",
            flag(params.allow_offline_unknown),
        ),
        ("AuthCacheCtrlr.Enabled", flag(params.cache_enabled)),
        (
            "OCPPCommCtrlr.UnlockOnEVSideDisconnect",
            flag(params.unlock_on_ev_disconnect),
        ),
    ] {
        model.take_over(name, &value);
    }
}
