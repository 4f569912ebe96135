//! What is wrong between the gateway and a broker: step by step, each with what was seen, the cause, and what to do next.
//!
//! Rules kept here:
//! * a client id of its own, so that nobody is pushed out: the configured one with an ending, which a broker that goes by the
//!   beginning of ids takes too;
//! * what it publishes is on a topic of its own below that of the gateway, and is taken away again; what it publishes for Home
//!   Assistant is empty, which is nothing to anybody;
//! * nothing at all is published into a Sparkplug group: a host would take it for data;
//! * everything is over within 15 s: [`CONNECT_WAIT`] and a few [`STEP`]s;
//! * no password and no key comes into a report.
//!
//! | file | what |
//! |---|---|
//! | `report` | what is told |
//! | `cause` | what an error comes to |
//! | `visit` | the steps in their order |

mod cause;
mod report;
mod visit;

pub use cause::Cause;
pub use report::Report;
pub use visit::examine;

use super::client::MakeTls;
use crate::domain::{BrokerSetup, MqttSetup, SparkplugSetup};
use std::time::Duration;

/// Longest wait for name, TCP, TLS and the answer to CONNECT together.
pub const CONNECT_WAIT: Duration = Duration::from_secs(9);
/// Longest wait for each answer after that.
pub const STEP: Duration = Duration::from_secs(1);
/// The largest packet a gateway is sure to need: that which announces a charge point to Home Assistant, with room.
pub const NEEDED_BYTES: u32 = 32 * 1024;

/// What a broker is used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The own topic tree and Home Assistant.
    Tree(Box<MqttSetup>),
    /// Sparkplug B.
    Edge(Box<SparkplugSetup>),
}

/// What the running gateway says about its own connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gateway {
    /// It does not run, or does not use this broker.
    Absent,
    /// It runs and cannot be asked: why.
    Unknown(String),
    /// It runs.
    Link {
        /// Connected, and everything is told.
        online: bool,
        /// In words.
        detail: String,
        /// Another client has taken its place last time.
        taken_over: bool,
        /// Connections in a row that were lost soon after they stood.
        short_lived: u32,
    },
}

/// What is to be examined.
pub struct Subject {
    /// `mqtt`, or `sparkplug` with the number of the server where there are more.
    pub name: String,
    /// The broker.
    pub setup: BrokerSetup,
    /// Makes TLS settings.
    pub tls: MakeTls,
    /// What it is used for.
    pub purpose: Purpose,
    /// What this machine's clock really says, Unix milliseconds.
    pub machine_unix_ms: i64,
    /// Earlier the clock cannot be right.
    pub floor_unix_ms: i64,
    /// The gateway's own connection.
    pub gateway: Gateway,
    /// Makes client id and topic the only ones of their kind.
    pub nonce: u64,
}
