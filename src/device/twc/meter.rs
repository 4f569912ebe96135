//! Energy of one unit. Its own counter shows whole kilowatt-hours and only since firmware 4.5.3; between its steps,
//! and without it, current and voltage are added up over time. The sum is an estimate and says so.

use crate::domain::{Mono, Phase, Quality, Quantity, Reading};
use std::time::Duration;

/// Milliwatt-milliseconds in a milliwatt-hour, and in a kilowatt-hour.
const MILLIWATT_HOUR: i128 = 3_600_000;
const KILOWATT_HOUR: i128 = 1_000_000 * MILLIWATT_HOUR;
/// Taken where the unit does not tell, volt.
const NOMINAL: u16 = 230;
/// A phase below this is not wired, volt.
const WIRED: u16 = 80;
/// A longer pause between two heartbeats is not filled with the last power.
const GAP: Duration = Duration::from_secs(10);
/// A counter may step by this between two answers; more must be said twice.
const STEP_KWH: u32 = 10;
/// Asked this often in vain, the unit counts as one without a counter.
const PATIENCE: u8 = 3;
/// Pause between questions: while learning, usually, and after no answer.
const LEARNING: Duration = Duration::from_secs(3);
const USUAL: Duration = Duration::from_secs(60);
const UNANSWERED: Duration = Duration::from_secs(120);

/// The meter of one unit.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    counter: Option<u32>,
    doubt: Option<u32>,
    volts: [u16; 3],
    sum: i128,
    /// Added since the counter was last read.
    fresh: i128,
    /// Milliwatt since then.
    power: Option<(i64, Mono)>,
    ask_at: Mono,
    unanswered: u8,
}

impl Meter {
    /// When the unit is to be asked.
    pub(super) fn due(&self) -> Mono {
        self.ask_at
    }

    /// Whether the unit has ever answered a question that old firmware does not know.
    pub(super) fn is_known(&self) -> bool {
        self.counter.is_some()
    }

    /// The unit did not answer.
    pub(super) fn unanswered(&mut self, now: Mono) {
        self.unanswered = self.unanswered.saturating_add(1);
        let learning = self.counter.is_none() && self.unanswered < PATIENCE;
        self.ask_at = now.plus(if learning { LEARNING } else { UNANSWERED });
    }

    /// The unit told its counter and voltages.
    pub(super) fn counted(&mut self, now: Mono, kwh: u32, volts: [u16; 3]) {
        self.ask_at = now.plus(USUAL);
        self.unanswered = 0;
        let expected = self
            .counter
            .is_none_or(|last| kwh >= last && kwh - last <= STEP_KWH);
        if !expected && self.doubt.replace(kwh) != Some(kwh) {
            self.ask_at = now.plus(LEARNING);
            return;
        }
        self.doubt = None;
        let first = self.counter.is_none();
        self.counter = Some(kwh);
        self.volts = volts.map(|volts| if volts < 400 { volts } else { 0 });
        let floor = i128::from(kwh) * KILOWATT_HOUR;
        if first || !expected || self.sum < floor {
            self.sum = floor;
        }
        self.fresh = 0;
    }

    /// This current flows from now on, milliampere. What flowed until now is added.
    pub(super) fn flows(&mut self, now: Mono, milliamps: i64) {
        if let Some((milliwatts, since)) = self.power
            && now.since(since) <= GAP
        {
            let ms = i128::try_from(now.since(since).as_millis()).unwrap_or(0);
            let more = i128::from(milliwatts) * ms;
            self.fresh += more;
            // The counter is the better truth: what is more than it can have missed waits for it.
            let most = self.counter.map_or(i128::MAX, |kwh| {
                (i128::from(kwh) + 1) * KILOWATT_HOUR + self.fresh
            });
            self.sum = (self.sum + more).min(most).max(self.sum);
        }
        self.power = Some((milliamps * i64::from(self.wired().iter().sum::<u16>()), now));
    }

    /// Nothing is known of what flows.
    pub(super) fn lost(&mut self) {
        self.power = None;
    }

    /// Voltages of the phases that are wired, as far as is known.
    fn wired(&self) -> [u16; 3] {
        let volts = self.volts.map(|volts| if volts >= WIRED { volts } else { 0 });
        if volts == [0; 3] { [NOMINAL, 0, 0] } else { volts }
    }

    /// What it measures.
    pub(super) fn readings(&self, milliamps: i64) -> Vec<Reading> {
        let Some((milliwatts, taken_at)) = self.power else {
            return Vec::new();
        };
        let reading = |quantity, phase, milli, quality| Reading {
            quantity,
            phase,
            milli,
            quality,
            taken_at,
        };
        let mut readings = Vec::new();
        for (phase, volts) in [Phase::L1, Phase::L2, Phase::L3].into_iter().zip(self.wired()) {
            if volts > 0 {
                readings.push(reading(
                    Quantity::Current,
                    phase,
                    milliamps,
                    Quality::Uncalibrated,
                ));
            }
            if volts > 0 && self.counter.is_some() {
                let milli = i64::from(volts) * 1_000;
                readings.push(reading(Quantity::Voltage, phase, milli, Quality::Uncalibrated));
            }
        }
        readings.push(reading(
            Quantity::Power,
            Phase::Total,
            milliwatts,
            Quality::Derived,
        ));
        if self.counter.is_some() || self.unanswered >= PATIENCE {
            let milli = i64::try_from(self.sum / MILLIWATT_HOUR).unwrap_or(i64::MAX);
            readings.push(reading(
                Quantity::EnergyImport,
                Phase::Total,
                milli,
                Quality::Derived,
            ));
        }
        readings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn energy(meter: &Meter) -> Option<i64> {
        let readings = meter.readings(0);
        readings
            .iter()
            .find(|r| r.quantity == Quantity::EnergyImport)
            .map(|r| r.milli)
    }

    /// Ten minutes at a current, one heartbeat a second.
    fn run(meter: &mut Meter, from: u64, milliamps: i64) -> u64 {
        (0..600).for_each(|second| meter.flows(Mono(from + second * 1_000), milliamps));
        from + 600_000
    }

    #[test]
    fn the_counter_is_the_floor_and_the_current_fills_its_steps() {
        let mut meter = Meter::default();
        meter.counted(Mono(0), 56, [230, 230, 230]);
        let now = run(&mut meter, 0, 16_000);
        assert_eq!(energy(&meter), Some(56_000_000 + 11_040_000_i64 * 599 / 3600));
        meter.counted(Mono(now), 58, [230, 230, 230]);
        assert_eq!(energy(&meter), Some(58_000_000));
    }

    #[test]
    fn a_vehicle_with_one_phase_is_not_billed_for_three_beyond_a_kilowatt_hour() {
        let mut meter = Meter::default();
        let mut now = 0;
        for minute in 0..60 {
            meter.counted(Mono(now), 100 + minute / 20, [230, 230, 230]);
            (0..60).for_each(|second| meter.flows(Mono(now + second * 1_000), 16_000));
            now += 60_000;
        }
        let read = energy(&meter).expect("a register");
        assert!((102_000_000..=103_200_000).contains(&read), "{read}");
    }

    #[test]
    fn without_a_counter_it_sums_from_zero_after_three_questions() {
        let mut meter = Meter::default();
        meter.flows(Mono(0), 10_000);
        assert_eq!(energy(&meter), None);
        (0..3).for_each(|n| meter.unanswered(Mono(n)));
        let _ = run(&mut meter, 1_000, 10_000);
        assert_eq!(energy(&meter), Some(2_300_000 * 600 / 3600));
    }

    #[test]
    fn a_counter_that_jumps_must_say_so_twice() {
        let mut meter = Meter::default();
        meter.counted(Mono(0), 56, [230, 0, 0]);
        meter.flows(Mono(0), 0);
        meter.counted(Mono(60_000), 4_000_000, [230, 0, 0]);
        assert_eq!(energy(&meter), Some(56_000_000));
        meter.counted(Mono(63_000), 3, [230, 0, 0]);
        meter.counted(Mono(66_000), 3, [230, 0, 0]);
        assert_eq!(energy(&meter), Some(3_000_000));
    }
}
