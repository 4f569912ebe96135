//! What to publish, in order, so that Home Assistant has what there is and nothing that there was.
//!
//! What was announced is kept as a retained message of our own, `APP/GW/ha/announced`: a broker that lost it has lost the
//! announcements too, and one that has them tells us, whatever the configuration was then. Topic by topic it says which
//! entities there were, so that a device, an entity, the form of the messages or the prefix can go.
//!
//! * A device or, in the form of one message per entity, an entity goes by an empty message.
//! * An entity of a device goes by the device's message with that entity reduced to its kind, and then without it.
//! * From one form to the other: `migrate_discovery` to the old topics, so that Home Assistant keeps what it knows of the
//!   entities (their names, areas, history), then the new messages, then empty ones to the old topics.

use super::message::{Message, Messages};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Longest list that is read, bytes: a site of a hundred charge points has a fifth of it.
const LONGEST: usize = 1 << 20;

/// What was announced: topic, entities and their kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Announced(BTreeMap<String, BTreeMap<String, String>>);

/// Something to publish, retained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Where.
    pub topic: String,
    /// What; empty: the topic goes.
    pub payload: String,
}

impl Announced {
    /// What these messages announce.
    #[must_use]
    pub fn of(messages: &Messages) -> Self {
        let each = messages
            .iter()
            .map(|(topic, message)| (topic.clone(), message.entities.clone()));
        Self(each.collect())
    }

    /// As it was kept; whatever cannot be read was nothing. Only topics that can be ours are taken: an empty message to any
    /// other would delete what is not ours.
    #[must_use]
    pub fn read(payload: &[u8], hub: &str) -> Self {
        let ours = |topic: &str| {
            let mut levels = topic.rsplit('/');
            let id = match (levels.next(), levels.next(), levels.next(), levels.next()) {
                (Some("config"), Some(id), Some("device"), Some(_)) => id,
                (Some("config"), Some(_), Some(id), Some(_)) => id,
                _ => return false,
            };
            id == hub || id.strip_prefix(hub).is_some_and(|rest| rest.starts_with('_'))
        };
        let mut read: Self = if payload.len() > LONGEST {
            Self::default()
        } else {
            serde_json::from_slice(payload).unwrap_or_default()
        };
        read.0
            .retain(|topic, _| ours(topic) && !topic.contains(['+', '#', '\0']));
        read
    }

    /// As it is kept; empty when there is nothing.
    #[must_use]
    pub fn payload(&self) -> String {
        if self.0.is_empty() {
            String::new()
        } else {
            // A map of texts always is JSON.
            serde_json::to_string(&self.0).unwrap_or_default()
        }
    }
}

/// What to publish so that `now` holds and nothing else that `was` announced. With `was` empty these are the messages
/// themselves.
#[must_use]
pub fn steps(was: &Announced, now: &Messages) -> Vec<Publish> {
    let gone: Vec<&String> = was.0.keys().filter(|t| !now.contains_key(*t)).collect();
    let moved = gone.iter().filter(|t| moves(t, was, now));
    let migrate = json!({ "migrate_discovery": true }).to_string();
    let mut all: Vec<Publish> = moved.map(|t| publish(t, migrate.clone())).collect();
    for (topic, message) in now {
        let lost = was.0.get(topic).map(|had| lost(had, message));
        if let Some(lost) = lost.filter(|l| !l.is_empty()) {
            all.push(publish(topic, with_stubs(message, &lost)));
        }
        all.push(publish(topic, message.payload.to_string()));
    }
    all.extend(gone.iter().map(|t| publish(t, String::new())));
    all
}

fn publish(topic: &str, payload: String) -> Publish {
    Publish {
        topic: topic.into(),
        payload,
    }
}

/// Whether an entity of an old topic lives on in a message of the other form under the same prefix.
fn moves(topic: &str, was: &Announced, now: &Messages) -> bool {
    let Some(old) = was.0.get(topic) else {
        return false;
    };
    let Some((prefix, id, whole)) = parts(topic) else {
        return false;
    };
    now.iter().any(|(new, message)| {
        parts(new) == Some((prefix, id, !whole)) && old.keys().any(|key| message.entities.contains_key(key))
    })
}

/// Prefix, device and form of a discovery topic: `true` for one message per device.
fn parts(topic: &str) -> Option<(&str, &str, bool)> {
    let rest = topic.strip_suffix("/config")?;
    let (rest, last) = rest.rsplit_once('/')?;
    if let Some(prefix) = rest.strip_suffix("/device") {
        return Some((prefix, last, true));
    }
    let (rest, id) = rest.rsplit_once('/')?;
    let (prefix, _kind) = rest.rsplit_once('/')?;
    Some((prefix, id, false))
}

/// Entities of a device that are no more, or are of another kind now.
fn lost(had: &BTreeMap<String, String>, message: &Message) -> BTreeMap<String, String> {
    had.iter()
        .filter(|(key, kind)| message.entities.get(*key) != Some(*kind))
        .map(|(key, kind)| (key.clone(), kind.clone()))
        .collect()
}

fn with_stubs(message: &Message, lost: &BTreeMap<String, String>) -> String {
    let mut payload = message.payload.clone();
    if let Some(Value::Object(components)) = payload.get_mut("components") {
        for (key, kind) in lost {
            components.insert(key.clone(), json!({ "platform": kind }));
        }
    }
    payload.to_string()
}
