//! Steps of a charging session.

use super::super::ev::{Ev, EvSpec};
use super::stage::Stage;
use super::{Told, common};
use crate::device::{Electrical, Point, Role};
use crate::domain::{DeviceCommand, FaultKind, MilliAmps, VehicleState};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The current the session goes on with between the steps: all chargers can offer it.
fn usual(stage: &Stage) -> MilliAmps {
    let limits = stage.profile.limits();
    let amps = MilliAmps::from_base(10);
    limits.map_or(amps, |limits| amps.clamp(limits.min, limits.max))
}

/// Commands a current, and looks whether it is offered, flows and is shown.
pub(super) fn offer(stage: &mut Stage, amps: MilliAmps) -> Result<MilliAmps, String> {
    let expected = stage.expected(amps)?;
    if expected > amps {
        return Err(format!("{amps} would be written as {expected}, which is more"));
    }
    stage.drive(DeviceCommand::Limit(amps))?;
    stage.look();
    let about = |wrong: String| format!("{amps} commanded: {wrong}");
    stage.offers(expected).map_err(about)?;
    let flows = stage.device.body.flow.milliamps[0];
    if flows > expected.0 {
        return Err(format!("{amps} commanded: the vehicle takes {flows} mA"));
    }
    let polled = stage.has_role(|role| *role == Role::LimitReadBack);
    match stage.seen.read_back {
        Some(shown) if (shown.0 - expected.0).abs() > 20 && expected.0 > 0 => Err(format!(
            "{amps} commanded: the point with role limit_read_back shows {shown}"
        )),
        None if polled && stage.profile.link().poll >= stage.profile.link().slow_poll => {
            Err(format!("{amps} commanded: no limit was read back"))
        }
        Some(_) | None => Ok(expected),
    }
}

/// Brings the usual current back after a step that took it away.
fn resume(stage: &mut Stage) -> Result<(), String> {
    let amps = usual(stage);
    offer(stage, amps)?;
    state(stage, VehicleState::Charging)
}

/// Looks whether the state is told.
fn state(stage: &Stage, expected: VehicleState) -> Result<(), String> {
    match stage.seen.vehicle {
        Some(said) if said == expected => Ok(()),
        said => Err(format!(
            "the vehicle is {expected:?}, the state map says {said:?}"
        )),
    }
}

/// Nobody is there.
pub(super) fn idle(stage: &mut Stage) -> Told {
    stage.look();
    state(stage, VehicleState::Absent)?;
    Ok(Some("no vehicle".to_owned()))
}

/// A vehicle is plugged in while nothing is offered.
pub(super) fn plug_in(stage: &mut Stage) -> Told {
    stage.drive(DeviceCommand::Limit(MilliAmps::ZERO))?;
    stage.device.body.ev = Some(Ev::new(EvSpec {
        max: MilliAmps::from_base(80),
        phases: stage.profile.about().phases,
        ..EvSpec::default()
    }));
    stage.look();
    stage.offers(MilliAmps::ZERO)?;
    match stage.seen.vehicle {
        Some(VehicleState::Charging) => Err("paused, but the state map says charging".to_owned()),
        Some(said) if said.plugged() == Some(true) => {
            Ok(Some(format!("plugged in, nothing offered: {said:?}")))
        }
        // A charger that shows the vehicle only while it offers current is known in the field.
        Some(VehicleState::Absent) if !shows_paused(stage) => Ok(Some(
            "plugged in; this charger does not show a vehicle while it is paused".to_owned(),
        )),
        said => Err(format!("a vehicle is plugged in, the state map says {said:?}")),
    }
}

fn shows_paused(stage: &Stage) -> bool {
    use VehicleState::{Connected, Ready, Waiting};
    let rules = stage.profile.state_map().into_iter().flat_map(|map| &map.rules);
    rules
        .into_iter()
        .any(|rule| matches!(rule.state, Connected | Ready | Waiting))
}

/// Charging begins.
pub(super) fn start(stage: &mut Stage) -> Told {
    let amps = usual(stage);
    stage.drive(DeviceCommand::Limit(amps))?;
    stage.drive(DeviceCommand::Enable(true))?;
    stage.look();
    let expected = stage.expected(amps)?;
    stage.offers(expected)?;
    state(stage, VehicleState::Charging)?;
    Ok(Some(format!("{expected} offered, charging")))
}

/// What flows is read.
pub(super) fn reads(stage: &mut Stage) -> Told {
    stage.run(Duration::from_secs(5));
    stage.frozen = true;
    stage.look_long();
    stage.frozen = false;
    common::compare(stage)
}

/// Limits over the whole range, odd ones and one that is too high.
pub(super) fn limits(stage: &mut Stage) -> Told {
    let range = stage.profile.limits().ok_or("a charger has limits")?;
    let (least, most) = (range.min, range.max);
    let middle = MilliAmps(i64::midpoint(least.0, most.0) + 77);
    let mut told = Vec::new();
    for amps in [
        least,
        most,
        MilliAmps(least.0 + 1),
        middle,
        MilliAmps(most.0 - 1),
        MilliAmps(most.0 + 5_000),
    ] {
        let offered = offer(stage, amps)?;
        if offered > most {
            return Err(format!("{amps} commanded: {offered} is more than max_a"));
        }
        told.push(format!("{amps} -> {offered}"));
    }
    resume(stage)?;
    Ok(Some(told.join(", ")))
}

/// A current below the minimum pauses.
pub(super) fn too_low(stage: &mut Stage) -> Told {
    let least = stage.profile.limits().ok_or("a charger has limits")?.min;
    for amps in [MilliAmps(least.0 - 1), MilliAmps(1)] {
        offer(stage, amps)?;
        stage.offers(MilliAmps::ZERO)?;
    }
    Ok(Some(format!("below {least} nothing is offered")))
}

/// Pause and resume.
pub(super) fn pause(stage: &mut Stage) -> Told {
    resume(stage)?;
    offer(stage, MilliAmps::ZERO)?;
    let flows = stage.device.body.flow.total_milliwatts();
    if flows != 0 {
        return Err(format!("paused, but {flows} mW flow"));
    }
    if stage.seen.vehicle == Some(VehicleState::Charging) {
        return Err("paused, but the state map says charging".to_owned());
    }
    let said = stage.seen.vehicle;
    resume(stage)?;
    Ok(Some(format!("paused as {said:?}, resumed")))
}

/// The switch apart from the limit.
pub(super) fn switch(stage: &mut Stage) -> Told {
    let recipes = stage.profile.recipes();
    if recipes.enable.is_empty() || recipes.disable.is_empty() {
        return Ok(None);
    }
    stage.drive(DeviceCommand::Enable(false))?;
    stage.look();
    stage.offers(MilliAmps::ZERO)?;
    stage.drive(DeviceCommand::Enable(true))?;
    stage.look();
    let expected = stage.expected(usual(stage))?;
    stage.offers(expected)?;
    Ok(Some("off and on again".to_owned()))
}

/// One phase and back.
pub(super) fn phases(stage: &mut Stage) -> Told {
    if stage.profile.phase_switch().is_none() {
        return Ok(None);
    }
    for phases in [1_u8, 3] {
        stage.drive(DeviceCommand::Phases(phases))?;
        stage.run(Duration::from_secs(30));
        stage.look();
        let connected = stage.device.body.connected;
        if connected != phases {
            return Err(format!("{phases} commanded, the device is on {connected}"));
        }
        let flowing = stage
            .device
            .body
            .flow
            .milliamps
            .iter()
            .filter(|amps| **amps > 0)
            .count();
        if flowing != usize::from(phases) {
            return Err(format!(
                "on {phases} phases current flows on {flowing} afterwards"
            ));
        }
        if stage.device.body.flow.milliamps[0] > usual(stage).0 {
            return Err(format!(
                "on {phases} phases the vehicle takes more than the commanded current"
            ));
        }
    }
    Ok(Some("one phase and back, charging again each time".to_owned()))
}

/// Every kind of fault the profile knows, and its end.
pub(super) fn faults(stage: &mut Stage) -> Told {
    let kinds = kinds(stage);
    if kinds.is_empty() {
        return Ok(None);
    }
    for kind in &kinds {
        stage.device.body.fault = Some(*kind);
        stage.look();
        if stage.has_role(|role| matches!(role, Role::Error(_))) && stage.seen.fault.is_none() {
            stage.look_long();
        }
        let by_state = stage.seen.vehicle == Some(VehicleState::Fault(*kind));
        let by_register = stage.seen.fault.as_ref().is_some_and(|fault| fault.kind == *kind);
        if !by_state && !by_register {
            let (vehicle, fault) = (&stage.seen.vehicle, &stage.seen.fault);
            return Err(format!("{kind:?} is told as {vehicle:?}, {fault:?}"));
        }
        let flows = stage.device.body.flow.total_milliwatts();
        if flows != 0 {
            return Err(format!("{kind:?}, but {flows} mW flow"));
        }
    }
    stage.device.body.fault = None;
    stage.look_long();
    stage.look();
    if let Some(fault) = &stage.seen.fault {
        return Err(format!("the fault is gone, but {fault:?} is told"));
    }
    resume(stage)?;
    Ok(Some(format!("{} kinds told, and their end", kinds.len())))
}

fn kinds(stage: &Stage) -> Vec<FaultKind> {
    let profile = &stage.profile;
    let states = profile.state_map().into_iter().flat_map(|map| &map.rules);
    let of_states = states.filter_map(|rule| match rule.state {
        VehicleState::Fault(kind) => Some(kind),
        _ => None,
    });
    let image = stage.device.image();
    let there = |point: &&Point| crate::device::all_hold(&point.when, &image);
    let of_registers = profile
        .points()
        .iter()
        .filter(there)
        .filter_map(|point| match &point.role {
            Role::Error(map) => Some(map.rules.iter().map(|rule| rule.kind)),
            _ => None,
        });
    let mut kinds: Vec<FaultKind> = Vec::new();
    for kind in of_states.chain(of_registers.flatten()) {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

/// The end of a session.
pub(super) fn stop(stage: &mut Stage) -> Told {
    offer(stage, MilliAmps::ZERO)?;
    stage.drive(DeviceCommand::Enable(false))?;
    stage.look();
    stage.offers(MilliAmps::ZERO)?;
    let flows = stage.device.body.flow.total_milliwatts();
    match flows {
        0 => Ok(Some("nothing flows".to_owned())),
        _ => Err(format!("stopped, but {flows} mW flow")),
    }
}

/// The plug is released.
pub(super) fn unlock(stage: &mut Stage) -> Told {
    if stage.profile.recipes().unlock.is_empty() {
        return Ok(None);
    }
    stage.drive(DeviceCommand::Unlock)?;
    match stage.device.body.unlocks {
        0 => Err("the recipe ran, but released nothing: it needs a raw value that means it".to_owned()),
        _ => Ok(Some("released".to_owned())),
    }
}

/// A limit in watt where one phase does not bear everything: until the vehicle is seen to use more, all of it may
/// flow on one phase and is then no more than was commanded.
pub(super) fn one_phase(stage: &mut Stage) -> Told {
    if stage.profile.watt_limits().next().is_none() {
        return Ok(None);
    }
    let profile = Arc::clone(&stage.profile);
    let range = profile.limits().ok_or("a charger has limits")?;
    let mut narrow = Stage::fed_by(profile, BTreeMap::new(), MilliAmps::ZERO);
    common::answers(&mut narrow)?;
    for amps in [range.min, usual(stage), range.max] {
        narrow.drive(DeviceCommand::Limit(amps))?;
        let worst = narrow.on_one_phase().unwrap_or(MilliAmps::ZERO);
        if worst > amps {
            return Err(format!("{amps} commanded: {worst} may flow on one phase"));
        }
    }
    let of_all = |point| profile_least(stage, point, range.max);
    let least: Option<Vec<MilliAmps>> = stage.profile.watt_limits().map(of_all).collect();
    Ok(Some(match least.and_then(|least| least.into_iter().max()) {
        Some(least) => format!("where one phase does not bear all the box can take, charges from {least}"),
        None => "where one phase does not bear all the box can take, does not charge".to_owned(),
    }))
}

fn profile_least(stage: &Stage, point: &Point, most: MilliAmps) -> Option<MilliAmps> {
    stage.profile.least_in_watts(point, Electrical::default(), most)
}

/// The vehicle leaves.
pub(super) fn unplug(stage: &mut Stage) -> Told {
    stage.device.body.ev = None;
    stage.look();
    state(stage, VehicleState::Absent)?;
    Ok(Some("no vehicle".to_owned()))
}
