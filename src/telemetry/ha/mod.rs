//! Home Assistant: what it is told about this site, so that every charge point, meter and the gateway appear by themselves.
//!
//! Pure: a picture and settings give retained discovery messages, and what was announced before says what must go.
//!
//! | file | what |
//! |---|---|
//! | `entity` | one entity and its templates |
//! | `gateway`, `point`, `measured`, `controls` | which entities there are |
//! | `seen` | which quantities a device has |
//! | `message` | devices as messages, in the form of today and in that of before 2024.11 |
//! | `announce` | what to publish, in order, so that nothing is left over |
//! | `herald` | when: at each connection, when Home Assistant starts, when facts change |

mod announce;
mod controls;
mod entity;
mod gateway;
mod herald;
mod measured;
mod message;
mod point;
mod seen;
#[cfg(test)]
mod tests;

pub use announce::{Announced, Publish, phases};
pub use entity::{Entity, Platform};
pub use herald::Herald;
pub use message::{Message, Messages, messages};
pub use seen::Seen;

use super::units::Slug;
use crate::domain::{HaForm, HaSetup, MqttSetup};
use std::collections::BTreeSet;
use std::time::Duration;

/// What the messages depend on beside the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Form of the messages.
    pub form: HaForm,
    /// First level of Home Assistant's discovery topics, usually `homeassistant`.
    pub prefix: String,
    /// First level of our own topics.
    pub app: String,
    /// Their second level.
    pub gateway: Slug,
    /// Every value is published at least this often; zero: only on change.
    pub refresh: Duration,
    /// Account of Home Assistant on the broker, and what it may send; `None`: no commands.
    pub rights: Option<Rights>,
}

/// What Home Assistant may send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Its account.
    pub user: String,
    /// Names under `set`, e.g. `limit_a`.
    pub keys: BTreeSet<String>,
}

impl Settings {
    /// As configured.
    #[must_use]
    pub fn of(mqtt: &MqttSetup, ha: &HaSetup) -> Self {
        let rights = ha.user.as_ref().and_then(|user| {
            let allowed = mqtt.commands.as_ref()?.get(user)?;
            Some(Rights {
                user: user.clone(),
                keys: allowed.keys.clone(),
            })
        });
        Self {
            form: ha.form,
            prefix: ha.prefix.clone(),
            app: mqtt.prefix.clone(),
            gateway: Slug::of(&mqtt.gateway),
            refresh: mqtt.refresh,
            rights,
        }
    }

    /// The gateway as a device.
    #[must_use]
    pub fn hub(&self) -> String {
        format!("{}_{}", self.app.replace('/', "_"), self.gateway)
    }

    /// A topic of ours.
    #[must_use]
    pub fn topic(&self, below: &str) -> String {
        format!("{}/{}/{below}", self.app, self.gateway)
    }

    /// Topic of what was announced.
    #[must_use]
    pub fn list_topic(&self) -> String {
        self.topic("ha/announced")
    }

    /// Topic on which Home Assistant says `online` when it has started.
    #[must_use]
    pub fn birth_topic(&self) -> String {
        format!("{}/status", self.prefix)
    }

    /// Whether Home Assistant may set this.
    pub(crate) fn may(&self, key: &str) -> bool {
        self.rights.as_ref().is_some_and(|r| r.keys.contains(key))
    }

    /// Where it sets it.
    pub(crate) fn command_topic(&self, point: &Slug, key: &str) -> Option<String> {
        let rights = self.rights.as_ref().filter(|r| r.keys.contains(key))?;
        Some(self.topic(&format!("as/{}/cp/{point}/{key}/set", rights.user)))
    }

    /// How long a measured value holds: three refreshes.
    pub(crate) fn expiry_s(&self) -> Option<u64> {
        Some(self.refresh.as_secs().saturating_mul(3)).filter(|s| *s > 0)
    }
}
