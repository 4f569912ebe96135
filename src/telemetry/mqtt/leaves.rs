//! A picture as messages: each leaf of the topic tree with its payload and what counts as a change of it.

use super::super::client::Qos;
use super::super::payload::SCHEMA;
use super::super::picture::{Picture, Point};
use super::super::units::Slug;
use super::topics::Topics;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

/// What counts as a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watch {
    /// Any key but times, numbers by their dead band.
    All,
    /// Only these keys; the rest is shown at each refresh.
    Only(&'static [&'static str]),
}

/// One topic with its payload.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) topic: Arc<str>,
    pub(super) value: Value,
    pub(super) watch: Watch,
    pub(super) qos: Qos,
}

impl Leaf {
    /// As bytes: plain text stays plain.
    pub(super) fn payload(&self) -> Vec<u8> {
        match &self.value {
            Value::String(text) => text.clone().into_bytes(),
            other => other.to_string().into_bytes(),
        }
    }
}

fn leaf(topic: Arc<str>, payload: &impl Serialize) -> Leaf {
    Leaf {
        topic,
        // Our own types have text keys only, and never fail.
        value: serde_json::to_value(payload).unwrap_or(Value::Null),
        watch: Watch::All,
        qos: Qos::AtLeastOnce,
    }
}

fn word(available: bool) -> &'static str {
    if available { "online" } else { "offline" }
}

/// The whole tree but `status`, in the order in which a new subscriber is to see it.
pub(super) fn leaves(topics: &Topics, picture: &Picture, flat: bool) -> Vec<Leaf> {
    debug_assert_eq!(picture.info.schema, SCHEMA, "what is shown is of this contract");
    let mut all = vec![leaf(topics.at("info"), &picture.info)];
    for (id, point) in &picture.points {
        all.push(leaf(topics.point(id, "availability"), &word(point.available)));
    }
    for (id, meter) in &picture.meters {
        all.push(leaf(topics.meter(id, "availability"), &word(meter.available)));
    }
    for (id, point) in &picture.points {
        point_leaves(topics, id, point, &mut all);
    }
    for (id, meter) in &picture.meters {
        all.push(leaf(topics.meter(id, "state"), &meter.state));
    }
    for (id, bus) in &picture.buses {
        all.push(Leaf {
            watch: Watch::Only(&["open", "devices_online", "devices_total", "last_error"]),
            qos: Qos::AtMostOnce,
            ..leaf(topics.at(format_args!("bus/{id}/state")), bus)
        });
    }
    all.push(leaf(topics.at("site/state"), &picture.site));
    all.push(Leaf {
        watch: Watch::Only(&["clock_synced", "throttled", "watchdog_ok"]),
        ..leaf(topics.at("health"), &picture.health)
    });
    if flat {
        mirror(topics, picture, &mut all);
    }
    all
}

fn point_leaves(topics: &Topics, id: &Slug, point: &Point, all: &mut Vec<Leaf>) {
    all.push(leaf(topics.point(id, "state"), &point.state));
    all.push(Leaf {
        watch: Watch::Only(&["id", "started_at", "ended_at", "energy_wh", "reason"]),
        ..leaf(topics.point(id, "session"), &point.session)
    });
    all.push(Leaf {
        watch: Watch::Only(&["state", "protocol", "last_error"]),
        ..leaf(topics.point(id, "csms"), &point.csms)
    });
}

/// One topic per scalar, for consumers that read no JSON; an array over phases ends in 1, 2, 3. An unknown value is `null`: an empty payload would delete the topic.
fn mirror(topics: &Topics, picture: &Picture, all: &mut Vec<Leaf>) {
    let mut scalars = |branch: String, payload: Value| {
        let Value::Object(keys) = payload else { return };
        for (key, value) in keys {
            match value {
                Value::Array(items) => {
                    for (index, item) in items.iter().enumerate() {
                        let topic = topics.at(format_args!("flat/{branch}/{key}/{}", index + 1));
                        all.push(leaf(topic, &scalar(item)));
                    }
                }
                Value::Object(_) => {}
                // Their own topics tell when: a time that changes with every value would double the traffic.
                _ if key == "ts" || key == "seq" => {}
                value => all.push(leaf(
                    topics.at(format_args!("flat/{branch}/{key}")),
                    &scalar(&value),
                )),
            }
        }
    };
    for (id, point) in &picture.points {
        scalars(
            format!("cp/{id}"),
            serde_json::to_value(&point.state).unwrap_or_default(),
        );
    }
    for (id, meter) in &picture.meters {
        scalars(
            format!("meter/{id}"),
            serde_json::to_value(&meter.state).unwrap_or_default(),
        );
    }
    scalars(
        "site".to_owned(),
        serde_json::to_value(&picture.site).unwrap_or_default(),
    );
}

/// A number stays one, so that its dead band counts.
fn scalar(value: &Value) -> Value {
    match value {
        Value::Null => Value::String("null".to_owned()),
        other => other.clone(),
    }
}
