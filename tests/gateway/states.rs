//! The whole process between a charger, two ways to command it and a reader: what is told of holds, limits, the machine,
//! the site and a reload is what holds.

use crate::broker::Broker;
use crate::kills::{configuration, quick_world};
use crate::mqtt::Witness;
use crate::site::{PATIENCE, process, until};
use crate::sparkplug_host::Host;
use retrovolt::domain::MilliAmps;
use retrovolt::sim::EvSpec;
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::{online, sessions};
use serde_json::{Value, json};
use tempfile::TempDir;

const CP: &str = "kill-1";
const PAGE: &str = "https://grafana.example.com/d/retrovolt";
/// What the box may draw: 16 A on three phases of 230 V.
const ALL_W: i64 = 16 * 3 * 230;

fn doors(port: u16) -> String {
    // Each may send a key once a second, so there are several.
    let users = ["ha", "day", "night"].map(|user| {
        format!(
            "\n[[mqtt.allow]]\nname = \"{user}\"\nset = [\"enabled\", \"limit_a\"]\nspacing = \"100ms\"\n"
        )
    });
    let users = users.concat();
    format!(
        r#"
[mqtt]
url = "mqtt://127.0.0.1:{port}"
gateway_id = "gw"
refresh = "5s"
commands = "allow-list"
{users}

[sparkplug]
group = "site"
edge_node = "gw"
commands = "on"

[[sparkplug.broker]]
url = "mqtt://127.0.0.1:{port}"
"#
    )
}

/// A broker with somebody who reads and writes.
struct Reader {
    broker: Broker,
    witness: Witness,
}

impl Reader {
    /// What is answered to a command.
    async fn say(&mut self, user: &str, key: &str, payload: &str) -> Value {
        let topic = format!("retrovolt/gw/as/{user}/cp/{CP}/{key}/set");
        self.broker
            .publish(&["-q", "1", "-t", &topic, "-m", payload])
            .await;
        self.witness
            .until(&format!("response/{user}/{key}"), |_| true)
            .await
    }

    async fn accepted(&mut self, user: &str, key: &str, payload: &str) -> Value {
        let got = self.say(user, key, payload).await;
        assert_eq!(got["status"], "ok", "{got}");
        got["data"].clone()
    }

    /// Within a minute of the last time.
    async fn too_often(&mut self, user: &str, key: &str, payload: &str) {
        let got = self.say(user, key, payload).await;
        let error = got["error"].as_str().unwrap_or_default();
        let left = error.strip_prefix("too often; again in ");
        let left = left.and_then(|rest| rest.strip_suffix(" s")?.parse::<f32>().ok());
        assert!(left.is_some_and(|left| left > 1.0), "{got}");
    }

    async fn state(&mut self, wanted: impl Fn(&Value) -> bool) {
        self.witness.until(&format!("cp/{CP}/state"), wanted).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_and_limits_are_told_apart_and_a_contactor_is_closed_once_a_minute_by_both_doors() {
    let dir = TempDir::new().expect("a folder");
    let csms = Csms::start().await.expect("a CSMS");
    let world = quick_world(dir.path()).await;
    let broker = Broker::open().await;
    let witness = Witness::with(broker.subscriber(&["-t", "retrovolt/#"]).await);
    let mut host = Host::start(broker.port, None).await;
    let site = configuration(dir.path(), &csms, &world, "1.6");
    let site = site.replace("[gateway]\n", &format!("[gateway]\npage_url = \"{PAGE}\"\n"));
    let toml = site + &doors(broker.port);
    let mut reader = Reader { broker, witness };
    let mut gateway = process(dir.path(), &toml);
    gateway.start().expect("the gateway starts");
    world.plug("box", EvSpec::default()).expect("a charger");
    let offers = |amps: i64| world.offered("box") == Ok(MilliAmps::from_base(amps));
    until(&gateway, "a session at 16 A", |s| {
        online(s) == 1 && sessions(s) == 1 && offers(16)
    })
    .await;

    // What it is.
    let info = reader.witness.until("info", |v| v["os"].is_string()).await;
    assert_eq!(info["url"], PAGE, "{info}");
    let tree = [
        "/sys/firmware/devicetree/base/model",
        "/sys/class/dmi/id/product_name",
    ];
    let has_name = tree.iter().any(|path| std::fs::exists(path).unwrap_or_default());
    assert!(info["hardware"].is_string() || !has_name, "{info}");
    let limited =
        |watts: i64, by: &'static str| move |v: &Value| v["limit_w"] == watts && v["limit_source"] == by;
    reader.witness.until("site/state", limited(ALL_W, "static")).await;
    host.tag("", "Site/Limit", &json!(ALL_W as f64)).await;

    // A limit of 0 is no hold.
    let data = reader.accepted("ha", "limit_a", "0").await;
    assert_eq!((&data["old"], &data["new"]), (&Value::Null, &json!(0)), "{data}");
    reader
        .state(|v| v["limit_a"] == 0 && v["limit_source"] == "local" && v["enabled"] == true)
        .await;
    reader.witness.until("site/state", limited(0, "operator")).await;
    until(&gateway, "a pause", |_| offers(0)).await;
    reader.too_often("night", "limit_a", "16").await;
    reader.too_often("day", "limit_a", "none").await;

    // And a hold is no limit.
    let data = reader.accepted("ha", "enabled", "OFF").await;
    assert_eq!(
        (&data["old"], &data["new"]),
        (&json!(true), &json!(false)),
        "{data}"
    );
    reader.state(|v| v["enabled"] == false).await;
    host.tag(CP, "Control/Enabled", &json!(false)).await;
    let data = reader.accepted("ha", "limit_a", "10").await;
    assert_eq!(data["old"], json!(0), "{data}");
    let data = reader.accepted("night", "limit_a", "12").await;
    assert_eq!(data["old"], json!(10), "the limit, not the hold: {data}");
    reader.too_often("day", "enabled", "ON").await;
    host.order(json!({ "dcmd": CP, "write": { "Control/Enabled": ["BOOLEAN", true] } }))
        .await;
    let refused = |log: &str| {
        let mut lines = log.lines().filter(|line| line.contains("sparkplug"));
        lines.any(|line| line.contains("Control/Enabled") && line.contains("too often"))
    };
    until(&gateway, "a refusal on record", |_| {
        refused(&std::fs::read_to_string(gateway.log()).unwrap_or_default())
    })
    .await;
    host.tag(CP, "Control/Enabled", &json!(false)).await;
    assert!(offers(0));

    // A reload is told where it has changed something.
    gateway
        .configure(&toml.replace("max_current = \"16A\"", "max_current = \"13A\""))
        .expect("written");
    gateway.reload().expect("a signal");
    let event = reader
        .witness
        .until(&format!("cp/{CP}/event/config"), |_| true)
        .await;
    assert_eq!(event["event_type"], "config", "{event}");
    assert!(event["seq"].as_u64().is_some_and(|seq| seq > 0), "{event}");
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
    host.content();
}
