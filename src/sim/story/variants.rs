//! The story in short for the other firmware and hardware a profile knows: points and steps that do not exist on
//! the device the long story was told of.

use super::super::ev::{Ev, EvSpec};
use super::super::invert;
use super::stage::Stage;
use super::{Told, charger, common};
use crate::device::{Condition, Image, Profile, Raw, all_hold};
use crate::domain::{DeviceCommand, MilliAmps};
use std::collections::BTreeMap;
use std::sync::Arc;

/// More are not tried: the profile is then better cut in two.
const MOST: usize = 24;

/// Every set of conditions that does not hold on the device of the long story gets a device on which it does.
pub(super) fn tell(stage: &mut Stage) -> Told {
    let profile = Arc::clone(&stage.profile);
    let variants = variants(&profile, &stage.device.image());
    for (told, presets) in &variants {
        let about = |wrong: String| format!("with {told}: {wrong}");
        let mut other = Stage::with(Arc::clone(&profile), presets.clone());
        common::answers(&mut other).map_err(about)?;
        session(&mut other).map_err(about)?;
    }
    let names: Vec<&str> = variants.iter().map(|(told, _)| told.as_str()).collect();
    Ok((!names.is_empty()).then(|| names.join("; ")))
}

/// A short session, or a look at the readings.
fn session(stage: &mut Stage) -> Result<(), String> {
    if !stage.device.is_charger() {
        return common::reads_meter(stage).map(|_| ());
    }
    stage.device.body.ev = Some(Ev::new(EvSpec {
        max: MilliAmps::from_base(80),
        phases: stage.profile.about().phases,
        ..EvSpec::default()
    }));
    let most = stage.profile.limits().ok_or("a charger has limits")?.max;
    let most = most.min(stage.device.body.hw_max);
    charger::offer(stage, most)?;
    stage.drive(DeviceCommand::Enable(true))?;
    charger::reads(stage)?;
    charger::offer(stage, MilliAmps::ZERO)?;
    charger::offer(stage, most).map(|_| ())
}

type Variant = (String, BTreeMap<String, Raw>);

fn variants(profile: &Profile, image: &Image) -> Vec<Variant> {
    let of_steps = profile.steps().map(|step| &step.when);
    let of_points = profile.points().iter().map(|point| &point.when);
    let mut seen: Vec<&Vec<Condition>> = Vec::new();
    let mut variants: Vec<Variant> = Vec::new();
    for when in of_points.chain(of_steps).filter(|when| !all_hold(when, image)) {
        if seen.contains(&when) || variants.len() == MOST {
            continue;
        }
        seen.push(when);
        let mut trial = image.clone();
        let mut presets = BTreeMap::new();
        let mut told = Vec::new();
        for condition in when {
            if condition.holds(&trial) != Some(true)
                && let Some(raw) = invert::satisfy(profile, condition, &trial)
            {
                let name = &profile.point(condition.point).name;
                told.push(format!("{name} = {}", text(&raw)));
                trial.set(condition.point, raw.clone());
                presets.insert(name.clone(), raw);
            }
        }
        // What cannot be had together is for a device nobody has; what measures is not preset.
        let fixed = when.iter().all(|condition| is_fixed(profile, condition));
        if all_hold(when, &trial) && fixed && !variants.iter().any(|(_, other)| *other == presets) {
            variants.push((told.join(", "), presets));
        }
    }
    variants
}

/// Whether the point of a condition stays as it is preset: neither state nor measured.
fn is_fixed(profile: &Profile, condition: &Condition) -> bool {
    use crate::device::{Cadence, Role};
    let point = profile.point(condition.point);
    match point.role {
        Role::Helper | Role::Fact(..) => true,
        Role::HardwareLimit => point.cadence == Cadence::Once,
        _ => false,
    }
}

fn text(raw: &Raw) -> String {
    match raw {
        Raw::Int(value) => value.to_string(),
        Raw::Float(value) => value.to_string(),
        Raw::Text(text) => format!("{text:?}"),
        Raw::Bytes(bytes) => format!("{bytes:02X?}"),
    }
}
