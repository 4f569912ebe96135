//! A machine of a byte stream under bytes cut anywhere, at any pace.

use retrovolt::device::{Library, StreamDevice, StreamInput, StreamMachine, StreamPort, stream_machine};
use retrovolt::domain::{DeviceCommand, DeviceId, DeviceSetup, MilliAmps, Mono, Now};
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

/// How the first byte of each piece is read: so many of its bits say how long the piece is, the rest how many steps later
/// it comes.
#[derive(Clone, Copy)]
pub struct Cut {
    /// Bits of the length.
    pub bits: u32,
    /// One step.
    pub step_ms: u64,
}

impl Cut {
    /// The pieces, each with the pause before it.
    pub fn pieces(self, data: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
        let mut rest = data;
        std::iter::from_fn(move || {
            let (head, tail) = rest.split_first()?;
            let length = usize::from(head & ((1 << self.bits) - 1));
            let (piece, next) = tail.split_at(length.min(tail.len()));
            rest = next;
            Some((u64::from(head >> self.bits) * self.step_ms, piece))
        })
    }
}

/// Opens the port, gives the machine its orders and hands bytes over.
pub fn feed_under(machine: &mut dyn StreamMachine, orders: Vec<StreamInput>, cut: Cut, data: &[u8]) {
    let mut now = Now::default();
    let mut say = |now: Now, input| {
        machine.handle(now, input);
        while machine.poll().is_some() {}
        if let Some((at, why)) = machine.next_deadline() {
            assert!(at > now.mono, "the deadline `{why}` has passed");
        }
    };
    say(now, StreamInput::PortBack);
    for order in orders {
        say(now, order);
    }
    for (pause, piece) in cut.pieces(data) {
        now.mono = Mono(now.mono.0 + pause);
        say(now, StreamInput::Bytes(piece.to_vec()));
    }
    say(now, StreamInput::PortLost);
}

/// Hands bytes over.
pub fn feed(machine: &mut dyn StreamMachine, data: &[u8]) {
    let cut = Cut {
        bits: 6,
        step_ms: STEP_MS,
    };
    feed_under(machine, Vec::new(), cut, data);
}

/// The lease and the limit of a charger in a slot.
pub fn charging(slot: usize) -> [StreamInput; 2] {
    let until = Mono(600_000);
    let command = DeviceCommand::Limit(MilliAmps::from_base(16));
    [
        StreamInput::Lease { slot, until },
        StreamInput::Drive {
            slot,
            ticket: 1,
            command,
            lowering: false,
        },
    ]
}
