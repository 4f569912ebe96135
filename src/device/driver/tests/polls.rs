//! What is read when.

use super::bench::{Bench, setup};
use super::maps::{self, CURRENT, ENERGY, LIMIT, STATE, VERSION};
use crate::device::Pdu;
use crate::domain::{DeviceFact, DriveError, Mono, Observation, Quantity, VehicleState};
use std::time::Duration;

#[test]
fn fast_points_come_every_second_slow_ones_every_ten_and_facts_once() {
    let mut bench = Bench::new(maps::bare());
    bench.run_for(60_500);
    let (fast, slow) = (bench.reads(STATE).len(), bench.reads(ENERGY).len());
    assert!((60..=63).contains(&fast), "{fast}");
    assert!((6..=8).contains(&slow), "{slow}");
    let mut bench = Bench::settled(maps::any_fed());
    bench.run_for(60_000);
    assert_eq!(
        bench.reads(VERSION).len(),
        0,
        "it was read when the device came up"
    );
}

#[test]
fn the_first_answers_say_what_the_device_is() {
    let mut bench = Bench::new(maps::any_fed());
    bench.input(crate::device::Input::Lease { until: Mono(60_000) });
    bench.run_for(2_000);
    assert_eq!(bench.links.len(), 1);
    assert!(
        bench
            .observed
            .contains(&Observation::Fact(DeviceFact::MapVersion, "2".into()))
    );
    assert!(bench.observed.contains(&Observation::Vehicle {
        state: VehicleState::Absent,
        raw: 2
    }));
    let measured = |o: &Observation| matches!(o, Observation::Reading(r) if r.quantity == Quantity::Current);
    assert!(bench.observed.iter().any(measured));
}

#[test]
fn neighbouring_registers_are_one_request() {
    let mut bench = Bench::settled(maps::any_fed());
    bench.run_for(5_000);
    assert_eq!(bench.reads(STATE), bench.reads(CURRENT));
}

#[test]
fn the_configured_period_wins() {
    let setup = crate::domain::DeviceSetup {
        poll: Some(Duration::from_millis(100)),
        ..setup()
    };
    let mut bench = Bench::with(maps::bare(), &setup, 1);
    bench.run_for(1_000);
    bench.forget();
    bench.run_for(10_000);
    let reads = bench.reads(STATE).len();
    assert!((98..=101).contains(&reads), "{reads}");
}

#[test]
fn devices_that_start_together_do_not_poll_together() {
    let phase = |seed| {
        let mut bench = Bench::with(maps::bare(), &setup(), seed);
        bench.run_for(20_000);
        bench.reads(STATE).last().copied().expect("it was read") % 1_000 / 100
    };
    let phases: std::collections::BTreeSet<u64> = (0..32).map(phase).collect();
    assert!(phases.len() >= 8, "{phases:?}");
}

#[test]
fn a_late_poll_is_not_made_up_for() {
    let mut bench = Bench::settled(maps::bare());
    bench.answering = false;
    bench.run_for(10_000);
    assert_eq!(bench.queue.len(), 1, "one read waits, not ten");
    bench.answering = true;
    bench.forget();
    bench.run_for(900);
    assert!(
        bench.reads(STATE).len() <= 3,
        "the one that waited, the one that was due meanwhile, the next"
    );
}

#[test]
fn a_refused_block_is_read_in_parts_and_the_refused_point_left_alone() {
    let mut bench = Bench::new(maps::bare());
    bench.exceptions.insert(CURRENT, 2);
    bench.run_for(30_000);
    assert_eq!(
        bench.links,
        [(bench.links[0].0, true)],
        "an exception is an answer"
    );
    bench.forget();
    bench.run_for(60_000);
    assert!(bench.reads(STATE).len() >= 59, "its neighbour is still read");
    assert_eq!(bench.reads(CURRENT).len(), 0);
}

#[test]
fn an_answer_nobody_waits_for_is_ignored() {
    let mut bench = Bench::settled(maps::bare());
    let before = bench.driver.snapshot();
    let result = Err(DriveError::Timeout(Duration::from_secs(1)));
    for id in [0, 7, u64::MAX] {
        bench.input(crate::device::Input::Replied {
            id,
            result: result.clone(),
        });
    }
    assert_eq!(bench.driver.snapshot(), before);
}

#[test]
fn the_limit_is_looked_at_even_where_no_poll_shows_it() {
    let mut bench = Bench::settled(maps::bare());
    bench.limit(1, 10);
    bench.run_for(3_000);
    bench.forget();
    bench.run_for(30_000);
    let looks = bench
        .sent
        .iter()
        .filter(|(_, _, pdu)| matches!(pdu, Pdu::Read { addr: LIMIT, .. }))
        .count();
    assert_eq!(looks, 3);
}
