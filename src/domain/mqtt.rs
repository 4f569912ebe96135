//! MQTT as configured.

use super::home_assistant::HaSetup;
use super::vault::Secret;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// A broker and how we present ourselves to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerSetup {
    /// Name or address.
    pub host: String,
    /// Usually 1883, with TLS 8883.
    pub port: u16,
    /// By TLS.
    pub tls: bool,
    /// Client id; unique on the broker.
    pub client_id: String,
    /// Account.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// PEM file with roots that are trusted for this broker beside the others.
    pub ca_file: Option<PathBuf>,
    /// PEM files of a client certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Which MQTT is spoken.
    pub version: MqttVersion,
    /// Longest silence toward the broker.
    pub keep_alive: Duration,
}

/// Which MQTT is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MqttVersion {
    /// 5, and 3.1.1 with a broker that refuses 5.
    #[default]
    Auto,
    /// 5.
    V5,
    /// 3.1.1.
    V311,
}

impl MqttVersion {
    /// As it is configured.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::V5 => "5",
            Self::V311 => "3.1.1",
        }
    }

    /// The version of a word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        match word {
            "auto" => Some(Self::Auto),
            "5" => Some(Self::V5),
            "3.1.1" => Some(Self::V311),
            _ => None,
        }
    }
}

/// The own topic tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MqttSetup {
    /// Where to.
    pub broker: BrokerSetup,
    /// First level of every topic.
    pub prefix: String,
    /// Second level: which gateway this is.
    pub gateway: String,
    /// Every value is published at least this often.
    pub refresh: Duration,
    /// The main values are published once more as plain text, one topic each.
    pub flat: bool,
    /// How long records wait for a broker that is away.
    pub keep_records: Duration,
    /// Who may send commands; `None`: no command topic is subscribed.
    pub commands: Option<BTreeMap<String, CommandRights>>,
    /// What Home Assistant is told.
    pub ha: HaSetup,
}

/// What one user may send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandRights {
    /// Names under `set`, e.g. `limit_a`.
    pub keys: BTreeSet<String>,
    /// Names under `request`, e.g. `status`.
    pub operations: BTreeSet<String>,
    /// Least time between two commands with the same name.
    pub spacing: Duration,
}
