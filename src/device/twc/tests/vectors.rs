//! The test vectors of the protocol notes, byte by byte.

use super::super::codec::{Beat, Deframer, Id, Said, Tell, Version, encode, parse};
use crate::domain::Mono;

const UNIT: Id = Id([0x12, 0x34]);

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace()
        .map(|byte| u8::from_str_radix(byte, 16).expect("two digits"))
        .collect()
}

fn said(bytes: &[u8]) -> Vec<Said> {
    let mut deframer = Deframer::default();
    let frames = bytes.iter().filter_map(|byte| deframer.push(Mono(0), *byte));
    frames.filter_map(|frame| parse(&frame)).collect()
}

#[test]
fn what_the_master_says() {
    let beat = |to, version, command| Tell::Heartbeat { to, version, command };
    for (tell, wire) in [
        (
            Tell::LinkReady1,
            "C0 FC E1 77 77 77 00 00 00 00 00 00 00 00 46 C0",
        ),
        (
            Tell::LinkReady2,
            "C0 FB E2 77 77 77 00 00 00 00 00 00 00 00 47 C0",
        ),
        (
            beat(UNIT, Version::Two, Beat::Keep),
            "C0 FB E0 77 77 12 34 00 00 00 00 00 00 00 00 00 14 C0",
        ),
        (
            beat(UNIT, Version::One, Beat::Limit(2_000)),
            "C0 FB E0 77 77 12 34 05 07 D0 00 00 00 00 F0 C0",
        ),
        (
            beat(UNIT, Version::Two, Beat::LimitCharging(1_600)),
            "C0 FB E0 77 77 12 34 09 06 40 00 00 00 00 00 00 63 C0",
        ),
        (
            beat(Id([0xC0, 0xDB]), Version::Two, Beat::Keep),
            "C0 FB E0 77 77 DB DC DB DD 00 00 00 00 00 00 00 00 00 69 C0",
        ),
        (
            Tell::Energy(UNIT),
            "C0 FB EB 77 77 12 34 00 00 00 00 00 00 00 00 1F C0",
        ),
        (
            Tell::Start(UNIT),
            "C0 FC B1 77 77 12 34 00 00 00 00 00 00 00 00 00 E5 C0",
        ),
        (
            Tell::Stop(UNIT),
            "C0 FC B2 77 77 12 34 00 00 00 00 00 00 00 00 00 E6 C0",
        ),
    ] {
        assert_eq!(encode(tell), hex(wire), "{tell:?}");
    }
}

#[test]
fn what_slaves_say() {
    let ready = |version| Said::LinkReady {
        id: UNIT,
        most: 3_200,
        version,
    };
    let charging = Said::Heartbeat {
        id: UNIT,
        master: Id([0x77, 0x77]),
        state: 1,
        limit: 1_600,
        actual: 1_530,
        version: Version::Two,
    };
    for (wire, expected) in [
        (
            "C0 FD E2 12 34 77 0C 80 00 00 00 00 00 00 2B C0",
            ready(Version::One),
        ),
        (
            "C0 FD E2 12 34 77 0C 80 00 00 00 00 00 00 00 00 2B C0",
            ready(Version::Two),
        ),
        ("C0 FD E0 12 34 77 77 01 06 40 05 FA 00 00 00 00 5A C0", charging),
    ] {
        assert_eq!(said(&hex(wire)), [expected]);
    }
    let frame = hex("FD EB 12 34 00 00 00 38 00 E6 00 F1 00 E8 00");
    let energy = Said::Energy {
        id: UNIT,
        kwh: 56,
        volts: [230, 241, 232],
    };
    assert_eq!(parse(&frame), Some(energy));
    let vin = Said::Vin {
        id: UNIT,
        part: 1,
        text: *b"26HF000",
    };
    assert_eq!(
        parse(&[&[0xFD, 0xEF, 0x12, 0x34], b"26HF000".as_slice(), &[0, 0]].concat()),
        Some(vin)
    );
    assert_eq!(
        said(&hex("C0 FC 1D 00 00 00 00 00 00 00 00 00 00 00 1D C0")),
        [],
        "the idle frame"
    );
}

#[test]
fn noise_between_and_within_frames_is_dropped() {
    let ready = hex("C0 FD E2 12 34 77 0C 80 00 00 00 00 00 00 2B C0");
    let count = |parts: &[&[u8]]| said(&parts.concat()).len();
    assert_eq!(count(&[&ready, &[0xFE], &ready, &[0xFC, 0x00], &ready]), 3);
    assert_eq!(count(&[&[0xC0], &ready, &[0xC0], &ready]), 2, "two ends in a row");
    assert_eq!(count(&[&ready[..7], &ready]), 1, "a frame that was cut off");
    assert_eq!(count(&[&[0xC0], &[0x55; 40], &ready]), 1, "too long");
    assert_eq!(count(&[&[0xC0], &[0x55; 40], &[0xC0], &ready]), 1);
    for at in 1..ready.len() - 1 {
        for bit in 0..8 {
            let mut damaged = ready.clone();
            damaged[at] ^= 1 << bit;
            // The first byte is not part of the sum; a damaged one names no slave.
            assert_eq!(count(&[&damaged]), 0, "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn a_frame_that_stalls_is_given_up() {
    let ready = hex("C0 FD E2 12 34 77 0C 80 00 00 00 00 00 00 2B C0");
    let mut deframer = Deframer::default();
    let (begin, rest) = ready.split_at(7);
    assert!(begin.iter().all(|byte| deframer.push(Mono(0), *byte).is_none()));
    assert!(
        rest.iter()
            .all(|byte| deframer.push(Mono(2_001), *byte).is_none())
    );
    assert!(
        ready
            .iter()
            .any(|byte| deframer.push(Mono(2_001), *byte).is_some())
    );
}
