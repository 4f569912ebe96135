//! Sparkplug B 3.0.0: the gateway as an edge node, its charge points and meters as devices.
//!
//! | file | what |
//! |---|---|
//! | `wire` | the payload, byte by byte |
//! | `datum` | values and their types |
//! | `row` | what a metric is |
//! | `table` | every metric there is, declared once |
//! | `sheet` | the picture of the site as metrics |
//! | `topic` | topics of the node |
//! | `voice` | births, data, deaths: what is said, and what was said |
//! | `history` | what changed while nobody listened |
//! | `host` | what the primary host says of itself |
//! | `command` | what a host writes |
//! | `edge` | the node as a machine: connections, births, rebirths, commands |
//! | `keep` | the number of the next connection, kept over restarts |
//! | `run` | the task that drives it over MQTT |

mod command;
mod datum;
mod edge;
mod history;
mod host;
mod keep;
mod row;
mod run;
mod sheet;
mod table;
#[cfg(test)]
mod tests;
mod topic;
mod voice;
pub mod wire;

pub use command::{Order, Refusal, Wish};
pub use edge::{Audit, EdgeNode, Effect, Input, Role, Snapshot};
pub(super) use host::State;
pub use run::{Handle, Plan, spawn};
pub(super) use topic::Topics;
pub use topic::is_id;
