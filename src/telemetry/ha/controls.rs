//! What Home Assistant may tell an EVSE: only what its account is allowed, and what this EVSE can do.

use super::Settings;
use super::entity::{Entity, Platform, on_off, value};
use super::point::state;
use crate::telemetry::picture::Point;
use crate::telemetry::units::Slug;
use serde_json::json;

/// All of them; none while Home Assistant may send no commands.
pub(super) fn of(settings: &Settings, id: &Slug, point: &Point) -> Vec<Entity> {
    let topic = state(settings, id);
    let control = |platform, key: &str, command: &str, name: &str| {
        let at = settings.command_topic(id, command)?;
        Some(Entity::control(platform, key, name, &at))
    };
    let reach = point.reach;
    let mut all = vec![
        control(Platform::Switch, "enabled", "enabled", "Charging allowed").map(|e| {
            e.reads(&topic, on_off("enabled"))
                .with("payload_on", "ON")
                .with("payload_off", "OFF")
        }),
        // From 0, since a paused EVSE offers nothing: a value out of its range is an error in Home Assistant's log.
        control(Platform::Number, "limit_set", "limit_a", "Limit").map(|e| {
            e.reads(&topic, value("limit_a"))
                .class("current")
                .with("unit_of_measurement", "A")
                .with("min", 0)
                .with("max", json!(reach.max_a))
                .with("step", 0.1)
                .with("mode", "box")
        }),
        control(Platform::Button, "reset", "reset", "Restart").map(|e| {
            e.with("payload_press", "soft")
                .class("restart")
                .configures()
                .hidden()
        }),
    ];
    if reach.switches_phases {
        all.push(control(Platform::Select, "phases", "phases", "Phases").map(|e| {
            e.reads(&topic, value("phases_allowed"))
                .with("options", json!(["1", "3"]))
        }));
    }
    if point.state.priority.is_some() {
        all.push(
            control(Platform::Number, "priority", "priority", "Priority").map(|e| {
                e.reads(&topic, value("priority"))
                    .with("min", 0)
                    .with("max", 100)
                    .configures()
            }),
        );
    }
    if reach.unlocks {
        all.push(
            control(Platform::Button, "unlock", "unlock", "Unlock").map(|e| e.with("payload_press", "PRESS")),
        );
    }
    all.into_iter().flatten().collect()
}
