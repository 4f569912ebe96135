//! Effects on their way out, under the ordering law of the house.
//!
//! * A commit is a barrier: nothing behind it leaves before it is durable.
//! * A drive that lowers or stops power never waits, and takes with it every raising drive of the same EVSE
//!   that still waits: an old "more" can never follow a newer "less".
//! * Commits that wait behind a barrier are merged, so that at most one waits and a hung disk costs bounded
//!   memory; of the rows in it samples are given up first, beginnings and ends never.

use super::io::Effect;
use crate::domain::{Batch, DeviceCommand, Event, EvseId, MilliAmps, Mono};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Most rows in a commit that waits behind a barrier before samples are given up.
const ROWS_MAX: usize = 512;
/// Most effects that wait behind a barrier before notices and leases are given up.
const WAITING_MAX: usize = 512;

/// A store that has not answered for this long is not healthy: no more samples, no more leases.
const STORE_PATIENCE: Duration = Duration::from_secs(15);

/// The queue of effects.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    express: VecDeque<Effect>,
    queue: VecDeque<Effect>,
    barrier: Option<Barrier>,
    commits: u64,
    /// The last limit that left, per EVSE.
    sent: BTreeMap<EvseId, MilliAmps>,
    /// Samples given up.
    given_up: u64,
}

#[derive(Debug)]
struct Barrier {
    id: u64,
    since: Mono,
}

impl Outbox {
    /// Adds an effect at the end, or, if it is a drive that lowers power, ahead of all.
    pub(super) fn push(&mut self, effect: Effect) {
        match effect {
            Effect::Drive {
                evse,
                ticket,
                command,
                lowering: true,
            } => self.lower(evse, ticket, command),
            other => self.enqueue(other),
        }
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
                self.given_up += merge(earlier, batch);
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
        let effect = match self.express.pop_front() {
            Some(effect) => effect,
            None if self.barrier.is_some() => return None,
            None => self.queue.pop_front()?,
        };
        match &effect {
            Effect::Commit { id, .. } => self.barrier = Some(Barrier { id: *id, since: now }),
            Effect::Drive {
                evse,
                command: DeviceCommand::Limit(amps),
                ..
            } => {
                self.sent.insert(*evse, *amps);
            }
            _ => {}
        }
        Some(effect)
    }

    /// Whether the store has owed an answer for longer than is healthy.
    pub(super) fn is_stuck(&self, now: Mono) -> bool {
        self.barrier
            .as_ref()
            .is_some_and(|b| now.since(b.since) > STORE_PATIENCE)
    }

    /// A sample is given up.
    pub(super) fn give_up(&mut self) {
        self.given_up += 1;
    }

    /// Samples given up so far, because the store does not answer.
    pub(super) fn given_up(&self) -> u64 {
        self.given_up
    }

    /// Batches that are not known to be durable.
    pub(super) fn unwritten(&self) -> usize {
        let queued = self.queue.iter().filter(|e| matches!(e, Effect::Commit { .. }));
        usize::from(self.barrier.is_some()) + queued.count()
    }

    fn enqueue(&mut self, effect: Effect) {
        if self.queue.len() >= WAITING_MAX {
            self.queue.retain(|e| !matches!(e, Effect::Notify(_)));
        }
        self.queue.push_back(effect);
    }

    /// A drive that lowers what the station last wanted. Where that had not left yet, it may still be more than
    /// what was really sent; then it has no right to overtake.
    fn lower(&mut self, evse: EvseId, ticket: u64, command: DeviceCommand) {
        self.queue.retain(|e| match e {
            Effect::Drive {
                evse: other,
                command: waiting,
                ..
            } if *other == evse => !replaces(command, *waiting),
            _ => true,
        });
        let lowering = match command {
            DeviceCommand::Limit(amps) => {
                amps.0 == 0 || self.sent.get(&evse).is_some_and(|sent| amps <= *sent)
            }
            DeviceCommand::Phases(_) => false,
            DeviceCommand::Enable(_)
            | DeviceCommand::Unlock
            | DeviceCommand::ArmWatchdog
            | DeviceCommand::SafeState => true,
        };
        let effect = Effect::Drive {
            evse,
            ticket,
            command,
            lowering,
        };
        if lowering {
            self.express.push_back(effect);
        } else {
            self.enqueue(effect);
        }
    }
}

/// Whether a command that waits is pointless once a lowering one is given.
fn replaces(lowering: DeviceCommand, waiting: DeviceCommand) -> bool {
    match waiting {
        DeviceCommand::Limit(_) => matches!(lowering, DeviceCommand::Limit(_) | DeviceCommand::SafeState),
        DeviceCommand::Enable(true) => matches!(
            lowering,
            DeviceCommand::Limit(MilliAmps::ZERO) | DeviceCommand::Enable(false) | DeviceCommand::SafeState
        ),
        DeviceCommand::Enable(false)
        | DeviceCommand::Phases(_)
        | DeviceCommand::Unlock
        | DeviceCommand::ArmWatchdog
        | DeviceCommand::SafeState => false,
    }
}

/// Adds `later` to a batch that has not left yet; a key written twice keeps only the later value. Gives how many samples
/// had to go.
fn merge(earlier: &mut Batch, later: Batch) -> u64 {
    let written: BTreeSet<(&str, &str)> = later
        .puts
        .iter()
        .map(|put| (put.scope.as_str(), put.key.as_str()))
        .collect();
    earlier
        .puts
        .retain(|put| !written.contains(&(put.scope.as_str(), put.key.as_str())));
    earlier.append(later);
    let before = earlier.rows.len();
    if earlier.rows.len() > ROWS_MAX {
        let mut odd = false;
        earlier.rows.retain(|row| {
            odd = !odd;
            row.event.tx().is_some()
                || matches!(row.event, Event::Security(_) | Event::Log(_) | Event::Firmware(_))
                || odd
        });
    }
    u64::try_from(before - earlier.rows.len()).unwrap_or(0)
}
