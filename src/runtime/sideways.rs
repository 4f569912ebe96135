//! Telemetry's back ends: which there are, what they are given, how they end. Nobody in the house waits for them.

use super::clock::SystemClock;
use super::desk::StationDesk;
use super::fuses::Stations;
use super::gateway::GatewayError;
use super::observe::Scene;
use super::pseudonym::Pseudonyms;
use super::records::{self, Records};
use crate::domain::{BrokerSetup, Clock, MqttSetup, ReaderId, SiteSetup, SparkplugSetup};
use crate::store::Store;
use crate::telemetry::Easel;
use crate::telemetry::client::{Dial, MakeTls, Traffic};
use crate::telemetry::ha::{Herald, Settings};
use crate::telemetry::mqtt::{self, Hub, HubHandle};
use crate::telemetry::sparkplug::{self, Plan};
use crate::uplink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;

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
    hub: Option<(Made, HubHandle)>,
    edge: Option<(EdgeMade, sparkplug::Handle)>,
    /// The one desk of all who send commands: it numbers their records.
    desk: Option<Arc<StationDesk>>,
    /// Bytes over all connections to the broker.
    traffic: Arc<Traffic>,
}

/// The readers of the ledger that telemetry keeps.
pub(super) fn readers(setup: &SiteSetup) -> Vec<ReaderId> {
    let points = setup.mqtt.iter().flat_map(|_| &setup.charge_points);
    points.map(|cp| records::reader_of(&cp.id)).collect()
}

impl Sideways {
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
        });
        if self.hub.as_ref().map(|(made, _)| made) == wanted.as_ref() {
            return Ok(());
        }
        if let Some((_, handle)) = self.hub.take() {
            handle.end().await;
        }
        if let Some(made) = wanted {
            let handle = self.begin(&made, world.clone()).await?;
            self.hub = Some((made, handle));
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
            let dial = |broker: &BrokerSetup| Dial {
                setup: broker.clone(),
                tls: tls(broker, made.trust_dir.as_deref(), world.clock.clone()),
                traffic: Arc::default(),
            };
            let plan = Plan::of(&made.setup, dial, &made.state_dir, world.seed);
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

    async fn begin(&mut self, made: &Made, world: World) -> Result<HubHandle, GatewayError> {
        let desk = self.desk(&world).await?;
        let ledger = Records::open(world.store.clone(), world.names, world.epoch, &made.points).await?;
        Ok(mqtt::spawn(Hub {
            dial: Dial {
                setup: made.setup.broker.clone(),
                tls: tls(&made.setup.broker, made.trust_dir.as_deref(), world.clock.clone()),
                traffic: self.traffic.clone(),
            },
            setup: made.setup.clone(),
            view: world.easel.view(),
            announcer: Some(Box::new(Herald::new(
                Settings::of(&made.setup, &made.setup.ha),
                !world.seed,
            ))),
            ledger: Some(Arc::new(ledger)),
            desk: Some(desk),
            clock: world.clock,
            seed: world.seed,
        }))
    }

    /// Ends all.
    pub async fn end(&mut self) {
        if let Some((_, handle)) = self.hub.take() {
            handle.end().await;
        }
        if let Some((_, handle)) = self.edge.take() {
            handle.stop().await;
        }
    }

    /// The edge node, for `retrovolt status`.
    pub fn edge_status(&self) -> Option<serde_json::Value> {
        let (_, handle) = self.edge.as_ref()?;
        serde_json::to_value(&*handle.status().borrow()).ok()
    }

    /// For `retrovolt status`.
    pub fn status(&self) -> Option<serde_json::Value> {
        let (_, handle) = self.hub.as_ref()?;
        let status = handle.status.borrow().clone();
        Some(serde_json::json!({
            "online": status.online,
            "detail": status.detail,
            "events_waiting": status.waiting,
            "bytes_waiting": status.bytes,
            "events_dropped": status.dropped,
            "taken_over": status.taken_over,
            "short_lived": status.short_lived,
            "bytes_sent": self.traffic.sent(),
            "bytes_received": self.traffic.received(),
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
