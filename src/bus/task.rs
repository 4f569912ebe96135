//! The task of one port, whatever is spoken on it: keeps the port open, takes commands, delivers events, wakes who
//! wants to be woken, ends in an orderly way. What happens on the open port is the [`Crew`]'s.
//!
//! Events go out through [`Outbox`]: a hung consumer delays nothing here (S7).

use super::outbox::Outbox;
use super::port::{Opener, Wire};
use super::timer::Timer;
use super::{BusHandle, COMMANDS, FromBus, ToBus};
use crate::device::FailsafeReport;
use crate::domain::{
    BusId, BusSetup, BusTally, Clock, DeviceCommand, DeviceId, DriveError, Link, Mono, Now, Observation,
};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};

/// The loop turns at least this often, which is what the heartbeat shows.
pub(super) const BEAT: Duration = Duration::from_millis(900);
/// After a stop of the bus, writes under way get this long.
const FAREWELL: Duration = Duration::from_secs(2);

/// Something the devices are told. `slot` is a device's place on its bus.
#[derive(Clone, Copy, Debug)]
pub(super) enum Word {
    /// A command.
    Drive {
        /// Whom.
        slot: usize,
        /// Ties the answer to it.
        ticket: u64,
        /// What.
        command: DeviceCommand,
        /// Whether a limit is at or below the one in force.
        lowering: bool,
    },
    /// A device may be kept alive before this time.
    Lease {
        /// Which.
        slot: usize,
        /// The end.
        until: Mono,
    },
    /// The port vanished.
    PortLost,
    /// The port is open.
    PortBack,
}

/// What lives on a port: drivers that share it by turns, or one machine that owns it.
pub(super) trait Crew: Send + Sized + 'static {
    /// The place of a device.
    fn slot(&self, device: &DeviceId) -> Option<usize>;
    /// Passes a word on.
    fn tell(&mut self, now: Now, word: Word, outlet: &mut Outlet);
    /// Wakes whose time has come and takes what they have to say.
    fn turn(&mut self, now: Now, outlet: &mut Outlet);
    /// When to turn again.
    fn next_deadline(&self) -> Option<Mono>;
    /// Whether a stop waits that should go before what is on the wire.
    fn is_urgent(&self) -> bool;
    /// Whether something must still be written before the bus may end.
    fn owes(&self) -> bool;
    /// Serves the open port until it is lost (`Some`) or the bus is told to end.
    fn serve(
        core: &mut Core<Self>,
        wire: Box<dyn Wire>,
        timer: Timer,
        setup: &BusSetup,
    ) -> impl Future<Output = Option<io::Error>> + Send;
}

/// Where events go.
pub(super) struct Outlet {
    /// Whose they are.
    pub bus: BusId,
    /// Those nobody has taken yet.
    pub outbox: Outbox,
    tally: watch::Sender<BusTally>,
}

impl Outlet {
    /// Nothing to tell yet.
    pub fn new(bus: BusId) -> Self {
        Self {
            bus,
            outbox: Outbox::default(),
            tally: watch::Sender::default(),
        }
    }

    /// What is counted, from outside.
    pub fn tally(&self) -> watch::Receiver<BusTally> {
        self.tally.subscribe()
    }

    /// Counts something. In place, and nobody is woken by it: it costs a lock that nobody holds for long.
    pub fn count(&self, what: impl FnOnce(&mut BusTally)) {
        self.tally.send_if_modified(|tally| {
            what(tally);
            false
        });
    }

    /// Delivers what there is room for.
    pub fn deliver(&mut self, events: &mpsc::Sender<FromBus>) {
        while !self.outbox.is_empty()
            && let Ok(permit) = events.try_reserve()
        {
            if let Some(event) = self.outbox.pop() {
                permit.send(event);
            }
        }
    }

    /// Delivers the last events of a bus that ends, to a consumer that may take a while, or hang.
    pub async fn farewell(&mut self, events: &mpsc::Sender<FromBus>) {
        let all = async {
            while let Some(event) = self.outbox.pop()
                && events.send(event).await.is_ok()
            {}
        };
        // Who hangs hears no more.
        let _hung = tokio::time::timeout(FAREWELL, all).await;
    }

    /// What a device said.
    pub fn observed(&mut self, device: &DeviceId, observations: Vec<Observation>) {
        self.outbox.push(FromBus::Observed {
            bus: self.bus.clone(),
            device: device.clone(),
            observations,
        });
    }

    /// The end of a command.
    pub fn done(&mut self, device: &DeviceId, ticket: u64, result: Result<(), DriveError>) {
        self.outbox.push(FromBus::Done {
            device: device.clone(),
            ticket,
            result,
        });
    }

    /// A device began or ceased to be heard.
    pub fn link(&mut self, device: &DeviceId, up: bool, cause: Option<DriveError>) {
        self.outbox.push(FromBus::Link {
            bus: self.bus.clone(),
            device: device.clone(),
            up,
            cause,
        });
    }

    /// What is known of a device's own safe state.
    pub fn failsafe(&mut self, device: &DeviceId, report: FailsafeReport) {
        self.outbox.push(FromBus::Failsafe {
            device: device.clone(),
            report,
        });
    }

    /// The port opened or vanished.
    pub fn port(&mut self, up: bool, detail: &str) {
        self.outbox.push(FromBus::Port {
            bus: self.bus.clone(),
            up,
            detail: detail.to_owned(),
        });
    }
}

/// Everything of the task but the port.
pub(super) struct Core<C> {
    /// Who lives on it.
    pub crew: C,
    /// Where their events go.
    pub outlet: Outlet,
    /// The time.
    pub clock: Arc<dyn Clock>,
    commands: mpsc::Receiver<ToBus>,
    events: mpsc::Sender<FromBus>,
    beat: watch::Sender<Mono>,
    leaving: Option<Mono>,
}

/// Starts the task.
pub(super) fn start<C: Crew>(
    setup: BusSetup,
    crew: C,
    clock: Arc<dyn Clock>,
    events: mpsc::Sender<FromBus>,
    opener: Opener,
    timer: fn() -> io::Result<Timer>,
) -> BusHandle {
    let (outside, task) = prepare(setup, crew, clock, events, opener, timer);
    let Outside { to, heartbeat, tally } = outside;
    let join = tokio::spawn(task);
    BusHandle {
        to,
        heartbeat,
        tally,
        join,
    }
}

/// What others have of a task: its inbox, its marks, what it counts.
pub(super) struct Outside {
    pub to: mpsc::Sender<ToBus>,
    pub heartbeat: watch::Receiver<Mono>,
    pub tally: watch::Receiver<BusTally>,
}

/// The task, to be spawned, and its outside.
pub(super) fn prepare<C: Crew>(
    setup: BusSetup,
    crew: C,
    clock: Arc<dyn Clock>,
    events: mpsc::Sender<FromBus>,
    opener: Opener,
    timer: fn() -> io::Result<Timer>,
) -> (Outside, impl Future<Output = ()> + Send + 'static) {
    let (to, commands) = mpsc::channel(COMMANDS);
    let (beat, heartbeat) = watch::channel(clock.now().mono);
    let core = Core {
        crew,
        outlet: Outlet::new(setup.id.clone()),
        clock,
        commands,
        events,
        beat,
        leaving: None,
    };
    let outside = Outside {
        to,
        heartbeat,
        tally: core.outlet.tally(),
    };
    (outside, run(core, setup, opener, timer))
}

async fn run<C: Crew>(
    mut core: Core<C>,
    setup: BusSetup,
    mut opener: Opener,
    timer: fn() -> io::Result<Timer>,
) {
    let mut absent = false;
    while !core.left() {
        let opened = core.during(opener(), None).await;
        match opened.and_then(|wire| Ok((wire, timer()?))) {
            Ok((wire, timer)) => {
                absent = false;
                core.port_back();
                if let Some(lost) = C::serve(&mut core, wire, timer, &setup).await {
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
    core.outlet.farewell(&core.events).await;
}

fn name(link: &Link) -> String {
    match link {
        Link::Serial { path, .. } | Link::Input { path } => path.display().to_string(),
        Link::Tcp { host, port } => format!("{host}:{port}"),
        Link::Gpio(link) => link.chip.clone(),
    }
}

impl<C: Crew> Core<C> {
    /// Runs `work` to its end, serving everything else meanwhile. `bell` is rung when a stop waits.
    pub async fn during<T>(&mut self, work: impl Future<Output = T>, bell: Option<&Notify>) -> T {
        let mut work = pin!(work);
        loop {
            self.turn();
            if let Some(bell) = bell.filter(|_| self.crew.is_urgent()) {
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
    pub async fn stir(&mut self, most: Duration) {
        let now = self.clock.now().mono;
        let deadline = self.crew.next_deadline();
        let rest = deadline.map_or(BEAT, |at| at.since(now).max(Duration::from_millis(1)));
        let nap = tokio::time::sleep(rest.min(most).min(BEAT));
        let (taking, waiting) = (self.leaving.is_none(), !self.outlet.outbox.is_empty());
        let command = tokio::select! {
            biased;
            command = self.commands.recv(), if taking => Some(command.unwrap_or(ToBus::Stop)),
            room = self.events.reserve(), if waiting => {
                // Nobody listens any more; stops still count.
                if room.is_err() {
                    self.outlet.outbox = Outbox::default();
                }
                None
            }
            () = nap => None,
        };
        if let Some(command) = command {
            self.command(command);
        }
    }

    /// Takes what commands there are, wakes the devices whose time has come, delivers events there is room for.
    pub fn turn(&mut self) {
        while self.leaving.is_none()
            && let Ok(command) = self.commands.try_recv()
        {
            self.command(command);
        }
        let now = self.clock.now();
        self.crew.turn(now, &mut self.outlet);
        self.outlet.deliver(&self.events);
        self.beat.send_replace(now.mono);
    }

    fn command(&mut self, command: ToBus) {
        match command {
            ToBus::Drive {
                device,
                ticket,
                command,
                lowering,
            } => match self.crew.slot(&device) {
                Some(slot) => self.tell(Word::Drive {
                    slot,
                    ticket,
                    command,
                    lowering,
                }),
                None => self.outlet.done(&device, ticket, Err(DriveError::Unsupported)),
            },
            ToBus::Lease { device, until } => {
                if let Some(slot) = self.crew.slot(&device) {
                    self.tell(Word::Lease { slot, until });
                }
            }
            // Only lines of a GPIO chip count pulses.
            ToBus::Counted { .. } => {}
            ToBus::Stop => self.leaving = Some(self.clock.now().mono.plus(FAREWELL)),
        }
    }

    fn tell(&mut self, word: Word) {
        self.crew.tell(self.clock.now(), word, &mut self.outlet);
    }

    fn port_back(&mut self) {
        self.outlet.port(true, "open");
        self.tell(Word::PortBack);
    }

    fn port_lost(&mut self, detail: &str) {
        tracing::info!(bus = %self.outlet.bus, "{detail}");
        self.outlet.port(false, detail);
        self.tell(Word::PortLost);
    }

    /// Whether the bus was told to end and nothing it must still write is left.
    pub fn left(&self) -> bool {
        let now = self.clock.now().mono;
        self.leaving
            .is_some_and(|until| now >= until || !self.crew.owes())
    }
}
