//! The own topic tree on real brokers: what a foreign subscriber sees.

use super::broker::{Broker, PATIENCE, Subscriber, as_user, dial};
use super::client::passwords;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use retrovolt::domain::{
    BrokerSetup, Clock, ClockQuality, CommandRights, CpId, Mono, MqttSetup, MqttVersion, Now, Slug, Thrift,
    Wall,
};
use retrovolt::telemetry::mqtt::{
    Audit, Desk, Entry, Hub, HubHandle, HubStatus, Ledger, Left, Order, RING_BYTES, spawn,
};
use retrovolt::telemetry::{
    At, Easel, Happening, Milli, Picture, Point, Reach, Record, RecordKind, Status, What,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::timeout;

/// The system's clock, taken as set.
struct Running(Instant);

impl Clock for Running {
    fn now(&self) -> Now {
        let unix = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        Now {
            mono: Mono(u64::try_from(self.0.elapsed().as_millis()).unwrap()),
            wall: Wall {
                unix_ms: i64::try_from(unix.as_millis()).unwrap(),
                quality: ClockQuality::Ntp,
            },
            ..Now::default()
        }
    }
}

fn point(power_w: i64) -> Point {
    let mut point = Point {
        device: Arc::default(),
        reach: Reach {
            min_a: Milli(6_000),
            max_a: Milli(16_000),
            phases: 3,
            ..Reach::default()
        },
        available: true,
        state: Default::default(),
        session: Default::default(),
        csms: Default::default(),
        totals: Default::default(),
    };
    point.state.power_w = Some(Milli(power_w * 1000));
    point
}

pub fn picture(power_w: i64) -> Picture {
    let mut picture = Picture::blank();
    for name in ["left", "right"] {
        picture.points.insert(Slug::of(name), point(power_w));
    }
    picture.buses.insert(Slug::of("garage"), Default::default());
    picture.info.charge_points = picture.points.keys().cloned().collect();
    picture
}

pub fn happening(seq: u64) -> Happening {
    let to = if seq.is_multiple_of(2) {
        Status::Charging
    } else {
        Status::SuspendedEv
    };
    Happening {
        point: Slug::of("left"),
        seq,
        at: At(1_772_359_200_000 + i64::try_from(seq).unwrap()),
        what: What::Status { from: None, to },
    }
}

pub fn mqtt(broker: BrokerSetup) -> MqttSetup {
    MqttSetup {
        broker,
        prefix: "retrovolt".to_owned(),
        gateway: "gw".to_owned(),
        refresh: Duration::from_secs(60),
        flat: false,
        keep_records: Duration::from_secs(90 * 86_400),
        commands: None,
        ha: Default::default(),
    }
}

pub struct Parts {
    pub setup: MqttSetup,
    pub desk: Option<Arc<dyn Desk>>,
    pub ledger: Option<Arc<dyn Ledger>>,
    pub thrift: watch::Receiver<Thrift>,
}

/// A broker without a budget.
pub fn free() -> watch::Receiver<Thrift> {
    watch::channel(Thrift::Free).1
}

pub fn hub_of(parts: Parts, easel: &Easel) -> HubHandle {
    spawn(Hub {
        dial: dial(parts.setup.broker.clone()),
        setup: parts.setup,
        view: easel.view(),
        announcer: None,
        ledger: parts.ledger,
        desk: parts.desk,
        left: Left::default(),
        clock: Arc::new(Running(Instant::now())),
        thrift: parts.thrift,
        seed: 1,
    })
}

pub fn hub(setup: MqttSetup, easel: &Easel) -> HubHandle {
    let parts = Parts {
        setup,
        desk: None,
        ledger: None,
        thrift: free(),
    };
    hub_of(parts, easel)
}

pub async fn online(hub: &HubHandle) {
    let mut status = hub.status.clone();
    timeout(PATIENCE, status.wait_for(|status| status.online))
        .await
        .unwrap()
        .unwrap();
}

/// Comes after everything that was there before it.
const MARK: &str = "retrovolt/mark";

/// Exactly what the broker has kept, by topic, as a late subscriber gets it; `reader` and `writer` are how they log in.
async fn kept_as(broker: &Broker, reader: &[&str], writer: &[&str]) -> BTreeMap<String, String> {
    let mut late = broker
        .subscriber(&[reader, &["-t", "retrovolt/#"]].concat())
        .await;
    broker
        .publish(&[writer, &["-q", "1", "-t", MARK, "-m", "now"]].concat())
        .await;
    let mut kept = BTreeMap::new();
    loop {
        let got = late.next().await;
        if got.topic == MARK {
            return kept;
        }
        // What is told at this moment is nothing that was kept.
        if got.retained {
            kept.insert(got.topic, got.payload);
        }
    }
}

pub async fn kept(broker: &Broker) -> BTreeMap<String, String> {
    kept_as(broker, &[], &[]).await
}

/// What a broker keeps of [`picture`]: nothing else is for who comes later.
fn whole() -> BTreeSet<String> {
    let topics = TOPICS.into_iter().chain(["status"]);
    topics.map(|topic| format!("retrovolt/gw/{topic}")).collect()
}

fn topics(kept: &BTreeMap<String, String>) -> BTreeSet<String> {
    kept.keys().cloned().collect()
}

/// Everything up to a message on this topic, that one included, as topics below the gateway.
async fn up_to(there: &mut Subscriber, topic: &str) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    loop {
        let got = there.next().await;
        let value = serde_json::from_str(&got.payload).unwrap_or_else(|_| json!(got.payload));
        let below = got.topic.trim_start_matches("retrovolt/gw/").to_owned();
        let last = below == topic;
        all.push((below, value));
        if last {
            return all;
        }
    }
}

const TOPICS: [&str; 12] = [
    "bus/garage/state",
    "cp/left/availability",
    "cp/left/csms",
    "cp/left/session",
    "cp/left/state",
    "cp/right/availability",
    "cp/right/csms",
    "cp/right/session",
    "cp/right/state",
    "health",
    "info",
    "site/state",
];

#[tokio::test]
async fn a_late_subscriber_sees_the_whole_picture_and_online_comes_last() {
    let broker = Broker::open().await;
    let mut early = broker.subscriber(&["-t", "retrovolt/#"]).await;
    let easel = Easel::new(picture(7200));
    let hub = hub(mqtt(broker.setup("gw")), &easel);
    let mut order = Vec::new();
    loop {
        let got = early.next().await;
        let last = got.topic == "retrovolt/gw/status";
        let qos = u8::from(!got.topic.starts_with("retrovolt/gw/bus/"));
        assert_eq!(got.qos, qos, "{}", got.topic);
        order.push(got.topic);
        if last {
            break;
        }
    }
    let seen: BTreeSet<String> = order.iter().cloned().collect();
    assert_eq!((seen, order.len()), (whole(), TOPICS.len() + 1), "each once");
    // A broker may deliver what has no quality before the rest.
    let turn = |topic: &&String| match topic.trim_start_matches("retrovolt/gw/") {
        "info" => 0,
        "status" => 3,
        other => 2 - u8::from(other.ends_with("/availability")),
    };
    let turns: Vec<u8> = order
        .iter()
        .filter(|topic| !topic.contains("/bus/"))
        .map(|topic| turn(&topic))
        .collect();
    assert!(turns.is_sorted(), "info, availability, states, status: {order:?}");
    let kept = kept(&broker).await;
    assert_eq!(topics(&kept), whole());
    assert_eq!(kept["retrovolt/gw/status"], "online");
    assert_eq!(kept["retrovolt/gw/cp/left/availability"], "online");
    let state: Value = serde_json::from_str(&kept["retrovolt/gw/cp/left/state"]).unwrap();
    assert_eq!(
        (&state["power_w"], &state["current_a"]),
        (&json!(7200), &json!([null, null, null]))
    );
    assert_eq!(early.on(MARK).await.payload, "now");
    hub.end().await;
    assert_eq!(early.on("retrovolt/gw/status").await.payload, "offline");
    broker.publish(&["-t", MARK, "-n"]).await;
    assert_eq!(
        early.next().await.topic,
        MARK,
        "after a clean stop there is no will"
    );
}

#[tokio::test]
async fn a_value_within_its_dead_band_is_not_told_and_what_is_no_more_is_told_no_more() {
    let broker = Broker::open().await;
    let mut there = broker.subscriber(&["-t", "retrovolt/#"]).await;
    let easel = Easel::new(picture(7200));
    let hub = hub(mqtt(broker.setup("gw")), &easel);
    up_to(&mut there, "status").await;
    // What `right` draws is told each time: by then the hub has looked at `left`, whose topics come before.
    let pair = |left: i64, right: i64| {
        let mut both = picture(left);
        let right_state = &mut both.points.get_mut(&Slug::of("right")).unwrap().state;
        right_state.power_w = Some(Milli(right * 1000));
        both
    };
    let only_right = |told: &[(String, Value)], power: i64| {
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].1["power_w"], power);
    };
    for (left, right) in [(7210, 5000), (7271, 4000), (7129, 3000)] {
        easel.show(pair(left, right));
        only_right(&up_to(&mut there, "cp/right/state").await, right);
    }
    easel.show(pair(7272, 2000));
    let told = up_to(&mut there, "cp/right/state").await;
    assert_eq!(told[0].0, "cp/left/state", "{told:?}");
    assert_eq!(
        (told.len(), &told[0].1["power_w"]),
        (2, &json!(7272)),
        "1 % of what was told last"
    );

    for power in [6000, 5000, 0] {
        let mut smaller = picture(power);
        smaller.points.remove(&Slug::of("right"));
        smaller.info.charge_points = smaller.points.keys().cloned().collect();
        easel.show(smaller);
        let told = up_to(&mut there, "cp/left/state").await;
        assert_eq!(told.last().unwrap().1["power_w"], power);
        let of_right = told.iter().find(|(topic, _)| topic.starts_with("cp/right"));
        assert_eq!(of_right, None);
        let info: Vec<_> = told.iter().filter(|(topic, _)| topic == "info").collect();
        assert_eq!(info.len(), usize::from(power == 6000), "{told:?}");
        for (_, info) in info {
            assert_eq!(info["charge_points"], json!(["left"]));
        }
    }
    hub.end().await;
}

#[tokio::test]
async fn a_thousand_transitions_two_at_a_time_arrive_once_each_and_in_order() {
    let broker = Broker::open().await;
    let mut events = broker.subscriber(&["-t", "retrovolt/gw/cp/+/event/#"]).await;
    let easel = Easel::new(picture(0));
    let hub = hub(mqtt(broker.setup("gw")), &easel);
    online(&hub).await;
    for pair in 0..500_u64 {
        easel.tell(happening(2 * pair + 1));
        easel.tell(happening(2 * pair + 2));
        easel.show(picture(i64::try_from(pair).unwrap() * 100));
        tokio::task::yield_now().await;
    }
    for seq in 1..=1000_u64 {
        let got = events.next().await;
        assert_eq!(
            (got.qos, got.topic.as_str()),
            (1, "retrovolt/gw/cp/left/event/status")
        );
        assert_eq!(got.json()["seq"], seq);
        let status = if seq.is_multiple_of(2) {
            "charging"
        } else {
            "suspended_ev"
        };
        assert_eq!(
            (&got.json()["event_type"], &got.json()["to"]),
            (&json!("status"), &json!(status))
        );
    }
    assert_eq!(hub.status.borrow().dropped, 0);
    assert_eq!(topics(&kept(&broker).await), whole(), "no event is kept");
    hub.end().await;
}

#[tokio::test]
async fn what_happens_while_the_broker_is_down_is_told_afterwards_in_order() {
    let mut broker = Broker::open().await;
    let easel = Easel::new(picture(0));
    let hub = hub(mqtt(broker.setup("gw")), &easel);
    online(&hub).await;
    broker.kill().await;
    let mut status = hub.status.clone();
    timeout(PATIENCE, status.wait_for(|status| !status.online))
        .await
        .unwrap()
        .unwrap();
    (1..=50).for_each(|seq| easel.tell(happening(seq)));
    easel.show(picture(1234));
    broker.start().await;
    let mut after = broker.subscriber(&["-t", "retrovolt/gw/#"]).await;
    let mut seqs = Vec::new();
    let mut whole = false;
    while seqs.len() < 50 {
        let got = after.next().await;
        if got.topic.ends_with("/event/status") {
            assert!(whole, "history comes after the picture");
            seqs.push(got.json()["seq"].as_u64().unwrap());
        }
        whole |= got.topic == "retrovolt/gw/status";
    }
    assert_eq!(seqs, (1..=50).collect::<Vec<_>>());
    let state = &kept(&broker).await["retrovolt/gw/cp/left/state"];
    assert!(
        state.contains("\"power_w\":1234,"),
        "the broker has forgotten, we have not: {state}"
    );
    hub.end().await;
}

#[tokio::test]
async fn a_broker_of_3_1_1_only_gets_the_same_tree() {
    let broker = Broker::nats().await;
    let easel = Easel::new(picture(7200));
    let hub = hub(mqtt(broker.setup("gw")), &easel);
    online(&hub).await;
    assert!(
        hub.status.borrow().detail.contains("V311"),
        "{:?}",
        hub.status.borrow()
    );
    // This broker may still be storing what others get already: who comes later sees it kept.
    let deadline = Instant::now() + PATIENCE;
    let before = loop {
        let kept = kept(&broker).await;
        if topics(&kept) == whole() {
            break kept;
        }
        assert!(Instant::now() < deadline, "{:?}", topics(&kept));
    };
    assert_eq!(before["retrovolt/gw/status"], "online");
    let mut events = broker.subscriber(&["-t", "retrovolt/gw/cp/+/event/#"]).await;
    (1..=20).for_each(|seq| easel.tell(happening(seq)));
    for seq in 1..=20 {
        assert_eq!(events.next().await.json()["seq"], seq);
    }
    assert_eq!(topics(&kept(&broker).await), whole(), "no event is kept");
    hub.end().await;
}

/// Promise N4: whoever tells is never held up, and what waits stays below 4 MiB.
#[tokio::test]
async fn a_broker_that_takes_nothing_holds_nobody_up_and_costs_no_more_than_the_ring() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = [0; 256];
            if socket.read(&mut head).await.is_ok() {
                let _ = socket.write_all(&[0x20, 2, 0, 0]).await;
            }
            open.push(socket);
        }
    });
    let broker = BrokerSetup {
        version: MqttVersion::V311,
        keep_alive: Duration::from_secs(5),
        ..super::broker::setup(port, "gw")
    };
    let easel = Easel::new(picture(0));
    let hub = hub(mqtt(broker), &easel);
    let mut waiting = hub.status.clone();
    for batch in 0..100_u64 {
        for seq in 1..=400 {
            easel.tell(happening(batch * 400 + seq));
        }
        tokio::task::yield_now().await;
    }
    // The dead connection is noticed and given up; every event still waits, or was counted when it went. None was told: that
    // broker has confirmed nothing.
    let all = |status: &HubStatus| !status.online && status.waiting as u64 + status.dropped == 40_000;
    let shown = timeout(PATIENCE, waiting.wait_for(all)).await;
    let shown = shown
        .unwrap_or_else(|_| panic!("events are lost: {:?}", hub.status.borrow()))
        .unwrap()
        .clone();
    assert!(shown.bytes <= RING_BYTES && shown.waiting > 8_000, "{shown:?}");
    hub.end().await;
}

/// Carries out everything and remembers what it was told.
#[derive(Default)]
struct Clerk {
    audits: Mutex<Vec<Audit>>,
}

impl Desk for Clerk {
    fn carry_out(self: Arc<Self>, order: Order) -> BoxFuture<'static, Result<(Value, Value), String>> {
        async move { Ok((json!(16), json!(format!("{:?}", order.ask)))) }.boxed()
    }

    fn note(&self, audit: &Audit) {
        self.audits.lock().unwrap().push(audit.clone());
    }
}

const ACL: &str = "user gw\ntopic readwrite retrovolt/#\nuser ha\ntopic read retrovolt/#\nuser scada\ntopic read retrovolt/#\npattern write retrovolt/+/as/%u/#\n";

async fn guarded() -> Broker {
    Broker::mosquitto(
        "allow_anonymous false\npassword_file DIR/passwords\nacl_file DIR/acl\n",
        |dir| {
            passwords(dir, &[("gw", "g"), ("ha", "h"), ("scada", "s")]);
            std::fs::write(dir.join("acl"), ACL).unwrap();
        },
    )
    .await
}

async fn responses(broker: &Broker) -> Subscriber {
    broker
        .subscriber(&[
            "-u",
            "ha",
            "-P",
            "h",
            "-t",
            "retrovolt/gw/response/#",
            "-t",
            "retrovolt/mark",
        ])
        .await
}

async fn say(broker: &Broker, user: &str, topic: &str, payload: &str) {
    let password = &user[..1];
    broker
        .publish(&["-u", user, "-P", password, "-q", "1", "-t", topic, "-m", payload])
        .await;
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "a transcript: one command after the other")]
async fn commands_are_judged_by_broker_and_gateway_and_every_verdict_is_on_record() {
    let broker = guarded().await;
    let rights = CommandRights {
        keys: BTreeSet::from(["limit_a".to_owned()]),
        operations: BTreeSet::from(["status".to_owned()]),
        spacing: Duration::from_millis(100),
    };
    let setup = MqttSetup {
        commands: Some(BTreeMap::from([("ha".to_owned(), rights)])),
        ha: Default::default(),
        ..mqtt(as_user(broker.setup("gw"), "gw", "g"))
    };
    let clerk = Arc::new(Clerk::default());
    let easel = Easel::new(picture(7200));
    // A command that waits on the broker from before is not carried out.
    let stored = [
        "-u",
        "ha",
        "-P",
        "h",
        "-q",
        "1",
        "-r",
        "-t",
        "retrovolt/gw/as/ha/cp/right/limit_a/set",
        "-m",
        "6",
    ];
    broker.publish(&stored).await;
    let mut there = responses(&broker).await;
    let hub = hub_of(
        Parts {
            setup,
            desk: Some(clerk.clone()),
            ledger: None,
            thrift: free(),
        },
        &easel,
    );
    online(&hub).await;
    let got = there.next().await.json();
    assert!(
        got["status"] == "rejected" && got["error"].as_str().unwrap().contains("stored"),
        "{got}"
    );

    say(
        &broker,
        "ha",
        "retrovolt/gw/as/ha/cp/left/limit_a/set",
        r#"{"value":10,"for_s":600,"transaction":"t1"}"#,
    )
    .await;
    let got = there.on("retrovolt/gw/response/ha/limit_a").await.json();
    assert_eq!(
        (&got["status"], &got["transaction"], &got["error"]),
        (&json!("ok"), &json!("t1"), &Value::Null)
    );
    assert_eq!(
        (&got["data"]["cp"], &got["data"]["old"]),
        (&json!("left"), &json!(16))
    );

    // In another's name: the broker drops it, and so it does without the right to a topic at all.
    say(&broker, "scada", "retrovolt/gw/as/ha/cp/left/limit_a/set", "6").await;
    say(&broker, "scada", "retrovolt/gw/status", "offline").await;
    say(&broker, "scada", "retrovolt/gw/as/scada/cp/left/limit_a/set", "6").await;
    let got = there.on("retrovolt/gw/response/scada/limit_a").await.json();
    assert!(
        got["status"] == "rejected" && got["error"].as_str().unwrap().contains("scada"),
        "{got}"
    );
    say(&broker, "ha", "retrovolt/gw/as/ha/cp/left/limit_a/set", "17").await;
    let got = there.on("retrovolt/gw/response/ha/limit_a").await.json();
    assert!(
        got["status"] == "rejected" && got["error"].as_str().unwrap().contains("16 A"),
        "{got}"
    );
    say(
        &broker,
        "ha",
        "retrovolt/gw/as/ha/request/status",
        r#"{"cp":"left"}"#,
    )
    .await;
    let got = there.on("retrovolt/gw/response/ha/status").await.json();
    assert_eq!(got["data"]["left"]["power_w"], 7200);
    assert!(got["data"]["right"].is_null());

    let audits = clerk.audits.lock().unwrap().clone();
    let verdicts: Vec<(&str, bool)> = audits
        .iter()
        .map(|audit| (audit.user.as_str(), audit.reason.is_none()))
        .collect();
    assert_eq!(
        verdicts,
        [
            ("ha", false),
            ("ha", true),
            ("scada", false),
            ("ha", false),
            ("ha", true)
        ]
    );
    assert_eq!(
        (&audits[1].old, audits[1].topic.as_str()),
        (&Some(json!(16)), "as/ha/cp/left/limit_a/set")
    );
    assert!(broker.log().contains("retrovolt/gw/as/+/cp/+/+/set"));
    let reader = ["-u", "ha", "-P", "h"];
    let mut kept = topics(&kept_as(&broker, &reader, &["-u", "gw", "-P", "g"]).await);
    assert!(kept.remove("retrovolt/gw/as/ha/cp/right/limit_a/set"), "ours");
    assert_eq!(kept, whole(), "no answer is kept");
    hub.end().await;
}

#[tokio::test]
async fn without_authorisation_no_command_topic_is_subscribed() {
    let broker = Broker::open().await;
    let easel = Easel::new(picture(0));
    let parts = Parts {
        setup: mqtt(broker.setup("retrovolt-gw")),
        desk: Some(Arc::new(Clerk::default())),
        ledger: None,
        thrift: free(),
    };
    let hub = hub_of(parts, &easel);
    online(&hub).await;
    hub.end().await;
    let log = broker.log();
    assert!(log.contains("retrovolt-gw"), "{log}");
    assert!(log.contains("retrovolt/gw/cp/+/availability (QoS 1)"), "{log}");
    assert!(!log.contains("retrovolt/gw/as/"), "{log}");
}

/// A ledger with so many rows, which remembers how far it was confirmed.
struct Book {
    rows: u64,
    done: Mutex<u64>,
    commits: Mutex<u64>,
}

fn row(seq: u64) -> Entry {
    let record = Record {
        seq,
        ts: At(1_772_359_200_000 + i64::try_from(seq).unwrap() * 60_000),
        ts_trusted: true,
        record: RecordKind::Sampled,
        session_id: Some("tx".to_owned()),
        energy_import_wh: Some(Milli(i64::try_from(seq).unwrap() * 1000)),
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
        // Every tenth row is about something else.
        record: (!seq.is_multiple_of(10)).then(|| (Slug::of("left"), record)),
    }
}

impl Ledger for Book {
    fn next(self: Arc<Self>) -> BoxFuture<'static, Vec<Entry>> {
        async move {
            let done = *self.done.lock().unwrap();
            if done >= self.rows {
                std::future::pending::<()>().await;
            }
            (done + 1..=(done + 32).min(self.rows)).map(row).collect()
        }
        .boxed()
    }

    fn done(self: Arc<Self>, entries: Vec<(CpId, u64)>) -> BoxFuture<'static, ()> {
        async move {
            for (_, seq) in entries {
                *self.done.lock().unwrap() = seq;
                *self.commits.lock().unwrap() += 1;
            }
        }
        .boxed()
    }
}

/// A day's worth of rows, all there at once, is delivered through two restarts of a real broker, and nothing is lost. The day
/// itself, with the real ledger and nobody at the broker's address, is `src/runtime/tests/outage.rs`.
#[tokio::test]
async fn a_day_of_records_survives_outages_and_repeats_are_told_by_their_number() {
    let mut broker = Broker::open().await;
    let book = Arc::new(Book {
        rows: 24 * 60,
        done: Mutex::new(0),
        commits: Mutex::new(0),
    });
    let easel = Easel::new(picture(0));
    let mut seen = BTreeSet::new();
    let mut there = broker.subscriber(&["-t", "retrovolt/gw/cp/left/record"]).await;
    let hub = hub_of(
        Parts {
            setup: mqtt(broker.setup("gw")),
            desk: None,
            ledger: Some(book.clone()),
            thrift: free(),
        },
        &easel,
    );
    let wanted: BTreeSet<u64> = (1..=book.rows).filter(|seq| seq % 10 != 0).collect();
    let mut restarts = 2;
    let mut repeats = 0_u64;
    let mut last = 0;
    while seen.len() < wanted.len() {
        let got = there.next().await;
        let seq = got.json()["seq"].as_u64().unwrap();
        if !seen.insert(seq) {
            repeats += 1;
        } else {
            assert!(seq > last, "{seq} after {last}");
            last = seq;
        }
        if restarts > 0 && seen.len() >= 400 * (3 - restarts) {
            restarts -= 1;
            broker.kill().await;
            let mut status = hub.status.clone();
            let lost = timeout(PATIENCE, status.wait_for(|status| !status.online)).await;
            lost.unwrap().unwrap();
            // What the dead broker had not passed on to this subscriber it had confirmed all the same: only
            // what it has not confirmed comes again.
            last = *book.done.lock().unwrap();
            seen = (1..=last).filter(|seq| seq % 10 != 0).collect();
            broker.start().await;
            there = broker.subscriber(&["-t", "retrovolt/gw/cp/left/record"]).await;
        }
    }
    assert_eq!(seen, wanted);
    assert!(repeats <= 64, "{repeats}");
    let deadline = Instant::now() + PATIENCE;
    while *book.done.lock().unwrap() < book.rows {
        assert!(Instant::now() < deadline, "the cursor did not follow");
        tokio::task::yield_now().await;
    }
    assert_eq!(topics(&kept(&broker).await), whole(), "no record is kept");
    hub.end().await;
}
