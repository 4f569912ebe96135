//! All shared fuses of the site.
//!
//! An EVSE behind several fuses, one after the other, gets the least of its shares. A changed fuse keeps what it
//! knows of the members it keeps, so a reload interrupts nobody who may go on.

use super::fuse::{Demand, Fuse, Member};
use crate::domain::{FuseSetup, MilliAmps, Mono, Now, Share};
use std::collections::BTreeMap;

/// What every EVSE on a shared fuse may use.
pub type Shares = BTreeMap<Member, Share>;

/// The fuses and what their members last asked for.
#[derive(Debug, Default)]
pub struct Fuses {
    fuses: Vec<(FuseSetup, Fuse)>,
    heard: BTreeMap<Member, Demand>,
    shares: Shares,
    /// Number of the last change of a share.
    number: u64,
}

impl Fuses {
    /// Takes over the fuses as configured now.
    pub fn configure(&mut self, now: Now, setups: &[FuseSetup]) {
        let mut old = std::mem::take(&mut self.fuses);
        for setup in setups {
            let known = old.iter().position(|(o, _)| o.name == setup.name);
            let mut fuse = match known.map(|at| old.swap_remove(at).1) {
                Some(mut fuse) => {
                    fuse.change(setup);
                    fuse
                }
                None => Fuse::new(setup),
            };
            for member in &setup.members {
                if let Some(demand) = self.heard.get(member) {
                    fuse.demand(now, member, *demand, knows(&self.shares, member, demand));
                }
            }
            self.fuses.push((setup.clone(), fuse));
        }
        self.tick(now);
    }

    /// An EVSE's wish or what its charger has in force has changed.
    pub fn demand(&mut self, now: Now, member: &Member, demand: Demand) {
        self.heard.insert(member.clone(), demand);
        let knows = knows(&self.shares, member, &demand);
        for (_, fuse) in self
            .fuses
            .iter_mut()
            .filter(|(setup, _)| setup.members.contains(member))
        {
            fuse.demand(now, member, demand, knows);
        }
        self.renew();
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) {
        for (_, fuse) in &mut self.fuses {
            fuse.tick(now);
        }
        self.renew();
    }

    /// When a turn passes on, or patience with a member ends.
    #[must_use]
    pub fn next_deadline(&self) -> Option<(Mono, &'static str)> {
        let fuses = self.fuses.iter();
        fuses.filter_map(|(_, fuse)| fuse.next_deadline()).min()
    }

    /// What each may use now: nothing before its fuse has heard of every member.
    #[must_use]
    pub fn shares(&self) -> &Shares {
        &self.shares
    }

    fn renew(&mut self) {
        let mut least: BTreeMap<&Member, MilliAmps> = BTreeMap::new();
        for (setup, fuse) in &self.fuses {
            for member in &setup.members {
                let amps = fuse.share_of(member);
                let known = least.entry(member).or_insert(amps);
                *known = amps.min(*known);
            }
        }
        self.shares.retain(|member, _| least.contains_key(member));
        for (member, amps) in least {
            let known = self.shares.get(member).map(|share| share.amps);
            if known != Some(amps) {
                self.number += 1;
                let number = self.number;
                self.shares.insert(member.clone(), Share { amps, number });
            }
        }
    }
}

/// Whether a station that asks for this goes by the present share.
fn knows(shares: &Shares, member: &Member, demand: &Demand) -> bool {
    shares
        .get(member)
        .is_none_or(|share| share.number == demand.share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CpId, EvseId, Phase};

    fn member(name: &str) -> Member {
        (CpId::new(name), EvseId(1))
    }

    fn fuse(name: &str, amps: i64, members: &[&str]) -> FuseSetup {
        FuseSetup {
            name: name.to_owned(),
            max_current: MilliAmps::from_base(amps),
            members: members.iter().map(|m| member(m)).collect(),
        }
    }

    /// From a station that knows its share.
    fn asks(fuses: &mut Fuses, now: Now, name: &str, in_force: i64) {
        let share = fuses.shares().get(&member(name)).map_or(0, |share| share.number);
        let demand = Demand {
            share,
            ..wants(in_force)
        };
        fuses.demand(now, &member(name), demand);
    }

    fn wants(in_force: i64) -> Demand {
        Demand {
            active: true,
            phases: 3,
            first_phase: Phase::L1,
            min: MilliAmps::from_base(6),
            max: MilliAmps::from_base(16),
            in_force: MilliAmps::from_base(in_force),
            share: 0,
        }
    }

    fn at(seconds: u64) -> Now {
        Now {
            mono: Mono(seconds * 1000),
            ..Now::default()
        }
    }

    fn share(fuses: &Fuses, name: &str) -> Option<i64> {
        fuses.shares().get(&member(name)).map(|share| share.amps.0 / 1000)
    }

    fn two_at_sixteen() -> Fuses {
        let mut fuses = Fuses::default();
        fuses.configure(at(0), &[fuse("yard", 32, &["A", "B"])]);
        assert_eq!(share(&fuses, "A"), Some(0), "nothing before anybody is heard of");
        asks(&mut fuses, at(0), "A", 0);
        assert_eq!(
            share(&fuses, "A"),
            Some(0),
            "nothing before everybody is heard of"
        );
        asks(&mut fuses, at(0), "B", 0);
        asks(&mut fuses, at(1), "A", 16);
        asks(&mut fuses, at(1), "B", 16);
        assert_eq!((share(&fuses, "A"), share(&fuses, "B")), (Some(16), Some(16)));
        fuses
    }

    #[test]
    fn a_lowered_fuse_comes_down_without_a_pause() {
        let mut fuses = two_at_sixteen();
        fuses.configure(at(2), &[fuse("yard", 20, &["A", "B"])]);
        assert_eq!((share(&fuses, "A"), share(&fuses, "B")), (Some(10), Some(10)));
    }

    /// The raise of one is on its way to its station while the other begins to ask.
    #[test]
    fn what_a_station_may_still_be_told_is_not_given_to_another() {
        let mut fuses = Fuses::default();
        fuses.configure(at(0), &[fuse("yard", 20, &["A", "B"])]);
        let idle = Demand {
            active: false,
            ..wants(0)
        };
        fuses.demand(at(0), &member("B"), idle);
        asks(&mut fuses, at(0), "A", 0);
        assert_eq!((share(&fuses, "A"), share(&fuses, "B")), (Some(16), Some(0)));
        asks(&mut fuses, at(0), "B", 0);
        assert_eq!((share(&fuses, "A"), share(&fuses, "B")), (Some(10), Some(0)));
        // It answers to an earlier share and cannot know of the 16 A.
        fuses.demand(at(0), &member("A"), Demand { share: 1, ..wants(0) });
        assert_eq!(share(&fuses, "B"), Some(0));
        asks(&mut fuses, at(1), "A", 16);
        assert_eq!(
            share(&fuses, "B"),
            Some(0),
            "it took the 16 A on the way to the 10 A"
        );
        asks(&mut fuses, at(2), "A", 10);
        assert_eq!(share(&fuses, "B"), Some(10));
    }

    #[test]
    fn a_raised_fuse_gives_more_only_once_all_are_known() {
        let mut fuses = two_at_sixteen();
        fuses.configure(at(2), &[fuse("yard", 48, &["A", "B", "C"])]);
        assert_eq!((share(&fuses, "A"), share(&fuses, "C")), (Some(16), Some(0)));
        asks(&mut fuses, at(3), "C", 0);
        assert_eq!(share(&fuses, "C"), Some(16));
    }

    #[test]
    fn who_leaves_a_fuse_has_no_share_and_the_others_use_it() {
        let mut fuses = two_at_sixteen();
        fuses.configure(at(2), &[fuse("yard", 20, &["A", "B"])]);
        asks(&mut fuses, at(3), "A", 10);
        asks(&mut fuses, at(3), "B", 10);
        fuses.configure(at(4), &[fuse("yard", 20, &["A"])]);
        assert_eq!((share(&fuses, "A"), share(&fuses, "B")), (Some(16), None));
        fuses.configure(at(5), &[]);
        assert!(fuses.shares().is_empty());
    }

    #[test]
    fn behind_two_fuses_the_smaller_share_counts() {
        let mut fuses = two_at_sixteen();
        fuses.configure(at(2), &[fuse("yard", 32, &["A", "B"]), fuse("shed", 10, &["A"])]);
        assert_eq!((share(&fuses, "A"), share(&fuses, "B")), (Some(10), Some(16)));
        // The order they stand in changes nothing.
        fuses.configure(at(3), &[fuse("shed", 10, &["A"]), fuse("yard", 32, &["A", "B"])]);
        assert_eq!(share(&fuses, "A"), Some(10));
    }
}
