//! Sparkplug B as configured.

use super::mqtt::BrokerSetup;
use std::time::Duration;

/// The gateway as an edge node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SparkplugSetup {
    /// Brokers, in the order in which they are tried; one at least.
    pub brokers: Vec<BrokerSetup>,
    /// Group id; no `+`, `/` or `#`.
    pub group: String,
    /// Edge node id, likewise; with the group unique in the whole system.
    pub edge_node: String,
    /// The primary host it obeys; `None`: it publishes whoever listens.
    pub host_id: Option<String>,
    /// Data carries aliases instead of names.
    pub aliases: bool,
    /// Hosts may write.
    pub commands: bool,
    /// Shortest and longest wait between attempts to connect.
    pub retry: (Duration, Duration),
}
