//! Steps that every device goes through, and those of meters and card readers.

use super::super::ev::{Ev, EvSpec};
use super::super::invert;
use super::Told;
use super::stage::Stage;
use crate::device::{Image, Point, Profile, Raw, Role, all_hold, milli_of};
use crate::domain::{MilliAmps, Phase, Quantity};
use std::time::Duration;

/// Time from power-on to the first words.
const FIRST_WORDS: Duration = Duration::from_secs(60);

/// The device is found, what is read once is read, and the start-up recipe runs through.
pub(super) fn answers(stage: &mut Stage) -> Told {
    stage.lease();
    stage.await_that("the device answers", FIRST_WORDS, |stage| stage.up == Some(true))?;
    let charger = stage.device.is_charger();
    if charger {
        stage.await_that("the start-up recipe ends", FIRST_WORDS, |stage| {
            stage.seen.failsafe.is_some()
        })?;
    }
    stage.run(stage.profile.link().poll * 2 + Duration::from_secs(1));
    let told = &stage.seen.failsafe;
    match (stage.profile.watchdog().is_some(), told) {
        (true, Some(report)) if !report.armed => Err(report.detail.clone()),
        _ => Ok(Some("answers, and took its settings".to_owned())),
    }
}

/// The fingerprint holds on the device it describes.
pub(super) fn recognised(stage: &mut Stage) -> Told {
    let profile = &stage.profile;
    let Some(identify) = profile.identify() else {
        return Ok(None);
    };
    let image = stage.device.image();
    for check in &identify.checks {
        if check.holds(&image) != Some(true) {
            let (name, raw) = (&profile.point(check.point).name, image.get(check.point));
            return Err(format!(
                "no device can pass the check of `{name}` together with the others (it would read {raw:?})"
            ));
        }
    }
    Ok(Some(format!("{} checks hold", identify.checks.len())))
}

/// Every state of the state map can be reached.
pub(super) fn states(stage: &mut Stage) -> Told {
    let profile = &stage.profile;
    let Some(map) = profile.state_map() else {
        return Ok(None);
    };
    let image = stage.device.image();
    let mut count = 0;
    for (index, rule) in map.rules.iter().enumerate() {
        let mut trial = image.clone();
        for (point, raw) in invert::invert(profile, map, rule.state, &image) {
            trial.set(point, raw);
        }
        let said = invert::state_of(map, &trial);
        if said != rule.state {
            return Err(format!(
                "nothing leads to state.map[{index}], {:?}: it reads as {said:?}",
                rule.state
            ));
        }
        count += 1;
    }
    Ok(Some(format!("{count} lines lead to their states")))
}

/// Every line of a fault map says its kind.
pub(super) fn faults_listed(stage: &mut Stage) -> Told {
    let mut count = 0;
    for point in stage.profile.points() {
        let Role::Error(map) = &point.role else { continue };
        for rule in &map.rules {
            let raw = match rule.is_bit {
                true => 1_i128
                    .checked_shl(u32::try_from(rule.raw).unwrap_or(u32::MAX))
                    .unwrap_or(0),
                false => rule.raw,
            };
            let said = map.kind(raw);
            if said != Some(rule.kind) {
                return Err(format!(
                    "`{}`: {raw:#x} should say {:?}, says {said:?}",
                    point.name, rule.kind
                ));
            }
            count += 1;
        }
    }
    Ok((count > 0).then(|| format!("{count} lines say their kinds")))
}

/// What a load brings about is read, by every point that measures.
pub(super) fn reads_meter(stage: &mut Stage) -> Told {
    load(stage);
    stage.look_long();
    compare(stage)
}

/// The energy register follows what flows.
pub(super) fn counts(stage: &mut Stage) -> Told {
    let key = (Quantity::EnergyImport, Phase::Total);
    let Some(before) = stage.seen.readings.get(&key).copied() else {
        let image = stage.device.image();
        let has = |point: &&Point| is_reading(point, key) && all_hold(&point.when, &image);
        return match stage.profile.points().iter().any(|point| has(&point)) {
            true => Err("the energy was not read".to_owned()),
            false => Ok(None),
        };
    };
    let truth = stage.device.body.energy().whole().0;
    load(stage);
    stage.look_long();
    let grown = stage.device.body.energy().whole().0 - truth;
    let after = stage
        .seen
        .readings
        .get(&key)
        .copied()
        .ok_or("the energy was not read again")?;
    let step = grain(&stage.profile, key, after);
    match (after - before - grown).abs() <= 2 * step {
        true => Ok(Some(format!(
            "{grown} mWh flowed, the register grew by {}",
            after - before
        ))),
        false => Err(format!(
            "{grown} mWh flowed, the register grew by {}",
            after - before
        )),
    }
}

/// An hour of a vehicle that charges at full current.
fn load(stage: &mut Stage) {
    let spec = EvSpec {
        phases: stage.profile.about().phases,
        ..EvSpec::default()
    };
    let flow = Ev::new(spec).step(5_000, MilliAmps::from_base(16), [230_000; 3]);
    stage.device.body.carry(flow, 3_600_000);
}

/// Compares every reading with what the device really does.
pub(super) fn compare(stage: &Stage) -> Told {
    let image = stage.device.image();
    let (profile, mut count) = (&stage.profile, 0);
    for point in profile.points() {
        let Role::Reading { quantity, phase, .. } = point.role else {
            continue;
        };
        let key = (quantity, phase);
        let hidden =
            point.fc.is_none() || !all_hold(&point.when, &image) || is_factored_out(profile, point, &image);
        if hidden {
            continue;
        }
        let Some(milli) = stage.seen.readings.get(&key) else {
            return Err(format!("`{}` gave no reading", point.name));
        };
        let truth = stage.device.body.measure(quantity, phase);
        let step = grain(profile, key, truth);
        if (milli - truth).abs() > step {
            return Err(format!(
                "`{}` reads {milli} thousandths of its unit, but it is {truth}: check type, scale and overlapping points",
                point.name
            ));
        }
        count += 1;
    }
    Ok((count > 0).then(|| format!("{count} points read what is there")))
}

/// A reading whose terms are points that the simulation cannot know.
fn is_factored_out(profile: &Profile, point: &Point, image: &Image) -> bool {
    let raw = profile.find(&point.name).and_then(|id| image.get(id));
    raw.is_some_and(|raw| profile.milli(point, image, raw).is_none())
}

fn is_reading(point: &Point, key: (Quantity, Phase)) -> bool {
    matches!(point.role, Role::Reading { quantity, phase, .. } if (quantity, phase) == key)
}

/// The least step that the points of a reading can show, milli-units.
fn grain(profile: &Profile, key: (Quantity, Phase), value: i64) -> i64 {
    let of = |point: &Point| {
        if point.layout.kind.is_float() {
            return value.abs() / 8_000_000 + 1;
        }
        let at = |raw| milli_of(point, &Raw::Int(raw));
        let step = at(1).zip(at(0)).map_or(1, |(one, zero)| (one - zero).abs());
        // A sum rounds once for each of its terms, a factor makes the steps wider.
        let terms = 1 + point.plus.len() + point.minus.len();
        step * i64::try_from(terms).unwrap_or(1)
    };
    let points = profile.points().iter().filter(|point| is_reading(point, key));
    points.map(of).max().unwrap_or(1).max(1)
}

/// A card is presented and taken away.
pub(super) fn card(stage: &mut Stage) -> Told {
    if !stage.has_role(|role| *role == Role::Token) {
        return Ok(None);
    }
    stage.device.body.card = Some("04A1B2C3".to_owned());
    stage.look_long();
    let Some(Some(token)) = stage.seen.token.clone() else {
        return Err(format!(
            "a card was held to the reader, but {:?} was read",
            stage.seen.token
        ));
    };
    stage.device.body.card = None;
    stage.look_long();
    match stage.seen.token {
        Some(None) => Ok(Some(format!("read as {}", token.text))),
        _ => Err("the card was taken away, but is still read".to_owned()),
    }
}

/// The device is away for a while and comes back.
pub(super) fn power_cut(stage: &mut Stage) -> Told {
    stage.device.silent = true;
    stage.await_that("the loss is noticed", Duration::from_secs(300), |stage| {
        stage.up == Some(false)
    })?;
    stage.power_cycle();
    stage.await_that("the device is back", Duration::from_secs(300), |stage| {
        stage.up == Some(true)
    })?;
    stage.look_long();
    compare(stage)
}
