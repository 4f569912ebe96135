//! Smart charging: 056, 057, 058_1, 058_2, 059, 060, 066, 067, 072, 082.

use crate::stack::Stack;
use serde_json::{Value, json};

fn profile(id: i32, level: i32, purpose: &str, periods: &[(i32, i32)]) -> Value {
    let periods: Vec<Value> = periods
        .iter()
        .map(|(start, limit)| json!({"startPeriod": start, "limit": limit}))
        .collect();
    json!({"chargingProfileId": id, "stackLevel": level, "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": {"chargingRateUnit": "A", "startSchedule": "2026-09-21T12:00:00Z",
            "chargingSchedulePeriod": periods}})
}

fn set(s: &mut Stack, connector: i32, profile: &Value, answer: &str) {
    s.asked(
        "SetChargingProfile",
        json!({"connectorId": connector, "csChargingProfiles": profile}),
        answer,
    );
    s.run(2);
    s.look();
}

#[test]
fn a_default_profile_limits_the_next_session() {
    let mut s = Stack::ready(1);
    set(
        &mut s,
        1,
        &profile(1, 0, "TxDefaultProfile", &[(0, 10)]),
        "Accepted",
    );
    s.charge(1, "A");
    assert_eq!(s.amps(1), 10);
}

#[test]
fn a_default_profile_of_connector_0_limits_every_connector() {
    let mut s = Stack::ready(2);
    set(
        &mut s,
        0,
        &profile(1, 0, "TxDefaultProfile", &[(0, 9)]),
        "Accepted",
    );
    s.charge(1, "A");
    s.charge(2, "B");
    assert_eq!((s.amps(1), s.amps(2)), (9, 9));
}

#[test]
fn a_profile_of_the_session_overrules_the_default_and_dies_with_it() {
    let mut s = Stack::ready(1);
    set(
        &mut s,
        1,
        &profile(1, 0, "TxDefaultProfile", &[(0, 10)]),
        "Accepted",
    );
    s.charge(1, "A");
    let mut own = profile(2, 0, "TxProfile", &[(0, 14)]);
    own["transactionId"] = json!(1);
    set(&mut s, 1, &own, "Accepted");
    assert_eq!(s.amps(1), 14);
    s.present(1, "A");
    s.unplug(1);
    s.run(2);
    s.charge(1, "A");
    assert_eq!(s.amps(1), 10);
}

#[test]
fn a_profile_of_a_session_that_does_not_run_is_rejected() {
    let mut s = Stack::ready(1);
    set(&mut s, 1, &profile(2, 0, "TxProfile", &[(0, 14)]), "Rejected");
    s.charge(1, "A");
    let mut other = profile(2, 0, "TxProfile", &[(0, 14)]);
    other["transactionId"] = json!(77);
    set(&mut s, 1, &other, "Rejected");
    set(&mut s, 0, &profile(2, 0, "TxProfile", &[(0, 14)]), "Rejected");
    assert_eq!(s.amps(1), 16);
}

#[test]
fn a_remote_start_brings_its_profile() {
    let mut s = Stack::ready(1);
    s.plug(1);
    s.look();
    s.ask(
        "RemoteStartTransaction",
        json!({"connectorId": 1, "idTag": "A",
            "chargingProfile": profile(3, 0, "TxProfile", &[(0, 8)])}),
    );
    s.run(5);
    s.expect(
        "+0 = RemoteStartTransaction Accepted
         +0 Start 1 A 1000000
         +1 Status 1 Charging",
    );
    assert_eq!(s.amps(1), 8);
}

#[test]
fn a_remote_start_with_another_purpose_is_rejected() {
    let mut s = Stack::ready(1);
    s.plug(1);
    s.look();
    for purpose in ["TxDefaultProfile", "ChargePointMaxProfile"] {
        s.asked(
            "RemoteStartTransaction",
            json!({"connectorId": 1, "idTag": "A",
                "chargingProfile": profile(3, 0, purpose, &[(0, 8)])}),
            "Rejected",
        );
    }
}

#[test]
fn the_composite_schedule_is_what_is_enforced_step_by_step() {
    let mut s = Stack::ready(1);
    s.charge(1, "A");
    // It is 12:00:13.
    set(
        &mut s,
        0,
        &profile(1, 0, "ChargePointMaxProfile", &[(0, 15), (60, 11)]),
        "Accepted",
    );
    set(
        &mut s,
        1,
        &profile(2, 0, "TxDefaultProfile", &[(0, 13), (40, 7), (80, 12)]),
        "Accepted",
    );
    s.ask(
        "GetCompositeSchedule",
        json!({"connectorId": 1, "duration": 100, "chargingRateUnit": "A"}),
    );
    let line = s.look().concat();
    let told: Value = serde_json::from_str(&line[line.find('{').expect("json")..]).expect("json");
    let periods: Vec<(i64, i64)> = told["chargingSchedule"]["chargingSchedulePeriod"]
        .as_array()
        .expect("periods")
        .iter()
        .map(|period| {
            let limit = period["limit"].as_f64().expect("a number");
            (period["startPeriod"].as_i64().expect("a number"), limit as i64)
        })
        .collect();
    assert_eq!(periods, [(0, 13), (23, 7), (63, 11)], "{told}");
    // And the charger is told the same, second by second.
    let mut seen = vec![(0, s.amps(1))];
    for second in 1..90 {
        s.run(1);
        if s.amps(1) != seen.last().expect("one").1 {
            seen.push((second, s.amps(1)));
        }
    }
    assert_eq!(seen, [(0, 13), (23, 7), (63, 11)]);
}

#[test]
fn a_composite_schedule_of_nothing_that_is_there_is_rejected() {
    let mut s = Stack::ready(1);
    s.asked(
        "GetCompositeSchedule",
        json!({"connectorId": 4, "duration": 100}),
        "Rejected",
    );
}

#[test]
fn profiles_are_cleared_by_id_by_what_they_are_and_all_together() {
    let mut s = Stack::ready(1);
    set(
        &mut s,
        1,
        &profile(1, 0, "TxDefaultProfile", &[(0, 10)]),
        "Accepted",
    );
    set(
        &mut s,
        1,
        &profile(2, 1, "TxDefaultProfile", &[(0, 9)]),
        "Accepted",
    );
    set(
        &mut s,
        0,
        &profile(3, 0, "ChargePointMaxProfile", &[(0, 12)]),
        "Accepted",
    );
    s.charge(1, "A");
    assert_eq!(s.amps(1), 9);
    s.asked("ClearChargingProfile", json!({"id": 2}), "Accepted");
    s.run(8);
    assert_eq!(s.amps(1), 10);
    s.asked(
        "ClearChargingProfile",
        json!({"connectorId": 1, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 0}),
        "Accepted",
    );
    s.run(8);
    assert_eq!(s.amps(1), 12);
    s.asked("ClearChargingProfile", json!({}), "Accepted");
    s.run(8);
    assert_eq!(s.amps(1), 16);
    s.asked("ClearChargingProfile", json!({}), "Unknown");
    s.asked("ClearChargingProfile", json!({"id": 2}), "Unknown");
}

#[test]
fn the_higher_stack_level_wins_while_it_has_something_to_say() {
    let mut s = Stack::ready(1);
    s.charge(1, "A");
    set(
        &mut s,
        1,
        &profile(1, 0, "TxDefaultProfile", &[(0, 10)]),
        "Accepted",
    );
    let mut above = profile(2, 1, "TxDefaultProfile", &[(0, 6)]);
    above["chargingSchedule"]["duration"] = json!(60);
    set(&mut s, 1, &above, "Accepted");
    assert_eq!(s.amps(1), 6);
    s.run(50);
    assert_eq!(s.amps(1), 10, "the upper one has ended");
    // The same level and purpose replaces.
    set(
        &mut s,
        1,
        &profile(7, 0, "TxDefaultProfile", &[(0, 11)]),
        "Accepted",
    );
    assert_eq!(s.amps(1), 11);
    s.asked("ClearChargingProfile", json!({"id": 1}), "Unknown");
}

#[test]
fn a_default_profile_that_comes_during_a_session_applies_to_it() {
    let mut s = Stack::charging();
    assert_eq!(s.amps(1), 16);
    set(
        &mut s,
        1,
        &profile(1, 0, "TxDefaultProfile", &[(0, 7)]),
        "Accepted",
    );
    assert_eq!(s.amps(1), 7);
    s.asked("ClearChargingProfile", json!({"id": 1}), "Accepted");
    s.run(8);
    assert_eq!(s.amps(1), 16);
}

#[test]
fn a_limit_under_the_least_suspends_and_profiles_survive_a_power_cut() {
    let mut s = Stack::charging();
    s.ask(
        "SetChargingProfile",
        json!({"connectorId": 1, "csChargingProfiles": profile(1, 0, "TxDefaultProfile", &[(0, 0)])}),
    );
    s.expect(
        "+0 = SetChargingProfile Accepted
         +0 Status 1 SuspendedEVSE",
    );
    s.run(2);
    assert_eq!(s.amps(1), 0);
    s.restart(10);
    s.run(5);
    assert_eq!(s.amps(1), 0);
    let told = s.look();
    assert!(
        told.last()
            .is_some_and(|line| line.contains("Status 1 SuspendedEVSE")),
        "{told:?}"
    );
    s.ask("ClearChargingProfile", json!({}));
    s.run(8);
    assert_eq!(s.amps(1), 16);
}
