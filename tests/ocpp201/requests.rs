//! What the CSMS asks for, and how it is answered.

use crate::pair::{Pair, T0, T0_TEXT};
use crate::{accepted, central, refused};
use retrovolt::domain::*;
use retrovolt::ocpp::Input;
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

fn tx_profile(tx: Option<&str>) -> Value {
    let mut profile = json!({"id": 3, "stackLevel": 1, "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative", "chargingSchedule": [{"id": 1, "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.5, "numberPhases": 1}]}]});
    if let Some(tx) = tx {
        profile["transactionId"] = json!(tx);
    }
    profile
}

#[test]
fn a_request_to_start_brings_its_number_token_group_and_profile() {
    let mut pair = accepted();
    let payload = json!({"evseId": 2, "remoteStartId": 41, "idToken": {"idToken": "04A1B2C3", "type": "ISO14443"},
        "groupIdToken": central("FLEET"), "chargingProfile": tx_profile(None)});
    let (command, result) = asked(&mut pair, "RequestStartTransaction", payload, yes());
    let Command::RemoteStart(start) = command else {
        panic!("{command:?}")
    };
    assert_eq!((start.evse, start.remote_start_id), (Some(EvseId(2)), Some(41)));
    assert_eq!(
        (start.token.text.as_str(), start.token.kind),
        ("04A1B2C3", TokenKind::Iso14443)
    );
    assert_eq!(start.group.as_deref(), Some("FLEET"));
    assert_eq!(
        start.profile.map(|p| p.schedule.periods[0].limit_milli),
        Some(10_500)
    );
    assert_eq!(result, json!({"status": "Accepted"}));
    let payload = json!({"remoteStartId": 42, "idToken": central("T")});
    let (_, result) = asked(&mut pair, "RequestStartTransaction", payload, no());
    assert_eq!(
        result,
        json!({"status": "Rejected", "statusInfo": {"reasonCode": "Unspecified", "additionalInfo": "because"}})
    );
}

#[test]
fn a_start_that_cannot_be_meant_is_rejected_at_once() {
    let mut pair = accepted();
    let start = |evse: i64, profile: Value| json!({"evseId": evse, "remoteStartId": 1, "idToken": central("T"), "chargingProfile": profile});
    let mut default = tx_profile(None);
    default["chargingProfilePurpose"] = json!("TxDefaultProfile");
    let two = {
        let mut two = tx_profile(None);
        let schedule = two["chargingSchedule"][0].clone();
        two["chargingSchedule"] = json!([schedule, schedule]);
        two
    };
    for (payload, reason) in [
        (start(7, tx_profile(None)), "UnknownEvse"),
        (start(0, tx_profile(None)), "UnknownEvse"),
        (start(1, tx_profile(Some("a"))), "InvalidProfile"),
        (start(1, default), "InvalidProfile"),
        (start(1, two), "InvalidSchedule"),
    ] {
        let told = refused(&mut pair, "RequestStartTransaction", payload.clone());
        assert_eq!(told, ("Rejected".to_owned(), reason.to_owned()), "{payload}");
    }
}

#[test]
fn a_stop_names_the_stations_own_transaction() {
    let mut pair = accepted();
    let (command, result) = asked(
        &mut pair,
        "RequestStopTransaction",
        json!({"transactionId": "tx-1"}),
        yes(),
    );
    assert_eq!(
        command,
        Command::RemoteStop {
            tx: TxId::new("tx-1")
        }
    );
    assert_eq!(result, json!({"status": "Accepted"}));
}

#[test]
fn resets_wait_or_do_not_and_never_concern_one_evse() {
    let mut pair = accepted();
    for (kind, wanted, outcome, status) in [
        ("Immediate", ResetKind::Soft, ResetOutcome::Accepted, "Accepted"),
        ("OnIdle", ResetKind::OnIdle, ResetOutcome::Scheduled, "Scheduled"),
        ("OnIdle", ResetKind::OnIdle, ResetOutcome::Rejected, "Rejected"),
    ] {
        let (command, result) = asked(&mut pair, "Reset", json!({"type": kind}), Outcome::Reset(outcome));
        assert_eq!(
            command,
            Command::Reset {
                kind: wanted,
                evse: None
            }
        );
        assert_eq!(result["status"], status);
    }
    let one = json!({"type": "Immediate", "evseId": 1});
    assert_eq!(
        refused(&mut pair, "Reset", one),
        ("Rejected".into(), "UnsupportedParam".into())
    );
}

#[test]
fn availability_of_the_station_of_an_evse_and_of_none_of_ours() {
    let mut pair = accepted();
    for (evse, wanted) in [
        (Value::Null, None),
        (json!({"id": 1}), Some(EvseId(1))),
        (json!({"id": 2, "connectorId": 1}), Some(EvseId(2))),
    ] {
        let mut payload = json!({"operationalStatus": "Inoperative"});
        if !evse.is_null() {
            payload["evse"] = evse;
        }
        let outcome = Outcome::Availability(AvailabilityOutcome::Scheduled);
        let (command, result) = asked(&mut pair, "ChangeAvailability", payload, outcome);
        let to = Availability::Inoperative;
        assert_eq!(command, Command::ChangeAvailability { evse: wanted, to });
        assert_eq!(result, json!({"status": "Scheduled"}));
    }
    for (evse, reason) in [
        (json!({"id": 9}), "UnknownEvse"),
        (json!({"id": 1, "connectorId": 2}), "UnknownConnectorId"),
    ] {
        let payload = json!({"operationalStatus": "Operative", "evse": evse});
        let told = refused(&mut pair, "ChangeAvailability", payload);
        assert_eq!(told, ("Rejected".to_owned(), reason.to_owned()));
    }
}

#[test]
fn an_unlock_does_not_end_a_transaction() {
    let mut pair = accepted();
    let payload = json!({"evseId": 1, "connectorId": 1});
    for (outcome, status, reason) in [
        (UnlockOutcome::Unlocked, "Unlocked", Value::Null),
        (UnlockOutcome::Failed, "UnlockFailed", Value::Null),
        (UnlockOutcome::NotSupported, "UnlockFailed", json!("FixedCable")),
        (
            UnlockOutcome::TransactionRunning,
            "OngoingAuthorizedTransaction",
            Value::Null,
        ),
    ] {
        let (command, result) = asked(
            &mut pair,
            "UnlockConnector",
            payload.clone(),
            Outcome::Unlock(outcome),
        );
        let running = RunningTx::Keeps;
        assert_eq!(
            command,
            Command::Unlock {
                evse: EvseId(1),
                running
            }
        );
        assert_eq!(
            (&result["status"], &result["statusInfo"]["reasonCode"]),
            (&json!(status), &reason)
        );
    }
    for other in [
        json!({"evseId": 3, "connectorId": 1}),
        json!({"evseId": 1, "connectorId": 2}),
    ] {
        assert_eq!(pair.status_of("UnlockConnector", other), "UnknownConnector");
    }
}

#[test]
fn a_profile_arrives_with_exact_limits() {
    let mut pair = accepted();
    let profile = json!({"id": 5, "stackLevel": 2, "chargingProfilePurpose": "ChargingStationMaxProfile",
        "chargingProfileKind": "Recurring", "recurrencyKind": "Daily", "validTo": "2026-12-01T00:00:00Z",
        "chargingSchedule": [{"id": 1, "chargingRateUnit": "W", "startSchedule": T0_TEXT, "duration": 3600, "minChargingRate": 6,
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 11040}, {"startPeriod": 60, "limit": 0.1}]}]});
    let payload = json!({"evseId": 0, "chargingProfile": profile});
    let (command, result) = asked(&mut pair, "SetChargingProfile", payload, yes());
    let Command::SetProfile { evse: None, profile } = command else {
        panic!("{command:?}")
    };
    assert_eq!(profile.kind, ProfileKind::Recurring(Recurrency::Daily));
    assert_eq!(profile.purpose, ProfilePurpose::ChargePointMax);
    assert_eq!(profile.schedule.start_ms, Some(T0));
    let limits: Vec<i64> = profile.schedule.periods.iter().map(|p| p.limit_milli).collect();
    assert_eq!(
        (limits, profile.schedule.unit),
        (vec![11_040_000, 100], RateUnit::Watts)
    );
    assert_eq!(result, json!({"status": "Accepted"}));
    let payload = json!({"evseId": 1, "chargingProfile": tx_profile(Some("tx-9"))});
    let (command, _) = asked(&mut pair, "SetChargingProfile", payload, yes());
    let Command::SetProfile { evse, profile } = command else {
        panic!("{command:?}")
    };
    assert_eq!((evse, profile.tx), (Some(EvseId(1)), Some(TxId::new("tx-9"))));
}

#[test]
fn profiles_that_cannot_be_obeyed_are_rejected_with_their_reason() {
    let mut pair = accepted();
    let changed = |path: &str, value: Value| {
        let mut profile = tx_profile(Some("a"));
        *profile.pointer_mut(path).expect("there") = value;
        profile
    };
    let period = "/chargingSchedule/0/chargingSchedulePeriod/0";
    let phase = json!({"startPeriod": 0, "limit": 6, "numberPhases": 1, "phaseToUse": 2});
    for (evse, profile, reason) in [
        (9, tx_profile(Some("a")), "UnknownEvse"),
        (1, tx_profile(None), "MissingParam"),
        (0, tx_profile(Some("a")), "InvalidProfile"),
        (
            1,
            changed("/chargingProfilePurpose", json!("TxDefaultProfile")),
            "InvalidProfile",
        ),
        (
            1,
            changed(
                "/chargingProfilePurpose",
                json!("ChargingStationExternalConstraints"),
            ),
            "InvalidProfile",
        ),
        (1, changed("/stackLevel", json!(21)), "InvalidStackLevel"),
        (
            1,
            changed(period, json!({"startPeriod": 5, "limit": 6})),
            "InvalidSchedule",
        ),
        (
            1,
            changed(period, json!({"startPeriod": 0, "limit": -1})),
            "InvalidSchedule",
        ),
        (1, changed(period, phase), "UnsupportedParam"),
        (
            1,
            changed("/chargingProfileKind", json!("Recurring")),
            "InvalidProfile",
        ),
    ] {
        let payload = json!({"evseId": evse, "chargingProfile": profile});
        let told = refused(&mut pair, "SetChargingProfile", payload.clone());
        assert_eq!(told, ("Rejected".to_owned(), reason.to_owned()), "{payload}");
    }
    let mut station = tx_profile(None);
    station["chargingProfilePurpose"] = json!("ChargingStationMaxProfile");
    let told = refused(
        &mut pair,
        "SetChargingProfile",
        json!({"evseId": 1, "chargingProfile": station}),
    );
    assert_eq!(told.1, "InvalidProfile");
}

#[test]
fn clearing_profiles_names_what_and_unknown_is_none_matched() {
    let mut pair = accepted();
    for (payload, wanted) in [
        (json!({}), ClearProfiles::default()),
        (
            json!({"chargingProfileId": 8}),
            ClearProfiles {
                id: Some(8),
                ..ClearProfiles::default()
            },
        ),
        (
            json!({"chargingProfileCriteria": {"evseId": 0, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 3}}),
            ClearProfiles {
                id: None,
                evse: Some(None),
                purpose: Some(ProfilePurpose::TxDefault),
                stack_level: Some(3),
            },
        ),
    ] {
        let (command, result) = asked(&mut pair, "ClearChargingProfile", payload, no());
        assert_eq!(command, Command::ClearProfiles(wanted));
        assert_eq!(result["status"], "Unknown");
    }
    for criteria in [
        json!({"evseId": 9}),
        json!({"stackLevel": -1}),
        json!({"chargingProfilePurpose": "ChargingStationExternalConstraints"}),
    ] {
        let payload = json!({ "chargingProfileCriteria": criteria });
        assert_eq!(pair.status_of("ClearChargingProfile", payload), "Unknown");
    }
}

#[test]
fn a_composite_schedule_is_told_as_it_is_enforced() {
    let mut pair = accepted();
    let schedule = CompositeSchedule {
        evse: Some(EvseId(1)),
        start_ms: T0,
        duration_s: 600,
        unit: RateUnit::Amps,
        periods: vec![CompositePeriod {
            start_s: 0,
            limit_milli: 9_999,
            phases: 3,
            source: LimitSource::Installation,
        }],
    };
    let payload = json!({"duration": 600, "evseId": 1, "chargingRateUnit": "A"});
    let outcome = Outcome::Composite(Ok(schedule));
    let (command, result) = asked(&mut pair, "GetCompositeSchedule", payload.clone(), outcome);
    assert_eq!(
        command,
        Command::GetComposite {
            evse: Some(EvseId(1)),
            duration_s: 600,
            unit: Some(RateUnit::Amps),
        }
    );
    assert_eq!(
        result,
        json!({"status": "Accepted", "schedule": {"evseId": 1, "duration": 600, "scheduleStart": T0_TEXT,
            "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 9.9, "numberPhases": 3}]}})
    );
    let (_, result) = asked(
        &mut pair,
        "GetCompositeSchedule",
        payload,
        Outcome::Composite(Err("no clock")),
    );
    assert_eq!(result["statusInfo"]["additionalInfo"], "no clock");
    for (payload, reason) in [
        (json!({"duration": 600, "evseId": 5}), "UnknownEvse"),
        (json!({"duration": 0, "evseId": 1}), "ValuePositiveOnly"),
    ] {
        assert_eq!(refused(&mut pair, "GetCompositeSchedule", payload).1, reason);
    }
}

#[test]
fn what_a_trigger_accepts_is_sent() {
    let mut pair = accepted();
    pair.status(Some(1), ConnectorStatus::Charging);
    let (id, _) = pair.call("StatusNotification");
    pair.reply(&id, json!({}));
    let status = json!({"requestedMessage": "StatusNotification", "evse": {"id": 1, "connectorId": 1}});
    assert_eq!(pair.status_of("TriggerMessage", status), "Accepted");
    let (id, told) = pair.call("StatusNotification");
    assert_eq!(told["connectorStatus"], "Occupied");
    pair.reply(&id, json!({}));
    let beat = json!({"requestedMessage": "Heartbeat"});
    assert_eq!(pair.status_of("TriggerMessage", beat), "Accepted");
    let (id, _) = pair.call("Heartbeat");
    pair.reply(&id, json!({"currentTime": T0_TEXT}));
    for (message, within) in [
        ("MeterValues", Within::Apart),
        ("TransactionEvent", Within::Transaction),
    ] {
        let payload = json!({"requestedMessage": message, "evse": {"id": 2}});
        let (command, result) = asked(&mut pair, "TriggerMessage", payload, yes());
        let evse = Some(EvseId(2));
        assert_eq!(command, Command::Trigger(Trigger::MeterValues { evse, within }));
        assert_eq!(result["status"], "Accepted");
    }
    for (payload, status) in [
        (json!({"requestedMessage": "StatusNotification"}), "Rejected"),
        (
            json!({"requestedMessage": "StatusNotification", "evse": {"id": 1}}),
            "Rejected",
        ),
        (
            json!({"requestedMessage": "Heartbeat", "evse": {"id": 4}}),
            "Rejected",
        ),
        (
            json!({"requestedMessage": "SignChargingStationCertificate"}),
            "NotImplemented",
        ),
        (
            json!({"requestedMessage": "FirmwareStatusNotification"}),
            "NotImplemented",
        ),
    ] {
        assert_eq!(
            pair.status_of("TriggerMessage", payload.clone()),
            status,
            "{payload}"
        );
    }
}

#[test]
fn the_cache_and_foreign_data() {
    let mut pair = accepted();
    let (command, result) = asked(&mut pair, "ClearCache", json!({}), yes());
    assert_eq!(
        (command, result),
        (Command::ClearCache, json!({"status": "Accepted"}))
    );
    let data = json!({"vendorId": "com.example", "data": {"any": ["thing"]}});
    assert_eq!(pair.status_of("DataTransfer", data), "UnknownVendorId");
}

#[test]
fn a_token_is_asked_about_and_judged() {
    let mut pair = accepted();
    pair.feed(Input::Authorize {
        request: 9,
        evse: EvseId(1),
        token: IdToken::new("04A1B2C3D4E5F6", TokenKind::Iso14443),
    });
    let (id, told) = pair.call("Authorize");
    assert_eq!(
        told,
        json!({"idToken": {"idToken": "04A1B2C3D4E5F6", "type": "ISO14443"}})
    );
    let info = json!({"status": "Accepted", "groupIdToken": central("FLEET"), "cacheExpiryDateTime": "2027-01-01T00:00:00.123456+01:00"});
    pair.reply(&id, json!({ "idTokenInfo": info }));
    let verdict = pair.told.pop_front();
    let Some(retrovolt::ocpp::Effect::Authorized {
        request: 9,
        result: Some(info),
    }) = verdict
    else {
        panic!("{verdict:?}")
    };
    assert_eq!(
        (info.status, info.group.as_deref()),
        (AuthStatus::Accepted, Some("FLEET"))
    );
    assert_eq!(info.expires_ms, Some(1_798_758_000_123));
}
