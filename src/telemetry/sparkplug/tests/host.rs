//! A host application written from the specification alone. It takes what the node wants done, and panics where a rule
//! is broken: the number of messages, births before data, nothing unannounced, types, time within a message.

use super::super::edge::{Effect, Role};
use super::super::wire::{Metric, Payload, Value};
use crate::telemetry::client::Qos;
use std::collections::BTreeMap;

/// What a host knows of a metric.
#[derive(Clone, Debug)]
pub struct Tag {
    pub datatype: u32,
    pub alias: Option<u64>,
    /// `None`: null.
    pub value: Option<Value>,
    pub timestamp: u64,
    pub stale: bool,
    pub writable: bool,
}

/// One value that came as historical.
#[derive(Clone, Debug, PartialEq)]
pub struct Old {
    pub device: String,
    pub name: String,
    pub value: Option<Value>,
    pub timestamp: u64,
}

/// Tags of the node (`""`) or a device.
type Tags = BTreeMap<String, Tag>;

#[derive(Debug)]
pub struct Host {
    aliases: bool,
    prefix: String,
    /// The number to be carried by the next connection, as kept.
    kept: Option<u8>,
    /// The number in the will of this connection; `None`: not connected.
    will: Option<u64>,
    last_will: Option<u64>,
    next_seq: Option<u8>,
    pub alive: BTreeMap<String, Tags>,
    pub old: Vec<Old>,
    pub messages: usize,
    pub births: usize,
}

fn only(payload: &Payload) -> &Metric {
    assert_eq!(payload.metrics.len(), 1, "exactly bdSeq");
    &payload.metrics[0]
}

fn bd_seq(metric: &Metric) -> u64 {
    assert_eq!(metric.name.as_deref(), Some("bdSeq"));
    assert_eq!(metric.datatype, Some(4), "Int64");
    match metric.value {
        Some(Value::Long(value)) if value < 256 => value,
        ref other => panic!("bdSeq is {other:?}"),
    }
}

/// The field of a type (6.4.16).
fn fits(datatype: u32, value: &Value) -> bool {
    match value {
        Value::Int(_) => matches!(datatype, 1 | 2 | 3 | 5 | 6),
        Value::Long(_) => matches!(datatype, 4 | 8 | 13),
        Value::Float(_) => datatype == 9,
        Value::Double(_) => datatype == 10,
        Value::Boolean(_) => datatype == 11,
        Value::String(_) => datatype == 12,
        Value::Bytes(_) => false,
    }
}

fn stale(metric: &Metric) -> bool {
    let all = metric.properties.iter();
    all.flat_map(|set| &set.keys).any(|key| key == "Quality")
}

impl Host {
    pub fn new(role: &Role) -> Self {
        Self {
            aliases: role.aliases,
            prefix: format!("spBv1.0/{}/", role.group),
            kept: None,
            will: None,
            last_will: None,
            next_seq: None,
            alive: BTreeMap::new(),
            old: Vec::new(),
            messages: 0,
            births: 0,
        }
    }

    /// The connection was cut: the broker publishes the will.
    pub fn cut(&mut self) {
        self.will = None;
        self.next_seq = None;
        self.alive.clear();
    }

    pub fn see(&mut self, effect: &Effect) {
        match effect {
            Effect::Keep(next) => self.kept = Some(*next),
            Effect::Connect { will, .. } => {
                assert_eq!(self.will, None, "one connection at a time");
                assert!(will.topic.contains("/NDEATH/") && will.qos == Qos::AtLeastOnce && !will.retain);
                let payload = Payload::from_bytes(&will.payload).unwrap();
                assert_eq!(payload.seq, None, "NDEATH has no seq");
                let number = bd_seq(only(&payload));
                assert_eq!(
                    u64::from(self.kept.unwrap()),
                    (number + 1) % 256,
                    "kept before CONNECT"
                );
                assert!(
                    self.last_will.is_none_or(|last| (last + 1) % 256 == number),
                    "bdSeq rises by one"
                );
                self.last_will = Some(number);
                self.will = Some(number);
            }
            Effect::Disconnect { .. } => self.cut(),
            Effect::Publish(message) => {
                assert!(!message.retain);
                self.hear(&message.topic, &message.payload);
            }
            Effect::Subscribe(_) | Effect::Order(_) | Effect::Audit(_) => {}
        }
    }

    fn hear(&mut self, topic: &str, bytes: &[u8]) {
        let payload = Payload::from_bytes(bytes).unwrap();
        let levels: Vec<&str> = topic.strip_prefix(&self.prefix).unwrap().split('/').collect();
        let (kind, device) = (levels[0], levels.get(2).copied().unwrap_or_default());
        let will = self.will.expect("only while connected");
        self.messages += 1;
        assert!(payload.timestamp.is_some());
        if kind == "NDEATH" {
            assert_eq!(payload.seq, None);
            assert_eq!(bd_seq(only(&payload)), will);
            self.alive.clear();
            self.next_seq = None;
            return;
        }
        if kind == "NBIRTH" {
            assert_eq!(payload.seq, Some(0));
            self.births += 1;
            self.alive.clear();
        } else {
            let expected = self.next_seq.expect("NBIRTH comes first");
            assert_eq!(payload.seq, Some(expected.into()), "{kind} {device}");
        }
        self.next_seq = Some(u8::try_from(payload.seq.unwrap()).unwrap().wrapping_add(1));
        let times: Vec<u64> = payload
            .metrics
            .iter()
            .map(|m| m.timestamp.expect("every metric has one"))
            .collect();
        assert!(times.is_sorted(), "in order of time");
        match kind {
            "NBIRTH" | "DBIRTH" => self.birth(kind, device, &payload, will),
            "NDATA" | "DDATA" => self.data(device, &payload),
            "DDEATH" => {
                assert!(payload.metrics.is_empty());
                assert!(self.alive.remove(device).is_some(), "{device} was not alive");
            }
            other => panic!("{other}"),
        }
    }

    fn birth(&mut self, kind: &str, device: &str, payload: &Payload, will: u64) {
        let mut tags = Tags::new();
        for metric in &payload.metrics {
            let name = metric.name.clone().expect("births carry names");
            let datatype = metric.datatype.expect("births carry types");
            assert_ne!(datatype, 7, "the trap of UInt32");
            assert_eq!(metric.is_null == Some(true), metric.value.is_none(), "{name}");
            assert!(
                metric.value.as_ref().is_none_or(|value| fits(datatype, value)),
                "{name}"
            );
            let own = name == "bdSeq" || name == "Node Control/Rebirth";
            assert_eq!(metric.alias.is_some(), self.aliases && !own, "{name}");
            let writable = metric.properties.iter().any(|set| {
                let place = set.keys.iter().position(|key| key == "readOnly").unwrap();
                set.values[place].value == Some(super::super::wire::Property::Boolean(false))
            });
            let tag = Tag {
                datatype,
                alias: metric.alias,
                value: metric.value.clone(),
                timestamp: metric.timestamp.unwrap(),
                stale: stale(metric),
                writable,
            };
            assert!(tags.insert(name, tag).is_none(), "a name is there once");
        }
        if kind == "NBIRTH" {
            let number = payload
                .metrics
                .iter()
                .find(|m| m.name.as_deref() == Some("bdSeq"))
                .unwrap();
            assert_eq!(bd_seq(number), will, "as in the will");
            assert_eq!(tags["Node Control/Rebirth"].value, Some(Value::Boolean(false)));
        }
        self.alive.insert(device.to_owned(), tags);
        let aliases: Vec<u64> = self
            .alive
            .values()
            .flat_map(|tags| tags.values().filter_map(|t| t.alias))
            .collect();
        let different: std::collections::BTreeSet<u64> = aliases.iter().copied().collect();
        assert_eq!(aliases.len(), different.len(), "an alias is unique over the node");
    }

    fn data(&mut self, device: &str, payload: &Payload) {
        assert!(!payload.metrics.is_empty(), "nothing to say");
        let tags = self.alive.get_mut(device).expect("born before data");
        for metric in &payload.metrics {
            assert_eq!(metric.name.is_some(), !self.aliases);
            assert_eq!(metric.alias.is_some(), self.aliases);
            assert_eq!(metric.datatype, None);
            let found = tags.iter_mut().find(|(name, tag)| match &metric.name {
                Some(wanted) => *name == wanted,
                None => tag.alias == metric.alias,
            });
            let (name, tag) = found.unwrap_or_else(|| panic!("not announced: {metric:?}"));
            assert!(
                metric
                    .value
                    .as_ref()
                    .is_none_or(|value| fits(tag.datatype, value)),
                "{name}"
            );
            assert_eq!(metric.is_null == Some(true), metric.value.is_none(), "{name}");
            if metric.is_historical == Some(true) {
                self.old.push(Old {
                    device: device.to_owned(),
                    name: name.clone(),
                    value: metric.value.clone(),
                    timestamp: metric.timestamp.unwrap(),
                });
            } else {
                tag.value = metric.value.clone();
                tag.timestamp = metric.timestamp.unwrap();
                tag.stale = stale(metric);
            }
        }
    }

    /// The value of a tag; panics if it is not alive.
    pub fn tag(&self, device: &str, name: &str) -> &Tag {
        &self.alive[device][name]
    }
}
