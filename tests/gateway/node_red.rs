//! The Node-RED example of `docs/mqtt.md` as it stands, in a real Node-RED, beside the real gateway and a real broker
//! (`make test-nodered`).

use crate::broker::{Broker, Got};
use crate::kills::{configuration, quick_world};
use crate::rig::root;
use crate::site::{PATIENCE, Point, process, until};
use retrovolt::domain::MilliAmps;
use retrovolt::sim::EvSpec;
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::{online, sessions};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// A Node-RED without a page, and what it logs.
struct NodeRed {
    _child: Child,
    log: Lines<BufReader<ChildStdout>>,
}

impl NodeRed {
    /// Starts it with the flow of the documentation; only the port of the broker is another one.
    fn start(dir: &Path, broker: u16) -> Self {
        let flow =
            std::fs::read_to_string(root().join("docs/mqtt/examples/node-red.json")).expect("the example");
        let mut nodes: Value = serde_json::from_str(&flow).expect("JSON");
        let node = nodes.as_array_mut().expect("nodes").iter_mut();
        let node = node
            .into_iter()
            .find(|node| node["type"] == "mqtt-broker")
            .expect("a broker");
        node["port"] = json!(broker.to_string());
        std::fs::write(dir.join("flows.json"), nodes.to_string()).expect("a file");
        let settings = "module.exports = { uiHost: '127.0.0.1', uiPort: 0, disableEditor: true, httpAdminRoot: false, \
                        httpNodeRoot: false, flowFile: 'flows.json', credentialSecret: false, \
                        telemetry: { enabled: false }, logging: { console: { level: 'info' } } };\n";
        std::fs::write(dir.join("settings.js"), settings).expect("a file");
        let mut child = Command::new("node")
            .arg(root().join(".lab/nodered/node_modules/node-red/red.js"))
            .arg("--userDir")
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Node.js");
        let log = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { _child: child, log }
    }

    /// Awaits a line with all of these texts.
    async fn says(&mut self, texts: &[&str]) -> String {
        let mut all = Vec::new();
        let found = async {
            while let Some(line) = self.log.next_line().await.expect("text") {
                if texts.iter().all(|text| line.contains(text)) {
                    return Some(line);
                }
                all.push(line);
            }
            None
        };
        let found = timeout(PATIENCE, found).await.ok().flatten();
        found.unwrap_or_else(|| panic!("{texts:?} not in:\n{}", all.join("\n")))
    }
}

fn mqtt_toml(broker: u16, allowed: &str) -> String {
    format!(
        r#"
[mqtt]
url = "mqtt://127.0.0.1:{broker}"
gateway_id = "gw"
commands = "allow-list"

[[mqtt.allow]]
name = "{allowed}"
set = ["limit_a"]
"#
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a real Node-RED in .lab/nodered; `make test-nodered` runs it"]
async fn the_node_red_example_pauses_what_is_too_much_and_tells_what_was_rejected() {
    let dir = TempDir::new().expect("a folder");
    let red = TempDir::new().expect("a folder");
    let csms = Csms::start().await.expect("a CSMS");
    let world = quick_world(dir.path()).await;
    let broker = Broker::open().await;
    let second = Point {
        id: "KILL-2",
        url: csms.url("{id}"),
        version: "1.6",
        auth: "free",
    };
    let device = "\n[[device]]\nid = \"box2\"\nbus = \"net\"\nunit = 2\nprofile = \"test-quick-box\"\naccept_no_failsafe = true\n";
    let second = second.toml("box2", "box2").replace("meter = \"box2\"\n", "");
    let plain = configuration(dir.path(), &csms, &world, "1.6") + device + &second;
    let mut gateway = process(
        dir.path(),
        &(plain.clone() + &mqtt_toml(broker.port, "somebody-else")),
    );
    gateway.start().expect("the gateway starts");
    until(&gateway, "both are online", |s| online(s) == 2).await;
    let mut node_red = NodeRed::start(red.path(), broker.port);
    node_red.says(&["Connected to broker"]).await;

    // Twice 11 kW are more than the 20 kW of the flow.
    for charger in ["box", "box2"] {
        world.plug(charger, EvSpec::default()).expect("a charger");
    }
    until(&gateway, "two sessions", |s| sessions(s) == 2).await;
    let warning = node_red
        .says(&["[warn]", "response/node-red/limit_a: user 'node-red'"])
        .await;
    println!("{warning}");

    let mut answers = broker
        .subscriber(&["-t", "retrovolt/gw/response/node-red/limit_a"])
        .await;
    gateway
        .configure(&(plain + &mqtt_toml(broker.port, "node-red")))
        .expect("written");
    gateway.reload().expect("a signal");
    let taken = async {
        loop {
            let Got { payload, .. } = answers.next().await;
            let answer: Value = serde_json::from_str(&payload).expect("JSON");
            if answer["status"] == "ok" {
                return answer;
            }
        }
    };
    let answer = timeout(PATIENCE, taken).await.expect("a command is taken");
    println!("{answer}");
    let sum = answer["transaction"]
        .as_str()
        .and_then(|t| t.strip_prefix("sum-")?.parse::<u32>().ok());
    assert!(sum.is_some_and(|watts| watts > 20_000), "{answer}");
    assert_eq!(answer["data"]["new"], 0, "{answer}");
    let paused = || {
        ["box", "box2"]
            .iter()
            .any(|id| world.offered(id) == Ok(MilliAmps::ZERO))
    };
    until(&gateway, "one is paused, its session goes on", |s| {
        paused() && sessions(s) == 2
    })
    .await;
    gateway.stop(PATIENCE).await.expect("it ends");
}
