//! The seam between what every OCPP version shares and what one version says.

use super::api::{Facts, Registration};
use super::wallclock::Epochs;
use crate::domain::{
    Command, Credentials, EvseId, IdToken, MilliWattHours, Now, OTHER_IN_CONTROL, Outcome, Params, Row,
    StatusNotice, TokenInfo, TxId, VaultAnswer, VaultRequest,
};
use ocpp_kit::Version;
use ocpp_kit::rpc::{CallError, ErrorCode};
use serde::Serialize;
use serde_json::value::RawValue;
use std::time::Duration;

/// A change of the dialect's own durable state: key within `ocpp/<reader>` and value (`None`: remove).
pub type KeyPut = (String, Option<String>);

/// A CALL before it has an id.
#[derive(Clone, Debug)]
pub struct Call {
    /// The action.
    pub action: &'static str,
    /// The payload.
    pub payload: Box<RawValue>,
}

impl Call {
    /// Renders a payload. Every time stamp comes out with exactly three fraction digits or none.
    #[must_use]
    pub fn new(action: &'static str, payload: &impl Serialize) -> Self {
        Self {
            action,
            payload: super::wallclock::to_raw(payload),
        }
    }
}

/// Why the charge point registers (2.x `BootReasonEnumType`; 1.6 does not say).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BootReason {
    /// The gateway has started.
    #[default]
    PowerUp,
    /// A reset that did not wait.
    RemoteReset,
    /// A reset that waited for transactions to end.
    ScheduledReset,
    /// Asked for by the CSMS.
    Triggered,
    /// It says something else about itself than before, or the CSMS has forgotten it.
    Changed,
}

/// The answer to a BootNotification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootReply {
    /// The verdict; never [`Registration::None`].
    pub status: Registration,
    /// Accepted: heartbeat period; else: wait before the next try. `None`: zero or unusable, own choice.
    pub interval: Option<Duration>,
    /// `currentTime` as sent.
    pub time: String,
}

/// What the answer to a ledger row comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowReply {
    /// Made durable in one step with the cursor.
    pub puts: Vec<KeyPut>,
    /// What the CSMS said about the token of the transaction.
    pub verdict: Option<(TxId, TokenInfo)>,
    /// What it said about a token as such, for the cache.
    pub learned: Option<(IdToken, TokenInfo)>,
    /// The number it gave a transaction that began.
    pub number: Option<i64>,
}

/// Settings of the dialect that steer the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Wait for an answer.
    pub message_timeout: Duration,
    /// Heartbeat period; zero: none.
    pub heartbeat: Duration,
    /// Sends of one transaction message before it is given up; at least 1.
    pub row_attempts: u32,
    /// Wait before a refused transaction message is sent again, times the number of earlier sends.
    pub row_retry: Duration,
    /// WebSocket ping period; zero: none.
    pub ping: Duration,
    /// After an outage longer than this every status is told again, else only what changed.
    pub offline_threshold: Duration,
}

/// How a CALL of the peer is answered.
#[derive(Debug)]
pub enum Reply {
    /// With this CALLRESULT.
    Result(Box<RawValue>),
    /// With a CALLERROR.
    Error(CallError),
    /// By the station: [`Dialect::answer`] renders its outcome.
    Ask(Command),
    /// By the keeper of the credentials: [`Dialect::vault_answer`] renders its answer.
    Vault(VaultRequest),
}

impl Reply {
    /// Renders a CALLRESULT.
    #[must_use]
    pub fn result(payload: &impl Serialize) -> Self {
        Self::Result(super::wallclock::to_raw(payload))
    }
}

/// A message the peer asked for; sent even while registration is pending.
#[derive(Clone, Debug)]
pub enum Triggered {
    /// BootNotification now.
    Boot,
    /// Heartbeat now.
    Heartbeat,
    /// Status of one connector; `Some(None)` is connector 0, `None` all.
    Status(Option<Option<EvseId>>),
    /// Any other.
    Call(Call),
}

/// What a CALL of the peer comes to.
#[derive(Debug)]
pub struct Reaction {
    /// The answer.
    pub reply: Reply,
    /// Settings to make durable; the answer waits for them.
    pub puts: Vec<KeyPut>,
    /// Further commands whose outcome concerns nobody, e.g. [`Command::SetParams`].
    pub commands: Vec<Command>,
    /// Messages to send behind the answer.
    pub triggered: Vec<Triggered>,
}

impl From<Reply> for Reaction {
    fn from(reply: Reply) -> Self {
        Self {
            reply,
            puts: Vec::new(),
            commands: Vec::new(),
            triggered: Vec::new(),
        }
    }
}

impl Reaction {
    /// The same for a CSMS that only reads: a command is refused, `render` says how; questions pass.
    #[must_use]
    pub fn without_commands(self, render: impl FnOnce(&Outcome) -> Result<Box<RawValue>, CallError>) -> Self {
        let Reply::Ask(command) = &self.reply else {
            return self;
        };
        if command.only_asks() {
            return self;
        }
        match render(&command.refused(OTHER_IN_CONTROL)) {
            Ok(result) => Reply::Result(result).into(),
            Err(error) => Reply::Error(error).into(),
        }
    }
}

/// Circumstances of a CALL of the peer.
#[derive(Clone, Copy, Debug)]
pub struct CallCx {
    /// The present.
    pub now: Now,
    /// Registration at this moment.
    pub registration: Registration,
    /// Another CSMS is in control: commands are refused, questions answered.
    pub read_only: bool,
}

/// One OCPP version: renders and accepts. See the module documentation of `ocpp` for the seam.
///
/// `Err(String)` of a reader of answers says why the answer cannot be used.
pub trait Dialect: Send {
    /// Which version, for frames and error code spellings.
    fn version(&self) -> Version;
    /// Settings that steer the station.
    fn params(&self) -> Params;
    /// Takes over what steers the station, where another CSMS sets it.
    fn follow(&mut self, params: &Params);
    /// Settings that steer the machine.
    fn timing(&self) -> Timing;

    /// BootNotification.
    fn boot(&self, facts: &Facts, reason: BootReason) -> Call;
    /// Reads its answer.
    fn boot_reply(&self, payload: &RawValue) -> Result<BootReply, String>;
    /// Takes over the heartbeat period of an accepted boot.
    fn set_heartbeat(&mut self, period: Duration) -> Vec<KeyPut>;

    /// Heartbeat.
    fn heartbeat(&self) -> Call;
    /// Reads `currentTime` of its answer.
    fn heartbeat_reply(&self, payload: &RawValue) -> Result<String, String>;

    /// Authorize.
    fn authorize(&self, token: &IdToken) -> Call;
    /// Reads its answer.
    fn authorize_reply(&self, payload: &RawValue, now: Now) -> Result<TokenInfo, String>;

    /// Takes note of a status, for what the version tells of it elsewhere.
    fn observe(&mut self, _notice: &StatusNotice) {}
    /// Whether this version would say of the second what it said of the first, so that it need not be told.
    fn says_the_same(&self, _told: &StatusNotice, _news: &StatusNotice) -> bool {
        false
    }
    /// StatusNotification; `None`: this version does not report this connector.
    /// `unix_ms` is the corrected time of the notice.
    fn status(&self, notice: &StatusNotice, unix_ms: i64) -> Option<Call>;

    /// Tells that the CSMS contradicts its own local list, beside the status `whole` of the charge point; `None`: this
    /// version has no words for it.
    fn list_conflict(&self, _whole: &StatusNotice, _unix_ms: i64) -> Option<Call> {
        None
    }

    /// A ledger row; `None`: this version says nothing about it.
    fn row(&self, row: &Row, epochs: &Epochs) -> Option<Call>;
    /// Reads the answer to a row.
    fn row_reply(&mut self, row: &Row, payload: &RawValue, now: Now) -> Result<RowReply, String>;
    /// The billing register that the message of a row's begin or end carries, for the journal of sessions.
    fn register_told(&self, call: &Call) -> Option<MilliWattHours>;
    /// A row was given up: what must be remembered of that.
    fn row_given_up(&mut self, row: &Row) -> Vec<KeyPut>;

    /// A row was refused: whether that is the end of it, so that it holds nothing up.
    fn row_refused(&mut self, _row: &Row, _code: &ErrorCode) -> bool {
        false
    }
    /// A row was not answered: whether that is the end of it.
    fn row_unanswered(&mut self, _row: &Row) -> bool {
        false
    }

    /// Takes note of how the link presents itself.
    fn credentials(&mut self, _credentials: Credentials) {}
    /// A request for a new certificate; `None`: this version, or this charge point, makes none.
    fn certificate_request(&self) -> Option<VaultRequest> {
        None
    }
    /// SignCertificate with this request.
    fn sign_certificate(&self, _csr: &str) -> Option<Call> {
        None
    }
    /// Renders the answer to [`Reply::Vault`], as [`Dialect::answer`].
    fn vault_answer(&mut self, action: &str, _answer: &VaultAnswer) -> Result<Box<RawValue>, CallError> {
        Err(CallError::not_supported(action))
    }

    /// A CALL of the peer.
    fn accept(&mut self, action: &str, payload: &RawValue, cx: &CallCx) -> Reaction;
    /// Renders the station's answer to [`Reply::Ask`]; `action` and `payload` are those of the CALL.
    fn answer(
        &mut self,
        action: &str,
        payload: &RawValue,
        outcome: &Outcome,
    ) -> Result<Box<RawValue>, CallError>;
}
