use super::*;
use crate::device::tests::streams::{Bench, device, facts, links, readings, serial};
use crate::device::{Library, StreamEffect, StreamInput};
use crate::domain::{DeviceFact, DriveError, Phase, Quantity};
use crate::sim::telegram::iec_block;
use proptest::prelude::*;

const LINES: [&str; 6] = [
    "F.F(00000000)",
    "C.1.0(12345678)",
    "1.8.0(001234.567*kWh)",
    "1.8.0*01(001000.000*kWh)",
    "2.8.0(000007.1*kWh)1.7.0(00.250*kW)",
    "32.7.0(231*V)",
];
const IDENTIFICATION: &[u8] = b"/EMH5\\@01LZQJ\r\n";

fn pushed(import: &str) -> Vec<u8> {
    format!("/ESY5Q3DB\r\n\r\n1-0:0.0.0*255(12345678)\r\n1-0:1.8.0*255({import}*kWh)\r\n!\r\n").into_bytes()
}

fn writes(effects: &[StreamEffect]) -> Vec<Vec<u8>> {
    let written = |effect: &StreamEffect| match effect {
        StreamEffect::Write(bytes) => Some(bytes.clone()),
        _ => None,
    };
    effects.iter().filter_map(written).collect()
}

#[test]
fn who_never_falls_silent_is_no_meter_and_is_called_again() {
    let mut bench = Bench::shipped("iec62056-meter");
    bench.take();
    let mut again = false;
    for _ in 0..40 {
        bench.bytes(&[b'x'; 20_000]);
        bench.pass(500);
        again |= writes(&bench.take()).contains(&b"/?!\r\n".to_vec());
    }
    assert!(again, "given up long before the 90 s of a readout");
}

/// Lets time pass until the next request.
fn called(bench: &mut Bench) {
    bench.take();
    let written = (0..1_000).any(|_| {
        bench.pass(100);
        writes(&bench.take()).contains(&b"/?!\r\n".to_vec())
    });
    assert!(written, "no request within 100 s");
}

#[test]
fn a_meter_is_asked_and_read_at_its_own_speed() {
    let mut bench = Bench::shipped("iec62056-meter");
    assert_eq!(bench.take(), [StreamEffect::Write(b"/?!\r\n".to_vec())]);
    bench.pass(400);
    bench.bytes(b"/?!\r\n"); // the optical head mirrors it
    bench.bytes(&IDENTIFICATION[..6]);
    bench.pass(600);
    bench.bytes(&IDENTIFICATION[6..]);
    assert_eq!(
        bench.take(),
        [
            StreamEffect::Write(vec![0x06, 0x30, 0x35, 0x30, 0x0D, 0x0A]),
            StreamEffect::Settings(serial(9600)),
        ]
    );
    bench.pass(300);
    bench.bytes(&[0x06, 0x30, 0x35, 0x30, 0x0D, 0x0A]);
    let block = iec_block(&LINES);
    let (first, rest) = block.split_at(40);
    bench.bytes(first);
    assert!(bench.take().is_empty());
    bench.bytes(rest);
    let effects = bench.take();
    assert_eq!(links(&effects), [(true, None)]);
    assert_eq!(
        facts(&effects),
        [(DeviceFact::SerialNumber, "12345678".to_owned())]
    );
    let mut found = readings(&effects);
    found.sort();
    assert_eq!(
        found,
        [
            (Quantity::Voltage, Phase::L1, 231_000),
            (Quantity::Power, Phase::Total, 250_000),
            (Quantity::EnergyImport, Phase::Total, 1_234_567_000),
            (Quantity::EnergyExport, Phase::Total, 7_100_000),
        ]
    );
    assert_eq!(
        effects.last(),
        Some(&StreamEffect::Settings(serial(300))),
        "back to the first speed"
    );
    bench.pass(29_000);
    assert_eq!(writes(&bench.take()).len(), 1, "asked again after its period");
}

#[test]
fn damage_is_no_reading_and_the_first_speed_comes_back() {
    let block = iec_block(&LINES);
    for at in 1..block.len() {
        let mut bench = Bench::shipped("iec62056-meter");
        bench.bytes(IDENTIFICATION);
        bench.take();
        let mut wrong = block.clone();
        wrong[at] ^= 0x01;
        bench.bytes(&wrong);
        bench.pass(9_000);
        let effects = bench.take();
        assert_eq!(readings(&effects), [], "byte {at} was wrong");
        assert!(
            effects.contains(&StreamEffect::Settings(serial(300))),
            "byte {at}"
        );
    }
}

#[test]
fn a_meter_that_says_nothing_is_called_again_and_counts_as_lost() {
    let mut bench = Bench::shipped("iec62056-meter");
    bench.pass(200_000);
    let effects = bench.take();
    assert!(writes(&effects).len() >= 10, "{}", writes(&effects).len());
    assert!(matches!(
        links(&effects)[..],
        [(false, Some(DriveError::Timeout(_)))]
    ));
    assert!(
        !effects
            .iter()
            .any(|effect| matches!(effect, StreamEffect::Settings(_)))
    );
    // It breaks off after its identification, again and again.
    for _ in 0..5 {
        called(&mut bench);
        bench.bytes(IDENTIFICATION);
        bench.bytes(&iec_block(&LINES)[..30]);
    }
    assert_eq!(links(&bench.take()), []);
    called(&mut bench);
    bench.bytes(IDENTIFICATION);
    bench.bytes(&iec_block(&LINES));
    assert_eq!(links(&bench.take()), [(true, None)]);
}

#[test]
fn a_meter_without_the_choice_of_speed_is_read_as_it_is() {
    let mut bench = Bench::shipped("iec62056-meter");
    bench.take();
    bench.bytes(b"/ABCZ1234\r\n");
    assert!(bench.take().is_empty(), "no acknowledgement, no speed");
    bench.bytes(&iec_block(&LINES));
    assert_eq!(bench.readings().len(), 4);
}

#[test]
fn behind_a_serial_server_the_speed_stays() {
    let profile = Library::builtin().get("iec62056-meter").unwrap();
    let mut bench = Bench::of(vec![device(profile, Some("0815"))], false);
    assert_eq!(bench.take(), [StreamEffect::Write(b"/?0815!\r\n".to_vec())]);
    bench.bytes(IDENTIFICATION);
    assert_eq!(bench.take(), [StreamEffect::Write(b"\x06000\r\n".to_vec())]);
    bench.bytes(&iec_block(&LINES));
    let effects = bench.take();
    assert_eq!(readings(&effects).len(), 4);
    assert!(
        !effects
            .iter()
            .any(|effect| matches!(effect, StreamEffect::Settings(_)))
    );
}

#[test]
fn meters_on_a_line_are_asked_in_turn_and_a_dead_one_does_not_silence_the_other() {
    let profile = Library::builtin().get("iec62056-meter").unwrap();
    let meters = ["1", "2"].map(|address| device(profile.clone(), Some(address)));
    let mut bench = Bench::of(meters.to_vec(), true);
    let (mut asked, mut read) = ([0, 0], 0);
    for _ in 0..40 {
        for bytes in writes(&bench.take()) {
            asked[0] += usize::from(bytes == b"/?1!\r\n");
            if bytes == b"/?2!\r\n" {
                asked[1] += 1;
                bench.bytes(IDENTIFICATION);
                bench.bytes(&iec_block(&LINES));
                let effects = bench.take();
                read += usize::from(
                    effects
                        .iter()
                        .any(|effect| matches!(effect, StreamEffect::Observed { slot: 1, .. })),
                );
            }
        }
        bench.pass(2_000);
    }
    assert!(
        asked[0] >= 3 && asked[1] >= 2 && read == asked[1],
        "{asked:?} {read}"
    );
}

#[test]
fn what_is_pushed_without_a_check_must_come_twice_alike() {
    let mut bench = Bench::shipped("iec62056-push-meter");
    bench.bytes(&pushed("001234.5670"));
    assert!(bench.take().is_empty());
    bench.bytes(&pushed("001234.5671"));
    assert_eq!(
        bench.reading(Quantity::EnergyImport, Phase::Total),
        Some(1_234_567_100)
    );
    bench.bytes(&pushed("00123.5672"));
    bench.bytes(&pushed("001234.5673"));
    assert_eq!(bench.readings(), []);
    let cut = pushed("001234.5674");
    bench.bytes(&cut[..30]);
    bench.bytes(&cut);
    assert_eq!(
        bench.readings(),
        [],
        "the rest of a line ran into the next readout"
    );
    bench.bytes(&cut);
    assert_eq!(
        bench.reading(Quantity::EnergyImport, Phase::Total),
        Some(1_234_567_400)
    );
}

#[test]
fn what_is_pushed_with_a_check_counts_at_once() {
    let mut bench = Bench::shipped("iec62056-push-meter");
    let mut readout = b"/EMH4\\@01LZQJ\r\n".to_vec();
    readout.extend(iec_block(&LINES));
    bench.bytes(&readout);
    assert_eq!(bench.readings().len(), 4);
    let last = readout.len() - 1;
    readout[last] ^= 0x40;
    bench.bytes(&readout);
    assert_eq!(bench.readings(), []);
}

#[test]
fn a_lost_port_ends_the_readout() {
    let mut bench = Bench::shipped("iec62056-meter");
    bench.bytes(IDENTIFICATION);
    bench.input(StreamInput::PortLost);
    bench.take();
    bench.bytes(&iec_block(&LINES));
    bench.pass(100_000);
    assert!(bench.take().is_empty());
    bench.input(StreamInput::PortBack);
    assert_eq!(bench.take(), [StreamEffect::Write(b"/?!\r\n".to_vec())]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(chunks in prop::collection::vec(
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..100),
            "[-0-9.:*()/!\r\n\u{2}\u{3}kWhF]{0,80}".prop_map(String::into_bytes),
            Just(IDENTIFICATION.to_vec()),
            Just(iec_block(&LINES)),
            Just(vec![b'x'; 20_000]),
        ], 0..30,
    )) {
        let mut telegrams = Pushed::default();
        let mut bench = Bench::shipped("iec62056-meter");
        for chunk in &chunks {
            telegrams.feed(chunk);
            prop_assert!(telegrams.raw.len() <= LONGEST + 20_000);
            bench.bytes(chunk);
            bench.pass(500);
        }
        bench.pass(100_000);
        bench.take();
        bench.pass(35_000);
        prop_assert!(!writes(&bench.take()).is_empty(), "it goes on asking");
    }
}

#[test]
fn a_readout_is_found_in_the_same_place_however_its_bytes_are_cut() {
    let twice = [pushed("1"), pushed("2")].concat();
    let slash = [b"x", &twice[..]].concat();
    let behind = [&twice[..], b"\x02", &twice[..], b"\x03"].concat();
    for (bytes, taken) in [(&twice, 1), (&slash, 0), (&behind, 2)] {
        let readouts = |pieces: &mut dyn Iterator<Item = &[u8]>| -> usize {
            let mut found = Pushed::default();
            pieces
                .flat_map(|piece| found.feed(piece))
                .filter(Result::is_ok)
                .count()
        };
        assert_eq!(
            readouts(&mut std::iter::once(bytes.as_slice())),
            taken,
            "{}",
            bytes.escape_ascii()
        );
        assert_eq!(readouts(&mut bytes.chunks(1)), taken, "{}", bytes.escape_ascii());
    }
}
