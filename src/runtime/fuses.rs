//! The task that owns the shared fuses: demands in, shares out.
//!
//! Every station learns the shares of its EVSEs when it is new, whether they have changed or not: one that was not
//! told is bound by no fuse.

use super::conductor::ToStation;
use super::vitals::{Marker, TURN};
use crate::domain::{Clock, CpId, EvseId, FuseSetup, MilliAmps};
use crate::site::{Fuse, FuseEffect, FuseInput, Member};
use crate::station::Input;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Inboxes of the stations.
pub type Stations = BTreeMap<CpId, mpsc::Sender<ToStation>>;

/// Shares every fuse out until nobody asks any more.
pub async fn run(
    setups: Vec<FuseSetup>,
    mut demands: mpsc::Receiver<(CpId, EvseId, FuseInput)>,
    mut stations: watch::Receiver<Stations>,
    clock: Arc<dyn Clock>,
    marker: Marker,
) {
    let mut fuses: Vec<(FuseSetup, Fuse)> = setups.into_iter().map(|s| (s.clone(), Fuse::new(&s))).collect();
    let mut shares: BTreeMap<Member, MilliAmps> = BTreeMap::new();
    let mut known = Stations::new();
    let mut tick = tokio::time::interval(TURN);
    loop {
        marker.turn();
        tokio::select! {
            demand = demands.recv() => {
                let Some((cp, evse, input)) = demand else { return };
                let member = (cp, evse);
                for (_, fuse) in fuses.iter_mut().filter(|(setup, _)| setup.members.contains(&member)) {
                    fuse.handle(clock.now(), input.clone());
                }
            }
            // The sender is the gateway itself.
            Ok(()) = stations.changed() => {}
            _ = tick.tick() => fuses.iter_mut().for_each(|(_, f)| f.handle(clock.now(), FuseInput::Tick)),
        }
        let present = stations.borrow_and_update().clone();
        let mut news: BTreeMap<Member, MilliAmps> = shares
            .iter()
            .filter(|((cp, _), _)| !is_same(known.get(cp), present.get(cp)))
            .map(|(member, amps)| (member.clone(), *amps))
            .collect();
        known = present;
        let mut told = Vec::new();
        for (_, fuse) in &mut fuses {
            while let Some(FuseEffect::Grant(grant)) = fuse.poll() {
                news.remove(&grant.member);
                shares.insert(grant.member.clone(), grant.amps);
                told.push((grant.member, grant.amps));
            }
        }
        for ((cp, evse), amps) in news.into_iter().chain(told) {
            if let Some(to) = known.get(&cp) {
                let amps = Some(amps);
                let _ = to.send(ToStation::Input(Input::SharedFuse { evse, amps })).await;
            }
        }
    }
}

fn is_same(one: Option<&mpsc::Sender<ToStation>>, other: Option<&mpsc::Sender<ToStation>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.same_channel(other),
        (one, other) => one.is_none() && other.is_none(),
    }
}
