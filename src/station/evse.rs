//! One EVSE: what its devices said, what it is used for, what it is told.
//!
//! ```text
//!            token accepted / remote start            plugged, register valid
//!   Idle ------------------------------> Authorised ---------------------------> Transaction
//!    ^  ^                                    | timeout, second presentation          | token, CSMS, unplugged,
//!    |  +------------------------------------+                                       | refused, reset, unlock, emergency stop
//!    +------------------ unplugged ------------------- Done (vehicle still there) <--+
//! ```

use super::contacts::Standing;
use super::energy::{Judged, Register};
use super::io::Role;
use super::limits::Actuator;
use super::plausible::{is_possible, is_register};
use super::running::Tx;
use super::smart::watts_per_amp;
use super::status::Teller;
use super::tokens::Owner;
use super::tx::Pending;
use crate::domain::{
    AppliedLimit, DeviceFact, DeviceFault, EvseSetup, GpioSignal, IdToken, LimitEntry, LimitSource,
    MeterIdentity, MilliAmps, MilliWattHours, MilliWatts, Mono, Observation, Phase, Quality, Quantity,
    Reading, SamplePoint, Share, VehicleState,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// Below this current per phase a charger's own measurement says nothing of what the meter must count, milliampere.
const WITNESS_LEAST: i64 = 2_000;
/// A charger's measurement counts for this long.
const WITNESS_FRESH: Duration = Duration::from_secs(10);

/// The facts and machines of one EVSE.
#[derive(Debug)]
pub(super) struct Evse {
    pub(super) setup: EvseSetup,
    pub(super) vehicle: Option<VehicleState>,
    /// Last known, through states that do not tell.
    pub(super) plugged: Option<bool>,
    pub(super) raw_state: u64,
    pub(super) heard: Option<Mono>,
    pub(super) fault: Option<DeviceFault>,
    /// Why the charger would not fall back by itself, unless the operator signed for that.
    pub(super) unguarded: Option<String>,
    /// The current it falls back to when it is not fed.
    pub(super) fallback: Option<MilliAmps>,
    pub(super) hardware: Option<MilliAmps>,
    pub(super) links: BTreeMap<Role, bool>,
    pub(super) register: Register,
    readings: BTreeMap<(Role, Quantity, Phase), Reading>,
    /// What the billing meter says of itself: model and serial number.
    meter_says: (Option<String>, Option<String>),
    /// Counters that are not billed, by which theirs are judged.
    counters: BTreeMap<(Role, Quantity, Phase), Register>,
    cards: BTreeMap<Role, Option<String>>,
    /// What the charger itself reported last, for `AuthMode::Charger`.
    pub(super) reported: Option<(IdToken, Mono)>,
    pub(super) pending: Option<Pending>,
    pub(super) tx: Option<Tx>,
    /// Its transaction is of an earlier run, and vehicle and meter are still looked for: until then at the latest its
    /// charger is left as it is.
    pub(super) wakes: Option<Mono>,
    /// A transaction ended and the vehicle has not left since.
    pub(super) done: bool,
    /// The plug stays locked until this card comes.
    pub(super) locked_for: Option<Owner>,
    pub(super) inoperative: bool,
    /// Out of service until an installation is over.
    pub(super) withdrawn: bool,
    pub(super) local: Option<LimitEntry>,
    /// When a local limit of an earlier run ends, Unix milliseconds, until the clock can tell how long that is.
    pub(super) local_ends_ms: Option<i64>,
    /// Charging is held back by a local command.
    pub(super) held: bool,
    pub(super) shared: Option<Share>,
    pub(super) emergency: Standing,
    pub(super) dimming: Standing,
    pub(super) entries: Vec<LimitEntry>,
    pub(super) applied: AppliedLimit,
    pub(super) actuator: Actuator,
    pub(super) switch: super::phases::Switch,
    pub(super) teller: Teller,
    pub(super) lease: super::lease::Lease,
}

impl Evse {
    /// Whether nothing may be begun here.
    pub(super) fn is_out(&self) -> bool {
        self.inoperative || self.withdrawn
    }

    /// An EVSE nothing is known of yet.
    pub(super) fn new(setup: EvseSetup) -> Self {
        let most = setup
            .max_current
            .0
            .saturating_mul(watts_per_amp(&setup, setup.phases));
        Self {
            register: Register::new(most),
            actuator: Actuator::new(setup.max_current),
            vehicle: None,
            plugged: None,
            raw_state: 0,
            heard: None,
            fault: None,
            unguarded: None,
            fallback: None,
            hardware: None,
            links: BTreeMap::new(),
            readings: BTreeMap::new(),
            meter_says: (None, None),
            counters: BTreeMap::new(),
            cards: BTreeMap::new(),
            reported: None,
            pending: None,
            tx: None,
            wakes: None,
            done: false,
            locked_for: None,
            inoperative: false,
            withdrawn: false,
            local: None,
            local_ends_ms: None,
            held: false,
            shared: None,
            emergency: Standing::of_unheard(&setup, GpioSignal::EmergencyStop),
            dimming: Standing::of_unheard(&setup, GpioSignal::Dimming),
            setup,
            entries: Vec::new(),
            applied: AppliedLimit {
                amps: MilliAmps::ZERO,
                source: LimitSource::NotAuthorised,
            },
            switch: super::phases::Switch::default(),
            teller: Teller::default(),
            lease: super::lease::Lease::default(),
        }
    }

    /// Takes what a device said. Gives the card that was newly presented, if one was.
    pub(super) fn observe(
        &mut self,
        role: Role,
        observations: Vec<Observation>,
        now: Mono,
    ) -> Option<IdToken> {
        if self.links.insert(role, true) == Some(false) && role == Role::Meter {
            self.lease.hint();
        }
        if role == Role::Charger {
            self.heard = Some(now);
        }
        let mut card = None;
        for observation in observations {
            match observation {
                Observation::Reading(reading) => self.read(role, reading),
                Observation::Vehicle { state, raw } if role == Role::Charger => {
                    self.vehicle = Some(state);
                    self.raw_state = raw;
                    self.plugged = state.plugged().or(self.plugged);
                }
                Observation::Fault(fault) if role == Role::Charger => self.fault = fault,
                Observation::HardwareLimit(amps) if role == Role::Charger => self.hardware = Some(amps),
                Observation::LimitReadBack(amps) if role == Role::Charger => {
                    self.actuator.read_back(amps, now);
                }
                Observation::Token(token) => card = self.card(role, token).or(card),
                Observation::Fact(DeviceFact::Model, text) if role == self.meter_role() => {
                    self.meter_says.0 = Some(text);
                }
                Observation::Fact(DeviceFact::SerialNumber, text) if role == self.meter_role() => {
                    if self.meter_says.1.as_ref().is_some_and(|before| *before != text) {
                        self.register.replace(self.tx.is_some());
                    }
                    self.meter_says.1 = Some(text);
                }
                Observation::Vehicle { .. }
                | Observation::Fault(_)
                | Observation::HardwareLimit(_)
                | Observation::LimitReadBack(_)
                | Observation::Fact(..)
                | Observation::Contact { .. }
                | Observation::Pulses(_) => {}
            }
        }
        card
    }

    /// The role whose register is billed.
    pub(super) fn meter_role(&self) -> Role {
        if self.setup.meter.is_some() {
            Role::Meter
        } else {
            Role::Charger
        }
    }

    /// The device whose register is billed, as far as it has said who it is in this run.
    pub(super) fn meter_identity(&self) -> MeterIdentity {
        let device = self.setup.meter.as_ref().unwrap_or(&self.setup.charger);
        let (model, serial) = self.meter_says.clone();
        MeterIdentity {
            device: device.clone(),
            profile: None,
            model,
            serial,
        }
    }

    /// Whether a device is known not to answer.
    pub(super) fn is_down(&self, role: Role) -> bool {
        self.links.get(&role) == Some(&false)
    }

    /// Whether a device is known to answer.
    pub(super) fn is_up(&self, role: Role) -> bool {
        self.links.get(&role) == Some(&true)
    }

    /// Whether the last believed reading of the billing register is too old.
    pub(super) fn meter_stale(&self, now: Mono) -> bool {
        self.register
            .read_at()
            .is_none_or(|at| now.since(at) > self.setup.meter_stale_after)
    }

    /// Register to bill by, if it is there and fresh.
    pub(super) fn fresh_register(&self, now: Mono) -> Option<MilliWattHours> {
        self.register.value().filter(|_| !self.meter_stale(now))
    }

    /// Readings of a quantity, of the meter if it has any, else of the charger.
    pub(super) fn readings(&self, quantity: Quantity) -> impl Iterator<Item = &Reading> {
        let has = |role: Role| self.readings.keys().any(|(r, q, _)| *r == role && *q == quantity);
        let role = if has(Role::Meter) {
            Role::Meter
        } else {
            Role::Charger
        };
        self.readings
            .iter()
            .filter(move |((r, q, _), _)| *r == role && *q == quantity)
            .map(|(_, reading)| reading)
    }

    /// Active power of the whole EVSE.
    pub(super) fn power(&self) -> Option<MilliWatts> {
        self.readings(Quantity::Power)
            .find(|r| r.phase == Phase::Total)
            .map(|r| MilliWatts(r.milli))
    }

    /// What was measured and is believed, by quantity and phase.
    pub(super) fn measured(&self) -> Vec<SamplePoint> {
        let mut points: BTreeMap<(Quantity, Phase), SamplePoint> = BTreeMap::new();
        // In the order of the roles: the meter's own word takes the place of the charger's.
        for reading in self.readings.values().filter(|r| r.quality != Quality::Suspect) {
            let Reading {
                quantity,
                phase,
                milli,
                quality,
                ..
            } = *reading;
            points.insert(
                (quantity, phase),
                SamplePoint {
                    quantity,
                    phase,
                    milli,
                    quality,
                },
            );
        }
        points.into_values().collect()
    }

    fn read(&mut self, role: Role, reading: Reading) {
        if role == Role::Reader {
            return;
        }
        let mut reading = reading;
        let key = (role, reading.quantity, reading.phase);
        let billed = role == self.meter_role() && reading.phase == Phase::Total;
        if billed && reading.quantity == Quantity::EnergyImport {
            let judged = self
                .register
                .read(reading.milli, reading.quality, reading.taken_at);
            match judged {
                Judged::Suspect => reading.quality = Quality::Suspect,
                Judged::Rebased if self.tx.is_none() => {
                    self.register.begin();
                }
                Judged::Rebased | Judged::Taken => {}
            }
        } else if is_register(reading.quantity) {
            let most = self.register.most();
            let counter = self.counters.entry(key).or_insert_with(|| Register::new(most));
            if counter.read(reading.milli, reading.quality, reading.taken_at) == Judged::Suspect {
                return;
            }
        } else if !is_possible(&reading, &self.setup) {
            return;
        }
        if billed && matches!(reading.quantity, Quantity::EnergyImport | Quantity::Power) {
            let own = (reading.quantity == Quantity::Power).then_some(reading.milli);
            let flow = self.flowing(own, reading.taken_at);
            self.register.flow(flow, reading.taken_at);
        }
        if reading.quantity == Quantity::Current
            && matches!(reading.phase, Phase::Total | Phase::L1 | Phase::L2 | Phase::L3)
            && reading.quality != Quality::Suspect
            && !(role == Role::Charger && self.setup.meter.is_some())
        {
            self.actuator
                .flows(reading.phase, MilliAmps(reading.milli), reading.taken_at);
        }
        self.readings.insert(key, reading);
    }

    /// The power that the billing register must be counting: what its meter tells, or, where that is less, half of
    /// what the charger measures. A meter that stands still altogether does not say that anything flows.
    fn flowing(&self, own: Option<i64>, now: Mono) -> i64 {
        let own = own.or_else(|| self.power().map(|power| power.0)).unwrap_or(0);
        if self.meters_itself() {
            return own;
        }
        let fresh = |phase| {
            let reading = self.readings.get(&(Role::Charger, Quantity::Current, phase))?;
            let counts = now.since(reading.taken_at) <= WITNESS_FRESH && reading.milli >= WITNESS_LEAST;
            counts.then_some(reading.milli)
        };
        let amps: i64 = [Phase::L1, Phase::L2, Phase::L3]
            .into_iter()
            .filter_map(fresh)
            .sum();
        own.max(amps / 2 * i64::from(self.setup.nominal_voltage))
    }

    /// Finds the edge: a card that lies on the reader is presented once. What is there when a device is first
    /// heard is no edge: some chargers keep showing their last card.
    fn card(&mut self, role: Role, token: Option<IdToken>) -> Option<IdToken> {
        let key = token.as_ref().map(IdToken::key);
        let before = self.cards.insert(role, key.clone());
        token.filter(|_| before.is_some_and(|b| b != key))
    }
}
