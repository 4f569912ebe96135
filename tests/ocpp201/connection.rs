//! Registration, boot reasons, statuses (B01 to B04, G01, G02).

use crate::pair::{T0_TEXT, began};
use crate::{accepted, pair, refused};
use retrovolt::domain::*;
use retrovolt::ocpp::Input;
use serde_json::json;

#[test]
fn the_boot_message_fits_its_lengths_and_gives_its_reason() {
    let mut pair = pair();
    pair.facts("SERIAL-OF-A-CHARGER-THAT-IS-LONG");
    pair.feed(Input::Connected);
    let (_, boot) = pair.call("BootNotification");
    assert_eq!(
        boot,
        json!({"reason": "PowerUp", "chargingStation": {"vendorName": "Retrovolt", "model": "A model name that is",
            "serialNumber": "SERIAL-OF-A-CHARGER-THAT-", "firmwareVersion": "0.1.0"}})
    );
}

#[test]
fn an_accepted_boot_sets_the_heartbeat_and_tells_every_connector_but_no_station() {
    let mut pair = pair();
    pair.status(None, ConnectorStatus::Available);
    pair.status(Some(1), ConnectorStatus::Charging);
    pair.status(Some(2), ConnectorStatus::Faulted);
    pair.boot("Accepted", 42);
    assert_eq!(pair.kv["var/OCPPCommCtrlr.HeartbeatInterval"], "42");
    for (evse, status) in [(1, "Occupied"), (2, "Faulted")] {
        let (id, told) = pair.call("StatusNotification");
        assert_eq!(
            told,
            json!({"evseId": evse, "connectorId": 1, "connectorStatus": status, "timestamp": T0_TEXT})
        );
        pair.reply(&id, json!({}));
    }
    pair.quiet();
    pair.pass(1000);
    assert_eq!(pair.now.mono.0, 42_000);
    assert_eq!(pair.call("Heartbeat").1, json!({}));
}

#[test]
fn what_2_0_1_tells_alike_is_told_once() {
    let mut pair = accepted();
    let mut told = Vec::new();
    for status in [
        ConnectorStatus::Available,
        ConnectorStatus::Preparing,
        ConnectorStatus::Charging,
        ConnectorStatus::SuspendedEV,
        ConnectorStatus::SuspendedEVSE,
        ConnectorStatus::Finishing,
        ConnectorStatus::Available,
        ConnectorStatus::Reserved,
        ConnectorStatus::Unavailable,
    ] {
        pair.status(Some(1), status);
        while !pair.wire.is_empty() {
            let (id, call) = pair.call("StatusNotification");
            told.push(call["connectorStatus"].as_str().expect("status").to_owned());
            pair.reply(&id, json!({}));
        }
    }
    assert_eq!(
        told,
        ["Available", "Occupied", "Available", "Reserved", "Unavailable"]
    );
}

#[test]
fn a_change_while_the_answer_is_out_is_not_told_twice_either() {
    let mut pair = accepted();
    pair.status(Some(1), ConnectorStatus::Preparing);
    let (id, _) = pair.call("StatusNotification");
    pair.status(Some(1), ConnectorStatus::Charging);
    pair.reply(&id, json!({}));
    pair.quiet();
    pair.status(Some(1), ConnectorStatus::Available);
    assert_eq!(pair.call("StatusNotification").1["connectorStatus"], "Available");
}

#[test]
fn after_a_short_outage_only_what_changed_is_told_and_after_a_long_one_all() {
    let mut pair = accepted();
    for evse in [1, 2] {
        pair.status(Some(evse), ConnectorStatus::Available);
        let (id, _) = pair.call("StatusNotification");
        pair.reply(&id, json!({}));
    }
    pair.outage(30);
    pair.quiet();
    pair.outage(61);
    for _ in [1, 2] {
        let (id, _) = pair.call("StatusNotification");
        pair.reply(&id, json!({}));
    }
    pair.quiet();
}

#[test]
fn a_reset_says_whether_it_waited() {
    for (kind, reason) in [
        (ResetKind::Soft, "RemoteReset"),
        (ResetKind::OnIdle, "ScheduledReset"),
    ] {
        let mut pair = accepted();
        pair.feed(Input::Reboot(kind));
        assert_eq!(pair.closed, Some(1001), "{kind:?}");
        pair.feed(Input::Disconnected);
        pair.closed = None;
        pair.feed(Input::Connected);
        let (_, boot) = pair.call("BootNotification");
        assert_eq!(boot["reason"], reason);
    }
}

#[test]
fn a_mere_reconnect_does_not_boot_and_changed_facts_do() {
    let mut pair = accepted();
    pair.outage(5);
    pair.quiet();
    pair.facts("NEW");
    pair.outage(5);
    let (_, boot) = pair.call("BootNotification");
    assert_eq!(boot["reason"], "Unknown");
    assert_eq!(boot["chargingStation"]["serialNumber"], "NEW");
}

#[test]
fn pending_is_silence_but_for_answers_and_triggers() {
    let mut pair = pair();
    pair.status(Some(1), ConnectorStatus::Available);
    pair.append(began("a", 1));
    pair.boot("Pending", 25);
    pair.quiet();
    let start = json!({"remoteStartId": 1, "idToken": crate::central("X")});
    assert_eq!(
        refused(&mut pair, "RequestStartTransaction", start),
        ("Rejected".into(), "CSNotAccepted".into())
    );
    assert_eq!(
        refused(&mut pair, "RequestStopTransaction", json!({"transactionId": "a"})),
        ("Rejected".into(), "CSNotAccepted".into())
    );
    let boot = json!({"requestedMessage": "BootNotification"});
    assert_eq!(pair.status_of("TriggerMessage", boot.clone()), "Accepted");
    let (id, told) = pair.call("BootNotification");
    assert_eq!(told["reason"], "Triggered");
    let reply = json!({"status": "Accepted", "currentTime": pair.time(), "interval": 300});
    pair.reply(&id, reply);
    assert!(pair.online);
    let (id, _) = pair.call("StatusNotification");
    pair.reply(&id, json!({}));
    assert_eq!(pair.call("TransactionEvent").1["eventType"], "Started");
    assert_eq!(pair.status_of("TriggerMessage", boot), "Rejected");
}

#[test]
fn a_damaged_frame_gets_the_code_of_2_0_1() {
    let mut pair = accepted();
    for (text, code) in [
        (
            "[2, \"x\", \"GetVariables\", {}]",
            "OccurrenceConstraintViolation",
        ),
        ("[2, \"x\", \"GetVariables\", []]", "FormatViolation"),
        (
            "[2, \"x\", \"Reset\", {\"type\": \"Soft\"}]",
            "PropertyConstraintViolation",
        ),
        ("[2, \"x\", \"ReserveNow\", {}]", "NotSupported"),
        ("[2, \"x\", \"RemoteStartTransaction\", {}]", "NotImplemented"),
        ("{}", "RpcFrameworkError"),
    ] {
        pair.text(text);
        let frame = pair
            .wire
            .pop_front()
            .unwrap_or_else(|| panic!("no answer to {text}"));
        assert_eq!(
            (&frame[0], &frame[2]),
            (&json!(4), &json!(code)),
            "{text}: {frame}"
        );
    }
}
