//! The task that owns the shared fuses: demands in, shares out.

use super::conductor::ToStation;
use super::vitals::{Marker, TURN};
use crate::domain::{Clock, CpId, EvseId, FuseSetup};
use crate::site::{Demand, Fuses, Member, Shares};
use crate::station::Input;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Inboxes of the stations.
pub type Stations = BTreeMap<CpId, mpsc::Sender<ToStation>>;
/// What an EVSE asks of its fuses.
pub type Asked = (CpId, EvseId, Demand);

/// Shares every fuse out until nobody asks any more. A reload changes the setups; a station built anew starts from
/// what `shares` says.
pub async fn run(
    mut setups: watch::Receiver<Vec<FuseSetup>>,
    mut demands: mpsc::Receiver<Asked>,
    mut stations: watch::Receiver<Stations>,
    shares: watch::Sender<Shares>,
    clock: Arc<dyn Clock>,
    marker: Marker,
) {
    let mut fuses = Fuses::default();
    setups.mark_changed();
    let mut told = Shares::new();
    let mut tick = tokio::time::interval(TURN);
    loop {
        marker.turn();
        tokio::select! {
            demand = demands.recv() => {
                let Some((cp, evse, demand)) = demand else { return };
                fuses.demand(clock.now(), &(cp, evse), demand);
            }
            Ok(()) = setups.changed() => {
                fuses.configure(clock.now(), &setups.borrow());
            }
            // A station built anew has to hear its share whether or not that changes.
            Ok(()) = stations.changed() => told.clear(),
            _ = tick.tick() => fuses.tick(clock.now()),
        }
        let now = fuses.shares().clone();
        tell(&now, &mut told, &stations.borrow());
        shares.send_if_modified(|old| {
            let changed = *old != now;
            *old = now;
            changed
        });
    }
}

/// Tells what is news; who cannot take it now is told at the next turn.
fn tell(shares: &Shares, told: &mut Shares, stations: &Stations) {
    let say = |(cp, evse): &Member, share| {
        let input = Input::SharedFuse { evse: *evse, share };
        stations
            .get(cp)
            .is_some_and(|to| to.try_send(ToStation::input(input)).is_ok())
    };
    for (member, share) in shares {
        if told.get(member) != Some(share) && say(member, Some(*share)) {
            told.insert(member.clone(), *share);
        }
    }
    told.retain(|member, _| shares.contains_key(member) || !say(member, None));
}
