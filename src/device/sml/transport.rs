//! SML transport protocol, version 1: start, escapes, end with padding and checksum.

use crate::device::crc::X25;
use crate::device::obis::listener::Damage;

/// Four of these announce start, end or an escape.
const ESC: [u8; 4] = [0x1B; 4];
/// Behind [`ESC`]: a telegram starts.
const START: [u8; 4] = [1; 4];
/// First byte behind [`ESC`]: it ends.
const END: u8 = 0x1A;
/// Longest telegram; those of meters have a few hundred bytes.
const LONGEST: usize = 16 * 1024;

/// Finds telegrams in a stream.
#[derive(Debug, Default)]
pub(in crate::device) struct Transport {
    /// From the start of a telegram on; what might be one.
    raw: Vec<u8>,
    /// The telegram so far, without escapes.
    payload: Vec<u8>,
    /// How far `raw` was looked at.
    at: usize,
}

enum Step {
    /// More bytes are needed.
    Wait,
    /// Go on.
    On,
    /// Out of a telegram.
    Done(Result<Vec<u8>, Damage>),
}

impl Transport {
    /// The payload of each telegram that ended, without padding.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Result<Vec<u8>, Damage>> {
        self.raw.extend_from_slice(bytes);
        let mut found = Vec::new();
        loop {
            match self.step() {
                Step::Wait => return found,
                Step::On => {}
                Step::Done(telegram) => found.push(telegram),
            }
        }
    }

    /// Forgets what began.
    pub fn reset(&mut self) {
        self.raw.clear();
        self.restart();
    }

    fn restart(&mut self) {
        (self.at, self.payload) = (0, Vec::new());
    }

    fn step(&mut self) -> Step {
        if self.at == 0 {
            return self.seek();
        }
        if self.raw.len() > LONGEST {
            self.drop_start();
            return Step::Done(Err(Damage::TooLong));
        }
        let rest = &self.raw[self.at..];
        if !rest.starts_with(&ESC) {
            if rest.is_empty() || (rest.len() < 4 && ESC.starts_with(rest)) {
                return Step::Wait;
            }
            self.payload.push(rest[0]);
            self.at += 1;
            return Step::On;
        }
        match rest.get(4..8) {
            None => Step::Wait,
            Some(next) if next == ESC => {
                self.payload.extend_from_slice(&ESC);
                self.at += 8;
                Step::On
            }
            Some(next) if next == START => {
                // The telegram broke off and another one starts.
                self.raw.drain(..self.at);
                self.restart();
                Step::Done(Err(Damage::Malformed("it breaks off")))
            }
            Some(&[END, padding, low, high]) => self.end(padding, u16::from_le_bytes([low, high])),
            // Data that ends with 1B in front of the end: the end stands at a multiple of four.
            Some(next) if !self.at.is_multiple_of(4) && next[0] == ESC[0] => {
                self.payload.push(ESC[0]);
                self.at += 1;
                Step::On
            }
            Some(_) => {
                self.drop_start();
                Step::Done(Err(Damage::Malformed("an escape that means nothing")))
            }
        }
    }

    /// Drops everything before the next start.
    fn seek(&mut self) -> Step {
        let whole = |window: &[u8]| window[..4] == ESC && window[4..] == START;
        if let Some(start) = self.raw.windows(8).position(whole) {
            self.raw.drain(..start);
            self.at = 8;
            return Step::On;
        }
        let keep = self.raw.len().min(7);
        self.raw.drain(..self.raw.len() - keep);
        Step::Wait
    }

    /// Gives the telegram up and looks for a start behind its own.
    fn drop_start(&mut self) {
        self.raw.drain(..8);
        self.restart();
    }

    fn end(&mut self, padding: u8, got: u16) -> Step {
        let (covered, end) = (self.at + 6, self.at + 8);
        let want = X25.of(&self.raw[..covered]);
        let padding = usize::from(padding);
        if got != want {
            self.drop_start();
            return Step::Done(Err(Damage::Checksum { got, want }));
        }
        self.raw.drain(..end);
        let mut payload = std::mem::take(&mut self.payload);
        self.at = 0;
        if end % 4 != 0 || padding > 3 || padding > payload.len() {
            return Step::Done(Err(Damage::Malformed("its length or padding is impossible")));
        }
        payload.truncate(payload.len() - padding);
        Step::Done(Ok(payload))
    }
}
