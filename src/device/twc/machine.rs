//! The line: who speaks when.

use super::codec::{Deframer, Id, OWN, Said, Tell, encode, parse};
use super::unit::{Answer, Link, Unit};
use crate::device::{FailsafeReport, StreamDevice, StreamEffect, StreamInput, StreamMachine};
use crate::domain::{DeviceCommand, DriveError, MilliAmps, Mono, Now, Observation};
use std::collections::VecDeque;
use std::time::Duration;

/// Between two heartbeats of the round.
const BEAT: Duration = Duration::from_secs(1);
/// A unit is heard from at least this often, whatever another one is being told.
const STARVED: Duration = Duration::from_secs(4);
/// Wait for an answer. A frame takes 20 ms at 9,600 baud.
const ANSWER: Duration = Duration::from_millis(400);
/// Silence after an answer, for the noise byte that may follow it.
const TURN: Duration = Duration::from_millis(20);
/// A question is asked only when this is left before the next heartbeat.
const ROOM: Duration = Duration::from_millis(450);
/// The start-up sequence: so many of each half, this far apart.
const HELLOS: u8 = 5;
const HELLO_EVERY: Duration = Duration::from_millis(100);
/// A command that has to wait for its unit or the lease is given up after this.
const HOLD: Duration = Duration::from_secs(10);

/// One wall connector to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TwcUnit {
    /// Its two-byte id; `None`: the first unit that announces itself. With several units on a line each needs one.
    pub address: Option<[u8; 2]>,
    /// Most it may be told per phase, whatever it announces: a unit takes any value.
    pub most: MilliAmps,
    /// What it does when the gateway falls silent: built in, it cannot be set and not be read.
    pub failsafe: FailsafeReport,
}

impl TwcUnit {
    /// The id of a unit as it is written: four hexadecimal digits.
    #[must_use]
    pub fn address(text: &str) -> Option<[u8; 2]> {
        let digits = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = digits.then(|| u16::from_str_radix(text, 16).ok()).flatten()?;
        Some(id.to_be_bytes())
    }

    /// A device of a port. An address that is none is one no unit has: the gateway's own.
    #[must_use]
    pub fn of(device: &StreamDevice) -> Self {
        let (limits, watchdog) = (device.profile.limits(), device.profile.watchdog());
        let address = |text: &String| Self::address(text).unwrap_or(OWN.0);
        Self {
            address: device.setup.address.as_ref().map(address),
            most: limits.map_or(MilliAmps::ZERO, |limits| limits.max),
            failsafe: FailsafeReport {
                armed: watchdog.is_some(),
                timeout: watchdog.map(|watchdog| watchdog.timeout),
                fallback: watchdog.map(|watchdog| watchdog.failsafe),
                safe: watchdog.is_some_and(|watchdog| watchdog.fallback_safe),
                detail: watchdog.map_or_else(String::new, |watchdog| watchdog.fallback.clone()),
            },
        }
    }
}

/// What waits for an answer.
#[derive(Clone, Copy, Debug)]
struct Asked {
    slot: usize,
    tell: Tell,
    /// The limit a heartbeat stands for, 0.01 A.
    limit: u16,
    until: Mono,
}

/// The master of one line with up to three wall connectors.
#[derive(Clone, Debug)]
pub struct TwcLine {
    units: Vec<Unit>,
    deframer: Deframer,
    open: bool,
    hello: Option<(u8, Mono)>,
    asked: Option<Asked>,
    clear_at: Mono,
    beat_at: Mono,
    effects: VecDeque<StreamEffect>,
    wake: Option<(Mono, &'static str)>,
}

impl TwcLine {
    /// Units a line takes beside its master.
    pub const MOST: usize = 3;

    /// A master that does nothing before its port is open.
    #[must_use]
    pub fn new(units: &[TwcUnit]) -> Self {
        let unit = |unit: &TwcUnit| Unit::new(unit.address.map(Id), unit.most, unit.failsafe.clone());
        Self {
            units: units.iter().map(unit).collect(),
            deframer: Deframer::default(),
            open: false,
            hello: None,
            asked: None,
            clear_at: Mono(0),
            beat_at: Mono(0),
            effects: VecDeque::new(),
            wake: None,
        }
    }

    fn wake_at(&mut self, now: Mono, at: Mono, why: &'static str) {
        if at > now && self.wake.is_none_or(|(known, _)| at < known) {
            self.wake = Some((at, why));
        }
    }

    fn write(&mut self, tell: Tell) {
        self.effects.push_back(StreamEffect::Write(encode(tell)));
    }

    fn observed(&mut self, slot: usize, observations: Vec<Observation>) {
        if !observations.is_empty() {
            self.effects
                .push_back(StreamEffect::Observed { slot, observations });
        }
    }

    fn done(&mut self, slot: usize, tickets: Vec<u64>, result: &Result<(), DriveError>) {
        for ticket in tickets {
            let result = result.clone();
            self.effects
                .push_back(StreamEffect::Done { slot, ticket, result });
        }
    }

    /// Ends what waits for a unit to obey.
    fn finish(&mut self, slot: usize, result: &Result<(), DriveError>) {
        let tickets = self.units.get_mut(slot).map(|unit| unit.wanted.finish());
        self.done(slot, tickets.unwrap_or_default(), result);
    }

    fn drive(&mut self, now: Mono, slot: usize, ticket: u64, command: DeviceCommand, lowering: bool) {
        let Some(unit) = self.units.get_mut(slot) else {
            return self.done(slot, vec![ticket], &Err(DriveError::Unsupported));
        };
        match command {
            DeviceCommand::Unlock => return self.done(slot, vec![ticket], &Err(DriveError::Unsupported)),
            DeviceCommand::ArmWatchdog => {
                let result = match &unit.link {
                    Link::Down(cause) => Err(cause.clone()),
                    Link::Unknown | Link::Up => Ok(()),
                };
                let report = unit.failsafe.clone();
                if result.is_ok() {
                    self.effects.push_back(StreamEffect::Failsafe { slot, report });
                }
                return self.done(slot, vec![ticket], &result);
            }
            DeviceCommand::Limit(_) | DeviceCommand::Enable(_) | DeviceCommand::SafeState => {}
        }
        let older = unit.wanted.take(now, ticket, command, lowering, MilliAmps::ZERO);
        let lower = unit.is_lowering();
        if let Some(order) = &mut unit.wanted.order {
            order.urgent |= lower;
        }
        let urgent = unit.wanted.order.as_ref().is_some_and(|order| order.urgent);
        let cause = match &unit.link {
            // A stop is tried even on a unit that seems to be away.
            Link::Down(cause) if *cause == DriveError::PortLost || !urgent || unit.id.is_none() => {
                Some(cause.clone())
            }
            Link::Down(_) | Link::Up | Link::Unknown => None,
        };
        self.done(slot, older, &Err(DriveError::Superseded));
        if let Some(cause) = cause {
            self.finish(slot, &Err(cause));
        }
    }

    fn said(&mut self, now: Mono, said: Said) {
        let (Said::LinkReady { id, .. }
        | Said::Heartbeat { id, .. }
        | Said::Energy { id, .. }
        | Said::Vin { id, .. }
        | Said::Switched { id, .. }) = said;
        if let Said::LinkReady { most, version, .. } = said {
            if id == OWN {
                // It has our id: told once more, it takes another.
                self.hello = Some((0, now));
            } else if let Some(slot) = self.place(id) {
                let facts = self.units[slot].announced(now, id, most, version);
                self.beat_at = self.beat_at.min(now);
                self.up(slot);
                self.observed(slot, facts);
            }
            return;
        }
        let Some(slot) = self.units.iter().position(|unit| unit.id == Some(id)) else {
            return;
        };
        let asked = self
            .asked
            .filter(|asked| asked.slot == slot && answers(asked.tell, said));
        if asked.is_some() {
            self.asked = None;
            self.clear_at = now.plus(TURN);
        }
        if let Said::Heartbeat { master, .. } = said {
            if master == OWN {
                self.heartbeat(now, slot, said, asked.map(|asked| asked.limit));
            }
        } else {
            let observations = self.units[slot].told(now, said);
            self.observed(slot, observations);
        }
    }

    fn heartbeat(&mut self, now: Mono, slot: usize, said: Said, sent: Option<u16>) {
        if let Some(Answer { said, end }) = self.units[slot].answered(now, said, sent) {
            self.up(slot);
            self.observed(slot, said);
            if let Some(end) = end {
                self.finish(slot, &end);
            }
        }
    }

    /// The slot of a unit that announces itself: its own, or the one that takes any and has none.
    fn place(&self, id: Id) -> Option<usize> {
        let own = |unit: &Unit| unit.address == Some(id) || (unit.address.is_none() && unit.id == Some(id));
        let free = |unit: &Unit| unit.address.is_none() && (unit.id.is_none() || !unit.present);
        self.units
            .iter()
            .position(own)
            .or_else(|| self.units.iter().position(free))
    }

    fn up(&mut self, slot: usize) {
        let unit = &mut self.units[slot];
        if unit.link == Link::Up {
            return;
        }
        unit.link = Link::Up;
        let report = unit.failsafe.clone();
        self.effects.push_back(StreamEffect::Link {
            slot,
            up: true,
            cause: None,
        });
        self.effects.push_back(StreamEffect::Failsafe { slot, report });
    }

    fn missed(&mut self, now: Mono, asked: Asked) {
        let Some(unit) = self.units.get_mut(asked.slot) else {
            return;
        };
        if !matches!(asked.tell, Tell::Heartbeat { .. }) {
            return unit.unanswered(now, asked.tell);
        }
        let (given_up, away) = unit.missed(now, ANSWER);
        let slot = asked.slot;
        if let Some(cause) = away {
            self.finish(slot, &Err(cause.clone()));
            let cause = Some(cause);
            self.effects.push_back(StreamEffect::Link {
                slot,
                up: false,
                cause,
            });
        } else if let Some(cause) = given_up {
            self.finish(slot, &Err(cause));
        }
    }

    fn port_lost(&mut self) {
        self.open = false;
        self.deframer.reset();
        (self.asked, self.hello) = (None, None);
        for slot in 0..self.units.len() {
            self.finish(slot, &Err(DriveError::PortLost));
            if self.units[slot].port_lost() {
                let cause = Some(DriveError::PortLost);
                self.effects.push_back(StreamEffect::Link {
                    slot,
                    up: false,
                    cause,
                });
            }
        }
    }

    fn pump(&mut self, now: Mono) {
        loop {
            self.wake = None;
            if !self.step(now) {
                return;
            }
        }
    }

    /// One thing that can be done now; whether there was one.
    fn step(&mut self, now: Mono) -> bool {
        self.keep_time(now);
        if !self.open {
            return false;
        }
        if let Some(asked) = self.asked {
            if now < asked.until {
                self.wake_at(now, asked.until, "an answer");
                return false;
            }
            self.asked = None;
            self.missed(now, asked);
            return true;
        }
        if now < self.clear_at {
            self.wake_at(now, self.clear_at, "silence after an answer");
            return false;
        }
        if let Some(slot) = self.urgent(now) {
            self.beat(now, slot);
            return true;
        }
        if let Some((sent, at)) = self.hello {
            return self.say_hello(now, sent, at);
        }
        self.wake_at(now, self.beat_at, "a heartbeat");
        if now >= self.beat_at
            && let Some(slot) = self.turn(now)
        {
            self.beat_at = now.plus(BEAT);
            self.beat(now, slot);
            return true;
        }
        self.question(now)
    }

    /// Limits that may be raised now, commands that have waited for too long.
    fn keep_time(&mut self, now: Mono) {
        for slot in 0..self.units.len() {
            let unit = &mut self.units[slot];
            let raise = unit.settle(now);
            let held = !(unit.present && unit.is_leased(now));
            let order = unit
                .wanted
                .order
                .as_ref()
                .filter(|order| held && (!order.urgent || unit.id.is_none()));
            let until = order.map(|order| order.since.plus(HOLD));
            if until.is_some_and(|until| now >= until) {
                self.finish(slot, &Err(DriveError::Timeout(HOLD)));
            } else if let Some(until) = until {
                self.wake_at(now, until, "a command that is held");
            }
            if let Some(at) = raise {
                self.wake_at(now, at, "a limit is raised");
            }
        }
    }

    /// A unit that is to stop or lower: told at once, then once a beat, lease or not.
    fn urgent(&mut self, now: Mono) -> Option<usize> {
        let mut again = Vec::new();
        let mut due = None;
        for (slot, unit) in self.units.iter().enumerate() {
            let Some(order) = unit
                .wanted
                .order
                .as_ref()
                .filter(|order| order.urgent && unit.id.is_some())
            else {
                continue;
            };
            let from = order
                .told
                .and(unit.beaten)
                .map_or(now, |beaten| beaten.plus(BEAT));
            if now < from {
                again.push(from);
            } else if due.is_none() {
                due = Some(slot);
            }
        }
        for at in again {
            self.wake_at(now, at, "a stop is said again");
        }
        due
    }

    /// Whose turn it is in the round.
    fn turn(&self, now: Mono) -> Option<usize> {
        let takes_part = |unit: &Unit| unit.present && unit.id.is_some() && unit.is_leased(now);
        let round: Vec<(usize, &Unit)> = self
            .units
            .iter()
            .enumerate()
            .filter(|(_, unit)| takes_part(unit))
            .collect();
        let starved = |unit: &Unit| unit.beaten.is_none_or(|at| now.since(at) >= STARVED);
        let key = |unit: &Unit| (!starved(unit), unit.wanted.order.is_none(), unit.beaten);
        round
            .into_iter()
            .min_by_key(|(_, unit)| key(unit))
            .map(|(slot, _)| slot)
    }

    fn beat(&mut self, now: Mono, slot: usize) {
        if let Some((tell, limit)) = self.units[slot].beat(now) {
            self.ask(now, slot, tell, limit);
        }
    }

    fn ask(&mut self, now: Mono, slot: usize, tell: Tell, limit: u16) {
        self.write(tell);
        let until = now.plus(ANSWER);
        self.asked = Some(Asked {
            slot,
            tell,
            limit,
            until,
        });
    }

    fn say_hello(&mut self, now: Mono, sent: u8, at: Mono) -> bool {
        if now < at {
            self.wake_at(now, at, "the start-up sequence");
            return false;
        }
        self.write(if sent < HELLOS {
            Tell::LinkReady1
        } else {
            Tell::LinkReady2
        });
        self.hello = (sent + 1 < 2 * HELLOS).then(|| (sent + 1, now.plus(HELLO_EVERY)));
        true
    }

    /// Asks what can wait for the time between two heartbeats.
    fn question(&mut self, now: Mono) -> bool {
        if now < self.beat_at && self.beat_at.since(now) < ROOM {
            return false;
        }
        for slot in 0..self.units.len() {
            let unit = &mut self.units[slot];
            if unit.is_leased(now)
                && let Some(tell) = unit.question(now)
            {
                self.ask(now, slot, tell, 0);
                return true;
            }
        }
        false
    }
}

fn answers(tell: Tell, said: Said) -> bool {
    match (tell, said) {
        (Tell::Heartbeat { .. }, Said::Heartbeat { .. }) | (Tell::Energy(_), Said::Energy { .. }) => true,
        (Tell::Vin(_, asked), Said::Vin { part, .. }) => asked == part,
        (Tell::Start(_), Said::Switched { on, .. }) => on,
        (Tell::Stop(_), Said::Switched { on, .. }) => !on,
        _ => false,
    }
}

impl StreamMachine for TwcLine {
    fn handle(&mut self, now: Now, input: StreamInput) {
        let now = now.mono;
        match input {
            StreamInput::Bytes(bytes) => {
                for byte in bytes {
                    let said = self.deframer.push(now, byte).and_then(|frame| parse(&frame));
                    if let Some(said) = said.filter(|_| self.open) {
                        self.said(now, said);
                    }
                }
            }
            StreamInput::Drive {
                slot,
                ticket,
                command,
                lowering,
            } => self.drive(now, slot, ticket, command, lowering),
            StreamInput::Lease { slot, until } => {
                if let Some(unit) = self.units.get_mut(slot) {
                    unit.lease = until;
                    if unit.beaten.is_none() {
                        self.beat_at = self.beat_at.min(now);
                    }
                }
            }
            StreamInput::PortLost => self.port_lost(),
            StreamInput::PortBack => {
                self.open = true;
                self.hello = Some((0, now));
                self.units.iter_mut().for_each(|unit| unit.port_back(now));
            }
            StreamInput::Tick => {}
        }
        self.pump(now);
    }

    fn poll(&mut self) -> Option<StreamEffect> {
        self.effects.pop_front()
    }

    fn next_deadline(&self) -> Option<(Mono, &'static str)> {
        self.wake
    }
}
