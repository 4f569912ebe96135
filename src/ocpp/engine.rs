//! One outstanding CALL of ours (OCPP-J 1.6 section 4.1.1, 2.0.1 part 4 section 4.1.1), its id and its time-out.

use super::dialect::Call;
use super::frame;
use crate::domain::{Mono, Rng, StatusNotice};
use ocpp_kit::Version;
use std::time::Duration;

/// What a CALL of ours is about.
#[derive(Debug)]
pub(super) enum Purpose {
    /// BootNotification with this content.
    Boot(String),
    /// Heartbeat.
    Heartbeat,
    /// Authorize for this request of the station.
    Authorize(u64),
    /// The oldest ledger row.
    Row,
    /// StatusNotification.
    Status(StatusNotice),
    /// Something the peer asked for.
    Triggered,
}

/// A CALL that waits for its answer.
#[derive(Debug)]
pub(super) struct Outstanding {
    id: String,
    pub(super) action: &'static str,
    pub(super) purpose: Purpose,
    pub(super) sent: Mono,
    pub(super) deadline: Mono,
    pub(super) timeout: Duration,
}

/// The call slot.
#[derive(Debug)]
pub(super) struct Engine {
    version: Version,
    pub(super) rng: Rng,
    outstanding: Option<Outstanding>,
}

impl Engine {
    pub(super) fn new(version: Version, seed: u64) -> Self {
        Self {
            version,
            rng: Rng::new(seed),
            outstanding: None,
        }
    }

    /// Takes the free slot; the text is to be sent.
    pub(super) fn send(&mut self, now: Mono, call: &Call, purpose: Purpose, timeout: Duration) -> String {
        debug_assert!(self.outstanding.is_none(), "one CALL at a time");
        let id = self.rng.uuid();
        let text = frame::call_text(&id, call.action, &call.payload, self.version);
        self.outstanding = Some(Outstanding {
            id,
            action: call.action,
            purpose,
            sent: now,
            deadline: now.plus(timeout),
            timeout,
        });
        text
    }

    pub(super) fn outstanding(&self) -> Option<&Outstanding> {
        self.outstanding.as_ref()
    }

    /// The CALL an answer with this id belongs to; the slot is free then.
    pub(super) fn answered(&mut self, id: &str) -> Option<Outstanding> {
        self.outstanding.take_if(|waiting| waiting.id == id)
    }

    /// The CALL whose time is over; the slot is free then.
    pub(super) fn expired(&mut self, now: Mono) -> Option<Outstanding> {
        self.outstanding.take_if(|waiting| waiting.deadline <= now)
    }

    /// The connection is gone.
    pub(super) fn abandon(&mut self) -> Option<Outstanding> {
        self.outstanding.take()
    }
}
