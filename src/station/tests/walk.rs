//! A station on a random walk: everything that can happen, in any order, with kills in between.
//!
//! Held at every step: a drive never offers more than every limit allows, as a second account of the limits has
//! it (S8); nothing is offered without a transaction on record. Held at the end: every begin has one end and no
//! end is without begin (D1), sequence numbers have no gap, registers do not fall, no more is billed than flowed.
//! The same seed gives the same log (T2).

use super::bench::World;
use super::*;

/// Steps in one walk.
const STEPS: u32 = 1_000;
/// The device both EVSEs have their contacts on.
const PINS: &str = "pins";

struct Walk {
    b: Bench,
    rng: Rng,
    profiles: i32,
}

impl Walk {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut s = setup(2);
        for evse in &mut s.evses {
            evse.auth = match rng.below(4) {
                0 => AuthMode::Free(IdToken::new("FREE", TokenKind::Local)),
                1 => AuthMode::Remote,
                _ => AuthMode::Reader,
            };
            evse.phases = if rng.below(3) == 0 { 1 } else { 3 };
            evse.contacts = vec![ContactSetup {
                device: DeviceId::new(PINS),
                signals: GpioSignal::CONTACTS.into(),
            }];
        }
        s.evses[1].dimmed_current = MilliAmps(i64::try_from(rng.below(2) * 8_000).unwrap());
        let params = Params {
            sample_interval: Duration::from_secs(rng.below(3) * 10),
            aligned_interval: Duration::from_secs(rng.below(2) * 60),
            stop_sampled: if rng.below(2) == 0 {
                vec![Measurand::all(Quantity::EnergyImport)]
            } else {
                Vec::new()
            },
            stop_on_ev_disconnect: rng.below(4) > 0,
            stop_on_invalid_id: rng.below(2) == 0,
            max_energy_on_invalid_id: MilliWattHours::from_base(i64::try_from(rng.below(2)).unwrap() * 20),
            authorize_remote_start: rng.below(2) == 0,
            local_pre_authorize: rng.below(2) == 0,
            allow_offline_unknown: rng.below(2) == 0,
            min_status_duration: Duration::from_secs(rng.below(3)),
            ..Params::default()
        };
        let mut b = Bench::with(s, params);
        b.seed = seed;
        b.judge = Some(judge);
        b.contacts.insert(
            DeviceId::new(PINS),
            GpioSignal::CONTACTS.map(|signal| (signal, false)).into(),
        );
        b.restart(1);
        Self {
            b: b.ready(),
            rng,
            profiles: 0,
        }
    }

    fn evse(&mut self) -> EvseId {
        EvseId(u16::try_from(1 + self.rng.below(2)).unwrap())
    }

    fn amps(&mut self) -> i64 {
        i64::try_from(3 + self.rng.below(15)).unwrap() * 1_000
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.rng.below(one_in) == 0
    }

    fn reserve(&mut self, evse: EvseId) {
        let token = ["A", "B", "APP"][usize::try_from(self.rng.below(3)).unwrap()];
        let seconds = i64::try_from(self.rng.below(300)).unwrap();
        self.b.ask(Command::Reserve(Reservation {
            id: i32::try_from(self.rng.below(3)).unwrap(),
            evse: (self.rng.below(3) > 0).then_some(evse),
            token: card(token),
            group: (self.rng.below(2) == 0).then(|| "FAMILY".to_owned()),
            expires_ms: self.b.now.wall.unix_ms + seconds * 1_000,
        }));
    }

    /// Nobody has begun where the records keep the EVSE for another.
    fn check_reservations(&self, from: usize) {
        let held: Vec<Reservation> = self
            .b
            .kv
            .iter()
            .filter(|(key, _)| key.starts_with("reservation/"))
            .map(|(_, value)| serde_json::from_str(value).unwrap())
            .collect();
        for row in &self.b.rows[from..] {
            let Event::Began(begin) = &row.event else { continue };
            let used = begin.reservation_id;
            assert!(held.iter().all(|r| Some(r.id) != used), "{used:?} is kept on");
            assert!(
                held.iter().all(|r| r.evse != Some(begin.evse)),
                "{begin:?} with {held:?}"
            );
        }
    }

    fn step(&mut self) {
        let from = self.b.rows.len();
        self.one_of_many();
        self.check_reservations(from);
    }

    fn one_of_many(&mut self) {
        let id = self.evse();
        match self.rng.below(40) {
            0..=11 => {
                let seconds = 1 + self.rng.below(6);
                self.b.run(seconds);
            }
            12 | 13 => {
                let leaves = self.chance(3);
                let outlet = self.b.outlet(id.0);
                outlet.plugged = !outlet.plugged || !leaves;
                self.b.poll_device(id);
            }
            14 => {
                let hungry = !self.chance(3);
                self.b.outlet(id.0).hungry = hungry;
            }
            15..=17 => {
                let name = ["A", "B", "C"][usize::try_from(self.rng.below(3)).unwrap()];
                self.b.present(name);
            }
            18..=21 if !self.b.asked.is_empty() => {
                let info = self.verdict();
                let info = (!self.chance(5)).then_some(info);
                self.b.judge(info);
            }
            22..=24 => self.command(id),
            25..=27 => self.limit(id),
            28 | 29 => self.link(id),
            30..=33 => self.house(),
            34 => {
                if let Some(tx) = self.b.tx(id.0) {
                    let info = self.verdict();
                    self.b.act(Input::Verdict { tx, info });
                }
            }
            35..=37 => self.device(id),
            38 => self.contact(),
            _ => self.b.pass(700),
        }
    }

    /// What happens to the gateway itself.
    fn house(&mut self) {
        match self.rng.below(8) {
            0 => {
                let seconds = self.rng.below(100);
                self.kill(seconds);
            }
            1 if self.chance(4) => {
                self.b.act(Input::Leaving);
                self.kill(2);
            }
            2 => {
                let days = i64::try_from(self.rng.below(40)).unwrap() - 20;
                self.b.now.wall.unix_ms += days * 86_400_000;
                self.b.act(Input::Tick);
            }
            3 | 4 => {
                let online = !self.chance(4);
                self.b.act(Input::Online(online));
            }
            _ => self.store(),
        }
    }

    /// What happens to a charger and its meter.
    fn device(&mut self, id: EvseId) {
        match self.rng.below(9) {
            0..=3 => {
                let fails = self.chance(4);
                self.b.outlet(id.0).fault = fails.then_some(FaultKind::InternalError);
                self.b.poll_device(id);
            }
            4..=7 => {
                let obeys = !self.chance(5);
                self.b.outlet(id.0).obeys = obeys;
            }
            _ => self.b.outlet(id.0).meter = 0,
        }
    }

    /// A contact closes for a while, or its lines are lost.
    fn contact(&mut self) {
        let signal = GpioSignal::CONTACTS[usize::try_from(self.rng.below(3)).unwrap()];
        let device = DeviceId::new(PINS);
        match self.rng.below(8) {
            0 => {
                let levels = self.b.contacts.remove(&device).unwrap();
                self.b.act(Input::ContactsLost {
                    device: device.clone(),
                });
                self.b.run(2);
                self.b.contacts.insert(device, levels);
            }
            1 => self.b.contact(PINS, signal, true),
            _ => {
                for signal in GpioSignal::CONTACTS {
                    self.b.contact(PINS, signal, false);
                }
            }
        }
    }

    fn verdict(&mut self) -> TokenInfo {
        let status = if self.rng.below(4) == 0 {
            AuthStatus::Blocked
        } else {
            AuthStatus::Accepted
        };
        let group = (self.rng.below(2) == 0).then(|| "FAMILY".to_owned());
        TokenInfo {
            group,
            ..TokenInfo::of(status)
        }
    }

    fn command(&mut self, id: EvseId) {
        match self.rng.below(15) {
            12 | 13 => self.reserve(id),
            14 => {
                let id = i32::try_from(self.rng.below(3)).unwrap();
                self.b.ask(Command::CancelReservation { id });
            }
            0..=4 => {
                let evse = (self.rng.below(3) > 0).then_some(id.0);
                self.b.remote_start(evse, "APP");
            }
            5 => {
                if let Some(tx) = self.b.tx(id.0) {
                    self.b.ask(Command::RemoteStop { tx });
                }
            }
            6..=9 => {
                let to = if self.chance(5) {
                    Availability::Inoperative
                } else {
                    Availability::Operative
                };
                let evse = (self.rng.below(2) == 0).then_some(id);
                self.b.ask(Command::ChangeAvailability { evse, to });
            }
            10 => {
                self.b.ask(Command::Unlock {
                    evse: id,
                    running: RunningTx::Ends,
                });
            }
            _ => {
                let kind = [ResetKind::Soft, ResetKind::Hard, ResetKind::OnIdle]
                    [usize::try_from(self.rng.below(3)).unwrap()];
                self.b.ask(Command::Reset { kind, evse: None });
            }
        }
    }

    /// The second account is brought up to date first, so that it can judge what the station does at once.
    fn limit(&mut self, id: EvseId) {
        let limit = self.amps();
        match self.rng.below(12) {
            0 | 1 => {
                let amps = (limit < 16_000).then_some(MilliAmps(limit));
                match amps {
                    Some(amps) => self.b.world.shared.insert(id, amps),
                    None => self.b.world.shared.remove(&id),
                };
                let share = amps.map(|amps| Share { amps, number: 1 });
                self.b.act(Input::SharedFuse { evse: id, share });
            }
            2 | 3 => {
                let until = self.b.now.mono.plus(Duration::from_secs(self.rng.below(60)));
                let entry = LimitEntry {
                    amps: MilliAmps(limit),
                    source: LimitSource::Local,
                    until: Some(until),
                };
                self.b.world.local.insert(id, entry);
                self.b.ask(Command::SetLimit {
                    evse: id,
                    entry: Some(entry),
                });
            }
            4..=6 => {
                self.b.world.profiles.clear();
                self.b.ask(Command::ClearProfiles(ClearProfiles::default()));
            }
            _ => self.profile(id, limit),
        }
    }

    fn profile(&mut self, id: EvseId, limit: i64) {
        self.profiles += 1;
        let level = u32::try_from(self.rng.below(3)).unwrap();
        let (purpose, evse) = match self.rng.below(4) {
            0 => (ProfilePurpose::ChargePointMax, None),
            1 => (ProfilePurpose::TxDefault, None),
            2 => (ProfilePurpose::TxDefault, Some(id)),
            _ => (ProfilePurpose::Tx, Some(id)),
        };
        let mut p = profile(self.profiles, purpose, level, limit);
        if purpose == ProfilePurpose::Tx {
            let Some(tx) = self.b.tx(id.0) else { return };
            p.tx = Some(tx);
        }
        let world = &mut self.b.world;
        world
            .profiles
            .retain(|_, (e, q)| (*e, q.purpose, q.stack_level) != (evse, purpose, level));
        world.profiles.insert(p.id, (evse, p.clone()));
        world.history.insert(p.id, (evse, p.clone()));
        self.b.ask(Command::SetProfile { evse, profile: p });
    }

    fn link(&mut self, id: EvseId) {
        let up = !self.chance(4);
        let meter = self.chance(2);
        let outlet = self.b.outlet(id.0);
        let (link, role) = if meter {
            (&mut outlet.meter_answers, Role::Meter)
        } else {
            (&mut outlet.link, Role::Charger)
        };
        *link = up;
        self.b.act(Input::Link {
            evse: id,
            role,
            up,
            cause: None,
        });
    }

    fn kill(&mut self, seconds: u64) {
        let b = &mut self.b;
        let known = |value: &String| {
            let value: serde_json::Value = serde_json::from_str(value).ok()?;
            i32::try_from(value.get("profile")?.get("id")?.as_i64()?).ok()
        };
        let kept: Vec<i32> = b.kv.values().filter_map(known).collect();
        let history = std::mem::take(&mut b.world.history);
        b.world = World {
            profiles: kept.iter().map(|id| (*id, history[id].clone())).collect(),
            history,
            ..World::default()
        };
        b.restart(seconds);
        b.store = true;
        b.act(Input::Online(true));
    }

    fn store(&mut self) {
        self.b.store = !self.chance(3);
        if self.b.store {
            while !self.b.unanswered.is_empty() {
                self.b.commit();
                self.b.drain();
            }
        }
    }

    /// Everything is well again and everybody leaves.
    fn finish(&mut self) {
        self.b.store = true;
        while !self.b.unanswered.is_empty() {
            self.b.commit();
            self.b.drain();
        }
        for signal in GpioSignal::CONTACTS {
            self.b.contact(PINS, signal, false);
        }
        for id in [EvseId(1), EvseId(2)] {
            let outlet = self.b.outlet(id.0);
            (outlet.link, outlet.meter_answers, outlet.obeys) = (true, true, true);
            (outlet.fault, outlet.plugged) = (None, false);
            for role in [Role::Charger, Role::Meter] {
                self.b.act(Input::Link {
                    evse: id,
                    role,
                    up: true,
                    cause: None,
                });
            }
        }
        self.b.run(5);
        for id in [1, 2] {
            if let Some(tx) = self.b.tx(id) {
                self.b.ask(Command::RemoteStop { tx });
            }
        }
        self.b.run(120);
    }
}

/// Nothing is offered without a record, and never more than any limit allows.
fn judge(b: &Bench, id: EvseId, command: DeviceCommand) {
    let amps = match command {
        DeviceCommand::Limit(amps) if amps.0 > 0 => amps,
        DeviceCommand::Enable(true) => MilliAmps::ZERO,
        _ => return,
    };
    let open = b.rows.iter().rev().find_map(|row| match &row.event {
        Event::Began(begin) if begin.evse == id => Some(true),
        Event::Ended(end) if end.evse == id => Some(false),
        _ => None,
    });
    assert_eq!(
        open,
        Some(true),
        "{command:?} at {id} without a transaction on record"
    );
    let most = allowed(b, id);
    assert!(amps <= most, "{command:?} at {id} where {most} is allowed");
    // The ceiling of the charge point holds for all together: nobody is raised into what another may still draw.
    let others = b
        .outlets
        .iter()
        .filter(|(other, o)| **other != id && o.plugged && o.offers());
    let sum = others.fold(amps, |sum, (_, o)| sum + o.limit);
    if let Some(ceiling) = prevailing(b, id, ProfilePurpose::ChargePointMax)
        && amps > b.outlets[&id].limit
    {
        assert!(sum <= ceiling, "{command:?} at {id} makes {sum} of {ceiling}");
    }
}

fn allowed(b: &Bench, id: EvseId) -> MilliAmps {
    let world = &b.world;
    let mut most = MilliAmps(16_000);
    most = most.min(*world.shared.get(&id).unwrap_or(&most));
    if let Some(local) = world
        .local
        .get(&id)
        .filter(|l| l.until.is_some_and(|u| u > b.now.mono))
    {
        most = most.min(local.amps);
    }
    // What is not seen counts as active.
    let pins = b.contacts.get(&DeviceId::new(PINS));
    let active = |signal| pins.is_none_or(|levels| levels[&signal]);
    if active(GpioSignal::Dimming) {
        let setup = b.setup.evses.iter().find(|e| e.id == id).unwrap();
        most = most.min(setup.dimmed_current);
    }
    if active(GpioSignal::EmergencyStop) {
        most = MilliAmps::ZERO;
    }
    let own = prevailing(b, id, ProfilePurpose::Tx).or(prevailing(b, id, ProfilePurpose::TxDefault));
    most = most.min(own.unwrap_or(most));
    most.min(prevailing(b, id, ProfilePurpose::ChargePointMax).unwrap_or(most))
}

/// What the profiles of a purpose allow, by the second account.
fn prevailing(b: &Bench, id: EvseId, purpose: ProfilePurpose) -> Option<MilliAmps> {
    let tx = b.tx(id.0);
    let here = |evse: &Option<EvseId>| evse.is_none() || *evse == Some(id);
    b.world
        .profiles
        .values()
        .filter(|(evse, p)| p.purpose == purpose && here(evse))
        .filter(|(_, p)| purpose != ProfilePurpose::Tx || p.tx == tx)
        .max_by_key(|(evse, p)| (p.stack_level, evse.is_some()))
        .map(|(_, p)| MilliAmps(p.schedule.periods[0].limit_milli))
}

/// Begin and end in pairs, numbers without a gap, registers that do not fall.
fn check_rows(rows: &[NewRow]) {
    struct Open {
        seq: u32,
        meter: i64,
        ended: bool,
    }
    let mut open: BTreeMap<TxId, Open> = BTreeMap::new();
    for row in rows {
        let (seq, meter, ended) = match &row.event {
            Event::Began(begin) => {
                let first = Open {
                    seq: 0,
                    meter: begin.meter.0,
                    ended: false,
                };
                assert!(open.insert(begin.tx.clone(), first).is_none(), "begun twice");
                continue;
            }
            Event::Sampled { tx: None, .. } | Event::Security(_) | Event::Log(_) | Event::Firmware(_) => {
                continue;
            }
            Event::Sampled { tx_seq, points, .. } => {
                let register = points.iter().find(|p| p.quantity == Quantity::EnergyImport);
                (*tx_seq, register.map(|p| p.milli), false)
            }
            Event::Changed { tx_seq, .. } => (*tx_seq, None, false),
            Event::Ended(end) => (end.tx_seq, Some(end.meter.0), true),
        };
        let tx = open
            .get_mut(row.event.tx().unwrap())
            .expect("a row of a transaction that never began");
        assert!(!tx.ended, "a row after the end");
        assert_eq!(seq, tx.seq + 1, "a gap in the numbers");
        let meter = meter.unwrap_or(tx.meter);
        assert!(
            meter >= tx.meter,
            "the register fell from {} to {meter}",
            tx.meter
        );
        *tx = Open { seq, meter, ended };
    }
    for (tx, state) in open {
        assert!(state.ended, "{tx} has no end");
    }
}

fn walk(seed: u64, steps: u32) -> Vec<String> {
    let mut walk = Walk::new(seed);
    let mut log = Vec::new();
    for _ in 0..steps {
        walk.step();
        log.append(&mut walk.b.look());
    }
    walk.finish();
    log.append(&mut walk.b.look());
    check_rows(&walk.b.rows);
    for id in [EvseId(1), EvseId(2)] {
        let billed: i64 = walk
            .b
            .rows
            .iter()
            .filter_map(|row| match &row.event {
                Event::Ended(end) if end.evse == id => Some(end.energy.0),
                _ => None,
            })
            .sum();
        let delivered = walk.b.outlets[&id].delivered;
        assert!(billed <= delivered, "seed {seed}: billed {billed} of {delivered}");
    }
    let left: Vec<&String> = walk
        .b
        .kv
        .keys()
        .filter(|k| ["tx/", "data/", "done/"].iter().any(|p| k.starts_with(p)))
        .collect();
    assert!(left.is_empty(), "seed {seed} left {left:?}");
    log
}

#[test]
fn two_hundred_thousand_random_steps_break_nothing() {
    let mut began = 0;
    for seed in 0..200 {
        let result = std::panic::catch_unwind(|| walk(seed, STEPS));
        assert!(result.is_ok(), "seed {seed}");
        began += result.map_or(0, |log| {
            log.iter().filter(|line| line.starts_with("began")).count()
        });
    }
    assert!(
        began > 1_500,
        "only {began} transactions: the walk has become too quiet to show anything"
    );
}

#[test]
fn the_same_seed_gives_the_same_log() {
    for seed in 1_000..1_010 {
        assert_eq!(walk(seed, 300), walk(seed, 300), "seed {seed}");
    }
}
