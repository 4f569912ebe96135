//! What a hub that has ended leaves to the next one, so that a reload loses no event.

use super::Task;
use crate::telemetry::mqtt::outbox::Outbox;
use crate::telemetry::picture::{Happening, View};
use tokio::sync::broadcast;

/// Events that wait for the broker, and where those that happen meanwhile are heard.
#[derive(Debug, Default)]
pub struct Left {
    outbox: Outbox,
    happenings: Option<broadcast::Receiver<Happening>>,
}

impl Task {
    pub(super) fn left(self) -> Left {
        self.count();
        Left {
            outbox: self.outbox.handed_over(),
            happenings: Some(self.hub.view.happenings),
        }
    }
}

impl Left {
    /// For the first hub of all: what happens from now on, until it begins.
    #[must_use]
    pub fn hearing(view: View) -> Self {
        Self {
            happenings: Some(view.happenings),
            ..Self::default()
        }
    }

    /// There is no hub, and was none: what happens concerns nobody.
    pub fn stop_hearing(&mut self) {
        self.happenings = None;
    }

    /// Nothing, where so many events waited.
    pub(super) fn lost(waiting: usize) -> Self {
        let mut left = Self::default();
        left.outbox.missed(waiting as u64);
        left
    }

    /// What waits for the next hub, which hears what has happened since the last one ended.
    pub(super) fn taken_over(self, view: &mut View) -> Outbox {
        if let Some(happenings) = self.happenings {
            view.happenings = happenings;
        }
        self.outbox
    }

    /// The next hub tells on other topics: what waits for these is given up, and counted.
    #[must_use]
    pub fn elsewhere(mut self) -> Self {
        let waiting = self.outbox.events();
        if waiting > 0 {
            tracing::warn!("MQTT: {waiting} events waited for topics that are no more; they are given up");
        }
        self.outbox.give_up();
        self
    }

    /// There is no next hub for now: nothing is kept but the count.
    #[must_use]
    pub fn over(self) -> Self {
        let mut over = self.elsewhere();
        if let Some(unheard) = over.happenings.take() {
            over.outbox.missed(unheard.len() as u64);
        }
        over
    }
}
