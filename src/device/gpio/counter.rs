//! The register of a pulse meter: pulses counted in its whole life, and the energy they stand for.
//!
//! The count is told only once the gateway has said what earlier runs counted; until then pulses are counted on
//! top of it. It never falls within a run.

use super::pulses::{Edge, Heard, Pulses};
use crate::domain::{Mono, Observation, Phase, PulseSetup, Quality, Quantity, Reading};

/// A pulse line with its register.
#[derive(Clone, Debug)]
pub(super) struct Counter {
    setup: PulseSetup,
    pulses: Pulses,
    /// Counted by earlier runs; `None`: not told yet.
    base: Option<u64>,
    /// Counted by this one.
    counted: u64,
}

impl Counter {
    /// A meter nothing was heard of yet.
    pub(super) fn new(setup: PulseSetup) -> Self {
        Self {
            setup,
            pulses: Pulses::new(setup),
            base: None,
            counted: 0,
        }
    }

    /// The line was taken; it has this level.
    pub(super) fn begin(&mut self, active: bool) {
        self.pulses.begin(active);
    }

    /// Takes an edge.
    pub(super) fn edge(&mut self, edge: Edge, now: Mono) -> Heard {
        let heard = self.pulses.edge(edge, now);
        self.counted = self.counted.saturating_add(heard.pulses);
        heard
    }

    /// Earlier runs counted at least so many.
    pub(super) fn restore(&mut self, count: u64) {
        if self.base.is_none() {
            self.base = Some(count);
        }
    }

    /// Pulses in the life of the meter.
    pub(super) fn total(&self) -> Option<u64> {
        self.base.map(|base| base.saturating_add(self.counted))
    }

    /// Edges the kernel dropped in this run.
    pub(super) fn lost(&self) -> u64 {
        self.pulses.lost()
    }

    /// Power in milliwatt.
    pub(super) fn power(&self, now: Mono) -> Option<i64> {
        self.pulses.power(now)
    }

    /// Count, register and power.
    pub(super) fn observe(&self, now: Mono, out: &mut Vec<Observation>) {
        let Some(total) = self.total() else { return };
        let reading = |quantity, milli, quality| {
            Observation::Reading(Reading {
                quantity,
                phase: Phase::Total,
                milli,
                quality,
                taken_at: now,
            })
        };
        out.push(Observation::Pulses(total));
        out.push(reading(Quantity::EnergyImport, self.energy(total), Quality::Good));
        if let Some(power) = self.power(now) {
            out.push(reading(Quantity::Power, power, Quality::Derived));
        }
    }

    /// The meter's register, milliwatt-hours.
    fn energy(&self, total: u64) -> i64 {
        let milli = u128::from(total) * 1_000_000 / u128::from(self.setup.per_kwh.max(1));
        i64::try_from(milli)
            .unwrap_or(i64::MAX)
            .saturating_add(self.setup.start.0)
    }
}
