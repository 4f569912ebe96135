//! The whole process with a vehicle, a CSMS, a real broker and a real Home Assistant (`make test-ha`). The story is told by
//! tests/ha/gateway.py; here are the gateway and the charger it asks for.

use crate::kills::{configuration, quick_world};
use crate::rig::{python, root};
use crate::site::{PATIENCE, process, until};
use retrovolt::sim::EvSpec;
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::online;
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

/// As in tests/ha/parts.py.
const PASSWORD: &str = "secret of the test";

fn mqtt_toml(dir: &Path, port: &str) -> String {
    let secret = dir.join("mqtt.password");
    std::fs::write(&secret, PASSWORD).expect("a file");
    let secret = secret.display();
    format!(
        r#"
[mqtt]
url = "mqtt://127.0.0.1:{port}"
user = "gw"
password_file = "{secret}"
gateway_id = "gw1"
commands = "allow-list"
ha_discovery = "device"
ha_user = "homeassistant"

[[mqtt.allow]]
name = "homeassistant"
set = ["enabled", "limit_a", "unlock", "reset"]
"#
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a real Home Assistant in .lab/ha; `make test-ha` runs it"]
async fn u7_a_real_home_assistant_shows_and_commands_everything() {
    let dir = TempDir::new().expect("a folder");
    let csms = Csms::start().await.expect("a CSMS");
    let world = quick_world(dir.path()).await;
    let plain = configuration(dir.path(), &csms, &world, "1.6");
    let mut gateway = None;

    let mut story = Command::new(python())
        .arg(root().join("tests/ha/gateway.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("Python");
    let mut answer = story.stdin.take().expect("piped");
    let mut said = BufReader::new(story.stdout.take().expect("piped")).lines();
    while let Some(line) = said.next_line().await.expect("text") {
        let Some(wish) = line.strip_prefix("> ") else {
            println!("{line}");
            continue;
        };
        match wish.split_once(' ').unwrap_or((wish, "")) {
            ("broker", port) => {
                let toml = plain.clone() + &mqtt_toml(dir.path(), port);
                let made = gateway.insert(process(dir.path(), &toml));
                made.start().expect("the gateway starts");
                until(made, "it is online", |s| online(s) == 1).await;
            }
            ("plug", _) => world.plug("box", EvSpec::default()).expect("a charger"),
            ("unplug", _) => world.unplug("box").expect("a charger"),
            ("stop", _) => {
                let made = gateway.as_mut().expect("it runs");
                made.stop(PATIENCE).await.expect("it ends");
            }
            ("start", _) => gateway
                .as_mut()
                .expect("it ran")
                .start()
                .expect("the gateway starts"),
            _ => panic!("what is '{wish}'?"),
        }
        answer.write_all(b"done\n").await.expect("a pipe");
    }
    assert!(story.wait().await.expect("ended").success());
    if let Some(mut made) = gateway {
        made.stop(PATIENCE).await.expect("it ends");
    }
}
