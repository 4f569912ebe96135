//! OCPP 1.6J: Core and SmartCharging.

use super::api::Facts;
use super::dialect::{BootReply, Call, CallCx, Dialect, KeyPut, Reaction, Reply, RowReply, Timing};
use super::wallclock::Epochs;
use crate::domain::{CpSetup, CsmsSetup, IdToken, Now, Outcome, Params, Row, StatusNotice, TokenInfo};
use ocpp_kit::Version;
use ocpp_kit::rpc::CallError;
use serde_json::value::RawValue;
use std::time::Duration;

/// The 1.6 dialect of one charge point.
pub struct V16 {
    heartbeat: Duration,
}

impl V16 {
    /// A dialect with the settings the CSMS left behind.
    #[must_use]
    pub fn new(_cp: &CpSetup, _csms: &CsmsSetup, _firmware: &str, _restored: &[(String, String)]) -> Self {
        Self {
            heartbeat: Duration::from_secs(300),
        }
    }
}

impl Dialect for V16 {
    fn version(&self) -> Version {
        Version::V1_6
    }
    fn params(&self) -> Params {
        Params::default()
    }
    fn timing(&self) -> Timing {
        Timing {
            message_timeout: Duration::from_secs(30),
            heartbeat: self.heartbeat,
            row_attempts: 3,
            row_retry: Duration::from_secs(60),
            ping: Duration::from_secs(60),
            offline_threshold: Duration::from_secs(60),
        }
    }
    fn boot(&self, _facts: &Facts) -> Call {
        Call::new("BootNotification", &serde_json::json!({}))
    }
    fn boot_reply(&self, _payload: &RawValue) -> Result<BootReply, String> {
        Err("not read yet".to_owned())
    }
    fn set_heartbeat(&mut self, period: Duration) -> Vec<KeyPut> {
        self.heartbeat = period;
        Vec::new()
    }
    fn heartbeat(&self) -> Call {
        Call::new("Heartbeat", &serde_json::json!({}))
    }
    fn heartbeat_reply(&self, _payload: &RawValue) -> Result<String, String> {
        Err("not read yet".to_owned())
    }
    fn authorize(&self, _token: &IdToken) -> Call {
        Call::new("Authorize", &serde_json::json!({}))
    }
    fn authorize_reply(&self, _payload: &RawValue, _now: Now) -> Result<TokenInfo, String> {
        Err("not read yet".to_owned())
    }
    fn status(&self, _notice: &StatusNotice, _unix_ms: i64) -> Option<Call> {
        None
    }
    fn row(&self, _row: &Row, _epochs: &Epochs) -> Option<Call> {
        None
    }
    fn row_reply(&mut self, _row: &Row, _payload: &RawValue, _now: Now) -> Result<RowReply, String> {
        Ok(RowReply::default())
    }
    fn row_given_up(&mut self, _row: &Row) -> Vec<KeyPut> {
        Vec::new()
    }
    fn accept(&mut self, action: &str, _payload: &RawValue, _cx: &CallCx) -> Reaction {
        Reply::Error(CallError::not_supported(action)).into()
    }
    fn answer(
        &mut self,
        action: &str,
        _payload: &RawValue,
        _outcome: &Outcome,
    ) -> Result<Box<RawValue>, CallError> {
        Err(CallError::not_supported(action))
    }
}
