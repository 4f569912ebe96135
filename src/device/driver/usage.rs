//! How many phases the vehicle uses, by the charger's own currents; for limits in watt (ADR 13).
//!
//! ```text
//!   unknown --current flows--> known{n} --another number, for 10 s--> known{m}
//!      ^                          |       (fewer: at once, where one phase does not bear everything)
//!      `------ vehicle left ------'
//! ```

use crate::domain::{Mono, Observation, Phase, Quantity, VehicleState};
use std::time::Duration;

/// From this current on some phase the vehicle is taken to charge, milliampere.
const FLOWS: i64 = 2_000;
/// From this current on a phase is in use, milliampere.
const IN_USE: i64 = 1_000;
/// Another number is believed after this time: a vehicle may begin on one phase and go on with three.
const STEADY: Duration = Duration::from_secs(10);

/// The phases in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    amps: [Option<i64>; 3],
    count: Option<u8>,
    /// Another number, since then.
    next: Option<(u8, Mono)>,
}

impl Usage {
    /// How many; `None`: nothing has flowed since the vehicle came.
    pub(super) fn count(self) -> Option<u8> {
        self.count
    }

    /// Takes what the charger said. Without `patience` fewer phases are believed at once.
    pub(super) fn take(&mut self, now: Mono, observations: &[Observation], patience: bool) {
        for observation in observations {
            match observation {
                Observation::Vehicle {
                    state: VehicleState::Absent,
                    ..
                } => *self = Self::default(),
                Observation::Reading(reading) if reading.quantity == Quantity::Current => {
                    let phase = match reading.phase {
                        Phase::L1 => 0,
                        Phase::L2 => 1,
                        Phase::L3 => 2,
                        Phase::Total | Phase::N => continue,
                    };
                    self.amps[phase] = Some(reading.milli.saturating_abs());
                }
                _ => {}
            }
        }
        let [Some(l1), Some(l2), Some(l3)] = self.amps else {
            return;
        };
        let amps = [l1, l2, l3];
        if amps.iter().any(|amps| *amps >= FLOWS) {
            self.weigh(
                now,
                amps.iter().map(|amps| u8::from(*amps >= IN_USE)).sum(),
                patience,
            );
        } else {
            self.next = None;
        }
    }

    fn weigh(&mut self, now: Mono, seen: u8, patience: bool) {
        let since = match self.next {
            Some((next, since)) if next == seen => since,
            Some(_) | None => now,
        };
        // Without patience one phase is counted as long as nothing is known.
        let fewer = !patience && seen <= self.count.unwrap_or(1);
        if self.count == Some(seen) {
            self.next = None;
        } else if now >= since.plus(STEADY) || fewer {
            (self.count, self.next) = (Some(seen), None);
        } else {
            self.next = Some((seen, since));
        }
    }
}
