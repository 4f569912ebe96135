//! The bytes of a message: values behind a type-length field. Read in one pass, nothing is built but what is wanted.

use crate::device::obis::listener::Damage;

/// Deepest list in a list.
const DEEPEST: u8 = 8;

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// Octets; empty where an optional value is left out.
    Octets(&'a [u8]),
    /// True or false.
    Bool(bool),
    /// A signed number and how many bytes it took.
    Signed(i64, usize),
    /// An unsigned number.
    Unsigned(u64),
    /// A list of so many values, which follow.
    List(usize),
    /// The end of a message.
    End,
}

/// Reads values one after the other.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

const SHORT: Damage = Damage::Malformed("a value runs beyond the end");

impl<'a> Reader<'a> {
    /// At the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Where it stands.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Whether all was read.
    pub fn is_done(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn byte(&mut self) -> Result<u8, Damage> {
        let byte = *self.bytes.get(self.at).ok_or(SHORT)?;
        self.at += 1;
        Ok(byte)
    }

    /// The next value.
    pub fn value(&mut self) -> Result<Value<'a>, Damage> {
        let begin = self.at;
        let mut field = self.byte()?;
        if field == 0 {
            return Ok(Value::End);
        }
        let kind = (field >> 4) & 7;
        let mut length = usize::from(field & 0x0F);
        while field & 0x80 != 0 {
            field = self.byte()?;
            if field & 0x70 != 0 || self.at - begin > 4 {
                return Err(Damage::Malformed("a length that is none"));
            }
            length = (length << 4) | usize::from(field & 0x0F);
        }
        if kind == 7 {
            return Ok(Value::List(length));
        }
        let count = length
            .checked_sub(self.at - begin)
            .ok_or(Damage::Malformed("a length that is none"))?;
        let data = self.bytes.get(self.at..self.at + count).ok_or(SHORT)?;
        self.at += count;
        match (kind, count) {
            (0, _) => Ok(Value::Octets(data)),
            (4, 1) => Ok(Value::Bool(data[0] != 0)),
            (5, 1..=8) => {
                let sign = if data[0] & 0x80 == 0 { 0 } else { -1 };
                let value = data
                    .iter()
                    .fold(sign, |value: i64, byte| (value << 8) | i64::from(*byte));
                Ok(Value::Signed(value, count))
            }
            (6, 1..=8) => {
                let value = data
                    .iter()
                    .fold(0, |value: u64, byte| (value << 8) | u64::from(*byte));
                Ok(Value::Unsigned(value))
            }
            _ => Err(Damage::Malformed("a type that is none")),
        }
    }

    /// A list of exactly so many values.
    pub fn list(&mut self, count: usize) -> Result<(), Damage> {
        match self.value()? {
            Value::List(found) if found == count => Ok(()),
            _ => Err(Damage::Malformed("a list of another length")),
        }
    }

    /// An unsigned number.
    pub fn unsigned(&mut self) -> Result<u64, Damage> {
        match self.value()? {
            Value::Unsigned(value) => Ok(value),
            _ => Err(Damage::Malformed("no number where one belongs")),
        }
    }

    /// Passes over a value with all that is in it.
    pub fn skip(&mut self) -> Result<(), Damage> {
        self.pass(0)
    }

    fn pass(&mut self, depth: u8) -> Result<(), Damage> {
        if depth > DEEPEST {
            return Err(Damage::Malformed("lists too deep"));
        }
        if let Value::List(count) = self.value()? {
            // Each value has a byte at least, so the loop is as short as the telegram.
            for _ in 0..count {
                self.pass(depth + 1)?;
            }
        }
        Ok(())
    }
}
