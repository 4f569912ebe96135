//! Effects on their way out, under the ordering law of the house.
//!
//! * A commit is a barrier: nothing behind it leaves before it is durable.
//! * A drive that lowers or stops power never waits, and takes with it every raising drive of the same EVSE
//!   that still waits: an old "more" can never follow a newer "less".
//! * Commits that wait behind a barrier are merged, so that at most one waits and a hung disk costs bounded
//!   memory; of the rows in it samples are given up first, beginnings and ends never.

use super::io::Effect;
use crate::domain::{Batch, EvseId, Mono};
use std::collections::VecDeque;

/// Most rows in a commit that waits behind a barrier before samples are given up.
const ROWS_MAX: usize = 512;
/// Most effects that wait behind a barrier before notices and leases are given up.
const WAITING_MAX: usize = 512;

/// The queue of effects.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    express: VecDeque<Effect>,
    queue: VecDeque<Effect>,
    barrier: Option<Barrier>,
    commits: u64,
}

#[derive(Debug)]
struct Barrier {
    id: u64,
    since: Mono,
}

impl Outbox {
    /// Adds an effect at the end, or ahead of all if it lowers power.
    pub(super) fn push(&mut self, effect: Effect) {
        if let Effect::Drive {
            evse, lowering: true, ..
        } = &effect
        {
            self.forget_raises(*evse);
            self.express.push_back(effect);
            return;
        }
        if self.queue.len() >= WAITING_MAX {
            self.queue.retain(|e| !matches!(e, Effect::Notify(_)));
        }
        self.queue.push_back(effect);
    }

    /// Adds an effect that neither raises power nor depends on the records.
    pub(super) fn push_express(&mut self, effect: Effect) {
        self.express.push_back(effect);
    }

    /// Makes a batch durable before anything that is pushed after it.
    pub(super) fn commit(&mut self, batch: Batch) {
        if batch.is_empty() {
            return;
        }
        for waiting in &mut self.queue {
            if let Effect::Commit { batch: earlier, .. } = waiting {
                merge(earlier, batch);
                return;
            }
        }
        self.commits += 1;
        self.queue.push_back(Effect::Commit {
            id: self.commits,
            batch,
        });
    }

    /// The barrier of this id is durable.
    pub(super) fn committed(&mut self, id: u64) {
        if self.barrier.as_ref().is_some_and(|b| b.id == id) {
            self.barrier = None;
        }
    }

    /// The next effect that may leave.
    pub(super) fn pop(&mut self, now: Mono) -> Option<Effect> {
        if let Some(effect) = self.express.pop_front() {
            return Some(effect);
        }
        if self.barrier.is_some() {
            return None;
        }
        let effect = self.queue.pop_front()?;
        if let Effect::Commit { id, .. } = &effect {
            self.barrier = Some(Barrier { id: *id, since: now });
        }
        Some(effect)
    }

    /// Since when the store has owed us an answer.
    pub(super) fn waiting_since(&self) -> Option<Mono> {
        self.barrier.as_ref().map(|b| b.since)
    }

    fn forget_raises(&mut self, which: EvseId) {
        self.queue
            .retain(|e| !matches!(e, Effect::Drive { evse, lowering: false, .. } if *evse == which));
    }
}

/// Adds `later` to a batch that has not left yet; a key written twice keeps only the later value.
fn merge(earlier: &mut Batch, later: Batch) {
    earlier
        .puts
        .retain(|p| !later.puts.iter().any(|q| q.scope == p.scope && q.key == p.key));
    earlier.append(later);
    if earlier.rows.len() > ROWS_MAX {
        let mut odd = false;
        earlier.rows.retain(|row| {
            odd = !odd;
            row.event.tx().is_some() || odd
        });
    }
}
