//! OCPP 2.0.1: the blocks a slice of a charging station needs (B provisioning, C authorisation, E transactions, F remote
//! control, G availability, J meter values, K smart charging with one schedule, N base reports).
//!
//! `project` turns events into messages, `accept` messages into commands, `answer` outcomes into answers; `token` and
//! `measure` and `profile` are the value types both directions share. The device model is `variables` (what there is, as
//! one table), `model` (the values) and `inventory` (the physical components, told only).
//!
//! What is not offered is answered with `NotSupported`: local list, reservation, variable monitoring, display,
//! firmware, certificates, logs, ISO 15118.

mod accept;
mod answer;
mod inventory;
mod measure;
mod model;
mod profile;
mod project;
mod readonly;
mod token;
pub mod variables;

use super::api::Facts;
use super::dialect::{BootReason, BootReply, Call, CallCx, Dialect, KeyPut, Reaction, RowReply, Timing};
use super::read;
use super::wallclock::Epochs;
use crate::domain::{
    ConnectorStatus, CpSetup, Credentials, CsmsSetup, Event, EvseId, IdToken, MilliWattHours, Now, Outcome,
    Params, Row, StatusNotice, TokenInfo,
};
use model::Model;
use ocpp_kit::Version;
use ocpp_kit::rpc::CallError;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::time::Duration;

/// The 2.0.1 dialect of one charge point.
pub struct V201 {
    cp: CpSetup,
    firmware: String,
    model: Model,
    /// What every EVSE (`None`: the station) shows.
    shown: BTreeMap<Option<EvseId>, ConnectorStatus>,
}

impl V201 {
    /// A dialect with the variables left behind in `restored` (`var/<Component>.<Variable>[<Instance>]`).
    #[must_use]
    pub fn new(cp: &CpSetup, csms: &CsmsSetup, firmware: &str, restored: &[(String, String)]) -> Self {
        Self {
            firmware: firmware.to_owned(),
            model: Model::new(cp, csms, restored),
            cp: cp.clone(),
            shown: BTreeMap::new(),
        }
    }
}

impl Dialect for V201 {
    fn version(&self) -> Version {
        Version::V2_0_1
    }

    fn params(&self) -> Params {
        self.model.params()
    }

    fn credentials(&mut self, credentials: Credentials) {
        self.model.tell_profile(credentials.profile);
    }

    fn follow(&mut self, params: &Params) {
        self.model.follow(params);
    }

    fn timing(&self) -> Timing {
        let seconds = |name| self.model.seconds(name);
        Timing {
            message_timeout: seconds("OCPPCommCtrlr.MessageTimeout[Default]"),
            heartbeat: seconds("OCPPCommCtrlr.HeartbeatInterval"),
            row_attempts: self
                .model
                .count("OCPPCommCtrlr.MessageAttempts[TransactionEvent]"),
            row_retry: seconds("OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]"),
            ping: seconds("OCPPCommCtrlr.WebSocketPingInterval"),
            offline_threshold: seconds("OCPPCommCtrlr.OfflineThreshold"),
        }
    }

    fn boot(&self, facts: &Facts, reason: BootReason) -> Call {
        project::boot(&self.cp, &self.firmware, facts, reason)
    }

    fn boot_reply(&self, payload: &RawValue) -> Result<BootReply, String> {
        read::boot_reply(payload)
    }

    fn set_heartbeat(&mut self, period: Duration) -> Vec<KeyPut> {
        self.model
            .take_over("OCPPCommCtrlr.HeartbeatInterval", &period.as_secs().to_string())
            .into_iter()
            .collect()
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
        token::verdict(&value, now).ok_or_else(|| "no idTokenInfo".to_owned())
    }

    fn observe(&mut self, notice: &StatusNotice) {
        self.shown.insert(notice.evse, notice.status);
    }

    fn says_the_same(&self, told: &StatusNotice, news: &StatusNotice) -> bool {
        project::connector_status(told.status) == project::connector_status(news.status)
    }

    fn status(&self, notice: &StatusNotice, unix_ms: i64) -> Option<Call> {
        project::status(notice, unix_ms)
    }

    fn row(&self, row: &Row, epochs: &Epochs) -> Option<Call> {
        project::row(row, epochs, &self.model)
    }

    /// A TransactionEventResponse may judge the token; every other answer only confirms.
    fn row_reply(&mut self, row: &Row, payload: &RawValue, now: Now) -> Result<RowReply, String> {
        let value = read::object(payload)?;
        let running = match &row.event {
            Event::Began(_) | Event::Sampled { .. } | Event::Changed { .. } => row.event.tx(),
            Event::Ended(_) | Event::Security(_) | Event::Log(_) | Event::Firmware(_) => None,
        };
        let info = token::verdict(&value, now);
        let presented = match &row.event {
            Event::Began(begin) => begin.token.clone(),
            Event::Ended(end) => end.token.clone(),
            Event::Sampled { .. }
            | Event::Changed { .. }
            | Event::Security(_)
            | Event::Log(_)
            | Event::Firmware(_) => None,
        };
        Ok(RowReply {
            puts: Vec::new(),
            verdict: running.cloned().zip(info.clone()),
            learned: presented.zip(info),
            number: None,
        })
    }

    fn register_told(&self, call: &Call) -> Option<MilliWattHours> {
        project::register_told(call)
    }

    /// The station's own transaction id is the one on the wire: there is nothing to remember.
    fn row_given_up(&mut self, _row: &Row) -> Vec<KeyPut> {
        Vec::new()
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
