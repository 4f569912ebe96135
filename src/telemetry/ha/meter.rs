//! Entities of a meter.

use super::Settings;
use super::entity::{Entity, keys, value};
use crate::telemetry::picture::Meter;
use crate::telemetry::units::Slug;

/// All of them.
pub(super) fn entities(settings: &Settings, id: &Slug, meter: &Meter) -> Vec<Entity> {
    let topic = settings.topic(&format!("meter/{id}/state"));
    let expiry = settings.expiry_s();
    let measures = meter.measures;
    let mut all = Vec::new();
    if measures.power {
        all.push(
            Entity::sensor("power", "Power", &topic, value("power_w"))
                .gauge("power", "W", 0)
                .expires(expiry),
        );
    }
    if measures.import {
        all.push(
            Entity::sensor("energy", "Energy", &topic, value("energy_import_wh"))
                .register()
                .attributes(&topic, keys(&["meter_epoch"])),
        );
    }
    if measures.export {
        all.push(
            Entity::sensor(
                "energy_export",
                "Exported energy",
                &topic,
                value("energy_export_wh"),
            )
            .register(),
        );
    }
    if measures.current {
        all.extend(phases("current", "Current", &topic, "current_a", 3, |e| {
            e.gauge("current", "A", 1).expires(expiry)
        }));
    }
    if measures.voltage {
        all.extend(phases("voltage", "Voltage", &topic, "voltage_v", 3, |e| {
            e.gauge("voltage", "V", 0).expires(expiry).diagnostic()
        }));
    }
    if measures.frequency {
        all.push(
            Entity::sensor("frequency", "Frequency", &topic, value("frequency_hz"))
                .gauge("frequency", "Hz", 2)
                .expires(expiry)
                .diagnostic(),
        );
    }
    all
}

/// One entity for each of the first `count` phases.
pub(super) fn phases(
    key: &str,
    name: &str,
    topic: &str,
    path: &str,
    count: u8,
    finish: impl Fn(Entity) -> Entity,
) -> Vec<Entity> {
    (1..=count)
        .map(|phase| {
            let template = value(&format!("{path}[{}]", phase - 1));
            finish(Entity::sensor(
                format!("{key}_l{phase}"),
                format!("{name} L{phase}"),
                topic,
                template,
            ))
        })
        .collect()
}
