//! A contactor or an enable relay: what opens it, what keeps it open, what it says.

use super::*;
use crate::domain::FaultKind;
use GpioSignal::{Charging, Dimming, EmergencyStop, Fault, Feedback, Tamper, Vehicle};

const MINUTE: u64 = 60_000;

/// A charger with these inputs, open for longer than its shortest time off.
fn rested(inputs: &[GpioSignal]) -> Bench {
    let mut bench = Bench::new(device(inputs, true, false));
    bench.run(MINUTE);
    bench
}

#[test]
fn the_relay_starts_open_and_closes_only_for_a_current_a_permission_and_a_lease() {
    let mut bench = rested(&[]);
    bench.input(GpioInput::Lease { until: Mono(0) });
    bench.drive(1, DeviceCommand::Limit(MilliAmps::from_base(16)));
    assert!(!bench.closed, "a current without the permission");
    assert_eq!(bench.done, [(1, Ok(()))]);
    bench.drive(2, DeviceCommand::Enable(true));
    bench.run(5_000);
    assert!(!bench.closed, "no lease");
    assert_eq!(bench.done.len(), 1, "what is not done is not called done");
    bench.lease(15_000);
    assert!(bench.closed);
    assert_eq!(bench.done, [(1, Ok(())), (2, Ok(()))]);
}

#[test]
fn the_end_of_the_lease_opens_it_and_a_new_lease_closes_it_after_the_time_off() {
    let mut bench = rested(&[]);
    bench.release(16);
    let closed_at = bench.now;
    bench.lease(15_000);
    bench.run(14_999);
    assert!(bench.closed);
    bench.run(1);
    assert!(!bench.closed, "nobody vouches for the station any more");
    bench.run(5_000);
    bench.lease(10 * MINUTE);
    bench.run(10 * MINUTE - 1);
    assert_eq!(
        bench.moves,
        [
            (closed_at, true),
            (closed_at + 15_000, false),
            (closed_at + 15_000 + MINUTE, true)
        ]
    );
}

#[test]
fn a_stop_opens_at_once_whatever_the_shortest_time_on() {
    for stop in [
        DeviceCommand::Limit(MilliAmps::ZERO),
        DeviceCommand::Enable(false),
        DeviceCommand::SafeState,
    ] {
        let mut bench = rested(&[]);
        bench.release(16);
        assert!(bench.closed);
        bench.run(10);
        bench.drive(3, stop);
        assert!(!bench.closed, "{stop:?}");
        assert_eq!(bench.done.last(), Some(&(3, Ok(()))), "{stop:?}");
    }
    let mut bench = rested(&[]);
    bench.release(16);
    bench.input(GpioInput::Leave);
    assert!(!bench.closed, "the gateway leaves");
}

#[test]
fn a_limit_the_wallbox_cannot_keep_is_a_pause_and_waits_out_the_shortest_time_on() {
    let mut bench = rested(&[]);
    bench.release(16);
    let closed_at = bench.now;
    bench.run(10_000);
    bench.drive(3, DeviceCommand::Limit(MilliAmps::from_base(10)));
    assert!(bench.closed && bench.done.iter().all(|(ticket, _)| *ticket != 3));
    bench.run(MINUTE);
    assert_eq!(bench.moves.last(), Some(&(closed_at + MINUTE, false)));
    assert_eq!(bench.done.last(), Some(&(3, Ok(()))));

    bench.drive(4, DeviceCommand::Limit(MilliAmps::from_base(32)));
    bench.run(2 * MINUTE);
    assert_eq!(
        bench.moves.last(),
        Some(&(closed_at + 2 * MINUTE, true)),
        "and the shortest time off"
    );
    assert_eq!(bench.done.last(), Some(&(4, Ok(()))));
}

#[test]
fn a_thousand_changes_of_mind_move_the_contactor_once_a_minute_at_most() {
    let mut bench = rested(&[]);
    bench.release(16);
    for n in 0..1_000_u64 {
        let amps = if n % 2 == 0 { 10 } else { 16 };
        bench.drive(n + 3, DeviceCommand::Limit(MilliAmps::from_base(amps)));
        bench.run(777);
    }
    assert!(bench.moves.len() > 5, "it does move");
    for pair in bench.moves.windows(2) {
        assert!(pair[1].0 - pair[0].0 >= MINUTE, "{pair:?}");
    }
    bench.run(2 * MINUTE);
    let mut answered: Vec<u64> = bench.done.iter().map(|(ticket, _)| *ticket).collect();
    answered.sort_unstable();
    assert_eq!(
        answered,
        (1..=1_002).collect::<Vec<_>>(),
        "each command has one answer"
    );
}

#[test]
fn the_emergency_stop_opens_at_once_and_holds_until_it_is_released_and_the_time_off_has_passed() {
    let mut bench = rested(&[EmergencyStop]);
    bench.release(16);
    bench.run(5);
    bench.set(EmergencyStop, true);
    let opened_at = bench.now;
    assert!(!bench.closed);
    assert_eq!(bench.fault().unwrap().code, "emergency stop");
    assert_eq!(bench.contacts.last(), Some(&(EmergencyStop, true)));
    bench.run(10_000);
    bench.drive(3, DeviceCommand::Enable(true));
    bench.run(5 * MINUTE);
    assert!(!bench.closed, "no command overrules it");
    bench.set(EmergencyStop, false);
    assert_eq!(bench.fault(), None);
    assert_eq!(bench.moves.last(), Some(&(bench.now, true)));
    assert!(bench.now - opened_at >= MINUTE);
    assert_eq!(bench.done.last(), Some(&(3, Ok(()))));
}

#[test]
fn the_fault_contact_opens_it_and_says_why() {
    let mut bench = rested(&[Fault]);
    bench.release(16);
    bench.set(Fault, true);
    assert!(!bench.closed);
    assert_eq!(bench.fault().unwrap().code, "fault contact");
}

#[test]
fn tamper_and_dimming_are_told_and_change_nothing_here() {
    let mut bench = rested(&[Tamper, Dimming]);
    bench.release(16);
    bench.set(Dimming, true);
    bench.set(Tamper, true);
    assert!(bench.closed);
    assert!(bench.contacts.contains(&(Dimming, true)));
    assert!(bench.contacts.contains(&(Tamper, true)));
    assert_eq!(bench.fault(), None);
}

#[test]
fn a_contactor_that_welds_is_a_fault_after_two_seconds_and_never_closed_again() {
    let mut bench = rested(&[Feedback]);
    bench.release(16);
    assert_eq!(
        bench.done.len(),
        1,
        "closing is done when the contactor has closed"
    );
    bench.run(30);
    bench.set(Feedback, true);
    assert_eq!(bench.done.last(), Some(&(2, Ok(()))));
    bench.run(MINUTE);
    bench.drive(3, DeviceCommand::Limit(MilliAmps::ZERO));
    bench.run(1_999);
    assert_eq!((bench.fault(), bench.done.len()), (None, 2));
    bench.run(1);
    assert_eq!(bench.fault().unwrap().kind, FaultKind::PowerSwitchFailure);
    assert_eq!(
        bench.done.last(),
        Some(&(3, Err(DriveError::NotObeyed { wrote: 0, read: 1 })))
    );
    bench.release(16);
    bench.run(10 * MINUTE);
    assert!(!bench.closed);
    bench.set(Feedback, false);
    assert_eq!(bench.fault(), None, "it came loose");
}

#[test]
fn a_contactor_that_does_not_close_is_released_reported_and_tried_again_after_a_minute() {
    let mut bench = rested(&[Feedback]);
    bench.release(16);
    let closed_at = bench.now;
    bench.run(2_000);
    assert!(!bench.closed);
    assert_eq!(bench.fault().unwrap().code, "contactor does not close");
    assert_eq!(
        bench.done.last(),
        Some(&(2, Err(DriveError::NotObeyed { wrote: 1, read: 0 })))
    );
    bench.run(MINUTE);
    assert_eq!(bench.moves.last(), Some(&(closed_at + 2_000 + MINUTE, true)));
    bench.set(Feedback, true);
    bench.run(2_000);
    assert_eq!(bench.fault(), None);
}

#[test]
fn a_contactor_that_drops_out_under_way_is_noticed() {
    let mut bench = rested(&[Feedback]);
    bench.release(16);
    bench.set(Feedback, true);
    bench.run(MINUTE);
    bench.set(Feedback, false);
    bench.run(2_000);
    assert!(!bench.closed);
    assert_eq!(bench.fault().unwrap().kind, FaultKind::PowerSwitchFailure);
}

#[test]
fn states_follow_the_contacts() {
    use VehicleState as V;
    let mut bench = rested(&[Vehicle, Charging]);
    assert_eq!(bench.vehicle(), Some(V::Absent));
    bench.set(Vehicle, true);
    assert_eq!(bench.vehicle(), Some(V::Connected));
    bench.set(Charging, true);
    assert_eq!(bench.vehicle(), Some(V::Waiting));
    bench.release(16);
    assert_eq!(bench.vehicle(), Some(V::Charging));
    bench.set(Charging, false);
    assert_eq!(bench.vehicle(), Some(V::Ready));
    bench.set(Vehicle, false);
    assert_eq!(bench.vehicle(), Some(V::Absent));
}

#[test]
fn without_contacts_a_vehicle_is_taken_to_be_there_and_pulses_show_that_it_charges() {
    let mut bench = Bench::new(device(&[], true, true));
    bench.input(GpioInput::Counted(0));
    bench.run(MINUTE);
    assert_eq!(bench.vehicle(), Some(VehicleState::Connected));
    bench.release(16);
    assert_eq!(bench.vehicle(), Some(VehicleState::Ready), "no pulse yet");
    for _ in 0..10 {
        bench.pulse(30, 327);
    }
    assert_eq!(bench.vehicle(), Some(VehicleState::Charging));
    bench.run(40_000);
    assert_eq!(
        bench.vehicle(),
        Some(VehicleState::Ready),
        "below 100 W for want of pulses"
    );

    let mut bench = rested(&[]);
    bench.release(16);
    assert_eq!(
        bench.vehicle(),
        Some(VehicleState::Charging),
        "nothing could tell otherwise"
    );
}

#[test]
fn a_chip_that_vanishes_answers_every_command_and_comes_back_open() {
    let mut bench = rested(&[Feedback]);
    bench.release(16);
    bench.input(GpioInput::LinesLost);
    bench.closed = false;
    assert_eq!(bench.done.last(), Some(&(2, Err(DriveError::PortLost))));
    bench.drive(3, DeviceCommand::Limit(MilliAmps::ZERO));
    assert_eq!(bench.done.last(), Some(&(3, Err(DriveError::PortLost))));
    assert_eq!(bench.machine.next_deadline(bench.time()), None);
    bench.run(10_000);
    let back = bench.now;
    bench.input(GpioInput::LinesBack(BTreeMap::from([(Feedback, false)])));
    bench.drive(4, DeviceCommand::Limit(MilliAmps::from_base(16)));
    bench.run(2 * MINUTE);
    assert_eq!(bench.links, [true, false, true]);
    assert_eq!(
        bench.moves.iter().find(|(at, _)| *at > back),
        Some(&(back + MINUTE, true)),
        "how long it was open while nobody looked is not known"
    );
}

#[test]
fn what_a_relay_cannot_do_is_said_and_its_fail_safe_is_told_once() {
    let mut bench = rested(&[]);
    bench.drive(1, DeviceCommand::Unlock);
    assert_eq!(bench.done, [(1, Err(DriveError::Unsupported))]);
    assert_eq!(bench.failsafe.len(), 1);
    assert!(!bench.failsafe[0].safe);
    let mut meter = Bench::new(device(&[], false, true));
    meter.drive(1, DeviceCommand::Enable(true));
    assert_eq!(meter.done, [(1, Err(DriveError::Unsupported))]);
    assert_eq!(meter.failsafe, []);
}
