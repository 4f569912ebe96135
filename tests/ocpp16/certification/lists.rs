//! Local authorisation list: 008, 042_1, 042_2, 043_1 to 043_5, and what section 3.5 asks of it.

use crate::stack::{Stack, site};
use serde_json::{Value, json};

fn entry(tag: &str, status: &str) -> Value {
    json!({"idTag": tag, "idTagInfo": {"status": status}})
}

fn sent(s: &mut Stack, version: i32, kind: &str, entries: Vec<Value>, answer: &str) {
    let list = json!({"listVersion": version, "updateType": kind, "localAuthorizationList": entries});
    s.asked("SendLocalList", list, answer);
}

fn version(s: &mut Stack, version: i32) {
    s.asked(
        "GetLocalListVersion",
        json!({}),
        &format!("{{\"listVersion\":{version}}}"),
    );
}

/// A charge point that has been sent a list, online.
fn listed(entries: Vec<Value>) -> Stack {
    let mut s = Stack::ready(1);
    sent(&mut s, 1, "Full", entries, "Accepted");
    s
}

fn offline(mut s: Stack) -> Stack {
    s.cut();
    s.run(1);
    s.look();
    s
}

#[test]
fn an_empty_list_has_version_0_and_a_sent_one_its_own() {
    let mut s = Stack::ready(1);
    version(&mut s, 0);
    sent(&mut s, 7, "Full", vec![entry("A", "Accepted")], "Accepted");
    version(&mut s, 7);
    s.asked(
        "SendLocalList",
        json!({"listVersion": 8, "updateType": "Full"}),
        "Accepted",
    );
    version(&mut s, 0);
}

#[test]
fn a_list_that_is_switched_off_has_version_minus_1_and_cannot_be_sent() {
    let mut s = listed(vec![entry("A", "Accepted")]);
    s.set("LocalAuthListEnabled", "false");
    version(&mut s, -1);
    sent(&mut s, 9, "Full", vec![entry("B", "Accepted")], "NotSupported");
    s.set("LocalAuthListEnabled", "true");
    version(&mut s, 1);
}

#[test]
fn changes_must_be_newer_than_the_list_and_a_whole_list_need_not() {
    let mut s = Stack::ready(1);
    sent(&mut s, 5, "Full", vec![entry("A", "Accepted")], "Accepted");
    for old in [1, 4, 5] {
        sent(
            &mut s,
            old,
            "Differential",
            vec![entry("B", "Accepted")],
            "VersionMismatch",
        );
    }
    version(&mut s, 5);
    sent(
        &mut s,
        6,
        "Differential",
        vec![entry("B", "Accepted")],
        "Accepted",
    );
    sent(&mut s, 2, "Full", vec![entry("C", "Accepted")], "Accepted");
    version(&mut s, 2);
}

#[test]
fn a_list_that_cannot_be_meant_fails_and_changes_nothing() {
    let mut s = listed(vec![entry("A", "Accepted")]);
    let twice = vec![entry("B", "Accepted"), entry("b", "Blocked")];
    sent(&mut s, 2, "Differential", twice, "Failed");
    sent(&mut s, 2, "Full", vec![json!({"idTag": "B"})], "Failed");
    for never in [0, -1] {
        sent(&mut s, never, "Full", vec![entry("B", "Accepted")], "Failed");
    }
    let many = (0..1_001).map(|n| entry(&format!("T{n}"), "Accepted"));
    sent(&mut s, 2, "Full", many.collect(), "Failed");
    version(&mut s, 1);
    s.set("LocalPreAuthorize", "true");
    s.plug(1);
    s.present(1, "A");
    s.run(1);
    s.expect(
        "+0 Status 1 Preparing
         +0 Start 1 A 1000000
         +1 Status 1 Charging",
    );
}

#[test]
fn what_the_schema_refuses_is_refused_by_name() {
    let mut s = Stack::ready(1);
    let long = entry("a tag of twenty-one ch", "Accepted");
    s.ask(
        "SendLocalList",
        json!({"listVersion": 1, "updateType": "Full", "localAuthorizationList": [long]}),
    );
    s.ask("SendLocalList", json!({"listVersion": 1, "updateType": "Whole"}));
    s.ask("SendLocalList", json!({"updateType": "Full"}));
    s.expect(
        "+0 = SendLocalList !PropertyConstraintViolation
         +0 = SendLocalList !PropertyConstraintViolation
         +0 = SendLocalList !OccurenceConstraintViolation",
    );
    version(&mut s, 0);
}

#[test]
fn the_list_is_as_long_as_its_key_says() {
    let mut s = Stack::ready(1);
    for piece in 0..5 {
        let part = (0..1_000).map(|n| entry(&format!("T{}", piece * 1_000 + n), "Accepted"));
        sent(&mut s, piece + 1, "Differential", part.collect(), "Accepted");
    }
    sent(
        &mut s,
        6,
        "Differential",
        vec![entry("ONE", "Accepted")],
        "Failed",
    );
    let instead = vec![entry("ONE", "Accepted"), json!({"idTag": "T0"})];
    sent(&mut s, 6, "Differential", instead, "Accepted");
    version(&mut s, 6);
    let keys = json!({"key": ["LocalAuthListMaxLength", "SendLocalListMaxLength"]});
    s.ask("GetConfiguration", keys);
    let told = s.look().concat();
    assert!(
        told.contains("\"value\":\"5000\"") && told.contains("\"value\":\"1000\""),
        "{told}"
    );
    assert_eq!(told.matches("\"readonly\":true").count(), 2, "{told}");
}

#[test]
fn a_listed_tag_starts_at_once_where_it_may_and_is_asked_about_where_not() {
    let mut s = listed(vec![entry("A", "Accepted")]);
    s.plug(1);
    s.present(1, "A");
    s.run(1);
    s.expect(
        "+0 Status 1 Preparing
         +0 Authorize A
         +0 Start 1 A 1000000
         +1 Status 1 Charging",
    );
    let mut s = listed(vec![entry("A", "Accepted"), entry("B", "Blocked")]);
    s.set("LocalPreAuthorize", "true");
    s.csms.judge("B", "Blocked");
    s.plug(1);
    s.present(1, "B");
    s.run(3);
    s.present(1, "A");
    s.run(1);
    s.expect(
        "+0 Status 1 Preparing
         +0 Authorize B
         +3 Start 1 A 1000000
         +4 Status 1 Charging",
    );
}

#[test]
fn offline_a_listed_tag_charges_and_a_refused_one_does_not_whatever_unknown_ones_may() {
    let mut s = listed(vec![
        entry("OK", "Accepted"),
        entry("BUSY", "ConcurrentTx"),
        entry("NO", "Blocked"),
    ]);
    s.set("AllowOfflineTxForUnknownId", "true");
    let mut s = offline(s);
    s.plug(1);
    s.present(1, "NO");
    s.run(5);
    assert!(!s.offers(1));
    for tag in ["OK", "BUSY", "STRANGER"] {
        s.present(1, tag);
        s.run(5);
        assert!(s.offers(1), "{tag}");
        s.present(1, tag);
        s.run(2);
        s.unplug(1);
        s.run(2);
        s.plug(1);
    }
    s.expect("");
}

#[test]
fn offline_nobody_charges_where_local_authorisation_is_off() {
    let s = listed(vec![entry("A", "Accepted")]);
    let mut s = offline(s);
    s.mend();
    s.run(5);
    s.set("LocalAuthorizeOffline", "false");
    let mut s = offline(s);
    s.plug(1);
    s.present(1, "A");
    s.run(10);
    assert!(!s.offers(1));
}

#[test]
fn a_listed_tag_expires_by_the_clock() {
    let until = json!({"idTag": "A",
        "idTagInfo": {"status": "Accepted", "expiryDate": "2026-09-21T12:00:30Z"}});
    let mut s = offline(listed(vec![until]));
    s.plug(1);
    s.run(30);
    s.present(1, "A");
    s.run(5);
    assert!(!s.offers(1), "half a minute later it has expired");
}

#[test]
fn the_list_goes_before_the_cache_and_its_tags_are_not_cached() {
    let mut s = Stack::ready(1);
    s.charge(1, "A");
    s.present(1, "A");
    s.unplug(1);
    s.run(5);
    // The cache knows A as accepted; the list says otherwise.
    sent(&mut s, 1, "Full", vec![entry("A", "Blocked")], "Accepted");
    let mut s = offline(s);
    s.plug(1);
    s.present(1, "A");
    s.run(5);
    assert!(!s.offers(1));
    s.mend();
    s.run(5);
    // What the CSMS says of B while it is listed is not kept.
    sent(&mut s, 2, "Full", vec![entry("B", "Accepted")], "Accepted");
    s.present(1, "B");
    s.run(5);
    s.present(1, "B");
    s.unplug(1);
    s.run(5);
    sent(&mut s, 3, "Differential", vec![json!({"idTag": "B"})], "Accepted");
    let mut s = offline(s);
    s.plug(1);
    s.present(1, "B");
    s.run(5);
    assert!(!s.offers(1), "B is neither listed nor cached");
    s.present(1, "A");
    s.run(5);
    assert!(s.offers(1), "A is off the list and still cached");
}

#[test]
fn clearing_the_cache_leaves_the_list_alone() {
    let mut s = listed(vec![entry("A", "Accepted")]);
    s.asked("ClearCache", json!({}), "Accepted");
    version(&mut s, 1);
    let mut s = offline(s);
    s.plug(1);
    s.present(1, "A");
    s.run(5);
    assert!(s.offers(1));
}

#[test]
fn the_list_and_its_version_survive_a_power_cut() {
    let mut s = listed(vec![entry("A", "Accepted"), entry("B", "Blocked")]);
    sent(&mut s, 4, "Differential", vec![json!({"idTag": "B"})], "Accepted");
    s.restart(60);
    s.run(5);
    version(&mut s, 4);
    s.set("LocalPreAuthorize", "true");
    s.plug(1);
    s.present(1, "A");
    s.run(1);
    s.expect(
        "+0 Status 1 Preparing
         +0 Start 1 A 1000000
         +1 Status 1 Charging",
    );
}

#[test]
fn a_listed_parent_stops_what_its_child_began() {
    let related =
        |tag: &str| json!({"idTag": tag, "idTagInfo": {"status": "Accepted", "parentIdTag": "FAMILY"}});
    let mut s = listed(vec![related("A"), related("B")]);
    s.set("LocalPreAuthorize", "true");
    s.charge(1, "A");
    s.present(1, "B");
    s.run(1);
    s.expect(
        "+0 Status 1 Finishing
         +0 Stop #1 1000024 Local by B",
    );
}

#[test]
fn a_csms_that_contradicts_its_own_list_is_told_so() {
    let mut s = listed(vec![entry("A", "Accepted")]);
    s.set("LocalPreAuthorize", "true");
    s.csms.judge("A", "Blocked");
    s.plug(1);
    s.present(1, "A");
    s.run(1);
    s.expect(
        "+0 Status 1 Preparing
         +0 Start 1 A 1000000
         +0 Status 0 Available LocalListConflict
         +0 Status 1 Finishing
         +0 Stop #1 1000000 DeAuthorized",
    );
    s.run(120);
    s.expect("");
    // A tag that is busy elsewhere is no contradiction.
    s.unplug(1);
    s.run(1);
    s.csms.judge("A", "ConcurrentTx");
    s.plug(1);
    s.present(1, "A");
    s.run(1);
    let told = s.look().concat();
    assert!(
        told.contains("DeAuthorized") && !told.contains("Conflict"),
        "{told}"
    );
}

#[test]
fn a_conflict_is_told_beside_the_real_status_of_the_charge_point() {
    let mut s = listed(vec![entry("A", "Accepted")]);
    s.set("LocalPreAuthorize", "true");
    s.set("StopTransactionOnInvalidId", "false");
    s.charge(1, "A");
    s.cut();
    s.run(1);
    s.mend();
    s.run(5);
    s.ask(
        "ChangeAvailability",
        json!({"connectorId": 0, "type": "Inoperative"}),
    );
    s.run(1);
    s.csms.judge("A", "Blocked");
    s.look();
    s.present(1, "A");
    s.run(1);
    s.expect(
        "+0 Status 1 Unavailable
         +0 Stop #1 1000045 Local by A
         +0 Status 0 Unavailable LocalListConflict",
    );
}

#[test]
fn a_list_that_is_switched_off_says_nothing() {
    let mut s = listed(vec![entry("A", "Blocked")]);
    s.set("AllowOfflineTxForUnknownId", "true");
    s.set("LocalAuthListEnabled", "false");
    let mut s = offline(s);
    s.plug(1);
    s.present(1, "A");
    s.run(5);
    assert!(s.offers(1), "A counts as unknown");
}

#[test]
fn a_charge_point_says_that_it_keeps_a_list() {
    let mut s = Stack::of(site(1));
    s.ask(
        "GetConfiguration",
        json!({"key": ["SupportedFeatureProfiles", "LocalAuthListEnabled"]}),
    );
    let told = s.look().concat();
    assert!(
        told.contains("Core,LocalAuthListManagement,Reservation,SmartCharging,RemoteTrigger"),
        "{told}"
    );
    assert!(told.contains("\"readonly\":false,\"value\":\"true\""), "{told}");
}
