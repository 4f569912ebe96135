//! `retrovolt doctor --mqtt` and `--machine` as a person runs them, beside a gateway that runs, with a real broker and a real
//! D-Bus.

use crate::inhibitor::Bus;
use crate::kills::{configuration, quick_world};
use crate::mqtt::{CANARY, broker, mqtt_toml};
use crate::site::{PATIENCE, process, until};
use retrovolt::sim::csms::Csms;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::Command;

async fn doctor(what: &str, config: &Path, bus: Option<&str>) -> (i32, Value) {
    let begin = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_retrovolt"));
    command.args(["doctor", what, "--json", "--config"]).arg(config);
    if let Some(bus) = bus {
        command.env("DBUS_SYSTEM_BUS_ADDRESS", bus);
    }
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .expect("it ends")
        .expect("it runs");
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(!out.contains(CANARY) && !err.contains(CANARY), "{out}{err}");
    let told = serde_json::from_str(&out).unwrap_or_else(|_| panic!("not JSON: {out}{err}"));
    (output.status.code().expect("no signal"), told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_of_brokers_does_not_disturb_a_running_gateway_and_sees_who_pushes_it_out() {
    let dir = TempDir::new().expect("a folder");
    let csms = Csms::start().await.expect("a CSMS");
    let world = quick_world(dir.path()).await;
    let mut broker = broker().await;
    let toml = configuration(dir.path(), &csms, &world, "1.6") + &mqtt_toml(dir.path(), broker.port);
    let mut gateway = process(dir.path(), &toml);
    let config = dir.path().join("retrovolt.toml");
    let (code, told) = doctor("--mqtt", &config, None).await;
    assert_eq!(
        (code, &told["mqtt"][0]["result"]),
        (0, &json!("good")),
        "{told:#}"
    );

    gateway.start().expect("it starts");
    until(&gateway, "the broker", |s| s["mqtt"]["online"] == true).await;
    let mark = broker.log().len();
    let (code, told) = doctor("--mqtt", &config, None).await;
    let report = &told["mqtt"][0];
    assert_eq!((code, &report["cause"]), (0, &Value::Null), "{told:#}");
    let last = report["checks"]
        .as_array()
        .and_then(|checks| checks.last())
        .expect("checks");
    assert_eq!(
        (&last["check"], &last["result"]),
        (&json!("gateway"), &json!("good")),
        "{last}"
    );
    let since = broker.log()[mark..].to_owned();
    assert!(
        !since.contains("already connected") && !since.contains("Client retrovolt-gw disconnected"),
        "{since}"
    );
    let status = until(&gateway, "still there", |s| s["mqtt"]["online"] == true).await;
    assert_eq!(status["mqtt"]["short_lived"], 0);

    // Another client with the gateway's id comes back again and again, as such programs do.
    let port = broker.port.to_string();
    let mut twin = Command::new("mosquitto_sub")
        .args(["-h", "127.0.0.1", "-p", &port, "-V", "5", "-i", "retrovolt-gw"])
        .args(["-u", "reader", "-P", "r", "-t", "retrovolt/gw/info"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("mosquitto_sub");
    until(&gateway, "it is pushed out", |s| {
        s["mqtt"]["taken_over"] == true || s["mqtt"]["short_lived"].as_u64() >= Some(3)
    })
    .await;
    let (code, told) = doctor("--mqtt", &config, None).await;
    assert_eq!(
        (code, &told["mqtt"][0]["cause"]),
        (69, &json!("client_id_taken")),
        "{told:#}"
    );
    twin.kill().await.expect("killed");

    broker.kill().await;
    let (code, told) = doctor("--mqtt", &config, None).await;
    assert_eq!(
        (code, &told["mqtt"][0]["cause"]),
        (69, &json!("refused")),
        "{told:#}"
    );
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_of_the_machine_asks_systemd_how_the_kernel_sees_its_clock() {
    let dir = TempDir::new().expect("a folder");
    let config = dir.path().join("retrovolt.toml");
    let place = dir.path().display();
    std::fs::write(
        &config,
        format!("[gateway]\nstate_dir = \"{place}/state\"\nsocket = \"{place}/ctl.sock\"\n"),
    )
    .expect("written");
    let bus = Bus::start(dir.path()).await;
    let mut keepers = bus.somebody("timekeepers.py").await;
    let source = |told: &Value| {
        let checks = told["machine"].as_array().into_iter().flatten();
        let mut of_time = checks.filter(|check| check["name"] == "time source");
        of_time.next().cloned().expect("the check")
    };
    let (_, told) = doctor("--machine", &config, Some(&bus.address)).await;
    let check = source(&told);
    let evidence = check["evidence"].as_str().expect("text");
    // Who keeps the clock of the machine that runs this is not known.
    assert!(
        check["verdict"] == "good"
            && (evidence.contains("kernel counts") || evidence.contains("by time.example, to within 17 ms")),
        "{check}"
    );
    keepers.order(&json!({ "synchronised": false })).await;
    keepers
        .await_line(0, "the order", |line| line["synchronised"] == false)
        .await;
    let (_, told) = doctor("--machine", &config, Some(&bus.address)).await;
    let check = source(&told);
    assert!(
        check["verdict"] == "doubt" && check["next"].as_str().is_some_and(|next| !next.is_empty()),
        "{check}"
    );
}
