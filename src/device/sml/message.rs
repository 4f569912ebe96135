//! Messages of a telegram, and the values of those that have some.

use super::tree::{Reader, Value};
use crate::device::Decimal;
use crate::device::crc::Crc16;
use crate::device::obis::item::{Content, Item};
use crate::device::obis::listener::Damage;
use crate::device::obis::{ObisCode, Unit};

/// `SML_GetList.Res`.
const GET_LIST_RESPONSE: u64 = 0x0701;
/// Most messages of a telegram.
const MOST_MESSAGES: usize = 32;
/// Most values of a list.
const MOST_VALUES: usize = 512;
/// Active power, which one meter codes wrongly.
const POWER: ObisCode = code([1, 0, 16, 7, 0, 255]);
/// Where such a meter tells its number.
const SERVER_ID: ObisCode = code([1, 0, 96, 1, 0, 255]);

const fn code(bytes: [u8; 6]) -> ObisCode {
    ObisCode::of_bytes(bytes)
}

/// The values of all messages.
///
/// # Errors
/// What is wrong with the first message that is not in order; the telegram is then dropped as a whole.
pub(in crate::device) fn values(payload: &[u8], crc: Crc16) -> Result<Vec<Item>, Damage> {
    let mut reader = Reader::new(payload);
    let mut entries = Vec::new();
    let mut messages = 0;
    while !reader.is_done() {
        messages += 1;
        if messages > MOST_MESSAGES {
            return Err(Damage::TooLong);
        }
        message(payload, &mut reader, crc, &mut entries)?;
    }
    let unsigned = is_short_unsigned(&entries);
    Ok(entries.iter().filter_map(|entry| entry.item(unsigned)).collect())
}

fn message<'a>(
    payload: &[u8],
    reader: &mut Reader<'a>,
    crc: Crc16,
    entries: &mut Vec<Entry<'a>>,
) -> Result<(), Damage> {
    let begin = reader.at();
    reader.list(6)?;
    // Transaction, group, abort on error.
    for _ in 0..3 {
        reader.skip()?;
    }
    reader.list(2)?;
    match reader.unsigned()? {
        GET_LIST_RESPONSE => get_list_response(reader, entries)?,
        _ => reader.skip()?,
    }
    let want = crc.of(&payload[begin..reader.at()]).swap_bytes();
    let got = u16::try_from(reader.unsigned()?).map_err(|_| Damage::NoChecksum)?;
    if got != want {
        return Err(Damage::Checksum { got, want });
    }
    match reader.value()? {
        Value::End => Ok(()),
        _ => Err(Damage::Malformed("a message without an end")),
    }
}

fn get_list_response<'a>(reader: &mut Reader<'a>, entries: &mut Vec<Entry<'a>>) -> Result<(), Damage> {
    reader.list(7)?;
    // Client, server, name of the list, and the meter's time, which some meters send as a bare number.
    for _ in 0..4 {
        reader.skip()?;
    }
    let Value::List(count) = reader.value()? else {
        return Err(Damage::Malformed("no list of values"));
    };
    for _ in 0..count {
        let entry = entry(reader)?;
        if entries.len() >= MOST_VALUES {
            return Err(Damage::TooLong);
        }
        entries.extend(entry);
    }
    // Signature and gateway time.
    reader.skip()?;
    reader.skip()
}

/// A value as it came.
struct Entry<'a> {
    code: ObisCode,
    unit: Option<u64>,
    scaler: i32,
    value: Value<'a>,
}

fn entry<'a>(reader: &mut Reader<'a>) -> Result<Option<Entry<'a>>, Damage> {
    reader.list(7)?;
    let name = match reader.value()? {
        Value::Octets(bytes) => <[u8; 6]>::try_from(bytes).ok(),
        _ => return Err(Damage::Malformed("a value without a name")),
    };
    // Status and time.
    reader.skip()?;
    reader.skip()?;
    let unit = match reader.value()? {
        Value::Unsigned(code) => Some(code),
        Value::Octets([]) => None,
        _ => return Err(Damage::Malformed("a unit that is none")),
    };
    let scaler = match reader.value()? {
        Value::Signed(scaler, _) => i32::try_from(scaler).ok().filter(|scaler| scaler.abs() <= 18),
        Value::Octets([]) => Some(0),
        _ => return Err(Damage::Malformed("a scaler that is none")),
    };
    let mut ahead = reader.clone();
    let value = ahead.value()?;
    reader.skip()?;
    reader.skip()?;
    Ok(name.zip(scaler).map(|(name, scaler)| Entry {
        code: ObisCode::of_bytes(name),
        unit,
        scaler,
        value,
    }))
}

impl Entry<'_> {
    fn item(&self, short_unsigned: bool) -> Option<Item> {
        let content = match self.value {
            Value::Octets(bytes) => Content::Texts(vec![text(bytes)?]),
            Value::Unsigned(value) => self.number(i64::try_from(value).ok()?),
            Value::Signed(value, bytes @ 1..=3) if short_unsigned && self.code == POWER => {
                self.number(value & ((1 << (8 * bytes)) - 1))
            }
            Value::Signed(value, _) => self.number(value),
            Value::Bool(_) | Value::List(_) | Value::End => return None,
        };
        Some(Item {
            code: self.code,
            content,
        })
    }

    fn number(&self, value: i64) -> Content {
        let number = Decimal::new(value, self.scaler);
        match self.unit {
            // 255: a number without a unit.
            None | Some(255) => Content::Number(number, None),
            Some(code) => match Unit::of_code(code) {
                Some(unit) => Content::Number(number, Some(unit)),
                None => Content::Strange,
            },
        }
    }
}

/// Octets as text: an identification by DIN 43863-5 (`1EMH0012345678`), printable characters, else hexadecimal.
fn text(bytes: &[u8]) -> Option<String> {
    match *bytes {
        [] => None,
        [9 | 10, medium @ 0..=9, a, b, c, block, n3, n2, n1, n0]
            if [a, b, c].iter().all(u8::is_ascii_uppercase) =>
        {
            let vendor: String = [a, b, c].map(char::from).iter().collect();
            let number = u32::from_be_bytes([n3, n2, n1, n0]);
            Some(format!("{medium}{vendor}{block:02X}{number:08}"))
        }
        _ if bytes.iter().all(|byte| (0x20..0x7F).contains(byte)) => {
            Some(bytes.iter().map(|byte| char::from(*byte)).collect())
        }
        _ => Some(bytes.iter().map(|byte| format!("{byte:02X}")).collect()),
    }
}

/// The quirk of the DZG DVS74: with serial numbers in these ranges its power in 1 to 3 bytes is unsigned although it is
/// coded as signed; negative power has 4 bytes and is right.
fn is_short_unsigned(entries: &[Entry<'_>]) -> bool {
    entries
        .iter()
        .filter(|entry| entry.code == SERVER_ID)
        .any(|entry| {
            let Value::Octets([10, 1, b'D', b'Z', b'G', n4, n3, n2, n1, n0]) = entry.value else {
                return false;
            };
            let number = u64::from_be_bytes([0, 0, 0, *n4, *n3, *n2, *n1, *n0]);
            (42_000_000..=48_999_999).contains(&number) || (55_000_000..=58_999_999).contains(&number)
        })
}
