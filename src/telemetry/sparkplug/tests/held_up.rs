//! The task in simulated time, before a broker at the other end of a pipe that is in no hurry.

use super::{EPOCH, picture, role};
use crate::domain::{Clock, Mono, MqttVersion, Now, Thrift, Wall};
use crate::sim::broker::{Broker, Way};
use crate::telemetry::Easel;
use crate::telemetry::client::Dial;
use crate::telemetry::mqtt::{Audit, Desk, Order};
use crate::telemetry::sparkplug::{Handle, Plan, Role, spawn};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

struct Simulated(Instant);

impl Clock for Simulated {
    fn now(&self) -> Now {
        let ms = u64::try_from(self.0.elapsed().as_millis()).unwrap();
        Now {
            mono: Mono(ms),
            wall: Wall {
                unix_ms: EPOCH + i64::try_from(ms).unwrap(),
                ..Wall::default()
            },
            ..Now::default()
        }
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

struct Node {
    handle: Handle,
    _easel: Easel,
    _state: TempDir,
}

fn node(role: Role, broker: &Broker) -> Node {
    let (state, easel) = (
        tempfile::tempdir().unwrap(),
        Easel::new(picture(&["cp-1", "cp-2"])),
    );
    let at_the_other_end = broker.clone();
    let pipe = Arc::new(move || {
        let (theirs, ours) = tokio::io::duplex(16 * 1024);
        tokio::spawn(at_the_other_end.clone().serve(ours));
        Ok(theirs)
    });
    let dial = Dial::piped(MqttVersion::V5, pipe, Arc::default());
    let plan = Plan {
        role,
        servers: vec![dial],
        state_dir: state.path().to_owned(),
        thrift: watch::channel(Thrift::Free).1,
        seed: 1,
    };
    let clock = Arc::new(Simulated(Instant::now()));
    Node {
        handle: spawn(plan, easel.view(), clock, Arc::new(Idle)),
        _easel: easel,
        _state: state,
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const NBIRTH: &str = "spBv1.0/site/NBIRTH/gw";
const NDEATH: &str = "spBv1.0/site/NDEATH/gw";

/// More commands are kept than the inbox of a connection holds, and than wait at all: what the primary host says stands behind.
#[tokio::test(start_paused = true)]
async fn kept_commands_do_not_keep_the_primary_host_from_being_heard() {
    for commands in [100, 1_000] {
        let broker = Broker::new(Way::Slow(1 << 20));
        for n in 0..commands {
            broker.keep(&format!("spBv1.0/site/DCMD/gw/cp-{n}"), "stored");
        }
        broker.keep("spBv1.0/STATE/scada", r#"{"online":true,"timestamp":1}"#);
        let host = Some("scada".to_owned());
        let node = node(Role { host, ..role() }, &broker);
        sleep(seconds(8)).await;
        assert_eq!(broker.count(NBIRTH), 1, "{commands} commands");
        assert_eq!(node.handle.status().borrow().stage, "online");
        node.handle.stop().await;
        assert_eq!(broker.count(NDEATH), 1, "{commands} commands");
    }
}

#[tokio::test(start_paused = true)]
async fn births_wait_for_the_answers_to_all_subscriptions_once_and_no_longer() {
    let broker = Broker::new(Way::Unsubscribed(1 << 20));
    let host = None;
    let node = node(Role { host, ..role() }, &broker);
    sleep(seconds(9)).await;
    assert_eq!(broker.count(NBIRTH), 0);
    sleep(seconds(7)).await;
    assert_eq!(
        broker.count(NBIRTH),
        1,
        "the time of all subscriptions is over at once"
    );
    node.handle.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_no_subscription_and_says_so_itself() {
    let broker = Broker::new(Way::Unsubscribed(1 << 20));
    let node = node(role(), &broker);
    sleep(seconds(3)).await;
    assert_eq!(node.handle.status().borrow().stage, "connecting");
    let begin = Instant::now();
    node.handle.stop().await;
    assert!(begin.elapsed() < seconds(5), "{:?}", begin.elapsed());
    sleep(seconds(2)).await;
    assert_eq!((broker.count(NDEATH), broker.count(NBIRTH)), (1, 0));
}
