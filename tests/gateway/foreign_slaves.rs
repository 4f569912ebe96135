//! The gateway reads and steers slaves we did not write: pymodbus and libmodbus, over TCP and over a pty pair, in every
//! framing there is.

use crate::rig::root;
use crate::site::{PATIENCE, Point, gateway_toml, process, until};
use crate::slave::{PtyPair, Slave, pymodbus};
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::{online, sessions, up, waiting};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;
use tokio::process::Command;

const CP: &str = "SLAVE-1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pymodbus_over_tcp() {
    story(|_| pymodbus(&["--tcp"]), Port::Tcp("tcp")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pymodbus_over_a_pty_pair() {
    story(
        |far| pymodbus(&["--rtu", &far.display().to_string(), "--baud", "19200"]),
        Port::Pty("rtu"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pymodbus_with_rtu_frames_over_tcp_found_out_by_itself() {
    story(|_| pymodbus(&["--tcp", "--framer", "rtu"]), Port::Tcp("auto")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pymodbus_with_ascii_frames_over_a_pty_pair() {
    story(
        |far| {
            let far = far.display().to_string();
            pymodbus(&["--rtu", &far, "--baud", "19200", "--framer", "ascii"])
        },
        Port::Pty("ascii"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pymodbus_with_ascii_frames_over_tcp() {
    story(|_| pymodbus(&["--tcp", "--framer", "ascii"]), Port::Tcp("ascii")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libmodbus_over_tcp() {
    story(|_| libmodbus(&["tcp"]), Port::Tcp("auto")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libmodbus_over_a_pty_pair() {
    story(
        |far| libmodbus(&["rtu", &far.display().to_string(), "19200"]),
        Port::Pty("rtu"),
    )
    .await;
}

/// Where the slave is, and `bus.framing`.
enum Port {
    Tcp(&'static str),
    Pty(&'static str),
}

async fn story(slave: impl Fn(&Path) -> Command, at: Port) {
    let dir = TempDir::new().expect("a folder");
    let (near, far) = (dir.path().join("near.tty"), dir.path().join("far.tty"));
    let _pair = match at {
        Port::Pty(_) => Some(PtyPair::open(&near, &far).await),
        Port::Tcp(_) => None,
    };
    let mut slave = Slave::start(slave(&far)).await;
    let csms = Csms::start().await.expect("a CSMS");
    let (link, framing) = match at {
        Port::Pty(framing) => (format!("port = \"{}\"\nbaud = 19200\n", near.display()), framing),
        Port::Tcp(framing) => (
            format!("host = \"127.0.0.1\"\ntcp_port = {}\n", slave.port),
            framing,
        ),
    };
    let link = format!("{link}framing = \"{framing}\"\n");
    let mut gateway = process(dir.path(), &configuration(dir.path(), &csms, &link));
    gateway.start().expect("the gateway starts");
    until(&gateway, "both units answer and the CSMS accepts", |s| {
        up(s, "devices") == 2 && online(s) == 1
    })
    .await;

    slave.say("plug").await;
    until(&gateway, "the vehicle is seen", |s| {
        evse(s)["status"] == "Preparing"
    })
    .await;
    let mark = slave.mark();
    accepted(
        &csms,
        "RemoteStartTransaction",
        json!({ "connectorId": 1, "idTag": "CARD" }),
    )
    .await;
    slave.wrote(mark, "WRITE 1 261 160").await;
    until(&gateway, "current flows through the meter", |s| {
        evse(s)["status"] == "Charging" && evse(s)["power"].as_i64() > Some(10_000_000)
    })
    .await;

    let mark = slave.mark();
    let schedule =
        json!({ "chargingRateUnit": "A", "chargingSchedulePeriod": [{ "startPeriod": 0, "limit": 10 }] });
    let profile = json!({
        "chargingProfileId": 1, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative", "chargingSchedule": schedule,
    });
    accepted(
        &csms,
        "SetChargingProfile",
        json!({ "connectorId": 1, "csChargingProfiles": profile }),
    )
    .await;
    slave.wrote(mark, "WRITE 1 261 100").await;
    until(&gateway, "the meter shows the limit", |s| {
        evse(s)["power"]
            .as_i64()
            .is_some_and(|mw| (6_000_000..7_500_000).contains(&mw))
    })
    .await;

    let mark = slave.mark();
    slave.say("unplug").await;
    slave.wrote(mark, "WRITE 1 261 0").await;
    until(&gateway, "the session is over and told", |s| {
        sessions(s) == 0 && waiting(s) == 0
    })
    .await;
    let verdict = csms.verdict();
    assert!(
        verdict.is_clean() && (verdict.begun, verdict.ended) == (1, 1),
        "{verdict:#?}"
    );
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
}

fn evse(status: &Value) -> &Value {
    &status["charge_points"][0]["station"]["evses"][0]
}

async fn accepted(csms: &Csms, action: &str, payload: Value) {
    let answer = csms.call(CP, action, payload).await.expect("an answer");
    assert_eq!(answer["status"], "Accepted", "{action}: {answer}");
}

fn configuration(dir: &Path, csms: &Csms, link: &str) -> String {
    let point = Point {
        id: CP,
        url: csms.url("{id}"),
        version: "1.6",
        auth: "remote",
    };
    let device = |id: &str, profile: &str, unit: u8| {
        format!(
            "\n[[device]]\nid = \"{id}\"\nbus = \"line\"\nprofile = \"{profile}\"\nunit = {unit}\npoll = \"500ms\"\n"
        )
    };
    gateway_toml(dir)
        + "\n[[bus]]\nid = \"line\"\n"
        + link
        + &device("wallbox", "heidelberg-energy-control", 1)
        + &device("meter", "eastron-sdm630", 2)
        + &point.toml("wallbox", "meter")
}

/// Built by `tests/interop/setup.sh`.
fn libmodbus(args: &[&str]) -> Command {
    let program = root().join(".venv/libmodbus_slave");
    assert!(
        program.exists(),
        "{} is missing: run `make setup` first",
        program.display()
    );
    let mut command = Command::new(program);
    command.args(args);
    command
}
