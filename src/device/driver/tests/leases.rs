//! The watchdog and the lease under which it is fed.

use super::bench::{Bench, Mood, setup};
use super::maps::{self, FALLBACK, LIMIT, STANDBY, TIMEOUT};
use crate::device::Input;
use crate::domain::{DeviceCommand, DriveError, MilliAmps, Mono, Priority};
use std::time::Duration;

#[test]
fn it_is_armed_at_the_start_and_says_so() {
    let mut bench = Bench::new(maps::any_fed());
    bench.input(Input::Lease { until: Mono(60_000) });
    bench.run_for(3_000);
    let held = [TIMEOUT, FALLBACK, STANDBY].map(|register| bench.registers[&register]);
    assert_eq!(held, [15_000, 60, 4]);
    let report = &bench.reports[0];
    assert!(report.armed && report.safe);
    assert_eq!(
        (report.timeout, report.fallback),
        (Some(Duration::from_secs(15)), Some(MilliAmps::from_base(6)))
    );
}

#[test]
fn the_configuration_decides_time_out_and_fallback() {
    let setup = crate::domain::DeviceSetup {
        watchdog_timeout: Some(Duration::from_secs(30)),
        failsafe_current: Some(MilliAmps::from_base(8)),
        ..setup()
    };
    let mut bench = Bench::with(maps::any_fed(), &setup, 1);
    bench.input(Input::Lease { until: Mono(60_000) });
    bench.run_for(3_000);
    assert_eq!(
        [TIMEOUT, FALLBACK].map(|register| bench.registers[&register]),
        [30_000, 80]
    );
}

#[test]
fn arming_that_fails_is_said_and_tried_again() {
    let mut bench = Bench::new(maps::any_fed());
    bench.mood = Mood::Deaf(FALLBACK);
    bench.input(Input::Lease { until: Mono(600_000) });
    bench.run_for(3_000);
    assert_eq!(bench.reports.len(), 1);
    assert!(!bench.reports[0].armed && bench.reports[0].detail.contains("reads back 0"));
    bench.mood = Mood::Well;
    bench.run_for(70_000);
    assert!(bench.reports[1].armed);
}

#[test]
fn a_charger_without_one_says_that_it_is_not_safe() {
    let mut bench = Bench::new(maps::bare());
    bench.run_for(3_000);
    assert_eq!(bench.reports.len(), 1);
    assert!(!bench.reports[0].armed && !bench.reports[0].safe);
}

#[test]
fn its_registers_are_looked_at_every_hour() {
    let mut bench = Bench::settled(maps::any_fed());
    bench.registers.insert(TIMEOUT, 60_000);
    bench.run_for(3_500_000);
    assert_eq!(bench.reports, []);
    bench.run_for(120_000);
    assert_eq!(
        bench
            .reports
            .iter()
            .map(|report| report.armed)
            .collect::<Vec<_>>(),
        [false, true]
    );
    assert_eq!(bench.registers[&TIMEOUT], 15_000);
}

#[test]
fn after_the_lease_nothing_feeds_a_device_that_any_request_feeds() {
    let mut bench = Bench::settled(maps::any_fed());
    bench.input(Input::Lease { until: Mono(25_000) });
    bench.run_for(600_000);
    let last = bench.sent.last().expect("it was polled until then").0;
    assert!((23_000..25_000).contains(&last), "{last}");
}

#[test]
fn a_poll_that_still_waits_when_the_lease_ends_is_taken_back() {
    let mut bench = Bench::settled(maps::any_fed());
    bench.answering = false;
    bench.input(Input::Lease { until: Mono(25_000) });
    bench.run_for(4_900);
    assert!(!bench.queue.is_empty());
    bench.run_for(200);
    assert_eq!(bench.queue, []);
}

#[test]
fn a_dead_device_is_not_probed_without_a_lease() {
    let mut bench = Bench::settled(maps::any_fed());
    bench.mood = Mood::Off;
    bench.run_for(10_000);
    bench.input(Input::Lease {
        until: Mono(bench.now),
    });
    bench.forget();
    bench.run_for(300_000);
    assert_eq!(bench.sent, []);
}

#[test]
fn a_stop_is_written_without_a_lease_a_raise_is_held_and_given_up() {
    let mut bench = Bench::settled(maps::any_fed());
    bench.input(Input::Lease {
        until: Mono(bench.now),
    });
    bench.limit(1, 0);
    bench.run_for(1_000);
    assert_eq!(bench.registers[&LIMIT], 0);
    assert_eq!(bench.done, [(1, Ok(()))]);
    bench.limit(2, 16);
    bench.run_for(9_900);
    assert_eq!(bench.done.len(), 1);
    bench.run_for(200);
    assert_eq!(
        bench.done[1..],
        [(2, Err(DriveError::Timeout(Duration::from_secs(10))))]
    );
    assert_eq!(bench.registers[&LIMIT], 0);
}

#[test]
fn a_new_lease_finds_the_device_fallen_back_and_arms_it() {
    let mut bench = Bench::settled(maps::any_fed());
    bench.limit(1, 12);
    bench.run_for(1_000);
    bench.input(Input::Lease {
        until: Mono(bench.now),
    });
    bench.run_for(20_000);
    bench.registers.insert(LIMIT, 60);
    bench.forget();
    bench.input(Input::Lease {
        until: Mono(bench.now + 60_000),
    });
    bench.run_for(1_000);
    assert_eq!(bench.registers[&LIMIT], 120);
    assert!(bench.reports.last().is_some_and(|report| report.armed));
}

#[test]
fn a_write_feeds_twice_within_the_time_out_and_stops_with_the_lease() {
    let mut bench = Bench::settled(maps::write_fed());
    bench.input(Input::Lease { until: Mono(80_000) });
    bench.run_for(120_000);
    let feeds: Vec<u64> = bench
        .sent
        .iter()
        .filter(|(_, class, _)| *class == Priority::Feed)
        .map(|(at, _, _)| *at)
        .collect();
    assert!(feeds.iter().all(|at| *at < 80_000), "{feeds:?}");
    assert!(
        feeds.windows(2).all(|pair| pair[1] - pair[0] <= 7_700),
        "{feeds:?}"
    );
    assert!(feeds.last().is_some_and(|at| *at >= 72_000), "{feeds:?}");
    assert!(
        bench.reads(maps::STATE).last().is_some_and(|at| *at > 118_000),
        "polls do not feed it and go on"
    );
}

#[test]
fn starved_polls_are_no_reason_to_fall_back() {
    let mut bench = Bench::settled(maps::any_fed());
    bench.answering = false;
    for _ in 0..120 {
        bench.run_for(1_000);
        // The bus finds time for feeds only.
        bench.queue.sort_by_key(|request| request.priority);
        if bench
            .queue
            .first()
            .is_some_and(|request| request.priority < Priority::Read)
        {
            bench.answer_one();
        }
    }
    let times: Vec<u64> = bench.sent.iter().map(|(at, _, _)| *at).collect();
    assert!(
        times.len() >= 14 && times.windows(2).all(|pair| pair[1] - pair[0] < 15_000),
        "{times:?}"
    );
}

#[test]
fn arming_on_request_is_confirmed() {
    let mut bench = Bench::settled(maps::any_fed());
    bench.registers.insert(FALLBACK, 0);
    bench.drive(1, DeviceCommand::ArmWatchdog);
    bench.run_for(1_000);
    assert_eq!(bench.done, [(1, Ok(()))]);
    assert_eq!(bench.registers[&FALLBACK], 60);
}

#[test]
fn a_watchdog_that_cannot_be_verified_is_fed_and_reported() {
    let mut bench = Bench::new(maps::write_fed());
    bench.mood = Mood::Deaf(TIMEOUT);
    bench.input(Input::Lease { until: Mono(600_000) });
    bench.run_for(60_000);
    assert!(!bench.reports[0].armed && !bench.reports[0].safe);
    let feeds = bench
        .sent
        .iter()
        .filter(|(_, class, _)| *class == Priority::Feed)
        .count();
    assert!((6..=8).contains(&feeds), "{feeds}");
}

#[test]
fn a_fallback_that_can_only_be_read_counts_while_it_is_safe() {
    let mut bench = Bench::new(maps::told_fallback());
    bench.input(Input::Lease {
        until: Mono(86_400_000),
    });
    bench.run_for(20_000);
    let told: Vec<(bool, bool)> = bench
        .reports
        .iter()
        .map(|report| (report.armed, report.safe))
        .collect();
    assert_eq!(told, [(true, true)]);
    bench.registers.insert(FALLBACK, 160);
    bench.run_for(20_000);
    let report = bench.reports.last().unwrap();
    assert!(report.armed && !report.safe && report.detail.ends_with("its fallback protects nothing."));
    bench.registers.insert(FALLBACK, 60);
    bench.run_for(20_000);
    let told: Vec<bool> = bench.reports.iter().map(|report| report.safe).collect();
    assert_eq!(told, [true, false, true]);
}

/// Whether the watchdog counts as armed after the last report, and why not.
fn last_report(bench: &Bench) -> (bool, &str) {
    let report = bench.reports.last().expect("something was told");
    (report.armed, report.detail.as_str())
}

#[test]
fn a_feed_the_profile_refuses_does_not_count_as_fed() {
    // The device is fed by the limit, and there is none that may be written: nothing goes out.
    let profile = maps::pickily_fed(r#"{ write = "fallback", value = "limit" }"#);
    let mut bench = Bench::new(profile);
    bench.input(Input::Lease {
        until: Mono(86_400_000),
    });
    bench.run_for(20_000);
    assert_eq!(bench.writes(FALLBACK), []);
    let (armed, why) = last_report(&bench);
    assert!(!armed && why.contains("could not be fed"), "{why}");
    // As soon as there is a limit that can be written it is fed, and armed anew.
    bench.limit(1, 10);
    bench.run_for(90_000);
    let feeds = bench.writes(FALLBACK);
    assert!(feeds.len() >= 80_000 / 7_500, "{feeds:?}");
    assert!(last_report(&bench).0);
}

#[test]
fn a_feed_that_writes_nothing_does_not_count_as_fed() {
    let step = r#"{ write = "fallback", value = "failsafe_current", when_paused = true }"#;
    let mut bench = Bench::new(maps::pickily_fed(step));
    bench.input(Input::Lease {
        until: Mono(86_400_000),
    });
    bench.limit(1, 10);
    bench.run_for(40_000);
    assert_eq!(bench.writes(FALLBACK), [], "it is not paused");
    let (armed, why) = last_report(&bench);
    assert!(!armed && why.contains("could not be fed"), "{why}");
}

#[test]
fn a_feed_the_device_refuses_is_told_and_tried_again() {
    let step = r#"{ write = "fallback", value = "failsafe_current" }"#;
    let mut bench = Bench::settled(maps::pickily_fed(step));
    bench.run_for(10_000);
    let good = bench.writes(FALLBACK).len();
    assert!(good > 0 && bench.reports.is_empty());
    bench.mood = Mood::Refusing(FALLBACK);
    bench.run_for(10_000);
    let (armed, why) = last_report(&bench);
    assert!(!armed && why.contains("exception 0x04"), "{why}");
    assert!(bench.writes(FALLBACK).len() > good + 3, "again soon");
    bench.heal();
    bench.run_for(90_000);
    assert!(last_report(&bench).0, "armed anew");
}
