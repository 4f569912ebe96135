//! What meters send that are not Modbus, built from scratch: SML telegrams, P1 telegrams, IEC 62056-21 readouts.

/// A value of an SML list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmlValue {
    /// OBIS code.
    pub obis: [u8; 6],
    /// DLMS unit; `None`: left out.
    pub unit: Option<u8>,
    /// Power of ten; `None`: left out.
    pub scaler: Option<i8>,
    /// As it stands in the telegram, with its type and length.
    pub value: Vec<u8>,
}

impl SmlValue {
    /// A signed number in 8 bytes, as most meters send it.
    #[must_use]
    pub fn signed(obis: [u8; 6], unit: u8, scaler: i8, value: i64) -> Self {
        Self::coded(obis, unit, scaler, 0x59, &value.to_be_bytes())
    }

    /// A number of any type and length.
    #[must_use]
    pub fn coded(obis: [u8; 6], unit: u8, scaler: i8, type_length: u8, bytes: &[u8]) -> Self {
        let mut value = vec![type_length];
        value.extend_from_slice(bytes);
        Self {
            obis,
            unit: Some(unit),
            scaler: Some(scaler),
            value,
        }
    }

    /// Octets.
    #[must_use]
    pub fn octets(obis: [u8; 6], bytes: &[u8]) -> Self {
        Self {
            obis,
            unit: None,
            scaler: None,
            value: octets(bytes),
        }
    }
}

/// Checksum parameters of CRC-16 with the polynomial 0x8408: start and final exclusive or.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmlCrc {
    ///
    X25,
    /// Kermit.
    Kermit,
}

fn octets(bytes: &[u8]) -> Vec<u8> {
    let mut out = if bytes.len() < 15 {
        vec![u8::try_from(bytes.len() + 1).unwrap_or(1)]
    } else {
        let length = u8::try_from(bytes.len() + 2).unwrap_or(u8::MAX);
        vec![0x80 | (length >> 4), length & 0x0F]
    };
    out.extend_from_slice(bytes);
    out
}

fn message(tag: u16, body: &[u8], crc: SmlCrc) -> Vec<u8> {
    let mut out = vec![0x76, 0x05, 1, 2, 3, 4, 0x62, 0, 0x62, 0, 0x72, 0x63];
    out.extend_from_slice(&tag.to_be_bytes());
    out.extend_from_slice(body);
    let sum = match crc {
        SmlCrc::X25 => bitwise(&out, 0x8408, 0xFFFF) ^ 0xFFFF,
        SmlCrc::Kermit => bitwise(&out, 0x8408, 0),
    };
    out.push(0x63);
    out.extend_from_slice(&sum.to_le_bytes());
    out.push(0);
    out
}

/// The payload of a telegram: open, values, close.
#[must_use]
pub fn sml_payload(server: &[u8], values: &[SmlValue], crc: SmlCrc) -> Vec<u8> {
    let open = [&[0x76, 1, 1][..], &octets(&[1; 4]), &octets(server), &[1, 1]].concat();
    let mut list = [
        &[0x77, 1][..],
        &octets(server),
        &octets(&[1, 0, 98, 10, 255, 255]),
    ]
    .concat();
    // The meter's time: seconds since it started.
    list.extend_from_slice(&[0x72, 0x62, 1, 0x65, 0, 0, 0x12, 0x34]);
    if values.len() < 16 {
        list.push(0x70 | u8::try_from(values.len()).unwrap_or(0));
    } else {
        let count = u8::try_from(values.len()).unwrap_or(u8::MAX);
        list.extend_from_slice(&[0xF0 | (count >> 4), count & 0x0F]);
    }
    for value in values {
        list.push(0x77);
        list.extend(octets(&value.obis));
        list.extend_from_slice(&[1, 1]);
        match value.unit {
            Some(unit) => list.extend_from_slice(&[0x62, unit]),
            None => list.push(1),
        }
        match value.scaler {
            Some(scaler) => list.extend_from_slice(&[0x52, scaler.cast_unsigned()]),
            None => list.push(1),
        }
        list.extend_from_slice(&value.value);
        list.push(1);
    }
    list.extend_from_slice(&[1, 1]);
    [
        message(0x0101, &open, crc),
        message(0x0701, &list, crc),
        message(0x0201, &[0x71, 1], crc),
    ]
    .concat()
}

/// A payload in SML transport version 1: escaped, padded, closed.
#[must_use]
pub fn sml_transport(payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1B, 0x1B, 0x1B, 0x1B, 1, 1, 1, 1];
    let mut rest = payload;
    while let Some(byte) = rest.first() {
        if rest.starts_with(&[0x1B; 4]) {
            out.extend_from_slice(&[0x1B; 8]);
            rest = &rest[4..];
        } else {
            out.push(*byte);
            rest = &rest[1..];
        }
    }
    let padding = (4 - out.len() % 4) % 4;
    out.resize(out.len() + padding, 0);
    out.extend_from_slice(&[0x1B, 0x1B, 0x1B, 0x1B, 0x1A, u8::try_from(padding).unwrap_or(0)]);
    let sum = bitwise(&out, 0x8408, 0xFFFF) ^ 0xFFFF;
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

/// A whole SML telegram.
#[must_use]
pub fn sml(server: &[u8], values: &[SmlValue]) -> Vec<u8> {
    sml_transport(&sml_payload(server, values, SmlCrc::X25))
}

/// A P1 telegram of these data lines; `checksum`: as from DSMR 4 on.
#[must_use]
pub fn p1(lines: &[&str], checksum: bool) -> Vec<u8> {
    let mut text = "/SIM5\\RETROVOLT\r\n\r\n".to_owned();
    for line in lines {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push('!');
    if checksum {
        let sum = bitwise(text.as_bytes(), 0xA001, 0);
        text.push_str(&format!("{sum:04X}"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// The data block of an IEC 62056-21 readout: `STX` lines `!` `ETX` check character.
#[must_use]
pub fn iec_block(lines: &[&str]) -> Vec<u8> {
    let mut body = lines.join("\r\n").into_bytes();
    body.extend_from_slice(b"\r\n!\r\n\x03");
    let check = body.iter().fold(0, |sum, byte| sum ^ byte);
    let mut out = vec![2];
    out.extend(body);
    out.push(check);
    out
}

/// CRC-16 bit by bit, reflected.
fn bitwise(bytes: &[u8], poly: u16, init: u16) -> u16 {
    let mut sum = init;
    for byte in bytes {
        for bit in 0..8 {
            let carry = (sum ^ (u16::from(*byte) >> bit)) & 1;
            sum = (sum >> 1) ^ if carry == 1 { poly } else { 0 };
        }
    }
    sum
}
