//! What a reload means to each EVSE.

use super::{Gateway, GatewayError};
use crate::device::Library;
use crate::domain::{BusSetup, CpId, CpSetup, EvseId, EvseSetup, FuseSetup, SiteSetup};
use crate::runtime::conductor::ToStation;

/// Everything that an EVSE is configured by.
type Own = (CpSetup, Vec<BusSetup>, Vec<FuseSetup>);

impl Gateway {
    /// Takes over a changed configuration, and tells it at every EVSE that was there before and is configured otherwise now.
    ///
    /// # Errors
    /// As [`Gateway::apply`].
    pub async fn reload(&mut self, setup: SiteSetup, library: &Library) -> Result<(), GatewayError> {
        let changed = changed(&self.setup, &setup);
        self.apply(setup, library).await?;
        for (cp, evse) in changed {
            if let Some(point) = self.points.get(&cp) {
                // A station that has ended has nothing to tell.
                let _ = point.conductor.to.send(ToStation::Configured(evse)).await;
            }
        }
        Ok(())
    }
}

fn changed(old: &SiteSetup, new: &SiteSetup) -> Vec<(CpId, EvseId)> {
    let all = new
        .charge_points
        .iter()
        .flat_map(|cp| cp.evses.iter().map(move |evse| (cp, evse)));
    let differs = |(cp, evse): &(&CpSetup, &EvseSetup)| {
        let before = old.charge_points.iter().find(|before| before.id == cp.id);
        let before = before.and_then(|cp| Some((cp, cp.evses.iter().find(|before| before.id == evse.id)?)));
        before.is_some_and(|(before, of)| own(old, before, of) != own(new, cp, evse))
    };
    all.filter(differs)
        .map(|(cp, evse)| (cp.id.clone(), evse.id))
        .collect()
}

fn own(site: &SiteSetup, cp: &CpSetup, evse: &EvseSetup) -> Own {
    let contacts = evse.contacts.iter().map(|contacts| &contacts.device);
    let devices: Vec<_> = [Some(&evse.charger), evse.meter.as_ref(), evse.reader.as_ref()]
        .into_iter()
        .flatten()
        .chain(contacts)
        .collect();
    let buses = site.buses.iter().filter_map(|bus| {
        let here = bus.devices.iter().filter(|device| devices.contains(&&device.id));
        let here: Vec<_> = here.cloned().collect();
        (!here.is_empty()).then(|| BusSetup {
            devices: here,
            ..bus.clone()
        })
    });
    let member = (cp.id.clone(), evse.id);
    let fuses = site.fuses.iter().filter(|fuse| fuse.members.contains(&member));
    let alone = CpSetup {
        evses: vec![evse.clone()],
        ..cp.clone()
    };
    (alone, buses.collect(), fuses.cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::MilliAmps;
    use crate::runtime::tests::charge_point;

    fn site() -> SiteSetup {
        let mut cp = charge_point();
        let mut second = cp.evses[0].clone();
        second.id = EvseId(2);
        cp.evses.push(second);
        let mut other = cp.clone();
        other.id = CpId::new("OTHER");
        SiteSetup {
            charge_points: vec![cp, other],
            ..SiteSetup::default()
        }
    }

    fn told(change: impl Fn(&mut SiteSetup)) -> Vec<(String, u16)> {
        let (old, mut new) = (site(), site());
        change(&mut new);
        let told = changed(&old, &new).into_iter();
        told.map(|(cp, evse)| (cp.to_string(), evse.0)).collect()
    }

    #[test]
    fn only_evses_that_are_configured_otherwise_are_told_of() {
        let id = site().charge_points[0].id.to_string();
        assert_eq!(told(|_| ()), []);
        assert_eq!(told(|site| site.session_records = 7), []);
        let one = told(|site| site.charge_points[0].evses[1].max_current = MilliAmps(7_000));
        assert_eq!(one, [(id.clone(), 2)]);
        let both = told(|site| site.charge_points[0].model = "Other".to_owned());
        assert_eq!(both, [(id.clone(), 1), (id.clone(), 2)]);
        let fused = told(|site| {
            site.fuses = vec![FuseSetup {
                name: "yard".to_owned(),
                max_current: MilliAmps(20_000),
                members: vec![(site.charge_points[0].id.clone(), EvseId(1))],
            }];
        });
        assert_eq!(fused, [(id, 1)]);
        let gone = told(|site| {
            site.charge_points[0].id = CpId::new("NEW");
            site.charge_points.remove(1);
        });
        assert_eq!(gone, [], "what was not there before has not changed");
    }
}
