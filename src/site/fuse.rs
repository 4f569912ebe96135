//! A fuse that several EVSEs of any charge point hang on.
//!
//! Rules:
//! * On no phase does the sum of what the members may draw exceed the rating. A member may draw the larger of
//!   its grant, of a larger one that its station may still go by, and of what its charger still has in force: a
//!   member is only given more once the others have really given it up.
//! * An active member gets an equal share, at least its least current; where that does not go round, some
//!   pause and the turn passes on.
//! * A member that may draw more than its grant for long (its link is lost, it does not obey) is left alone, and
//!   the others share what it leaves.
//! * Nobody is given more before every member has been heard of: one not heard of may be drawing anything.

use crate::domain::{CpId, EvseId, EvseSetup, FuseSetup, MilliAmps, Mono, Now, Phase};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a member charges before a waiting one gets its turn.
const TURN: Duration = Duration::from_secs(900);
/// A charger that has not come down to its grant after this long may never do so.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who hangs on a fuse.
pub type Member = (CpId, EvseId);

/// What is known of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// It would use current.
    pub active: bool,
    /// Phases it is wired to, 1 or 3.
    pub phases: u8,
    /// The grid phase its L1 is wired to.
    pub first_phase: Phase,
    /// Least current that can be offered.
    pub min: MilliAmps,
    /// Most it could use.
    pub max: MilliAmps,
    /// The most its charger may be offering right now.
    pub in_force: MilliAmps,
    /// Number of the share that its station goes by.
    pub share: u64,
}

impl Demand {
    /// Of an EVSE as it is wired, from what its station shows.
    #[must_use]
    pub const fn of(setup: &EvseSetup, active: bool, in_force: MilliAmps, share: u64) -> Self {
        Self {
            active,
            phases: setup.phases,
            first_phase: setup.first_phase,
            min: setup.min_current,
            max: setup.max_current,
            in_force,
            share,
        }
    }
}

/// One shared fuse.
#[derive(Debug)]
pub(super) struct Fuse {
    rating: MilliAmps,
    members: BTreeMap<Member, State>,
    now: Mono,
    turn_since: Mono,
    turn: usize,
}

#[derive(Clone, Debug)]
struct State {
    demand: Option<Demand>,
    granted: MilliAmps,
    /// The most it was granted since its station last knew its share: a raise that is on its way to the station
    /// may be in force before the station says so.
    given: MilliAmps,
    /// Since when it may have been drawing more than its grant.
    over_since: Option<Mono>,
}

impl State {
    /// What it may draw at most.
    fn draw(&self) -> MilliAmps {
        self.demand.map_or(self.given, |d| self.given.max(d.in_force))
    }

    fn is_over(&self) -> bool {
        self.draw() > self.granted
    }

    fn is_stuck(&self, now: Mono) -> bool {
        self.over_since.is_some_and(|since| now.since(since) >= PATIENCE)
    }
}

impl Fuse {
    /// A fuse as configured. Nobody gets anything before its demand is known.
    #[must_use]
    pub(super) fn new(setup: &FuseSetup) -> Self {
        let state = State {
            demand: None,
            granted: MilliAmps::ZERO,
            given: MilliAmps::ZERO,
            over_since: None,
        };
        let members = setup.members.iter().map(|m| (m.clone(), state.clone())).collect();
        Self {
            rating: setup.max_current,
            members,
            now: Mono::default(),
            turn_since: Mono::default(),
            turn: 0,
        }
    }

    /// Takes over another rating and other members; what is known of those that stay is kept. Shares follow with
    /// the next input.
    pub(super) fn change(&mut self, setup: &FuseSetup) {
        let mut fresh = Self::new(setup);
        for (member, state) in &mut fresh.members {
            if let Some(known) = self.members.remove(member) {
                *state = known;
            }
        }
        self.rating = fresh.rating;
        self.members = fresh.members;
    }

    /// What a member may use now, per phase.
    #[must_use]
    pub(super) fn share_of(&self, member: &Member) -> MilliAmps {
        self.members
            .get(member)
            .map_or(MilliAmps::ZERO, |state| state.granted)
    }

    /// Takes in what is known of a member and shares anew. `knows`: its station goes by the present share.
    pub(super) fn demand(&mut self, now: Now, member: &Member, demand: Demand, knows: bool) {
        if let Some(state) = self.members.get_mut(member) {
            state.demand = Some(demand);
            if knows {
                state.given = state.granted;
            }
        }
        self.tick(now);
    }

    /// Shares anew: time has passed, or the setup has changed.
    pub(super) fn tick(&mut self, now: Now) {
        self.now = now.mono;
        self.share();
    }

    /// When the turn passes on, or patience with a member ends.
    #[must_use]
    pub(super) fn next_deadline(&self) -> Option<(Mono, &'static str)> {
        let turn = self
            .somebody_waits()
            .then(|| (self.turn_since.plus(TURN), "the turn on a shared fuse passes on"));
        let patience = self.members.values().filter_map(|s| s.over_since).map(|since| {
            (
                since.plus(PATIENCE),
                "a member of a shared fuse does not come down",
            )
        });
        turn.into_iter()
            .chain(patience)
            .filter(|(at, _)| *at > self.now)
            .min()
    }

    fn somebody_waits(&self) -> bool {
        self.members
            .values()
            .any(|s| s.demand.is_some_and(|d| d.active) && s.granted == MilliAmps::ZERO)
    }

    /// Sum per phase of what each member may draw: the larger of its share and of what is still in force.
    fn load(&self) -> [MilliAmps; 3] {
        let mut sum = [MilliAmps::ZERO; 3];
        for state in self.members.values() {
            let Some(demand) = state.demand else { continue };
            let draw = state.draw();
            for phase in phases_of(&demand) {
                sum[phase] = sum[phase] + draw;
            }
        }
        sum
    }

    /// Shares the rating out.
    fn share(&mut self) {
        if self.somebody_waits() {
            if self.now.since(self.turn_since) >= TURN {
                self.turn = self.turn.wrapping_add(1);
                self.turn_since = self.now;
            }
        } else {
            self.turn_since = self.now;
        }
        self.watch();
        let targets = self.targets();
        for (member, state) in &mut self.members {
            state.granted = state.granted.min(targets[member]);
        }
        if self.members.values().all(|s| s.demand.is_some()) {
            for (member, target) in &targets {
                let new = self.room_of(member).min(*target);
                if let Some(state) = self.members.get_mut(member)
                    && new > state.granted
                    && state.demand.is_some_and(|d| new >= d.min)
                {
                    state.granted = new;
                    state.given = new.max(state.given);
                }
            }
        }
        self.watch();
    }

    /// Notes who may be drawing more than its grant, and since when.
    fn watch(&mut self) {
        for state in self.members.values_mut() {
            state.over_since = state.is_over().then(|| state.over_since.unwrap_or(self.now));
        }
    }

    /// What a member could have at most while the others keep what they may draw.
    fn room_of(&self, member: &Member) -> MilliAmps {
        let Some(demand) = self.members.get(member).and_then(|s| s.demand) else {
            return MilliAmps::ZERO;
        };
        let own = self.members[member].draw();
        let load = self.load();
        phases_of(&demand)
            .map(|p| self.rating - (load[p] - own))
            .min()
            .unwrap_or_default()
            .max(MilliAmps::ZERO)
    }

    /// What everybody would have if all gave up what they no longer may: equal shares per phase, filled up
    /// step by step; who would stay under its least current pauses, the turn says who.
    fn targets(&self) -> BTreeMap<Member, MilliAmps> {
        let mut active: Vec<(&Member, Demand)> = Vec::new();
        let mut floor = [MilliAmps::ZERO; 3];
        for (member, state) in &self.members {
            let Some(demand) = state.demand else { continue };
            if state.is_stuck(self.now) {
                for p in phases_of(&demand) {
                    floor[p] = floor[p] + state.draw();
                }
            } else if demand.active && demand.max >= demand.min {
                active.push((member, demand));
            }
        }
        if !active.is_empty() {
            let first = self.turn % active.len();
            active.rotate_left(first);
        }
        let mut chosen: Vec<(&Member, Demand)> = Vec::new();
        for (member, demand) in active {
            if phases_of(&demand).all(|p| floor[p] + demand.min <= self.rating) {
                for p in phases_of(&demand) {
                    floor[p] = floor[p] + demand.min;
                }
                chosen.push((member, demand));
            }
        }
        let mut targets: BTreeMap<Member, MilliAmps> = self
            .members
            .keys()
            .map(|m| (m.clone(), MilliAmps::ZERO))
            .collect();
        for (member, amps) in fill(&chosen, floor, self.rating) {
            targets.insert(member.clone(), amps);
        }
        targets
    }
}

/// Fills shares from their least current upward, all alike, until a phase or a member's most is reached.
fn fill<'a>(
    chosen: &[(&'a Member, Demand)],
    mut load: [MilliAmps; 3],
    rating: MilliAmps,
) -> Vec<(&'a Member, MilliAmps)> {
    let mut shares: Vec<(&Member, Demand, MilliAmps)> = chosen.iter().map(|(m, d)| (*m, *d, d.min)).collect();
    let mut open: Vec<usize> = (0..shares.len()).collect();
    while !open.is_empty() {
        // The lowest level among the open ones rises first, so that unequal floors end up level.
        let level = open.iter().map(|i| shares[*i].2).min().unwrap_or_default();
        let rising: Vec<usize> = open.iter().copied().filter(|i| shares[*i].2 == level).collect();
        let next = open.iter().map(|i| shares[*i].2).filter(|l| *l > level).min();
        let mut step = next.map_or(i64::MAX, |n| n.0 - level.0);
        for i in &rising {
            step = step.min(shares[*i].1.max.0 - level.0);
        }
        for (p, used) in load.iter().enumerate() {
            let users = rising
                .iter()
                .filter(|i| phases_of(&shares[**i].1).any(|q| q == p))
                .count();
            if let Ok(users) = i64::try_from(users)
                && users > 0
            {
                step = step.min((rating.0 - used.0) / users);
            }
        }
        if step <= 0 {
            // Somebody stands at its own most or at a full phase and rises no further.
            let full = |i: &usize| {
                let (_, d, share) = &shares[*i];
                *share >= d.max
                    || phases_of(d).any(|p| {
                        let users = rising
                            .iter()
                            .filter(|j| phases_of(&shares[**j].1).any(|q| q == p))
                            .count();
                        load[p].0 + i64::try_from(users).unwrap_or(i64::MAX) > rating.0
                    })
            };
            let before = open.len();
            open.retain(|i| !(rising.contains(i) && full(i)));
            if open.len() == before {
                break;
            }
            continue;
        }
        for i in rising {
            shares[i].2 = MilliAmps(shares[i].2.0 + step);
            for p in phases_of(&shares[i].1) {
                load[p] = load[p] + MilliAmps(step);
            }
        }
    }
    shares.into_iter().map(|(m, _, amps)| (m, amps)).collect()
}

/// Indices of the grid phases a member loads. A single-phase member loads only the one it is wired to.
fn phases_of(demand: &Demand) -> impl Iterator<Item = usize> + use<> {
    let first = match demand.first_phase {
        Phase::L2 => 1,
        Phase::L3 => 2,
        Phase::Total | Phase::L1 | Phase::N => 0,
    };
    let count = if demand.phases >= 3 {
        3
    } else {
        usize::from(demand.phases.max(1))
    };
    (0..count).map(move |i| (first + i) % 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn member(id: u16) -> Member {
        (CpId::new(format!("CP{id}")), EvseId(1))
    }

    fn fuse(rating: i64, members: u16) -> Fuse {
        Fuse::new(&FuseSetup {
            name: "garage".to_owned(),
            max_current: MilliAmps::from_base(rating),
            members: (1..=members).map(member).collect(),
        })
    }

    fn wants(max: i64) -> Demand {
        Demand {
            active: true,
            phases: 3,
            first_phase: Phase::L1,
            min: MilliAmps(6_000),
            max: MilliAmps::from_base(max),
            in_force: MilliAmps::ZERO,
            share: 0,
        }
    }

    /// A fuse with chargers that come to their grants some time later.
    struct Garage {
        fuse: Fuse,
        demands: BTreeMap<Member, Demand>,
        grants: BTreeMap<Member, MilliAmps>,
        /// Chargers that do not come down any more.
        stuck: Vec<Member>,
        now: Now,
    }

    impl Garage {
        fn new(rating: i64, demands: Vec<Demand>) -> Self {
            let count = u16::try_from(demands.len()).unwrap();
            let demands = (1..=count).map(member).zip(demands).collect();
            Self {
                fuse: fuse(rating, count),
                demands,
                grants: BTreeMap::new(),
                stuck: Vec::new(),
                now: Now {
                    mono: Mono(1_000),
                    ..Now::default()
                },
            }
        }

        fn set(&mut self, id: u16, change: impl Fn(&mut Demand)) {
            change(self.demands.get_mut(&member(id)).unwrap());
            self.tell();
        }

        fn tell(&mut self) {
            for (member, demand) in self.demands.clone() {
                self.fuse.demand(self.now, &member, demand, true);
            }
            let shares = self.demands.keys().map(|m| (m.clone(), self.fuse.share_of(m)));
            self.grants = shares.collect();
        }

        /// A second passes: chargers come to their grants, stations tell.
        fn second(&mut self) {
            self.now.mono = self.now.mono.plus(Duration::from_secs(1));
            for (member, demand) in &mut self.demands {
                let grant = self
                    .grants
                    .get(member)
                    .copied()
                    .unwrap_or_default()
                    .min(demand.max);
                if grant > demand.in_force || !self.stuck.contains(member) {
                    demand.in_force = if demand.active { grant } else { MilliAmps::ZERO };
                }
            }
            self.tell();
        }

        fn settle(&mut self) -> Vec<i64> {
            for _ in 0..20 {
                self.second();
            }
            self.grants.values().map(|a| a.0).collect()
        }

        fn drawn(&self) -> [i64; 3] {
            let mut sum = [0; 3];
            for demand in self.demands.values() {
                for p in phases_of(demand) {
                    sum[p] += demand.in_force.0;
                }
            }
            sum
        }
    }

    #[test]
    fn equal_shares_and_what_one_leaves_goes_to_the_others() {
        let mut g = Garage::new(32, vec![wants(32), wants(32), wants(32)]);
        g.tell();
        assert_eq!(g.settle(), [10_666, 10_666, 10_666]);
        g.set(2, |d| d.max = MilliAmps(7_000));
        assert_eq!(g.settle(), [12_500, 7_000, 12_500]);
        g.set(3, |d| d.active = false);
        assert_eq!(g.settle(), [25_000, 7_000, 0]);
    }

    #[test]
    fn single_phase_members_load_only_their_own_phase() {
        let one = |first_phase| Demand {
            phases: 1,
            first_phase,
            ..wants(32)
        };
        let mut g = Garage::new(
            20,
            vec![one(Phase::L1), one(Phase::L2), one(Phase::L3), one(Phase::L1)],
        );
        g.tell();
        assert_eq!(g.settle(), [10_000, 20_000, 20_000, 10_000]);
    }

    #[test]
    fn who_does_not_fit_waits_for_its_turn() {
        let mut g = Garage::new(13, vec![wants(16), wants(16), wants(16)]);
        g.tell();
        assert_eq!(g.settle(), [6_500, 6_500, 0]);
        let (at, _) = g.fuse.next_deadline().unwrap();
        g.now.mono = at;
        assert_eq!(g.settle(), [0, 6_500, 6_500]);
        for _ in 0..2 {
            g.now.mono = g.fuse.next_deadline().unwrap().0;
            g.settle();
        }
        assert_eq!(g.settle(), [6_500, 6_500, 0], "round and round");
    }

    #[test]
    fn nobody_is_raised_before_the_others_came_down() {
        let mut g = Garage::new(16, vec![wants(16), wants(16)]);
        g.demands.get_mut(&member(2)).unwrap().active = false;
        g.tell();
        assert_eq!(g.settle(), [16_000, 0]);
        g.set(2, |d| d.active = true);
        assert_eq!(g.grants[&member(1)], MilliAmps(8_000), "lowered at once");
        assert_eq!(g.grants[&member(2)], MilliAmps(0), "not yet");
        g.second();
        assert_eq!(g.grants[&member(2)], MilliAmps(8_000));
    }

    #[test]
    fn the_others_live_with_one_that_does_not_come_down() {
        let mut g = Garage::new(26, vec![wants(16), wants(16)]);
        g.tell();
        assert_eq!(g.settle(), [13_000, 13_000]);
        g.stuck.push(member(1));
        g.set(1, |d| {
            d.in_force = MilliAmps(16_000);
            d.active = false;
        });
        assert_eq!(g.settle(), [0, 10_000]);
    }

    #[test]
    fn one_not_heard_of_holds_the_others_back() {
        let mut f = fuse(32, 2);
        f.demand(Now::default(), &member(1), wants(16), true);
        let shares = |f: &Fuse| [1, 2].map(|id| f.share_of(&member(id)));
        assert_eq!(shares(&f), [MilliAmps::ZERO; 2]);
        f.demand(Now::default(), &member(2), wants(16), true);
        assert_eq!(shares(&f), [MilliAmps(16_000); 2]);
    }

    fn demand() -> impl Strategy<Value = Demand> {
        (any::<bool>(), any::<bool>(), 0..3usize, 6..33i64).prop_map(|(active, single, first, max)| Demand {
            active,
            phases: if single { 1 } else { 3 },
            first_phase: [Phase::L1, Phase::L2, Phase::L3][first],
            ..wants(max)
        })
    }

    proptest! {
        #[test]
        fn no_phase_is_ever_overloaded(
            rating in 6..64i64,
            demands in proptest::collection::vec(demand(), 1..8),
            steps in proptest::collection::vec((0..8u16, any::<bool>(), 6..33i64, 0..4u8, 0..2_000u64), 1..60),
        ) {
            let count = u16::try_from(demands.len()).unwrap();
            let mut g = Garage::new(rating, demands);
            g.tell();
            for (id, active, max, seconds, leap) in steps {
                g.set(id % count + 1, |d| {
                    d.active = active;
                    d.max = MilliAmps::from_base(max);
                });
                g.now.mono = g.now.mono.plus(Duration::from_secs(leap));
                for _ in 0..seconds {
                    g.second();
                    for sum in g.drawn() {
                        prop_assert!(sum <= rating * 1_000, "{} of {}", sum, rating * 1_000);
                    }
                }
                for grant in g.grants.values() {
                    prop_assert!(grant.0 == 0 || grant.0 >= 6_000);
                }
            }
        }

        #[test]
        fn somebody_charges_if_anybody_can(rating in 6..64i64, demands in proptest::collection::vec(demand(), 1..8)) {
            let wanted = demands.iter().any(|d| d.active);
            let mut g = Garage::new(rating, demands);
            g.tell();
            let granted: i64 = g.settle().iter().sum();
            prop_assert_eq!(granted > 0, wanted);
        }
    }
}
