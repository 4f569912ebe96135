//! The device model: GetVariables, SetVariables, GetBaseReport (B05 to B07).

use crate::accepted;
use crate::pair::{Pair, cp, csms};
use retrovolt::domain::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

fn get(pair: &mut Pair, component: Value, variable: Value) -> (String, Option<String>) {
    let asked = json!({"getVariableData": [{"component": component, "variable": variable}]});
    pair.ask("GetVariables", asked);
    let result = pair.result()["getVariableResult"][0].clone();
    let text = |name: &str| result[name].as_str().map(str::to_owned);
    (text("attributeStatus").expect("a status"), text("attributeValue"))
}

fn set(pair: &mut Pair, component: &str, variable: Value, value: &str) -> (String, String) {
    let asked = json!({"setVariableData": [{"component": {"name": component}, "variable": variable, "attributeValue": value}]});
    pair.ask("SetVariables", asked);
    let result = pair.result()["setVariableResult"][0].clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (
        text(&result["attributeStatus"]),
        text(&result["attributeStatusInfo"]["reasonCode"]),
    )
}

#[test]
fn values_of_controllers_and_of_hardware_are_told() {
    let mut pair = accepted();
    pair.status(Some(2), ConnectorStatus::SuspendedEV);
    let (id, _) = pair.call("StatusNotification");
    pair.reply(&id, json!({}));
    let time = pair.time();
    for (component, variable, value) in [
        (
            json!({"name": "txctrlr"}),
            json!({"name": "txstartpoint"}),
            "PowerPathClosed",
        ),
        (
            json!({"name": "DeviceDataCtrlr"}),
            json!({"name": "ItemsPerMessage", "instance": "GetVariables"}),
            "100",
        ),
        (
            json!({"name": "OCPPCommCtrlr"}),
            json!({"name": "WebSocketPingInterval"}),
            "60",
        ),
        (
            json!({"name": "SecurityCtrlr"}),
            json!({"name": "Identity"}),
            "CP1",
        ),
        (
            json!({"name": "ClockCtrlr"}),
            json!({"name": "DateTime"}),
            time.as_str(),
        ),
        (
            json!({"name": "ChargingStation"}),
            json!({"name": "AvailabilityState"}),
            "Available",
        ),
        (
            json!({"name": "EVSE", "evse": {"id": 2}}),
            json!({"name": "AvailabilityState"}),
            "Occupied",
        ),
        (
            json!({"name": "EVSE", "evse": {"id": 1}}),
            json!({"name": "SupplyPhases"}),
            "3",
        ),
        (
            json!({"name": "Connector", "evse": {"id": 1, "connectorId": 1}}),
            json!({"name": "Available"}),
            "true",
        ),
    ] {
        let told = get(&mut pair, component, variable.clone());
        assert_eq!(
            told,
            ("Accepted".to_owned(), Some(value.to_owned())),
            "{variable}"
        );
    }
}

#[test]
fn what_is_not_there_is_named_for_what_is_missing() {
    let mut pair = accepted();
    for (component, variable, status) in [
        (
            json!({"name": "NoCtrlr"}),
            json!({"name": "Interval"}),
            "UnknownComponent",
        ),
        (
            json!({"name": "TxCtrlr"}),
            json!({"name": "Interval"}),
            "UnknownVariable",
        ),
        (
            json!({"name": "OCPPCommCtrlr"}),
            json!({"name": "MessageTimeout"}),
            "UnknownVariable",
        ),
        (
            json!({"name": "EVSE", "evse": {"id": 3}}),
            json!({"name": "Power"}),
            "UnknownComponent",
        ),
        (
            json!({"name": "Connector", "evse": {"id": 1, "connectorId": 2}}),
            json!({"name": "Available"}),
            "UnknownComponent",
        ),
        (
            json!({"name": "TxCtrlr", "instance": "x"}),
            json!({"name": "TxStartPoint"}),
            "UnknownComponent",
        ),
    ] {
        assert_eq!(
            get(&mut pair, component.clone(), variable),
            (status.to_owned(), None),
            "{component}"
        );
    }
    let target = json!({"getVariableData": [{"component": {"name": "TxCtrlr"},
        "variable": {"name": "TxStartPoint"}, "attributeType": "Target"}]});
    pair.ask("GetVariables", target);
    let result = pair.result()["getVariableResult"][0].clone();
    assert_eq!(result["attributeStatus"], "NotSupportedAttributeType");
    assert_eq!(result["attributeType"], "Target");
}

#[test]
fn a_changed_variable_is_durable_before_it_is_accepted_and_reaches_the_station() {
    let mut pair = accepted();
    pair.disk = false;
    let change = json!({"setVariableData": [{"component": {"name": "SampledDataCtrlr"},
        "variable": {"name": "TxUpdatedInterval"}, "attributeValue": "17"}]});
    pair.ask("SetVariables", change);
    pair.quiet();
    assert!(pair.told.is_empty(), "nothing changes before it lasts");
    pair.sync_one();
    assert_eq!(
        pair.result()["setVariableResult"][0]["attributeStatus"],
        "Accepted"
    );
    let (_, command) = pair.command();
    let Command::SetParams(params) = command else {
        panic!("{command:?}")
    };
    assert_eq!(params.sample_interval, Duration::from_secs(17));
    pair.restart();
    assert_eq!(pair.machine.params().sample_interval, Duration::from_secs(17));
}

#[test]
fn every_setting_of_the_station_comes_from_its_variable() {
    let mut pair = accepted();
    let before = pair.machine.params();
    for (component, variable, value) in [
        ("TxCtrlr", "EVConnectionTimeOut", "31"),
        ("SampledDataCtrlr", "TxUpdatedInterval", "32"),
        ("AlignedDataCtrlr", "Interval", "33"),
        ("SampledDataCtrlr", "TxUpdatedMeasurands", "Voltage"),
        ("AlignedDataCtrlr", "Measurands", "SoC"),
        ("SampledDataCtrlr", "TxEndedMeasurands", "Frequency"),
        ("AlignedDataCtrlr", "TxEndedMeasurands", "Power.Factor"),
        ("SampledDataCtrlr", "TxEndedInterval", "34"),
        ("AlignedDataCtrlr", "TxEndedInterval", "35"),
        ("TxCtrlr", "StopTxOnEVSideDisconnect", "false"),
        ("TxCtrlr", "StopTxOnInvalidId", "false"),
        ("TxCtrlr", "MaxEnergyOnInvalidId", "36"),
        ("AuthCtrlr", "AuthorizeRemoteStart", "true"),
        ("AuthCtrlr", "LocalAuthorizeOffline", "false"),
        ("AuthCtrlr", "LocalPreAuthorize", "true"),
        ("AuthCtrlr", "OfflineTxForUnknownIdEnabled", "true"),
        ("AuthCacheCtrlr", "Enabled", "false"),
        ("OCPPCommCtrlr", "UnlockOnEVSideDisconnect", "true"),
    ] {
        let was = pair.machine.params();
        let status = set(&mut pair, component, json!({"name": variable}), value);
        assert_eq!(status.0, "Accepted", "{component}.{variable}");
        assert_ne!(
            pair.machine.params(),
            was,
            "{component}.{variable} changes nothing"
        );
    }
    let after = pair.machine.params();
    assert_eq!(after.max_energy_on_invalid_id, MilliWattHours::from_base(36));
    let seconds = [
        after.connection_timeout,
        after.sample_interval,
        after.aligned_interval,
        after.stop_sample_interval,
        after.stop_aligned_interval,
    ];
    assert_eq!(seconds.map(|s| s.as_secs()), [31, 32, 33, 34, 35]);
    let of = |list: &[Measurand]| list.iter().map(|m| m.quantity).collect::<Vec<_>>();
    assert_eq!(of(&after.sampled), [Quantity::Voltage]);
    assert_eq!(of(&after.aligned), [Quantity::Soc]);
    assert_eq!(of(&after.stop_sampled), [Quantity::Frequency]);
    assert_eq!(of(&after.stop_aligned), [Quantity::PowerFactor]);
    let flags = |p: &Params| {
        [
            p.stop_on_ev_disconnect,
            p.stop_on_invalid_id,
            p.authorize_remote_start,
            p.local_authorize_offline,
            p.local_pre_authorize,
            p.allow_offline_unknown,
            p.cache_enabled,
            p.unlock_on_ev_disconnect,
        ]
    };
    assert!(flags(&before).iter().zip(flags(&after)).all(|(a, b)| *a != b));
}

#[test]
fn changes_are_refused_for_the_right_reason() {
    let mut pair = accepted();
    let plain = |name: &str| json!({ "name": name });
    let timeout = json!({"name": "MessageTimeout", "instance": "Default"});
    for (component, variable, value, status, reason) in [
        (
            "OCPPCommCtrlr",
            plain("HeartbeatInterval"),
            "0",
            "Rejected",
            "ValueOutOfRange",
        ),
        (
            "OCPPCommCtrlr",
            plain("HeartbeatInterval"),
            "soon",
            "Rejected",
            "InvalidValue",
        ),
        ("OCPPCommCtrlr", timeout, "4000", "Rejected", "ValueOutOfRange"),
        (
            "TxCtrlr",
            plain("TxStartPoint"),
            "Authorized",
            "Rejected",
            "ReadOnly",
        ),
        ("ChargingStation", plain("Model"), "X", "Rejected", "ReadOnly"),
        (
            "SampledDataCtrlr",
            plain("TxStartedMeasurands"),
            "Voltage",
            "Rejected",
            "InvalidValue",
        ),
        (
            "SampledDataCtrlr",
            plain("TxUpdatedMeasurands"),
            "RPM",
            "Rejected",
            "InvalidValue",
        ),
        (
            "AuthCtrlr",
            plain("MasterPassGroupId"),
            "X",
            "UnknownVariable",
            "",
        ),
        (
            "LocalAuthListCtrlr",
            plain("Enabled"),
            "true",
            "UnknownComponent",
            "",
        ),
    ] {
        let told = set(&mut pair, component, variable.clone(), value);
        assert_eq!(
            told,
            (status.to_owned(), reason.to_owned()),
            "{component} {variable} = {value}"
        );
    }
    assert!(
        pair.kv
            .keys()
            .all(|key| key == "var/OCPPCommCtrlr.HeartbeatInterval"),
        "{:?}",
        pair.kv
    );
    let many: Vec<Value> = (0..101)
        .map(|_| json!({"component": {"name": "TxCtrlr"}, "variable": {"name": "TxStopPoint"}}))
        .collect();
    pair.ask("GetVariables", json!({ "getVariableData": many }));
    assert_eq!(pair.error(), "OccurrenceConstraintViolation");
    let long = json!({"setVariableData": [{"component": {"name": "TxCtrlr"}, "variable": {"name": "x"},
        "attributeValue": "y".repeat(70_000)}]});
    pair.ask("SetVariables", long);
    assert_eq!(pair.error(), "FormatViolation");
}

#[test]
fn the_file_sets_first_values_and_the_csms_wins_later() {
    let mut setup = cp();
    setup.csms = vec![csms(OcppVersion::V201)];
    let first = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    setup.variables = [
        first("SampledDataCtrlr.TxUpdatedInterval", "5"),
        first("OCPPCommCtrlr.MessageAttempts[TransactionEvent]", "9"),
    ]
    .into();
    let mut pair = Pair::of(setup);
    pair.boot("Accepted", 3600);
    let attempts = json!({"name": "MessageAttempts", "instance": "TransactionEvent"});
    let told = get(&mut pair, json!({"name": "OCPPCommCtrlr"}), attempts);
    assert_eq!(told.1.as_deref(), Some("9"));
    assert_eq!(pair.machine.params().sample_interval.as_secs(), 5);
    set(
        &mut pair,
        "SampledDataCtrlr",
        json!({"name": "TxUpdatedInterval"}),
        "8",
    );
    pair.restart();
    assert_eq!(pair.machine.params().sample_interval.as_secs(), 8);
}

fn report(pair: &mut Pair, base: &str) -> Vec<Value> {
    let asked = json!({"requestId": 77, "reportBase": base});
    assert_eq!(pair.status_of("GetBaseReport", asked), "Accepted");
    let mut data = Vec::new();
    for number in 0.. {
        let (id, part) = pair.call("NotifyReport");
        assert_eq!((&part["requestId"], &part["seqNo"]), (&json!(77), &json!(number)));
        data.extend(part["reportData"].as_array().expect("data").clone());
        pair.reply(&id, json!({}));
        if part["tbc"] != true {
            break;
        }
    }
    pair.quiet();
    data
}

fn names(data: &[Value]) -> BTreeSet<String> {
    let name = |item: &Value| {
        let component = &item["component"];
        let evse = component["evse"]["id"].as_i64().unwrap_or(0);
        let instance = item["variable"]["instance"].as_str().unwrap_or("");
        let (component, variable) = (component["name"].as_str(), item["variable"]["name"].as_str());
        format!(
            "{}@{evse}.{}[{instance}]",
            component.expect("name"),
            variable.expect("name")
        )
    };
    data.iter().map(name).collect()
}

#[test]
fn a_full_report_holds_what_a_station_must_have_and_what_can_be_read() {
    let mut pair = accepted();
    let full = report(&mut pair, "FullInventory");
    let told = names(&full);
    assert_eq!(told.len(), full.len(), "nothing is told twice");
    for required in [
        "ChargingStation@0.AvailabilityState[]",
        "ChargingStation@0.Available[]",
        "ChargingStation@0.SupplyPhases[]",
        "EVSE@1.Available[]",
        "EVSE@1.AvailabilityState[]",
        "EVSE@2.SupplyPhases[]",
        "EVSE@2.Power[]",
        "Connector@1.Available[]",
        "Connector@2.ConnectorType[]",
        "Connector@2.SupplyPhases[]",
        "OCPPCommCtrlr@0.FileTransferProtocols[]",
        "OCPPCommCtrlr@0.MessageTimeout[Default]",
        "OCPPCommCtrlr@0.MessageAttempts[TransactionEvent]",
        "OCPPCommCtrlr@0.MessageAttemptInterval[TransactionEvent]",
        "OCPPCommCtrlr@0.NetworkConfigurationPriority[]",
        "OCPPCommCtrlr@0.NetworkProfileConnectionAttempts[]",
        "OCPPCommCtrlr@0.OfflineThreshold[]",
        "OCPPCommCtrlr@0.ResetRetries[]",
        "OCPPCommCtrlr@0.UnlockOnEVSideDisconnect[]",
        "TxCtrlr@0.EVConnectionTimeOut[]",
        "TxCtrlr@0.StopTxOnEVSideDisconnect[]",
        "TxCtrlr@0.StopTxOnInvalidId[]",
        "TxCtrlr@0.TxStartPoint[]",
        "TxCtrlr@0.TxStopPoint[]",
        "AuthCtrlr@0.AuthorizeRemoteStart[]",
        "AuthCtrlr@0.LocalAuthorizeOffline[]",
        "AuthCtrlr@0.LocalPreAuthorize[]",
        "SampledDataCtrlr@0.TxStartedMeasurands[]",
        "SampledDataCtrlr@0.TxUpdatedMeasurands[]",
        "SampledDataCtrlr@0.TxUpdatedInterval[]",
        "SampledDataCtrlr@0.TxEndedMeasurands[]",
        "SampledDataCtrlr@0.TxEndedInterval[]",
        "AlignedDataCtrlr@0.Interval[]",
        "AlignedDataCtrlr@0.Measurands[]",
        "AlignedDataCtrlr@0.TxEndedInterval[]",
        "AlignedDataCtrlr@0.TxEndedMeasurands[]",
        "DeviceDataCtrlr@0.ItemsPerMessage[GetReport]",
        "DeviceDataCtrlr@0.ItemsPerMessage[GetVariables]",
        "DeviceDataCtrlr@0.ItemsPerMessage[SetVariables]",
        "DeviceDataCtrlr@0.BytesPerMessage[GetReport]",
        "DeviceDataCtrlr@0.BytesPerMessage[GetVariables]",
        "DeviceDataCtrlr@0.BytesPerMessage[SetVariables]",
        "SecurityCtrlr@0.CertificateEntries[]",
        "SecurityCtrlr@0.OrganizationName[]",
        "SecurityCtrlr@0.SecurityProfile[]",
        "ClockCtrlr@0.DateTime[]",
        "ClockCtrlr@0.TimeSource[]",
    ] {
        assert!(told.contains(required), "{required} is missing");
    }
    for item in &full {
        let (status, value) = get(&mut pair, item["component"].clone(), item["variable"].clone());
        assert_eq!(status, "Accepted", "{item}");
        let reported = item["variableAttribute"][0]["value"].as_str().unwrap_or_default();
        assert_eq!(value.as_deref(), Some(reported), "{item}");
    }
    let power = full.iter().find(|item| item["variable"]["name"] == "Power");
    assert_eq!(
        power.expect("told")["variableCharacteristics"]["maxLimit"],
        11_040
    );
}

#[test]
fn a_configuration_report_is_what_can_be_set_and_a_summary_what_is_going_on() {
    let mut pair = accepted();
    let settings = report(&mut pair, "ConfigurationInventory");
    assert!(settings.len() > 20);
    for item in &settings {
        assert_eq!(item["variableAttribute"][0]["mutability"], "ReadWrite");
        let name = item["component"]["name"].as_str().expect("a name");
        let value = item["variableAttribute"][0]["value"].as_str().expect("a value");
        let told = set(&mut pair, name, item["variable"].clone(), value);
        assert_eq!(told.0, "Accepted", "the present value of {item} can be set again");
    }
    let summary = names(&report(&mut pair, "SummaryInventory"));
    let state = |name: &str| format!("{name}.AvailabilityState[]");
    let wanted = [
        "ChargingStation@0",
        "Connector@1",
        "Connector@2",
        "EVSE@1",
        "EVSE@2",
    ];
    assert_eq!(summary, wanted.map(state).into_iter().collect());
}
