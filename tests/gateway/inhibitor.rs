//! A session holds up a shutdown of the machine: a real D-Bus daemon, and a logind of somebody else's making that gives
//! a real descriptor away and sees it closed.

use crate::kills::{configuration, quick_world};
use crate::rig::{Rig, python, root};
use crate::site::{PATIENCE, process, until};
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::{online, sessions};
use retrovolt::sim::{EvSpec, GatewayProcess, World};
use serde_json::json;
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A bus of our own, on which anybody may do anything.
pub struct Bus {
    _daemon: Child,
    pub address: String,
}

impl Bus {
    pub async fn start(dir: &Path) -> Self {
        let address = format!("unix:path={}", dir.join("bus.sock").display());
        let policy =
            "<allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/>";
        let text = format!(
            "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \
             \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n<busconfig><type>system</type>\
             <listen>{address}</listen><auth>EXTERNAL</auth><policy context=\"default\">{policy}</policy></busconfig>\n"
        );
        let file = dir.join("bus.conf");
        std::fs::write(&file, text).expect("a file");
        let mut daemon = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", file.display()))
            .args(["--nofork", "--nopidfile", "--print-address=1"])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("dbus-daemon, which `make setup` installs");
        // It prints its address once it listens.
        let mut lines = BufReader::new(daemon.stdout.take().expect("piped")).lines();
        let told = tokio::time::timeout(PATIENCE, lines.next_line()).await;
        assert!(told.expect("it listens").expect("a line").is_some(), "no bus");
        Self {
            _daemon: daemon,
            address,
        }
    }

    async fn logind(&self) -> Rig {
        self.somebody("logind.py").await
    }

    /// A service of somebody else's making on this bus.
    pub async fn somebody(&self, script: &str) -> Rig {
        let mut command = Command::new(python());
        command
            .arg(root().join("tests/interop").join(script))
            .env("DBUS_SYSTEM_BUS_ADDRESS", &self.address);
        Rig::spawn(command).await
    }
}

async fn gateway(dir: &Path, csms: &Csms, world: &World, bus: &str, most: &str) -> GatewayProcess {
    let toml = configuration(dir, csms, world, "1.6").replacen(
        "[gateway]",
        &format!("[gateway]\ninhibit_shutdown = \"{most}\""),
        1,
    );
    let mut gateway = process(dir, &toml).with_env("DBUS_SYSTEM_BUS_ADDRESS", bus);
    gateway.start().expect("it starts");
    until(&gateway, "it serves", |s| online(s) == 1).await;
    gateway
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_blocks_a_shutdown_and_its_end_or_a_crash_lets_it_go() {
    let dir = TempDir::new().expect("a folder");
    let csms = Csms::start().await.expect("a CSMS");
    let world = quick_world(dir.path()).await;
    let bus = Bus::start(dir.path()).await;
    let mut logind = bus.logind().await;
    let mut gateway = gateway(dir.path(), &csms, &world, &bus.address, "1h").await;
    assert_eq!(
        logind.mark(),
        1,
        "nothing is held without a session: {:?}",
        logind.since(1)
    );

    world.plug("box", EvSpec::default()).expect("a charger");
    let taken = logind
        .await_line(1, "an inhibitor", |line| !line["inhibit"].is_null())
        .await;
    assert_eq!(
        taken["inhibit"],
        json!(["shutdown", "Retrovolt", "a vehicle is charging", "block"])
    );
    world.unplug("box").expect("a charger");
    let mark = logind.mark();
    logind
        .await_line(mark.min(2), "its release", |line| line["released"] == "block")
        .await;

    // A service that polkit does not know may only delay; it says so.
    logind.order(&json!({ "refuse": "block" })).await;
    logind
        .await_line(0, "the order", |line| line["refusing"] == "block")
        .await;
    until(&gateway, "the end", |s| sessions(s) == 0).await;
    let mark = logind.mark();
    world.plug("box", EvSpec::default()).expect("a charger");
    let taken = logind
        .await_line(mark, "an inhibitor", |line| !line["inhibit"].is_null())
        .await;
    assert_eq!(taken["inhibit"][3], "delay");
    let log = gateway.log().to_owned();
    let says = |words: &str| std::fs::read_to_string(&log).is_ok_and(|text| text.contains(words));
    until(&gateway, "it says so", |_| {
        says("only lets a session delay a shutdown")
    })
    .await;
    gateway.kill().await.expect("a kill");
    logind
        .await_line(mark, "its release", |line| line["released"] == "delay")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_bus_a_session_runs_all_the_same_and_it_is_said_once() {
    let dir = TempDir::new().expect("a folder");
    let csms = Csms::start().await.expect("a CSMS");
    let world = quick_world(dir.path()).await;
    let nowhere = format!("unix:path={}", dir.path().join("no-bus").display());
    let mut gateway = gateway(dir.path(), &csms, &world, &nowhere, "1h").await;
    for _ in 0..2 {
        world.plug("box", EvSpec::default()).expect("a charger");
        until(&gateway, "a session", |s| sessions(s) == 1).await;
        world.unplug("box").expect("a charger");
        until(&gateway, "its end", |s| sessions(s) == 0).await;
    }
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
    let log = std::fs::read_to_string(gateway.log()).expect("a log");
    assert_eq!(log.matches("no logind").count(), 1, "{log}");
}
