//! Security events in 1.6 (whitepaper edition 3, use case A04 and section 8).
//!
//! Many 1.6 CSMSs were written before the whitepaper, and an event must never hold a transaction up:
//!
//! * a CSMS that says it does not know the message is not told further ones in this run of the process;
//! * a refusal is an answer and ends the matter, unless it says that the CSMS was busy;
//! * after three times without an answer the CSMS counts as one that does not know the message.

use super::super::dialect::Call;
use super::super::read::cut;
use crate::domain::SecurityEvent;
use ocpp_kit::rpc::ErrorCode;
use ocpp_kit::types::DateTime;
use ocpp_kit::v1_6::SecurityEventNotificationRequest;

/// Times without an answer after which the message counts as unknown.
const PATIENCE: u32 = 3;

/// Names of the ledger, which are those of 2.x, and what 1.6 calls them.
const NAMES: [(&str, &str); 4] = [
    (
        "FailedToAuthenticateAtCsms",
        "FailedToAuthenticateAtCentralSystem",
    ),
    ("CsmsFailedToAuthenticate", "CentralSystemFailedToAuthenticate"),
    ("InvalidCsmsCertificate", "InvalidCentralSystemCertificate"),
    (
        "InvalidChargingStationCertificate",
        "InvalidChargePointCertificate",
    ),
];

/// What is known of the CSMS's way with security events.
#[derive(Debug, Default)]
pub(super) struct Security {
    /// It does not know the message.
    deaf: bool,
    /// Times in a row without an answer.
    unanswered: u32,
}

impl Security {
    /// SecurityEventNotification.req; `None`: the CSMS does not know the message.
    pub(super) fn told(&self, event: &SecurityEvent, at: DateTime) -> Option<Call> {
        if self.deaf {
            return None;
        }
        let known = NAMES.iter().find(|(name, _)| *name == event.name);
        let kind = known.map_or(event.name.as_str(), |(_, name)| name);
        let mut request = SecurityEventNotificationRequest::new(cut(kind, 50)?, at);
        request.tech_info = event.info.as_ref().and_then(|text| cut(text, 255));
        Some(Call::new("SecurityEventNotification", &request))
    }

    /// It was answered.
    pub(super) fn understood(&mut self) {
        self.unanswered = 0;
    }

    /// It was refused: whether that is the end of it.
    pub(super) fn refused(&mut self, code: &ErrorCode) -> bool {
        self.unanswered = 0;
        self.deaf |= matches!(code, ErrorCode::NotImplemented | ErrorCode::NotSupported);
        *code != ErrorCode::RpcFrameworkError
    }

    /// It was not answered: whether that is the end of it.
    pub(super) fn unanswered(&mut self) -> bool {
        self.unanswered = self.unanswered.saturating_add(1);
        self.deaf |= self.unanswered >= PATIENCE;
        self.deaf
    }
}
