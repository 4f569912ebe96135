mod announced;
mod rules;
mod sample;
mod shown;
mod templates;

use super::{Announced, messages};
use serde_json::{Value, json};
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What the test with a real Home Assistant begins with, too: messages, values, and values of a site that knows nothing yet.
#[test]
fn messages_of_a_site_with_everything_are_as_they_were() {
    let settings = sample::settings();
    let (full, empty) = (sample::everything(), sample::unknown());
    let of = |picture| -> serde_json::Map<String, Value> {
        messages(picture, &settings)
            .into_iter()
            .map(|(topic, m)| (topic, m.payload))
            .collect()
    };
    let now = json!({
        "discovery": of(&full),
        "values": sample::values(&full, &settings),
        "nulls": sample::values(&empty, &settings),
    });
    let file = root().join("tests/ha/site.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&now).expect("JSON"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&file, text).expect("written");
        return;
    }
    let was = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(text, was, "{}; meant? UPDATE_SNAPSHOTS=1", file.display());
}

#[test]
fn messages_stay_far_below_what_brokers_carry() {
    for (topic, message) in messages(&sample::everything(), &sample::settings()) {
        let length = message.payload.to_string().len();
        assert!(length < 32 << 10, "{topic}: {length} bytes");
        assert!(topic.matches('/').count() <= 7, "{topic}");
    }
}

#[test]
fn what_is_not_measured_does_not_appear() {
    let all = messages(&sample::everything(), &sample::settings());
    let yard = &all["homeassistant/device/retrovolt_gw1_yard/config"];
    for absent in [
        "power",
        "energy",
        "current_l2",
        "temperature",
        "soc",
        "phases",
        "unlock",
        "mode",
    ] {
        assert!(!yard.entities.contains_key(absent), "{absent}");
    }
    assert!(yard.entities.contains_key("current_l1"));
    assert_eq!(yard.payload["device"]["name"], "yard");
    assert_eq!(yard.payload["device"]["via_device"], "retrovolt_gw1");
}

#[test]
fn without_rights_there_is_nothing_to_press() {
    let controls = |settings: &super::Settings| -> Vec<String> {
        messages(&sample::everything(), settings)
            .into_values()
            .flat_map(|m| m.entities)
            .filter(|(_, kind)| ["switch", "number", "select", "button"].contains(&kind.as_str()))
            .map(|(key, _)| key)
            .collect()
    };
    let mut settings = sample::settings();
    assert_eq!(controls(&settings).len(), 10);
    settings.rights.as_mut().expect("rights").keys = ["limit_a".into()].into();
    settings.rights.as_mut().expect("rights").operations.clear();
    assert_eq!(controls(&settings), ["limit_set", "limit_set"]);
    settings.rights = None;
    assert!(controls(&settings).is_empty());
    let all = messages(&sample::everything(), &settings);
    let garage = &all["homeassistant/device/retrovolt_gw1_garage/config"];
    assert_eq!(garage.entities["enabled"], "binary_sensor");
    assert_eq!(garage.entities["priority"], "sensor");
}

#[test]
fn commands_go_to_the_topics_of_the_account() {
    let all = messages(&sample::everything(), &sample::settings());
    let garage = &all["homeassistant/device/retrovolt_gw1_garage/config"].payload["components"];
    assert_eq!(
        garage["limit_set"]["command_topic"],
        "retrovolt/gw1/as/homeassistant/cp/garage/limit_a/set"
    );
    assert_eq!(
        [&garage["limit_set"]["min"], &garage["limit_set"]["max"]],
        [&json!(0), &json!(16)]
    );
}

#[test]
fn charge_points_and_meters_never_share_a_device() {
    let mut picture = sample::everything();
    let garage = picture.points.values().next().expect("a point").clone();
    for id in ["house", "meter_house", "cp_house"] {
        picture
            .points
            .insert(crate::telemetry::Slug::of(id), garage.clone());
    }
    let devices = messages(&picture, &sample::settings());
    assert_eq!(devices.len(), 7, "{:?}", devices.keys());
}

#[test]
fn nothing_announced_is_an_empty_message() {
    assert_eq!(Announced::default().payload(), "");
}
