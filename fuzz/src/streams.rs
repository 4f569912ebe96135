//! A machine of a byte stream under bytes cut anywhere, at any pace.

use super::outcome::{Outcome, effect};
use retrovolt::device::{
    Library, StreamDevice, StreamEffect, StreamInput, StreamMachine, StreamPort, stream_machine,
};
use retrovolt::domain::{DeviceId, DeviceSetup, Mono, Now, Observation};
use std::sync::OnceLock;

/// Effects one input may have whatever is in it: commands, a new link, the next question.
const FEW: usize = 16;

/// What the first byte of a piece says: its length in the lower bits, how many steps later it comes in those above.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Bits of the length.
    pub length_bits: u32,
    /// Milliseconds of a step.
    pub step_ms: u64,
    /// The machine asks: an answer before its question is none, so that where bytes are cut does matter.
    pub asks: bool,
}

impl Pace {
    /// The pieces, each with the milliseconds before it.
    pub fn pieces(self, data: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
        let mut rest = data;
        std::iter::from_fn(move || {
            let (head, tail) = rest.split_first()?;
            let length = usize::from(head & !(0xFF << self.length_bits));
            let (piece, next) = tail.split_at(length.min(tail.len()));
            rest = next;
            Some((u64::from(head >> self.length_bits) * self.step_ms, piece))
        })
    }
}

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
        supply: None,
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

/// Any bytes to the machine of each of these profiles.
pub fn shipped(profiles: &[&str], asks: bool, data: &[u8]) -> Outcome {
    let pace = Pace {
        length_bits: 6,
        step_ms: 400,
        asks,
    };
    let mut outcome = Outcome::default();
    for profile in profiles {
        outcome.append(feed(
            || machine(profile),
            &[StreamInput::PortBack],
            data,
            pace,
            |_| {},
        ));
    }
    outcome
}

/// Hands bytes over in pieces, and byte by byte to a second machine, which has to observe the same if it only listens.
/// `check` looks at what is written.
pub fn feed(
    machine: impl Fn() -> Box<dyn StreamMachine>,
    before: &[StreamInput],
    data: &[u8],
    pace: Pace,
    check: impl Fn(&[u8]),
) -> Outcome {
    let (mut whole, mut cut) = (Feeding::new(machine()), Feeding::new(machine()));
    for input in before {
        whole.say(input.clone(), &check);
        cut.say(input.clone(), &check);
    }
    for (wait, piece) in pace.pieces(data) {
        whole.pass(wait, &check);
        cut.pass(wait, &check);
        whole.say(StreamInput::Bytes(piece.to_vec()), &check);
        for byte in piece {
            cut.say(StreamInput::Bytes(vec![*byte]), &check);
        }
    }
    whole.say(StreamInput::PortLost, &check);
    cut.say(StreamInput::PortLost, &check);
    if !pace.asks {
        assert_eq!(whole.observed, cut.observed, "where bytes are cut matters");
    }
    whole.outcome
}

/// A machine, its time, and what it did.
struct Feeding {
    machine: Box<dyn StreamMachine>,
    now: Now,
    received: usize,
    outcome: Outcome,
    observed: Vec<(usize, Observation)>,
}

impl Feeding {
    fn new(machine: Box<dyn StreamMachine>) -> Self {
        Self {
            machine,
            now: Now::default(),
            received: 0,
            outcome: Outcome::default(),
            observed: Vec::new(),
        }
    }

    /// A deadline that passes meanwhile is told, as the port's task does.
    fn pass(&mut self, millis: u64, check: &impl Fn(&[u8])) {
        self.now.mono = Mono(self.now.mono.0 + millis);
        if self
            .machine
            .next_deadline()
            .is_some_and(|(at, _)| at <= self.now.mono)
        {
            self.say(StreamInput::Tick, check);
        }
    }

    fn say(&mut self, input: StreamInput, check: &impl Fn(&[u8])) {
        let bytes = match &input {
            StreamInput::Bytes(bytes) => bytes.len(),
            _ => 0,
        };
        self.received += bytes;
        self.machine.handle(self.now, input);
        let mut effects = 0;
        while let Some(one) = self.machine.poll() {
            effects += 1;
            effect(&mut self.outcome, &one);
            match one {
                StreamEffect::Observed { slot, observations } => {
                    self.observed
                        .extend(observations.into_iter().map(|one| (slot, one)));
                }
                StreamEffect::Write(bytes) => check(&bytes),
                _ => {}
            }
        }
        assert!(effects <= FEW + bytes, "{effects} effects of {bytes} bytes");
        // No value takes less than a byte.
        let most = FEW + self.received;
        assert!(self.observed.len() <= most, "more values than bytes");
        if let Some((at, why)) = self.machine.next_deadline() {
            assert!(at > self.now.mono, "the deadline `{why}` has passed");
        }
    }
}
