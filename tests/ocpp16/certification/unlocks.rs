//! Unlocking: 017_1, 017_2, 018_1, 018_2, 030, 031; lock failure 024.

use crate::stack::{Stack, site};
use retrovolt::domain::{CpSetup, DriveError, FaultKind};
use serde_json::json;

fn unlock(s: &mut Stack, connector: i32) {
    s.ask("UnlockConnector", json!({"connectorId": connector}));
}

#[test]
fn a_free_connector_is_unlocked() {
    let mut s = Stack::ready(1);
    unlock(&mut s, 1);
    s.run(1);
    s.expect("+0 = UnlockConnector Unlocked");
    assert_eq!(s.outlet(1).unlocks, 1);
}

/// One EVSE whose charger has no lock.
fn fixed_cable() -> CpSetup {
    let mut cp = site(1);
    cp.evses[0].has_lock = false;
    cp
}

#[test]
fn a_fixed_cable_cannot_be_unlocked() {
    let mut s = Stack::of(fixed_cable());
    unlock(&mut s, 1);
    s.run(1);
    s.expect("+0 = UnlockConnector NotSupported");
    assert_eq!(s.outlet(1).unlocks, 0, "nothing was ordered");
}

#[test]
fn unlocking_ends_the_session_first() {
    let mut s = Stack::charging();
    s.drives = true;
    unlock(&mut s, 1);
    s.run(2);
    s.expect(
        "+0 ~ 1 limit 0 A
         +0 ~ 1 disable
         +0 ~ 1 unlock
         +0 Status 1 Finishing
         +0 = UnlockConnector Unlocked
         +0 Stop #1 1000024 UnlockCommand",
    );
}

#[test]
fn unlocking_a_fixed_cable_leaves_the_session_alone() {
    let mut s = Stack::of(fixed_cable());
    s.charge(1, "A");
    unlock(&mut s, 1);
    s.run(5);
    s.expect("+0 = UnlockConnector NotSupported");
    assert!(s.offers(1), "it charges on");
    s.present(1, "A");
    s.run(1);
    s.expect(
        "+0 Status 1 Finishing
         +0 Stop #1 1000039 Local by A",
    );
}

#[test]
fn a_lock_that_fails_is_told_as_failed() {
    let mut s = Stack::ready(1);
    s.outlet(1).lock = Err(DriveError::NotObeyed { wrote: 1, read: 0 });
    unlock(&mut s, 1);
    s.run(1);
    s.expect("+0 = UnlockConnector UnlockFailed");
    s.outlet(1).link = false;
    s.run(1);
    s.look();
    unlock(&mut s, 1);
    s.expect("+0 = UnlockConnector UnlockFailed");
}

#[test]
fn a_connector_that_is_not_there_cannot_be_unlocked() {
    let mut s = Stack::ready(1);
    for connector in [0, 2, -1] {
        unlock(&mut s, connector);
    }
    s.expect(
        "+0 = UnlockConnector NotSupported
         +0 = UnlockConnector NotSupported
         +0 = UnlockConnector NotSupported",
    );
}

#[test]
fn a_plug_that_cannot_be_locked_is_a_fault_and_starts_nothing() {
    let mut s = Stack::ready(1);
    s.plug(1);
    s.outlet(1).fault = Some(FaultKind::ConnectorLockFailure);
    s.run(1);
    s.present(1, "A");
    s.run(5);
    s.outlet(1).fault = None;
    s.run(2);
    s.expect(
        "+0 Status 1 Preparing
         +1 Status 1 Faulted ConnectorLockFailure
         +7 Status 1 Preparing",
    );
    assert!(!s.offers(1));
}

#[test]
fn with_fixed_cables_the_key_for_unlocking_is_false_and_stays_so() {
    let mut s = Stack::of(fixed_cable());
    let key = "UnlockConnectorOnEVSideDisconnect";
    s.asked(
        "ChangeConfiguration",
        json!({"key": key, "value": "true"}),
        "Rejected",
    );
    s.asked(
        "GetConfiguration",
        json!({"key": [key]}),
        "{\"configurationKey\":[{\"key\":\"UnlockConnectorOnEVSideDisconnect\",\"readonly\":true,\"value\":\"false\"}]}",
    );
}
