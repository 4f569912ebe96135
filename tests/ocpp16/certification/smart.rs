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

/// A profile with its kind and schedule written out.
fn written(level: i32, kind: Value, schedule: Value) -> Value {
    let mut profile = json!({"chargingProfileId": 40 + level, "stackLevel": level,
        "chargingProfilePurpose": "TxDefaultProfile", "chargingSchedule": schedule});
    let members = kind.as_object().expect("members").clone();
    profile.as_object_mut().expect("members").extend(members);
    profile
}

/// The amperes of each of the next seconds, without repeats.
fn course(s: &mut Stack, seconds: u64) -> Vec<(u64, i64)> {
    let mut course: Vec<(u64, i64)> = Vec::new();
    for second in 1..=seconds {
        s.run(1);
        let amps = s.amps(1);
        if course.last().is_none_or(|(_, last)| *last != amps) {
            course.push((second, amps));
        }
    }
    s.look();
    course
}

#[test]
fn a_recurring_profile_comes_again_by_the_hour_of_its_start_and_falls_back_in_between() {
    // It is Monday, 12:00:05, when the profiles come.
    let mut s = Stack::ready(1);
    let schedule = |start: &str, amps: i32| {
        json!({"chargingRateUnit": "A", "startSchedule": start, "duration": 20,
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": amps}]})
    };
    let every = |recurrency: &str| json!({"chargingProfileKind": "Recurring", "recurrencyKind": recurrency});
    let below = profile(1, 0, "TxDefaultProfile", &[(0, 12)]);
    set(&mut s, 1, &below, "Accepted");
    let daily = written(1, every("Daily"), schedule("2026-09-19T12:00:30Z", 7));
    set(&mut s, 1, &daily, "Accepted");
    let weekly = written(2, every("Weekly"), schedule("2026-09-07T12:01:10Z", 9));
    set(&mut s, 1, &weekly, "Accepted");
    // Of another day of the week.
    let other = written(3, every("Weekly"), schedule("2026-09-08T12:00:30Z", 6));
    set(&mut s, 1, &other, "Accepted");
    s.charge(1, "A");
    // It is 12:00:21.
    assert_eq!(s.amps(1), 12);
    let course = course(&mut s, 80);
    assert_eq!(course, [(1, 12), (9, 7), (29, 12), (49, 9), (69, 12)]);
}

#[test]
fn a_recurring_profile_without_its_recurrency_or_start_is_rejected() {
    let mut s = Stack::ready(1);
    let periods = json!([{"startPeriod": 0, "limit": 8}]);
    let bare = json!({"chargingRateUnit": "A", "chargingSchedulePeriod": periods});
    let started = json!({"chargingRateUnit": "A", "startSchedule": "2026-09-21T12:00:00Z",
        "chargingSchedulePeriod": periods});
    let recurring = json!({"chargingProfileKind": "Recurring"});
    set(&mut s, 1, &written(1, recurring, started), "Rejected");
    let daily = json!({"chargingProfileKind": "Recurring", "recurrencyKind": "Daily"});
    set(&mut s, 1, &written(1, daily, bare), "Rejected");
}

#[test]
fn a_relative_profile_counts_from_the_begin_of_the_session() {
    let mut s = Stack::ready(1);
    let schedule = json!({"chargingRateUnit": "A", "duration": 40, "chargingSchedulePeriod":
        [{"startPeriod": 0, "limit": 8}, {"startPeriod": 30, "limit": 6}]});
    let relative = written(0, json!({"chargingProfileKind": "Relative"}), schedule);
    set(&mut s, 1, &relative, "Accepted");
    s.run(100);
    s.charge(1, "A");
    // Eight seconds of it have passed; after its end nothing restricts any more.
    let course = course(&mut s, 60);
    assert_eq!(course, [(1, 8), (22, 6), (32, 16)]);
}

#[test]
fn a_profile_is_silent_before_and_after_its_validity() {
    let mut s = Stack::ready(1);
    let mut bounded = profile(1, 0, "TxDefaultProfile", &[(0, 8)]);
    bounded["validFrom"] = json!("2026-09-21T12:00:30Z");
    bounded["validTo"] = json!("2026-09-21T12:00:50Z");
    set(&mut s, 1, &bounded, "Accepted");
    s.charge(1, "A");
    // It is 12:00:15.
    let course = course(&mut s, 60);
    assert_eq!(course, [(1, 16), (15, 8), (35, 16)]);
    let mut never = bounded;
    never["validTo"] = json!("2026-09-21T12:00:30Z");
    set(&mut s, 1, &never, "Rejected");
}

#[test]
fn watts_are_those_of_all_phases_together_and_ampere_those_of_each() {
    let mut s = Stack::charging();
    for (unit, limit, phases, amps) in [
        ("W", 6_900, None, 10),
        ("W", 6_900, Some(3), 10),
        ("W", 2_300, Some(1), 10),
        ("A", 10, None, 10),
        // Errata 3.34: the limit holds as it is given, for the phases that are there.
        ("A", 11, Some(3), 11),
        ("A", 11, Some(1), 11),
    ] {
        let mut period = json!({"startPeriod": 0, "limit": limit});
        if let Some(phases) = phases {
            period["numberPhases"] = json!(phases);
        }
        let schedule = json!({"chargingRateUnit": unit, "chargingSchedulePeriod": [period]});
        let relative = written(0, json!({"chargingProfileKind": "Relative"}), schedule);
        set(&mut s, 1, &relative, "Accepted");
        s.run(8);
        assert_eq!(s.amps(1), amps, "{limit} {unit} on {phases:?}");
    }
}

#[test]
fn the_ceiling_of_the_charge_point_holds_over_every_other_profile() {
    let mut s = Stack::charging();
    set(&mut s, 1, &profile(1, 0, "TxProfile", &[(0, 14)]), "Accepted");
    assert_eq!(s.amps(1), 14);
    set(
        &mut s,
        0,
        &profile(2, 0, "ChargePointMaxProfile", &[(0, 9)]),
        "Accepted",
    );
    assert_eq!(s.amps(1), 9);
    set(
        &mut s,
        1,
        &profile(3, 0, "ChargePointMaxProfile", &[(0, 9)]),
        "Rejected",
    );
}

#[test]
fn what_is_no_profile_is_refused_by_name() {
    let mut s = Stack::ready(1);
    let mut ask = |connector: i32, change: &dyn Fn(&mut Value), answer: &str| {
        let mut profile = profile(1, 0, "TxDefaultProfile", &[(0, 10)]);
        change(&mut profile);
        set(&mut s, connector, &profile, answer);
    };
    // Errata 3.39 and 3.38.
    ask(9, &|_| {}, "!PropertyConstraintViolation");
    ask(-1, &|_| {}, "!PropertyConstraintViolation");
    ask(
        1,
        &|profile| profile["chargingSchedule"]["chargingRateUnit"] = json!("kW"),
        "!PropertyConstraintViolation",
    );
    ask(
        1,
        &|profile| profile["chargingProfilePurpose"] = json!("TxMaxProfile"),
        "!PropertyConstraintViolation",
    );
    ask(
        1,
        &|profile| profile["chargingSchedule"]["chargingSchedulePeriod"][0]["startPeriod"] = json!(5),
        "Rejected",
    );
    ask(1, &|profile| profile["stackLevel"] = json!(21), "Rejected");
    ask(1, &|profile| profile["stackLevel"] = json!(20), "Accepted");
}
