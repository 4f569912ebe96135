//! From the text of a reader to a token.

use crate::domain::{IdToken, TokenKind};
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// Longest text of a card; the longest number has 20 digits.
const LONGEST: usize = 64;

/// How the text of a card begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Frame {
    /// A line, ended by CR, LF or both; a keyboard's Enter.
    Line,
    /// Between STX (02) and ETX (03).
    StxEtx,
}

/// How the number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Number {
    /// Hexadecimal digits, two a byte.
    Hex,
    /// Decimal digits.
    Decimal,
    /// Facility and number with a comma between, as a Wiegand reader of 26 bits prints them.
    Wiegand,
}

/// How the token is written that goes into the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenForm {
    /// Hexadecimal, capital letters.
    Hex,
    /// As the reader writes it.
    AsRead,
}

/// Everything a profile says about a reader's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardFormat {
    /// Begin and end.
    pub frame: Frame,
    /// The number.
    pub number: Number,
    /// How many digits it may have; empty: any even number for hexadecimal, any for decimal.
    pub digits: Vec<u8>,
    /// Whether two hexadecimal digits behind it are all its bytes combined by exclusive or.
    pub xor: bool,
    /// Whether its bytes come last first.
    pub reverse: bool,
    /// Bytes of a decimal number.
    pub bytes: u8,
    /// How the token is written.
    pub token: TokenForm,
    /// A card repeated within this time is the same presentation.
    pub hold: Duration,
}

impl CardFormat {
    /// The token of a text; `None`: the text does not have the form, its check is wrong, or no card has this number.
    #[must_use]
    pub fn token(&self, text: &str) -> Option<IdToken> {
        let text = text.trim();
        let number = if self.xor {
            let (number, check) = text.split_at_checked(text.len().checked_sub(2)?)?;
            let sum = hex(number)?.iter().fold(0, |sum, byte| sum ^ byte);
            (hex(check)? == [sum]).then_some(number)?
        } else {
            text
        };
        let count = u8::try_from(number.chars().filter(char::is_ascii_hexdigit).count()).ok()?;
        if !self.digits.is_empty() && !self.digits.contains(&count) {
            return None;
        }
        let mut bytes = match self.number {
            Number::Hex => hex(number)?,
            Number::Decimal => decimal(number, self.bytes)?,
            Number::Wiegand => wiegand(number)?,
        };
        if bytes.iter().all(|byte| *byte == 0) {
            return None;
        }
        if self.reverse {
            bytes.reverse();
        }
        Some(match self.token {
            TokenForm::AsRead => IdToken::new(number, TokenKind::Local),
            TokenForm::Hex => {
                let kind = match bytes.len() {
                    4 | 7 | 10 => TokenKind::Iso14443,
                    8 => TokenKind::Iso15693,
                    _ => TokenKind::Local,
                };
                let text: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
                IdToken::new(text, kind)
            }
        })
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let pairs = text.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> = pairs
        .map(|pair| match *pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect();
    bytes.filter(|bytes| (1..=10).contains(&bytes.len()))
}

fn decimal(text: &str, width: u8) -> Option<Vec<u8>> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = text.parse().ok().filter(|_| plain)?;
    let bytes = number.to_be_bytes();
    let (head, tail) = bytes.split_at(bytes.len().checked_sub(width.into())?);
    head.iter().all(|byte| *byte == 0).then(|| tail.to_vec())
}

fn wiegand(text: &str) -> Option<Vec<u8>> {
    let (facility, number) = text.split_once(',')?;
    Some([decimal(facility, 1)?, decimal(number, 2)?].concat())
}

/// Finds the texts of cards in bytes that come cut anywhere.
#[derive(Debug)]
pub(in crate::device) struct Cards {
    format: CardFormat,
    text: Vec<u8>,
    /// Inside a frame that has a begin.
    inside: bool,
    /// The text is too long for any card; the rest of it is dropped.
    overrun: bool,
}

impl Cards {
    /// Nothing read yet.
    pub fn new(format: CardFormat) -> Self {
        Self {
            format,
            text: Vec::new(),
            inside: false,
            overrun: false,
        }
    }

    /// The tokens of all texts that ended.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<IdToken> {
        let mut found = Vec::new();
        for byte in bytes {
            match (self.format.frame, byte & 0x7F) {
                (Frame::Line, b'\r' | b'\n') => found.extend(self.end()),
                (Frame::StxEtx, 2) => {
                    self.reset();
                    self.inside = true;
                }
                (Frame::StxEtx, 3) if self.inside => found.extend(self.end()),
                (Frame::StxEtx, _) if !self.inside => {}
                (_, byte) => self.take(byte),
            }
        }
        found
    }

    /// Forgets a text that began.
    pub fn reset(&mut self) {
        self.text.clear();
        (self.inside, self.overrun) = (false, false);
    }

    fn take(&mut self, byte: u8) {
        self.overrun |= self.text.len() >= LONGEST;
        if !self.overrun {
            self.text.push(byte);
        }
    }

    fn end(&mut self) -> Option<IdToken> {
        let text = (!self.overrun).then(|| String::from_utf8(std::mem::take(&mut self.text)).ok());
        self.reset();
        self.format.token(&text.flatten()?)
    }
}
