//! What a CSMS that is not in control gets to hear: its questions are answered, its commands refused in the words 1.6 has
//! for that, and of the configuration it may change what concerns nothing but its own connection.

use super::super::dialect::{Reaction, Reply};
use super::keys::Keys;
use super::measure;
use crate::domain::Params;
use ocpp_kit::rpc::CallError;
use ocpp_kit::v1_6::{Action, CsmsRequest};
use serde::Serialize;
use std::time::Duration;

/// Keys of the connection itself: each CSMS has its own.
pub(super) const OWN_KEYS: [&str; 5] = [
    "HeartbeatInterval",
    "MessageTimeout",
    "TransactionMessageAttempts",
    "TransactionMessageRetryInterval",
    "WebSocketPingInterval",
];

#[derive(Serialize)]
struct Status {
    status: &'static str,
}

#[derive(Serialize)]
struct Nothing {}

/// The refusal of a command; `None`: a question, or something that refuses for itself.
pub(super) fn refusal(request: &CsmsRequest) -> Option<Reaction> {
    let status = match request.action() {
        Action::GetCompositeSchedule
        | Action::GetConfiguration
        | Action::GetInstalledCertificateIds
        | Action::GetLocalListVersion
        | Action::TriggerMessage
        // Refused key by key.
        | Action::ChangeConfiguration => return None,
        Action::ExtendedTriggerMessage if !asks_for_a_certificate(request) => return None,
        Action::CancelReservation
        | Action::CertificateSigned
        | Action::ChangeAvailability
        | Action::ClearCache
        | Action::ExtendedTriggerMessage
        | Action::GetLog
        | Action::InstallCertificate
        | Action::RemoteStartTransaction
        | Action::RemoteStopTransaction
        | Action::ReserveNow
        | Action::Reset
        | Action::SetChargingProfile
        | Action::SignedUpdateFirmware => "Rejected",
        Action::ClearChargingProfile => "Unknown",
        // No vendor's messages are spoken with a CSMS that only reads.
        Action::DataTransfer => "UnknownVendorId",
        Action::DeleteCertificate | Action::SendLocalList => "Failed",
        Action::UnlockConnector => "NotSupported",
        // Without a file name: there is nothing to upload (6.24).
        Action::GetDiagnostics => return Some(Reply::result(&Nothing {}).into()),
        // Others, UpdateFirmware among them, have no answer that says no.
        other => return Some(Reply::Error(CallError::not_supported(other.as_str())).into()),
    };
    Some(Reply::result(&Status { status }).into())
}

/// A new key pair and its certificate are not a report.
fn asks_for_a_certificate(request: &CsmsRequest) -> bool {
    let CsmsRequest::ExtendedTriggerMessage(request) = request else {
        return false;
    };
    request.requested_message.as_str() == "SignChargePointCertificate"
}

/// The keys as the settings in force would have them; what 1.6 has no key for is left out.
pub(super) fn follow(keys: &mut Keys, params: &Params) {
    let seconds = |wait: Duration| wait.as_secs().to_string();
    let flag = |on: bool| on.to_string();
    let list = measure::write_list;
    for (name, value) in [
        ("ConnectionTimeOut", seconds(params.connection_timeout)),
        ("MeterValueSampleInterval", seconds(params.sample_interval)),
        ("ClockAlignedDataInterval", seconds(params.aligned_interval)),
        ("MeterValuesSampledData", list(&params.sampled)),
        ("MeterValuesAlignedData", list(&params.aligned)),
        ("StopTxnSampledData", list(&params.stop_sampled)),
        ("StopTxnAlignedData", list(&params.stop_aligned)),
        ("MinimumStatusDuration", seconds(params.min_status_duration)),
        (
            "StopTransactionOnEVSideDisconnect",
            flag(params.stop_on_ev_disconnect),
        ),
        ("StopTransactionOnInvalidId", flag(params.stop_on_invalid_id)),
        (
            "MaxEnergyOnInvalidId",
            params.max_energy_on_invalid_id.base().to_string(),
        ),
        ("AuthorizeRemoteTxRequests", flag(params.authorize_remote_start)),
        ("LocalAuthorizeOffline", flag(params.local_authorize_offline)),
        ("LocalPreAuthorize", flag(params.local_pre_authorize)),
        ("AllowOfflineTxForUnknownId", flag(params.allow_offline_unknown)),
        ("AuthorizationCacheEnabled", flag(params.cache_enabled)),
        ("LocalAuthListEnabled", flag(params.list_enabled)),
        (
            "UnlockConnectorOnEVSideDisconnect",
            flag(params.unlock_on_ev_disconnect),
        ),
    ] {
        keys.put(name, &value);
    }
}
