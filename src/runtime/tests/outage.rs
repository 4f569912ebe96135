//! A day without a broker: the real reader of a real database and the real hub, in simulated time.

use crate::domain::*;
use crate::runtime::clock::SystemClock;
use crate::runtime::narrator::name_of;
use crate::runtime::pseudonym::Pseudonyms;
use crate::runtime::records::{Records, reader_of};
use crate::sim::broker::{Broker, Way};
use crate::store::Store;
use crate::telemetry::client::{Dial, Pipe};
use crate::telemetry::mqtt::{self, Hub, HubHandle, Ledger, Left};
use crate::telemetry::{At, Easel, Milli, Picture};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
/// Of the day.
const MINUTES: u64 = 24 * 60;
/// The minute in which the gateway's clock is set.
const CLOCK_SET: u64 = 6 * 60;
/// The minute in which the gateway is started again.
const RESTART: u64 = 12 * 60;
/// Rows of a charge point that are on their way at most, and charge points.
const BATCH: usize = 2 * 32;
/// What the systems on both sides hold between them.
const SOCKET_BYTES: usize = 16 * 1024;

/// Simulated time, taken as set.
struct Simulated {
    begun: Instant,
    unix_ms: i64,
}

impl Clock for Simulated {
    fn now(&self) -> Now {
        let ms = u64::try_from(self.begun.elapsed().as_millis()).expect("a day");
        Now {
            mono: Mono(ms),
            wall: Wall {
                unix_ms: self.unix_ms + ms.cast_signed(),
                quality: ClockQuality::Ntp,
            },
            ..Now::default()
        }
    }
}

/// Has time move only when it is told to, until what is returned is dropped. Tokio's would run on whenever all tasks wait, be
/// it for the threads of the store; while a blocking task runs it does not.
fn hold_time() -> mpsc::Sender<()> {
    let (held, let_go) = mpsc::channel();
    tokio::task::spawn_blocking(move || let_go.recv());
    held
}

/// The way to the broker.
#[derive(Default)]
struct Line {
    stands: AtomicBool,
    /// Attempts while it did not stand.
    failed: AtomicU64,
    open: Mutex<Vec<AbortHandle>>,
}

impl Line {
    fn pipe(self: &Arc<Self>, broker: &Broker) -> Pipe {
        let (line, broker) = (Arc::clone(self), broker.clone());
        Arc::new(move || {
            if !line.stands.load(Ordering::Relaxed) {
                line.failed.fetch_add(1, Ordering::Relaxed);
                return Err(ErrorKind::ConnectionRefused.into());
            }
            let (near, far) = tokio::io::duplex(SOCKET_BYTES);
            let served = tokio::spawn(broker.clone().serve(far));
            line.open.lock().unwrap().push(served.abort_handle());
            Ok(near)
        })
    }

    fn stand(&self, stands: bool) {
        self.stands.store(stands, Ordering::Relaxed);
    }

    /// What is on its way is lost; a new connection can be made at once, if the line stands.
    fn cut(&self) {
        for served in self.open.lock().unwrap().drain(..) {
            served.abort();
        }
    }
}

/// An EVSE and what stands at it.
struct Place {
    cp: CpId,
    evse: EvseId,
    session: Option<TxId>,
    register: i64,
}

impl Place {
    /// What happens there in a minute. Vehicles come after twenty and go after forty, on average.
    fn minute(&mut self, minute: u64, rng: &mut Rng) -> Vec<Event> {
        let Some(tx) = self.session.clone() else {
            if rng.below(20) > 0 {
                return Vec::new();
            }
            let tx = TxId::new(format!("{}-{}-{minute}", self.cp, self.evse));
            self.session = Some(tx.clone());
            return vec![self.begin(tx)];
        };
        if rng.below(40) == 0 {
            self.session = None;
            return vec![self.end(tx)];
        }
        self.register += i64::try_from(rng.below(180_000)).expect("it is below");
        // Rows that are nothing for the broker lie between those that are.
        vec![self.sample(tx.clone()), self.change(tx)]
    }

    fn begin(&self, tx: TxId) -> Event {
        Event::Began(Begin {
            tx,
            evse: self.evse,
            token: Some(IdToken::new("04A1B2C3", TokenKind::Central)),
            group: None,
            meter: MilliWattHours(self.register),
            quality: Quality::Good,
            trigger: TxTrigger::Authorized,
            charging_state: ChargingState::Charging,
            remote_start_id: None,
            reservation_id: None,
            offline: false,
        })
    }

    fn sample(&self, tx: TxId) -> Event {
        let points = vec![SamplePoint {
            quantity: Quantity::EnergyImport,
            phase: Phase::Total,
            milli: self.register,
            quality: Quality::Good,
        }];
        Event::Sampled {
            tx: Some(tx),
            tx_seq: 0,
            evse: Some(self.evse),
            context: SampleContext::Periodic,
            points,
            charging_state: None,
            offline: false,
            beside: None,
        }
    }

    fn change(&self, tx: TxId) -> Event {
        Event::Changed {
            tx,
            tx_seq: 0,
            evse: self.evse,
            trigger: TxTrigger::ChargingStateChanged,
            charging_state: ChargingState::SuspendedEV,
            token: None,
            offline: false,
        }
    }

    fn end(&self, tx: TxId) -> Event {
        Event::Ended(End {
            tx,
            tx_seq: 0,
            evse: self.evse,
            token: None,
            meter: MilliWattHours(self.register),
            quality: Quality::Good,
            reason: StopReason::EVDisconnected,
            data: Vec::new(),
            energy: MilliWattHours(1_000),
            offline: false,
        })
    }
}

/// What of a record is looked at.
fn summary(topic: &str, seq: u64, ts: &Value, kind: &str, energy: &Value, session: &Value) -> Value {
    json!({ "topic": topic, "seq": seq, "ts": ts, "record": kind, "energy_import_wh": energy, "session_id": session })
}

/// The running parts of one run of the gateway.
struct Run {
    store: Store,
    boot: BootId,
    begun: Instant,
    _easel: Easel,
    hub: HubHandle,
    keeper: JoinHandle<()>,
}

struct Site {
    dir: tempfile::TempDir,
    _held: mpsc::Sender<()>,
    begun: Instant,
    /// At the begin of the day.
    unix_ms: i64,
    broker: Broker,
    line: Arc<Line>,
    given_up: Arc<AtomicU64>,
    places: Vec<Place>,
    rng: Rng,
    last: u64,
    /// Records that were committed, by charge point.
    expected: BTreeMap<CpId, Vec<Value>>,
}

fn points() -> [CpId; 2] {
    ["CP-1", "CP-2"].map(CpId::new)
}

fn csms_of(cp: &CpId) -> ReaderId {
    ReaderId::new(format!("{cp}/main"))
}

fn setup(dial: &Dial) -> MqttSetup {
    MqttSetup {
        broker: dial.setup.clone(),
        prefix: "retrovolt".to_owned(),
        gateway: "gw".to_owned(),
        refresh: Duration::from_secs(60),
        flat: false,
        keep_records: 90 * 24 * HOUR,
        commands: None,
        ha: HaSetup::default(),
    }
}

impl Site {
    fn new() -> Self {
        let broker = Broker::new(Way::Slow(1 << 20));
        broker.listen_for("/record");
        let place = |(cp, evse)| Place {
            cp: CpId::new(cp),
            evse: EvseId(evse),
            session: None,
            register: 1_000_000,
        };
        // Yesterday by the clock of this machine: no record is older than `keep_records`, whatever that one says.
        let today = SystemClock::new(BootId(0), None, 0).now().wall.unix_ms;
        Self {
            dir: tempfile::tempdir().unwrap(),
            _held: hold_time(),
            begun: Instant::now(),
            unix_ms: today - 24 * 3_600_000,
            broker,
            line: Arc::default(),
            given_up: Arc::default(),
            places: [("CP-1", 1), ("CP-1", 2), ("CP-2", 1)].map(place).into(),
            rng: Rng::new(5),
            last: 0,
            expected: BTreeMap::new(),
        }
    }

    /// What a start of the gateway does.
    async fn run(&self) -> Run {
        let (store, opened) = Store::open(self.dir.path()).unwrap();
        for cp in points() {
            store.register(&csms_of(&cp), &cp).await.unwrap();
        }
        let names = Pseudonyms::new(store.token_names().clone());
        // Of no run there is a row of: what it says does not count for any.
        let clock = Arc::new(SystemClock::new(BootId(0), None, 0));
        let (points, given_up) = (points(), Arc::clone(&self.given_up));
        let records = Records::open(store.clone(), names, clock, &points, given_up);
        let records = Arc::new(records.await.unwrap());
        let dial = Dial::piped(MqttVersion::V311, self.line.pipe(&self.broker), Arc::default());
        let setup = setup(&dial);
        let keeper = tokio::spawn(Arc::clone(&records).keep(setup.keep_records));
        let easel = Easel::new(Picture::blank());
        let hub = mqtt::spawn(Hub {
            dial,
            setup,
            view: easel.view(),
            announcer: None,
            ledger: Some(records as Arc<dyn Ledger>),
            desk: None,
            clock: Arc::new(Simulated {
                begun: self.begun,
                unix_ms: self.unix_ms,
            }),
            thrift: watch::channel(Thrift::Free).1,
            left: Left::default(),
            seed: 1,
        });
        Run {
            store,
            boot: opened.boot,
            begun: Instant::now(),
            _easel: easel,
            hub,
            keeper,
        }
    }

    /// Lets time pass, and everybody do what is due by then.
    async fn pass(&self, run: &Run, time: Duration) {
        tokio::time::advance(time).await;
        // Both threads of the store have turned: whoever asked them has the answer.
        run.store.turns().await.unwrap();
        run.store.commit(Batch::default()).await.unwrap();
    }

    /// Commits what happens in a minute, and the CSMSs have got all that was before.
    async fn minute(&mut self, run: &Run, minute: u64) {
        let mono = u64::try_from(run.begun.elapsed().as_millis()).unwrap();
        let unix_ms = self.unix_ms + i64::try_from(self.begun.elapsed().as_millis()).unwrap();
        let wall = if minute < CLOCK_SET {
            // As after a start without a clock: 1970.
            Wall {
                unix_ms: mono.cast_signed(),
                quality: ClockQuality::Unset,
            }
        } else {
            Wall {
                unix_ms,
                quality: ClockQuality::Csms,
            }
        };
        let at = Stamp {
            boot: run.boot,
            mono: Mono(mono),
            wall,
        };
        let mut batch = Batch {
            cursors: points().map(|cp| (csms_of(&cp), self.last)).into(),
            ..Batch::default()
        };
        let ts = serde_json::to_value(At(unix_ms)).unwrap();
        for place in &mut self.places {
            for event in place.minute(minute, &mut self.rng) {
                let (cp, seq) = (place.cp.clone(), self.last + 1 + batch.rows.len() as u64);
                let kind = match &event {
                    Event::Began(_) => Some("began"),
                    Event::Sampled { .. } => Some("sampled"),
                    Event::Ended(_) => Some("ended"),
                    _ => None,
                };
                if let Some(kind) = kind {
                    let topic = format!("retrovolt/gw/cp/{}/record", name_of(&cp, place.evse));
                    let energy = serde_json::to_value(Milli(place.register)).unwrap();
                    let session = json!(event.tx().map(ToString::to_string));
                    let told = summary(&topic, seq, &ts, kind, &energy, &session);
                    self.expected.entry(cp.clone()).or_default().push(told);
                }
                batch.rows.push(NewRow { cp, at, event });
            }
        }
        self.last += batch.rows.len() as u64;
        assert_eq!(run.store.commit(batch).await.unwrap(), self.last);
    }

    /// A day of sessions with nobody at the broker's address, a clock that is set late and a restart.
    async fn day(&mut self) -> Run {
        let mut run = self.run().await;
        for minute in 0..MINUTES {
            if minute == CLOCK_SET {
                run.store.set_epoch(run.boot, self.unix_ms).await.unwrap();
            }
            if minute == RESTART {
                run.keeper.abort();
                run.hub.end().await;
                run.store.close().await;
                run = self.run().await;
            }
            self.minute(&run, minute).await;
            for _ in 0..3 {
                self.pass(&run, 20 * SECOND).await;
            }
        }
        assert_eq!(self.begun.elapsed(), 24 * HOUR);
        assert!(!run.hub.status.borrow().online);
        let failed = self.line.failed.load(Ordering::Relaxed);
        assert!(failed > 4_000, "it is looked for the broker each time: {failed}");
        assert_eq!((self.broker.connections(), self.broker.heard().len()), (0, 0));
        run
    }

    fn count(&self) -> usize {
        self.expected.values().map(Vec::len).sum()
    }

    /// Waits until so many records have come.
    async fn came(&self, run: &Run, count: usize) {
        for _ in 0..4 * 3_600 {
            if self.broker.heard().len() >= count {
                return;
            }
            self.pass(run, SECOND).await;
        }
        panic!("{} of {count} have come", self.broker.heard().len());
    }

    /// What has come, by charge point, each record once and where it came first; and how many were repeats.
    fn told(&self) -> (BTreeMap<CpId, Vec<Value>>, usize) {
        let (mut told, mut repeats) = (BTreeMap::<CpId, Vec<Value>>::new(), 0);
        let mut seen = BTreeSet::new();
        for (topic, text) in self.broker.heard() {
            let all: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(all["ts_trusted"], true, "{all}");
            let seq = all["seq"].as_u64().unwrap();
            if !seen.insert(seq) {
                repeats += 1;
                continue;
            }
            let cp = points().into_iter().find(|cp| {
                let own = format!("retrovolt/gw/cp/{}", name_of(cp, EvseId(1)));
                topic.starts_with(&own)
            });
            let word = all["record"].as_str().unwrap();
            let told_of = summary(
                &topic,
                seq,
                &all["ts"],
                word,
                &all["energy_import_wh"],
                &all["session_id"],
            );
            told.entry(cp.unwrap()).or_default().push(told_of);
        }
        (told, repeats)
    }

    /// Every record came, once but for so many repeats, in order, as it was; and both readers are through.
    async fn judge(&self, run: Run, repeats_at_most: usize) {
        // Nothing comes after the end.
        for _ in 0..600 {
            self.pass(&run, SECOND).await;
        }
        let (told, repeats) = self.told();
        for cp in points() {
            let pairs = told[&cp].iter().zip(&self.expected[&cp]);
            for (told, expected) in pairs {
                assert_eq!(told, expected, "lost, doubled, or out of order");
            }
            assert_eq!(told[&cp].len(), self.expected[&cp].len(), "{cp}");
        }
        println!("{} records, {repeats} repeats", self.count());
        assert!(repeats <= repeats_at_most, "{repeats} repeats");
        let stats = run.store.stats().await.unwrap();
        for cp in points() {
            let of = |reader: &ReaderId| stats.readers.iter().find(|r| r.reader == *reader).unwrap();
            // The last rows may be such that the CSMS of this test was never told of.
            assert_eq!(of(&reader_of(&cp)).pending, 0, "{cp}");
        }
        assert_eq!(self.given_up.load(Ordering::Relaxed), 0);
        self.end(run).await;
    }

    /// A clean end of the gateway: the farewell of a hub that is connected takes its time.
    async fn end(&self, run: Run) {
        run.keeper.abort();
        let farewell = tokio::spawn(run.hub.end());
        for _ in 0..10 {
            tokio::time::advance(SECOND).await;
        }
        farewell.await.unwrap();
        run.store.close().await;
    }
}

/// Issue: 24 simulated hours without a broker, and nothing of sessions and energy is lost.
#[tokio::test(start_paused = true)]
async fn a_day_without_a_broker_loses_no_record_and_each_comes_once_with_its_own_time() {
    let mut site = Site::new();
    let run = site.day().await;
    assert!(site.count() > 2_000, "a day of three places: {}", site.count());
    site.line.stand(true);
    site.came(&run, site.count()).await;
    assert_eq!(site.broker.connections(), 1);
    site.judge(run, 0).await;
}

#[tokio::test(start_paused = true)]
async fn the_same_over_a_line_that_is_cut_while_they_are_on_their_way() {
    let mut site = Site::new();
    let run = site.day().await;
    site.line.stand(true);
    let third = site.count() / 3;
    site.came(&run, third).await;
    site.line.cut();
    site.came(&run, 2 * third).await;
    // An hour away once more, and sessions go on.
    site.line.stand(false);
    site.line.cut();
    for minute in MINUTES..MINUTES + 60 {
        site.minute(&run, minute).await;
        site.pass(&run, 60 * SECOND).await;
    }
    site.line.stand(true);
    site.came(&run, site.count()).await;
    assert_eq!(site.broker.connections(), 3);
    site.judge(run, 2 * BATCH).await;
}
