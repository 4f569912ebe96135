//! Rows of the ledger as TransactionEvents (block E, J02), and what the answers bring.

use crate::accepted;
use crate::pair::{Pair, T0_TEXT, began, changed, ended, sampled, token};
use retrovolt::domain::*;
use retrovolt::ocpp::{Effect, Input};
use serde_json::{Value, json};

/// Takes the next TransactionEvent and answers it.
fn next(pair: &mut Pair, answer: Value) -> Value {
    let (id, event) = pair.call("TransactionEvent");
    pair.reply(&id, answer);
    event
}

#[test]
fn a_transaction_is_told_from_the_rows_alone() {
    let mut pair = accepted();
    let Event::Began(mut begin) = began("tx-1", 100) else {
        panic!("not a begin")
    };
    begin.trigger = TxTrigger::RemoteStart;
    begin.remote_start_id = Some(7);
    pair.append(Event::Began(begin));
    let register = json!([{"timestamp": T0_TEXT, "sampledValue": [{"value": 100.999, "context": "Transaction.Begin",
        "measurand": "Energy.Active.Import.Register", "location": "Outlet"}]}]);
    assert_eq!(
        next(&mut pair, json!({})),
        json!({"eventType": "Started", "timestamp": T0_TEXT, "triggerReason": "RemoteStart", "seqNo": 0,
            "transactionInfo": {"transactionId": "tx-1", "chargingState": "EVConnected", "remoteStartId": 7},
            "evse": {"id": 1, "connectorId": 1}, "idToken": {"idToken": "CARD1", "type": "Local"}, "meterValue": register})
    );
    pair.append(sampled(Some("tx-1"), 101_500));
    let told = next(&mut pair, json!({}));
    assert_eq!(
        (&told["eventType"], &told["triggerReason"], &told["seqNo"]),
        (&json!("Updated"), &json!("MeterValuePeriodic"), &json!(1))
    );
    assert_eq!(told["transactionInfo"], json!({"transactionId": "tx-1"}));
    assert_eq!(told["meterValue"][0]["sampledValue"][0]["value"], 101.5);
    for only_in_the_first in ["evse", "idToken", "offline"] {
        assert!(told[only_in_the_first].is_null(), "{only_in_the_first}");
    }
    pair.append(changed("tx-1"));
    let told = next(&mut pair, json!({}));
    assert_eq!(told["triggerReason"], "ChargingStateChanged");
    assert_eq!(told["transactionInfo"]["chargingState"], "Charging");
    assert!(told["meterValue"].is_null());
    pair.append(ended("tx-1", 200));
    let told = next(&mut pair, json!({}));
    assert_eq!((&told["eventType"], &told["seqNo"]), (&json!("Ended"), &json!(3)));
    let end = &told["meterValue"][0]["sampledValue"][0];
    assert_eq!(
        (&end["value"], &end["context"]),
        (&json!(200), &json!("Transaction.End"))
    );
    assert_eq!(pair.cursor, pair.ledger.last().expect("rows").seq);
}

#[test]
fn every_reason_to_stop_has_its_trigger() {
    for (reason, trigger, stopped) in [
        (StopReason::DeAuthorized, "Deauthorized", "DeAuthorized"),
        (StopReason::EmergencyStop, "AbnormalCondition", "EmergencyStop"),
        (
            StopReason::EVDisconnected,
            "EVCommunicationLost",
            "EVDisconnected",
        ),
        (StopReason::HardReset, "ResetCommand", "ImmediateReset"),
        (StopReason::SoftReset, "ResetCommand", "ImmediateReset"),
        (StopReason::Local, "StopAuthorized", "Local"),
        (StopReason::Other, "AbnormalCondition", "Other"),
        (StopReason::PowerLoss, "AbnormalCondition", "PowerLoss"),
        (StopReason::Reboot, "AbnormalCondition", "Reboot"),
        (StopReason::Remote, "RemoteStop", "Remote"),
        (StopReason::UnlockCommand, "UnlockCommand", "Other"),
    ] {
        let mut pair = accepted();
        let Event::Ended(end) = ended("t", 1) else {
            panic!("not an end")
        };
        let event = Event::Ended(End {
            reason,
            token: Some(token("CARD2")),
            ..end
        });
        pair.append(event);
        let told = next(&mut pair, json!({}));
        assert_eq!(told["triggerReason"], trigger, "{reason:?}");
        assert_eq!(told["transactionInfo"]["stoppedReason"], stopped, "{reason:?}");
        assert_eq!(told["idToken"]["idToken"], "CARD2");
        let idle = reason == StopReason::EVDisconnected;
        assert_eq!(
            told["transactionInfo"]["chargingState"] == "Idle",
            idle,
            "{reason:?}"
        );
    }
}

#[test]
fn what_was_kept_for_the_end_is_told_and_the_register_always() {
    let mut pair = accepted();
    let sample = |context, quantity, milli| MeterSample {
        at: pair.stamp(),
        context,
        points: vec![SamplePoint {
            quantity,
            phase: Phase::Total,
            milli,
            quality: Quality::Good,
        }],
    };
    let data = vec![
        sample(SampleContext::TransactionBegin, Quantity::EnergyImport, 1_000),
        sample(SampleContext::TransactionEnd, Quantity::Power, 0),
    ];
    let Event::Ended(end) = ended("t", 5) else {
        panic!("not an end")
    };
    pair.append(Event::Ended(End { data, ..end }));
    let told = next(&mut pair, json!({}));
    let values = told["meterValue"].as_array().expect("values");
    assert_eq!(values.len(), 2);
    let of = |index: usize, place: usize| values[index]["sampledValue"][place]["measurand"].clone();
    assert_eq!(of(0, 0), "Energy.Active.Import.Register");
    assert_eq!((of(1, 0), of(1, 1)), (json!("Power.Active.Import"), of(0, 0)));
    assert_eq!(values[1]["sampledValue"][1]["value"], 5);
    // Who asks for nothing at the end gets nothing.
    let none = json!({"setVariableData": [{"component": {"name": "SampledDataCtrlr"},
        "variable": {"name": "TxEndedMeasurands"}, "attributeValue": ""}]});
    pair.ask("SetVariables", none);
    assert_eq!(
        pair.result()["setVariableResult"][0]["attributeStatus"],
        "Accepted"
    );
    pair.append(ended("u", 5));
    assert!(next(&mut pair, json!({}))["meterValue"].is_null());
}

#[test]
fn rows_taken_offline_say_so_and_keep_their_time_and_order() {
    let mut pair = accepted();
    pair.feed(Input::Disconnected);
    let offline = |event| match event {
        Event::Began(begin) => Event::Began(Begin {
            offline: true,
            ..begin
        }),
        Event::Ended(end) => Event::Ended(End { offline: true, ..end }),
        Event::Sampled {
            tx,
            tx_seq,
            evse,
            context,
            points,
            charging_state,
            ..
        } => Event::Sampled {
            tx,
            tx_seq,
            evse,
            context,
            points,
            charging_state,
            offline: true,
            beside: None,
        },
        other => other,
    };
    for event in [began("t", 1), sampled(Some("t"), 2_000), ended("t", 3)] {
        pair.append(offline(event));
        pair.pass(60);
    }
    pair.feed(Input::Connected);
    let mut told = Vec::new();
    for _ in 0..3 {
        let event = next(&mut pair, json!({}));
        assert_eq!(event["offline"], true, "{event}");
        told.push((
            event["eventType"].clone(),
            event["timestamp"].clone(),
            event["seqNo"].clone(),
        ));
    }
    assert_eq!(told[0], (json!("Started"), json!(T0_TEXT), json!(0)));
    assert_eq!(
        told[1],
        (json!("Updated"), json!("2026-09-21T14:14:20Z"), json!(1))
    );
    assert_eq!(told[2], (json!("Ended"), json!("2026-09-21T14:15:20Z"), json!(3)));
}

#[test]
fn a_verdict_reaches_the_station_and_an_empty_answer_is_none() {
    let mut pair = accepted();
    pair.append(began("t", 1));
    next(&mut pair, json!({"idTokenInfo": {"status": "Blocked"}}));
    let verdict = pair.told.iter().find_map(|effect| match effect {
        Effect::Verdict { tx, info } => Some((tx.as_str().to_owned(), info.status)),
        _ => None,
    });
    assert_eq!(verdict, Some(("t".to_owned(), AuthStatus::Blocked)));
    pair.told.clear();
    pair.append(sampled(Some("t"), 2_000));
    next(&mut pair, json!({}));
    pair.append(ended("t", 3));
    next(&mut pair, json!({"idTokenInfo": {"status": "Invalid"}}));
    assert!(
        !pair
            .told
            .iter()
            .any(|effect| matches!(effect, Effect::Verdict { .. }))
    );
}

#[test]
fn an_event_without_a_value_that_has_a_name_is_still_told() {
    let mut pair = accepted();
    let Event::Sampled { evse, context, .. } = sampled(None, 1) else {
        panic!("not a sample")
    };
    let points = vec![SamplePoint {
        quantity: Quantity::Temperature,
        phase: Phase::Total,
        milli: 30_000,
        quality: Quality::Good,
    }];
    let event = |tx: Option<&str>| Event::Sampled {
        tx: tx.map(TxId::new),
        tx_seq: 4,
        evse,
        context,
        points: points.clone(),
        charging_state: None,
        offline: false,
        beside: None,
    };
    pair.append(event(Some("t")));
    let told = next(&mut pair, json!({}));
    assert_eq!(told["seqNo"], 4);
    assert!(told["meterValue"].is_null());
    // Outside of a transaction there is nothing to say.
    pair.append(event(None));
    pair.quiet();
    pair.append(sampled(None, 7_000));
    let (_, told) = pair.call("MeterValues");
    assert_eq!(told["evseId"], 1);
    assert_eq!(told["meterValue"][0]["sampledValue"][0]["value"], 7);
}

#[test]
fn nobody_identified_is_told_as_no_authorization() {
    let mut pair = accepted();
    let Event::Began(begin) = began("t", 1) else {
        panic!("not a begin")
    };
    pair.append(Event::Began(Begin { token: None, ..begin }));
    let told = next(&mut pair, json!({}));
    assert_eq!(told["idToken"], json!({"idToken": "", "type": "NoAuthorization"}));
}

#[test]
fn a_refused_event_is_sent_again_with_growing_waits_and_then_given_up() {
    let mut pair = accepted();
    pair.append(began("t", 1));
    pair.append(ended("t", 2));
    for wait in [60, 120] {
        let (id, event) = pair.call("TransactionEvent");
        assert_eq!(event["eventType"], "Started");
        pair.refuse(&id, "InternalError");
        pair.quiet();
        let before = pair.now.mono.0;
        pair.pass(3_000);
        assert_eq!((pair.now.mono.0 - before) / 1_000, wait);
    }
    let (id, _) = pair.call("TransactionEvent");
    pair.refuse(&id, "InternalError");
    assert_eq!(pair.count("row_given_up"), 1);
    assert_eq!(pair.call("TransactionEvent").1["eventType"], "Ended");
}

#[test]
fn a_security_event_is_told_in_its_turn() {
    let mut pair = accepted();
    pair.append(Event::Security(SecurityEvent {
        name: "StartupOfTheDevice".into(),
        info: Some("x".repeat(300)),
    }));
    let (id, told) = pair.call("SecurityEventNotification");
    assert_eq!(told["type"], "StartupOfTheDevice");
    assert_eq!(told["techInfo"].as_str().map(str::len), Some(255));
    pair.reply(&id, json!({}));
    assert_eq!(pair.cursor, pair.ledger[0].seq);
}

#[test]
fn a_queue_begun_in_1_6_is_delivered_in_2_0_1() {
    let mut pair = Pair::accepted();
    pair.append(began("t", 1));
    let (id, _) = pair.call("StartTransaction");
    pair.reply(
        &id,
        json!({"transactionId": 5, "idTagInfo": {"status": "Accepted"}}),
    );
    pair.feed(Input::Disconnected);
    pair.append(sampled(Some("t"), 2_000));
    pair.append(ended("t", 3));
    pair.cp.csms = vec![crate::pair::csms(OcppVersion::V201)];
    pair.restart();
    pair.boot("Accepted", 300);
    assert_eq!(next(&mut pair, json!({}))["eventType"], "Updated");
    assert_eq!(next(&mut pair, json!({}))["eventType"], "Ended");
    pair.quiet();
}
