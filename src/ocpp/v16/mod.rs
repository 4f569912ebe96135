//! OCPP 1.6J: Core, LocalAuthListManagement, Reservation, SmartCharging, RemoteTrigger, and of the security
//! whitepaper profiles, passwords, certificates and security events.
//!
//! `project` turns events into messages, `accept` messages into commands, `answer` outcomes into
//! answers, `list` is about tokens sent in advance, `security`
//! about security events, `credentials` about passwords, profile and certificates, `transfers` about uploads and firmware,
//! `keys` is the configuration, `txmap` the
//! map of transaction ids, `measure` and `profile` the value types both directions share.

mod accept;
mod answer;
mod credentials;
pub mod keys;
mod list;
mod measure;
mod profile;
mod project;
mod readonly;
mod security;
mod transfers;
mod trigger;
mod txmap;

use super::api::Facts;
use super::dialect::{BootReason, BootReply, Call, CallCx, Dialect, KeyPut, Reaction, RowReply, Timing};
use super::read;
use super::wallclock::Epochs;
use crate::domain::{
    CpSetup, Credentials, CsmsSetup, Event, EvseId, IdToken, MilliWattHours, Now, Outcome, Params, Row,
    StatusNotice, TokenInfo, VaultAnswer, VaultRequest,
};
use keys::Keys;
use ocpp_kit::Version;
use ocpp_kit::rpc::{CallError, ErrorCode};
use security::Security;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::time::Duration;
use txmap::{NO_ID, TxMap};

/// 1.6 knows no OfflineThreshold: a CSMS that was away longer than this is told every status anew.
const OFFLINE_THRESHOLD: Duration = Duration::from_secs(60);

/// The 1.6 dialect of one charge point.
pub struct V16 {
    cp: CpSetup,
    firmware: String,
    evses: BTreeSet<EvseId>,
    keys: Keys,
    map: TxMap,
    security: Security,
}

impl V16 {
    /// A dialect with the settings and transaction ids left behind in `restored` (`key/<Name>`, `tx/<TxId>`).
    #[must_use]
    pub fn new(cp: &CpSetup, csms: &CsmsSetup, firmware: &str, restored: &[(String, String)]) -> Self {
        Self {
            firmware: firmware.to_owned(),
            evses: cp.evses.iter().map(|evse| evse.id).collect(),
            keys: Keys::new(cp, csms, restored),
            map: TxMap::restored(restored),
            security: Security::default(),
            cp: cp.clone(),
        }
    }
}

impl Dialect for V16 {
    fn version(&self) -> Version {
        Version::V1_6
    }

    fn params(&self) -> Params {
        self.keys.params()
    }

    fn follow(&mut self, params: &Params) {
        self.keys.follow(params);
    }

    fn timing(&self) -> Timing {
        let attempts = self.keys.number("TransactionMessageAttempts");
        Timing {
            message_timeout: self.keys.seconds("MessageTimeout"),
            heartbeat: self.keys.seconds("HeartbeatInterval"),
            row_attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
            row_retry: self.keys.seconds("TransactionMessageRetryInterval"),
            ping: self.keys.seconds("WebSocketPingInterval"),
            offline_threshold: OFFLINE_THRESHOLD,
        }
    }

    fn boot(&self, facts: &Facts, _reason: BootReason) -> Call {
        project::boot(&self.cp, &self.firmware, facts)
    }

    fn boot_reply(&self, payload: &RawValue) -> Result<BootReply, String> {
        read::boot_reply(payload)
    }

    fn set_heartbeat(&mut self, period: Duration) -> Vec<KeyPut> {
        if self.keys.seconds("HeartbeatInterval") == period {
            return Vec::new();
        }
        let (_, put) = self
            .keys
            .change("HeartbeatInterval", &period.as_secs().to_string());
        put.map(|(key, value)| (key, Some(value))).into_iter().collect()
    }

    fn heartbeat(&self) -> Call {
        project::heartbeat()
    }

    fn heartbeat_reply(&self, payload: &RawValue) -> Result<String, String> {
        read::heartbeat_reply(payload)
    }

    fn authorize(&self, token: &IdToken) -> Call {
        project::authorize(token)
    }

    fn authorize_reply(&self, payload: &RawValue, now: Now) -> Result<TokenInfo, String> {
        let value = read::object(payload)?;
        project::token_info(&value, now).ok_or_else(|| "no idTagInfo".to_owned())
    }

    fn says_the_same(&self, told: &StatusNotice, news: &StatusNotice) -> bool {
        (told.status, &told.error) == (news.status, &news.error)
    }

    fn status(&self, notice: &StatusNotice, unix_ms: i64) -> Option<Call> {
        Some(project::status(notice, unix_ms))
    }

    fn list_conflict(&self, whole: &StatusNotice, unix_ms: i64) -> Option<Call> {
        Some(project::list_conflict(whole, unix_ms))
    }

    fn row(&self, row: &Row, epochs: &Epochs) -> Option<Call> {
        match &row.event {
            Event::Security(event) => self.security.told(event, epochs.date_time(row.at)),
            Event::Log(notice) => Some(transfers::log_status(notice)),
            Event::Firmware(notice) => Some(transfers::firmware_status(notice)),
            _ => project::row(row, epochs, &self.map, &self.keys),
        }
    }

    /// StartTransaction.conf brings the transaction id; MeterValues.conf and StopTransaction.conf may be empty.
    fn row_reply(&mut self, row: &Row, payload: &RawValue, now: Now) -> Result<RowReply, String> {
        match &row.event {
            Event::Began(begin) => {
                let value = read::object(payload)?;
                let number = value.get("transactionId").and_then(read::whole);
                let number = number.and_then(|number| i32::try_from(number).ok());
                let number = number.ok_or_else(|| "no transactionId".to_owned())?;
                let info = project::token_info(&value, now);
                Ok(RowReply {
                    puts: vec![self.map.learn(&begin.tx, number)],
                    verdict: info.clone().map(|info| (begin.tx.clone(), info)),
                    learned: begin.token.clone().zip(info),
                    number: Some(i64::from(number)),
                })
            }
            Event::Ended(end) => {
                let info = read::object(payload)
                    .ok()
                    .and_then(|value| project::token_info(&value, now));
                Ok(RowReply {
                    puts: vec![self.map.forget(&end.tx)],
                    verdict: None,
                    learned: end.token.clone().zip(info),
                    number: None,
                })
            }
            Event::Security(_) => {
                self.security.understood();
                Ok(RowReply::default())
            }
            Event::Sampled { .. } | Event::Changed { .. } | Event::Log(_) | Event::Firmware(_) => {
                Ok(RowReply::default())
            }
        }
    }

    fn register_told(&self, call: &Call) -> Option<MilliWattHours> {
        project::register_told(call)
    }

    fn row_given_up(&mut self, row: &Row) -> Vec<KeyPut> {
        match &row.event {
            Event::Began(begin) => vec![self.map.learn(&begin.tx, NO_ID)],
            Event::Ended(end) => vec![self.map.forget(&end.tx)],
            Event::Sampled { .. }
            | Event::Changed { .. }
            | Event::Security(_)
            | Event::Log(_)
            | Event::Firmware(_) => Vec::new(),
        }
    }

    fn row_refused(&mut self, row: &Row, code: &ErrorCode) -> bool {
        match row.event {
            Event::Security(_) => self.security.refused(code),
            // It has asked for it; a refusal of the answer ends the matter and holds no session up.
            Event::Log(_) | Event::Firmware(_) => true,
            _ => false,
        }
    }

    fn row_unanswered(&mut self, row: &Row) -> bool {
        matches!(row.event, Event::Security(_)) && self.security.unanswered()
    }

    fn credentials(&mut self, credentials: Credentials) {
        self.keys.tell_profile(credentials.profile);
    }

    fn certificate_request(&self) -> Option<VaultRequest> {
        self.certificate_for()
    }

    fn sign_certificate(&self, csr: &str) -> Option<Call> {
        Some(credentials::sign(csr))
    }

    fn vault_answer(&mut self, action: &str, answer: &VaultAnswer) -> Result<Box<RawValue>, CallError> {
        credentials::answer(action, answer)
    }

    fn accept(&mut self, action: &str, payload: &RawValue, cx: &CallCx) -> Reaction {
        self.accept_call(action, payload, cx)
    }

    fn answer(
        &mut self,
        action: &str,
        payload: &RawValue,
        outcome: &Outcome,
    ) -> Result<Box<RawValue>, CallError> {
        answer::render(action, payload, outcome)
    }
}
