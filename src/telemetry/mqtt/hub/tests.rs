//! The hub in simulated time, before a broker at the other end of a pipe.

mod held_up;
mod left;

use super::*;
use crate::domain::{ClockQuality, CommandRights, CpId, Mono, MqttVersion, Now, Slug, Wall};
use crate::sim::broker::{Broker, Way};
use crate::telemetry::client::{Pipe, Traffic};
use crate::telemetry::mqtt::{Audit, Entry, Order, RING_BYTES};
use crate::telemetry::{
    At, Easel, Happening, Milli, Picture, Point, Reach, Record, RecordKind, Status, What as Happened,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use tokio::time::{sleep, sleep_until as until, timeout};

/// What the systems on both sides hold between them.
const SOCKET_BYTES: usize = 16 * 1024;
const HOUR: Duration = Duration::from_secs(3_600);
/// One turn of a test: a record, and events.
const STEP: Duration = Duration::from_secs(15);
/// Three days.
const STEPS: u64 = 72 * 3_600 / 15;
/// Events of a step; with 300 bytes each, more than a line of 100 bytes a second carries.
const EVENTS: u64 = 6;

/// Simulated time, taken as set.
struct Simulated(Instant);

impl Clock for Simulated {
    fn now(&self) -> Now {
        let ms = u64::try_from(self.0.elapsed().as_millis()).unwrap();
        Now {
            mono: Mono(ms),
            wall: Wall {
                unix_ms: 1_772_359_200_000 + i64::try_from(ms).unwrap(),
                quality: ClockQuality::Ntp,
            },
            ..Now::default()
        }
    }
}

/// Rows that are all there at once, or as many as were let go.
struct Book {
    rows: watch::Receiver<u64>,
    done: Mutex<u64>,
}

impl Ledger for Book {
    fn next(self: Arc<Self>) -> BoxFuture<'static, Vec<Entry>> {
        async move {
            let done = *self.done.lock().unwrap();
            let mut rows = self.rows.clone();
            let last = rows.wait_for(|last| *last > done).await;
            let last = last.map(|last| *last).unwrap_or_default();
            (done + 1..=last.min(done + 32)).map(row).collect()
        }
        .boxed()
    }

    fn done(self: Arc<Self>, entries: Vec<(CpId, u64)>) -> BoxFuture<'static, ()> {
        async move { *self.done.lock().unwrap() = entries[0].1 }.boxed()
    }
}

fn row(seq: u64) -> Entry {
    let record = Record {
        seq,
        ts: At(1_772_359_200_000),
        ts_trusted: true,
        record: RecordKind::Sampled,
        session_id: Some("tx".to_owned()),
        energy_import_wh: Some(Milli(1_000)),
        energy_export_wh: None,
        power_w: None,
        soc_pct: None,
        session_energy_wh: None,
        reason: None,
        id_tag_hash: None,
    };
    Entry {
        cp: CpId::new("left"),
        seq,
        record: Some((Slug::of("left"), record)),
    }
}

/// Nobody orders anything here.
struct Idle;

impl Desk for Idle {
    fn carry_out(self: Arc<Self>, _: Order) -> BoxFuture<'static, Result<(Value, Value), String>> {
        async { Err("not here".to_owned()) }.boxed()
    }

    fn note(&self, _: &Audit) {}
}

fn picture(power_w: u64, status: Status, available: bool) -> Picture {
    let mut picture = Picture::blank();
    for name in ["left", "right"] {
        let mut point = Point {
            device: Arc::default(),
            reach: Reach::default(),
            available,
            state: Default::default(),
            session: Default::default(),
            csms: Default::default(),
            totals: Default::default(),
        };
        point.state.power_w = Some(Milli(i64::try_from(power_w).unwrap() * 1_000));
        point.state.status = Some(status);
        picture.points.insert(Slug::of(name), point);
    }
    picture
}

fn happening(seq: u64) -> Happening {
    Happening {
        point: Slug::of("left"),
        seq,
        at: At(1_772_359_200_000 + i64::try_from(seq).unwrap()),
        what: Happened::Status {
            from: None,
            to: Status::Charging,
        },
    }
}

/// What takes the place of TCP.
fn pipe(broker: &Broker, way: Way) -> Pipe {
    let broker = broker.clone();
    Arc::new(move || {
        if way == Way::Away {
            return Err(std::io::ErrorKind::ConnectionRefused.into());
        }
        let (theirs, ours) = tokio::io::duplex(SOCKET_BYTES);
        tokio::spawn(broker.clone().serve(ours));
        Ok(theirs)
    })
}

struct Bench {
    broker: Broker,
    easel: Easel,
    hub: HubHandle,
    thrift: watch::Sender<Thrift>,
    rows: watch::Sender<u64>,
    traffic: Arc<Traffic>,
}

/// A hub that is not started yet, and what it is given.
struct Parts {
    hub: Hub,
    thrift: watch::Sender<Thrift>,
    rows: watch::Sender<u64>,
}

fn parts(broker: &Broker, way: Way, easel: &Easel) -> Parts {
    let rights = CommandRights {
        keys: BTreeSet::new(),
        operations: BTreeSet::from(["info".to_owned()]),
        spacing: Duration::from_millis(100),
    };
    let dial = Dial::piped(MqttVersion::V311, pipe(broker, way), Arc::default());
    let setup = MqttSetup {
        broker: dial.setup.clone(),
        prefix: "retrovolt".to_owned(),
        gateway: "gw".to_owned(),
        refresh: Duration::from_secs(60),
        flat: false,
        keep_records: 24 * HOUR,
        commands: Some(BTreeMap::from([("ha".to_owned(), rights)])),
        ha: Default::default(),
    };
    let (thrift, judged) = watch::channel(Thrift::Free);
    let (rows, there) = watch::channel(0);
    let hub = Hub {
        dial,
        setup,
        view: easel.view(),
        announcer: None,
        ledger: Some(Arc::new(Book {
            rows: there,
            done: Mutex::new(0),
        })),
        desk: Some(Arc::new(Idle)),
        left: Left::default(),
        clock: Arc::new(Simulated(Instant::now())),
        thrift: judged,
        seed: 1,
    };
    Parts { hub, thrift, rows }
}

/// The same without a ledger.
fn plain(broker: &Broker, way: Way, easel: &Easel) -> Hub {
    Hub {
        ledger: None,
        ..parts(broker, way, easel).hub
    }
}

impl Bench {
    fn new(way: Way) -> Self {
        Self::with(Broker::new(way), way, |_| {})
    }

    /// Before this broker, with a hub that is changed before it starts.
    fn with(broker: Broker, way: Way, change: impl FnOnce(&mut Hub)) -> Self {
        let easel = Easel::new(picture(0, Status::Charging, true));
        let Parts {
            mut hub,
            thrift,
            rows,
        } = parts(&broker, way, &easel);
        change(&mut hub);
        Self {
            broker,
            easel,
            traffic: hub.dial.traffic.clone(),
            hub: spawn(hub),
            thrift,
            rows,
        }
    }

    async fn online(&self) {
        let mut status = self.hub.status.clone();
        status.wait_for(|status| status.online).await.unwrap();
    }

    /// Every event waits or was given up.
    async fn accounted_for(&self) {
        let mut status = self.hub.status.clone();
        let all = status.wait_for(|status| status.waiting as u64 + status.dropped == EVENTS * STEPS);
        let minute = timeout(Duration::from_secs(60), all).await;
        minute.expect("an event is lost").unwrap();
    }

    /// Three days of a busy site. Nothing that tells is ever held up, and what waits is bounded at each look.
    async fn three_days(&self) -> HubStatus {
        let begin = Instant::now();
        for step in 1..=STEPS {
            let before = Instant::now();
            for event in 1..=EVENTS {
                self.easel.tell(happening(EVENTS * (step - 1) + event));
            }
            // A picture is much work here and none that grows: one a minute.
            if step.is_multiple_of(4) {
                self.easel.show(picture(step * 20, Status::Charging, true));
            }
            self.rows.send_modify(|rows| *rows += 1);
            assert_eq!(before.elapsed(), Duration::ZERO, "somebody was held up");
            until(begin + STEP * u32::try_from(step).unwrap()).await;
            let waiting = self.hub.status.borrow().bytes;
            assert!(waiting <= RING_BYTES, "{waiting} bytes wait");
        }
        self.hub.status.borrow().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn n4_three_days_without_a_broker_cost_no_more_than_the_ring() {
    let bench = Bench::new(Way::Away);
    let status = bench.three_days().await;
    assert!(!status.online && status.waiting > 8_000, "{status:?}");
    bench.accounted_for().await;
}

#[tokio::test(start_paused = true)]
async fn n4_three_days_of_a_broker_that_takes_nothing_cost_no_more_than_the_ring() {
    let bench = Bench::new(Way::Hung);
    let status = bench.three_days().await;
    assert!(status.waiting > 8_000, "{status:?}");
    bench.accounted_for().await;
    let connections = bench.broker.connections();
    assert!(
        connections > 1_000,
        "a dead connection is given up: {connections}"
    );
}

/// 100 bytes a second are less than the events alone need.
#[tokio::test(start_paused = true)]
async fn n4_three_days_of_a_broker_that_takes_100_bytes_a_second_cost_no_more_than_the_ring() {
    let bench = Bench::new(Way::Slow(100));
    bench.online().await;
    let status = bench.three_days().await;
    assert!(status.online, "{status:?}");
    assert_eq!(bench.broker.connections(), 1, "it is slow, not dead");
    assert_eq!(bench.broker.last("retrovolt/gw/status"), "online");
    let events = bench.broker.count("retrovolt/gw/cp/left/event/status");
    let accounted = events + status.waiting as u64 + status.dropped;
    assert!(
        (EVENTS * STEPS..=EVENTS * STEPS + 32).contains(&accounted),
        "{events} {status:?}"
    );
    assert!(bench.broker.is_in_order("retrovolt/gw/cp/left/event/status"));
    let used = bench.traffic.sent();
    assert!(used > 72 * 3_600 * 95, "the line is used: {used}");
}

/// `online` waits for the subscriptions: whoever reads it may command.
#[tokio::test(start_paused = true)]
async fn a_broker_that_answers_no_subscription_holds_up_neither_values_nor_events_nor_records() {
    let bench = Bench::new(Way::Unsubscribed(1 << 20));
    let begin = Instant::now();
    bench.easel.tell(happening(1));
    bench.rows.send_modify(|rows| *rows += 1);
    until(begin + Duration::from_secs(8)).await;
    let told = |topic: &str| bench.broker.count(&format!("retrovolt/gw/{topic}"));
    for topic in ["cp/left/state", "cp/left/event/status", "cp/left/record"] {
        assert_eq!(told(topic), 1, "{topic}");
    }
    assert_eq!(told("status"), 0);
    bench.online().await;
    until(Instant::now() + Duration::from_secs(3)).await;
    assert_eq!(bench.broker.last("retrovolt/gw/status"), "online");
    assert_eq!((told("cp/left/event/status"), bench.broker.connections()), (1, 1));
}

/// What each stage of the budget leaves out, and what it never does.
#[tokio::test(start_paused = true)]
async fn over_budget_measured_values_are_told_seldom_and_everything_else_at_once() {
    const STATE: &str = "retrovolt/gw/cp/left/state";
    let bench = Bench::new(Way::Slow(1 << 20));
    bench.online().await;
    let (mut seq, mut power) = (0, 2_000);
    let mut bytes = Vec::new();
    for (stage, least, most) in [
        (Thrift::Free, 230, 310),
        (Thrift::Sparing, 12, 14),
        (Thrift::Bare, 1, 2),
        (Thrift::Free, 230, 310),
    ] {
        bench.thrift.send_replace(stage);
        sleep(Duration::from_secs(60)).await;
        let (before, sent) = (bench.broker.count(STATE), bench.traffic.sent());
        let events = bench.broker.count("retrovolt/gw/cp/left/event/status");
        let records = bench.broker.count("retrovolt/gw/cp/left/record");
        // A quarter of a minute between pictures: 240 an hour.
        for _ in 0..240 {
            power = 9_000 - power;
            seq += 1;
            bench.easel.show(picture(power, Status::Charging, true));
            bench.easel.tell(happening(seq));
            bench.rows.send_modify(|rows| *rows += 1);
            sleep(STEP).await;
        }
        let states = bench.broker.count(STATE) - before;
        assert!(
            (least..=most).contains(&states),
            "{stage:?}: {states} states in an hour"
        );
        bytes.push(bench.traffic.sent() - sent);
        assert_eq!(
            bench.broker.count("retrovolt/gw/cp/left/event/status") - events,
            240,
            "{stage:?}"
        );
        assert_eq!(
            bench.broker.count("retrovolt/gw/cp/left/record") - records,
            240,
            "{stage:?}"
        );

        // Availability, a status and the answer to a request are there within seconds.
        bench.easel.show(picture(power, Status::SuspendedEv, false));
        bench.broker.say("retrovolt/gw/as/ha/request/info", "{}");
        sleep(Duration::from_secs(5)).await;
        assert_eq!(
            bench.broker.last("retrovolt/gw/cp/left/availability"),
            "offline",
            "{stage:?}"
        );
        let state: Value = serde_json::from_str(&bench.broker.last(STATE)).unwrap();
        assert_eq!(state["status"], "suspended_ev", "{stage:?}");
        bench.easel.show(picture(power, Status::Charging, true));
    }
    assert_eq!(bench.broker.count("retrovolt/gw/response/ha/info"), 4);
    let status = bench.hub.status.borrow().clone();
    assert!(status.thinned > 900 && status.dropped == 0, "{status:?}");
    println!("bytes an hour, free, sparing, bare, free: {bytes:?}");
    assert!(
        bytes[1] * 2 < bytes[0] && bytes[2] < bytes[1] && bytes[3] > bytes[1] * 2,
        "{bytes:?}"
    );
}
