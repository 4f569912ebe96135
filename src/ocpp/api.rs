//! What goes into a [`Machine`](super::Machine) and what comes out.

use crate::domain::{
    Batch, BootId, Command, CommandId, CpSetup, Credentials, DeviceFact, EvseId, IdToken, Notice, Outcome,
    Params, ResetKind, Row, Thrift, TokenInfo, TxId, VaultAnswer, VaultRequest,
};
use serde::Serialize;
use std::time::Duration;

/// What happened outside.
#[derive(Clone, Debug)]
pub enum Input {
    /// The socket is open and the sub-protocol agreed.
    Connected,
    /// The socket is gone, or could not be opened.
    Disconnected,
    /// A text message arrived.
    Text(String),
    /// Answer to [`Effect::NeedRows`]; fewer rows than asked for means there are no more at present.
    Rows(Vec<Row>),
    /// Rows were appended for this charge point.
    LedgerGrew,
    /// The batch of [`Effect::Commit`] with this id is durable. Ledger rows wait for it, so a commit that failed
    /// is to be tried again until it succeeds.
    Committed(u64),
    /// A state to tell.
    Notice(Notice),
    /// What the devices said about themselves; goes into the next BootNotification.
    Facts(Facts),
    /// What steers the station has changed; of use only where another CSMS is in control.
    Params(Box<Params>),
    /// Ask the CSMS about a token; answered with [`Effect::Authorized`].
    Authorize {
        /// Ties the answer to the question.
        request: u64,
        /// Where the token was presented.
        evse: EvseId,
        /// The token.
        token: IdToken,
    },
    /// The station's answer to [`Effect::Command`].
    Answer {
        /// Of which command.
        id: CommandId,
        /// The answer.
        outcome: Outcome,
    },
    /// The answer to [`Effect::Vault`].
    Vault {
        /// Of which request.
        id: CommandId,
        /// The answer.
        answer: VaultAnswer,
    },
    /// How the link presents itself; told before [`Input::Connected`] and whenever it has changed.
    Credentials(Credentials),
    /// The trusted wall time of a run of the process is known (better): Unix milliseconds at its `Mono(0)`.
    Epoch {
        /// Which run.
        boot: BootId,
        /// Unix milliseconds.
        unix_ms_at_zero: i64,
    },
    /// How sparing this CSMS is to be told things, by its budget.
    Thrift(Thrift),
    /// Behave as after a restart: deliver what is queued (unless [`ResetKind::Hard`]), close, boot anew.
    Reboot(ResetKind),
    /// A deadline of `next_deadline` has come.
    Tick,
}

/// What the shell is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send a text message.
    Send(String),
    /// Close the socket and tell [`Input::Disconnected`].
    Close {
        /// RFC 6455 section 7.4.
        code: u16,
        /// For the log and the close frame.
        reason: &'static str,
    },
    /// Read ledger rows of this charge point behind `after`.
    NeedRows {
        /// Sequence number.
        after: u64,
        /// At most this many.
        limit: usize,
    },
    /// Make durable, then tell [`Input::Committed`].
    Commit {
        /// For [`Input::Committed`].
        id: u64,
        /// Cursor, transaction ids, settings.
        batch: Batch,
    },
    /// A request to the station, to be answered with [`Input::Answer`].
    Command {
        /// Ties the answer to it.
        id: CommandId,
        /// The request.
        command: Command,
    },
    /// A request to whoever keeps the credentials of this link, to be answered with [`Input::Vault`].
    Vault {
        /// Ties the answer to it.
        id: CommandId,
        /// The request.
        request: VaultRequest,
    },
    /// Verdict on a token; `None`: the CSMS could not be asked.
    Authorized {
        /// Of [`Input::Authorize`].
        request: u64,
        /// The verdict.
        result: Option<TokenInfo>,
    },
    /// What the CSMS said about the token of a running transaction.
    Verdict {
        /// Which.
        tx: TxId,
        /// The verdict.
        info: TokenInfo,
    },
    /// What the CSMS said about a token while it answered something else.
    Learned {
        /// Which token.
        token: IdToken,
        /// The verdict.
        info: TokenInfo,
    },
    /// The CSMS told the time; never a date before the build.
    ClockSet {
        /// Unix milliseconds.
        unix_ms: i64,
    },
    /// The CSMS has accepted this charge point and can be reached (or not any more).
    Online(bool),
    /// WebSocket ping period from now on; zero: none.
    Ping(Duration),
    /// The peer broke a rule; for counters and the log.
    Misbehaviour(Misbehaviour),
}

/// What the devices say about themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Serial number of the charger.
    pub serial: Option<String>,
    /// Firmware of the charger; the gateway's own version is sent where unknown.
    pub firmware: Option<String>,
    /// Type of the billing meter.
    pub meter_type: Option<String>,
    /// Serial number of the billing meter.
    pub meter_serial: Option<String>,
}

impl Facts {
    /// The charger said this of itself.
    pub fn charger(&mut self, fact: DeviceFact, text: &str) {
        match fact {
            DeviceFact::SerialNumber => self.serial = Some(text.to_owned()),
            DeviceFact::FirmwareVersion => self.firmware = Some(text.to_owned()),
            DeviceFact::Model | DeviceFact::MapVersion => {}
        }
    }

    /// The billing meter said this of itself.
    pub fn meter(&mut self, fact: DeviceFact, text: &str) {
        match fact {
            DeviceFact::SerialNumber => self.meter_serial = Some(text.to_owned()),
            DeviceFact::Model => self.meter_type = Some(text.to_owned()),
            DeviceFact::FirmwareVersion | DeviceFact::MapVersion => {}
        }
    }

    /// The gateway's version, and the charger's where it is known.
    #[must_use]
    pub fn versions(&self, gateway: &str) -> String {
        match &self.firmware {
            Some(charger) => format!("{gateway}+{charger}"),
            None => gateway.to_owned(),
        }
    }

    /// The serial number to tell: the configured one, else the charger's own.
    #[must_use]
    pub fn serial<'a>(&'a self, cp: &'a CpSetup) -> Option<&'a String> {
        cp.serial.as_ref().or(self.serial.as_ref())
    }
}

/// A rule the peer broke, with the facts. Countable by [`Misbehaviour::kind`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misbehaviour {
    /// A message over [`MAX_MESSAGE_BYTES`](super::MAX_MESSAGE_BYTES).
    #[error("message of {bytes} bytes dropped")]
    TooBig {
        /// Its size.
        bytes: usize,
    },
    /// Nesting over [`MAX_DEPTH`](super::MAX_DEPTH).
    #[error("message nested too deeply dropped")]
    TooDeep,
    /// Not an OCPP-J frame.
    #[error("not an OCPP-J frame: {reason}")]
    BadFrame {
        /// What is wrong with it.
        reason: String,
    },
    /// An answer to no CALL of ours: late, repeated or invented.
    #[error("answer to no outstanding CALL: id {id:?}")]
    UnknownAnswer {
        /// The id it carried, cut to 64 characters.
        id: String,
    },
    /// An answer that cannot be read.
    #[error("answer to {action} cannot be used: {reason}")]
    BadAnswer {
        /// Which CALL.
        action: &'static str,
        /// Why.
        reason: String,
    },
    /// A CALLERROR.
    #[error("{action} was answered with {code}: {description}")]
    CallError {
        /// Which CALL.
        action: &'static str,
        /// The code as sent, an open string.
        code: String,
        /// The words with it.
        description: String,
    },
    /// No answer within the message time-out.
    #[error("no answer to {action} within {after:?}; the connection is closed")]
    NoAnswer {
        /// Which CALL.
        action: &'static str,
        /// The time-out.
        after: Duration,
    },
    /// A CALL of the peer that could not be accepted as a message.
    #[error("refused {action}: {code} {reason}")]
    BadCall {
        /// Its action, cut to 64 characters.
        action: String,
        /// Our error code.
        code: String,
        /// Our description.
        reason: String,
    },
    /// The id of a CALL of the peer is the id of one that still waits for its answer.
    #[error("a CALL with an id still in flight was ignored: {id:?}")]
    DuplicateCall {
        /// The id.
        id: String,
    },
    /// More CALLs at once than anybody needs.
    #[error("too many CALLs wait for an answer")]
    Flood,
    /// A date before the build of this program, or none that can be read.
    #[error("the CSMS told an unusable time: {text:?}")]
    BadTime {
        /// What it said.
        text: String,
    },
    /// A transaction message was refused in a way that repeats for ever.
    #[error("{action} (row {seq}) refused for its form with {code}")]
    RowMalformed {
        /// Ledger row.
        seq: u64,
        /// Which message.
        action: &'static str,
        /// The code as sent.
        code: String,
    },
    /// A transaction message was given up after all attempts.
    #[error("{action} (row {seq}) given up after {attempts} attempts, last answer {code}")]
    RowGivenUp {
        /// Ledger row.
        seq: u64,
        /// Which message.
        action: &'static str,
        /// How often it was sent.
        attempts: u32,
        /// The last code.
        code: String,
    },
}

impl Misbehaviour {
    /// A stable name for counters.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TooBig { .. } => "too_big",
            Self::TooDeep => "too_deep",
            Self::BadFrame { .. } => "bad_frame",
            Self::UnknownAnswer { .. } => "unknown_answer",
            Self::BadAnswer { .. } => "bad_answer",
            Self::CallError { .. } => "call_error",
            Self::NoAnswer { .. } => "no_answer",
            Self::BadCall { .. } => "bad_call",
            Self::DuplicateCall { .. } => "duplicate_call",
            Self::Flood => "flood",
            Self::BadTime { .. } => "bad_time",
            Self::RowMalformed { .. } => "row_malformed",
            Self::RowGivenUp { .. } => "row_given_up",
        }
    }

    /// Whether what came was no valid OCPP message at all: a security event.
    #[must_use]
    pub fn is_no_ocpp(&self) -> bool {
        matches!(self, Self::TooBig { .. } | Self::TooDeep | Self::BadFrame { .. })
    }

    /// Whether something of value was lost; worth an error in the log.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::RowMalformed { .. } | Self::RowGivenUp { .. })
    }
}

/// How far a charge point has come with its CSMS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// No BootNotification was answered yet.
    #[default]
    None,
    /// `Pending`: only answers and triggered messages.
    Pending,
    /// `Rejected`: silence until the next try.
    Rejected,
    /// `Accepted`.
    Accepted,
}

/// The machine at a glance, for `retrovolt status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Another CSMS is in control.
    pub read_only: bool,
    /// OCPP version spoken.
    pub version: &'static str,
    /// Whether the socket is open.
    pub connected: bool,
    /// Registration.
    pub registration: Registration,
    /// Action of the CALL that waits for its answer.
    pub waiting_for: Option<&'static str>,
    /// Everything up to this ledger row is done.
    pub cursor: u64,
    /// Rows read from the ledger and not yet acknowledged (the ledger may hold more).
    pub rows_waiting: usize,
    /// How often the oldest row was refused.
    pub row_refusals: u32,
    /// Heartbeat period in seconds.
    pub heartbeat_s: u64,
    /// Rules the peer broke so far.
    pub misbehaviours: u64,
    /// How sparing the CSMS is told things, by its budget.
    pub thrift: Thrift,
    /// Samples that were left out because of it.
    pub thinned: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_device_has_its_own_facts() {
        let mut facts = Facts::default();
        for fact in [
            DeviceFact::SerialNumber,
            DeviceFact::FirmwareVersion,
            DeviceFact::Model,
            DeviceFact::MapVersion,
        ] {
            facts.charger(fact, &format!("charger {fact:?}"));
            facts.meter(fact, &format!("meter {fact:?}"));
        }
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            facts,
            Facts {
                serial: text("charger SerialNumber"),
                firmware: text("charger FirmwareVersion"),
                meter_type: text("meter Model"),
                meter_serial: text("meter SerialNumber"),
            }
        );
        assert_eq!(facts.versions("0.1.0"), "0.1.0+charger FirmwareVersion");
        assert_eq!(Facts::default().versions("0.1.0"), "0.1.0");
    }
}
