//! The task of one port: hosts the drivers of its devices, keeps the port open, does one exchange at a time.
//!
//! While an exchange is on the wire the task goes on taking commands, so that a stop is queued before the exchange
//! ends and is the very next frame. Events go out through [`Outbox`]: a hung consumer delays nothing here (S7).

use super::outbox::Outbox;
use super::port::{Exchange, Fault, Line, Opener};
use super::queue::{Entry, Next, Queue};
use super::timer::Timer;
use super::{BusHandle, COMMANDS, FromBus, ToBus};
use crate::device::{Driver, Effect, Input};
use crate::domain::{BusId, BusSetup, Clock, DeviceId, DeviceSetup, DriveError, Link, Mono, Now, Priority};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};

/// The loop turns at least this often, which is what the heartbeat shows.
const BEAT: Duration = Duration::from_millis(900);
/// After a stop of the bus, writes under way get this long.
const FAREWELL: Duration = Duration::from_secs(2);
/// Where no device answers, one of them is tried this often.
const TRY_ANYBODY: Duration = Duration::from_millis(250);
/// Effects taken from one driver in a turn, so that no driver can hold up the others.
const EFFECTS_A_TURN: usize = 64;

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
        }
    }
}

/// Everything of the task but the port.
struct Core {
    bus: BusId,
    hosts: Vec<Host>,
    queue: Queue,
    outbox: Outbox,
    clock: Arc<dyn Clock>,
    commands: mpsc::Receiver<ToBus>,
    events: mpsc::Sender<FromBus>,
    beat: watch::Sender<Mono>,
    leaving: Option<Mono>,
    /// When somebody was last tried because nobody answers, and who.
    tried: (Mono, usize),
}

/// Starts the task.
pub(crate) fn start(
    setup: BusSetup,
    hosts: Vec<Host>,
    clock: Arc<dyn Clock>,
    events: mpsc::Sender<FromBus>,
    opener: Opener,
    timer: fn() -> io::Result<Timer>,
) -> BusHandle {
    let (to, heartbeat, task) = prepare(setup, hosts, clock, events, opener, timer);
    let join = tokio::spawn(task);
    BusHandle { to, heartbeat, join }
}

/// The task, to be spawned, with its inbox and its marks.
pub(crate) fn prepare(
    setup: BusSetup,
    hosts: Vec<Host>,
    clock: Arc<dyn Clock>,
    events: mpsc::Sender<FromBus>,
    opener: Opener,
    timer: fn() -> io::Result<Timer>,
) -> (
    mpsc::Sender<ToBus>,
    watch::Receiver<Mono>,
    impl Future<Output = ()> + Send + 'static,
) {
    let (to, commands) = mpsc::channel(COMMANDS);
    let (beat, heartbeat) = watch::channel(clock.now().mono);
    let core = Core {
        bus: setup.id.clone(),
        queue: Queue::new(hosts.len()),
        hosts,
        outbox: Outbox::default(),
        clock,
        commands,
        events,
        beat,
        leaving: None,
        tried: (Mono(0), 0),
    };
    (to, heartbeat, run(core, setup, opener, timer))
}

async fn run(mut core: Core, setup: BusSetup, mut opener: Opener, timer: fn() -> io::Result<Timer>) {
    let mut absent = false;
    while !core.left() {
        let opened = core.during(opener(), None).await;
        match opened.and_then(|wire| Ok((wire, timer()?))) {
            Ok((wire, timer)) => {
                absent = false;
                core.port_back();
                let mut line = Line::new(&setup.link, wire, timer, setup.min_gap);
                if let Some(lost) = core.serve(&mut line).await {
                    tracing::info!(bus = %core.bus, seen = ?line.seen(), "port lost: {lost}");
                    core.port_lost(&format!("{} is lost: {lost}", name(&setup.link)));
                    absent = true;
                }
            }
            Err(error) if !absent => {
                core.port_lost(&format!("{} cannot be opened: {error}", name(&setup.link)));
                absent = true;
            }
            Err(_still_absent) => {}
        }
        if absent && !core.left() {
            core.during(tokio::time::sleep(setup.reopen_wait), None).await;
        }
    }
}

fn name(link: &Link) -> String {
    match link {
        Link::Serial { path, .. } => path.display().to_string(),
        Link::Tcp { host, port } => format!("{host}:{port}"),
    }
}

impl Core {
    /// Serves the devices until the port is lost (`Some`) or the bus is told to end.
    async fn serve(&mut self, line: &mut Line) -> Option<io::Error> {
        loop {
            self.turn();
            if self.left() {
                return None;
            }
            let hosts = &self.hosts;
            let hold = |entry: &Entry| line.hold(hosts[entry.device].unit, &entry.request.pdu);
            match self.queue.pop(self.clock.now().mono, hold) {
                Next::Send(entry) => {
                    if let Err(lost) = self.exchange(line, entry).await {
                        return Some(lost);
                    }
                }
                Next::Wait(wait) => {
                    if let Some(lost) = self.idle(line, wait).await {
                        return Some(lost);
                    }
                }
                Next::Idle => {
                    if let Some(lost) = self.idle(line, BEAT).await {
                        return Some(lost);
                    }
                }
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
        let host = &self.hosts[entry.device];
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
        let result = match self.during(line.exchange(what), bell).await {
            Err(Fault::Yielded) => {
                self.queue.restore(entry);
                return Ok(());
            }
            Err(Fault::Lost(lost)) => return Err(lost),
            Err(fault) => {
                let now = self.clock.now().mono;
                if matches!(fault, Fault::Garbled(_)) {
                    self.queue.garbled(entry.device, now);
                }
                if matches!(fault, Fault::Timeout(_) | Fault::Garbled(_)) {
                    self.queue.charge(entry.device, now.since(begun), now);
                }
                tracing::debug!(bus = %self.bus, device = %self.hosts[entry.device].id, "{fault}");
                Err(DriveError::from(&fault))
            }
            Ok(reply) => {
                let now = self.clock.now().mono;
                self.queue.answered(entry.device, now);
                Ok(reply)
            }
        };
        let id = entry.request.id;
        self.tell(entry.device, Input::Replied { id, result });
        Ok(())
    }

    /// Runs `work` to its end, serving everything else meanwhile. `bell` is rung when a stop waits.
    async fn during<T>(&mut self, work: impl Future<Output = T>, bell: Option<&Notify>) -> T {
        let mut work = pin!(work);
        loop {
            self.turn();
            if let Some(bell) = bell.filter(|_| self.queue.has(Priority::Stop)) {
                bell.notify_one();
            }
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = self.stir(BEAT) => {}
            }
        }
    }

    /// Waits for one thing other than the port: a command, a deadline, room in the event channel, or `most`.
    async fn stir(&mut self, most: Duration) {
        let now = self.clock.now().mono;
        let deadline = self
            .hosts
            .iter()
            .filter_map(|host| host.machine.next_deadline())
            .min();
        let rest = deadline.map_or(BEAT, |at| at.since(now).max(Duration::from_millis(1)));
        let most = if self.hosts.iter().all(|host| host.up == Some(false)) {
            most.min(TRY_ANYBODY)
        } else {
            most
        };
        let nap = tokio::time::sleep(rest.min(most).min(BEAT));
        let (taking, waiting) = (self.leaving.is_none(), !self.outbox.is_empty());
        let command = tokio::select! {
            biased;
            command = self.commands.recv(), if taking => Some(command.unwrap_or(ToBus::Stop)),
            room = self.events.reserve(), if waiting => {
                // Nobody listens any more; stops still count.
                if room.is_err() {
                    self.outbox = Outbox::default();
                }
                None
            }
            () = nap => None,
        };
        if let Some(command) = command {
            self.command(command);
        }
    }

    /// Takes what commands there are, wakes the drivers whose time has come, delivers events there is room for.
    fn turn(&mut self) {
        while self.leaving.is_none()
            && let Ok(command) = self.commands.try_recv()
        {
            self.command(command);
        }
        let now = self.clock.now().mono;
        for index in 0..self.hosts.len() {
            if self.hosts[index]
                .machine
                .next_deadline()
                .is_some_and(|at| at <= now)
            {
                self.tell(index, Input::Tick);
            } else {
                self.pump(index);
            }
        }
        self.try_anybody(now);
        while !self.outbox.is_empty()
            && let Ok(permit) = self.events.try_reserve()
        {
            if let Some(event) = self.outbox.pop() {
                permit.send(event);
            }
        }
        self.beat.send_replace(now);
    }

    /// Where nobody answers the line itself may be disturbed: back-off would protect nobody then, and the end of
    /// the disturbance is to be noticed at once (S1).
    fn try_anybody(&mut self, now: Mono) {
        let (at, last) = self.tried;
        let nobody = self.hosts.iter().all(|host| host.up == Some(false));
        if self.hosts.is_empty() || !nobody || now.since(at) < TRY_ANYBODY {
            return;
        }
        let next = (last + 1) % self.hosts.len();
        self.tried = (now, next);
        self.tell(next, Input::Probe);
    }

    /// A device began or ceased to answer. The first that answers again stands for the line.
    fn link_changed(&mut self, index: usize, up: bool) {
        let nobody = self.hosts.iter().all(|host| host.up == Some(false));
        self.hosts[index].up = Some(up);
        if up && nobody {
            for other in (0..self.hosts.len()).filter(|other| *other != index) {
                self.tell(other, Input::Probe);
            }
        }
    }

    fn command(&mut self, command: ToBus) {
        match command {
            ToBus::Drive {
                device,
                ticket,
                command,
                lowering,
            } => match self.index(&device) {
                Some(index) => {
                    let drive = Input::Drive {
                        ticket,
                        command,
                        lowering,
                    };
                    self.tell(index, drive);
                }
                None => self.outbox.push(FromBus::Done {
                    device,
                    ticket,
                    result: Err(DriveError::Unsupported),
                }),
            },
            ToBus::Lease { device, until } => {
                if let Some(index) = self.index(&device) {
                    self.tell(index, Input::Lease { until });
                }
            }
            ToBus::Stop => self.leaving = Some(self.clock.now().mono.plus(FAREWELL)),
        }
    }

    fn index(&self, device: &DeviceId) -> Option<usize> {
        self.hosts.iter().position(|host| host.id == *device)
    }

    fn tell(&mut self, index: usize, input: Input) {
        self.hosts[index].machine.handle(self.clock.now(), input);
        self.pump(index);
    }

    fn pump(&mut self, index: usize) {
        for _ in 0..EFFECTS_A_TURN {
            let host = &mut self.hosts[index];
            let (bus, device) = (self.bus.clone(), host.id.clone());
            match host.machine.poll() {
                None => return,
                Some(Effect::Request(request)) => self.queue.push(index, request),
                Some(Effect::Cancel(id)) => self.queue.cancel(index, id),
                Some(Effect::Observed(observations)) => self.outbox.push(FromBus::Observed {
                    bus,
                    device,
                    observations,
                }),
                Some(Effect::Done { ticket, result }) => self.outbox.push(FromBus::Done {
                    device,
                    ticket,
                    result,
                }),
                Some(Effect::Link { up, cause }) => {
                    self.outbox.push(FromBus::Link {
                        bus,
                        device,
                        up,
                        cause,
                    });
                    self.link_changed(index, up);
                }
                Some(Effect::Failsafe(report)) => self.outbox.push(FromBus::Failsafe { device, report }),
            }
        }
    }

    fn port_back(&mut self) {
        self.port(true, "open");
        for index in 0..self.hosts.len() {
            self.tell(index, Input::PortBack);
        }
    }

    /// What is queued is lost with the port: each driver knows its own.
    fn port_lost(&mut self, detail: &str) {
        self.queue.clear();
        self.port(false, detail);
        for index in 0..self.hosts.len() {
            self.tell(index, Input::PortLost);
        }
        self.queue.clear();
    }

    fn port(&mut self, up: bool, detail: &str) {
        self.outbox.push(FromBus::Port {
            bus: self.bus.clone(),
            up,
            detail: detail.to_owned(),
        });
    }

    /// Whether the bus was told to end and nothing it must still write is left.
    fn left(&self) -> bool {
        let now = self.clock.now().mono;
        self.leaving
            .is_some_and(|until| now >= until || !self.queue.has(Priority::Write))
    }
}
