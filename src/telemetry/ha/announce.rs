//! What to publish, in order, so that Home Assistant has what there is and nothing that there was.
//!
//! What was announced is kept as a retained message of our own, `APP/GW/ha/announced`: a broker that lost it has lost the
//! announcements too, and one that has them tells us, whatever the configuration was then. Topic by topic it says which
//! entities there were, so that a device, an entity, the form of the messages or the prefix can go.
//!
//! * A device or, in the form of one message per entity, an entity goes by an empty message.
//! * An entity of a device goes by the device's message with that entity reduced to its kind, and then without it.
//! * Home Assistant does such things beside each other: what depends on an earlier one is a later phase, [`PAUSE`] after it.
//! * From one form to the other: `migrate_discovery` to the old topics, so that Home Assistant keeps what it knows of the
//!   entities (their names, areas, history), then the new messages, then empty ones to the old topics.

use super::message::{Message, Messages};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Between two phases.
pub const PAUSE: Duration = Duration::from_secs(2);
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
            let Some(rest) = topic.strip_suffix("/config") else {
                return false;
            };
            let id = rest.rsplit('/').next().unwrap_or_default();
            rest.matches('/').count() >= 2
                && (id == hub || id.strip_prefix(hub).is_some_and(|rest| rest.starts_with('_')))
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

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a topic is among them.
    pub(super) fn has(&self, topic: &str) -> bool {
        self.0.contains_key(topic)
    }

    /// Device and key of every entity.
    pub(super) fn entities(&self) -> impl Iterator<Item = (&str, &str)> {
        let keys = |(topic, entities)| {
            let (topic, entities): (&String, &BTreeMap<String, String>) = (topic, entities);
            let device = move |key: &str| parts(topic, key).map(|parts| parts.device);
            entities
                .keys()
                .filter_map(move |key| Some((device(key)?, key.as_str())))
        };
        self.0.iter().flat_map(keys)
    }

    /// Both.
    pub(super) fn with(mut self, other: Self) -> Self {
        for (topic, entities) in other.0 {
            self.0.entry(topic).or_default().extend(entities);
        }
        self
    }

    /// Topics that `now` has no more, and entities that topics have no more.
    pub(super) fn losses(&self, now: &Messages) -> Vec<(String, Option<String>)> {
        let mut all = Vec::new();
        for (topic, had) in &self.0 {
            match now.get(topic) {
                None => all.push((topic.clone(), None)),
                Some(message) => {
                    let lost = lost(had, message).into_keys();
                    all.extend(lost.map(|key| (topic.clone(), Some(key))));
                }
            }
        }
        all
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

/// What to publish so that `now` holds and nothing else that `was` announced, phase by phase. With `was` empty these are
/// the messages themselves.
#[must_use]
pub fn phases(was: &Announced, now: &Messages) -> Vec<Vec<Publish>> {
    let gone: Vec<&String> = was.0.keys().filter(|t| !now.contains_key(*t)).collect();
    let migrate = json!({ "migrate_discovery": true }).to_string();
    let moved = gone.iter().filter(|t| moves(t, was, now));
    let mut first: Vec<Publish> = moved.map(|t| Publish::new(t, migrate.clone())).collect();
    for (topic, message) in now {
        let lost = was.0.get(topic).map(|had| lost(had, message));
        if let Some(lost) = lost.filter(|l| !l.is_empty()) {
            first.push(Publish::new(topic, with_stubs(message, &lost)));
        }
    }
    let second = now.iter().map(|(t, m)| Publish::new(t, m.payload.to_string()));
    let third = gone.iter().map(|t| Publish::new(t, String::new()));
    let mut all = vec![first, second.collect(), third.collect()];
    all.retain(|phase| !phase.is_empty());
    all
}

impl Publish {
    pub(super) fn new(topic: &str, payload: String) -> Self {
        Self {
            topic: topic.into(),
            payload,
        }
    }
}

/// Whether an entity of an old topic lives on in a message of the other form under the same prefix.
fn moves(topic: &str, was: &Announced, now: &Messages) -> bool {
    let old = was.0.get(topic).into_iter().flatten();
    old.filter_map(|(key, kind)| Some((key, kind, parts(topic, key)?)))
        .any(|(key, kind, old)| {
            let new = if old.whole {
                format!("{}/{kind}/{}_{key}/config", old.prefix, old.device)
            } else {
                format!("{}/device/{}/config", old.prefix, old.device)
            };
            now.get(&new).is_some_and(|m| m.entities.get(key) == Some(kind))
        })
}

/// A discovery topic taken apart.
struct Parts<'a> {
    prefix: &'a str,
    device: &'a str,
    /// One message for the whole device.
    whole: bool,
}

/// Takes the topic apart that announces an entity.
fn parts<'a>(topic: &'a str, key: &str) -> Option<Parts<'a>> {
    let (rest, id) = topic.strip_suffix("/config")?.rsplit_once('/')?;
    let (prefix, kind) = rest.rsplit_once('/')?;
    let whole = kind == "device";
    let device = if whole {
        id
    } else {
        id.strip_suffix(key)?.strip_suffix('_')?
    };
    Some(Parts {
        prefix,
        device,
        whole,
    })
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
