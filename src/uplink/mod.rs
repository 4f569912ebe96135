//! North shell: WebSocket, TLS, reconnect; drives `ocpp`.
//!
//! The faces stand; the room behind them is furnished on the branch `uplink`, nowhere else.

use crate::domain::{
    Batch, BootId, Command, CommandId, EvseId, IdToken, Mono, Notice, Outcome, ResetKind, Row, TokenInfo,
    TxId,
};
use crate::ocpp::Facts;
use futures_util::future::BoxFuture;
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// The ledger as an uplink sees it; the runtime puts the store behind it.
pub trait Feed: Send + Sync {
    /// Rows of this charge point behind `after`, oldest first; an error of the store is waited out inside.
    fn rows(&self, after: u64, limit: usize) -> BoxFuture<'_, Vec<Row>>;
    /// Makes a batch durable; false: not this time, try again.
    fn commit(&self, batch: Batch) -> BoxFuture<'_, bool>;
}

/// What an uplink is told.
#[derive(Clone, Debug)]
pub enum ToUplink {
    /// A state to tell.
    Notice(Notice),
    /// Ask the CSMS about a token.
    Authorize {
        /// Ties the answer to the question.
        request: u64,
        /// Where it was presented.
        evse: EvseId,
        /// The token.
        token: IdToken,
    },
    /// The station's answer to a command.
    Answer {
        /// Of which command.
        id: CommandId,
        /// The answer.
        outcome: Outcome,
    },
    /// Rows were appended for this charge point.
    LedgerGrew,
    /// The trusted wall time of a run is known.
    Epoch {
        /// Which run.
        boot: BootId,
        /// Unix milliseconds at its `Mono(0)`.
        unix_ms_at_zero: i64,
    },
    /// What the devices say about themselves.
    Facts(Facts),
    /// Restart the OCPP session.
    Reboot(ResetKind),
    /// Close in an orderly way (1001) and end.
    Stop,
}

/// What an uplink tells.
#[derive(Clone, Debug)]
pub enum FromUplink {
    /// The CSMS asks for something.
    Command {
        /// Ties the answer to it.
        id: CommandId,
        /// What.
        command: Command,
    },
    /// Verdict on a token; `None`: could not be asked.
    Authorized {
        /// Of which question.
        request: u64,
        /// The verdict.
        result: Option<TokenInfo>,
    },
    /// Verdict on the token of a running transaction.
    Verdict {
        /// Which.
        tx: TxId,
        /// The verdict.
        info: TokenInfo,
    },
    /// The CSMS told the time.
    ClockSet {
        /// Unix milliseconds.
        unix_ms: i64,
    },
    /// The CSMS has accepted this charge point, or is out of reach.
    Online(bool),
    /// The socket went up or down.
    Link {
        /// Whether it is open.
        connected: bool,
        /// Why, in words for the operator, with the next step.
        detail: String,
    },
}

/// The link for `retrovolt status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LinkStatus {
    /// The socket is open.
    pub connected: bool,
    /// Last event in words.
    pub detail: String,
    /// The OCPP machine; `None` before its first turn.
    pub ocpp: Option<crate::ocpp::Snapshot>,
}

/// The outside of a running uplink.
#[derive(Debug)]
pub struct UplinkHandle {
    /// Its inbox, bounded.
    pub to: mpsc::Sender<ToUplink>,
    /// How the link is.
    pub status: watch::Receiver<LinkStatus>,
    /// Monotonic time of the last turn of its loop.
    pub heartbeat: watch::Receiver<Mono>,
    /// Its task.
    pub join: JoinHandle<()>,
}
