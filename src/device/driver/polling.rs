//! When which block of registers is read.
//!
//! Every block has its own grid of due times `phase + k * period`. The phase is drawn from the seed, so that
//! devices that start together do not stay together. A block that comes late is not made up for: it takes the
//! next point of its grid.

use crate::domain::{Mono, Rng};
use std::time::Duration;

/// First reads of a device start within this time, however long the period.
const FIRST_WITHIN: Duration = Duration::from_millis(250);
/// On a bus that has more to read than it can, the first look at a block comes before further looks at others once it has
/// waited this long: after a start everything is to be known within 10 s (promise U7).
const FIRST_PATIENCE: Duration = Duration::from_secs(3);

/// How often a block is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// After each start of the device.
    Once,
    /// Periodically.
    Every(Duration),
}

/// One block's place in time.
#[derive(Clone, Copy, Debug)]
enum Slot {
    /// To be read then, for the first time.
    First(Mono),
    /// To be read then.
    Due(Mono),
    /// Read once and not needed again until the device restarts.
    Done,
}

/// The time table of a device's blocks, by their index.
#[derive(Clone, Debug, Default)]
pub(super) struct Polling {
    rows: Vec<(Pace, Mono, Slot)>,
}

impl Polling {
    /// A new table; every block is due soon after `now`.
    pub(super) fn new(paces: impl IntoIterator<Item = Pace>, now: Mono, rng: &mut Rng) -> Self {
        let rows = paces
            .into_iter()
            .map(|pace| match pace {
                Pace::Once => (pace, now, Slot::Due(now)),
                Pace::Every(period) => {
                    let phase = now.plus(Duration::from_millis(rng.below(millis(period))));
                    let first = now.plus(Duration::from_millis(rng.below(millis(FIRST_WITHIN.min(period)))));
                    (pace, phase, Slot::First(first))
                }
            })
            .collect();
        Self { rows }
    }

    /// When the next block is due.
    pub(super) fn next(&self) -> Option<Mono> {
        let due = |(_, _, slot): &(Pace, Mono, Slot)| match slot {
            Slot::First(at) | Slot::Due(at) => Some(*at),
            Slot::Done => None,
        };
        self.rows.iter().filter_map(due).min()
    }

    /// Of the blocks due at `now` the one with the earliest deadline.
    pub(super) fn due(&self, now: Mono) -> Option<(usize, Mono)> {
        self.rows
            .iter()
            .enumerate()
            .filter_map(|(index, (pace, _, slot))| match slot {
                Slot::First(at) if *at <= now => {
                    Some((index, deadline(*pace, *at).min(at.plus(FIRST_PATIENCE))))
                }
                Slot::Due(at) if *at <= now => Some((index, deadline(*pace, *at))),
                Slot::First(_) | Slot::Due(_) | Slot::Done => None,
            })
            .min_by_key(|(index, deadline)| (*deadline, *index))
    }

    /// The shortest period of the table.
    pub(super) fn shortest(&self) -> Option<Duration> {
        let period = |(pace, _, _): &(Pace, Mono, Slot)| match pace {
            Pace::Every(period) => Some(*period),
            Pace::Once => None,
        };
        self.rows.iter().filter_map(period).min()
    }

    /// A block was asked for: it takes the next point of its grid.
    pub(super) fn asked(&mut self, index: usize, now: Mono) {
        if let Some((pace, phase, slot)) = self.rows.get_mut(index) {
            *slot = match *pace {
                Pace::Once => Slot::Done,
                Pace::Every(period) => Slot::Due(grid_after(*phase, period, now)),
            };
        }
    }

    /// A block that is read once was not answered: again then.
    pub(super) fn again_at(&mut self, index: usize, at: Mono) {
        if let Some((_, _, slot)) = self.rows.get_mut(index) {
            *slot = Slot::Due(at);
        }
    }

    /// Whether every block that is read once has been.
    pub(super) fn onces_done(&self) -> bool {
        !self
            .rows
            .iter()
            .any(|(pace, _, slot)| *pace == Pace::Once && matches!(slot, Slot::Due(_)))
    }
}

fn deadline(pace: Pace, at: Mono) -> Mono {
    match pace {
        Pace::Once => at,
        Pace::Every(period) => at.plus(period),
    }
}

/// First point of the grid after `now`.
fn grid_after(phase: Mono, period: Duration, now: Mono) -> Mono {
    let period = millis(period).max(1);
    if now < phase {
        return phase;
    }
    Mono(phase.0 + ((now.0 - phase.0) / period + 1) * period)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_millis(500);
    const SLOW: Duration = Duration::from_secs(30);

    /// A bus on which the fast block is due again whenever it was read.
    #[test]
    fn on_a_full_bus_the_first_look_at_a_slow_block_does_not_wait_for_its_period() {
        for seed in 0..50 {
            let paces = [Pace::Every(FAST), Pace::Every(SLOW)];
            let mut polling = Polling::new(paces, Mono(0), &mut Rng::new(seed));
            let mut slow = Vec::new();
            for step in 1..240 {
                let now = Mono(step * 500);
                let (index, _) = polling.due(now).expect("always full");
                polling.asked(index, now);
                if index == 1 {
                    slow.push(now.0);
                }
            }
            assert!(slow[0] <= 3_500, "{slow:?}");
            assert!(slow.len() <= 5, "no more often than before: {slow:?}");
        }
    }
}
