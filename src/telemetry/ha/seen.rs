//! What each device was ever seen to measure. A quantity that never came has no entity; one that came keeps it, also while
//! the device is away or the gateway has just started.

use super::announce::Announced;
use crate::telemetry::payload::{MeterState, Phases, PointState};
use crate::telemetry::picture::Picture;
use std::collections::{BTreeMap, BTreeSet};

/// Quantities of one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Measures {
    pub(super) power: bool,
    pub(super) current: [bool; 3],
    pub(super) voltage: [bool; 3],
    pub(super) frequency: bool,
    pub(super) import: bool,
    pub(super) export: bool,
    pub(super) temperature: bool,
    pub(super) soc: bool,
}

/// Quantities by device, as [`object`](super::message::object) names it, and entities of the gateway that are not always there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    devices: BTreeMap<String, Measures>,
    hub: BTreeSet<&'static str>,
}

/// Entities of the gateway that appear with their first value.
const OF_HUB: [&str; 8] = [
    "csms",
    "cpu",
    "memory",
    "disk_free",
    "temperature",
    "throttled",
    "site_power",
    "site_limit",
];
/// All three of the headroom, as the first of them.
const HEADROOM: &str = "headroom_l1";

impl Seen {
    /// Adds what a picture shows; whether that is more than was known.
    pub fn look(&mut self, picture: &Picture) -> bool {
        let before = self.clone();
        self.hub.extend(of_hub(picture));
        for (id, point) in &picture.points {
            self.add(super::message::object("cp", id), Measures::of_point(&point.state));
        }
        for (id, meter) in &picture.meters {
            self.add(
                super::message::object("meter", id),
                Measures::of_meter(&meter.state),
            );
        }
        *self != before
    }

    /// Adds what was announced before.
    pub fn recall(&mut self, was: &Announced, hub: &str) {
        for (device, entity) in was.entities() {
            if let Some(object) = device.strip_prefix(hub).and_then(|rest| rest.strip_prefix('_')) {
                self.add(object.to_owned(), Measures::of_entity(entity));
            } else if device == hub {
                let all = OF_HUB.iter().chain([&HEADROOM]);
                self.hub.extend(all.filter(|key| **key == entity));
            }
        }
    }

    fn add(&mut self, object: String, more: Measures) {
        let known = self.devices.entry(object).or_default();
        *known = known.and(more);
    }

    /// Of one device.
    pub(super) fn of(&self, object: &str) -> Measures {
        self.devices.get(object).copied().unwrap_or_default()
    }

    /// Whether an entity of the gateway is to be there.
    pub(super) fn has(&self, key: &str) -> bool {
        let sometimes = OF_HUB.contains(&key) || key.starts_with("headroom_");
        let key = if sometimes && key.starts_with("headroom_") {
            HEADROOM
        } else {
            key
        };
        !sometimes || self.hub.contains(key)
    }
}

fn of_hub(picture: &Picture) -> impl Iterator<Item = &'static str> {
    let (health, site) = (&picture.health, &picture.site);
    let there = [
        health.csms_connected.is_some(),
        health.cpu_pct.is_some(),
        health.rss_bytes.is_some(),
        health.disk_free_bytes.is_some(),
        health.temperature_c.is_some(),
        health.throttled.is_some(),
        site.grid_power_w.is_some(),
        site.limit_w.is_some(),
    ];
    let headroom = site.headroom_a.iter().any(Option::is_some);
    let single = OF_HUB.into_iter().zip(there).filter(|(_, there)| *there);
    single.map(|(key, _)| key).chain(headroom.then_some(HEADROOM))
}

fn some(values: Phases) -> [bool; 3] {
    values.map(|value| value.is_some())
}

fn either(a: [bool; 3], b: [bool; 3]) -> [bool; 3] {
    [a[0] || b[0], a[1] || b[1], a[2] || b[2]]
}

impl Measures {
    fn of_point(state: &PointState) -> Self {
        Self {
            power: state.power_w.is_some(),
            current: some(state.current_a),
            voltage: some(state.voltage_v),
            frequency: false,
            import: state.energy_import_wh.is_some(),
            export: state.energy_export_wh.is_some(),
            temperature: state.temperature_c.is_some(),
            soc: state.soc_pct.is_some(),
        }
    }

    fn of_meter(state: &MeterState) -> Self {
        Self {
            power: state.power_w.is_some(),
            current: some(state.current_a),
            voltage: some(state.voltage_v),
            frequency: state.frequency_hz.is_some(),
            import: state.energy_import_wh.is_some(),
            export: state.energy_export_wh.is_some(),
            temperature: false,
            soc: false,
        }
    }

    /// What an entity stands for.
    fn of_entity(key: &str) -> Self {
        let phase = |name: &str| ["l1", "l2", "l3"].map(|l| key == format!("{name}_{l}"));
        Self {
            power: key == "power",
            current: phase("current"),
            voltage: phase("voltage"),
            frequency: key == "frequency",
            import: key == "energy",
            export: key == "energy_export",
            temperature: key == "temperature",
            soc: key == "soc",
        }
    }

    fn and(self, more: Self) -> Self {
        Self {
            power: self.power || more.power,
            current: either(self.current, more.current),
            voltage: either(self.voltage, more.voltage),
            frequency: self.frequency || more.frequency,
            import: self.import || more.import,
            export: self.export || more.export,
            temperature: self.temperature || more.temperature,
            soc: self.soc || more.soc,
        }
    }
}
