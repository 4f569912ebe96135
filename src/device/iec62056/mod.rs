//! IEC 62056-21 (formerly IEC 1107) text of meters. Pure.
//!
//! Rules kept here:
//! * [`readout`]: a block with a check character is taken only if it is right; text without one (mode D) counts only if
//!   the readout before had the same form ([`shape`](super::obis::shape)).
//! * [`asker`]: mode C: request at the first speed, identification, acknowledgement, the meter's speed; back to the
//!   first speed whatever happens. Several meters on a line are asked one after the other by their address.
//! * The eighth bit of a byte is parity and does not count.

pub(super) mod asker;
pub(super) mod readout;

use super::obis::item::Item;
use super::obis::listener::{Damage, Telegrams};
use super::obis::shape::Shapes;
use super::obis::text::{self, line_start};
use readout::{Found, find};

/// Longest readout.
const LONGEST: usize = 32 * 1024;

/// Readouts of a meter that speaks by itself (mode D).
#[derive(Debug, Default)]
pub(super) struct Pushed {
    raw: Vec<u8>,
    shapes: Shapes,
}

impl Telegrams for Pushed {
    fn feed(&mut self, bytes: &[u8]) -> Vec<Result<Vec<Item>, Damage>> {
        self.raw.extend(bytes.iter().map(|byte| byte & 0x7F));
        let mut found = Vec::new();
        loop {
            let Some(start) = line_start(&self.raw, b'/', 0) else {
                text::keep_last(&mut self.raw);
                return found;
            };
            self.raw.drain(..start);
            let Some(body) = self.raw.iter().position(|byte| *byte == b'\n').map(|end| end + 1) else {
                if self.raw.len() > LONGEST {
                    self.raw.clear();
                    found.push(Err(Damage::TooLong));
                }
                return found;
            };
            let next = line_start(&self.raw, b'/', body).map(|next| next - body);
            let (result, count) = match find(&self.raw[body..], next) {
                Found::Nothing if self.raw.len() > LONGEST => (Err(Damage::TooLong), self.raw.len() - body),
                Found::Nothing => return found,
                Found::Checked(items, count) => (Ok(items), count),
                Found::Plain(items, count) if self.shapes.confirms(&items) => (Ok(items), count),
                Found::Plain(_, count) => (Err(Damage::Unconfirmed), count),
                Found::Damaged(damage, count) => (Err(damage), count),
            };
            self.raw.drain(..body + count);
            found.push(result);
        }
    }

    fn reset(&mut self) {
        self.raw.clear();
        self.shapes.forget();
    }
}

#[cfg(test)]
mod tests;
