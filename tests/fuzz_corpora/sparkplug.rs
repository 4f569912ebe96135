//! Payloads of Sparkplug B, most of them commands for the charge point of the target.

use super::valid::{any, below, noise};
use retrovolt::domain::Rng;
use retrovolt::telemetry::sparkplug::wire::{Metric, Payload, Property, PropertySet, PropertyValue, Value};

/// The time of the target, and around it.
const TIMES: [u64; 7] = [
    1_700_000_000_000,
    1_700_000_000_000,
    1_700_000_030_000,
    1_700_000_030_001,
    1_699_999_969_999,
    0,
    u64::MAX,
];

const NAMES: [&str; 9] = [
    "Control/Enabled",
    "Control/Limit Current",
    "Control/Mode",
    "Node Control/Rebirth",
    "bdSeq",
    "Power",
    "Status",
    "No/Such",
    "",
];

fn value(rng: &mut Rng) -> Option<Value> {
    Some(match rng.below(9) {
        0 => Value::Int(any(rng, &[0, 16, 32, 33, u32::MAX, 4_294_967_291])),
        1 => Value::Long(any(rng, &[0, 6, 32, 40, u64::MAX, 1 << 62])),
        2 => Value::Float(any(rng, &[0.0, 6.1, -1.0, f32::NAN, f32::INFINITY, 1e30])),
        3 => Value::Double(any(rng, &[0.0, 16.5, 32.0, 32.001, -0.0, f64::NAN, 1e300])),
        4 | 5 => Value::Boolean(rng.below(2) == 0),
        6 => Value::String(any(rng, &["", "eco", "fast", "Süd"]).repeat(below(rng, 30))),
        7 => Value::Bytes(noise(rng, 12)),
        _ => return None,
    })
}

fn properties(rng: &mut Rng) -> PropertySet {
    let count = below(rng, 3);
    let property = |rng: &mut Rng| PropertyValue {
        datatype: Some(any(rng, &[3, 4, 10, 11, 12])),
        is_null: any(rng, &[None, Some(true)]),
        value: Some(match rng.below(3) {
            0 => Property::Int(500),
            1 => Property::Boolean(true),
            _ => Property::String("A".to_owned()),
        }),
    };
    PropertySet {
        keys: vec!["Quality".to_owned(); count],
        values: (0..count).map(|_| property(rng)).collect(),
    }
}

fn metric(rng: &mut Rng) -> Metric {
    let by_alias = rng.below(4) == 0;
    let name = any(rng, &NAMES).to_owned();
    Metric {
        name: (!by_alias).then_some(name),
        alias: by_alias.then(|| rng.below(40)),
        timestamp: (rng.below(3) > 0).then(|| any(rng, &TIMES)),
        datatype: any(rng, &[None, Some(3), Some(7), Some(10), Some(11), Some(12)]),
        is_historical: any(rng, &[None, None, None, Some(true), Some(false)]),
        is_transient: any(rng, &[None, Some(true)]),
        is_null: any(rng, &[None, None, Some(true)]),
        properties: (rng.below(4) == 0).then(|| properties(rng)),
        value: value(rng),
    }
}

/// A payload, or the word of a host.
pub fn payload(rng: &mut Rng) -> Vec<u8> {
    if rng.below(8) == 0 {
        let online = any(rng, &["true", "false", "1", "null"]);
        let timestamp = any(rng, &["0", "1", "2", "-1", "1e9", "\"1\"", "9223372036854775808"]);
        return format!(r#"{{"online":{online},"timestamp":{timestamp}}}"#).into_bytes();
    }
    let metrics = any(rng, &[0, 1, 1, 1, 2, 3, 7]);
    Payload {
        timestamp: (rng.below(5) > 0).then(|| any(rng, &TIMES)),
        metrics: (0..metrics).map(|_| metric(rng)).collect(),
        seq: (rng.below(2) == 0).then(|| rng.below(300)),
        uuid: (rng.below(9) == 0).then(|| "u".to_owned()),
        body: (rng.below(9) == 0).then(|| noise(rng, 6)),
    }
    .to_bytes()
}
