//! The whole process as an edge node of Sparkplug B: a foreign host sees the session of a real charger, limits it, and
//! sees it die with its bus.

use crate::broker::Broker;
use crate::kills::{configuration, quick_world};
use crate::site::{PATIENCE, process, until};
use crate::sparkplug_host::Host;
use retrovolt::domain::MilliAmps;
use retrovolt::sim::EvSpec;
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::{online, sessions};
use serde_json::json;
use tempfile::TempDir;

const CP: &str = "kill-1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_scada_host_sees_a_session_and_limits_it() {
    let dir = TempDir::new().expect("a folder");
    let csms = Csms::start().await.expect("a CSMS");
    let world = quick_world(dir.path()).await;
    let broker = Broker::open().await;
    let mut host = Host::start(broker.port, Some("scada")).await;
    let port = broker.port;
    let sparkplug = format!(
        r#"
[sparkplug]
group = "site"
edge_node = "gw"
host_id = "scada"
commands = "on"

[[sparkplug.broker]]
url = "mqtt://127.0.0.1:{port}"
"#
    );
    let toml = configuration(dir.path(), &csms, &world, "1.6") + &sparkplug;
    let mut gateway = process(dir.path(), &toml);
    gateway.start().expect("the gateway starts");
    until(&gateway, "it waits for the primary host", |s| {
        s["sparkplug"]["stage"] == "waits for the primary host"
    })
    .await;
    host.order(json!({ "state": true, "timestamp": 1 })).await;
    host.heard(0, "DBIRTH", CP).await;
    world.plug("box", EvSpec::default()).expect("a charger");
    let offers = |amps: i64| world.offered("box") == Ok(MilliAmps::from_base(amps));
    until(&gateway, "a session at 16 A", |s| {
        online(s) == 1 && sessions(s) == 1 && offers(16)
    })
    .await;
    host.tag(CP, "Status", &json!("charging")).await;
    host.tag(CP, "Limit/Current", &json!(16.0)).await;

    host.order(json!({ "dcmd": CP, "write": { "Control/Limit Current": ["DOUBLE", 9.0] } }))
        .await;
    until(&gateway, "the charger offers 9 A", |_| offers(9)).await;
    host.tag(CP, "Control/Limit Current", &json!(9.0)).await;

    // More than the installation carries is refused, and the host is told what holds.
    host.order(json!({ "dcmd": CP, "write": { "Control/Limit Current": ["DOUBLE", 63.0] } }))
        .await;
    host.order(json!({ "dcmd": CP, "write": { "Control/Enabled": ["BOOLEAN", false] } }))
        .await;
    host.tag(CP, "Control/Enabled", &json!(false)).await;
    host.tag(CP, "Control/Limit Current", &json!(0.0)).await;

    let mark = host.mark();
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
    host.heard(mark, "NDEATH", "").await;
    host.content();
}
