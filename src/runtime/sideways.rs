//! Telemetry's back ends: which there are, what they are given, how they end. Nobody in the house waits for them.

use super::clock::SystemClock;
use super::desk::StationDesk;
use super::fuses::Stations;
use super::gateway::GatewayError;
use super::observe::Scene;
use super::pseudonym::Pseudonyms;
use super::records::{self, Records};
use crate::domain::{Clock, MqttSetup, ReaderId, SiteSetup};
use crate::store::Store;
use crate::telemetry::Easel;
use crate::telemetry::client::{Dial, MakeTls, Traffic};
use crate::telemetry::ha::{Herald, Settings};
use crate::telemetry::mqtt::{self, Hub, HubHandle};
use crate::uplink;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// What back ends are given of the house.
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

/// The running back ends.
#[derive(Default)]
pub(super) struct Sideways {
    hub: Option<(Made, HubHandle)>,
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
        let wanted = setup.mqtt.clone().map(|mqtt| Made {
            setup: mqtt,
            trust_dir: setup.trust_dir.clone(),
            points: setup.charge_points.iter().map(|cp| cp.id.clone()).collect(),
        });
        if self.hub.as_ref().map(|(made, _)| made) == wanted.as_ref() {
            return Ok(());
        }
        self.end().await;
        if let Some(made) = wanted {
            let handle = self.begin(&made, world).await?;
            self.hub = Some((made, handle));
        }
        Ok(())
    }

    async fn begin(&self, made: &Made, world: World) -> Result<HubHandle, GatewayError> {
        let ledger = Records::open(world.store.clone(), world.names, world.epoch, &made.points).await?;
        let desk = StationDesk::open(world.scene, world.stations, world.clock.clone(), world.store).await?;
        Ok(mqtt::spawn(Hub {
            dial: Dial {
                setup: made.setup.broker.clone(),
                tls: tls(made, world.clock.clone()),
                traffic: self.traffic.clone(),
            },
            setup: made.setup.clone(),
            view: world.easel.view(),
            announcer: Some(Box::new(Herald::new(
                Settings::of(&made.setup, &made.setup.ha),
                !world.seed,
            ))),
            ledger: Some(Arc::new(ledger)),
            desk: Some(Arc::new(desk)),
            clock: world.clock,
            seed: world.seed,
        }))
    }

    /// Ends all.
    pub async fn end(&mut self) {
        if let Some((_, handle)) = self.hub.take() {
            handle.end().await;
        }
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
            "bytes_sent": self.traffic.sent(),
            "bytes_received": self.traffic.received(),
        }))
    }
}

fn tls(made: &Made, clock: Arc<dyn Clock>) -> MakeTls {
    let (broker, trust_dir) = (made.setup.broker.clone(), made.trust_dir.clone());
    Arc::new(move || {
        let (ca, identity) = (broker.ca_file.as_deref(), broker.identity.as_ref());
        uplink::broker(trust_dir.as_deref(), ca, identity, clock.clone())
            .map(Arc::new)
            .map_err(|error| error.to_string())
    })
}
