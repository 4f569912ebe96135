//! SunSpec devices under the driver: found, read, lost, found somewhere else.

use super::bench::{Bench, Mood, setup};
use crate::device::{Library, Pdu};
use crate::domain::{DeviceFact, DriveError, Observation, Phase, Quantity};
use std::collections::BTreeMap;

/// An integer meter at `base` with other models in front, 3,450 W import, and a second phase that is not wired.
fn meter(base: u16, in_front: &[u16]) -> BTreeMap<u16, u16> {
    let mut registers = BTreeMap::from([(base, 0x5375), (base + 1, 0x6E53)]);
    let mut at = base + 2;
    let mut put = |id: u16, length: u16, values: &[(u16, u16)]| {
        registers.extend((at..at + 2 + length).map(|at| (at, 0x8000)));
        registers.extend([(at, id), (at + 1, length)]);
        registers.extend(values.iter().map(|(offset, value)| (at + offset, *value)));
        at += 2 + length;
    };
    put(1, 66, &[(50, 0x4142), (51, 0)]);
    in_front.iter().for_each(|id| put(*id, 5, &[]));
    let minus_one = u16::MAX;
    let values = [
        (3, 150),
        (6, minus_one),
        (8, 2300),
        (15, minus_one),
        (18, 345),
        (22, 1),
        (46, 0x0012),
        (47, 0xD687),
        (54, 0x8000),
    ];
    put(203, 105, &values);
    registers.extend([(at, 0xFFFF), (at + 1, 0)]);
    registers
}

fn bench(registers: BTreeMap<u16, u16>) -> Bench {
    let profile = Library::builtin().get("sunspec-meter").expect("it is shipped");
    let mut bench = Bench::with(profile, &setup(), 3);
    bench.registers = registers;
    bench.strict = true;
    bench
}

fn reading(bench: &Bench, quantity: Quantity, phase: Phase) -> Option<i64> {
    bench.observed.iter().rev().find_map(|said| match said {
        Observation::Reading(reading) if (reading.quantity, reading.phase) == (quantity, phase) => {
            Some(reading.milli)
        }
        _ => None,
    })
}

fn reads(bench: &Bench) -> Vec<(u16, u16)> {
    let of = |pdu: &Pdu| match pdu {
        Pdu::Read { addr, count, .. } => (*addr, *count),
        _ => panic!("a meter is only read"),
    };
    bench.sent.iter().map(|(_, _, pdu)| of(pdu)).collect()
}

#[test]
fn a_meter_is_found_and_read_where_it_is() {
    for (base, in_front) in [(40_000, &[][..]), (50_000, &[103, 120]), (0, &[64_001])] {
        let mut bench = bench(meter(base, in_front));
        bench.run_for(10_000);
        assert_eq!(
            reading(&bench, Quantity::Power, Phase::Total),
            Some(3_450_000),
            "{base}"
        );
        assert_eq!(reading(&bench, Quantity::Current, Phase::L1), Some(15_000));
        assert_eq!(
            reading(&bench, Quantity::Current, Phase::L2),
            None,
            "not implemented"
        );
        assert_eq!(reading(&bench, Quantity::Voltage, Phase::L1), Some(230_000));
        let energy = reading(&bench, Quantity::EnergyImport, Phase::Total);
        assert_eq!(
            energy,
            Some(1_234_567_000),
            "a scale that is not implemented counts as 1"
        );
        assert_eq!(reading(&bench, Quantity::EnergyExport, Phase::Total), None);
        let fact = Observation::Fact(DeviceFact::SerialNumber, "AB".into());
        assert!(bench.observed.contains(&fact), "{:?}", bench.observed);
        assert_eq!(bench.links.len(), 1);
        bench.forget();
        bench.run_for(10_000);
        assert!(
            reads(&bench).iter().all(|(_, count)| *count > 2),
            "the list is walked once: {:?}",
            reads(&bench)
        );
    }
}

#[test]
fn values_and_their_scales_are_read_at_once() {
    let mut bench = bench(meter(40_000, &[]));
    bench.run_for(4_000);
    bench.forget();
    bench.registers.extend([(40_088, 3450), (40_092, 0)]);
    bench.run_for(10_000);
    let powers = bench.observed.iter().filter_map(|said| match said {
        Observation::Reading(reading) if reading.quantity == Quantity::Power => Some(reading.milli),
        _ => None,
    });
    let powers: Vec<i64> = powers.collect();
    assert!(
        powers.len() >= 4 && powers.iter().all(|milli| *milli == 3_450_000),
        "{powers:?}"
    );
}

#[test]
fn after_an_outage_the_list_is_walked_again() {
    let mut bench = bench(meter(40_000, &[]));
    bench.run_for(4_000);
    bench.mood = Mood::Off;
    bench.run_for(15_000);
    bench.forget();
    bench.registers = meter(40_000, &[802]);
    // What stood there is another value now.
    bench.registers.insert(40_088, 9_999);
    bench.mood = Mood::Well;
    bench.run_for(40_000);
    assert_eq!(bench.links.iter().map(|(_, up)| *up).collect::<Vec<_>>(), [true]);
    let powers: Vec<_> = bench
        .observed
        .iter()
        .filter(|said| matches!(said, Observation::Reading(r) if r.quantity == Quantity::Power && r.milli != 3_450_000))
        .collect();
    assert!(powers.is_empty(), "{powers:?}");
    assert_eq!(reading(&bench, Quantity::Power, Phase::Total), Some(3_450_000));
}

#[test]
fn a_device_without_the_models_is_down_until_it_has_them() {
    let mut bench = bench(BTreeMap::from([
        (40_000, 0x5375),
        (40_001, 0x6E53),
        (40_002, 0xFFFF),
        (40_003, 0),
    ]));
    bench.run_for(100_000);
    let ups = |bench: &Bench| bench.links.iter().map(|(_, up)| *up).collect::<Vec<_>>();
    assert_eq!(ups(&bench), [true, false], "told once");
    assert!(
        bench.log.contains("up: false, cause: Some(OtherDevice)"),
        "{}",
        bench.log
    );
    assert_eq!(bench.observed, []);
    bench.drive(1, crate::domain::DeviceCommand::Unlock);
    assert_eq!(bench.done, [(1, Err(DriveError::OtherDevice))]);
    assert!(
        bench.sent.len() <= 6,
        "looked at again once a minute: {}",
        bench.sent.len()
    );
    bench.registers = meter(40_000, &[]);
    bench.run_for(70_000);
    assert_eq!(ups(&bench), [true, false, true]);
    assert!(reading(&bench, Quantity::Power, Phase::Total).is_some());
    // Busy, it is not asked again and again.
    bench.forget();
    bench.run_for(3_000);
    assert!(bench.sent.len() <= 12, "{}", bench.sent.len());
}

#[test]
fn a_device_without_the_models_that_falls_silent_is_asked_less_often() {
    let mut bench = bench(BTreeMap::from([(40_000, 1), (40_001, 2)]));
    bench.run_for(10_000);
    bench.mood = Mood::Off;
    bench.forget();
    bench.run_for(600_000);
    assert!((8..=24).contains(&bench.sent.len()), "{}", bench.sent.len());
    bench.mood = Mood::Well;
    bench.registers = meter(40_000, &[]);
    bench.run_for(70_000);
    assert_eq!(bench.links.iter().map(|(_, up)| *up).collect::<Vec<_>>(), [true]);
    assert!(reading(&bench, Quantity::Power, Phase::Total).is_some());
}

#[test]
fn a_walk_survives_lost_answers() {
    let mut bench = bench(meter(50_000, &[103]));
    bench.fail_next([
        DriveError::Garbled,
        DriveError::Timeout(std::time::Duration::from_millis(500)),
        DriveError::Exception(6),
        DriveError::Garbled,
    ]);
    bench.run_for(20_000);
    assert_eq!(reading(&bench, Quantity::Power, Phase::Total), Some(3_450_000));
}
