//! What peers really send, built by the encoders of the simulated world, and what is done to it on the way.

use super::targets::modbus::asked;
use super::{sparkplug, telegrams, texts};
use retrovolt::bus::frame::{ascii, encode};
use retrovolt::domain::Rng;
use retrovolt::sim::slave::{Exception, Registers, Table, close_rtu, respond};

/// Bytes that mean something somewhere: ends, escapes, signs, limits.
const TELLING: &[u8] = b"\x00\x01\x02\x03\x06\x0A\x0D\x1A\x1B\x20\x7F\x80\x81\xC0\xDB\xDC\xDD\xFE\xFF!#$()*+-./:;=?@[]^{}09AFaf\"\\,";

/// A number below `bound`.
pub fn below(rng: &mut Rng, bound: usize) -> usize {
    usize::try_from(rng.below(bound as u64)).unwrap()
}

/// Any of them.
pub fn pick<'a, T>(rng: &mut Rng, all: &'a [T]) -> Option<&'a T> {
    all.get(below(rng, all.len()))
}

/// Any of some that are there.
pub fn any<T: Copy>(rng: &mut Rng, all: &[T]) -> T {
    *pick(rng, all).unwrap()
}

/// So many bytes of any value.
pub fn noise(rng: &mut Rng, most: usize) -> Vec<u8> {
    (0..=below(rng, most))
        .map(|_| rng.next_u64().to_le_bytes()[0])
        .collect()
}

/// Bytes a target may well get.
pub fn fresh(target: &str, rng: &mut Rng) -> Vec<u8> {
    match target {
        "config" => texts::config(rng),
        "profile" => texts::profile(rng),
        "ocpp_text" => texts::ocpp(rng),
        "modbus_ascii" => modbus(rng, ascii_line),
        "modbus_rtu" => modbus(rng, |rng, unit, pdu| {
            // The target seals what has no checksum.
            if rng.below(2) == 0 {
                [&[unit], pdu].concat()
            } else {
                close_rtu(unit, pdu)
            }
        }),
        "modbus_tcp" => modbus(rng, mbap),
        "modbus_scan" => scan(rng),
        "twc" => pieces(rng, 5, &telegrams::twc),
        "dsmr_p1" => pieces(rng, 6, &telegrams::p1),
        "iec62056_asked" => pieces(rng, 6, &telegrams::iec_asked),
        "iec62056_pushed" => pieces(rng, 6, &telegrams::iec_pushed),
        "rapi" => pieces(rng, 6, &telegrams::rapi),
        "rfid" => pieces(rng, 6, &telegrams::card),
        "sparkplug" => sparkplug::payload(rng),
        "sml" => pieces(rng, 6, &telegrams::sml),
        "voices" => voices(rng),
        other => panic!("no valid bytes for {other}"),
    }
}

/// An answer on a serial line in either framing, in pieces, behind what was asked.
fn scan(rng: &mut Rng) -> Vec<u8> {
    let whole = if rng.below(2) == 0 {
        modbus(rng, ascii_line)
    } else {
        modbus(rng, |_, unit, pdu| close_rtu(unit, pdu))
    };
    let (asked, frame) = whole.split_at(4.min(whole.len()));
    [asked, &pieces(rng, 6, &|_| frame.to_vec())].concat()
}

/// What several kinds of devices say by themselves.
fn voices(rng: &mut Rng) -> Vec<u8> {
    let said = |rng: &mut Rng| match rng.below(5) {
        0 => telegrams::sml(rng),
        1 => telegrams::p1(rng),
        2 => telegrams::iec_pushed(rng),
        3 => telegrams::twc(rng),
        _ => telegrams::rapi(rng),
    };
    (0..=rng.below(2)).flat_map(|_| said(rng)).collect()
}

/// Damage: bits, bytes, cuts, repeats, and the tail of something else.
pub fn change(input: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    if input.is_empty() {
        input.extend(noise(rng, 8));
    }
    let at = below(rng, input.len());
    let end = at + 1 + below(rng, (input.len() - at).min(24));
    match rng.below(9) {
        0 => input[at] ^= 1 << rng.below(8),
        1 => input[at] = any(rng, TELLING),
        2 => input.insert(at, any(rng, TELLING)),
        3 => drop(input.drain(at..end.min(input.len()))),
        4 => input.truncate(at),
        5 => {
            let again = input[at..end.min(input.len())].to_vec();
            input.splice(at..at, again);
        }
        6 => input.extend(noise(rng, 12)),
        7 => {
            let from = below(rng, other.len().max(1)).min(other.len());
            input.splice(at.., other[from..].iter().copied());
        }
        _ => input[at] = input[at].wrapping_add(any(rng, &[1, 255, 16, 240])),
    }
}

/// Messages one after the other, cut anywhere: before each piece its length, and how many steps later it comes.
fn pieces(rng: &mut Rng, length_bits: u32, message: &dyn Fn(&mut Rng) -> Vec<u8>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=rng.below(3) {
        let mut one = message(rng);
        if rng.below(4) == 0 {
            change(&mut one, &bytes, rng);
        }
        bytes.extend(one);
    }
    let most = (1_usize << length_bits) - 1;
    let mut out = Vec::new();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        // Mostly as much as goes in, as a UART hands it over.
        let most = most.min(rest.len());
        let length = if rng.below(4) == 0 {
            1 + below(rng, most)
        } else {
            most
        };
        let wait = if rng.below(3) == 0 {
            rng.next_u64().to_le_bytes()[0] >> length_bits
        } else {
            0
        };
        out.push(wait << length_bits | u8::try_from(length).unwrap());
        let (piece, next) = rest.split_at(length);
        out.extend(piece);
        rest = next;
    }
    out
}

/// Registers that hold anything.
struct Any(Rng);

impl Registers for Any {
    fn read(&mut self, _: u8, _: Table, _: u16, count: u16) -> Result<Vec<u16>, Exception> {
        Ok((0..count)
            .map(|_| u16::try_from(self.0.below(65_536)).unwrap())
            .collect())
    }

    fn write_words(&mut self, _: u8, _: u16, _: &[u16]) -> Result<(), Exception> {
        Ok(())
    }

    fn write_bits(&mut self, _: u8, _: u16, _: &[bool]) -> Result<(), Exception> {
        Ok(())
    }
}

/// A question and a slave's answer to it, right or wrong in one place, in its framing.
fn modbus(rng: &mut Rng, framed: impl Fn(&mut Rng, u8, &[u8]) -> Vec<u8>) -> Vec<u8> {
    let count = any(rng, &[0, 1, 2, 6, 7, 8, 15, 16, 31, 62, 63, 99, 122, 123, 124]);
    let kind = u8::try_from(rng.below(20)).unwrap();
    let head = [
        any(rng, &[1, 2, 17, 247]),
        kind,
        rng.next_u64().to_le_bytes()[0],
        count,
    ];
    let (unit, request, _) = asked(&head).unwrap();
    let asked = encode(&request).unwrap_or_else(|_| vec![request.function(), 0, 0, 0, 1]);
    let mut pdu = respond(&asked, &mut Any(Rng::new(rng.next_u64())));
    let mut from = unit;
    match rng.below(12) {
        0 => pdu = vec![asked[0] | 0x80, any(rng, &[0, 1, 2, 3, 4, 5, 6, 8, 10, 11, 255])],
        1 => pdu[0] = any(rng, &[1, 2, 3, 4, 5, 6, 15, 16, 43, 0x83, 0x90]),
        2 => from = from.wrapping_add(1),
        3 => pdu.truncate(below(rng, pdu.len() + 1)),
        4 => pdu.extend(noise(rng, 4)),
        5 => {
            let at = 1 + below(rng, pdu.len() - 1);
            pdu[at] = pdu[at].wrapping_add(any(rng, &[1, 2, 255]));
        }
        6 => pdu = asked,
        _ => {}
    }
    [&head[..], &framed(rng, from, &pdu)].concat()
}

/// A line of characters, or what such a line says: the target makes a line of it.
fn ascii_line(rng: &mut Rng, unit: u8, pdu: &[u8]) -> Vec<u8> {
    let mut bytes = [&[unit], pdu].concat();
    if rng.below(3) == 0 {
        return bytes;
    }
    bytes.push(ascii::lrc(&bytes));
    let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    let digits = if rng.below(4) == 0 {
        digits.to_lowercase()
    } else {
        digits
    };
    [&[any(rng, b":>:>$")][..], digits.as_bytes()].concat()
}

fn mbap(rng: &mut Rng, unit: u8, pdu: &[u8]) -> Vec<u8> {
    let (mut transaction, mut protocol) = (1_u16, 0_u16);
    let mut length = u16::try_from(pdu.len() + 1).unwrap();
    match rng.below(10) {
        0 => transaction = any(rng, &[0, 2, 256, 65_535]),
        1 => protocol = any(rng, &[1, 256, 65_535]),
        2 => length = any(rng, &[0, 1, 2, 3, 254, 255, 256, 65_535]),
        3 => length = length.wrapping_add(any(rng, &[1, 65_535])),
        _ => {}
    }
    let head = [transaction, protocol, length].map(u16::to_be_bytes);
    [head.as_flattened(), &[unit], pdu].concat()
}
