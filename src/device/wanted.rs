//! The current that one device of a stream machine is to offer, and the commands that wait for it.
//!
//! The rules are those of the Modbus driver: the last word counts, an older command for the same thing is
//! `Superseded`; `Enable(true)` adds to a limit that is still on its way; the safe state never offers more than is
//! offered already.

use crate::domain::{DeviceCommand, MilliAmps, Mono};

/// What a device can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Below this it can only pause.
    pub(super) least: MilliAmps,
    /// More than this it never offers.
    pub(super) most: MilliAmps,
}

impl Bounds {
    /// The largest whole ampere within the bounds that does not exceed a current; zero is a pause.
    pub(super) fn fit(self, amps: MilliAmps) -> MilliAmps {
        let whole = MilliAmps::from_base(amps.min(self.most).base());
        if amps < self.least || whole < self.least {
            MilliAmps::ZERO
        } else {
            whole
        }
    }
}

/// Commands that wait for the device to obey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// Who asked.
    pub(super) tickets: Vec<u64>,
    /// Since when they wait.
    pub(super) since: Mono,
    /// It stops or lowers: it goes before everything else, lease or not.
    pub(super) urgent: bool,
    /// Requests in a row without an answer.
    pub(super) unanswered: u8,
    /// When the device was first told.
    pub(super) told: Option<Mono>,
}

/// The last word of each command, and who waits for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    limit: Option<MilliAmps>,
    enabled: Option<bool>,
    /// At most one.
    pub(super) order: Option<Order>,
}

impl Wanted {
    /// What is to be offered; `None`: nobody has said anything yet.
    pub(super) fn offered(&self) -> Option<MilliAmps> {
        match (self.limit, self.enabled) {
            (_, Some(false)) => Some(MilliAmps::ZERO),
            (limit, _) => limit.map(|limit| limit.max(MilliAmps::ZERO)),
        }
    }

    /// Takes a limit, switch or safe state; other commands change nothing. Gives the tickets it takes the place of.
    pub(super) fn take(
        &mut self,
        now: Mono,
        ticket: u64,
        command: DeviceCommand,
        lowering: bool,
        fallback: MilliAmps,
    ) -> Vec<u64> {
        let was_off = self.enabled == Some(false);
        match command {
            DeviceCommand::Limit(limit) => self.limit = Some(limit),
            DeviceCommand::Enable(on) => self.enabled = Some(on),
            DeviceCommand::SafeState => {
                self.limit = Some(self.offered().map_or(fallback, |offered| offered.min(fallback)));
            }
            DeviceCommand::Unlock | DeviceCommand::ArmWatchdog => {}
        }
        let older = self.order.take();
        let adds = command == DeviceCommand::Enable(true) && !was_off;
        let mut order = Order {
            tickets: vec![ticket],
            since: now,
            urgent: lowering || self.offered().is_some_and(|offered| offered.0 == 0),
            unanswered: 0,
            told: None,
        };
        let superseded = match older {
            Some(older) if adds => {
                order.urgent |= older.urgent;
                order.tickets.splice(0..0, older.tickets);
                Vec::new()
            }
            Some(older) => older.tickets,
            None => Vec::new(),
        };
        self.order = Some(order);
        superseded
    }

    /// The commands that waited, at their end.
    pub(super) fn finish(&mut self) -> Vec<u64> {
        self.order.take().map(|order| order.tickets).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DeviceCommand::{Enable, Limit, SafeState};

    const FALLBACK: MilliAmps = MilliAmps::from_base(6);

    fn amps(amps: i64) -> DeviceCommand {
        Limit(MilliAmps::from_base(amps))
    }

    #[test]
    fn the_last_word_counts_and_enable_adds_to_a_limit_on_its_way() {
        let mut wanted = Wanted::default();
        assert_eq!(wanted.offered(), None);
        assert!(wanted.take(Mono(0), 1, amps(16), false, FALLBACK).is_empty());
        assert!(wanted.take(Mono(0), 2, Enable(true), false, FALLBACK).is_empty());
        assert_eq!(wanted.take(Mono(0), 3, amps(10), true, FALLBACK), [1, 2]);
        assert_eq!(wanted.offered(), Some(MilliAmps::from_base(10)));
        assert_eq!(wanted.take(Mono(0), 4, Enable(false), true, FALLBACK), [3]);
        assert_eq!(wanted.offered(), Some(MilliAmps::ZERO));
        assert_eq!(wanted.take(Mono(0), 5, Enable(true), false, FALLBACK), [4]);
        assert_eq!(wanted.offered(), Some(MilliAmps::from_base(10)));
        assert_eq!(wanted.finish(), [5]);
    }

    #[test]
    fn the_safe_state_never_raises() {
        let mut wanted = Wanted::default();
        wanted.take(Mono(0), 1, amps(0), true, FALLBACK);
        wanted.take(Mono(0), 2, SafeState, true, FALLBACK);
        assert_eq!(wanted.offered(), Some(MilliAmps::ZERO));
        wanted.take(Mono(0), 3, amps(16), false, FALLBACK);
        wanted.take(Mono(0), 4, SafeState, true, FALLBACK);
        assert_eq!(wanted.offered(), Some(FALLBACK));
    }

    #[test]
    fn currents_are_rounded_down_to_whole_amperes_within_the_bounds() {
        let bounds = Bounds {
            least: MilliAmps::from_base(6),
            most: MilliAmps::from_base(32),
        };
        let fits = [0, 5_999, 6_000, 13_900, 32_000, 655_350].map(|milli| bounds.fit(MilliAmps(milli)).0);
        assert_eq!(fits, [0, 0, 6_000, 13_000, 32_000, 32_000]);
    }
}
