//! Faults: 041; the emergency stop.

use crate::stack::{Stack, site};
use retrovolt::domain::{ContactSetup, DeviceId, FaultKind, GpioSignal};

#[test]
fn a_fault_is_told_and_its_end_too() {
    let mut s = Stack::ready(1);
    s.outlet(1).fault = Some(FaultKind::GroundFailure);
    s.run(5);
    s.present(1, "A");
    s.run(5);
    s.outlet(1).fault = None;
    s.run(5);
    s.expect(
        "+1 Status 1 Faulted GroundFailure
         +11 Status 1 Available",
    );
}

#[test]
fn a_fault_in_a_session_is_told_and_the_session_ends_with_its_vehicle() {
    let mut s = Stack::charging();
    s.outlet(1).fault = Some(FaultKind::HighTemperature);
    s.run(5);
    s.outlet(1).fault = None;
    s.run(10);
    s.present(1, "A");
    s.run(1);
    s.expect(
        "+1 Status 1 Faulted HighTemperature
         +6 Status 1 SuspendedEVSE
         +7 Status 1 Charging
         +15 Status 1 Finishing
         +15 Stop #1 1000052 Local by A",
    );
}

#[test]
fn a_charger_that_does_not_answer_is_faulty_and_no_link_is_lost_for_it() {
    let mut s = Stack::ready(2);
    s.outlet(1).link = false;
    s.run(5);
    s.outlet(1).link = true;
    s.run(5);
    s.expect(
        "+1 Status 1 Faulted OtherError (the charger does not answer on its bus)
         +6 Status 1 Available",
    );
}

#[test]
fn an_emergency_stop_ends_the_session_and_its_release_begins_none() {
    let mut cp = site(1);
    cp.evses[0].contacts = vec![ContactSetup {
        device: DeviceId::new("pins"),
        signals: [GpioSignal::EmergencyStop].into(),
    }];
    let mut s = Stack::new(cp);
    s.contact("pins", GpioSignal::EmergencyStop, false);
    s.run(5);
    s.charge(1, "A");
    s.drives = true;
    s.contact("pins", GpioSignal::EmergencyStop, true);
    s.run(5);
    s.contact("pins", GpioSignal::EmergencyStop, false);
    s.run(60);
    s.present(1, "A");
    s.run(8);
    s.expect(
        "+0 ~ 1 limit 0 A
         +0 ~ 1 disable
         +0 Status 1 Faulted OtherError (the emergency stop is pressed)
         +0 Stop #1 1000024 EmergencyStop
         +5 Status 1 Finishing
         +65 Authorize A
         +65 ~ 1 limit 16 A
         +65 ~ 1 enable
         +65 Status 1 Preparing
         +65 Start 1 A 1000024
         +66 Status 1 Charging",
    );
}

#[test]
fn an_opened_housing_is_told_as_a_security_event() {
    let mut cp = site(1);
    cp.evses[0].contacts = vec![ContactSetup {
        device: DeviceId::new("pins"),
        signals: [GpioSignal::Tamper].into(),
    }];
    let mut s = Stack::of(cp);
    s.contact("pins", GpioSignal::Tamper, true);
    s.run(5);
    s.expect("+0 Security TamperDetectionActivated");
    let event = &s.csms.heard["SecurityEventNotification"];
    assert_eq!(event["techInfo"], "the tamper contact of pins is open");
}
