//! A charge point's OCPP machine and a CSMS played by the test, with a hand-moved clock and a store in memory.

use ocpp_kit::decode::{DecodeError, DecodeOptions};
use ocpp_kit::{v1_6, v2_0_1};
use retrovolt::domain::*;
use retrovolt::ocpp::{Effect, FLOOR_UNIX_MS, Facts, Input, Machine, Misbehaviour};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Wall time at `Mono(0)`: 2026-09-21T14:13:20Z.
pub const T0: i64 = 1_790_000_000_000;
/// The same as text.
pub const T0_TEXT: &str = "2026-09-21T14:13:20Z";

pub fn cp() -> CpSetup {
    let evse = |id: u16| EvseSetup {
        id: EvseId(id),
        charger: DeviceId::new("wallbox"),
        meter: None,
        reader: None,
        contacts: Vec::new(),
        phases: 3,
        first_phase: Phase::L1,
        max_current: MilliAmps(16_000),
        min_current: MilliAmps(6_000),
        dimmed_current: MilliAmps(6_000),
        nominal_voltage: 230,
        auth: AuthMode::Reader,
        meter_stale_after: Duration::from_secs(30),
        has_lock: true,
        switches_phases: false,
    };
    CpSetup {
        id: CpId::new("CP1"),
        vendor: "Retrovolt".into(),
        model: "A model name that is much too long".into(),
        serial: None,
        evses: vec![evse(1), evse(2)],
        csms: vec![csms(OcppVersion::V16)],
        keys: BTreeMap::new(),
        firmware: None,
        variables: BTreeMap::new(),
    }
}

pub fn csms(version: OcppVersion) -> CsmsSetup {
    CsmsSetup {
        name: "main".into(),
        url: "ws://localhost/CP1".into(),
        secure_url: None,
        version,
        security: Security::None,
        reconnect_min: Duration::from_secs(1),
        reconnect_max: Duration::from_secs(60),
        message_timeout: Duration::from_secs(30),
        connect_timeout: Duration::from_secs(10),
        ping: Duration::from_secs(60),
        boot_retry: Duration::from_secs(20),
        tags: TagRule::default(),
    }
}

pub struct Pair {
    pub cp: CpSetup,
    pub machine: Machine,
    pub now: Now,
    pub seed: u64,
    /// What survives a restart.
    pub kv: BTreeMap<String, String>,
    pub cursor: u64,
    /// What the machine noted for the journal of sessions.
    pub receipts: Vec<Receipt>,
    pub ledger: Vec<Row>,
    /// Whether commits become durable by themselves.
    pub disk: bool,
    pub held: VecDeque<(u64, Batch)>,
    pub wire: VecDeque<Value>,
    pub told: VecDeque<Effect>,
    pub misbehaviours: Vec<Misbehaviour>,
    pub closed: Option<u16>,
    pub online: bool,
    pub ping: Option<Duration>,
    pub clock: Option<i64>,
    /// Whether the runtime answers ClockSet by publishing the epoch, as the real one does.
    pub epochs: bool,
    /// The action of the last [`Self::ask`].
    asking: Option<String>,
}

impl Pair {
    pub fn new() -> Self {
        Self::of(cp())
    }

    pub fn of(cp: CpSetup) -> Self {
        let mut pair = Self {
            machine: machine(&cp, 1, 0, &BTreeMap::new()),
            cp,
            now: Now {
                mono: Mono(0),
                wall: Wall {
                    unix_ms: T0,
                    quality: ClockQuality::Ntp,
                },
                boot: BootId(1),
            },
            seed: 1,
            kv: BTreeMap::new(),
            receipts: Vec::new(),
            cursor: 0,
            ledger: Vec::new(),
            disk: true,
            held: VecDeque::new(),
            wire: VecDeque::new(),
            told: VecDeque::new(),
            misbehaviours: Vec::new(),
            closed: None,
            online: false,
            ping: None,
            clock: None,
            epochs: true,
            asking: None,
        };
        pair.drain();
        pair
    }

    /// A pair whose charge point is registered, with what it says at first out of the way.
    pub fn accepted() -> Self {
        let mut pair = Self::new();
        pair.boot("Accepted", 3600);
        pair
    }

    pub fn boot(&mut self, status: &str, interval: i64) {
        self.feed(Input::Connected);
        let (id, _) = self.call("BootNotification");
        self.reply(
            &id,
            json!({"status": status, "currentTime": self.time(), "interval": interval}),
        );
    }

    /// The process dies and comes back with what was durable.
    pub fn restart(&mut self) {
        self.seed += 1;
        self.now.boot.0 += 1;
        self.machine = machine(&self.cp, self.seed, self.cursor, &self.kv);
        self.held.clear();
        self.wire.clear();
        self.told.clear();
        self.online = false;
        self.closed = None;
        self.drain();
    }

    /// The right time as text.
    pub fn time(&self) -> String {
        retrovolt::ocpp::format_utc(T0 + i64::try_from(self.now.mono.0).expect("small"))
    }

    pub fn feed(&mut self, input: Input) {
        self.machine.handle(self.now, input);
        self.drain();
        let deadline = self.machine.next_deadline();
        assert!(
            deadline.is_none_or(|(at, _)| at > self.now.mono),
            "would spin on {deadline:?}"
        );
    }

    fn drain(&mut self) {
        while let Some(effect) = self.machine.poll() {
            match effect {
                Effect::Send(text) => {
                    let frame = serde_json::from_str(&text).expect("json");
                    check(link(&self.cp).version, &frame, self.asking.as_deref());
                    self.wire.push_back(frame);
                }
                Effect::Close { code, .. } => self.closed = Some(code),
                Effect::NeedRows { after, limit } => {
                    let rows = self.ledger.iter().filter(|row| row.seq > after).take(limit);
                    let rows = rows.cloned().collect();
                    self.machine.handle(self.now, Input::Rows(rows));
                }
                Effect::Commit { id, batch } => {
                    self.held.push_back((id, batch));
                    if self.disk {
                        self.sync_one();
                    }
                }
                Effect::Misbehaviour(what) => self.misbehaviours.push(what),
                Effect::Online(online) => self.online = online,
                Effect::Ping(period) => self.ping = Some(period),
                Effect::ClockSet { unix_ms } => {
                    assert!(unix_ms >= FLOOR_UNIX_MS, "clock set before the build");
                    self.clock = Some(unix_ms);
                    if self.epochs {
                        let unix_ms_at_zero = unix_ms - i64::try_from(self.now.mono.0).expect("small");
                        let boot = self.now.boot;
                        self.machine.handle(
                            self.now,
                            Input::Epoch {
                                boot,
                                unix_ms_at_zero,
                            },
                        );
                    }
                }
                other => self.told.push_back(other),
            }
        }
    }

    /// The oldest held commit becomes durable.
    pub fn sync_one(&mut self) {
        let (id, batch) = self.held.pop_front().expect("a commit");
        for put in batch.puts {
            assert_eq!(put.scope, "ocpp/CP1-main");
            match put.value {
                Some(value) => self.kv.insert(put.key, value),
                None => self.kv.remove(&put.key),
            };
        }
        assert!(
            batch.receipts.is_empty() || !batch.cursors.is_empty(),
            "a receipt is durable with the cursor"
        );
        self.receipts.extend(batch.receipts);
        for (reader, seq) in batch.cursors {
            assert_eq!(reader, ReaderId::new("CP1-main"));
            assert!(seq > self.cursor, "the cursor never goes back");
            self.cursor = seq;
        }
        self.machine.handle(self.now, Input::Committed(id));
        self.drain();
    }

    /// Time passes; every deadline on the way is kept.
    pub fn pass(&mut self, seconds: u64) {
        let end = Mono(self.now.mono.0 + seconds * 1000);
        for _ in 0..10_000 {
            match self.machine.next_deadline() {
                Some((at, _)) if at <= end => {
                    self.set(at.max(self.now.mono));
                    self.feed(Input::Tick);
                    if !self.wire.is_empty() || self.closed.is_some() {
                        break;
                    }
                }
                _ => break,
            }
        }
        if self.wire.is_empty() && self.closed.is_none() {
            self.set(end);
            self.feed(Input::Tick);
        }
    }

    fn set(&mut self, mono: Mono) {
        let moved = mono.0 - self.now.mono.0;
        self.now.mono = mono;
        self.now.wall.unix_ms += i64::try_from(moved).expect("small");
    }

    /// The next message of the charge point is this CALL: its id and payload.
    #[track_caller]
    pub fn call(&mut self, action: &str) -> (String, Value) {
        let frame = self
            .wire
            .pop_front()
            .unwrap_or_else(|| panic!("expected {action}, silence"));
        assert_eq!(frame[0], 2, "{frame}");
        assert_eq!(frame[2], action, "{frame}");
        (frame[1].as_str().expect("id").to_owned(), frame[3].clone())
    }

    #[track_caller]
    pub fn quiet(&self) {
        assert!(self.wire.is_empty(), "expected silence: {:?}", self.wire);
    }

    pub fn text(&mut self, text: &str) {
        self.feed(Input::Text(text.to_owned()));
    }

    pub fn reply(&mut self, id: &str, payload: Value) {
        self.text(&json!([3, id, payload]).to_string());
    }

    pub fn refuse(&mut self, id: &str, code: &str) {
        self.text(&json!([4, id, code, "", {}]).to_string());
    }

    /// The CSMS calls; the answer follows.
    pub fn ask(&mut self, action: &str, payload: Value) {
        self.asking = Some(action.to_owned());
        self.text(&json!([2, "q", action, payload]).to_string());
    }

    /// The next message of the charge point answers [`Self::ask`].
    #[track_caller]
    pub fn result(&mut self) -> Value {
        let frame = self.wire.pop_front().expect("an answer");
        assert_eq!((&frame[0], &frame[1]), (&json!(3), &json!("q")), "{frame}");
        frame[2].clone()
    }

    /// The next message of the charge point refuses [`Self::ask`]: the code.
    #[track_caller]
    pub fn error(&mut self) -> String {
        let frame = self.wire.pop_front().expect("an answer");
        assert_eq!((&frame[0], &frame[1]), (&json!(4), &json!("q")), "{frame}");
        assert!(frame[4].is_object(), "{frame}");
        frame[2].as_str().expect("code").to_owned()
    }

    /// Asks and expects this `status` at once.
    #[track_caller]
    pub fn status_of(&mut self, action: &str, payload: Value) -> String {
        self.ask(action, payload);
        let result = self.result();
        result["status"].as_str().expect("status").to_owned()
    }

    /// The command the station got.
    #[track_caller]
    pub fn command(&mut self) -> (CommandId, Command) {
        match self.told.pop_front() {
            Some(Effect::Command { id, command }) => (id, command),
            other => panic!("expected a command, got {other:?}"),
        }
    }

    pub fn stamp(&self) -> Stamp {
        self.now.stamp()
    }

    /// Appends a row now.
    pub fn append(&mut self, event: Event) -> u64 {
        let seq = self.ledger.last().map_or(0, |row| row.seq) + 3;
        let at = self.stamp();
        let cp = self.cp.id.clone();
        self.ledger.push(Row { seq, cp, at, event });
        self.feed(Input::LedgerGrew);
        seq
    }

    pub fn status(&mut self, evse: Option<u16>, status: ConnectorStatus) {
        let notice = StatusNotice {
            evse: evse.map(EvseId),
            status,
            error: ErrorCode::default(),
            at: self.stamp(),
        };
        self.feed(Input::Notice(Notice::Status(notice)));
    }

    /// Drops the link and brings it back after some seconds.
    pub fn outage(&mut self, seconds: u64) {
        self.feed(Input::Disconnected);
        self.closed = None;
        self.pass(seconds);
        self.feed(Input::Connected);
    }

    pub fn facts(&mut self, serial: &str) {
        self.feed(Input::Facts(Facts {
            serial: Some(serial.into()),
            ..Facts::default()
        }));
    }

    pub fn count(&self, kind: &str) -> usize {
        self.misbehaviours
            .iter()
            .filter(|what| what.kind() == kind)
            .count()
    }
}

/// Every message sent conforms to its schema to the letter.
pub fn check(version: OcppVersion, frame: &Value, asking: Option<&str>) {
    let checked = match frame[0].as_u64() {
        Some(2) => call_conforms(version, frame[2].as_str().expect("action"), &frame[3]),
        // A random frame may happen to carry the id of the stories' own requests.
        Some(3) if frame[1] == "q" && asking.is_some() => {
            result_conforms(version, asking.expect("asked"), &frame[2])
        }
        Some(3) => Ok(()),
        Some(4) => {
            assert!(
                frame[3].as_str().is_some_and(|text| text.chars().count() <= 255),
                "{frame}"
            );
            assert!(frame[4].is_object(), "{frame}");
            Ok(())
        }
        _ => panic!("not a message type: {frame}"),
    };
    assert_eq!(checked, Ok(()), "{frame}");
}

fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("json")
}

fn call_conforms(version: OcppVersion, action: &str, payload: &Value) -> Result<(), DecodeError> {
    let (payload, strict) = (raw(payload), DecodeOptions::pedantic());
    match version {
        OcppVersion::V16 => {
            let action = v1_6::Action::from_wire(action).expect("known");
            v1_6::CsRequest::decode(action, &payload, &strict).map(|_| ())
        }
        OcppVersion::V201 => {
            let action = v2_0_1::Action::from_wire(action).expect("known");
            v2_0_1::CsRequest::decode(action, &payload, &strict).map(|_| ())
        }
    }
}

fn result_conforms(version: OcppVersion, action: &str, payload: &Value) -> Result<(), DecodeError> {
    let (payload, strict) = (raw(payload), DecodeOptions::pedantic());
    match version {
        OcppVersion::V16 => {
            let action = v1_6::Action::from_wire(action).expect("known");
            v1_6::CsmsResponse::decode(action, &payload, &strict).map(|_| ())
        }
        OcppVersion::V201 => {
            let action = v2_0_1::Action::from_wire(action).expect("known");
            v2_0_1::CsmsResponse::decode(action, &payload, &strict).map(|_| ())
        }
    }
}

/// The back end the pair is about: the last one.
fn link(cp: &CpSetup) -> &CsmsSetup {
    cp.csms.last().expect("a back end")
}

fn machine(cp: &CpSetup, seed: u64, cursor: u64, kv: &BTreeMap<String, String>) -> Machine {
    let restored: Vec<(String, String)> = kv.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    Machine::new(
        cp,
        link(cp),
        ReaderId::new("CP1-main"),
        "0.1.0",
        seed,
        cursor,
        &restored,
    )
}

pub fn token(text: &str) -> IdToken {
    IdToken::new(text, TokenKind::Local)
}

pub fn began(tx: &str, wh: i64) -> Event {
    Event::Began(Begin {
        tx: TxId::new(tx),
        evse: EvseId(1),
        token: Some(token("CARD1")),
        group: None,
        meter: MilliWattHours(wh * 1000 + 999),
        quality: Quality::Good,
        trigger: TxTrigger::Authorized,
        charging_state: ChargingState::EVConnected,
        remote_start_id: None,
        reservation_id: None,
        offline: false,
    })
}

pub fn sampled(tx: Option<&str>, milli: i64) -> Event {
    Event::Sampled {
        offline: false,
        beside: None,
        tx: tx.map(TxId::new),
        tx_seq: 1,
        evse: Some(EvseId(1)),
        context: SampleContext::Periodic,
        points: vec![SamplePoint {
            quantity: Quantity::EnergyImport,
            phase: Phase::Total,
            milli,
            quality: Quality::Good,
        }],
        charging_state: None,
    }
}

pub fn changed(tx: &str) -> Event {
    Event::Changed {
        offline: false,
        tx: TxId::new(tx),
        tx_seq: 2,
        evse: EvseId(1),
        trigger: TxTrigger::ChargingStateChanged,
        charging_state: ChargingState::Charging,
        token: None,
    }
}

pub fn ended(tx: &str, wh: i64) -> Event {
    Event::Ended(End {
        tx: TxId::new(tx),
        tx_seq: 3,
        evse: EvseId(1),
        token: None,
        meter: MilliWattHours(wh * 1000),
        quality: Quality::Good,
        reason: StopReason::EVDisconnected,
        data: Vec::new(),
        energy: MilliWattHours(0),
        offline: false,
    })
}

/// Texts that are no frame in any version, by name.
pub const NO_FRAMES: &[(&str, &str)] = &[
    ("an empty text", ""),
    ("blanks", " \r\n\t"),
    ("null", "null"),
    ("a number", "42"),
    ("a text", "\"Reset\""),
    ("an object", r#"{"action":"Reset"}"#),
    ("an empty list", "[]"),
    ("a type and nothing else", "[2]"),
    (
        "a list of frames",
        r#"[[2,"q","ClearCache",{}],[2,"r","ClearCache",{}]]"#,
    ),
    (
        "two frames in one text",
        r#"[2,"q","ClearCache",{}][2,"r","ClearCache",{}]"#,
    ),
    ("a frame cut off", r#"[2,"q","ClearCache",{"#),
    ("single quotes", "[2,'q','ClearCache',{}]"),
    ("a comma too many", r#"[2,"q","ClearCache",{},]"#),
    ("a NUL", "\u{0}"),
    ("a byte order mark", "\u{feff}[2,\"q\",\"ClearCache\",{}]"),
    ("HTML of a proxy", "<html><body>502 Bad Gateway</body></html>"),
    ("an id that is a number", r#"[2,1,"Reset",{}]"#),
    ("an id that is null", r#"[2,null,"Reset",{}]"#),
    ("an empty id", r#"[2,"","Reset",{}]"#),
];
