//! Devices that do not answer, ports that vanish, power that comes back.

use super::bench::{Bench, Mood};
use super::maps::{self, FALLBACK, LIMIT, POWER_ON, STANDBY, SWITCH, TIMEOUT};
use crate::device::Input;
use crate::domain::{DeviceCommand, DriveError, Priority};
use std::time::Duration;

const SILENCE: DriveError = DriveError::Timeout(Duration::from_millis(500));

#[test]
fn two_failures_are_forgiven_the_third_is_not() {
    let mut bench = Bench::settled(maps::bare());
    bench.fail_next([SILENCE, DriveError::Garbled]);
    bench.run_for(5_000);
    assert_eq!(bench.links, []);
    bench.mood = Mood::Off;
    bench.run_for(5_000);
    assert_eq!(bench.links.len(), 1);
    assert!(!bench.links[0].1);
}

#[test]
fn a_dead_device_is_probed_ever_more_seldom() {
    let mut bench = Bench::settled(maps::any_fed());
    bench.mood = Mood::Off;
    bench.run_for(5_000);
    let down = bench.links[0].0;
    bench.run_for(200_000);
    let probes: Vec<u64> = bench
        .sent
        .iter()
        .map(|(at, _, _)| *at)
        .filter(|at| *at > down)
        .collect();
    let waits: Vec<u64> = probes.windows(2).map(|pair| pair[1] - pair[0] - 500).collect();
    assert_eq!(probes[0] - down, 1_000);
    assert_eq!(waits[..6], [2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
}

#[test]
fn after_a_power_cut_everything_is_written_again() {
    for map in [maps::any_fed(), maps::write_fed()] {
        let mut bench = Bench::settled(map);
        bench.limit(1, 10);
        bench.run_for(12_000);
        bench.mood = Mood::Off;
        bench.run_for(8_000);
        bench.registers = POWER_ON.into();
        bench.forget();
        bench.mood = Mood::Well;
        bench.run_for(40_000);
        assert_eq!(bench.links.len(), 1);
        assert!(bench.links[0].1);
        assert_eq!(bench.registers[&LIMIT], 100);
        assert_eq!(bench.registers[&TIMEOUT], 15_000);
        assert!(bench.reports.iter().any(|report| report.armed && report.safe));
        assert!(bench.driver.snapshot().in_force);
    }
}

#[test]
fn a_pause_comes_back_before_anything_else() {
    let mut bench = Bench::settled(maps::any_fed());
    bench.limit(1, 0);
    bench.run_for(1_000);
    bench.mood = Mood::Off;
    bench.run_for(8_000);
    bench.registers = POWER_ON.into();
    bench.forget();
    bench.mood = Mood::Well;
    bench.run_for(20_000);
    let first = bench
        .sent
        .iter()
        .position(|(_, _, pdu)| pdu.is_write())
        .expect("it writes");
    assert!(
        first <= 1,
        "after the probe, with one read at most between: {:?}",
        bench.sent[first]
    );
    assert_eq!(bench.sent[first].1, Priority::Stop);
    assert_eq!(bench.registers[&LIMIT], 0);
}

#[test]
fn a_power_cut_too_short_to_be_missed_is_found_by_its_registers() {
    let mut bench = Bench::settled(maps::any_fed());
    bench.limit(1, 10);
    bench.run_for(15_000);
    bench.registers = POWER_ON.into();
    bench.forget();
    bench.run_for(15_000);
    let held = [LIMIT, TIMEOUT, FALLBACK, STANDBY].map(|register| bench.registers[&register]);
    assert_eq!(held, [100, 15_000, 60, 4]);
    assert_eq!(
        bench
            .reports
            .iter()
            .map(|report| report.armed)
            .collect::<Vec<_>>(),
        [false, true]
    );
    assert_eq!(bench.links, []);
}

#[test]
fn a_version_decides_what_is_written() {
    let mut bench = Bench::new(maps::any_fed());
    bench.registers.insert(maps::VERSION, 1);
    bench.input(Input::Lease {
        until: crate::domain::Mono(60_000),
    });
    bench.run_for(5_000);
    assert_eq!((bench.writes(STANDBY).len(), bench.writes(TIMEOUT).len()), (0, 1));
}

#[test]
fn a_stop_is_tried_on_a_device_that_seems_dead_other_commands_are_not() {
    let mut bench = Bench::settled(maps::any_fed());
    bench.mood = Mood::Off;
    bench.run_for(5_000);
    bench.forget();
    bench.limit(1, 16);
    assert_eq!(bench.done, [(1, Err(SILENCE))]);
    bench.drive(2, DeviceCommand::Enable(false));
    bench.answer_one();
    assert_eq!(bench.writes(LIMIT).len(), 1);
    assert_eq!(bench.done[1..], [(2, Err(SILENCE))], "once is enough");
    bench.limit(3, 0);
    bench.mood = Mood::Well;
    bench.run_for(200);
    assert_eq!(bench.done[2..], [(3, Ok(()))]);
    assert_eq!(bench.links.len(), 1, "its answer brought the link back");
}

#[test]
fn a_write_without_an_answer_is_tried_three_times() {
    let mut bench = Bench::settled(maps::any_fed());
    bench.fail_next([SILENCE, SILENCE]);
    bench.limit(1, 10);
    bench.answer_one();
    bench.answer_one();
    bench.run_for(1_000);
    assert_eq!(bench.done, [(1, Ok(()))]);
    bench.fail_next([DriveError::Exception(4)]);
    bench.limit(2, 12);
    bench.run_for(300);
    assert_eq!(
        bench.done[1..],
        [(2, Err(DriveError::Exception(4)))],
        "a refusal is final"
    );
}

#[test]
fn with_the_port_goes_everything_that_was_asked() {
    let mut bench = Bench::settled(maps::any_fed());
    bench.answering = false;
    bench.run_for(2_000);
    bench.drive(1, DeviceCommand::Unlock);
    bench.limit(2, 0);
    bench.input(Input::PortLost);
    assert_eq!(bench.queue.len(), 0);
    bench.done.sort_by_key(|(ticket, _)| *ticket);
    assert_eq!(
        bench.done,
        [(1, Err(DriveError::PortLost)), (2, Err(DriveError::PortLost))]
    );
    bench.limit(3, 0);
    assert_eq!(bench.done[2..], [(3, Err(DriveError::PortLost))]);
    bench.run_for(60_000);
    assert_eq!(
        bench.queue.len(),
        0,
        "nothing is asked of a port that is not there"
    );
    bench.answering = true;
    bench.input(Input::PortBack);
    bench.run_for(5_000);
    assert_eq!(
        bench.links.iter().map(|(_, up)| *up).collect::<Vec<_>>(),
        [false, true]
    );
    assert_eq!(bench.registers[&LIMIT], 0, "the last word is kept");
}

#[test]
fn nothing_is_lost_when_port_and_commands_interleave_on_a_switch() {
    let mut bench = Bench::settled(maps::write_fed());
    bench.limit(1, 10);
    bench.run_for(100);
    bench.input(Input::PortLost);
    bench.drive(2, DeviceCommand::Enable(true));
    bench.input(Input::PortBack);
    bench.run_for(40_000);
    assert_eq!((bench.registers[&LIMIT], bench.registers[&SWITCH]), (100, 1));
    assert_eq!(
        bench.done,
        [(1, Err(DriveError::PortLost)), (2, Err(DriveError::PortLost))]
    );
}
