//! How often commands may move a contactor or restart something, whoever sends them and by whichever door.
//!
//! Rules:
//! * What opens a contactor never waits: a stop beats everything.
//! * What closes one waits until [`SPACING`] after a command last opened or closed it. It is closed by ending a hold, by
//!   raising a limit that pauses or taking it back, and by the end of such a limit; and not while the other of the two
//!   still pauses.
//! * Switching phases opens and closes it. A restart moves none, and is spaced by itself.

use crate::domain::{CpId, EvseId, LimitEntry, MilliAmps, Mono};
use std::collections::BTreeMap;
use std::time::Duration;

/// Least time between two of them.
pub(super) const SPACING: Duration = Duration::from_secs(60);
/// A limit that pauses until it is replaced.
const REPLACED: Mono = Mono(u64::MAX);

/// One EVSE.
pub(super) type Where = (CpId, EvseId);

/// By what an EVSE is paused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pause {
    /// A hold.
    pub held: bool,
    /// A limit too low to charge with, until then.
    pub limit: Option<Mono>,
}

impl Pause {
    /// As a station shows it; what is below `least` pauses.
    pub fn of(held: bool, local: Option<LimitEntry>, least: MilliAmps) -> Self {
        let pauses = local.filter(|local| local.amps < least || local.amps.0 == 0);
        Self {
            held,
            limit: pauses.map(|local| local.until.unwrap_or(REPLACED)),
        }
    }

    fn holds(self, now: Mono) -> bool {
        self.held || self.limit.is_some_and(|end| end > now)
    }

    /// When it ends by itself.
    fn ends(self) -> Option<Mono> {
        self.limit.filter(|end| !self.held && *end < REPLACED)
    }
}

/// What was done to one EVSE.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// A command last moved its contactor.
    moved: Option<Mono>,
    /// What the last command has come to; its station may not show it yet.
    said: Option<Pause>,
}

/// What was done to all.
#[derive(Debug, Default)]
pub(super) struct Spacing {
    evses: BTreeMap<Where, Known>,
    restarts: BTreeMap<CpId, Mono>,
}

impl Spacing {
    /// What pauses an EVSE, if a command said more of it than its station shows as yet.
    pub fn pause(&self, whom: &Where, shown: Pause) -> Pause {
        let said = self.evses.get(whom).and_then(|known| known.said);
        said.unwrap_or(shown)
    }

    /// Another pause is asked for, or none.
    ///
    /// # Errors
    /// Why not now.
    pub fn change(&mut self, now: Mono, whom: &Where, before: Pause, after: Pause) -> Result<(), String> {
        let moved = self.moved(whom, before, now);
        let opens = !before.holds(now) && after.holds(now);
        let closes = before.holds(now) && !after.holds(now);
        if closes {
            spaced(now, moved)?;
        }
        let moved = if opens || closes { Some(now) } else { moved };
        if after.holds(now)
            && let Some(end) = after.ends()
            && spaced(end, moved).is_err()
        {
            let least = SPACING.as_secs();
            return Err(format!(
                "too often: a pause that ends by itself lasts at least {least} s"
            ));
        }
        let said = Some(after);
        self.evses.insert(whom.clone(), Known { moved, said });
        Ok(())
    }

    /// Its phases are to be switched.
    ///
    /// # Errors
    /// Why not now.
    pub fn switch(&mut self, now: Mono, whom: &Where, before: Pause) -> Result<(), String> {
        spaced(now, self.moved(whom, before, now))?;
        self.evses.entry(whom.clone()).or_default().moved = Some(now);
        Ok(())
    }

    /// A charge point is to be restarted.
    ///
    /// # Errors
    /// Why not now.
    pub fn restart(&mut self, now: Mono, cp: &CpId) -> Result<(), String> {
        spaced(now, self.restarts.get(cp).copied())?;
        self.restarts.insert(cp.clone(), now);
        Ok(())
    }

    /// The station did not do what was asked: what it shows counts again.
    pub fn undone(&mut self, whom: &Where) {
        if let Some(known) = self.evses.get_mut(whom) {
            known.said = None;
        }
    }

    /// When a contactor was last moved: by a command, or by the end of a pause.
    fn moved(&self, whom: &Where, before: Pause, now: Mono) -> Option<Mono> {
        let ended = before.ends().filter(|end| *end <= now);
        ended.max(self.evses.get(whom).and_then(|known| known.moved))
    }
}

fn spaced(at: Mono, last: Option<Mono>) -> Result<(), String> {
    match last {
        Some(last) if at.since(last) < SPACING => {
            let left = SPACING.saturating_sub(at.since(last)).as_secs_f32().ceil();
            Err(format!("too often; again in {left} s"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::LimitSource;

    const FREE: Pause = Pause {
        held: false,
        limit: None,
    };
    const HELD: Pause = Pause {
        held: true,
        limit: None,
    };
    const ZERO: Pause = Pause {
        held: false,
        limit: Some(REPLACED),
    };

    fn at(second: u64) -> Mono {
        Mono(second * 1000)
    }

    fn until(second: u64) -> Pause {
        Pause {
            held: false,
            limit: Some(at(second)),
        }
    }

    /// One EVSE, to which one pause after the other is said.
    struct Bench(Spacing, Where);

    impl Bench {
        fn new() -> Self {
            Self(Spacing::default(), (CpId::new("CP"), EvseId(1)))
        }

        fn say(&mut self, second: u64, after: Pause) -> Result<(), String> {
            let before = self.0.pause(&self.1, FREE);
            self.0.change(at(second), &self.1, before, after)
        }
    }

    #[test]
    fn a_contactor_is_closed_a_minute_after_it_was_moved_and_opened_at_once() {
        for pause in [HELD, ZERO] {
            let mut b = Bench::new();
            assert_eq!(b.say(0, pause), Ok(()));
            assert_eq!(b.say(1, FREE), Err("too often; again in 59 s".to_owned()));
            assert_eq!(b.say(60, FREE), Ok(()));
            assert_eq!(b.say(61, pause), Ok(()), "a stop");
            assert!(b.say(120, FREE).is_err(), "a minute after it was opened");
            assert_eq!(b.say(121, FREE), Ok(()));
        }
    }

    #[test]
    fn what_is_paused_twice_is_closed_by_the_last_of_the_two() {
        let mut b = Bench::new();
        let both = Pause { held: true, ..ZERO };
        for (second, pause) in [(0, HELD), (1, both), (2, ZERO), (3, both), (4, HELD)] {
            assert_eq!(b.say(second, pause), Ok(()), "{second}");
        }
        assert!(b.say(59, FREE).is_err());
        assert_eq!(b.say(60, FREE), Ok(()));
    }

    #[test]
    fn what_pauses_nothing_moves_nothing() {
        let mut b = Bench::new();
        for second in 0..10 {
            assert_eq!(b.say(second, FREE), Ok(()));
        }
    }

    #[test]
    fn a_pause_that_ends_by_itself_closes_the_contactor_too() {
        let mut b = Bench::new();
        let short = b.say(0, until(59)).unwrap_err();
        assert!(short.contains("at least 60 s"), "{short}");
        assert_eq!(b.say(0, until(60)), Ok(()));
        assert_eq!(b.say(61, ZERO), Ok(()));
        assert!(b.say(62, FREE).is_err(), "it was opened a second ago");
        assert_eq!(b.say(63, until(122)), Ok(()), "a minute from 61 on");
        assert!(b.say(64, until(120)).is_err());
        let held = Pause {
            held: true,
            ..until(70)
        };
        assert_eq!(b.say(65, held), Ok(()), "the hold goes on");
        assert!(
            b.say(66, until(70)).is_err(),
            "and without it the limit ends too soon"
        );
    }

    #[test]
    fn what_the_station_did_not_do_does_not_count_as_said() {
        let mut b = Bench::new();
        assert_eq!(b.say(0, HELD), Ok(()));
        b.0.undone(&b.1);
        assert_eq!(b.0.pause(&b.1, FREE), FREE);
    }

    #[test]
    fn phases_and_restarts_are_spaced_too() {
        let mut b = Bench::new();
        assert_eq!(b.0.switch(at(0), &b.1, FREE), Ok(()));
        assert!(b.0.switch(at(59), &b.1, FREE).is_err());
        assert_eq!(b.say(1, HELD), Ok(()));
        assert!(
            b.0.switch(at(60), &b.1, HELD).is_err(),
            "it was opened a minute ago"
        );
        let cp = &b.1.0;
        assert_eq!(b.0.restart(at(0), cp), Ok(()));
        assert!(b.0.restart(at(59), cp).is_err());
        assert_eq!(b.0.restart(at(60), cp), Ok(()));
        assert_eq!(b.0.restart(at(60), &CpId::new("other")), Ok(()));
    }

    #[test]
    fn what_is_below_the_least_current_pauses() {
        let local = |amps| {
            Some(LimitEntry {
                amps: MilliAmps(amps),
                source: LimitSource::Local,
                until: None,
            })
        };
        let least = MilliAmps(6_000);
        assert_eq!(Pause::of(false, local(5_999), least), ZERO);
        assert_eq!(Pause::of(false, local(6_000), least), FREE);
        assert_eq!(Pause::of(true, None, least), HELD);
        assert_eq!(Pause::of(false, local(0), MilliAmps::ZERO), ZERO);
    }
}
