//! Cold boot: 001, 002, and what a CSMS may answer to it.

use crate::stack::{Stack, site};
use serde_json::json;

#[test]
fn a_cold_boot_registers_and_then_tells_every_connector() {
    let mut s = Stack::new(site(2));
    s.csms.boot = ("Accepted", 120);
    s.run(3);
    s.expect(
        "+0 link
         +0 BootNotification
         +0 Status 0 Available
         +0 Security StartupOfTheDevice
         +0 Status 1 Unavailable
         +0 Status 2 Unavailable
         +1 Status 1 Available
         +1 Status 2 Available",
    );
    s.run(250);
    s.expect(
        "+118 Heartbeat
         +238 Heartbeat",
    );
    s.asked(
        "GetConfiguration",
        json!({"key": ["HeartbeatInterval"]}),
        "{\"configurationKey\":[{\"key\":\"HeartbeatInterval\",\"readonly\":false,\"value\":\"120\"}]}",
    );
}

#[test]
fn a_pending_charge_point_answers_but_starts_nothing_and_asks_again_in_time() {
    let mut s = Stack::new(site(1));
    s.csms.boot = ("Pending", 30);
    s.run(10);
    s.ask("GetConfiguration", json!({"key": ["NumberOfConnectors"]}));
    s.ask("RemoteStartTransaction", json!({"idTag": "A"}));
    s.plug(1);
    s.present(1, "A");
    s.run(10);
    assert!(!s.offers(1));
    s.csms.boot = ("Accepted", 3_600);
    s.run(15);
    s.expect(
        "+0 link
         +0 BootNotification
         +10 = GetConfiguration {\"configurationKey\":[{\"key\":\"NumberOfConnectors\",\"readonly\":true,\"value\":\"1\"}]}
         +10 = RemoteStartTransaction Rejected
         +30 BootNotification
         +30 Status 0 Available
         +30 Status 1 Preparing
         +30 Security StartupOfTheDevice",
    );
}

#[test]
fn a_rejected_charge_point_is_silent_until_its_time() {
    let mut s = Stack::new(site(1));
    s.csms.boot = ("Rejected", 60);
    s.run(59);
    s.plug(1);
    s.csms.boot = ("Accepted", 3_600);
    s.run(5);
    s.expect(
        "+0 link
         +0 BootNotification
         +60 BootNotification
         +60 Status 0 Available
         +60 Status 1 Preparing
         +60 Security StartupOfTheDevice",
    );
}

#[test]
fn a_boot_that_is_asked_for_while_pending_comes_at_once() {
    let mut s = Stack::new(site(1));
    s.csms.boot = ("Pending", 300);
    s.run(5);
    s.look();
    s.csms.boot = ("Accepted", 3_600);
    s.ask("TriggerMessage", json!({"requestedMessage": "BootNotification"}));
    s.run(1);
    s.expect(
        "+0 = TriggerMessage Accepted
         +0 BootNotification
         +0 Status 0 Available
         +0 Status 1 Available
         +0 Security StartupOfTheDevice",
    );
}

#[test]
fn a_csms_that_answers_nothing_is_dialled_again_and_told_the_same() {
    let mut s = Stack::new(site(1));
    s.csms.silent = true;
    s.run(40);
    s.csms.silent = false;
    s.run(30);
    s.expect(
        "+0 link
         +0 BootNotification
         +30 close 1001
         +32 link
         +32 BootNotification
         +62 close 1001
         +64 link
         +64 BootNotification
         +64 Status 0 Available
         +64 Status 1 Available
         +64 Security StartupOfTheDevice",
    );
}
