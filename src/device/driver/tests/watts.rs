//! Limits in watt (ADR 13): how many phases a power is made for, on a box of 11 kW that takes 4.2 kW at least.

use super::bench::{Bench, setup};
use crate::device::Library;
use crate::domain::{DeviceCommand, MilliAmps, Mono, Supply};

const CURRENT: u16 = 10_012;
const STATUS: u16 = 10_017;
const LIMIT: u16 = 10_029;
const POWER_CLASS: u16 = 10_058;
const START_STOP: u16 = 10_060;

/// The box with its rating, where one phase always bears so many ampere.
fn bench(phases: u8, spare: i64, power_class: u16) -> Bench {
    let profile = Library::builtin().get("goodwe-hca").expect("shipped");
    let mut setup = setup();
    setup.supply = Some(Supply {
        phases,
        volts: 230,
        spare: MilliAmps::from_base(spare),
    });
    let mut bench = Bench::with(profile, &setup, 1);
    bench.registers = [(POWER_CLASS, power_class), (STATUS, 3)].into();
    bench.input(crate::device::Input::Lease {
        until: Mono(86_400_000),
    });
    bench.run_for(20_000);
    bench.forget();
    bench
}

fn flows(bench: &mut Bench, tenths: [u16; 3]) {
    bench.registers.extend((CURRENT..).zip(tenths));
}

/// What the limit register holds, and whether charging is started.
fn offered(bench: &Bench) -> Option<u16> {
    (bench.registers.get(&START_STOP) == Some(&2)).then(|| bench.registers[&LIMIT])
}

#[test]
fn a_box_whose_rating_every_phase_bears_charges_with_all_phases() {
    let mut bench = bench(3, 16, 1);
    bench.limit(1, 16);
    bench.run_for(5_000);
    assert_eq!(offered(&bench), Some(110), "16 A on three phases are 11.04 kW");
    assert_eq!(bench.done, [(1, Ok(()))]);
}

#[test]
fn a_box_that_could_give_more_than_a_phase_bears_is_told_the_power_of_one() {
    // 4.2 kW are 18.3 A on one phase: it must not be told that much where a phase bears 16 A.
    let mut narrow = bench(3, 16, 2);
    narrow.limit(1, 16);
    narrow.run_for(5_000);
    assert_eq!(offered(&narrow), None);
    // Where others on the fuse may take what is left, no phase bears anything of its own.
    let mut shared = bench(3, 0, 2);
    shared.limit(1, 20);
    shared.run_for(5_000);
    assert_eq!(offered(&shared), Some(46), "20 A on one phase are 4.6 kW");
}

#[test]
fn no_more_phases_are_counted_than_are_wired() {
    let mut bench = bench(1, 32, 2);
    bench.limit(1, 20);
    bench.run_for(5_000);
    assert_eq!(offered(&bench), Some(46));
}

#[test]
fn where_one_phase_does_not_bear_everything_three_are_believed_late_and_their_end_at_once() {
    let mut bench = bench(3, 0, 2);
    bench.limit(1, 20);
    bench.run_for(5_000);
    flows(&mut bench, [67, 66, 67]);
    bench.run_for(8_000);
    assert_eq!(offered(&bench), Some(46), "a vehicle may only have begun so");
    bench.run_for(10_000);
    assert_eq!(offered(&bench), Some(138), "20 A on three phases");
    flows(&mut bench, [300, 2, 2]);
    bench.run_for(3_000);
    assert_eq!(offered(&bench), Some(46), "one poll later");
}

#[test]
fn a_vehicle_on_one_phase_gets_no_more_than_commanded() {
    let mut bench = bench(3, 32, 2);
    bench.limit(1, 20);
    bench.run_for(5_000);
    assert_eq!(offered(&bench), Some(138));
    flows(&mut bench, [311, 0, 1]);
    bench.run_for(5_000);
    assert_eq!(offered(&bench), Some(138), "it may go on with three");
    bench.run_for(10_000);
    assert_eq!(offered(&bench), Some(46));
    // The next vehicle may be another one.
    flows(&mut bench, [0, 0, 0]);
    bench.registers.insert(STATUS, 0);
    bench.run_for(5_000);
    assert_eq!(offered(&bench), Some(138));
}

#[test]
fn a_paused_box_stays_paused_whatever_is_seen_to_flow() {
    let mut bench = bench(3, 32, 2);
    bench.limit(1, 20);
    bench.run_for(5_000);
    bench.drive(2, DeviceCommand::Limit(MilliAmps::ZERO));
    flows(&mut bench, [200, 0, 0]);
    bench.run_for(30_000);
    assert_eq!(offered(&bench), None);
}
