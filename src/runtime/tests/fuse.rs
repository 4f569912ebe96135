//! A share that was told before its station was there, or to one that was built anew, reaches it all the same.

use crate::bus::tests::TokioClock;
use crate::domain::{Clock, CpId, EvseId, FuseSetup, MilliAmps, Phase};
use crate::runtime::conductor::ToStation;
use crate::runtime::fuses::{self, Stations};
use crate::runtime::vitals::Marker;
use crate::site::{Demand, Shares};
use crate::station::Input;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

fn demand() -> Demand {
    Demand {
        active: true,
        phases: 3,
        first_phase: Phase::L1,
        min: MilliAmps(6_000),
        max: MilliAmps(16_000),
        in_force: MilliAmps(0),
        share: 0,
    }
}

fn last_share(inbox: &mut mpsc::Receiver<ToStation>) -> Option<MilliAmps> {
    let share = |message| match message {
        ToStation::Input(input) => match *input {
            Input::SharedFuse { share, .. } => share.map(|share| share.amps),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    std::iter::from_fn(|| inbox.try_recv().ok())
        .map(share)
        .last()
        .flatten()
}

#[tokio::test(start_paused = true)]
async fn every_new_station_is_told_its_share_even_if_it_is_nothing() {
    let clock: Arc<dyn Clock> = Arc::new(TokioClock(Instant::now()));
    let names = ["A", "B"].map(CpId::new);
    let members = names.clone().map(|cp| (cp, EvseId(1)));
    // Enough for one of the two.
    let fuse = FuseSetup {
        name: "main".to_owned(),
        max_current: MilliAmps(10_000),
        members: members.to_vec(),
    };
    let (to_fuses, demands) = mpsc::channel(16);
    let (stations, stations_rx) = watch::channel(Stations::new());
    let (marker, _mark) = Marker::new(Arc::clone(&clock));
    let (setups, (shares, _)) = (watch::channel(vec![fuse]).1, watch::channel(Shares::new()));
    tokio::spawn(fuses::run(setups, demands, stations_rx, shares, clock, marker));
    tokio::time::sleep(Duration::from_secs(3)).await;

    let ((a, mut a_inbox), (b, mut b_inbox)) = (mpsc::channel(16), mpsc::channel(16));
    stations.send_replace(names.clone().into_iter().zip([a.clone(), b]).collect());
    for member in members {
        to_fuses
            .send((member.0, member.1, demand()))
            .await
            .expect("running");
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let shares = [last_share(&mut a_inbox), last_share(&mut b_inbox)];
    assert_eq!(shares, [Some(MilliAmps(10_000)), Some(MilliAmps(0))]);

    let (anew, mut anew_inbox) = mpsc::channel(16);
    stations.send_replace(names.into_iter().zip([a, anew]).collect());
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(last_share(&mut anew_inbox), Some(MilliAmps(0)));
    assert!(last_share(&mut a_inbox).is_none_or(|share| share == MilliAmps(10_000)));
}
