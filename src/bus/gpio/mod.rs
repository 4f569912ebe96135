//! A GPIO chip as a bus: one task owns the lines of every device on it from its start to its end.
//!
//! * `chip`: finding chips and lines, requesting them, edges.
//! * `counts`, `keeper`: pulse counts that outlive the process.
//!
//! The relay is requested released and is released again when the task ends. When the chip vanishes every device
//! is down; it is looked for by its name until it is back.

mod chip;
mod counts;
mod keeper;

use super::outbox::Outbox;
use super::task::Outlet;
use super::{BusHandle, COMMANDS, FromBus, ToBus};
use crate::device::{GpioEffect, GpioInput, GpioMachine, StreamDevice};
use crate::domain::{BusSetup, Clock, DeviceId, DriveError, GpioDevice, GpioLink, Mono};
use chip::{ChipError, Edges, Lines};
use counts::CountFile;
use keeper::Keeper;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// The loop turns at least this often, which is what the heartbeat shows; levels are read as often.
const BEAT: Duration = Duration::from_millis(900);

/// A device with its lines.
struct Host {
    id: DeviceId,
    device: GpioDevice,
    machine: GpioMachine,
    lines: Option<Lines>,
    /// Why they could not be had, as last told.
    trouble: Option<String>,
    /// What the file of the device held at the start.
    stored: u64,
}

struct Task {
    outlet: Outlet,
    link: GpioLink,
    hosts: Vec<Host>,
    keeper: Keeper,
    clock: Arc<dyn Clock>,
    commands: mpsc::Receiver<ToBus>,
    events: mpsc::Sender<FromBus>,
    beat: watch::Sender<Mono>,
    reopen_wait: Duration,
    reopen_at: Instant,
    check_at: Instant,
    open: Option<bool>,
    leaving: bool,
}

/// What ended a wait.
enum Happened {
    Command(ToBus),
    Edges(usize, Result<Edges, ChipError>),
    Room(bool),
    Nothing,
}

/// Starts the task of a chip. The chip may be absent now.
pub(super) fn spawn(
    setup: BusSetup,
    link: GpioLink,
    devices: Vec<StreamDevice>,
    clock: Arc<dyn Clock>,
    events: mpsc::Sender<FromBus>,
) -> BusHandle {
    let (to, commands) = mpsc::channel(COMMANDS);
    let (beat, heartbeat) = watch::channel(clock.now().mono);
    let mut files = Vec::with_capacity(devices.len());
    let mut hosts = Vec::with_capacity(devices.len());
    for StreamDevice { setup: own, profile } in devices {
        // A device without lines would be a mistake of the configuration, which finds it.
        let Some(device) = link.devices.get(&own.id).cloned() else {
            continue;
        };
        let (file, stored) = count_file(&link, &own.id, &device);
        files.push((own.id.to_string(), file));
        hosts.push(Host {
            id: own.id.clone(),
            machine: GpioMachine::new(device.clone(), own.poll.unwrap_or(profile.link().poll)),
            device,
            lines: None,
            trouble: None,
            stored,
        });
    }
    let task = Task {
        outlet: Outlet::new(setup.id),
        link,
        hosts,
        keeper: Keeper::start(files),
        clock,
        commands,
        events,
        beat,
        reopen_wait: setup.reopen_wait,
        reopen_at: Instant::now(),
        check_at: Instant::now(),
        open: None,
        leaving: false,
    };
    let tally = task.outlet.tally();
    let join = tokio::spawn(task.run());
    BusHandle {
        to,
        heartbeat,
        tally,
        join,
    }
}

fn count_file(link: &GpioLink, id: &DeviceId, device: &GpioDevice) -> (Option<CountFile>, u64) {
    if device.pulses.is_none() {
        return (None, 0);
    }
    match CountFile::open(&link.counts, id.as_str()) {
        Ok((file, count)) => (Some(file), count.unwrap_or(0)),
        Err(error) => {
            let folder = link.counts.display();
            tracing::error!(device = %id, "pulse counts cannot be kept in {folder}: {error}; a kill may lose up to a minute of them");
            (None, 0)
        }
    }
}

impl Task {
    async fn run(mut self) {
        while !self.leaving {
            self.reopen();
            self.check();
            self.turn();
            if !self.leaving {
                self.stir().await;
            }
        }
        self.keeper.finish().await;
        self.outlet.farewell(&self.events).await;
    }

    /// Takes the lines of every device that has none, when it is time to try.
    fn reopen(&mut self) {
        if Instant::now() < self.reopen_at || self.hosts.iter().all(|host| host.lines.is_some()) {
            return;
        }
        self.reopen_at = Instant::now() + self.reopen_wait;
        let path = match chip::find(&self.link.chip) {
            Ok(path) => path,
            Err(error) => return self.port(false, &error.to_string()),
        };
        for index in 0..self.hosts.len() {
            let host = &mut self.hosts[index];
            if host.lines.is_some() {
                continue;
            }
            let taken = Lines::take(&path, &host.device).and_then(|lines| Ok((lines.levels()?, lines)));
            match taken {
                Ok((levels, lines)) => {
                    host.lines = Some(lines);
                    host.trouble = None;
                    self.port(true, &format!("open, {}", path.display()));
                    self.tell(index, GpioInput::LinesBack(levels));
                }
                Err(error) => self.no_lines(index, &error),
            }
        }
    }

    fn no_lines(&mut self, index: usize, error: &ChipError) {
        let host = &mut self.hosts[index];
        let text = error.to_string();
        if host.trouble.as_ref() != Some(&text) {
            tracing::warn!(bus = %self.outlet.bus, device = %host.id, "no GPIO lines: {text}");
            host.trouble = Some(text);
        }
        if self.hosts.iter().all(|host| host.lines.is_none()) {
            self.port(false, &error.to_string());
        }
        self.tell(index, GpioInput::LinesLost);
    }

    /// Reads all levels now and then: it shows a chip that is gone, and mends what a lost edge left wrong.
    fn check(&mut self) {
        if Instant::now() < self.check_at {
            return;
        }
        self.check_at = Instant::now() + BEAT;
        for index in 0..self.hosts.len() {
            let Some(lines) = &self.hosts[index].lines else {
                continue;
            };
            match lines.check().and_then(|()| lines.levels()) {
                Ok(levels) => self.tell(index, GpioInput::Levels(levels)),
                Err(error) => self.lost(index, &error),
            }
        }
    }

    /// The lines of a device are gone; with the last of them the chip.
    fn lost(&mut self, index: usize, error: &ChipError) {
        self.hosts[index].lines = None;
        if self.hosts.iter().all(|host| host.lines.is_none()) {
            let text = format!("{} is lost: {error}", chip::name(&self.link));
            self.port(false, &text);
        }
        self.tell(index, GpioInput::LinesLost);
    }

    /// Waits for one thing: a command, an edge, a deadline, room in the event channel.
    async fn stir(&mut self) {
        let now = self.clock.now();
        let deadline = self
            .hosts
            .iter()
            .filter_map(|host| host.machine.next_deadline(now))
            .map(|(at, _)| at)
            .min();
        let rest = deadline.map_or(BEAT, |at| at.since(now.mono).max(Duration::from_millis(1)));
        let mut nap = rest.min(BEAT).min(self.check_at.duration_since(Instant::now()));
        if self.hosts.iter().any(|host| host.lines.is_none()) {
            nap = nap.min(self.reopen_at.duration_since(Instant::now()));
        }
        let waiting = !self.outlet.outbox.is_empty();
        let hosts = &self.hosts;
        let edges = poll_fn(|context| {
            for (index, host) in hosts.iter().enumerate() {
                if let Some(lines) = &host.lines
                    && let Poll::Ready(edges) = lines.poll_edges(context)
                {
                    return Poll::Ready((index, edges));
                }
            }
            Poll::Pending
        });
        let happened = tokio::select! {
            biased;
            command = self.commands.recv() => Happened::Command(command.unwrap_or(ToBus::Stop)),
            (index, edges) = edges => Happened::Edges(index, edges),
            room = self.events.reserve(), if waiting => Happened::Room(room.is_ok()),
            () = tokio::time::sleep(nap) => Happened::Nothing,
        };
        match happened {
            Happened::Command(command) => self.command(command),
            Happened::Edges(index, Ok(edges)) => {
                for (signal, edge) in edges {
                    self.tell(index, GpioInput::Edge(signal, edge));
                }
            }
            Happened::Edges(index, Err(error)) => self.lost(index, &error),
            // Nobody listens any more; the lease will end and open the relay.
            Happened::Room(false) => self.outlet.outbox = Outbox::default(),
            Happened::Room(true) | Happened::Nothing => {}
        }
    }

    /// Takes what commands there are, wakes the machines whose time has come, delivers events there is room for.
    fn turn(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            self.command(command);
        }
        let now = self.clock.now();
        for index in 0..self.hosts.len() {
            let due = self.hosts[index].machine.next_deadline(now);
            if due.is_some_and(|(at, _)| at <= now.mono) {
                self.tell(index, GpioInput::Tick);
            }
        }
        self.outlet.deliver(&self.events);
        self.beat.send_replace(now.mono);
    }

    fn command(&mut self, command: ToBus) {
        match command {
            ToBus::Drive {
                device,
                ticket,
                command,
                lowering: _,
            } => match self.index(&device) {
                Some(index) => self.tell(index, GpioInput::Drive { ticket, command }),
                None => self.outlet.done(&device, ticket, Err(DriveError::Unsupported)),
            },
            ToBus::Lease { device, until } => {
                if let Some(index) = self.index(&device) {
                    self.tell(index, GpioInput::Lease { until });
                }
            }
            ToBus::Counted { device, pulses } => {
                if let Some(index) = self.index(&device) {
                    let most = pulses.max(self.hosts[index].stored);
                    self.tell(index, GpioInput::Counted(most));
                }
            }
            ToBus::Stop => {
                self.leaving = true;
                for index in 0..self.hosts.len() {
                    self.tell(index, GpioInput::Leave);
                    self.last_edges(index);
                }
            }
        }
    }

    /// What the kernel still holds of a device is counted before its lines are given back.
    fn last_edges(&mut self, index: usize) {
        while let Some(lines) = &self.hosts[index].lines
            && let Ok(edges) = lines.edges()
            && !edges.is_empty()
        {
            for (signal, edge) in edges {
                self.tell(index, GpioInput::Edge(signal, edge));
            }
        }
    }

    fn index(&self, device: &DeviceId) -> Option<usize> {
        self.hosts.iter().position(|host| host.id == *device)
    }

    /// Tells a machine something and carries out what it wants.
    fn tell(&mut self, index: usize, input: GpioInput) {
        self.hosts[index].machine.handle(self.clock.now(), input);
        let mut broken = None;
        while let Some(effect) = self.hosts[index].machine.poll() {
            if let GpioEffect::Relay(closed) = effect {
                let done = self.hosts[index].lines.as_ref().map(|lines| lines.relay(closed));
                broken = done.and_then(Result::err).or(broken);
            } else {
                self.carry_out(index, effect);
            }
        }
        if let Some(error) = broken {
            self.lost(index, &error);
        }
    }

    fn carry_out(&mut self, index: usize, effect: GpioEffect) {
        let (device, outlet) = (&self.hosts[index].id, &mut self.outlet);
        match effect {
            // Carried out before.
            GpioEffect::Relay(_) => {}
            GpioEffect::Keep(count) => self.keeper.keep(index, count),
            GpioEffect::Observed(observations) => outlet.observed(device, observations),
            GpioEffect::Done { ticket, result } => outlet.done(device, ticket, result),
            GpioEffect::Link { up, cause } => outlet.link(device, up, cause),
            GpioEffect::Failsafe(report) => outlet.failsafe(device, report),
            GpioEffect::Remark(text) => tracing::warn!(bus = %outlet.bus, %device, "{text}"),
        }
    }

    fn port(&mut self, up: bool, detail: &str) {
        if self.open == Some(up) {
            return;
        }
        self.open = Some(up);
        self.outlet.port(up, detail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{BusId, Framing, Link, Now, Protocol};
    use std::collections::BTreeMap;

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Now {
            Now::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_events_are_told_when_the_bus_ends() {
        let link = GpioLink {
            chip: "no-such-chip".to_owned(),
            counts: std::env::temp_dir(),
            devices: BTreeMap::new(),
        };
        let setup = BusSetup {
            id: BusId::new("lines"),
            link: Link::Gpio(link.clone()),
            protocol: Protocol::Gpio,
            framing: Framing::Rtu,
            min_gap: Duration::ZERO,
            timeout: Duration::from_secs(1),
            reopen_wait: Duration::from_secs(1),
            devices: Vec::new(),
        };
        // One event fits; who listens is late.
        let (events, mut heard) = mpsc::channel(1);
        let bus = spawn(setup, link, Vec::new(), Arc::new(Still), events);
        for ticket in 1..=3 {
            let drive = ToBus::Drive {
                device: DeviceId::new("nobody"),
                ticket,
                command: crate::domain::DeviceCommand::Unlock,
                lowering: false,
            };
            bus.to.send(drive).await.expect("the bus listens");
        }
        bus.to.send(ToBus::Stop).await.expect("the bus listens");
        let mut told = Vec::new();
        while let Some(event) = heard.recv().await {
            if let FromBus::Done { ticket, .. } = event {
                told.push(ticket);
            }
        }
        assert_eq!(told, [1, 2, 3]);
    }
}
