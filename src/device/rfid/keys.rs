//! Key events of the kernel (`struct input_event`, linux/input.h) as the characters a keyboard reader types.

/// Bytes of an event: a time of two machine words, type, code, value.
pub(in crate::device) const EVENT: usize = 2 * size_of::<usize>() + 8;
/// Type of an event: a key.
const EV_KEY: u16 = 1;
/// Either shift key.
const SHIFT: [u16; 2] = [42, 54];

/// Where the keyboard stands.
#[derive(Debug, Default)]
pub(in crate::device) struct Keys {
    pending: Vec<u8>,
    shift: bool,
}

impl Keys {
    /// The characters typed by these bytes. Keys that no card number has are passed over.
    pub fn typed(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.pending.extend_from_slice(bytes);
        let whole = self.pending.len() - self.pending.len() % EVENT;
        let events: Vec<u8> = self.pending.drain(..whole).collect();
        let mut typed = Vec::new();
        for event in events.chunks_exact(EVENT) {
            let tail = &event[EVENT - 8..];
            let kind = u16::from_ne_bytes([tail[0], tail[1]]);
            let code = u16::from_ne_bytes([tail[2], tail[3]]);
            let value = i32::from_ne_bytes([tail[4], tail[5], tail[6], tail[7]]);
            if kind != EV_KEY {
                continue;
            }
            if SHIFT.contains(&code) {
                self.shift = value != 0;
            } else if value == 1 {
                typed.extend(character(code, self.shift));
            }
        }
        typed
    }

    /// Forgets a half event and a held key.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

/// The character of a key (linux/input-event-codes.h), for digits, the letters of hexadecimal numbers, comma and Enter.
fn character(code: u16, shift: bool) -> Option<u8> {
    let plain = match code {
        2..=10 => b'1' + u8::try_from(code - 2).ok()?,
        11 => b'0',
        28 | 96 => return Some(b'\n'),
        51 => b',',
        // The keypad.
        71..=73 => b'7' + u8::try_from(code - 71).ok()?,
        75..=77 => b'4' + u8::try_from(code - 75).ok()?,
        79..=81 => b'1' + u8::try_from(code - 79).ok()?,
        82 => b'0',
        30 => b'A',
        48 => b'B',
        46 => b'C',
        32 => b'D',
        18 => b'E',
        33 => b'F',
        // Anything else makes the text unfit, as it should: it is no card's.
        1..=57 => b'?',
        _ => return None,
    };
    // With shift the digits of the upper row are signs; letters stay what they are.
    let upper_row = matches!(code, 2..=11 | 51);
    Some(if shift && upper_row { b'?' } else { plain })
}
