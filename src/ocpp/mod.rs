//! OCPP: one machine for each back end of each charge point. Pure.
//!
//! What every dialect shares is here once: frames and their caps (`frame`), one outstanding CALL and its time-out
//! (`engine`), registration (`boot`), the ledger reader with its retry rules (`ledger`), clock corrections
//! (`clock`), and [`Machine`], which joins them and decides what is sent next.
//!
//! A dialect only *renders* and *accepts*. The seam is the trait [`dialect::Dialect`]: it turns a boot, a heartbeat,
//! a status, a token or a ledger row into a [`dialect::Call`], reads the answers into the version-neutral
//! types of [`dialect`], and turns a CALL of the peer into a [`dialect::Reaction`] (an answer at once, a
//! refusal, or a [`Command`](crate::domain::Command) whose [`Outcome`](crate::domain::Outcome) is rendered by
//! [`dialect::Dialect::answer`]). It owns its settings (1.6 configuration keys, 2.x device model) and whatever id map
//! it needs, and hands every change of them back as puts, which the machine makes durable in one step with the
//! cursor. It never sees a timer, a socket or another dialect; `station` never sees it.

mod api;
mod boot;
pub mod dialect;
mod engine;
mod frame;
mod inbound;
mod ledger;
mod machine;
mod measurands;
mod outbound;
mod read;
mod routing;
mod schedule;
mod statuses;
mod steering;
mod thinning;
mod vault;
mod wallclock;

pub mod v16;
pub mod v201;

pub use api::{Effect, Facts, Input, Misbehaviour, Registration, Snapshot};
pub use frame::{MAX_DEPTH, MAX_MESSAGE_BYTES};
pub use machine::Machine;
pub use wallclock::{Epochs, FLOOR_UNIX_MS, date_time, format_utc, parse_utc, read_utc};
