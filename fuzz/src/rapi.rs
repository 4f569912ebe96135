//! An OpenEVSE.

use super::outcome::Outcome;
use super::streams::{Pace, feed};
use retrovolt::device::{RapiLine, RapiSetup, StreamInput, StreamMachine};
use retrovolt::domain::{DeviceCommand, MilliAmps, Mono};
use std::time::Duration;

fn machine() -> Box<dyn StreamMachine> {
    Box::new(RapiLine::new(RapiSetup {
        poll: Duration::from_secs(2),
        least: MilliAmps::from_base(6),
        most: MilliAmps::from_base(80),
        timeout: Duration::from_secs(30),
        feed: Duration::from_secs(10),
        fallback: MilliAmps::from_base(6),
        fallback_detail: String::new(),
        fallback_safe: true,
    }))
}

/// Any bytes from an OpenEVSE, cut anywhere, at any pace.
pub fn rapi(data: &[u8]) -> Outcome {
    let before = [
        StreamInput::PortBack,
        StreamInput::Lease {
            slot: 0,
            until: Mono(600_000),
        },
        StreamInput::Drive {
            slot: 0,
            ticket: 1,
            command: DeviceCommand::Limit(MilliAmps::from_base(16)),
            lowering: false,
        },
    ];
    let pace = Pace {
        length_bits: 6,
        step_ms: 300,
        asks: true,
    };
    feed(machine, &before, data, pace, whole)
}

/// What is written is a line with its check: XOR of all before the `^`.
fn whole(line: &[u8]) {
    let text = std::str::from_utf8(line).expect("text");
    let (body, check) = text
        .strip_suffix('\r')
        .and_then(|line| line.split_once('^'))
        .expect("a check");
    let sum = body.bytes().fold(0, |sum, byte| sum ^ byte);
    assert!(body.starts_with('$') && check == format!("{sum:02X}"), "{text:?}");
}
