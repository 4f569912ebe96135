//! SunSpec meters we did not write: the models of pysunspec2 behind pymodbus, found in lists of different shape.

use crate::kills::{configuration, quick_world};
use crate::rig::{python, root};
use crate::site::{PATIENCE, process, until};
use crate::slave::Slave;
use retrovolt::sim::EvSpec;
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::{evses, online, sessions, up, waiting};
use serde_json::Value;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;

const CP: &str = "KILL-1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn integers_with_scale_factors_behind_an_inverter() {
    let list = ["--base", "40000", "--models", "1,103,120,1,203"];
    let values = ["W=345 W_SF=1 TotWhImp=100000 TotWh_SF=1", "W=200 TotWhImp=100010"];
    story("sunspec-meter", &list, values).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floats_from_address_zero() {
    let list = ["--base", "0", "--models", "1,213"];
    let values = ["W=3450.0 TotWhImp=1000000.0", "W=2000.0 TotWhImp=1000100.0"];
    story("sunspec-meter-float", &list, values).await;
}

fn power(status: &Value) -> Option<i64> {
    evses(status).next()?["power"].as_i64()
}

/// A session billed by the meter: 100 Wh.
async fn story(profile: &str, list: &[&str], values: [&str; 2]) {
    let mut command = Command::new(python());
    command
        .arg(root().join("tests/interop/slaves/sunspec_slave.py"))
        .args(list);
    let mut meter = Slave::start(command).await;
    set(&mut meter, values[0]).await;
    let dir = TempDir::new().expect("a folder");
    let csms = Csms::start().await.expect("a CSMS");
    let world = quick_world(dir.path()).await;
    let bus = format!(
        "\n[[bus]]\nid = \"sun\"\nhost = \"127.0.0.1\"\ntcp_port = {}\n",
        meter.port
    );
    let device =
        format!("\n[[device]]\nid = \"meter\"\nbus = \"sun\"\nprofile = \"{profile}\"\npoll = \"200ms\"\n");
    let charger = "charger = \"box\"\n";
    let toml = configuration(dir.path(), &csms, &world, "1.6")
        .replace(charger, &format!("{charger}meter = \"meter\"\n"));
    let mut gateway = process(dir.path(), &(toml + &bus + &device));
    gateway.start().expect("the gateway starts");
    until(&gateway, "both answer and power is read", |s| {
        online(s) == 1 && up(s, "devices") == 2 && power(s) == Some(3_450_000)
    })
    .await;

    let mark = csms.mark();
    world.plug("box", EvSpec::default()).expect("a charger");
    until(&gateway, "a session runs", |s| sessions(s) == 1).await;
    set(&mut meter, values[1]).await;
    until(&gateway, "the meter has moved", |s| power(s) == Some(2_000_000)).await;
    world.unplug("box").expect("a charger");
    until(&gateway, "the session is over and told", |s| {
        sessions(s) == 0 && waiting(s) == 0
    })
    .await;
    let begin = csms
        .wait_call(mark, Duration::from_secs(10), CP, "StartTransaction")
        .await;
    let end = csms
        .wait_call(mark, Duration::from_secs(10), CP, "StopTransaction")
        .await;
    let (begin, end) = (begin.expect("a begin"), end.expect("an end"));
    assert_eq!(
        (&begin["meterStart"], &end["meterStop"]),
        (&1_000_000.into(), &1_000_100.into())
    );
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
}

async fn set(meter: &mut Slave, values: &str) {
    let mark = meter.mark();
    meter.say(&format!("set {values}")).await;
    meter.wrote(mark, "SET").await;
}
