use super::*;
use crate::device::obis::listener::Damage;
use crate::device::tests::streams::{Bench, facts, links};
use crate::domain::{DeviceFact, DriveError, Phase, Quantity};
use crate::sim::telegram::{SmlCrc, SmlValue, sml, sml_payload, sml_transport};
use proptest::prelude::*;
use std::time::Duration;

const SERVER: [u8; 10] = [0x0A, 1, b'E', b'M', b'H', 0, 0, 0x12, 0x34, 0x56];
const IMPORT: [u8; 6] = [1, 0, 1, 8, 0, 255];
const EXPORT: [u8; 6] = [1, 0, 2, 8, 0, 255];
const POWER_TOTAL: [u8; 6] = [1, 0, 16, 7, 0, 255];
const ID: [u8; 6] = [1, 0, 96, 1, 0, 255];

/// The published vector: one close message.
const VECTOR: [u8; 36] = [
    0x1b, 0x1b, 0x1b, 0x1b, 0x01, 0x01, 0x01, 0x01, 0x76, 0x05, 0x01, 0x02, 0x03, 0x04, 0x62, 0x00, 0x62,
    0x00, 0x72, 0x63, 0x02, 0x01, 0x71, 0x01, 0x63, 0x10, 0xb4, 0x00, 0x1b, 0x1b, 0x1b, 0x1b, 0x1a, 0x00,
    0x76, 0xc0,
];

fn telegram() -> Vec<u8> {
    let values = [
        SmlValue::octets(ID, &SERVER),
        SmlValue::signed(IMPORT, 30, -1, 123_456_789),
        SmlValue::coded(EXPORT, 30, 3, 0x65, &[0, 0, 0, 42]),
        SmlValue::coded(POWER_TOTAL, 27, 0, 0x54, &[0xFF, 0xFE, 0x0C]),
        SmlValue::coded([1, 0, 32, 7, 0, 255], 35, -1, 0x63, &[0x09, 0x01]),
    ];
    sml(&SERVER, &values)
}

#[test]
fn the_published_telegram_is_taken_whole() {
    let mut sml = Sml::new(MessageCrc::X25);
    assert_eq!(sml.feed(&VECTOR), [Ok(vec![])]);
    for at in 8..VECTOR.len() {
        let mut wrong = VECTOR;
        wrong[at] ^= 0x04;
        assert!(
            !Sml::new(MessageCrc::X25).feed(&wrong).iter().any(Result::is_ok),
            "byte {at} was wrong"
        );
    }
}

#[test]
fn values_come_out_exactly_with_sign_scaler_and_unit() {
    let mut bench = Bench::shipped("sml-meter");
    bench.now = 5_000;
    bench.bytes(&telegram());
    let effects = bench.take();
    assert_eq!(links(&effects), [(true, None)]);
    assert_eq!(
        facts(&effects),
        [(DeviceFact::SerialNumber, "1EMH0001193046".to_owned())]
    );
    let mut readings = crate::device::tests::streams::readings(&effects);
    readings.sort();
    assert_eq!(
        readings,
        [
            (Quantity::Voltage, Phase::L1, 230_500),
            (Quantity::Power, Phase::Total, -500_000),
            (Quantity::EnergyImport, Phase::Total, 12_345_678_900),
            (Quantity::EnergyExport, Phase::Total, 42_000_000),
        ]
    );
    bench.bytes(&telegram());
    assert!(facts(&bench.take()).is_empty(), "a fact is told once");
}

#[test]
fn every_byte_counts_and_may_come_alone() {
    let telegram = telegram();
    let mut bench = Bench::shipped("sml-meter");
    for byte in &telegram {
        bench.bytes(&[*byte]);
    }
    assert_eq!(bench.readings().len(), 4);
    for at in 0..telegram.len() {
        let mut wrong = telegram.clone();
        wrong[at] ^= 0x20;
        bench.bytes(&wrong);
        assert_eq!(bench.readings(), [], "byte {at} was wrong");
    }
    bench.bytes(&telegram);
    assert_eq!(
        bench.readings().len(),
        4,
        "what was wrong costs no later telegram"
    );
}

#[test]
fn escapes_and_the_end_behind_1b_are_undone() {
    for tail in 0..8 {
        let mut payload = vec![7; 3 + tail];
        payload.extend_from_slice(&[0x1B; 11]);
        payload.extend_from_slice(&vec![0x1B; tail]);
        let mut transport = Transport::default();
        let coded = sml_transport(&payload);
        // An end right behind 1B bytes that did not make four can be told only by its place.
        assert_eq!(transport.feed(&coded), [Ok(payload)], "{tail}: {coded:02x?}");
    }
}

#[test]
fn a_telegram_that_breaks_off_costs_only_itself() {
    let telegram = telegram();
    for cut in 1..telegram.len() {
        let mut sml = Sml::new(MessageCrc::X25);
        let mut taken: Vec<_> = sml.feed(&telegram[..cut]);
        taken.extend(sml.feed(&telegram));
        taken.extend(sml.feed(&telegram));
        let whole = taken.iter().filter(|telegram| telegram.is_ok()).count();
        assert!(whole >= 1, "cut at {cut}: {taken:?}");
    }
}

#[test]
fn messages_with_kermit_need_a_profile_that_says_so() {
    let payload = sml_payload(&SERVER, &[SmlValue::signed(IMPORT, 30, 0, 5)], SmlCrc::Kermit);
    let coded = sml_transport(&payload);
    let taken = Sml::new(MessageCrc::X25).feed(&coded);
    assert!(matches!(taken[..], [Err(Damage::Checksum { .. })]), "{taken:?}");
    let mut holley = Bench::shipped("holley-dtz541");
    holley.bytes(&coded);
    assert_eq!(holley.reading(Quantity::EnergyImport, Phase::Total), Some(5_000));
}

#[test]
fn a_bare_number_as_the_meters_time_is_accepted() {
    let mut payload = sml_payload(&SERVER, &[SmlValue::signed(IMPORT, 30, 0, 5)], SmlCrc::X25);
    let list = [0x72, 0x62, 1, 0x65];
    let at = payload.windows(4).position(|window| window == list).unwrap();
    payload.drain(at..at + 3);
    // The checksum of the message that was changed.
    let begin = payload
        .windows(2)
        .skip(1)
        .position(|pair| pair == [0x76, 0x05])
        .unwrap()
        + 1;
    let end = begin
        + payload[begin..]
            .windows(3)
            .position(|tail| tail == [1, 1, 0x63])
            .unwrap()
        + 2;
    let sum = X25.of(&payload[begin..end]).to_le_bytes();
    payload[end + 1..end + 3].copy_from_slice(&sum);
    let mut bench = Bench::shipped("sml-meter");
    bench.bytes(&sml_transport(&payload));
    assert_eq!(bench.reading(Quantity::EnergyImport, Phase::Total), Some(5_000));
}

#[test]
fn a_dzg_with_an_old_serial_number_is_not_negative() {
    let server = |number: u32| {
        let mut id = vec![0x0A, 1, b'D', b'Z', b'G', 0];
        id.extend_from_slice(&number.to_be_bytes());
        id
    };
    let power = |number: u32, type_length: u8, bytes: &[u8]| {
        let values = [
            SmlValue::octets(ID, &server(number)),
            SmlValue::coded(POWER_TOTAL, 27, -2, type_length, bytes),
        ];
        let mut bench = Bench::shipped("sml-meter");
        bench.bytes(&sml(&server(number), &values));
        bench.reading(Quantity::Power, Phase::Total)
    };
    assert_eq!(power(42_949_418, 0x53, &[0xFF, 0xFF]), Some(655_350));
    assert_eq!(power(58_999_999, 0x54, &[0xFF, 0xFF, 0xFF]), Some(167_772_150));
    assert_eq!(power(42_949_418, 0x55, &[0xFF, 0xFF, 0xFF, 0xFF]), Some(-10));
    assert_eq!(power(60_000_001, 0x53, &[0xFF, 0xFF]), Some(-10));
    assert_eq!(power(41_999_999, 0x52, &[0xFF]), Some(-10));
}

#[test]
fn silence_and_damage_are_told_apart() {
    let mut bench = Bench::shipped("sml-meter");
    bench.bytes(&telegram());
    bench.take();
    bench.pass(14_900);
    assert_eq!(links(&bench.take()), []);
    bench.pass(200);
    let silence = DriveError::Timeout(Duration::from_secs(15));
    assert_eq!(links(&bench.take()), [(false, Some(silence))]);
    bench.bytes(&telegram());
    let mut wrong = telegram();
    wrong[20] ^= 1;
    for _ in 0..4 {
        bench.pass(5_000);
        bench.bytes(&wrong);
    }
    assert_eq!(
        links(&bench.take()),
        [(true, None), (false, Some(DriveError::Garbled))]
    );
}

#[test]
fn a_lost_port_is_told_and_half_a_telegram_forgotten() {
    let telegram = telegram();
    let mut bench = Bench::shipped("sml-meter");
    bench.bytes(&telegram);
    bench.bytes(&telegram[..50]);
    bench.take();
    bench.input(crate::device::StreamInput::PortLost);
    bench.input(crate::device::StreamInput::PortBack);
    bench.bytes(&telegram[50..]);
    assert_eq!(links(&bench.take()), [(false, Some(DriveError::PortLost))]);
    bench.bytes(&telegram);
    assert_eq!(facts(&bench.effects).len(), 1, "the meter may be another one");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes, nothing panics and nothing grows.
    #[test]
    fn any_bytes_are_survived(chunks in prop::collection::vec(
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            Just(vec![0x1B; 4]),
            Just(vec![1; 4]),
            Just(telegram()),
            (0_usize..250, any::<u8>()).prop_map(|(at, byte)| {
                let mut telegram = telegram();
                let at = at % telegram.len();
                telegram[at] = byte;
                telegram
            }),
        ], 0..40,
    )) {
        let mut sml = Sml::new(MessageCrc::X25);
        for chunk in &chunks {
            sml.feed(chunk);
            sml.feed(&[0x1B, 0x1B, 0x1B, 0x1B, 1, 1, 1, 1]);
        }
        // At most two telegrams that began, the first of them given up, and then one is taken again.
        sml.reset();
        prop_assert_eq!(sml.feed(&telegram()).len(), 1);
    }

    /// A payload under a right checksum may hold anything.
    #[test]
    fn any_payload_is_survived(payload in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = message::values(&payload, X25);
        let mut sml = Sml::new(MessageCrc::X25);
        prop_assert_eq!(sml.feed(&sml_transport(&payload)).len(), 1);
    }

    /// What was coded is decoded.
    #[test]
    fn any_payload_comes_through_the_transport(payload in prop::collection::vec(prop_oneof![Just(0x1B), any::<u8>()], 0..200)) {
        let mut transport = Transport::default();
        prop_assert_eq!(transport.feed(&sml_transport(&payload)), vec![Ok(payload)]);
    }
}
