//! Whether a device that speaks by itself is heard.
//!
//! ```text
//!  NoPort --port back--> Waiting --telegram--> Up --silence--> Down --telegram--> Up
//!                           `--silence--> Down          any --port lost--> NoPort
//! ```

use crate::device::StreamEffect;
use crate::domain::{DriveError, Mono};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    NoPort,
    Waiting,
    Up,
    Down,
}

/// Presence of one device.
#[derive(Clone, Debug)]
pub(in crate::device) struct Presence {
    slot: usize,
    silence: Duration,
    state: State,
    /// When it was last heard, or when the port was opened.
    since: Mono,
    /// Damaged telegrams came since then.
    noise: bool,
}

impl Presence {
    /// A device that counts as lost after so much silence. The port is not open yet.
    pub fn new(slot: usize, silence: Duration) -> Self {
        Self {
            slot,
            silence,
            state: State::NoPort,
            since: Mono(0),
            noise: false,
        }
    }

    /// The port is open.
    pub fn port_back(&mut self, now: Mono) {
        (self.state, self.since, self.noise) = (State::Waiting, now, false);
    }

    /// The port is gone.
    pub fn port_lost(&mut self) -> Option<StreamEffect> {
        let known = self.state != State::NoPort;
        self.state = State::NoPort;
        known.then(|| self.link(false, Some(DriveError::PortLost)))
    }

    /// An undamaged telegram came.
    pub fn heard(&mut self, now: Mono) -> Option<StreamEffect> {
        let news = self.state != State::Up;
        (self.state, self.since, self.noise) = (State::Up, now, false);
        news.then(|| self.link(true, None))
    }

    /// A damaged one came.
    pub fn damaged(&mut self) {
        self.noise = true;
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Mono) -> Option<StreamEffect> {
        let waits = matches!(self.state, State::Waiting | State::Up);
        if !waits || now.since(self.since) < self.silence {
            return None;
        }
        self.state = State::Down;
        let cause = if self.noise {
            DriveError::Garbled
        } else {
            DriveError::Timeout(self.silence)
        };
        Some(self.link(false, Some(cause)))
    }

    /// When it counts as lost.
    pub fn deadline(&self) -> Option<Mono> {
        matches!(self.state, State::Waiting | State::Up).then(|| self.since.plus(self.silence))
    }

    fn link(&self, up: bool, cause: Option<DriveError>) -> StreamEffect {
        StreamEffect::Link {
            slot: self.slot,
            up,
            cause,
        }
    }
}
