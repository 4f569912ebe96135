//! What a person, systemd and the watchdog are told of the running gateway.

use super::{ChargePoint, Gateway};
use crate::domain::Clock;
use crate::runtime::links::Link;
use crate::runtime::observe::{Scene, Subject};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// What a task may be silent before it counts as hung.
const HUNG_AFTER: Duration = Duration::from_secs(10);

impl Gateway {
    /// Names the tasks that have not turned for too long; none means healthy. A link without a network turns.
    #[must_use]
    pub fn hung(&self) -> Vec<String> {
        self.vitals.hung(HUNG_AFTER)
    }

    /// The one line for `systemctl status`.
    #[must_use]
    pub fn summary(&self) -> String {
        let online = self
            .points
            .values()
            .filter(|p| p.conductor.snapshot.borrow().online)
            .count();
        let sessions: usize = self
            .points
            .values()
            .map(|p| {
                p.conductor
                    .snapshot
                    .borrow()
                    .evses
                    .iter()
                    .filter(|e| e.tx.is_some())
                    .count()
            })
            .sum();
        let south = self.south.borrow();
        let ports = south.ports.values().filter(|(up, _)| *up).count();
        format!(
            "{ports}/{} buses open, {online}/{} charge points online, {sessions} sessions",
            self.buses.len(),
            self.points.len()
        )
    }

    /// The whole picture for `retrovolt status`.
    pub async fn status(&self) -> serde_json::Value {
        let now = self.clock.now();
        let points: Vec<serde_json::Value> = self
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
            "south": *self.south.borrow(),
            "charge_points": points,
            "ledger": ledger,
        })
    }

    /// What telemetry is to look at.
    pub(super) fn publish_scene(&self) {
        let subject = |point: &ChargePoint| Subject {
            setup: point.setup.clone(),
            snapshot: point.conductor.snapshot.clone(),
            told: point.conductor.told.clone(),
            link: point.links.first().map(|link| link.uplink.status.clone()),
        };
        self.scene.send_replace(Scene {
            site: Some(Arc::new(self.setup.clone())),
            points: self.points.values().map(subject).collect(),
        });
    }
}
