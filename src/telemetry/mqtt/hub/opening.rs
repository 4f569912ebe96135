//! What a connection begins with: subscriptions, announcements, the whole picture, and `online` at last.

use super::rows::Reading;
use super::{End, Task};
use crate::telemetry::client::{Link, LinkError, Message};
use crate::telemetry::mqtt::Announcer;
use std::sync::Arc;
use tokio::time::Instant;

impl Task {
    /// Subscribes and queues the whole picture, unless the announcer has to speak first and cannot yet.
    pub(super) fn open(&mut self, link: &Link) {
        let mut filters = self
            .hub
            .announcer
            .as_ref()
            .map_or_else(Vec::new, |announcer| announcer.filters());
        filters.extend(self.leftovers.filters(&self.topics));
        if self.gate.is_some() {
            filters.extend(self.topics.commands());
        }
        self.subscribing = filters.iter().map(|filter| link.subscribe(filter)).collect();
        self.board.forget();
        (self.opening, self.greeted) = (0, false);
        self.announce();
        self.held = self.announcer_waits();
        if !self.held {
            self.begin();
        }
        if let Some(ledger) = &self.hub.ledger {
            self.reading = Reading::Fetching(Arc::clone(ledger).next());
        }
    }

    /// Queues `online` once the whole picture is told and every subscription is answered; no event goes before it.
    pub(super) fn greet(&mut self) {
        if !self.greeted && self.opening == 0 && self.subscribing.is_empty() {
            self.greeted = true;
            self.tell_online();
            self.opening = self.outbox.states();
        }
    }

    pub(super) fn tell_online(&mut self) {
        self.outbox
            .state(Message::retained(self.topics.status(), "online"));
    }

    pub(super) fn announce(&mut self) {
        let picture = Arc::clone(&self.hub.view.picture.borrow());
        let Some(announcer) = self.hub.announcer.as_mut() else {
            return;
        };
        let (messages, once_more) = announcer.announce(&picture, self.greeted);
        for message in messages {
            self.outbox.state(message);
        }
        self.announce_at = once_more.map(|after| Instant::now() + after);
    }

    /// It will be asked once more, and knows nothing to announce before.
    fn announcer_waits(&self) -> bool {
        let announcer = self.hub.announcer.as_deref();
        self.announce_at.is_some() && announcer.is_some_and(Announcer::waits)
    }

    /// Queues the picture a connection begins with.
    fn begin(&mut self) {
        self.held = false;
        self.tell_all();
        self.opening = self.outbox.states();
    }

    /// Whatever the announcer had to say by now, the picture waits no longer.
    pub(super) fn announce_once_more(&mut self) {
        self.announce();
        if self.held {
            self.begin();
        }
    }

    /// Announces and tells everything again, or for the first time.
    pub(super) fn tell_again(&mut self) {
        self.announce();
        if !self.held {
            self.tell_all();
        } else if !self.announcer_waits() {
            self.begin();
        }
    }
}

/// Publishing goes on where a subscription is refused: who reads is not to suffer for who writes.
pub(super) fn subscribed(answer: Result<(), LinkError>) -> Result<(), End> {
    match answer {
        Err(error @ LinkError::NotSubscribed { .. }) => tracing::warn!("MQTT: {error}"),
        other => other?,
    }
    Ok(())
}
