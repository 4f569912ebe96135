//! A bench for one OpenEVSE: a controller that answers as its documentation says, under simulated time.

use super::super::{RapiLine, RapiSetup};
use crate::device::{FailsafeReport, StreamEffect, StreamInput, StreamMachine};
use crate::domain::{
    DeviceCommand, DriveError, MilliAmps, Mono, Now, Observation, Quantity, Reading, VehicleState,
};
use std::fmt::Write as _;
use std::time::Duration;

/// Milliseconds from a command to its answer.
const ANSWER: u64 = 8;

/// An OpenEVSE, and the vehicle at it.
#[derive(Clone, Debug)]
pub(super) struct Evse {
    pub(super) silent: bool,
    /// Commands it refuses.
    pub(super) refuses: Vec<&'static str>,
    /// Commands it answers with words that make no sense.
    pub(super) babbles: Vec<&'static str>,
    /// Commands it confirms and does not carry out.
    pub(super) deaf: Vec<&'static str>,
    /// Whether it repeats ids.
    pub(super) ids: bool,
    /// Plugged in; whether it asks.
    pub(super) car: Option<bool>,
    pub(super) fault: Option<u8>,
    pub(super) asleep: bool,
    pub(super) boot_locked: bool,
    pub(super) amps: u16,
    pub(super) most: u16,
    pub(super) session_ws: u32,
    pub(super) total_wh: u32,
    /// Seconds, amperes, whether a pulse was missed.
    pub(super) supervision: (u16, u16, bool),
    pulse_at: u64,
}

impl Evse {
    pub(super) fn new() -> Self {
        Self {
            silent: false,
            refuses: Vec::new(),
            babbles: Vec::new(),
            deaf: Vec::new(),
            ids: true,
            car: None,
            fault: None,
            asleep: false,
            boot_locked: false,
            amps: 24,
            most: 32,
            session_ws: 0,
            total_wh: 5_000,
            supervision: (0, 6, false),
            pulse_at: 0,
        }
    }

    fn state(&self) -> u8 {
        match (self.fault, self.asleep, self.car) {
            (Some(fault), ..) => fault,
            (_, true, _) => 0xFE,
            (_, _, None) => 1,
            (_, _, Some(true)) if !self.boot_locked => 3,
            (..) => 2,
        }
    }

    fn pilot(&self) -> u8 {
        match self.car {
            None => 1,
            Some(_) if self.asleep => 2,
            Some(asks) => 2 + u8::from(asks),
        }
    }

    fn flags(&self) -> u16 {
        (u16::from(self.car.is_some()) << 8) | (u16::from(self.boot_locked) << 14)
    }

    pub(super) fn flowing(&self) -> u16 {
        if self.state() == 3 { self.amps } else { 0 }
    }

    /// Time passes.
    fn pass(&mut self, now: u64) {
        let (seconds, amps, _) = self.supervision;
        if seconds > 0 && now > self.pulse_at + u64::from(seconds) * 1_000 {
            self.amps = self.amps.min(amps.max(6));
            self.supervision.2 = true;
            self.pulse_at = now;
        }
    }

    /// The answer to a command, without check and id.
    fn obey(&mut self, now: u64, command: &str) -> String {
        let words: Vec<&str> = command.split(' ').collect();
        if self.refuses.contains(&words[0]) {
            return "$NK".into();
        }
        if self.babbles.contains(&words[0]) {
            return "$OK what".into();
        }
        let deaf = self.deaf.contains(&words[0]);
        match words[..] {
            ["GV"] => "$OK 8.2.1 5.1.0".into(),
            ["GI"] => "$OK AB12CD34".into(),
            ["GS"] => format!(
                "$OK {:02x} 12 {:02x} {:04x}",
                self.state(),
                self.pilot(),
                self.flags()
            ),
            ["GE"] => format!("$OK {} 0229", self.amps),
            ["GC"] => format!("$OK 6 80 {} {}", self.amps, self.most),
            ["GG"] => format!("$OK {} 230000", u32::from(self.flowing()) * 1_000),
            ["GU"] => format!("$OK {} {}", self.session_ws, self.total_wh),
            ["GP"] => "$OK 247 -2560 -2560".into(),
            ["SC", amps, "V"] => {
                let wanted: u16 = amps.parse().expect("a number");
                if !deaf {
                    self.amps = wanted.clamp(6, self.most);
                }
                format!(
                    "{} {}",
                    if self.amps == wanted { "$OK" } else { "$NK" },
                    self.amps
                )
            }
            ["FS"] => {
                self.asleep |= !deaf;
                "$OK".into()
            }
            ["FE"] => {
                self.asleep &= deaf;
                "$OK".into()
            }
            ["SB"] => {
                self.boot_locked = false;
                "$OK 0".into()
            }
            ["SY" | "GY", ..] => self.supervise(now, &words),
            _ => "$NK".into(),
        }
    }

    fn supervise(&mut self, now: u64, words: &[&str]) -> String {
        let ok = match words {
            ["SY", seconds, amps] => {
                self.supervision = (
                    seconds.parse().expect("a number"),
                    amps.parse().expect("a number"),
                    self.supervision.2 && self.deaf.contains(&"SY"),
                );
                self.pulse_at = now;
                true
            }
            ["SY", "165"] => {
                self.amps = self.most;
                self.supervision.2 = false;
                true
            }
            ["SY"] => {
                self.pulse_at = now;
                !self.supervision.2
            }
            _ => true,
        };
        let (seconds, amps, missed) = self.supervision;
        let trigger = if missed { 2 } else { 0 };
        format!("{} {seconds} {amps} {trigger}", if ok { "$OK" } else { "$NK" })
    }

    /// The whole answer to a line.
    fn hear(&mut self, now: u64, line: &str) -> Option<String> {
        if self.silent {
            return None;
        }
        let body = line.trim_start_matches('$').split('^').next().unwrap_or_default();
        let (command, id) = body
            .split_once(" :")
            .map_or((body, None), |(command, id)| (command, Some(id)));
        let mut answer = self.obey(now, command);
        if let Some(id) = id.filter(|_| self.ids) {
            let _ = write!(answer, " :{id}");
        }
        Some(checked(&answer))
    }
}

/// Adds the check and the end.
pub(super) fn checked(text: &str) -> String {
    let check = text.bytes().fold(0, |sum, byte| sum ^ byte);
    format!("{text}^{check:02X}\r")
}

pub(super) struct Bench {
    pub(super) line: RapiLine,
    pub(super) now: u64,
    pub(super) evse: Evse,
    pub(super) open: bool,
    /// Commands without check and id.
    pub(super) sent: Vec<(u64, String)>,
    pub(super) done: Vec<(u64, Result<(), DriveError>)>,
    pub(super) links: Vec<(u64, bool)>,
    pub(super) reports: Vec<FailsafeReport>,
    pub(super) observed: Vec<(u64, Observation)>,
    pub(super) log: String,
    pub(super) arriving: Vec<(u64, String)>,
}

impl Bench {
    pub(super) fn new(evse: Evse) -> Self {
        let setup = RapiSetup {
            poll: Duration::from_secs(2),
            least: MilliAmps::from_base(6),
            most: MilliAmps::from_base(80),
            timeout: Duration::from_secs(30),
            feed: Duration::from_secs(10),
            fallback: MilliAmps::from_base(6),
            fallback_detail: "falls to 6 A".into(),
            fallback_safe: true,
        };
        Self {
            line: RapiLine::new(setup),
            now: 0,
            evse,
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

    /// A device that is known, armed and leased for a day.
    pub(super) fn settled() -> Self {
        Self::settled_with(Evse::new())
    }

    pub(super) fn settled_with(evse: Evse) -> Self {
        let mut bench = Self::new(evse);
        bench.lease(86_400_000);
        bench.plug_in(true);
        bench.run_for(5_000);
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

    pub(super) fn plug_in(&mut self, open: bool) {
        self.open = open;
        self.arriving.clear();
        self.input(if open {
            StreamInput::PortBack
        } else {
            StreamInput::PortLost
        });
    }

    pub(super) fn lease(&mut self, ms: u64) {
        let until = Mono(self.now + ms);
        self.input(StreamInput::Lease { slot: 0, until });
    }

    pub(super) fn say(&mut self, text: &str) {
        self.input(StreamInput::Bytes(checked(text).into_bytes()));
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
            StreamEffect::Write(bytes) => {
                assert!(self.open, "nothing is written to a port that is not there");
                let line = String::from_utf8(bytes).expect("text");
                let end = line.strip_suffix('\r').expect("an end");
                assert!(end.len() <= 31, "{end} does not fit the buffer of the device");
                self.evse.pass(self.now);
                if let Some(answer) = self.evse.hear(self.now, end) {
                    self.arriving.push((self.now + ANSWER, answer));
                }
                let body = end
                    .trim_start_matches('$')
                    .split([':', '^'])
                    .next()
                    .unwrap_or_default();
                self.sent.push((self.now, body.trim_end().to_owned()));
            }
            StreamEffect::Observed {
                slot: 0,
                observations,
            } => {
                let now = self.now;
                self.observed
                    .extend(observations.into_iter().map(|said| (now, said)));
            }
            StreamEffect::Done { ticket, result, .. } => self.done.push((ticket, result)),
            StreamEffect::Link { slot: 0, up, .. } => self.links.push((self.now, up)),
            StreamEffect::Failsafe { slot: 0, report } => self.reports.push(report),
            other => panic!("not of this machine: {other:?}"),
        }
    }

    pub(super) fn run_for(&mut self, ms: u64) {
        let end = self.now + ms;
        loop {
            let deadline = self.line.next_deadline().map(|(at, _)| at.0);
            let arrival = self.arriving.iter().map(|(at, _)| *at).min();
            let next = [deadline, arrival].into_iter().flatten().min();
            let Some(at) = next.filter(|at| *at <= end) else {
                break;
            };
            self.now = at.max(self.now);
            let place = self.arriving.iter().position(|(at, _)| *at <= self.now);
            match place.map(|place| self.arriving.remove(place)) {
                Some((_, line)) => self.input(StreamInput::Bytes(line.into_bytes())),
                None => self.input(StreamInput::Tick),
            }
        }
        self.now = end;
        self.evse.pass(end);
    }

    pub(super) fn drive(&mut self, ticket: u64, command: DeviceCommand) {
        self.input(StreamInput::Drive {
            slot: 0,
            ticket,
            command,
            lowering: false,
        });
    }

    pub(super) fn limit(&mut self, ticket: u64, amps: i64) {
        self.drive(ticket, DeviceCommand::Limit(MilliAmps::from_base(amps)));
    }

    /// Commands other than polls.
    pub(super) fn orders(&self) -> Vec<&str> {
        let polls = ["GV", "GI", "GS", "GE", "GC", "GG", "GU", "GP", "GY", "SY"];
        self.sent
            .iter()
            .map(|(_, text)| text.as_str())
            .filter(|text| !polls.contains(text))
            .collect()
    }

    pub(super) fn times(&self, command: &str) -> Vec<u64> {
        self.sent
            .iter()
            .filter(|(_, text)| text == command)
            .map(|(at, _)| *at)
            .collect()
    }

    pub(super) fn vehicle(&self) -> Option<VehicleState> {
        self.observed.iter().rev().find_map(|(_, said)| match said {
            Observation::Vehicle { state, .. } => Some(*state),
            _ => None,
        })
    }

    pub(super) fn reading(&self, quantity: Quantity) -> Option<Reading> {
        self.observed.iter().rev().find_map(|(_, said)| match said {
            Observation::Reading(reading) if reading.quantity == quantity => Some(*reading),
            _ => None,
        })
    }

    pub(super) fn read_back(&self) -> Option<MilliAmps> {
        self.observed.iter().rev().find_map(|(_, said)| match said {
            Observation::LimitReadBack(amps) => Some(*amps),
            _ => None,
        })
    }
}
