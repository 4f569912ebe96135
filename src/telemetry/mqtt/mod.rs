//! The own topic tree on a broker (`docs/mqtt.md` is the contract).
//!
//! The hub is one task of its own. It only looks at the [`Picture`](super::Picture) and hears
//! [`Happening`](super::Happening)s; nobody waits for it. What it keeps is bounded: the latest of each topic, events up to
//! [`RING_BYTES`] together, and of the ledger only a batch, because that keeps itself.
//!
//! | file | what |
//! |---|---|
//! | `topics` | names of topics |
//! | `leaves` | a picture as messages |
//! | `leftovers` | what the broker has kept of devices that are no more |
//! | `board` | what was published already, and whether a value has moved |
//! | `outbox` | what waits for the broker |
//! | `orders` | commands: who may, is it recent, is it well-formed, how often |
//! | `verdicts` | which verdicts are told one by one, of commands by Sparkplug, too |
//! | `waits` | how long until the next attempt to connect |
//! | `hub` | the task |

mod board;
mod hub;
mod leaves;
mod leftovers;
mod orders;
mod outbox;
mod topics;
mod verdicts;
mod waits;

pub use hub::{Hub, HubHandle, HubStatus, Left, spawn};
pub use orders::{Ask, Audit, Key, OPERATIONS, Order, Until};
pub use outbox::RING_BYTES;
pub use topics::Topics;
pub(super) use verdicts::Verdicts;

use super::client::{Incoming, Message};
use super::event::Record;
use super::picture::Picture;
use super::units::Slug;
use crate::domain::{CpId, Thrift};
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Somebody who announces what is here to a consumer in that consumer's own way, on the same connection.
pub trait Announcer: Send {
    /// What is to be subscribed for it.
    fn filters(&self) -> Vec<String>;

    /// Whether what it would announce of this picture differs from what it announced.
    fn news(&mut self, picture: &Picture) -> bool;

    /// Told on every connection before the picture, and again whenever there is [news](Self::news). Repeats do no harm.
    /// With a duration it is asked once more after this time. `online`: what it has announced before is shown as there.
    ///
    /// Where it still [waits](Self::waits) on a new connection, the picture is held back until it is asked once more.
    fn announce(&mut self, picture: &Picture, online: bool) -> (Vec<Message>, Option<Duration>);

    /// It does not know yet what it has announced before: whoever hears it would miss what is told now.
    fn waits(&self) -> bool;

    /// Hears a message on one of its topics; `Some`: everything is to be told again after this time.
    fn heard(&mut self, incoming: &Incoming) -> Option<Duration>;
}

/// A row of the ledger on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Whose; for the cursor.
    pub cp: CpId,
    /// Its number; for the cursor.
    pub seq: u64,
    /// Where it is published and what; `None`: it is nothing for the broker, only the cursor moves.
    pub record: Option<(Slug, Record)>,
}

/// The ledger as the hub sees it.
pub trait Ledger: Send + Sync {
    /// The next rows that the broker has not got, oldest first per charge point; waits until there are some.
    fn next(self: Arc<Self>) -> BoxFuture<'static, Vec<Entry>>;

    /// Everything up to these rows is delivered; durable when it returns.
    fn done(self: Arc<Self>, entries: Vec<(CpId, u64)>) -> BoxFuture<'static, ()>;
}

/// Who carries out commands.
pub trait Desk: Send + Sync {
    /// Carries one out. `Ok`: what held before and what holds now; `Err`: why not.
    fn carry_out(self: Arc<Self>, order: Order) -> BoxFuture<'static, Result<(Value, Value), String>>;

    /// Keeps the record of a verdict.
    fn note(&self, audit: &Audit);
}

/// The next stage of the budget; pending where nobody judges any more.
pub(super) async fn told(thrift: &mut watch::Receiver<Thrift>) -> Thrift {
    match thrift.changed().await {
        Ok(()) => *thrift.borrow_and_update(),
        Err(_) => std::future::pending().await,
    }
}
