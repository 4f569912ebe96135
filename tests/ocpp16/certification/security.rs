//! Security events (whitepaper A04): told in order with everything else, and never in the way of it.

use crate::stack::{Stack, site};
use serde_json::json;

#[test]
fn a_start_is_told_once_for_each_run() {
    let mut s = Stack::ready(1);
    s.restart(5);
    s.run(5);
    let told = s.look();
    let starts = told.iter().filter(|line| line.contains("StartupOfTheDevice"));
    assert_eq!(starts.count(), 1, "{told:?}");
    let event = &s.csms.heard["SecurityEventNotification"];
    assert_eq!(event["timestamp"], "2026-09-21T12:00:10Z");
}

#[test]
fn a_reset_is_told() {
    let mut s = Stack::ready(1);
    s.ask("Reset", json!({"type": "Soft"}));
    s.run(5);
    let told = s.look().concat();
    assert!(told.contains("Security ResetOrReboot"), "{told}");
}

#[test]
fn an_event_of_an_outage_is_told_after_it() {
    let mut s = Stack::ready(1);
    s.cut();
    s.restart(60);
    s.run(5);
    s.look();
    s.mend();
    s.run(5);
    let told = s.look().concat();
    assert!(told.contains("Security StartupOfTheDevice"), "{told}");
}

#[test]
fn a_csms_that_does_not_know_the_message_is_not_told_again() {
    for code in ["NotImplemented", "NotSupported"] {
        let mut s = Stack::new(site(1));
        s.csms.refuse("SecurityEventNotification", code, 9);
        s.run(5);
        s.look();
        s.ask("Reset", json!({"type": "Hard"}));
        s.run(5);
        let told = s.look().concat();
        assert!(!told.contains("Security"), "{told}");
        assert_eq!(s.untold(), 0);
        s.charge(1, "A");
    }
}

#[test]
fn a_refused_event_does_not_hold_a_session_up() {
    let mut s = Stack::new(site(1));
    s.csms
        .refuse("SecurityEventNotification", "FormationViolation", 1);
    s.run(5);
    s.look();
    s.plug(1);
    s.present(1, "A");
    s.run(2);
    s.expect(
        "+0 Status 1 Preparing
         +0 Authorize A
         +0 Start 1 A 1000000
         +1 Status 1 Charging",
    );
}

#[test]
fn a_csms_that_swallows_events_gets_sessions_after_three_tries() {
    let mut s = Stack::new(site(1));
    s.csms.ignores = Some("SecurityEventNotification");
    s.run(100);
    s.expect(
        "+0 link
         +0 BootNotification
         +0 Status 0 Available
         +0 Security StartupOfTheDevice
         +30 close 1001
         +32 link
         +32 Status 1 Available
         +32 Security StartupOfTheDevice
         +62 close 1001
         +64 link
         +64 Security StartupOfTheDevice
         +94 close 1001
         +96 link",
    );
    assert_eq!(s.untold(), 0);
    s.plug(1);
    s.present(1, "A");
    s.run(2);
    s.expect(
        "+0 Status 1 Preparing
         +0 Authorize A
         +0 Start 1 A 1000000
         +1 Status 1 Charging",
    );
}
