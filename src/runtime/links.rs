//! The links of one charge point: each CSMS has its own reader of the ledger, machine and socket.

use super::conductor::ToStation;
use super::feed::StoreFeed;
use super::gateway::GatewayError;
use super::vitals::{Marker, TURN};
use crate::domain::{BootId, Clock, CpSetup, CsmsSetup, Mono, ReaderId, Thrift};
use crate::ocpp::Machine;
use crate::store::Store;
use crate::uplink::vault::Vault;
use crate::uplink::{self, FromUplink, ToUplink, UplinkHandle};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Messages of one link that may wait for the station.
const LINK_QUEUE: usize = 256;
/// How long a link gets to close in an orderly way.
const FAREWELL: Duration = Duration::from_secs(5);

/// One running link.
pub(super) struct Link {
    /// As configured.
    pub csms: CsmsSetup,
    /// Its reader.
    pub reader: ReaderId,
    /// Its task from outside.
    pub uplink: UplinkHandle,
    /// How sparing it was told to be.
    pub thrift: Thrift,
    /// Marks of the task that passes on what it hears.
    pub commands: watch::Receiver<Mono>,
    forward: JoinHandle<()>,
}

/// What every link needs of the house.
#[derive(Clone)]
pub(super) struct LinkWorld {
    pub clock: Arc<dyn Clock>,
    pub store: Store,
    pub trust_dir: Option<PathBuf>,
    pub state_dir: PathBuf,
    /// Known epochs of earlier runs.
    pub epochs: Vec<(BootId, i64)>,
}

/// The ledger reader of a CSMS.
pub(super) fn reader_of(cp: &CpSetup, csms: &CsmsSetup) -> ReaderId {
    ReaderId::new(format!("{}/{}", cp.id, csms.name))
}

/// The machine of a CSMS as it was left; its reader is registered with that.
pub(super) async fn machine(
    store: &Store,
    cp: &CpSetup,
    csms: &CsmsSetup,
    seed: u64,
) -> Result<Machine, GatewayError> {
    let reader = reader_of(cp, csms);
    let cursor = store.register(&reader, &cp.id).await?;
    let kept = store.scope(&format!("ocpp/{reader}")).await?;
    let firmware = env!("CARGO_PKG_VERSION");
    Ok(Machine::new(cp, csms, reader, firmware, seed, cursor, &kept))
}

impl Link {
    /// Starts the link; what it hears goes to the station's inbox.
    pub fn start(
        cp: &CpSetup,
        csms: &CsmsSetup,
        machine: Machine,
        world: LinkWorld,
        to: mpsc::Sender<ToStation>,
        seed: u64,
    ) -> Self {
        let reader = reader_of(cp, csms);
        let (from_uplink, heard) = mpsc::channel(LINK_QUEUE);
        let (marker, commands) = Marker::new(world.clock.clone());
        let feed = Arc::new(StoreFeed {
            store: world.store,
            cp: cp.id.clone(),
        });
        let vault = Vault::open(
            csms.clone(),
            cp.id.clone(),
            world.trust_dir,
            Some(&world.state_dir),
            world.clock,
        );
        let uplink = uplink::spawn(vault, machine, feed, from_uplink, seed);
        for (boot, unix_ms_at_zero) in world.epochs {
            let _ = uplink.to.try_send(ToUplink::Epoch {
                boot,
                unix_ms_at_zero,
            });
        }
        Self {
            csms: csms.clone(),
            forward: tokio::spawn(forward(reader.clone(), heard, to, marker)),
            commands,
            reader,
            uplink,
            thrift: Thrift::default(),
        }
    }

    /// Closes it in an orderly way and waits for its end.
    pub async fn end(mut self) {
        let _ = self.uplink.to.try_send(ToUplink::Stop);
        if timeout(FAREWELL, &mut self.uplink.join).await.is_err() {
            self.uplink.join.abort();
        }
        // What it said last is with the station, or the station has ended.
        if timeout(FAREWELL, &mut self.forward).await.is_err() {
            self.forward.abort();
        }
    }
}

async fn forward(
    reader: ReaderId,
    mut from: mpsc::Receiver<Box<FromUplink>>,
    to: mpsc::Sender<ToStation>,
    marker: Marker,
) {
    loop {
        marker.turn();
        let Ok(message) = timeout(TURN, from.recv()).await else {
            continue;
        };
        let Some(message) = message else { return };
        if to.send(ToStation::Uplink(reader.clone(), message)).await.is_err() {
            return;
        }
    }
}
