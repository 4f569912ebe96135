//! Requests given to the bus and not answered yet: at most one of each priority class.

use super::errand::Errand;
use crate::device::Block;
use crate::domain::{Mono, Priority};
use std::time::Duration;

/// What an answer is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A step of this recipe.
    Lane(Errand),
    /// A block of the read plan.
    Block(Block),
    /// A look at a register that was written earlier.
    Look,
    /// A feed that is a write of its own.
    Feed,
    /// A step of the walk along the models of a SunSpec device.
    Survey,
}

/// A request under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flight {
    /// Its id.
    pub(super) id: u64,
    /// What it is for.
    pub(super) purpose: Purpose,
    /// Whether it changes the device.
    pub(super) write: bool,
}

/// The table of requests under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Flights {
    slots: [Option<Flight>; 4],
    last_id: u64,
    /// The device takes no write before this.
    write_from: Mono,
}

impl Flights {
    /// Whether a request of the class may go out.
    pub(super) fn is_free(&self, class: Priority) -> bool {
        self.slots[class as usize].is_none()
    }

    /// How many requests are under way.
    pub(super) fn count(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    /// When the device takes the next write; `None`: after the write under way.
    pub(super) fn write_from(&self, gap: Duration) -> Option<Mono> {
        let busy = !gap.is_zero() && self.slots.iter().flatten().any(|flight| flight.write);
        (!busy).then_some(self.write_from)
    }

    /// Notes a request; the class must be free.
    pub(super) fn start(&mut self, class: Priority, purpose: Purpose, write: bool) -> u64 {
        debug_assert!(self.is_free(class), "one request of each class");
        self.last_id += 1;
        self.slots[class as usize] = Some(Flight {
            id: self.last_id,
            purpose,
            write,
        });
        self.last_id
    }

    /// Takes the request an answer belongs to; `None`: it was cancelled, or never ours.
    pub(super) fn land(&mut self, id: u64, now: Mono, gap: Duration) -> Option<(Priority, Flight)> {
        let class = CLASSES
            .into_iter()
            .find(|class| self.slots[*class as usize].as_ref().is_some_and(|f| f.id == id))?;
        let flight = self.slots[class as usize].take()?;
        if flight.write {
            self.write_from = now.plus(gap);
        }
        Some((class, flight))
    }

    /// What the request of a class under way is for.
    pub(super) fn purpose(&self, class: Priority) -> Option<&Purpose> {
        self.slots[class as usize].as_ref().map(|flight| &flight.purpose)
    }

    /// Gives a request up; its id is to be cancelled.
    pub(super) fn give_up(&mut self, class: Priority) -> Option<Flight> {
        self.slots[class as usize].take()
    }
}

/// Every class, most urgent first.
pub(super) const CLASSES: [Priority; 4] = [Priority::Stop, Priority::Write, Priority::Feed, Priority::Read];
