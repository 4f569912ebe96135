//! What feeds each charger, for limits in watt (ADR 13), and which chargers that keeps from charging.

use super::issue::Issues;
use super::keys::EvseKeys;
use super::north::ChargePoint;
use crate::device::{Electrical, Library, Profile};
use crate::domain::{CpId, DeviceSetup, EvseSetup, MilliAmps, SiteSetup, Supply};
use std::collections::BTreeMap;

/// Tells every charger what feeds it.
pub(super) fn place(setup: &mut SiteSetup) {
    let mut supplies = BTreeMap::new();
    for point in &setup.charge_points {
        for evse in &point.evses {
            let supply = Supply {
                phases: evse.phases,
                volts: evse.nominal_voltage,
                spare: spare(setup, &point.id, evse),
            };
            supplies.insert(evse.charger.clone(), supply);
        }
    }
    for device in setup.buses.iter_mut().flat_map(|bus| &mut bus.devices) {
        device.supply = supplies.remove(&device.id);
    }
}

/// What one phase may carry at any time: all of it, where no fuse minds even if everybody takes all.
fn spare(setup: &SiteSetup, point: &CpId, evse: &EvseSetup) -> MilliAmps {
    let most = |(point, evse): &(CpId, crate::domain::EvseId)| {
        let of = setup.charge_points.iter().find(|cp| cp.id == *point)?;
        of.evses.iter().find(|e| e.id == *evse).map(|e| e.max_current.0)
    };
    let own = (point.clone(), evse.id);
    let minds = setup.fuses.iter().any(|fuse| {
        fuse.members.contains(&own) && fuse.members.iter().filter_map(most).sum::<i64>() > fuse.max_current.0
    });
    if minds { MilliAmps::ZERO } else { evse.max_current }
}

/// Tells of chargers that limits in watt keep from charging, or from charging well.
pub(super) fn check(setup: &SiteSetup, library: &Library, points: &[ChargePoint], found: &mut Issues) {
    let evses = setup.charge_points.iter().flat_map(|point| &point.evses);
    let keys = points.iter().flat_map(|point| &point.evses);
    for (evse, keys) in evses.zip(keys) {
        let Some((_, device)) = setup.device(evse.charger.as_str()) else {
            continue;
        };
        if let Some(profile) = library.get(&device.profile) {
            tell(evse, device, &profile, keys, found);
        }
    }
}

fn tell(
    evse: &EvseSetup,
    device: &DeviceSetup,
    profile: &Profile,
    keys: &EvseKeys,
    found: &mut Issues,
) -> Option<()> {
    let (supply, limits) = device.supply.zip(profile.limits())?;
    let wired = supply.phases.min(profile.about().phases);
    let electrical = Electrical {
        phases: Electrical::at_first(supply, limits.max).phases.min(wired),
        volts: supply.volts,
    };
    let least = profile
        .watt_limits()
        .map(|point| profile.least_in_watts(point, electrical, limits.max))
        .max_by_key(|least| least.map_or(i64::MAX, |least| least.0))?;
    let most = evse.max_current.min(limits.max);
    let narrow = electrical.phases < wired;
    let never = least.is_none_or(|least| least > most);
    // A limit that begins at the device's minimum keeps nobody waiting.
    if !narrow && !never && least.is_some_and(|least| least.0 - limits.min.0 <= 500) {
        return None;
    }
    let name = device.id.as_str();
    let why = if narrow {
        "; all of it may flow on one phase, so it is told no more than one phase bears until the vehicle is seen to \
         use more"
    } else {
        ""
    };
    let effect = match least {
        Some(least) if never => format!("it charges from {least} only, and max_current is {most}: never"),
        Some(least) => format!("it charges from {least} only"),
        None => "it never charges".to_owned(),
    };
    let which = if narrow && profile.tells_rating() && supply.spare > MilliAmps::ZERO {
        format!(
            " (unless the box itself reports a rating of at most {})",
            supply.spare
        )
    } else {
        String::new()
    };
    keys.max_current.warning(
        found,
        format!("'{name}' takes its limit as a power{why}: {effect}{which}"),
        match (narrow, supply.spare > MilliAmps::ZERO) {
            (true, true) => format!("{} on every phase, the most the box gives", limits.max),
            (true, false) => "a fuse that bears the max_current of all its members at once".to_owned(),
            (false, _) => format!("at least {}", least.unwrap_or(limits.max)),
        },
        "see docs/adr/0013-watt-limits.md; raise max_current only as far as cable and fuse allow, or take a \
         charger that is limited in ampere",
    );
    Some(())
}
