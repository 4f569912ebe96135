//! A vehicle: asks for current, follows what is offered, fills its battery. Integers only, so that the energy a
//! meter shows is the energy the vehicle took, to the milliwatt-millisecond.

use crate::domain::{MilliAmps, MilliWattHours};

/// Milliwatt-milliseconds in a milliwatt-hour.
const MW_MS_PER_MWH: i64 = 3_600_000;

/// An energy register with what is left below one milliwatt-hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Energy {
    whole: MilliWattHours,
    /// Milliwatt-milliseconds, 0 to 3,599,999.
    rest: i64,
}

impl Energy {
    /// A register that already shows something.
    #[must_use]
    pub fn starting(at: MilliWattHours) -> Self {
        Self { whole: at, rest: 0 }
    }

    /// Adds a constant power over a time; negative power is not counted, an import register never runs back.
    pub fn add(&mut self, milliwatts: i64, ms: i64) {
        let sum = self.rest + milliwatts.max(0) * ms;
        self.whole = self.whole + MilliWattHours(sum / MW_MS_PER_MWH);
        self.rest = sum % MW_MS_PER_MWH;
    }

    /// Full milliwatt-hours.
    #[must_use]
    pub fn whole(self) -> MilliWattHours {
        self.whole
    }

    /// Everything, in milliwatt-milliseconds.
    #[must_use]
    pub fn exact(self) -> i128 {
        i128::from(self.whole.0) * i128::from(MW_MS_PER_MWH) + i128::from(self.rest)
    }
}

/// Current and power of the three phases at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Milliampere.
    pub milliamps: [i64; 3],
    /// Milliwatt.
    pub milliwatts: [i64; 3],
}

impl Flow {
    /// Both flows at once, phase by phase.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let add = |a: [i64; 3], b: [i64; 3]| [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
        Self {
            milliamps: add(self.milliamps, other.milliamps),
            milliwatts: add(self.milliwatts, other.milliwatts),
        }
    }

    /// Sum of the phases, milliwatt.
    #[must_use]
    pub fn total_milliwatts(self) -> i64 {
        self.milliwatts.iter().sum()
    }
}

/// What kind of vehicle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvSpec {
    /// 1, 2 or 3.
    pub phases: u8,
    /// Most it takes per phase.
    pub max: MilliAmps,
    /// Least it can charge with; below, it pauses (IEC 61851-1: 6 A).
    pub min: MilliAmps,
    /// From zero to `max`, milliseconds; IEC 61851-1 allows 5 s.
    pub ramp_ms: i64,
    /// Battery size.
    pub capacity: MilliWattHours,
    /// In the battery when it is plugged in.
    pub stored: MilliWattHours,
    /// Above this share, in permille, the battery takes less and less.
    pub taper_from: i64,
}

impl Default for EvSpec {
    fn default() -> Self {
        Self {
            phases: 3,
            max: MilliAmps::from_base(16),
            min: MilliAmps::from_base(6),
            ramp_ms: 2_000,
            capacity: MilliWattHours::from_base(60_000),
            stored: MilliWattHours::from_base(20_000),
            taper_from: 900,
        }
    }
}

/// A vehicle at the plug.
#[derive(Clone, Debug)]
pub struct Ev {
    spec: EvSpec,
    asks: bool,
    milliamps: i64,
    taken: Energy,
}

impl Ev {
    /// Plugged in just now; `asks` at once.
    #[must_use]
    pub fn new(spec: EvSpec) -> Self {
        Self {
            spec,
            asks: true,
            milliamps: 0,
            taken: Energy::default(),
        }
    }

    /// Wants to charge, or does not (pre-conditioning timer, owner's choice).
    pub fn ask(&mut self, asks: bool) {
        self.asks = asks;
    }

    /// Whether it wants current now: asked and not full.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.asks && self.permille() < 1000
    }

    /// Taken since it was plugged in.
    #[must_use]
    pub fn taken(&self) -> Energy {
        self.taken
    }

    /// State of charge in permille.
    #[must_use]
    pub fn permille(&self) -> i64 {
        let stored = i128::from((self.spec.stored + self.taken.whole()).0);
        let share = stored * 1000 / i128::from(self.spec.capacity.0.max(1));
        i64::try_from(share.clamp(0, 1000)).unwrap_or(1000)
    }

    /// One step: what flows during the next `ms` at this offer and these phase voltages; a phase without voltage
    /// is not connected.
    pub fn step(&mut self, ms: i64, offered: MilliAmps, millivolts: [i64; 3]) -> Flow {
        let target = self.target(offered);
        if target == 0 {
            self.milliamps = 0;
        } else {
            let most = (self.spec.max.0 * ms / self.spec.ramp_ms.max(1)).max(1);
            self.milliamps += (target - self.milliamps).clamp(-most, most);
        }
        let mut flow = Flow::default();
        let phases = usize::from(self.spec.phases.clamp(1, 3));
        let connected = |(_, volts): &(usize, &i64)| **volts > 0;
        for (phase, volts) in millivolts.iter().enumerate().take(phases).filter(connected) {
            flow.milliamps[phase] = self.milliamps;
            flow.milliwatts[phase] = self.milliamps * volts / 1000;
        }
        self.taken.add(flow.total_milliwatts(), ms);
        flow
    }

    fn target(&self, offered: MilliAmps) -> i64 {
        if !self.asks() || offered < self.spec.min {
            return 0;
        }
        let soc = self.permille();
        let room = 1000 - self.spec.taper_from.clamp(0, 999);
        let tapered = if soc > self.spec.taper_from {
            (self.spec.max.0 * (1000 - soc) / room).max(self.spec.min.0)
        } else {
            self.spec.max.0
        };
        tapered.min(offered.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GRID: [i64; 3] = [230_000; 3];

    #[test]
    fn follows_the_offer_within_five_seconds() {
        let mut ev = Ev::new(EvSpec {
            ramp_ms: 5_000,
            ..EvSpec::default()
        });
        let run = |ev: &mut Ev, offered: i64, ms: i64| {
            (0..ms / 100)
                .map(|_| ev.step(100, MilliAmps::from_base(offered), GRID).milliamps[0])
                .last()
        };
        assert_eq!(run(&mut ev, 16, 1_000), Some(3_200));
        assert_eq!(run(&mut ev, 16, 4_000), Some(16_000));
        assert_eq!(run(&mut ev, 10, 5_000), Some(10_000));
        assert_eq!(
            run(&mut ev, 5, 100),
            Some(0),
            "below six ampere there is no charging"
        );
        assert_eq!(run(&mut ev, 32, 5_000), Some(16_000), "its own maximum");
    }

    #[test]
    fn a_battery_tapers_and_fills_and_then_asks_no_more() {
        let mut ev = Ev::new(EvSpec {
            capacity: MilliWattHours::from_base(1_000),
            stored: MilliWattHours::from_base(850),
            ..EvSpec::default()
        });
        let mut last_amps = i64::MAX;
        let mut steps = 0;
        while ev.asks() {
            let amps = ev.step(1_000, MilliAmps::from_base(16), GRID).milliamps[0];
            if ev.permille() > 910 {
                assert!(amps <= last_amps && amps >= 6_000);
            }
            last_amps = amps;
            steps += 1;
            assert!(steps < 3_600, "never full");
        }
        assert_eq!(ev.taken().whole().base(), 150);
        assert_eq!(ev.step(1_000, MilliAmps::from_base(16), GRID), Flow::default());
    }

    proptest! {
        /// However the offer jumps, the register is the exact sum of power and time.
        #[test]
        fn energy_is_exact(
            offers in prop::collection::vec((0_i64..40_000, 1_i64..5_000), 1..200),
            phases in 1_u8..=3,
            volts in prop::array::uniform3(200_000_i64..250_000),
        ) {
            let mut ev = Ev::new(EvSpec { phases, ..EvSpec::default() });
            let mut sum: i128 = 0;
            for (offered, ms) in offers {
                let flow = ev.step(ms, MilliAmps(offered), volts);
                prop_assert!(flow.milliamps[0] <= 16_000);
                sum += i128::from(flow.total_milliwatts()) * i128::from(ms);
            }
            prop_assert_eq!(ev.taken().exact(), sum);
            prop_assert_eq!(i128::from(ev.taken().whole().0), sum / i128::from(MW_MS_PER_MWH));
        }
    }
}
