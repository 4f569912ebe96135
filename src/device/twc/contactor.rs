//! Start and stop messages, known since firmware 4.5.3. A limit of zero makes a vehicle stop; one that goes on
//! drawing is cut off by opening the contactor, and what was opened is closed again before the next charging. Never
//! more often than once a minute: some vehicles want a replug afterwards.

use crate::domain::Mono;
use std::time::Duration;

/// A vehicle may go on drawing for this long after zero is in force.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two messages.
const EVERY: Duration = Duration::from_secs(60);
/// More than the offset of the unit's own measurement, 0.01 A.
const DRAWS: u16 = 200;
/// Starts that are tried while the unit does not acknowledge one.
const STARTS: u8 = 5;

/// The contactor of one unit.
#[derive(Clone, Debug, Default)]
pub(super) struct Contactor {
    drawing_since: Option<Mono>,
    opened: bool,
    starts: u8,
    last: Option<Mono>,
}

impl Contactor {
    /// A heartbeat was answered. `off`: zero is wanted and in force.
    pub(super) fn flows(&mut self, now: Mono, off: bool, actual: u16) {
        if off && actual > DRAWS {
            self.drawing_since.get_or_insert(now);
        } else {
            self.drawing_since = None;
        }
    }

    /// The message to send now: start (`true`) or stop.
    pub(super) fn due(&mut self, now: Mono, offers: bool) -> Option<bool> {
        let start = offers && self.opened && self.starts < STARTS;
        let stop = !offers
            && self
                .drawing_since
                .is_some_and(|since| now.since(since) >= PATIENCE);
        let early = self.last.is_some_and(|last| now.since(last) < EVERY);
        if early || !(start || stop) {
            return None;
        }
        self.last = Some(now);
        (self.opened, self.starts) = (true, if start { self.starts + 1 } else { 0 });
        Some(start)
    }

    /// The unit took a message.
    pub(super) fn acknowledged(&mut self, on: bool) {
        if on {
            self.opened = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vehicle_that_ignores_zero_is_cut_off_and_started_again_a_minute_later() {
        let mut contactor = Contactor::default();
        contactor.flows(Mono(0), true, 600);
        assert_eq!(contactor.due(Mono(9_999), false), None);
        assert_eq!(contactor.due(Mono(10_000), false), Some(false));
        contactor.flows(Mono(11_000), true, 0);
        assert_eq!(contactor.due(Mono(40_000), true), None);
        assert_eq!(contactor.due(Mono(70_000), true), Some(true));
        contactor.acknowledged(true);
        assert_eq!(contactor.due(Mono(140_000), true), None);
    }

    #[test]
    fn nothing_is_started_that_was_not_stopped() {
        let mut contactor = Contactor::default();
        contactor.flows(Mono(0), true, 100);
        assert_eq!(contactor.due(Mono(60_000), false), None);
        assert_eq!(contactor.due(Mono(60_000), true), None);
    }
}
