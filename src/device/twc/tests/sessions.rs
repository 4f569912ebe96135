//! Plug in, start, limit, stop.

use super::bench::{Bench, Slave, unit};
use crate::domain::{
    DeviceCommand, DeviceFact, IdToken, MilliAmps, Observation, Quality, Quantity, TokenKind, VehicleState,
};

const A: [u8; 2] = [0x12, 0x34];
const B: [u8; 2] = [0xC0, 0xDB];
const HEARTBEAT: [u8; 2] = [0xFB, 0xE0];

fn pair() -> Vec<Slave> {
    vec![Slave::new(A, 1), Slave::new(B, 2)]
}

#[test]
fn the_start_up_sequence_then_a_heartbeat_at_once() {
    let mut bench = Bench::new(pair(), &[unit(Some(A)), unit(Some(B))]);
    bench.lease(0, 60_000);
    bench.lease(1, 60_000);
    bench.run_for(5_000);
    assert_eq!(bench.sent, [], "nothing before the port is open");
    bench.plug_in(true);
    bench.run_for(1_300);
    let kinds: Vec<(u64, [u8; 2])> = bench
        .sent
        .iter()
        .map(|(at, f)| (at - 5_000, [f[0], f[1]]))
        .take(10)
        .collect();
    let half = |from: u64, kind: [u8; 2]| (from..from + 5).map(move |n| (n * 100, kind));
    let expected: Vec<(u64, [u8; 2])> = half(0, [0xFC, 0xE1]).chain(half(5, [0xFB, 0xE2])).collect();
    assert_eq!(kinds, expected);
    assert!(!bench.told(0, HEARTBEAT).is_empty());
    bench.run_for(3_000);
    assert!(!bench.told(1, HEARTBEAT).is_empty());
    let facts: Vec<_> = bench
        .observed
        .iter()
        .map(|(_, slot, said)| (*slot, said.clone()))
        .collect();
    for (slot, version) in [(0, "1"), (1, "2")] {
        assert!(facts.contains(&(slot, Observation::HardwareLimit(MilliAmps::from_base(32)))));
        assert!(facts.contains(&(slot, Observation::Fact(DeviceFact::MapVersion, version.into()))));
    }
    assert!(bench.reports.iter().all(|report| report.armed && report.safe));
    assert_eq!(
        bench
            .links
            .iter()
            .map(|(_, slot, up)| (*slot, *up))
            .collect::<Vec<_>>(),
        [(0, true), (1, true)]
    );
}

#[test]
fn a_heartbeat_a_second_in_turn() {
    let mut bench = Bench::settled(pair());
    bench.run_for(60_000);
    for slave in 0..2 {
        let beats = bench.told(slave, HEARTBEAT);
        assert!((29..=31).contains(&beats.len()), "{}", beats.len());
        assert!(
            beats
                .windows(2)
                .all(|pair| (1_900..2_600).contains(&(pair[1] - pair[0]))),
            "{beats:?}"
        );
    }
}

#[test]
fn nothing_is_offered_before_somebody_asks() {
    for protocol in [1, 2] {
        let mut bench = Bench::settled(vec![Slave::new(A, protocol)]);
        bench.slaves[0].car = Some((true, true));
        bench.slaves[0].limit = 1_600;
        bench.run_for(20_000);
        assert_eq!(bench.slaves[0].limit, 0);
        let last = &bench
            .sent
            .iter()
            .rev()
            .find(|(_, f)| f[..2] == HEARTBEAT)
            .expect("a heartbeat")
            .1;
        assert!(
            [5, 9].contains(&last[6]) && last[7..9] == [0, 0],
            "zero is said again and again"
        );
    }
}

#[test]
fn a_session_of_either_protocol() {
    for protocol in [1, 2] {
        let mut bench = Bench::settled(vec![Slave::new(A, protocol)]);
        assert_eq!(bench.vehicle(0), None);
        bench.run_for(2_000);
        assert_eq!(bench.vehicle(0), Some(VehicleState::Absent));
        bench.slaves[0].car = Some((true, true));
        bench.run_for(2_000);
        assert_eq!(bench.vehicle(0), Some(VehicleState::Connected));
        bench.limit(0, 1, 16);
        bench.drive(0, 2, DeviceCommand::Enable(true));
        bench.run_for(7_000);
        assert_eq!(bench.done, [(1, Ok(())), (2, Ok(()))], "protocol {protocol}");
        assert_eq!(bench.slaves[0].limit, 1_600);
        assert_eq!(bench.vehicle(0), Some(VehicleState::Charging));
        let current = bench.reading(0, Quantity::Current).expect("a current");
        assert_eq!((current.milli, current.quality), (15_300, Quality::Uncalibrated));
        bench.limit(0, 3, 10);
        bench.run_for(1_500);
        assert_eq!(bench.slaves[0].limit, 1_000, "lowered while charging");
        bench.run_for(1_000);
        assert!(
            bench
                .observed
                .iter()
                .any(|(_, _, said)| *said == Observation::LimitReadBack(MilliAmps::from_base(10)))
        );
        bench.drive(0, 4, DeviceCommand::Enable(false));
        bench.run_for(1_500);
        assert_eq!(bench.slaves[0].limit, 0);
        assert_eq!(bench.done[2..], [(3, Ok(())), (4, Ok(()))]);
        bench.slaves[0].car = None;
        bench.run_for(35_000);
        assert_eq!(bench.vehicle(0), Some(VehicleState::Absent));
    }
}

#[test]
fn a_stop_goes_out_at_once_and_a_newer_limit_replaces_an_older() {
    let mut bench = Bench::settled(pair());
    bench.slaves[1].car = Some((true, true));
    bench.limit(1, 1, 16);
    bench.run_for(8_000);
    bench.forget();
    let at = bench.now;
    bench.limit(1, 2, 13);
    bench.limit(1, 3, 0);
    bench.run_for(500);
    let stop = bench
        .sent
        .iter()
        .find(|(_, f)| f[4..6] == B && f[6] == 9 && f[7..9] == [0, 0])
        .expect("a stop");
    assert!(stop.0 - at <= 445, "behind one answer at most: {}", stop.0 - at);
    assert_eq!(
        bench.done,
        [(2, Err(crate::domain::DriveError::Superseded)), (3, Ok(()))]
    );
}

#[test]
fn raising_waits_five_seconds_lowering_does_not() {
    let mut bench = Bench::settled(vec![Slave::new(A, 2)]);
    bench.slaves[0].car = Some((true, true));
    bench.limit(0, 1, 16);
    bench.run_for(1_500);
    assert_eq!(bench.slaves[0].limit, 1_600);
    bench.limit(0, 2, 8);
    bench.run_for(500);
    assert_eq!(bench.slaves[0].limit, 800);
    bench.limit(0, 3, 20);
    bench.run_for(3_000);
    assert_eq!(bench.slaves[0].limit, 800);
    bench.run_for(3_500);
    assert_eq!(bench.slaves[0].limit, 2_000);
    assert_eq!(bench.done, [(1, Ok(())), (2, Ok(())), (3, Ok(()))]);
}

#[test]
fn a_unit_is_never_told_more_than_it_and_its_wiring_carry() {
    let mut slave = Slave::new(A, 2);
    slave.amps = 8_000;
    let mut bench = Bench::settled(vec![slave]);
    bench.limit(0, 1, 63);
    bench.run_for(7_000);
    assert_eq!(bench.slaves[0].limit, 3_200, "the ceiling of the configuration");
    bench.limit(0, 2, 5);
    bench.run_for(2_000);
    assert_eq!(bench.slaves[0].limit, 0, "protocol 2 starts at 6 A");
}

#[test]
fn energy_voltages_and_the_vin_of_a_modern_unit() {
    let mut slave = Slave::new(A, 2);
    slave.vin = Some(*b"5YJSA1E26HF000337");
    let mut bench = Bench::settled(vec![slave]);
    bench.slaves[0].car = Some((true, true));
    bench.limit(0, 1, 16);
    bench.run_for(10_000);
    let token = Observation::Token(Some(IdToken::new("5YJSA1E26HF000337", TokenKind::Local)));
    assert_eq!(
        bench
            .observed
            .iter()
            .filter(|(_, _, said)| *said == token)
            .count(),
        1
    );
    let power = bench.reading(0, Quantity::Power).expect("a power");
    assert_eq!(
        (power.milli, power.quality),
        (15_300 * (230 + 231 + 232), Quality::Derived)
    );
    let before = bench
        .reading(0, Quantity::EnergyImport)
        .expect("a register")
        .milli;
    bench.run_for(300_000);
    let after = bench
        .reading(0, Quantity::EnergyImport)
        .expect("a register")
        .milli;
    let expected = power.milli / 12;
    assert!(
        (after - before - expected).abs() < expected / 50,
        "{} is not about {expected}",
        after - before
    );
    let asked = bench.told(0, [0xFB, 0xEB]);
    assert!((5..=8).contains(&asked.len()), "once a minute: {asked:?}");
}

#[test]
fn an_old_unit_is_not_asked_for_what_it_does_not_know_more_than_every_two_minutes() {
    let mut bench = Bench::settled(vec![Slave::new(A, 1)]);
    bench.slaves[0].car = Some((true, true));
    bench.limit(0, 1, 10);
    bench.run_for(240_000);
    assert!(bench.told(0, [0xFB, 0xEB]).len() <= 3);
    assert!(bench.told(0, [0xFB, 0xEE]).is_empty(), "nor for a VIN");
    assert!(
        bench
            .reading(0, Quantity::EnergyImport)
            .is_some_and(|read| read.milli > 100_000),
        "summed up"
    );
    assert!(
        bench.reading(0, Quantity::Voltage).is_none(),
        "nobody measured one"
    );
}

#[test]
fn a_unit_that_ignores_zero_is_cut_off_by_the_contactor() {
    let mut bench = Bench::settled(vec![Slave::new(A, 2)]);
    bench.slaves[0].car = Some((true, true));
    bench.limit(0, 1, 10);
    bench.run_for(10_000);
    bench.slaves[0].deaf = true;
    bench.limit(0, 2, 0);
    bench.run_for(15_000);
    assert!(bench.slaves[0].actual(bench.now) > 200 && !bench.slaves[0].open);
    bench.run_for(10_000);
    assert!(bench.slaves[0].open, "stopped by message");
    assert!(bench.slaves[0].actual(bench.now) < 80);
}

#[test]
fn a_vehicle_that_ignores_zero_is_cut_off_by_the_contactor() {
    let mut bench = Bench::settled(vec![Slave::new(A, 2)]);
    bench.slaves[0].car = Some((true, false));
    bench.limit(0, 1, 10);
    bench.run_for(10_000);
    bench.limit(0, 2, 0);
    bench.run_for(5_000);
    assert!(!bench.slaves[0].open);
    bench.run_for(10_000);
    assert!(bench.slaves[0].open, "stopped by message");
    bench.limit(0, 3, 10);
    bench.run_for(70_000);
    assert!(
        !bench.slaves[0].open,
        "started again, no sooner than a minute later"
    );
    assert_eq!(
        (
            bench.told(0, [0xFC, 0xB2]).len(),
            bench.told(0, [0xFC, 0xB1]).len()
        ),
        (1, 1)
    );
}
