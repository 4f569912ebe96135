//! What a person, systemd and the watchdog are told of the running gateway.

use super::{ChargePoint, Gateway};
use crate::domain::{BusId, Clock};
use crate::runtime::diag::Diagnostics;
use crate::runtime::inhibit::Wish;
use crate::runtime::links::Link;
use crate::runtime::observe::{Scene, Subject};
use crate::runtime::router::South;
use crate::runtime::vitals::{FRESH, HUNG_AFTER};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// The ledger answers within this, or is not healthy.
const LEDGER_WAIT: Duration = Duration::from_secs(1);

impl Gateway {
    /// Names the tasks that have not turned for too long; none means healthy. A link without a network turns.
    #[must_use]
    pub fn hung(&self) -> Vec<String> {
        self.vitals.hung(HUNG_AFTER)
    }

    /// Names the tasks for which systemd's watchdog is not fed.
    #[must_use]
    pub fn late(&self) -> Vec<String> {
        self.vitals.hung(FRESH)
    }

    /// The task of each bus, for a test that ends one.
    #[cfg(test)]
    pub(in crate::runtime) fn bus_tasks(&self) -> Vec<tokio::task::AbortHandle> {
        let buses = self.buses.values();
        buses.map(|bus| bus.handle.join.abort_handle()).collect()
    }

    /// What is not as it must be: tasks that hang, a ledger that does not answer. An uplink without a network and a
    /// device that is off are no illness of the gateway.
    pub async fn ailing(&self) -> Vec<String> {
        let mut why: Vec<String> = self.hung().iter().map(|task| format!("hangs: {task}")).collect();
        match timeout(LEDGER_WAIT, self.store.turns()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => why.push(format!("ledger: {error}")),
            Err(_) => why.push(format!("the ledger has not answered within {LEDGER_WAIT:?}")),
        }
        why
    }

    /// Running sessions.
    #[must_use]
    pub fn sessions(&self) -> usize {
        let of =
            |snapshot: &crate::station::Snapshot| snapshot.evses.iter().filter(|e| e.tx.is_some()).count();
        self.points
            .values()
            .map(|p| of(&p.conductor.snapshot.borrow()))
            .sum()
    }

    /// Whether a shutdown of the machine is to be held up.
    pub fn wish(&self) -> Wish {
        Wish {
            session: self.sessions() > 0,
            most: self.setup.inhibit_shutdown,
        }
    }

    /// Where everything is kept that must survive.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.setup.state_dir
    }

    /// Answers with what belongs into a support bundle, without holding up the main task.
    pub async fn tell_diagnostics(&self, configuration: Value, back: oneshot::Sender<Value>) {
        let mut status = self.status().await;
        status["configuration"] = configuration;
        let diagnostics = Diagnostics {
            setup: self.yard.setup(),
            status,
            store: self.store.clone(),
            clock: self.clock.clone(),
        };
        tokio::spawn(async move { back.send(diagnostics.files().await) });
    }

    fn south(&self) -> South {
        let buses = self.buses.keys().map(BusId::as_str).collect();
        let devices = self.buses.values().flat_map(|bus| &bus.setup.devices);
        let devices = devices.map(|device| device.id.as_str()).collect();
        self.south.borrow().of(&buses, &devices)
    }

    /// The one line for `systemctl status`.
    #[must_use]
    pub fn summary(&self) -> String {
        let online = self
            .points
            .values()
            .filter(|p| p.conductor.snapshot.borrow().online)
            .count();
        let sessions = self.sessions();
        let south = self.south();
        let ports = south.ports.values().filter(|(up, _)| *up).count();
        if self.points.is_empty() && self.buses.is_empty() {
            return "nothing to serve yet: no charge point is configured".to_owned();
        }
        format!(
            "{ports}/{} buses open, {online}/{} charge points online, {sessions} sessions",
            self.buses.len(),
            self.points.len()
        )
    }

    /// The whole picture for `retrovolt status`.
    pub async fn status(&self) -> Value {
        let now = self.clock.now();
        let points: Vec<Value> = self
            .points
            .values()
            .map(|p| {
                let told = |link: &Link| serde_json::json!(*link.uplink.status.borrow());
                let links = p.links.iter().map(|link| {
                    serde_json::json!({
                        "csms": link.csms.name,
                        "in_control": p.setup.is_controlled_by(&link.csms),
                        "link": told(link),
                    })
                });
                serde_json::json!({
                    "id": p.setup.id,
                    "station": *p.conductor.snapshot.borrow(),
                    "link": p.links.first().map(told),
                    "links": links.collect::<Vec<_>>(),
                })
            })
            .collect();
        let ledger = match timeout(Duration::from_secs(1), self.store.stats()).await {
            Ok(Ok(stats)) => serde_json::json!(stats),
            Ok(Err(error)) => serde_json::json!({ "error": error.to_string() }),
            Err(_) => serde_json::json!({ "error": "does not answer" }),
        };
        serde_json::json!({
            "schema": 1,
            "version": env!("CARGO_PKG_VERSION"),
            "boot": now.boot,
            "uptime_s": now.mono.0 / 1000,
            "clock": now.wall.quality,
            "hung": self.hung(),
            "south": self.south(),
            "charge_points": points,
            "ledger": ledger,
            "traffic": self.traffic(),
            "mqtt": self.sideways.status(),
            "sparkplug": self.sideways.edge_status(),
        })
    }

    /// What telemetry is to look at.
    pub(super) fn publish_scene(&self) {
        let subject = |point: &ChargePoint| Subject {
            setup: point.setup.clone(),
            snapshot: point.conductor.snapshot.clone(),
            told: point.conductor.told.clone(),
        };
        self.scene.send_replace(Scene {
            site: Some(Arc::new(self.setup.clone())),
            points: self.points.values().map(subject).collect(),
        });
    }

    /// Shared fuses as configured now.
    pub(super) fn publish_fuses(&self) {
        self.fuse_setups.send_if_modified(|old| {
            let changed = *old != self.setup.fuses;
            old.clone_from(&self.setup.fuses);
            changed
        });
    }
}
