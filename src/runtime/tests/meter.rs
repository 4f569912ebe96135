//! S9: a billing meter that is lost or stands still.

use super::rig::{Plan, Rig};
use crate::domain::{LimitSource, MilliAmps, Mono};
use std::time::Duration;

/// From the last reading, as configured, and what it may take until the limit is written.
const STALE: Duration = Duration::from_secs(5);
const WRITTEN: Duration = Duration::from_secs(2);

/// Waits until the charger was told 6 A, and tells when.
async fn limited(rig: &Rig) -> Mono {
    let limit = || rig.street.houses().charger.body.limit;
    while limit() != MilliAmps(6_000) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(rig.street.now().0 < 3_600_000, "never: {:?}", rig.shown());
    }
    rig.street.now()
}

#[tokio::test(start_paused = true)]
async fn s9_a_meter_that_is_lost_is_stale_in_time_and_the_limit_written_within_two_seconds() {
    for wait in 0..20 {
        let rig = Rig::charging(&Plan::default()).await;
        tokio::time::sleep(Duration::from_millis(wait * 137)).await;
        rig.street.houses().meter.silent = true;
        let lost = rig.street.now();
        let took = limited(&rig).await.since(lost);
        // Three time-outs in a row say so earlier than the age of the last reading.
        assert!(took <= STALE + WRITTEN, "{took:?}");
        assert_eq!(rig.shown().evses[0].applied.source, LimitSource::Failsafe);
    }
}

#[tokio::test(start_paused = true)]
async fn s9_a_meter_that_repeats_itself_while_current_flows_is_noticed_as_fast() {
    for wait in 0..20 {
        let rig = Rig::charging(&Plan::default()).await;
        tokio::time::sleep(Duration::from_millis(wait * 137)).await;
        rig.street.houses().meter_frozen = true;
        let frozen = rig.street.now();
        let took = limited(&rig).await.since(frozen);
        // It is asked once a second: its last growth may be read that much later.
        assert!(took <= Duration::from_secs(1) + STALE + WRITTEN, "{took:?}");
        assert!(took >= STALE - Duration::from_millis(1_300), "{took:?}");
        let info = rig.shown().evses[0].error.info.clone();
        assert_eq!(
            info.as_deref(),
            Some("the register stands still while power flows")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn s9_a_meter_that_stood_still_before_anything_flowed_is_noticed_by_what_the_charger_measures() {
    let rig = Rig::charging(&Plan::default()).await;
    rig.street.houses().charger.body.ev = None;
    rig.pass(30).await;
    rig.street.houses().meter_frozen = true;
    rig.pass(30).await;
    rig.plug();
    rig.pass(60).await;
    assert_eq!(
        rig.street.houses().charger.body.limit,
        MilliAmps(6_000),
        "{:?}",
        rig.shown()
    );
}

#[tokio::test(start_paused = true)]
async fn a_meter_that_works_is_never_taken_for_one_that_stands_still() {
    let rig = Rig::charging(&Plan::default()).await;
    for _ in 0..3_600 {
        rig.pass(1).await;
        assert_eq!(rig.shown().evses[0].applied.amps, MilliAmps(16_000));
    }
}
