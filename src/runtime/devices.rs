//! What each device last said, for telemetry: a meter is shown whether or not an EVSE is billed by it.

use crate::bus::FromBus;
use crate::domain::{DeviceFact, DeviceId, Observation, Phase, Quality, Quantity, Reading};
use std::collections::BTreeMap;

/// All devices that were heard.
#[derive(Clone, Debug, Default)]
pub struct Devices(BTreeMap<DeviceId, Said>);

/// What one device last said.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// Values by quantity and phase; those that were not believable are left out.
    pub readings: BTreeMap<(Quantity, Phase), Reading>,
    /// What it is.
    pub facts: BTreeMap<DeviceFact, String>,
}

impl Said {
    /// One value, milli-units.
    #[must_use]
    pub fn value(&self, quantity: Quantity, phase: Phase) -> Option<i64> {
        self.readings.get(&(quantity, phase)).map(|reading| reading.milli)
    }

    /// The youngest reading.
    #[must_use]
    pub fn youngest(&self) -> Option<&Reading> {
        self.readings.values().max_by_key(|reading| reading.taken_at)
    }

    /// A fact.
    #[must_use]
    pub fn fact(&self, fact: DeviceFact) -> Option<String> {
        self.facts.get(&fact).cloned()
    }
}

impl Devices {
    /// Of one device.
    #[must_use]
    pub fn said(&self, device: &DeviceId) -> Option<&Said> {
        self.0.get(device)
    }

    /// Notes what an event says; whether that is news.
    pub fn hear(&mut self, event: &FromBus) -> bool {
        let FromBus::Observed {
            device, observations, ..
        } = event
        else {
            return false;
        };
        let mut news = false;
        for observation in observations {
            match observation {
                Observation::Reading(reading) if reading.quality != Quality::Suspect => {
                    let said = self.0.entry(device.clone()).or_default();
                    said.readings.insert((reading.quantity, reading.phase), *reading);
                    news = true;
                }
                Observation::Fact(fact, text) => {
                    let said = self.0.entry(device.clone()).or_default();
                    news |= said.facts.insert(*fact, text.clone()).as_ref() != Some(text);
                }
                _ => {}
            }
        }
        news
    }
}
