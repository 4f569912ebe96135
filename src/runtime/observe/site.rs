//! The site as a whole: what all charge points draw, what they may draw, and the fuse that is next to its rating.

use super::super::narrator::name_of;
use super::{Light, Subject};
use crate::domain::{CpSetup, FuseSetup, LimitSource};
use crate::site::{self, Feeder, Outlet};
use crate::station::Snapshot;
use crate::telemetry::{At, Milli, Phases, Picture, SiteState};

impl Light<'_> {
    /// What all share.
    pub(super) fn site(&self, subjects: &[Subject], picture: &Picture) -> SiteState {
        let powers: Vec<i64> = picture
            .points
            .values()
            .filter_map(|point| Some(point.state.power_w?.0))
            .collect();
        let most = self.most(subjects);
        let tightest = |fuses: &mut dyn Iterator<Item = &FuseSetup>| {
            fuses
                .map(|fuse| (fuse.name.clone(), headroom(fuse, picture)))
                .min_by_key(|(_, left)| left.iter().flatten().map(|amps| amps.0).min())
        };
        let binds = |fuse: &&FuseSetup| {
            let mut members = fuse.members.iter();
            members.any(|(cp, evse)| {
                let point = picture.points.get(&name_of(cp, *evse));
                let source = point.and_then(|point| point.state.limit_source.as_deref());
                source == Some(LimitSource::SharedFuse.to_string().as_str())
            })
        };
        let fuses = &self.site.fuses;
        SiteState {
            ts: At(self.now.wall.unix_ms),
            grid_power_w: (!powers.is_empty()).then(|| Milli(powers.iter().sum())),
            limit_w: most.map(|most| Milli(most.power.0)),
            limit_source: most.map(|most| most.by.word().to_owned()),
            headroom_a: tightest(&mut fuses.iter()).map_or_else(Phases::default, |(_, left)| left),
            active_constraint: tightest(&mut fuses.iter().filter(binds)).map(|(name, _)| name),
        }
    }

    fn most(&self, subjects: &[Subject]) -> Option<site::Most> {
        let points = self.site.charge_points.iter();
        let feeders: Vec<Feeder<'_>> = points
            .map(|cp| {
                let subject = subjects.iter().find(|subject| subject.setup.id == cp.id);
                feeder(cp, subject.map(|subject| subject.snapshot.borrow()).as_deref())
            })
            .collect();
        site::most(&feeders, &self.site.fuses)
    }
}

/// A charge point; one that does not run has no restrictions but its installation's.
fn feeder<'a>(cp: &'a CpSetup, shown: Option<&Snapshot>) -> Feeder<'a> {
    let outlets = cp.evses.iter().map(|setup| {
        let evse = shown.and_then(|shown| shown.evses.iter().find(|evse| evse.evse == setup.id));
        let limits = evse.map_or(&[][..], |evse| &evse.limits);
        Outlet {
            setup,
            limits: limits.iter().map(|limit| (limit.amps, limit.source)).collect(),
        }
    });
    Feeder {
        id: &cp.id,
        ceiling: shown.and_then(|shown| shown.ceiling),
        outlets: outlets.collect(),
    }
}

/// What a fuse has left, by phase; what nobody measures is not counted.
fn headroom(fuse: &FuseSetup, picture: &Picture) -> Phases {
    let mut left = [fuse.max_current.0; 3];
    for (cp, evse) in &fuse.members {
        let Some(point) = picture.points.get(&name_of(cp, *evse)) else {
            continue;
        };
        for (left, drawn) in left.iter_mut().zip(point.state.current_a) {
            *left -= drawn.map_or(0, |amps| amps.0);
        }
    }
    left.map(|amps| Some(Milli(amps)))
}
