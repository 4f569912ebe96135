//! Units that fall silent, ports that vanish, gateways that hang, strangers on the line.

use super::bench::{Bench, PATIENCE, Slave, framed, unit};
use crate::device::StreamInput;
use crate::domain::{DeviceCommand, DriveError, MilliAmps, Observation, Quantity, VehicleState};
use std::time::Duration;

const A: [u8; 2] = [0x12, 0x34];
const B: [u8; 2] = [0xC0, 0xDB];
const HEARTBEAT: [u8; 2] = [0xFB, 0xE0];
const SILENCE: DriveError = DriveError::Timeout(Duration::from_millis(400));

fn charging(slaves: Vec<Slave>) -> Bench {
    let mut bench = Bench::settled(slaves);
    for slot in 0..bench.slaves.len() {
        bench.slaves[slot].car = Some((true, true));
        bench.limit(slot, 100 + slot as u64, 16);
    }
    bench.run_for(8_000);
    bench.forget();
    bench
}

fn pair() -> Vec<Slave> {
    vec![Slave::new(A, 1), Slave::new(B, 2)]
}

#[test]
fn a_silent_gateway_lets_the_units_fault() {
    let mut bench = charging(pair());
    bench.lease(0, 3_000);
    bench.lease(1, 3_000);
    bench.run_for(60_000);
    for slave in 0..2 {
        let last = *bench.told(slave, HEARTBEAT).last().expect("until then");
        assert!(last < bench.now - 57_000);
        assert!(
            bench.slaves[slave].actual(last + PATIENCE + 1) <= 25,
            "nothing flows"
        );
    }
    assert!(
        bench.sent.iter().all(|(at, _)| *at < bench.now - 57_000),
        "nor are there questions"
    );
}

#[test]
fn a_stop_is_said_without_a_lease_a_raise_is_held_and_given_up() {
    let mut bench = charging(vec![Slave::new(A, 2)]);
    bench.lease(0, 0);
    bench.limit(0, 1, 20);
    bench.run_for(9_000);
    assert_eq!((bench.sent.len(), bench.done.len()), (0, 0));
    bench.run_for(2_000);
    assert_eq!(
        bench.done,
        [(1, Err(DriveError::Timeout(Duration::from_secs(10))))]
    );
    bench.limit(0, 2, 0);
    bench.run_for(1_000);
    assert_eq!(bench.done[1..], [(2, Ok(()))]);
    assert_eq!(bench.told(0, HEARTBEAT).len(), 1);
}

#[test]
fn a_new_lease_finds_the_unit_in_its_fault_and_brings_it_back() {
    let mut bench = charging(vec![Slave::new(A, 2)]);
    bench.lease(0, 0);
    bench.run_for(15_000);
    bench.lease(0, 600_000);
    bench.run_for(10_000);
    assert_eq!(bench.slaves[0].limit, 1_600, "the last word holds");
    assert_eq!(bench.vehicle(0), Some(VehicleState::Charging));
}

#[test]
fn a_unit_that_falls_silent_counts_as_away_and_the_other_goes_on() {
    let mut bench = charging(pair());
    bench.slaves[0].silent = true;
    bench.run_for(14_000);
    assert_eq!(
        bench
            .links
            .iter()
            .map(|(_, slot, up)| (*slot, *up))
            .collect::<Vec<_>>(),
        [(0, false)]
    );
    bench.run_for(20_000);
    bench.forget();
    bench.run_for(20_000);
    assert!(bench.told(0, HEARTBEAT).is_empty(), "dropped");
    assert!(bench.told(1, HEARTBEAT).len() >= 19);
    bench.limit(0, 1, 20);
    assert_eq!(bench.done, [(1, Err(SILENCE))]);
    bench.limit(0, 2, 0);
    bench.run_for(1_000);
    assert_eq!(bench.told(0, HEARTBEAT).len(), 1, "a stop is tried, once");
    assert_eq!(bench.done[1..], [(2, Err(SILENCE))]);
    bench.limit(0, 3, 12);
    bench.slaves[0].silent = false;
    bench.run_for(15_000);
    assert_eq!(
        bench.links.last().map(|(_, slot, up)| (*slot, *up)),
        Some((0, true))
    );
    assert_eq!(bench.slaves[0].limit, 1_200, "the last word is kept");
}

#[test]
fn two_lost_answers_are_no_loss() {
    let mut bench = charging(vec![Slave::new(A, 2)]);
    bench.slaves[0].silent = true;
    bench.limit(0, 1, 8);
    bench.run_for(1_800);
    bench.slaves[0].silent = false;
    bench.run_for(2_000);
    assert_eq!((bench.links.len(), &bench.done[..]), (0, &[(1, Ok(()))][..]));
}

#[test]
fn with_the_port_goes_everything_and_it_comes_back() {
    let mut bench = charging(pair());
    bench.limit(0, 1, 20);
    bench.plug_in(false);
    assert_eq!(bench.done, [(1, Err(DriveError::PortLost))]);
    assert_eq!(bench.links.len(), 2);
    bench.limit(1, 2, 0);
    assert_eq!(bench.done[1..], [(2, Err(DriveError::PortLost))]);
    bench.run_for(4_000);
    bench.plug_in(true);
    bench.run_for(4_000);
    assert_eq!(bench.links[2..].iter().filter(|(_, _, up)| *up).count(), 2);
    assert_eq!(
        (bench.slaves[0].limit, bench.slaves[1].limit),
        (2_000, 0),
        "the last words"
    );
    bench.plug_in(false);
    bench.run_for(60_000);
    bench.plug_in(true);
    bench.run_for(20_000);
    assert_eq!((bench.slaves[0].limit, bench.slaves[1].limit), (2_000, 0));
    assert_eq!(bench.links.len(), 8);
}

#[test]
fn a_restarted_unit_is_told_again() {
    let mut bench = charging(vec![Slave::new(A, 2)]);
    let mut fresh = Slave::new(A, 2);
    fresh.car = Some((true, true));
    bench.slaves[0] = fresh;
    bench.run_for(3_000);
    assert_eq!(bench.slaves[0].limit, 1_600);
}

#[test]
fn a_unit_that_does_not_obey_is_reported() {
    let mut bench = charging(vec![Slave::new(A, 2)]);
    bench.slaves[0].deaf = true;
    bench.limit(0, 1, 0);
    bench.run_for(12_000);
    assert_eq!(
        bench.done,
        [(
            1,
            Err(DriveError::NotObeyed {
                wrote: 0,
                read: 1_600
            })
        )]
    );
    let says = Observation::LimitReadBack(MilliAmps::from_base(16));
    assert!(bench.observed.iter().any(|(_, _, said)| *said == says));
}

#[test]
fn a_fault_is_told() {
    let mut bench = charging(vec![Slave::new(A, 2)]);
    let frame = [0xFD, 0xE0, A[0], A[1], 0x77, 0x77, 2, 0, 0, 0, 0, 0, 0, 0, 0];
    bench.input(StreamInput::Bytes(framed(&frame)));
    assert!(matches!(bench.vehicle(0), Some(VehicleState::Fault(_))));
}

#[test]
fn strangers_have_no_slot_and_their_words_count_for_nobody() {
    let mut bench = Bench::new(pair(), &[unit(None)]);
    bench.lease(0, 600_000);
    bench.plug_in(true);
    bench.run_for(15_000);
    assert_eq!(bench.links.len(), 1, "the first takes the only slot");
    assert!(bench.told(1, HEARTBEAT).is_empty());
    bench.forget();
    let foreign = [
        0xFD, 0xE0, B[0], B[1], 0x77, 0x77, 1, 0x06, 0x40, 0x05, 0xFA, 0, 0, 0, 0,
    ];
    bench.input(StreamInput::Bytes(framed(&foreign)));
    let other_master = [
        0xFD, 0xE0, A[0], A[1], 0x11, 0x11, 1, 0x06, 0x40, 0x05, 0xFA, 0, 0,
    ];
    bench.input(StreamInput::Bytes(framed(&other_master)));
    assert_eq!(bench.observed, []);
}

#[test]
fn late_and_crossed_answers_go_to_their_own_unit() {
    let mut bench = charging(pair());
    bench.slaves.iter_mut().for_each(|slave| slave.silent = true);
    bench.run_for(2_500);
    bench.forget();
    let late = [
        0xFD, 0xE0, B[0], B[1], 0x77, 0x77, 1, 0x06, 0x40, 0x02, 0x58, 0, 0, 0, 0,
    ];
    bench.input(StreamInput::Bytes(framed(&late)));
    assert!(bench.observed.iter().all(|(_, slot, _)| *slot == 1));
    assert_eq!(
        bench.reading(1, Quantity::Current).map(|read| read.milli),
        Some(6_000)
    );
}

#[test]
fn a_unit_with_the_gateways_own_id_is_sent_away() {
    let mut bench = Bench::settled(vec![Slave::new(A, 2)]);
    let ready = [0xFD, 0xE2, 0x77, 0x77, 0x10, 0x0C, 0x80, 0, 0, 0, 0, 0, 0];
    bench.input(StreamInput::Bytes(framed(&ready)));
    bench.run_for(2_500);
    assert_eq!(
        bench.sent.iter().filter(|(_, f)| f[..2] == [0xFC, 0xE1]).count(),
        5
    );
    assert_eq!(bench.links, []);
}

#[test]
fn what_a_unit_cannot_do_is_said() {
    let mut bench = Bench::settled(vec![Slave::new(A, 2)]);
    bench.drive(0, 1, DeviceCommand::Unlock);
    bench.drive(0, 2, DeviceCommand::ArmWatchdog);
    bench.drive(7, 3, DeviceCommand::Enable(false));
    assert_eq!(
        bench.done,
        [
            (1, Err(DriveError::Unsupported)),
            (2, Ok(())),
            (3, Err(DriveError::Unsupported))
        ]
    );
    assert_eq!(bench.reports.len(), 1);
}
