//! A real broker at which every message is heard.

use crate::broker::Broker;
use crate::secrets::put;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

/// A broker whose accounts are secrets, and somebody who hears all that is published there.
pub struct Listened {
    pub broker: Broker,
    _ears: Child,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Listened {
    /// `accounts`: names and passwords.
    pub async fn with(accounts: &[(&str, &str)]) -> Self {
        let lines = "allow_anonymous false\npassword_file DIR/passwords\n";
        let broker = Broker::mosquitto(lines, |dir| {
            let file = put(dir, "passwords", "");
            for (user, password) in accounts.iter().chain(&[("reader", "r")]) {
                let mut made = std::process::Command::new("mosquitto_passwd");
                let made = made.args(["-b", &file, user, password]).output();
                assert!(made.expect("mosquitto_passwd").status.success());
            }
        })
        .await;
        let port = broker.port.to_string();
        let mut ears = Command::new("stdbuf")
            .args(["-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", &port])
            .args(["-u", "reader", "-P", "r", "-q", "1", "-t", "#", "-F", "%t %p"])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("mosquitto_sub; run `make setup`");
        let mut said = ears.stdout.take().expect("piped");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&heard);
        tokio::spawn(async move {
            let mut chunk = vec![0; 64 * 1024];
            while let Ok(read @ 1..) = said.read(&mut chunk).await {
                all.lock().expect("nobody panics with it").extend(&chunk[..read]);
            }
        });
        broker.logged("# (QoS 1)").await;
        Self {
            broker,
            _ears: ears,
            heard,
        }
    }

    /// Everything so far, a line for each message.
    pub fn heard(&self) -> Vec<u8> {
        self.heard.lock().expect("nobody panics with it").clone()
    }

    /// The MQTT and the Sparkplug side of the gateway, with passwords in a file and in the configuration.
    pub fn toml(&self, dir: &Path, mqtt: &str, sparkplug: &str) -> String {
        let (port, file) = (self.broker.port, put(dir, "secrets/mqtt.password", mqtt));
        format!(
            r#"
[mqtt]
url = "mqtt://127.0.0.1:{port}"
user = "gw"
password_file = "{file}"
gateway_id = "gw"
refresh = "5s"
flat = true
ha_discovery = "device"
commands = "allow-list"

[[mqtt.allow]]
name = "reader"
set = ["authorize"]

[sparkplug]
group = "site"
edge_node = "gw"

[[sparkplug.broker]]
url = "mqtt://127.0.0.1:{port}"
user = "edge"
password = "{sparkplug}"
"#
        )
    }
}
