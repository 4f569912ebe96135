//! Lines of RAPI: `$` text, check, carriage return.
//!
//! Sources: OpenEVSE/open_evse `rapi_proc.h`, OpenEVSE/ESP32_WiFi_V4.x `docs/rapi.md`.

/// Longest line that is kept; the longest known answer has about 80 characters.
const LONGEST: usize = 128;
const START: u8 = b'$';
const END: u8 = b'\r';

/// A line of the device that passed its check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The answer to a command.
    Answer {
        /// `$OK`, not `$NK`.
        ok: bool,
        /// Id of the command, where the firmware repeats it.
        id: Option<u8>,
        /// What follows.
        words: Vec<String>,
    },
    /// `$AT`: the state changed.
    State(Vec<String>),
    /// `$AB`: it has started.
    Boot,
}

/// Finds lines in a stream of bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Liner {
    line: Vec<u8>,
    inside: bool,
}

impl Liner {
    /// Forgets what has begun.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Takes a byte; gives the line it ends, if that is whole and known.
    pub(super) fn push(&mut self, byte: u8) -> Option<Line> {
        match (self.inside, byte) {
            (_, START) => {
                self.inside = true;
                self.line.clear();
            }
            (false, _) => return None,
            (true, END) => {
                self.inside = false;
                return parse(&self.line);
            }
            (true, _) => self.inside = self.line.len() < LONGEST && (b' '..=b'~').contains(&byte),
        }
        self.line.push(byte);
        None
    }
}

/// XOR of all characters before the `^`.
fn xor(text: &[u8]) -> u8 {
    text.iter().fold(0, |sum, byte| sum ^ byte)
}

/// Sum of all characters before the `*`, in firmware of old.
fn added(text: &[u8]) -> u8 {
    text.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
}

/// What a line without its carriage return says.
pub(super) fn parse(line: &[u8]) -> Option<Line> {
    let (body, check) = line.split_at_checked(line.len().checked_sub(3)?)?;
    let (mark, digits) = check.split_first()?;
    let said = hex_byte(std::str::from_utf8(digits).ok()?)?;
    let computed = match mark {
        b'^' => xor(body),
        b'*' => added(body),
        _ => return None,
    };
    if said != computed {
        return None;
    }
    let text = std::str::from_utf8(body).ok()?.strip_prefix('$')?;
    let mut words: Vec<String> = text.split_ascii_whitespace().map(str::to_owned).collect();
    let id = words
        .last()
        .and_then(|word| word.strip_prefix(':'))
        .and_then(hex_byte);
    if id.is_some() {
        words.pop();
    }
    if words.is_empty() {
        return None;
    }
    let head = words.remove(0);
    match head.as_str() {
        "OK" | "NK" => Some(Line::Answer {
            ok: head == "OK",
            id,
            words,
        }),
        "AT" => Some(Line::State(words)),
        "AB" => Some(Line::Boot),
        _ => None,
    }
}

/// Exactly two hexadecimal digits.
fn hex_byte(text: &str) -> Option<u8> {
    let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.then(|| u8::from_str_radix(text, 16).ok()).flatten()
}

/// A command as it goes over the wire, with an id the device repeats or without one.
pub(super) fn encode(command: &str, id: Option<u8>) -> Vec<u8> {
    let mut text = format!("${command}");
    if let Some(id) = id {
        text.push_str(&format!(" :{id:02X}"));
    }
    let check = xor(text.as_bytes());
    text.push_str(&format!("^{check:02X}\r"));
    text.into_bytes()
}
