//! What answers to polls say.

use super::ask::Ask;
use super::machine::RapiLine;
use super::values::{self, State};
use crate::domain::{DeviceFact, MilliAmps, Mono, Observation, Phase, Quality, Quantity, Reading};

impl RapiLine {
    /// Takes an answer; false: its words make no sense.
    pub(super) fn polled(&mut self, now: Mono, ask: Ask, words: &[String]) -> bool {
        let said = match ask {
            Ask::Version => facts(words),
            Ask::Serial => serial(words),
            Ask::State => State::polled(words).map(|state| {
                self.new_state(now, state);
                self.compare();
                Vec::new()
            }),
            Ask::Settings => values::settings(words).map(|amps| {
                self.amps = Some(amps);
                self.compare();
                self.offered(now)
            }),
            Ask::Range => values::range(words).map(|(least, most)| {
                self.set_range(least, most);
                vec![Observation::HardwareLimit(MilliAmps::from_base(i64::from(most)))]
            }),
            Ask::Flow => values::flow(words).map(|(milliamps, millivolts)| flow(now, milliamps, millivolts)),
            Ask::Energy => self.energy(now, words),
            Ask::Temperature => Some(temperature(now, words)),
            _ => Some(Vec::new()),
        };
        let makes_sense = said.is_some();
        self.observed(said.unwrap_or_default());
        makes_sense
    }

    fn offered(&self, now: Mono) -> Vec<Observation> {
        let Some(shown) = self.shown() else {
            return Vec::new();
        };
        let offered = reading(now, Quantity::CurrentOffered, shown.0, Quality::Good);
        vec![offered, Observation::LimitReadBack(shown)]
    }

    fn energy(&mut self, now: Mono, words: &[String]) -> Option<Vec<Observation>> {
        let (session, total) = values::energy(words)?;
        let Some(state) = self.state else {
            return Some(Vec::new());
        };
        let milli = self.register.read(session, total, state.is_connected());
        Some(vec![reading(
            now,
            Quantity::EnergyImport,
            milli,
            Quality::Uncalibrated,
        )])
    }
}

fn reading(now: Mono, quantity: Quantity, milli: i64, quality: Quality) -> Observation {
    Observation::Reading(Reading {
        quantity,
        phase: Phase::Total,
        milli,
        quality,
        taken_at: now,
    })
}

fn facts(words: &[String]) -> Option<Vec<Observation>> {
    let [firmware, rest @ ..] = words else { return None };
    let mut facts = vec![Observation::Fact(DeviceFact::FirmwareVersion, firmware.clone())];
    facts.extend(
        rest.first()
            .map(|protocol| Observation::Fact(DeviceFact::MapVersion, protocol.clone())),
    );
    Some(facts)
}

fn serial(words: &[String]) -> Option<Vec<Observation>> {
    let [serial, ..] = words else { return None };
    Some(vec![Observation::Fact(DeviceFact::SerialNumber, serial.clone())])
}

fn flow(now: Mono, milliamps: Option<i64>, millivolts: Option<i64>) -> Vec<Observation> {
    let mut said = Vec::new();
    if let Some(milli) = milliamps {
        said.push(reading(now, Quantity::Current, milli, Quality::Uncalibrated));
    }
    if let Some(milli) = millivolts {
        said.push(reading(now, Quantity::Voltage, milli, Quality::Uncalibrated));
    }
    if let (Some(milliamps), Some(millivolts)) = (milliamps, millivolts) {
        said.push(reading(
            now,
            Quantity::Power,
            milliamps * millivolts / 1_000,
            Quality::Derived,
        ));
    }
    said
}

fn temperature(now: Mono, words: &[String]) -> Vec<Observation> {
    let tenths = values::temperature(words);
    let hottest =
        tenths.map(|tenths| reading(now, Quantity::Temperature, tenths * 100, Quality::Uncalibrated));
    hottest.into_iter().collect()
}
