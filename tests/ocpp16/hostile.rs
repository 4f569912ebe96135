//! A CSMS that lies, floods, repeats and mumbles: no panic, nothing unbounded, the line stays usable.

use crate::pair::{Pair, began};
use proptest::prelude::*;
use retrovolt::ocpp::{MAX_MESSAGE_BYTES, Misbehaviour};
use serde_json::{Value, json};

/// The line still works: a CALL is answered and a row is delivered.
fn still_works(pair: &mut Pair) {
    pair.wire.clear();
    pair.ask("GetConfiguration", json!({"key": ["HeartbeatInterval"]}));
    pair.result();
    pair.append(began("z", 1));
    let (id, _) = pair.call("StartTransaction");
    pair.reply(
        &id,
        json!({"transactionId": 1, "idTagInfo": {"status": "Accepted"}}),
    );
    assert_eq!(pair.cursor, pair.ledger.last().expect("row").seq);
}

#[test]
fn answers_nobody_asked_for_are_counted_and_ignored() {
    let mut pair = Pair::accepted();
    for text in [
        r#"[3,"no-such-id",{}]"#,
        r#"[4,"no-such-id","InternalError","",{}]"#,
        r#"[4,"-1","RpcFrameworkError","",{}]"#,
    ] {
        pair.text(text);
        pair.quiet();
    }
    assert_eq!(pair.count("unknown_answer"), 3);
    still_works(&mut pair);
}

#[test]
fn a_late_and_a_repeated_answer_change_nothing() {
    let mut pair = Pair::accepted();
    pair.append(began("a", 1));
    let (id, _) = pair.call("StartTransaction");
    let answer = json!({"transactionId": 5, "idTagInfo": {"status": "Accepted"}});
    pair.reply(&id, answer.clone());
    pair.reply(
        &id,
        json!({"transactionId": 6, "idTagInfo": {"status": "Invalid"}}),
    );
    pair.refuse(&id, "InternalError");
    pair.quiet();
    assert_eq!((pair.kv["tx/a"].as_str(), pair.count("unknown_answer")), ("5", 2));
    pair.append(began("b", 1));
    let (late, _) = pair.call("StartTransaction");
    pair.outage(1);
    let (again, _) = pair.call("StartTransaction");
    pair.reply(&late, answer);
    assert!(
        !pair.kv.contains_key("tx/b"),
        "an answer belongs to its own message id"
    );
    pair.reply(
        &again,
        json!({"transactionId": 9, "idTagInfo": {"status": "Accepted"}}),
    );
    assert_eq!(pair.kv["tx/b"], "9");
}

#[test]
fn too_big_and_too_deep_is_dropped_unread() {
    let mut pair = Pair::accepted();
    let big = format!(
        r#"[2,"a","DataTransfer",{{"vendorId":"x","data":"{}"}}]"#,
        "y".repeat(MAX_MESSAGE_BYTES)
    );
    pair.text(&big);
    let deep = format!(
        r#"[2,"a","DataTransfer",{}{}]"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    pair.text(&deep);
    pair.quiet();
    let what: Vec<&str> = pair.misbehaviours.iter().map(Misbehaviour::kind).collect();
    assert_eq!(what, ["too_big", "too_deep"]);
    still_works(&mut pair);
}

#[test]
fn frames_that_are_none_are_dropped() {
    let mut pair = Pair::accepted();
    for text in [
        "",
        " ",
        "null",
        "{}",
        "[]",
        "[2]",
        "[2,\"a\"]",
        "[2,1,\"Reset\",{}]",
        "[\"2\",\"a\",\"Reset\",{}]",
        "[7,\"a\"]",
        "[5,\"a\",\"x\",\"\",{}]",
        "[6,\"a\",\"x\",{}]",
        "[3]",
        "[3,\"a\"]",
        "[4,\"a\"]",
        "[2,\"\",\"Reset\",{}]",
        "[-1,\"a\",{}]",
        "[1e99]",
        "\u{0}",
        "[2,\"a\",\"Reset\",{}",
        "][",
    ] {
        let before = pair.misbehaviours.len();
        pair.text(text);
        assert_eq!(pair.misbehaviours.len(), before + 1, "{text:?}");
        if let Some(frame) = pair.wire.pop_front() {
            assert_eq!(
                (&frame[0], &frame[1]),
                (&json!(4), &json!("a")),
                "{text:?} -> {frame}"
            );
        }
    }
    still_works(&mut pair);
}

#[test]
fn an_id_in_flight_twice_is_answered_once() {
    let mut pair = Pair::accepted();
    pair.ask("ClearCache", json!({}));
    pair.ask("ClearCache", json!({}));
    let (_, _) = pair.command();
    assert!(pair.told.is_empty());
    assert_eq!(pair.count("duplicate_call"), 1);
    pair.quiet();
}

#[test]
fn an_id_used_again_later_is_a_new_call() {
    let mut pair = Pair::accepted();
    for _ in 0..2 {
        assert_eq!(
            pair.status_of("DataTransfer", json!({"vendorId": "x"})),
            "UnknownVendorId"
        );
    }
}

#[test]
fn a_flood_of_requests_is_bounded() {
    let mut pair = Pair::accepted();
    for number in 0..1000 {
        pair.text(&json!([2, number.to_string(), "ClearCache", {}]).to_string());
    }
    assert_eq!(pair.told.len(), 32, "the station is asked this often at most");
    assert_eq!((pair.wire.len(), pair.count("flood")), (968, 968));
}

#[test]
fn a_flood_of_triggers_sends_each_message_once() {
    let mut pair = Pair::accepted();
    pair.status(Some(1), retrovolt::domain::ConnectorStatus::Available);
    let (waiting, _) = pair.call("StatusNotification");
    for _ in 0..1000 {
        for message in ["Heartbeat", "StatusNotification"] {
            pair.ask("TriggerMessage", json!({"requestedMessage": message}));
            pair.result();
        }
    }
    pair.reply(&waiting, json!({}));
    let (id, _) = pair.call("StatusNotification");
    pair.reply(&id, json!({}));
    let (id, _) = pair.call("Heartbeat");
    pair.reply(&id, json!({"currentTime": pair.time()}));
    pair.quiet();
}

#[test]
fn every_misbehaviour_has_words_and_a_name() {
    let mut pair = Pair::accepted();
    pair.append(began("a", 1));
    for _ in 0..2 {
        let (id, _) = pair.call("StartTransaction");
        pair.refuse(&id, "TypeConstraintViolation");
        pair.pass(60);
    }
    assert!(pair.misbehaviours.iter().any(Misbehaviour::is_loss));
    for what in &pair.misbehaviours {
        assert!(!what.to_string().is_empty() && !what.kind().is_empty());
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!("2026-09-21T14:13:20Z")),
        Just(json!("Accepted")),
    ];
    let member = prop::sample::select(vec![
        "status",
        "currentTime",
        "interval",
        "idTagInfo",
        "transactionId",
        "connectorId",
        "type",
        "key",
        "value",
        "csChargingProfiles",
        "chargingSchedule",
        "chargingSchedulePeriod",
        "limit",
        "duration",
        "vendorId",
    ]);
    leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((member.clone(), inner), 0..6).prop_map(|members| Value::Object(
                members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
            )),
        ]
    })
}

fn any_frame() -> impl Strategy<Value = String> {
    let action = prop::sample::select(vec![
        "ChangeAvailability",
        "ChangeConfiguration",
        "ClearCache",
        "ClearChargingProfile",
        "DataTransfer",
        "GetCompositeSchedule",
        "GetConfiguration",
        "RemoteStartTransaction",
        "RemoteStopTransaction",
        "Reset",
        "SetChargingProfile",
        "TriggerMessage",
        "UnlockConnector",
        "Heartbeat",
        "Nonsense",
    ]);
    prop_oneof![
        ".{0,40}",
        any_json().prop_map(|value| value.to_string()),
        (action, "[a-z]{1,4}", any_json())
            .prop_map(|(action, id, payload)| json!([2, id, action, payload]).to_string()),
        (any_json(), any_json(), any_json()).prop_map(|(a, b, c)| json!([a, b, c]).to_string()),
        // Answers to whatever waits: the id is put in later.
        any_json().prop_map(|payload| json!([3, "WAITING", payload]).to_string()),
        any_json().prop_map(|code| json!([4, "WAITING", code, "", {}]).to_string()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_frame_panics_and_everything_stays_bounded(frames in prop::collection::vec(any_frame(), 1..40)) {
        let mut pair = Pair::new();
        pair.append(began("a", 1));
        pair.feed(retrovolt::ocpp::Input::Connected);
        let mut waiting = String::new();
        for frame in frames {
            while let Some(sent) = pair.wire.pop_front() {
                prop_assert!(sent[0] == 2 || sent[0] == 3 || sent[0] == 4);
                if sent[0] == 2 {
                    waiting = sent[1].as_str().expect("id").to_owned();
                }
            }
            let before = (pair.told.len(), pair.misbehaviours.len());
            pair.text(&frame.replace("WAITING", &waiting));
            prop_assert!(pair.wire.len() <= 3, "one frame, a few answers: {:?}", pair.wire);
            prop_assert!(pair.told.len() <= before.0 + 3 && pair.misbehaviours.len() <= before.1 + 3);
            prop_assert!(pair.machine.snapshot().rows_waiting <= 32);
        }
    }
}
