//! A station on a test bench: a charger, a vehicle, a meter and a store of a few lines each, under a clock that is
//! moved by hand. What the station does is kept as lines a person can read.

use super::words::{drive_text, outcome_text, row_text};
use crate::domain::*;
use crate::station::{Effect, EvseSnapshot, Input, Role, Station};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

/// 2026-01-01T00:00:00Z.
pub(super) const NEW_YEAR: i64 = 1_767_225_600_000;

/// A charger with its vehicle and its meter.
#[derive(Clone, Debug)]
pub(super) struct Outlet {
    pub(super) limit: MilliAmps,
    pub(super) enabled: bool,
    pub(super) plugged: bool,
    /// The vehicle asks for current.
    pub(super) hungry: bool,
    /// Raw billing register, mWh.
    pub(super) meter: i64,
    pub(super) link: bool,
    pub(super) meter_answers: bool,
    pub(super) fault: Option<FaultKind>,
    /// Obeys limits.
    pub(super) obeys: bool,
    /// All energy ever delivered, mWh.
    pub(super) delivered: i64,
    /// Last lease.
    pub(super) lease: Mono,
    /// Leases granted.
    pub(super) leases: u32,
}

impl Outlet {
    pub(super) fn state(&self) -> VehicleState {
        match (self.fault, self.plugged, self.offers(), self.hungry) {
            (Some(kind), ..) => VehicleState::Fault(kind),
            (_, false, ..) => VehicleState::Absent,
            (_, true, false, _) => VehicleState::Connected,
            (_, true, true, false) => VehicleState::Ready,
            (_, true, true, true) => VehicleState::Charging,
        }
    }

    pub(super) fn offers(&self) -> bool {
        self.enabled && self.limit.0 > 0
    }

    fn power_mw(&self, setup: &EvseSetup) -> i64 {
        if self.state() == VehicleState::Charging {
            self.limit.0 * i64::from(setup.nominal_voltage) * i64::from(setup.phases)
        } else {
            0
        }
    }
}

pub(super) struct Bench {
    pub(super) station: Station,
    pub(super) setup: CpSetup,
    pub(super) params: Params,
    pub(super) now: Now,
    pub(super) outlets: BTreeMap<EvseId, Outlet>,
    /// How the contacts of each device stand, as far as they are seen.
    pub(super) contacts: BTreeMap<DeviceId, BTreeMap<GpioSignal, bool>>,
    pub(super) kv: BTreeMap<String, String>,
    /// What the journal was given.
    pub(super) sessions: Vec<SessionRecord>,
    pub(super) rows: Vec<NewRow>,
    log: Vec<String>,
    /// The store answers at once.
    pub(super) store: bool,
    pub(super) unanswered: VecDeque<(u64, Batch)>,
    /// The bus answers at once.
    pub(super) bus: bool,
    pub(super) drives: VecDeque<(EvseId, u64, DeviceCommand)>,
    pub(super) asked: Vec<(u64, IdToken)>,
    pub(super) presented: Vec<(EvseId, IdToken)>,
    pub(super) answers: BTreeMap<u64, Outcome>,
    commands: u64,
    pub(super) seed: u64,
    /// Judges every drive as it leaves.
    pub(super) judge: Option<fn(&Bench, EvseId, DeviceCommand)>,
    /// What the judge knows.
    pub(super) world: World,
}

/// What restricts the EVSEs, told a second time and without the station.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    pub(super) shared: BTreeMap<EvseId, MilliAmps>,
    pub(super) local: BTreeMap<EvseId, LimitEntry>,
    pub(super) profiles: BTreeMap<i32, (Option<EvseId>, ChargingProfile)>,
    /// Every profile that was ever set.
    pub(super) history: BTreeMap<i32, (Option<EvseId>, ChargingProfile)>,
}

pub(super) fn evse(id: u16) -> EvseSetup {
    EvseSetup {
        id: EvseId(id),
        charger: DeviceId::new(format!("charger{id}")),
        meter: Some(DeviceId::new(format!("meter{id}"))),
        reader: Some(DeviceId::new("reader")),
        contacts: Vec::new(),
        phases: 3,
        first_phase: Phase::L1,
        max_current: MilliAmps(16_000),
        min_current: MilliAmps(6_000),
        dimmed_current: MilliAmps(6_000),
        nominal_voltage: 230,
        auth: AuthMode::Reader,
        meter_stale_after: Duration::from_secs(5),
        has_lock: true,
        switches_phases: true,
    }
}

pub(super) fn setup(evses: u16) -> CpSetup {
    CpSetup {
        id: CpId::new("CP1"),
        vendor: "Acme".to_owned(),
        model: "Box".to_owned(),
        serial: None,
        evses: (1..=evses).map(evse).collect(),
        csms: Vec::new(),
        keys: BTreeMap::new(),
        firmware: None,
        variables: BTreeMap::new(),
    }
}

pub(super) fn card(text: &str) -> IdToken {
    IdToken::new(text, TokenKind::Iso14443)
}

impl Bench {
    pub(super) fn new(setup: CpSetup) -> Self {
        Self::with(
            setup,
            Params {
                sample_interval: Duration::ZERO,
                ..Params::default()
            },
        )
    }

    pub(super) fn with(setup: CpSetup, params: Params) -> Self {
        let seed = 7;
        let outlet = Outlet {
            limit: MilliAmps(16_000),
            enabled: false,
            plugged: false,
            hungry: true,
            meter: 1_000_000_000,
            link: true,
            meter_answers: true,
            fault: None,
            obeys: true,
            delivered: 0,
            lease: Mono(0),
            leases: 0,
        };
        let outlets = setup.evses.iter().map(|e| (e.id, outlet.clone())).collect();
        let wall = Wall {
            unix_ms: NEW_YEAR + 43_200_000,
            quality: ClockQuality::Csms,
        };
        Self {
            station: Station::new(setup.clone(), params.clone(), seed, &[], ReaderId::new("csms")),
            setup,
            params,
            now: Now {
                mono: Mono(1_000),
                wall,
                boot: BootId(1),
            },
            outlets,
            contacts: BTreeMap::new(),
            kv: BTreeMap::new(),
            rows: Vec::new(),
            sessions: Vec::new(),
            log: Vec::new(),
            store: true,
            unanswered: VecDeque::new(),
            bus: true,
            drives: VecDeque::new(),
            asked: Vec::new(),
            presented: Vec::new(),
            answers: BTreeMap::new(),
            commands: 0,
            seed,
            judge: None,
            world: World::default(),
        }
    }

    /// Online, polled once, the log cleared.
    pub(super) fn ready(mut self) -> Self {
        self.act(Input::Online(true));
        self.poll_devices();
        self.run(1);
        self.log.clear();
        self
    }

    /// One input and everything the shells do about it.
    pub(super) fn act(&mut self, input: Input) {
        self.station.handle(self.now, input);
        self.drain();
    }

    pub(super) fn drain(&mut self) {
        while let Some(effect) = self.station.poll() {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Commit { id, batch } => {
                self.unanswered.push_back((id, batch));
                if self.store {
                    self.commit();
                }
            }
            Effect::Drive {
                evse,
                ticket,
                command,
                lowering,
            } => {
                if let Some(judge) = self.judge {
                    judge(self, evse, command);
                }
                let mark = if lowering { " !" } else { "" };
                self.note(format!("drive {evse} {}{mark}", drive_text(command)));
                self.drives.push_back((evse, ticket, command));
                if self.bus {
                    self.drive();
                }
            }
            Effect::Lease { evse, until } => {
                let outlet = self.outlets.get_mut(&evse).unwrap();
                assert!(until > self.now.mono, "a lease into the past");
                outlet.lease = until;
                outlet.leases += 1;
            }
            Effect::Authorize { request, evse, token } => {
                self.note(format!("authorize {evse} {}", token.text));
                self.asked.push((request, token));
            }
            Effect::Answer { id, outcome } => {
                self.note(format!("answer {}", outcome_text(&outcome)));
                assert!(self.answers.insert(id.0, outcome).is_none(), "answered twice");
            }
            Effect::Notify(Notice::Status(n)) => {
                let mut line = format!("status {} {:?}", n.evse.map_or(0, |e| e.0), n.status);
                if let Some(kind) = n.error.kind {
                    let _ = write!(line, " {kind:?}");
                }
                if let Some(info) = n.error.info.filter(|_| n.error.kind.is_none()) {
                    let _ = write!(line, " ({info})");
                }
                self.note(line);
            }
            Effect::Notify(Notice::ListConflict(_)) => self.note("list conflict".to_owned()),
            Effect::Reboot(kind) => self.note(format!("reboot {kind:?}")),
            Effect::Transfer { order, what } => self.note(format!("carry {order} {what:?}")),
            Effect::CallOff { order } => self.note(format!("call off {order}")),
            // For telemetry; a transcript shows what became of the card.
            Effect::Presented { evse, token } => self.presented.push((evse, token)),
        }
    }

    /// The store makes the oldest batch durable.
    pub(super) fn commit(&mut self) {
        let Some((id, batch)) = self.unanswered.pop_front() else {
            return;
        };
        let ended: Vec<&TxId> = batch
            .rows
            .iter()
            .filter_map(|row| matches!(row.event, Event::Ended(_)).then(|| row.event.tx())?)
            .collect();
        let kept: Vec<&TxId> = batch.sessions.iter().map(|session| &session.tx).collect();
        assert_eq!(ended, kept, "a record for each end, in one step with it");
        self.sessions.extend(batch.sessions);
        for row in batch.rows {
            self.note(row_text(&row.event));
            self.rows.push(row);
        }
        for put in batch.puts {
            assert_eq!(put.scope, "station/CP1");
            match put.value {
                Some(value) => self.kv.insert(put.key, value),
                None => self.kv.remove(&put.key),
            };
        }
        self.station.handle(self.now, Input::Committed(id));
    }

    /// The bus carries out the oldest drive.
    pub(super) fn drive(&mut self) {
        let Some((evse, ticket, command)) = self.drives.pop_front() else {
            return;
        };
        let outlet = self.outlets.get_mut(&evse).unwrap();
        let result = match command {
            _ if !outlet.link => Err(DriveError::Timeout(Duration::from_millis(500))),
            DeviceCommand::Limit(amps) if !outlet.obeys => Err(DriveError::NotObeyed {
                wrote: amps.0.unsigned_abs(),
                read: outlet.limit.0.unsigned_abs(),
            }),
            DeviceCommand::Limit(amps) => {
                outlet.limit = amps;
                Ok(())
            }
            DeviceCommand::Enable(on) => {
                outlet.enabled = on;
                Ok(())
            }
            DeviceCommand::SafeState => {
                outlet.enabled = false;
                Ok(())
            }
            DeviceCommand::Phases(_) | DeviceCommand::Unlock | DeviceCommand::ArmWatchdog => Ok(()),
        };
        self.station.handle(self.now, Input::Driven { ticket, result });
    }

    /// Every device is polled.
    pub(super) fn poll_devices(&mut self) {
        self.tell_contacts();
        let ids: Vec<EvseId> = self.outlets.keys().copied().collect();
        for id in ids {
            self.poll_device(id);
        }
    }

    fn tell_contacts(&mut self) {
        for (device, levels) in self.contacts.clone() {
            let levels = levels.into_iter().collect();
            self.act(Input::Contacts { device, levels });
        }
    }

    /// A contact changes and is told at once.
    pub(super) fn contact(&mut self, device: &str, signal: GpioSignal, active: bool) {
        let levels = self.contacts.entry(DeviceId::new(device)).or_default();
        levels.insert(signal, active);
        self.tell_contacts();
    }

    pub(super) fn poll_device(&mut self, id: EvseId) {
        let outlet = self.outlets[&id].clone();
        let setup = self.setup.evses.iter().find(|e| e.id == id).unwrap().clone();
        if outlet.link {
            let observations = vec![
                Observation::Vehicle {
                    state: outlet.state(),
                    raw: 7,
                },
                Observation::LimitReadBack(if outlet.enabled {
                    outlet.limit
                } else {
                    MilliAmps::ZERO
                }),
            ];
            self.act(Input::Observed {
                evse: id,
                role: Role::Charger,
                observations,
            });
        }
        if outlet.meter_answers {
            let power = outlet.power_mw(&setup);
            let amps = if power > 0 { outlet.limit.0 } else { 0 };
            let observations = vec![
                self.reading(Quantity::EnergyImport, Phase::Total, outlet.meter),
                self.reading(Quantity::Power, Phase::Total, power),
                self.reading(Quantity::Current, Phase::L1, amps),
                self.reading(Quantity::Current, Phase::L2, amps),
                self.reading(Quantity::Current, Phase::L3, amps),
            ];
            self.act(Input::Observed {
                evse: id,
                role: Role::Meter,
                observations,
            });
        }
    }

    pub(super) fn reading(&self, quantity: Quantity, phase: Phase, milli: i64) -> Observation {
        Observation::Reading(Reading {
            quantity,
            phase,
            milli,
            quality: Quality::Good,
            taken_at: self.now.mono,
        })
    }

    /// Time passes in seconds; devices are polled every second, deadlines are met to the millisecond.
    pub(super) fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            let target = Mono(self.now.mono.0 + 1_000);
            let mut ticks = 0;
            while let Some((at, why)) = self.station.next_deadline().filter(|(at, _)| *at < target) {
                ticks += 1;
                assert!(ticks < 50, "a deadline that does not go away: {why}");
                self.pass(at.0.saturating_sub(self.now.mono.0));
                self.act(Input::Tick);
            }
            self.pass(target.0 - self.now.mono.0);
            self.act(Input::Tick);
            self.poll_devices();
        }
    }

    /// Time passes; energy flows.
    pub(super) fn pass(&mut self, ms: u64) {
        self.now.mono = Mono(self.now.mono.0 + ms);
        self.now.wall.unix_ms += i64::try_from(ms).unwrap();
        for setup in &self.setup.evses {
            let outlet = self.outlets.get_mut(&setup.id).unwrap();
            let energy = outlet.power_mw(setup) * i64::try_from(ms).unwrap() / 3_600_000;
            outlet.meter += energy;
            outlet.delivered += energy;
        }
    }

    pub(super) fn plug(&mut self, id: u16) {
        self.outlets.get_mut(&EvseId(id)).unwrap().plugged = true;
        self.run(1);
    }

    pub(super) fn unplug(&mut self, id: u16) {
        self.outlets.get_mut(&EvseId(id)).unwrap().plugged = false;
        self.run(1);
    }

    pub(super) fn outlet(&mut self, id: u16) -> &mut Outlet {
        self.outlets.get_mut(&EvseId(id)).unwrap()
    }

    pub(super) fn lease(&self, id: u16) -> Mono {
        self.outlets[&EvseId(id)].lease
    }

    /// The end that was recorded last.
    pub(super) fn end(&self) -> End {
        match self.rows.last().map(|r| r.event.clone()) {
            Some(Event::Ended(end)) => end,
            other => panic!("not an end: {other:?}"),
        }
    }

    /// A card is held to the reader and taken away.
    pub(super) fn present(&mut self, text: &str) {
        for token in [None, Some(card(text)), None] {
            let ids: Vec<EvseId> = self.outlets.keys().copied().collect();
            for evse in ids {
                let observations = vec![Observation::Token(token.clone())];
                self.act(Input::Observed {
                    evse,
                    role: Role::Reader,
                    observations,
                });
            }
        }
    }

    /// The CSMS answers the latest question.
    pub(super) fn judge(&mut self, info: Option<TokenInfo>) {
        let (request, _) = self.asked.pop().expect("nothing was asked");
        self.act(Input::Authorized {
            request,
            result: info,
        });
    }

    pub(super) fn accept(&mut self) {
        self.judge(Some(TokenInfo::of(AuthStatus::Accepted)));
    }

    /// A card is presented and the CSMS accepts it.
    pub(super) fn authorise(&mut self, text: &str) {
        self.present(text);
        self.accept();
    }

    /// A command; gives its answer.
    pub(super) fn ask(&mut self, command: Command) -> Option<Outcome> {
        self.commands += 1;
        let id = self.commands;
        self.act(Input::Command {
            id: CommandId(id),
            command,
        });
        self.answers.get(&id).cloned()
    }

    pub(super) fn remote_start(&mut self, evse: Option<u16>, token: &str) -> bool {
        let start = RemoteStart {
            evse: evse.map(EvseId),
            token: IdToken::new(token, TokenKind::Central),
            remote_start_id: Some(11),
            profile: None,
            group: None,
        };
        self.ask(Command::RemoteStart(start)) == Some(Outcome::Simple(Accepted::Yes))
    }

    /// The running transaction of an EVSE.
    pub(super) fn tx(&self, id: u16) -> Option<TxId> {
        self.station.snapshot().evses[usize::from(id) - 1]
            .tx
            .as_ref()
            .map(|tx| tx.id.clone())
    }

    pub(super) fn show(&self, id: u16) -> EvseSnapshot {
        self.station.snapshot().evses[usize::from(id) - 1].clone()
    }

    /// The process is killed and started again after some seconds, with what was durable.
    pub(super) fn restart(&mut self, seconds: u64) {
        self.pass(seconds * 1_000);
        self.unanswered.clear();
        self.drives.clear();
        self.asked.clear();
        let stored: Vec<(String, String)> = self.kv.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        self.station = Station::new(
            self.setup.clone(),
            self.params.clone(),
            self.seed,
            &stored,
            ReaderId::new("csms"),
        );
        self.now.boot = BootId(self.now.boot.0 + 1);
        self.now.mono = Mono(500);
        for outlet in self.outlets.values_mut() {
            outlet.lease = Mono(0);
        }
        self.note(format!("restart {}", self.now.boot.0));
    }

    fn note(&mut self, line: String) {
        self.log.push(line);
    }

    /// The lines since the last look.
    pub(super) fn look(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    /// Checks the lines since the last look.
    #[track_caller]
    pub(super) fn expect(&mut self, lines: &str) {
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
}
