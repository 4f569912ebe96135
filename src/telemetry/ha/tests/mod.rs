mod announced;
mod rules;
pub(super) mod sample;
mod shown;
mod templates;

use super::{Announced, Messages, Settings, phases};
use crate::domain::HaForm;
use crate::telemetry::picture::Picture;
use crate::telemetry::units::Slug;
use sample::messages;
use serde_json::{Value, json};
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn payloads(of: Messages) -> serde_json::Map<String, Value> {
    of.into_iter().map(|(topic, m)| (topic, m.payload)).collect()
}

#[test]
fn messages_of_a_site_with_everything_are_as_they_were() {
    let now = payloads(messages(&sample::everything(), &sample::settings()));
    let file = root().join("tests/ha/site.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&now).expect("JSON"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&file, text).expect("written");
        return;
    }
    let was = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(text, was, "{}; meant? UPDATE_SNAPSHOTS=1", file.display());
}

/// Messages, values, values of a site that knows nothing yet, and the steps from one way to announce it to another.
#[test]
#[ignore = "writes what tests/ha/payloads.py shows a real Home Assistant; `make test-ha` runs it"]
fn write_what_the_real_home_assistant_is_shown() {
    let (settings, full) = (sample::settings(), sample::everything());
    let devices = messages(&full, &settings);
    let of = |change: &dyn Fn(&mut Settings, &mut Picture)| {
        let (mut settings, mut picture) = (settings.clone(), full.clone());
        change(&mut settings, &mut picture);
        messages(&picture, &settings)
    };
    let entities = of(&|settings, _| settings.form = HaForm::Entity);
    let powerless = of(&|settings, _| settings.rights = None);
    let without_yard = of(&|_, picture| drop(picture.points.remove(&Slug::of("yard"))));
    let off = of(&|settings, _| settings.form = HaForm::Off);
    let steps = |was: &Messages, now: &Messages| -> Vec<Vec<[String; 2]>> {
        let phases = phases(&Announced::of(was), now).into_iter();
        phases
            .map(|phase| phase.into_iter().map(|p| [p.topic, p.payload]).collect())
            .collect()
    };
    let file = std::env::var_os("HA_SCRIPT").map_or_else(|| root().join(".lab/ha/script.json"), Into::into);
    let script = json!({
        "values": sample::values(&full, &settings),
        "nulls": sample::values(&sample::unknown(), &settings),
        "to_entities": steps(&devices, &entities),
        "to_devices": steps(&entities, &devices),
        "to_powerless": steps(&devices, &powerless),
        "to_without_yard": steps(&powerless, &without_yard),
        "to_off": steps(&without_yard, &off),
        "discovery": payloads(devices),
    });
    std::fs::write(&file, script.to_string()).expect("written");
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
    let controls = |settings: &Settings| -> Vec<String> {
        messages(&sample::everything(), settings)
            .into_values()
            .flat_map(|m| m.entities)
            .filter(|(_, kind)| ["switch", "number", "select", "button"].contains(&kind.as_str()))
            .map(|(key, _)| key)
            .collect()
    };
    let mut settings = sample::settings();
    assert_eq!(controls(&settings).len(), 9);
    settings.rights.as_mut().expect("rights").keys = ["limit_a".into()].into();
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
        picture.points.insert(Slug::of(id), garage.clone());
    }
    let devices = messages(&picture, &sample::settings());
    assert_eq!(devices.len(), 7, "{:?}", devices.keys());
}

#[test]
fn nothing_announced_is_an_empty_message() {
    assert_eq!(Announced::default().payload(), "");
}
