//! A CSMS that is not in control: everything is reported to it, its questions are answered, its commands refused.

use crate::pair::{Pair, T0_TEXT, began, cp, csms, ended};
use retrovolt::domain::*;
use retrovolt::ocpp::{Effect, Input};
use serde_json::{Value, json};
use std::time::Duration;

/// Behind another CSMS, which speaks 2.0.1.
fn second() -> CpSetup {
    let own = CsmsSetup {
        name: "second".into(),
        ..csms(OcppVersion::V16)
    };
    CpSetup {
        csms: vec![csms(OcppVersion::V201), own],
        ..cp()
    }
}

fn accepted() -> Pair {
    let mut pair = Pair::of(second());
    pair.boot("Accepted", 3600);
    pair.told.clear();
    pair
}

fn keys(pair: &mut Pair, asked: &[&str]) -> Vec<(String, bool, String)> {
    pair.ask("GetConfiguration", json!({ "key": asked }));
    let told = |key: &Value| {
        let text = |name: &str| key[name].as_str().unwrap_or_default().to_owned();
        (text("key"), key["readonly"] == true, text("value"))
    };
    let result = pair.result();
    let list = result["configurationKey"].as_array();
    list.into_iter().flatten().map(told).collect()
}

#[test]
fn every_command_is_refused_in_the_words_of_1_6_and_nothing_reaches_the_station() {
    let mut pair = accepted();
    let schedule =
        json!({"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8}]});
    let profile = json!({"chargingProfileId": 1, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative", "chargingSchedule": schedule});
    for (action, payload, answer) in [
        (
            "ChangeAvailability",
            json!({"connectorId": 0, "type": "Inoperative"}),
            "Rejected",
        ),
        (
            "ChangeConfiguration",
            json!({"key": "MeterValueSampleInterval", "value": "5"}),
            "Rejected",
        ),
        (
            "ChangeConfiguration",
            json!({"key": "LocalPreAuthorize", "value": "true"}),
            "Rejected",
        ),
        (
            "ChangeConfiguration",
            json!({"key": "NoSuchKey", "value": "true"}),
            "NotSupported",
        ),
        ("ClearCache", json!({}), "Rejected"),
        ("ClearChargingProfile", json!({}), "Unknown"),
        (
            "DataTransfer",
            json!({"vendorId": "org.example"}),
            "UnknownVendorId",
        ),
        (
            "RemoteStartTransaction",
            json!({"connectorId": 1, "idTag": "CARD1"}),
            "Rejected",
        ),
        ("Reset", json!({"type": "Hard"}), "Rejected"),
        (
            "SetChargingProfile",
            json!({"connectorId": 1, "csChargingProfiles": profile}),
            "Rejected",
        ),
        ("UnlockConnector", json!({"connectorId": 1}), "NotSupported"),
    ] {
        assert_eq!(pair.status_of(action, payload), answer, "{action}");
    }
    assert_eq!(pair.told.len(), 0, "{:?}", pair.told);
    pair.quiet();
}

#[test]
fn what_has_no_word_for_no_and_what_is_no_message_is_refused_as_an_error() {
    let mut pair = accepted();
    pair.ask(
        "UpdateFirmware",
        json!({"location": "ftp://x/y", "retrieveDate": T0_TEXT}),
    );
    assert_eq!(pair.error(), "NotSupported");
    pair.ask("Reset", json!({"type": "Now"}));
    assert_ne!(
        pair.error(),
        "NotSupported",
        "what is no message is refused as such"
    );
    pair.ask("MakeCoffee", json!({}));
    assert_eq!(pair.error(), "NotImplemented");
    assert_eq!(pair.told.len(), 0, "{:?}", pair.told);
    pair.quiet();
}

#[test]
fn a_transaction_it_knows_by_number_cannot_be_stopped_by_it() {
    let mut pair = accepted();
    pair.append(began("a", 100));
    let (id, _) = pair.call("StartTransaction");
    let blocked = json!({"transactionId": 42, "idTagInfo": {"status": "Blocked"}});
    pair.reply(&id, blocked);
    pair.told.clear();
    let stop = pair.status_of("RemoteStopTransaction", json!({"transactionId": 42}));
    assert_eq!(stop, "Rejected");
    assert_eq!(pair.told.len(), 0, "{:?}", pair.told);
    pair.append(ended("a", 101));
    let (id, stop) = pair.call("StopTransaction");
    assert_eq!(stop["transactionId"], 42, "its own number");
    pair.reply(&id, json!({}));
}

#[test]
fn its_questions_are_answered() {
    let mut pair = accepted();
    let heartbeat = pair.status_of("TriggerMessage", json!({"requestedMessage": "Heartbeat"}));
    assert_eq!(heartbeat, "Accepted");
    pair.call("Heartbeat");
    pair.ask("GetCompositeSchedule", json!({"connectorId": 1, "duration": 60}));
    assert!(matches!(pair.command(), (_, Command::GetComposite { .. })));
    let values = json!({"requestedMessage": "MeterValues", "connectorId": 1});
    pair.text(&json!([2, "q2", "TriggerMessage", values]).to_string());
    assert!(matches!(pair.command(), (_, Command::Trigger(_))));
}

#[test]
fn keys_of_its_own_connection_can_be_changed_the_others_are_told_as_they_are_in_force() {
    let mut pair = accepted();
    let params = Params {
        sample_interval: Duration::from_secs(17),
        sampled: vec![
            Measurand::all(Quantity::EnergyImport),
            Measurand {
                quantity: Quantity::Current,
                phase: Some(Phase::L2),
            },
        ],
        stop_on_invalid_id: false,
        max_energy_on_invalid_id: MilliWattHours::from_base(500),
        ..Params::default()
    };
    pair.feed(Input::Params(Box::new(params)));
    let told = keys(
        &mut pair,
        &[
            "MeterValueSampleInterval",
            "MeterValuesSampledData",
            "StopTransactionOnInvalidId",
            "MaxEnergyOnInvalidId",
            "HeartbeatInterval",
        ],
    );
    let told: Vec<(&str, bool, &str)> = told
        .iter()
        .map(|(k, r, v)| (k.as_str(), *r, v.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("MeterValueSampleInterval", true, "17"),
            (
                "MeterValuesSampledData",
                true,
                "Energy.Active.Import.Register,Current.Import.L2"
            ),
            ("StopTransactionOnInvalidId", true, "false"),
            ("MaxEnergyOnInvalidId", true, "500"),
            ("HeartbeatInterval", false, "3600"),
        ]
    );
    let set = json!({"key": "HeartbeatInterval", "value": "77"});
    assert_eq!(pair.status_of("ChangeConfiguration", set), "Accepted");
    assert_eq!(pair.told.len(), 0, "no setting of the station: {:?}", pair.told);
    pair.restart();
    pair.boot("Accepted", 0);
    let told = keys(&mut pair, &["HeartbeatInterval"]);
    assert_eq!(told[0].2, "77", "kept for this CSMS");
}

#[test]
fn what_steers_the_station_comes_through_whole() {
    let all = |quantity| vec![Measurand::all(quantity)];
    let params = Params {
        connection_timeout: Duration::from_secs(61),
        sample_interval: Duration::from_secs(62),
        aligned_interval: Duration::from_secs(63),
        sampled: all(Quantity::Power),
        aligned: all(Quantity::Voltage),
        stop_sampled: all(Quantity::Soc),
        stop_aligned: all(Quantity::Current),
        stop_sample_interval: Duration::from_secs(62),
        stop_aligned_interval: Duration::from_secs(63),
        min_status_duration: Duration::from_secs(3),
        stop_on_ev_disconnect: false,
        stop_on_invalid_id: false,
        max_energy_on_invalid_id: MilliWattHours::from_base(9),
        authorize_remote_start: true,
        local_authorize_offline: false,
        local_pre_authorize: true,
        allow_offline_unknown: true,
        cache_enabled: false,
        unlock_on_ev_disconnect: true,
    };
    let mut pair = accepted();
    pair.feed(Input::Params(Box::new(params.clone())));
    assert_eq!(pair.machine.params(), params);
    let mut controlling = Pair::accepted();
    controlling.feed(Input::Params(Box::new(params.clone())));
    assert_ne!(
        controlling.machine.params(),
        params,
        "who is in control sets them"
    );
    assert!(
        !controlling
            .told
            .iter()
            .any(|e| matches!(e, Effect::Command { .. }))
    );
}
