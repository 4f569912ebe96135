//! North shell: one task for each back end of each charge point, which drives an [`ocpp::Machine`](Machine) over a
//! WebSocket.
//!
//! | file | what |
//! |---|---|
//! | `run` | the loop: one event, then what follows from it; stop |
//! | `connect` | DNS, TCP, TLS, upgrade within one time-out; sub-protocol and login |
//! | `tls` | which certificate to show, what a failure means |
//! | `trust` | whom to trust, and when a certificate counts as valid |
//! | `vault` | passwords, profile and certificates a CSMS may change, each with its way back |
//! | `doctor` | what is wrong with the way to a CSMS, step by step |
//! | `error` | [`ConnectError`]: why not, and the operator's next step |
//! | `wire` | an open connection: queue, pings, limits, orderly close |
//! | `desk` | reads and commits of the ledger, beside everything else |
//! | `post` | what the station is told, in order and never dropped |
//! | `traffic` | bytes through the sockets |
//!
//! Rules kept here:
//! * one event at a time goes into the machine, and all its effects are carried out before the next;
//! * nothing waits for another: a store that hangs, a station without room and a CSMS that does not read hold up
//!   only what concerns them (promise S7), and each backlog has a bound above which the CSMS is not read;
//! * every end of a connection is told in words, and no next attempt comes before the shortest wait;
//! * passwords and keys are never part of an error, a status or a log line.

mod connect;
mod desk;
pub mod doctor;
mod error;
mod post;
mod run;
mod tls;
mod traffic;
mod trust;
pub mod vault;
mod wire;

pub use error::{ConnectError, Stage};
pub use tls::{broker, file_servers};

use crate::domain::{
    Batch, BootId, Command, CommandId, EvseId, IdToken, LinkTally, Mono, Notice, Outcome, Params, ResetKind,
    Row, Thrift, TokenInfo, TxId,
};
use crate::ocpp::{Facts, Machine};
use futures_util::future::BoxFuture;
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use vault::Vault;

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
    /// What steers the station has changed: of use to a CSMS that is not in control.
    Params(Box<Params>),
    /// How sparing the CSMS is to be told things, by its budget.
    Thrift(Thrift),
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
    /// What the CSMS said about a token while it answered something else.
    Learned {
        /// Which token.
        token: IdToken,
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
    /// Frames refused at the socket so far: binary, too big, not UTF-8, against RFC 6455.
    pub refused_frames: u64,
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
    /// What it has counted since it was started. Looking is all it is for: no change is announced.
    pub tally: watch::Receiver<LinkTally>,
    /// Monotonic time of the last turn of its loop.
    pub heartbeat: watch::Receiver<Mono>,
    /// Its task.
    pub join: JoinHandle<()>,
}

/// What may wait in an inbox.
const INBOX: usize = 64;

/// Starts the task of one (charge point, CSMS). Needs a tokio runtime.
///
/// `vault` says how to connect; `seed` sets the jitter and must differ between uplinks, or they reconnect together. The
/// task ends after [`ToUplink::Stop`], or when every sender of its inbox is gone.
#[must_use]
pub fn spawn(
    vault: Vault,
    machine: Machine,
    feed: Arc<dyn Feed>,
    to_station: mpsc::Sender<Box<FromUplink>>,
    seed: u64,
) -> UplinkHandle {
    let (to, inbox) = mpsc::channel(INBOX);
    let (set_status, status) = watch::channel(LinkStatus::default());
    let (beat, heartbeat) = watch::channel(vault.now().mono);
    let (count, tally) = watch::channel(LinkTally::default());
    let uplink = run::Uplink::new(
        vault::Keeper::new(vault),
        machine,
        desk::Desk::new(feed),
        post::Post::new(to_station),
        inbox,
        seed,
        (set_status, count, beat),
    );
    UplinkHandle {
        to,
        status,
        tally,
        heartbeat,
        join: tokio::spawn(uplink.run()),
    }
}
