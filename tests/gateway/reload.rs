//! SIGHUP: a good configuration is taken over without ending a session, a bad one changes nothing.

use crate::kills::{configuration, quick_world};
use crate::site::{process, until, uptime};
use retrovolt::domain::MilliAmps;
use retrovolt::sim::EvSpec;
use retrovolt::sim::csms::{Csms, Frame};
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
    until(&gateway, "1000 A are refused", |s| {
        s["configuration"]["refused"].is_array()
    })
    .await;
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

/// Two chargers behind 20 A: a charge point built anew keeps to its share, a changed fuse is taken over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_neither_forgets_a_shared_fuse_nor_overlooks_its_change() {
    let dir = TempDir::new().expect("a folder");
    let csms = Csms::start().await.expect("a CSMS");
    let world = quick_world(dir.path()).await;
    let second = "\n[[device]]\nid = \"box2\"\nbus = \"net\"\nunit = 2\nprofile = \"test-quick-box\"\n\
                  accept_no_failsafe = true\n\n[[charge_point.evse]]\ncharger = \"box2\"\nphases = 3\n\
                  max_current = \"16A\"\nauth = \"free\"\nid_token = \"FREE\"\n\n[[fuse]]\nname = \"yard\"\n\
                  max_current = \"20A\"\nmembers = [\"KILL-1\"]\n";
    let toml = configuration(dir.path(), &csms, &world, "1.6") + second;
    let mut gateway = process(dir.path(), &toml);
    gateway.start().expect("the gateway starts");
    let fuse = std::cell::Cell::new(20);
    let offered = || ["box", "box2"].map(|id| world.offered(id).expect("a charger"));
    let offers = |amps: i64| {
        let [one, two] = offered();
        assert!(
            one + two <= MilliAmps::from_base(fuse.get()),
            "{one} and {two} on the fuse"
        );
        [one, two] == [MilliAmps::from_base(amps); 2]
    };
    world.plug("box", EvSpec::default()).expect("a charger");
    world.plug("box2", EvSpec::default()).expect("a charger");
    // Until the gateway has told them something they offer what they were delivered with.
    until(&gateway, "two sessions at 10 A", |s| {
        sessions(s) == 2 && offered() == [MilliAmps::from_base(10); 2]
    })
    .await;

    // A changed model builds the station anew. From here on the sum is judged at every look, whatever is waited for.
    let other = toml.replace("model = \"Test\"", "model = \"Other\"");
    let mark = csms.mark();
    let written = || ["box", "box2"].map(|id| world.writes(id).expect("a charger"));
    let before = written().map(|writes| writes.len());
    let booted = |frame: &Frame| {
        frame
            .call("BootNotification")
            .is_some_and(|boot| boot["chargePointModel"] == "Other")
    };
    gateway.configure(&other).expect("written");
    gateway.reload().expect("a signal");
    gateway
        .until("a boot", Duration::from_secs(20), |_| {
            offers(10);
            csms.frames().iter().skip(mark).any(booted)
        })
        .await
        .expect("a boot");
    until(&gateway, "two sessions at 10 A again", |s| {
        offers(10) && online(s) == 1 && sessions(s) == 2
    })
    .await;
    for (writes, before) in written().iter().zip(before) {
        let limits = writes[before..].iter().map(|write| write.values[0]);
        assert!(
            limits.clone().all(|limit| limit == 100),
            "a vehicle was interrupted: {limits:?}"
        );
    }

    let lower = other.replace("\"20A\"", "\"16A\"");
    gateway.configure(&lower).expect("written");
    gateway.reload().expect("a signal");
    let status = until(&gateway, "two sessions at 8 A", |s| offers(8) && sessions(s) == 2).await;
    fuse.set(16);
    let since = uptime(&status);
    until(&gateway, "three seconds at 8 A", |s| {
        assert!(offers(8), "it does not stay at 8 A");
        sessions(s) == 2 && uptime(s) >= since + 3
    })
    .await;
    assert!(
        gateway
            .stop(crate::site::PATIENCE)
            .await
            .expect("it ends")
            .success()
    );
}
