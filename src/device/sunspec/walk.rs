//! Finding the list and walking along it, one small read at a time.

use super::chain::{Found, HEAD, Model};
use crate::device::{Pdu, Profile, ReadFc, Reply};

/// Where a list may begin, the usual first; the last two are devices that count from one.
const BASES: [u16; 5] = [40_000, 50_000, 0, 39_999, 40_001];
/// `SunS`.
const MARKER: [u16; 2] = [0x5375, 0x6E53];
/// The id behind the last model.
const END: u16 = 0xFFFF;
/// A longer list is none.
const MOST: usize = 64;

/// What an answer led to.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The walk goes on.
    More,
    /// The profile at the addresses of this device.
    Done(Box<Profile>),
    /// The device does not carry the models; the walk is at its beginning again.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Is the marker there? By its place among the bases.
    Marker(usize),
    /// Which model begins there?
    Model(u16),
}

/// A walk under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    nth: u16,
    step: Step,
    found: Found,
}

impl Walk {
    /// A walk for the n-th model of the last kind of the profile, from 1.
    #[must_use]
    pub fn new(nth: u16) -> Self {
        Self {
            nth,
            step: Step::Marker(0),
            found: Found::default(),
        }
    }

    /// The next read.
    #[must_use]
    pub fn pdu(&self) -> Pdu {
        let addr = match self.step {
            Step::Marker(index) => BASES[index.min(BASES.len() - 1)],
            Step::Model(at) => at,
        };
        Pdu::Read {
            fc: ReadFc::HoldingRegisters,
            addr,
            count: HEAD,
        }
    }

    /// Takes the answer to the last read; `None`: the device refused it.
    pub fn replied(&mut self, profile: &Profile, reply: Option<&Reply>) -> Outcome {
        let words = match reply {
            Some(Reply::Registers(words)) => <[u16; 2]>::try_from(words.as_slice()).ok(),
            Some(Reply::Bits(_) | Reply::Written) | None => None,
        };
        match (self.step, words) {
            (Step::Marker(index), Some(MARKER)) => {
                self.found.base = BASES[index];
                self.step = Step::Model(BASES[index] + HEAD);
                Outcome::More
            }
            (Step::Marker(index), _) if index + 1 < BASES.len() => {
                self.step = Step::Marker(index + 1);
                Outcome::More
            }
            (Step::Marker(_), _) => self.over(),
            (Step::Model(at), Some([id, length])) if id != END => {
                self.model(profile, Model { id, at, length })
            }
            // Behind its last model a device may have no end mark, and nothing that can be read.
            (Step::Model(_), _) => self.over(),
        }
    }

    fn model(&mut self, profile: &Profile, model: Model) -> Outcome {
        self.found.models.push(model);
        if let Some(moved) = profile.moved(&self.found, self.nth) {
            *self = Self::new(self.nth);
            return Outcome::Done(Box::new(moved));
        }
        let next = model
            .at
            .checked_add(HEAD)
            .and_then(|at| at.checked_add(model.length));
        match next.filter(|_| self.found.models.len() < MOST) {
            Some(at) => {
                self.step = Step::Model(at);
                Outcome::More
            }
            None => self.over(),
        }
    }

    fn over(&mut self) -> Outcome {
        *self = Self::new(self.nth);
        Outcome::Nothing
    }
}
