//! The device's own watchdog and the lease under which it is fed (promise S6).
//!
//! ```text
//!  Unarmed --armed and read back--> Armed --read-back differs, device restarted--> Unarmed (armed again)
//!
//!  lease:  now < until: fed       now >= until: not fed, and where any request feeds, not polled or probed
//! ```

use crate::domain::Mono;
use std::time::Duration;

/// What feeds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FedBy {
    /// Any request to the unit.
    AnyRequest,
    /// A write of its own.
    Write,
}

/// A watchdog as the profile and the set-up describe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// What feeds it.
    pub(super) by: FedBy,
    /// Longest pause between feeds.
    pub(super) every: Duration,
}

/// Feeding, lease and what is known of the arming.
#[derive(Clone, Debug)]
pub(super) struct Watchdog {
    terms: Option<Terms>,
    /// Feeding is allowed before this.
    until: Mono,
    /// Whether the lease has been seen ended since it was last given.
    ended: bool,
    /// When the device was last fed.
    fed_at: Mono,
    /// Not before this after a feed that failed.
    retry_at: Mono,
    armed: bool,
}

impl Watchdog {
    /// Without a lease.
    pub(super) fn new(terms: Option<Terms>) -> Self {
        Self {
            terms,
            until: Mono(0),
            ended: false,
            fed_at: Mono(0),
            retry_at: Mono(0),
            armed: false,
        }
    }

    /// Changes the terms after the device told its firmware.
    pub(super) fn set_terms(&mut self, terms: Option<Terms>) {
        self.terms = terms;
    }

    /// What feeds it; `None`: the device has no watchdog.
    pub(super) fn fed_by(&self) -> Option<FedBy> {
        self.terms.map(|terms| terms.by)
    }

    /// A new end of the lease. Returns whether feeding begins again after it had ended.
    pub(super) fn lease(&mut self, now: Mono, until: Mono) -> bool {
        self.until = until;
        if now >= until {
            return false;
        }
        std::mem::take(&mut self.ended)
    }

    /// The end of the lease while it is still ahead.
    pub(super) fn lease_end(&self, now: Mono) -> Option<Mono> {
        (self.terms.is_some() && now < self.until).then_some(self.until)
    }

    /// Whether the driver may act of its own accord in ways that feed. Notes the end of the lease.
    pub(super) fn may_feed(&mut self, now: Mono) -> bool {
        let leased = self.terms.is_none() || now < self.until;
        self.ended |= !leased;
        leased
    }

    /// Whether polls and probes are allowed: always, but where any request feeds only under the lease.
    pub(super) fn may_poll(&mut self, now: Mono) -> bool {
        let leased = self.may_feed(now);
        leased || self.fed_by() != Some(FedBy::AnyRequest)
    }

    /// When the next feed is due; `None`: there is nothing to feed. A watchdog that could not be verified is fed
    /// too: it may be running all the same, and a healthy gateway must not make the device fall back.
    pub(super) fn feed_due(&self) -> Option<Mono> {
        let terms = self.terms?;
        Some(self.fed_at.plus(terms.every).max(self.retry_at))
    }

    /// The device was fed.
    pub(super) fn fed(&mut self, now: Mono) {
        self.fed_at = now;
    }

    /// Any request was answered.
    pub(super) fn heard(&mut self, now: Mono) {
        if self.fed_by() == Some(FedBy::AnyRequest) {
            self.fed_at = now;
        }
    }

    /// A feed failed: again soon.
    pub(super) fn feed_failed(&mut self, now: Mono) {
        self.retry_at = now.plus(Duration::from_millis(500));
    }

    /// Whether it is armed as far as is known.
    pub(super) fn is_armed(&self) -> bool {
        self.armed
    }

    /// The registers were written and read back, or found otherwise.
    pub(super) fn set_armed(&mut self, now: Mono, armed: bool) {
        if armed && !self.armed {
            self.fed_at = now;
        }
        self.armed = armed;
    }
}
