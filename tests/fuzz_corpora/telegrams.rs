//! Messages of devices that are not Modbus.

use super::valid::{any, below, noise};
use retrovolt::domain::Rng;
use retrovolt::sim::telegram::{SmlCrc, SmlValue, iec_block, p1 as p1_telegram, sml_payload, sml_transport};

const OBIS: [[u8; 6]; 12] = [
    [1, 0, 1, 8, 0, 255],
    [1, 0, 1, 8, 1, 255],
    [1, 0, 2, 8, 0, 255],
    [1, 0, 16, 7, 0, 255],
    [1, 0, 36, 7, 0, 255],
    [1, 0, 31, 7, 0, 255],
    [1, 0, 51, 7, 0, 255],
    [1, 0, 32, 7, 0, 255],
    [1, 0, 14, 7, 0, 255],
    [1, 0, 96, 1, 0, 255],
    [129, 129, 199, 130, 5, 255],
    [0, 0, 0, 0, 0, 0],
];

/// A list of values as a meter sends it, in either checksum, with numbers of every length.
pub fn sml(rng: &mut Rng) -> Vec<u8> {
    let count = any(rng, &[0, 1, 1, 2, 3, 5, 15, 16, 17]);
    let values: Vec<SmlValue> = (0..count).map(|_| sml_value(rng)).collect();
    let crc = if rng.below(2) == 0 {
        SmlCrc::X25
    } else {
        SmlCrc::Kermit
    };
    let server = noise(rng, 12);
    sml_transport(&sml_payload(&server, &values, crc))
}

fn sml_value(rng: &mut Rng) -> SmlValue {
    let obis = any(rng, &OBIS);
    if rng.below(6) == 0 {
        return SmlValue::octets(obis, &noise(rng, 20));
    }
    let unit = any(rng, &[27, 28, 29, 30, 32, 33, 35, 44, 8, 0, 255]);
    let scaler = any(rng, &[-3, -2, -1, 0, 1, 3, 9, -9, 127, -128]);
    // Type and length: signed or unsigned of 1 to 8 bytes, a truth value.
    let bytes = any(rng, &[1, 1, 2, 3, 4, 5, 7, 8, 8]);
    let kind = any(rng, &[0x50, 0x50, 0x60, 0x60, 0x40, 0x00]);
    let fill = any(rng, &[0, 0x7F, 0x80, 0xFF, 0x12]);
    let mut number = vec![fill; bytes];
    if rng.below(2) == 0 {
        number[0] = any(rng, &[0, 0x80, 0x7F]);
    }
    let mut value = SmlValue::coded(
        obis,
        unit,
        scaler,
        kind | u8::try_from(bytes + 1).unwrap(),
        &number,
    );
    match rng.below(8) {
        0 => value.unit = None,
        1 => value.scaler = None,
        _ => {}
    }
    value
}

/// A number as meters print it.
fn number(rng: &mut Rng) -> String {
    let whole = any(
        rng,
        &["0", "000000", "1", "12345678", "99999999", "000123", "-5", ""],
    );
    let rest = any(rng, &["", ".", ".0", ".123", ".999999", ".0010", ",5"]);
    format!("{whole}{rest}")
}

/// An OBIS code, full or short, a number and a unit.
fn obis_line(rng: &mut Rng) -> String {
    let medium = any(rng, &["1-0:", "", "0-0:", "1-1:", "17-0:", "0-1:"]);
    let code = any(
        rng,
        &[
            "1.8.0", "1.8.1", "1.8.2", "2.8.0", "2.8.1", "1.7.0", "2.7.0", "21.7.0", "41.7.0", "61.7.0",
            "32.7.0", "52.7.0", "72.7.0", "31.7.0", "51.7.0", "71.7.0", "16.7.0", "14.7.0", "96.1.0",
            "96.14.0", "C.1.0", "F.F", "0.2.8", "99.97.0", "24.2.1",
        ],
    );
    let end = any(rng, &["", "", "", "*255", "*01", "&1"]);
    let unit = any(
        rng,
        &[
            "*kWh", "*kW", "*V", "*A", "*Hz", "*Wh", "*W", "", "*kvar", "*m3", "*??",
        ],
    );
    let value = number(rng);
    match rng.below(12) {
        0 => format!("{medium}{code}{end}({value}"),
        1 => format!("{medium}{code}{end}({value}{unit})({value}{unit})"),
        2 => format!("{medium}{code}{end}(101209113020W)({value}{unit})"),
        3 => format!("{medium}{code}{end}()"),
        4 => format!("{medium}{code}{end}(4B384547303034303436333935353037)"),
        5 => format!("{code}{value}"),
        _ => format!("{medium}{code}{end}({value}{unit})"),
    }
}

fn obis_lines(rng: &mut Rng) -> Vec<String> {
    (0..=rng.below(5)).map(|_| obis_line(rng)).collect()
}

/// A telegram of either form.
pub fn p1(rng: &mut Rng) -> Vec<u8> {
    let lines = obis_lines(rng);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    p1_telegram(&lines, rng.below(3) > 0)
}

/// Who it is, then the data.
pub fn iec_asked(rng: &mut Rng) -> Vec<u8> {
    let speed = any(rng, b"0123456789ABC:");
    let name = any(
        rng,
        &[
            "\\@01LZQJ",
            "MT174",
            "",
            "\\2EHZ",
            "0123456789012345678901234567890",
        ],
    );
    let maker = any(rng, &["EMH", "ISK", "ESy", "LGZ"]);
    let lines = obis_lines(rng);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let block = iec_block(&lines);
    let who = format!("/{maker}{}{name}\r\n", char::from(speed));
    match rng.below(6) {
        0 => block,
        1 => who.into_bytes(),
        2 => [b"/?!\r\n", who.as_bytes(), &block].concat(),
        _ => [who.as_bytes(), &block].concat(),
    }
}

/// Who it is and the data, unasked.
pub fn iec_pushed(rng: &mut Rng) -> Vec<u8> {
    let lines = obis_lines(rng).join("\r\n");
    let end = any(rng, &["!\r\n", "!\r\n", "!\n", "!\x03", "!\r\n\x03\x15", ""]);
    format!("/ESY5Q3DB1024 V3.04\r\n\r\n{lines}\r\n{end}").into_bytes()
}

/// Answers of an OpenEVSE with either check, or without.
pub fn rapi(rng: &mut Rng) -> Vec<u8> {
    let body = any(
        rng,
        &[
            "$OK 8.2.1 5.1.0",
            "$OK 6 80 24 32",
            "$OK 02 0 02 0100",
            "$OK 30 6 0",
            "$OK 16",
            "$OK 24 0229",
            "$OK",
            "$NK",
            "$AT 02 02 32 0100",
            "$AT 03 03 16 0000",
            "$AT 01 01 32 0000",
            "$AT FE 02 00 0320",
            "$AB 00 8.2.1",
            "$OK 3 120",
            "$OK 03 3600 03 0100",
            "$OK 0 0",
            "$OK 16000 230000",
            "$OK -1 -1",
            "$OK 1234 99999999",
            "$OK 281 0 0",
            "$OK 0 0 0",
            "$OK FF 255 99 FFFF",
            "$OK 0A 0 0A 0500",
            "$WF 0",
            "$ANY",
            "$OK 1 2 3 4 5 6",
            "$OK 7.1.3 4.0.1",
            "$OK 4 1",
            "$OK 32 32",
        ],
    );
    let body = match rng.below(3) {
        0 => body.to_owned(),
        // The id of a question, as the gateway counts them.
        _ => format!("{body} :{:02X}", 1 + rng.below(12)),
    };
    let xor = body.bytes().fold(0, |sum, byte| sum ^ byte);
    let added = body.bytes().fold(0_u8, u8::wrapping_add);
    match rng.below(8) {
        0 => format!("{body}*{added:02X}\r"),
        1 => format!("{body}\r"),
        2 => format!("{body}^{:02X}\r", xor ^ 1),
        _ => format!("{body}^{xor:02X}\r"),
    }
    .into_bytes()
}

/// A number as readers send it: a line, between STX and ETX, or as the events of keys.
pub fn card(rng: &mut Rng) -> Vec<u8> {
    let digits = any(rng, &[1, 4, 8, 10, 10, 10, 12, 14, 16, 20, 64, 66]);
    let alphabet: &[u8] = any(
        rng,
        &[&b"0123456789"[..], b"0123456789ABCDEF", b"0123456789abcdef", b"0"],
    );
    let mut text: Vec<u8> = (0..digits).map(|_| any(rng, alphabet)).collect();
    let end = any(rng, &["\r", "\n", "\r\n", "", "\t\r\n"]);
    match rng.below(5) {
        0 => {
            // EM4100: ten digits and their bytes combined.
            text = (0..5)
                .flat_map(|_| format!("{:02X}", rng.below(256)).into_bytes())
                .collect();
            let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
            let sum = text.chunks(2).fold(0, |sum, pair| sum ^ byte(pair));
            [
                b"\x02",
                &text[..],
                format!("{sum:02X}").as_bytes(),
                end.as_bytes(),
                b"\x03",
            ]
            .concat()
        }
        1 => {
            text.insert(below(rng, text.len()), any(rng, b",: -"));
            [&text[..], end.as_bytes()].concat()
        }
        2 => keys(rng, &text),
        _ => [&text[..], end.as_bytes()].concat(),
    }
}

/// Linux input events (`struct input_event` of a 64-bit kernel): press and release of each digit, then Enter.
fn keys(rng: &mut Rng, text: &[u8]) -> Vec<u8> {
    let event = |kind: u16, code: u16, value: i32| {
        [
            &[0x5A; 16][..],
            &kind.to_le_bytes(),
            &code.to_le_bytes(),
            &value.to_le_bytes(),
        ]
        .concat()
    };
    let mut out = Vec::new();
    for byte in text.iter().take(10) {
        let code = match byte {
            b'1'..=b'9' => u16::from(byte - b'1') + 2,
            b'0' => 11,
            b'a' | b'A' => 30,
            _ => any(rng, &[42, 48, 46, 58, 28]),
        };
        for value in [1, 0] {
            out.extend(event(1, code, value));
        }
        if rng.below(3) == 0 {
            out.extend(event(0, 0, 0));
        }
    }
    out.extend(event(1, any(rng, &[28, 28, 28, 96, 15]), 1));
    out
}

/// What a unit says on a load-sharing line.
pub fn twc(rng: &mut Rng) -> Vec<u8> {
    let id = any(
        rng,
        &[
            [0x12, 0x34],
            [0x12, 0x34],
            [0x43, 0x21],
            [0x77, 0x77],
            [0xC0, 0xDB],
        ],
    );
    let kind = any(
        rng,
        &[
            [0xFD, 0xE2],
            [0xFD, 0xE2],
            [0xFD, 0xE0],
            [0xFD, 0xE0],
            [0xFD, 0xE0],
            [0xFD, 0xEB],
            [0xFD, 0xEE],
            [0xFD, 0xEF],
            [0xFD, 0xF1],
            [0xFD, 0xB1],
            [0xFD, 0xB2],
            [0xFC, 0xE1],
            [0xFB, 0xE2],
            [0xFB, 0xE0],
            [0xFC, 0x1D],
        ],
    );
    let mut frame = [kind, id].concat();
    if kind[1] == 0xE0 {
        frame.extend([0x77, 0x77]);
        frame.push(any(rng, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255]));
        frame.extend(any(rng, &[[0x06, 0x40], [0, 0], [0x0C, 0x80], [0xFF, 0xFF]]));
        frame.extend(any(rng, &[[0, 0x19], [0, 0], [0x06, 0x40], [0xFF, 0xFF]]));
    } else if kind[1] == 0xE2 {
        frame.push(0x77);
        frame.extend(any(rng, &[[0x0C, 0x80], [0, 0], [0x06, 0x40], [0xFF, 0xFF]]));
    } else {
        let fill = any(rng, &[0, b'5', b'Y', 0xFF]);
        frame.extend(vec![fill; 11]);
    }
    frame.resize(any(rng, &[13, 13, 15, 15, 15, 17, 18, 19, 20]), 0);
    let mut wire = framed(&frame);
    if rng.below(2) == 0 {
        wire.push(0xFE);
    }
    wire
}

/// Sum, escapes and ends.
fn framed(frame: &[u8]) -> Vec<u8> {
    let sum = frame
        .iter()
        .skip(1)
        .fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    let mut wire = vec![0xC0];
    for byte in frame.iter().chain([&sum]) {
        match byte {
            0xC0 => wire.extend([0xDB, 0xDC]),
            0xDB => wire.extend([0xDB, 0xDD]),
            other => wire.push(*other),
        }
    }
    wire.push(0xC0);
    wire
}
