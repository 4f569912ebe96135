//! Modbus frames: a request out, an answer in, and exactly what was wrong with one that is not taken.
//!
//! Rules kept here (Modbus Application Protocol V1.1b3; Modbus over Serial Line V1.02):
//! * an answer is taken only if unit, function, length and register count are those asked for (6.1 to 6.4);
//! * a confirmed write must repeat address and value or quantity (6.5, 6.6, 6.11, 6.12);
//! * a function with its top bit set is an exception (7) and ends the request;
//! * on a serial line the CRC covers all of it, low byte first (2.5.1.2);
//! * on TCP the transaction id must be the one sent (Messaging on TCP/IP V1.0b, 3.1.3).

use crate::device::{Pdu, Reply};

/// Why bytes are not the answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The frame ends too early.
    #[error("{have} bytes received, {need} needed")]
    Short {
        /// Bytes there.
        have: usize,
        /// Bytes needed.
        need: usize,
    },
    /// Bytes after the end of the frame.
    #[error("{extra} bytes too many")]
    Trailing {
        /// How many.
        extra: usize,
    },
    /// Checksum.
    #[error("checksum {got:#06x} instead of {want:#06x}")]
    Crc {
        /// As received.
        got: u16,
        /// As computed.
        want: u16,
    },
    /// A character that is no hexadecimal digit.
    #[error("a character that is no hexadecimal digit")]
    Digits,
    /// Another unit answered.
    #[error("unit {got} answered instead of {want}")]
    Unit {
        /// As received.
        got: u8,
        /// As asked.
        want: u8,
    },
    /// Answer to another function.
    #[error("function {got:#04x} answered instead of {want:#04x}")]
    Function {
        /// As received.
        got: u8,
        /// As asked.
        want: u8,
    },
    /// Another number of data bytes than asked for.
    #[error("{got} data bytes instead of {want}")]
    ByteCount {
        /// As received.
        got: usize,
        /// As asked.
        want: usize,
    },
    /// A write confirmed for another address.
    #[error("address {got} confirmed instead of {want}")]
    Address {
        /// As received.
        got: u16,
        /// As written.
        want: u16,
    },
    /// A write confirmed with another value or quantity.
    #[error("value {got:#06x} confirmed instead of {want:#06x}")]
    Value {
        /// As received.
        got: u16,
        /// As written.
        want: u16,
    },
    /// Only our own request came back: the adapter echoes, or two wires are crossed.
    #[error("only the request itself came back")]
    Echo,
    /// A reply to an earlier TCP request.
    #[error("transaction {got} answered instead of {want}")]
    Transaction {
        /// As received.
        got: u16,
        /// As sent.
        want: u16,
    },
    /// Not Modbus TCP.
    #[error("protocol id {got} instead of 0")]
    Protocol {
        /// As received.
        got: u16,
    },
    /// MBAP length that no answer can have.
    #[error("impossible length {got}")]
    Length {
        /// As received.
        got: u16,
    },
    /// An answer that may belong to an earlier request that got none.
    #[error("the answer may belong to an earlier request")]
    Ambiguous,
    /// The request itself cannot be sent: quantity out of range.
    #[error("{count} values cannot be asked for in one request")]
    Quantity {
        /// As asked.
        count: usize,
    },
}

/// What a device said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What was asked for.
    Reply(Reply),
    /// A refusal with its exception code.
    Exception(u8),
}

/// Most bytes of a serial frame (Modbus over Serial Line V1.02, 2.5.1).
pub const MAX_ADU: usize = 256;

/// CRC-16 of Modbus (polynomial 0xA001 reflected, start 0xFFFF).
#[must_use]
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        let index = (crc ^ u16::from(*byte)) & 0xFF;
        (crc >> 8) ^ CRC_TABLE[usize::from(index)]
    })
}

const CRC_TABLE: [u16; 256] = crc_table();

const fn crc_table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let (mut crc, mut bit) = (index as u16, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xA001
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

/// The request without address and checksum.
///
/// # Errors
/// [`FrameError::Quantity`] where the standard allows no such number of values in one request.
pub fn encode(pdu: &Pdu) -> Result<Vec<u8>, FrameError> {
    let mut out = vec![pdu.function()];
    let mut word = |value: u16| out.extend_from_slice(&value.to_be_bytes());
    match pdu {
        Pdu::Read { fc, addr, count } => {
            let most = if fc.is_bits() { 2000 } else { 125 };
            quantity(usize::from(*count), most)?;
            word(*addr);
            word(*count);
        }
        Pdu::WriteSingle { addr, value } => {
            word(*addr);
            word(*value);
        }
        Pdu::WriteCoil { addr, on } => {
            word(*addr);
            word(coil(*on));
        }
        Pdu::WriteMulti { addr, values } => {
            let count = quantity(values.len(), 123)?;
            word(*addr);
            word(count);
            out.push(data_bytes(pdu));
            out.extend(values.iter().flat_map(|value| value.to_be_bytes()));
        }
        Pdu::WriteCoils { addr, values } => {
            let count = quantity(values.len(), 1968)?;
            word(*addr);
            word(count);
            out.push(data_bytes(pdu));
            out.extend(values.chunks(8).map(|bits| {
                bits.iter()
                    .enumerate()
                    .fold(0, |byte, (n, on)| byte | u8::from(*on) << n)
            }));
        }
    }
    Ok(out)
}

/// Bytes of the normal answer, without address and checksum.
#[must_use]
pub fn answer_len(pdu: &Pdu) -> usize {
    match pdu {
        Pdu::Read { .. } => 2 + usize::from(data_bytes(pdu)),
        _ => 5,
    }
}

/// Matches an answer (function code first, no address, no checksum) with the request.
///
/// # Errors
/// What does not agree with the request.
pub fn decode(pdu: &Pdu, bytes: &[u8]) -> Result<Answer, FrameError> {
    let want = pdu.function();
    let Some((&function, rest)) = bytes.split_first() else {
        return Err(FrameError::Short { have: 0, need: 2 });
    };
    if function == want | 0x80 {
        exact(bytes, 2)?;
        return Ok(Answer::Exception(rest[0]));
    }
    if function != want {
        return Err(FrameError::Function { got: function, want });
    }
    match pdu {
        Pdu::Read { fc, count, .. } => {
            let (want, got) = (
                data_bytes(pdu),
                *rest.first().ok_or(FrameError::Short { have: 1, need: 2 })?,
            );
            if got != want {
                return Err(FrameError::ByteCount {
                    got: got.into(),
                    want: want.into(),
                });
            }
            exact(bytes, answer_len(pdu))?;
            Ok(Answer::Reply(values(
                fc.is_bits(),
                usize::from(*count),
                &rest[1..],
            )))
        }
        Pdu::WriteSingle { addr, value } => confirmed(bytes, *addr, *value),
        Pdu::WriteCoil { addr, on } => confirmed(bytes, *addr, coil(*on)),
        Pdu::WriteMulti { addr, values } => confirmed(bytes, *addr, saturate(values.len())),
        Pdu::WriteCoils { addr, values } => confirmed(bytes, *addr, saturate(values.len())),
    }
}

fn values(bits: bool, count: usize, data: &[u8]) -> Reply {
    if bits {
        let all = data
            .iter()
            .flat_map(|byte| (0..8).map(move |n| byte >> n & 1 == 1));
        Reply::Bits(all.take(count).collect())
    } else {
        Reply::Registers(
            data.chunks_exact(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
                .collect(),
        )
    }
}

fn confirmed(bytes: &[u8], addr: u16, value: u16) -> Result<Answer, FrameError> {
    exact(bytes, 5)?;
    let got = u16::from_be_bytes([bytes[1], bytes[2]]);
    if got != addr {
        return Err(FrameError::Address { got, want: addr });
    }
    let got = u16::from_be_bytes([bytes[3], bytes[4]]);
    if got != value {
        return Err(FrameError::Value { got, want: value });
    }
    Ok(Answer::Reply(Reply::Written))
}

fn exact(bytes: &[u8], need: usize) -> Result<(), FrameError> {
    match bytes.len() {
        have if have < need => Err(FrameError::Short { have, need }),
        have if have > need => Err(FrameError::Trailing { extra: have - need }),
        _ => Ok(()),
    }
}

fn quantity(count: usize, most: u16) -> Result<u16, FrameError> {
    match u16::try_from(count) {
        Ok(fits) if (1..=most).contains(&fits) => Ok(fits),
        _ => Err(FrameError::Quantity { count }),
    }
}

fn coil(on: bool) -> u16 {
    if on { 0xFF00 } else { 0 }
}

/// The byte-count field of the request (writes) or of the answer (reads).
fn data_bytes(pdu: &Pdu) -> u8 {
    let bytes = match pdu {
        Pdu::Read { fc, count, .. } if fc.is_bits() => usize::from(*count).div_ceil(8),
        Pdu::Read { count, .. } => usize::from(*count) * 2,
        Pdu::WriteMulti { values, .. } => values.len() * 2,
        Pdu::WriteCoils { values, .. } => values.len().div_ceil(8),
        Pdu::WriteSingle { .. } | Pdu::WriteCoil { .. } => 0,
    };
    u8::try_from(bytes).unwrap_or(u8::MAX)
}

fn saturate(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

pub mod ascii;

/// Serial framing: unit, PDU, CRC.
pub mod rtu {
    use super::{Answer, FrameError, Pdu, answer_len, crc16, decode as decode_pdu, encode as encode_pdu};

    /// The whole request.
    ///
    /// # Errors
    /// [`FrameError::Quantity`].
    pub fn encode(unit: u8, pdu: &Pdu) -> Result<Vec<u8>, FrameError> {
        let mut out = vec![unit];
        out.extend(encode_pdu(pdu)?);
        let crc = crc16(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        Ok(out)
    }

    /// Bytes of the normal answer.
    #[must_use]
    pub fn answer_bytes(pdu: &Pdu) -> usize {
        answer_len(pdu) + 3
    }

    /// Length of the answer frame these bytes begin, as far as the function code tells; `None`: too few bytes
    /// or no function an answer could have.
    #[must_use]
    pub fn frame_len(bytes: &[u8]) -> Option<usize> {
        match *bytes.get(1)? {
            1..=4 => Some(5 + usize::from(*bytes.get(2)?)),
            5 | 6 | 15 | 16 => Some(8),
            0x81..=0xFF => Some(5),
            _ => None,
        }
    }

    /// Whether the bytes begin with an undamaged answer frame; its length.
    #[must_use]
    pub fn sound(bytes: &[u8]) -> Option<usize> {
        let len = frame_len(bytes).filter(|len| *len <= bytes.len())?;
        let (body, tail) = bytes[..len].split_at(len - 2);
        (crc16(body) == u16::from_le_bytes([tail[0], tail[1]])).then_some(len)
    }

    /// Whether the bytes begin with any undamaged frame, a request or an answer; its length. For traffic that was
    /// overheard.
    fn sound_any(bytes: &[u8]) -> Option<usize> {
        let request = match bytes.get(1)? {
            1..=6 => Some(8),
            15 | 16 => bytes.get(6).map(|count| 9 + usize::from(*count)),
            _ => None,
        };
        let fits = |len: &usize| {
            let (body, tail) = bytes.get(..*len)?.split_at(len - 2);
            (crc16(body) == u16::from_le_bytes([tail[0], tail[1]])).then_some(*len)
        };
        [request, frame_len(bytes)].iter().flatten().find_map(fits)
    }

    /// All undamaged frames in traffic that was overheard, requests and answers.
    pub fn sound_all(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
        let mut rest = bytes;
        std::iter::from_fn(move || {
            loop {
                let (frame, after) = match sound_any(rest) {
                    Some(len) => rest.split_at(len),
                    None => (&[][..], rest.get(1..)?),
                };
                rest = after;
                if !frame.is_empty() {
                    return Some(frame);
                }
            }
        })
    }

    /// Matches exactly one frame with its request.
    ///
    /// # Errors
    /// What does not agree; the checksum is looked at before anything else that is not plain from the length.
    pub fn decode(unit: u8, pdu: &Pdu, frame: &[u8]) -> Result<Answer, FrameError> {
        if frame.len() < 5 {
            return Err(FrameError::Short {
                have: frame.len(),
                need: 5,
            });
        }
        let (body, tail) = frame.split_at(frame.len() - 2);
        let (got, want) = (u16::from_le_bytes([tail[0], tail[1]]), crc16(body));
        if got != want {
            return Err(FrameError::Crc { got, want });
        }
        if body[0] != unit {
            return Err(FrameError::Unit {
                got: body[0],
                want: unit,
            });
        }
        decode_pdu(pdu, &body[1..])
    }
}

/// TCP framing: MBAP header, PDU.
pub mod mbap {
    use super::{Answer, FrameError, Pdu, decode as decode_pdu, encode as encode_pdu};

    /// Bytes of the header, unit id included.
    pub const HEADER: usize = 7;

    /// The whole request.
    ///
    /// # Errors
    /// [`FrameError::Quantity`].
    pub fn encode(transaction: u16, unit: u8, pdu: &Pdu) -> Result<Vec<u8>, FrameError> {
        let body = encode_pdu(pdu)?;
        let mut out = Vec::with_capacity(HEADER + body.len());
        out.extend_from_slice(&transaction.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&super::saturate(body.len() + 1).to_be_bytes());
        out.push(unit);
        out.extend(body);
        Ok(out)
    }

    /// Length of the frame these bytes begin; `None`: the header is not there yet.
    ///
    /// # Errors
    /// The stream has lost its frames and must be connected anew.
    pub fn frame_len(bytes: &[u8]) -> Result<Option<usize>, FrameError> {
        let &[_, _, p0, p1, l0, l1, ..] = bytes else {
            return Ok(None);
        };
        let (protocol, length) = (u16::from_be_bytes([p0, p1]), u16::from_be_bytes([l0, l1]));
        match (protocol, length) {
            (0, 3..=254) => Ok(Some(usize::from(length) + HEADER - 1)),
            (0, got) => Err(FrameError::Length { got }),
            (got, _) => Err(FrameError::Protocol { got }),
        }
    }

    /// Matches exactly one frame with its request.
    ///
    /// # Errors
    /// What does not agree; the transaction id first.
    pub fn decode(transaction: u16, unit: u8, pdu: &Pdu, frame: &[u8]) -> Result<Answer, FrameError> {
        let need = frame_len(frame)?.unwrap_or(HEADER + 2);
        super::exact(frame, need)?;
        let got = u16::from_be_bytes([frame[0], frame[1]]);
        if got != transaction {
            return Err(FrameError::Transaction {
                got,
                want: transaction,
            });
        }
        if frame[6] != unit {
            return Err(FrameError::Unit {
                got: frame[6],
                want: unit,
            });
        }
        decode_pdu(pdu, &frame[HEADER..])
    }
}

#[cfg(test)]
#[path = "tests/frame.rs"]
mod tests;
