//! Mode C: the machine that asks the meters of a line one after the other.
//!
//! ```text
//!  NoPort --port back--> Resting --due: /?!--> Called --/XXXZ..: ACK and speed Z, if Z is one--> Reading --block--> Resting
//!                           ^------------- silence, damage: the first speed again --------'
//! ```

use super::LONGEST;
use super::readout::{Found, find};
use crate::device::obis::item::Item;
use crate::device::obis::listener::silence;
use crate::device::obis::map::{Facts, observe};
use crate::device::obis::presence::Presence;
use crate::device::obis::shape::Shapes;
use crate::device::obis::text::line_start;
use crate::device::{Profile, Serial, StreamDevice, StreamEffect, StreamInput, StreamMachine, StreamPort};
use crate::domain::{DriveError, Mono, Now};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Longest reaction of a meter, and longest pause between two characters.
const REACTION: Duration = Duration::from_millis(1500);
/// Adapters hold bytes back, and so does a busy machine.
const SLACK: Duration = Duration::from_millis(500);
/// A whole readout at 300 baud.
const LONGEST_READOUT: Duration = Duration::from_secs(90);
/// A meter that broke off is left alone until it is back at its first speed.
const REST: Duration = Duration::from_secs(3);
/// Speeds by their character.
const SPEEDS: [(u8, u32); 7] = [
    (b'0', 300),
    (b'1', 600),
    (b'2', 1200),
    (b'3', 2400),
    (b'4', 4800),
    (b'5', 9600),
    (b'6', 19_200),
];

struct Meter {
    profile: Arc<Profile>,
    address: String,
    period: Duration,
    presence: Presence,
    facts: Facts,
    shapes: Shapes,
    due: Mono,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    NoPort,
    /// Nobody is asked before this.
    Resting(Mono),
    /// A meter was called.
    Called {
        meter: usize,
        begun: Mono,
        until: Mono,
    },
    /// It sends.
    Reading {
        meter: usize,
        begun: Mono,
        until: Mono,
    },
}

/// The machine of a line with meters of mode C.
pub(in crate::device) struct Asker {
    meters: Vec<Meter>,
    /// What the port is opened with; `None`: its speed cannot be changed from here.
    serial: Option<Serial>,
    fast: bool,
    stage: Stage,
    raw: Vec<u8>,
    effects: VecDeque<StreamEffect>,
}

impl Asker {
    /// Nobody was asked yet.
    pub fn new(port: StreamPort) -> Self {
        let meter = |(slot, device): (usize, StreamDevice)| Meter {
            presence: Presence::new(slot, silence(&device)),
            period: device.setup.poll.unwrap_or(device.profile.link().poll),
            address: device.setup.address.unwrap_or_default(),
            profile: device.profile,
            facts: Facts::new(),
            shapes: Shapes::default(),
            due: Mono(0),
        };
        Self {
            meters: port.devices.into_iter().enumerate().map(meter).collect(),
            serial: port.serial,
            fast: false,
            stage: Stage::NoPort,
            raw: Vec::new(),
            effects: VecDeque::new(),
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.effects.push_back(StreamEffect::Write(bytes.to_vec()));
    }

    /// How long so many bytes take at the first speed.
    fn length(&self, bytes: usize) -> Duration {
        let baud = self.serial.map_or(300, |serial| serial.baud.max(1));
        Duration::from_secs(10) * u32::try_from(bytes).unwrap_or(u32::MAX) / baud
    }

    fn next_meter(&self) -> Option<usize> {
        (0..self.meters.len()).min_by_key(|index| self.meters[*index].due)
    }

    /// Asks whom it is time to ask.
    fn call(&mut self, now: Mono) {
        let Stage::Resting(rested) = self.stage else {
            return;
        };
        let due = |meter: usize| self.meters[meter].due <= now && rested <= now;
        let Some(meter) = self.next_meter().filter(|meter| due(*meter)) else {
            return;
        };
        let request = sign_on(&self.meters[meter].address);
        let until = now.plus(self.length(request.len()) + REACTION + SLACK);
        self.raw.clear();
        self.write(request.as_bytes());
        self.stage = Stage::Called {
            meter,
            begun: now,
            until,
        };
    }

    /// The identification came.
    fn identified(&mut self, now: Mono, meter: usize, begun: Mono, offered: u8) {
        let mut wait = REACTION + SLACK;
        // A letter stands for modes without acknowledgement: the meter goes on by itself.
        if let Some(known) = SPEEDS.iter().find(|(letter, _)| *letter == offered) {
            let (letter, baud) = self.speed(*known);
            let acknowledge = [6, b'0', letter, b'0', b'\r', b'\n'];
            wait += self.length(acknowledge.len());
            self.write(&acknowledge);
            if let Some(serial) = self.serial.filter(|serial| serial.baud != baud) {
                self.effects
                    .push_back(StreamEffect::Settings(Serial { baud, ..serial }));
                self.fast = true;
            }
        }
        self.stage = Stage::Reading {
            meter,
            begun,
            until: now.plus(wait),
        };
    }

    /// The speed to go on with: the offered one, or the present one where it cannot be changed.
    fn speed(&self, offered: (u8, u32)) -> (u8, u32) {
        match self.serial {
            Some(_) => offered,
            None => SPEEDS[0],
        }
    }

    fn bytes(&mut self, now: Mono, bytes: &[u8]) {
        match &mut self.stage {
            Stage::NoPort | Stage::Resting(_) => return,
            Stage::Called { begun, until, .. } | Stage::Reading { begun, until, .. } => {
                let pause = now.plus(REACTION + SLACK);
                *until = (*until).max(pause).min(begun.plus(LONGEST_READOUT));
            }
        }
        self.raw.extend(bytes.iter().map(|byte| byte & 0x7F));
        if let Stage::Called { meter, begun, .. } = self.stage
            && let Some((offered, line)) = identification(&self.raw)
        {
            self.raw.drain(..line.end);
            self.identified(now, meter, begun, offered);
        } else if let Stage::Called { meter, .. } = self.stage
            && self.raw.len() > LONGEST
        {
            // A device server that never falls silent is no meter.
            self.failed(now, meter, true);
        }
        if let Stage::Reading { meter, begun, .. } = self.stage {
            match find(&self.raw, None) {
                Found::Nothing if self.raw.len() > LONGEST => self.failed(now, meter, true),
                Found::Nothing => {}
                Found::Checked(items, _) => self.read(now, meter, begun, &items),
                Found::Plain(items, _) => {
                    if self.meters[meter].shapes.confirms(&items) {
                        self.read(now, meter, begun, &items);
                    } else {
                        self.failed(now, meter, true);
                    }
                }
                Found::Damaged(..) => self.failed(now, meter, true),
            }
        }
    }

    fn read(&mut self, now: Mono, meter: usize, begun: Mono, items: &[Item]) {
        let of = &mut self.meters[meter];
        self.effects.extend(of.presence.heard(now));
        let observations = observe(of.profile.values(), items, &mut of.facts, now);
        if !observations.is_empty() {
            self.effects.push_back(StreamEffect::Observed {
                slot: meter,
                observations,
            });
        }
        of.due = begun.plus(of.period);
        self.rest(now, Duration::ZERO);
    }

    fn failed(&mut self, now: Mono, meter: usize, damaged: bool) {
        let of = &mut self.meters[meter];
        if damaged {
            of.presence.damaged();
        }
        of.due = now.plus(of.period.min(REST * 4));
        self.rest(now, REST);
    }

    fn rest(&mut self, now: Mono, pause: Duration) {
        self.raw.clear();
        if std::mem::take(&mut self.fast)
            && let Some(serial) = self.serial
        {
            self.effects.push_back(StreamEffect::Settings(serial));
        }
        self.stage = Stage::Resting(now.plus(pause));
    }

    fn port_back(&mut self, now: Mono) {
        self.raw.clear();
        self.fast = false;
        self.stage = Stage::Resting(now);
        for meter in &mut self.meters {
            meter.presence.port_back(now);
            meter.due = now;
        }
    }

    fn port_lost(&mut self) {
        self.stage = Stage::NoPort;
        for meter in &mut self.meters {
            meter.facts.clear();
            meter.shapes.forget();
            self.effects.extend(meter.presence.port_lost());
        }
    }

    fn tick(&mut self, now: Mono) {
        if let Stage::Called { meter, until, .. } | Stage::Reading { meter, until, .. } = self.stage
            && until <= now
        {
            let begun = !self.raw.is_empty();
            self.failed(now, meter, begun);
        }
        for meter in &mut self.meters {
            if let Some(lost) = meter.presence.tick(now) {
                meter.facts.clear();
                self.effects.push_back(lost);
            }
        }
        self.call(now);
    }
}

impl StreamMachine for Asker {
    fn handle(&mut self, now: Now, input: StreamInput) {
        let now = now.mono;
        match input {
            StreamInput::Bytes(bytes) => self.bytes(now, &bytes),
            StreamInput::Drive { slot, ticket, .. } => self.effects.push_back(StreamEffect::Done {
                slot,
                ticket,
                result: Err(DriveError::Unsupported),
            }),
            StreamInput::PortBack => self.port_back(now),
            StreamInput::PortLost => self.port_lost(),
            StreamInput::Lease { .. } | StreamInput::Tick => {}
        }
        self.tick(now);
    }

    fn poll(&mut self) -> Option<StreamEffect> {
        self.effects.pop_front()
    }

    fn next_deadline(&self) -> Option<(Mono, &'static str)> {
        let stage = match self.stage {
            Stage::NoPort => None,
            Stage::Resting(rested) => self
                .next_meter()
                .map(|meter| (self.meters[meter].due.max(rested), "readout due")),
            Stage::Called { until, .. } => Some((until, "no identification")),
            Stage::Reading { until, .. } => Some((until, "the readout broke off")),
        };
        let lost = self.meters.iter().filter_map(|meter| meter.presence.deadline());
        let lost = lost.map(|at| (at, "silence"));
        stage.into_iter().chain(lost).min_by_key(|(at, _)| *at)
    }
}

/// The request that begins a readout, to the meter of this number; empty: to whichever there is.
pub(in crate::device) fn sign_on(address: &str) -> String {
    format!("/?{address}!\r\n")
}

/// The speed character of an identification line `/XXXZ...` of 7 bits, and where the line stands, its end included. Our
/// own request, which an optical head mirrors, is passed over.
pub(in crate::device) fn identification(raw: &[u8]) -> Option<(u8, Range<usize>)> {
    let mut from = 0;
    loop {
        let start = line_start(raw, b'/', from)?;
        let end = start + raw[start..].iter().position(|byte| *byte == b'\n')?;
        match &raw[start..end] {
            [b'/', a, b, c, speed, ..] if [a, b, c].iter().all(|letter| letter.is_ascii_alphabetic()) => {
                return Some((*speed, start..end + 1));
            }
            _ => from = end + 1,
        }
    }
}
