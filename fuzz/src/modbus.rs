//! Answers of Modbus devices. The first four bytes say what was asked.

use retrovolt::bus::frame::{ascii, crc16, mbap, rtu};
use retrovolt::device::{Pdu, ReadFc};

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
