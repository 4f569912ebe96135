//! Answers of Modbus devices. The first four bytes say what was asked.

use super::outcome::{Outcome, bits, variant};
use super::streams::Pace;
use retrovolt::bus::frame::{self, Answer, FrameError, ascii, crc16, mbap, rtu};
use retrovolt::bus::scanners::{AsciiScan, Found, Scan, Wanted};
use retrovolt::device::{Pdu, ReadFc, Reply};
use std::time::Duration;

/// Unit, request, and the bytes that came.
pub fn asked(data: &[u8]) -> Option<(u8, Pdu, &[u8])> {
    let ([unit, kind, addr, count], rest) = data.split_first_chunk::<4>()?;
    let (addr, count) = (u16::from(*addr), u16::from(*count % 125) + 1);
    let fc = match kind % 4 {
        0 => ReadFc::Coils,
        1 => ReadFc::DiscreteInputs,
        2 => ReadFc::HoldingRegisters,
        _ => ReadFc::InputRegisters,
    };
    let pdu = match kind / 4 % 5 {
        0 => Pdu::Read { fc, addr, count },
        1 => Pdu::WriteSingle { addr, value: count },
        2 => Pdu::WriteCoil { addr, on: count > 1 },
        3 => Pdu::WriteMulti {
            addr,
            values: vec![7; usize::from(count)],
        },
        _ => Pdu::WriteCoils {
            addr,
            values: vec![true; usize::from(count)],
        },
    };
    Some((*unit, pdu, rest))
}

/// An answer as a device sends it: function first, no address, no checksum.
fn answered(pdu: &Pdu, answer: &Answer) -> Vec<u8> {
    let data = |bytes: Vec<u8>| {
        let length = u8::try_from(bytes.len()).expect("at most 250 bytes");
        [vec![pdu.function(), length], bytes].concat()
    };
    match answer {
        Answer::Exception(code) => vec![pdu.function() | 0x80, *code],
        Answer::Reply(Reply::Registers(values)) => {
            data(values.iter().flat_map(|value| value.to_be_bytes()).collect())
        }
        Answer::Reply(Reply::Bits(values)) => {
            let byte = |bits: &[bool]| bits.iter().rev().fold(0, |byte, on| byte << 1 | u8::from(*on));
            data(values.chunks(8).map(byte).collect())
        }
        // A write is confirmed by the begin of its request.
        Answer::Reply(Reply::Written) => frame::encode(pdu).expect("it was asked")[..5].to_vec(),
    }
}

/// What came of bytes: an answer that is taken says what was asked for, and sent again it is the same.
fn taken(outcome: &mut Outcome, how: &str, pdu: &Pdu, result: &Result<Answer, FrameError>) {
    match result {
        Ok(answer) => {
            let again = answered(pdu, answer);
            assert_eq!(frame::decode(pdu, &again).as_ref(), Ok(answer), "{pdu:?}");
            let (kind, count) = match answer {
                Answer::Exception(code) => (format!("exception {code}"), 0),
                Answer::Reply(reply) => {
                    let count = match (reply, pdu) {
                        (Reply::Registers(values), Pdu::Read { count, .. }) => {
                            assert_eq!(values.len(), usize::from(*count));
                            values.len()
                        }
                        (Reply::Bits(values), Pdu::Read { count, .. }) => {
                            assert_eq!(values.len(), usize::from(*count));
                            values.len()
                        }
                        (Reply::Written, pdu) => {
                            assert!(!matches!(pdu, Pdu::Read { .. }), "a read is never `Written`");
                            0
                        }
                        (reply, pdu) => panic!("{reply:?} to {pdu:?}"),
                    };
                    (format!("{} {}", variant(reply), bits(count as u64)), count)
                }
            };
            outcome.step(format!("{how} {kind}"), count);
        }
        Err(error) => outcome.step(format!("{how} {}", variant(error)), error),
    }
}

fn request(outcome: &mut Outcome, pdu: &Pdu, sent: Result<Vec<u8>, FrameError>) {
    match sent {
        Ok(bytes) => outcome.step(format!("ask {:02X}", pdu.function()), bytes.len()),
        Err(error) => outcome.step(format!("ask {:02X} {}", pdu.function(), variant(&error)), error),
    }
}

/// Any bytes for an RTU frame, as they are and under a right checksum.
pub fn rtu(data: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let Some((unit, pdu, bytes)) = asked(data) else {
        return outcome;
    };
    request(&mut outcome, &pdu, rtu::encode(unit, &pdu));
    let decoded = rtu::decode(unit, &pdu, bytes);
    if matches!(decoded, Ok(Answer::Reply(_))) {
        assert_eq!(bytes.len(), rtu::answer_bytes(&pdu));
        assert_eq!(rtu::sound(bytes), Some(bytes.len()));
    }
    taken(&mut outcome, "as it is", &pdu, &decoded);
    let mut sealed = bytes.to_vec();
    sealed.extend_from_slice(&crc16(bytes).to_le_bytes());
    let decoded = rtu::decode(unit, &pdu, &sealed);
    assert!(
        !matches!(decoded, Err(FrameError::Crc { .. })),
        "the checksum is right"
    );
    taken(&mut outcome, "sealed", &pdu, &decoded);
    for (how, frame) in [("as it is", bytes), ("sealed", sealed.as_slice())] {
        let first = rtu::sound_all(frame).next();
        let any = first.filter(|found| found.as_ptr() == frame.as_ptr());
        let found = [rtu::frame_len(frame), rtu::sound(frame), any.map(<[u8]>::len)];
        assert!(found[1..].iter().flatten().all(|length| *length <= frame.len()));
        let seen = found.map(|length| length.is_some());
        outcome.step(format!("{how} {seen:?}"), format!("{found:?}"));
    }
    outcome
}

/// Any bytes for a TCP frame.
pub fn tcp(data: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let Some((unit, pdu, bytes)) = asked(data) else {
        return outcome;
    };
    request(&mut outcome, &pdu, mbap::encode(1, unit, &pdu));
    let length = mbap::frame_len(bytes);
    match &length {
        Ok(Some(length)) => {
            assert!(*length > mbap::HEADER);
            let whole = &bytes[..(*length).min(bytes.len())];
            taken(&mut outcome, "cut", &pdu, &mbap::decode(1, unit, &pdu, whole));
        }
        Ok(None) => outcome.step("no header", ""),
        Err(error) => outcome.step(variant(error), error),
    }
    let decoded = mbap::decode(1, unit, &pdu, bytes);
    if decoded.is_ok() {
        assert_eq!(length, Ok(Some(bytes.len())), "taken, and yet not one frame");
    }
    taken(&mut outcome, "as it is", &pdu, &decoded);
    outcome
}

/// Any bytes for an ASCII frame, as they are and as its payload.
pub fn ascii(data: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let Some((unit, pdu, bytes)) = asked(data) else {
        return outcome;
    };
    request(&mut outcome, &pdu, ascii::encode(unit, &pdu));
    taken(&mut outcome, "as it is", &pdu, &ascii::decode(unit, &pdu, bytes));
    if let Ok(body) = ascii::open(bytes) {
        // Two characters a byte, one before, two for the sum.
        assert_eq!(2 * body.len() + 3, bytes.len());
    }
    let mut line = String::from(">");
    for byte in bytes.iter().chain([&ascii::lrc(bytes)]) {
        line.push_str(&format!("{byte:02X}"));
    }
    match ascii::open(line.as_bytes()) {
        Ok(body) => assert_eq!(body, bytes),
        Err(error) => assert!(matches!(error, FrameError::Short { .. }), "{error}"),
    }
    let decoded = ascii::decode(unit, &pdu, line.as_bytes());
    taken(&mut outcome, "as payload", &pdu, &decoded);
    outcome
}

/// How its pieces come.
const PACE: Pace = Pace {
    length_bits: 6,
    step_ms: 12,
    asks: true,
};
/// Longer than any pause inside a frame, of either framing.
const SILENCE: Duration = Duration::from_millis(1100);

/// Any bytes on a serial line that waits for an answer, cut anywhere, at any pace, in both framings. Each turn of a scanner
/// takes bytes away or ends, it keeps no more than a frame, and after whatever was heard the true answer is found.
pub fn scan(data: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let Some((unit, pdu, bytes)) = asked(data) else {
        return outcome;
    };
    let answer = answer(unit, &pdu);
    if let Ok(request) = rtu::encode(unit, &pdu) {
        let silence = Duration::from_millis(4);
        let (mut scan, mut now) = (Scan::default(), Duration::ZERO);
        let wanted = wanted(unit, &pdu, &request);
        for (pause, piece) in PACE.pieces(bytes) {
            now += Duration::from_millis(pause);
            scan.push(piece, now, silence);
            drain(&mut outcome, piece.len() + 300, || {
                scan.next(wanted).as_ref().map(heard)
            });
            assert!(scan.pending() <= 300, "{} bytes are kept", scan.pending());
        }
        if let Some(answer) = &answer {
            scan.push(&rtu_frame(answer), now + SILENCE, silence);
            let last = scan.next(wanted);
            assert!(matches!(last, Some(Found::Mine(_))), "the answer is lost");
        }
    }
    if let Ok(request) = ascii::encode(unit, &pdu) {
        let (mut scan, mut now) = (AsciiScan::default(), Duration::ZERO);
        let wanted = wanted(unit, &pdu, &request);
        for (pause, piece) in PACE.pieces(bytes) {
            now += Duration::from_millis(pause);
            scan.push(piece, now);
            drain(&mut outcome, piece.len() + 600, || {
                scan.next(wanted).as_ref().map(heard)
            });
            assert!(scan.pending() <= ascii::MAX_CHARS, "{} are kept", scan.pending());
        }
        if let Some(answer) = &answer {
            let mut line = String::from(":");
            for byte in answer.iter().chain([&ascii::lrc(answer)]) {
                line.push_str(&format!("{byte:02X}"));
            }
            line.push_str("\r\n");
            scan.push(line.as_bytes(), now + SILENCE);
            let last = scan.next(wanted);
            assert!(matches!(last, Some(Found::Mine(_))), "the answer is lost");
        }
    }
    outcome
}

/// Takes what a scanner has; each turn takes bytes away or ends.
fn drain(outcome: &mut Outcome, most: usize, mut next: impl FnMut() -> Option<(String, String)>) {
    let mut turns = 0;
    while let Some((kind, detail)) = next() {
        outcome.step(kind, detail);
        turns += 1;
        assert!(turns <= most, "it takes nothing away");
    }
    outcome.step("piece", "");
}

fn heard(found: &Found) -> (String, String) {
    (variant(found), format!("{found:?}"))
}

fn wanted<'a>(unit: u8, pdu: &'a Pdu, request: &'a [u8]) -> Wanted<'a> {
    Wanted {
        unit,
        pdu,
        request,
        echo: false,
    }
}

/// Unit and PDU of the answer to a read; to a write it is made like the request.
fn answer(unit: u8, pdu: &Pdu) -> Option<Vec<u8>> {
    let Pdu::Read { fc, count, .. } = *pdu else {
        return None;
    };
    let bytes = if fc.is_bits() {
        count.div_ceil(8)
    } else {
        count * 2
    };
    let mut answer = vec![unit, fc.code(), u8::try_from(bytes).ok()?];
    answer.resize(3 + usize::from(bytes), 0);
    Some(answer)
}

fn rtu_frame(body: &[u8]) -> Vec<u8> {
    let mut frame = body.to_vec();
    frame.extend_from_slice(&crc16(body).to_le_bytes());
    frame
}
