//! A good citizen of its machine: nobody can reach it over the network by default, it logs as its configuration says, and a
//! support bundle is there as a whole or not at all.

use crate::kills::{configuration, quick_world};
use crate::rig::root;
use crate::site::{PATIENCE, process, until};
use crate::sockets::{Socket, sockets};
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::{online, sessions, up};
use retrovolt::sim::{EvSpec, GatewayProcess};
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;

fn open(gateway: &GatewayProcess) -> Vec<Socket> {
    let mut all = sockets(gateway.pid().expect("it runs"));
    all.retain(|socket| socket.is_open);
    all
}

/// X1: as shipped, and with all that a site needs, it listens nowhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x1_nobody_can_reach_the_gateway_over_the_network_by_default() {
    let dir = TempDir::new().expect("a folder");
    let csms = Csms::start().await.expect("a CSMS");
    let world = quick_world(dir.path()).await;
    let shipped = std::fs::read_to_string(root().join("deploy/debian/retrovolt.toml")).expect("shipped");
    let place = |name: &str| dir.path().join(name).display().to_string();
    let mut gateway = process(dir.path(), &shipped)
        .with_env("RETROVOLT__GATEWAY__STATE_DIR", place("state"))
        .with_env("RETROVOLT__GATEWAY__SOCKET", place("ctl.sock"));
    gateway.start().expect("it starts");
    until(&gateway, "it runs", |s| s["configuration"]["mode"] == "file").await;
    let all = sockets(gateway.pid().expect("it runs"));
    assert!(all.is_empty(), "nothing to serve: {all:?}");

    let site = configuration(dir.path(), &csms, &world, "1.6");
    gateway.configure(&site).expect("written");
    gateway.reload().expect("a signal");
    world.plug("box", EvSpec::default()).expect("a charger");
    until(&gateway, "a session", |s| {
        online(s) == 1 && up(s, "devices") == 1 && sessions(s) == 1
    })
    .await;
    let all = sockets(gateway.pid().expect("it runs"));
    let to = |port: u16| {
        all.iter()
            .filter(|socket| socket.remote_port() == Some(port))
            .count()
    };
    let bus = world.address("net").expect("a server").port();
    assert_eq!(
        (to(bus), to(csms.address().port())),
        (1, 1),
        "they are seen: {all:?}"
    );
    assert!(open(&gateway).is_empty(), "{all:?}");

    // What is asked for is seen, too.
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let metrics = format!("{site}\n[metrics]\nlisten = \"127.0.0.1:{port}\"\n");
    gateway.configure(&metrics).expect("written");
    gateway.reload().expect("a signal");
    until(&gateway, "metrics are offered", |_| !open(&gateway).is_empty()).await;
    let found = open(&gateway);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].local, format!("0100007F:{port:04X}"));
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
}

fn log(gateway: &GatewayProcess) -> String {
    std::fs::read_to_string(gateway.log()).expect("a log")
}

fn reloaded(log: &str) -> usize {
    log.matches("configuration reloaded").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_level_of_the_log_is_that_of_the_configuration_and_follows_a_reload() {
    let dir = TempDir::new().expect("a folder");
    let level = |word: &str| {
        let dir = dir.path().display();
        format!(
            "[gateway]\nstate_dir = \"{dir}/state\"\nsocket = \"{dir}/ctl.sock\"\nlog_level = \"{word}\"\n"
        )
    };
    let taken = async |gateway: &GatewayProcess, word: &str| {
        gateway.configure(&level(word)).expect("written");
        let told = crate::unattended::ask(gateway, &["reload"]).await;
        assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    };
    let mut gateway = process(dir.path(), &level("warn"));
    gateway.start().expect("it starts");
    until(&gateway, "it runs", |_| true).await;
    assert!(!log(&gateway).contains("INFO"), "{}", log(&gateway));
    taken(&gateway, "debug").await;
    assert_eq!(reloaded(&log(&gateway)), 1, "{}", log(&gateway));
    taken(&gateway, "error").await;
    assert_eq!(reloaded(&log(&gateway)), 1, "{}", log(&gateway));
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
    assert!(!log(&gateway).contains("stopped"), "{}", log(&gateway));

    // Who asks for more on the command line gets it, whatever the file says.
    let mut gateway = process(dir.path(), &level("error")).with_arguments(&["-v"]);
    gateway.start().expect("it starts");
    until(&gateway, "it runs", |_| true).await;
    taken(&gateway, "error").await;
    assert_eq!(reloaded(&log(&gateway)), 2, "{}", log(&gateway));
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
}

/// Starts it without any option of the log and reads what it says until this is in it.
async fn first_line(dir: &Path, words: &str, more: &[&str]) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_retrovolt"))
        .args(["run", "--strict", "--config"])
        .arg(dir.join("retrovolt.toml"))
        .args(more)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let found = async {
        loop {
            let line = lines.next_line().await.expect("text").expect("it goes on");
            if line.contains(words) {
                return line;
            }
        }
    };
    let line = timeout(PATIENCE, found).await.expect("it is said");
    child.kill().await.expect("killed");
    line
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_form_of_the_log_is_that_of_the_configuration() {
    let dir = TempDir::new().expect("a folder");
    let at = dir.path().display();
    let text =
        format!("[gateway]\nstate_dir = \"{at}/state\"\nsocket = \"{at}/ctl.sock\"\nlog_format = \"json\"\n");
    std::fs::write(dir.path().join("retrovolt.toml"), text).expect("written");
    let line = first_line(dir.path(), "running: ", &[]).await;
    let value: Value = serde_json::from_str(&line).expect("one JSON object a line");
    assert_eq!(value["level"], "INFO", "{line}");
    let line = first_line(dir.path(), "running: ", &["--log-format", "text"]).await;
    assert!(serde_json::from_str::<Value>(&line).is_err(), "{line}");
}

/// Who watches sees the gateway come; each look is one JSON object a line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_is_watched_is_told_again_and_waits_for_the_gateway() {
    let dir = TempDir::new().expect("a folder");
    let at = dir.path().display();
    let text = format!("[gateway]\nstate_dir = \"{at}/state\"\nsocket = \"{at}/ctl.sock\"\n");
    let mut gateway = process(dir.path(), &text);
    let mut watch = Command::new(env!("CARGO_BIN_EXE_retrovolt"))
        .args(["status", "--watch", "--json", "--socket"])
        .arg(gateway.socket())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut silent = BufReader::new(watch.stderr.take().expect("piped")).lines();
    let told = timeout(PATIENCE, silent.next_line())
        .await
        .expect("at once")
        .expect("text");
    assert!(told.is_some_and(|line| line.contains("no gateway answers there")));
    gateway.start().expect("it starts");
    let mut lines = BufReader::new(watch.stdout.take().expect("piped")).lines();
    for _ in 0..2 {
        let line = timeout(PATIENCE, lines.next_line())
            .await
            .expect("again")
            .expect("text");
        let status: Value = serde_json::from_str(&line.expect("it goes on")).expect("JSON");
        assert_eq!(status["schema"], 1);
    }
    watch.kill().await.expect("killed");
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_support_bundle_is_there_as_a_whole_or_not_at_all() {
    let dir = TempDir::new().expect("a folder");
    let at = dir.path().display();
    let text = format!("[gateway]\nstate_dir = \"{at}/state\"\nsocket = \"{at}/ctl.sock\"\n");
    std::fs::write(dir.path().join("retrovolt.toml"), text).expect("written");
    let diag = async |before: &str| {
        // The shell's limit of a file's size is what a full disk is: a write that fails halfway.
        let script = format!("{before} exec \"$0\" diag -c {at}/retrovolt.toml -o {at}/out/b.tar.gz");
        let output = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_retrovolt")])
            .output()
            .await
            .expect("it runs");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let out = dir.path().join("out");
    std::fs::create_dir(&out).expect("a folder");
    let there = || std::fs::read_dir(&out).expect("a folder").count();
    let (code, err) = diag("trap '' XFSZ; ulimit -f 1;").await;
    assert_eq!((code, there()), (Some(73), 0), "{err}");
    let (code, err) = diag("").await;
    assert_eq!((code, there()), (Some(0), 1), "{err}");
    let (code, err) = diag("").await;
    assert_eq!((code, there()), (Some(73), 1), "what is there stays: {err}");
}
