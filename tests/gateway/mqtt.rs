//! The whole process with a vehicle, a CSMS and a real broker: what is published is what the contract says, and what is
//! commanded reaches the charger only as far as it may.

use crate::broker::{Broker, Got, Subscriber};
use crate::kills::{configuration, quick_world};
use crate::rig::{python, root};
use crate::site::{PATIENCE, process, until};
use retrovolt::domain::MilliAmps;
use retrovolt::sim::EvSpec;
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::{online, sessions};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

pub const CANARY: &str = "cAnArY-9f1d";

const ACL: &str = "user gw\ntopic readwrite retrovolt/#\nuser ha\ntopic read retrovolt/#\nuser reader\ntopic read retrovolt/#\npattern write retrovolt/+/as/%u/#\n";

pub async fn broker() -> Broker {
    Broker::mosquitto(
        "allow_anonymous false\npassword_file DIR/passwords\nacl_file DIR/acl\n",
        |dir| accounts(dir, CANARY),
    )
    .await
}

/// The gateway's account with this password, Home Assistant's and a reader's, and what each may.
pub fn accounts(dir: &Path, password: &str) {
    let file = dir.join("passwords");
    std::fs::write(&file, "").expect("a file");
    for (user, password) in [("gw", password), ("ha", "h"), ("reader", "r")] {
        let made = Command::new("mosquitto_passwd")
            .arg("-b")
            .arg(&file)
            .args([user, password])
            .output();
        assert!(made.expect("mosquitto_passwd").status.success());
    }
    std::fs::write(dir.join("acl"), ACL).expect("a file");
}

pub fn mqtt_toml(dir: &Path, port: u16) -> String {
    let secret = dir.join("mqtt.password");
    std::fs::write(&secret, CANARY).expect("a file");
    let secret = secret.display();
    format!(
        r#"
[mqtt]
url = "mqtt://127.0.0.1:{port}"
user = "gw"
password_file = "{secret}"
gateway_id = "gw"
refresh = "5s"
commands = "allow-list"

[[mqtt.allow]]
name = "ha"
set = ["enabled", "limit_a", "unlock", "phases"]
request = ["status", "refresh"]
spacing = "100ms"
"#
    )
}

/// A subscriber that keeps everything it gets.
pub struct Witness {
    pub there: Subscriber,
    pub all: Vec<Got>,
    /// How many of `all` were looked at, by topic: MQTT keeps the order within a topic, and nothing else promises one
    /// between a state, a response and a record.
    seen: BTreeMap<String, usize>,
}

impl Witness {
    pub fn with(there: Subscriber) -> Self {
        Self {
            there,
            all: Vec::new(),
            seen: BTreeMap::new(),
        }
    }

    async fn of(broker: &Broker) -> Self {
        Self::with(
            broker
                .subscriber(&["-u", "reader", "-P", "r", "-t", "retrovolt/#"])
                .await,
        )
    }

    /// The first message on a topic of the gateway that is wanted, after the last one that was asked for on this topic.
    pub async fn until(&mut self, topic: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let topic = format!("retrovolt/gw/{topic}");
        let mut at = self.seen.get(&topic).copied().unwrap_or_default();
        loop {
            while at == self.all.len() {
                let got = self.there.next().await;
                self.all.push(got);
            }
            let got = &self.all[at];
            at += 1;
            if got.topic != topic {
                continue;
            }
            let value = serde_json::from_str(&got.payload).unwrap_or_else(|_| json!(got.payload));
            if wanted(&value) {
                self.seen.insert(topic, at);
                return value;
            }
        }
    }

    async fn response(&mut self, key: &str) -> Value {
        self.until(&format!("response/ha/{key}"), |_| true).await
    }
}

async fn say(broker: &Broker, key: &str, payload: &str) {
    let topic = format!("retrovolt/gw/as/ha/cp/kill-1/{key}/set");
    broker
        .publish(&["-u", "ha", "-P", "h", "-q", "1", "-t", &topic, "-m", payload])
        .await;
}

/// Gives every message to a program that judges them by a file of the documentation, and says what it found.
fn judged(program: &str, by: &str, all: &[Got]) -> Value {
    let mut child = Command::new(python())
        .arg(root().join("tests/mqtt").join(program))
        .arg(root().join("docs").join(by))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python");
    let mut stdin = child.stdin.take().expect("piped");
    for got in all {
        let line =
            json!({ "topic": got.topic, "payload": got.payload, "qos": got.qos, "retained": got.retained });
        writeln!(stdin, "{line}").expect("a pipe");
    }
    drop(stdin);
    let done = child.wait_with_output().expect("an end");
    assert!(done.status.success(), "see above");
    serde_json::from_slice(&done.stdout).expect("counts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tree_the_commands_and_the_records_of_a_real_session() {
    let dir = TempDir::new().expect("a folder");
    let csms = Csms::start().await.expect("a CSMS");
    let world = quick_world(dir.path()).await;
    let mut broker = broker().await;
    let toml = configuration(dir.path(), &csms, &world, "1.6") + &mqtt_toml(dir.path(), broker.port);
    let mut gateway = process(dir.path(), &toml);
    let mut witness = Witness::of(&broker).await;
    gateway.start().expect("the gateway starts");
    world.plug("box", EvSpec::default()).expect("a charger");
    let offers = |amps: i64| world.offered("box") == Ok(MilliAmps::from_base(amps));
    until(&gateway, "a session at 16 A", |s| {
        online(s) == 1 && sessions(s) == 1 && offers(16)
    })
    .await;
    witness.until("status", |v| v == "online").await;
    witness
        .until("cp/kill-1/state", |v| {
            v["status"] == "charging" && v["limit_a"] == 16
        })
        .await;

    say(
        &broker,
        "limit_a",
        r#"{"value":10,"for_s":600,"transaction":"t1"}"#,
    )
    .await;
    let got = witness.response("limit_a").await;
    assert_eq!(
        (&got["status"], &got["data"]["new"]),
        (&json!("ok"), &json!(10)),
        "{got}"
    );
    until(&gateway, "10 A", |_| offers(10)).await;
    witness
        .until("cp/kill-1/state", |v| {
            v["limit_a"] == 10 && v["limit_source"] == "local"
        })
        .await;
    say(&broker, "limit_a", "17").await;
    let got = witness.response("limit_a").await;
    assert!(
        got["status"] == "rejected" && got["error"].as_str().is_some_and(|e| e.contains("16 A")),
        "{got}"
    );
    say(&broker, "phases", "2").await;
    assert_eq!(witness.response("phases").await["status"], "rejected");
    say(&broker, "phases", "1").await;
    let got = witness.response("phases").await;
    assert_eq!(
        (&got["status"], &got["data"]["old"]),
        (&json!("ok"), &json!(3)),
        "{got}"
    );
    witness
        .until("cp/kill-1/state", |v| {
            v["phases_allowed"] == 1 && v["limit_a"] == 10
        })
        .await;
    assert_eq!(world.register("box", 3, 121), Ok(Some(1)));
    until(&gateway, "10 A on one phase", |_| offers(10)).await;

    // A hold outlives the process, and so do the limit behind it and the phases.
    say(&broker, "enabled", "OFF").await;
    assert_eq!(witness.response("enabled").await["status"], "ok");
    witness
        .until("cp/kill-1/state", |v| v["enabled"] == false && v["limit_a"] == 0)
        .await;
    gateway.kill().await.expect("it runs");
    witness.until("status", |v| v == "offline").await;
    gateway.start().expect("the gateway starts");
    witness.until("status", |v| v == "online").await;
    witness
        .until("cp/kill-1/state", |v| {
            v["enabled"] == false && v["phases_allowed"] == 1
        })
        .await;
    say(&broker, "enabled", "ON").await;
    assert_eq!(witness.response("enabled").await["status"], "ok");
    until(&gateway, "10 A again", |_| offers(10)).await;
    say(&broker, "limit_a", "none").await;
    assert_eq!(witness.response("limit_a").await["status"], "ok");
    until(&gateway, "16 A again", |_| offers(16)).await;

    // The session ends while there is no broker; its record and its event come afterwards.
    broker.kill().await;
    world.unplug("box").expect("a charger");
    until(&gateway, "no session", |s| sessions(s) == 0).await;
    // It must not be there before the witness is: nobody keeps a record for who comes later.
    gateway.pause().expect("it runs");
    broker.start().await;
    witness.there = Witness::of(&broker).await.there;
    gateway.resume().expect("it runs");
    let ended = witness
        .until("cp/kill-1/record", |v| v["record"] == "ended")
        .await;
    assert!(
        ended["session_id"].is_string() && ended["session_energy_wh"].is_number(),
        "{ended}"
    );
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
    witness.until("status", |v| v == "offline").await;

    let began = |got: &&Got| got.topic.ends_with("/record") && got.payload.contains("\"began\"");
    assert_eq!(witness.all.iter().filter(began).count(), 1);
    // By a validator of schemas that is not ours.
    let counts = judged("validate.py", "mqtt", &witness.all);
    for channel in [
        "status",
        "info",
        "health",
        "busState",
        "availability",
        "state",
        "session",
        "csms",
        "event",
        "record",
        "siteState",
        "response",
    ] {
        assert!(
            counts[channel].as_u64().is_some_and(|count| count > 0),
            "{channel}: {counts}"
        );
    }
    let points = judged("telegraf.py", "mqtt/examples/telegraf.conf", &witness.all);
    println!("{points}");
    for measurement in ["charge_point", "charge_point_record"] {
        assert_eq!(points[measurement]["last"]["tags"]["cp"], "kill-1", "{points}");
    }
    // X2: neither the password nor the token is in any message.
    let text: String = witness
        .all
        .iter()
        .map(|got| format!("{} {}\n", got.topic, got.payload))
        .collect();
    assert!(
        !text.contains(CANARY) && !text.contains("FREE"),
        "a secret was published"
    );
    let log = std::fs::read_to_string(gateway.log()).unwrap_or_default();
    assert!(
        log.contains("MQTT command accepted") && log.contains("MQTT command rejected"),
        "no audit in the log"
    );
    assert!(!log.contains(CANARY));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_brings_mqtt_and_takes_it_away_without_touching_the_session() {
    let dir = TempDir::new().expect("a folder");
    let csms = Csms::start().await.expect("a CSMS");
    let world = quick_world(dir.path()).await;
    let broker = broker().await;
    let toml = configuration(dir.path(), &csms, &world, "1.6");
    let mut gateway = process(dir.path(), &toml);
    gateway.start().expect("the gateway starts");
    world.plug("box", EvSpec::default()).expect("a charger");
    until(&gateway, "a session", |s| online(s) == 1 && sessions(s) == 1).await;
    let mut witness = Witness::of(&broker).await;
    let with = toml.clone() + &mqtt_toml(dir.path(), broker.port);
    gateway.configure(&with).expect("written");
    gateway.reload().expect("a signal");
    witness.until("status", |v| v == "online").await;
    gateway.configure(&toml).expect("written");
    gateway.reload().expect("a signal");
    witness.until("status", |v| v == "offline").await;
    until(&gateway, "the same session", |s| {
        s["mqtt"].is_null() && sessions(s) == 1
    })
    .await;
    let ended = csms
        .frames()
        .iter()
        .filter(|f| f.call("StopTransaction").is_some())
        .count();
    assert_eq!(ended, 0);
    world.unplug("box").expect("a charger");
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
}
