//! A node as the gateway runs it, with a site that the test paints.

use crate::broker::{PATIENCE, dial, setup};
use futures_util::future::BoxFuture;
use retrovolt::domain::{MqttVersion, SparkplugSetup};
use retrovolt::runtime::clock::SystemClock;
use retrovolt::telemetry::mqtt::{Audit, Desk, Order};
use retrovolt::telemetry::sparkplug::{Handle, Plan, Snapshot, spawn};
use retrovolt::telemetry::{
    At, BusState, Csms, Device, Easel, Info, Meter, MeterState, Milli, Picture, Point, PointState, Reach,
    Session, Slug, Status, Totals,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

/// An order as the station would get it.
pub struct Asked {
    pub order: Order,
    pub answer: oneshot::Sender<Result<(), String>>,
}

/// Hands orders to the test and keeps the records.
struct TestDesk {
    orders: mpsc::Sender<Asked>,
    notes: watch::Sender<Vec<Audit>>,
}

impl Desk for TestDesk {
    fn carry_out(self: Arc<Self>, order: Order) -> BoxFuture<'static, Result<(Value, Value), String>> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            self.orders.send(Asked { order, answer }).await.unwrap();
            answered.await.unwrap().map(|()| (json!(null), json!(null)))
        })
    }

    fn note(&self, audit: &Audit) {
        self.notes.send_modify(|notes| notes.push(audit.clone()));
    }
}

pub struct Node {
    pub picture: Picture,
    notes: watch::Receiver<Vec<Audit>>,
    pub orders: mpsc::Receiver<Asked>,
    pub status: watch::Receiver<Snapshot>,
    easel: Easel,
    handle: Handle,
}

/// How a test wants its node.
pub struct Wanted {
    pub ports: Vec<u16>,
    pub version: MqttVersion,
    pub host: bool,
    pub aliases: bool,
    pub points: usize,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            ports: Vec::new(),
            version: MqttVersion::Auto,
            host: false,
            aliases: false,
            points: 2,
        }
    }
}

fn unix_ms() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

impl Node {
    /// Starts it; `state_dir` is where it keeps what must survive.
    pub fn start(wanted: &Wanted, state_dir: &std::path::Path) -> Self {
        let picture = picture(wanted.points);
        let easel = Easel::new(picture.clone());
        let (asked, orders) = mpsc::channel(8);
        let (note, notes) = watch::channel(Vec::new());
        let desk = Arc::new(TestDesk {
            orders: asked,
            notes: note,
        });
        let broker = |&port: &u16| {
            let mut broker = setup(port, "gw");
            broker.version = wanted.version;
            broker
        };
        let setup = SparkplugSetup {
            brokers: wanted.ports.iter().map(broker).collect(),
            group: "site".to_owned(),
            edge_node: "gw".to_owned(),
            host_id: wanted.host.then(|| "scada".to_owned()),
            aliases: wanted.aliases,
            commands: true,
            retry: (Duration::from_millis(20), Duration::from_millis(100)),
        };
        let plan = Plan::of(&setup, |broker| dial(broker.clone()), state_dir, 1);
        let handle = spawn(plan, easel.view(), Arc::new(SystemClock::for_a_tool()), desk);
        Self {
            picture,
            notes,
            orders,
            status: handle.status(),
            easel,
            handle,
        }
    }

    /// Paints the site as it is now.
    pub fn paint(&self) {
        self.easel.show(self.picture.clone());
    }

    /// Changes a charge point and paints.
    pub fn change(&mut self, id: &str, change: impl FnOnce(&mut Point)) {
        let point = self.picture.points.get_mut(&Slug::of(id)).unwrap();
        point.state.ts = At(unix_ms());
        change(point);
        self.paint();
    }

    /// Waits for what the node says of itself.
    pub async fn is(&mut self, what: &str, wanted: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let found = timeout(PATIENCE, self.status.wait_for(|status| wanted(status))).await;
        match found {
            Ok(Ok(status)) => status.clone(),
            _ => panic!("not {what}: {:?}", self.handle.status().borrow()),
        }
    }

    /// Waits for so many records.
    pub async fn noted(&mut self, count: usize) -> Vec<Audit> {
        let noted = timeout(PATIENCE, self.notes.wait_for(|notes| notes.len() >= count)).await;
        noted.unwrap().unwrap().clone()
    }

    pub async fn stop(self) {
        self.handle.stop().await;
    }
}

fn picture(points: usize) -> Picture {
    let device = Arc::new(Device {
        vendor: Some("Maker".to_owned()),
        ..Device::default()
    });
    let now = At(unix_ms());
    let meter = Meter {
        device: Arc::clone(&device),
        available: true,
        state: MeterState {
            ts: now,
            energy_import_wh: Some(1_234_567),
            ..MeterState::default()
        },
    };
    let ids = (1..=points).map(|n| Slug::of(&format!("cp-{n}")));
    Picture {
        info: Info {
            os: Some("Linux".to_owned()),
            started_at: now,
            ..Picture::blank().info
        },
        buses: [(Slug::of("rs485"), BusState::default())].into(),
        points: ids.map(|id| (id, point(&device, now))).collect(),
        meters: [(Slug::of("grid"), meter)].into(),
        ..Picture::blank()
    }
}

fn point(device: &Arc<Device>, now: At) -> Point {
    Point {
        device: Arc::clone(device),
        reach: Reach {
            min_a: Milli(6_000),
            max_a: Milli(32_000),
            phases: 3,
            switches_phases: false,
            unlocks: false,
        },
        available: true,
        state: PointState {
            ts: now,
            status: Some(Status::Available),
            connected: Some(false),
            enabled: true,
            power_w: Some(Milli(0)),
            current_a: [Some(Milli(0)); 3],
            voltage_v: [Some(Milli(230_000)); 3],
            energy_import_wh: Some(0),
            limit_a: Some(Milli(16_000)),
            temperature_c: Some(Milli(-5_500)),
            ..PointState::default()
        },
        session: Session::default(),
        csms: Csms::default(),
        totals: Totals::default(),
    }
}
