//! ASCII framing (Modbus over Serial Line V1.02, 2.5.2): `:`, hexadecimal digits, LRC, CR LF.
//!
//! ABL's controllers answer with `>` in the place of `:`; either is taken as the begin of an answer.

use super::{Answer, FrameError, Pdu, answer_len, decode as decode_pdu, encode as encode_pdu};

/// Most characters of a frame (2.5.2.2).
pub const MAX_CHARS: usize = 513;

/// Two's complement of the sum of all bytes.
#[must_use]
pub fn lrc(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(0_u8, |sum, byte| sum.wrapping_add(*byte))
        .wrapping_neg()
}

/// The whole request.
///
/// # Errors
/// [`FrameError::Quantity`].
pub fn encode(unit: u8, pdu: &Pdu) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![unit];
    bytes.extend(encode_pdu(pdu)?);
    bytes.push(lrc(&bytes));
    let mut out = vec![b':'];
    for byte in bytes {
        out.extend([byte >> 4, byte & 15].map(|digit| b"0123456789ABCDEF"[usize::from(digit)]));
    }
    out.extend_from_slice(b"\r\n");
    Ok(out)
}

/// Characters of the normal answer.
#[must_use]
pub fn answer_chars(pdu: &Pdu) -> usize {
    2 * (answer_len(pdu) + 2) + 3
}

/// Unit and PDU of one line without its line end.
///
/// # Errors
/// What is wrong with it.
pub fn open(line: &[u8]) -> Result<Vec<u8>, FrameError> {
    let short = FrameError::Short {
        have: line.len(),
        need: 9,
    };
    let (Some(b':' | b'>'), digits) = (line.first(), line.get(1..).unwrap_or_default()) else {
        return Err(short);
    };
    if digits.len() % 2 != 0 || digits.len() < 8 {
        return Err(short);
    }
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let byte = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    let bytes: Option<Vec<u8>> = digits.chunks_exact(2).map(byte).collect();
    let Some((got, body)) = bytes.as_deref().and_then(<[u8]>::split_last) else {
        return Err(FrameError::Digits);
    };
    let want = lrc(body);
    if *got != want {
        return Err(FrameError::Crc {
            got: (*got).into(),
            want: want.into(),
        });
    }
    Ok(body.to_vec())
}

/// Matches exactly one frame, without its line end, with its request.
///
/// # Errors
/// What does not agree.
pub fn decode(unit: u8, pdu: &Pdu, line: &[u8]) -> Result<Answer, FrameError> {
    let body = open(line)?;
    if body[0] != unit {
        return Err(FrameError::Unit {
            got: body[0],
            want: unit,
        });
    }
    decode_pdu(pdu, &body[1..])
}
