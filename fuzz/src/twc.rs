//! Wall Connectors.

use super::outcome::Outcome;
use super::streams::{Pace, feed};
use retrovolt::device::{FailsafeReport, StreamInput, StreamMachine, TwcLine, TwcUnit};
use retrovolt::domain::{DeviceCommand, MilliAmps, Mono};

fn machine() -> Box<dyn StreamMachine> {
    let failsafe = FailsafeReport {
        armed: true,
        timeout: None,
        fallback: None,
        safe: true,
        detail: String::new(),
    };
    let unit = |address| TwcUnit {
        address,
        most: MilliAmps::from_base(32),
        failsafe: failsafe.clone(),
    };
    Box::new(TwcLine::new(&[unit(Some([0x12, 0x34])), unit(None)]))
}

/// Any bytes on a load-sharing line, cut anywhere, at any pace.
pub fn twc(data: &[u8]) -> Outcome {
    let mut before = vec![StreamInput::PortBack];
    for slot in 0..2 {
        let until = Mono(600_000);
        before.push(StreamInput::Lease { slot, until });
        let command = DeviceCommand::Limit(MilliAmps::from_base(16));
        before.push(StreamInput::Drive {
            slot,
            ticket: 1,
            command,
            lowering: false,
        });
    }
    let pace = Pace {
        length_bits: 5,
        step_ms: 400,
        asks: true,
    };
    feed(machine, &before, data, pace, whole)
}

/// What is written is one frame: its ends only at its ends.
fn whole(frame: &[u8]) {
    let ends = frame.iter().filter(|byte| **byte == 0xC0).count();
    let shut = frame.first() == Some(&0xC0) && frame.last() == Some(&0xC0);
    assert!(ends == 2 && shut, "{frame:02X?}");
}
