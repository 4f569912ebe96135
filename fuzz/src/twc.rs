//! Any bytes on a load-sharing line, cut anywhere, at any pace.

use retrovolt::device::{FailsafeReport, StreamInput, StreamMachine, TwcLine, TwcUnit};
use retrovolt::domain::{DeviceCommand, MilliAmps, Mono, Now};

/// Any bytes on a load-sharing line, cut anywhere, at any pace.
pub fn twc(data: &[u8]) {
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
    let mut line = TwcLine::new(&[unit(Some([0x12, 0x34])), unit(None)]);
    let mut now = Now::default();
    let mut say = |now: Now, input| {
        line.handle(now, input);
        while line.poll().is_some() {}
        if let Some((at, why)) = line.next_deadline() {
            assert!(at > now.mono, "the deadline `{why}` has passed");
        }
    };
    say(now, StreamInput::PortBack);
    for slot in 0..2 {
        let until = Mono(600_000);
        say(now, StreamInput::Lease { slot, until });
        let command = DeviceCommand::Limit(MilliAmps::from_base(16));
        say(
            now,
            StreamInput::Drive {
                slot,
                ticket: 1,
                command,
                lowering: false,
            },
        );
    }
    // The first byte of a piece says how long it is and how much later it comes.
    let mut rest = data;
    while let Some((head, tail)) = rest.split_first() {
        let (piece, next) = tail.split_at(usize::from(head & 0x1F).min(tail.len()));
        now.mono = Mono(now.mono.0 + u64::from(head >> 5) * 400);
        say(now, StreamInput::Bytes(piece.to_vec()));
        rest = next;
    }
}
