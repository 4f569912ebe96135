//! Requests that got no answer in time, and the rule that their answers are never taken for another's (S2).
//!
//! A Modbus RTU answer names no register, so a late answer fits every later request of the same unit, function
//! and length. The rule:
//! 1. A request that ended without its own answer leaves a *ghost*: unit and request.
//! 2. While a ghost is in quarantine (from the request's last byte for its full time-out or twice the learned one,
//!    whichever is longer), no request that the ghost's answer would also fit is sent to that unit. Other units,
//!    other shapes and stops go on.
//! 3. After that, before a read that a ghost's answer would also fit, the unit is asked for another number of the
//!    same registers, which no ghost's answer fits. A device answers in order, so that answer proves that nothing
//!    older is owed, and lays the unit's ghosts outside quarantine, however late they would have been.
//! 4. An exception names only the function: one that a ghost of that function might have caused is not believed,
//!    save as the proof of rule 3.
//! 5. A frame that looks like a ghost's late answer only teaches how late the unit can be. It lays no ghost: it may
//!    be a repetition or another's, and the true one may still come.
//!
//! A late confirmation of a write can be taken for that of a later write to the same registers only where the later
//! is a stop, which nothing holds back; the driver's read-back then tells.

use crate::bus::frame::{FrameError, answer_len, rtu};
use crate::device::Pdu;
use std::time::Duration;

/// How long after its quarantine a ghost is still believed able to answer.
/// A unit that does not even refuse a proof is read again after this time.
const HAUNT: Duration = Duration::from_secs(10);
/// Most ghosts kept; the oldest goes first. A unit that does not answer is asked ever more seldom.
const MOST: usize = 512;

#[derive(Debug)]
struct Ghost {
    unit: u8,
    pdu: Pdu,
    sent: Duration,
    quarantine: Duration,
    /// When it is forgotten.
    until: Duration,
}

/// An answer that came too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Late {
    /// From which unit.
    pub unit: u8,
    /// Time since the last byte of its request.
    pub by: Duration,
    /// Whether that was a write.
    pub write: bool,
}

/// All ghosts of a line.
#[derive(Debug, Default)]
pub(super) struct Ghosts(Vec<Ghost>);

impl Ghosts {
    /// Remembers an unanswered request, whose last byte went out at `sent`; in quarantine for `patience` from then.
    pub(super) fn remember(&mut self, unit: u8, pdu: &Pdu, sent: Duration, patience: Duration) {
        self.add(unit, pdu, sent, patience, HAUNT);
    }

    /// Remembers a request that was sent twice and answered once: a second answer can only follow at once.
    pub(super) fn remember_twice(&mut self, unit: u8, pdu: &Pdu, sent: Duration, patience: Duration) {
        self.add(unit, pdu, sent, patience, Duration::ZERO);
    }

    fn add(&mut self, unit: u8, pdu: &Pdu, sent: Duration, patience: Duration, haunt: Duration) {
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        self.0.push(Ghost {
            unit,
            pdu: pdu.clone(),
            sent,
            quarantine: sent + patience,
            until: sent + patience + haunt,
        });
    }

    /// Until when a request must not be sent.
    pub(super) fn hold(&self, unit: u8, pdu: &Pdu, now: Duration) -> Option<Duration> {
        let like = self
            .of(unit)
            .filter(|ghost| alike(&ghost.pdu, pdu) && ghost.quarantine > now);
        like.map(|ghost| ghost.quarantine).max()
    }

    /// The read to send first, whose answer no ghost could give; `None`: the request itself is safe to send.
    ///
    /// # Errors
    /// Ghosts of every shape are about.
    pub(super) fn proof(&self, unit: u8, pdu: &Pdu) -> Result<Option<Pdu>, FrameError> {
        let taken = |pdu: &Pdu| self.of(unit).any(|ghost| alike(&ghost.pdu, pdu));
        match *pdu {
            Pdu::Read { fc, addr, count } if taken(pdu) => {
                proof_counts(count, if fc.is_bits() { 2000 } else { 125 })
                    .map(|count| Pdu::Read { fc, addr, count })
                    .find(|read| !taken(read))
                    .map(Some)
                    .ok_or(FrameError::Ambiguous)
            }
            _ => Ok(None),
        }
    }

    /// Whether the unit has a ghost of this function.
    pub(super) fn haunts(&self, unit: u8, function: u8) -> bool {
        self.of(unit).any(|ghost| ghost.pdu.function() == function)
    }

    /// Which ghost may have sent a frame that nobody awaited: the oldest it fits.
    pub(super) fn suspect(&self, frame: &[u8], now: Duration) -> Option<Late> {
        let fits = |ghost: &&Ghost| rtu::decode(ghost.unit, &ghost.pdu, frame).is_ok();
        self.0.iter().find(fits).map(|ghost| Late {
            unit: ghost.unit,
            by: now.saturating_sub(ghost.sent),
            write: ghost.pdu.is_write(),
        })
    }

    /// The unit proved that it owes nothing older. What is in quarantine stays: a converter in between may have
    /// changed the order.
    pub(super) fn exorcise(&mut self, unit: u8, now: Duration) {
        self.0
            .retain(|ghost| ghost.unit != unit || ghost.quarantine > now);
    }

    /// Forgets what can no longer answer.
    pub(super) fn expire(&mut self, now: Duration) {
        self.0.retain(|ghost| ghost.until > now);
    }

    fn of(&self, unit: u8) -> impl Iterator<Item = &Ghost> {
        self.0.iter().filter(move |ghost| ghost.unit == unit)
    }
}

/// Other quantities to ask for, likelier ones first: fewer before more, which may not exist; and an even number
/// fewer or more first, because devices of 32-bit values refuse half of one.
fn proof_counts(count: u16, most: u16) -> impl Iterator<Item = u16> {
    let fewer = |odd: u16| (1..count).rev().filter(move |n| (count - n) % 2 == odd);
    let more = |odd: u16| (count + 1..=most).filter(move |n| (n - count) % 2 == odd);
    fewer(0).chain(fewer(1)).chain(more(0)).chain(more(1))
}

/// Whether the normal answer to one would be taken for the answer to the other.
fn alike(one: &Pdu, other: &Pdu) -> bool {
    match (one, other) {
        (Pdu::Read { fc: a, .. }, Pdu::Read { fc: b, .. }) => a == b && answer_len(one) == answer_len(other),
        (Pdu::WriteMulti { addr: a, values: v }, Pdu::WriteMulti { addr: b, values: w }) => {
            a == b && v.len() == w.len()
        }
        (Pdu::WriteCoils { addr: a, values: v }, Pdu::WriteCoils { addr: b, values: w }) => {
            a == b && v.len() == w.len()
        }
        // Single writes are confirmed with their value: a late confirmation of the same write says the truth.
        _ => false,
    }
}

#[cfg(test)]
#[path = "../tests/ghost.rs"]
mod tests;
