//! What all charge points together may draw at most, and who says so.
//!
//! Rules:
//! * Each EVSE may draw the least of its restrictions on every phase it is wired to; less than its least current is nothing.
//! * All EVSEs behind a fuse, or under one charge point profile, draw no more than that together.
//! * What somebody without a session may not draw counts all the same: the next session may begin at any time.
//! * It is never too low. Of two fuses that share members, while neither feeds the other, only the smaller one counts.

use super::Member;
use crate::domain::{CpId, EvseSetup, FuseSetup, LimitSource, MilliAmps, MilliWatts, Phase};

/// Who restricts the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restrictor {
    /// Installation, hardware and fuses.
    Static,
    /// Something is not healthy.
    Failsafe,
    /// The grid operator.
    GridOperator,
    /// A CSMS.
    Csms,
    /// Somebody on the site.
    Operator,
}

impl Restrictor {
    /// All but [`Restrictor::Static`], in order of precedence.
    const CHANGING: [Self; 4] = [Self::Failsafe, Self::GridOperator, Self::Csms, Self::Operator];

    /// As it is published.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Failsafe => "failsafe",
            Self::GridOperator => "dso",
            Self::Csms => "csms",
            Self::Operator => "operator",
        }
    }

    /// Whose an entry of an EVSE is; `None`: it says nothing of the site as a whole.
    fn of(source: LimitSource) -> Option<Self> {
        Some(match source {
            LimitSource::Installation | LimitSource::Hardware => Self::Static,
            LimitSource::Failsafe => Self::Failsafe,
            LimitSource::GridOperator => Self::GridOperator,
            LimitSource::TxDefaultProfile | LimitSource::TxProfile => Self::Csms,
            LimitSource::Local => Self::Operator,
            // A share depends on what the others use, and so does that of the charge point's profile.
            LimitSource::SharedFuse | LimitSource::ChargePointMaxProfile | LimitSource::NotAuthorised => {
                return None;
            }
        })
    }
}

/// One EVSE.
#[derive(Clone, Debug)]
pub struct Outlet<'a> {
    /// As it is wired.
    pub setup: &'a EvseSetup,
    /// Its restrictions.
    pub limits: Vec<(MilliAmps, LimitSource)>,
}

/// One charge point.
#[derive(Clone, Debug)]
pub struct Feeder<'a> {
    /// Its id.
    pub id: &'a CpId,
    /// What its CSMS leaves all its EVSEs together, per phase.
    pub ceiling: Option<MilliAmps>,
    /// Its EVSEs.
    pub outlets: Vec<Outlet<'a>>,
}

/// What a site may draw at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    /// On all phases together, by nominal voltage.
    pub power: MilliWatts,
    /// Who lowers it most.
    pub by: Restrictor,
}

/// What the charge points may draw at most; `None`: there is no EVSE.
#[must_use]
pub fn most(feeders: &[Feeder<'_>], fuses: &[FuseSetup]) -> Option<Most> {
    let mut outlets = feeders.iter().flat_map(|feeder| &feeder.outlets);
    outlets.next()?;
    let power = draw(feeders, fuses, |_| true);
    let only = |who: Restrictor| draw(feeders, fuses, |other| other == who);
    let by = if power < draw(feeders, fuses, |_| false) {
        let least = Restrictor::CHANGING.into_iter().min_by_key(|who| only(*who));
        least.unwrap_or(Restrictor::Static)
    } else {
        Restrictor::Static
    };
    Some(Most { power, by })
}

/// Members that are restricted together, and to what, by phase.
struct Group {
    members: Vec<Member>,
    milliamps: [i64; 3],
}

/// What all may draw while only the installation and those who count restrict them.
fn draw(feeders: &[Feeder<'_>], fuses: &[FuseSetup], counts: impl Fn(Restrictor) -> bool) -> MilliWatts {
    let counts = |who| who == Restrictor::Static || counts(who);
    let mut groups: Vec<Group> = Vec::new();
    let mut bounds: Vec<(Vec<Member>, MilliAmps)> = Vec::new();
    let mut volts = 0;
    for feeder in feeders {
        for outlet in &feeder.outlets {
            volts = volts.max(outlet.setup.nominal_voltage);
            groups.push(Group {
                members: vec![(feeder.id.clone(), outlet.setup.id)],
                milliamps: alone(outlet, &counts),
            });
        }
        if let Some(ceiling) = feeder.ceiling.filter(|_| counts(Restrictor::Csms)) {
            let all = feeder.outlets.iter();
            let all = all.map(|outlet| (feeder.id.clone(), outlet.setup.id));
            bounds.push((all.collect(), ceiling));
        }
    }
    bounds.extend(fuses.iter().map(|fuse| (fuse.members.clone(), fuse.max_current)));
    // What is fed by another comes first.
    bounds.sort_by_key(|(members, amps)| (members.len(), *amps));
    for (members, amps) in bounds {
        join(&mut groups, &members, amps);
    }
    let milliamps: i64 = groups.iter().flat_map(|group| group.milliamps).sum();
    MilliWatts(milliamps.saturating_mul(i64::from(volts)))
}

/// What one EVSE may draw, by grid phase.
fn alone(outlet: &Outlet<'_>, counts: &impl Fn(Restrictor) -> bool) -> [i64; 3] {
    let setup = outlet.setup;
    let limits = outlet.limits.iter();
    let least = limits
        .filter(|(_, source)| Restrictor::of(*source).is_some_and(counts))
        .map(|(amps, _)| *amps)
        .fold(setup.max_current, MilliAmps::min);
    let amps = if least < setup.min_current { 0 } else { least.0 };
    let first = match setup.first_phase {
        Phase::L2 => 1,
        Phase::L3 => 2,
        Phase::L1 | Phase::N | Phase::Total => 0,
    };
    let mut phases = [0; 3];
    for phase in 0..usize::from(setup.phases).min(3) {
        phases[(first + phase) % 3] = amps;
    }
    phases
}

/// Makes one group of all that are among these members, with no more than this on each phase.
fn join(groups: &mut Vec<Group>, members: &[Member], amps: MilliAmps) {
    let touches = |group: &Group| group.members.iter().any(|member| members.contains(member));
    let within = |group: &Group| group.members.iter().all(|member| members.contains(member));
    if groups.iter().any(|group| touches(group) && !within(group)) {
        return;
    }
    let (inside, outside) = std::mem::take(groups).into_iter().partition::<Vec<_>, _>(touches);
    *groups = outside;
    let mut joined = Group {
        members: Vec::new(),
        milliamps: [0; 3],
    };
    for group in inside {
        joined.members.extend(group.members);
        for (sum, more) in joined.milliamps.iter_mut().zip(group.milliamps) {
            *sum += more;
        }
    }
    joined.milliamps = joined.milliamps.map(|sum| sum.min(amps.0));
    groups.push(joined);
}

#[cfg(test)]
mod tests;
