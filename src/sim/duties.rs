//! What the written points of a device are for, by the recipes that write them.

use super::slave::Table;
use crate::device::{Action, Feed, PointId, Profile, ReadFc, StepSpec, ValueSpec};

/// What a written point is for, by the recipes that write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Duty {
    Limit,
    On(i128),
    Off(i128),
    Timeout,
    Fallback,
    Feed,
    Unlock(i128),
    Phases(i128, u8),
}

pub(super) fn table(fc: ReadFc) -> Table {
    match fc {
        ReadFc::Coils => Table::Coils,
        ReadFc::DiscreteInputs => Table::Discrete,
        ReadFc::HoldingRegisters => Table::Holding,
        ReadFc::InputRegisters => Table::Input,
    }
}

/// What a recipe makes of a constant it writes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    SwitchOn,
    SwitchOff,
    Unlock,
    Arm,
    Leave,
    Feed,
    Phases(u8),
}

/// Points with their duties.
pub(super) type Duties = Vec<(PointId, Duty)>;
/// A written point and another that shows the same.
pub(super) type Mirrors = Vec<(PointId, PointId)>;

/// What every written point is for, and which points show what was written to another.
pub(super) fn duties(profile: &Profile) -> (Duties, Mirrors) {
    let recipes = profile.recipes();
    let feed: &[StepSpec] = match profile.watchdog().map(|watchdog| &watchdog.feed) {
        Some(Feed::Steps(steps)) => steps,
        Some(Feed::AnyRequest) | None => &[],
    };
    let none: &[StepSpec] = &[];
    let (one, three) = profile
        .phase_switch()
        .map_or((none, none), |switch| (&switch.one, &switch.three));
    let lists: [(Purpose, &[StepSpec]); 10] = [
        (Purpose::SwitchOn, &recipes.limit),
        (Purpose::SwitchOn, &recipes.enable),
        (Purpose::SwitchOff, &recipes.pause),
        (Purpose::SwitchOff, &recipes.disable),
        (Purpose::Unlock, &recipes.unlock),
        (Purpose::Arm, &recipes.arm),
        (Purpose::Leave, &recipes.safe),
        (Purpose::Feed, feed),
        (Purpose::Phases(1), one),
        (Purpose::Phases(3), three),
    ];
    let (mut duties, mut mirrors) = (Duties::new(), Mirrors::new());
    for (purpose, steps) in lists {
        for step in steps {
            let Action::Write(write) = &step.action else {
                continue;
            };
            let duty = match (write.value, purpose) {
                (ValueSpec::Limit, _) => Some(Duty::Limit),
                (ValueSpec::Failsafe, Purpose::Leave) => None,
                (ValueSpec::Failsafe, _) => Some(Duty::Fallback),
                (ValueSpec::Timeout, _) => Some(Duty::Timeout),
                (ValueSpec::Constant(raw), Purpose::SwitchOn) => Some(Duty::On(raw)),
                (ValueSpec::Constant(raw), Purpose::SwitchOff) => Some(Duty::Off(raw)),
                (ValueSpec::Constant(raw), Purpose::Unlock) => Some(Duty::Unlock(raw)),
                (ValueSpec::Constant(raw), Purpose::Phases(phases)) => Some(Duty::Phases(raw, phases)),
                (ValueSpec::Constant(_) | ValueSpec::Toggle, _) => None,
            };
            duties.extend(duty.map(|duty| (write.point, duty)));
            if purpose == Purpose::Feed {
                duties.push((write.point, Duty::Feed));
            }
            mirrors.extend(
                write
                    .verify
                    .filter(|to| *to != write.point)
                    .map(|to| (write.point, to)),
            );
        }
    }
    (switches(profile, &duties), mirrors)
}

/// A constant is a switch only where one recipe turns it on and another off, and the limit has its own register.
fn switches(profile: &Profile, duties: &[(PointId, Duty)]) -> Duties {
    let place = |id: PointId| {
        (
            profile.point(id).fc.map(table).unwrap_or(Table::Holding),
            profile.point(id).addr,
        )
    };
    let any = |id: PointId, test: fn(&Duty) -> bool| {
        duties
            .iter()
            .any(|(other, duty)| place(*other) == place(id) && test(duty))
    };
    let kept = |(id, duty): &&(PointId, Duty)| match duty {
        Duty::On(raw) if duties.contains(&(*id, Duty::Off(*raw))) => false,
        Duty::On(_) => any(*id, |d| matches!(d, Duty::Off(_))) && !any(*id, |d| *d == Duty::Limit),
        Duty::Off(raw) => {
            // What is written to go on and to pause alike is a heartbeat.
            let alike = duties
                .iter()
                .any(|(other, duty)| other == id && *duty == Duty::On(*raw));
            !alike && !any(*id, |d| *d == Duty::Limit)
        }
        // What is written for one phase and for three alike is no choice of phases.
        Duty::Phases(raw, _) => {
            let alike = |(other, duty): &&(PointId, Duty)| {
                other == id && matches!(duty, Duty::Phases(value, _) if value == raw)
            };
            duties.iter().filter(alike).count() == 1
        }
        Duty::Limit | Duty::Timeout | Duty::Fallback | Duty::Feed | Duty::Unlock(_) => true,
    };
    let mut result: Duties = Vec::new();
    for duty in duties.iter().filter(kept) {
        if !result.contains(duty) {
            result.push(*duty);
        }
    }
    result
}
