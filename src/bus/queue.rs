//! Whose turn it is. Pure.
//!
//! Stops and lowering writes go first, then other writes, watchdog feeds, and reads by their deadline. A device that
//! lets requests time out pays for the wasted bus time from a small budget; when it is used up its reads wait, so
//! that it costs the others at most [`SHARE_PERCENT`] of the bus in the long run (S4). It pays only while the
//! others that answer fail seldom: else the line is disturbed and nobody is to blame, and nobody must wait
//! for what it owes when the noise is over (S1). Who answers is not dead, and is forgiven; nor is one whose answers come
//! damaged of late, if it has ever answered well in the last minutes.

use crate::device::Request;
use crate::domain::{Mono, Priority};
use std::time::Duration;

/// Share of bus time that one device may waste.
const SHARE_PERCENT: u64 = 5;
/// Saved-up budget: three time-outs in a row must be possible soon, so that a dead device is known as dead.
const SAVINGS_US: i64 = 1_000_000;

/// A damaged answer says for so long that its device is there and the line disturbed.
const DISTURBED: Duration = Duration::from_secs(60);
/// But not of a device that never gets through: its settings are wrong, or two share its address.
const USED_TO_ANSWER: Duration = Duration::from_secs(600);
/// Of the last 16 requests of a device so many may fail on a sound line.
const SELDOM: u32 = 2;
/// Who has answered within this time is there.
const TELLS: Duration = Duration::from_secs(10);

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
    /// Last answer.
    good_at: Option<Mono>,
    /// Last damaged answer.
    garbled_at: Option<Mono>,
    /// Outcomes of the last requests, the latest lowest; a one is a failure.
    failures: u16,
}

/// All requests not yet sent on one bus.
#[derive(Debug)]
pub(crate) struct Queue {
    entries: Vec<Entry>,
    /// Device and id of the request that was taken last, unless it was cancelled since.
    taken: Option<(usize, u64)>,
    budgets: Vec<Budget>,
    serial: u64,
}

impl Queue {
    /// An empty queue for so many devices.
    pub(crate) fn new(devices: usize) -> Self {
        let full = Budget {
            left_us: SAVINGS_US,
            at: Mono(0),
            good_at: None,
            garbled_at: None,
            failures: 0,
        };
        Self {
            entries: Vec::new(),
            taken: None,
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

    /// Puts back a request that was taken but not sent; it keeps its place, unless it was cancelled meanwhile.
    pub(crate) fn restore(&mut self, entry: Entry) {
        if self.taken.take() == Some((entry.device, entry.request.id)) {
            self.entries.push(entry);
        }
    }

    /// Forgets a request.
    pub(crate) fn cancel(&mut self, device: usize, id: u64) {
        self.entries
            .retain(|entry| entry.device != device || entry.request.id != id);
        self.taken = self.taken.filter(|taken| *taken != (device, id));
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.taken = None;
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
            (Some((index, _)), _) => {
                let entry = self.entries.swap_remove(index);
                self.taken = Some((entry.device, entry.request.id));
                Next::Send(entry)
            }
            (None, Some(wait)) => Next::Wait(wait),
            (None, None) => Next::Idle,
        }
    }

    /// A request of the device was answered.
    pub(crate) fn answered(&mut self, device: usize, now: Mono) {
        let left_us = self.left(device, now).max(SAVINGS_US / 2);
        let budget = &mut self.budgets[device];
        (budget.left_us, budget.at, budget.good_at) = (left_us, now, Some(now));
        budget.failures <<= 1;
    }

    /// An answer of the device came damaged.
    pub(crate) fn garbled(&mut self, device: usize, now: Mono) {
        self.budgets[device].garbled_at = Some(now);
    }

    /// A request of the device kept the bus waiting in vain for `wasted`.
    pub(crate) fn charge(&mut self, device: usize, wasted: Duration, now: Mono) {
        let mut left_us = self.left(device, now);
        if self.others_are_well(device, now) {
            left_us -= i64::try_from(wasted.as_micros()).unwrap_or(i64::MAX);
        }
        let budget = &mut self.budgets[device];
        (budget.left_us, budget.at) = (left_us, now);
        budget.failures = budget.failures << 1 | 1;
    }

    /// Whether the device is there and only its answers come damaged.
    fn is_disturbed(&self, device: usize, now: Mono) -> bool {
        let within = |at: Option<Mono>, time: Duration| at.is_some_and(|at| now.since(at) < time);
        let budget = self.budgets[device];
        within(budget.garbled_at, DISTURBED) && within(budget.good_at, USED_TO_ANSWER)
    }

    /// Whether others answer, and those that do fail seldom.
    fn others_are_well(&self, device: usize, now: Mono) -> bool {
        let answers = |budget: &Budget| budget.good_at.is_some_and(|at| now.since(at) < TELLS);
        let others = self.budgets.iter().enumerate();
        let answering = others.filter(|(other, budget)| *other != device && answers(budget));
        let (count, failures) = answering.fold((0, 0), |(count, failures), (_, budget)| {
            (count + 1, failures + budget.failures.count_ones())
        });
        count > 0 && failures <= count * SELDOM
    }

    fn wait(&self, entry: &Entry, now: Mono, hold: &impl Fn(&Entry) -> Option<Duration>) -> Option<Duration> {
        if entry.request.priority == Priority::Stop {
            return None;
        }
        let left = self.left(entry.device, now);
        let late = entry.request.priority == Priority::Read && left <= 0;
        let dead = late && !self.is_disturbed(entry.device, now) && self.others_are_well(entry.device, now);
        let poor = dead.then(|| {
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
