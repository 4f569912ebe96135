//! What the gateway counts of itself: instruments, bytes and budgets, the endpoint for metrics.

use super::{Gateway, LEDGER_WAIT};
use crate::domain::{Bytes, Clock, Listen, SiteSetup};
use crate::runtime::budget::Accounts;
use crate::runtime::clock::SystemClock;
use crate::runtime::gauges::{Brokers, Gauges, Wires};
use crate::runtime::panel::{LinkDial, Panel};
use crate::runtime::router::South;
use crate::runtime::vitals::Vitals;
use crate::store::{Store, StoreError};
use crate::telemetry::Picture;
use crate::telemetry::metrics::{AccountFigures, Exhibit, serve};
use crate::uplink::ToUplink;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// What the database says of itself is asked for anew by the main task, when nobody else does.
const STATS_GOOD: Duration = Duration::from_secs(10);

/// Everything that is only for looking at.
pub(super) struct Measures {
    panel: watch::Sender<Panel>,
    accounts: Accounts,
    shown: watch::Sender<Vec<AccountFigures>>,
    brokers: watch::Sender<Brokers>,
    /// Reads the instruments.
    pub gauges: Arc<Gauges>,
    endpoint: Option<(Listen, JoinHandle<()>)>,
}

impl Measures {
    /// Instruments that nothing hangs on yet.
    pub async fn start(
        setup: &SiteSetup,
        clock: &Arc<SystemClock>,
        store: &Store,
        south: &watch::Receiver<South>,
        vitals: &Vitals,
    ) -> Result<Self, StoreError> {
        let accounts = Accounts::load(store, clock.now()).await?;
        let (panel, panel_rx) = watch::channel(Panel::default());
        let (shown, accounts_rx) = watch::channel(Vec::new());
        let (brokers, brokers_rx) = watch::channel(Brokers::default());
        let gauges = Gauges::new(Wires {
            clock: Arc::clone(clock),
            store: store.clone(),
            state_dir: setup.state_dir.clone(),
            panel: panel_rx,
            accounts: accounts_rx,
            brokers: brokers_rx,
            south: south.clone(),
            marks: vitals.watch(),
        });
        Ok(Self {
            panel,
            accounts,
            shown,
            brokers,
            gauges: Arc::new(gauges),
            endpoint: None,
        })
    }

    /// Serves metrics where it is configured now.
    pub fn serve(&mut self, listen: Option<&Listen>, picture: &watch::Receiver<Arc<Picture>>) {
        if self.endpoint.as_ref().map(|(at, _)| at) == listen {
            return;
        }
        if let Some((_, task)) = self.endpoint.take() {
            task.abort();
        }
        if let Some(listen) = listen {
            let exhibit = Exhibit {
                picture: picture.clone(),
                source: self.gauges.clone(),
            };
            let task = tokio::spawn(serve(listen.clone(), exhibit));
            self.endpoint = Some((listen.clone(), task));
        }
    }

    /// Books what went through the sockets, those of telemetry among them.
    fn book(&mut self, clock: &SystemClock, sideways: BTreeMap<String, Bytes>) {
        let mut counts = self.panel.borrow().bytes();
        counts.extend(sideways);
        self.accounts.book(clock.now(), &counts);
        let figures = self.accounts.figures();
        self.shown.send_if_modified(|shown| {
            *shown = figures;
            false
        });
    }
}

impl Gateway {
    /// Hangs the instruments on what runs now.
    pub(super) fn publish_panel(&mut self) {
        let (buses, points, site) = (&self.buses, &self.points, &self.setup);
        self.measures.panel.send_modify(|panel| {
            panel.site = Some(Arc::new(site.clone()));
            panel.running.clear();
            for (id, bus) in buses {
                panel.bus(id, &bus.handle.tally);
            }
            for (cp, point) in points {
                panel.station(cp, &point.conductor.snapshot);
                for link in &point.links {
                    let dial = LinkDial {
                        cp: cp.clone(),
                        csms: link.csms.name.clone(),
                        status: link.uplink.status.clone(),
                    };
                    panel.link(&link.reader, &link.uplink.tally, dial);
                }
            }
        });
        self.measures.accounts.allow(&self.setup.budgets);
        self.sideways
            .spare(|back_end| self.measures.accounts.thrift(back_end));
        let picture = self.easel.view().picture;
        self.measures.serve(self.setup.metrics.as_ref(), &picture);
    }

    /// Books bytes and tells every link how sparing it is to be. Never waits: who has no room is told at the next turn.
    pub fn count_bytes(&mut self) {
        self.measures.book(&self.clock, self.sideways.bytes());
        self.sideways
            .spare(|back_end| self.measures.accounts.thrift(back_end));
        self.measures.brokers.send_replace(self.sideways.figures());
        for link in self.points.values_mut().flat_map(|point| &mut point.links) {
            let wanted = self.measures.accounts.thrift(link.reader.as_str());
            if link.thrift != wanted && link.uplink.to.try_send(ToUplink::Thrift(wanted)).is_ok() {
                link.thrift = wanted;
            }
        }
    }

    /// What back ends have cost, for `retrovolt status`.
    pub(super) fn traffic(&self) -> Vec<serde_json::Value> {
        let told = |figures: &AccountFigures| {
            let account = &figures.account;
            serde_json::json!({
                "back_end": figures.back_end,
                "hour": account.hour.bytes,
                "day": account.day.bytes,
                "month": account.month.bytes,
                "last_month": account.month.last,
                "budget_bytes": figures.budget,
                "stage": account.thrift.word(),
            })
        };
        self.measures.shown.borrow().iter().map(told).collect()
    }

    /// Writes the accounts when it is time to, and looks how the ledger is.
    pub(super) async fn keep_accounts(&mut self) {
        self.measures.gauges.refresh(STATS_GOOD).await;
        let Some(batch) = self.measures.accounts.due(self.clock.now()) else {
            return;
        };
        if let Ok(Err(error)) = timeout(LEDGER_WAIT, self.store.commit(batch)).await {
            tracing::warn!("the accounts of bytes could not be written: {error}");
        }
    }
}

/// The end of a gateway's accounts: what was counted last is written.
pub(super) async fn close(
    mut measures: Measures,
    clock: &SystemClock,
    store: &Store,
    sideways: BTreeMap<String, Bytes>,
) {
    if let Some((_, task)) = measures.endpoint.take() {
        task.abort();
        // Its socket's file goes with it.
        let _ = task.await;
    }
    measures.book(clock, sideways);
    if let Some(batch) = measures.accounts.unwritten()
        && let Ok(Err(error)) = timeout(LEDGER_WAIT, store.commit(batch)).await
    {
        tracing::warn!("the last bytes could not be written: {error}");
    }
}
