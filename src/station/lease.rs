//! The lease on a charger's watchdog: fed only while everything that makes charging safe is healthy.

use crate::domain::Mono;
use std::time::Duration;

/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(5);
/// How far ahead a lease reaches: two periods, so that whatever hangs, nothing is fed after them (promise S6).
pub const REACH: Duration = Duration::from_secs(10);
/// How long a charger may be silent while its link counts as up.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// After so long without a lease one more is given on trial: a device that is fed by any request is not asked
/// anything without one, and could never show that it is there, or well again.
const TRIAL: Duration = Duration::from_secs(60);

/// Health as far as it concerns a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// Everything is well.
    Good,
    /// Not well, but only talking to the device can show that it is well again.
    Doubtful,
    /// Must not be fed.
    Bad,
}

/// One EVSE's lease.
#[derive(Clone, Debug, Default)]
pub(super) struct Lease {
    /// Leases have been given without a gap since then.
    from: Option<Mono>,
    last: Option<Mono>,
    /// The last one on trial.
    trial: Option<Mono>,
    /// Another device of the EVSE was heard again: the line may be sound again.
    hint: bool,
}

impl Lease {
    /// Whether a charger that was last heard then has been silent for too long while it was fed.
    pub(super) fn too_silent(&self, heard: Option<Mono>, now: Mono) -> bool {
        self.from
            .is_some_and(|from| now.since(heard.map_or(from, |h| h.max(from))) > SILENCE_MAX)
    }

    /// Whether the charger is being fed.
    pub(super) fn holds(&self, now: Mono) -> bool {
        self.last.is_some_and(|last| now < last.plus(REACH))
    }

    /// Another device of the EVSE, that was not heard, is heard again. A charger not heard either is then given a
    /// lease on trial at once, but not twice within a minute: one that hears and is not heard must fall back.
    pub(super) fn hint(&mut self) {
        self.hint = true;
    }

    /// Gives the end of the lease to grant now, if it is time.
    pub(super) fn renew(&mut self, health: Health, now: Mono) -> Option<Mono> {
        let due = match health {
            Health::Bad => false,
            Health::Good => self.last.is_none_or(|last| now.since(last) >= RENEW) || self.from.is_none(),
            Health::Doubtful => {
                let over = |at: Option<Mono>, by: Duration| at.is_none_or(|at| now.since(at) >= by);
                over(self.last, TRIAL) || (self.hint && over(self.last, REACH) && over(self.trial, TRIAL))
            }
        };
        match health {
            Health::Bad | Health::Doubtful => self.from = None,
            Health::Good => self.from = self.from.or(Some(now)),
        }
        if health == Health::Good {
            self.hint = false;
        }
        due.then(|| {
            if health == Health::Doubtful {
                (self.trial, self.hint) = (Some(now), false);
            }
            self.last = Some(now);
            now.plus(REACH)
        })
    }

    /// When the lease must be looked at again.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let last = self.last?;
        Some(last.plus(if self.from.is_some() { RENEW } else { TRIAL }))
    }
}
