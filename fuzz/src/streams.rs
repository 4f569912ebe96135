//! A machine of a byte stream under bytes cut anywhere, at any pace.

use retrovolt::device::{Library, StreamDevice, StreamInput, StreamMachine, StreamPort, stream_machine};
use retrovolt::domain::{DeviceId, DeviceSetup, Mono, Now};
use std::sync::OnceLock;

/// Longest pause between two pieces.
const STEP_MS: u64 = 400;

/// The machine of a shipped profile.
pub fn machine(profile: &str) -> Box<dyn StreamMachine> {
    // Parsed once: a run takes microseconds.
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    let library = LIBRARY.get_or_init(Library::builtin);
    let profile = library.get(profile).expect("a shipped profile");
    let setup = DeviceSetup {
        id: DeviceId::new("device"),
        profile: profile.id().to_owned(),
        unit: 1,
        address: None,
        connector: 1,
        poll: None,
        timeout: None,
        watchdog_timeout: None,
        watchdog_feed: None,
        failsafe_current: None,
        accept_no_failsafe: false,
    };
    let port = StreamPort {
        serial: profile.link().serial,
        devices: vec![StreamDevice {
            setup,
            profile: profile.clone(),
        }],
    };
    stream_machine(profile.protocol(), port).expect("a machine")
}

/// Hands bytes over. The first byte of each piece says how long it is and how much later it comes.
pub fn feed(machine: &mut dyn StreamMachine, data: &[u8]) {
    let mut now = Now::default();
    let mut say = |now: Now, input| {
        machine.handle(now, input);
        while machine.poll().is_some() {}
        if let Some((at, why)) = machine.next_deadline() {
            assert!(at > now.mono, "the deadline `{why}` has passed");
        }
    };
    say(now, StreamInput::PortBack);
    let mut rest = data;
    while let Some((head, tail)) = rest.split_first() {
        let (piece, next) = tail.split_at(usize::from(head & 0x3F).min(tail.len()));
        now.mono = Mono(now.mono.0 + u64::from(head >> 6) * STEP_MS);
        say(now, StreamInput::Bytes(piece.to_vec()));
        rest = next;
    }
    say(now, StreamInput::PortLost);
}
