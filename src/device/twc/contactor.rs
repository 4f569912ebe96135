//! Start and stop messages, known since firmware 4.5.3. A limit of zero makes a vehicle stop; one that goes on
//! drawing is cut off by opening the contactor, and what was opened is closed again before the next charging. So is
//! one whose unit does not take the limit of zero, when it has had the time to. Never more often than once a minute:
//! some vehicles want a replug afterwards.

use crate::domain::Mono;
use std::time::Duration;

/// A vehicle may go on drawing for this long after zero is in force.
const PATIENCE: Duration = Duration::from_secs(10);
/// And for this long after zero was first said to a unit that goes on showing another limit.
const DISOBEYED: Duration = Duration::from_secs(20);
/// Between two messages.
const EVERY: Duration = Duration::from_secs(60);
/// More than the offset of the unit's own measurement, 0.01 A.
const DRAWS: u16 = 200;
/// Starts that are tried while the unit does not acknowledge one.
const STARTS: u8 = 5;

/// The contactor of one unit.
#[derive(Clone, Debug, Default)]
pub(super) struct Contactor {
    /// Since when it draws with zero in force.
    drawing_since: Option<Mono>,
    /// Since when it draws though zero was said.
    disobeying_since: Option<Mono>,
    opened: bool,
    starts: u8,
    last: Option<Mono>,
}

impl Contactor {
    /// A heartbeat was answered. `told`: zero was said to it; `off`: it is in force.
    pub(super) fn flows(&mut self, now: Mono, told: bool, off: bool, actual: u16) {
        let draws = told && actual > DRAWS;
        for (since, draws) in [
            (&mut self.disobeying_since, draws),
            (&mut self.drawing_since, draws && off),
        ] {
            *since = draws.then(|| since.unwrap_or(now));
        }
    }

    /// The message to send now: start (`true`) or stop.
    pub(super) fn due(&mut self, now: Mono, offers: bool) -> Option<bool> {
        let start = offers && self.opened && self.starts < STARTS;
        let long = |since: Option<Mono>, most| since.is_some_and(|since| now.since(since) >= most);
        let stop = !offers && (long(self.drawing_since, PATIENCE) || long(self.disobeying_since, DISOBEYED));
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
        contactor.flows(Mono(0), true, true, 600);
        assert_eq!(contactor.due(Mono(9_999), false), None);
        assert_eq!(contactor.due(Mono(10_000), false), Some(false));
        contactor.flows(Mono(11_000), true, true, 0);
        assert_eq!(contactor.due(Mono(40_000), true), None);
        assert_eq!(contactor.due(Mono(70_000), true), Some(true));
        contactor.acknowledged(true);
        assert_eq!(contactor.due(Mono(140_000), true), None);
    }

    #[test]
    fn a_unit_that_shows_another_limit_has_longer_and_is_cut_off_too() {
        let mut contactor = Contactor::default();
        contactor.flows(Mono(0), true, false, 1_500);
        assert_eq!(contactor.due(Mono(19_999), false), None);
        contactor.flows(Mono(19_000), true, false, 1_500);
        assert_eq!(contactor.due(Mono(20_000), false), Some(false));
        let mut late = Contactor::default();
        late.flows(Mono(0), true, false, 1_500);
        late.flows(Mono(8_000), true, true, 600);
        late.flows(Mono(13_000), true, true, 20);
        assert_eq!(late.due(Mono(30_000), false), None, "it stopped after all");
    }

    #[test]
    fn nothing_is_started_that_was_not_stopped() {
        let mut contactor = Contactor::default();
        contactor.flows(Mono(0), true, true, 100);
        assert_eq!(contactor.due(Mono(60_000), false), None);
        assert_eq!(contactor.due(Mono(60_000), true), None);
    }
}
