//! When what is announced, and what never is taken back in haste.

use super::*;
use crate::telemetry::ha::tests::sample;
use crate::telemetry::units::Slug;
use std::collections::BTreeMap;

/// What a broker would keep of these.
fn keep(broker: &mut BTreeMap<String, String>, messages: Vec<Message>) {
    for message in messages {
        let payload = String::from_utf8(message.payload.to_vec()).expect("text");
        assert!(message.retain);
        if payload.is_empty() {
            broker.remove(&*message.topic);
        } else {
            broker.insert(message.topic.to_string(), payload);
        }
    }
}

fn list() -> String {
    sample::settings().list_topic()
}

fn incoming(topic: &str, payload: &str, retained: bool) -> Incoming {
    Incoming {
        topic: topic.into(),
        payload: payload.to_owned().into(),
        retained,
        arrived: Instant::now(),
        expires_in: None,
    }
}

/// A herald of a process that has just started beside a broker that keeps `was`.
fn started(was: &BTreeMap<String, String>) -> Herald {
    let mut herald = Herald::new(sample::settings(), 1);
    assert!(herald.filters().contains(&list()));
    let (told, once_more) = herald.announce(&sample::everything(), true);
    assert!(told.is_empty() && once_more == Some(RECALL));
    if let Some(kept) = was.get(&list()) {
        let heard = herald.heard(&incoming(&list(), kept, true));
        assert_eq!(heard, Some(Duration::ZERO));
    }
    herald
}

#[tokio::test(start_paused = true)]
async fn the_first_time_nothing_is_there_to_recall() {
    let mut broker = BTreeMap::new();
    let mut herald = started(&broker);
    tokio::time::advance(RECALL).await;
    let (told, once_more) = herald.announce(&sample::everything(), true);
    keep(&mut broker, told);
    assert_eq!((broker.len(), once_more), (5, None));
    assert!(!herald.news(&sample::everything()));
    assert_eq!(herald.filters(), ["homeassistant/status"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_there_before_a_restart_stays_until_the_grace_is_over() {
    let mut broker = BTreeMap::new();
    let mut herald = started(&broker);
    tokio::time::advance(RECALL).await;
    keep(&mut broker, herald.announce(&sample::everything(), true).0);
    let before = broker.clone();

    let mut herald = started(&broker);
    // Nothing was heard from any device yet, and the yard is not there at all.
    let mut picture = sample::unknown();
    picture.info = sample::everything().info;
    picture.points.remove(&Slug::of("yard"));
    for point in picture.points.values_mut() {
        let state = sample::everything().points[&Slug::of("garage")].state.clone();
        (point.state.mode, point.state.priority) = (state.mode, state.priority);
    }
    let (told, once_more) = herald.announce(&picture, true);
    keep(&mut broker, told);
    assert_eq!(once_more, Some(GRACE));
    assert_eq!(broker, before);
    assert!(!herald.news(&picture));

    tokio::time::advance(GRACE).await;
    let (told, once_more) = herald.announce(&picture, true);
    keep(&mut broker, told);
    assert_eq!(once_more, Some(PAUSE));
    tokio::time::advance(PAUSE).await;
    keep(&mut broker, herald.announce(&picture, true).0);
    let gone: Vec<&String> = before.keys().filter(|t| !broker.contains_key(*t)).collect();
    assert_eq!(gone, ["homeassistant/device/retrovolt_gw1_yard/config"]);
    assert!(!broker[&list()].contains("yard"));
}

#[tokio::test(start_paused = true)]
async fn a_picture_without_anything_takes_nothing_back() {
    let mut broker = BTreeMap::new();
    let mut herald = started(&broker);
    tokio::time::advance(RECALL).await;
    keep(&mut broker, herald.announce(&sample::everything(), true).0);
    for _ in 0..3 {
        tokio::time::advance(GRACE).await;
        assert!(!herald.news(&Picture::blank()));
        assert!(herald.announce(&Picture::blank(), true).0.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_quantity_that_comes_later_gets_its_entity() {
    let mut herald = started(&BTreeMap::new());
    tokio::time::advance(RECALL).await;
    let mut picture = sample::everything();
    let yard = Slug::of("yard");
    assert_eq!(herald.announce(&picture, true).1, None);
    if let Some(point) = picture.points.get_mut(&yard) {
        point.state.temperature_c = Some(crate::telemetry::Milli(20_000));
    }
    assert!(herald.news(&picture));
    let (told, once_more) = herald.announce(&picture, true);
    assert_eq!(once_more, None);
    let whole = told.iter().find(|m| m.topic.ends_with("gw1_yard/config"));
    let text = String::from_utf8(whole.expect("told").payload.to_vec()).expect("text");
    assert!(text.contains("retrovolt_gw1_yard_temperature"));
    // And keeps it when the value is away.
    assert!(!herald.news(&sample::everything()));
}

#[tokio::test(start_paused = true)]
async fn home_assistant_is_told_again_one_to_five_seconds_after_its_birth() {
    let mut herald = started(&BTreeMap::new());
    let mut waits = Vec::new();
    for _ in 0..50 {
        waits.extend(herald.heard(&incoming("homeassistant/status", "online", false)));
    }
    assert_eq!(waits.len(), 50);
    let (least, most) = (Duration::from_secs(1), Duration::from_secs(5));
    assert!(waits.iter().all(|wait| (least..=most).contains(wait)));
    waits.sort();
    waits.dedup();
    assert!(waits.len() > 10, "{waits:?}");
    assert_eq!(
        herald.heard(&incoming("homeassistant/status", "offline", false)),
        None
    );
    assert_eq!(
        herald.heard(&incoming("homeassistant/status", "online", true)),
        None
    );
}

#[tokio::test(start_paused = true)]
async fn off_says_nothing_unless_there_is_something_to_take_back() {
    let off = Settings {
        form: HaForm::Off,
        ..sample::settings()
    };
    let mut herald = Herald::new(off.clone(), 1);
    assert_eq!(herald.filters(), [list()]);
    let picture = sample::everything();
    assert_eq!(herald.announce(&picture, true), (Vec::new(), Some(RECALL)));
    tokio::time::advance(RECALL).await;
    assert_eq!(herald.announce(&picture, true), (Vec::new(), None));
    assert!(!herald.news(&picture));

    let mut broker = BTreeMap::new();
    let mut before = started(&broker);
    tokio::time::advance(RECALL).await;
    keep(&mut broker, before.announce(&picture, true).0);
    let mut herald = Herald::new(off, 1);
    herald.announce(&picture, true);
    herald.heard(&incoming(&list(), &broker[&list()], true));
    keep(&mut broker, herald.announce(&picture, true).0);
    assert!(broker.is_empty(), "{:?}", broker.keys());
}

/// An entity that Home Assistant makes anew while it is unavailable has forgotten its last event.
#[tokio::test(start_paused = true)]
async fn another_form_is_announced_once_its_entities_are_there() {
    let mut broker = BTreeMap::new();
    let mut herald = started(&broker);
    tokio::time::advance(RECALL).await;
    keep(&mut broker, herald.announce(&sample::everything(), false).0);
    let mut herald = started(&broker);
    herald.settings.form = HaForm::Entity;
    assert_eq!(
        herald.announce(&sample::everything(), false),
        (Vec::new(), Some(PAUSE))
    );
    assert!(!herald.waits(), "the picture is not held up");
    let (told, once_more) = herald.announce(&sample::everything(), true);
    assert!(!told.is_empty() && once_more == Some(PAUSE), "{told:?}");
}
