//! A charge point in simulated time: station, OCPP machine, store and devices together, and a CSMS that the story plays.
//! What passes between charge point and CSMS is kept as lines a person can read, each with its second.

mod authority;
mod csms;
mod outlet;
mod porter;
mod say;

use crate::pair::check;
pub use authority::{Authority, GOOD};
pub use csms::Csms;
pub use outlet::Outlet;
pub use porter::Porter;
use retrovolt::domain::*;
use retrovolt::ocpp::{self, Machine};
use retrovolt::station::{self, Role, Station};
use retrovolt::uplink::vault::{Appearance, Vault};
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Wall time at the begin of every story: 2026-09-21T12:00:00Z.
pub const NOON: i64 = 1_789_992_000_000;

/// Wait before a lost link is tried again.
const REDIAL_MS: u64 = 2_000;

/// What survives a restart.
#[derive(Default)]
struct Disk {
    station: BTreeMap<String, String>,
    machine: BTreeMap<String, String>,
    cursor: u64,
    rows: Vec<Row>,
}

pub struct Stack {
    pub cp: CpSetup,
    pub csms: Csms,
    station: Station,
    machine: Machine,
    pub vault: Vault,
    /// Where the credentials are kept.
    pub folder: tempfile::TempDir,
    face: Arc<Face>,
    now: Now,
    outlets: BTreeMap<EvseId, Outlet>,
    disk: Disk,
    todo: VecDeque<Todo>,
    /// The socket is open.
    linked: bool,
    /// The CSMS can be reached.
    reachable: bool,
    dial_at: Option<u64>,
    /// Milliseconds since the begin of the story.
    clock: u64,
    looked: u64,
    log: Vec<(u64, String)>,
    questions: BTreeMap<String, String>,
    asked: u64,
    /// Drives are told too.
    pub drives: bool,
    pub porter: Porter,
}

/// The story's time for whoever reads a clock.
#[derive(Default)]
pub struct Face(Mutex<Now>);

impl Clock for Face {
    fn now(&self) -> Now {
        *self.0.lock().expect("a time")
    }
}

enum Todo {
    Station(station::Input),
    Machine(ocpp::Input),
}

pub fn site(evses: u16) -> CpSetup {
    let mut cp = crate::pair::cp();
    let first = cp.evses[0].clone();
    cp.evses = (1..=evses)
        .map(|id| EvseSetup {
            id: EvseId(id),
            charger: DeviceId::new(format!("box{id}")),
            ..first.clone()
        })
        .collect();
    cp.keys.insert("MeterValueSampleInterval".into(), "0".into());
    cp
}

impl Stack {
    /// Switched on, its link open, nothing said yet.
    pub fn new(cp: CpSetup) -> Self {
        let (station, machine) = machines(&cp, 1, &Disk::default());
        let folder = tempfile::tempdir().expect("a folder");
        let face = Arc::new(Face::default());
        let vault = keep(&cp, &folder, &face);
        let stack = Self {
            station,
            machine,
            vault,
            folder,
            face,
            csms: Csms::default(),
            now: Now {
                mono: Mono(0),
                wall: Wall {
                    unix_ms: NOON,
                    quality: ClockQuality::Ntp,
                },
                boot: BootId(1),
            },
            outlets: cp.evses.iter().map(|e| (e.id, Outlet::default())).collect(),
            cp,
            disk: Disk::default(),
            todo: VecDeque::new(),
            linked: false,
            reachable: true,
            dial_at: Some(0),
            clock: 0,
            looked: 0,
            log: Vec::new(),
            questions: BTreeMap::new(),
            asked: 0,
            drives: false,
            porter: Porter::default(),
        };
        stack.tell_time();
        stack
    }

    fn tell_time(&self) {
        *self.face.0.lock().expect("a time") = self.now;
    }

    /// Registered and idle, with what was said on the way out of the way.
    pub fn ready(evses: u16) -> Self {
        Self::of(site(evses))
    }

    /// The same as configured.
    pub fn of(cp: CpSetup) -> Self {
        let mut stack = Self::new(cp);
        stack.run(5);
        stack.look();
        stack
    }

    /// One EVSE that charges for card `A` since some seconds, as transaction 1.
    pub fn charging() -> Self {
        let mut stack = Self::ready(1);
        stack.charge(1, "A");
        stack
    }

    /// A session as a driver begins it.
    pub fn charge(&mut self, evse: u16, card: &str) {
        self.plug(evse);
        self.present(evse, card);
        self.run(8);
        assert!(self.offers(evse), "{:?}", self.log);
        self.look();
    }

    /// One input and everything that follows from it at this instant.
    fn act(&mut self, todo: Todo) {
        self.todo.push_back(todo);
        let mut steps = 0;
        while let Some(todo) = self.todo.pop_front() {
            steps += 1;
            assert!(steps < 10_000, "it never ends: {:?}", self.log.last());
            match todo {
                Todo::Station(input) => {
                    self.station.handle(self.now, input);
                    while let Some(effect) = self.station.poll() {
                        self.station_says(effect);
                    }
                }
                Todo::Machine(input) => {
                    self.machine.handle(self.now, input);
                    while let Some(effect) = self.machine.poll() {
                        self.machine_says(effect);
                    }
                }
            }
        }
    }

    fn tell_station(&mut self, input: station::Input) {
        self.todo.push_back(Todo::Station(input));
    }

    fn tell_machine(&mut self, input: ocpp::Input) {
        self.todo.push_back(Todo::Machine(input));
    }

    fn station_says(&mut self, effect: station::Effect) {
        use station::{Effect, Input};
        match effect {
            Effect::Commit { id, batch } => {
                let grew = self.store(batch);
                self.tell_station(Input::Committed(id));
                if grew {
                    self.tell_machine(ocpp::Input::LedgerGrew);
                }
            }
            Effect::Drive {
                evse,
                ticket,
                command,
                ..
            } => {
                if self.drives {
                    self.note(outlet::told(evse, command));
                }
                let result = self.outlets.get_mut(&evse).expect("an outlet").drive(command);
                self.tell_station(Input::Driven { ticket, result });
            }
            Effect::Authorize { request, evse, token } => {
                self.tell_machine(ocpp::Input::Authorize { request, evse, token });
            }
            Effect::Answer { id, outcome } => self.tell_machine(ocpp::Input::Answer { id, outcome }),
            Effect::Notify(notice) => self.tell_machine(ocpp::Input::Notice(notice)),
            Effect::Reboot(kind) => self.tell_machine(ocpp::Input::Reboot(kind)),
            Effect::Transfer { order, what } => {
                let line = self.porter.take(self.clock, order, what);
                self.note(line);
                self.deliver();
            }
            Effect::CallOff { order } => self.porter.call_off(order),
            Effect::Presented { .. } => {}
            Effect::Lease { .. } => {}
        }
    }

    /// What was carried by now.
    fn deliver(&mut self) {
        while let Some((order, result)) = self.porter.done(self.clock) {
            self.tell_station(station::Input::Transferred { order, result });
        }
    }

    fn machine_says(&mut self, effect: ocpp::Effect) {
        use ocpp::{Effect, Input};
        match effect {
            Effect::Send(text) => self.heard(&text),
            Effect::Close { code, .. } => {
                self.note(format!("close {code}"));
                self.lose_link();
            }
            Effect::NeedRows { after, limit } => {
                let rows = self.disk.rows.iter().filter(|row| row.seq > after).take(limit);
                let rows = rows.cloned().collect();
                self.tell_machine(Input::Rows(rows));
            }
            Effect::Commit { id, batch } => {
                self.store(batch);
                self.tell_machine(Input::Committed(id));
            }
            Effect::Command { id, command } => {
                self.tell_station(station::Input::Command { id, command });
            }
            Effect::Vault { id, request } => {
                let (answer, event) = self.vault.carry_out(&request);
                self.record(event);
                self.tell_machine(Input::Vault { id, answer });
            }
            Effect::Authorized { request, result } => {
                self.tell_station(station::Input::Authorized { request, result });
            }
            Effect::Verdict { tx, info } => self.tell_station(station::Input::Verdict { tx, info }),
            Effect::Learned { token, info } => {
                self.tell_station(station::Input::Learned { token, info });
            }
            Effect::Online(online) => self.tell_station(station::Input::Online(online)),
            Effect::ClockSet { .. } | Effect::Ping(_) | Effect::Misbehaviour(_) => {}
        }
    }

    /// A security event of the link goes into the ledger.
    pub fn record(&mut self, event: Option<SecurityEvent>) {
        let Some(event) = event else { return };
        let row = NewRow {
            cp: self.cp.id.clone(),
            at: self.now.stamp(),
            event: Event::Security(event),
        };
        self.store(Batch {
            rows: vec![row],
            ..Batch::default()
        });
        self.tell_machine(ocpp::Input::LedgerGrew);
    }

    fn store(&mut self, batch: Batch) -> bool {
        let grew = !batch.rows.is_empty();
        for NewRow { cp, at, event } in batch.rows {
            let seq = self.disk.rows.last().map_or(0, |row| row.seq) + 1;
            self.disk.rows.push(Row { seq, cp, at, event });
        }
        for Put { scope, key, value } in batch.puts {
            let kv = match scope.as_str() {
                "station/CP1" => &mut self.disk.station,
                "ocpp/CP1-main" => &mut self.disk.machine,
                other => panic!("a foreign scope {other}"),
            };
            match value {
                Some(value) => kv.insert(key, value),
                None => kv.remove(&key),
            };
        }
        for (_, seq) in batch.cursors {
            self.disk.cursor = seq;
        }
        grew
    }

    /// The CSMS hears something: it is told in the log and answered as the story has it.
    fn heard(&mut self, text: &str) {
        let frame: Value = serde_json::from_str(text).expect("json");
        let id = frame[1].as_str().expect("an id").to_owned();
        let question = self.questions.remove(&id);
        check(OcppVersion::V16, &frame, None);
        match (frame[0].as_u64(), question) {
            (Some(2), _) => {
                let action = frame[2].as_str().expect("action");
                self.note(say::call(action, &frame[3]));
                let time = ocpp::format_utc(self.now.wall.unix_ms);
                if let Some(answer) = self.csms.answer(&id, action, &frame[3], &time) {
                    self.tell_machine(ocpp::Input::Text(answer));
                }
            }
            (Some(3), Some(action)) => self.note(say::result(&action, &frame[2])),
            (Some(4), Some(action)) => {
                let code = frame[2].as_str().expect("code");
                self.note(format!("= {action} !{code}"));
            }
            _ => panic!("nobody asked: {text}"),
        }
    }

    /// The CSMS calls.
    pub fn ask(&mut self, action: &str, payload: Value) {
        assert!(self.linked, "no link to ask over");
        self.asked += 1;
        let id = format!("q{}", self.asked);
        self.questions.insert(id.clone(), action.to_owned());
        let text = json!([2, id, action, payload]).to_string();
        self.act(Todo::Machine(ocpp::Input::Text(text)));
    }

    /// The CSMS changes a key; it is accepted.
    #[track_caller]
    pub fn set(&mut self, key: &str, value: &str) {
        self.ask("ChangeConfiguration", json!({"key": key, "value": value}));
        let (_, line) = self.log.pop().expect("an answer");
        assert_eq!(line, "= ChangeConfiguration Accepted", "{key} = {value}");
    }

    fn note(&mut self, line: String) {
        self.log.push((self.clock, line));
    }

    fn lose_link(&mut self) {
        if std::mem::take(&mut self.linked) {
            self.tell_machine(ocpp::Input::Disconnected);
            self.questions.clear();
        }
        self.dial_at = Some(self.clock + REDIAL_MS);
    }

    /// The network goes.
    pub fn cut(&mut self) {
        self.reachable = false;
        self.lose_link();
        self.act(Todo::Station(station::Input::Tick));
    }

    /// It is back, and the link soon after.
    pub fn mend(&mut self) {
        self.reachable = true;
        self.dial_at = Some(self.clock + REDIAL_MS);
    }

    /// Time passes in seconds: devices are polled every second, deadlines met to the millisecond.
    pub fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            let end = self.clock + 1_000;
            let mut ticks = 0;
            loop {
                let mono = self.now.mono.0;
                let due = |deadline: Option<(Mono, &str)>| {
                    deadline.map(|(at, _)| self.clock + at.0.saturating_sub(mono))
                };
                let next = [
                    due(self.station.next_deadline()),
                    due(self.machine.next_deadline()),
                    self.dial_at.filter(|_| self.reachable && !self.linked),
                    self.porter.deadline(),
                ];
                let Some(at) = next.into_iter().flatten().min().filter(|at| *at < end) else {
                    break;
                };
                ticks += 1;
                assert!(ticks < 200, "a deadline that does not go away: {next:?}");
                self.pass(at.max(self.clock));
                self.tick();
            }
            self.pass(end);
            self.tick();
            self.poll();
        }
    }

    fn tick(&mut self) {
        if self.reachable && !self.linked && self.dial_at.is_some_and(|at| at <= self.clock) {
            self.dial_at = None;
            let seen = self.vault.appearance();
            match self.csms.admits(&seen) {
                Err(error) => {
                    self.note(format!("no link: {}", Csms::words(&error)));
                    let event = error.security_event().map(|name| SecurityEvent::new(name, None));
                    self.record(event);
                    self.vault.refused(&error);
                    self.dial_at = Some(self.clock + REDIAL_MS);
                }
                Ok(chain) => self.link(&seen, chain),
            }
        }
        self.deliver();
        self.act(Todo::Station(station::Input::Tick));
        self.act(Todo::Machine(ocpp::Input::Tick));
    }

    fn link(&mut self, seen: &Appearance, chain: Vec<CertificateDer<'static>>) {
        self.linked = true;
        self.note(match seen.profile {
            0 => "link".to_owned(),
            profile => format!("link of profile {profile}"),
        });
        let presented = self.vault.credentials();
        let event = self.vault.succeeded("localhost", chain);
        self.record(event);
        self.act(Todo::Machine(ocpp::Input::Credentials(presented)));
        self.act(Todo::Machine(ocpp::Input::Connected));
    }

    fn pass(&mut self, until: u64) {
        let ms = until - self.clock;
        self.clock = until;
        self.now.mono.0 += ms;
        self.now.wall.unix_ms += i64::try_from(ms).expect("short");
        self.tell_time();
        self.outlets.values_mut().for_each(|outlet| outlet.flow(ms));
    }

    fn poll(&mut self) {
        let ids: Vec<EvseId> = self.outlets.keys().copied().collect();
        for evse in ids {
            let outlet = &self.outlets[&evse];
            let input = if outlet.link {
                station::Input::Observed {
                    evse,
                    role: Role::Charger,
                    observations: outlet.observations(self.now.mono),
                }
            } else {
                station::Input::Link {
                    evse,
                    role: Role::Charger,
                    up: false,
                    cause: Some(DriveError::Timeout(Duration::from_millis(500))),
                }
            };
            self.act(Todo::Station(input));
        }
    }

    pub fn outlet(&mut self, evse: u16) -> &mut Outlet {
        self.outlets.get_mut(&EvseId(evse)).expect("an outlet")
    }

    pub fn offers(&self, evse: u16) -> bool {
        self.outlets[&EvseId(evse)].offers()
    }

    /// What the charger is told to offer at most, in ampere.
    pub fn amps(&self, evse: u16) -> i64 {
        let outlet = &self.outlets[&EvseId(evse)];
        if outlet.offers() {
            outlet.limit.0 / 1_000
        } else {
            0
        }
    }

    pub fn plug(&mut self, evse: u16) {
        self.outlet(evse).plugged = true;
        self.poll();
    }

    pub fn unplug(&mut self, evse: u16) {
        self.outlet(evse).plugged = false;
        self.poll();
    }

    /// A card is held to the reader and taken away.
    pub fn present(&mut self, evse: u16, card: &str) {
        let card = IdToken::new(card, TokenKind::Iso14443);
        for token in [None, Some(card), None] {
            self.act(Todo::Station(station::Input::Observed {
                evse: EvseId(evse),
                role: Role::Charger,
                observations: vec![Observation::Token(token)],
            }));
        }
    }

    /// A contact of the site closes or opens.
    pub fn contact(&mut self, device: &str, signal: GpioSignal, active: bool) {
        self.act(Todo::Station(station::Input::Contacts {
            device: DeviceId::new(device),
            levels: vec![(signal, active)],
        }));
    }

    /// The process is killed and comes back after some seconds.
    pub fn restart(&mut self, seconds: u64) {
        self.todo.clear();
        self.linked = false;
        self.porter.forget();
        self.questions.clear();
        self.pass(self.clock + seconds * 1_000);
        self.now.boot.0 += 1;
        self.now.mono = Mono(0);
        (self.station, self.machine) = machines(&self.cp, u64::from(self.now.boot.0), &self.disk);
        self.tell_time();
        self.vault = keep(&self.cp, &self.folder, &self.face);
        self.dial_at = Some(self.clock);
        self.note("restart".to_owned());
    }

    /// The process ends in an orderly way and comes back.
    pub fn leave(&mut self, seconds: u64) {
        self.act(Todo::Station(station::Input::Leaving));
        self.restart(seconds);
    }

    /// Everything the store has been given, as text.
    pub fn on_disk(&self) -> String {
        let values = self.disk.station.iter().chain(&self.disk.machine);
        let values = values.map(|(key, value)| format!("{key} {value}"));
        values.collect::<String>() + &format!("{:?}", self.disk.rows)
    }

    /// Rows the CSMS has not been told.
    pub fn untold(&self) -> usize {
        self.disk
            .rows
            .iter()
            .filter(|row| row.seq > self.disk.cursor)
            .count()
    }

    /// The lines since the last look, each with the seconds that had passed since then.
    pub fn look(&mut self) -> Vec<String> {
        let from = std::mem::replace(&mut self.looked, self.clock);
        let lines = std::mem::take(&mut self.log).into_iter();
        lines
            .map(|(at, line)| {
                let ms = at - from;
                let mut text = format!("+{}", ms / 1_000);
                if !ms.is_multiple_of(1_000) {
                    let _ = write!(text, ".{:03}", ms % 1_000);
                }
                format!("{text} {line}")
            })
            .collect()
    }

    /// Checks the lines since the last look.
    #[track_caller]
    pub fn expect(&mut self, lines: &str) {
        let wanted: Vec<&str> = lines.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        let got = self.look();
        assert_eq!(
            got,
            wanted,
            "\n--- got:\n{}\n--- wanted:\n{}\n",
            got.join("\n"),
            wanted.join("\n")
        );
    }

    /// Asks and checks that this, and only this, is said at once.
    #[track_caller]
    pub fn asked(&mut self, action: &str, payload: Value, answer: &str) {
        self.look();
        self.ask(action, payload);
        self.expect(&format!("+0 = {action} {answer}"));
    }
}

fn keep(cp: &CpSetup, folder: &tempfile::TempDir, face: &Arc<Face>) -> Vault {
    let clock: Arc<dyn Clock> = face.clone();
    Vault::open(
        cp.csms[0].clone(),
        cp.id.clone(),
        None,
        Some(folder.path()),
        clock,
    )
}

fn machines(cp: &CpSetup, seed: u64, disk: &Disk) -> (Station, Machine) {
    let pairs = |kv: &BTreeMap<String, String>| -> Vec<(String, String)> {
        kv.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    let reader = ReaderId::new("CP1-main");
    let keys = pairs(&disk.machine);
    let machine = Machine::new(cp, &cp.csms[0], reader.clone(), "0.1.0", seed, disk.cursor, &keys);
    let station = Station::new(cp.clone(), machine.params(), 7, &pairs(&disk.station), reader);
    (station, machine)
}
