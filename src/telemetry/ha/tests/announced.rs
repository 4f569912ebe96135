//! What goes, goes; what moves keeps its history.

use super::sample;
use super::sample::messages;
use crate::domain::HaForm;
use crate::telemetry::Slug;
use crate::telemetry::ha::{Announced, Messages, Publish, phases};
use serde_json::Value;
use std::collections::BTreeMap;

/// A broker and a Home Assistant as far as discovery goes: what is retained, and which entities there are.
#[derive(Default)]
struct Broker {
    retained: BTreeMap<String, String>,
    log: Vec<(String, String)>,
}

impl Broker {
    fn take(&mut self, all: Vec<Vec<Publish>>) {
        for Publish { topic, payload } in all.into_iter().flatten() {
            self.log.push((topic.clone(), payload.clone()));
            if payload.is_empty() {
                self.retained.remove(&topic);
            } else {
                self.retained.insert(topic, payload);
            }
        }
    }

    fn holds_exactly(&self, messages: &Messages) {
        let wanted: BTreeMap<String, String> = messages
            .iter()
            .map(|(topic, m)| (topic.clone(), m.payload.to_string()))
            .collect();
        assert_eq!(self.retained, wanted);
    }

    fn index(&self, what: impl Fn(&str, &str) -> bool) -> Vec<usize> {
        let found = self.log.iter().enumerate();
        found
            .filter(|(_, (topic, payload))| what(topic, payload))
            .map(|(index, _)| index)
            .collect()
    }
}

fn kept(messages: &Messages) -> Announced {
    let kept = Announced::of(messages);
    let read = Announced::read(kept.payload().as_bytes(), "retrovolt_gw1");
    assert_eq!(read, kept);
    read
}

#[test]
fn a_device_that_went_away_goes() {
    let settings = sample::settings();
    let (mut picture, mut broker) = (sample::everything(), Broker::default());
    let before = messages(&picture, &settings);
    broker.take(phases(&Announced::default(), &before));
    broker.holds_exactly(&before);
    picture.points.remove(&Slug::of("yard"));
    let after = messages(&picture, &settings);
    broker.take(phases(&kept(&before), &after));
    broker.holds_exactly(&after);
    assert!(broker.log.iter().all(|(_, p)| !p.contains("migrate_discovery")));
}

#[test]
fn an_entity_that_went_away_is_taken_out_first() {
    let mut settings = sample::settings();
    let picture = sample::everything();
    let before = messages(&picture, &settings);
    settings.rights = None;
    let after = messages(&picture, &settings);
    let mut broker = Broker::default();
    broker.take(phases(&kept(&before), &after));
    broker.holds_exactly(&after);
    let garage: Vec<Value> = broker
        .log
        .iter()
        .filter(|(topic, _)| topic.ends_with("gw1_garage/config"))
        .map(|(_, payload)| serde_json::from_str(payload).expect("JSON"))
        .collect();
    assert_eq!(garage.len(), 2);
    assert_eq!(
        garage[0]["components"]["unlock"],
        serde_json::json!({ "platform": "button" })
    );
    // What is of another kind now is taken out as what it was.
    assert_eq!(
        garage[0]["components"]["enabled"],
        serde_json::json!({ "platform": "switch" })
    );
    assert_eq!(garage[1]["components"]["enabled"]["platform"], "binary_sensor");
    assert!(garage[1]["components"].get("unlock").is_none());
}

#[test]
fn the_form_changes_in_both_directions_by_migration() {
    let mut settings = sample::settings();
    let picture = sample::everything();
    let mut was = Announced::default();
    let mut broker = Broker::default();
    for form in [HaForm::Device, HaForm::Entity, HaForm::Device] {
        settings.form = form;
        let now = messages(&picture, &settings);
        let old: Vec<String> = broker.retained.keys().cloned().collect();
        broker.log.clear();
        broker.take(phases(&was, &now));
        broker.holds_exactly(&now);
        for topic in &old {
            let migrated = broker.index(|t, p| t == topic && p.contains("migrate_discovery"));
            let emptied = broker.index(|t, p| t == topic && p.is_empty());
            let told = broker.index(|t, p| now.contains_key(t) && p.contains("unique_id"));
            assert_eq!((migrated.len(), emptied.len()), (1, 1), "{topic}");
            assert!(migrated.last() < told.first() && told.last() < emptied.first());
        }
        was = kept(&now);
    }
}

#[test]
fn off_takes_everything_back() {
    let mut settings = sample::settings();
    let before = messages(&sample::everything(), &settings);
    let mut broker = Broker::default();
    broker.take(phases(&Announced::default(), &before));
    settings.form = HaForm::Off;
    broker.take(phases(
        &kept(&before),
        &messages(&sample::everything(), &settings),
    ));
    assert!(broker.retained.is_empty());
}

#[test]
fn another_prefix_leaves_nothing_under_the_old_one() {
    let mut settings = sample::settings();
    let before = messages(&sample::everything(), &settings);
    let mut broker = Broker::default();
    broker.take(phases(&Announced::default(), &before));
    settings.prefix = "house/ha".into();
    let after = messages(&sample::everything(), &settings);
    broker.take(phases(&kept(&before), &after));
    broker.holds_exactly(&after);
}

#[test]
fn a_list_that_is_not_ours_deletes_nothing() {
    let read = |text: &str| Announced::read(text.as_bytes(), "retrovolt_gw1").payload();
    for text in [
        "",
        "{",
        "[]",
        "null",
        "{\"a\":1}",
        "{\"homeassistant/device/zigbee/config\":{\"a\":\"sensor\"}}",
    ] {
        assert_eq!(read(text), "", "{text}");
    }
    for topic in [
        "homeassistant/device/retrovolt_gw10/config",
        "homeassistant/+/retrovolt_gw1_a/b/config",
        "retrovolt/gw1/cp/a/state",
        "homeassistant/device/retrovolt_gw1/set",
    ] {
        assert_eq!(read(&format!("{{\"{topic}\":{{}}}}")), "", "{topic}");
    }
    let ours = "{\"homeassistant/device/retrovolt_gw1_a/config\":{\"b\":\"sensor\"}}";
    assert_eq!(read(ours), ours);
    assert_eq!(read(&" ".repeat(2 << 20)), "");
}
