//! What the device was last told to offer, and how sure we are that it does.
//!
//! ```text
//!                 command            recipe done
//!  Uncommanded ----------> Pending ---------------> InForce{disputes: 0}
//!                            ^  |  recipe failed        |  ^ a look agrees
//!                    command |  v                       v  |
//!                            Failed <---------- InForce{disputes: 1}   (re-written once, then only reported)
//! ```

use crate::device::Check;
use crate::domain::MilliAmps;

/// What is wanted of the device: the last word of each command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    /// Last `Limit`, or the limit of the safe state; zero is a pause.
    pub(super) limit: Option<MilliAmps>,
    /// Last `Enable`, where the device has a switch apart from the limit.
    pub(super) enabled: Option<bool>,
    /// The last word was `SafeState`.
    pub(super) safe: bool,
}

impl Wish {
    /// Whether nothing may be offered.
    pub(super) fn is_off(self) -> bool {
        self.enabled == Some(false) || self.limit.is_some_and(|limit| limit.0 <= 0)
    }

    /// What is offered at most; `None`: never said.
    pub(super) fn offered(self) -> Option<MilliAmps> {
        if self.is_off() {
            Some(MilliAmps::ZERO)
        } else {
            self.limit
        }
    }
}

/// How far the wish has come.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Standing {
    /// Nothing was commanded yet.
    Uncommanded,
    /// A recipe is under way or waits for its turn.
    Pending,
    /// The device confirmed it.
    InForce {
        /// Reads that show it still holds.
        checks: Vec<Check>,
        /// Looks in a row that showed something else.
        disputes: u8,
    },
    /// The recipe failed; the checks are known, what the device offers is not.
    Failed {
        /// Reads that would show that it holds.
        checks: Vec<Check>,
        /// Whether the device itself disagreed (and re-writing is of no use).
        disputed: bool,
    },
}

/// The commanded current of one device.
#[derive(Clone, Debug)]
pub(super) struct Current {
    /// The last word.
    pub(super) wish: Wish,
    /// What it came to.
    pub(super) standing: Standing,
    /// The most the device may be offering by what was written; `None`: unknown since it (re)started.
    pub(super) most: Option<MilliAmps>,
    /// Whether charging is, or may be, paused.
    pub(super) maybe_paused: bool,
    /// The recipe under way pauses although the wish is above zero: no value that may be written fits it.
    pub(super) pausing: bool,
    /// The last limit above zero, for a device that answers `Enable(true)` by its limit.
    pub(super) resume: Option<MilliAmps>,
}

impl Current {
    pub(super) fn new() -> Self {
        Self {
            wish: Wish::default(),
            standing: Standing::Uncommanded,
            most: None,
            maybe_paused: true,
            pausing: false,
            resume: None,
        }
    }

    /// Takes a limit.
    pub(super) fn limit(&mut self, limit: MilliAmps) {
        self.wish.limit = Some(limit);
        self.wish.safe = false;
        if limit.0 > 0 {
            self.resume = Some(limit);
        }
    }

    /// Takes an enable or disable of a device that has a switch.
    pub(super) fn switch(&mut self, on: bool) {
        self.wish.enabled = Some(on);
        self.wish.safe = false;
    }

    /// Takes the safe state: its current, but never more than is offered already.
    pub(super) fn safe(&mut self, fallback: MilliAmps) {
        let limit = self
            .wish
            .offered()
            .map_or(fallback, |offered| offered.min(fallback));
        self.wish.limit = Some(limit);
        self.wish.safe = true;
    }

    /// A write toward the wish is about to go out.
    pub(super) fn writing(&mut self) {
        self.most = match (self.most, self.wish.offered()) {
            (Some(most), Some(offered)) => Some(most.max(offered)),
            (None, _) | (_, None) => None,
        };
        if self.wish.is_off() || self.pausing {
            self.maybe_paused = true;
        }
    }

    /// The recipe is done.
    pub(super) fn done(&mut self, checks: Vec<Check>, restored: bool) {
        self.most = self.wish.offered();
        self.maybe_paused = self.wish.is_off() || self.wish.safe || self.pausing;
        self.standing = Standing::InForce {
            checks,
            disputes: u8::from(restored),
        };
    }

    /// The recipe failed.
    pub(super) fn failed(&mut self, checks: Vec<Check>, disputed: bool) {
        self.maybe_paused = true;
        self.standing = Standing::Failed { checks, disputed };
    }

    /// The device may have restarted, or somebody else may have written: nothing is known of it.
    pub(super) fn forget(&mut self) {
        self.most = None;
        self.maybe_paused = true;
    }

    /// The reads that show whether the wish holds, while no recipe is under way.
    pub(super) fn checks(&self) -> &[Check] {
        match &self.standing {
            Standing::InForce { checks, .. } | Standing::Failed { checks, .. } => checks,
            Standing::Uncommanded | Standing::Pending => &[],
        }
    }

    /// A check agreed.
    pub(super) fn agreed(&mut self) {
        self.standing = match std::mem::replace(&mut self.standing, Standing::Uncommanded) {
            Standing::InForce { checks, .. } | Standing::Failed { checks, .. } => {
                self.most = self.wish.offered();
                Standing::InForce { checks, disputes: 0 }
            }
            other @ (Standing::Uncommanded | Standing::Pending) => other,
        };
    }

    /// A check differed; whether to write the wish again.
    pub(super) fn disputed(&mut self) -> bool {
        self.forget();
        match &mut self.standing {
            Standing::InForce { disputes, .. } => {
                *disputes = disputes.saturating_add(1);
                *disputes == 1
            }
            Standing::Failed { disputed, .. } => !std::mem::replace(disputed, true),
            Standing::Uncommanded | Standing::Pending => false,
        }
    }
}
