//! All shared fuses of the site.
//!
//! An EVSE behind several fuses, one after the other, gets the least of its shares. A changed fuse keeps what it
//! knows of the members it keeps, so a reload interrupts nobody who may go on.

use super::fuse::{Demand, Fuse, Member};
use crate::domain::{FuseSetup, MilliAmps, Mono, Now};
use std::collections::BTreeMap;

/// What every EVSE on a shared fuse may use, per phase.
pub type Shares = BTreeMap<Member, MilliAmps>;

/// The fuses and what their members last asked for.
#[derive(Debug, Default)]
pub struct Fuses {
    fuses: Vec<(FuseSetup, Fuse)>,
    heard: BTreeMap<Member, Demand>,
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
                    fuse.demand(now, member, *demand);
                }
            }
            self.fuses.push((setup.clone(), fuse));
        }
        self.tick(now);
    }

    /// An EVSE's wish or what its charger has in force has changed.
    pub fn demand(&mut self, now: Now, member: &Member, demand: Demand) {
        self.heard.insert(member.clone(), demand);
        for (_, fuse) in self
            .fuses
            .iter_mut()
            .filter(|(setup, _)| setup.members.contains(member))
        {
            fuse.demand(now, member, demand);
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) {
        for (_, fuse) in &mut self.fuses {
            fuse.tick(now);
        }
    }

    /// When a turn passes on, or patience with a member ends.
    #[must_use]
    pub fn next_deadline(&self) -> Option<(Mono, &'static str)> {
        let fuses = self.fuses.iter();
        fuses.filter_map(|(_, fuse)| fuse.next_deadline()).min()
    }

    /// What each may use now: nothing before its fuse has heard of every member.
    #[must_use]
    pub fn shares(&self) -> Shares {
        let mut shares = Shares::new();
        for (setup, fuse) in &self.fuses {
            for member in &setup.members {
                let share = fuse.share_of(member);
                shares
                    .entry(member.clone())
                    .and_modify(|least| *least = share.min(*least))
                    .or_insert(share);
            }
        }
        shares
    }
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

    fn wants(in_force: i64) -> Demand {
        Demand {
            active: true,
            phases: 3,
            first_phase: Phase::L1,
            min: MilliAmps::from_base(6),
            max: MilliAmps::from_base(16),
            in_force: MilliAmps::from_base(in_force),
        }
    }

    fn at(seconds: u64) -> Now {
        Now {
            mono: Mono(seconds * 1000),
            ..Now::default()
        }
    }

    fn share(fuses: &Fuses, name: &str) -> Option<i64> {
        fuses.shares().get(&member(name)).map(|amps| amps.0 / 1000)
    }

    fn two_at_sixteen() -> Fuses {
        let mut fuses = Fuses::default();
        fuses.configure(at(0), &[fuse("yard", 32, &["A", "B"])]);
        assert_eq!(share(&fuses, "A"), Some(0), "nothing before anybody is heard of");
        fuses.demand(at(0), &member("A"), wants(0));
        assert_eq!(
            share(&fuses, "A"),
            Some(0),
            "nothing before everybody is heard of"
        );
        fuses.demand(at(0), &member("B"), wants(0));
        fuses.demand(at(1), &member("A"), wants(16));
        fuses.demand(at(1), &member("B"), wants(16));
        assert_eq!((share(&fuses, "A"), share(&fuses, "B")), (Some(16), Some(16)));
        fuses
    }

    #[test]
    fn a_lowered_fuse_comes_down_without_a_pause() {
        let mut fuses = two_at_sixteen();
        fuses.configure(at(2), &[fuse("yard", 20, &["A", "B"])]);
        assert_eq!((share(&fuses, "A"), share(&fuses, "B")), (Some(10), Some(10)));
    }

    #[test]
    fn a_raised_fuse_gives_more_only_once_all_are_known() {
        let mut fuses = two_at_sixteen();
        fuses.configure(at(2), &[fuse("yard", 48, &["A", "B", "C"])]);
        assert_eq!((share(&fuses, "A"), share(&fuses, "C")), (Some(16), Some(0)));
        fuses.demand(at(3), &member("C"), wants(0));
        assert_eq!(share(&fuses, "C"), Some(16));
    }

    #[test]
    fn who_leaves_a_fuse_has_no_share_and_the_others_use_it() {
        let mut fuses = two_at_sixteen();
        fuses.configure(at(2), &[fuse("yard", 20, &["A", "B"])]);
        fuses.demand(at(3), &member("A"), wants(10));
        fuses.demand(at(3), &member("B"), wants(10));
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
