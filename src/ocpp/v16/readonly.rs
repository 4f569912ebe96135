//! What a CSMS that is not in control gets to hear: its questions are answered, its commands refused in the words 1.6 has
//! for that, and of the configuration it may change what concerns nothing but its own connection.

use super::super::dialect::{Reaction, Reply};
use ocpp_kit::rpc::CallError;
use ocpp_kit::v1_6::{Action, CsmsRequest};
use serde::Serialize;

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

/// The refusal of what never becomes a command to the station; `None`: a question, a command, or something that
/// refuses for itself. A command is refused by [`Reaction::without_commands`].
pub(super) fn refusal(request: &CsmsRequest) -> Option<Reaction> {
    let status = match request.action() {
        Action::GetCompositeSchedule
        | Action::GetConfiguration
        | Action::GetInstalledCertificateIds
        | Action::GetLocalListVersion
        | Action::TriggerMessage
        // Refused key by key.
        | Action::ChangeConfiguration
        // Commands.
        | Action::CancelReservation
        | Action::ChangeAvailability
        | Action::ClearCache
        | Action::ClearChargingProfile
        | Action::RemoteStartTransaction
        | Action::RemoteStopTransaction
        | Action::ReserveNow
        | Action::Reset
        | Action::SendLocalList
        | Action::SetChargingProfile
        | Action::UnlockConnector => return None,
        Action::ExtendedTriggerMessage if !asks_for_a_certificate(request) => return None,
        Action::CertificateSigned
        | Action::ExtendedTriggerMessage
        | Action::GetLog
        | Action::InstallCertificate
        | Action::SignedUpdateFirmware => "Rejected",
        // No vendor's messages are spoken with a CSMS that only reads.
        Action::DataTransfer => "UnknownVendorId",
        Action::DeleteCertificate => "Failed",
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
