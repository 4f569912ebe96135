//! A CSMS that is not in control, in 2.0.1.

use crate::central;
use crate::pair::{Pair, began, cp, csms, ended, sampled};
use retrovolt::domain::*;
use retrovolt::ocpp::Input;
use serde_json::{Value, json};
use std::time::Duration;

/// Behind another CSMS, which speaks 1.6.
fn accepted() -> Pair {
    let own = CsmsSetup {
        name: "second".into(),
        ..csms(OcppVersion::V201)
    };
    let mut pair = Pair::of(CpSetup {
        csms: vec![csms(OcppVersion::V16), own],
        ..cp()
    });
    pair.boot("Accepted", 3600);
    pair.told.clear();
    pair
}

#[test]
fn every_command_is_refused_with_its_reason_and_nothing_reaches_the_station() {
    let mut pair = accepted();
    let schedule = json!([{"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8}]}]);
    let profile = json!({"id": 1, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative", "chargingSchedule": schedule});
    for (action, payload, answer) in [
        (
            "ChangeAvailability",
            json!({"operationalStatus": "Inoperative"}),
            "Rejected",
        ),
        ("ClearCache", json!({}), "Rejected"),
        ("ClearChargingProfile", json!({"chargingProfileId": 1}), "Unknown"),
        (
            "DataTransfer",
            json!({"vendorId": "org.example"}),
            "UnknownVendorId",
        ),
        (
            "RequestStartTransaction",
            json!({"evseId": 1, "remoteStartId": 1, "idToken": central("CARD1")}),
            "Rejected",
        ),
        (
            "RequestStopTransaction",
            json!({"transactionId": "a"}),
            "Rejected",
        ),
        ("Reset", json!({"type": "Immediate"}), "Rejected"),
        (
            "SetChargingProfile",
            json!({"evseId": 1, "chargingProfile": profile}),
            "Rejected",
        ),
        (
            "UnlockConnector",
            json!({"evseId": 1, "connectorId": 1}),
            "UnlockFailed",
        ),
    ] {
        pair.ask(action, payload);
        let result = pair.result();
        assert_eq!(result["status"], answer, "{action}");
        assert_eq!(
            result["statusInfo"]["reasonCode"], "UnsupportedRequest",
            "{action}"
        );
        assert_eq!(
            result["statusInfo"]["additionalInfo"], "another CSMS is in control",
            "{action}"
        );
    }
    pair.ask("SetMonitoringLevel", json!({"severity": 1}));
    assert_eq!(pair.error(), "NotSupported", "not offered to anybody");
    assert_eq!(pair.told.len(), 0, "{:?}", pair.told);
    pair.quiet();
}

fn set(pair: &mut Pair, items: &[(&str, &str, &str)]) -> Vec<(Value, Value)> {
    let data: Vec<Value> = items
        .iter()
        .map(|(component, variable, value)| {
            json!({"component": {"name": component}, "variable": {"name": variable}, "attributeValue": value})
        })
        .collect();
    pair.ask("SetVariables", json!({ "setVariableData": data }));
    let result = pair.result();
    let results = result["setVariableResult"].as_array().expect("results").iter();
    results
        .map(|r| {
            (
                r["attributeStatus"].clone(),
                r["attributeStatusInfo"]["reasonCode"].clone(),
            )
        })
        .collect()
}

fn get(pair: &mut Pair, component: &str, variable: &str) -> Value {
    let asked = json!({"component": {"name": component}, "variable": {"name": variable}});
    pair.ask("GetVariables", json!({ "getVariableData": [asked] }));
    pair.result()["getVariableResult"][0]["attributeValue"].clone()
}

#[test]
fn variables_of_its_own_connection_can_be_set_the_others_are_told_as_they_are_in_force() {
    let mut pair = accepted();
    let params = Params {
        sample_interval: Duration::from_secs(17),
        sampled: vec![
            Measurand::all(Quantity::EnergyImport),
            Measurand {
                quantity: Quantity::Current,
                phase: Some(Phase::L2),
            },
            Measurand::all(Quantity::Current),
            Measurand::all(Quantity::Temperature),
        ],
        ..Params::default()
    };
    pair.feed(Input::Params(Box::new(params)));
    assert_eq!(get(&mut pair, "SampledDataCtrlr", "TxUpdatedInterval"), "17");
    assert_eq!(
        get(&mut pair, "SampledDataCtrlr", "TxUpdatedMeasurands"),
        "Energy.Active.Import.Register,Current.Import"
    );
    let results = set(
        &mut pair,
        &[
            ("SampledDataCtrlr", "TxUpdatedInterval", "5"),
            ("OCPPCommCtrlr", "HeartbeatInterval", "77"),
            ("AuthCtrlr", "LocalPreAuthorize", "true"),
            ("AuthCtrlr", "NoSuchVariable", "true"),
        ],
    );
    assert_eq!(
        results,
        [
            (json!("Rejected"), json!("ReadOnly")),
            (json!("Accepted"), Value::Null),
            (json!("Rejected"), json!("ReadOnly")),
            (json!("UnknownVariable"), Value::Null),
        ]
    );
    assert_eq!(pair.told.len(), 0, "no setting of the station: {:?}", pair.told);
    assert_eq!(get(&mut pair, "OCPPCommCtrlr", "HeartbeatInterval"), "77");
    assert_eq!(get(&mut pair, "SampledDataCtrlr", "TxUpdatedInterval"), "17");
}

#[test]
fn the_report_says_what_it_may_set() {
    let mut pair = accepted();
    pair.ask(
        "GetBaseReport",
        json!({"requestId": 1, "reportBase": "ConfigurationInventory"}),
    );
    assert_eq!(pair.result()["status"], "Accepted");
    let (_, report) = pair.call("NotifyReport");
    let data = report["reportData"].as_array().expect("data");
    assert_eq!(data.len(), 6, "{report}");
    for item in data {
        assert_eq!(item["component"]["name"], "OCPPCommCtrlr");
        assert_eq!(item["variableAttribute"][0]["mutability"], "ReadWrite");
    }
}

#[test]
fn its_questions_are_answered() {
    let mut pair = accepted();
    let sign = json!({"requestedMessage": "SignChargingStationCertificate"});
    assert_eq!(pair.status_of("TriggerMessage", sign), "Rejected");
    pair.ask("GetCompositeSchedule", json!({"evseId": 1, "duration": 60}));
    assert!(matches!(pair.command(), (_, Command::GetComposite { .. })));
    let values = json!({"requestedMessage": "TransactionEvent", "evse": {"id": 1}});
    pair.text(&json!([2, "q2", "TriggerMessage", values]).to_string());
    assert!(matches!(pair.command(), (_, Command::Trigger(_))));
}

#[test]
fn its_transactions_are_whole_and_without_gaps() {
    let mut pair = accepted();
    // One that ran before it came.
    pair.append(sampled(Some("old"), 100_000));
    pair.append(ended("old", 100));
    pair.quiet();
    pair.append(began("a", 100));
    let (id, begin) = pair.call("TransactionEvent");
    assert_eq!(
        (&begin["eventType"], &begin["seqNo"]),
        (&json!("Started"), &json!(0))
    );
    // A verdict of this one stops nothing; the runtime passes none on.
    pair.reply(&id, json!({"idTokenInfo": {"status": "Blocked"}}));
    pair.restart();
    pair.boot("Accepted", 3600);
    pair.append(sampled(Some("a"), 100_500));
    let (id, update) = pair.call("TransactionEvent");
    assert_eq!(update["seqNo"], 1);
    pair.reply(&id, json!({}));
    pair.append(ended("a", 101));
    let (id, end) = pair.call("TransactionEvent");
    assert_eq!(end["eventType"], "Ended");
    pair.reply(&id, json!({}));
    assert!(
        pair.kv.keys().all(|key| !key.starts_with("told/")),
        "{:?}",
        pair.kv
    );
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
        stop_sample_interval: Duration::from_secs(64),
        stop_aligned_interval: Duration::from_secs(65),
        // 2.0.1 has no variable for it.
        min_status_duration: Duration::ZERO,
        stop_on_ev_disconnect: false,
        stop_on_invalid_id: false,
        max_energy_on_invalid_id: MilliWattHours::from_base(9),
        authorize_remote_start: true,
        local_authorize_offline: false,
        local_pre_authorize: true,
        allow_offline_unknown: true,
        cache_enabled: false,
        // Without local lists in 2.0.1 there is nothing to switch on.
        list_enabled: false,
        unlock_on_ev_disconnect: true,
    };
    let mut pair = accepted();
    pair.feed(Input::Params(Box::new(params.clone())));
    assert_eq!(pair.machine.params(), params);
}
