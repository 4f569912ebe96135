//! Any bytes from an OpenEVSE, cut anywhere, at any pace.

use retrovolt::device::{RapiLine, RapiSetup, StreamInput, StreamMachine};
use retrovolt::domain::{DeviceCommand, MilliAmps, Mono, Now};
use std::time::Duration;

/// Any bytes from an OpenEVSE, cut anywhere, at any pace.
pub fn rapi(data: &[u8]) {
    let mut line = RapiLine::new(RapiSetup {
        poll: Duration::from_secs(2),
        least: MilliAmps::from_base(6),
        most: MilliAmps::from_base(80),
        timeout: Duration::from_secs(30),
        feed: Duration::from_secs(10),
        fallback: MilliAmps::from_base(6),
        fallback_detail: String::new(),
        fallback_safe: true,
    });
    let mut now = Now::default();
    let mut say = |now: Now, input| {
        line.handle(now, input);
        while line.poll().is_some() {}
        if let Some((at, why)) = line.next_deadline() {
            assert!(at > now.mono, "the deadline `{why}` has passed");
        }
    };
    say(now, StreamInput::PortBack);
    let until = Mono(600_000);
    say(now, StreamInput::Lease { slot: 0, until });
    let command = DeviceCommand::Limit(MilliAmps::from_base(16));
    say(
        now,
        StreamInput::Drive {
            slot: 0,
            ticket: 1,
            command,
            lowering: false,
        },
    );
    // The first byte of a piece says how long it is and how much later it comes.
    let mut rest = data;
    while let Some((head, tail)) = rest.split_first() {
        let (piece, next) = tail.split_at(usize::from(head & 0x3F).min(tail.len()));
        now.mono = Mono(now.mono.0 + u64::from(head >> 6) * 300);
        say(now, StreamInput::Bytes(piece.to_vec()));
        rest = next;
    }
}
