//! The sans-IO machine of one Modbus device: polling by deadline, recipes with order, settle time and read-back,
//! the watchdog under its lease, and patience with a device that does not answer.
//!
//! Rules it enforces:
//!
//! * At most one request of each priority class is outstanding; a stop never waits for a read-back of another
//!   recipe, only for the device's own minimum gap between writes.
//! * A newer current replaces an older one: the older ticket is answered `Superseded`, its unsent request
//!   cancelled. The last word is kept and written again when the device restarted or somebody else wrote (S8).
//! * Feeding is a lease (S6): the driver does nothing of its own accord that feeds once the lease has ended. Where
//!   any request feeds that means no poll, no probe, no check; a stop from the station is still carried out.
//! * Three failures in a row make the device "down"; it is probed after 1 s, 2 s, ... 30 s. When it answers again
//!   everything that a power-on resets is written again.
//! * The same inputs at the same times give the same effects (T2).
//!
//! ```text
//!   Away --answers--> Learning{once-blocks} --facts known--> Settled --3 failures, port lost--> Away
//!                                                (start-up recipe, watchdog, last current)
//! ```

mod book;
mod current;
mod errand;
mod flights;
pub(super) mod link;
mod machine;
mod polling;
mod pump;
mod replies;
mod run;
#[cfg(test)]
mod tests;
mod usage;
mod watchdog;

pub use machine::Driver;

use super::{Pdu, Reply};
use crate::domain::{DeviceCommand, DriveError, MilliAmps, Mono, Observation, Priority};
use serde::Serialize;
use std::time::Duration;

/// One request for the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Ties the answer to it; unique within one driver.
    pub id: u64,
    /// Its class.
    pub priority: Priority,
    /// Among requests of a class the earliest deadline goes first.
    pub due: Mono,
    /// Wait for the answer; zero: the bus's own.
    pub timeout: Duration,
    /// Silence the device wants before it.
    pub gap: Duration,
    /// What to ask.
    pub pdu: Pdu,
}

/// What a driver is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The answer to a request; unknown ids are ignored.
    Replied {
        /// Of which request.
        id: u64,
        /// What came.
        result: Result<Reply, DriveError>,
    },
    /// A command; answered with exactly one [`Effect::Done`].
    Drive {
        /// Ties the answer to it.
        ticket: u64,
        /// What to do.
        command: DeviceCommand,
        /// Whether a limit is at or below the one in force.
        lowering: bool,
    },
    /// The watchdog may be fed before this time.
    Lease {
        /// The end.
        until: Mono,
    },
    /// The port vanished; what is outstanding is lost.
    PortLost,
    /// The port is open again.
    PortBack,
    /// A device that does not answer is to be tried now: nobody on its bus answers, so that trying costs nobody
    /// anything, or somebody answers again.
    Probe,
    /// A deadline has passed.
    Tick,
}

/// What a driver wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send this.
    Request(Request),
    /// Forget the request if it is not sent yet; its answer is not wanted any more.
    Cancel(u64),
    /// What the device said.
    Observed(Vec<Observation>),
    /// The end of a command.
    Done {
        /// Which.
        ticket: u64,
        /// How.
        result: Result<(), DriveError>,
    },
    /// The device began or ceased to answer.
    Link {
        /// Whether it answers.
        up: bool,
        /// Why it does not.
        cause: Option<DriveError>,
    },
    /// What is known of the device's own safe state.
    Failsafe(FailsafeReport),
}

/// What a charger does when the gateway falls silent (promise S5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailsafeReport {
    /// The watchdog registers were written and read back.
    pub armed: bool,
    /// After this silence it falls back.
    pub timeout: Option<Duration>,
    /// To this current.
    pub fallback: Option<MilliAmps>,
    /// Whether the fallback is safe and will come.
    pub safe: bool,
    /// In words for the operator.
    pub detail: String,
}

/// A driver for the status page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// `unknown`, `up`, `down` or `no port`.
    pub link: &'static str,
    /// The current last commanded, zero while disabled.
    pub commanded: Option<MilliAmps>,
    /// Whether the device confirmed it.
    pub in_force: bool,
    /// Whether the watchdog is armed.
    pub armed: bool,
    /// Requests outstanding.
    pub outstanding: usize,
}
