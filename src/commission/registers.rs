//! Single registers: every type, every order, and a guess which of them is meant.

use super::medium::Medium;
use super::talk::{Talk, Told};
use crate::device::{Pdu, ReadFc};
use std::io;

/// How a number lies in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Unsigned, 1 register.
    U16,
    /// Signed, 1 register.
    I16,
    /// Unsigned, 2 registers.
    U32,
    /// Signed, 2 registers.
    I32,
    /// IEEE 754 single, 2 registers.
    F32,
    /// Unsigned, 4 registers.
    U64,
    /// Signed, 4 registers.
    I64,
    /// IEEE 754 double, 4 registers.
    F64,
}

/// Every type, narrow ones first.
pub const TYPES: [Type; 8] = [
    Type::U16,
    Type::I16,
    Type::U32,
    Type::I32,
    Type::F32,
    Type::U64,
    Type::I64,
    Type::F64,
];

impl Type {
    /// Registers it takes.
    #[must_use]
    pub const fn width(self) -> u16 {
        match self {
            Self::U16 | Self::I16 => 1,
            Self::U32 | Self::I32 | Self::F32 => 2,
            Self::U64 | Self::I64 | Self::F64 => 4,
        }
    }

    /// Its name, as profiles write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::F32 => "f32",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::F64 => "f64",
        }
    }

    /// The type of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        TYPES.into_iter().find(|kind| kind.name() == name)
    }
}

/// Order of the four bytes of a 32-bit value on the wire, `Abcd` being the standard's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByteOrder {
    /// High word first, high byte first.
    #[default]
    Abcd,
    /// Low word first, high byte first.
    Cdab,
    /// High word first, low byte first.
    Badc,
    /// Low word first, low byte first.
    Dcba,
}

/// Every order, the likeliest first.
pub const ORDERS: [ByteOrder; 4] = [ByteOrder::Abcd, ByteOrder::Cdab, ByteOrder::Dcba, ByteOrder::Badc];

impl ByteOrder {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Abcd => "abcd",
            Self::Cdab => "cdab",
            Self::Badc => "badc",
            Self::Dcba => "dcba",
        }
    }

    /// The order of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        ORDERS.into_iter().find(|order| order.name() == name)
    }

    fn bytes(self, registers: &[u16]) -> Vec<u8> {
        let words: Vec<u16> = match self {
            Self::Abcd | Self::Badc => registers.to_vec(),
            Self::Cdab | Self::Dcba => registers.iter().rev().copied().collect(),
        };
        let swapped = matches!(self, Self::Badc | Self::Dcba);
        let pair = |word: u16| {
            if swapped {
                word.to_le_bytes()
            } else {
                word.to_be_bytes()
            }
        };
        words.into_iter().flat_map(pair).collect()
    }
}

/// A value as read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A whole number.
    Int(i128),
    /// A float.
    Float(f64),
}

impl Value {
    /// As a float, for plausibility only.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "ranks guesses, bills nothing")]
    pub fn number(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
        }
    }
}

/// Reads a value out of registers; `None`: too few of them.
#[must_use]
pub fn decode(kind: Type, order: ByteOrder, registers: &[u16]) -> Option<Value> {
    let own = registers.get(..usize::from(kind.width()))?;
    let bytes = order.bytes(own);
    let unsigned = bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    Some(match kind {
        Type::U16 | Type::U32 | Type::U64 => Value::Int(i128::from(unsigned)),
        Type::I16 => Value::Int(i128::from(i16::from_be_bytes(bytes.try_into().ok()?))),
        Type::I32 => Value::Int(i128::from(i32::from_be_bytes(bytes.try_into().ok()?))),
        Type::I64 => Value::Int(i128::from(i64::from_be_bytes(bytes.try_into().ok()?))),
        Type::F32 => Value::Float(f64::from(f32::from_be_bytes(bytes.try_into().ok()?))),
        Type::F64 => Value::Float(f64::from_be_bytes(bytes.try_into().ok()?)),
    })
}

/// A way to read registers, with what it gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guess {
    /// -1, 0 or +1: the address asked for may be counted from 1, or from 0.
    pub offset: i8,
    /// The type.
    pub kind: Type,
    /// The order.
    pub order: ByteOrder,
    /// The value.
    pub value: Value,
    /// What a unit would have to be multiplied with.
    pub scale: f64,
    /// Higher is likelier.
    pub score: f64,
}

/// Scales that vendors use.
const SCALES: [f64; 5] = [1.0, 0.1, 0.01, 0.001, 10.0];
/// Values that meters of a low-voltage grid show: volt, hertz, volt between phases.
const TYPICAL: [(f64, f64); 3] = [(207.0, 253.0), (49.5, 50.5), (360.0, 440.0)];

/// Ranks ways to read what was found around an address. `registers` begin one register before it, if `before`.
/// `expect` is what the device's own display shows, if somebody can see it.
#[must_use]
pub fn guess(registers: &[u16], before: bool, expect: Option<f64>) -> Vec<Guess> {
    let mut guesses = Vec::new();
    for offset in -1_i8..=1 {
        let Ok(at) = usize::try_from(i16::from(offset) + i16::from(before)) else {
            continue;
        };
        for kind in TYPES {
            for order in orders_of(kind) {
                let value = registers.get(at..).and_then(|own| decode(kind, *order, own));
                guesses.extend(value.and_then(|value| rate(offset, kind, *order, value, expect)));
            }
        }
    }
    guesses.sort_by(|a, b| b.score.total_cmp(&a.score));
    guesses
}

/// A single register has two orders only.
fn orders_of(kind: Type) -> &'static [ByteOrder] {
    const ONE: [ByteOrder; 2] = [ByteOrder::Abcd, ByteOrder::Badc];
    if kind.width() == 1 { &ONE } else { &ORDERS }
}

fn rate(offset: i8, kind: Type, order: ByteOrder, value: Value, expect: Option<f64>) -> Option<Guess> {
    let number = value.number();
    if !number.is_finite() {
        return None;
    }
    let float = matches!(kind, Type::F32 | Type::F64);
    // A float that is a subnormal or astronomic was not meant as one.
    let magnitude = number.abs();
    let sane = !float || number == 0.0 || (1e-4..1e9).contains(&magnitude);
    let scales: &[f64] = if float { &SCALES[..1] } else { &SCALES };
    let (fit, scale) = scales
        .iter()
        .map(|scale| (closeness(number * scale, expect), *scale))
        .max_by(|a, b| a.0.total_cmp(&b.0))?;
    if !sane || fit <= 0.0 {
        return None;
    }
    // Between ways that fit alike the plain one is likelier: no offset, standard order, no scale.
    let plain = f64::from(u8::from(offset == 0)) * 0.10
        + f64::from(u8::from(order == ByteOrder::Abcd)) * 0.06
        + f64::from(u8::from(order == ByteOrder::Cdab)) * 0.03
        + f64::from(u8::from((scale - 1.0).abs() < f64::EPSILON)) * 0.04
        + if float { 0.05 } else { 0.0 }
        - f64::from(kind.width()) * 0.005;
    Some(Guess {
        offset,
        kind,
        order,
        value,
        scale,
        score: fit + plain,
    })
}

/// 1 for the expected value or one that a grid has, falling to 0.
fn closeness(number: f64, expect: Option<f64>) -> f64 {
    match expect {
        Some(0.0) => f64::from(u8::from(number == 0.0)),
        Some(expect) => 1.0 - ((number - expect).abs() / expect.abs()).min(0.05) / 0.05,
        None => f64::from(u8::from(
            TYPICAL
                .iter()
                .any(|(least, most)| (*least..=*most).contains(&number)),
        )),
    }
}

/// Reads the registers a guess needs: one before and five from the address on, fewer where the device refuses.
///
/// # Errors
/// The port is gone.
pub async fn around<M: Medium>(
    talk: &mut Talk<'_, M>,
    unit: u8,
    fc: ReadFc,
    addr: u16,
) -> io::Result<Option<(Vec<u16>, bool)>> {
    let before = addr > 0;
    let from = addr.saturating_sub(1);
    for (from, count, before) in [
        (from, 6, before),
        (addr, 4, false),
        (addr, 2, false),
        (addr, 1, false),
    ] {
        let told = talk.read(unit, fc, from, count).await?;
        if let Some(registers) = told.registers() {
            return Ok(Some((registers.to_vec(), before)));
        }
    }
    Ok(None)
}

/// Writes registers: one with function 6 unless `multi`, more with function 16.
///
/// # Errors
/// The port is gone.
pub async fn write<M: Medium>(
    talk: &mut Talk<'_, M>,
    unit: u8,
    addr: u16,
    values: Vec<u16>,
    multi: bool,
) -> io::Result<Told> {
    let pdu = match values.as_slice() {
        [value] if !multi => Pdu::WriteSingle { addr, value: *value },
        _ => Pdu::WriteMulti { addr, values },
    };
    talk.ask(unit, &pdu).await
}

/// The registers of a value to be written; `None`: it does not fit the type.
#[must_use]
pub fn encode(kind: Type, order: ByteOrder, text: &str) -> Option<Vec<u16>> {
    let hex = text
        .strip_prefix("0x")
        .map(|digits| i128::from_str_radix(digits, 16).ok());
    let int = || hex.unwrap_or_else(|| text.parse::<i128>().ok());
    let bytes: Vec<u8> = match kind {
        Type::U16 => u16::try_from(int()?).ok()?.to_be_bytes().to_vec(),
        Type::I16 => i16::try_from(int()?).ok()?.to_be_bytes().to_vec(),
        Type::U32 => u32::try_from(int()?).ok()?.to_be_bytes().to_vec(),
        Type::I32 => i32::try_from(int()?).ok()?.to_be_bytes().to_vec(),
        Type::U64 => u64::try_from(int()?).ok()?.to_be_bytes().to_vec(),
        Type::I64 => i64::try_from(int()?).ok()?.to_be_bytes().to_vec(),
        Type::F32 => text.parse::<f32>().ok()?.to_be_bytes().to_vec(),
        Type::F64 => text.parse::<f64>().ok()?.to_be_bytes().to_vec(),
    };
    let words = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    // The orders are their own inverse.
    let swapped = order.bytes(&words.collect::<Vec<u16>>());
    Some(
        swapped
            .chunks_exact(2)
            .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registers(bytes: [u8; 4]) -> [u16; 2] {
        [
            u16::from_be_bytes([bytes[0], bytes[1]]),
            u16::from_be_bytes([bytes[2], bytes[3]]),
        ]
    }

    #[test]
    fn every_order_reads_what_it_wrote() {
        for order in ORDERS {
            for (kind, text) in [
                (Type::U16, "513"),
                (Type::I16, "-2"),
                (Type::U32, "16909060"),
                (Type::I32, "-70000"),
                (Type::F32, "230.5"),
                (Type::U64, "72623859790382856"),
                (Type::F64, "-0.5"),
            ] {
                let raw = encode(kind, order, text).expect("fits");
                assert_eq!(raw.len(), usize::from(kind.width()));
                assert_eq!(
                    decode(kind, order, &raw).expect("enough").to_string(),
                    text,
                    "{kind:?} {order:?}"
                );
            }
        }
        assert_eq!(encode(Type::U16, ByteOrder::Abcd, "70000"), None);
        assert_eq!(encode(Type::U16, ByteOrder::Abcd, "0xFFFF"), Some(vec![0xFFFF]));
        assert_eq!(encode(Type::U16, ByteOrder::Abcd, "many"), None);
        assert_eq!(decode(Type::U32, ByteOrder::Abcd, &[1]), None);
    }

    #[test]
    fn the_order_of_a_float_is_guessed_from_a_voltage() {
        let bytes = 230.5_f32.to_be_bytes();
        let [a, b, c, d] = bytes;
        for (order, wire) in [
            (ByteOrder::Abcd, [a, b, c, d]),
            (ByteOrder::Cdab, [c, d, a, b]),
            (ByteOrder::Badc, [b, a, d, c]),
            (ByteOrder::Dcba, [d, c, b, a]),
        ] {
            let found = guess(&registers(wire), false, None);
            assert_eq!((found[0].kind, found[0].order), (Type::F32, order), "{found:?}");
        }
    }

    #[test]
    fn an_address_counted_from_one_is_guessed() {
        // 2301 stands one register before the one asked for; around it is nothing that could be meant.
        let found = guess(&[2301, 7, 0, 0, 0, 0], true, Some(230.0));
        assert_eq!((found[0].offset, found[0].kind), (-1, Type::U16), "{found:?}");
        assert!((found[0].scale - 0.1).abs() < 1e-9);
        let found = guess(&[5, 7, 2301, 9, 0, 0], true, Some(230.0));
        assert_eq!(found[0].offset, 1, "{found:?}");
    }

    #[test]
    fn what_cannot_be_meant_is_not_guessed() {
        assert!(guess(&[0xFFFF, 0xFFFF], false, None).is_empty());
        assert!(guess(&[0, 0], false, None).is_empty());
        assert!(guess(&[], false, Some(230.0)).is_empty());
    }
}
