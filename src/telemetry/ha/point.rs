//! Entities of an EVSE.

use super::entity::{ALL_KEYS, Entity, keys, on_off, value, words};
use super::seen::Measures;
use super::{Settings, measured};
use crate::telemetry::payload::Status;
use crate::telemetry::picture::Point;
use crate::telemetry::units::Slug;
use serde_json::json;

/// All of them.
pub(super) fn entities(settings: &Settings, id: &Slug, point: &Point, measures: Measures) -> Vec<Entity> {
    let mut all = vehicle(settings, id, measures);
    all.extend(measured::entities(settings, &state(settings, id), measures));
    all.extend(session(settings, id));
    all.extend(limits(settings, id, point));
    all.extend(csms(settings, id));
    all.extend(super::controls::of(settings, id, point));
    all
}

/// Topic of the state of an EVSE.
pub(super) fn state(settings: &Settings, id: &Slug) -> String {
    settings.topic(&format!("cp/{id}/state"))
}

fn vehicle(settings: &Settings, id: &Slug, measures: Measures) -> Vec<Entity> {
    let topic = state(settings, id);
    let words: Vec<&str> = Status::ALL.into_iter().map(Status::word).collect();
    let mut all = vec![
        Entity::sensor("status", "Status", &topic, value("status"))
            .class("enum")
            .with("options", json!(words))
            .attributes(&topic, keys(&["ts", "seq"])),
        Entity::binary("cable", "Cable", &topic, on_off("connected")).class("plug"),
        Entity::binary("charging", "Charging", &topic, on_off("charging")).class("battery_charging"),
        Entity::binary(
            "fault",
            "Fault",
            &topic,
            "{{ 'ON' if value_json.fault else 'OFF' }}",
        )
        .class("problem")
        .attributes(&topic, keys(&["fault"])),
        Entity::event(
            "tag",
            "Tag",
            &settings.topic(&format!("cp/{id}/event/tag")),
            &["tag"],
        ),
    ];
    if measures.soc {
        all.push(
            Entity::sensor("soc", "Vehicle battery", &topic, value("soc_pct"))
                .gauge("battery", "%", 0)
                .expires(settings.expiry_s()),
        );
    }
    all
}

fn session(settings: &Settings, id: &Slug) -> Vec<Entity> {
    let topic = state(settings, id);
    let whole = settings.topic(&format!("cp/{id}/session"));
    vec![
        Entity::sensor(
            "session_energy",
            "Session energy",
            &topic,
            value("session_energy_wh"),
        )
        .class("energy")
        .with("unit_of_measurement", "Wh")
        .with("state_class", "total")
        // `None` is no time: Home Assistant would warn. Nothing at all leaves the last one.
        .with(
            "last_reset_value_template",
            "{{ value_json.session_start or '' }}",
        )
        .with("suggested_display_precision", 0)
        .attributes(&whole, ALL_KEYS),
        Entity::sensor("session_start", "Session start", &topic, value("session_start"))
            .class("timestamp")
            .attributes(&topic, keys(&["id_tag_hash"])),
    ]
}

fn limits(settings: &Settings, id: &Slug, point: &Point) -> Vec<Entity> {
    let topic = state(settings, id);
    let mut all = vec![
        Entity::sensor("limit", "Offered current", &topic, value("limit_a")).gauge("current", "A", 1),
        Entity::sensor("limit_source", "Limited by", &topic, words("limit_source")).diagnostic(),
        Entity::sensor("phases_active", "Phases in use", &topic, value("phases_active"))
            .with("state_class", "measurement")
            .diagnostic()
            .attributes(&topic, keys(&["phases_allowed"])),
    ];
    if point.state.mode.is_some() {
        all.push(Entity::sensor("mode", "Mode", &topic, words("mode")));
    }
    if !settings.may("enabled") {
        all.push(Entity::binary(
            "enabled",
            "Charging allowed",
            &topic,
            on_off("enabled"),
        ));
    }
    if point.state.priority.is_some() && !settings.may("priority") {
        all.push(Entity::sensor("priority", "Priority", &topic, value("priority")).diagnostic());
    }
    all
}

/// What is known of the CSMS holds also while the charger is off its bus.
fn csms(settings: &Settings, id: &Slug) -> Vec<Entity> {
    let topic = settings.topic(&format!("cp/{id}/csms"));
    let status = settings.topic("status");
    vec![
        Entity::binary(
            "csms",
            "CSMS",
            &topic,
            "{{ 'ON' if value_json.state == 'connected' else 'OFF' }}",
        )
        .class("connectivity")
        .diagnostic()
        .available_by(&status)
        .attributes(&topic, keys(&["protocol", "since", "last_message_at", "queued"])),
        Entity::sensor("csms_error", "Last error", &topic, words("last_error"))
            .diagnostic()
            .available_by(&status),
    ]
}
