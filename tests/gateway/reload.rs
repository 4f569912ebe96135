//! SIGHUP: a good configuration is taken over without ending a session, a bad one changes nothing.

use crate::kills::{configuration, quick_world};
use crate::site::{process, until};
use retrovolt::domain::MilliAmps;
use retrovolt::sim::EvSpec;
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::{online, sessions};
use std::time::Duration;
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_changes_the_limit_and_keeps_the_session() {
    let dir = TempDir::new().expect("a folder");
    let csms = Csms::start().await.expect("a CSMS");
    let world = quick_world(dir.path()).await;
    let toml = configuration(dir.path(), &csms, &world, "1.6");
    let mut gateway = process(dir.path(), &toml);
    gateway.start().expect("the gateway starts");
    world.plug("box", EvSpec::default()).expect("a charger");
    let offers = |amps: i64| world.offered("box") == Ok(MilliAmps::from_base(amps));
    until(&gateway, "a session at 16 A", |s| {
        online(s) == 1 && sessions(s) == 1 && offers(16)
    })
    .await;

    gateway
        .configure(&toml.replace("max_current = \"16A\"", "max_current = \"1000A\""))
        .expect("written");
    gateway.reload().expect("a signal");
    gateway
        .configure(&toml.replace("max_current = \"16A\"", "max_current = \"13A\""))
        .expect("written");
    gateway.reload().expect("a signal");
    until(&gateway, "the session at 13 A", |s| {
        online(s) == 1 && sessions(s) == 1 && offers(13)
    })
    .await;

    let starts = csms
        .frames()
        .iter()
        .filter(|f| f.call("StartTransaction").is_some())
        .count();
    let stops = csms
        .frames()
        .iter()
        .filter(|f| f.call("StopTransaction").is_some())
        .count();
    assert_eq!((starts, stops), (1, 0), "the session was not kept");
    world.unplug("box").expect("a charger");
    csms.wait_call(0, Duration::from_secs(10), "KILL-1", "StopTransaction")
        .await
        .expect("an end");
    assert!(
        gateway
            .stop(crate::site::PATIENCE)
            .await
            .expect("it ends")
            .success()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_configuration_at_the_start_ends_with_78_when_strict() {
    let dir = TempDir::new().expect("a folder");
    let mut gateway = process(dir.path(), "[gatewy]\n");
    gateway.start().expect("it starts");
    let end = gateway
        .ended(crate::site::PATIENCE)
        .await
        .expect("it ends by itself");
    assert_eq!(end.code(), Some(78));
    let log = std::fs::read_to_string(gateway.log()).expect("a log");
    assert!(log.contains("gatewy") && log.contains("gateway"), "{log}");
}
