//! The task that owns the shared fuses: demands in, shares out.

use super::conductor::ToStation;
use crate::domain::{Clock, CpId, EvseId, FuseSetup};
use crate::site::{Fuse, FuseEffect, FuseInput};
use crate::station::Input;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Inboxes of the stations.
pub type Stations = BTreeMap<CpId, mpsc::Sender<ToStation>>;

/// Fuses look at the clock at least this often.
const TURN: Duration = Duration::from_secs(1);

/// Shares every fuse out until nobody asks any more.
pub async fn run(
    setups: Vec<FuseSetup>,
    mut demands: mpsc::Receiver<(CpId, EvseId, FuseInput)>,
    stations: watch::Receiver<Stations>,
    clock: Arc<dyn Clock>,
) {
    let mut fuses: Vec<(FuseSetup, Fuse)> = setups.into_iter().map(|s| (s.clone(), Fuse::new(&s))).collect();
    let mut tick = tokio::time::interval(TURN);
    loop {
        tokio::select! {
            demand = demands.recv() => {
                let Some((cp, evse, input)) = demand else { return };
                let member = (cp, evse);
                for (_, fuse) in fuses.iter_mut().filter(|(setup, _)| setup.members.contains(&member)) {
                    fuse.handle(clock.now(), input.clone());
                }
            }
            _ = tick.tick() => fuses.iter_mut().for_each(|(_, f)| f.handle(clock.now(), FuseInput::Tick)),
        }
        let stations = stations.borrow().clone();
        for (_, fuse) in &mut fuses {
            while let Some(FuseEffect::Grant(grant)) = fuse.poll() {
                let (cp, evse) = grant.member;
                if let Some(to) = stations.get(&cp) {
                    let input = Input::SharedFuse {
                        evse,
                        amps: Some(grant.amps),
                    };
                    let _ = to.send(ToStation::Input(input)).await;
                }
            }
        }
    }
}
