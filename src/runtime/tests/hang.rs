//! S6 and S5: whichever task hangs, nothing is fed two lease periods later, and the charger falls back by itself.

use super::rig::{Plan, Rig};
use crate::domain::{MilliAmps, Mono};
use crate::station::LEASE_REACH;
use std::time::Duration;

/// One fed by any request and one fed by a write of its own.
const CHARGERS: [&str; 2] = ["heidelberg-energy-control", "webasto-next"];
/// A request under way when the lease ends.
const UNDER_WAY: Duration = Duration::from_millis(500);

fn fed(rig: &Rig) -> Mono {
    rig.street
        .houses()
        .charger
        .body
        .supervision
        .expect("it has a watchdog")
        .fed
}

async fn hangs(charger: &'static str, task: &str) {
    let plan = Plan {
        charger,
        ..Plan::default()
    };
    let rig = Rig::charging(&plan).await;
    let timeout = rig
        .street
        .houses()
        .charger
        .body
        .supervision
        .expect("it has a watchdog")
        .timeout;
    // Not just after a renewal, and not just before one.
    tokio::time::sleep(Duration::from_millis(2_700)).await;
    rig.tasks.freeze(task);
    let at = rig.street.now();
    tokio::time::sleep(LEASE_REACH + timeout + UNDER_WAY).await;
    let last = fed(&rig);
    assert!(
        last <= at.plus(LEASE_REACH + UNDER_WAY),
        "{charger}: {task} hung at {at:?}, fed at {last:?}"
    );
    let houses = |rig: &Rig| {
        let houses = rig.street.houses();
        let supervision = houses.charger.body.supervision.expect("it has a watchdog");
        (
            supervision.tripped,
            houses.charger.body.offered() <= supervision.fallback,
        )
    };
    assert_eq!(houses(&rig), (true, true), "{charger}: {task}: not fallen back");
    tokio::time::sleep(Duration::from_secs(130)).await;
    assert_eq!(fed(&rig), last, "{charger}: {task}: fed again, and still hung");
    assert_eq!(houses(&rig), (true, true), "{charger}: {task}");
}

async fn whichever_hangs(charger: &'static str) {
    let names = Rig::new(&Plan::default()).tasks.names();
    assert_eq!(
        names,
        [
            "CSMS link",
            "bus",
            "commands",
            "fuses",
            "ledger",
            "main",
            "router",
            "station",
            "vitals"
        ]
    );
    for task in &names {
        hangs(charger, task).await;
    }
}

#[tokio::test(start_paused = true)]
async fn s6_whichever_task_hangs_nothing_feeds_by_any_request_two_periods_later() {
    whichever_hangs(CHARGERS[0]).await;
}

#[tokio::test(start_paused = true)]
async fn s6_whichever_task_hangs_nothing_feeds_by_a_write_two_periods_later() {
    whichever_hangs(CHARGERS[1]).await;
}

#[tokio::test(start_paused = true)]
async fn s6_while_all_turn_the_charger_is_fed_without_a_gap() {
    for charger in CHARGERS {
        let plan = Plan {
            charger,
            ..Plan::default()
        };
        let rig = Rig::charging(&plan).await;
        rig.pass(900).await;
        let trips = rig
            .street
            .houses()
            .charger
            .body
            .supervision
            .expect("it has a watchdog")
            .trips;
        assert_eq!(trips, 0, "{charger}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_charger_fed_by_any_request_and_without_a_meter_is_found_and_found_again() {
    let plan = Plan {
        metered: false,
        fuse: false,
        ..Plan::default()
    };
    let rig = Rig::charging(&plan).await;
    rig.street.houses().charger.silent = true;
    rig.pass(300).await;
    let error = rig.shown().evses[0].error.clone();
    assert_eq!(error.kind, Some(crate::domain::FaultKind::CommunicationLost));
    rig.street.houses().charger.silent = false;
    rig.pass(90).await;
    assert_eq!(rig.street.houses().charger.body.offered(), MilliAmps(16_000));
    assert_eq!(rig.shown().evses[0].error.kind, None);
}

#[tokio::test(start_paused = true)]
async fn s5_a_watchdog_that_somebody_changed_is_told_mended_and_meanwhile_not_trusted() {
    let rig = Rig::charging(&Plan::default()).await;
    // Register 257 is the time-out: somebody switches it off, and the box confirms what it then does not do.
    let told = |rig: &Rig| rig.south.borrow().failsafe["charger"].clone();
    assert!(told(&rig).contains("armed: true"), "{}", told(&rig));
    rig.street
        .houses()
        .charger
        .call(rig.street.now(), &[6, 1, 1, 0, 0]);
    let mut south = rig.south.clone();
    let noticed = south.wait_for(|south| south.failsafe["charger"].contains("armed: false"));
    tokio::time::timeout(Duration::from_secs(3_700), noticed)
        .await
        .expect("within the hour")
        .expect("running");
    let mut snapshot = rig.station.snapshot.clone();
    let limited = snapshot.wait_for(|shown| shown.evses[0].error.info.is_some());
    tokio::time::timeout(Duration::from_secs(1), limited)
        .await
        .expect("told upward")
        .expect("running");
    rig.pass(10).await;
    assert!(told(&rig).contains("armed: true"), "{}", told(&rig));
    assert_eq!(rig.street.houses().charger.register(3, 257), Some(15_000));
    assert_eq!(rig.shown().evses[0].error.info, None);
    rig.pass(10).await;
    assert_eq!(rig.street.houses().charger.body.offered(), MilliAmps(16_000));
}
