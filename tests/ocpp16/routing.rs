//! Which transactions a CSMS is told of: those its token rule takes, each as a whole or not at all.

use crate::pair::{Pair, began, cp, csms, ended, sampled, token};
use retrovolt::domain::*;
use retrovolt::ocpp::Input;
use serde_json::json;

fn with(names: &[&str], tags: &[&str]) -> Pair {
    let mut rule = TagRule::default();
    tags.iter().for_each(|tag| rule.add(tag).expect("a pattern"));
    let back_end = |name: &&str| CsmsSetup {
        name: (*name).into(),
        tags: rule.clone(),
        ..csms(OcppVersion::V16)
    };
    let mut pair = Pair::of(CpSetup {
        csms: names.iter().map(back_end).collect(),
        ..cp()
    });
    pair.boot("Accepted", 3600);
    pair.told.clear();
    pair
}

fn began_by(tx: &str, tag: Option<&str>) -> Event {
    let Event::Began(mut begin) = began(tx, 100) else {
        unreachable!("a begin")
    };
    begin.token = tag.map(token);
    Event::Began(begin)
}

fn start(pair: &mut Pair, number: i64) {
    let (id, _) = pair.call("StartTransaction");
    pair.reply(
        &id,
        json!({"transactionId": number, "idTagInfo": {"status": "Accepted"}}),
    );
}

fn rest(pair: &mut Pair, tx: &str, number: i64) {
    pair.append(sampled(Some(tx), 100_500));
    let (id, values) = pair.call("MeterValues");
    assert_eq!(values["transactionId"], number);
    pair.reply(&id, json!({}));
    pair.append(ended(tx, 101));
    let (id, stop) = pair.call("StopTransaction");
    assert_eq!(stop["transactionId"], number);
    pair.reply(&id, json!({}));
}

#[test]
fn sessions_of_other_tags_are_passed_over_and_the_cursor_moves_on() {
    let mut pair = with(&["main"], &["04A1*"]);
    pair.append(began_by("private", Some("FF00")));
    pair.append(sampled(Some("private"), 100_500));
    let last = pair.append(ended("private", 101));
    pair.quiet();
    assert_eq!(pair.cursor, last, "nothing is held up by what is not told");
    pair.append(began_by("company", Some("04a1ee")));
    start(&mut pair, 5);
    rest(&mut pair, "company", 5);
    pair.append(began_by("nobody", None));
    let last = pair.append(ended("nobody", 101));
    pair.quiet();
    assert_eq!(pair.cursor, last);
    assert!(
        pair.kv.keys().all(|key| !key.starts_with("told/")),
        "{:?}",
        pair.kv
    );
}

#[test]
fn what_belongs_to_no_session_is_told_to_everybody() {
    let mut pair = with(&["main", "second"], &["04A1*"]);
    pair.append(sampled(None, 100_500));
    let (id, values) = pair.call("MeterValues");
    assert!(values.get("transactionId").is_none(), "{values}");
    pair.reply(&id, json!({}));
    pair.status(Some(1), ConnectorStatus::Charging);
    pair.call("StatusNotification");
}

#[test]
fn values_taken_apart_from_a_session_go_where_the_session_goes() {
    let beside = |tx: &str| match sampled(None, 100_500) {
        Event::Sampled {
            evse,
            context,
            points,
            ..
        } => Event::Sampled {
            tx: None,
            tx_seq: 0,
            evse,
            context,
            points,
            charging_state: None,
            offline: false,
            beside: Some(TxId::new(tx)),
        },
        other => panic!("{other:?}"),
    };
    let mut pair = with(&["main", "second"], &["04A1*"]);
    pair.append(began_by("private", Some("FF00")));
    let last = pair.append(beside("private"));
    pair.quiet();
    assert_eq!(pair.cursor, last, "nothing of it is told");
    pair.append(began_by("company", Some("04A1")));
    start(&mut pair, 5);
    pair.append(beside("company"));
    let (id, values) = pair.call("MeterValues");
    assert!(values.get("transactionId").is_none(), "{values}");
    pair.reply(&id, json!({}));
}

#[test]
fn values_that_would_not_be_told_are_not_promised() {
    let mut pair = with(&["main", "second"], &["04A1*"]);
    let session = |tx: &str, tag: &str| {
        Some(Session {
            tx: TxId::new(tx),
            token: Some(token(tag)),
        })
    };
    let (mine, other) = (session("a", "04A1"), session("b", "FF00"));
    for (told, status) in [
        (vec![other.clone()], "Rejected"),
        (vec![mine.clone()], "Accepted"),
        (vec![None], "Accepted"),
        (vec![other.clone(), None], "Accepted"),
        (vec![other, mine], "Accepted"),
        (vec![], "Rejected"),
    ] {
        pair.told.clear();
        pair.ask("TriggerMessage", json!({"requestedMessage": "MeterValues"}));
        let (id, _) = pair.command();
        let outcome = Outcome::Sampled(told.clone());
        pair.feed(Input::Answer { id, outcome });
        assert_eq!(pair.result()["status"], status, "{told:?}");
    }
}

#[test]
fn a_session_that_ran_before_the_csms_came_is_passed_over_to_its_end() {
    let mut pair = with(&["main", "second"], &[]);
    pair.append(sampled(Some("old"), 100_500));
    let last = pair.append(ended("old", 101));
    pair.quiet();
    assert_eq!(pair.cursor, last);
    pair.append(began_by("new", Some("ANY")));
    start(&mut pair, 6);
    rest(&mut pair, "new", 6);
}

#[test]
fn a_session_begun_is_told_to_its_end_over_restarts_and_changes_of_the_rule() {
    let mut pair = with(&["main"], &[]);
    pair.append(began_by("a", Some("FF00")));
    start(&mut pair, 7);
    pair.append(sampled(Some("a"), 100_500));
    let (id, _) = pair.call("MeterValues");
    pair.reply(&id, json!({}));
    let mut rule = TagRule::default();
    rule.add("04A1*").expect("a pattern");
    pair.cp.csms[0].tags = rule;
    pair.restart();
    pair.boot("Accepted", 3600);
    pair.append(ended("a", 101));
    let (id, stop) = pair.call("StopTransaction");
    assert_eq!(stop["transactionId"], 7);
    pair.reply(&id, json!({}));
    pair.append(began_by("b", Some("FF00")));
    pair.append(ended("b", 101));
    pair.quiet();
}

#[test]
fn the_mark_of_a_session_is_durable_with_its_begin() {
    let mut pair = with(&["main", "second"], &["04A1*"]);
    pair.append(began_by("a", Some("04A1")));
    let (id, _) = pair.call("StartTransaction");
    // The answer is lost with the process: the begin is told again, and only then what follows.
    pair.disk = false;
    pair.reply(
        &id,
        json!({"transactionId": 8, "idTagInfo": {"status": "Accepted"}}),
    );
    pair.restart();
    pair.disk = true;
    pair.boot("Accepted", 3600);
    start(&mut pair, 8);
    pair.restart();
    pair.boot("Accepted", 3600);
    rest(&mut pair, "a", 8);
}
