//! The line to one OpenEVSE: one command at a time, its answer told apart by its id.

use super::ask::{Ask, Table};
use super::codec::{Liner, encode};
use super::energy::Register;
use super::guard::Guard;
use super::job::{Job, Want};
use super::setup::RapiSetup;
use super::values::State;
use crate::device::driver::link::{Change, Link};
use crate::device::wanted::{Bounds, Wanted};
use crate::device::{StreamEffect, StreamInput, StreamMachine};
use crate::domain::{DeviceCommand, DriveError, MilliAmps, Mono, Now, Observation};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// Wait for an answer.
pub(in crate::device) const ANSWER: Duration = Duration::from_millis(500);
/// A command that has to wait for the lease, or for the device to be known, is given up after this.
const HOLD: Duration = Duration::from_secs(10);
/// Without these nothing is offered.
const NEEDED: [Ask; 3] = [Ask::Version, Ask::Range, Ask::State];

/// Whose answer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The steps of this number.
    Job(u64),
    Guard,
    Poll,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) ask: Ask,
    pub(super) why: Why,
    pub(super) id: u8,
    pub(super) until: Mono,
    /// It is sent once more when it is not answered.
    pub(super) again: bool,
}

/// What became of the wanted current.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing said, or on its way.
    Open,
    /// In force; looks in a row that showed something else.
    InForce { disputes: u8 },
    /// The steps failed; whether looks have shown so too.
    Failed { disputed: bool },
}

/// The machine of one OpenEVSE.
#[derive(Clone, Debug)]
pub struct RapiLine {
    pub(super) setup: RapiSetup,
    pub(super) liner: Liner,
    pub(super) open: bool,
    pub(super) link: Link,
    pub(super) learned: BTreeSet<Ask>,
    pub(super) asked: Option<Asked>,
    pub(super) repeats_ids: Option<bool>,
    pub(super) last_id: u8,
    pub(super) late_until: Mono,
    pub(super) table: Table,
    pub(super) state: Option<State>,
    pub(super) amps: Option<u16>,
    pub(super) range: Option<(u16, u16)>,
    pub(super) register: Register,
    pub(super) wanted: Wanted,
    pub(super) job: Option<Job>,
    pub(super) jobs: u64,
    pub(super) standing: Standing,
    /// It was put to sleep, and nothing was heard of its state since.
    pub(super) slept: bool,
    /// The most it may be offering by what it was told.
    pub(super) in_force: Option<u16>,
    /// What it made of the last limit.
    pub(super) granted: Option<u16>,
    pub(super) guard: Guard,
    pub(super) effects: VecDeque<StreamEffect>,
    pub(super) wake: Option<(Mono, &'static str)>,
}

impl RapiLine {
    /// A machine that does nothing before its port is open.
    #[must_use]
    pub fn new(setup: RapiSetup) -> Self {
        Self {
            guard: Guard::new(setup.timeout, setup.fallback, setup.feed),
            table: Table::new(setup.poll, Mono(0)),
            setup,
            liner: Liner::default(),
            open: false,
            link: Link::Unknown { failures: 0 },
            learned: BTreeSet::new(),
            asked: None,
            repeats_ids: None,
            last_id: 0,
            late_until: Mono(0),
            state: None,
            amps: None,
            range: None,
            register: Register::default(),
            wanted: Wanted::default(),
            job: None,
            jobs: 0,
            standing: Standing::Open,
            slept: false,
            in_force: None,
            granted: None,
            effects: VecDeque::new(),
            wake: None,
        }
    }

    fn wake_at(&mut self, now: Mono, at: Mono, why: &'static str) {
        if at > now && self.wake.is_none_or(|(known, _)| at < known) {
            self.wake = Some((at, why));
        }
    }

    pub(super) fn observed(&mut self, observations: Vec<Observation>) {
        if !observations.is_empty() {
            self.effects.push_back(StreamEffect::Observed {
                slot: 0,
                observations,
            });
        }
    }

    pub(super) fn done(&mut self, slot: usize, tickets: Vec<u64>, result: &Result<(), DriveError>) {
        for ticket in tickets {
            let result = result.clone();
            self.effects
                .push_back(StreamEffect::Done { slot, ticket, result });
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        NEEDED.iter().all(|ask| self.learned.contains(ask))
    }

    fn bounds(&self) -> Bounds {
        let whole = |amps: u16| MilliAmps::from_base(i64::from(amps));
        let (least, most) = self
            .range
            .map_or((self.setup.least, self.setup.most), |(least, most)| {
                (
                    whole(least).max(self.setup.least),
                    whole(most).min(self.setup.most),
                )
            });
        Bounds { least, most }
    }

    /// What the device and its cable allow.
    pub(super) fn set_range(&mut self, least: u16, most: u16) {
        self.range = Some((least, most));
    }

    /// What it is to offer, ampere; `None`: nobody has said anything yet.
    pub(super) fn target(&self) -> Option<u16> {
        let fit = self.bounds().fit(self.wanted.offered()?);
        Some(u16::try_from(fit.base()).unwrap_or(0))
    }

    fn drive(&mut self, now: Mono, ticket: u64, command: DeviceCommand, lowering: bool) {
        match command {
            DeviceCommand::Unlock | DeviceCommand::Phases(_) => {
                return self.done(0, vec![ticket], &Err(DriveError::Unsupported));
            }
            DeviceCommand::ArmWatchdog => return self.arm_on_demand(now, ticket),
            DeviceCommand::Limit(_) | DeviceCommand::Enable(_) | DeviceCommand::SafeState => {}
        }
        let older = self
            .wanted
            .take(now, ticket, command, lowering, self.setup.fallback);
        self.done(0, older, &Err(DriveError::Superseded));
        let lower = self
            .target()
            .zip(self.in_force)
            .is_some_and(|(target, most)| target <= most);
        if let Some(order) = &mut self.wanted.order {
            order.urgent |= lower || self.job.as_ref().is_some_and(|job| job.urgent && lowering);
        }
        self.job = None;
        self.standing = Standing::Open;
        if self.wanted.offered().is_none() {
            // Allowed, but no current was named yet: the limit will decide.
            let tickets = self.wanted.finish();
            return self.done(0, tickets, &Ok(()));
        }
        let urgent = self.wanted.order.as_ref().is_some_and(|order| order.urgent);
        // A stop is tried even on a device that seems to be away.
        if let Some(cause) = self
            .link
            .outage()
            .filter(|_| self.link == Link::NoPort || !urgent)
        {
            self.end(now, &Err(cause));
        }
    }

    fn arm_on_demand(&mut self, now: Mono, ticket: u64) {
        if let Some(cause) = self.link.outage() {
            return self.done(0, vec![ticket], &Err(cause));
        }
        let older = std::mem::replace(&mut self.guard.tickets, vec![ticket]);
        self.done(0, older, &Err(DriveError::Superseded));
        self.guard.arm(now);
    }

    /// Begins the steps to what is wanted.
    pub(super) fn begin(&mut self) {
        let Some(amps) = self.target() else { return };
        let least = self.range.map_or(6, |(least, _)| least);
        let urgent = amps == 0 || self.wanted.order.as_ref().is_some_and(|order| order.urgent);
        self.jobs += 1;
        let awake = self.state.filter(|_| !self.slept);
        self.job = Some(Job::new(amps, least, awake, urgent));
        self.standing = Standing::Open;
        self.granted = None;
        self.in_force = self.in_force.map(|most| most.max(amps));
    }

    /// Tells it again what it was told, of our own accord.
    pub(super) fn restore(&mut self) {
        if self.job.is_none() && self.wanted.order.is_none() {
            self.begin();
        }
    }

    /// The steps, or the command that waited to begin them, are over.
    pub(super) fn end(&mut self, now: Mono, result: &Result<(), DriveError>) {
        let own = self.wanted.order.is_none();
        self.job = None;
        self.standing = match result {
            Ok(()) => {
                self.in_force = self.target();
                Standing::InForce {
                    disputes: u8::from(own),
                }
            }
            Err(error) => {
                self.in_force = None;
                let disputed = own && matches!(error, DriveError::NotObeyed { .. });
                Standing::Failed { disputed }
            }
        };
        let tickets = self.wanted.finish();
        self.done(0, tickets, result);
        self.table.at(Ask::Settings, now);
    }

    /// Compares what the device shows with what it was told; one that differs is told again once.
    pub(super) fn compare(&mut self) {
        let (Some(target), Some(state), None, None) =
            (self.target(), self.state, &self.job, &self.wanted.order)
        else {
            return;
        };
        let expected = self.granted.unwrap_or(target);
        let holds = if target == 0 {
            state.is_dead()
        } else {
            !state.is_off() && self.amps.is_none_or(|amps| amps == expected)
        };
        match (&mut self.standing, holds) {
            (Standing::Open, _) => {}
            (standing, true) => {
                *standing = Standing::InForce { disputes: 0 };
                self.in_force = Some(target);
            }
            (Standing::InForce { disputes }, false) => {
                *disputes = disputes.saturating_add(1);
                let first = *disputes == 1;
                self.in_force = None;
                if first {
                    self.restore();
                }
            }
            (Standing::Failed { disputed }, false) => {
                if !std::mem::replace(disputed, true) {
                    self.restore();
                }
            }
        }
    }

    /// What the device offers by its own word, while nothing is on its way.
    pub(super) fn shown(&self) -> Option<MilliAmps> {
        let (state, amps) = (self.state?, self.amps?);
        if self.job.is_some() || self.wanted.order.is_some() {
            return None;
        }
        Some(if state.is_off() {
            MilliAmps::ZERO
        } else {
            MilliAmps::from_base(i64::from(amps))
        })
    }

    /// A new state, polled or announced.
    pub(super) fn new_state(&mut self, now: Mono, state: State) {
        let before = self.state.replace(state);
        self.slept = false;
        if before.is_none_or(|before| before.is_connected() != state.is_connected()) {
            // The cable may allow less than the device.
            self.table.at(Ask::Range, now);
        }
        if let Some(vehicle) = state.vehicle() {
            let raw = u64::from(state.evse);
            self.observed(vec![Observation::Vehicle { state: vehicle, raw }]);
        }
    }

    pub(super) fn send(&mut self, now: Mono, ask: Ask, why: Why, again: bool) {
        self.slept |= ask == Ask::Sleep;
        self.last_id = if self.last_id == u8::MAX {
            1
        } else {
            self.last_id + 1
        };
        let id = Some(self.last_id).filter(|_| self.repeats_ids != Some(false));
        self.effects
            .push_back(StreamEffect::Write(encode(&ask.text(), id)));
        self.asked = Some(Asked {
            ask,
            why,
            id: self.last_id,
            until: now.plus(ANSWER),
            again,
        });
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
        let leased = self.guard.is_leased(now);
        if self.give_up(now, leased) {
            return true;
        }
        if !self.open || self.link == Link::NoPort {
            return false;
        }
        if let Some(asked) = self.asked {
            if now < asked.until {
                self.wake_at(now, asked.until, "an answer");
                return false;
            }
            self.failed(now, asked, &DriveError::Timeout(ANSWER));
            return true;
        }
        if now < self.late_until && self.repeats_ids == Some(false) {
            self.wake_at(now, self.late_until, "late answers");
            return false;
        }
        self.work(now, leased) || (leased && self.watch(now)) || self.ask_next(now)
    }

    /// Answers commands that had to wait for too long.
    fn give_up(&mut self, now: Mono, leased: bool) -> bool {
        let held = !(leased && self.is_settled());
        let order = self.wanted.order.as_ref().filter(|order| held && !order.urgent);
        let until = order.map(|order| order.since.plus(HOLD));
        match until {
            Some(until) if now >= until => {
                self.end(now, &Err(DriveError::Timeout(HOLD)));
                return true;
            }
            Some(until) => self.wake_at(now, until, "a command that is held"),
            None => {}
        }
        false
    }

    /// The current.
    fn work(&mut self, now: Mono, leased: bool) -> bool {
        if self.job.is_none() {
            let ready = self
                .wanted
                .order
                .as_ref()
                .is_some_and(|order| order.urgent || (leased && self.is_settled()));
            if !ready {
                return false;
            }
            self.begin();
        }
        let Some(job) = self
            .job
            .as_ref()
            .filter(|job| job.urgent || (leased && self.is_settled()))
        else {
            return false;
        };
        match job.want(now) {
            Want::Nothing => self.end(now, &Ok(())),
            Want::Wait(at) => {
                self.wake_at(now, at, "the state follows");
                return false;
            }
            Want::Send(ask, again) => {
                let again = again && self.link.outage().is_none();
                self.send(now, ask, Why::Job(self.jobs), again);
            }
        }
        true
    }

    /// Supervision: set, looked at, fed.
    fn watch(&mut self, now: Mono) -> bool {
        if !self.is_settled() || self.link.outage().is_some() {
            return false;
        }
        match self.guard.due(now) {
            Ok(ask) => {
                self.send(now, ask, Why::Guard, false);
                true
            }
            Err(at) => {
                self.wake_at(now, at, "supervision");
                false
            }
        }
    }

    /// Polls and probes.
    fn ask_next(&mut self, now: Mono) -> bool {
        let next = match &self.link {
            Link::NoPort => None,
            Link::Down { probe_at, .. } => Some((Ask::State, *probe_at)),
            Link::Unknown { .. } | Link::Up { .. } => self.table.next(),
        };
        let Some((ask, at)) = next else { return false };
        if now < at {
            self.wake_at(now, at, "a poll");
            return false;
        }
        self.send(now, ask, Why::Poll, false);
        true
    }
}

impl StreamMachine for RapiLine {
    fn handle(&mut self, now: Now, input: StreamInput) {
        let now = now.mono;
        match input {
            StreamInput::Bytes(bytes) => {
                for byte in bytes {
                    let line = self.liner.push(byte).filter(|_| self.open);
                    if let Some(line) = line {
                        self.line(now, line);
                    }
                }
            }
            StreamInput::Drive {
                slot: 0,
                ticket,
                command,
                lowering,
            } => self.drive(now, ticket, command, lowering),
            StreamInput::Drive { slot, ticket, .. } => {
                self.done(slot, vec![ticket], &Err(DriveError::Unsupported));
            }
            StreamInput::Lease { slot: 0, until } => {
                if self.guard.lease(now, until) && self.is_settled() {
                    // It has been left alone and may have fallen back.
                    self.in_force = None;
                    self.guard.arm(now);
                    self.restore();
                }
            }
            StreamInput::Lease { .. } | StreamInput::Tick => {}
            StreamInput::PortLost => {
                self.open = false;
                self.liner.reset();
                self.asked = None;
                if let Some(Change::Down(cause)) = self.link.port_lost() {
                    self.went_down(now, &cause);
                }
            }
            StreamInput::PortBack => {
                self.open = true;
                self.link.port_back(now);
            }
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
