//! One charger, several CSMSs: each gets every transaction of its own once and in order, through outages of either and
//! kills of the process; only the one in control is obeyed.

use crate::kills::quick_world;
use crate::rig::Rig;
use crate::site::{PATIENCE, gateway_toml, process, until};
use retrovolt::domain::{MilliAmps, Rng};
use retrovolt::sim::csms::{CallError, Csms, Reach};
use retrovolt::sim::status::{evses, links_online, online, sessions, waiting};
use retrovolt::sim::{EvSpec, GatewayProcess, World};
use retrovolt::store::Store;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const CP: &str = "TWO-1";

/// One back end of the configuration.
pub struct BackEnd {
    /// Its name.
    pub name: &'static str,
    /// `ws://...`.
    pub url: String,
    /// `1.6` or `2.0.1`.
    pub version: &'static str,
    /// A line `tags = [...]`, or nothing.
    pub tags: &'static str,
}

impl BackEnd {
    /// A back end that is told of everything.
    pub fn of(name: &'static str, csms: &Csms, version: &'static str) -> Self {
        Self {
            name,
            url: csms.url("{id}"),
            version,
            tags: "",
        }
    }

    fn toml(&self) -> String {
        let Self {
            name,
            url,
            version,
            tags,
        } = self;
        format!(
            "\n[[charge_point.csms]]\nname = \"{name}\"\nurl = \"{url}\"\nversion = \"{version}\"\n{tags}\n\
             reconnect_min = \"1s\"\nreconnect_max = \"1s\"\nmessage_timeout = \"5s\"\n"
        )
    }
}

/// The configuration of one charge point with these back ends.
pub fn configuration(dir: &Path, world: &World, auth: &str, back_ends: &[&BackEnd]) -> String {
    let address = world.address("net").expect("a server");
    let (ip, port) = (address.ip(), address.port());
    let back_ends: String = back_ends.iter().map(|b| b.toml()).collect();
    format!(
        r#"{}
[[bus]]
id = "net"
host = "{ip}"
tcp_port = {port}
reopen_wait = "100ms"

[[device]]
id = "box"
bus = "net"
profile = "test-quick-box"
accept_no_failsafe = true

[[charge_point]]
id = "{CP}"
ocpp16 = {{ MeterValueSampleInterval = 1 }}
ocpp201 = {{ SampledDataCtrlr.TxUpdatedInterval = 1 }}

[[charge_point.evse]]
charger = "box"
max_current = "16A"
{auth}
{back_ends}"#,
        gateway_toml(dir)
    )
}

/// Anybody may charge.
pub const FREE: &str = "auth = \"free\"\nid_token = \"FREE\"";

/// A vehicle comes, charges until somebody has seen meter values, and leaves.
pub async fn session(gateway: &GatewayProcess, world: &World) {
    world.plug("box", EvSpec::default()).expect("a charger");
    let rows = |s: &Value| s["ledger"]["last_seq"].as_u64().unwrap_or(0);
    let before = until(gateway, "a session runs", |s| sessions(s) == 1).await;
    let before = rows(&before);
    until(gateway, "meter values are recorded", |s| rows(s) >= before + 2).await;
    world.unplug("box").expect("a charger");
    until(gateway, "the session ends", |s| sessions(s) == 0).await;
}

/// A session is over in the status before its end is in the ledger, so what was delivered is asked of the CSMS.
async fn delivered(gateway: &GatewayProcess, csms: &Csms, sessions: u64) {
    until(gateway, "every session is delivered", |s| {
        csms.verdict().ended >= sessions && waiting(s) == 0
    })
    .await;
    let verdict = csms.verdict();
    assert!(verdict.is_clean() && verdict.open.is_empty(), "{verdict:#?}");
    assert_eq!(
        (verdict.begun, verdict.ended),
        (sessions, sessions),
        "{verdict:#?}"
    );
}

/// Takes a CSMS off the net.
pub fn out(csms: &Csms) {
    csms.set_reach(Reach::Refuse);
    csms.cut();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_csmss_of_two_versions_get_every_transaction_once_through_an_outage_of_either_and_kills() {
    let dir = TempDir::new().expect("a folder");
    let (first, second) = (
        Csms::start().await.expect("a CSMS"),
        Csms::start().await.expect("a CSMS"),
    );
    let world = quick_world(dir.path()).await;
    let back_ends = [
        &BackEnd::of("main", &first, "1.6"),
        &BackEnd::of("fleet", &second, "2.0.1"),
    ];
    let toml = configuration(dir.path(), &world, FREE, &back_ends);
    let mut gateway = process(dir.path(), &toml);
    gateway.start().expect("the gateway starts");
    until(&gateway, "both accept the charge point", |s| links_online(s) == 2).await;
    session(&gateway, &world).await;

    out(&first);
    until(&gateway, "the one in control is away", |s| {
        online(s) == 0 && links_online(s) == 1
    })
    .await;
    let mark = second.mark();
    session(&gateway, &world).await;
    let end = |f: &retrovolt::sim::csms::Frame| {
        f.call("TransactionEvent")
            .is_some_and(|p| p["eventType"] == "Ended")
    };
    second
        .wait(mark, PATIENCE, end)
        .await
        .expect("told while the other is away");
    gateway.kill().await.expect("a kill");
    gateway.start().expect("the gateway starts again");
    until(&gateway, "the other is back", |s| links_online(s) == 1).await;
    first.set_reach(Reach::Up);
    until(&gateway, "both are back", |s| {
        links_online(s) == 2 && waiting(s) == 0
    })
    .await;

    out(&second);
    until(&gateway, "the one that reads is away", |s| {
        online(s) == 1 && links_online(s) == 1
    })
    .await;
    let mark = first.mark();
    session(&gateway, &world).await;
    first
        .wait_call(mark, PATIENCE, CP, "StopTransaction")
        .await
        .expect("told while the other is away");
    gateway.kill().await.expect("a kill");
    gateway.start().expect("the gateway starts again");
    second.set_reach(Reach::Up);
    until(&gateway, "both are back", |s| {
        links_online(s) == 2 && waiting(s) == 0
    })
    .await;
    session(&gateway, &world).await;
    delivered(&gateway, &first, 4).await;
    delivered(&gateway, &second, 4).await;
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
}

/// Kills in CI; the campaign sets `RETROVOLT_KILLS`.
const KILLS: u64 = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_csms_loses_or_doubles_anything_by_kills_and_outages_at_random() {
    let from = |name: &str| std::env::var(name).ok().and_then(|n| n.parse().ok());
    let kills = from("RETROVOLT_KILLS").unwrap_or(KILLS);
    let mut rng = Rng::new(from("RETROVOLT_SEED").unwrap_or(3));
    let dir = TempDir::new().expect("a folder");
    let (first, second) = (
        Csms::start().await.expect("a CSMS"),
        Csms::start().await.expect("a CSMS"),
    );
    let world = quick_world(dir.path()).await;
    let back_ends = [
        &BackEnd::of("main", &first, "2.0.1"),
        &BackEnd::of("fleet", &second, "1.6"),
    ];
    let toml = configuration(dir.path(), &world, FREE, &back_ends);
    let mut gateway = process(dir.path(), &toml);
    let mut plugged = false;
    for _ in 0..kills {
        gateway.start().expect("the gateway starts");
        // Not a wait for anything: the moments are what is drawn at random.
        tokio::time::sleep(Duration::from_millis(300 + rng.below(1200))).await;
        plugged = !plugged;
        if plugged {
            world.plug("box", EvSpec::default()).expect("a charger");
        } else {
            world.unplug("box").expect("a charger");
        }
        let one = if rng.below(2) == 0 { &first } else { &second };
        match rng.below(4) {
            0 => out(one),
            1 => one.cut(),
            _ => one.set_reach(Reach::Up),
        }
        tokio::time::sleep(Duration::from_millis(200 + rng.below(900))).await;
        gateway.kill().await.expect("a kill");
    }
    first.set_reach(Reach::Up);
    second.set_reach(Reach::Up);
    world.unplug("box").expect("a charger");
    gateway.start().expect("the gateway starts");
    until(&gateway, "everything is delivered", |s| {
        let open = |csms: &Csms| csms.verdict().open.len();
        links_online(s) == 2 && sessions(s) + open(&first) + open(&second) == 0 && waiting(s) == 0
    })
    .await;
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
    let (one, other) = (first.verdict(), second.verdict());
    for verdict in [&one, &other] {
        assert!(verdict.is_clean() && verdict.open.is_empty(), "{verdict:#?}");
    }
    assert_eq!((one.begun, one.ended), (other.begun, other.ended));
    assert_eq!(one.begun, one.ended);
    assert!(
        one.begun >= kills / 8,
        "too few sessions to prove anything: {one:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_of_the_csms_that_only_reads_changes_nothing() {
    let dir = TempDir::new().expect("a folder");
    let first = Csms::start().await.expect("a CSMS");
    let second = Csms::start().await.expect("a CSMS");
    // Its refusal of the token does not count.
    second.set_token("FREE", "Blocked");
    let world = quick_world(dir.path()).await;
    let back_ends = [
        &BackEnd::of("main", &first, "1.6"),
        &BackEnd::of("fleet", &second, "1.6"),
    ];
    let toml = configuration(dir.path(), &world, FREE, &back_ends);
    let mut gateway = process(dir.path(), &toml);
    gateway.start().expect("the gateway starts");
    world.plug("box", EvSpec::default()).expect("a charger");
    until(&gateway, "both are told of the session", |s| {
        links_online(s) == 2 && sessions(s) == 1 && world.offered("box") == Ok(MilliAmps::from_base(16))
    })
    .await;
    second
        .wait_call(0, PATIENCE, CP, "MeterValues")
        .await
        .expect("it goes on although the second CSMS blocks the token");
    let before = gateway.status().await.expect("a status");

    let schedule =
        json!({"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6}]});
    let profile = json!({"chargingProfileId": 1, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative", "chargingSchedule": schedule});
    let started = second.wait_call(0, PATIENCE, CP, "StartTransaction").await;
    assert!(started.is_some());
    for (action, payload) in [
        ("RemoteStopTransaction", json!({"transactionId": 1})),
        (
            "SetChargingProfile",
            json!({"connectorId": 1, "csChargingProfiles": profile}),
        ),
        (
            "ChangeAvailability",
            json!({"connectorId": 0, "type": "Inoperative"}),
        ),
        (
            "ChangeConfiguration",
            json!({"key": "MeterValueSampleInterval", "value": "3600"}),
        ),
        ("Reset", json!({"type": "Hard"})),
    ] {
        let answer = second.call(CP, action, payload).await;
        assert_eq!(answer, Ok(json!({"status": "Rejected"})), "{action}");
    }
    assert_eq!(
        second
            .call(CP, "UnlockConnector", json!({"connectorId": 1}))
            .await,
        Ok(json!({"status": "NotSupported"}))
    );
    let update = json!({"location": "ftp://x/y", "retrieveDate": "2030-01-01T00:00:00Z"});
    let refused = second.call(CP, "UpdateFirmware", update).await;
    assert!(
        matches!(&refused, Err(CallError::Refused { code, .. }) if code == "NotSupported"),
        "{refused:?}"
    );
    let asked = second
        .call(
            CP,
            "GetCompositeSchedule",
            json!({"connectorId": 1, "duration": 60}),
        )
        .await
        .expect("a question is answered");
    assert_eq!(asked["status"], "Accepted");
    let (mark, other) = (second.mark(), first.mark());
    let values = json!({"requestedMessage": "MeterValues", "connectorId": 1});
    assert_eq!(
        second.call(CP, "TriggerMessage", values).await,
        Ok(json!({"status": "Accepted"}))
    );
    let triggered = |f: &retrovolt::sim::csms::Frame| {
        f.call("MeterValues")
            .is_some_and(|p| p["meterValue"][0]["sampledValue"][0]["context"] == "Trigger")
    };
    second
        .wait(mark, PATIENCE, triggered)
        .await
        .expect("what it asked for");
    first
        .wait(other, PATIENCE, triggered)
        .await
        .expect("both are told of everything");

    let after = gateway.status().await.expect("a status");
    let evse = |s: &Value| s["charge_points"][0]["station"]["evses"][0].clone();
    for what in ["status", "availability", "applied", "commanded", "limits"] {
        assert_eq!(evse(&before)[what], evse(&after)[what], "{what}");
    }
    assert_eq!(evse(&before)["tx"]["id"], evse(&after)["tx"]["id"]);
    // The one in control is obeyed, and the other told what is in force.
    let set = json!({"key": "MeterValueSampleInterval", "value": "2"});
    assert_eq!(
        first.call(CP, "ChangeConfiguration", set).await,
        Ok(json!({"status": "Accepted"}))
    );
    let question = json!({"key": ["MeterValueSampleInterval"]});
    let in_force = json!({"configurationKey": [
        {"key": "MeterValueSampleInterval", "readonly": true, "value": "2"}]});
    let told = async {
        while second.call(CP, "GetConfiguration", question.clone()).await != Ok(in_force.clone()) {}
    };
    tokio::time::timeout(PATIENCE, told)
        .await
        .expect("the other is told soon");
    let stop = first
        .call(CP, "RemoteStopTransaction", json!({"transactionId": 1}))
        .await;
    assert_eq!(stop, Ok(json!({"status": "Accepted"})));
    delivered(&gateway, &first, 1).await;
    delivered(&gateway, &second, 1).await;
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_go_to_the_csms_their_tag_belongs_to() {
    let dir = TempDir::new().expect("a folder");
    let (company, private) = (
        Csms::start().await.expect("a CSMS"),
        Csms::start().await.expect("a CSMS"),
    );
    let world = quick_world(dir.path()).await;
    let back_ends = [
        &BackEnd {
            tags: "tags = [\"04A1*\"]",
            ..BackEnd::of("company", &company, "1.6")
        },
        &BackEnd {
            tags: "tags = [\"!04A1*\"]",
            ..BackEnd::of("private", &private, "2.0.1")
        },
    ];
    let toml = configuration(dir.path(), &world, "auth = \"remote\"", &back_ends);
    let mut gateway = process(dir.path(), &toml);
    gateway.start().expect("the gateway starts");
    // Until its first answer nothing is known of the box, and a start is rejected.
    until(
        &gateway,
        "both accept the charge point and the box is free",
        |s| links_online(s) == 2 && evses(s).all(|evse| evse["status"] == "Available"),
    )
    .await;
    for tag in ["04a1ffee", "HOME", "04A10000", "HOME"] {
        let start = json!({"connectorId": 1, "idTag": tag});
        let answer = company.call(CP, "RemoteStartTransaction", start).await;
        assert_eq!(answer, Ok(json!({"status": "Accepted"})));
        session(&gateway, &world).await;
    }
    delivered(&gateway, &company, 2).await;
    delivered(&gateway, &private, 2).await;
    let tags = |csms: &Csms| -> Vec<String> {
        let frames = csms.frames();
        let tag = |f: &retrovolt::sim::csms::Frame| {
            let begin = f.call("StartTransaction").map(|p| &p["idTag"]);
            let event = f.call("TransactionEvent").map(|p| &p["idToken"]["idToken"]);
            begin.or(event)?.as_str().map(str::to_owned)
        };
        frames.iter().filter_map(tag).collect()
    };
    assert_eq!(tags(&company), ["04a1ffee", "04A10000"]);
    assert_eq!(tags(&private), ["HOME", "HOME"]);
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_csms_that_comes_or_goes_by_reload_leaves_the_others_alone() {
    let dir = TempDir::new().expect("a folder");
    let (first, second) = (
        Csms::start().await.expect("a CSMS"),
        Csms::start().await.expect("a CSMS"),
    );
    let world = quick_world(dir.path()).await;
    let (main, fleet) = (
        BackEnd::of("main", &first, "1.6"),
        BackEnd::of("fleet", &second, "1.6"),
    );
    let alone = configuration(dir.path(), &world, FREE, &[&main]);
    let both = configuration(dir.path(), &world, FREE, &[&main, &fleet]);
    let mut gateway = process(dir.path(), &alone);
    gateway.start().expect("the gateway starts");
    world.plug("box", EvSpec::default()).expect("a charger");
    until(&gateway, "a session runs", |s| online(s) == 1 && sessions(s) == 1).await;
    first
        .wait_call(0, PATIENCE, CP, "MeterValues")
        .await
        .expect("it is told");

    gateway.configure(&both).expect("written");
    gateway.reload().expect("a signal");
    until(&gateway, "the second joins", |s| links_online(s) == 2).await;
    let status = second.wait_call(0, PATIENCE, CP, "StatusNotification").await;
    assert!(status.is_some(), "it is told the state at once");
    world.unplug("box").expect("a charger");
    until(&gateway, "the session it did not see ends", |s| sessions(s) == 0).await;
    session(&gateway, &world).await;
    delivered(&gateway, &second, 1).await;

    gateway.configure(&alone).expect("written");
    gateway.reload().expect("a signal");
    until(&gateway, "the second is gone", |s| {
        links_online(s) == 1 && s["ledger"]["readers"].as_array().map(Vec::len) == Some(1)
    })
    .await;
    session(&gateway, &world).await;
    delivered(&gateway, &first, 3).await;
    let opened = |csms: &Csms| {
        let frames = csms.frames();
        frames
            .iter()
            .filter(|f| matches!(f.kind, retrovolt::sim::csms::Kind::Opened { .. }))
            .count()
    };
    assert_eq!(
        (opened(&first), opened(&second)),
        (1, 1),
        "the first link was never touched"
    );
    assert_eq!(second.verdict().begun, 1);
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
    let (store, _) = Store::open(&dir.path().join("state")).expect("the ledger");
    assert_eq!(store.stats().await.expect("figures").readers.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_strict_csms_reads_in_2_0_1_beside_one_in_control_in_1_6() {
    let dir = TempDir::new().expect("a folder");
    let first = Csms::start().await.expect("a CSMS");
    let mut strict = Rig::start("strict_csms.py", &[]).await;
    let world = quick_world(dir.path()).await;
    let reads = BackEnd {
        name: "strict",
        url: format!("ws://127.0.0.1:{}/ocpp/{{id}}", strict.port),
        version: "2.0.1",
        tags: "",
    };
    let toml = configuration(
        dir.path(),
        &world,
        FREE,
        &[&BackEnd::of("main", &first, "1.6"), &reads],
    );
    let mut gateway = process(dir.path(), &toml);
    gateway.start().expect("the gateway starts");
    until(&gateway, "both accept the charge point", |s| links_online(s) == 2).await;
    let stop = strict.call(CP, "Reset", json!({"type": "Immediate"})).await;
    assert_eq!(stop["payload"]["status"], "Rejected", "{stop}");
    assert_eq!(
        stop["payload"]["statusInfo"]["reasonCode"], "UnsupportedRequest",
        "{stop}"
    );
    session(&gateway, &world).await;
    strict.order(&json!({ "reach": "refuse" })).await;
    until(&gateway, "the strict one is away", |s| {
        online(s) == 1 && links_online(s) == 1
    })
    .await;
    session(&gateway, &world).await;
    gateway.kill().await.expect("a kill");
    strict.order(&json!({ "reach": "up" })).await;
    gateway.start().expect("the gateway starts again");
    until(&gateway, "everything is delivered", |s| {
        let ends = |v: &&Value| v["payload"]["eventType"] == "Ended";
        links_online(s) == 2 && waiting(s) == 0 && strict.since(0).iter().filter(ends).count() >= 2
    })
    .await;

    let events: Vec<Value> = strict
        .since(0)
        .into_iter()
        .filter(|v| v["call"] == "TransactionEvent")
        .map(|v| v["payload"].clone())
        .collect();
    let mut transactions: Vec<(String, Vec<i64>)> = Vec::new();
    for event in &events {
        let tx = event["transactionInfo"]["transactionId"]
            .as_str()
            .expect("an id")
            .to_owned();
        let seq = event["seqNo"].as_i64().expect("a number");
        match transactions.last_mut() {
            Some((last, numbers)) if *last == tx => numbers.push(seq),
            _ => transactions.push((tx, vec![seq])),
        }
    }
    assert_eq!(transactions.len(), 2, "{transactions:?}");
    for (tx, mut numbers) in transactions {
        // The one CALL on the way at a cut may come again.
        numbers.dedup();
        let expected: Vec<i64> = (0..i64::try_from(numbers.len()).expect("few")).collect();
        assert_eq!(numbers, expected, "{tx}");
    }
    assert_eq!(strict.violations(), Vec::<Value>::new());
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
}
