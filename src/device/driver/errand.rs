//! Recipes in their lanes: stops in one, everything else in the other, one place for each thing to be done.

use super::run::Run;
use crate::domain::{Mono, Priority};

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

/// Both lanes, most urgent first: never more than five jobs. The stop lane only ever holds a current.
#[derive(Clone, Debug, Default)]
pub(super) struct Lanes(Vec<(Priority, Errand, Job)>);

impl Lanes {
    /// The errands of a lane in order.
    pub(super) fn errands(&self, lane: Priority) -> Vec<Errand> {
        let of_lane = self.0.iter().filter(|(of, ..)| *of == lane);
        of_lane.map(|(_, errand, _)| *errand).collect()
    }

    /// A job.
    pub(super) fn get(&mut self, lane: Priority, errand: Errand) -> Option<&mut Job> {
        let mut jobs = self.0.iter_mut();
        jobs.find(|(of, to, _)| (*of, *to) == (lane, errand))
            .map(|(.., job)| job)
    }

    /// Whether an errand is under way or waits in either lane.
    pub(super) fn has(&self, errand: Errand) -> bool {
        self.0.iter().any(|(_, of, _)| *of == errand)
    }

    /// Whether a recipe for an errand has begun.
    pub(super) fn has_begun(&self, errand: Errand) -> bool {
        self.0
            .iter()
            .any(|(_, of, job)| *of == errand && job.run.is_some())
    }

    /// Whether a recipe for an errand has begun while no switch of phases has.
    pub(super) fn is_unfinished(&self, errand: Errand) -> bool {
        self.has_begun(errand) && !self.has_begun(Errand::Phases)
    }

    /// Takes a job.
    pub(super) fn take(&mut self, lane: Priority, errand: Errand) -> Option<Job> {
        let place = self
            .0
            .iter()
            .position(|(of, to, _)| (*of, *to) == (lane, errand))?;
        Some(self.0.remove(place).2)
    }

    /// Puts a job in its place; the caller has taken an older one.
    pub(super) fn put(&mut self, lane: Priority, errand: Errand, job: Job) {
        let older = self.take(lane, errand);
        debug_assert!(
            older.is_none_or(|job| job.tickets.is_empty()),
            "an older job was taken first"
        );
        let place = self.0.partition_point(|(of, to, _)| (*of, *to) < (lane, errand));
        self.0.insert(place, (lane, errand, job));
    }
}
