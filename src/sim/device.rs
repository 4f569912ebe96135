//! A simulated charger or meter: a [`Body`] behind the [`Face`] that its profile gives it.

use super::body::{Body, Supervision, Write};
use super::face::{Effect, Face};
use super::slave::{Answer, Exception, Registers, Table, respond};
use crate::device::{Image, Kind, Profile, Raw};
use crate::domain::{MilliAmps, MilliWattHours, Mono};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What a device is to be.
#[derive(Clone, Debug)]
pub struct DeviceSpec {
    /// Its name in the world.
    pub name: String,
    /// Its family.
    pub profile: Arc<Profile>,
    /// Unit id on its line.
    pub unit: u8,
    /// Connector or channel, from 1.
    pub connector: u16,
    /// Between the end of the silence after a request and the answer.
    pub think: Duration,
    /// What the energy register shows at the start.
    pub energy: MilliWattHours,
    /// Raw values of points by name that win over what is worked out from the profile (firmware, serial number).
    pub presets: BTreeMap<String, Raw>,
    /// For a meter: the chargers whose current flows through it.
    pub measures: Vec<String>,
}

impl DeviceSpec {
    /// A device as delivered.
    #[must_use]
    pub fn new(name: impl Into<String>, profile: Arc<Profile>, unit: u8) -> Self {
        Self {
            name: name.into(),
            profile,
            unit,
            connector: 1,
            think: Duration::from_millis(5),
            energy: MilliWattHours::from_base(1_234_500),
            presets: BTreeMap::new(),
            measures: Vec::new(),
        }
    }

    /// A meter behind these chargers.
    #[must_use]
    pub fn measuring(mut self, chargers: &[&str]) -> Self {
        self.measures = chargers.iter().map(|&name| name.to_owned()).collect();
        self
    }
}

/// The device.
#[derive(Clone, Debug)]
pub struct SimDevice {
    spec: DeviceSpec,
    face: Face,
    /// Its electrical side, free to be meddled with.
    pub body: Body,
    /// It answers nothing: no power, wrong wiring.
    pub silent: bool,
    now: Mono,
    fed_by_any: bool,
}

impl SimDevice {
    /// Switched on at `now`.
    #[must_use]
    pub fn new(spec: DeviceSpec, now: Mono) -> Self {
        let profile = &spec.profile;
        let (least, most) = profile
            .limits()
            .map_or((MilliAmps::from_base(6), MilliAmps::from_base(32)), |limits| {
                (limits.min, limits.max)
            });
        let mut body = Body::new(least, most);
        body.set_energy(spec.energy);
        body.supervision = profile.watchdog().map(|watchdog| Supervision {
            timeout: watchdog.timeout,
            fallback: watchdog.failsafe,
            fed: now,
            tripped: false,
            trips: 0,
        });
        let fed_by_any = matches!(
            profile.watchdog().map(|w| &w.feed),
            Some(crate::device::Feed::AnyRequest)
        );
        let face = Face::new(Arc::clone(profile), spec.connector, &spec.presets);
        if let Some(rated) = profile.rated(&face.image()) {
            body.hw_max = rated;
        }
        Self {
            spec,
            face,
            body,
            silent: false,
            now,
            fed_by_any,
        }
    }

    /// What it was made from.
    #[must_use]
    pub fn spec(&self) -> &DeviceSpec {
        &self.spec
    }

    /// Whether it switches.
    #[must_use]
    pub fn is_charger(&self) -> bool {
        self.spec.profile.kind() == Kind::Charger
    }

    /// Answers a request to its unit; `None`: it keeps silent.
    pub fn call(&mut self, now: Mono, pdu: &[u8]) -> Option<Answer> {
        if self.silent {
            return None;
        }
        self.now = now;
        self.face.refresh(&self.body);
        let pdu = respond(pdu, self);
        if self.fed_by_any && pdu.first().is_some_and(|fc| fc & 0x80 == 0) {
            self.body.feed(now);
        }
        Some(Answer {
            pdu,
            think: self.spec.think,
        })
    }

    /// One word of a table as a master would read it; `None` where it would be refused.
    pub fn register(&mut self, fc: u8, addr: u16) -> Option<u16> {
        self.face.refresh(&self.body);
        self.face
            .read(Table::of_read(fc)?, addr, 1)
            .ok()?
            .first()
            .copied()
    }

    /// Every point's raw value as the device holds it now.
    #[must_use]
    pub fn image(&self) -> Image {
        let mut face = self.face.clone();
        face.refresh(&self.body);
        face.image()
    }

    /// A point's raw value as the device holds it, write-only ones included; `None`: no such point.
    pub fn point(&mut self, name: &str) -> Option<Raw> {
        self.face.refresh(&self.body);
        let id = self.face.profile().find(name)?;
        self.face.image().get(id).cloned()
    }

    fn apply(&mut self, effects: Vec<Effect>) {
        let now = self.now;
        for effect in effects {
            match effect {
                Effect::Limit(amps) => self.body.limit = amps,
                Effect::Enabled(on) => self.body.enabled = on,
                Effect::Phases(phases) => self.body.connected = phases,
                Effect::Fed => self.body.feed(now),
                Effect::Unlocked => self.body.unlocks += 1,
                Effect::Timeout(timeout) => {
                    self.body.feed(now);
                    self.body.supervision.iter_mut().for_each(|s| s.timeout = timeout);
                }
                Effect::Fallback(amps) => self.body.supervision.iter_mut().for_each(|s| s.fallback = amps),
            }
        }
    }

    fn wrote(&mut self, fc: u8, addr: u16, values: &[u16]) -> Result<(), Exception> {
        let effects = self.face.write(fc, addr, values)?;
        self.body.wrote(Write {
            at: self.now,
            fc,
            addr,
            values: values.to_vec(),
        });
        self.apply(effects);
        Ok(())
    }
}

impl Registers for SimDevice {
    fn read(&mut self, _fc: u8, table: Table, addr: u16, count: u16) -> Result<Vec<u16>, Exception> {
        self.face.read(table, addr, count)
    }

    fn write_words(&mut self, fc: u8, addr: u16, values: &[u16]) -> Result<(), Exception> {
        self.wrote(fc, addr, values)
    }

    fn write_bits(&mut self, fc: u8, addr: u16, values: &[bool]) -> Result<(), Exception> {
        let words: Vec<u16> = values.iter().map(|bit| u16::from(*bit)).collect();
        self.wrote(fc, addr, &words)
    }
}
