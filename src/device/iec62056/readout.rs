//! The data block: `STX lines ! ETX BCC`, or the lines alone.

use crate::device::obis::item::Item;
use crate::device::obis::listener::Damage;
use crate::device::obis::text;

const STX: u8 = 2;
const ETX: u8 = 3;

/// What was found, and how many bytes it took.
#[derive(Debug)]
pub(in crate::device) enum Found {
    /// More bytes are needed.
    Nothing,
    /// Values under a right check character.
    Checked(Vec<Item>, usize),
    /// Values without a check character.
    Plain(Vec<Item>, usize),
    /// A block that is damaged.
    Damaged(Damage, usize),
}

/// Looks for a block in bytes of 7 bits behind an identification line. `next`: where the next readout begins.
pub(in crate::device) fn find(raw: &[u8], next: Option<usize>) -> Found {
    let here = next.map_or(raw, |next| &raw[..next]);
    let stx = here.iter().position(|byte| *byte == STX);
    let found = match (stx, text::line_start(here, b'!', 0)) {
        // What comes behind the end of a readout is none of it, whether or not it is there yet.
        (Some(stx), end) if end.is_none_or(|end| stx < end) => checked(here, stx),
        (_, Some(end)) => plain(here, end),
        (_, None) => Found::Nothing,
    };
    match (found, next) {
        (Found::Nothing, Some(next)) => Found::Damaged(Damage::Malformed("it breaks off"), next),
        (found, _) => found,
    }
}

fn checked(raw: &[u8], stx: usize) -> Found {
    let Some(etx) = raw[stx..].iter().position(|byte| *byte == ETX).map(|at| stx + at) else {
        return Found::Nothing;
    };
    let Some(sent) = raw.get(etx + 1) else {
        return Found::Nothing;
    };
    let want = bcc(&raw[stx + 1..=etx]);
    if *sent != want {
        let (got, want) = (u16::from(*sent), u16::from(want));
        return Found::Damaged(Damage::Checksum { got, want }, etx + 2);
    }
    // Behind a right check character an unknown line is the meter's own business.
    let mut items = Vec::new();
    lines(&raw[stx + 1..etx], &mut items);
    Found::Checked(items, etx + 2)
}

fn plain(raw: &[u8], end: usize) -> Found {
    let mut items = Vec::new();
    if lines(&raw[..end], &mut items) {
        Found::Plain(items, end + 1)
    } else {
        Found::Damaged(Damage::Malformed("a line that is none"), end + 1)
    }
}

/// Takes all lines up to `!`; whether all were data lines.
fn lines(raw: &[u8], items: &mut Vec<Item>) -> bool {
    let mut all = true;
    for line in raw.split(|byte| *byte == b'\n') {
        if line.first() == Some(&b'!') {
            break;
        }
        all &= std::str::from_utf8(line).is_ok_and(|line| text::line(line, items));
    }
    all
}

/// The check character: all bytes combined by exclusive or, 7 bits.
pub(in crate::device) fn bcc(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum ^ byte) & 0x7F
}
