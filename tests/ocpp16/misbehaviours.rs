//! Promise N1 for 1.6, by name: what a CSMS can do wrong, what it gets for it, and that a good request is answered after it.

use crate::pair::{NO_FRAMES, Pair, began, token};
use retrovolt::ocpp::{Input, MAX_DEPTH, MAX_MESSAGE_BYTES};
use serde_json::{Value, json};

/// A name, the text that comes, the code of the CALLERROR it gets (`None`: silence), and what it is counted as.
type Case = (&'static str, String, Option<&'static str>, &'static str);

fn case(name: &'static str, text: impl Into<String>, code: Option<&'static str>, kind: &'static str) -> Case {
    (name, text.into(), code, kind)
}

/// A CALL with the id `q`.
fn call(name: &'static str, action: &str, payload: Value, code: &'static str) -> Case {
    case(
        name,
        json!([2, "q", action, payload]).to_string(),
        Some(code),
        "bad_call",
    )
}

fn broken_frames() -> Vec<Case> {
    let silent = |name, text: &str| case(name, text, None, "bad_frame");
    let told = |name, text: &str| case(name, text, Some("FormationViolation"), "bad_frame");
    let deep = |depth: usize| format!("[2,\"q\",\"Reset\",{}{}]", "[".repeat(depth), "]".repeat(depth));
    let padding = "y".repeat(MAX_MESSAGE_BYTES);
    let mut cases: Vec<Case> = NO_FRAMES.iter().map(|&(name, text)| silent(name, text)).collect();
    cases.extend([
        silent("a type that is a text", r#"["2","q","Reset",{}]"#),
        silent("an unknown type", r#"[7,"q","Reset",{}]"#),
        silent("a negative type", r#"[-2,"q","Reset",{}]"#),
        silent("a type beyond all numbers", r#"[1e999,"q","Reset",{}]"#),
        silent("a CALLRESULTERROR of 2.1", r#"[5,"q","GenericError","",{}]"#),
        silent("a SEND of 2.1", r#"[6,"q","NotifyPeriodicEventStream",{}]"#),
        silent("a CALLRESULT without payload", r#"[3,"q"]"#),
        silent("a CALLERROR without code", r#"[4,"q"]"#),
        told("a CALL without action", r#"[2,"q"]"#),
        told("a CALL without payload", r#"[2,"q","Reset"]"#),
        told("an action that is a number", r#"[2,"q",7,{}]"#),
        case(
            "a message of one byte too many",
            format!(r#"[2,"q","DataTransfer",{{"vendorId":"{padding}"}}]"#),
            None,
            "too_big",
        ),
        case("one level too deep", deep(MAX_DEPTH), None, "too_deep"),
        case("100,000 levels", deep(100_000), None, "too_deep"),
    ]);
    cases
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn wrong_calls() -> Vec<Case> {
    let (kind, missing) = ("TypeConstraintViolation", "OccurenceConstraintViolation");
    let value = "PropertyConstraintViolation";
    let period = |limit: Value| {
        json!({"connectorId": 1, "csChargingProfiles": {
            "chargingProfileId": 1, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Relative",
            "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
        }})
    };
    vec![
        call("an action nobody knows", "Explode", json!({}), "NotImplemented"),
        call(
            "an action in other letters",
            "clearcache",
            json!({}),
            "NotImplemented",
        ),
        call("an action of 2.0.1", "GetVariables", json!({}), "NotImplemented"),
        call(
            "an action of charge points",
            "Heartbeat",
            json!({}),
            "NotSupported",
        ),
        call(
            "a payload that is a list",
            "ClearCache",
            json!([]),
            "FormationViolation",
        ),
        call(
            "a payload that is null",
            "ClearCache",
            Value::Null,
            "FormationViolation",
        ),
        call(
            "a payload that is a text",
            "Reset",
            json!("Soft"),
            "FormationViolation",
        ),
        call("a field missing", "Reset", json!({}), missing),
        call("a field that is null", "Reset", json!({"type": null}), kind),
        call("a number for a text", "Reset", json!({"type": 5}), kind),
        call(
            "a text for a number",
            "UnlockConnector",
            json!({"connectorId": "one"}),
            kind,
        ),
        call(
            "a fraction for an integer",
            "UnlockConnector",
            json!({"connectorId": 1.5}),
            kind,
        ),
        call(
            "an integer beyond all integers",
            "UnlockConnector",
            json!({"connectorId": 1e40}),
            kind,
        ),
        call(
            "an object for a text",
            "ChangeConfiguration",
            json!({"key": {}, "value": "1"}),
            kind,
        ),
        call(
            "a text for an object",
            "SetChargingProfile",
            json!({"connectorId": 1, "csChargingProfiles": "none"}),
            kind,
        ),
        call(
            "a text for a limit",
            "SetChargingProfile",
            period(json!("16")),
            kind,
        ),
        call(
            "a word the list of words has not",
            "Reset",
            json!({"type": "Lukewarm"}),
            value,
        ),
        call(
            "a text that is too long",
            "RemoteStartTransaction",
            json!({"idTag": "x".repeat(21)}),
            value,
        ),
        call(
            "a negative connector",
            "SetChargingProfile",
            {
                let mut profile = period(json!(16));
                profile["connectorId"] = json!(-1);
                profile
            },
            value,
        ),
        call(
            "a connector that does not exist",
            "SetChargingProfile",
            {
                let mut profile = period(json!(16));
                profile["connectorId"] = json!(99);
                profile
            },
            value,
        ),
        call(
            "a date that is none",
            "ReserveNow",
            json!({
                "connectorId": 1, "expiryDate": "tomorrow", "idTag": "C", "reservationId": 1
            }),
            value,
        ),
    ]
}

/// A CALL is answered, and a row is delivered.
fn still_works(pair: &mut Pair, after: &str) {
    pair.wire.clear();
    pair.ask("GetConfiguration", json!({"key": ["HeartbeatInterval"]}));
    let told = pair.result();
    assert!(told["configurationKey"].is_array(), "after {after}: {told}");
    pair.append(began(after, 1));
    let (id, _) = pair.call("StartTransaction");
    pair.reply(
        &id,
        json!({"transactionId": 1, "idTagInfo": {"status": "Accepted"}}),
    );
    assert_eq!(
        pair.cursor,
        pair.ledger.last().expect("a row").seq,
        "after {after}"
    );
}

#[test]
fn n1_every_wrong_message_gets_its_code_or_silence_and_a_good_one_is_answered_after_it() {
    let cases = [broken_frames(), wrong_calls()].concat();
    assert!(cases.len() >= 40);
    let mut wrong = Vec::new();
    for (name, text, code, kind) in cases {
        let mut pair = Pair::accepted();
        let before = pair.misbehaviours.len();
        pair.text(&text);
        let got = pair.wire.pop_front();
        let told = got
            .as_ref()
            .map(|frame| (frame[0].clone(), frame[1].clone(), frame[2].clone()));
        let counted: Vec<&str> = pair.misbehaviours[before..]
            .iter()
            .map(|what| what.kind())
            .collect();
        let wanted = code.map(|code| (json!(4), json!("q"), json!(code)));
        if told != wanted || counted != [kind] || !pair.wire.is_empty() || !pair.told.is_empty() {
            wrong.push(format!(
                "{name}: {got:?} and {counted:?}, then {:?} {:?}",
                pair.wire, pair.told
            ));
            continue;
        }
        still_works(&mut pair, name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a wrong answer to a CALL of ours is counted as.
type WrongAnswer = (&'static str, &'static str, &'static str);

#[test]
fn n1_a_wrong_answer_to_a_boot_is_counted_and_the_next_one_counts() {
    let cases: [WrongAnswer; 7] = [
        ("an empty boot", r#"[3,"ID",{}]"#, "bad_answer"),
        ("a list", r#"[3,"ID",[]]"#, "bad_answer"),
        ("null", r#"[3,"ID",null]"#, "bad_answer"),
        (
            "an unknown status",
            r#"[3,"ID",{"status":"Perhaps","currentTime":"2026-09-21T14:13:20Z","interval":9}]"#,
            "bad_answer",
        ),
        ("a refusal", r#"[4,"ID","InternalError","",{}]"#, "call_error"),
        (
            "a refusal by no code",
            r#"[4,"ID","Nonsense","",{}]"#,
            "call_error",
        ),
        ("a refusal that is broken", r#"[4,"ID",7]"#, "bad_frame"),
    ];
    for (name, text, kind) in cases {
        let mut pair = Pair::new();
        pair.feed(Input::Connected);
        let (id, _) = pair.call("BootNotification");
        pair.text(&text.replace("ID", &id));
        assert_eq!(pair.count(kind), 1, "{name}: {:?}", pair.misbehaviours);
        assert!(!pair.online, "{name}");
        pair.quiet();
        pair.pass(120);
        if pair.closed.is_some() {
            // That was no answer at all, and the link counted as dead.
            pair.outage(60);
        }
        let (id, _) = pair.call("BootNotification");
        pair.reply(
            &id,
            json!({"status": "Accepted", "currentTime": pair.time(), "interval": 3600}),
        );
        assert!(pair.online, "{name}");
        still_works(&mut pair, name);
    }
}

#[test]
fn n1_a_time_that_cannot_be_is_not_taken() {
    for (name, time) in [
        ("1970", "1970-01-01T00:00:00Z"),
        ("no date", "yesterday"),
        ("nothing", ""),
        ("the 30th of February", "2026-02-30T00:00:00Z"),
        ("a year of five digits", "12026-01-01T00:00:00Z"),
    ] {
        let mut pair = Pair::accepted();
        let clock = pair.clock;
        pair.ask("TriggerMessage", json!({"requestedMessage": "Heartbeat"}));
        pair.result();
        let (id, _) = pair.call("Heartbeat");
        pair.reply(&id, json!({"currentTime": time}));
        assert_eq!(pair.clock, clock, "{name}");
        let counted = pair.count("bad_time") + pair.count("bad_answer");
        assert_eq!(counted, 1, "{name}: {:?}", pair.misbehaviours);
        still_works(&mut pair, name);
    }
}

#[test]
fn n1_a_wrong_answer_to_a_row_never_loses_it() {
    let cases: [WrongAnswer; 6] = [
        ("nothing", r#"[3,"ID",{}]"#, "bad_answer"),
        (
            "no id",
            r#"[3,"ID",{"idTagInfo":{"status":"Accepted"}}]"#,
            "bad_answer",
        ),
        (
            "a text for the id",
            r#"[3,"ID",{"transactionId":"five","idTagInfo":{"status":"Accepted"}}]"#,
            "bad_answer",
        ),
        ("a list", r#"[3,"ID",[5]]"#, "bad_answer"),
        ("a refusal", r#"[4,"ID","InternalError","",{}]"#, "call_error"),
        ("a refusal by no code", r#"[4,"ID","","",{}]"#, "call_error"),
    ];
    for (name, text, kind) in cases {
        let mut pair = Pair::accepted();
        pair.append(began("a", 1));
        let (id, first) = pair.call("StartTransaction");
        pair.text(&text.replace("ID", &id));
        assert_eq!(pair.count(kind), 1, "{name}: {:?}", pair.misbehaviours);
        assert_eq!(pair.cursor, 0, "{name}: the row was not delivered");
        pair.pass(120);
        let (id, again) = pair.call("StartTransaction");
        assert_eq!(first, again, "{name}");
        pair.reply(
            &id,
            json!({"transactionId": 5, "idTagInfo": {"status": "Accepted"}}),
        );
        assert_eq!(pair.kv["tx/a"], "5", "{name}");
        still_works(&mut pair, name);
    }
}

#[test]
fn n1_a_wrong_verdict_lets_nobody_in() {
    for (name, text) in [
        ("nothing", r#"[3,"ID",{}]"#),
        ("a word", r#"[3,"ID",{"idTagInfo":"Accepted"}]"#),
        ("an unknown status", r#"[3,"ID",{"idTagInfo":{"status":"Sure"}}]"#),
        ("a list", r#"[3,"ID",["Accepted"]]"#),
        ("a refusal", r#"[4,"ID","InternalError","",{}]"#),
    ] {
        let mut pair = Pair::accepted();
        pair.feed(Input::Authorize {
            request: 3,
            evse: retrovolt::domain::EvseId(1),
            token: token("CARD1"),
        });
        let (id, _) = pair.call("Authorize");
        pair.text(&text.replace("ID", &id));
        let told = format!("{:?}", pair.told.pop_front());
        assert!(
            told.starts_with("Some(Authorized") && !told.contains("Accepted"),
            "{name}: {told}"
        );
        still_works(&mut pair, name);
    }
}
