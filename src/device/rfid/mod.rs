//! Card readers that write each card's number as text: at a serial port, or as a keyboard. Pure.
//!
//! Rules kept here:
//! * the form of the number is what the profile says and nothing else; what does not fit is no card;
//! * a card that lies on the reader is repeated many times a second and counts once; taken away and held to it again it
//!   counts again;
//! * once a second it says what lies on the reader, as a reader that is polled would: a station that was built anew must
//!   know "no card" before the next one counts;
//! * a text that breaks off is forgotten after half a second.

pub(super) mod card;
pub(super) mod keys;

use super::{StreamDevice, StreamEffect, StreamInput, StreamMachine};
use crate::domain::{DriveError, IdToken, Mono, Now, Observation};
pub use card::CardFormat;
use card::Cards;
use keys::Keys;
use std::collections::VecDeque;
use std::time::Duration;

/// Longest pause inside a number.
const PAUSE: Duration = Duration::from_millis(500);

/// How often it is said what lies on the reader.
const TELL: Duration = Duration::from_secs(1);

/// The machine of one reader.
pub(super) struct Reader {
    cards: Cards,
    /// For a keyboard: what its keys mean.
    keys: Option<Keys>,
    hold: Duration,
    /// The card on the reader, and until when it counts as the same presentation.
    present: Option<(IdToken, Mono)>,
    heard: Mono,
    up: bool,
    tell_at: Mono,
    effects: VecDeque<StreamEffect>,
}

impl Reader {
    /// A reader of a serial port, or (`keyboard`) of the kernel's key events.
    pub fn new(device: &StreamDevice, format: CardFormat, keyboard: bool) -> Self {
        Self {
            hold: device.setup.poll.unwrap_or(format.hold),
            cards: Cards::new(format),
            keys: keyboard.then(Keys::default),
            present: None,
            heard: Mono(0),
            up: false,
            tell_at: Mono(0),
            effects: VecDeque::new(),
        }
    }

    fn bytes(&mut self, now: Mono, bytes: &[u8]) {
        if now.since(self.heard) > PAUSE {
            self.cards.reset();
        }
        self.heard = now;
        let text = match &mut self.keys {
            Some(keys) => keys.typed(bytes),
            None => bytes.to_vec(),
        };
        for token in self.cards.feed(&text) {
            let known = self.present.as_ref().is_some_and(|(card, _)| *card == token);
            self.present = Some((token, now.plus(self.hold)));
            if !known {
                self.tell(now);
            }
        }
    }

    fn tell(&mut self, now: Mono) {
        let card = self.present.as_ref().map(|(card, _)| card.clone());
        self.effects.push_back(StreamEffect::Observed {
            slot: 0,
            observations: vec![Observation::Token(card)],
        });
        self.tell_at = now.plus(TELL);
    }

    fn link(&mut self, up: bool) {
        if self.up != up {
            self.up = up;
            self.effects.push_back(StreamEffect::Link {
                slot: 0,
                up,
                cause: (!up).then_some(DriveError::PortLost),
            });
        }
    }
}

impl StreamMachine for Reader {
    fn handle(&mut self, now: Now, input: StreamInput) {
        let now = now.mono;
        if self.present.as_ref().is_some_and(|(_, until)| *until <= now) {
            self.present = None;
            self.tell(now);
        }
        match input {
            StreamInput::Bytes(bytes) => self.bytes(now, &bytes),
            StreamInput::Drive { slot, ticket, .. } => self.effects.push_back(StreamEffect::Done {
                slot,
                ticket,
                result: Err(DriveError::Unsupported),
            }),
            StreamInput::PortBack => {
                self.cards.reset();
                if let Some(keys) = &mut self.keys {
                    keys.reset();
                }
                self.link(true);
                self.tell(now);
            }
            StreamInput::PortLost => {
                self.present = None;
                self.link(false);
            }
            StreamInput::Lease { .. } | StreamInput::Tick => {}
        }
        if self.up && self.tell_at <= now {
            self.tell(now);
        }
    }

    fn poll(&mut self) -> Option<StreamEffect> {
        self.effects.pop_front()
    }

    fn next_deadline(&self) -> Option<(Mono, &'static str)> {
        let taken = self
            .present
            .as_ref()
            .map(|(_, until)| (*until, "card taken away"));
        let told = self.up.then_some((self.tell_at, "what lies on the reader"));
        taken.into_iter().chain(told).min_by_key(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests;
