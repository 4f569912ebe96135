//! A broker over its budget hears of every session, status and record, and of no measured value in between; so do the
//! brokers of Sparkplug, on an account of their own.

use crate::broker::Broker;
use crate::kills::{configuration, quick_world};
use crate::metrics::{samples, shown};
use crate::mqtt::Witness;
use crate::site::{PATIENCE, process, until};
use retrovolt::sim::EvSpec;
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::{online, sessions};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

fn sideways(dir: &Path, port: u16, budget: &str) -> String {
    let dir = dir.display();
    format!(
        r#"
[metrics]
listen = "unix:{dir}/m.sock"

[mqtt]
url = "mqtt://127.0.0.1:{port}"
gateway_id = "gw"
refresh = "5s"
{budget}

[sparkplug]
group = "site"
edge_node = "gw"
{budget}

[[sparkplug.broker]]
url = "mqtt://127.0.0.1:{port}"
"#
    )
}

fn account<'a>(status: &'a Value, back_end: &str) -> &'a Value {
    let mut all = status["traffic"].as_array().into_iter().flatten();
    all.find(|account| account["back_end"] == back_end)
        .unwrap_or(&Value::Null)
}

fn is_bare(status: &Value) -> bool {
    ["mqtt", "sparkplug"]
        .iter()
        .all(|name| account(status, name)["stage"] == json!("bare"))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_budget_a_broker_hears_of_sessions_and_statuses_and_of_no_measured_value() {
    let dir = TempDir::new().expect("a folder");
    let csms = Csms::start().await.expect("a CSMS");
    let world = quick_world(dir.path()).await;
    let broker = Broker::open().await;
    let site = configuration(dir.path(), &csms, &world, "1.6");
    let toml = |budget: &str| site.clone() + &sideways(dir.path(), broker.port, budget);
    let mut gateway = process(dir.path(), &toml(""));
    let mut witness = Witness::with(broker.subscriber(&["-t", "retrovolt/#"]).await);
    gateway.start().expect("the gateway starts");
    world.plug("box", EvSpec::default()).expect("a charger");
    // Without a budget values are told as they move; they are what uses one up.
    let mut last = 0;
    for _ in 0..3 {
        let told = witness
            .until("cp/kill-1/state", |v| number(&v["energy_import_wh"]) > last)
            .await;
        last = number(&told["energy_import_wh"]);
    }
    gateway
        .configure(&toml("monthly_budget = \"1kB\""))
        .expect("written");
    gateway.reload().expect("a signal");
    until(&gateway, "both accounts are over their budgets", |s| {
        is_bare(s) && s["mqtt"]["online"] == json!(true) && s["sparkplug"]["stage"] == json!("online")
    })
    .await;
    let (mark, topic) = ("retrovolt/mark", "retrovolt/gw/cp/kill-1/state");
    broker.publish(&["-t", mark, "-m", "1"]).await;
    until(&gateway, "values are left out", |s| {
        number(&s["mqtt"]["thinned"]) >= 3
    })
    .await;
    broker.publish(&["-t", mark, "-m", "2"]).await;
    while witness.there.on(mark).await.payload != "1" {}
    loop {
        let got = witness.there.next().await;
        assert_ne!(
            got.topic, topic,
            "a measured value over the budget: {}",
            got.payload
        );
        if got.topic == mark {
            break;
        }
    }
    world.unplug("box").expect("a charger");
    let state = witness
        .until("cp/kill-1/state", |v| v["status"] == "available")
        .await;
    assert!(
        number(&state["energy_import_wh"]) >= last,
        "a status takes the values with it: {state}"
    );
    witness
        .until("cp/kill-1/record", |v| v["record"] == "ended")
        .await;
    let told = |kind: &str| witness.all.iter().any(|got| got.topic.ends_with(kind));
    assert!(told("/event/session") && told("/event/status"));
    let thinned = "retrovolt_mqtt_publishes_total{result=\"thinned\"}";
    let page = samples(&shown(&dir.path().join("m.sock"), &[thinned]).await);
    for (name, least) in [
        ("retrovolt_budget_stage{back_end=\"mqtt\"}", 2.0),
        ("retrovolt_budget_stage{back_end=\"sparkplug\"}", 2.0),
        ("retrovolt_budget_bytes{back_end=\"mqtt\"}", 1_000.0),
        (
            "retrovolt_traffic_month_bytes{back_end=\"mqtt\",direction=\"sent\"}",
            1_000.0,
        ),
        ("retrovolt_mqtt_connected", 1.0),
        ("retrovolt_mqtt_bytes_total{direction=\"received\"}", 100.0),
        ("retrovolt_mqtt_publishes_total{result=\"confirmed\"}", 20.0),
        (thinned, 1.0),
        ("retrovolt_mqtt_waiting_bytes", 0.0),
        ("retrovolt_mqtt_records_given_up_total", 0.0),
        (
            "retrovolt_queue_messages{kind=\"mqtt\",cp=\"kill-1\",csms=\"\"}",
            0.0,
        ),
        ("retrovolt_sparkplug_connected", 1.0),
        ("retrovolt_sparkplug_bytes_total{direction=\"sent\"}", 1_000.0),
    ] {
        let value = page.get(name);
        assert!(value.is_some_and(|value| *value >= least), "{name}: {value:?}");
    }
    // Accounts and stages are kept over a restart; what is counted since the start is not.
    let before = account(&gateway.status().await.expect("a status"), "mqtt")["month"]["sent"].clone();
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
    gateway.start().expect("the gateway starts");
    let after = until(&gateway, "still over the budget", |s| {
        online(s) == 1 && sessions(s) == 0 && is_bare(s)
    })
    .await;
    let sent = &account(&after, "mqtt")["month"]["sent"];
    assert!(number(sent) >= number(&before), "{sent} after {before}");
    // Without a budget everything is told again.
    gateway.configure(&toml("")).expect("written");
    gateway.reload().expect("a signal");
    until(&gateway, "no stage", |s| {
        ["mqtt", "sparkplug"]
            .iter()
            .all(|name| account(s, name)["stage"] == json!("free"))
    })
    .await;
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
}
