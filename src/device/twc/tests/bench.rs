//! A bench for one line: wall connectors that answer as the protocol notes say, under simulated time.

use super::super::{TwcLine, TwcUnit};
use crate::device::{FailsafeReport, StreamEffect, StreamInput, StreamMachine};
use crate::domain::{
    DeviceCommand, DriveError, MilliAmps, Mono, Now, Observation, Quantity, Reading, VehicleState,
};
use std::fmt::Write as _;
use std::time::Duration;

/// Milliseconds a frame is on the wire at 9,600 baud.
const WIRE: u64 = 20;
/// Milliseconds until a unit answers.
const THINK: u64 = 5;
/// A unit faults after this long without a heartbeat.
pub(super) const PATIENCE: u64 = 10_000;

/// A wall connector, and the vehicle at it.
#[derive(Clone, Debug)]
pub(super) struct Slave {
    pub(super) id: [u8; 2],
    pub(super) modern: bool,
    pub(super) protocol: u8,
    pub(super) amps: u16,
    pub(super) kwh: u32,
    pub(super) vin: Option<[u8; 17]>,
    pub(super) silent: bool,
    /// Confirms limits and keeps its own.
    pub(super) deaf: bool,
    /// Plugged in; whether it asks, and whether it obeys a limit of zero.
    pub(super) car: Option<(bool, bool)>,
    pub(super) limit: u16,
    pub(super) open: bool,
    fed: Option<u64>,
    ready_at: u64,
}

impl Slave {
    pub(super) fn new(id: [u8; 2], protocol: u8) -> Self {
        Self {
            id,
            modern: protocol == 2,
            protocol,
            amps: 3_200,
            kwh: 56,
            vin: None,
            silent: false,
            deaf: false,
            car: None,
            limit: 0,
            open: false,
            fed: None,
            ready_at: 0,
        }
    }

    fn faulty(&self, now: u64) -> bool {
        self.fed.is_some_and(|fed| now - fed > PATIENCE)
    }

    pub(super) fn actual(&self, now: u64) -> u16 {
        match self.car {
            Some((true, obeys)) if !self.faulty(now) && !self.open => match self.limit {
                0 if obeys => 0,
                0 => 600,
                limit => limit - 70,
            },
            _ => 25,
        }
    }

    fn state(&self, now: u64) -> u8 {
        match self.car {
            _ if self.faulty(now) => 2,
            None => 0,
            Some((true, _)) if self.actual(now) > 80 => 1,
            Some((true, _)) if self.open => 3,
            Some((true, _)) => 8,
            Some((false, _)) => 4,
        }
    }

    fn tail(&self) -> usize {
        if self.protocol == 1 { 13 } else { 15 }
    }

    fn ready(&self) -> Vec<u8> {
        let [hi, lo] = self.amps.to_be_bytes();
        let mut frame = vec![0xFD, 0xE2, self.id[0], self.id[1], 0x55, hi, lo];
        frame.resize(self.tail(), 0);
        framed(&frame)
    }

    /// The answer to a frame for this unit.
    fn hear(&mut self, now: u64, frame: &[u8]) -> Option<Vec<u8>> {
        if frame[..2] == [0xFB, 0xE2] {
            self.ready_at = now;
            return None;
        }
        if self.silent || frame.get(4..6) != Some(&self.id) {
            return None;
        }
        let head = |kind| vec![0xFD, kind, self.id[0], self.id[1]];
        let mut answer = match frame[..2] {
            [0xFB, 0xE0] => {
                if frame.len() != self.tail() {
                    return None;
                }
                self.heartbeat(now, frame[6], u16::from_be_bytes([frame[7], frame[8]]))
            }
            [0xFB, 0xEB] if self.modern => {
                let mut answer = head(0xEB);
                answer.extend(self.kwh.to_be_bytes());
                answer.extend([0, 230, 0, 231, 0, 232]);
                answer
            }
            [0xFB, part @ (0xEE | 0xEF | 0xF1)] if self.modern => {
                let mut answer = head(part);
                let from = [0xEE, 0xEF, 0xF1].iter().position(|p| *p == part).unwrap_or(0) * 7;
                let vin = self.vin.unwrap_or_default();
                answer.extend((from..from + 7).map(|at| vin.get(at).copied().unwrap_or(0)));
                answer
            }
            [0xFC, kind @ (0xB1 | 0xB2)] if self.modern => {
                self.open = kind == 0xB2;
                head(kind)
            }
            _ => return None,
        };
        answer.resize(self.tail(), 0);
        Some(framed(&answer))
    }

    fn heartbeat(&mut self, now: u64, command: u8, limit: u16) -> Vec<u8> {
        if self.faulty(now) {
            self.limit = 0;
        }
        self.fed = Some(now);
        let charging = self.state(now) == 1;
        let takes = command == 0x09 || (command == 0x05 && (self.protocol == 1 || !charging));
        if takes && !self.deaf {
            self.limit = limit;
        }
        let [l, i] = self.limit.to_be_bytes();
        let [a, c] = self.actual(now).to_be_bytes();
        vec![
            0xFD,
            0xE0,
            self.id[0],
            self.id[1],
            0x77,
            0x77,
            self.state(now),
            l,
            i,
            a,
            c,
        ]
    }
}

/// Adds sum, escapes and ends; a codec of its own.
pub(super) fn framed(frame: &[u8]) -> Vec<u8> {
    let sum = frame[1..].iter().map(|byte| u32::from(*byte)).sum::<u32>() % 256;
    let mut wire = vec![0xC0];
    for byte in [frame, &[u8::try_from(sum).unwrap_or(0)]].concat() {
        match byte {
            0xC0 => wire.extend([0xDB, 0xDC]),
            0xDB => wire.extend([0xDB, 0xDD]),
            _ => wire.push(byte),
        }
    }
    wire.extend([0xC0, 0xFE]);
    wire
}

fn unframed(wire: &[u8]) -> Vec<u8> {
    let inner = &wire[1..wire.len() - 1];
    let mut frame = Vec::new();
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        frame.push(match byte {
            0xDB => match bytes.next() {
                Some(0xDC) => 0xC0,
                _ => 0xDB,
            },
            plain => *plain,
        });
    }
    frame.pop();
    frame
}

pub(super) struct Bench {
    pub(super) line: TwcLine,
    pub(super) now: u64,
    pub(super) slaves: Vec<Slave>,
    /// Whether the line carries anything.
    pub(super) open: bool,
    /// What the master said, without sum, escapes and ends.
    pub(super) sent: Vec<(u64, Vec<u8>)>,
    pub(super) done: Vec<(u64, Result<(), DriveError>)>,
    pub(super) links: Vec<(u64, usize, bool)>,
    pub(super) reports: Vec<FailsafeReport>,
    pub(super) observed: Vec<(u64, usize, Observation)>,
    pub(super) log: String,
    arriving: Vec<(u64, Vec<u8>)>,
}

impl Bench {
    pub(super) fn new(slaves: Vec<Slave>, units: &[TwcUnit]) -> Self {
        Self {
            line: TwcLine::new(units),
            now: 0,
            slaves,
            open: false,
            sent: Vec::new(),
            done: Vec::new(),
            links: Vec::new(),
            reports: Vec::new(),
            observed: Vec::new(),
            log: String::new(),
            arriving: Vec::new(),
        }
    }

    /// A line on which every unit has a slot of its own, leased for a day and heard.
    pub(super) fn settled(slaves: Vec<Slave>) -> Self {
        let units: Vec<TwcUnit> = slaves.iter().map(|slave| unit(Some(slave.id))).collect();
        let mut bench = Self::new(slaves, &units);
        (0..units.len()).for_each(|slot| bench.lease(slot, 86_400_000));
        bench.plug_in(true);
        bench.run_for(15_000);
        bench.forget();
        bench
    }

    pub(super) fn forget(&mut self) {
        self.sent.clear();
        self.done.clear();
        self.links.clear();
        self.reports.clear();
        self.observed.clear();
    }

    /// The adapter is put in or pulled.
    pub(super) fn plug_in(&mut self, open: bool) {
        self.open = open;
        self.arriving.clear();
        self.input(if open {
            StreamInput::PortBack
        } else {
            StreamInput::PortLost
        });
    }

    pub(super) fn lease(&mut self, slot: usize, ms: u64) {
        let until = Mono(self.now + ms);
        self.input(StreamInput::Lease { slot, until });
    }

    pub(super) fn input(&mut self, input: StreamInput) {
        let _ = writeln!(self.log, "{} <- {input:?}", self.now);
        let now = Now {
            mono: Mono(self.now),
            ..Now::default()
        };
        self.line.handle(now, input);
        while let Some(effect) = self.line.poll() {
            let _ = writeln!(self.log, "{} -> {effect:?}", self.now);
            self.take(effect);
        }
        if let Some((at, why)) = self.line.next_deadline() {
            // A deadline that has passed would make the shell spin.
            assert!(
                at.0 > self.now,
                "the deadline `{why}` at {} has passed at {}",
                at.0,
                self.now
            );
        }
    }

    fn take(&mut self, effect: StreamEffect) {
        match effect {
            StreamEffect::Write(wire) => {
                assert!(self.open, "nothing is written to a port that is not there");
                let frame = unframed(&wire);
                let now = self.now;
                let answers = self.slaves.iter_mut().filter_map(|slave| slave.hear(now, &frame));
                self.arriving
                    .extend(answers.map(|answer| (now + 2 * WIRE + THINK, answer)));
                self.sent.push((now, frame));
            }
            StreamEffect::Observed { slot, observations } => {
                let now = self.now;
                self.observed
                    .extend(observations.into_iter().map(|said| (now, slot, said)));
            }
            StreamEffect::Done { ticket, result, .. } => self.done.push((ticket, result)),
            StreamEffect::Link { slot, up, .. } => self.links.push((self.now, slot, up)),
            StreamEffect::Failsafe { report, .. } => self.reports.push(report),
            StreamEffect::Settings(settings) => panic!("its settings never change: {settings:?}"),
        }
    }

    /// Lets time pass.
    pub(super) fn run_for(&mut self, ms: u64) {
        let end = self.now + ms;
        loop {
            let deadline = self.line.next_deadline().map(|(at, _)| at.0);
            let arrival = self.arriving.iter().map(|(at, _)| *at).min();
            let ready = self
                .slaves
                .iter()
                .filter(|s| self.open && looks_for_a_master(s, self.now))
                .map(|s| s.ready_at);
            let next = [deadline, arrival, ready.min()].into_iter().flatten().min();
            let Some(at) = next.filter(|at| *at <= end) else {
                break;
            };
            self.now = at.max(self.now);
            self.announce();
            let place = self.arriving.iter().position(|(at, _)| *at <= self.now);
            match place.map(|place| self.arriving.remove(place)) {
                Some((_, bytes)) => self.input(StreamInput::Bytes(bytes)),
                None => self.input(StreamInput::Tick),
            }
        }
        self.now = end;
    }

    fn announce(&mut self) {
        let now = self.now;
        for slave in &mut self.slaves {
            if self.open && looks_for_a_master(slave, now) && slave.ready_at <= now {
                slave.ready_at = now + 10_000;
                self.arriving.push((now + WIRE, slave.ready()));
            }
        }
    }

    pub(super) fn drive(&mut self, slot: usize, ticket: u64, command: DeviceCommand) {
        self.input(StreamInput::Drive {
            slot,
            ticket,
            command,
            lowering: false,
        });
    }

    pub(super) fn limit(&mut self, slot: usize, ticket: u64, amps: i64) {
        self.drive(slot, ticket, DeviceCommand::Limit(MilliAmps::from_base(amps)));
    }

    /// Times of the frames of a kind to a unit.
    pub(super) fn told(&self, slave: usize, kind: [u8; 2]) -> Vec<u64> {
        let to = |frame: &Vec<u8>| frame[..2] == kind && frame[4..6] == self.slaves[slave].id;
        self.sent
            .iter()
            .filter(|(_, frame)| to(frame))
            .map(|(at, _)| *at)
            .collect()
    }

    /// The last vehicle state of a slot.
    pub(super) fn vehicle(&self, slot: usize) -> Option<VehicleState> {
        self.observed.iter().rev().find_map(|(_, of, said)| match said {
            Observation::Vehicle { state, .. } if *of == slot => Some(*state),
            _ => None,
        })
    }

    /// The last reading of a quantity of a slot.
    pub(super) fn reading(&self, slot: usize, quantity: Quantity) -> Option<Reading> {
        self.observed.iter().rev().find_map(|(_, of, said)| match said {
            Observation::Reading(reading) if *of == slot && reading.quantity == quantity => Some(*reading),
            _ => None,
        })
    }
}

fn looks_for_a_master(slave: &Slave, now: u64) -> bool {
    !slave.silent && slave.fed.is_none_or(|_| slave.faulty(now))
}

pub(super) fn unit(address: Option<[u8; 2]>) -> TwcUnit {
    TwcUnit {
        address,
        most: MilliAmps::from_base(32),
        failsafe: FailsafeReport {
            armed: true,
            timeout: Some(Duration::from_secs(30)),
            fallback: Some(MilliAmps::ZERO),
            safe: true,
            detail: "it stops".into(),
        },
    }
}
