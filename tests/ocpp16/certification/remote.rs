//! Remote start and stop: 010, 011_1, 011_2, 012, 026, 027, 028.

use crate::stack::Stack;
use retrovolt::domain::FaultKind;
use serde_json::json;

fn start(s: &mut Stack, connector: i32, tag: &str) {
    s.ask(
        "RemoteStartTransaction",
        json!({"connectorId": connector, "idTag": tag}),
    );
}

#[test]
fn a_remote_start_at_a_vehicle_that_waits() {
    let mut s = Stack::ready(1);
    s.plug(1);
    s.run(5);
    start(&mut s, 1, "A");
    s.run(5);
    s.expect(
        "+0 Status 1 Preparing
         +5 = RemoteStartTransaction Accepted
         +5 Start 1 A 1000000
         +6 Status 1 Charging",
    );
}

#[test]
fn a_remote_start_is_authorised_first_where_that_is_wanted() {
    let mut s = Stack::ready(1);
    s.set("AuthorizeRemoteTxRequests", "true");
    s.csms.judge("X", "Blocked");
    s.plug(1);
    s.look();
    start(&mut s, 1, "X");
    s.run(5);
    start(&mut s, 1, "A");
    s.run(1);
    s.expect(
        "+0 = RemoteStartTransaction Accepted
         +0 Authorize X
         +5 = RemoteStartTransaction Accepted
         +5 Authorize A
         +5 Start 1 A 1000000
         +6 Status 1 Charging",
    );
}

#[test]
fn a_remote_start_waits_for_its_vehicle() {
    let mut s = Stack::ready(1);
    start(&mut s, 1, "A");
    s.run(20);
    s.plug(1);
    s.run(5);
    s.expect(
        "+0 = RemoteStartTransaction Accepted
         +0 Status 1 Preparing
         +20 Start 1 A 1000000
         +21 Status 1 Charging",
    );
}

#[test]
fn a_remote_start_does_not_wait_for_ever() {
    let mut s = Stack::ready(1);
    s.set("ConnectionTimeOut", "15");
    start(&mut s, 1, "A");
    s.run(20);
    s.expect(
        "+0 = RemoteStartTransaction Accepted
         +0 Status 1 Preparing
         +15 Status 1 Available",
    );
}

#[test]
fn a_remote_start_without_a_connector_takes_the_one_with_a_vehicle() {
    let mut s = Stack::ready(2);
    s.plug(2);
    s.look();
    s.ask("RemoteStartTransaction", json!({"idTag": "A"}));
    s.run(2);
    s.expect(
        "+0 = RemoteStartTransaction Accepted
         +0 Start 2 A 1000000
         +1 Status 2 Charging",
    );
}

#[test]
fn a_remote_stop_stops_and_releases() {
    let mut s = Stack::charging();
    s.ask("RemoteStopTransaction", json!({"transactionId": 1}));
    s.run(5);
    s.unplug(1);
    s.run(1);
    s.expect(
        "+0 = RemoteStopTransaction Accepted
         +0 Status 1 Finishing
         +0 Stop #1 1000024 Remote
         +5 Status 1 Available",
    );
    assert_eq!(s.outlet(1).unlocks, 1);
    s.asked("RemoteStopTransaction", json!({"transactionId": 1}), "Rejected");
}

#[test]
fn a_remote_start_where_nothing_can_start_is_rejected() {
    let mut s = Stack::charging();
    start(&mut s, 1, "B");
    s.expect("+0 = RemoteStartTransaction Rejected");
    let mut s = Stack::ready(1);
    s.outlet(1).fault = Some(FaultKind::GroundFailure);
    s.run(1);
    s.look();
    start(&mut s, 1, "B");
    s.expect("+0 = RemoteStartTransaction Rejected");
    let mut s = Stack::ready(1);
    s.ask(
        "ChangeAvailability",
        json!({"connectorId": 1, "type": "Inoperative"}),
    );
    s.look();
    start(&mut s, 1, "B");
    s.ask("RemoteStartTransaction", json!({"idTag": "B"}));
    s.expect(
        "+0 = RemoteStartTransaction Rejected
         +0 = RemoteStartTransaction Rejected",
    );
}

#[test]
fn connector_0_is_no_place_to_start() {
    let mut s = Stack::ready(1);
    s.plug(1);
    s.look();
    start(&mut s, 0, "A");
    s.run(5);
    s.expect("+0 = RemoteStartTransaction Rejected");
}

#[test]
fn a_remote_stop_of_what_does_not_run_is_rejected_and_stops_nothing() {
    let mut s = Stack::charging();
    for number in [0, -1, 2, 999] {
        s.asked(
            "RemoteStopTransaction",
            json!({"transactionId": number}),
            "Rejected",
        );
    }
    s.run(5);
    assert!(s.offers(1));
    s.expect("");
}
