//! What the line learned of each unit: how long it thinks before it answers, and from that a time-out that costs
//! the others little when it is dead.

use std::collections::BTreeMap;
use std::time::Duration;

/// No learned time-out is shorter: USB adapters alone hold bytes back for up to 16 ms.
const FLOOR: Duration = Duration::from_millis(60);

/// Slowest recent thinking time of each unit's reads; it fades by 1/256 with each answer.
#[derive(Debug, Default)]
pub(super) struct Think(BTreeMap<u8, Duration>);

impl Think {
    /// An answer began `took` after the request's last byte.
    pub(super) fn learn(&mut self, unit: u8, took: Duration) {
        let slowest = self.0.entry(unit).or_default();
        *slowest = took.max(*slowest - *slowest / 256);
    }

    /// How long to wait for the first byte of an answer to a read: four times the slowest known and [`FLOOR`],
    /// never longer than asked for; all of it while nothing is known.
    pub(super) fn timeout(&self, unit: u8, asked: Duration) -> Duration {
        self.0
            .get(&unit)
            .map_or(asked, |slowest| asked.min(*slowest * 4 + FLOOR))
    }
}
