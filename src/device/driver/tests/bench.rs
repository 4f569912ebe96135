//! A bench for one driver: answers its requests from a register map, in the order a bus would, under simulated time.

use super::super::{Driver, Effect, FailsafeReport, Input, Request};
use super::maps::POWER_ON;
use crate::device::{LinkCost, Pdu, Profile, Reply};
use crate::domain::{
    DeviceCommand, DeviceId, DeviceSetup, DriveError, MilliAmps, Mono, Now, Observation, Priority,
};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_millis(500);

/// How the device behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// Answers.
    Well,
    /// Is switched off.
    Off,
    /// Confirms writes of this register and does nothing.
    Deaf(u16),
    /// Refuses writes of this register.
    Refusing(u16),
}

pub(super) struct Bench {
    pub(super) driver: Driver,
    pub(super) now: u64,
    pub(super) registers: BTreeMap<u16, u16>,
    pub(super) mood: Mood,
    /// Registers that are not there are refused instead of being zero.
    pub(super) strict: bool,
    /// Addresses answered with an exception.
    pub(super) exceptions: BTreeMap<u16, u8>,
    /// Milliseconds a request takes.
    pub(super) wire_ms: u64,
    /// Whether requests are answered by the bench itself.
    pub(super) answering: bool,
    pub(super) queue: Vec<Request>,
    /// What went over the wire: when, class, request.
    pub(super) sent: Vec<(u64, Priority, Pdu)>,
    pub(super) done: Vec<(u64, Result<(), DriveError>)>,
    pub(super) links: Vec<(u64, bool)>,
    pub(super) reports: Vec<FailsafeReport>,
    pub(super) observed: Vec<Observation>,
    pub(super) log: String,
    failures: VecDeque<DriveError>,
}

pub(super) fn setup() -> DeviceSetup {
    DeviceSetup {
        id: DeviceId::new("wallbox"),
        profile: "made-up".into(),
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
    }
}

impl Bench {
    pub(super) fn new(profile: Arc<Profile>) -> Self {
        Self::with(profile, &setup(), 1)
    }

    pub(super) fn with(profile: Arc<Profile>, setup: &DeviceSetup, seed: u64) -> Self {
        let cost = LinkCost {
            char_us: 1_042,
            silence_us: 4_000,
            think_us: 10_000,
        };
        Self {
            driver: Driver::new(profile, setup, cost, seed),
            now: 0,
            registers: POWER_ON.into(),
            mood: Mood::Well,
            strict: false,
            exceptions: BTreeMap::new(),
            wire_ms: 20,
            answering: true,
            queue: Vec::new(),
            sent: Vec::new(),
            done: Vec::new(),
            links: Vec::new(),
            reports: Vec::new(),
            observed: Vec::new(),
            log: String::new(),
            failures: VecDeque::new(),
        }
    }

    /// A driver that has just settled, leased for a day.
    pub(super) fn settled(profile: Arc<Profile>) -> Self {
        let mut bench = Self::new(profile);
        bench.input(Input::Lease {
            until: Mono(86_400_000),
        });
        bench.run_for(20_000);
        bench.forget();
        bench
    }

    /// Forgets what was recorded so far.
    pub(super) fn forget(&mut self) {
        self.sent.clear();
        self.done.clear();
        self.links.clear();
        self.reports.clear();
        self.observed.clear();
    }

    /// Ends all faults.
    pub(super) fn heal(&mut self) {
        self.failures.clear();
        self.mood = Mood::Well;
    }

    pub(super) fn fail_next(&mut self, errors: impl IntoIterator<Item = DriveError>) {
        self.failures.extend(errors);
    }

    pub(super) fn input(&mut self, input: Input) {
        let _ = writeln!(self.log, "{} <- {input:?}", self.now);
        let now = Now {
            mono: Mono(self.now),
            ..Now::default()
        };
        self.driver.handle(now, input);
        while let Some(effect) = self.driver.poll() {
            self.take(effect);
        }
        if let Some((at, why)) = self.driver.next_deadline() {
            // A deadline that has passed would make the shell spin.
            assert!(
                at.0 > self.now,
                "the deadline `{why}` at {} has passed at {}",
                at.0,
                self.now
            );
        }
    }

    fn take(&mut self, effect: Effect) {
        let _ = writeln!(self.log, "{} -> {effect:?}", self.now);
        match effect {
            Effect::Request(request) => {
                let class = request.priority;
                assert!(
                    !self.queue.iter().any(|r| r.priority == class),
                    "two requests of class {class:?}"
                );
                self.queue.push(request);
            }
            Effect::Cancel(id) => {
                let before = self.queue.len();
                self.queue.retain(|request| request.id != id);
                assert_eq!(
                    self.queue.len() + 1,
                    before,
                    "only what is outstanding is cancelled"
                );
            }
            Effect::Observed(observations) => self.observed.extend(observations),
            Effect::Done { ticket, result } => self.done.push((ticket, result)),
            Effect::Link { up, .. } => self.links.push((self.now, up)),
            Effect::Failsafe(report) => self.reports.push(report),
        }
    }

    /// Sends the most urgent request and delivers its answer.
    pub(super) fn answer_one(&mut self) -> bool {
        let Some(place) = (0..self.queue.len()).min_by_key(|i| (self.queue[*i].priority, self.queue[*i].due))
        else {
            return false;
        };
        let request = self.queue.remove(place);
        self.sent.push((self.now, request.priority, request.pdu.clone()));
        let result = self.result(&request.pdu);
        let silent = matches!(result, Err(DriveError::Timeout(_)));
        self.now += if silent { 500 } else { self.wire_ms };
        self.input(Input::Replied {
            id: request.id,
            result,
        });
        true
    }

    fn result(&mut self, pdu: &Pdu) -> Result<Reply, DriveError> {
        if self.mood == Mood::Off {
            return Err(DriveError::Timeout(TIMEOUT));
        }
        if let Some(error) = self.failures.pop_front() {
            return Err(error);
        }
        match pdu {
            Pdu::Read { addr, count, .. } => {
                let range = *addr..*addr + *count;
                if let Some((_, code)) = self.exceptions.range(range.clone()).next() {
                    return Err(DriveError::Exception(*code));
                }
                if self.strict && !range.clone().all(|at| self.registers.contains_key(&at)) {
                    return Err(DriveError::Exception(2));
                }
                Ok(Reply::Registers(
                    range
                        .map(|at| self.registers.get(&at).copied().unwrap_or(0))
                        .collect(),
                ))
            }
            Pdu::WriteSingle { addr, .. } if self.mood == Mood::Refusing(*addr) => {
                Err(DriveError::Exception(4))
            }
            Pdu::WriteSingle { addr, value } => {
                if self.mood != Mood::Deaf(*addr) {
                    self.registers.insert(*addr, *value);
                }
                Ok(Reply::Written)
            }
            Pdu::WriteMulti { .. } | Pdu::WriteCoil { .. } | Pdu::WriteCoils { .. } => {
                Err(DriveError::Exception(1))
            }
        }
    }

    /// Lets time pass; deadlines are kept and, unless told otherwise, requests answered.
    pub(super) fn run_for(&mut self, ms: u64) {
        let end = self.now + ms;
        if self.driver.next_deadline() == Some((Mono(0), "start")) {
            self.input(Input::Tick);
        }
        loop {
            while self.answering && self.now < end && self.answer_one() {}
            let due = self
                .driver
                .next_deadline()
                .map(|(at, _)| at.0)
                .filter(|at| *at <= end);
            let Some(at) = due else { break };
            self.now = at.max(self.now);
            self.input(Input::Tick);
        }
        self.now = self.now.max(end);
    }

    pub(super) fn drive(&mut self, ticket: u64, command: DeviceCommand) {
        self.input(Input::Drive {
            ticket,
            command,
            lowering: false,
        });
    }

    pub(super) fn limit(&mut self, ticket: u64, amps: i64) {
        self.drive(ticket, DeviceCommand::Limit(MilliAmps::from_base(amps)));
    }

    /// Values written to a register, with their times.
    pub(super) fn writes(&self, register: u16) -> Vec<(u64, u16)> {
        let of = |(at, _, pdu): &(u64, Priority, Pdu)| match pdu {
            Pdu::WriteSingle { addr, value } if *addr == register => Some((*at, *value)),
            _ => None,
        };
        self.sent.iter().filter_map(of).collect()
    }

    /// Times at which a register was read.
    pub(super) fn reads(&self, register: u16) -> Vec<u64> {
        let of = |(at, _, pdu): &(u64, Priority, Pdu)| match pdu {
            Pdu::Read { addr, count, .. } if (*addr..*addr + *count).contains(&register) => Some(*at),
            _ => None,
        };
        self.sent.iter().filter_map(of).collect()
    }
}
