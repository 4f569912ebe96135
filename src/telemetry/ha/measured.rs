//! Entities of what a device measures: all of a meter, and as much of an EVSE.

use super::Settings;
use super::entity::{Entity, keys, value};
use super::seen::Measures;

/// One for each quantity that the device has, on the topic of its state.
pub(super) fn entities(settings: &Settings, topic: &str, measures: Measures) -> Vec<Entity> {
    let expiry = settings.expiry_s();
    let sensor = |key: &str, name: &str, path: &str| Entity::sensor(key, name, topic, value(path));
    let mut all = Vec::new();
    if measures.power {
        let power = sensor("power", "Power", "power_w");
        all.push(power.gauge("power", "W", 0).expires(expiry));
    }
    if measures.import {
        let energy = sensor("energy", "Energy", "energy_import_wh");
        all.push(energy.register().attributes(topic, keys(&["meter_epoch"])));
    }
    if measures.export {
        all.push(sensor("energy_export", "Exported energy", "energy_export_wh").register());
    }
    for (index, phase) in ["l1", "l2", "l3"].into_iter().enumerate() {
        let of_phase = |key: &str, name: &str, path: &str| {
            let (key, name) = (format!("{key}_{phase}"), format!("{name} L{}", index + 1));
            sensor(&key, &name, &format!("{path}[{index}]")).expires(expiry)
        };
        if measures.current[index] {
            all.push(of_phase("current", "Current", "current_a").gauge("current", "A", 1));
        }
        if measures.voltage[index] {
            let voltage = of_phase("voltage", "Voltage", "voltage_v");
            all.push(voltage.gauge("voltage", "V", 0).diagnostic());
        }
    }
    if measures.frequency {
        let frequency = sensor("frequency", "Frequency", "frequency_hz").gauge("frequency", "Hz", 2);
        all.push(frequency.expires(expiry).diagnostic());
    }
    if measures.temperature {
        let temperature = sensor("temperature", "Temperature", "temperature_c").gauge("temperature", "°C", 1);
        all.push(temperature.expires(expiry).diagnostic());
    }
    all
}
