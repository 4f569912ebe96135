//! Configuration, data transfer, availability: 019, 021, 040_1, 040_2, 062 and section 5.2.

use crate::stack::Stack;
use serde_json::json;
use std::collections::BTreeSet;

fn change(s: &mut Stack, key: &str, value: &str, status: &str) {
    s.asked("ChangeConfiguration", json!({"key": key, "value": value}), status);
}

fn value(s: &mut Stack, key: &str) -> String {
    s.look();
    s.ask("GetConfiguration", json!({"key": [key]}));
    s.look().concat()
}

#[test]
fn every_required_key_is_told_once() {
    let mut s = Stack::ready(1);
    s.look();
    s.ask("GetConfiguration", json!({}));
    let told = s.look().concat();
    let keys: Vec<&str> = told
        .split("\"key\":\"")
        .skip(1)
        .filter_map(|part| part.split('"').next())
        .collect();
    let once: BTreeSet<&str> = keys.iter().copied().collect();
    assert_eq!(once.len(), keys.len());
    for required in [
        "AuthorizeRemoteTxRequests",
        "ClockAlignedDataInterval",
        "ConnectionTimeOut",
        "ConnectorPhaseRotation",
        "GetConfigurationMaxKeys",
        "HeartbeatInterval",
        "LocalAuthorizeOffline",
        "LocalPreAuthorize",
        "MeterValuesAlignedData",
        "MeterValuesSampledData",
        "MeterValueSampleInterval",
        "NumberOfConnectors",
        "ResetRetries",
        "StopTransactionOnEVSideDisconnect",
        "StopTransactionOnInvalidId",
        "StopTxnAlignedData",
        "StopTxnSampledData",
        "SupportedFeatureProfiles",
        "TransactionMessageAttempts",
        "TransactionMessageRetryInterval",
        "UnlockConnectorOnEVSideDisconnect",
        "LocalAuthListEnabled",
        "LocalAuthListMaxLength",
        "SendLocalListMaxLength",
        "ChargeProfileMaxStackLevel",
        "ChargingScheduleAllowedChargingRateUnit",
        "ChargingScheduleMaxPeriods",
        "MaxChargingProfilesInstalled",
    ] {
        assert!(once.contains(required), "{required}");
    }
    assert!(!once.contains("AuthorizationKey"), "a secret is never told");
}

#[test]
fn unknown_keys_are_told_apart() {
    let mut s = Stack::ready(1);
    s.asked(
        "GetConfiguration",
        json!({"key": ["Nonsense", "connectionTIMEout", "SecurityProfile"]}),
        "{\"configurationKey\":[{\"key\":\"ConnectionTimeOut\",\"readonly\":false,\"value\":\"60\"},\
         {\"key\":\"SecurityProfile\",\"readonly\":false,\"value\":\"0\"}],\"unknownKey\":[\"Nonsense\"]}",
    );
}

#[test]
fn a_changed_key_steers_at_once_and_survives_a_power_cut() {
    let mut s = Stack::ready(1);
    change(&mut s, "MeterValueSampleInterval", "10", "Accepted");
    s.charge(1, "A");
    s.run(3);
    s.expect("+2 Meter 1 #1 Sample.Periodic 4");
    s.restart(20);
    s.run(3);
    assert!(value(&mut s, "MeterValueSampleInterval").contains("\"value\":\"10\""));
}

#[test]
fn an_unknown_key_and_one_of_a_feature_that_is_not_there_are_not_supported() {
    let mut s = Stack::ready(1);
    for key in ["Nonsense", "LightIntensity", "BlinkRepeat", ""] {
        change(&mut s, key, "0001020304050607", "NotSupported");
    }
}

#[test]
fn a_bad_value_and_a_read_only_key_are_rejected_and_change_nothing() {
    let mut s = Stack::ready(1);
    for (key, bad) in [
        ("HeartbeatInterval", "-1"),
        ("MeterValueSampleInterval", "ten"),
        ("MeterValueSampleInterval", "-1"),
        ("LocalPreAuthorize", "yes"),
        ("MeterValuesSampledData", "Energy.Active.Import.Register,RPM"),
        ("NumberOfConnectors", "4"),
        ("SupportedFeatureProfiles", "Core"),
        ("ConnectorPhaseRotation", "1.RST"),
        ("ResetRetries", "2"),
        ("SecurityProfile", "2"),
        ("SecurityProfile", "0"),
    ] {
        let before = value(&mut s, key);
        change(&mut s, key, bad, "Rejected");
        assert_eq!(value(&mut s, key), before, "{key}");
    }
}

#[test]
fn a_vendor_that_nobody_knows_is_unknown() {
    let mut s = Stack::ready(1);
    s.asked(
        "DataTransfer",
        json!({"vendorId": "com.example", "messageId": "Hello", "data": "{}"}),
        "UnknownVendorId",
    );
}

#[test]
fn a_connector_goes_out_of_service_and_comes_back() {
    let mut s = Stack::ready(2);
    let change = |connector: i32, to: &str| json!({"connectorId": connector, "type": to});
    s.ask("ChangeAvailability", change(1, "Inoperative"));
    s.ask("ChangeAvailability", change(1, "Inoperative"));
    s.plug(1);
    s.present(1, "A");
    s.run(5);
    assert!(!s.offers(1));
    s.ask("ChangeAvailability", change(1, "Operative"));
    s.run(1);
    s.ask("ChangeAvailability", change(7, "Operative"));
    s.expect(
        "+0 = ChangeAvailability Accepted
         +0 Status 1 Unavailable
         +0 = ChangeAvailability Accepted
         +5 = ChangeAvailability Accepted
         +5 Status 1 Preparing
         +6 = ChangeAvailability Rejected",
    );
}

#[test]
fn the_whole_charge_point_goes_out_of_service_and_sessions_run_to_their_end() {
    let mut s = Stack::ready(2);
    s.charge(1, "A");
    let change = |to: &str| json!({"connectorId": 0, "type": to});
    s.ask("ChangeAvailability", change("Inoperative"));
    s.run(5);
    assert!(s.offers(1));
    s.present(1, "A");
    s.run(5);
    s.unplug(1);
    s.run(1);
    s.ask("ChangeAvailability", change("Operative"));
    s.run(1);
    s.expect(
        "+0 = ChangeAvailability Scheduled
         +0 Status 0 Unavailable
         +0 Status 2 Unavailable
         +5 Status 1 Unavailable
         +5 Stop #1 1000039 Local by A
         +11 = ChangeAvailability Accepted
         +11 Status 0 Available
         +11 Status 1 Available
         +11 Status 2 Available",
    );
}
