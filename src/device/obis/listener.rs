//! The machine of a meter that speaks by itself: telegrams to observations, silence to a lost link.

use super::item::Item;
use super::map::{Facts, observe};
use super::presence::Presence;
use crate::device::{Profile, StreamDevice, StreamEffect, StreamInput, StreamMachine};
use crate::domain::{DriveError, Mono, Now};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Finds telegrams in bytes that come cut anywhere.
pub(in crate::device) trait Telegrams: Send {
    /// Takes bytes; the values of each undamaged telegram, and why each damaged one is none.
    fn feed(&mut self, bytes: &[u8]) -> Vec<Result<Vec<Item>, Damage>>;
    /// Forgets a telegram that began: bytes were lost.
    fn reset(&mut self);
}

/// Why a telegram is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The checksum over all of it.
    #[error("checksum {got:#06x} instead of {want:#06x}")]
    Checksum {
        /// As received.
        got: u16,
        /// As computed.
        want: u16,
    },
    /// It has none, and has to.
    #[error("no checksum")]
    NoChecksum,
    /// It has none, and its form is not that of the telegram before it.
    #[error("another form than the telegram before")]
    Unconfirmed,
    /// It is no telegram of its protocol.
    #[error("{0}")]
    Malformed(&'static str),
    /// More bytes than any telegram has.
    #[error("longer than any telegram")]
    TooLong,
    /// It was sent before the one that was taken last.
    #[error("older than the telegram before")]
    Stale,
}

/// A meter that speaks by itself, alone on its port.
pub(in crate::device) struct Listener {
    telegrams: Box<dyn Telegrams>,
    profile: Arc<Profile>,
    presence: Presence,
    facts: Facts,
    effects: VecDeque<StreamEffect>,
}

impl Listener {
    /// The machine of one device.
    pub fn new(device: &StreamDevice, telegrams: Box<dyn Telegrams>) -> Self {
        let silence = silence(device);
        Self {
            telegrams,
            profile: device.profile.clone(),
            presence: Presence::new(0, silence),
            facts: Facts::new(),
            effects: VecDeque::new(),
        }
    }

    fn bytes(&mut self, now: Mono, bytes: &[u8]) {
        for telegram in self.telegrams.feed(bytes) {
            match telegram {
                Ok(items) => {
                    self.effects.extend(self.presence.heard(now));
                    let observations = observe(self.profile.values(), &items, &mut self.facts, now);
                    if !observations.is_empty() {
                        self.effects.push_back(StreamEffect::Observed {
                            slot: 0,
                            observations,
                        });
                    }
                }
                Err(_damage) => self.presence.damaged(),
            }
        }
    }
}

impl StreamMachine for Listener {
    fn handle(&mut self, now: Now, input: StreamInput) {
        let now = now.mono;
        match input {
            StreamInput::Bytes(bytes) => self.bytes(now, &bytes),
            StreamInput::Drive { slot, ticket, .. } => self.effects.push_back(StreamEffect::Done {
                slot,
                ticket,
                result: Err(DriveError::Unsupported),
            }),
            StreamInput::PortBack => {
                self.telegrams.reset();
                self.presence.port_back(now);
            }
            StreamInput::PortLost => {
                self.telegrams.reset();
                self.facts.clear();
                self.effects.extend(self.presence.port_lost());
            }
            StreamInput::Lease { .. } | StreamInput::Tick => {}
        }
        if let Some(lost) = self.presence.tick(now) {
            self.facts.clear();
            self.effects.push_back(lost);
        }
    }

    fn poll(&mut self) -> Option<StreamEffect> {
        self.effects.pop_front()
    }

    fn next_deadline(&self) -> Option<(Mono, &'static str)> {
        self.presence.deadline().map(|at| (at, "silence"))
    }
}

/// After this silence a device counts as lost.
pub(in crate::device) fn silence(device: &StreamDevice) -> Duration {
    device.setup.timeout.unwrap_or(device.profile.link().timeout)
}
