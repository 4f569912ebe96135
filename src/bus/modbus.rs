//! Modbus on a port: the drivers of its devices share it by the queue's order, one exchange at a time.
//!
//! While an exchange is on the wire the task goes on taking commands, so that a stop is queued before the exchange
//! ends and is the very next frame.

use super::frame::FrameError;
use super::port::{Exchange, Fault, Line, Wire};
use super::queue::{Entry, Next, Queue};
use super::task::{BEAT, Core, Crew, Outlet, Word};
use super::timer::Timer;
use crate::device::{Driver, Effect, Input, Pdu};
use crate::domain::{BusResult, BusSetup, DeviceId, DeviceSetup, DriveError, Framing, Mono, Now, Priority};
use std::io;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Effects taken from one driver in a turn, so that no driver can hold up the others.
const EFFECTS_A_TURN: usize = 64;
/// Where no device answers, one of them is tried this often.
const TRY_ANYBODY: Duration = Duration::from_millis(250);

/// The machine of one device, as the task needs it.
pub(crate) trait Machine: Send {
    /// Takes an input.
    fn handle(&mut self, now: Now, input: Input);
    /// Gives the next effect.
    fn poll(&mut self) -> Option<Effect>;
    /// When it wants to be woken.
    fn next_deadline(&self) -> Option<Mono>;
}

impl Machine for Driver {
    fn handle(&mut self, now: Now, input: Input) {
        Driver::handle(self, now, input);
    }

    fn poll(&mut self) -> Option<Effect> {
        Driver::poll(self)
    }

    fn next_deadline(&self) -> Option<Mono> {
        Driver::next_deadline(self).map(|(at, _)| at)
    }
}

/// A device on the bus.
pub(crate) struct Host {
    id: DeviceId,
    unit: u8,
    timeout: Duration,
    machine: Box<dyn Machine>,
    /// Whether it answers, once that is known.
    up: Option<bool>,
    /// The last request, while it is without an answer: the same again is a repeat.
    unanswered: Option<Pdu>,
}

impl Host {
    /// A device and its machine; `timeout` is the bus's own.
    pub(crate) fn new(setup: &DeviceSetup, timeout: Duration, machine: Box<dyn Machine>) -> Self {
        Self {
            id: setup.id.clone(),
            unit: setup.unit,
            timeout,
            machine,
            up: None,
            unanswered: None,
        }
    }
}

/// All devices of a Modbus port and the requests that wait.
pub(crate) struct Hosts {
    hosts: Vec<Host>,
    queue: Queue,
    /// What was answered on an earlier connection, where the framing was to be found out.
    framing: Option<Framing>,
    /// When somebody was last tried because nobody answers, and who.
    tried: (Mono, usize),
}

impl Hosts {
    /// Nothing asked yet.
    pub(crate) fn new(hosts: Vec<Host>) -> Self {
        Self {
            queue: Queue::new(hosts.len()),
            hosts,
            framing: None,
            tried: (Mono(0), 0),
        }
    }

    fn input(&mut self, now: Now, slot: usize, input: Input, outlet: &mut Outlet) {
        self.hosts[slot].machine.handle(now, input);
        self.pump(now, slot, outlet);
    }

    fn pump(&mut self, now: Now, slot: usize, outlet: &mut Outlet) {
        for _ in 0..EFFECTS_A_TURN {
            let Host { id, machine, .. } = &mut self.hosts[slot];
            match machine.poll() {
                None => return,
                Some(Effect::Request(request)) => self.queue.push(slot, request),
                Some(Effect::Cancel(request)) => self.queue.cancel(slot, request),
                Some(Effect::Observed(observations)) => outlet.observed(id, observations),
                Some(Effect::Done { ticket, result }) => outlet.done(id, ticket, result),
                Some(Effect::Link { up, cause }) => {
                    outlet.link(id, up, cause);
                    self.link_changed(now, slot, up, outlet);
                }
                Some(Effect::Failsafe(report)) => outlet.failsafe(id, report),
            }
        }
    }

    /// Nobody answers.
    fn is_deserted(&self) -> bool {
        self.hosts.iter().all(|host| host.up == Some(false))
    }

    /// Where nobody answers the line itself may be disturbed: back-off would protect nobody then, and the end of
    /// the disturbance is to be noticed at once (S1).
    fn try_anybody(&mut self, now: Now, outlet: &mut Outlet) {
        let (at, last) = self.tried;
        if self.hosts.is_empty() || !self.is_deserted() || now.mono.since(at) < TRY_ANYBODY {
            return;
        }
        let next = (last + 1) % self.hosts.len();
        self.tried = (now.mono, next);
        self.input(now, next, Input::Probe, outlet);
    }

    /// A device began or ceased to answer. The first that answers again stands for the line.
    fn link_changed(&mut self, now: Now, slot: usize, up: bool, outlet: &mut Outlet) {
        let deserted = self.is_deserted();
        self.hosts[slot].up = Some(up);
        if up && deserted {
            for other in (0..self.hosts.len()).filter(|other| *other != slot) {
                self.input(now, other, Input::Probe, outlet);
            }
        }
    }

    fn all(&mut self, now: Now, input: &Input, outlet: &mut Outlet) {
        for slot in 0..self.hosts.len() {
            self.input(now, slot, input.clone(), outlet);
        }
    }
}

impl Crew for Hosts {
    fn slot(&self, device: &DeviceId) -> Option<usize> {
        self.hosts.iter().position(|host| host.id == *device)
    }

    fn tell(&mut self, now: Now, word: Word, outlet: &mut Outlet) {
        match word {
            Word::Drive {
                slot,
                ticket,
                command,
                lowering,
            } => {
                let drive = Input::Drive {
                    ticket,
                    command,
                    lowering,
                };
                self.input(now, slot, drive, outlet);
            }
            Word::Lease { slot, until } => self.input(now, slot, Input::Lease { until }, outlet),
            Word::PortBack => self.all(now, &Input::PortBack, outlet),
            Word::PortLost => {
                // What is queued is lost with the port: each driver knows its own.
                self.queue.clear();
                self.all(now, &Input::PortLost, outlet);
                self.queue.clear();
            }
        }
    }

    fn turn(&mut self, now: Now, outlet: &mut Outlet) {
        for slot in 0..self.hosts.len() {
            let due = self.hosts[slot].machine.next_deadline();
            if due.is_some_and(|at| at <= now.mono) {
                self.input(now, slot, Input::Tick, outlet);
            } else {
                self.pump(now, slot, outlet);
            }
        }
        self.try_anybody(now, outlet);
    }

    fn next_deadline(&self) -> Option<Mono> {
        let wanted = self.hosts.iter().filter_map(|host| host.machine.next_deadline());
        let tried = (!self.hosts.is_empty() && self.is_deserted()).then(|| self.tried.0.plus(TRY_ANYBODY));
        wanted.chain(tried).min()
    }

    fn is_urgent(&self) -> bool {
        self.queue.has(Priority::Stop)
    }

    fn owes(&self) -> bool {
        self.queue.has(Priority::Write)
    }

    async fn serve(
        core: &mut Core<Self>,
        wire: Box<dyn Wire>,
        timer: Timer,
        setup: &BusSetup,
    ) -> Option<io::Error> {
        let mut line = Line::new(setup, core.crew.framing, wire, timer);
        let lost = core.converse(&mut line).await;
        core.crew.framing = line.known().or(core.crew.framing);
        tracing::info!(bus = %setup.id, seen = ?line.seen(), "port closed");
        lost
    }
}

impl Core<Hosts> {
    async fn converse(&mut self, line: &mut Line) -> Option<io::Error> {
        loop {
            self.turn();
            if self.left() {
                return None;
            }
            let Hosts { hosts, queue, .. } = &mut self.crew;
            let hold = |entry: &Entry| line.hold(hosts[entry.device].unit, &entry.request.pdu);
            let lost = match queue.pop(self.clock.now().mono, hold) {
                Next::Send(entry) => self.exchange(line, entry).await.err(),
                Next::Wait(wait) => self.idle(line, wait).await,
                Next::Idle => self.idle(line, BEAT).await,
            };
            if lost.is_some() {
                return lost;
            }
        }
    }

    async fn idle(&mut self, line: &mut Line, wait: Duration) -> Option<io::Error> {
        tokio::select! {
            biased;
            lost = line.watch() => Some(lost),
            () = self.stir(wait) => None,
        }
    }

    async fn exchange(&mut self, line: &mut Line, entry: Entry) -> io::Result<()> {
        let host = &self.crew.hosts[entry.device];
        let timeout = match entry.request.timeout {
            Duration::ZERO => host.timeout,
            own => own,
        };
        let urgent = Notify::new();
        let what = Exchange {
            unit: host.unit,
            pdu: &entry.request.pdu,
            timeout,
            gap: entry.request.gap,
            urgent: &urgent,
        };
        let bell = (entry.request.priority > Priority::Stop).then_some(&urgent);
        let begun = self.clock.now().mono;
        let started = Instant::now();
        let outcome = self.during(line.exchange(what), bell).await;
        if !matches!(outcome, Err(Fault::Yielded)) {
            let took = (line.seen().answer_took, started.elapsed());
            self.tally(&entry, outcome.as_ref().err(), took);
        }
        let result = match outcome {
            Err(Fault::Yielded) => {
                self.crew.queue.restore(entry);
                return Ok(());
            }
            Err(Fault::Lost(lost)) => return Err(lost),
            Err(fault) => {
                let now = self.clock.now().mono;
                if matches!(fault, Fault::Garbled(_)) {
                    self.crew.queue.garbled(entry.device, now);
                }
                if matches!(fault, Fault::Timeout(_) | Fault::Garbled(_)) {
                    self.crew.queue.charge(entry.device, now.since(begun), now);
                }
                tracing::debug!(device = %self.crew.hosts[entry.device].id, "{fault}");
                Err(DriveError::from(&fault))
            }
            Ok(reply) => {
                let now = self.clock.now().mono;
                self.crew.queue.answered(entry.device, now);
                Ok(reply)
            }
        };
        let id = entry.request.id;
        let replied = Input::Replied { id, result };
        self.crew
            .input(self.clock.now(), entry.device, replied, &mut self.outlet);
        Ok(())
    }

    /// Counts a request that has ended: how, how long its answer took, how long the line was in use for it.
    fn tally(&mut self, entry: &Entry, fault: Option<&Fault>, (answer, line): (Duration, Duration)) {
        let host = &mut self.crew.hosts[entry.device];
        let repeats = host.unanswered.as_ref() == Some(&entry.request.pdu);
        let result = match fault {
            None => BusResult::Ok,
            Some(Fault::Exception(_)) => BusResult::Exception,
            Some(Fault::Timeout(_)) => BusResult::Timeout,
            Some(Fault::Garbled(FrameError::Echo)) => BusResult::Echo,
            Some(Fault::Garbled(_)) => BusResult::Crc,
            // Nothing can be said of a request that went with its port.
            Some(Fault::Lost(_) | Fault::Yielded) => return,
        };
        let answered = matches!(result, BusResult::Ok | BusResult::Exception);
        host.unanswered = (!answered).then(|| entry.request.pdu.clone());
        let id = &host.id;
        self.outlet.count(|tally| {
            tally.retries += u64::from(repeats);
            if answered {
                tally.answered(result, answer);
                tally.busy(line.saturating_sub(answer));
            } else {
                tally.ended(result, line);
            }
            if let Some(fault) = fault {
                tally.failed(&format!("{id}: {fault}"));
            }
        });
    }
}
