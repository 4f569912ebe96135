//! Payload keys, entities and metrics: three sets, one table, no difference.

use super::sample;
use super::sample::messages;
use crate::telemetry::metrics::METRICS;
use crate::telemetry::payload::*;
use crate::telemetry::shown::SHOWN;
use schemars::{JsonSchema, schema_for};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

type Pairs = BTreeSet<(String, String)>;

fn keys_of<T: JsonSchema>() -> BTreeSet<String> {
    let schema = schema_for!(T);
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.expect("an object").keys().cloned().collect()
}

fn payloads() -> BTreeMap<&'static str, BTreeSet<String>> {
    [
        ("info", keys_of::<Info>()),
        ("health", keys_of::<Health>()),
        ("bus", keys_of::<BusState>()),
        ("cp", keys_of::<PointState>()),
        ("session", keys_of::<Session>()),
        ("csms", keys_of::<Csms>()),
        ("meter", keys_of::<MeterState>()),
        ("site", keys_of::<SiteState>()),
    ]
    .into()
}

/// The payload a topic carries; `None`: no JSON of ours.
fn payload_of(topic: &str) -> Option<&'static str> {
    let levels: Vec<&str> = topic.split('/').skip(2).collect();
    match levels.as_slice() {
        ["info"] => Some("info"),
        ["health"] => Some("health"),
        ["site", "state"] => Some("site"),
        ["bus", _, "state"] => Some("bus"),
        ["meter", _, "state"] => Some("meter"),
        ["cp", _, "state"] => Some("cp"),
        ["cp", _, "session"] => Some("session"),
        ["cp", _, "csms"] => Some("csms"),
        ["cp", _, "event", _] | ["status"] => None,
        other => panic!("{other:?} is no topic of ours"),
    }
}

/// The keys that a template names.
fn named(template: &str, payload: &str) -> BTreeSet<String> {
    if template.contains("{{ value_json | tojson }}") {
        return payloads()[payload].clone();
    }
    let keys = template.split("value_json.").skip(1);
    let until = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    keys.map(|rest| rest.split(until).next().unwrap_or_default().to_owned())
        .collect()
}

/// Payload and key of all that any entity shows, and by which entities.
fn in_home_assistant() -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut settings = sample::settings();
    let mut all: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for rights in [settings.rights.clone(), None] {
        settings.rights = rights;
        for message in messages(&sample::everything(), &settings).values() {
            for (key, fields) in message.payload["components"].as_object().expect("a map") {
                let reads = [
                    ("state_topic", "value_template"),
                    ("state_topic", "last_reset_value_template"),
                    ("json_attributes_topic", "json_attributes_template"),
                ];
                for (topic, template) in reads {
                    let (Some(topic), Some(template)) = (fields[topic].as_str(), fields[template].as_str())
                    else {
                        continue;
                    };
                    let Some(payload) = payload_of(topic) else {
                        continue;
                    };
                    for name in named(template, payload) {
                        let short = key.strip_prefix("bus_rs-485_").unwrap_or(key);
                        all.entry((payload.to_owned(), name))
                            .or_default()
                            .insert(short.to_owned());
                    }
                }
            }
        }
    }
    all
}

#[test]
fn the_table_has_every_payload_key_once() {
    let wanted: Pairs = payloads()
        .into_iter()
        .flat_map(|(payload, keys)| keys.into_iter().map(move |key| (payload.to_owned(), key)))
        .collect();
    let rows: Pairs = SHOWN
        .iter()
        .map(|row| (row.payload.to_owned(), row.key.to_owned()))
        .collect();
    assert_eq!(rows, wanted);
    assert_eq!(rows.len(), SHOWN.len());
}

#[test]
fn u7_the_table_is_what_home_assistant_shows() {
    let shown = in_home_assistant();
    let mut wanted = BTreeMap::new();
    for row in SHOWN {
        assert_eq!(row.entities.is_empty(), !row.unshown.is_empty(), "{row:?}");
        if row.unshown.is_empty() {
            let entities: BTreeSet<String> = row.entities.iter().map(|e| (*e).to_owned()).collect();
            wanted.insert((row.payload.to_owned(), row.key.to_owned()), entities);
        }
    }
    assert_eq!(shown, wanted);
}

/// Where a payload is published, as the table of metrics names it.
const TOPICS: &[(&str, &str)] = &[
    ("info", "info"),
    ("health", "health"),
    ("bus", "bus/BUS/state"),
    ("cp", "cp/CP/state"),
    ("session", "cp/CP/session"),
    ("csms", "cp/CP/csms"),
    ("meter", "meter/METER/state"),
    ("site", "site/state"),
];

#[test]
fn the_table_is_what_the_metrics_show() {
    let mirrored: BTreeSet<(&str, &str)> = METRICS
        .iter()
        .flat_map(|metric| metric.mirrors.split(','))
        .filter_map(|mirror| mirror.split_once(' '))
        .map(|(topic, key)| {
            let payload = TOPICS.iter().find(|(_, at)| *at == topic);
            let payload = payload.unwrap_or_else(|| panic!("no payload at {topic}"));
            (payload.0, key.split('.').next().unwrap_or_default())
        })
        .collect();
    for row in SHOWN {
        let metric = mirrored.contains(&(row.payload, row.key));
        assert_eq!(metric, row.unmeasured.is_empty(), "{row:?}");
    }
    let rows: BTreeSet<(&str, &str)> = SHOWN.iter().map(|row| (row.payload, row.key)).collect();
    assert!(mirrored.is_subset(&rows), "{:?}", mirrored.difference(&rows));
}
