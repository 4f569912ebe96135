//! Recipes in their lanes: stops in one, everything else in the other, one place for each thing to be done.

use super::run::Run;
use crate::domain::{Mono, Priority};
use std::collections::BTreeMap;

/// What a recipe is for. Of each there is at most one; among those that could go on, the first goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Errand {
    /// The commanded current.
    Current,
    /// The plug.
    Unlock,
    /// The watchdog, and the settings the device needs after each start.
    Arm,
    /// One phase or three. Once begun, nothing may offer current before it is over.
    Phases,
}

/// A recipe with those who wait for it.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// Who asked; nobody: the driver itself.
    pub(super) tickets: Vec<u64>,
    /// Since when it waits.
    pub(super) since: Mono,
    /// The recipe, once its turn has come: only then is known what is known of the device.
    pub(super) run: Option<Run>,
}

impl Job {
    /// A job whose turn has not come.
    pub(super) fn new(tickets: Vec<u64>, since: Mono) -> Self {
        Self {
            tickets,
            since,
            run: None,
        }
    }
}

/// Both lanes. The stop lane only ever holds a current.
#[derive(Clone, Debug, Default)]
pub(super) struct Lanes(BTreeMap<(Priority, Errand), Job>);

impl Lanes {
    /// The errands of a lane in order.
    pub(super) fn errands(&self, lane: Priority) -> Vec<Errand> {
        self.0
            .keys()
            .filter(|(of, _)| *of == lane)
            .map(|(_, errand)| *errand)
            .collect()
    }

    /// A job.
    pub(super) fn get(&mut self, lane: Priority, errand: Errand) -> Option<&mut Job> {
        self.0.get_mut(&(lane, errand))
    }

    /// Whether an errand is under way or waits in either lane.
    pub(super) fn has(&self, errand: Errand) -> bool {
        self.0.keys().any(|(_, of)| *of == errand)
    }

    /// Whether a recipe for an errand has begun.
    pub(super) fn has_begun(&self, errand: Errand) -> bool {
        let begun = |(key, job): (&(Priority, Errand), &Job)| key.1 == errand && job.run.is_some();
        self.0.iter().any(begun)
    }

    /// Whether a recipe for an errand has begun while no switch of phases has.
    pub(super) fn is_unfinished(&self, errand: Errand) -> bool {
        self.has_begun(errand) && !self.has_begun(Errand::Phases)
    }

    /// Takes a job.
    pub(super) fn take(&mut self, lane: Priority, errand: Errand) -> Option<Job> {
        self.0.remove(&(lane, errand))
    }

    /// Puts a job in its place; the caller has taken an older one.
    pub(super) fn put(&mut self, lane: Priority, errand: Errand, job: Job) {
        let older = self.0.insert((lane, errand), job);
        debug_assert!(
            older.is_none_or(|job| job.tickets.is_empty()),
            "an older job was taken first"
        );
    }
}
