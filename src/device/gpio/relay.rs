//! The relay of a charger without a data line: when it may change, and whether the contactor followed.
//!
//! ```text
//!   Open --wanted closed, min_off passed--> Closed --limit below the rating, min_on passed--> Open
//!                                              \--stop, fault, end of the lease: at once-----/
//! ```

use crate::domain::{Mono, RelaySetup};
use std::time::Duration;

/// A contactor that has not followed its coil after this has failed.
const FOLLOWS: Duration = Duration::from_secs(2);

/// What the relay is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Open at once.
    Stop,
    /// Open when the contactor has been closed long enough.
    Pause,
    /// Closed when it has been open long enough.
    Close,
}

/// How the contactor answers its coil.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Followed {
    /// As told, or nobody can tell.
    Yes,
    /// It may still be moving.
    NotYet,
    /// It stays closed.
    Welded,
    /// It stays open.
    Stuck,
}

/// The relay.
#[derive(Clone, Debug)]
pub(super) struct Relay {
    setup: RelaySetup,
    closed: bool,
    /// Since when.
    since: Mono,
    /// Mirror contact and since when it reads so; `None`: not wired.
    feedback: Option<(bool, Mono)>,
}

impl Relay {
    /// A relay that nothing is known of: it counts as opened just now.
    pub(super) fn new(setup: RelaySetup) -> Self {
        Self {
            setup,
            closed: false,
            since: Mono(0),
            feedback: None,
        }
    }

    /// The line was taken, open. For how long the contactor has been so nobody knows.
    pub(super) fn begin(&mut self, now: Mono) {
        self.closed = false;
        self.since = now;
        self.feedback = None;
    }

    /// What flows at most once it is closed.
    pub(super) fn setup(&self) -> RelaySetup {
        self.setup
    }

    /// Whether the coil is on.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The mirror contact reads so.
    pub(super) fn fed_back(&mut self, closed: bool, now: Mono) {
        if self.feedback.is_none_or(|(before, _)| before != closed) {
            self.feedback = Some((closed, now));
        }
    }

    /// Switches if it is wanted and time; gives the new position.
    pub(super) fn follow(&mut self, wish: Wish, now: Mono) -> Option<bool> {
        let due = match (wish, self.closed) {
            (Wish::Stop, true) => true,
            (Wish::Pause, true) | (Wish::Close, false) => self.free_at() <= now,
            (Wish::Stop | Wish::Pause, false) | (Wish::Close, true) => false,
        };
        due.then(|| {
            self.closed = wish == Wish::Close;
            self.since = now;
            self.closed
        })
    }

    /// When it may change by itself, if the wish needs it to.
    pub(super) fn due(&self, wish: Wish) -> Option<Mono> {
        match (wish, self.closed) {
            (Wish::Pause, true) | (Wish::Close, false) => Some(self.free_at()),
            _ => None,
        }
    }

    /// What the mirror contact says of the contactor.
    pub(super) fn followed(&self, now: Mono) -> Followed {
        match self.feedback {
            Some((seen, _)) if seen != self.closed => {
                if now < self.verdict_at() {
                    Followed::NotYet
                } else if self.closed {
                    Followed::Stuck
                } else {
                    Followed::Welded
                }
            }
            _ => Followed::Yes,
        }
    }

    /// When a contactor that has not followed yet has failed.
    pub(super) fn verdict_due(&self, now: Mono) -> Option<Mono> {
        (self.followed(now) == Followed::NotYet).then(|| self.verdict_at())
    }

    fn verdict_at(&self) -> Mono {
        let moved = self.feedback.map_or(self.since, |(_, at)| at.max(self.since));
        moved.plus(FOLLOWS)
    }

    fn free_at(&self) -> Mono {
        self.since.plus(if self.closed {
            self.setup.min_on
        } else {
            self.setup.min_off
        })
    }
}
