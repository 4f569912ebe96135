//! A node as the gateway runs it, with a site that the test paints.

use crate::broker::{PATIENCE, dial, setup};
use retrovolt::domain::MqttVersion;
use retrovolt::runtime::clock::SystemClock;
use retrovolt::telemetry::sparkplug::{Asked, Handle, Plan, Role, Snapshot, spawn};
use retrovolt::telemetry::{
    At, BusState, Csms, Device, Easel, Health, Info, Meter, MeterState, Milli, Picture, Point, PointState,
    Reach, SCHEMA, Session, SiteState, Slug, Status, Totals,
};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

pub struct Node {
    pub picture: Picture,
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
        let dials = wanted.ports.iter().map(|&port| {
            let mut setup = setup(port, "gw");
            setup.version = wanted.version;
            dial(setup)
        });
        let plan = Plan {
            role: Role {
                group: "site".to_owned(),
                node: "gw".to_owned(),
                host: wanted.host.then(|| "scada".to_owned()),
                aliases: wanted.aliases,
                commands: true,
                servers: 0,
                retry: (Duration::from_millis(20), Duration::from_millis(100)),
            },
            servers: dials.collect(),
            state_dir: state_dir.to_owned(),
            seed: 1,
        };
        let handle = spawn(plan, easel.view(), Arc::new(SystemClock::for_a_tool()), asked);
        Self {
            picture,
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
            schema: SCHEMA,
            app: "retrovolt",
            version: "1.0.0",
            hardware: None,
            os: Some("Linux".to_owned()),
            started_at: now,
            url: None,
            charge_points: Vec::new(),
            meters: Vec::new(),
            buses: Vec::new(),
        },
        health: Health::default(),
        buses: [(Slug::of("rs485"), BusState::default())].into(),
        points: ids.map(|id| (id, point(&device, now))).collect(),
        meters: [(Slug::of("grid"), meter)].into(),
        site: SiteState::default(),
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
            seq: 0,
            status: Some(Status::Available),
            connected: Some(false),
            charging: false,
            enabled: true,
            fault: None,
            power_w: Some(Milli(0)),
            current_a: [Some(Milli(0)); 3],
            voltage_v: [Some(Milli(230_000)); 3],
            energy_import_wh: Some(0),
            energy_export_wh: None,
            meter_epoch: 0,
            limit_a: Some(Milli(16_000)),
            limit_source: None,
            phases_active: None,
            phases_allowed: None,
            mode: None,
            priority: None,
            temperature_c: Some(Milli(-5_500)),
            soc_pct: None,
            session_energy_wh: None,
            session_start: None,
            id_tag_hash: None,
        },
        session: Session::default(),
        csms: Csms::default(),
        totals: Totals::default(),
    }
}
