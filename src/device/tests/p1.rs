use super::*;
use crate::device::tests::streams::{Bench, facts, links, readings};
use crate::domain::{DeviceFact, DriveError, Phase, Quantity};
use crate::sim::telegram::p1;
use proptest::prelude::*;

/// The published vector.
const VECTOR: &str = "/ISk5\\2MT382-1000\r\n\r\n1-3:0.2.8(50)\r\n0-0:1.0.0(101209113020W)\r\n\
                      1-0:1.8.1(123456.789*kWh)\r\n1-0:1.7.0(01.193*kW)\r\n!EE96\r\n";

const LINES: [&str; 12] = [
    "1-3:0.2.8(50)",
    "0-0:1.0.0(101209113020W)",
    "0-0:96.1.1(4B384547303034303436333935353037)",
    "1-0:1.8.1(000004.426*kWh)",
    "1-0:1.8.2(000002.399*kWh)",
    "1-0:2.8.1(000002.444*kWh)",
    "1-0:2.8.2(000000.000*kWh)",
    "0-0:96.14.0(0002)",
    "1-0:1.7.0(00.244*kW)",
    "1-0:2.7.0(00.000*kW)",
    "1-0:32.7.0(230.0*V)",
    "0-1:24.2.1(101209112500W)(12785.123*m3)",
];

fn old(import: &str) -> Vec<u8> {
    let lines = [
        format!("1-0:1.8.1({import}*kWh)"),
        "1-0:1.8.2(00002.399*kWh)".to_owned(),
    ];
    p1(
        &[
            &lines[0],
            &lines[1],
            "0-1:24.3.0(090212160000)(00)(60)(1)(0-1:24.2.1)(m3)",
            "(00000.000)",
        ],
        false,
    )
}

#[test]
fn the_published_telegram_has_its_checksum() {
    let mut telegrams = P1::new(true);
    let taken = telegrams.feed(VECTOR.as_bytes());
    let items = taken[0].as_ref().unwrap();
    assert_eq!(items.len(), 4);
    assert_eq!(
        items[3].number(),
        Some((
            crate::device::Decimal::new(1193, -3),
            Some(crate::device::Unit::KiloWatt)
        ))
    );
    let wrong = VECTOR.replace("EE96", "EE97");
    assert_eq!(
        telegrams.feed(wrong.as_bytes()),
        [Err(Damage::Checksum {
            got: 0xEE97,
            want: 0xEE96
        })]
    );
    assert_eq!(
        telegrams.feed(VECTOR.replace("EE96", "").as_bytes()),
        [Err(Damage::NoChecksum)]
    );
    assert!(matches!(
        telegrams.feed(VECTOR.replace("EE96", "x").as_bytes())[..],
        [Err(Damage::Checksum { .. })]
    ));
}

#[test]
fn tariffs_become_the_billing_register() {
    let mut bench = Bench::shipped("dsmr-p1");
    bench.bytes(&p1(&LINES, true));
    let effects = bench.take();
    assert_eq!(links(&effects), [(true, None)]);
    assert_eq!(
        facts(&effects),
        [(DeviceFact::SerialNumber, "K8EG004046395507".to_owned())]
    );
    let mut found = readings(&effects);
    found.sort();
    assert_eq!(
        found,
        [
            (Quantity::Voltage, Phase::L1, 230_000),
            (Quantity::Power, Phase::Total, 244_000),
            (Quantity::EnergyImport, Phase::Total, 6_825_000),
            (Quantity::EnergyExport, Phase::Total, 2_444_000),
        ]
    );
}

#[test]
fn every_byte_counts_and_may_come_alone() {
    let telegram = p1(&LINES, true);
    let mut bench = Bench::shipped("dsmr-p1");
    for byte in &telegram {
        bench.bytes(&[*byte]);
    }
    assert_eq!(bench.readings().len(), 4);
    // Behind the checksum only the line end is left.
    for at in 0..telegram.len() - 2 {
        let mut wrong = telegram.clone();
        wrong[at] ^= 0x10;
        bench.bytes(&wrong);
        assert_eq!(bench.readings(), [], "byte {at} was wrong");
        bench.bytes(b"\r\n");
    }
    bench.bytes(&telegram);
    assert_eq!(bench.readings().len(), 4);
}

#[test]
fn without_a_checksum_the_second_of_two_alike_counts() {
    let mut bench = Bench::shipped("dsmr-p1-v2");
    bench.bytes(&old("00001.000"));
    assert!(bench.take().is_empty());
    bench.bytes(&old("00001.001"));
    assert_eq!(
        bench.reading(Quantity::EnergyImport, Phase::Total),
        Some(3_400_000)
    );
    // A digit was lost on the way, and what comes next must be confirmed again.
    bench.bytes(&old("0001.002"));
    bench.bytes(&old("00001.003"));
    assert_eq!(bench.readings(), []);
    bench.bytes(&old("00001.004"));
    assert_eq!(
        bench.reading(Quantity::EnergyImport, Phase::Total),
        Some(3_403_000)
    );
    let parity: Vec<u8> = old("00001.005")
        .iter()
        .map(|byte| byte | u8::from(byte.count_ones() % 2 == 1) << 7)
        .collect();
    bench.bytes(&parity);
    assert_eq!(
        bench.reading(Quantity::EnergyImport, Phase::Total),
        Some(3_404_000),
        "parity seen as eighth bit"
    );
}

#[test]
fn what_breaks_off_is_dropped_at_the_next_start() {
    let telegram = p1(&LINES, true);
    let mut telegrams = P1::new(true);
    for cut in 1..telegram.len() - 2 {
        let mut taken = telegrams.feed(&telegram[..cut]);
        taken.extend(telegrams.feed(b"\r\n"));
        taken.extend(telegrams.feed(&telegram));
        assert_eq!(
            taken.iter().filter(|telegram| telegram.is_ok()).count(),
            1,
            "cut at {cut}: {taken:?}"
        );
        telegrams.reset();
    }
}

#[test]
fn telegrams_out_of_a_buffer_are_not_taken_and_a_clock_may_be_set() {
    let at = |time: &str| {
        let clock = format!("0-0:1.0.0({time})");
        p1(&[&clock, "1-0:1.8.0(000001.000*kWh)"], true)
    };
    let mut telegrams = P1::new(true);
    let mut taken = |time: &str| telegrams.feed(&at(time))[0].is_ok();
    assert!(taken("261025025959S"));
    assert!(taken("261025020000W"), "the hour that comes twice in autumn");
    assert!(taken("261231235959W"));
    assert!(taken("270101000000W"));
    for _ in 0..10 {
        assert!(!taken("261231235959W"));
    }
    assert!(taken("261231235959W"), "the meter's clock was set back");
    assert!(taken("270328020000W") && taken("270328030001S"));
    assert!(taken("nonsense"), "no clock is no reason");
}

#[test]
fn silence_loses_the_link() {
    let mut bench = Bench::shipped("dsmr-p1");
    bench.bytes(&p1(&LINES, true));
    bench.take();
    bench.pass(60_000);
    assert!(matches!(
        links(&bench.take())[..],
        [(false, Some(DriveError::Timeout(_)))]
    ));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(chunks in prop::collection::vec(
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..100),
            "[-0-9.:*()/!\r\nkWh]{0,80}".prop_map(String::into_bytes),
            Just(p1(&LINES, true)),
            Just(vec![b'x'; 9_000]),
        ], 0..30,
    ), checksum: bool) {
        let mut telegrams = P1::new(checksum);
        for chunk in &chunks {
            telegrams.feed(chunk);
            prop_assert!(telegrams.raw.len() <= LONGEST + 9_000);
        }
    }
}

#[test]
fn a_slash_within_a_line_begins_no_telegram_however_the_bytes_are_cut() {
    let bytes = ["x", VECTOR].concat();
    assert!(P1::new(true).feed(bytes.as_bytes()).is_empty());
    let mut telegrams = P1::new(true);
    let found: Vec<_> = bytes
        .as_bytes()
        .chunks(1)
        .flat_map(|byte| telegrams.feed(byte))
        .collect();
    assert!(found.is_empty(), "{found:?}");
}
