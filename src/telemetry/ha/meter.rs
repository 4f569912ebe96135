//! Entities of a meter.

use super::Settings;
use super::entity::{Entity, keys, value};
use super::seen::Measures;
use crate::telemetry::units::Slug;

/// All of them.
pub(super) fn entities(settings: &Settings, id: &Slug, measures: Measures) -> Vec<Entity> {
    let topic = settings.topic(&format!("meter/{id}/state"));
    let expiry = settings.expiry_s();
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
    all.extend(phases(
        "current",
        "Current",
        &topic,
        "current_a",
        measures.current,
        |e| e.gauge("current", "A", 1).expires(expiry),
    ));
    all.extend(phases(
        "voltage",
        "Voltage",
        &topic,
        "voltage_v",
        measures.voltage,
        |e| e.gauge("voltage", "V", 0).expires(expiry).diagnostic(),
    ));
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

/// One entity for each phase that has a value.
pub(super) fn phases(
    key: &str,
    name: &str,
    topic: &str,
    path: &str,
    there: [bool; 3],
    finish: impl Fn(Entity) -> Entity,
) -> Vec<Entity> {
    let there = there.into_iter().enumerate().filter(|(_, there)| *there);
    there
        .map(|(index, _)| {
            let phase = index + 1;
            finish(Entity::sensor(
                format!("{key}_l{phase}"),
                format!("{name} L{phase}"),
                topic,
                value(&format!("{path}[{index}]")),
            ))
        })
        .collect()
}
