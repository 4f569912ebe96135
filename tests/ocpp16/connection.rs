//! Registration, reconnects, time-outs, heartbeats, statuses, the clock.

use crate::pair::{Pair, T0, T0_TEXT, began, ended, token};
use retrovolt::domain::*;
use retrovolt::ocpp::{Effect, Input, Registration};
use serde_json::json;

#[test]
fn the_boot_message_fits_its_lengths_and_leaves_out_what_is_unknown() {
    let mut pair = Pair::new();
    pair.feed(Input::Connected);
    let (_, boot) = pair.call("BootNotification");
    assert_eq!(
        boot,
        json!({"chargePointVendor": "Retrovolt", "chargePointModel": "A model name that is", "firmwareVersion": "0.1.0"})
    );
}

#[test]
fn an_accepted_boot_sets_heartbeat_and_clock_and_tells_every_status() {
    let mut pair = Pair::new();
    for (evse, status) in [
        (None, ConnectorStatus::Preparing),
        (Some(1), ConnectorStatus::Available),
        (Some(2), ConnectorStatus::Faulted),
    ] {
        pair.status(evse, status);
    }
    pair.quiet();
    pair.boot("Accepted", 42);
    assert!(pair.online);
    assert_eq!(pair.clock, Some(T0));
    assert_eq!(pair.kv["key/HeartbeatInterval"], "42");
    for (connector, status) in [(0, "Available"), (1, "Available"), (2, "Faulted")] {
        let (id, told) = pair.call("StatusNotification");
        assert_eq!(
            told,
            json!({"connectorId": connector, "status": status, "errorCode": "NoError", "timestamp": T0_TEXT})
        );
        pair.quiet();
        pair.reply(&id, json!({}));
    }
    let before = pair.now.mono;
    pair.pass(1000);
    assert_eq!(pair.now.mono.since(before).as_secs(), 42);
    assert_eq!(pair.call("Heartbeat").1, json!({}));
}

#[test]
fn pending_is_silence_but_for_answers_and_triggers() {
    let mut pair = Pair::new();
    pair.status(Some(1), ConnectorStatus::Available);
    pair.append(began("a", 1));
    pair.boot("Pending", 25);
    assert!(!pair.online);
    pair.quiet();
    assert_eq!(pair.machine.snapshot().registration, Registration::Pending);
    let change = json!({"key": "MeterValueSampleInterval", "value": "10"});
    assert_eq!(pair.status_of("ChangeConfiguration", change), "Accepted");
    assert_eq!(
        pair.status_of("RemoteStartTransaction", json!({"idTag": "X"})),
        "Rejected"
    );
    assert_eq!(
        pair.status_of("RemoteStopTransaction", json!({"transactionId": 1})),
        "Rejected"
    );
    let meter = json!({"requestedMessage": "MeterValues"});
    assert_eq!(pair.status_of("TriggerMessage", meter), "Rejected");
    let status = json!({"requestedMessage": "StatusNotification", "connectorId": 1});
    assert_eq!(pair.status_of("TriggerMessage", status), "Accepted");
    let (id, _) = pair.call("StatusNotification");
    pair.reply(&id, json!({}));
    assert_eq!(
        pair.status_of("TriggerMessage", json!({"requestedMessage": "Heartbeat"})),
        "Accepted"
    );
    let (id, _) = pair.call("Heartbeat");
    pair.reply(&id, json!({"currentTime": T0_TEXT}));
    pair.pass(24);
    pair.quiet();
    pair.pass(1);
    let (id, _) = pair.call("BootNotification");
    pair.reply(
        &id,
        json!({"status": "Accepted", "currentTime": T0_TEXT, "interval": 0}),
    );
    let (id, _) = pair.call("StatusNotification");
    pair.reply(&id, json!({}));
    pair.call("StartTransaction");
    let interval = pair.machine.snapshot().heartbeat_s;
    assert_eq!(interval, 300, "interval 0 leaves our own");
}

#[test]
fn a_boot_trigger_is_served_while_pending_and_refused_afterwards() {
    let mut pair = Pair::new();
    pair.boot("Pending", 3000);
    let boot = json!({"requestedMessage": "BootNotification"});
    assert_eq!(pair.status_of("TriggerMessage", boot.clone()), "Accepted");
    let (id, _) = pair.call("BootNotification");
    pair.reply(
        &id,
        json!({"status": "Accepted", "currentTime": T0_TEXT, "interval": 300}),
    );
    assert_eq!(pair.status_of("TriggerMessage", boot), "Rejected");
    pair.quiet();
}

#[test]
fn rejected_is_silence_even_over_a_reconnect() {
    let mut pair = Pair::new();
    pair.boot("Rejected", 100);
    pair.outage(50);
    pair.quiet();
    pair.pass(50);
    pair.call("BootNotification");
    assert_eq!(pair.now.mono.0, 100_000);
}

#[test]
fn a_boot_that_fails_is_tried_again_with_growing_pauses() {
    let mut pair = Pair::new();
    pair.feed(Input::Connected);
    let mut last = 0;
    for _ in 0..3 {
        let (id, _) = pair.call("BootNotification");
        pair.refuse(&id, "InternalError");
        pair.quiet();
        let before = pair.now.mono;
        pair.pass(10_000);
        let pause = pair.now.mono.since(before).as_secs();
        assert!(pause >= 20 && pause > last, "{pause}");
        last = pause;
    }
    let (id, _) = pair.call("BootNotification");
    pair.reply(&id, json!({"status": "Maybe"}));
    assert_eq!(pair.count("bad_answer"), 1);
    pair.pass(10_000);
    pair.call("BootNotification");
}

#[test]
fn a_boot_without_an_answer_closes_the_connection() {
    let mut pair = Pair::new();
    pair.feed(Input::Connected);
    pair.call("BootNotification");
    pair.pass(30);
    assert_eq!(pair.closed, Some(1001));
    assert_eq!(pair.count("no_answer"), 1);
    pair.outage(1);
    pair.call("BootNotification");
}

#[test]
fn a_mere_reconnect_needs_no_boot_and_tells_only_what_changed() {
    let mut pair = Pair::accepted();
    for connector in [1, 2] {
        pair.status(Some(connector), ConnectorStatus::Available);
        let (id, _) = pair.call("StatusNotification");
        pair.reply(&id, json!({}));
    }
    pair.feed(Input::Disconnected);
    assert!(!pair.online);
    pair.status(Some(1), ConnectorStatus::Preparing);
    pair.status(Some(2), ConnectorStatus::Preparing);
    pair.status(Some(2), ConnectorStatus::Available);
    pair.outage(10);
    assert!(pair.online);
    let (id, told) = pair.call("StatusNotification");
    assert_eq!(
        (told["connectorId"].clone(), told["status"].clone()),
        (json!(1), json!("Preparing"))
    );
    pair.reply(&id, json!({}));
    pair.quiet();
    pair.outage(100);
    for connector in [1, 2] {
        let (id, told) = pair.call("StatusNotification");
        assert_eq!(
            told["connectorId"], connector,
            "after a long outage everything is told"
        );
        pair.reply(&id, json!({}));
    }
    pair.quiet();
}

#[test]
fn changed_facts_boot_again_on_the_next_connection() {
    let mut pair = Pair::accepted();
    pair.facts("SN-0815");
    pair.quiet();
    pair.outage(1);
    assert_eq!(
        pair.call("BootNotification").1["chargePointSerialNumber"],
        "SN-0815"
    );
}

#[test]
fn a_csms_that_forgot_us_is_told_again_but_not_flooded() {
    let mut pair = Pair::accepted();
    for status in [
        ConnectorStatus::Available,
        ConnectorStatus::Preparing,
        ConnectorStatus::Available,
    ] {
        pair.status(Some(1), status);
        let (id, _) = pair.call("StatusNotification");
        pair.refuse(&id, "SecurityError");
        pair.quiet();
        let before = pair.now.mono;
        pair.pass(100);
        assert!(pair.now.mono.since(before).as_secs() >= 20);
        let (id, _) = pair.call("BootNotification");
        pair.reply(
            &id,
            json!({"status": "Accepted", "currentTime": T0_TEXT, "interval": 3600}),
        );
        let (id, _) = pair.call("StatusNotification");
        pair.reply(&id, json!({}));
    }
}

#[test]
fn one_call_at_a_time_and_the_peer_is_answered_meanwhile() {
    let mut pair = Pair::new();
    pair.feed(Input::Connected);
    let (id, _) = pair.call("BootNotification");
    pair.append(began("a", 1));
    pair.status(Some(1), ConnectorStatus::Available);
    pair.quiet();
    pair.ask("GetConfiguration", json!({"key": ["NumberOfConnectors"]}));
    assert_eq!(
        pair.result(),
        json!({"configurationKey": [{"key": "NumberOfConnectors", "readonly": true, "value": "2"}]})
    );
    pair.reply(
        &id,
        json!({"status": "Accepted", "currentTime": T0_TEXT, "interval": 300}),
    );
    let (id, _) = pair.call("StatusNotification");
    pair.quiet();
    pair.reply(&id, json!({}));
    pair.call("StartTransaction");
    pair.quiet();
}

#[test]
fn statuses_in_a_queue_are_coalesced_and_the_latest_wins() {
    let mut pair = Pair::accepted();
    pair.append(began("a", 1));
    let (id, _) = pair.call("StartTransaction");
    for status in [
        ConnectorStatus::Preparing,
        ConnectorStatus::Charging,
        ConnectorStatus::SuspendedEV,
    ] {
        pair.status(Some(1), status);
    }
    pair.reply(
        &id,
        json!({"transactionId": 1, "idTagInfo": {"status": "Accepted"}}),
    );
    let (id, told) = pair.call("StatusNotification");
    assert_eq!(told["status"], "SuspendedEV");
    pair.reply(&id, json!({}));
    pair.quiet();
}

#[test]
fn a_long_queue_does_not_hide_the_present() {
    let mut pair = Pair::accepted();
    pair.feed(Input::Disconnected);
    for _ in 0..40 {
        pair.append(began("a", 1));
    }
    pair.status(Some(1), ConnectorStatus::Available);
    pair.status(Some(2), ConnectorStatus::Charging);
    pair.feed(Input::Connected);
    let mut order = Vec::new();
    for _ in 0..6 {
        let frame = pair.wire.pop_front().expect("a CALL");
        order.push(frame[2].as_str().expect("action").to_owned());
        let id = frame[1].as_str().expect("id").to_owned();
        pair.reply(
            &id,
            json!({"transactionId": 1, "idTagInfo": {"status": "Accepted"}}),
        );
    }
    let statuses = order
        .iter()
        .filter(|action| *action == "StatusNotification")
        .count();
    assert_eq!(statuses, 2, "{order:?}");
}

#[test]
fn faults_travel_with_the_vendors_own_words() {
    let mut pair = Pair::accepted();
    let at = pair.stamp();
    pair.feed(Input::Notice(Notice::Status(StatusNotice {
        evse: Some(EvseId(1)),
        status: ConnectorStatus::Faulted,
        error: ErrorCode {
            kind: Some(FaultKind::CommunicationLost),
            vendor: Some("E".repeat(80)),
            info: Some("no answer on the bus".into()),
        },
        at,
    })));
    let (_, told) = pair.call("StatusNotification");
    assert_eq!(told["errorCode"], "OtherError");
    assert_eq!(told["vendorErrorCode"].as_str().map(str::len), Some(50));
    assert_eq!(told["info"], "no answer on the bus");
}

#[test]
fn authorize_goes_before_the_queue_and_is_answered_offline_too() {
    let mut pair = Pair::accepted();
    let authorize = |pair: &mut Pair, request| {
        pair.feed(Input::Authorize {
            request,
            evse: EvseId(1),
            token: token("0123456789ABCDEF0123456789"),
        });
    };
    pair.append(began("a", 1));
    let (start, _) = pair.call("StartTransaction");
    pair.append(ended("a", 1));
    authorize(&mut pair, 1);
    pair.reply(
        &start,
        json!({"transactionId": 1, "idTagInfo": {"status": "Accepted"}}),
    );
    let (id, asked) = pair.call("Authorize");
    assert_eq!(asked, json!({"idTag": "0123456789ABCDEF0123"}));
    pair.told.clear();
    pair.reply(
        &id,
        json!({"idTagInfo": {"status": "Expired", "expiryDate": "2020-01-01T00:00:00.114429+00:00"}}),
    );
    let Some(Effect::Authorized {
        request: 1,
        result: Some(info),
    }) = pair.told.pop_front()
    else {
        panic!("expected a verdict");
    };
    assert_eq!(
        (info.status, info.expires_ms),
        (AuthStatus::Expired, Some(1_577_836_800_114))
    );
    pair.call("StopTransaction");
    authorize(&mut pair, 2);
    pair.feed(Input::Disconnected);
    authorize(&mut pair, 3);
    for request in [2, 3] {
        assert_eq!(
            pair.told.pop_front(),
            Some(Effect::Authorized {
                request,
                result: None
            })
        );
    }
}

#[test]
fn an_authorize_without_verdict_is_no_verdict() {
    for payload in [json!({}), json!({"idTagInfo": {}}), json!({"idTagInfo": 5})] {
        let mut pair = Pair::accepted();
        pair.feed(Input::Authorize {
            request: 1,
            evse: EvseId(1),
            token: token("A"),
        });
        let (id, _) = pair.call("Authorize");
        pair.reply(&id, payload);
        assert_eq!(
            pair.told.pop_front(),
            Some(Effect::Authorized {
                request: 1,
                result: None
            })
        );
        assert_eq!(pair.count("bad_answer"), 1);
    }
}

#[test]
fn heartbeats_only_when_idle_and_any_exchange_counts() {
    let mut pair = Pair::new();
    pair.boot("Accepted", 60);
    pair.pass(40);
    pair.quiet();
    pair.ask("GetConfiguration", json!({"key": ["HeartbeatInterval"]}));
    pair.result();
    pair.pass(59);
    pair.quiet();
    pair.pass(1);
    let (id, _) = pair.call("Heartbeat");
    pair.reply(&id, json!({"currentTime": pair.time()}));
    assert_eq!(pair.clock, Some(T0 + 100_000));
}

#[test]
fn the_clock_is_asked_for_daily_even_on_a_busy_line() {
    let mut pair = Pair::accepted();
    for _ in 0..23 {
        pair.pass(3599);
        pair.quiet();
        pair.ask("GetConfiguration", json!({"key": ["HeartbeatInterval"]}));
        pair.result();
    }
    pair.pass(3599);
    pair.quiet();
    pair.ask("GetConfiguration", json!({"key": ["HeartbeatInterval"]}));
    pair.result();
    pair.pass(60);
    pair.call("Heartbeat");
}

#[test]
fn a_time_before_the_build_never_sets_the_clock() {
    for time in ["1970-01-01T00:00:00Z", "2019-01-01T00:00:00Z", "soon", ""] {
        let mut pair = Pair::new();
        pair.feed(Input::Connected);
        let (id, _) = pair.call("BootNotification");
        pair.reply(
            &id,
            json!({"status": "Accepted", "currentTime": time, "interval": 300}),
        );
        assert_eq!((pair.clock, pair.count("bad_time")), (None, 1), "{time}");
        assert!(pair.online, "a broken clock is no reason not to work");
    }
}

#[test]
fn current_time_is_read_in_every_spelling_of_the_field() {
    for time in [
        "2026-09-21T14:13:20Z",
        "2026-09-21T14:13:20.000Z",
        "2026-09-21T14:13:20.000001+00:00",
        "2026-09-21T16:13:20+02:00",
        "2026-09-21T14:13:20",
    ] {
        let mut pair = Pair::new();
        pair.feed(Input::Connected);
        let (id, _) = pair.call("BootNotification");
        pair.reply(
            &id,
            json!({"interval": 300.0, "currentTime": time, "status": "Accepted"}),
        );
        assert_eq!(pair.clock, Some(T0), "{time}");
    }
}

#[test]
fn a_soft_reset_delivers_the_stop_first_and_boots_anew() {
    let mut pair = Pair::accepted();
    pair.append(began("a", 1));
    let (id, _) = pair.call("StartTransaction");
    pair.reply(
        &id,
        json!({"transactionId": 1, "idTagInfo": {"status": "Accepted"}}),
    );
    pair.append(ended("a", 2));
    pair.feed(Input::Reboot(ResetKind::Soft));
    let (id, _) = pair.call("StopTransaction");
    assert_eq!(pair.closed, None);
    pair.reply(&id, json!({}));
    assert_eq!(pair.closed, Some(1001));
    pair.outage(1);
    pair.call("BootNotification");
}

#[test]
fn a_soft_reset_does_not_wait_for_ever_and_a_hard_one_not_at_all() {
    for (kind, patience) in [(ResetKind::Soft, 15), (ResetKind::Hard, 0)] {
        let mut pair = Pair::accepted();
        pair.append(began("a", 1));
        let (id, _) = pair.call("StartTransaction");
        pair.refuse(&id, "InternalError");
        pair.feed(Input::Reboot(kind));
        pair.pass(patience);
        assert_eq!(pair.closed, Some(1001), "{kind:?}");
        pair.outage(1);
        let (id, _) = pair.call("BootNotification");
        pair.reply(
            &id,
            json!({"status": "Accepted", "currentTime": T0_TEXT, "interval": 300}),
        );
        pair.pass(60);
        pair.call("StartTransaction");
    }
}

#[test]
fn a_reset_does_not_wait_for_a_csms_that_does_not_answer() {
    let mut pair = Pair::accepted();
    pair.append(began("a", 1));
    let (_, first) = pair.call("StartTransaction");
    pair.feed(Input::Reboot(ResetKind::Soft));
    pair.pass(15);
    assert_eq!((pair.closed, pair.count("no_answer")), (Some(1001), 0));
    pair.outage(1);
    let (id, _) = pair.call("BootNotification");
    pair.reply(
        &id,
        json!({"status": "Accepted", "currentTime": T0_TEXT, "interval": 300}),
    );
    assert_eq!(pair.call("StartTransaction").1, first);
}

#[test]
fn the_ping_period_is_told_at_once_and_when_it_changes() {
    let mut pair = Pair::accepted();
    assert_eq!(pair.ping.map(|period| period.as_secs()), Some(60));
    let change = json!({"key": "WebSocketPingInterval", "value": "0"});
    assert_eq!(pair.status_of("ChangeConfiguration", change), "Accepted");
    assert_eq!(pair.ping.map(|period| period.as_secs()), Some(0));
}

#[test]
fn the_message_timeout_is_a_setting() {
    let mut pair = Pair::accepted();
    let change = json!({"key": "MessageTimeout", "value": "5"});
    assert_eq!(pair.status_of("ChangeConfiguration", change), "Accepted");
    pair.status(Some(1), ConnectorStatus::Available);
    pair.call("StatusNotification");
    pair.pass(4);
    assert_eq!(pair.closed, None);
    pair.pass(1);
    assert_eq!(pair.closed, Some(1001));
    assert!(!pair.online);
}

#[test]
fn ids_are_uuids_and_never_repeat_over_restarts() {
    let mut ids = std::collections::BTreeSet::new();
    let mut pair = Pair::new();
    for _ in 0..50 {
        pair.feed(Input::Connected);
        let (id, _) = pair.call("BootNotification");
        assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'), "{id}");
        assert!(ids.insert(id));
        pair.restart();
    }
}
