//! What was heard after a request, judged to the byte. Pure.

use crate::bus::frame::{Answer, FrameError, ascii, mbap, rtu};
use crate::device::{Pdu, Reply};
use crate::domain::Framing;

/// How a framing is called.
#[must_use]
pub const fn called(framing: Framing) -> &'static str {
    match framing {
        Framing::Rtu => "Modbus RTU",
        Framing::Ascii => "Modbus ASCII",
        Framing::Tcp | Framing::Auto => "Modbus TCP",
    }
}

/// What a question came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The answer.
    Reply(Reply),
    /// A refusal: the unit exists.
    Exception(u8),
    /// Not a byte.
    Silence,
    /// Only our own request.
    OnlyEcho,
    /// An undamaged answer of another unit or to another question.
    Foreign(FrameError),
    /// Bytes that are no undamaged answer.
    Damaged(FrameError),
}

impl Verdict {
    /// Whether the unit is there: it answered, be it with a refusal.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        matches!(self, Self::Reply(_) | Self::Exception(_))
    }
}

/// A verdict with what else was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// Our own request was heard before the answer.
    pub echo: bool,
    /// Undamaged answers to this question, more than one where two units share an address.
    pub answers: usize,
}

/// Judges the bytes heard after `request`, which asked `unit` for `pdu`.
#[must_use]
pub fn judge(framing: Framing, unit: u8, pdu: &Pdu, request: &[u8], heard: &[u8]) -> Judged {
    match framing {
        Framing::Rtu => judge_rtu(unit, pdu, request, heard),
        Framing::Ascii => judge_ascii(unit, pdu, request, heard),
        Framing::Tcp | Framing::Auto => judge_tcp(unit, pdu, heard),
    }
}

/// Whether enough was heard to judge: a whole undamaged frame behind a possible echo.
#[must_use]
pub fn is_enough(framing: Framing, request: &[u8], heard: &[u8]) -> bool {
    match framing {
        Framing::Rtu => {
            let rest = trim(heard);
            let rest = trim(rest.strip_prefix(request).unwrap_or(rest));
            rtu::sound(rest).is_some()
        }
        Framing::Ascii => heard.strip_prefix(request).unwrap_or(heard).ends_with(b"\n"),
        Framing::Tcp | Framing::Auto => match mbap::frame_len(heard) {
            Ok(len) => len.is_some_and(|len| heard.len() >= len),
            Err(_) => true,
        },
    }
}

fn judge_rtu(unit: u8, pdu: &Pdu, request: &[u8], heard: &[u8]) -> Judged {
    let mut rest = trim(heard);
    let echo = rest.starts_with(request) && !(matches!(pdu.function(), 5 | 6) && rest.len() == request.len());
    if echo {
        rest = trim(&rest[request.len()..]);
    }
    if rest.is_empty() {
        let verdict = if echo { Verdict::OnlyEcho } else { Verdict::Silence };
        return Judged {
            verdict,
            echo,
            answers: 0,
        };
    }
    let (mut verdict, mut answers, mut wrong) = (None, 0, None);
    while let Some(len) = rtu::sound(rest) {
        match rtu::decode(unit, pdu, &rest[..len]) {
            Ok(answer) => {
                answers += 1;
                verdict.get_or_insert(of_answer(answer));
            }
            Err(error) => {
                wrong.get_or_insert(Verdict::Foreign(error));
            }
        }
        rest = trim(&rest[len..]);
    }
    if !rest.is_empty() && verdict.is_none() {
        let error = rtu::decode(unit, pdu, rest)
            .err()
            .unwrap_or(FrameError::Ambiguous);
        wrong.get_or_insert(Verdict::Damaged(error));
    } else if !rest.is_empty() {
        // Something behind the answer that is no frame: another unit spoke into it.
        answers += 1;
    }
    Judged {
        verdict: verdict.or(wrong).unwrap_or(Verdict::Silence),
        echo,
        answers,
    }
}

fn judge_ascii(unit: u8, pdu: &Pdu, request: &[u8], heard: &[u8]) -> Judged {
    let echo = heard.starts_with(request);
    let rest = heard.strip_prefix(request).unwrap_or(heard);
    let lines = rest
        .split(|byte| matches!(byte, b'\r' | b'\n'))
        .filter(|line| !line.is_empty())
        .map(|line| ascii::decode(unit, pdu, line));
    let (mut verdict, mut answers, mut wrong) = (None, 0, None);
    for decoded in lines {
        match decoded {
            Ok(answer) => {
                answers += 1;
                verdict.get_or_insert(of_answer(answer));
            }
            Err(error @ FrameError::Unit { .. }) => wrong = Some(Verdict::Foreign(error)),
            Err(error) => wrong = Some(Verdict::Damaged(error)),
        }
    }
    let nothing = if echo { Verdict::OnlyEcho } else { Verdict::Silence };
    Judged {
        verdict: verdict.or(wrong).unwrap_or(nothing),
        echo,
        answers,
    }
}

fn of_answer(answer: Answer) -> Verdict {
    match answer {
        Answer::Reply(reply) => Verdict::Reply(reply),
        Answer::Exception(code) => Verdict::Exception(code),
    }
}

fn judge_tcp(unit: u8, pdu: &Pdu, heard: &[u8]) -> Judged {
    let verdict = match heard {
        [] => Verdict::Silence,
        _ => match mbap::decode(TRANSACTION, unit, pdu, heard) {
            Ok(answer) => of_answer(answer),
            Err(error @ (FrameError::Unit { .. } | FrameError::Transaction { .. })) => {
                Verdict::Foreign(error)
            }
            Err(error) => Verdict::Damaged(error),
        },
    };
    let answers = usize::from(verdict.is_alive());
    Judged {
        verdict,
        echo: false,
        answers,
    }
}

/// The transaction id of every question; there is never more than one in flight.
pub const TRANSACTION: u16 = 0x5256;

/// A request in its frame.
///
/// # Errors
/// [`FrameError::Quantity`].
pub fn encode(framing: Framing, unit: u8, pdu: &Pdu) -> Result<Vec<u8>, FrameError> {
    match framing {
        Framing::Rtu => rtu::encode(unit, pdu),
        Framing::Ascii => ascii::encode(unit, pdu),
        Framing::Tcp | Framing::Auto => mbap::encode(TRANSACTION, unit, pdu),
    }
}

/// Drops the 0x00 and 0xFF that a line driver may make when it is switched on and off.
fn trim(bytes: &[u8]) -> &[u8] {
    let glitches = bytes
        .iter()
        .take_while(|byte| matches!(byte, 0x00 | 0xFF))
        .count();
    match rtu::sound(bytes) {
        Some(_) => bytes,
        None if glitches <= 2 => &bytes[glitches..],
        None => bytes,
    }
}
