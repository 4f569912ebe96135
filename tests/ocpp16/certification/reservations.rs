//! Reservation: 046_1, 046_2, 047, 048_1 to 048_4, 049, 050_1 to 050_4, 051, 052, 053.

use crate::stack::{Stack, site};
use retrovolt::domain::{AuthMode, FaultKind};
use serde_json::json;

/// The time `seconds` after the begin of the story.
fn at(seconds: i64) -> String {
    retrovolt::ocpp::format_utc(crate::stack::NOON + seconds * 1_000)
}

fn reserve(s: &mut Stack, id: i32, connector: i32, tag: &str, until: i64) {
    s.ask(
        "ReserveNow",
        json!({"connectorId": connector, "expiryDate": at(until), "idTag": tag, "reservationId": id}),
    );
}

fn reserve_for_family(s: &mut Stack, id: i32, connector: i32, tag: &str, parent: &str) {
    s.ask(
        "ReserveNow",
        json!({"connectorId": connector, "expiryDate": at(3_600), "idTag": tag, "reservationId": id,
            "parentIdTag": parent}),
    );
}

#[test]
fn a_reserved_connector_serves_the_tag_it_is_kept_for() {
    let mut s = Stack::ready(1);
    reserve(&mut s, 11, 1, "A", 3_600);
    s.run(5);
    s.present(1, "A");
    s.run(5);
    s.plug(1);
    s.run(1);
    s.expect(
        "+0 = ReserveNow Accepted
         +0 Status 1 Reserved
         +5 Authorize A
         +5 Status 1 Preparing
         +10 Start 1 A 1000000 reservation 11
         +11 Status 1 Charging",
    );
    s.present(1, "A");
    s.unplug(1);
    s.run(1);
    s.look();
    // The reservation is used up.
    s.plug(1);
    s.present(1, "B");
    s.run(1);
    s.expect(
        "+0 Status 1 Preparing
         +0 Authorize B
         +0 Start 1 B 1000003",
    );
}

#[test]
fn another_tag_is_refused_without_asking_and_a_vehicle_does_not_hide_the_reservation() {
    let mut s = Stack::ready(1);
    reserve(&mut s, 11, 1, "A", 3_600);
    s.look();
    s.plug(1);
    s.present(1, "B");
    s.run(5);
    assert!(!s.offers(1));
    s.expect("");
    s.present(1, "A");
    s.run(1);
    s.expect(
        "+0 Authorize A
         +0 Status 1 Preparing
         +0 Start 1 A 1000000 reservation 11
         +1 Status 1 Charging",
    );
}

#[test]
fn a_reservation_ends_at_its_time_to_the_second() {
    let mut s = Stack::ready(1);
    reserve(&mut s, 11, 1, "A", 65);
    s.run(70);
    s.expect(
        "+0 = ReserveNow Accepted
         +0 Status 1 Reserved
         +60 Status 1 Available",
    );
    s.plug(1);
    s.present(1, "B");
    s.run(1);
    s.expect(
        "+0 Status 1 Preparing
         +0 Authorize B
         +0 Start 1 B 1000000
         +1 Status 1 Charging",
    );
}

#[test]
fn a_reservation_that_would_have_ended_already_is_rejected() {
    let mut s = Stack::ready(1);
    reserve(&mut s, 11, 1, "A", 5);
    s.run(1);
    s.expect("+0 = ReserveNow Rejected");
}

#[test]
fn a_vehicle_that_waits_past_the_end_of_the_reservation_shows_as_preparing() {
    let mut s = Stack::ready(1);
    reserve(&mut s, 11, 1, "A", 35);
    s.plug(1);
    s.run(40);
    s.expect(
        "+0 = ReserveNow Accepted
         +0 Status 1 Reserved
         +30 Status 1 Preparing",
    );
}

#[test]
fn an_occupied_connector_is_not_reserved() {
    let mut s = Stack::charging();
    reserve(&mut s, 11, 1, "B", 3_600);
    s.present(1, "A");
    s.run(1);
    reserve(&mut s, 11, 1, "B", 3_600);
    s.unplug(1);
    s.run(1);
    s.plug(1);
    s.run(1);
    reserve(&mut s, 11, 1, "B", 3_600);
    s.run(1);
    s.expect(
        "+0 = ReserveNow Occupied
         +0 Status 1 Finishing
         +0 Stop #1 1000024 Local by A
         +1 = ReserveNow Occupied
         +1 Status 1 Available
         +2 Status 1 Preparing
         +3 = ReserveNow Occupied",
    );
}

#[test]
fn a_reserved_connector_is_occupied_for_any_further_reservation() {
    let mut s = Stack::ready(1);
    reserve(&mut s, 11, 1, "A", 3_600);
    reserve(&mut s, 12, 1, "B", 3_600);
    reserve(&mut s, 13, 1, "A", 3_600);
    reserve(&mut s, 14, 0, "A", 3_600);
    s.expect(
        "+0 = ReserveNow Accepted
         +0 Status 1 Reserved
         +0 = ReserveNow Occupied
         +0 = ReserveNow Occupied
         +0 = ReserveNow Occupied",
    );
}

#[test]
fn a_faulty_connector_is_not_reserved() {
    let mut s = Stack::ready(1);
    s.outlet(1).fault = Some(FaultKind::GroundFailure);
    s.run(1);
    s.look();
    reserve(&mut s, 11, 1, "A", 3_600);
    reserve(&mut s, 12, 0, "A", 3_600);
    s.expect(
        "+0 = ReserveNow Faulted
         +0 = ReserveNow Faulted",
    );
}

#[test]
fn a_connector_out_of_service_is_not_reserved() {
    let mut s = Stack::ready(1);
    s.ask(
        "ChangeAvailability",
        json!({"connectorId": 1, "type": "Inoperative"}),
    );
    reserve(&mut s, 11, 1, "A", 3_600);
    reserve(&mut s, 12, 0, "A", 3_600);
    s.expect(
        "+0 = ChangeAvailability Accepted
         +0 Status 1 Unavailable
         +0 = ReserveNow Unavailable
         +0 = ReserveNow Unavailable",
    );
}

#[test]
fn a_connector_that_is_not_there_and_one_that_obeys_nobody_are_rejected() {
    let mut s = Stack::ready(1);
    reserve(&mut s, 11, 2, "A", 3_600);
    reserve(&mut s, 11, -1, "A", 3_600);
    s.expect(
        "+0 = ReserveNow Rejected
         +0 = ReserveNow Rejected",
    );
    let mut own_way = site(1);
    own_way.evses[0].auth = AuthMode::Charger(None);
    let mut s = Stack::of(own_way);
    reserve(&mut s, 11, 1, "A", 3_600);
    reserve(&mut s, 11, 0, "A", 3_600);
    s.expect(
        "+0 = ReserveNow Rejected
         +0 = ReserveNow Rejected",
    );
}

#[test]
fn the_same_id_replaces_the_reservation_and_a_failure_leaves_it() {
    let mut s = Stack::ready(2);
    reserve(&mut s, 11, 1, "A", 3_600);
    reserve(&mut s, 11, 2, "B", 3_600);
    s.run(1);
    s.expect(
        "+0 = ReserveNow Accepted
         +0 Status 1 Reserved
         +0 = ReserveNow Accepted
         +0 Status 1 Available
         +0 Status 2 Reserved",
    );
    s.plug(1);
    s.present(1, "C");
    s.run(1);
    s.look();
    reserve(&mut s, 11, 1, "A", 3_600);
    s.expect("+0 = ReserveNow Occupied");
    s.plug(2);
    s.present(2, "A");
    s.run(1);
    s.expect("");
    s.present(2, "B");
    s.run(1);
    s.expect(
        "+0 Authorize B
         +0 Status 2 Preparing
         +0 Start 2 B 1000000 reservation 11
         +1 Status 2 Charging",
    );
}

#[test]
fn a_cancelled_reservation_frees_the_connector_and_an_unknown_one_is_rejected() {
    let mut s = Stack::ready(1);
    reserve(&mut s, 11, 1, "A", 3_600);
    s.run(10);
    s.ask("CancelReservation", json!({"reservationId": 12}));
    s.ask("CancelReservation", json!({"reservationId": 11}));
    s.ask("CancelReservation", json!({"reservationId": 11}));
    s.run(1);
    s.expect(
        "+0 = ReserveNow Accepted
         +0 Status 1 Reserved
         +10 = CancelReservation Rejected
         +10 = CancelReservation Accepted
         +10 Status 1 Available
         +10 = CancelReservation Rejected",
    );
}

#[test]
fn a_fault_ends_the_reservation() {
    let mut s = Stack::ready(1);
    reserve(&mut s, 11, 1, "A", 3_600);
    s.look();
    s.outlet(1).fault = Some(FaultKind::HighTemperature);
    s.run(5);
    s.outlet(1).fault = None;
    s.run(5);
    s.ask("CancelReservation", json!({"reservationId": 11}));
    s.expect(
        "+1 Status 1 Faulted HighTemperature
         +6 Status 1 Available
         +10 = CancelReservation Rejected",
    );
}

#[test]
fn going_out_of_service_ends_the_reservation() {
    let mut s = Stack::ready(2);
    reserve(&mut s, 11, 1, "A", 3_600);
    s.look();
    let change = |to: &str| json!({"connectorId": 1, "type": to});
    s.ask("ChangeAvailability", change("Inoperative"));
    s.run(5);
    s.ask("ChangeAvailability", change("Operative"));
    s.run(5);
    s.ask("CancelReservation", json!({"reservationId": 11}));
    s.expect(
        "+0 = ChangeAvailability Accepted
         +0 Status 1 Unavailable
         +5 = ChangeAvailability Accepted
         +5 Status 1 Available
         +10 = CancelReservation Rejected",
    );
}

#[test]
fn a_parent_tag_uses_the_reservation_after_the_csms_was_asked() {
    let mut s = Stack::ready(1);
    s.csms.relate("CHILD", "FAMILY");
    reserve_for_family(&mut s, 11, 1, "A", "FAMILY");
    s.look();
    s.plug(1);
    s.present(1, "STRANGER");
    s.run(2);
    s.present(1, "CHILD");
    s.run(2);
    s.expect(
        "+0 Authorize STRANGER
         +2 Authorize CHILD
         +2 Status 1 Preparing
         +2 Start 1 CHILD 1000000 reservation 11
         +3 Status 1 Charging",
    );
}

#[test]
fn a_remote_start_with_another_tag_is_rejected_and_with_the_right_one_tells_the_reservation() {
    let mut s = Stack::ready(1);
    reserve(&mut s, 11, 1, "A", 3_600);
    s.plug(1);
    s.look();
    s.ask("RemoteStartTransaction", json!({"connectorId": 1, "idTag": "B"}));
    s.ask("RemoteStartTransaction", json!({"idTag": "B"}));
    s.ask("RemoteStartTransaction", json!({"connectorId": 1, "idTag": "A"}));
    s.run(1);
    s.expect(
        "+0 = RemoteStartTransaction Rejected
         +0 = RemoteStartTransaction Rejected
         +0 = RemoteStartTransaction Accepted
         +0 Status 1 Preparing
         +0 Start 1 A 1000000 reservation 11
         +1 Status 1 Charging",
    );
}

#[test]
fn a_remote_start_of_a_listed_relative_uses_the_reservation_up() {
    let mut s = Stack::ready(1);
    let related =
        |tag: &str| json!({"idTag": tag, "idTagInfo": {"status": "Accepted", "parentIdTag": "FAMILY"}});
    s.asked(
        "SendLocalList",
        json!({"listVersion": 1, "updateType": "Full",
            "localAuthorizationList": [related("A"), related("B")]}),
        "Accepted",
    );
    s.set("AuthorizeRemoteTxRequests", "false");
    reserve_for_family(&mut s, 11, 1, "A", "FAMILY");
    s.plug(1);
    s.look();
    s.ask("RemoteStartTransaction", json!({"connectorId": 1, "idTag": "B"}));
    s.run(2);
    s.expect(
        "+0 = RemoteStartTransaction Accepted
         +0 Status 1 Preparing
         +0 Start 1 B 1000000 reservation 11
         +1 Status 1 Charging",
    );
    s.present(1, "B");
    s.unplug(1);
    s.run(2);
    s.expect(
        "+0 Status 1 Finishing
         +0 Stop #1 1000006 Local by B
         +0 Status 1 Available",
    );
}

#[test]
fn a_remote_start_without_a_connector_prefers_the_one_that_is_kept_for_the_tag() {
    let mut s = Stack::ready(2);
    reserve(&mut s, 11, 2, "A", 3_600);
    s.look();
    s.ask("RemoteStartTransaction", json!({"idTag": "A"}));
    s.run(1);
    s.expect(
        "+0 = RemoteStartTransaction Accepted
         +0 Status 2 Preparing",
    );
    s.ask("RemoteStartTransaction", json!({"idTag": "B"}));
    s.run(1);
    s.expect(
        "+0 = RemoteStartTransaction Accepted
         +0 Status 1 Preparing",
    );
}

#[test]
fn a_token_that_waits_for_its_vehicle_too_long_keeps_the_reservation() {
    let mut s = Stack::ready(1);
    s.set("ConnectionTimeOut", "30");
    reserve(&mut s, 11, 1, "A", 3_600);
    s.look();
    s.present(1, "A");
    s.run(40);
    s.expect(
        "+0 Authorize A
         +0 Status 1 Preparing
         +30 Status 1 Reserved",
    );
}

#[test]
fn connector_0_is_kept_by_refusing_the_last_and_showing_it_reserved() {
    let mut s = Stack::ready(2);
    reserve(&mut s, 11, 0, "A", 3_600);
    s.run(5);
    // Two are free: none is kept yet.
    s.plug(1);
    s.present(1, "B");
    s.run(5);
    s.plug(2);
    s.present(2, "C");
    s.run(5);
    s.expect(
        "+0 = ReserveNow Accepted
         +5 Status 1 Preparing
         +5 Authorize B
         +5 Status 2 Reserved
         +5 Start 1 B 1000000
         +6 Status 1 Charging",
    );
    s.present(2, "A");
    s.run(1);
    s.expect(
        "+0 Authorize A
         +0 Status 2 Preparing
         +0 Start 2 A 1000000 reservation 11
         +1 Status 2 Charging",
    );
}

#[test]
fn on_a_single_connector_connector_0_is_that_one() {
    let mut s = Stack::ready(1);
    reserve(&mut s, 11, 0, "A", 25);
    s.ask("RemoteStartTransaction", json!({"connectorId": 1, "idTag": "B"}));
    s.run(30);
    s.expect(
        "+0 = ReserveNow Accepted
         +0 Status 1 Reserved
         +0 = RemoteStartTransaction Rejected
         +20 Status 1 Available",
    );
}

#[test]
fn connector_0_is_freed_when_another_vehicle_leaves() {
    let mut s = Stack::ready(2);
    s.charge(1, "B");
    reserve(&mut s, 11, 0, "A", 3_600);
    s.run(5);
    s.present(1, "B");
    s.run(5);
    s.unplug(1);
    s.run(5);
    s.expect(
        "+0 = ReserveNow Accepted
         +0 Status 2 Reserved
         +5 Status 1 Finishing
         +5 Stop #1 1000039 Local by B
         +10 Status 1 Available
         +10 Status 2 Available",
    );
}

#[test]
fn connector_0_can_be_reserved_as_often_as_there_are_free_connectors() {
    let mut s = Stack::ready(2);
    reserve(&mut s, 11, 0, "A", 3_600);
    reserve(&mut s, 12, 0, "B", 3_600);
    reserve(&mut s, 13, 0, "C", 3_600);
    reserve(&mut s, 14, 1, "D", 3_600);
    s.expect(
        "+0 = ReserveNow Accepted
         +0 = ReserveNow Accepted
         +0 Status 1 Reserved
         +0 Status 2 Reserved
         +0 = ReserveNow Occupied
         +0 = ReserveNow Occupied",
    );
    s.plug(1);
    s.present(1, "B");
    s.run(1);
    s.expect(
        "+0 Authorize B
         +0 Status 1 Preparing
         +0 Start 1 B 1000000 reservation 12
         +1 Status 1 Charging",
    );
}

#[test]
fn reservations_survive_a_power_cut_and_one_that_ended_meanwhile_is_gone() {
    let mut s = Stack::ready(2);
    reserve(&mut s, 11, 1, "A", 3_600);
    reserve(&mut s, 12, 2, "B", 60);
    s.look();
    s.restart(120);
    s.run(5);
    let told = s.look();
    assert!(told.contains(&"+121 Status 1 Reserved".to_owned()), "{told:?}");
    assert!(told.contains(&"+121 Status 2 Available".to_owned()), "{told:?}");
    s.plug(1);
    s.present(1, "B");
    s.run(1);
    s.expect("");
    s.present(1, "A");
    s.run(1);
    s.expect(
        "+0 Authorize A
         +0 Status 1 Preparing
         +0 Start 1 A 1000000 reservation 11
         +1 Status 1 Charging",
    );
}

#[test]
fn offline_the_reserved_tag_starts_and_its_start_tells_the_reservation_later() {
    let mut s = Stack::ready(1);
    s.ask(
        "SendLocalList",
        json!({"listVersion": 1, "updateType": "Full", "localAuthorizationList": [
            {"idTag": "A", "idTagInfo": {"status": "Accepted"}},
            {"idTag": "B", "idTagInfo": {"status": "Accepted"}}]}),
    );
    reserve(&mut s, 11, 1, "A", 3_600);
    s.look();
    s.cut();
    s.plug(1);
    s.present(1, "B");
    s.run(5);
    assert!(!s.offers(1));
    s.present(1, "A");
    s.run(10);
    assert!(s.offers(1));
    s.mend();
    s.run(5);
    s.expect(
        "+17 link
         +17 Status 1 Charging
         +17 Start 1 A 1000000 reservation 11",
    );
}

#[test]
fn a_reset_leaves_a_reservation_in_place() {
    let mut s = Stack::ready(1);
    reserve(&mut s, 11, 1, "A", 3_600);
    s.look();
    s.ask("Reset", json!({"type": "Soft"}));
    s.run(5);
    let told = s.look();
    assert_eq!(told.last(), Some(&"+2 Status 1 Reserved".to_owned()), "{told:?}");
}
