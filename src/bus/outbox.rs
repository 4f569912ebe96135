//! Events on their way to a consumer that may be slow or hung. Never blocks and never grows without bound:
//! observations of a device are merged to the latest, link and port states too; only the ends of commands queue up.

use super::FromBus;
use crate::domain::{DeviceId, Observation};
use std::collections::VecDeque;

/// Most ends of commands kept for a hung consumer; the oldest goes first. Above all that a station has under way.
const MOST_DONE: usize = 1024;
/// Most observations of one device kept: a profile's points, with room.
const MOST_OBSERVED: usize = 512;

/// The events not yet delivered, in order.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    events: VecDeque<FromBus>,
    /// Ends of commands that were dropped.
    lost: u64,
}

impl Outbox {
    /// Takes in an event.
    pub(crate) fn push(&mut self, event: FromBus) {
        match event {
            FromBus::Observed {
                bus,
                device,
                observations,
            } => match self.pending(&device) {
                Some(pending) => merge(pending, observations),
                None => self.events.push_back(FromBus::Observed {
                    bus,
                    device,
                    observations,
                }),
            },
            FromBus::Done { .. } => {
                self.events.push_back(event);
                self.limit();
            }
            FromBus::Link { .. } | FromBus::Port { .. } | FromBus::Failsafe { .. } => {
                self.events.retain(|old| !same_state(old, &event));
                self.events.push_back(event);
            }
        }
    }

    /// The oldest event.
    pub(crate) fn pop(&mut self) -> Option<FromBus> {
        self.events.pop_front()
    }

    /// Whether nothing is to be delivered.
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    fn pending(&mut self, of: &DeviceId) -> Option<&mut Vec<Observation>> {
        self.events.iter_mut().find_map(|event| match event {
            FromBus::Observed {
                device, observations, ..
            } if device == of => Some(observations),
            _ => None,
        })
    }

    fn limit(&mut self) {
        let done = |event: &FromBus| matches!(event, FromBus::Done { .. });
        if self.events.iter().filter(|event| done(event)).count() <= MOST_DONE {
            return;
        }
        if let Some(oldest) = self.events.iter().position(done) {
            self.events.remove(oldest);
            self.lost += 1;
            tracing::warn!(
                lost = self.lost,
                "ends of commands dropped: nobody takes the events of this bus"
            );
        }
    }
}

fn same_state(old: &FromBus, new: &FromBus) -> bool {
    match (old, new) {
        (FromBus::Link { device: a, .. }, FromBus::Link { device: b, .. })
        | (FromBus::Failsafe { device: a, .. }, FromBus::Failsafe { device: b, .. }) => a == b,
        (FromBus::Port { .. }, FromBus::Port { .. }) => true,
        _ => false,
    }
}

fn merge(pending: &mut Vec<Observation>, newer: Vec<Observation>) {
    for observation in newer {
        pending.retain(|old| !replaced(old, &observation));
        if pending.len() == MOST_OBSERVED {
            pending.remove(0);
        }
        pending.push(observation);
    }
}

/// Whether the newer observation makes the older one worthless. A presented card is not undone by "no card".
fn replaced(old: &Observation, new: &Observation) -> bool {
    match (old, new) {
        (Observation::Reading(a), Observation::Reading(b)) => a.quantity == b.quantity && a.phase == b.phase,
        (Observation::Vehicle { .. }, Observation::Vehicle { .. })
        | (Observation::Fault(_), Observation::Fault(_))
        | (Observation::HardwareLimit(_), Observation::HardwareLimit(_))
        | (Observation::LimitReadBack(_), Observation::LimitReadBack(_))
        | (Observation::Token(None), Observation::Token(_))
        | (Observation::Token(Some(_)), Observation::Token(Some(_))) => true,
        (Observation::Fact(a, _), Observation::Fact(b, _)) => a == b,
        (Observation::Pulses(_), Observation::Pulses(_)) => true,
        // That a contact was active is not undone by its being idle again.
        (Observation::Contact { .. }, Observation::Contact { .. }) => old == new,
        _ => false,
    }
}

#[cfg(test)]
#[path = "tests/outbox.rs"]
mod tests;
