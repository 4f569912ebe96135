//! A reload for the sake of the broker, with the real process: what waits for it is told afterwards, or counted.

use crate::broker::Broker;
use crate::kills::{configuration, quick_world};
use crate::mqtt::{CANARY, accounts, mqtt_toml};
use crate::site::{PATIENCE, process, until};
use retrovolt::sim::EvSpec;
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::{online, sessions};
use serde_json::Value;
use tempfile::TempDir;

fn count(status: &Value, key: &str) -> u64 {
    status["mqtt"][key].as_u64().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_wait_over_a_reload_that_mends_the_password_and_are_counted_where_their_topics_go() {
    let dir = TempDir::new().expect("a folder");
    let csms = Csms::start().await.expect("a CSMS");
    let world = quick_world(dir.path()).await;
    let lines = "allow_anonymous false\npassword_file DIR/passwords\nacl_file DIR/acl\n";
    let mut broker = Broker::mosquitto(lines, |dir| accounts(dir, CANARY)).await;
    let toml = configuration(dir.path(), &csms, &world, "1.6") + &mqtt_toml(dir.path(), broker.port);
    let secret = dir.path().join("mqtt.password");
    std::fs::write(&secret, "mistyped").expect("a file");
    let mut gateway = process(dir.path(), &toml);
    gateway.start().expect("the gateway starts");
    world.plug("box", EvSpec::default()).expect("a charger");
    let status = until(&gateway, "a session of which nobody is told", |s| {
        online(s) == 1 && sessions(s) == 1 && count(s, "events_waiting") >= 3
    })
    .await;
    let waited = count(&status, "events_waiting");

    let all = ["-u", "reader", "-P", "r", "-t", "retrovolt/gw/cp/kill-1/event/#"];
    let mut there = broker.subscriber(&all).await;
    std::fs::write(&secret, CANARY).expect("a file");
    gateway.reload().expect("a signal");
    for seq in 1..=waited {
        let event: Value = serde_json::from_str(&there.next().await.payload).expect("JSON");
        assert_eq!(event["seq"], seq, "{event}");
    }
    let status = until(&gateway, "all is told", |s| {
        s["mqtt"]["online"] == true && count(s, "events_waiting") == 0
    })
    .await;
    assert_eq!(count(&status, "events_dropped"), 0);

    // Another name: nobody is there any more for what waits.
    broker.kill().await;
    world.unplug("box").expect("a charger");
    let status = until(&gateway, "the end of which nobody is told", |s| {
        sessions(s) == 0 && count(s, "events_waiting") >= 1
    })
    .await;
    let waited = count(&status, "events_waiting");
    let renamed = toml.replace("gateway_id = \"gw\"", "gateway_id = \"gw-2\"");
    assert_ne!(renamed, toml);
    gateway.configure(&renamed).expect("written");
    gateway.reload().expect("a signal");
    until(&gateway, "they are counted", |s| {
        count(s, "events_dropped") >= waited
    })
    .await;
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
}
