//! Fuses that several EVSEs share.

use super::context::{Context, Names};
use super::issue::Told;
use super::keys::{EvseKeys, FuseKeys};
use super::nearest::did_you_mean;
use super::north::{ChargePoint, find};
use super::setting::Section;
use super::south::{Device, fallback};
use super::tree::show_text;
use crate::domain::{CpId, EvseId, FuseSetup, MilliAmps};

/// A fuse as read.
pub(super) struct Fuse {
    keys: FuseKeys,
    members: Vec<(CpId, EvseId)>,
}

/// Reads all fuses and finds their members.
pub(super) fn read(
    root: &Section<'_>,
    points: &[ChargePoint],
    devices: &[Device],
    context: &mut Context<'_>,
) -> Vec<Fuse> {
    let fuses: Vec<Fuse> = root
        .tables(FuseKeys::TABLE, &mut context.found)
        .iter()
        .map(|section| {
            let keys = FuseKeys::read(section, &mut context.found);
            let members = members(&keys, points, context);
            fallen(&keys, &members, points, devices, context);
            Fuse { keys, members }
        })
        .collect();
    context.unique("fuse", fuses.iter().map(|fuse| &fuse.keys.name));
    fuses
}

fn members(keys: &FuseKeys, points: &[ChargePoint], context: &mut Context<'_>) -> Vec<(CpId, EvseId)> {
    let mut found: Vec<(CpId, EvseId)> = Vec::new();
    for (text, at) in keys.members.value.iter().flatten() {
        let (name, number) = match text.split_once('/') {
            Some((name, number)) => (name, Some(number)),
            None => (text.as_str(), None),
        };
        let refuse = |problem: String, expected: String, suggestion: String| {
            Told::new(&keys.members.path, problem, expected, suggestion)
        };
        let Some(point) = points
            .iter()
            .find(|point| point.keys.id.value.as_deref() == Some(name))
        else {
            let Names { known: ids, sure } = Names::of(points.iter().map(|point| &point.keys.id));
            if !sure {
                continue;
            }
            let told = refuse(
                format!("there is no charge point {}", show_text(name)),
                format!("the id of a [[charge_point]]: {}", ids.join(", ")),
                did_you_mean(name, ids.iter().copied(), || {
                    "write [\"charge point/EVSE number\"]".to_owned()
                }),
            );
            context.found.error(*at, told);
            continue;
        };
        let count = point.evses.len();
        let numbers = match number.map(str::parse::<usize>) {
            None => 1..=count,
            Some(Ok(number)) if (1..=count).contains(&number) => number..=number,
            Some(_) => {
                let told = refuse(
                    format!("'{name}' has no EVSE {}", show_text(number.unwrap_or(""))),
                    format!("an EVSE number from 1 to {count}"),
                    format!("did you mean '{name}/{}'", count.max(1)),
                );
                context.found.error(*at, told);
                continue;
            }
        };
        for number in numbers {
            let member = (CpId::new(name), EvseId(u16::try_from(number).unwrap_or(u16::MAX)));
            if found.contains(&member) {
                let problem = format!("'{name}/{number}' is there twice");
                let told = refuse(problem, "each EVSE once".to_owned(), "remove one".to_owned());
                context.found.error(*at, told);
                continue;
            }
            above_fuse(keys, point.evses.get(number - 1), name, number, context);
            found.push(member);
        }
    }
    found
}

fn above_fuse(
    keys: &FuseKeys,
    evse: Option<&EvseKeys>,
    name: &str,
    number: usize,
    context: &mut Context<'_>,
) {
    let (Some(fuse), Some(evse)) = (keys.max_current.value, evse) else {
        return;
    };
    if let Some(max) = evse.max_current.value.filter(|max: &MilliAmps| *max > fuse) {
        evse.max_current.error(
            &mut context.found,
            format!("{max} of {name}/{number} is more than the {fuse} of its fuse"),
            format!("at most {fuse}"),
            format!("write max_current = \"{}\"", fuse.to_string().replace(' ', "")),
        );
    }
}

/// When the gateway dies every charger falls back by itself, all at the same time: together that must be no more
/// than the fuse carries (promise S5).
fn fallen(
    keys: &FuseKeys,
    members: &[(CpId, EvseId)],
    points: &[ChargePoint],
    devices: &[Device],
    context: &mut Context<'_>,
) {
    let Some(rating) = keys.max_current.value else {
        return;
    };
    let mut sums = [MilliAmps::ZERO; 3];
    for (cp, number) in members {
        let of = |point: &&ChargePoint| point.keys.id.value.as_deref() == Some(cp.as_str());
        let evse = points.iter().find(of).and_then(|point| {
            let index = usize::from(number.0).checked_sub(1)?;
            point.evses.get(index)
        });
        let Some(evse) = evse else { continue };
        let Some(amps) = find(devices, &evse.charger).and_then(fallback) else {
            continue;
        };
        let first = match evse.first_phase.value.as_deref() {
            Some("L2") => 1,
            Some("L3") => 2,
            Some(_) | None => 0,
        };
        for phase in 0..usize::from(evse.phases.value.unwrap_or(3)).min(3) {
            let sum = &mut sums[(first + phase) % 3];
            *sum = *sum + amps;
        }
    }
    let most = sums.into_iter().max().unwrap_or_default();
    if most > rating {
        keys.max_current.error(
            &mut context.found,
            format!("when the gateway fails its chargers fall back to {most} together, more than the {rating} of the fuse"),
            format!("chargers that fall back to at most {rating} in sum"),
            "write a lower failsafe_current at its chargers, \"0A\" if need be".to_owned(),
        );
    }
}

/// Puts the parts together; `None` where something was wrong.
pub(super) fn build(fuses: &[Fuse]) -> Option<Vec<FuseSetup>> {
    fuses
        .iter()
        .map(|fuse| {
            Some(FuseSetup {
                name: fuse.keys.name.value.clone()?,
                max_current: fuse.keys.max_current.value?,
                members: fuse.members.clone(),
            })
        })
        .collect()
}
