//! Finds ASCII frames in the characters of a line. Pure: characters and times in, frames out.
//!
//! A frame found is handed on in the form of an RTU frame, so that everything that is known about answers on a serial
//! line, late ones above all, holds for both framings.

use super::scan::{Found, Wanted};
use crate::bus::frame::{ascii, crc16, rtu};
use std::time::Duration;

/// Longest pause between two characters of a frame (Modbus over Serial Line V1.02, 2.5.2.1).
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// Characters received and not yet understood.
#[derive(Debug, Default)]
pub struct AsciiScan {
    buf: Vec<u8>,
    last: Duration,
}

impl AsciiScan {
    /// Takes in characters that arrived at `now`. The eighth bit is parity where a port gives 8 bits for 7.
    pub fn push(&mut self, bytes: &[u8], now: Duration) {
        if now.saturating_sub(self.last) > PAUSE {
            self.buf.clear();
        }
        self.buf.extend(bytes.iter().map(|byte| byte & 0x7F));
        self.last = now;
    }

    /// When the last character came.
    pub(super) fn last(&self) -> Duration {
        self.last
    }

    /// How many characters wait for more.
    pub fn pending(&self) -> usize {
        self.buf.len()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.buf.clear();
    }

    /// The next thing in the characters; `None`: more are needed.
    pub fn next(&mut self, wanted: Wanted<'_>) -> Option<Found> {
        let line = self.line()?;
        let may_echo = wanted.echo || !matches!(wanted.pdu.function(), 5 | 6);
        if may_echo && wanted.request.strip_suffix(b"\r\n") == Some(line.as_slice()) {
            return Some(Found::Echo);
        }
        let body = match ascii::open(&line) {
            Ok(body) => body,
            Err(error) => {
                let like = [b':', b'>'].map(|start| {
                    let mine = format!(
                        "{}{:02X}{:02X}",
                        char::from(start),
                        wanted.unit,
                        wanted.pdu.function()
                    );
                    line.starts_with(mine.as_bytes())
                });
                return Some(Found::Junk {
                    error,
                    bytes: line.len(),
                    mine: like.contains(&true),
                });
            }
        };
        let frame = as_rtu(body);
        Some(match rtu::decode(wanted.unit, wanted.pdu, &frame) {
            Ok(answer) => Found::Mine(answer),
            Err(error) => Found::Foreign(error, frame),
        })
    }

    /// The next undamaged answer frame of whatever unit, dropping what is none.
    pub(super) fn any(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Ok(body) = ascii::open(&self.line()?) {
                return Some(as_rtu(body));
            }
        }
    }

    /// The next whole line from the begin of a frame on; a begin drops what came before it (2.5.2.1).
    fn line(&mut self) -> Option<Vec<u8>> {
        let end = self.buf.iter().position(|byte| *byte == b'\n');
        let upto = end.unwrap_or(self.buf.len());
        match self.buf[..upto]
            .iter()
            .rposition(|byte| matches!(byte, b':' | b'>'))
        {
            Some(begin) => {
                self.buf.drain(..begin);
            }
            None => {
                self.buf.drain(..upto);
            }
        }
        let end = self.buf.iter().position(|byte| *byte == b'\n');
        if end.is_none() && self.buf.len() > ascii::MAX_CHARS {
            self.buf.clear();
        }
        let line: Vec<u8> = self.buf.drain(..=end?).collect();
        Some(line.trim_ascii_end().to_vec())
    }
}

fn as_rtu(mut body: Vec<u8>) -> Vec<u8> {
    let crc = crc16(&body);
    body.extend_from_slice(&crc.to_le_bytes());
    body
}
