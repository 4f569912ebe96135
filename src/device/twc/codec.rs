//! Frames of the load-sharing line: SLIP escapes, the sum, what slaves say and what a master says.
//!
//! Sources: the protocol notes of dracoventions/TWCManager and ngardiner/TWCManager. Tesla has published nothing.

use crate::domain::Mono;
use std::time::Duration;

const END: u8 = 0xC0;
const ESC: u8 = 0xDB;
const ESC_END: u8 = 0xDC;
const ESC_ESC: u8 = 0xDD;
/// Shortest frame without escapes, sum included.
const SHORTEST: usize = 14;
/// Longest frame seen in the field.
const LONGEST: usize = 20;
/// A frame that has not gone on for this long is given up.
const STALLED: Duration = Duration::from_secs(2);
/// What identifies the gateway as a master, and its tie-breaker.
const OWN_SIGN: u8 = 0x77;

/// The two-byte id of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(pub(super) [u8; 2]);

/// The id the gateway uses as master.
pub(super) const OWN: Id = Id([0x77, 0x77]);

/// The two forms of the protocol, told apart by the length of the slave's link-ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// Heartbeats of 7 data bytes.
    One,
    /// Heartbeats of 9 data bytes.
    Two,
}

impl Version {
    fn data(self) -> usize {
        match self {
            Self::One => 7,
            Self::Two => 9,
        }
    }
}

/// What a slave said. Currents in 0.01 A.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It looks for a master.
    LinkReady {
        /// Who.
        id: Id,
        /// Most it can offer.
        most: u16,
        /// Which protocol it speaks.
        version: Version,
    },
    /// The answer to a heartbeat.
    Heartbeat {
        /// Who.
        id: Id,
        /// Which master it obeys.
        master: Id,
        /// Its state.
        state: u8,
        /// The limit in force.
        limit: u16,
        /// What flows.
        actual: u16,
        /// Which protocol it speaks.
        version: Version,
    },
    /// Its counter and voltages.
    Energy {
        /// Who.
        id: Id,
        /// Lifetime energy.
        kwh: u32,
        /// Volt by phase; zero where there is none.
        volts: [u16; 3],
    },
    /// A part of the vehicle's identification number.
    Vin {
        /// Who.
        id: Id,
        /// 0 to 2.
        part: usize,
        /// Zero where it is not known.
        text: [u8; 7],
    },
    /// It took a start or stop.
    Switched {
        /// Who.
        id: Id,
        /// Start.
        on: bool,
    },
}

/// What the gateway says as master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tell {
    /// First half of the start-up sequence.
    LinkReady1,
    /// Second half.
    LinkReady2,
    /// To be answered; a unit that misses it for about 10 s faults.
    Heartbeat {
        /// To whom.
        to: Id,
        /// How long.
        version: Version,
        /// What to do.
        command: Beat,
    },
    /// Ask for counter and voltages.
    Energy(Id),
    /// Ask for a part of the VIN, 0 to 2.
    Vin(Id, usize),
    /// Close the contactor when the vehicle wants.
    Start(Id),
    /// Open the contactor.
    Stop(Id),
}

/// What a heartbeat asks for. Currents in 0.01 A.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// Nothing to change.
    Keep,
    /// A limit: always in protocol 1, before charging in protocol 2.
    Limit(u16),
    /// A limit in protocol 2 while charging.
    LimitCharging(u16),
}

/// Finds frames in a stream of bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Deframer {
    frame: Vec<u8>,
    inside: bool,
    escaped: bool,
    last: Option<Mono>,
}

impl Deframer {
    /// Forgets what has begun.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Takes a byte; gives a frame without ends, escapes and sum, if it was the last of one that is whole.
    pub(super) fn push(&mut self, now: Mono, byte: u8) -> Option<Vec<u8>> {
        if self.last.is_some_and(|last| now.since(last) > STALLED) {
            self.reset();
        }
        self.last = Some(now);
        match (self.inside, byte) {
            (false, END) => self.begin(),
            (false, _) => {}
            // Two ends in a row, or an end too early: the beginning of the next frame.
            (true, END) if self.frame.len() < SHORTEST || self.escaped => self.begin(),
            (true, END) => {
                self.inside = false;
                return unsummed(std::mem::take(&mut self.frame));
            }
            (true, ESC) if !self.escaped => self.escaped = true,
            (true, ESC_END) if self.escaped => self.plain(END),
            (true, ESC_ESC) if self.escaped => self.plain(ESC),
            (true, _) if self.escaped => self.inside = false,
            (true, byte) => self.plain(byte),
        }
        None
    }

    fn begin(&mut self) {
        (self.inside, self.escaped) = (true, false);
        self.frame.clear();
    }

    fn plain(&mut self, byte: u8) {
        self.escaped = false;
        self.frame.push(byte);
        self.inside = self.frame.len() <= LONGEST;
    }
}

/// The sum of all bytes but the first.
fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().skip(1).fold(0, |sum, byte| sum.wrapping_add(*byte))
}

fn unsummed(mut frame: Vec<u8>) -> Option<Vec<u8>> {
    let said = frame.pop()?;
    (matches!(frame.len() + 1, 14 | 16 | 20) && sum(&frame) == said).then_some(frame)
}

/// What a frame says, if a slave said it.
pub(super) fn parse(frame: &[u8]) -> Option<Said> {
    let [from, kind, a, b, data @ ..] = frame else {
        return None;
    };
    let id = Id([*a, *b]);
    let version = match frame.len() {
        13 => Some(Version::One),
        15 => Some(Version::Two),
        _ => None,
    };
    match (from, kind, data) {
        (0xFD, 0xE2, [_sign, hi, lo, ..]) => Some(Said::LinkReady {
            id,
            most: u16::from_be_bytes([*hi, *lo]),
            version: version?,
        }),
        (0xFD, 0xE0, [m, n, state, l, i, a, c, ..]) => Some(Said::Heartbeat {
            id,
            master: Id([*m, *n]),
            state: *state,
            limit: u16::from_be_bytes([*l, *i]),
            actual: u16::from_be_bytes([*a, *c]),
            version: version?,
        }),
        (0xFD, 0xEB, [k0, k1, k2, k3, volts @ ..]) => {
            let mut pairs = volts
                .chunks_exact(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            Some(Said::Energy {
                id,
                kwh: u32::from_be_bytes([*k0, *k1, *k2, *k3]),
                volts: [(); 3].map(|()| pairs.next().unwrap_or(0)),
            })
        }
        (0xFD, 0xEE | 0xEF | 0xF1, data) => Some(Said::Vin {
            id,
            part: match kind {
                0xEE => 0,
                0xEF => 1,
                _ => 2,
            },
            text: *data.first_chunk()?,
        }),
        (0xFD, 0xB1 | 0xB2, _) => Some(Said::Switched {
            id,
            on: *kind == 0xB1,
        }),
        _ => None,
    }
}

/// A message as it goes over the wire.
pub(super) fn encode(tell: Tell) -> Vec<u8> {
    let own = OWN.0;
    let to = |head: [u8; 2], id: Id, zeros: usize| {
        let mut frame = vec![head[0], head[1], own[0], own[1], id.0[0], id.0[1]];
        frame.resize(frame.len() + zeros, 0);
        frame
    };
    let ready = |head: [u8; 2]| {
        let mut frame = vec![head[0], head[1], own[0], own[1], OWN_SIGN];
        frame.resize(frame.len() + 8, 0);
        frame
    };
    let frame = match tell {
        Tell::LinkReady1 => ready([0xFC, 0xE1]),
        Tell::LinkReady2 => ready([0xFB, 0xE2]),
        Tell::Heartbeat {
            to: id,
            version,
            command,
        } => {
            let mut frame = to([0xFB, 0xE0], id, version.data());
            let (code, limit) = match command {
                Beat::Keep => (0x00, 0),
                Beat::Limit(limit) => (0x05, limit),
                Beat::LimitCharging(limit) => (0x09, limit),
            };
            let [hi, lo] = limit.to_be_bytes();
            frame[6..9].copy_from_slice(&[code, hi, lo]);
            frame
        }
        Tell::Energy(id) => to([0xFB, 0xEB], id, 8),
        Tell::Vin(id, part) => to([0xFB, [0xEE, 0xEF, 0xF1][part.min(2)]], id, 8),
        Tell::Start(id) => to([0xFC, 0xB1], id, 9),
        Tell::Stop(id) => to([0xFC, 0xB2], id, 9),
    };
    wire(&frame)
}

/// Adds sum, escapes and ends.
fn wire(frame: &[u8]) -> Vec<u8> {
    let mut wire = vec![END];
    for byte in frame.iter().copied().chain([sum(frame)]) {
        match byte {
            END => wire.extend([ESC, ESC_END]),
            ESC => wire.extend([ESC, ESC_ESC]),
            plain => wire.push(plain),
        }
    }
    wire.push(END);
    wire
}
