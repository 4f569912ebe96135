//! The machine of one device on GPIO lines.
//!
//! Rules:
//! * Released means open: the relay starts open, and opens on the end of the lease, on a fault, on the emergency
//!   stop and when the gateway leaves.
//! * A stop (no current, not enabled, safe state) opens at once. A limit that is not zero but less than the wallbox
//!   offers is a pause and waits for the shortest time on; closing always waits for the shortest time off.
//! * The gateway is the watchdog: the relay is closed only under a lease (S6).
//! * A contactor that does not follow its coil within two seconds is a fault: welded as long as its mirror contact
//!   says so, stuck for a minute, then it is tried again.
//! * A command is answered when the contactor stands as it asked, did not follow, or is lost with its lines; one to
//!   close waits as long as something above bars that. A newer one of its kind takes its place.
//!
//! ```text
//!              | open                               | closed
//!  no vehicle  | Absent                             | Absent (the station stops it)
//!  vehicle     | Connected; Waiting if it asks      | Charging if current flows (contact, pulses, or assumed), else Ready
//! ```

use super::counter::Counter;
use super::relay::{Followed, Relay, Wish};
use super::{Edge, GpioEffect, GpioInput};
use crate::device::FailsafeReport;
use crate::domain::{
    DeviceCommand, DeviceFault, DriveError, FaultKind, GpioDevice, GpioSignal, MilliAmps, Mono, Now,
    Observation, VehicleState,
};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A contactor that did not close is left alone for so long.
const STUCK_FOR: Duration = Duration::from_secs(60);
/// By the pulses, a vehicle charges above this power, milliwatt.
const CHARGES_ABOVE: i64 = 100_000;

/// The sans-IO machine of one device on GPIO lines; see the [module](self).
#[derive(Clone, Debug)]
pub struct GpioMachine {
    device: GpioDevice,
    every: Duration,
    levels: BTreeMap<GpioSignal, bool>,
    up: Option<bool>,
    relay: Option<Relay>,
    counter: Option<Counter>,
    limit: MilliAmps,
    enabled: bool,
    leased: Mono,
    leaving: bool,
    stuck_until: Option<Mono>,
    welded: bool,
    waiting: Vec<Waiting>,
    look_at: Mono,
    reported: bool,
    effects: VecDeque<GpioEffect>,
}

/// A command that is not carried out yet.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    ticket: u64,
    switch: bool,
}

/// A device for the status page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GpioSnapshot {
    /// Whether the lines are there.
    pub up: bool,
    /// Position of the relay.
    pub closed: Option<bool>,
    /// Levels of the inputs.
    pub levels: BTreeMap<GpioSignal, bool>,
    /// Pulses in the life of the device.
    pub pulses: Option<u64>,
    /// Edges the kernel dropped in this run.
    pub lost_edges: u64,
}

impl GpioMachine {
    /// A device whose lines are not taken yet; it says what it knows so often, and whenever that changes.
    #[must_use]
    pub fn new(device: GpioDevice, every: Duration) -> Self {
        Self {
            relay: device.relay.map(Relay::new),
            counter: device.pulses.map(Counter::new),
            device,
            every,
            levels: BTreeMap::new(),
            up: None,
            limit: MilliAmps::ZERO,
            enabled: false,
            leased: Mono(0),
            leaving: false,
            stuck_until: None,
            welded: false,
            waiting: Vec::new(),
            look_at: Mono(0),
            reported: false,
            effects: VecDeque::new(),
        }
    }

    /// Takes an input.
    pub fn handle(&mut self, now: Now, input: GpioInput) {
        let now = now.mono;
        let mut changed = false;
        match input {
            GpioInput::LinesBack(levels) => self.lines_back(now, levels),
            GpioInput::LinesLost => self.lines_lost(),
            GpioInput::Edge(GpioSignal::Pulse, edge) => self.pulse(now, edge),
            GpioInput::Edge(signal, edge) => changed = self.level(now, signal, edge.active),
            GpioInput::Levels(levels) => {
                for (signal, active) in levels {
                    // Of a pulse line only edges tell anything.
                    changed |= signal != GpioSignal::Pulse && self.level(now, signal, active);
                }
            }
            GpioInput::Counted(count) => {
                if let Some(counter) = self.counter.as_mut() {
                    counter.restore(count);
                    self.keep();
                }
            }
            GpioInput::Drive { ticket, command } => self.drive(ticket, command),
            GpioInput::Lease { until } => self.leased = until,
            GpioInput::Leave => self.leaving = true,
            GpioInput::Tick => {}
        }
        self.follow(now, changed);
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<GpioEffect> {
        self.effects.pop_front()
    }

    /// When to call again with [`GpioInput::Tick`], and why.
    #[must_use]
    pub fn next_deadline(&self, now: Now) -> Option<(Mono, &'static str)> {
        let now = now.mono;
        if self.up != Some(true) {
            return None;
        }
        let mut due = vec![(self.look_at, "the state is told")];
        if let Some(relay) = &self.relay {
            due.extend(relay.due(self.wish(now)).map(|at| (at, "the relay may switch")));
            due.extend(
                relay
                    .verdict_due(now)
                    .map(|at| (at, "the contactor must have followed")),
            );
            if relay.is_closed() {
                due.push((self.leased, "the lease ends"));
            }
        }
        due.extend(self.stuck_until.map(|at| (at, "the contactor is tried again")));
        due.into_iter().min()
    }

    /// Its state for the status page.
    #[must_use]
    pub fn snapshot(&self) -> GpioSnapshot {
        GpioSnapshot {
            up: self.up == Some(true),
            closed: self.relay.as_ref().map(Relay::is_closed),
            levels: self.levels.clone(),
            pulses: self.counter.as_ref().and_then(Counter::total),
            lost_edges: self.counter.as_ref().map_or(0, Counter::lost),
        }
    }

    fn lines_back(&mut self, now: Mono, levels: BTreeMap<GpioSignal, bool>) {
        if let Some(counter) = self.counter.as_mut() {
            counter.begin(levels.get(&GpioSignal::Pulse) == Some(&true));
        }
        if let Some(relay) = self.relay.as_mut() {
            relay.begin(now);
            if let Some(closed) = levels.get(&GpioSignal::Feedback) {
                relay.fed_back(*closed, now);
            }
        }
        self.levels = levels;
        self.levels.remove(&GpioSignal::Pulse);
        self.stuck_until = None;
        self.look_at = now;
        if self.up.replace(true) != Some(true) {
            self.effects.push_back(GpioEffect::Link {
                up: true,
                cause: None,
            });
        }
        if self.relay.is_some() && !self.reported {
            self.reported = true;
            self.effects.push_back(GpioEffect::Failsafe(FailsafeReport {
                armed: false,
                timeout: None,
                fallback: None,
                safe: false,
                detail: "the relay opens when the gateway stops or its lease ends; when the process is killed the \
                         GPIO driver decides, when the machine hangs the relay stays as it is"
                    .to_owned(),
            }));
        }
    }

    fn lines_lost(&mut self) {
        if self.up.replace(false) == Some(false) {
            return;
        }
        self.levels.clear();
        self.answer(&Err(DriveError::PortLost));
        self.effects.push_back(GpioEffect::Link {
            up: false,
            cause: Some(DriveError::PortLost),
        });
    }

    /// Takes a level; gives whether it is news.
    fn level(&mut self, now: Mono, signal: GpioSignal, active: bool) -> bool {
        if signal == GpioSignal::Feedback
            && let Some(relay) = self.relay.as_mut()
        {
            relay.fed_back(active, now);
        }
        self.levels.insert(signal, active) != Some(active)
    }

    fn pulse(&mut self, now: Mono, edge: Edge) {
        let Some(counter) = self.counter.as_mut() else {
            return;
        };
        let heard = counter.edge(edge, now);
        if heard.lost > 0 {
            let text = format!(
                "{} edges of the pulse line were dropped by the kernel before they could be read",
                heard.lost
            );
            self.effects.push_back(GpioEffect::Remark(text));
        }
        if heard.pulses > 0 {
            self.keep();
        }
    }

    /// The count is kept before it is told.
    fn keep(&mut self) {
        if let Some(total) = self.counter.as_ref().and_then(Counter::total) {
            self.effects.push_back(GpioEffect::Keep(total));
        }
    }

    fn drive(&mut self, ticket: u64, command: DeviceCommand) {
        let done = |result| GpioEffect::Done { ticket, result };
        if self.relay.is_none()
            || matches!(
                command,
                DeviceCommand::Unlock | DeviceCommand::ArmWatchdog | DeviceCommand::Phases(_)
            )
        {
            return self.effects.push_back(done(Err(DriveError::Unsupported)));
        }
        let switch = matches!(command, DeviceCommand::Enable(_));
        match command {
            DeviceCommand::Limit(limit) => self.limit = limit,
            DeviceCommand::Enable(on) => self.enabled = on,
            DeviceCommand::SafeState => (self.limit, self.enabled) = (MilliAmps::ZERO, false),
            DeviceCommand::Unlock | DeviceCommand::ArmWatchdog | DeviceCommand::Phases(_) => {}
        }
        if self.up != Some(true) {
            return self.effects.push_back(done(Err(DriveError::PortLost)));
        }
        let both = command == DeviceCommand::SafeState;
        let (older, rest): (Vec<_>, Vec<_>) = self
            .waiting
            .drain(..)
            .partition(|waiting| both || waiting.switch == switch);
        self.waiting = rest;
        for waiting in older {
            self.effects.push_back(GpioEffect::Done {
                ticket: waiting.ticket,
                result: Err(DriveError::Superseded),
            });
        }
        self.waiting.push(Waiting { ticket, switch });
    }

    /// What the relay is to do by everything that is known.
    fn wish(&self, now: Mono) -> Wish {
        let Some(relay) = &self.relay else {
            return Wish::Stop;
        };
        let stop = !self.enabled
            || self.limit.0 <= 0
            || now >= self.leased
            || self.leaving
            || self.stuck_until.is_some()
            || self.stops()
            || relay.followed(now) == Followed::Welded;
        if stop {
            Wish::Stop
        } else if self.limit < relay.setup().rated {
            Wish::Pause
        } else {
            Wish::Close
        }
    }

    fn stops(&self) -> bool {
        [GpioSignal::Fault, GpioSignal::EmergencyStop]
            .iter()
            .any(|signal| self.is(*signal))
    }

    fn is(&self, signal: GpioSignal) -> bool {
        self.levels.get(&signal) == Some(&true)
    }

    /// Works out everything that follows from what is known now.
    fn follow(&mut self, now: Mono, mut changed: bool) {
        if self.up != Some(true) {
            return;
        }
        if self.stuck_until.is_some_and(|until| now >= until) {
            self.stuck_until = None;
            changed = true;
        }
        changed |= self.switch(now);
        if changed || now >= self.look_at {
            self.observe(now);
        }
    }

    /// Moves the relay and looks whether the contactor followed; gives whether anything changed.
    fn switch(&mut self, now: Mono) -> bool {
        let wish = self.wish(now);
        let Some(relay) = self.relay.as_mut() else {
            return false;
        };
        let moved = relay.follow(wish, now);
        self.effects.extend(moved.map(GpioEffect::Relay));
        let (followed, closed, rated) = (relay.followed(now), relay.is_closed(), relay.setup().rated);
        let welded = followed == Followed::Welded;
        let verdict = std::mem::replace(&mut self.welded, welded) != welded;
        let asked = self.enabled && self.limit >= rated;
        match followed {
            Followed::Yes if closed == asked => self.answer(&Ok(())),
            Followed::Yes | Followed::NotYet => {}
            Followed::Welded => self.answer(&Err(DriveError::NotObeyed { wrote: 0, read: 1 })),
            Followed::Stuck => {
                relay.follow(Wish::Stop, now);
                self.effects.push_back(GpioEffect::Relay(false));
                self.stuck_until = Some(now.plus(STUCK_FOR));
                self.answer(&Err(DriveError::NotObeyed { wrote: 1, read: 0 }));
                return true;
            }
        }
        moved.is_some() || verdict
    }

    fn answer(&mut self, result: &Result<(), DriveError>) {
        for waiting in self.waiting.drain(..) {
            self.effects.push_back(GpioEffect::Done {
                ticket: waiting.ticket,
                result: result.clone(),
            });
        }
    }

    fn observe(&mut self, now: Mono) {
        self.look_at = now.plus(self.every);
        let mut told = Vec::new();
        if let Some(relay) = &self.relay {
            told.push(Observation::HardwareLimit(relay.setup().rated));
            told.push(Observation::Fault(self.fault(relay, now)));
            told.push(Observation::Vehicle {
                state: self.vehicle(relay, now),
                raw: self.raw(relay),
            });
        }
        for contact in GpioSignal::CONTACTS {
            if let Some(active) = self.levels.get(&contact) {
                told.push(Observation::Contact {
                    contact,
                    active: *active,
                });
            }
        }
        if let Some(counter) = &self.counter {
            counter.observe(now, &mut told);
        }
        if !told.is_empty() {
            self.effects.push_back(GpioEffect::Observed(told));
        }
    }

    fn fault(&self, relay: &Relay, now: Mono) -> Option<DeviceFault> {
        let fault = |kind, code: &str| {
            Some(DeviceFault {
                kind,
                code: code.to_owned(),
            })
        };
        if self.is(GpioSignal::EmergencyStop) {
            fault(FaultKind::OtherError, "emergency stop")
        } else if self.is(GpioSignal::Fault) {
            fault(FaultKind::OtherError, "fault contact")
        } else if relay.followed(now) == Followed::Welded {
            fault(FaultKind::PowerSwitchFailure, "contactor welded")
        } else if self.stuck_until.is_some() {
            fault(FaultKind::PowerSwitchFailure, "contactor does not close")
        } else {
            None
        }
    }

    fn vehicle(&self, relay: &Relay, now: Mono) -> VehicleState {
        // Without a contact that tells, a vehicle is taken to be there: only who starts a session knows.
        if self.device.lines.contains_key(&GpioSignal::Vehicle) && !self.is(GpioSignal::Vehicle) {
            return VehicleState::Absent;
        }
        let asks = self
            .device
            .lines
            .contains_key(&GpioSignal::Charging)
            .then(|| self.is(GpioSignal::Charging));
        if !relay.is_closed() {
            return match asks {
                Some(true) => VehicleState::Waiting,
                Some(false) | None => VehicleState::Connected,
            };
        }
        let by_pulses = || {
            self.counter
                .as_ref()
                .map(|counter| counter.power(now).unwrap_or(0) > CHARGES_ABOVE)
        };
        match asks.or_else(by_pulses) {
            Some(false) => VehicleState::Ready,
            Some(true) | None => VehicleState::Charging,
        }
    }

    /// Relay and inputs as bits, in the order of [`GpioSignal::ALL`], for logs.
    fn raw(&self, relay: &Relay) -> u64 {
        (0_u32..)
            .zip(GpioSignal::ALL)
            .filter(|(_, signal)| match signal {
                GpioSignal::Relay => relay.is_closed(),
                other => self.is(*other),
            })
            .fold(0, |bits, (bit, _)| bits | (1 << bit))
    }
}
