//! Finds answers in the bytes of a serial line. Pure: bytes and times in, frames out.
//!
//! A frame ends where its function and byte count say, not only at silence: a USB adapter hands a frame over in
//! pieces up to 16 ms apart, and a late answer may run into the next one without any gap.

use crate::bus::frame::{Answer, FrameError, MAX_ADU, rtu};
use crate::device::Pdu;
use std::time::Duration;

/// A frame that began is given up after this pause: longer than the latency of a USB adapter.
pub(super) const BROKEN_OFF: Duration = Duration::from_millis(25);
/// Bytes that a line driver may make when it is switched on and off.
const GLITCHES: [u8; 2] = [0x00, 0xFF];

/// What was found.
#[derive(Debug)]
pub enum Found {
    /// The answer.
    Mine(Answer),
    /// An undamaged answer to something else.
    Foreign(FrameError, Vec<u8>),
    /// Our own request.
    Echo,
    /// Bytes that are no undamaged frame. `mine`: they begin like the answer.
    Junk {
        /// What is wrong.
        error: FrameError,
        /// How many bytes.
        bytes: usize,
        /// Whether unit and function are those asked for.
        mine: bool,
    },
}

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// From which unit.
    pub unit: u8,
    /// Answer to what.
    pub pdu: &'a Pdu,
    /// The request as sent.
    pub request: &'a [u8],
    /// Whether the line is known to echo. Only for functions 5 and 6, where echo and answer are the same bytes.
    pub echo: bool,
}

/// Bytes received and not yet understood.
#[derive(Debug, Default)]
pub struct Scan {
    buf: Vec<u8>,
    /// Where in `buf` bytes came in after a silence: there a frame may begin anew.
    cuts: Vec<usize>,
    last: Duration,
}

impl Scan {
    /// Takes in bytes that arrived at `now`.
    pub fn push(&mut self, bytes: &[u8], now: Duration, silence: Duration) {
        let pause = now.saturating_sub(self.last);
        if pause > BROKEN_OFF.max(silence) {
            self.clear();
        } else if pause > silence && !self.buf.is_empty() {
            self.cuts.push(self.buf.len());
        }
        self.buf.extend_from_slice(bytes);
        self.last = now;
    }

    /// When the last byte came.
    pub(super) fn last(&self) -> Duration {
        self.last
    }

    /// How many bytes wait for more.
    pub fn pending(&self) -> usize {
        self.buf.len()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.buf.clear();
        self.cuts.clear();
    }

    /// The next thing in the bytes; `None`: more are needed.
    pub fn next(&mut self, wanted: Wanted<'_>) -> Option<Found> {
        let request = wanted.request;
        let may_echo = wanted.echo || !matches!(wanted.pdu.function(), 5 | 6);
        if may_echo && self.buf.starts_with(request) {
            self.take(request.len());
            return Some(Found::Echo);
        }
        if let Some(frame) = self.sound() {
            return Some(match rtu::decode(wanted.unit, wanted.pdu, &frame) {
                Ok(answer) => Found::Mine(answer),
                Err(error) => Found::Foreign(error, frame),
            });
        }
        if self.buf.is_empty() || (may_echo && request.starts_with(&self.buf)) || self.unfinished() {
            return None;
        }
        Some(self.junk(wanted))
    }

    /// The next undamaged answer frame of whatever unit, dropping what is none; `None`: more bytes are needed.
    pub(super) fn any(&mut self) -> Option<Vec<u8>> {
        while !self.buf.is_empty() {
            if let Some(frame) = self.sound() {
                return Some(frame);
            }
            if self.unfinished() {
                return None;
            }
            self.drop_broken();
        }
        None
    }

    fn sound(&mut self) -> Option<Vec<u8>> {
        let glitches = self
            .buf
            .iter()
            .take(2)
            .take_while(|byte| GLITCHES.contains(byte))
            .count();
        for skip in 0..=glitches {
            if let Some(len) = rtu::sound(&self.buf[skip..]) {
                self.take(skip);
                return Some(self.take(len));
            }
        }
        None
    }

    fn unfinished(&self) -> bool {
        let glitches = self
            .buf
            .iter()
            .take(2)
            .take_while(|byte| GLITCHES.contains(byte))
            .count();
        (0..=glitches).any(|skip| {
            let rest = &self.buf[skip..];
            match rtu::frame_len(rest) {
                Some(len) => rest.len() < len && len <= MAX_ADU,
                None => rest.len() < 2 || (rest.len() < 3 && matches!(rest[1], 1..=4)),
            }
        })
    }

    fn junk(&mut self, wanted: Wanted<'_>) -> Found {
        let mine =
            self.buf.len() >= 2 && self.buf[0] == wanted.unit && self.buf[1] & 0x7F == wanted.pdu.function();
        let len = rtu::frame_len(&self.buf).map_or(self.buf.len(), |len| len.min(self.buf.len()));
        let error = match rtu::decode(wanted.unit, wanted.pdu, &self.buf[..len]) {
            Err(error) => error,
            Ok(_) => FrameError::Ambiguous,
        };
        let bytes = self.drop_broken();
        Found::Junk { error, bytes, mine }
    }

    /// Drops everything up to the next place where a frame may begin.
    fn drop_broken(&mut self) -> usize {
        let upto = self.cuts.first().copied().unwrap_or(self.buf.len());
        self.take(upto).len()
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        self.cuts.retain_mut(|cut| {
            let stays = *cut > count;
            *cut = cut.saturating_sub(count);
            stays
        });
        self.buf.drain(..count).collect()
    }
}
