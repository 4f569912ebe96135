//! What the CSMS asks for, and how it is answered.

use crate::pair::{Pair, T0_TEXT, began, cp};
use retrovolt::domain::*;
use retrovolt::ocpp::{Effect, Input};
use serde_json::{Value, json};

fn yes() -> Outcome {
    Outcome::Simple(Accepted::Yes)
}

fn no() -> Outcome {
    Outcome::Simple(Accepted::No("because"))
}

/// Asks, lets the station answer and gives the command and the result.
fn asked(pair: &mut Pair, action: &str, payload: Value, outcome: Outcome) -> (Command, Value) {
    pair.ask(action, payload);
    pair.quiet();
    let (id, command) = pair.command();
    pair.feed(Input::Answer { id, outcome });
    (command, pair.result())
}

fn running(number: i64) -> Pair {
    let mut pair = Pair::accepted();
    pair.append(began("a", 100));
    let (id, _) = pair.call("StartTransaction");
    pair.reply(
        &id,
        json!({"transactionId": number, "idTagInfo": {"status": "Accepted"}}),
    );
    pair.told.clear();
    pair
}

#[test]
fn a_remote_start_names_the_connector_and_the_token() {
    let mut pair = Pair::accepted();
    let (command, result) = asked(
        &mut pair,
        "RemoteStartTransaction",
        json!({"connectorId": 2, "idTag": "T"}),
        yes(),
    );
    let Command::RemoteStart(start) = command else {
        panic!("{command:?}")
    };
    assert_eq!(
        (start.evse, start.token.kind),
        (Some(EvseId(2)), TokenKind::Central)
    );
    assert_eq!(result, json!({"status": "Accepted"}));
    let (command, result) = asked(
        &mut pair,
        "RemoteStartTransaction",
        json!({"idTag": "T", "connectorId": null}),
        no(),
    );
    assert!(
        matches!(command, Command::RemoteStart(RemoteStart { evse: None, .. })),
        "we choose"
    );
    assert_eq!(result, json!({"status": "Rejected"}));
}

#[test]
fn a_remote_start_that_cannot_be_meant_is_rejected_at_once() {
    let mut pair = Pair::accepted();
    let schedule =
        json!({"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6}]});
    let profile = |purpose: &str| {
        json!({"chargingProfileId": 1, "stackLevel": 0, "chargingProfilePurpose": purpose,
            "chargingProfileKind": "Relative", "chargingSchedule": schedule, "transactionId": 99})
    };
    for payload in [
        json!({"connectorId": 0, "idTag": "T"}),
        json!({"connectorId": 3, "idTag": "T"}),
        json!({"connectorId": -1, "idTag": "T"}),
        json!({"connectorId": 1, "idTag": "T", "chargingProfile": profile("TxDefaultProfile")}),
    ] {
        assert_eq!(pair.status_of("RemoteStartTransaction", payload), "Rejected");
    }
    let payload = json!({"connectorId": 1, "idTag": "T", "chargingProfile": profile("TxProfile")});
    let (command, _) = asked(&mut pair, "RemoteStartTransaction", payload, yes());
    let Command::RemoteStart(RemoteStart {
        profile: Some(profile),
        ..
    }) = command
    else {
        panic!("{command:?}")
    };
    assert_eq!(profile.tx, None, "an id given here names nothing yet");
}

#[test]
fn a_remote_stop_finds_the_transaction_by_its_number() {
    let mut pair = running(-5);
    let (command, result) = asked(
        &mut pair,
        "RemoteStopTransaction",
        json!({"transactionId": -5}),
        yes(),
    );
    assert_eq!(command, Command::RemoteStop { tx: TxId::new("a") });
    assert_eq!(result, json!({"status": "Accepted"}));
    for number in [-1, 0, 7] {
        assert_eq!(
            pair.status_of("RemoteStopTransaction", json!({"transactionId": number})),
            "Rejected"
        );
    }
}

#[test]
fn availability_of_one_of_all_and_of_none_of_ours() {
    let mut pair = Pair::accepted();
    let cases = [
        (0, None, AvailabilityOutcome::Accepted, "Accepted"),
        (2, Some(EvseId(2)), AvailabilityOutcome::Scheduled, "Scheduled"),
        (1, Some(EvseId(1)), AvailabilityOutcome::Rejected, "Rejected"),
    ];
    for (connector, evse, outcome, status) in cases {
        let payload = json!({"connectorId": connector, "type": "Inoperative"});
        let outcome = Outcome::Availability(outcome);
        let (command, result) = asked(&mut pair, "ChangeAvailability", payload, outcome);
        let to = Availability::Inoperative;
        assert_eq!(command, Command::ChangeAvailability { evse, to });
        assert_eq!(result, json!({"status": status}));
    }
    let nobody = json!({"connectorId": 9, "type": "Operative"});
    assert_eq!(pair.status_of("ChangeAvailability", nobody), "Rejected");
}

#[test]
fn resets_unlocks_and_the_cache() {
    let mut pair = Pair::accepted();
    for (text, kind) in [("Hard", ResetKind::Hard), ("Soft", ResetKind::Soft)] {
        let outcome = Outcome::Reset(ResetOutcome::Accepted);
        let (command, result) = asked(&mut pair, "Reset", json!({"type": text}), outcome);
        assert_eq!(command, Command::Reset { kind, evse: None });
        assert_eq!(result, json!({"status": "Accepted"}));
    }
    for (outcome, status) in [
        (UnlockOutcome::Unlocked, "Unlocked"),
        (UnlockOutcome::Failed, "UnlockFailed"),
        (UnlockOutcome::NotSupported, "NotSupported"),
    ] {
        let payload = json!({"connectorId": 1});
        let (_, result) = asked(&mut pair, "UnlockConnector", payload, Outcome::Unlock(outcome));
        assert_eq!(result, json!({"status": status}));
    }
    for connector in [0, 3] {
        assert_eq!(
            pair.status_of("UnlockConnector", json!({"connectorId": connector})),
            "NotSupported"
        );
    }
    let (command, result) = asked(&mut pair, "ClearCache", json!({}), no());
    assert_eq!(
        (command, result),
        (Command::ClearCache, json!({"status": "Rejected"}))
    );
}

#[test]
fn an_outcome_that_does_not_fit_is_an_internal_error() {
    let mut pair = Pair::accepted();
    pair.ask("Reset", json!({"type": "Soft"}));
    let (id, _) = pair.command();
    pair.feed(Input::Answer { id, outcome: yes() });
    assert_eq!(pair.error(), "InternalError");
}

#[test]
fn unknown_actions_are_not_implemented_and_known_ones_not_supported() {
    let mut pair = Pair::accepted();
    for action in ["SetDisplayMessage", "GetBaseReport", "reset", ""] {
        pair.ask(action, json!({}));
        assert_eq!(pair.error(), "NotImplemented", "{action}");
    }
    for action in [
        "UpdateFirmware",
        "Heartbeat",
        "StartTransaction",
        "SignedUpdateFirmware",
    ] {
        pair.ask(action, json!({}));
        assert_eq!(pair.error(), "NotSupported", "{action}");
    }
}

#[test]
fn a_bad_payload_gets_the_code_that_names_its_fault() {
    let mut pair = Pair::accepted();
    for (action, payload, code) in [
        ("Reset", json!({}), "OccurenceConstraintViolation"),
        ("Reset", json!({"type": 5}), "TypeConstraintViolation"),
        ("Reset", json!({"type": "Warm"}), "PropertyConstraintViolation"),
        ("Reset", json!([]), "FormationViolation"),
        (
            "RemoteStartTransaction",
            json!({"idTag": "x".repeat(21)}),
            "PropertyConstraintViolation",
        ),
        (
            "ChangeAvailability",
            json!({"connectorId": "a", "type": "Operative"}),
            "TypeConstraintViolation",
        ),
    ] {
        pair.ask(action, payload.clone());
        assert_eq!(pair.error(), code, "{action} {payload}");
    }
    assert_eq!(pair.count("bad_call"), 6);
}

#[test]
fn what_the_schema_does_not_know_is_overlooked() {
    let mut pair = Pair::accepted();
    let payload = json!({"type": "Soft", "customData": {"a": 1}});
    let outcome = Outcome::Reset(ResetOutcome::Accepted);
    let (_, result) = asked(&mut pair, "Reset", payload, outcome);
    assert_eq!(result, json!({"status": "Accepted"}));
}

#[test]
fn configuration_is_told_whole_in_part_and_with_what_is_unknown() {
    let mut pair = Pair::accepted();
    pair.ask("GetConfiguration", json!({}));
    let all = pair.result();
    let keys = all["configurationKey"].as_array().expect("keys");
    assert!(all.get("unknownKey").is_none(), "empty lists are left out");
    let named = |name: &str| keys.iter().find(|key| key["key"] == name).cloned();
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
        "ChargeProfileMaxStackLevel",
        "ChargingScheduleAllowedChargingRateUnit",
        "ChargingScheduleMaxPeriods",
        "MaxChargingProfilesInstalled",
    ] {
        let key = named(required).unwrap_or_else(|| panic!("{required} is required"));
        assert!(key["value"].is_string() && key["readonly"].is_boolean(), "{key}");
    }
    assert_eq!(
        named("ConnectorPhaseRotation").expect("key")["value"],
        "1.RST,2.RST"
    );
    assert!(named("AuthorizationKey").is_none() && named("SupportedFeatureProfilesMaxLength").is_none());
    pair.ask(
        "GetConfiguration",
        json!({"key": ["heartbeatinterval", "Nonsense", "AuthorizationKey"]}),
    );
    assert_eq!(
        pair.result(),
        json!({"configurationKey": [{"key": "HeartbeatInterval", "readonly": false, "value": "3600"}],
            "unknownKey": ["Nonsense", "AuthorizationKey"]})
    );
    let many = vec!["HeartbeatInterval"; 101];
    pair.ask("GetConfiguration", json!({"key": many}));
    assert_eq!(pair.error(), "OccurenceConstraintViolation");
}

#[test]
fn a_changed_key_is_durable_before_it_is_accepted_and_reaches_the_station() {
    let mut pair = Pair::accepted();
    pair.disk = false;
    let change = json!({"key": "MeterValueSampleInterval", "value": "7"});
    pair.ask("ChangeConfiguration", change);
    pair.quiet();
    pair.sync_one();
    assert_eq!(pair.result(), json!({"status": "Accepted"}));
    assert_eq!(pair.kv["key/MeterValueSampleInterval"], "7");
    let (_, command) = pair.command();
    let Command::SetParams(params) = command else {
        panic!("{command:?}")
    };
    assert_eq!(params.sample_interval.as_secs(), 7);
    assert_eq!(*params, pair.machine.params());
}

#[test]
fn a_setting_that_concerns_only_the_machine_is_not_sent_to_the_station() {
    let mut pair = Pair::accepted();
    let change = json!({"key": "HeartbeatInterval", "value": "30"});
    assert_eq!(pair.status_of("ChangeConfiguration", change), "Accepted");
    assert!(pair.told.is_empty());
    pair.pass(30);
    pair.call("Heartbeat");
}

#[test]
fn changes_are_refused_for_the_right_reason() {
    let mut pair = Pair::accepted();
    for (key, value, status) in [
        ("NoSuchKey", "1", "NotSupported"),
        ("BlinkRepeat", "1", "NotSupported"),
        ("NumberOfConnectors", "1", "Rejected"),
        ("SupportedFeatureProfiles", "Core", "Rejected"),
        ("HeartbeatInterval", "-1", "Rejected"),
        ("HeartbeatInterval", "soon", "Rejected"),
        ("WebSocketPingInterval", "-1", "Rejected"),
        ("LocalPreAuthorize", "yes", "Rejected"),
        ("MeterValuesSampledData", "Voltage,RPM", "Rejected"),
        (
            "MeterValuesSampledData",
            "Voltage.L1,Power.Active.Import",
            "Accepted",
        ),
        ("StopTxnAlignedData", "", "Accepted"),
        ("localpreauthorize", "TRUE", "Accepted"),
    ] {
        let change = json!({"key": key, "value": value});
        assert_eq!(
            pair.status_of("ChangeConfiguration", change),
            status,
            "{key}={value}"
        );
    }
    let sampled = pair.machine.params().sampled;
    assert_eq!(sampled[0].phase, Some(Phase::L1));
    assert_eq!(sampled[1], Measurand::all(Quantity::Power));
}

#[test]
fn the_file_sets_first_values_and_the_csms_wins_later() {
    let mut cp = cp();
    cp.keys.insert("MeterValueSampleInterval".into(), "11".into());
    cp.keys.insert("ConnectionTimeOut".into(), "12".into());
    cp.keys.insert("NumberOfConnectors".into(), "99".into());
    let mut pair = Pair::of(cp);
    assert_eq!(pair.machine.params().sample_interval.as_secs(), 11);
    pair.boot("Accepted", 300);
    let change = json!({"key": "MeterValueSampleInterval", "value": "13"});
    assert_eq!(pair.status_of("ChangeConfiguration", change), "Accepted");
    pair.restart();
    let params = pair.machine.params();
    assert_eq!(
        (
            params.sample_interval.as_secs(),
            params.connection_timeout.as_secs()
        ),
        (13, 12)
    );
    pair.boot("Accepted", 300);
    pair.ask("GetConfiguration", json!({"key": ["NumberOfConnectors"]}));
    assert_eq!(pair.result()["configurationKey"][0]["value"], "2");
}

fn profile(purpose: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut profile = json!({
        "chargingProfileId": 3, "stackLevel": 0, "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute", "validFrom": "2026-09-21T14:13:20.5+00:00",
        "chargingSchedule": {"chargingRateUnit": "A", "startSchedule": T0_TEXT, "duration": 3600,
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0, "numberPhases": 3},
                {"startPeriod": 60, "limit": 6.5}]}});
    change(&mut profile);
    profile
}

#[test]
fn a_profile_arrives_with_exact_limits() {
    let mut pair = running(42);
    let wire = profile("TxProfile", |profile| profile["transactionId"] = json!(42));
    let payload = json!({"connectorId": 1, "csChargingProfiles": wire});
    let (command, result) = asked(&mut pair, "SetChargingProfile", payload, yes());
    assert_eq!(result, json!({"status": "Accepted"}));
    let Command::SetProfile { evse, profile } = command else {
        panic!("{command:?}")
    };
    assert_eq!((evse, profile.tx), (Some(EvseId(1)), Some(TxId::new("a"))));
    assert_eq!(profile.valid_from_ms, Some(1_790_000_000_500));
    let limits: Vec<_> = profile
        .schedule
        .periods
        .iter()
        .map(|period| period.limit_milli)
        .collect();
    assert_eq!(limits, [16_000, 6_500]);
    assert_eq!(profile.schedule.start_ms, Some(1_790_000_000_000));
}

#[test]
fn profiles_that_cannot_be_obeyed_are_rejected() {
    let mut pair = running(42);
    let good = json!({"connectorId": 1, "csChargingProfiles": profile("TxDefaultProfile", |_| {})});
    let refused = |pair: &mut Pair, pointer: &str, value: Value| {
        let mut payload = good.clone();
        *payload.pointer_mut(pointer).expect("member") = value;
        assert_eq!(
            pair.status_of("SetChargingProfile", payload),
            "Rejected",
            "{pointer}"
        );
    };
    let schedule = "/csChargingProfiles/chargingSchedule";
    refused(
        &mut pair,
        "/csChargingProfiles/chargingProfilePurpose",
        json!("ChargePointMaxProfile"),
    );
    refused(&mut pair, "/csChargingProfiles/stackLevel", json!(-1));
    refused(&mut pair, "/csChargingProfiles/stackLevel", json!(99));
    refused(
        &mut pair,
        "/csChargingProfiles/chargingProfileKind",
        json!("Recurring"),
    );
    refused(&mut pair, &format!("{schedule}/duration"), json!(-1));
    let period = format!("{schedule}/chargingSchedulePeriod");
    refused(&mut pair, &period, json!([]));
    refused(&mut pair, &format!("{period}/0/startPeriod"), json!(5));
    refused(&mut pair, &format!("{period}/1/startPeriod"), json!(0));
    refused(&mut pair, &format!("{period}/0/limit"), json!(-6));
    refused(&mut pair, &format!("{period}/0/numberPhases"), json!(4));
    let of_nothing = profile("TxProfile", |profile| profile["transactionId"] = json!(7));
    refused(&mut pair, "/csChargingProfiles", of_nothing);
    // Errata 3.39.
    let of_nobody = json!({"connectorId": 9, "csChargingProfiles": profile("TxDefaultProfile", |_| {})});
    pair.ask("SetChargingProfile", of_nobody);
    assert_eq!(pair.error(), "PropertyConstraintViolation");
    let of_all = json!({"connectorId": 0, "csChargingProfiles": profile("TxProfile", |_| {})});
    assert_eq!(pair.status_of("SetChargingProfile", of_all), "Rejected");
}

#[test]
fn clearing_profiles_names_what_and_unknown_is_none_matched() {
    let mut pair = Pair::accepted();
    let (command, result) = asked(&mut pair, "ClearChargingProfile", json!({}), yes());
    assert_eq!(
        command,
        Command::ClearProfiles(ClearProfiles::default()),
        "no fields is all"
    );
    assert_eq!(result, json!({"status": "Accepted"}));
    let payload = json!({"connectorId": 0, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 0});
    let (command, result) = asked(&mut pair, "ClearChargingProfile", payload, no());
    let Command::ClearProfiles(clear) = command else {
        panic!("{command:?}")
    };
    assert_eq!((clear.evse, clear.stack_level), (Some(None), Some(0)));
    assert_eq!(clear.purpose, Some(ProfilePurpose::TxDefault));
    assert_eq!(result, json!({"status": "Unknown"}));
    assert_eq!(
        pair.status_of("ClearChargingProfile", json!({"connectorId": 9})),
        "Unknown"
    );
}

#[test]
fn a_composite_schedule_is_told_as_it_is_enforced() {
    let mut pair = Pair::accepted();
    let schedule = CompositeSchedule {
        evse: Some(EvseId(1)),
        start_ms: 1_790_000_000_000,
        duration_s: 600,
        unit: RateUnit::Amps,
        periods: vec![CompositePeriod {
            start_s: 0,
            limit_milli: 6_590,
            phases: 3,
            source: LimitSource::TxProfile,
        }],
    };
    let payload = json!({"connectorId": 1, "duration": 600, "chargingRateUnit": "A"});
    let outcome = Outcome::Composite(Ok(schedule));
    let (_, result) = asked(&mut pair, "GetCompositeSchedule", payload, outcome);
    assert_eq!(
        result,
        json!({"status": "Accepted", "connectorId": 1, "scheduleStart": T0_TEXT, "chargingSchedule": {
            "chargingRateUnit": "A", "duration": 600,
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.5, "numberPhases": 3}]}})
    );
    let payload = json!({"connectorId": 0, "duration": 600});
    let (_, result) = asked(
        &mut pair,
        "GetCompositeSchedule",
        payload,
        Outcome::Composite(Err("no")),
    );
    assert_eq!(result, json!({"status": "Rejected"}));
    for payload in [
        json!({"connectorId": 5, "duration": 60}),
        json!({"connectorId": 1, "duration": 0}),
    ] {
        assert_eq!(pair.status_of("GetCompositeSchedule", payload), "Rejected");
    }
}

#[test]
fn what_a_trigger_accepts_is_sent() {
    let mut pair = Pair::accepted();
    for connector in [None, Some(1), Some(2)] {
        pair.status(connector, ConnectorStatus::Available);
        let (id, _) = pair.call("StatusNotification");
        pair.reply(&id, json!({}));
    }
    let trigger = |message: &str| json!({"requestedMessage": message});
    assert_eq!(
        pair.status_of("TriggerMessage", trigger("StatusNotification")),
        "Accepted"
    );
    for connector in [0, 1, 2] {
        let (id, told) = pair.call("StatusNotification");
        assert_eq!(told["connectorId"], connector);
        pair.reply(&id, json!({}));
    }
    assert_eq!(pair.status_of("TriggerMessage", trigger("Heartbeat")), "Accepted");
    let (id, _) = pair.call("Heartbeat");
    pair.reply(&id, json!({"currentTime": T0_TEXT}));
    let firmware = trigger("FirmwareStatusNotification");
    assert_eq!(pair.status_of("TriggerMessage", firmware), "NotImplemented");
    let nobody = json!({"requestedMessage": "MeterValues", "connectorId": 7});
    assert_eq!(pair.status_of("TriggerMessage", nobody), "Rejected");
    let one = json!({"requestedMessage": "MeterValues", "connectorId": 1});
    let (command, result) = asked(&mut pair, "TriggerMessage", one, yes());
    assert_eq!(
        command,
        Command::Trigger(Trigger::MeterValues {
            evse: Some(EvseId(1)),
            within: Within::Either
        })
    );
    assert_eq!(result, json!({"status": "Accepted"}));
}

#[test]
fn an_answer_belongs_to_the_connection_it_was_asked_on() {
    let mut pair = Pair::accepted();
    pair.ask("ClearCache", json!({}));
    let (id, _) = pair.command();
    pair.outage(1);
    pair.feed(Input::Answer { id, outcome: yes() });
    pair.quiet();
    let mut pair = Pair::accepted();
    pair.disk = false;
    pair.ask(
        "ChangeConfiguration",
        json!({"key": "ConnectionTimeOut", "value": "9"}),
    );
    pair.outage(1);
    pair.sync_one();
    pair.quiet();
    assert!(
        matches!(
            pair.told.pop_front(),
            Some(Effect::Command {
                command: Command::SetParams(_),
                ..
            })
        ),
        "what is durable is in force"
    );
}
