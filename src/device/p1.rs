//! Telegrams of a P1 port (DSMR and ESMR P1 companion, versions 2.2 to 5; Belgian and Nordic meters). Pure.
//!
//! Rules kept here:
//! * a telegram goes from `/` at the start of a line to `!`; a new `/` there drops one that broke off;
//! * where the profile says so, it is taken only with its CRC-16 right; versions 2.2 and 3 have none, and a telegram
//!   counts only if the one before had the same form ([`shape`](super::obis::shape));
//! * one whose clock (`0-0:1.0.0`) is behind the telegram taken last is out of somebody's buffer and not taken, until
//!   the clock has stayed behind for ten telegrams: then it was set.

use super::crc::ARC;
use super::obis::code::ObisCode;
use super::obis::item::{Content, Item};
use super::obis::listener::{Damage, Telegrams};
use super::obis::shape::Shapes;
use super::obis::text::{self, line_start};

/// Longest telegram: two texts of 2,048 digits, a log of power failures, and the values.
const LONGEST: usize = 16 * 1024;
/// The meter's clock.
const CLOCK: ObisCode = ObisCode::of_bytes([0, 0, 1, 0, 0, 255]);
/// Equipment number, as hexadecimal digits of a text.
const EQUIPMENT: ObisCode = ObisCode::of_bytes([0, 0, 96, 1, 1, 255]);
/// A clock that stays behind for so many telegrams was set.
const PATIENCE: u8 = 10;

/// Telegrams of one meter.
#[derive(Debug)]
pub(super) struct P1 {
    checksum: bool,
    raw: Vec<u8>,
    shapes: Shapes,
    /// The clock of the telegram taken last.
    clock: Option<i64>,
    behind: u8,
}

impl P1 {
    /// None yet. `checksum`: whether the meter sends one.
    pub fn new(checksum: bool) -> Self {
        Self {
            checksum,
            raw: Vec::new(),
            shapes: Shapes::default(),
            clock: None,
            behind: 0,
        }
    }

    /// One telegram from `/` to the end of its last line.
    fn telegram(&mut self, telegram: &[u8], end: usize) -> Result<Vec<Item>, Damage> {
        let sent = telegram[end + 1..].trim_ascii();
        if !sent.is_empty() {
            let want = ARC.of(&telegram[..=end]);
            if hex4(sent) != Some(want) {
                let got = hex4(sent).unwrap_or_default();
                return Err(Damage::Checksum { got, want });
            }
        } else if self.checksum {
            return Err(Damage::NoChecksum);
        }
        let checked = !sent.is_empty();
        let mut items = Vec::new();
        for line in telegram[..end].split(|byte| *byte == b'\n').skip(1) {
            let line = std::str::from_utf8(line).map_err(|_| Damage::Malformed("bytes that are no text"))?;
            // Behind a right checksum an unknown line is the meter's own business.
            if !text::line(line, &mut items) && !checked {
                return Err(Damage::Malformed("a line that is none"));
            }
        }
        self.in_order(&items)?;
        if !checked && !self.shapes.confirms(&items) {
            return Err(Damage::Unconfirmed);
        }
        items.iter_mut().for_each(plain_equipment);
        Ok(items)
    }

    fn in_order(&mut self, items: &[Item]) -> Result<(), Damage> {
        let clock = items
            .iter()
            .find(|item| item.code.matches(CLOCK))
            .and_then(|item| seconds(&item.text()?));
        let late = clock.zip(self.clock).is_some_and(|(clock, last)| clock < last);
        if late && self.behind < PATIENCE {
            self.behind += 1;
            return Err(Damage::Stale);
        }
        self.behind = 0;
        self.clock = clock;
        Ok(())
    }
}

impl Telegrams for P1 {
    fn feed(&mut self, bytes: &[u8]) -> Vec<Result<Vec<Item>, Damage>> {
        // Where there is no checksum there are 7 data bits, and the eighth may be their parity.
        let mask = if self.checksum { 0xFF } else { 0x7F };
        self.raw.extend(bytes.iter().map(|byte| byte & mask));
        let mut found = Vec::new();
        loop {
            let Some(start) = line_start(&self.raw, b'/', 0) else {
                text::keep_last(&mut self.raw);
                return found;
            };
            self.raw.drain(..start);
            if let Some(next) = line_start(&self.raw, b'/', 1)
                && line_start(&self.raw, b'!', 1).is_none_or(|end| next < end)
            {
                self.raw.drain(..next);
                found.push(Err(Damage::Malformed("it breaks off")));
                continue;
            }
            let end = line_start(&self.raw, b'!', 1);
            let last =
                end.and_then(|end| Some(end + self.raw[end..].iter().position(|byte| *byte == b'\n')?));
            match (end, last) {
                (Some(end), Some(last)) => {
                    let telegram: Vec<u8> = self.raw.drain(..=last).collect();
                    found.push(self.telegram(&telegram, end));
                }
                _ if self.raw.len() > LONGEST => {
                    self.raw.clear();
                    found.push(Err(Damage::TooLong));
                }
                _ => return found,
            }
        }
    }

    fn reset(&mut self) {
        self.raw.clear();
        self.shapes.forget();
    }
}

fn hex4(text: &[u8]) -> Option<u16> {
    let digits = text.len() == 4 && text.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(text).ok().filter(|_| digits)?;
    u16::from_str_radix(text, 16).ok()
}

/// Seconds of a clock `YYMMDDhhmmssX` on a scale of their own that does not jump in spring and autumn: `S` is an hour
/// ahead of `W`. Months count 31 days, which is all that "before" and "after" need.
fn seconds(text: &str) -> Option<i64> {
    let (digits, zone) = text.split_at_checked(12)?;
    let ahead = match zone {
        "S" => 3600,
        "W" | "" => 0,
        _ => return None,
    };
    let two = |at: usize| -> Option<i64> {
        let part = digits.get(at..at + 2)?;
        let plain = part.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| part.parse().ok()).flatten()
    };
    let days = (two(0)? * 12 + two(2)?) * 31 + two(4)?;
    Some(((days * 24 + two(6)?) * 60 + two(8)?) * 60 + two(10)? - ahead)
}

/// The equipment number is sent as the hexadecimal digits of its characters.
fn plain_equipment(item: &mut Item) {
    if !item.code.matches(EQUIPMENT) {
        return;
    }
    if let Content::Texts(texts) = &mut item.content
        && let Some(text) = texts.first_mut()
        && let Some(plain) = from_hex(text)
    {
        *text = plain;
    }
}

fn from_hex(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    if bytes.is_empty() || !bytes.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let character = |pair: &[u8]| {
        let code = digit(pair[0])? * 16 + digit(pair[1])?;
        char::from_u32(code).filter(|c| c.is_ascii_graphic())
    };
    bytes.chunks_exact(2).map(character).collect()
}

#[cfg(test)]
#[path = "tests/p1.rs"]
mod tests;
