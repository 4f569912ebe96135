//! Transaction messages: order, ids, retries, time.

use crate::pair::{Pair, T0, T0_TEXT, began, changed, ended, sampled};
use retrovolt::domain::*;
use retrovolt::ocpp::{Effect, Input};
use serde_json::json;

fn started(pair: &mut Pair, tx: &str, number: i64) {
    pair.append(began(tx, 100));
    let (id, _) = pair.call("StartTransaction");
    pair.reply(
        &id,
        json!({"transactionId": number, "idTagInfo": {"status": "Accepted"}}),
    );
    pair.told.clear();
}

#[test]
fn a_session_from_start_to_stop() {
    let mut pair = Pair::accepted();
    pair.append(began("a", 100));
    let (id, start) = pair.call("StartTransaction");
    assert_eq!(
        start,
        json!({"connectorId": 1, "idTag": "CARD1", "meterStart": 100, "timestamp": T0_TEXT})
    );
    pair.reply(
        &id,
        json!({"transactionId": 42, "idTagInfo": {"status": "Accepted", "parentIdTag": "G"}}),
    );
    assert!(matches!(pair.told.pop_front(), Some(Effect::Learned { .. })));
    let Some(Effect::Verdict { tx, info }) = pair.told.pop_front() else {
        panic!("expected a verdict");
    };
    assert_eq!(
        (tx, info.status, info.group),
        (TxId::new("a"), AuthStatus::Accepted, Some("G".into()))
    );
    pair.append(sampled(Some("a"), 100_500));
    let (id, values) = pair.call("MeterValues");
    assert_eq!(
        values,
        json!({"connectorId": 1, "transactionId": 42, "meterValue": [{"timestamp": T0_TEXT, "sampledValue": [{
            "value": "100.5", "context": "Sample.Periodic", "format": "Raw", "location": "Outlet",
            "measurand": "Energy.Active.Import.Register", "unit": "Wh"}]}]})
    );
    pair.reply(&id, json!({}));
    pair.append(ended("a", 101));
    let (id, stop) = pair.call("StopTransaction");
    assert_eq!(
        stop,
        json!({"transactionId": 42, "meterStop": 101, "timestamp": T0_TEXT, "reason": "EVDisconnected"})
    );
    pair.reply(&id, json!({}));
    assert_eq!(pair.cursor, pair.ledger[2].seq);
    assert!(
        pair.kv.keys().all(|key| !key.starts_with("tx/")),
        "an ended transaction is forgotten"
    );
    pair.quiet();
}

#[test]
fn the_next_row_waits_until_the_id_is_durable() {
    let mut pair = Pair::accepted();
    pair.disk = false;
    pair.append(began("a", 1));
    pair.append(ended("a", 2));
    let (id, _) = pair.call("StartTransaction");
    pair.reply(
        &id,
        json!({"transactionId": 7, "idTagInfo": {"status": "Accepted"}}),
    );
    pair.quiet();
    assert_eq!(pair.held.len(), 1, "id and cursor are one commit");
    let batch = &pair.held[0].1;
    assert_eq!((batch.puts.len(), batch.cursors.len()), (2, 1));
    pair.sync_one();
    assert_eq!(pair.call("StopTransaction").1["transactionId"], 7);
}

#[test]
fn answers_to_the_csms_do_not_wait_for_the_ledger() {
    let mut pair = Pair::accepted();
    pair.disk = false;
    pair.append(began("a", 1));
    let (id, _) = pair.call("StartTransaction");
    pair.reply(
        &id,
        json!({"transactionId": 7, "idTagInfo": {"status": "Accepted"}}),
    );
    assert_eq!(
        pair.status_of("DataTransfer", json!({"vendorId": "com.evtivity"})),
        "UnknownVendorId"
    );
}

#[test]
fn what_only_2x_reports_is_passed_over_and_the_cursor_moves_on() {
    let mut pair = Pair::accepted();
    pair.append(changed("a"));
    let last = pair.append(changed("a"));
    pair.quiet();
    assert_eq!(pair.cursor, last);
}

#[test]
fn a_refused_row_waits_longer_each_time_and_others_overtake_it() {
    let mut pair = Pair::accepted();
    started(&mut pair, "a", 5);
    let row = pair.append(ended("a", 2));
    let (first, payload) = pair.call("StopTransaction");
    pair.refuse(&first, "RpcFrameworkError");
    pair.quiet();
    pair.status(Some(1), ConnectorStatus::Available);
    let (id, _) = pair.call("StatusNotification");
    pair.reply(&id, json!({}));
    let before = pair.now.mono;
    pair.pass(3000);
    assert_eq!(pair.now.mono.since(before).as_secs(), 60);
    let (second, again) = pair.call("StopTransaction");
    assert_eq!(payload, again);
    assert_ne!(first, second, "a new message id is always safe");
    pair.refuse(&second, "InternalError");
    let before = pair.now.mono;
    pair.pass(3000);
    assert_eq!(pair.now.mono.since(before).as_secs(), 120);
    let (third, _) = pair.call("StopTransaction");
    pair.refuse(&third, "GenericError");
    assert_eq!(pair.count("row_given_up"), 1);
    assert_eq!(pair.cursor, row);
}

#[test]
fn a_refusal_for_the_form_gets_fewer_tries_and_is_loud() {
    let mut pair = Pair::accepted();
    pair.append(sampled(None, 1));
    for code in ["FormatViolation", "OccurenceConstraintViolation"] {
        let (id, _) = pair.call("MeterValues");
        pair.refuse(&id, code);
        pair.pass(100);
    }
    pair.quiet();
    assert_eq!((pair.count("row_malformed"), pair.count("row_given_up")), (2, 1));
}

#[test]
fn attempts_and_interval_are_settings() {
    let mut pair = Pair::accepted();
    for (key, value) in [
        ("TransactionMessageAttempts", "1"),
        ("TransactionMessageRetryInterval", "5"),
    ] {
        let change = json!({"key": key, "value": value});
        assert_eq!(pair.status_of("ChangeConfiguration", change), "Accepted");
    }
    pair.append(began("a", 1));
    let (id, _) = pair.call("StartTransaction");
    pair.refuse(&id, "InternalError");
    assert_eq!(pair.count("row_given_up"), 1);
}

#[test]
fn after_a_start_that_was_given_up_the_rest_carries_minus_one() {
    let mut pair = Pair::accepted();
    pair.append(began("a", 1));
    pair.append(sampled(Some("a"), 1));
    pair.append(ended("a", 2));
    for _ in 0..3 {
        let (id, _) = pair.call("StartTransaction");
        pair.refuse(&id, "InternalError");
        if pair.wire.is_empty() {
            pair.pass(600);
        }
    }
    let (id, values) = pair.call("MeterValues");
    assert_eq!(values["transactionId"], -1);
    assert_eq!(pair.kv["tx/a"], "-1");
    pair.reply(&id, json!({}));
    assert_eq!(pair.call("StopTransaction").1["transactionId"], -1);
}

#[test]
fn the_id_follows_a_start_that_was_repeated() {
    let mut pair = Pair::accepted();
    pair.append(began("a", 1));
    pair.append(ended("a", 2));
    let (id, _) = pair.call("StartTransaction");
    pair.refuse(&id, "InternalError");
    pair.pass(60);
    let (id, _) = pair.call("StartTransaction");
    pair.reply(
        &id,
        json!({"transactionId": 0, "idTagInfo": {"status": "Accepted"}}),
    );
    assert_eq!(
        pair.call("StopTransaction").1["transactionId"],
        0,
        "0 is an id like any other"
    );
}

#[test]
fn a_start_answered_without_an_id_is_sent_again() {
    let mut pair = Pair::accepted();
    pair.append(began("a", 1));
    let (id, _) = pair.call("StartTransaction");
    pair.reply(&id, json!({"idTagInfo": {"status": "Accepted"}}));
    assert_eq!(pair.count("bad_answer"), 1);
    pair.pass(60);
    let (id, _) = pair.call("StartTransaction");
    pair.reply(
        &id,
        json!({"transactionId": "9", "idTagInfo": {"status": "Accepted"}}),
    );
    assert_eq!(pair.kv["tx/a"], "9");
}

#[test]
fn a_refused_token_reaches_the_station() {
    let mut pair = Pair::accepted();
    pair.append(began("a", 1));
    let (id, _) = pair.call("StartTransaction");
    pair.reply(
        &id,
        json!({"transactionId": 0, "idTagInfo": {"status": "Blocked"}}),
    );
    let Some(Effect::Learned { token, info }) = pair.told.pop_front() else {
        panic!("expected what to cache");
    };
    assert_eq!((token.text.as_str(), info.status), ("CARD1", AuthStatus::Blocked));
    let Some(Effect::Verdict { info, .. }) = pair.told.pop_front() else {
        panic!("expected a verdict");
    };
    assert_eq!(info.status, AuthStatus::Blocked);
}

#[test]
fn no_answer_closes_and_the_row_is_repeated_as_it_was() {
    let mut pair = Pair::accepted();
    pair.append(began("a", 1));
    pair.append(ended("a", 2));
    let (_, first) = pair.call("StartTransaction");
    for _ in 0..5 {
        pair.pass(30);
        assert_eq!(pair.closed, Some(1001));
        pair.outage(10);
        assert_eq!(pair.call("StartTransaction").1, first);
    }
    assert_eq!(pair.count("row_given_up"), 0, "silence never gives a row up");
}

#[test]
fn offline_rows_leave_in_order_after_the_link_is_back() {
    let mut pair = Pair::accepted();
    pair.feed(Input::Disconnected);
    for tx in ["a", "b"] {
        pair.append(began(tx, 1));
        pair.append(sampled(Some(tx), 1));
        pair.append(ended(tx, 2));
    }
    pair.quiet();
    pair.feed(Input::Connected);
    for number in [1, 2] {
        let (id, _) = pair.call("StartTransaction");
        pair.reply(
            &id,
            json!({"transactionId": number, "idTagInfo": {"status": "Accepted"}}),
        );
        let (id, values) = pair.call("MeterValues");
        assert_eq!(values["transactionId"], number);
        pair.reply(&id, json!({}));
        let (id, stop) = pair.call("StopTransaction");
        assert_eq!(stop["transactionId"], number);
        pair.reply(&id, json!({}));
    }
    pair.quiet();
}

#[test]
fn ten_thousand_reconnects_keep_the_order() {
    let mut pair = Pair::accepted();
    pair.feed(Input::Disconnected);
    let mut rng = Rng::new(7);
    let mut told = Vec::new();
    for round in 0..10_000_i64 {
        if round % 10 == 0 {
            pair.append(sampled(None, round * 1000));
        }
        pair.feed(Input::Connected);
        while let Some(frame) = pair.wire.pop_front() {
            assert_eq!(frame[2], "MeterValues");
            let value = frame[3]["meterValue"][0]["sampledValue"][0]["value"]
                .as_str()
                .map(str::to_owned);
            if told.last() != Some(&value) {
                told.push(value);
            }
            if rng.below(3) == 0 {
                break;
            }
            let id = frame[1].as_str().expect("id").to_owned();
            pair.reply(&id, json!({}));
        }
        pair.feed(Input::Disconnected);
    }
    let expected: Vec<_> = (0..1000).map(|row| Some((row * 10).to_string())).collect();
    assert_eq!(told, expected);
}

#[test]
fn a_long_queue_is_read_in_pieces() {
    let mut pair = Pair::new();
    for _ in 0..100 {
        pair.append(sampled(None, 1));
    }
    pair.boot("Accepted", 3600);
    for _ in 0..100 {
        let (id, values) = pair.call("MeterValues");
        assert!(values.get("transactionId").is_none());
        pair.reply(&id, json!({}));
        assert!(pair.machine.snapshot().rows_waiting <= 32);
    }
    pair.quiet();
    assert_eq!(pair.cursor, pair.ledger[99].seq);
}

#[test]
fn a_row_from_before_the_clock_was_known_is_corrected() {
    let mut pair = Pair::new();
    pair.now.wall = Wall::default();
    pair.append(began("a", 1));
    pair.pass(100);
    pair.now.wall = Wall::default();
    pair.feed(Input::Connected);
    let (id, _) = pair.call("BootNotification");
    pair.quiet();
    pair.reply(
        &id,
        json!({"status": "Accepted", "currentTime": pair.time(), "interval": 300}),
    );
    assert_eq!(pair.call("StartTransaction").1["timestamp"], T0_TEXT);
}

#[test]
fn a_row_with_unknown_time_waits_for_the_epoch_but_not_for_ever() {
    let mut pair = Pair::new();
    pair.epochs = false;
    pair.now.wall = Wall::default();
    pair.append(began("a", 1));
    pair.feed(Input::Connected);
    let (id, _) = pair.call("BootNotification");
    pair.reply(
        &id,
        json!({"status": "Accepted", "currentTime": T0_TEXT, "interval": 300}),
    );
    pair.quiet();
    pair.pass(5);
    assert_eq!(pair.call("StartTransaction").1["timestamp"], T0_TEXT);
}

#[test]
fn an_epoch_of_an_earlier_run_corrects_its_rows() {
    let mut pair = Pair::new();
    let trusted = pair.now;
    pair.now.wall = Wall::default();
    pair.append(began("a", 1));
    pair.restart();
    pair.now.wall = trusted.wall;
    pair.feed(Input::Epoch {
        boot: BootId(1),
        unix_ms_at_zero: T0 - 7000,
    });
    pair.boot("Accepted", 300);
    assert_eq!(
        pair.call("StartTransaction").1["timestamp"],
        "2026-09-21T14:13:13Z"
    );
}

#[test]
fn fractions_of_a_second_have_three_digits() {
    let mut pair = Pair::accepted();
    pair.now.wall.unix_ms += 50;
    pair.append(began("a", 1));
    assert_eq!(
        pair.call("StartTransaction").1["timestamp"],
        "2026-09-21T14:13:20.050Z"
    );
}

#[test]
fn stop_carries_samples_only_when_configured_and_never_too_many() {
    for (setting, count) in [("", None), ("Energy.Active.Import.Register", Some(100))] {
        let mut pair = Pair::accepted();
        let change = json!({"key": "StopTxnSampledData", "value": setting});
        assert_eq!(pair.status_of("ChangeConfiguration", change), "Accepted");
        started(&mut pair, "a", 5);
        let Event::Ended(mut end) = ended("a", 2) else {
            unreachable!()
        };
        let Event::Sampled { points, .. } = sampled(None, 1) else {
            unreachable!()
        };
        let at = pair.stamp();
        let sample = |context| MeterSample {
            at,
            context,
            points: points.clone(),
        };
        end.data = vec![sample(SampleContext::Periodic); 500];
        end.data[0] = sample(SampleContext::TransactionBegin);
        end.data[499] = sample(SampleContext::TransactionEnd);
        pair.append(Event::Ended(end));
        let (_, stop) = pair.call("StopTransaction");
        let data = stop
            .get("transactionData")
            .map(|data| data.as_array().expect("array").len());
        assert_eq!(data, count);
        if count.is_some() {
            let context = |index: usize| stop["transactionData"][index]["sampledValue"][0]["context"].clone();
            assert_eq!(
                (context(0), context(99)),
                (json!("Transaction.Begin"), json!("Transaction.End"))
            );
        }
    }
}

#[test]
fn a_status_waits_for_the_row_before_it_to_be_durable_but_not_for_a_store_that_hangs() {
    let mut pair = Pair::accepted();
    pair.disk = false;
    pair.append(began("a", 1));
    let (id, _) = pair.call("StartTransaction");
    pair.status(Some(1), ConnectorStatus::Charging);
    let answer = json!({"transactionId": 7, "idTagInfo": {"status": "Accepted"}});
    pair.reply(&id, answer);
    // Killed here, the start is repeated, and it was the last that was said.
    pair.quiet();
    pair.sync_one();
    let (id, _) = pair.call("StatusNotification");
    pair.reply(&id, json!({}));
    pair.append(sampled(Some("a"), 100_500));
    let (id, _) = pair.call("MeterValues");
    pair.reply(&id, json!({}));
    pair.status(Some(1), ConnectorStatus::SuspendedEV);
    pair.quiet();
    pair.pass(1);
    pair.quiet();
    pair.pass(1);
    let (id, _) = pair.call("StatusNotification");
    pair.reply(&id, json!({}));
    pair.status(Some(1), ConnectorStatus::Charging);
    pair.call("StatusNotification");
}
