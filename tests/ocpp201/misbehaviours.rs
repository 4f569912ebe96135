//! Promise N1 for 2.0.1, by name: what a CSMS can do wrong, what it gets for it, and that a good request is answered after it.

use crate::pair::{NO_FRAMES, Pair, began, token};
use crate::{accepted, pair};
use retrovolt::domain::EvseId;
use retrovolt::ocpp::{Input, MAX_DEPTH, MAX_MESSAGE_BYTES};
use serde_json::{Value, json};

/// A name, the text that comes, id and code of the CALLERROR it gets (`None`: silence), and what it is counted as.
type Case = (
    &'static str,
    String,
    Option<(&'static str, &'static str)>,
    &'static str,
);

fn broken_frames() -> Vec<Case> {
    let silent = |name, text: &str| (name, text.to_owned(), None, "bad_frame");
    // Part 4, section 4.2.3: where no id can be read it is -1.
    let framework = |name, text: &str| {
        (
            name,
            text.to_owned(),
            Some(("-1", "RpcFrameworkError")),
            "bad_frame",
        )
    };
    let told = |name, text: &str| {
        (
            name,
            text.to_owned(),
            Some(("q", "RpcFrameworkError")),
            "bad_frame",
        )
    };
    let unspoken = |name, text: &str| {
        (
            name,
            text.to_owned(),
            Some(("-1", "MessageTypeNotSupported")),
            "bad_frame",
        )
    };
    let deep = |depth: usize| format!("[2,\"q\",\"Reset\",{}{}]", "[".repeat(depth), "]".repeat(depth));
    let padding = "y".repeat(MAX_MESSAGE_BYTES);
    let big = format!(r#"[2,"q","DataTransfer",{{"vendorId":"{padding}"}}]"#);
    let mut cases: Vec<Case> = NO_FRAMES
        .iter()
        .map(|&(name, text)| framework(name, text))
        .collect();
    cases.extend([
        framework("a type that is a text", r#"["2","q","Reset",{}]"#),
        unspoken("an unknown type", r#"[7,"q","Reset",{}]"#),
        unspoken("a negative type", r#"[-2,"q","Reset",{}]"#),
        framework("a type beyond all numbers", r#"[1e999,"q","Reset",{}]"#),
        unspoken("a SEND of 2.1", r#"[6,"q","NotifyPeriodicEventStream",{}]"#),
        silent("a CALLRESULT without payload", r#"[3,"q"]"#),
        silent("a CALLERROR without code", r#"[4,"q"]"#),
        silent("a CALLERROR whose code is a number", r#"[4,"q",7,"",{}]"#),
        told("a CALL without action", r#"[2,"q"]"#),
        told("a CALL without payload", r#"[2,"q","Reset"]"#),
        told("an action that is a number", r#"[2,"q",7,{}]"#),
        ("a message of one byte too many", big, None, "too_big"),
        ("one level too deep", deep(MAX_DEPTH), None, "too_deep"),
        ("100,000 levels", deep(100_000), None, "too_deep"),
    ]);
    cases
}

fn wrong_calls() -> Vec<Case> {
    let call = |name, action: &str, payload: Value, code| {
        let text = json!([2, "q", action, payload]).to_string();
        (name, text, Some(("q", code)), "bad_call")
    };
    let (kind, missing) = ("TypeConstraintViolation", "OccurrenceConstraintViolation");
    let (value, form) = ("PropertyConstraintViolation", "FormatViolation");
    let start = |token: Value| json!({"remoteStartId": 1, "idToken": token});
    vec![
        call("an action nobody knows", "Explode", json!({}), "NotImplemented"),
        call(
            "an action in other letters",
            "clearcache",
            json!({}),
            "NotImplemented",
        ),
        call(
            "an action of 1.6",
            "GetConfiguration",
            json!({}),
            "NotImplemented",
        ),
        call(
            "an action of charge points",
            "Heartbeat",
            json!({}),
            "NotSupported",
        ),
        call("a payload that is a list", "ClearCache", json!([]), form),
        call("a payload that is null", "ClearCache", Value::Null, form),
        call("a payload that is a text", "Reset", json!("Immediate"), form),
        call("a field missing", "Reset", json!({}), missing),
        call("a field that is null", "Reset", json!({"type": null}), kind),
        call("a number for a text", "Reset", json!({"type": 5}), kind),
        call(
            "a word for a number",
            "UnlockConnector",
            json!({"evseId": "one", "connectorId": 1}),
            kind,
        ),
        call(
            "a fraction for an integer",
            "UnlockConnector",
            json!({"evseId": 1.5, "connectorId": 1}),
            kind,
        ),
        call(
            "an integer beyond all integers",
            "UnlockConnector",
            json!({"evseId": 1e40, "connectorId": 1}),
            kind,
        ),
        call(
            "a text for an object",
            "RequestStartTransaction",
            start(json!("CARD")),
            kind,
        ),
        call(
            "an object for a list",
            "GetVariables",
            json!({"getVariableData": {}}),
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
            "RequestStartTransaction",
            start(json!({"idToken": "x".repeat(37), "type": "Central"})),
            value,
        ),
        call(
            "an empty list",
            "GetVariables",
            json!({"getVariableData": []}),
            missing,
        ),
    ]
}

/// A CALL is answered, and a row is delivered.
fn still_works(pair: &mut Pair, after: &str) {
    pair.wire.clear();
    let variable = json!({"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}});
    pair.ask("GetVariables", json!({"getVariableData": [variable]}));
    let told = pair.result();
    assert_eq!(
        told["getVariableResult"][0]["attributeStatus"], "Accepted",
        "after {after}: {told}"
    );
    pair.append(began(after, 1));
    let (id, _) = pair.call("TransactionEvent");
    pair.reply(&id, json!({}));
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
    for (name, text, told, kind) in cases {
        let mut pair = accepted();
        let before = pair.misbehaviours.len();
        pair.text(&text);
        let got = pair.wire.pop_front();
        let error = got.as_ref().map(|frame| json!([frame[0], frame[1], frame[2]]));
        let wanted = told.map(|(id, code)| json!([4, id, code]));
        let counted: Vec<&str> = pair.misbehaviours[before..]
            .iter()
            .map(|what| what.kind())
            .collect();
        if error != wanted || counted != [kind] || !pair.wire.is_empty() || !pair.told.is_empty() {
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

#[test]
fn n1_a_wrong_answer_to_a_boot_is_counted_and_the_next_one_counts() {
    for (name, text, kind) in [
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
    ] {
        let mut pair = pair();
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
fn n1_a_wrong_verdict_lets_nobody_in() {
    for (name, text) in [
        ("nothing", r#"[3,"ID",{}]"#),
        ("a word", r#"[3,"ID",{"idTokenInfo":"Accepted"}]"#),
        (
            "an unknown status",
            r#"[3,"ID",{"idTokenInfo":{"status":"Sure"}}]"#,
        ),
        ("a list", r#"[3,"ID",["Accepted"]]"#),
        ("a refusal", r#"[4,"ID","InternalError","",{}]"#),
    ] {
        let mut pair = accepted();
        pair.feed(Input::Authorize {
            request: 3,
            evse: EvseId(1),
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
