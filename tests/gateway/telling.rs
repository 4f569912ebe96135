//! What telemetry says goes on where it was, over a reload that builds a charge point anew and over a kill: the numbers of
//! events, the last session, and the epochs of a register whose meter was swapped meanwhile.

use crate::broker::Got;
use crate::kills::{configuration, quick_world};
use crate::mqtt::{Witness, broker, mqtt_toml};
use crate::site::{PATIENCE, process, until};
use retrovolt::domain::MilliWattHours;
use retrovolt::sim::EvSpec;
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::{evses, online, sessions};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tempfile::TempDir;

const STATE: &str = "cp/kill-1/state";
const SESSION: &str = "cp/kill-1/session";
const METER: &str = "cp/kill-1/event/meter";
const READER: [&str; 6] = ["-u", "reader", "-P", "r", "-t", "retrovolt/#"];

fn swap(world: &retrovolt::sim::World, wh: i64) {
    world
        .set_energy("box", MilliWattHours::from_base(wh))
        .expect("a charger");
}

/// The events among these messages.
fn events(all: &[Got]) -> Vec<Value> {
    all.iter()
        .filter(|got| got.topic.contains("/cp/kill-1/event/"))
        .map(|got| serde_json::from_str(&got.payload).expect("JSON"))
        .collect()
}

/// Events are numbered without a gap; one that comes twice is the same. What happened before the gateway began to listen for
/// the broker was told to nobody.
fn are_numbered(events: &[Value]) {
    let mut told = BTreeMap::new();
    for event in events {
        let seq = event["seq"].as_u64().expect("a number");
        if let Some(last) = told.keys().last() {
            assert!(seq <= last + 1, "a gap before {event}");
        }
        let first = told.entry(seq).or_insert(event);
        assert_eq!(event, *first, "another event under a number that was told");
    }
    assert!(told.len() > 1, "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_sessions_and_epochs_go_on_over_a_reload_and_over_a_kill() {
    let dir = TempDir::new().expect("a folder");
    let csms = Csms::start().await.expect("a CSMS");
    let world = quick_world(dir.path()).await;
    let broker = broker().await;
    let toml = configuration(dir.path(), &csms, &world, "1.6") + &mqtt_toml(dir.path(), broker.port);
    let mut gateway = process(dir.path(), &toml);
    let mut witness = Witness::with(broker.subscriber(&READER).await);
    swap(&world, 5_000_000);
    gateway.start().expect("the gateway starts");
    witness.until("status", |v| v == "online").await;
    // The CSMS has told the time: no time of the session is corrected later.
    until(&gateway, "online", |s| online(s) == 1).await;
    world.plug("box", EvSpec::default()).expect("a charger");
    witness
        .until(STATE, |v| {
            v["session_energy_wh"].as_u64().is_some_and(|wh| wh > 2)
        })
        .await;
    world.unplug("box").expect("a charger");
    let ended = witness.until(SESSION, |v| !v["ended_at"].is_null()).await;
    assert!(ended["energy_wh"].as_u64().is_some_and(|wh| wh > 2), "{ended}");

    // A changed model builds the charge point anew; what is told of it goes on.
    let booted = csms.mark();
    gateway
        .configure(&toml.replace("model = \"Test\"", "model = \"Other\""))
        .expect("written");
    gateway.reload().expect("a signal");
    csms.wait_call(booted, PATIENCE, "KILL-1", "BootNotification")
        .await
        .expect("it is built anew");
    until(&gateway, "the register is read again", |s| {
        online(s) == 1 && sessions(s) == 0 && evses(s).all(|evse| evse["register"].is_number())
    })
    .await;
    swap(&world, 9_000_000);
    let event = witness.until(METER, |_| true).await;
    assert_eq!(event["meter_epoch"], 1, "{event}");
    let before = event["energy_before_wh"].as_u64();
    assert!(
        before.is_some_and(|wh| (5_000_000..6_000_000).contains(&wh)),
        "{event}"
    );
    let state = witness.until(STATE, |v| v["meter_epoch"] == 1).await;
    assert!(state["energy_import_wh"].as_u64() >= Some(9_000_000), "{state}");
    assert_eq!(
        (&state["session_start"], &state["session_energy_wh"]),
        (&ended["started_at"], &ended["energy_wh"])
    );
    are_numbered(&events(&witness.all));
    assert_eq!(kept(&broker).await, ended, "after the reload");

    // The meter is swapped while nobody looks.
    gateway.kill().await.expect("it runs");
    witness.until("status", |v| v == "offline").await;
    let told = witness.all.len();
    swap(&world, 12_000);
    gateway.start().expect("the gateway starts");
    // Its event may have come before there was anybody to listen for the broker.
    let state = witness.until(STATE, |v| !v["energy_import_wh"].is_null()).await;
    assert_eq!(state["meter_epoch"], 2, "{state}");
    assert_eq!(kept(&broker).await, ended, "after the restart");
    world.plug("box", EvSpec::default()).expect("a charger");
    let another = |v: &Value| v["id"] != ended["id"] && v["ended_at"].is_null();
    witness.until("cp/kill-1/event/session", another).await;
    are_numbered(&events(&witness.all[told..]));
    let sessions: Vec<&Got> = witness
        .all
        .iter()
        .filter(|got| got.topic.ends_with(SESSION))
        .collect();
    let first = sessions.iter().position(|got| got.payload.contains("\"id\":\""));
    for got in &sessions[first.expect("a session")..] {
        assert!(!got.payload.contains("\"id\":null"), "{}", got.payload);
    }
    never_falls(&witness.all);
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
}

/// What the broker has kept of the session.
async fn kept(broker: &crate::broker::Broker) -> Value {
    let mut new = Witness::with(broker.subscriber(&READER).await);
    new.until(SESSION, |_| true).await
}

/// Within an epoch no register that was told is below one that was told before.
fn never_falls(all: &[Got]) {
    let mut before = (0, 0);
    for got in all.iter().filter(|got| got.topic.ends_with(STATE)) {
        let state: Value = serde_json::from_str(&got.payload).unwrap_or(json!(null));
        let (Some(epoch), Some(wh)) = (state["meter_epoch"].as_u64(), state["energy_import_wh"].as_u64())
        else {
            continue;
        };
        assert!((epoch, wh) >= before, "{state} after {before:?}");
        before = (epoch, wh);
    }
    assert_eq!(before.0, 2);
}
