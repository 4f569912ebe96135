//! Limits, pauses and switches.

use super::bench::{Bench, Mood};
use super::maps::{self, LIMIT, LOCK, SWITCH};
use crate::domain::{DeviceCommand, DriveError, MilliAmps, Observation, Priority};

#[test]
fn a_limit_is_written_read_back_and_confirmed() {
    let mut bench = Bench::settled(maps::any_fed());
    bench.limit(1, 10);
    bench.run_for(500);
    assert_eq!(bench.writes(LIMIT), [(20_000, 100)]);
    assert_eq!(bench.done, [(1, Ok(()))]);
    assert!(
        bench
            .observed
            .contains(&Observation::LimitReadBack(MilliAmps::from_base(10)))
    );
    let snapshot = bench.driver.snapshot();
    assert_eq!(
        (snapshot.commanded, snapshot.in_force),
        (Some(MilliAmps::from_base(10)), true)
    );
}

#[test]
fn a_device_that_does_not_obey_is_looked_at_until_the_settle_time_is_over() {
    let mut bench = Bench::settled(maps::any_fed());
    bench.mood = Mood::Deaf(LIMIT);
    bench.limit(1, 10);
    bench.run_for(1_900);
    assert_eq!(bench.done, [], "it may still settle");
    bench.run_for(600);
    assert_eq!(
        bench.done,
        [(
            1,
            Err(DriveError::NotObeyed {
                wrote: 100,
                read: 160
            })
        )]
    );
    assert_eq!(bench.writes(LIMIT).len(), 1);
    assert!(
        bench
            .observed
            .contains(&Observation::LimitReadBack(MilliAmps::from_base(16)))
    );
}

#[test]
fn a_slow_device_gets_its_settle_time() {
    let mut bench = Bench::settled(maps::any_fed());
    bench.mood = Mood::Deaf(LIMIT);
    bench.limit(1, 10);
    bench.run_for(1_000);
    bench.registers.insert(LIMIT, 100);
    bench.run_for(1_000);
    assert_eq!(bench.done, [(1, Ok(()))]);
}

#[test]
fn a_newer_limit_replaces_one_that_was_not_written_yet() {
    let mut bench = Bench::settled(maps::any_fed());
    bench.answering = false;
    bench.limit(1, 16);
    bench.limit(2, 12);
    bench.limit(3, 10);
    assert_eq!(
        bench.done,
        [(1, Err(DriveError::Superseded)), (2, Err(DriveError::Superseded))]
    );
    bench.answering = true;
    bench.run_for(500);
    assert_eq!(
        bench
            .writes(LIMIT)
            .iter()
            .map(|(_, raw)| *raw)
            .collect::<Vec<_>>(),
        [100]
    );
    assert_eq!(bench.done.last(), Some(&(3, Ok(()))));
}

#[test]
fn a_stop_overtakes_a_raise_and_every_read() {
    let mut bench = Bench::settled(maps::any_fed());
    bench.limit(1, 6);
    bench.run_for(1_000);
    bench.forget();
    bench.answering = false;
    bench.run_for(3_000);
    bench.limit(2, 16);
    bench.drive(3, DeviceCommand::Unlock);
    bench.limit(4, 0);
    assert_eq!(bench.done, [(2, Err(DriveError::Superseded))]);
    bench.answering = true;
    bench.run_for(2_000);
    let (_, class, _) = &bench.sent[0];
    assert_eq!(*class, Priority::Stop);
    assert_eq!(
        bench
            .writes(LIMIT)
            .iter()
            .map(|(_, raw)| *raw)
            .collect::<Vec<_>>(),
        [0]
    );
    assert_eq!(bench.writes(LOCK).len(), 1, "the unlock comes after it");
    assert_eq!(bench.done[1..], [(4, Ok(())), (3, Ok(()))]);
}

#[test]
fn a_lowering_goes_as_urgently_as_a_stop() {
    let mut bench = Bench::settled(maps::any_fed());
    bench.limit(1, 16);
    bench.run_for(1_000);
    bench.forget();
    bench.limit(2, 8);
    bench.answer_one();
    assert_eq!(
        bench.sent[0].1,
        Priority::Stop,
        "the driver knows itself that 8 A is less than 16 A"
    );
}

#[test]
fn a_stop_waits_only_for_the_gap_the_device_wants() {
    let mut bench = Bench::settled(maps::write_fed());
    bench.limit(1, 10);
    bench.run_for(6_500);
    assert_eq!(bench.done, [(1, Ok(()))]);
    let resumed = bench.writes(SWITCH)[0].0;
    bench.drive(2, DeviceCommand::ArmWatchdog);
    bench.limit(3, 16);
    bench.limit(4, 0);
    bench.run_for(10_000);
    let paused = bench.writes(SWITCH)[1];
    assert_eq!(paused.1, 0);
    assert!(
        (5_000..5_100).contains(&(paused.0 - resumed)),
        "{}",
        paused.0 - resumed
    );
    assert_eq!(bench.writes(LIMIT).len(), 1, "16 A was never written");
    assert_eq!(
        bench.done[1..],
        [(3, Err(DriveError::Superseded)), (4, Ok(())), (2, Ok(()))]
    );
}

#[test]
fn writes_keep_their_distance() {
    let mut bench = Bench::settled(maps::write_fed());
    for ticket in 0..20 {
        bench.limit(ticket, 6 + i64::try_from(ticket % 10).expect("small"));
        bench.run_for(3_300);
    }
    let writes: Vec<u64> = bench
        .sent
        .iter()
        .filter(|(_, _, pdu)| pdu.is_write())
        .map(|(at, _, _)| *at)
        .collect();
    assert!(writes.len() >= 8);
    assert!(
        writes.windows(2).all(|pair| pair[1] - pair[0] >= 5_000),
        "{writes:?}"
    );
}

#[test]
fn below_the_minimum_is_a_pause_and_resuming_switches_on_again() {
    let mut bench = Bench::settled(maps::write_fed());
    bench.limit(1, 10);
    bench.run_for(8_000);
    assert_eq!((bench.registers[&LIMIT], bench.registers[&SWITCH]), (100, 1));
    bench.limit(2, 5);
    bench.run_for(8_000);
    assert_eq!(bench.registers[&SWITCH], 0);
    bench.limit(3, 12);
    bench.run_for(14_000);
    assert_eq!((bench.registers[&LIMIT], bench.registers[&SWITCH]), (120, 1));
    assert_eq!(bench.done, [(1, Ok(())), (2, Ok(())), (3, Ok(()))]);
}

#[test]
fn while_disabled_no_limit_switches_it_on() {
    let mut bench = Bench::settled(maps::write_fed());
    bench.drive(1, DeviceCommand::Enable(false));
    bench.run_for(8_000);
    bench.limit(2, 16);
    bench.run_for(8_000);
    assert_eq!(bench.registers[&SWITCH], 0);
    bench.drive(3, DeviceCommand::Enable(true));
    bench.run_for(14_000);
    assert_eq!((bench.registers[&LIMIT], bench.registers[&SWITCH]), (160, 1));
    assert_eq!(bench.done, [(1, Ok(())), (2, Ok(())), (3, Ok(()))]);
}

#[test]
fn enabling_adds_to_a_limit_that_is_on_its_way() {
    let mut bench = Bench::settled(maps::write_fed());
    bench.limit(1, 8);
    bench.drive(2, DeviceCommand::Enable(true));
    bench.run_for(12_000);
    assert_eq!((bench.registers[&LIMIT], bench.registers[&SWITCH]), (80, 1));
    assert_eq!(bench.done, [(1, Ok(())), (2, Ok(()))]);
}

#[test]
fn without_a_switch_enabling_is_a_matter_of_the_limit() {
    let mut bench = Bench::settled(maps::any_fed());
    bench.limit(1, 13);
    bench.run_for(1_000);
    bench.drive(2, DeviceCommand::Enable(false));
    bench.run_for(1_000);
    assert_eq!(bench.registers[&LIMIT], 0);
    bench.drive(3, DeviceCommand::Enable(true));
    bench.run_for(1_000);
    assert_eq!(bench.registers[&LIMIT], 130);
    bench.drive(4, DeviceCommand::Enable(true));
    bench.run_for(1_000);
    assert_eq!(bench.done, [(1, Ok(())), (2, Ok(())), (3, Ok(())), (4, Ok(()))]);
}

#[test]
fn the_safe_state_never_offers_more_than_before() {
    let mut bench = Bench::settled(maps::any_fed());
    bench.limit(1, 16);
    bench.run_for(1_000);
    bench.drive(2, DeviceCommand::SafeState);
    bench.run_for(1_000);
    assert_eq!(bench.registers[&LIMIT], 60, "the fallback current of the profile");
    bench.limit(3, 0);
    bench.run_for(1_000);
    bench.drive(4, DeviceCommand::SafeState);
    bench.run_for(1_000);
    assert_eq!(bench.registers[&LIMIT], 0);
    assert!(bench.done.iter().all(|(_, result)| result.is_ok()));
}

#[test]
fn what_the_profile_cannot_do_is_said() {
    let mut bench = Bench::settled(maps::write_fed());
    bench.drive(1, DeviceCommand::Unlock);
    bench.run_for(1_000);
    assert_eq!(bench.done, [(1, Err(DriveError::Unsupported))]);
    let mut bench = Bench::settled(maps::bare());
    bench.drive(2, DeviceCommand::ArmWatchdog);
    bench.run_for(1_000);
    assert_eq!(bench.done, [(2, Err(DriveError::Unsupported))]);
}

#[test]
fn a_foreign_write_is_undone_once() {
    for map in [maps::any_fed(), maps::bare()] {
        let mut bench = Bench::settled(map);
        bench.limit(1, 10);
        bench.run_for(15_000);
        bench.forget();
        bench.registers.insert(LIMIT, 160);
        bench.run_for(15_000);
        assert!(
            bench
                .observed
                .contains(&Observation::LimitReadBack(MilliAmps::from_base(16)))
        );
        assert_eq!(bench.registers[&LIMIT], 100);
        assert_eq!(bench.writes(LIMIT).len(), 1);
    }
}

#[test]
fn a_device_that_keeps_disagreeing_is_reported_and_not_written_to_for_ever() {
    for map in [maps::any_fed(), maps::bare()] {
        let mut bench = Bench::settled(map);
        bench.limit(1, 10);
        bench.run_for(15_000);
        bench.forget();
        bench.registers.insert(LIMIT, 160);
        bench.mood = Mood::Deaf(LIMIT);
        bench.run_for(120_000);
        assert_eq!(bench.writes(LIMIT).len(), 1);
        let says = |o: &&Observation| **o == Observation::LimitReadBack(MilliAmps::from_base(16));
        assert!(bench.observed.iter().filter(says).count() >= 5);
        assert!(!bench.driver.snapshot().in_force);
        bench.mood = Mood::Well;
        bench.limit(2, 8);
        bench.run_for(1_000);
        assert_eq!(bench.registers[&LIMIT], 80, "the next command is written again");
    }
}

#[test]
fn after_a_safe_state_that_switched_off_the_next_limit_switches_on() {
    let mut bench = Bench::settled(maps::write_fed());
    bench.limit(1, 16);
    bench.run_for(12_000);
    bench.drive(2, DeviceCommand::SafeState);
    bench.run_for(12_000);
    assert_eq!(bench.registers[&SWITCH], 0);
    bench.limit(3, 16);
    bench.run_for(12_000);
    assert_eq!(bench.registers[&SWITCH], 1);
    assert_eq!(bench.done, [(1, Ok(())), (2, Ok(())), (3, Ok(()))]);
}

#[test]
fn a_limit_that_no_value_fits_pauses_and_the_next_one_ends_the_pause() {
    let mut bench = Bench::settled(maps::coarse());
    bench.limit(1, 10);
    bench.run_for(1_000);
    assert_eq!((bench.registers[&LIMIT], bench.registers[&SWITCH]), (23, 1));
    // 6.05 A are 1,391 W, and 1,300 W would be less than 6 A.
    bench.drive(2, DeviceCommand::Limit(MilliAmps(6_050)));
    bench.run_for(1_000);
    assert_eq!(bench.registers[&SWITCH], 0);
    bench.limit(3, 10);
    bench.run_for(1_000);
    assert_eq!((bench.registers[&LIMIT], bench.registers[&SWITCH]), (23, 1));
    assert_eq!(bench.done, [(1, Ok(())), (2, Ok(())), (3, Ok(()))]);
}
