//! Whose turn it is. Pure.
//!
//! Stops and lowering writes go first, then other writes, watchdog feeds, and reads by their deadline. A device that
//! lets requests time out pays for the wasted bus time from a small budget; when it is used up its reads wait, so
//! that it costs the others at most [`SHARE_PERCENT`] of the bus in the long run (S4).

use crate::device::Request;
use crate::domain::{Mono, Priority};
use std::time::Duration;

/// Share of bus time that one device may waste.
const SHARE_PERCENT: u64 = 5;
/// Saved-up budget: three time-outs in a row must be possible soon, so that a dead device is known as dead.
const SAVINGS_US: i64 = 1_000_000;

/// A request and the device it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Index of the device on its bus.
    pub device: usize,
    /// What to do.
    pub request: Request,
    serial: u64,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Send this now.
    Send(Entry),
    /// Nothing before this has passed.
    Wait(Duration),
    /// Nothing is queued.
    Idle,
}

#[derive(Clone, Copy, Debug)]
struct Budget {
    left_us: i64,
    at: Mono,
}

/// All requests not yet sent on one bus.
#[derive(Debug)]
pub(crate) struct Queue {
    entries: Vec<Entry>,
    budgets: Vec<Budget>,
    serial: u64,
}

impl Queue {
    /// An empty queue for so many devices.
    pub(crate) fn new(devices: usize) -> Self {
        let full = Budget {
            left_us: SAVINGS_US,
            at: Mono(0),
        };
        Self {
            entries: Vec::new(),
            budgets: vec![full; devices],
            serial: 0,
        }
    }

    /// Takes in a request.
    pub(crate) fn push(&mut self, device: usize, request: Request) {
        self.serial += 1;
        self.entries.push(Entry {
            device,
            request,
            serial: self.serial,
        });
    }

    /// Puts back a request that was taken but not sent; it keeps its place.
    pub(crate) fn restore(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// Forgets a request.
    pub(crate) fn cancel(&mut self, device: usize, id: u64) {
        self.entries
            .retain(|entry| entry.device != device || entry.request.id != id);
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Whether a request of this priority or a higher one waits.
    pub(crate) fn has(&self, priority: Priority) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.request.priority <= priority)
    }

    /// Takes the request whose turn it is. `hold` tells how long the line must keep one back; a stop is never held.
    pub(crate) fn pop(&mut self, now: Mono, hold: impl Fn(&Entry) -> Option<Duration>) -> Next {
        let mut best: Option<(usize, (Priority, Mono, u64))> = None;
        let mut soonest: Option<Duration> = None;
        for (index, entry) in self.entries.iter().enumerate() {
            let key = (entry.request.priority, entry.request.due, entry.serial);
            if best.is_some_and(|(_, other)| other <= key) {
                continue;
            }
            match self.wait(entry, now, &hold) {
                Some(wait) => soonest = Some(soonest.map_or(wait, |other| other.min(wait))),
                None => best = Some((index, key)),
            }
        }
        match (best, soonest) {
            (Some((index, _)), _) => Next::Send(self.entries.swap_remove(index)),
            (None, Some(wait)) => Next::Wait(wait),
            (None, None) => Next::Idle,
        }
    }

    /// A request of the device kept the bus waiting in vain for `wasted`.
    pub(crate) fn charge(&mut self, device: usize, wasted: Duration, now: Mono) {
        let left_us = self.left(device, now) - i64::try_from(wasted.as_micros()).unwrap_or(i64::MAX);
        self.budgets[device] = Budget { left_us, at: now };
    }

    fn wait(&self, entry: &Entry, now: Mono, hold: &impl Fn(&Entry) -> Option<Duration>) -> Option<Duration> {
        if entry.request.priority == Priority::Stop {
            return None;
        }
        let alone = self.budgets.len() == 1;
        let left = self.left(entry.device, now);
        let poor = (entry.request.priority == Priority::Read && !alone && left <= 0).then(|| {
            let missing_us = left.unsigned_abs() + 1;
            Duration::from_micros(missing_us * 100 / SHARE_PERCENT)
        });
        hold(entry).max(poor)
    }

    fn left(&self, device: usize, now: Mono) -> i64 {
        let budget = self.budgets[device];
        let earned = now.since(budget.at).as_micros() * u128::from(SHARE_PERCENT) / 100;
        let earned = i64::try_from(earned).unwrap_or(i64::MAX);
        budget.left_us.saturating_add(earned).min(SAVINGS_US)
    }
}

#[cfg(test)]
#[path = "tests/queue.rs"]
mod tests;
