//! What waits for what: nothing for subscriptions, confirmations for no command, and the picture for who announces it.

use super::*;
use crate::domain::HaForm;
use crate::telemetry::ha::{Herald, Settings};

/// Enough for everything at once.
const QUICK: Way = Way::Slow(1 << 20);

/// Remembers every verdict, and how much was confirmed when it came.
struct Scribe {
    notes: Mutex<Vec<(Audit, u64)>>,
    status: Mutex<Option<watch::Receiver<HubStatus>>>,
}

impl Scribe {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            notes: Mutex::default(),
            status: Mutex::default(),
        })
    }

    fn notes(&self) -> Vec<(Audit, u64)> {
        self.notes.lock().unwrap().clone()
    }
}

impl Desk for Scribe {
    fn carry_out(self: Arc<Self>, _: Order) -> BoxFuture<'static, Result<(Value, Value), String>> {
        async { Err("not here".to_owned()) }.boxed()
    }

    fn note(&self, audit: &Audit) {
        let status = self.status.lock().unwrap();
        let confirmed = status.as_ref().map_or(0, |status| status.borrow().confirmed);
        self.notes.lock().unwrap().push((audit.clone(), confirmed));
    }
}

/// More than the inbox of a connection holds: the answer to the next subscription stands behind them.
#[tokio::test(start_paused = true)]
async fn more_kept_messages_than_the_inbox_holds_delay_no_subscription() {
    let broker = Broker::new(QUICK);
    for n in 0..100 {
        broker.keep(&format!("retrovolt/gw/cp/gone-{n}/availability"), "offline");
    }
    let begin = Instant::now();
    let bench = Bench::with(broker, QUICK, |_| {});
    bench.online().await;
    assert!(
        begin.elapsed() < Duration::from_secs(8),
        "a subscription was given up: {:?}",
        begin.elapsed()
    );
    bench.broker.say("retrovolt/gw/as/ha/request/info", "{}");
    sleep(Duration::from_secs(3)).await;
    assert_eq!(bench.broker.count("retrovolt/gw/response/ha/info"), 1);
}

/// The hub runs only while a test lets it: what comes meanwhile waits.
#[tokio::test(start_paused = true)]
async fn a_command_that_expires_while_it_waits_is_rejected_and_one_that_still_counts_is_not() {
    let (broker, easel) = (Broker::new(QUICK), Easel::new(picture(0, Status::Charging, true)));
    let scribe = Scribe::new();
    let mut hub = plain(&broker, QUICK, &easel);
    hub.dial.setup.version = MqttVersion::V5;
    hub.desk = Some(scribe.clone());
    let (_stop, stopped) = watch::channel(false);
    let (status, shown) = watch::channel(HubStatus::default());
    let mut run = Box::pin(Task::new(hub, stopped, status).run());
    let mut for_seconds = async |seconds| {
        let _ = timeout(Duration::from_secs(seconds), &mut run).await;
    };
    for_seconds(10).await;
    assert!(shown.borrow().online, "{:?}", shown.borrow());
    broker.say_for("retrovolt/gw/as/ha/request/info", r#"{"transaction":1}"#, 4);
    sleep(Duration::from_secs(6)).await;
    for_seconds(3).await;
    broker.say_for("retrovolt/gw/as/ha/request/info", r#"{"transaction":2}"#, 9);
    sleep(Duration::from_secs(6)).await;
    for_seconds(3).await;
    let verdicts: Vec<Option<String>> = scribe
        .notes()
        .into_iter()
        .map(|(audit, _)| audit.reason)
        .collect();
    assert_eq!(verdicts, [Some("it has expired".to_owned()), None]);
}

#[tokio::test(start_paused = true)]
async fn confirmations_are_taken_before_commands_however_many_there_are() {
    let (broker, easel) = (Broker::new(QUICK), Easel::new(picture(0, Status::Charging, true)));
    let scribe = Scribe::new();
    let mut hub = plain(&broker, QUICK, &easel);
    hub.desk = Some(scribe.clone());
    let (_stop, stopped) = watch::channel(false);
    let (status, shown) = watch::channel(HubStatus::default());
    *scribe.status.lock().unwrap() = Some(shown.clone());
    let mut run = Box::pin(Task::new(hub, stopped, status).run());
    let mut for_millis = async |millis| {
        let _ = timeout(Duration::from_millis(millis), &mut run).await;
    };
    for_millis(10_000).await;
    (1..=10).for_each(|seq| easel.tell(happening(seq)));
    for_millis(1).await;
    let before = shown.borrow().confirmed;
    for _ in 0..30 {
        broker.say("retrovolt/gw/as/ha/request/nothing", "{}");
    }
    sleep(Duration::from_secs(3)).await;
    assert_eq!(
        broker.count("retrovolt/gw/cp/left/event/status"),
        10,
        "all have arrived"
    );
    for_millis(1).await;
    let first = scribe.notes().first().expect("a verdict").1;
    assert_eq!(first, before + 10);
}

/// Whoever sends nonsense is told so for a while, and silences nobody.
#[tokio::test(start_paused = true)]
async fn a_user_who_sends_nonsense_silences_no_other() {
    let scribe = Scribe::new();
    let bench = Bench::with(Broker::new(QUICK), QUICK, |hub| {
        let rights = hub.setup.commands.as_mut().unwrap();
        rights.insert("scada".to_owned(), rights["ha"].clone());
        hub.desk = Some(scribe.clone());
    });
    bench.online().await;
    for _ in 0..50 {
        bench.broker.say("retrovolt/gw/as/ha/request/nothing", "{}");
        bench.broker.say("retrovolt/gw/as/mallory/request/info", "{}");
    }
    bench.broker.say("retrovolt/gw/as/scada/request/nothing", "{}");
    sleep(Duration::from_secs(10)).await;
    let told = |user: &str| {
        let topic = format!("retrovolt/gw/response/{user}");
        bench.broker.count(&format!("{topic}/nothing")) + bench.broker.count(&format!("{topic}/info"))
    };
    assert_eq!([told("ha"), told("mallory"), told("scada")], [20, 20, 1]);
    let last = bench.broker.last("retrovolt/gw/response/ha/nothing");
    assert!(last.contains("are only counted"), "{last}");
    assert_eq!(scribe.notes().len(), 41, "what is answered is on record");

    // The next one is, and how many were not.
    bench.broker.say("retrovolt/gw/as/ha/request/info", "{}");
    sleep(Duration::from_secs(3)).await;
    let (audit, _) = scribe.notes().pop().expect("a verdict");
    assert_eq!((audit.reason, audit.unrecorded), (None, 30));
}

/// Home Assistant first sees what there is, then the values: also on the first connection, when it is not known yet what was
/// announced before.
#[tokio::test(start_paused = true)]
async fn discovery_comes_before_the_picture_and_events_and_online() {
    const DISCOVERY: &str = "homeassistant/device/retrovolt_gw_left/config";
    let announced = |kept: Option<&str>| {
        let broker = Broker::new(QUICK);
        if let Some(kept) = kept {
            broker.keep("retrovolt/gw/ha/announced", kept);
        }
        Bench::with(broker, QUICK, |hub| {
            hub.setup.ha.form = HaForm::Device;
            let settings = Settings::of(&hub.setup, &hub.setup.ha);
            hub.announcer = Some(Box::new(Herald::new(settings, 7)));
        })
    };
    let in_order = |bench: &Bench| {
        let topics = bench.broker.topics();
        let places: Vec<Option<usize>> = [
            DISCOVERY,
            "retrovolt/gw/info",
            "retrovolt/gw/cp/left/state",
            "retrovolt/gw/status",
            "retrovolt/gw/cp/left/event/status",
        ]
        .iter()
        .map(|wanted| topics.iter().position(|topic| topic == wanted))
        .collect();
        assert!(places.iter().all(Option::is_some), "{topics:?}");
        assert!(places.is_sorted(), "{topics:?}");
    };
    let first = announced(None);
    first.easel.tell(happening(1));
    first.easel.show(picture(1_000, Status::Charging, true));
    first.rows.send_modify(|rows| *rows += 1);
    sleep(Duration::from_secs(10)).await;
    in_order(&first);
    assert_eq!(first.broker.count(DISCOVERY), 1);

    // A restart: the broker tells what was announced.
    let list = first.broker.last("retrovolt/gw/ha/announced");
    let again = announced(Some(&list));
    again.easel.tell(happening(1));
    sleep(Duration::from_secs(10)).await;
    in_order(&again);
    assert_eq!(again.broker.last("retrovolt/gw/status"), "online");
}

/// In safe mode there is nothing to announce, and that is told.
#[tokio::test(start_paused = true)]
async fn a_picture_without_anything_is_told_all_the_same() {
    let (begin, blank) = (Instant::now(), Easel::new(Picture::blank()));
    let bench = Bench::with(Broker::new(QUICK), QUICK, |hub| {
        hub.view = blank.view();
        hub.setup.ha.form = HaForm::Device;
        let settings = Settings::of(&hub.setup, &hub.setup.ha);
        hub.announcer = Some(Box::new(Herald::new(settings, 7)));
    });
    bench.online().await;
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
}
