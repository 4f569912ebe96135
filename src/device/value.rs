//! Register contents: type, word order, byte order.

use super::pdu::Reply;

/// How the bits of a point are read.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    /// Unsigned, one register.
    U16,
    /// Signed, one register.
    I16,
    /// Unsigned, two registers.
    U32,
    /// Signed, two registers.
    I32,
    /// Unsigned, four registers.
    U64,
    /// Signed, four registers.
    I64,
    /// IEEE 754, two registers.
    F32,
    /// IEEE 754, four registers.
    F64,
    /// A coil or discrete input.
    Bit,
    /// Text, two characters per register; `len` registers.
    Ascii,
    /// Text, one UTF-16 character per register; `len` registers.
    Utf16,
    /// Bytes, two per register; `len` registers.
    Bytes,
}

impl ValueType {
    /// Registers (or bits) of a number; `None` where `len` says it.
    #[must_use]
    pub const fn width(self) -> Option<u16> {
        match self {
            Self::U16 | Self::I16 | Self::Bit => Some(1),
            Self::U32 | Self::I32 | Self::F32 => Some(2),
            Self::U64 | Self::I64 | Self::F64 => Some(4),
            Self::Ascii | Self::Utf16 | Self::Bytes => None,
        }
    }

    /// Whether values are floats.
    #[must_use]
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }

    /// Whether values are integers (a bit counts as one).
    #[must_use]
    pub const fn is_integer(self) -> bool {
        !self.is_float() && self.width().is_some()
    }

    /// Whether values are signed integers.
    #[must_use]
    pub const fn is_signed(self) -> bool {
        matches!(self, Self::I16 | Self::I32 | Self::I64)
    }

    /// Smallest and largest integer; `None` for floats and text.
    #[must_use]
    pub fn bounds(self) -> Option<(i128, i128)> {
        match self {
            Self::U16 => Some((0, u16::MAX.into())),
            Self::I16 => Some((i16::MIN.into(), i16::MAX.into())),
            Self::U32 => Some((0, u32::MAX.into())),
            Self::I32 => Some((i32::MIN.into(), i32::MAX.into())),
            Self::U64 => Some((0, u64::MAX.into())),
            Self::I64 => Some((i64::MIN.into(), i64::MAX.into())),
            Self::Bit => Some((0, 1)),
            Self::F32 | Self::F64 | Self::Ascii | Self::Utf16 | Self::Bytes => None,
        }
    }
}

/// Which half comes first.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The high part first.
    #[default]
    Big,
    /// The low part first.
    Little,
}

/// Type and layout of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Its type.
    pub kind: ValueType,
    /// Registers (bits for [`ValueType::Bit`]).
    pub width: u16,
    /// Order of registers within the value.
    pub words: Order,
    /// Order of bytes within a register.
    pub bytes: Order,
    /// Bytes in front of a text that do not belong to it.
    pub skip: u8,
}

/// A value as it stands in the device, before scale and meaning.
#[derive(Clone, Debug, PartialEq)]
pub enum Raw {
    /// Integer types and bits.
    Int(i128),
    /// Float types.
    Float(f64),
    /// Text, trimmed.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Raw {
    /// The integer, if it is one.
    #[must_use]
    pub fn int(&self) -> Option<i128> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Float(_) | Self::Text(_) | Self::Bytes(_) => None,
        }
    }

    /// The value as a number, for comparisons.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "bounds in profiles are far below 2^53")]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Text(_) | Self::Bytes(_) => None,
        }
    }

    /// The low 64 bits, for logs and vendor codes; text gives its first eight bytes.
    #[must_use]
    pub fn bits(&self) -> u64 {
        let of_bytes = |bytes: &[u8]| bytes.iter().take(8).fold(0, |sum, b| (sum << 8) | u64::from(*b));
        match self {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the low bits are wanted"
            )]
            Self::Int(value) => *value as u64,
            Self::Float(value) => value.to_bits(),
            Self::Text(text) => of_bytes(text.as_bytes()),
            Self::Bytes(bytes) => of_bytes(bytes),
        }
    }
}

impl Layout {
    /// Reads a value from exactly [`Layout::width`] registers; `None` when the number is wrong.
    #[must_use]
    pub fn read(&self, registers: &[u16]) -> Option<Raw> {
        if registers.len() != usize::from(self.width) {
            return None;
        }
        let mut bytes = self.bytes_of(registers);
        let bytes = bytes.split_off(usize::from(self.skip).min(bytes.len()));
        let unsigned = || bytes.iter().fold(0_u64, |sum, b| (sum << 8) | u64::from(*b));
        #[allow(clippy::cast_possible_truncation, reason = "the width of the type is read")]
        let raw = match self.kind {
            ValueType::U16 | ValueType::U32 | ValueType::U64 | ValueType::Bit => Raw::Int(unsigned().into()),
            ValueType::I16 => Raw::Int((unsigned() as u16).cast_signed().into()),
            ValueType::I32 => Raw::Int((unsigned() as u32).cast_signed().into()),
            ValueType::I64 => Raw::Int(unsigned().cast_signed().into()),
            ValueType::F32 => Raw::Float(f32::from_bits(unsigned() as u32).into()),
            ValueType::F64 => Raw::Float(f64::from_bits(unsigned())),
            ValueType::Ascii => Raw::Text(text(bytes.iter().map(|b| char::from(*b)))),
            ValueType::Utf16 => {
                let units = bytes
                    .chunks_exact(2)
                    .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
                Raw::Text(text(
                    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)),
                ))
            }
            ValueType::Bytes => Raw::Bytes(bytes),
        };
        Some(raw)
    }

    /// Reads a value that begins at this register or bit of the answer to a read of `count`; `None` when the answer
    /// has another shape. Bits come in whole bytes: what is behind the asked number is filling.
    #[must_use]
    pub fn in_reply(&self, reply: &Reply, at: usize, count: usize) -> Option<Raw> {
        match reply {
            Reply::Registers(all) if all.len() == count => {
                self.read(all.get(at..at.checked_add(usize::from(self.width))?)?)
            }
            Reply::Bits(all) if at < count && all.len() >= count => {
                all.get(at).map(|bit| Raw::Int(i128::from(*bit)))
            }
            Reply::Registers(_) | Reply::Bits(_) | Reply::Written => None,
        }
    }

    /// The registers that hold a number; `None` when it does not fit or is no number.
    #[must_use]
    pub fn write(&self, value: &Raw) -> Option<Vec<u16>> {
        let bits = match (value, self.kind) {
            #[allow(clippy::cast_possible_truncation, reason = "the caller rounds for the type")]
            (Raw::Float(value), ValueType::F32) => u64::from((*value as f32).to_bits()),
            (Raw::Float(value), ValueType::F64) => value.to_bits(),
            (Raw::Int(value), kind) => {
                let (least, most) = kind.bounds()?;
                if !(least..=most).contains(value) {
                    return None;
                }
                Raw::Int(*value).bits()
            }
            (Raw::Float(_) | Raw::Text(_) | Raw::Bytes(_), _) => return None,
        };
        #[allow(clippy::cast_possible_truncation, reason = "16 bits at a time")]
        let mut registers: Vec<u16> = (0..self.width)
            .rev()
            .map(|word| (bits >> (16 * u32::from(word))) as u16)
            .collect();
        if self.words == Order::Little {
            registers.reverse();
        }
        if self.bytes == Order::Little {
            registers.iter_mut().for_each(|word| *word = word.swap_bytes());
        }
        Some(registers)
    }

    fn bytes_of(&self, registers: &[u16]) -> Vec<u8> {
        let word = |value: &u16| match self.bytes {
            Order::Big => value.to_be_bytes(),
            Order::Little => value.to_le_bytes(),
        };
        match self.words {
            Order::Big => registers.iter().flat_map(word).collect(),
            Order::Little => registers.iter().rev().flat_map(word).collect(),
        }
    }
}

fn text(characters: impl Iterator<Item = char>) -> String {
    let text: String = characters
        .take_while(|c| *c != '\0')
        .filter(|c| !c.is_control())
        .collect();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layout(kind: ValueType, words: Order, bytes: Order) -> Layout {
        Layout {
            kind,
            width: kind.width().unwrap_or(3),
            words,
            bytes,
            skip: 0,
        }
    }

    #[test]
    fn word_and_byte_orders() {
        let read = |words, bytes, registers: &[u16]| layout(ValueType::U32, words, bytes).read(registers);
        assert_eq!(
            read(Order::Big, Order::Big, &[0x0102, 0x0304]),
            Some(Raw::Int(0x0102_0304))
        );
        assert_eq!(
            read(Order::Little, Order::Big, &[0x0304, 0x0102]),
            Some(Raw::Int(0x0102_0304))
        );
        assert_eq!(
            read(Order::Big, Order::Little, &[0x0201, 0x0403]),
            Some(Raw::Int(0x0102_0304))
        );
        assert_eq!(
            read(Order::Little, Order::Little, &[0x0403, 0x0201]),
            Some(Raw::Int(0x0102_0304))
        );
        assert_eq!(read(Order::Big, Order::Big, &[1]), None);
    }

    #[test]
    fn text_ends_at_a_null_and_is_trimmed() {
        let ascii = layout(ValueType::Ascii, Order::Big, Order::Big);
        assert_eq!(
            ascii.read(&[0x4232, 0x3320, 0x0041]),
            Some(Raw::Text("B23".into()))
        );
        let wide = layout(ValueType::Utf16, Order::Big, Order::Big);
        assert_eq!(wide.read(&[0x0041, 0x00E4, 0]), Some(Raw::Text("A\u{e4}".into())));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value: u64, words: bool, bytes: bool, kind in 0_usize..7) {
            let kinds = [
                ValueType::U16, ValueType::I16, ValueType::U32, ValueType::I32,
                ValueType::U64, ValueType::I64, ValueType::F64,
            ];
            let order = |little| if little { Order::Little } else { Order::Big };
            let layout = layout(kinds[kind], order(words), order(bytes));
            let raw = match kinds[kind].bounds() {
                Some((least, most)) => Raw::Int(least + i128::from(value) % (most - least + 1)),
                None => Raw::Float(f64::from(u32::try_from(value >> 32).unwrap())),
            };
            prop_assert_eq!(layout.read(&layout.write(&raw).unwrap()), Some(raw));
        }
    }

    #[test]
    fn a_value_is_taken_from_an_answer_of_the_asked_shape_only() {
        let number = layout(ValueType::U32, Order::Big, Order::Big);
        let registers = Reply::Registers(vec![9, 0, 7]);
        assert_eq!(number.in_reply(&registers, 1, 3), Some(Raw::Int(7)));
        assert_eq!(number.in_reply(&registers, 2, 3), None, "half of it is missing");
        assert_eq!(number.in_reply(&registers, 1, 4), None, "a register is missing");
        let bit = layout(ValueType::Bit, Order::Big, Order::Big);
        let bits = Reply::Bits(vec![false, true, true, true, true, true, true, true]);
        assert_eq!(bit.in_reply(&bits, 1, 3), Some(Raw::Int(1)));
        assert_eq!(bit.in_reply(&bits, 3, 3), None, "filling");
        assert_eq!(bit.in_reply(&bits, 1, 9), None, "a byte is missing");
        assert_eq!(bit.in_reply(&Reply::Written, 0, 1), None);
    }
}
