//! Messages against the rules of Home Assistant: what it would refuse or warn about.

use super::sample;
use super::sample::messages;
use crate::domain::HaForm;
use crate::telemetry::ha::Platform;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The only root keys of a device message that every version since 2024.11 takes.
const ROOT: &[&str] = &[
    "device",
    "origin",
    "components",
    "availability",
    "availability_topic",
    "availability_mode",
    "payload_available",
    "payload_not_available",
    "state_topic",
    "command_topic",
    "qos",
    "encoding",
];

const DEVICE: &[&str] = &[
    "identifiers",
    "connections",
    "name",
    "manufacturer",
    "model",
    "model_id",
    "serial_number",
    "sw_version",
    "hw_version",
    "via_device",
    "suggested_area",
    "configuration_url",
];

/// Class, units, state classes: from 2025.7 on other combinations are refused.
const CLASSES: &[(&str, &[&str], &[&str])] = &[
    ("power", &["mW", "W", "kW", "MW"], &["measurement"]),
    ("energy", &["Wh", "kWh", "MWh"], &["total", "total_increasing"]),
    ("current", &["A", "mA"], &["measurement"]),
    ("voltage", &["V", "mV", "kV"], &["measurement"]),
    ("frequency", &["Hz", "mHz", "kHz"], &["measurement"]),
    ("temperature", &["°C", "°F", "K"], &["measurement"]),
    (
        "duration",
        &["d", "h", "min", "s", "ms"],
        &["measurement", "total", "total_increasing"],
    ),
    ("battery", &["%"], &["measurement"]),
    ("data_size", &["B", "kB", "MB"], &["measurement"]),
    ("timestamp", &[], &[]),
    ("enum", &[], &[]),
];

const BINARY: &[&str] = &[
    "connectivity",
    "plug",
    "battery_charging",
    "problem",
    "lock",
    "running",
    "update",
    "tamper",
    "safety",
];

const COMMON: &[&str] = &[
    "platform",
    "unique_id",
    "name",
    "default_entity_id",
    "entity_category",
    "enabled_by_default",
    "json_attributes_topic",
    "json_attributes_template",
    "availability",
    "device_class",
];

fn keys_of(kind: &str) -> (&'static [&'static str], &'static [&'static str]) {
    let sensor: &[&str] = &[
        "value_template",
        "unit_of_measurement",
        "state_class",
        "suggested_display_precision",
        "options",
        "expire_after",
        "last_reset_value_template",
        "force_update",
    ];
    match kind {
        "sensor" => (&["state_topic"], sensor),
        "binary_sensor" => (
            &["state_topic"],
            &[
                "value_template",
                "payload_on",
                "payload_off",
                "off_delay",
                "expire_after",
            ],
        ),
        "switch" => (
            &["command_topic"],
            &["state_topic", "payload_on", "payload_off", "value_template"],
        ),
        "number" => (
            &["command_topic"],
            &[
                "state_topic",
                "value_template",
                "min",
                "max",
                "step",
                "mode",
                "unit_of_measurement",
            ],
        ),
        "select" => (&["command_topic", "options"], &["state_topic", "value_template"]),
        "button" => (&["command_topic"], &["payload_press"]),
        "event" => (&["state_topic", "event_types"], &[]),
        "update" => (&["state_topic"], &["value_template"]),
        _ => (&[], &[]),
    }
}

fn text<'a>(of: &'a Map<String, Value>, key: &str) -> &'a str {
    of.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn known(of: &Map<String, Value>, allowed: &[&str], whose: &str) {
    for key in of.keys() {
        assert!(allowed.contains(&key.as_str()), "{whose}: unknown key {key}");
    }
}

fn component(fields: &Map<String, Value>, kind: &str, whose: &str) {
    assert!(Platform::ALL.iter().any(|p| p.word() == kind), "{whose}: {kind}");
    let (required, optional) = keys_of(kind);
    known(fields, &[COMMON, required, optional].concat(), whose);
    for key in required {
        assert!(fields.contains_key(*key), "{whose}: {key} missing");
    }
    let id = text(fields, "default_entity_id");
    let name = id.strip_prefix(&format!("{kind}.")).unwrap_or_default();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    assert!(!name.is_empty() && name.chars().all(fits), "{whose}: {id}");
    let category = text(fields, "entity_category");
    if ["sensor", "binary_sensor"].contains(&kind) {
        assert_ne!(category, "config", "{whose}");
    }
    assert!(["", "config", "diagnostic"].contains(&category), "{whose}");
    let class = text(fields, "device_class");
    match kind {
        "sensor" | "number" => numbers(fields, class, kind, whose),
        "binary_sensor" => assert!(class.is_empty() || BINARY.contains(&class), "{whose}: {class}"),
        "button" => assert!(["", "restart", "update", "identify"].contains(&class), "{whose}"),
        _ => assert!(class.is_empty(), "{whose}: {class}"),
    }
    if kind == "number" {
        let bound = |key: &str, other: f64| fields.get(key).and_then(Value::as_f64).unwrap_or(other);
        assert!(
            bound("min", 1.0) < bound("max", 100.0) && bound("step", 1.0) >= 0.001,
            "{whose}"
        );
    }
}

fn numbers(fields: &Map<String, Value>, class: &str, kind: &str, whose: &str) {
    let (unit, state) = (text(fields, "unit_of_measurement"), text(fields, "state_class"));
    if class.is_empty() {
        assert!(
            ["", "measurement", "total", "total_increasing"].contains(&state),
            "{whose}"
        );
    } else {
        let rule = CLASSES.iter().find(|(name, ..)| *name == class);
        let (_, units, states) = rule.unwrap_or_else(|| panic!("{whose}: class {class}"));
        assert!(
            units.contains(&unit) || (unit.is_empty() && units.is_empty()),
            "{whose}: {unit}"
        );
        // A class of energy without a state class would be missing in the Energy dashboard.
        let none = state.is_empty() && (kind == "number" || states.is_empty());
        assert!(none || states.contains(&state), "{whose}: {state}");
    }
    assert_eq!(fields.contains_key("options"), class == "enum", "{whose}");
    if fields.contains_key("last_reset_value_template") {
        assert_eq!(state, "total", "{whose}");
    }
}

fn about(payload: &Value, whose: &str) {
    let device = payload["device"].as_object().expect("a device");
    known(device, DEVICE, whose);
    assert!(device.contains_key("identifiers"), "{whose}");
    assert!(payload["origin"]["name"].is_string(), "{whose}");
    for entry in payload["availability"].as_array().expect("a list") {
        known(
            entry.as_object().expect("a map"),
            &["topic", "payload_available", "payload_not_available"],
            whose,
        );
    }
    assert_eq!(payload["availability_mode"], "all");
}

/// The object id of a discovery topic: other characters are refused.
fn fits_a_topic(topic: &str) {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    for level in topic.split('/') {
        assert!(!level.is_empty() && level.chars().all(fits), "{topic}");
    }
}

/// The doctor of brokers says that packets of this size are needed.
#[test]
fn the_largest_message_fits_the_packets_that_the_doctor_asks_for() {
    let (picture, settings) = (sample::everything(), sample::settings());
    let sizes = messages(&picture, &settings);
    let largest = sizes
        .values()
        .map(|message| message.payload.to_string().len())
        .max();
    let needed = usize::try_from(crate::telemetry::doctor::NEEDED_BYTES).unwrap();
    assert!(
        largest.is_some_and(|bytes| bytes > needed / 8 && bytes < needed * 3 / 4),
        "{largest:?} of {needed}"
    );
}

#[test]
fn every_device_message_is_what_home_assistant_takes() {
    let mut ids = BTreeSet::new();
    for (topic, message) in messages(&sample::everything(), &sample::settings()) {
        fits_a_topic(&topic);
        let root = message.payload.as_object().expect("a map");
        known(root, ROOT, &topic);
        about(&message.payload, &topic);
        for (key, fields) in root["components"].as_object().expect("a map") {
            let fields = fields.as_object().expect("a map");
            component(fields, text(fields, "platform"), &format!("{topic} {key}"));
            assert!(ids.insert(text(fields, "unique_id").to_owned()), "{key} twice");
        }
    }
    assert!(ids.len() > 80, "{}", ids.len());
}

#[test]
fn every_entity_message_says_the_same_as_the_device_message() {
    let (picture, mut settings) = (sample::everything(), sample::settings());
    let devices = messages(&picture, &settings);
    settings.form = HaForm::Entity;
    let entities = messages(&picture, &settings);
    let mut seen = 0;
    for message in devices.values() {
        let id = message.payload["device"]["identifiers"][0]
            .as_str()
            .expect("an id");
        for (key, kind) in &message.entities {
            let topic = format!("homeassistant/{kind}/{id}_{key}/config");
            fits_a_topic(&topic);
            let part = entities[&topic].payload.as_object().expect("a map");
            about(&entities[&topic].payload, &topic);
            let mut own = part.clone();
            let whole = &message.payload;
            for shared in ["device", "origin", "availability_mode", "qos"] {
                assert_eq!(own.remove(shared).as_ref(), whole.get(shared), "{topic}");
            }
            let mut component = whole["components"][key].as_object().expect("a map").clone();
            component.remove("platform");
            if !component.contains_key("availability") {
                component.insert("availability".into(), whole["availability"].clone());
            }
            assert_eq!(own, component, "{topic}");
            seen += 1;
        }
    }
    assert_eq!(seen, entities.len());
}
