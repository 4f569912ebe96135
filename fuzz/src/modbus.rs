//! Answers of Modbus devices. The first four bytes say what was asked.

use super::streams::Cut;
use retrovolt::bus::frame::{ascii, crc16, mbap, rtu};
use retrovolt::bus::scanners::{AsciiScan, Found, Scan, Wanted};
use retrovolt::device::{Pdu, ReadFc};
use std::time::Duration;

/// Unit, request, and the bytes that came.
fn asked(data: &[u8]) -> Option<(u8, Pdu, &[u8])> {
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

/// Any bytes for an RTU frame, as they are and under a right checksum.
pub fn rtu(data: &[u8]) {
    let Some((unit, pdu, bytes)) = asked(data) else {
        return;
    };
    let _ = rtu::encode(unit, &pdu);
    let _ = rtu::decode(unit, &pdu, bytes);
    let _ = (rtu::frame_len(bytes), rtu::sound(bytes));
    let mut sealed = bytes.to_vec();
    sealed.extend_from_slice(&crc16(bytes).to_le_bytes());
    let _ = rtu::decode(unit, &pdu, &sealed);
    if let Some(length) = rtu::sound(&sealed) {
        assert!(length <= sealed.len());
    }
}

/// Any bytes for a TCP frame.
pub fn tcp(data: &[u8]) {
    let Some((unit, pdu, bytes)) = asked(data) else {
        return;
    };
    let _ = mbap::encode(1, unit, &pdu);
    if let Ok(Some(length)) = mbap::frame_len(bytes) {
        assert!(length > mbap::HEADER);
        let whole = &bytes[..length.min(bytes.len())];
        let _ = mbap::decode(1, unit, &pdu, whole);
    }
    let _ = mbap::decode(1, unit, &pdu, bytes);
}

/// Any bytes for an ASCII frame, as they are and as its payload.
pub fn ascii(data: &[u8]) {
    let Some((unit, pdu, bytes)) = asked(data) else {
        return;
    };
    let _ = ascii::encode(unit, &pdu);
    let _ = ascii::decode(unit, &pdu, bytes);
    let mut line = String::from(">");
    for byte in bytes.iter().chain([&ascii::lrc(bytes)]) {
        line.push_str(&format!("{byte:02X}"));
    }
    if let Ok(body) = ascii::open(line.as_bytes()) {
        assert_eq!(body, bytes);
    }
    let _ = ascii::decode(unit, &pdu, line.as_bytes());
}

/// Longest pause between two pieces.
const STEP: u64 = 12;
/// Longer than any pause inside a frame, of either framing.
const SILENCE: Duration = Duration::from_millis(1100);

/// Any bytes on a serial line that waits for an answer, cut anywhere, at any pace, in both framings. Each turn of a scanner
/// takes bytes away or ends, it keeps no more than a frame, and after whatever was heard the true answer is found.
pub fn scan(data: &[u8]) {
    let Some((unit, pdu, bytes)) = asked(data) else {
        return;
    };
    let cut = Cut {
        bits: 6,
        step_ms: STEP,
    };
    let silence = Duration::from_millis(4);
    let Ok(request) = rtu::encode(unit, &pdu) else {
        return;
    };
    let (mut scan, mut now) = (Scan::default(), Duration::ZERO);
    let wanted = wanted(unit, &pdu, &request);
    for (pause, piece) in cut.pieces(bytes) {
        now += Duration::from_millis(pause);
        scan.push(piece, now, silence);
        let mut turns = 0;
        while scan.next(wanted).is_some() {
            turns += 1;
            assert!(turns <= piece.len() + 300, "it takes nothing away");
        }
        assert!(scan.pending() <= 300, "{} bytes are kept", scan.pending());
    }
    let Some(answer) = answer(unit, &pdu) else { return };
    scan.push(&rtu_frame(&answer), now + SILENCE, silence);
    assert!(
        matches!(scan.next(wanted), Some(Found::Mine(_))),
        "the answer is lost"
    );

    let Ok(request) = ascii::encode(unit, &pdu) else {
        return;
    };
    let (mut scan, mut now) = (AsciiScan::default(), Duration::ZERO);
    let wanted = self::wanted(unit, &pdu, &request);
    for (pause, piece) in cut.pieces(bytes) {
        now += Duration::from_millis(pause);
        scan.push(piece, now);
        let mut turns = 0;
        while scan.next(wanted).is_some() {
            turns += 1;
            assert!(turns <= piece.len() + 600, "it takes nothing away");
        }
        assert!(scan.pending() <= ascii::MAX_CHARS, "{} are kept", scan.pending());
    }
    let mut line = String::from(":");
    for byte in answer.iter().chain([&ascii::lrc(&answer)]) {
        line.push_str(&format!("{byte:02X}"));
    }
    line.push_str("\r\n");
    scan.push(line.as_bytes(), now + SILENCE);
    assert!(
        matches!(scan.next(wanted), Some(Found::Mine(_))),
        "the answer is lost"
    );
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
