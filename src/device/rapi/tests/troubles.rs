//! Devices that do not answer, that restart, that fall back; gateways that hang.

use super::bench::{Bench, Evse};
use crate::domain::{DeviceCommand, DriveError, MilliAmps};
use std::time::Duration;

const SILENCE: DriveError = DriveError::Timeout(Duration::from_millis(500));

fn charging() -> Bench {
    let mut bench = Bench::settled();
    bench.evse.car = Some(true);
    bench.limit(100, 16);
    bench.run_for(5_000);
    bench.forget();
    bench
}

#[test]
fn a_silent_gateway_lets_it_fall_back() {
    let mut bench = charging();
    bench.lease(4_000);
    bench.run_for(60_000);
    let pulses = bench.times("SY");
    assert!(pulses.iter().all(|at| *at < bench.now - 56_000), "{pulses:?}");
    assert_eq!(bench.evse.flowing(), 6, "its own fallback");
    assert!(
        bench.sent.last().is_some_and(|(at, _)| bench.now - at < 3_000),
        "polls do not feed it and go on"
    );
}

#[test]
fn pulses_come_three_times_within_the_time_out() {
    let mut bench = charging();
    bench.run_for(120_000);
    let pulses = bench.times("SY");
    assert!(
        pulses.windows(2).all(|pair| pair[1] - pair[0] <= 10_100),
        "{pulses:?}"
    );
    assert!(pulses.len() >= 11);
    assert_eq!(bench.evse.flowing(), 16);
}

#[test]
fn after_a_missed_pulse_it_is_armed_again_and_gets_its_current_back() {
    let mut bench = charging();
    bench.lease(0);
    bench.run_for(40_000);
    assert_eq!(bench.evse.amps, 6);
    bench.forget();
    bench.lease(600_000);
    bench.run_for(2_000);
    assert_eq!(bench.evse.amps, 16);
    assert!(!bench.evse.supervision.2);
    assert!(bench.times("SY 165").is_empty(), "it would go to its most first");
    assert!(bench.reports.last().is_some_and(|report| report.armed));
}

#[test]
fn a_pulse_that_was_missed_under_the_lease_is_cleared_too() {
    let mut bench = charging();
    (bench.evse.amps, bench.evse.supervision.2) = (6, true);
    bench.run_for(12_000);
    assert_eq!(bench.evse.amps, 16);
    assert!(!bench.evse.supervision.2);
}

#[test]
fn an_arming_that_still_shows_the_miss_is_told_and_tried_again_every_minute() {
    let mut bench = charging();
    (bench.evse.amps, bench.evse.supervision.2) = (6, true);
    bench.evse.deaf = vec!["SY"];
    bench.run_for(135_000);
    let armings = bench.times("SY 30 6");
    assert_eq!(armings.len(), 3, "{armings:?}");
    assert!(
        armings
            .windows(2)
            .all(|pair| (60_000..61_000).contains(&(pair[1] - pair[0])))
    );
    let report = bench.reports.last().expect("a report");
    assert!(!report.armed && !report.safe, "{report:?}");
    assert!(report.detail.contains("reads back 2"), "{report:?}");
    assert!(bench.times("SY 165").is_empty(), "it would go to its most");
    assert_eq!(bench.evse.amps, 16);
    bench.evse.deaf.clear();
    bench.run_for(61_000);
    assert!(!bench.evse.supervision.2);
    assert!(bench.reports.last().is_some_and(|report| report.armed));
    assert_eq!(bench.evse.amps, 16);
}

#[test]
fn firmware_without_supervision_says_that_it_is_not_safe() {
    let mut evse = Evse::new();
    evse.refuses = vec!["SY", "GY"];
    let mut bench = Bench::new(evse);
    bench.lease(600_000);
    bench.plug_in(true);
    bench.run_for(60_000);
    assert_eq!(bench.reports.len(), 1);
    assert!(!bench.reports[0].armed && !bench.reports[0].safe);
    assert!(bench.times("SY").is_empty(), "there is nothing to feed");
    bench.drive(1, DeviceCommand::ArmWatchdog);
    bench.run_for(1_000);
    assert_eq!(bench.done, [(1, Err(DriveError::Unsupported))]);
}

#[test]
fn the_setting_is_looked_at_every_hour() {
    let mut bench = charging();
    bench.evse.supervision.1 = 16;
    bench.run_for(9_000);
    bench.evse.supervision = (30, 6, false);
    bench.forget();
    bench.run_for(3_700_000);
    assert_eq!(bench.times("GY").len(), 1);
    assert_eq!(bench.evse.supervision, (30, 6, false));
}

#[test]
fn a_stop_works_without_a_lease_a_raise_is_held_and_given_up() {
    let mut bench = charging();
    bench.lease(0);
    bench.limit(1, 20);
    bench.run_for(9_900);
    assert!(bench.done.is_empty());
    bench.run_for(200);
    assert_eq!(
        bench.done,
        [(1, Err(DriveError::Timeout(Duration::from_secs(10))))]
    );
    bench.limit(2, 0);
    bench.run_for(500);
    assert_eq!(bench.done[1..], [(2, Ok(()))]);
    assert!(bench.evse.asleep);
}

#[test]
fn three_failures_in_a_row_are_a_loss_and_everything_is_told_again() {
    let mut bench = charging();
    bench.evse.silent = true;
    bench.run_for(6_000);
    assert_eq!(bench.links.iter().map(|(_, up)| *up).collect::<Vec<_>>(), [false]);
    bench.limit(1, 20);
    assert_eq!(bench.done, [(1, Err(SILENCE))]);
    bench.drive(2, DeviceCommand::Enable(false));
    bench.run_for(1_200);
    assert_eq!(bench.done[1..], [(2, Err(SILENCE))], "a stop is tried, once");
    bench.drive(3, DeviceCommand::Enable(true));
    let car = bench.evse.car;
    bench.evse = Evse::new();
    bench.evse.car = car;
    bench.run_for(40_000);
    assert_eq!(
        bench.links.iter().map(|(_, up)| *up).collect::<Vec<_>>(),
        [false, true]
    );
    assert_eq!((bench.evse.amps, bench.evse.supervision), (20, (30, 6, false)));
}

#[test]
fn a_state_that_makes_no_sense_ends_the_stop_after_5_s() {
    for refuses in [true, false] {
        let mut bench = charging();
        let commands = if refuses {
            &mut bench.evse.refuses
        } else {
            &mut bench.evse.babbles
        };
        commands.push("GS");
        bench.limit(1, 0);
        bench.run_for(4_900);
        assert!(bench.done.is_empty());
        bench.run_for(500);
        assert_eq!(
            bench.done,
            [(1, Err(DriveError::NotObeyed { wrote: 0, read: 0 }))]
        );
        let looks = bench.times("GS").len();
        assert!((15..=25).contains(&looks), "{looks} looks");
        assert!(bench.evse.asleep, "what could be done was done");
    }
}

#[test]
fn whatever_it_babbles_every_command_ends_and_no_question_is_asked_without_rest() {
    for word in [
        "GV", "GI", "GS", "GE", "GC", "GG", "GU", "GP", "GY", "SY", "SC", "FS", "FE",
    ] {
        let mut bench = charging();
        bench.evse.babbles.push(word);
        bench.limit(1, 0);
        bench.run_for(12_000);
        bench.limit(2, 16);
        bench.run_for(12_000);
        let mut ended: Vec<u64> = bench.done.iter().map(|(ticket, _)| *ticket).collect();
        ended.sort_unstable();
        assert_eq!(ended, [1, 2], "{word}");
        let times = bench.times(word).len();
        assert!(times <= 24 * 5, "{word} was said {times} times in 24 s");
    }
}

#[test]
fn a_pause_comes_back_before_anything_else() {
    let mut bench = charging();
    bench.limit(1, 0);
    bench.run_for(1_000);
    bench.evse.silent = true;
    bench.run_for(6_000);
    bench.evse = Evse::new();
    bench.evse.car = Some(true);
    bench.forget();
    bench.run_for(40_000);
    assert_eq!(bench.orders()[0], "FS");
    assert!(bench.evse.asleep);
}

#[test]
fn a_restart_is_announced_and_the_last_word_holds() {
    for amps in [0, 16] {
        let mut bench = charging();
        bench.limit(1, amps);
        bench.run_for(3_000);
        bench.evse = Evse::new();
        bench.evse.car = Some(true);
        bench.forget();
        bench.say("$AB 00 8.2.1");
        bench.run_for(3_000);
        assert_eq!(i64::from(bench.evse.flowing()), amps);
        assert_eq!(bench.evse.supervision.0, 30);
        assert!(bench.links.is_empty());
    }
}

#[test]
fn a_foreign_hand_is_undone_once() {
    let mut bench = charging();
    bench.evse.amps = 24;
    bench.run_for(3_000);
    assert_eq!(bench.evse.amps, 16);
    bench.evse.deaf = vec!["SC"];
    bench.evse.amps = 24;
    bench.forget();
    bench.run_for(60_000);
    assert_eq!(bench.orders(), ["SC 16 V"], "then it is only told");
    assert_eq!(bench.read_back(), Some(MilliAmps::from_base(24)));
    bench.evse.deaf.clear();
    bench.limit(1, 8);
    bench.run_for(1_000);
    assert_eq!((bench.evse.amps, bench.done.last()), (8, Some(&(1, Ok(())))));
}

#[test]
fn with_the_port_goes_everything() {
    let mut bench = charging();
    bench.evse.silent = true;
    bench.limit(1, 0);
    bench.plug_in(false);
    assert_eq!(bench.done, [(1, Err(DriveError::PortLost))]);
    bench.limit(2, 0);
    assert_eq!(bench.done[1..], [(2, Err(DriveError::PortLost))]);
    bench.evse.silent = false;
    bench.run_for(60_000);
    bench.plug_in(true);
    bench.run_for(3_000);
    assert_eq!(
        bench.links.iter().map(|(_, up)| *up).collect::<Vec<_>>(),
        [false, true]
    );
    assert!(bench.evse.asleep, "the last word is kept");
}

#[test]
fn a_late_answer_belongs_to_its_own_command() {
    let mut bench = charging();
    bench.evse.silent = true;
    bench.run_for(1_900);
    bench.forget();
    bench.limit(1, 8);
    bench.run_for(100);
    // The answers to commands of long ago.
    for id in 0..=255_u8 {
        bench.say(&format!("$OK 16 :{id:02X}"));
        if bench.evse.amps == 8 {
            break;
        }
    }
    bench.evse.silent = false;
    bench.run_for(3_000);
    assert_eq!(bench.evse.amps, 8);
    assert_eq!(bench.done.len(), 1);
}

#[test]
fn a_command_that_was_damaged_on_its_way_is_sent_again() {
    let mut bench = charging();
    bench.evse.silent = true;
    bench.limit(1, 8);
    bench.run_for(20);
    bench.evse.silent = false;
    bench.say("$NK");
    bench.run_for(200);
    assert_eq!((bench.evse.amps, &bench.done[..]), (8, &[(1, Ok(()))][..]));
}

#[test]
fn firmware_that_does_not_repeat_ids_is_served_too() {
    let mut evse = Evse::new();
    (evse.ids, evse.car) = (false, Some(true));
    let mut bench = Bench::settled_with(evse);
    bench.limit(1, 16);
    bench.run_for(3_000);
    assert_eq!((bench.evse.flowing(), &bench.done[..]), (16, &[(1, Ok(()))][..]));
}
