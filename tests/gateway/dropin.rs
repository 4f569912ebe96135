//! A profile dropped into a directory makes an unknown device usable without compiling anything.

use crate::kills::{configuration, quick_world};
use crate::site::{process, until};
use retrovolt::domain::MilliAmps;
use retrovolt::sim::EvSpec;
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::{online, sessions};
use std::time::Duration;
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_device_is_read_and_steered_by_its_profile() {
    let dir = TempDir::new().expect("a folder");
    let csms = Csms::start().await.expect("a CSMS");
    let world = quick_world(dir.path()).await;
    let mut gateway = process(dir.path(), &configuration(dir.path(), &csms, &world, "1.6"));
    gateway.start().expect("the gateway starts");
    until(&gateway, "the charge point is accepted", |s| online(s) == 1).await;
    world.plug("box", EvSpec::default()).expect("a charger");
    until(&gateway, "a session runs and current is offered", |s| {
        sessions(s) == 1 && world.offered("box") == Ok(MilliAmps::from_base(16))
    })
    .await;
    let start = csms
        .wait_call(0, Duration::from_secs(10), "KILL-1", "StartTransaction")
        .await
        .expect("a begin");
    assert_eq!(
        start["meterStart"], 1_234_500,
        "the made-up register, in whole watt-hours"
    );
    world.unplug("box").expect("a charger");
    until(&gateway, "the session ends", |s| sessions(s) == 0).await;
    assert!(
        gateway
            .stop(crate::site::PATIENCE)
            .await
            .expect("it ends")
            .success()
    );
}
