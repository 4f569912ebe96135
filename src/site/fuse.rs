//! A fuse that several EVSEs of any charge point hang on.
//!
//! Rules:
//! * On no phase does the sum of what the members may draw exceed the rating. A member may draw the larger of
//!   its grant and of what its charger still has in force: a member is only given more once the others have
//!   really given it up.
//! * An active member gets an equal share, at least its least current; where that does not go round, some
//!   pause and the turn passes on.
//! * A member whose link is lost keeps what it may still draw.

use crate::domain::{CpId, EvseId, MilliAmps, Mono, Now, Phase};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How long a member charges before a waiting one gets its turn.
const TURN: Duration = Duration::from_secs(900);

/// Who hangs on a fuse.
pub type Member = (CpId, EvseId);

/// What is known of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
}

/// What happens to a fuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FuseInput {
    /// What is known of a member now.
    Demand(Member, Demand),
    /// A deadline was reached.
    Tick,
}

/// A member's share; told whenever it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Grant {
    /// Whose.
    pub member: Member,
    /// Per phase.
    pub amps: MilliAmps,
}

/// What a fuse wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FuseEffect {
    /// Tell a station its share ([`SharedFuse`](crate::domain::LimitSource::SharedFuse)).
    Grant(Grant),
}

/// A fuse at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FuseSnapshot {
    /// Its name.
    pub name: String,
    /// Rating per phase.
    pub rating: MilliAmps,
    /// What the members may draw on L1, L2, L3 at most.
    pub phases: [MilliAmps; 3],
    /// Every share.
    pub grants: Vec<Grant>,
}

/// One shared fuse.
#[derive(Debug)]
pub struct Fuse {
    name: String,
    rating: MilliAmps,
    members: BTreeMap<Member, State>,
    out: VecDeque<FuseEffect>,
    now: Mono,
    turn_since: Mono,
    turn: usize,
}

#[derive(Clone, Debug)]
struct State {
    demand: Option<Demand>,
    granted: Option<MilliAmps>,
}

impl Fuse {
    /// A fuse as configured. Nobody gets anything before its demand is known.
    #[must_use]
    pub fn new(setup: &crate::domain::FuseSetup) -> Self {
        let state = State {
            demand: None,
            granted: None,
        };
        let members = setup.members.iter().map(|m| (m.clone(), state.clone())).collect();
        Self {
            name: setup.name.clone(),
            rating: setup.max_current,
            members,
            out: VecDeque::new(),
            now: Mono::default(),
            turn_since: Mono::default(),
            turn: 0,
        }
    }

    /// Takes in what is known and shares anew.
    pub fn handle(&mut self, now: Now, input: FuseInput) {
        self.now = now.mono;
        if let FuseInput::Demand(member, demand) = input
            && let Some(state) = self.members.get_mut(&member)
        {
            state.demand = Some(demand);
        }
        self.share();
    }

    /// The next share to tell.
    pub fn poll(&mut self) -> Option<FuseEffect> {
        self.out.pop_front()
    }

    /// When the turn passes on, if somebody waits.
    #[must_use]
    pub fn next_deadline(&self) -> Option<(Mono, &'static str)> {
        self.somebody_waits()
            .then(|| (self.turn_since.plus(TURN), "the turn on a shared fuse passes on"))
    }

    /// The fuse as a person is shown it.
    #[must_use]
    pub fn snapshot(&self) -> FuseSnapshot {
        let grants = self
            .members
            .iter()
            .filter_map(|(member, s)| {
                s.granted.map(|amps| Grant {
                    member: member.clone(),
                    amps,
                })
            })
            .collect();
        FuseSnapshot {
            name: self.name.clone(),
            rating: self.rating,
            phases: self.load(|s| s.granted.unwrap_or_default()),
            grants,
        }
    }

    fn somebody_waits(&self) -> bool {
        self.members
            .values()
            .any(|s| s.demand.is_some_and(|d| d.active) && s.granted == Some(MilliAmps::ZERO))
    }

    /// Sum per phase of what each member may draw: the larger of its share and of what is still in force.
    fn load(&self, share: impl Fn(&State) -> MilliAmps) -> [MilliAmps; 3] {
        let mut sum = [MilliAmps::ZERO; 3];
        for state in self.members.values() {
            let Some(demand) = state.demand else { continue };
            let draw = share(state).max(demand.in_force);
            for phase in phases_of(&demand) {
                sum[phase] = sum[phase] + draw;
            }
        }
        sum
    }

    /// Shares the rating out and tells whose share changed, the smaller ones first.
    fn share(&mut self) {
        if self.somebody_waits() {
            if self.now.since(self.turn_since) >= TURN {
                self.turn = self.turn.wrapping_add(1);
                self.turn_since = self.now;
            }
        } else {
            self.turn_since = self.now;
        }
        let targets = self.targets();
        for (member, target) in &targets {
            self.grant(member, |state| match state.granted {
                None => Some(MilliAmps::ZERO),
                Some(old) if *target < old => Some(*target),
                Some(_) => None,
            });
        }
        for (member, target) in &targets {
            let room = self.room_of(member);
            self.grant(member, |state| {
                let old = state.granted.unwrap_or_default();
                let least = state.demand.map_or(MilliAmps::ZERO, |d| d.min);
                let new = room.min(*target);
                (new > old && new >= least).then_some(new)
            });
        }
    }

    fn grant(&mut self, member: &Member, decide: impl Fn(&State) -> Option<MilliAmps>) {
        let Some(state) = self.members.get_mut(member) else {
            return;
        };
        let Some(amps) = decide(state) else { return };
        if state.granted != Some(amps) {
            state.granted = Some(amps);
            self.out.push_back(FuseEffect::Grant(Grant {
                member: member.clone(),
                amps,
            }));
        }
    }

    /// What a member could have at most while the others keep what they may draw.
    fn room_of(&self, member: &Member) -> MilliAmps {
        let Some(demand) = self.members.get(member).and_then(|s| s.demand) else {
            return MilliAmps::ZERO;
        };
        let own = self.members[member]
            .granted
            .unwrap_or_default()
            .max(demand.in_force);
        let load = self.load(|s| s.granted.unwrap_or_default());
        phases_of(&demand)
            .map(|p| self.rating - (load[p] - own))
            .min()
            .unwrap_or_default()
            .max(MilliAmps::ZERO)
    }

    /// What everybody would have if all gave up what they no longer may: equal shares per phase, filled up
    /// step by step; who would stay under its least current pauses, the turn says who.
    fn targets(&self) -> BTreeMap<Member, MilliAmps> {
        let mut active: Vec<(&Member, Demand)> = self
            .members
            .iter()
            .filter_map(|(m, s)| s.demand.filter(|d| d.active && d.max >= d.min).map(|d| (m, d)))
            .collect();
        if !active.is_empty() {
            let first = self.turn % active.len();
            active.rotate_left(first);
        }
        let mut chosen: Vec<(&Member, Demand)> = Vec::new();
        let mut floor = [MilliAmps::ZERO; 3];
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
