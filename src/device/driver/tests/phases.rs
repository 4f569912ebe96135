//! One phase or three: paused, switched, offered again, and never offered in between.

use super::bench::{Bench, Mood};
use super::maps::{self, LIMIT, SWITCH};
use crate::domain::{DeviceCommand, DriveError, MilliAmps};

#[test]
fn charging_is_paused_while_phases_are_switched() {
    let mut bench = Bench::settled(maps::two_phased());
    bench.limit(1, 16);
    bench.run_for(1_000);
    bench.drive(2, DeviceCommand::Phases(1));
    bench.run_for(10_000);
    assert_eq!(bench.done, [(1, Ok(())), (2, Ok(()))]);
    let limits = bench.writes(LIMIT);
    let values: Vec<u16> = limits.iter().map(|(_, value)| *value).collect();
    assert_eq!(values, [160, 0, 160]);
    let [(switched, 1)] = bench.writes(SWITCH)[..] else {
        panic!("{:?}", bench.writes(SWITCH));
    };
    assert!(switched >= limits[1].0 + 2_000, "rested before");
    assert!(limits[2].0 >= switched + 1_000, "rested after");
    assert!(bench.driver.snapshot().in_force);
}

#[test]
fn a_new_limit_waits_until_the_phases_are_switched_and_a_stop_does_not() {
    let mut bench = Bench::settled(maps::two_phased());
    bench.limit(1, 16);
    bench.run_for(1_000);
    bench.drive(2, DeviceCommand::Phases(1));
    bench.run_for(500);
    bench.limit(3, 8);
    bench.run_for(1_000);
    assert!(
        !bench.writes(LIMIT).iter().any(|(_, value)| *value == 80),
        "still switching"
    );
    bench.limit(4, 0);
    let asked = bench.now;
    bench.run_for(10_000);
    assert!(
        bench
            .writes(LIMIT)
            .iter()
            .any(|(at, value)| *value == 0 && *at == asked)
    );
    assert_eq!(bench.registers[&LIMIT], 0, "the last word holds");
    assert_eq!(bench.registers[&SWITCH], 1);
    let results: Vec<u64> = bench.done.iter().map(|(ticket, _)| *ticket).collect();
    assert_eq!(results, [1, 3, 4, 2]);
}

#[test]
fn a_switch_that_does_not_obey_still_gets_its_current_back() {
    let mut bench = Bench::settled(maps::two_phased());
    bench.limit(1, 16);
    bench.run_for(1_000);
    bench.mood = Mood::Deaf(SWITCH);
    bench.drive(2, DeviceCommand::Phases(1));
    bench.run_for(10_000);
    assert_eq!(
        bench.done[1],
        (2, Err(DriveError::NotObeyed { wrote: 1, read: 0 }))
    );
    assert_eq!(bench.registers[&LIMIT], 160);
}

#[test]
fn phases_are_switched_again_after_a_restart_and_refused_where_there_is_no_switch() {
    let mut bench = Bench::settled(maps::two_phased());
    bench.drive(1, DeviceCommand::Phases(1));
    bench.limit(2, 10);
    bench.run_for(10_000);
    bench.mood = Mood::Off;
    bench.run_for(10_000);
    bench.heal();
    bench.registers.extend([(SWITCH, 3), (LIMIT, 160)]);
    bench.run_for(60_000);
    assert_eq!((bench.registers[&SWITCH], bench.registers[&LIMIT]), (1, 100));

    let mut bench = Bench::settled(maps::any_fed());
    bench.limit(1, 10);
    bench.run_for(1_000);
    bench.drive(2, DeviceCommand::Phases(1));
    bench.run_for(1_000);
    assert_eq!(bench.done, [(1, Ok(())), (2, Err(DriveError::Unsupported))]);
    assert_eq!(bench.driver.snapshot().commanded, Some(MilliAmps::from_base(10)));
}

#[test]
fn phases_are_not_switched_while_a_limit_settles() {
    let mut bench = Bench::settled(maps::two_phased());
    bench.limit(1, 16);
    bench.run_for(1_000);
    bench.forget();
    // The limit is raised, the device takes a second for it, and is told to switch meanwhile.
    bench.limit(2, 8);
    bench.run_for(1_000);
    bench.forget();
    bench.mood = Mood::Deaf(LIMIT);
    bench.limit(3, 12);
    bench.run_for(200);
    bench.drive(4, DeviceCommand::Phases(1));
    bench.run_for(800);
    let values = |bench: &Bench| {
        bench
            .writes(LIMIT)
            .iter()
            .map(|(_, value)| *value)
            .collect::<Vec<_>>()
    };
    assert_eq!(values(&bench), [120], "no pause in the middle of it");
    bench.registers.insert(LIMIT, 120);
    bench.mood = Mood::Well;
    bench.run_for(10_000);
    assert_eq!(bench.done, [(3, Ok(())), (4, Ok(()))]);
    assert_eq!(values(&bench), [120, 0, 120]);
    assert_eq!(bench.registers[&SWITCH], 1);
}

#[test]
fn phases_that_are_in_use_already_cost_no_pause() {
    let mut bench = Bench::settled(maps::two_phased());
    bench.limit(1, 16);
    bench.run_for(1_000);
    bench.drive(2, DeviceCommand::Phases(1));
    bench.run_for(10_000);
    bench.forget();
    bench.drive(3, DeviceCommand::Phases(1));
    bench.run_for(10_000);
    assert_eq!(
        (bench.writes(LIMIT), bench.writes(SWITCH)),
        (Vec::new(), Vec::new())
    );
    assert_eq!(bench.done.last(), Some(&(3, Ok(()))));
    bench.drive(4, DeviceCommand::Phases(3));
    bench.run_for(10_000);
    assert_eq!(bench.registers[&SWITCH], 3);
}
