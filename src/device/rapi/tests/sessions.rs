//! Plug in, start, limit, stop.

use super::bench::{Bench, Evse};
use crate::domain::{
    DeviceCommand, DeviceFact, DriveError, MilliAmps, Observation, Quality, Quantity, VehicleState,
};

#[test]
fn a_device_is_known_armed_and_left_alone_until_somebody_asks() {
    let mut bench = Bench::new(Evse::new());
    bench.run_for(5_000);
    assert!(bench.sent.is_empty(), "nothing before the port is open");
    bench.lease(60_000);
    bench.plug_in(true);
    bench.run_for(5_000);
    assert_eq!(bench.links.iter().map(|(_, up)| *up).collect::<Vec<_>>(), [true]);
    for fact in [
        (DeviceFact::FirmwareVersion, "8.2.1"),
        (DeviceFact::MapVersion, "5.1.0"),
        (DeviceFact::SerialNumber, "AB12CD34"),
    ] {
        let fact = Observation::Fact(fact.0, fact.1.into());
        assert!(bench.observed.iter().any(|(_, said)| *said == fact), "{fact:?}");
    }
    assert_eq!(bench.orders(), ["SY 30 6"]);
    assert!(
        bench
            .reports
            .last()
            .is_some_and(|report| report.armed && report.safe)
    );
    assert_eq!(bench.vehicle(), Some(VehicleState::Absent));
    let limit = Observation::HardwareLimit(MilliAmps::from_base(32));
    assert!(bench.observed.iter().any(|(_, said)| *said == limit));
    assert_eq!(
        bench.reading(Quantity::Temperature).map(|read| read.milli),
        Some(24_700)
    );
}

#[test]
fn a_session() {
    let mut bench = Bench::settled();
    bench.limit(1, 0);
    bench.drive(2, DeviceCommand::Enable(false));
    bench.run_for(2_500);
    assert!(bench.evse.asleep);
    assert_eq!(bench.done, [(1, Err(DriveError::Superseded)), (2, Ok(()))]);
    bench.evse.car = Some(true);
    bench.run_for(2_500);
    assert_eq!(bench.vehicle(), Some(VehicleState::Connected));
    assert_eq!(bench.read_back(), Some(MilliAmps::ZERO));
    bench.forget();
    bench.limit(3, 16);
    bench.drive(4, DeviceCommand::Enable(true));
    bench.run_for(4_500);
    assert_eq!(
        bench.orders(),
        ["FS", "SC 16 V", "FE"],
        "the limit of what is switched off is zero"
    );
    assert_eq!(bench.vehicle(), Some(VehicleState::Charging));
    assert_eq!(bench.read_back(), Some(MilliAmps::from_base(16)));
    let current = bench.reading(Quantity::Current).expect("a current");
    assert_eq!((current.milli, current.quality), (16_000, Quality::Uncalibrated));
    assert_eq!(
        bench.reading(Quantity::Power).map(|read| read.milli),
        Some(3_680_000)
    );
    bench.evse.session_ws = 36_000;
    bench.run_for(2_500);
    assert_eq!(
        bench.reading(Quantity::EnergyImport).map(|read| read.milli),
        Some(5_010_000)
    );
    bench.limit(5, 10);
    bench.run_for(500);
    assert_eq!(bench.evse.amps, 10);
    bench.drive(6, DeviceCommand::Enable(false));
    bench.run_for(500);
    assert_eq!(bench.orders()[3..], ["SC 10 V", "SC 6 V", "FS"]);
    bench.run_for(3_000);
    bench.evse.car = None;
    (bench.evse.total_wh, bench.evse.session_ws) = (5_010, 36_000);
    bench.run_for(3_000);
    assert_eq!(bench.vehicle(), Some(VehicleState::Absent));
    assert_eq!(
        bench.reading(Quantity::EnergyImport).map(|read| read.milli),
        Some(5_010_000)
    );
    let ends: Vec<bool> = bench.done.iter().map(|(_, result)| result.is_ok()).collect();
    assert_eq!(
        ends,
        [false, true, true, true],
        "the first was replaced by the second"
    );
}

#[test]
fn a_stop_is_the_next_command_whatever_waits() {
    let mut bench = Bench::settled();
    bench.evse.car = Some(true);
    bench.limit(1, 16);
    bench.run_for(3_000);
    bench.forget();
    while bench.sent.is_empty() {
        bench.run_for(1);
    }
    bench.limit(2, 20);
    bench.drive(3, DeviceCommand::Limit(MilliAmps::ZERO));
    bench.run_for(600);
    assert_eq!(bench.orders(), ["SC 6 V", "FS"]);
    assert_eq!(bench.done, [(2, Err(DriveError::Superseded)), (3, Ok(()))]);
}

#[test]
fn less_than_asked_for_is_read_back_more_is_disobedience() {
    let mut bench = Bench::settled();
    bench.evse.most = 13;
    bench.limit(1, 16);
    bench.run_for(3_000);
    assert_eq!(bench.done, [(1, Ok(()))]);
    assert_eq!(bench.read_back(), Some(MilliAmps::from_base(13)));
    bench.evse.deaf = vec!["SC"];
    bench.limit(2, 8);
    bench.run_for(3_000);
    assert_eq!(
        bench.done[1..],
        [(2, Err(DriveError::NotObeyed { wrote: 8, read: 13 }))]
    );
}

#[test]
fn a_sleep_that_does_not_come_is_disobedience() {
    let mut bench = Bench::settled();
    bench.evse.car = Some(true);
    bench.evse.deaf = vec!["FS"];
    bench.limit(1, 0);
    bench.run_for(4_000);
    assert!(bench.done.is_empty());
    bench.run_for(2_000);
    assert_eq!(
        bench.done,
        [(1, Err(DriveError::NotObeyed { wrote: 0, read: 3 }))]
    );
}

#[test]
fn faults_have_their_kinds() {
    let mut bench = Bench::settled();
    bench.evse.fault = Some(0x06);
    bench.run_for(2_500);
    assert!(matches!(bench.vehicle(), Some(VehicleState::Fault(_))));
    bench.limit(1, 0);
    bench.run_for(1_000);
    assert_eq!(bench.done, [(1, Ok(()))], "nothing can flow");
}

#[test]
fn a_change_of_state_is_heard_at_once() {
    let mut bench = Bench::settled();
    bench.say("$AT 02 02 24 0100");
    assert_eq!(bench.vehicle(), Some(VehicleState::Ready));
}

#[test]
fn after_its_start_a_boot_lock_is_opened_before_it_is_enabled() {
    let mut evse = Evse::new();
    (evse.boot_locked, evse.asleep, evse.car) = (true, true, Some(true));
    let mut bench = Bench::settled_with(evse);
    bench.limit(1, 16);
    bench.run_for(3_000);
    assert_eq!(bench.orders(), ["SC 16 V", "SB", "FE"]);
    assert_eq!(bench.vehicle(), Some(VehicleState::Charging));
}
