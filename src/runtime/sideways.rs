//! Telemetry's back ends: which there are, what they are given, how they end. Nobody in the house waits for them.

use super::clock::SystemClock;
use super::desk::StationDesk;
use super::fuses::Stations;
use super::gateway::GatewayError;
use super::observe::Scene;
use super::panel::{self, Sum};
use super::pseudonym::Pseudonyms;
use super::records::{self, Records};
use crate::domain::{BrokerSetup, Bytes, Clock, MqttSetup, ReaderId, SiteSetup, SparkplugSetup, Thrift};
use crate::store::Store;
use crate::telemetry::client::{Dial, MakeTls, Traffic};
use crate::telemetry::ha::{Herald, Settings};
use crate::telemetry::metrics::{MqttFigures, SparkplugFigures};
use crate::telemetry::mqtt::{self, Hub, HubHandle, HubStatus, Left};
use crate::telemetry::sparkplug::{self, Plan};
use crate::telemetry::{Easel, View};
use crate::uplink;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What back ends are given of the house.
#[derive(Clone)]
pub(super) struct World {
    pub clock: Arc<dyn Clock>,
    pub store: Store,
    pub names: Pseudonyms,
    pub easel: Arc<Easel>,
    pub scene: watch::Receiver<Scene>,
    pub stations: watch::Receiver<Stations>,
    /// Knows when this run began, once the clock is trusted.
    pub epoch: Arc<SystemClock>,
    pub seed: u64,
}

/// What a running hub was made from; anything else takes a new one.
#[derive(Clone, PartialEq)]
struct Made {
    setup: MqttSetup,
    trust_dir: Option<PathBuf>,
    points: Vec<crate::domain::CpId>,
    /// There is a monthly budget: measured values may come seldom.
    budgeted: bool,
}

/// What a back end costs, and how sparing it is to be.
#[derive(Default)]
struct Purse {
    /// Bytes over all connections.
    traffic: Arc<Traffic>,
    thrift: watch::Sender<Thrift>,
}

impl Purse {
    fn spare(&self, thrift: Thrift) {
        self.thrift
            .send_if_modified(|told| std::mem::replace(told, thrift) != thrift);
    }
}

impl Sum for HubStatus {
    fn add(&mut self, gone: &Self) {
        self.dropped += gone.dropped;
        self.confirmed += gone.confirmed;
        self.rejected += gone.rejected;
        self.thinned += gone.thinned;
    }
}

/// A running hub.
struct Running {
    made: Made,
    handle: HubHandle,
    /// Gives up what waits too long.
    keeper: JoinHandle<()>,
}

impl Running {
    async fn end(self) -> Left {
        self.keeper.abort();
        self.handle.end().await
    }
}

impl Made {
    /// Both tell on the same topics.
    fn is_alike(&self, other: &Self) -> bool {
        let topics = |made: &Self| (made.setup.prefix.clone(), made.setup.gateway.clone());
        topics(self) == topics(other)
    }
}

/// What a running edge node was made from.
#[derive(Clone, PartialEq)]
struct EdgeMade {
    setup: SparkplugSetup,
    trust_dir: Option<PathBuf>,
    state_dir: PathBuf,
}

/// The running back ends.
#[derive(Default)]
pub(super) struct Sideways {
    hub: Option<Running>,
    /// What the last hub has not told.
    left: Left,
    /// What all hubs have counted.
    counted: Option<panel::Dial<HubStatus>>,
    records_given_up: Arc<AtomicU64>,
    edge: Option<(EdgeMade, sparkplug::Handle)>,
    /// The one desk of all who send commands: it numbers their records.
    desk: Option<Arc<StationDesk>>,
    hub_purse: Purse,
    edge_purse: Purse,
}

/// The readers of the ledger that telemetry keeps.
pub(super) fn readers(setup: &SiteSetup) -> Vec<ReaderId> {
    let points = setup.mqtt.iter().flat_map(|_| &setup.charge_points);
    points.map(|cp| records::reader_of(&cp.id)).collect()
}

impl Sideways {
    /// No back ends; the first of them is told what happens in this view, whenever it begins.
    pub fn new(view: View) -> Self {
        Self {
            left: Left::hearing(view),
            ..Self::default()
        }
    }

    /// Ends what is not configured any more, or otherwise, and begins what is.
    pub async fn follow(&mut self, setup: &SiteSetup, world: World) -> Result<(), GatewayError> {
        self.follow_hub(setup, &world).await?;
        self.follow_edge(setup, world).await
    }

    async fn follow_hub(&mut self, setup: &SiteSetup, world: &World) -> Result<(), GatewayError> {
        let wanted = setup.mqtt.clone().map(|mqtt| Made {
            setup: mqtt,
            trust_dir: setup.trust_dir.clone(),
            points: setup.charge_points.iter().map(|cp| cp.id.clone()).collect(),
            budgeted: setup.budgets.contains_key(SiteSetup::BROKER),
        });
        if self.hub.is_none() && wanted.is_none() {
            self.left.stop_hearing();
        }
        if self.hub.as_ref().map(|hub| &hub.made) == wanted.as_ref() {
            return Ok(());
        }
        if let Some(hub) = self.hub.take() {
            let was = hub.made.clone();
            let left = hub.end().await;
            self.left = match &wanted {
                Some(made) if made.is_alike(&was) => left,
                Some(_) => left.elsewhere(),
                None => left.over(),
            };
        }
        if let Some(made) = wanted {
            self.hub = Some(self.begin(made, world.clone()).await?);
        }
        Ok(())
    }

    async fn follow_edge(&mut self, setup: &SiteSetup, world: World) -> Result<(), GatewayError> {
        let wanted = setup.sparkplug.clone().map(|sparkplug| EdgeMade {
            setup: sparkplug,
            trust_dir: setup.trust_dir.clone(),
            state_dir: setup.state_dir.clone(),
        });
        if self.edge.as_ref().map(|(made, _)| made) == wanted.as_ref() {
            return Ok(());
        }
        if let Some((_, handle)) = self.edge.take() {
            handle.stop().await;
        }
        if let Some(made) = wanted {
            let desk = self.desk(&world).await?;
            let purse = &self.edge_purse;
            let dial = |broker: &BrokerSetup| {
                let tls = tls(broker, made.trust_dir.as_deref(), world.clock.clone());
                Dial::new(broker.clone(), tls, purse.traffic.clone())
            };
            let plan = Plan {
                thrift: purse.thrift.subscribe(),
                ..Plan::of(&made.setup, dial, &made.state_dir, world.seed)
            };
            let handle = sparkplug::spawn(plan, world.easel.view(), world.clock, desk);
            self.edge = Some((made, handle));
        }
        Ok(())
    }

    async fn desk(&mut self, world: &World) -> Result<Arc<StationDesk>, GatewayError> {
        if let Some(desk) = &self.desk {
            return Ok(desk.clone());
        }
        let (scene, stations) = (world.scene.clone(), world.stations.clone());
        let desk = StationDesk::open(scene, stations, world.clock.clone(), world.store.clone()).await?;
        Ok(self.desk.insert(Arc::new(desk)).clone())
    }

    async fn begin(&mut self, made: Made, world: World) -> Result<Running, GatewayError> {
        let desk = self.desk(&world).await?;
        let given_up = self.records_given_up.clone();
        let records = Records::open(
            world.store.clone(),
            world.names,
            world.epoch,
            &made.points,
            given_up,
        )
        .await?;
        let records = Arc::new(records);
        let (broker, purse) = (&made.setup.broker, &self.hub_purse);
        let tls = tls(broker, made.trust_dir.as_deref(), world.clock.clone());
        let mut settings = Settings::of(&made.setup, &made.setup.ha);
        if made.budgeted {
            // Home Assistant must not take values for lost that only come seldom.
            settings.refresh *= Thrift::Bare.stretch();
        }
        let handle = mqtt::spawn(Hub {
            dial: Dial::new(broker.clone(), tls, purse.traffic.clone()),
            setup: made.setup.clone(),
            view: world.easel.view(),
            announcer: Some(Box::new(Herald::new(settings, !world.seed))),
            ledger: Some(records.clone()),
            desk: Some(desk),
            left: std::mem::take(&mut self.left),
            clock: world.clock,
            thrift: purse.thrift.subscribe(),
            seed: world.seed,
        });
        match &mut self.counted {
            Some(counted) => counted.turn(handle.status.clone()),
            none => *none = Some(panel::Dial::new(handle.status.clone())),
        }
        let keeper = tokio::spawn(records.keep(made.setup.keep_records));
        Ok(Running { made, handle, keeper })
    }

    /// Ends all.
    pub async fn end(&mut self) {
        // At once: each may wait some seconds for a broker that does not listen.
        let (hub, edge) = (self.hub.take(), self.edge.take());
        let hub = async {
            if let Some(hub) = hub {
                drop(hub.end().await);
            }
        };
        let edge = async {
            if let Some((_, handle)) = edge {
                handle.stop().await;
            }
        };
        tokio::join!(hub, edge);
    }

    /// Bytes of the back ends that there are, or have been in this run.
    pub fn bytes(&self) -> BTreeMap<String, Bytes> {
        let purses = [
            (SiteSetup::BROKER, &self.hub_purse, self.hub.is_some()),
            (SiteSetup::SPARKPLUG, &self.edge_purse, self.edge.is_some()),
        ];
        purses
            .into_iter()
            .map(|(name, purse, runs)| (name, purse.traffic.bytes(), runs))
            .filter(|(_, bytes, runs)| *runs || bytes.total() > 0)
            .map(|(name, bytes, _)| (name.to_owned(), bytes))
            .collect()
    }

    /// Tells the back ends how sparing they are to be.
    pub fn spare(&self, thrift: impl Fn(&str) -> Thrift) {
        self.hub_purse.spare(thrift(SiteSetup::BROKER));
        self.edge_purse.spare(thrift(SiteSetup::SPARKPLUG));
    }

    /// For metrics; counts go on over reloads.
    pub fn figures(&self) -> (Option<MqttFigures>, Option<SparkplugFigures>) {
        let hub = self.hub.as_ref().zip(self.counted.as_ref());
        let mqtt = hub.map(|(_, counted)| {
            let status = counted.sum();
            MqttFigures {
                connected: status.online,
                publishes: [
                    ("confirmed", status.confirmed),
                    ("rejected", status.rejected),
                    ("dropped", status.dropped),
                    ("thinned", status.thinned),
                ]
                .into(),
                bytes: self.hub_purse.traffic.bytes(),
                waiting_bytes: status.bytes as u64,
                records_given_up: self.records_given_up.load(Ordering::Relaxed),
            }
        });
        let sparkplug = self.edge.as_ref().map(|(_, handle)| SparkplugFigures {
            connected: handle.status().borrow().is_connected(),
            bytes: self.edge_purse.traffic.bytes(),
        });
        (mqtt, sparkplug)
    }

    /// The edge node, for `retrovolt status`.
    pub fn edge_status(&self) -> Option<serde_json::Value> {
        let (_, handle) = self.edge.as_ref()?;
        let mut told = serde_json::to_value(&*handle.status().borrow()).ok()?;
        told["bytes_sent"] = self.edge_purse.traffic.sent().into();
        told["bytes_received"] = self.edge_purse.traffic.received().into();
        Some(told)
    }

    /// For `retrovolt status`.
    pub fn status(&self) -> Option<serde_json::Value> {
        let status = self.hub.as_ref().and(self.counted.as_ref())?.sum();
        let traffic = &self.hub_purse.traffic;
        Some(serde_json::json!({
            "online": status.online,
            "detail": status.detail,
            "events_waiting": status.waiting,
            "bytes_waiting": status.bytes,
            "events_dropped": status.dropped,
            "thinned": status.thinned,
            "records_given_up": self.records_given_up.load(Ordering::Relaxed),
            "taken_over": status.taken_over,
            "short_lived": status.short_lived,
            "bytes_sent": traffic.sent(),
            "bytes_received": traffic.received(),
        }))
    }
}

/// What makes TLS settings for a broker.
pub(super) fn tls(broker: &BrokerSetup, trust_dir: Option<&Path>, clock: Arc<dyn Clock>) -> MakeTls {
    let (broker, trust_dir) = (broker.clone(), trust_dir.map(Path::to_owned));
    Arc::new(move || {
        let (ca, identity) = (broker.ca_file.as_deref(), broker.identity.as_ref());
        uplink::broker(trust_dir.as_deref(), ca, identity, clock.clone())
            .map(Arc::new)
            .map_err(|error| error.to_string())
    })
}
