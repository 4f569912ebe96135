//! Profiles read backwards: which raw values make a condition hold, which make the state map say a state, which
//! registers hold a number. The decoder of `device` then reads them forwards, which is how the two are checked
//! against each other.

use crate::device::{
    Condition, Image, Layout, Order, Point, PointId, Profile, Raw, StateMap, StateRule, Test, all_hold,
};
use crate::domain::VehicleState;

/// Values for points.
pub type Assignment = Vec<(PointId, Raw)>;

/// The raw value nearest to a number in milli-units of the point's unit; `None` for text points.
#[must_use]
pub fn encode(point: &Point, milli: i64) -> Option<Raw> {
    if !point.layout.kind.is_float() && point.layout.kind.bounds().is_none() {
        return None;
    }
    let milli = i128::from(milli) - i128::from(point.offset_milli);
    if !point.lookup.is_empty() {
        let nearest = point
            .lookup
            .iter()
            .min_by_key(|(value, _)| (i128::from(*value) - milli).abs())?;
        return Some(Raw::Int(nearest.1));
    }
    let (mantissa, exponent) = (i128::from(point.to_milli.mantissa), point.to_milli.exponent);
    if point.layout.kind.is_float() {
        #[allow(clippy::cast_precision_loss, reason = "a float register holds no more")]
        let value = milli as f64 / (mantissa as f64 * 10_f64.powi(exponent));
        return Some(Raw::Float(value));
    }
    let ten = 10_i128.checked_pow(exponent.unsigned_abs())?;
    let (top, bottom) = if exponent < 0 {
        (milli * ten, mantissa)
    } else {
        (milli, mantissa * ten)
    };
    let (top, bottom) = if bottom < 0 {
        (-top, -bottom)
    } else {
        (top, bottom)
    };
    let nearest = (2 * top + bottom).div_euclid((2 * bottom).max(1));
    let (least, most) = point.layout.kind.bounds()?;
    Some(Raw::Int(nearest.clamp(least, most)))
}

/// The registers that hold a raw value, text and bytes included; `None` when it does not fit.
#[must_use]
pub fn registers(layout: &Layout, raw: &Raw) -> Option<Vec<u16>> {
    let bytes: Vec<u8> = match (raw, layout.kind) {
        (Raw::Int(_) | Raw::Float(_), _) => return layout.write(raw),
        (Raw::Text(text), crate::device::ValueType::Utf16) => {
            text.encode_utf16().flat_map(u16::to_be_bytes).collect()
        }
        (Raw::Text(text), _) => text.bytes().collect(),
        (Raw::Bytes(bytes), _) => bytes.clone(),
    };
    let room = usize::from(layout.width) * 2;
    let skipped = vec![0; layout.skip.into()];
    if skipped.len() + bytes.len() > room {
        return None;
    }
    let rest = vec![0; room - skipped.len() - bytes.len()];
    let padded = [skipped, bytes, rest].concat();
    let mut words: Vec<u16> = padded
        .chunks_exact(2)
        .map(|w| u16::from_be_bytes([w[0], w[1]]))
        .collect();
    if layout.words == Order::Little {
        words.reverse();
    }
    if layout.bytes == Order::Little {
        words.iter_mut().for_each(|word| *word = word.swap_bytes());
    }
    Some(words)
}

/// A raw value of the condition's point that makes it hold, other bits as they are.
#[must_use]
pub fn satisfy(profile: &Profile, condition: &Condition, image: &Image) -> Option<Raw> {
    let point = profile.point(condition.point);
    let wanted = match &condition.test {
        Test::OneOf(list) => list.first()?.clone(),
        Test::NoneOf(list) => (0..=64).map(Raw::Int).find(|raw| !list.contains(raw))?,
        Test::Within(least, most) => {
            let value = least.or(*most)?;
            if point.layout.kind.is_float() {
                Raw::Float(value)
            } else {
                #[allow(clippy::cast_possible_truncation, reason = "bounds in profiles are small")]
                let whole = if least.is_some() {
                    value.ceil()
                } else {
                    value.floor()
                } as i128;
                Raw::Int(whole)
            }
        }
        Test::StartsWith(prefixes) => Raw::Text(prefixes.first()?.clone()),
        Test::Chars(least) => Raw::Text("SIM".chars().cycle().take(usize::from(*least)).collect()),
        Test::Version(since, _) => Raw::Text(since.clone().unwrap_or_else(|| "0".to_owned())),
    };
    match (wanted, condition.mask) {
        (Raw::Int(value), Some(mask)) if mask != 0 => {
            let current = image.get(condition.point).and_then(Raw::int).unwrap_or(0);
            Some(Raw::Int(
                current & !i128::from(mask) | value << mask.trailing_zeros(),
            ))
        }
        (wanted, _) => Some(wanted),
    }
}

/// What the state map says; `otherwise` when no rule fits. The first rule that matches wins.
#[must_use]
pub fn state_of(map: &StateMap, image: &Image) -> VehicleState {
    let Some(raw) = image.get(map.point) else {
        return map.otherwise;
    };
    map.rules
        .iter()
        .find(|rule| (rule.raw.is_empty() || rule.raw.contains(raw)) && all_hold(&rule.when, image))
        .map_or(map.otherwise, |rule| rule.state)
}

/// Values that make the map say this state, or the nearest state it can say.
#[must_use]
pub fn invert(profile: &Profile, map: &StateMap, wanted: VehicleState, image: &Image) -> Assignment {
    use VehicleState::{Absent, Charging, Connected, Fault, Ready, Unavailable, Waiting};
    let near: &[VehicleState] = match wanted {
        Absent => &[Absent],
        Connected => &[Connected, Ready, Waiting, Absent],
        Ready => &[Ready, Connected],
        Waiting => &[Waiting, Connected, Ready, Absent],
        Charging => &[Charging],
        Unavailable => &[Unavailable],
        Fault(_) => &[wanted],
    };
    let any_fault = map
        .rules
        .iter()
        .map(|rule| rule.state)
        .filter(|state| matches!(state, Fault(_)));
    let broken = matches!(wanted, Fault(_) | Unavailable);
    let fallbacks = any_fault
        .filter(|_| broken)
        .chain([Unavailable].into_iter().filter(|_| broken));
    near.iter()
        .copied()
        .chain(fallbacks)
        .find_map(|state| exactly(profile, map, state, image))
        .unwrap_or_default()
}

fn exactly(profile: &Profile, map: &StateMap, wanted: VehicleState, image: &Image) -> Option<Assignment> {
    let here = image.get(map.point).cloned().unwrap_or(Raw::Int(0));
    for rule in map.rules.iter().filter(|rule| rule.state == wanted) {
        let raws = if rule.raw.is_empty() {
            std::slice::from_ref(&here)
        } else {
            &rule.raw[..]
        };
        for raw in raws {
            let mut trial = image.clone();
            let mut assignment = vec![(map.point, raw.clone())];
            trial.set(map.point, raw.clone());
            for condition in &rule.when {
                if condition.holds(&trial) != Some(true)
                    && let Some(value) = satisfy(profile, condition, &trial)
                {
                    trial.set(condition.point, value.clone());
                    assignment.push((condition.point, value));
                }
            }
            assignment.extend(avoid_earlier(profile, map, rule, &mut trial));
            if state_of(map, &trial) == wanted {
                return Some(assignment);
            }
        }
    }
    if map.otherwise == wanted {
        return otherwise(profile, map, image);
    }
    None
}

/// A raw state that no line of the map takes.
fn otherwise(profile: &Profile, map: &StateMap, image: &Image) -> Option<Assignment> {
    let bounds = profile.point(map.point).layout.kind.bounds();
    let fits = |raw: &i128| bounds.is_none_or(|(least, most)| (least..=most).contains(raw));
    let unknown = |raw: &Raw| {
        let mut trial = image.clone();
        trial.set(map.point, raw.clone());
        state_of(map, &trial) == map.otherwise
    };
    let raw = (0..=255).filter(fits).map(Raw::Int).find(unknown)?;
    Some(vec![(map.point, raw)])
}

/// Makes the conditions of rules that would win before the wanted one fail.
fn avoid_earlier(profile: &Profile, map: &StateMap, wanted: &StateRule, trial: &mut Image) -> Assignment {
    let mut assignment = Assignment::new();
    for rule in &map.rules {
        let fits = trial
            .get(map.point)
            .is_some_and(|raw| rule.raw.is_empty() || rule.raw.contains(raw));
        if !fits || !all_hold(&rule.when, trial) {
            continue;
        }
        if rule.state == wanted.state {
            break;
        }
        // Bits of the state register itself may be turned too, where the line looks at nothing else of it.
        let turns = |condition: &&Condition| {
            let own = condition.point == map.point;
            !wanted.when.contains(condition) && (!own || (rule.raw.is_empty() && condition.mask.is_some()))
        };
        let way_out = rule.when.iter().filter(turns);
        let broken = way_out
            .filter_map(|condition| Some((condition.point, violate(profile, condition, trial)?)))
            .next();
        if let Some((point, value)) = broken {
            trial.set(point, value.clone());
            assignment.push((point, value));
        }
    }
    assignment
}

/// A raw value of the condition's point that makes it fail, other bits as they are.
fn violate(profile: &Profile, condition: &Condition, image: &Image) -> Option<Raw> {
    let point = profile.point(condition.point);
    let here = image.get(condition.point)?.int()?;
    let candidates: Vec<i128> = match condition.mask {
        Some(mask) if mask != 0 => {
            let most = (mask >> mask.trailing_zeros()).min(255);
            let bits = |value: u64| here & !i128::from(mask) | i128::from(value << mask.trailing_zeros());
            (0..=most).map(bits).collect()
        }
        // A helper in ampere beside the state tells the current offered: any that a vehicle can use will do.
        _ => [0, 1, 2, 3, 16].into_iter().chain([here + 1, here - 1]).collect(),
    };
    let fits = |value: &i128| {
        point
            .layout
            .kind
            .bounds()
            .is_some_and(|(least, most)| (least..=most).contains(value))
    };
    candidates
        .into_iter()
        .filter(fits)
        .map(Raw::Int)
        .find(|raw| !condition.accepts(raw))
}

/// Values for the facts a device is recognised by and its registers depend on: the fingerprint first, then as many
/// of the conditions of points and recipes as go with it.
#[must_use]
pub fn identity(profile: &Profile, mut image: Image) -> Image {
    let checks: Vec<&Condition> = profile
        .identify()
        .iter()
        .flat_map(|identify| &identify.checks)
        .collect();
    let of_steps = profile.steps().flat_map(|step| &step.when);
    let others: Vec<&Condition> = profile
        .points()
        .iter()
        .flat_map(|p| &p.when)
        .chain(of_steps)
        .collect();
    let holding = |list: &[&Condition], image: &Image| {
        list.iter()
            .filter(|condition| condition.holds(image) == Some(true))
            .count()
    };
    for condition in checks.iter().chain(&others) {
        if condition.holds(&image) == Some(true) {
            continue;
        }
        let Some(value) = satisfy(profile, condition, &image) else {
            continue;
        };
        let mut trial = image.clone();
        trial.set(condition.point, value);
        let kept = holding(&checks, &trial) >= holding(&checks, &image);
        let both = |image: &Image| holding(&checks, image) + holding(&others, image);
        if kept && both(&trial) > both(&image) {
            image = trial;
        }
    }
    image
}
