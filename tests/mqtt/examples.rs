//! The examples of `docs/mqtt.md` as they stand.

use super::broker::{Broker, PATIENCE};
use super::hub::{Parts, happening, hub_of, mqtt, online, picture};
use retrovolt::telemetry::Easel;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/mqtt")
}

fn promised(payload: &str) -> BTreeSet<String> {
    let list = std::fs::read_to_string(docs().join("keys-1.txt")).unwrap();
    let keys = list.lines().filter_map(|line| line.split_once(' '));
    keys.filter(|(of, _)| *of == payload)
        .map(|(_, key)| key.to_owned())
        .collect()
}

#[tokio::test]
async fn the_shell_example_shows_status_changes_as_they_happen() {
    let broker = Broker::open().await;
    let mut child = Command::new(docs().join("examples/watch.sh"))
        .args(["127.0.0.1", "-p", &broker.port.to_string(), "-d"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let easel = Easel::new(picture(0));
    let parts = Parts {
        setup: mqtt(broker.setup("gw")),
        desk: None,
        ledger: None,
        thrift: super::hub::free(),
    };
    let hub = hub_of(parts, &easel);
    online(&hub).await;
    timeout(PATIENCE, broker.logged("retrovolt/+/cp/+/event/status"))
        .await
        .unwrap();
    (1..=200).for_each(|seq| easel.tell(happening(seq)));
    let found = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if line.starts_with("retrovolt/gw/cp/left/event/status {") && line.contains("\"to\":\"charging\"")
            {
                return;
            }
        }
        panic!("nothing was shown");
    };
    timeout(PATIENCE, found).await.unwrap();
    hub.end().await;
}

#[test]
fn the_telegraf_example_names_topics_and_keys_that_there_are() {
    let text = std::fs::read_to_string(docs().join("examples/telegraf.conf")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let consumers = table["inputs"]["mqtt_consumer"].as_array().unwrap();
    assert_eq!(consumers.len(), 2);
    for consumer in consumers {
        let topic = consumer["topics"][0].as_str().unwrap();
        let levels: Vec<&str> = topic.split('/').collect();
        let keys = promised(&format!("cp-{}", levels[4]));
        assert!(!keys.is_empty(), "{topic}");
        let parsing = &consumer["topic_parsing"][0];
        // Telegraf takes all but `+` and `#` literally, and without a match there are no tags.
        assert_eq!(parsing["topic"], consumer["topics"][0]);
        assert_eq!(parsing["tags"].as_str().unwrap().split('/').count(), levels.len());
        for part in consumer["json_v2"].as_array().unwrap() {
            assert!(keys.contains(part["timestamp_path"].as_str().unwrap()));
            let empty = Vec::new();
            for kind in ["field", "tag"] {
                for field in part.get(kind).and_then(toml::Value::as_array).unwrap_or(&empty) {
                    let path = field["path"].as_str().unwrap();
                    assert!(keys.contains(path), "{topic}: {path}");
                }
            }
        }
    }
}

#[test]
fn the_node_red_example_names_topics_and_keys_that_there_are() {
    let text = std::fs::read_to_string(docs().join("examples/node-red.json")).unwrap();
    let nodes: Vec<Value> = serde_json::from_str(&text).unwrap();
    let ids: BTreeSet<&str> = nodes.iter().map(|node| node["id"].as_str().unwrap()).collect();
    for node in &nodes {
        for wire in node["wires"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|port| port.as_array().into_iter().flatten())
        {
            assert!(ids.contains(wire.as_str().unwrap()), "{wire}");
        }
    }
    let function = |id: &str| {
        let node = nodes.iter().find(|node| node["id"] == id).unwrap();
        node["func"].as_str().unwrap().to_owned()
    };
    let (state, response) = (promised("cp-state"), promised("response"));
    for (code, keys) in [(function("rv-sum"), state), (function("rv-warn"), response)] {
        for used in code.split("msg.payload.").skip(1) {
            let key: String = used
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            assert!(keys.contains(&key), "{key}");
        }
    }
}
