//! The running gateway: which buses, stations and links there are, and how they change, are watched and end.

use super::clock::SystemClock;
use super::conductor::{self, ConductorHandle, Surroundings, ToStation};
use super::feed::StoreFeed;
use super::fuses::{self, Stations};
use super::router::{self, Routes, South};
use super::vitals::{self, Marker, Marks, TURN};
use crate::bus::{self, BusHandle, FromBus, ToBus};
use crate::device::Library;
use crate::domain::{
    BusId, BusSetup, Clock, CpId, CpSetup, DeviceId, EvseId, MilliAmps, Mono, ReaderId, SiteSetup,
};
use crate::ocpp::Machine;
use crate::site::FuseInput;
use crate::station::{Input, Station};
use crate::store::{Store, StoreError};
use crate::uplink::{self, FromUplink, ToUplink, UplinkHandle};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Messages that may wait for a station.
const STATION_QUEUE: usize = 256;
/// What a task may be silent before it counts as hung.
const HUNG_AFTER: Duration = Duration::from_secs(10);
/// The ledger's mark. A disk that hangs ends the leases, but a restart of the process would not mend it.
const LEDGER: &str = "ledger";
/// How long the main task waits for the ledger before it goes on with something else.
const LEDGER_WAIT: Duration = Duration::from_secs(1);
/// How long chargers get to reach their safe state, and links to close, on an orderly stop.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why the gateway cannot be started or changed.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The ledger.
    #[error("ledger: {0}")]
    Store(#[from] StoreError),
    /// A bus.
    #[error("bus: {0}")]
    Bus(#[from] bus::BusError),
    /// The kernel gave no randomness.
    #[error("no randomness from the kernel: {0}")]
    Random(getrandom::Error),
}

struct Bus {
    setup: BusSetup,
    handle: BusHandle,
}

struct ChargePoint {
    setup: CpSetup,
    conductor: ConductorHandle,
    uplink: UplinkHandle,
    commands: watch::Receiver<Mono>,
    tasks: Vec<JoinHandle<()>>,
}

/// Everything that runs.
pub struct Gateway {
    setup: SiteSetup,
    clock: Arc<SystemClock>,
    store: Store,
    seed: u64,
    buses: BTreeMap<BusId, Bus>,
    points: BTreeMap<CpId, ChargePoint>,
    from_bus: mpsc::Sender<FromBus>,
    routes: watch::Sender<Routes>,
    stations: watch::Sender<Stations>,
    south: watch::Receiver<South>,
    fuses: mpsc::Sender<(CpId, EvseId, FuseInput)>,
    fuse_task: JoinHandle<()>,
    /// Marks of the tasks that live as long as the process.
    lasting: Marks,
    marks: watch::Sender<Marks>,
    pulse: watch::Receiver<Mono>,
    main: Marker,
    time: mpsc::Sender<i64>,
    /// The CSMS's word on the time, for [`Gateway::time_told`].
    pub time_told: mpsc::Receiver<i64>,
}

impl Gateway {
    /// Starts every bus, station and link. A port that is absent or a CSMS out of reach is no error.
    ///
    /// # Errors
    /// When the ledger cannot be read or the kernel refuses a timer.
    pub async fn start(
        setup: SiteSetup,
        library: &Library,
        clock: Arc<SystemClock>,
        store: Store,
        seed: Option<u64>,
    ) -> Result<Self, GatewayError> {
        let seed = match seed {
            Some(seed) => seed,
            None => getrandom::u64().map_err(GatewayError::Random)?,
        };
        let (from_bus, bus_events) = mpsc::channel(STATION_QUEUE);
        let (routes, routes_rx) = watch::channel(Routes::new());
        let (stations, stations_rx) = watch::channel(Stations::new());
        let (south_tx, south) = watch::channel(South::default());
        let (fuses, demands) = mpsc::channel(STATION_QUEUE);
        let (time, time_told) = mpsc::channel(16);
        let shared: Arc<dyn Clock> = clock.clone();
        let marker = || Marker::new(shared.clone());
        let ((main, main_mark), (router, router_mark), (fuse, fuse_mark)) = (marker(), marker(), marker());
        let now = shared.now().mono;
        let ((ledger, ledger_mark), (pulse_tx, pulse)) = (watch::channel(now), watch::channel(now));
        let lasting = Marks::from([
            ("main".to_owned(), main_mark),
            ("router".to_owned(), router_mark),
            ("shared fuses".to_owned(), fuse_mark),
            (LEDGER.to_owned(), ledger_mark),
        ]);
        let (marks, marks_rx) = watch::channel(lasting.clone());
        tokio::spawn(router::run(bus_events, routes_rx, south_tx, router));
        tokio::spawn(vitals::ask_ledger(store.clone(), ledger, shared.clone()));
        tokio::spawn(vitals::run(marks_rx, pulse_tx, shared.clone()));
        let fuse_task = fuses::run(setup.fuses.clone(), demands, stations_rx, shared, fuse);
        let fuse_task = tokio::spawn(fuse_task);
        let mut gateway = Self {
            setup: SiteSetup {
                buses: Vec::new(),
                charge_points: Vec::new(),
                ..setup.clone()
            },
            clock,
            store,
            seed,
            buses: BTreeMap::new(),
            points: BTreeMap::new(),
            from_bus,
            routes,
            stations,
            south,
            fuses,
            fuse_task,
            lasting,
            marks,
            pulse,
            main,
            time,
            time_told,
        };
        gateway.apply(setup, library).await?;
        Ok(gateway)
    }

    /// Takes over a changed configuration. What did not change is not touched; a charge point that did is built
    /// anew from the ledger and takes its session up again, so no session ends.
    ///
    /// # Errors
    /// As [`Gateway::start`].
    pub async fn apply(&mut self, setup: SiteSetup, library: &Library) -> Result<(), GatewayError> {
        let stale: Vec<CpId> = self
            .points
            .values()
            .filter(|p| !setup.charge_points.contains(&p.setup) || self.touches_changed_bus(p, &setup))
            .map(|p| p.setup.id.clone())
            .collect();
        for id in stale {
            if let Some(point) = self.points.remove(&id) {
                self.publish_marks();
                end_point(point).await;
            }
        }
        let gone: Vec<BusId> = self
            .buses
            .values()
            .filter(|b| !setup.buses.contains(&b.setup))
            .map(|b| b.setup.id.clone())
            .collect();
        for id in gone {
            if let Some(bus) = self.buses.remove(&id) {
                self.publish_marks();
                end_bus(bus).await;
            }
        }
        for bus in setup
            .buses
            .iter()
            .filter(|b| !self.buses.contains_key(&b.id))
            .cloned()
            .collect::<Vec<_>>()
        {
            let seed = self.next_seed();
            let handle = bus::spawn(
                bus.clone(),
                library,
                self.clock.clone(),
                self.from_bus.clone(),
                seed,
            )?;
            self.buses.insert(bus.id.clone(), Bus { setup: bus, handle });
        }
        self.setup = setup;
        self.keep_readers().await?;
        for cp in self.setup.charge_points.clone() {
            self.turn();
            if !self.points.contains_key(&cp.id) {
                self.start_point(cp).await?;
            }
        }
        self.publish_marks();
        self.publish_routes();
        if self.fuse_task.is_finished() {
            tracing::error!("the task of the shared fuses has ended");
        }
        Ok(())
    }

    fn touches_changed_bus(&self, point: &ChargePoint, setup: &SiteSetup) -> bool {
        let devices: Vec<&DeviceId> = devices_of(&point.setup).collect();
        self.buses
            .values()
            .filter(|b| b.setup.devices.iter().any(|d| devices.contains(&&d.id)))
            .any(|b| !setup.buses.contains(&b.setup))
    }

    /// Rows wait only for readers that exist; a charge point taken out of the configuration holds nothing up.
    async fn keep_readers(&self) -> Result<(), GatewayError> {
        let readers: Vec<ReaderId> = self.setup.charge_points.iter().filter_map(reader_of).collect();
        Ok(self.store.retain_readers(&readers).await?)
    }

    async fn start_point(&mut self, setup: CpSetup) -> Result<(), GatewayError> {
        let (Some(csms), Some(reader)) = (setup.csms.first().cloned(), reader_of(&setup)) else {
            tracing::error!(cp = %setup.id, "has no CSMS and is left out");
            return Ok(());
        };
        let cursor = self.store.register(&reader, &setup.id).await?;
        let keys = self.store.scope(&format!("ocpp/{reader}")).await?;
        let state = self.store.scope(&format!("station/{}", setup.id)).await?;
        let firmware = env!("CARGO_PKG_VERSION");
        let seed = self.next_seed();
        let machine = Machine::new(&setup, &csms, reader.clone(), firmware, seed, cursor, &keys);
        let station = Station::new(setup.clone(), machine.params(), self.next_seed(), &state, reader);
        let (to, inbox) = mpsc::channel(STATION_QUEUE);
        let (from_uplink, uplink_events) = mpsc::channel::<FromUplink>(STATION_QUEUE);
        let feed = Arc::new(StoreFeed {
            store: self.store.clone(),
            cp: setup.id.clone(),
        });
        let seed = self.next_seed();
        let uplink = uplink::spawn(
            csms,
            setup.id.clone(),
            self.setup.trust_dir.clone(),
            machine,
            feed,
            self.clock.clone(),
            from_uplink,
            seed,
        );
        for (boot, unix_ms_at_zero) in self.epochs().await {
            let _ = uplink.to.try_send(ToUplink::Epoch {
                boot,
                unix_ms_at_zero,
            });
        }
        let (marker, commands) = Marker::new(self.clock.clone());
        let forward = tokio::spawn(forward(uplink_events, to.clone(), marker));
        self.hold_back(&setup, &to);
        let around = Surroundings {
            clock: self.clock.clone(),
            store: self.store.clone(),
            buses: self.bus_of_device(),
            fuses: self.fuses.clone(),
            time: self.time.clone(),
            pulse: self.pulse.clone(),
        };
        let (conductor, task) =
            conductor::prepare(setup.clone(), station, uplink.to.clone(), around, (to, inbox));
        let join = tokio::spawn(task);
        let point = ChargePoint {
            setup,
            conductor,
            uplink,
            commands,
            tasks: vec![join, forward],
        };
        self.points.insert(point.setup.id.clone(), point);
        Ok(())
    }

    /// Who hangs on a shared fuse gets nothing until the fuse has told its share.
    fn hold_back(&self, setup: &CpSetup, to: &mpsc::Sender<ToStation>) {
        for evse in setup.evses.iter().map(|evse| evse.id) {
            let member = (setup.id.clone(), evse);
            if self.setup.fuses.iter().any(|fuse| fuse.members.contains(&member)) {
                let amps = Some(MilliAmps::ZERO);
                let _ = to.try_send(ToStation::Input(Input::SharedFuse { evse, amps }));
            }
        }
    }

    async fn epochs(&self) -> Vec<(crate::domain::BootId, i64)> {
        let mut epochs = self.store.epochs().await.unwrap_or_default();
        if let Some(epoch) = self.clock.epoch() {
            epochs.push((self.clock.now().boot, epoch));
        }
        // The latest are the ones whose rows still wait.
        let surplus = epochs.len().saturating_sub(32);
        epochs.split_off(surplus)
    }

    fn bus_of_device(&self) -> BTreeMap<DeviceId, mpsc::Sender<ToBus>> {
        self.buses
            .values()
            .flat_map(|b| {
                b.setup
                    .devices
                    .iter()
                    .map(|d| (d.id.clone(), b.handle.to.clone()))
            })
            .collect()
    }

    fn publish_routes(&self) {
        let mut routes = Routes::new();
        let mut stations = Stations::new();
        for point in self.points.values() {
            router::add_routes(&mut routes, &point.setup, &point.conductor.to);
            stations.insert(point.setup.id.clone(), point.conductor.to.clone());
        }
        // Shares first: they are to be known before a station hears of its charger.
        self.stations.send_replace(stations);
        self.routes.send_replace(routes);
    }

    /// The main task turns.
    pub fn turn(&self) {
        self.main.turn();
    }

    fn publish_marks(&self) {
        self.turn();
        let mut marks = self.lasting.clone();
        for bus in self.buses.values() {
            marks.insert(format!("bus {}", bus.setup.id), bus.handle.heartbeat.clone());
        }
        for point in self.points.values() {
            let id = &point.setup.id;
            marks.insert(format!("charge point {id}"), point.conductor.heartbeat.clone());
            marks.insert(format!("CSMS link of {id}"), point.uplink.heartbeat.clone());
            marks.insert(format!("commands of {id}"), point.commands.clone());
        }
        self.marks.send_replace(marks);
    }

    fn next_seed(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.seed
    }

    /// Takes the time a CSMS told: clock, ledger and every link are set by it.
    pub async fn take_time(&self, unix_ms: i64) {
        if let Some(epoch) = self.clock.set_csms(unix_ms) {
            self.tell_epoch(epoch).await;
        }
    }

    /// Looks whether NTP has spoken, and notes the time for the next start.
    pub async fn keep_time(&self) {
        let before = self.clock.now().wall.quality;
        self.clock.refresh();
        let now = self.clock.now();
        if now.wall.quality != before
            && let Some(epoch) = self.clock.epoch()
        {
            self.tell_epoch(epoch).await;
        }
        if now.wall.quality.is_trusted()
            && let Ok(Err(error)) = timeout(LEDGER_WAIT, self.store.note_wall(now.wall.unix_ms)).await
        {
            tracing::warn!("the time could not be noted: {error}");
        }
    }

    async fn tell_epoch(&self, unix_ms_at_zero: i64) {
        let boot = self.clock.now().boot;
        let noted = timeout(LEDGER_WAIT, self.store.set_epoch(boot, unix_ms_at_zero)).await;
        if let Ok(Err(error)) = noted {
            tracing::warn!("the clock's correction could not be noted: {error}");
        }
        for point in self.points.values() {
            let _ = point.uplink.to.try_send(ToUplink::Epoch {
                boot,
                unix_ms_at_zero,
            });
        }
    }

    /// Names the tasks that have not turned for too long; none means healthy. A link without a network turns.
    #[must_use]
    pub fn hung(&self) -> Vec<String> {
        let now = self.clock.now().mono;
        let mut hung = vitals::names_of_late(&self.marks.borrow(), now, HUNG_AFTER);
        hung.retain(|name| name != LEDGER);
        // The pulse follows the slowest task; where none is slow it is its own task that hangs.
        let slow = !vitals::names_of_late(&self.marks.borrow(), now, HUNG_AFTER / 2).is_empty();
        if !slow && now.since(*self.pulse.borrow()) > HUNG_AFTER {
            hung.push("vital signs".to_owned());
        }
        hung
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
                serde_json::json!({
                    "id": p.setup.id,
                    "station": *p.conductor.snapshot.borrow(),
                    "link": *p.uplink.status.borrow(),
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

    /// Ends in an orderly way: chargers to their safe state, links closed with 1001, ledger shut.
    pub async fn stop(self) {
        for point in self.points.values() {
            let _ = point.conductor.to.try_send(ToStation::Leave);
        }
        let settled = async {
            for point in self.points.values() {
                let mut snapshot = point.conductor.snapshot.clone();
                let calm = |s: &crate::station::Snapshot| {
                    s.leaving
                        && s.evses
                            .iter()
                            .all(|e| e.commanded.is_none_or(|c| c >= e.in_force))
                };
                let _ = snapshot.wait_for(calm).await;
            }
        };
        if timeout(FAREWELL, settled).await.is_err() {
            tracing::warn!("not every charger confirmed its safe state; their watchdogs take over");
        }
        for (_, point) in self.points {
            end_point(point).await;
        }
        for (_, bus) in self.buses {
            end_bus(bus).await;
        }
        if timeout(FAREWELL, self.store.close()).await.is_err() {
            tracing::error!(
                "the ledger did not close in time; what was acknowledged is durable all the same"
            );
        }
    }
}

async fn forward(mut from: mpsc::Receiver<FromUplink>, to: mpsc::Sender<ToStation>, marker: Marker) {
    loop {
        marker.turn();
        let Ok(message) = timeout(TURN, from.recv()).await else {
            continue;
        };
        let Some(message) = message else { return };
        if to.send(ToStation::Uplink(message)).await.is_err() {
            return;
        }
    }
}

/// Ends one charge point without touching its charger.
async fn end_point(mut point: ChargePoint) {
    let _ = point.uplink.to.try_send(ToUplink::Stop);
    if timeout(FAREWELL, &mut point.uplink.join).await.is_err() {
        point.uplink.join.abort();
    }
    let _ = point.conductor.to.send(ToStation::Stop).await;
    for task in point.tasks {
        if timeout(FAREWELL, task).await.is_err() {
            tracing::error!(cp = %point.setup.id, "a task did not end in time");
        }
    }
}

async fn end_bus(mut bus: Bus) {
    let _ = bus.handle.to.try_send(ToBus::Stop);
    if timeout(FAREWELL, &mut bus.handle.join).await.is_err() {
        bus.handle.join.abort();
    }
}

fn devices_of(setup: &CpSetup) -> impl Iterator<Item = &DeviceId> {
    setup.evses.iter().flat_map(|e| {
        std::iter::once(&e.charger)
            .chain(e.meter.as_ref())
            .chain(e.reader.as_ref())
    })
}

/// The ledger reader of the controlling CSMS.
fn reader_of(setup: &CpSetup) -> Option<ReaderId> {
    setup
        .csms
        .first()
        .map(|csms| ReaderId::new(format!("{}/{}", setup.id, csms.name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{BootId, Link};

    fn csms() -> crate::domain::CsmsSetup {
        crate::domain::CsmsSetup {
            name: "main".to_owned(),
            url: "ws://127.0.0.1:1/CP1".to_owned(),
            version: crate::domain::OcppVersion::V16,
            security: crate::domain::Security::None,
            reconnect_min: Duration::from_secs(1),
            reconnect_max: Duration::from_secs(1),
            message_timeout: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(1),
            ping: Duration::ZERO,
            boot_retry: Duration::from_secs(1),
        }
    }

    fn site(dir: &std::path::Path) -> SiteSetup {
        let bus = BusSetup {
            id: BusId::new("line"),
            link: Link::Tcp {
                host: "127.0.0.1".to_owned(),
                port: 1,
            },
            min_gap: Duration::ZERO,
            timeout: Duration::from_secs(1),
            reopen_wait: Duration::from_secs(1),
            devices: Vec::new(),
        };
        let point = CpSetup {
            id: CpId::new("CP1"),
            vendor: String::new(),
            model: String::new(),
            serial: None,
            evses: Vec::new(),
            csms: vec![csms()],
            keys: BTreeMap::new(),
            variables: BTreeMap::new(),
        };
        SiteSetup {
            buses: vec![bus],
            charge_points: vec![point],
            fuses: Vec::new(),
            state_dir: dir.to_owned(),
            socket: dir.join("socket"),
            trust_dir: None,
            device_dir: None,
        }
    }

    /// Every task of [`super`] is among those whose hang ends the leases (promise S6).
    #[tokio::test]
    async fn every_task_leaves_its_mark() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path()).unwrap();
        let setup = site(dir.path());
        let clock = Arc::new(SystemClock::new(BootId(1), None, 0));
        let gateway = Gateway::start(setup, &Library::builtin(), clock, store, Some(1))
            .await
            .unwrap();
        let names: Vec<String> = gateway.marks.borrow().keys().cloned().collect();
        assert_eq!(
            names,
            [
                "CSMS link of CP1",
                "bus line",
                "charge point CP1",
                "commands of CP1",
                "ledger",
                "main",
                "router",
                "shared fuses"
            ]
        );
        for name in names {
            let mut mark = gateway.marks.borrow()[&name].clone();
            let before = *mark.borrow_and_update();
            let turns = async {
                gateway.turn();
                mark.wait_for(|now| *now > before).await.map(|_| ())
            };
            if name != "main" {
                timeout(Duration::from_secs(10), turns)
                    .await
                    .expect("it turns")
                    .expect("it runs");
            }
        }
        assert!(gateway.hung().is_empty());
        gateway.stop().await;
    }
}
