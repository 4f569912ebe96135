//! The whole gateway and everything around it under one clock: what is due next happens next, and only that.

use crate::csms::Csms;
use crate::judge::Account;
use crate::ledger::Ledger;
use crate::process::{Process, reader_of};
use crate::site::{self, Place};
use crate::south::{self, DEVICES, LINES, World, index_of};
use retrovolt::device::{self, Library, Reply};
use retrovolt::domain::{
    Batch, Command, CommandId, CpId, DriveError, Mono, Now, Outcome, Rng, Row, VaultAnswer, VaultRequest,
};
use retrovolt::ocpp;
use retrovolt::site::Demand;
use retrovolt::station;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

/// Something that will happen.
#[derive(Debug)]
pub enum Happening {
    /// An exchange on a line is over.
    Exchanged {
        line: usize,
        device: usize,
        id: u64,
        result: Result<Reply, DriveError>,
    },
    /// A batch reaches the disk.
    Durable {
        cp: CpId,
        id: u64,
        batch: Batch,
        station: bool,
    },
    /// Rows come from the disk.
    Rows { cp: CpId, rows: Vec<Row> },
    /// The link is tried.
    Dial { cp: CpId },
    /// A text reaches the CSMS.
    Up { cp: CpId, link: u64, text: String },
    /// A text reaches the charge point.
    Down { cp: CpId, link: u64, text: String },
    /// A port vanished and comes back.
    PortBack { line: usize },
    /// The process is started.
    Start,
    /// The next stroke of fate.
    Fate,
}

/// An input on its way to a machine.
enum Todo {
    Driver(usize, device::Input),
    Station(CpId, station::Input),
    Machine(CpId, ocpp::Input),
    /// What an EVSE asks of the fuse; `None`: time has passed.
    Fuse(Option<(Place, Demand)>),
}

/// Faults in force.
#[derive(Debug, Default)]
pub struct Faults {
    /// Answers lost on the lines, in a thousand.
    pub lost_permille: u64,
    /// Lines without a port.
    pub no_port: [bool; LINES],
    /// The disk hangs until then.
    pub disk_hangs_until: u64,
}

/// Everything.
pub struct House {
    /// Milliseconds since the begin.
    pub now: u64,
    /// Fate and latencies.
    pub rng: Rng,
    /// What happened, line by line.
    pub log: String,
    /// The hardware.
    pub world: World,
    /// The back end.
    pub csms: Csms,
    /// What is durable.
    pub ledger: Ledger,
    /// What is broken.
    pub faults: Faults,
    /// The gateway, while it runs.
    pub process: Option<Process>,
    /// The second account of the limits.
    pub account: Account,
    library: Library,
    agenda: BTreeMap<(u64, u64), (u32, Happening)>,
    serial: u64,
    runs: u32,
    todo: VecDeque<Todo>,
    disk_free: u64,
    /// A station took something in: its demands may have changed.
    touched: bool,
    asked: BTreeMap<(CpId, u64), Command>,
}

impl House {
    /// A site with nothing running yet.
    pub fn new(seed: u64) -> Self {
        let library = Library::builtin();
        Self {
            now: 0,
            rng: Rng::new(seed),
            log: String::new(),
            world: World::new(&library),
            csms: Csms::new(),
            ledger: Ledger::default(),
            faults: Faults::default(),
            process: None,
            account: Account::default(),
            library,
            agenda: BTreeMap::new(),
            serial: 0,
            runs: 0,
            todo: VecDeque::new(),
            disk_free: 0,
            touched: false,
            asked: BTreeMap::new(),
        }
    }

    /// Writes a line of the log.
    pub fn note(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.log, "{} {line}", self.now);
    }

    /// Puts something on the agenda.
    pub fn later(&mut self, ms: u64, what: Happening) {
        self.serial += 1;
        let run = self.runs;
        self.agenda.insert((self.now + ms, self.serial), (run, what));
    }

    /// What happens next, before or at `end`: true; else time has passed to `end`.
    pub fn step(&mut self, end: u64) -> Option<Happening> {
        loop {
            let machine = self.process.as_ref().and_then(Process::deadline);
            let agenda = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let at = machine.into_iter().chain(agenda).min().filter(|at| *at <= end);
            let Some(at) = at else {
                self.now = end;
                return None;
            };
            assert!(at >= self.now || agenda != Some(at), "the agenda lies behind");
            self.now = at.max(self.now);
            if agenda.is_some_and(|due| due <= self.now) {
                let Some((_, (run, what))) = self.agenda.pop_first() else {
                    continue;
                };
                // What a killed process was waiting for reaches nobody.
                let own = matches!(
                    what,
                    Happening::Start | Happening::Fate | Happening::PortBack { .. }
                );
                if own {
                    return Some(what);
                }
                if run == self.runs && self.process.is_some() {
                    self.happen(what);
                }
            } else {
                self.tick();
            }
        }
    }

    fn present(&self) -> Now {
        self.process.as_ref().map(|p| p.now(self.now)).unwrap_or_default()
    }

    /// Wakes every machine whose time has come.
    fn tick(&mut self) {
        let Some(process) = &self.process else { return };
        let mono = process.now(self.now).mono;
        let due = |deadline: Option<(Mono, &'static str)>| deadline.is_some_and(|(at, _)| at <= mono);
        for (index, host) in process.buses.hosts.iter().enumerate() {
            if due(host.driver.next_deadline()) {
                self.todo.push_back(Todo::Driver(index, device::Input::Tick));
            }
        }
        for (cp, point) in &process.points {
            if point.wakes[0].is_some_and(|at| at <= mono) {
                self.todo
                    .push_back(Todo::Station(cp.clone(), station::Input::Tick));
            }
            if point.wakes[1].is_some_and(|at| at <= mono) {
                self.todo.push_back(Todo::Machine(cp.clone(), ocpp::Input::Tick));
            }
        }
        if due(process.fuses.next_deadline()) {
            self.todo.push_back(Todo::Fuse(None));
        }
        self.settle();
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Exchanged {
                line,
                device,
                id,
                result,
            } => {
                let Some(process) = &mut self.process else { return };
                if process.buses.busy[line] == Some((device, id)) {
                    process.buses.busy[line] = None;
                    self.todo
                        .push_back(Todo::Driver(device, device::Input::Replied { id, result }));
                }
            }
            Happening::Durable {
                cp,
                id,
                batch,
                station,
            } => {
                let rows = batch.rows.len();
                self.ledger.commit(batch);
                self.note(format_args!("durable {cp} {id} station={station}"));
                if station {
                    self.todo
                        .push_back(Todo::Station(cp.clone(), station::Input::Committed(id)));
                } else {
                    self.todo
                        .push_back(Todo::Machine(cp.clone(), ocpp::Input::Committed(id)));
                }
                if rows > 0 {
                    self.todo.push_back(Todo::Machine(cp, ocpp::Input::LedgerGrew));
                }
            }
            Happening::Rows { cp, rows } => self.todo.push_back(Todo::Machine(cp, ocpp::Input::Rows(rows))),
            Happening::Dial { cp } => self.dial(&cp),
            Happening::Up { cp, link, text } => self.up(&cp, link, &text),
            Happening::Down { cp, link, text } => {
                if self.link_of(&cp) == Some(link) {
                    self.csms.delivered(&cp, self.runs, &text);
                    self.note(format_args!("heard {cp} {text}"));
                    self.todo.push_back(Todo::Machine(cp, ocpp::Input::Text(text)));
                }
            }
            Happening::PortBack { .. } | Happening::Start | Happening::Fate => {}
        }
        self.settle();
    }

    fn link_of(&self, cp: &CpId) -> Option<u64> {
        self.csms.points.get(cp)?.link
    }

    fn dial(&mut self, cp: &CpId) {
        if self.link_of(cp).is_some() {
            return;
        }
        if self.csms.reachable {
            let link = self.csms.connect(cp);
            self.note(format_args!("link {link} of {cp} is up"));
            self.todo
                .push_back(Todo::Machine(cp.clone(), ocpp::Input::Connected));
        } else {
            let wait = 1_000 + self.rng.below(3_000);
            self.later(wait, Happening::Dial { cp: cp.clone() });
        }
    }

    /// The link of a charge point is lost; it is tried again.
    pub fn cut(&mut self, cp: &CpId) {
        let Some(point) = self.csms.points.get_mut(cp) else {
            return;
        };
        if point.link.take().is_none() || self.process.is_none() {
            return;
        }
        self.note(format_args!("link of {cp} is lost"));
        self.todo
            .push_back(Todo::Machine(cp.clone(), ocpp::Input::Disconnected));
        let wait = 1_000 + self.rng.below(3_000);
        self.later(wait, Happening::Dial { cp: cp.clone() });
    }

    fn up(&mut self, cp: &CpId, link: u64, text: &str) {
        if self.link_of(cp) != Some(link) {
            return;
        }
        let unix_ms = site::T0 + i64::try_from(self.now).expect("short");
        if let Some(text) = self.csms.take(cp, self.runs, unix_ms, text) {
            let wait = 5 + self.csms.delay + self.rng.below(20);
            self.later(
                wait,
                Happening::Down {
                    cp: cp.clone(),
                    link,
                    text,
                },
            );
        }
    }

    /// A CALL of the CSMS.
    pub fn ask(&mut self, cp: &CpId, action: &str, payload: &serde_json::Value) {
        if let Some(link) = self.link_of(cp) {
            let text = self.csms.call(action, payload);
            self.later(
                5,
                Happening::Down {
                    cp: cp.clone(),
                    link,
                    text,
                },
            );
        }
    }

    /// Starts the process from what is durable.
    pub fn start(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        self.runs += 1;
        self.disk_free = self.now;
        self.account.restart();
        self.asked.clear();
        let process = Process::start(self.now, self.runs, &self.library, &self.ledger, &mut self.rng);
        let points: Vec<CpId> = process.points.keys().cloned().collect();
        self.process = Some(process);
        let run = self.runs;
        self.note(format_args!("run {run} starts"));
        for cp in points {
            self.todo
                .push_back(Todo::Station(cp.clone(), station::Input::Tick));
            let wait = self.rng.below(1_000);
            self.later(wait, Happening::Dial { cp });
        }
        for (device, row) in DEVICES.iter().enumerate() {
            let input = if self.faults.no_port[row.2] {
                device::Input::PortLost
            } else {
                device::Input::PortBack
            };
            self.todo.push_back(Todo::Driver(device, input));
        }
        self.settle();
    }

    /// SIGKILL. What was on its way to the disk may have reached it, in order and unconfirmed.
    pub fn kill(&mut self) {
        if self.process.take().is_none() {
            return;
        }
        let run = self.runs;
        self.note(format_args!("run {run} is killed"));
        self.todo.clear();
        let mut reached = self.rng.below(3);
        let waiting: Vec<(u64, u64)> = self
            .agenda
            .iter()
            .filter(|(_, (_, what))| matches!(what, Happening::Durable { .. }))
            .map(|(key, _)| *key)
            .collect();
        for key in waiting {
            if let Some((_, Happening::Durable { batch, .. })) = self.agenda.remove(&key)
                && reached > 0
            {
                reached -= 1;
                self.ledger.commit(batch);
            }
        }
        for point in self.csms.points.values_mut() {
            point.link = None;
        }
    }

    /// An orderly stop: chargers to their safe state first.
    pub fn leave(&mut self) {
        let Some(process) = &self.process else { return };
        let points: Vec<CpId> = process.points.keys().cloned().collect();
        for cp in points {
            self.todo.push_back(Todo::Station(cp, station::Input::Leaving));
        }
        self.settle();
    }

    /// A port vanishes.
    pub fn port_lost(&mut self, line: usize) {
        self.faults.no_port[line] = true;
        self.port(line, &device::Input::PortLost);
    }

    /// It is back, unless it was already.
    pub fn port_back(&mut self, line: usize) {
        if std::mem::take(&mut self.faults.no_port[line]) {
            self.port(line, &device::Input::PortBack);
        }
    }

    fn port(&mut self, line: usize, input: &device::Input) {
        let Some(process) = &mut self.process else { return };
        process.buses.drop_queue(line);
        for (device, row) in DEVICES.iter().enumerate() {
            if row.2 == line {
                self.todo.push_back(Todo::Driver(device, input.clone()));
            }
        }
        self.settle();
        if let Some(process) = &mut self.process
            && self.faults.no_port[line]
        {
            process.buses.drop_queue(line);
        }
    }

    /// Carries inputs to machines and effects to where they go, until nothing is left to do at this instant.
    pub fn settle(&mut self) {
        loop {
            while let Some(todo) = self.todo.pop_front() {
                self.carry(todo);
            }
            let Some(process) = &mut self.process else { return };
            if !std::mem::take(&mut self.touched) {
                break;
            }
            let changed = process.changed_demands();
            self.todo
                .extend(changed.into_iter().map(|asked| Todo::Fuse(Some(asked))));
        }
        (0..LINES).for_each(|line| self.exchange(line));
    }

    fn carry(&mut self, todo: Todo) {
        let now = self.present();
        let Some(process) = &mut self.process else { return };
        match todo {
            Todo::Driver(device, input) => {
                for effect in process.buses.tell(now, device, input) {
                    self.driver_wants(device, effect);
                }
            }
            Todo::Station(cp, input) => {
                let Some(point) = process.points.get_mut(&cp) else {
                    return;
                };
                point.station.handle(now, input);
                let mut effects = Vec::new();
                while let Some(effect) = point.station.poll() {
                    effects.push(effect);
                }
                point.wakes[0] = point.station.next_deadline().map(|(at, _)| at);
                self.touched = true;
                for effect in effects {
                    self.station_wants(&cp, effect);
                }
            }
            Todo::Machine(cp, input) => {
                let Some(point) = process.points.get_mut(&cp) else {
                    return;
                };
                point.machine.handle(now, input);
                let mut effects = Vec::new();
                while let Some(effect) = point.machine.poll() {
                    effects.push(effect);
                }
                point.wakes[1] = point.machine.next_deadline().map(|(at, _)| at);
                for effect in effects {
                    self.machine_wants(&cp, effect);
                }
            }
            Todo::Fuse(asked) => {
                match asked {
                    Some((place, demand)) => process.fuses.demand(now, &place, demand),
                    None => process.fuses.tick(now),
                }
                let shares = process.fuses.shares().clone();
                let told = std::mem::replace(&mut process.told, shares.clone());
                for (place, share) in shares {
                    if told.get(&place) == Some(&share) {
                        continue;
                    }
                    let (cp, evse) = place.clone();
                    self.note(format_args!("grant {cp}/{evse} {}", share.amps));
                    self.account.granted(place, share.amps);
                    let share = Some(share);
                    self.todo
                        .push_back(Todo::Station(cp, station::Input::SharedFuse { evse, share }));
                }
            }
        }
    }

    fn driver_wants(&mut self, device: usize, effect: device::Effect) {
        let name = DEVICES[device].0;
        let Some(process) = &mut self.process else { return };
        match effect {
            device::Effect::Observed(observations) => {
                for (cp, evse, role) in process.routes(device) {
                    if let Some(facts) = process.note_facts(&cp, role, &observations) {
                        self.todo
                            .push_back(Todo::Machine(cp.clone(), ocpp::Input::Facts(facts)));
                    }
                    let observations = observations.clone();
                    self.todo.push_back(Todo::Station(
                        cp,
                        station::Input::Observed {
                            evse,
                            role,
                            observations,
                        },
                    ));
                }
                self.note(format_args!("{name} says {observations:?}"));
            }
            device::Effect::Link { up, cause } => {
                for (cp, evse, role) in process.routes(device) {
                    let cause = cause.clone();
                    self.todo.push_back(Todo::Station(
                        cp,
                        station::Input::Link {
                            evse,
                            role,
                            up,
                            cause,
                        },
                    ));
                }
                self.note(format_args!("{name} up={up} {cause:?}"));
            }
            device::Effect::Done { ticket, result } => {
                self.note(format_args!("{name} done {ticket} {result:?}"));
                let Some(process) = &mut self.process else { return };
                if let Some((cp, ticket)) = process.tickets.remove(&ticket) {
                    self.todo
                        .push_back(Todo::Station(cp, station::Input::Driven { ticket, result }));
                }
            }
            device::Effect::Failsafe(report) => {
                let fallback = report.fallback;
                for (cp, evse, _) in process.routes(device) {
                    // The site signed for every charger.
                    let input = station::Input::Failsafe {
                        evse,
                        unguarded: None,
                        fallback,
                    };
                    self.todo.push_back(Todo::Station(cp, input));
                }
                self.note(format_args!("{name} {report:?}"));
            }
            device::Effect::Request(_) | device::Effect::Cancel(_) => {}
        }
    }

    fn station_wants(&mut self, cp: &CpId, effect: station::Effect) {
        match effect {
            station::Effect::Commit { id, batch } => self.commit(cp, id, batch, true),
            station::Effect::Drive {
                evse,
                ticket,
                command,
                lowering,
            } => {
                self.note(format_args!("{cp}/{evse} drive {command:?} lowering={lowering}"));
                let place: Place = (cp.clone(), evse);
                self.account.judge_command(&place, command, self.now);
                let Some(process) = &mut self.process else { return };
                let ticket = process.ticket(cp, ticket);
                let device = site::charger_of(&place);
                let input = device::Input::Drive {
                    ticket,
                    command,
                    lowering,
                };
                self.todo.push_back(Todo::Driver(device, input));
            }
            station::Effect::Lease { evse, until } => {
                let device = site::charger_of(&(cp.clone(), evse));
                self.todo
                    .push_back(Todo::Driver(device, device::Input::Lease { until }));
            }
            station::Effect::Authorize { request, evse, token } => {
                self.todo.push_back(Todo::Machine(
                    cp.clone(),
                    ocpp::Input::Authorize { request, evse, token },
                ));
            }
            station::Effect::Answer { id, outcome } => {
                if let Some(command) = self.asked.remove(&(cp.clone(), id.0))
                    && matches!(&outcome, Outcome::Simple(accepted) if accepted.is_yes())
                {
                    self.account.answered(cp, &command);
                }
                self.note(format_args!("{cp} answers {id:?} {outcome:?}"));
                self.todo
                    .push_back(Todo::Machine(cp.clone(), ocpp::Input::Answer { id, outcome }));
            }
            station::Effect::Notify(notice) => {
                self.todo
                    .push_back(Todo::Machine(cp.clone(), ocpp::Input::Notice(notice)));
            }
            station::Effect::Presented { .. } => {}
            station::Effect::Transfer { .. } | station::Effect::CallOff { .. } => {
                panic!("nobody asks for files here");
            }
            station::Effect::Reboot(kind) => {
                self.todo
                    .push_back(Todo::Machine(cp.clone(), ocpp::Input::Reboot(kind)));
            }
        }
    }

    /// Nobody here keeps credentials.
    fn refuse_credentials(&mut self, cp: &CpId, id: CommandId, request: &VaultRequest) {
        let answer = VaultAnswer::Refused("there is no place to keep it");
        self.note(format_args!("{cp} is refused {request:?}"));
        self.todo
            .push_back(Todo::Machine(cp.clone(), ocpp::Input::Vault { id, answer }));
    }

    fn machine_wants(&mut self, cp: &CpId, effect: ocpp::Effect) {
        match effect {
            ocpp::Effect::Send(text) => {
                self.note(format_args!("says {cp} {text}"));
                if let Some(link) = self.link_of(cp) {
                    let wait = 5 + self.rng.below(20);
                    self.later(
                        wait,
                        Happening::Up {
                            cp: cp.clone(),
                            link,
                            text,
                        },
                    );
                }
            }
            ocpp::Effect::Close { code, reason } => {
                self.note(format_args!("{cp} closes with {code} {reason}"));
                self.cut(cp);
            }
            ocpp::Effect::NeedRows { after, limit } => {
                let rows = self.ledger.behind(cp, after, limit);
                let wait = 1 + self.disk_wait();
                self.later(wait, Happening::Rows { cp: cp.clone(), rows });
            }
            ocpp::Effect::Commit { id, batch } => self.commit(cp, id, batch, false),
            ocpp::Effect::Command { id, command } => {
                self.note(format_args!("{cp} is asked {id:?} {command:?}"));
                self.account.asked(cp, &command);
                self.asked.insert((cp.clone(), id.0), command.clone());
                self.todo
                    .push_back(Todo::Station(cp.clone(), station::Input::Command { id, command }));
            }
            ocpp::Effect::Authorized { request, result } => {
                self.todo.push_back(Todo::Station(
                    cp.clone(),
                    station::Input::Authorized { request, result },
                ));
            }
            ocpp::Effect::Verdict { tx, info } => {
                self.todo
                    .push_back(Todo::Station(cp.clone(), station::Input::Verdict { tx, info }));
            }
            ocpp::Effect::Learned { token, info } => {
                self.todo
                    .push_back(Todo::Station(cp.clone(), station::Input::Learned { token, info }));
            }
            ocpp::Effect::Online(online) => {
                self.note(format_args!("{cp} online={online}"));
                self.todo
                    .push_back(Todo::Station(cp.clone(), station::Input::Online(online)));
            }
            ocpp::Effect::Misbehaviour(what) => {
                assert!(!what.is_loss(), "{what}");
                self.note(format_args!("{cp} {what}"));
            }
            ocpp::Effect::Vault { id, request } => self.refuse_credentials(cp, id, &request),
            ocpp::Effect::ClockSet { .. } | ocpp::Effect::Ping(_) => {}
        }
    }

    fn disk_wait(&self) -> u64 {
        self.faults.disk_hangs_until.saturating_sub(self.now)
    }

    /// One writer: a batch is durable after those before it.
    fn commit(&mut self, cp: &CpId, id: u64, batch: Batch, station: bool) {
        let work = 1 + self.rng.below(15);
        self.disk_free = self.disk_free.max(self.now + self.disk_wait()) + work;
        let wait = self.disk_free - self.now;
        self.later(
            wait,
            Happening::Durable {
                cp: cp.clone(),
                id,
                batch,
                station,
            },
        );
    }

    /// Begins the next exchange on a line.
    fn exchange(&mut self, line: usize) {
        if self.faults.no_port[line] {
            return;
        }
        let Some(process) = &mut self.process else { return };
        let Some((device, request)) = process.buses.next(line) else {
            return;
        };
        let answer = self.world.call(self.now, device, &request.pdu);
        if request.pdu.is_write() {
            self.note(format_args!("{} gets {:?}", DEVICES[device].0, request.pdu));
            self.account.judge_world(&self.world, self.now);
        }
        let lost = self.rng.below(1000) < self.faults.lost_permille;
        let (wait, result) = match answer {
            Some(result) if !lost => (south::exchange_ms(&request), result),
            _ => {
                let wait = south::timeout_ms(&request);
                (wait, Err(DriveError::Timeout(Duration::from_millis(wait))))
            }
        };
        let id = request.id;
        self.later(
            wait,
            Happening::Exchanged {
                line,
                device,
                id,
                result,
            },
        );
    }

    /// Rows a charge point has not told yet.
    pub fn untold(&self) -> usize {
        let of = |cp: &CpId| {
            self.ledger
                .behind(cp, self.ledger.cursor(&reader_of(cp)), usize::MAX)
                .len()
        };
        [CpId::new("A"), CpId::new("B")].iter().map(of).sum()
    }

    /// A device by its name.
    pub fn device(&mut self, name: &str) -> &mut retrovolt::sim::SimDevice {
        self.world.catch_up(self.now);
        &mut self.world.devices[index_of(name)]
    }
}

/// What a failure is looked into with: how it came to it, and all of it where `RETROVOLT_LOG` names a file.
impl Drop for House {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let lines: Vec<&str> = self.log.lines().collect();
            eprintln!("{}", lines[lines.len().saturating_sub(40)..].join("\n"));
            if let Ok(file) = std::env::var("RETROVOLT_LOG") {
                let _ = std::fs::write(file, &self.log);
            }
        }
    }
}
