//! The running gateway: which buses, stations and links there are, and how they change, are watched and end.

mod changes;
mod hours;
mod measure;
mod report;
mod setups;

use super::clock::SystemClock;
use super::conductor::{self, ConductorHandle, Surroundings, ToStation};
use super::counts;
use super::devices::Devices;
use super::exchange::Exchange;
use super::fuses::{self, Asked, Stations};
use super::links::{self, Link, LinkWorld};
use super::observe::{self, Scene};
use super::porter::Yard;
use super::pseudonym::Pseudonyms;
use super::recall::{self, AllTold, Epochs, Past};
use super::router::{self, Boards, Routes, South};
use super::sideways::{self, Sideways};
use super::vitals::{Marker, Marks, Vitals};
use crate::bus::{self, BusHandle, FromBus, ToBus};
use crate::device::Library;
use crate::domain::{
    self, BusId, BusSetup, Clock, CpId, CpSetup, CsmsSetup, DeviceId, FuseSetup, ReaderId, SecurityEvent,
    SiteSetup,
};
use crate::site::Shares;
use crate::station::{Input, Station};
use crate::store::{Store, StoreError};
use crate::telemetry::Easel;
use measure::Measures;
use setups::{devices_of, goes_on, nothing_of};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Messages that may wait for a station.
const STATION_QUEUE: usize = 256;
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
    join: JoinHandle<()>,
    /// The first is that of the CSMS in control.
    links: Vec<Link>,
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
    fuses: mpsc::Sender<Asked>,
    fuse_setups: watch::Sender<Vec<FuseSetup>>,
    shares: watch::Receiver<Shares>,
    fuse_task: JoinHandle<()>,
    count_tasks: Vec<JoinHandle<()>>,
    counted: watch::Receiver<counts::Counts>,
    pub(super) vitals: Vitals,
    main: Marker,
    time: mpsc::Sender<i64>,
    yard: Yard,
    measures: Measures,
    /// Where telemetry looks.
    easel: Arc<Easel>,
    scene: watch::Sender<Scene>,
    names: Pseudonyms,
    /// What telemetry was told of charge points that ran in this process and do not run now.
    told: BTreeMap<CpId, AllTold>,
    sideways: Sideways,
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
        let seed = seed
            .map_or_else(getrandom::u64, Ok)
            .map_err(GatewayError::Random)?;
        let (from_bus, bus_events) = mpsc::channel(STATION_QUEUE);
        let (routes, routes_rx) = watch::channel(Routes::default());
        let (stations, stations_rx) = watch::channel(Stations::new());
        let (south_tx, south) = watch::channel(South::default());
        let (fuses, demands) = mpsc::channel(STATION_QUEUE);
        let (time, time_told) = mpsc::channel(16);
        let (count, counted) = watch::channel(counts::Counts::new());
        let (devices, heard) = watch::channel(Devices::default());
        let shared: Arc<dyn Clock> = clock.clone();
        let mut vitals = Vitals::start(store.clone(), shared.clone());
        let (router, fuse) = (vitals.marker("router"), vitals.marker("shared fuses"));
        let boards = Boards {
            south: south_tx,
            counts: count,
            devices,
        };
        let count_tasks = vec![
            tokio::spawn(router::run(bus_events, routes_rx, boards, router)),
            counts::spawn(store.clone(), counted.clone()),
        ];
        let (fuse_setups, setups) = watch::channel(setup.fuses.clone());
        let (shares_tx, shares) = watch::channel(Shares::new());
        let fuse_task = tokio::spawn(fuses::run(setups, demands, stations_rx, shares_tx, shared, fuse));
        let measures = Measures::start(&setup, &clock, &store, &south, &vitals).await?;
        let (easel, scene) = observe::start(&clock, &store, (south.clone(), heard), &measures.gauges).await?;
        let gateway = Self {
            sideways: Sideways::new(easel.view()),
            easel,
            scene,
            names: Pseudonyms::new(store.token_names().clone()),
            told: BTreeMap::new(),
            setup: nothing_of(&setup),
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
            fuse_setups,
            shares,
            fuse_task,
            count_tasks,
            counted,
            main: vitals.marker("main"),
            vitals,
            time,
            yard: Yard::new(&setup),
            measures,
            time_told,
        };
        gateway.begun(setup, library).await
    }

    /// Takes over a changed configuration. What did not change is not touched; a charge point that did is built
    /// anew from the ledger and takes its session up again, so no session ends. CSMSs that only read come and go
    /// without the station or another link noticing.
    ///
    /// # Errors
    /// As [`Gateway::start`].
    pub async fn apply(&mut self, setup: SiteSetup, library: &Library) -> Result<(), GatewayError> {
        let stale: Vec<CpId> = self
            .points
            .values()
            .filter(|p| !goes_on(&p.setup, &setup) || self.touches_changed_bus(p, &setup))
            .map(|p| p.setup.id.clone())
            .collect();
        for id in stale {
            if let Some(point) = self.points.remove(&id) {
                self.publish_marks();
                self.told.insert(id, end_point(point).await);
            }
        }
        for id in self.points.keys().cloned().collect::<Vec<_>>() {
            self.end_links(&id, &setup).await;
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
        self.start_buses(&setup.buses, library).await?;
        self.yard.publish(&setup);
        self.setup = setup;
        self.publish_fuses();
        self.keep_readers().await?;
        self.store.keep_sessions(self.setup.session_records).await?;
        for cp in self.setup.charge_points.clone() {
            if !self.points.contains_key(&cp.id) {
                self.start_point(cp.clone()).await?;
            }
            self.start_links(&cp).await?;
            self.turn();
        }
        self.publish_marks();
        self.publish_routes();
        self.publish_scene();
        self.publish_panel();
        self.keep_sideways().await?;
        if self.fuse_task.is_finished() {
            tracing::error!("the task of the shared fuses has ended");
        }
        Ok(())
    }

    /// Starts those that do not run yet.
    async fn start_buses(&mut self, buses: &[BusSetup], library: &Library) -> Result<(), GatewayError> {
        for bus in buses {
            if self.buses.contains_key(&bus.id) {
                continue;
            }
            let seed = self.next_seed();
            let handle = bus::spawn(
                bus.clone(),
                library,
                self.clock.clone(),
                self.from_bus.clone(),
                seed,
            )?;
            self.tell_counts(bus, &handle).await?;
            let setup = bus.clone();
            self.buses.insert(bus.id.clone(), Bus { setup, handle });
        }
        Ok(())
    }

    /// Ends the links of a charge point that goes on which are not configured any more, or otherwise.
    async fn end_links(&mut self, id: &CpId, new: &SiteSetup) {
        let configured = new.charge_points.iter().find(|cp| cp.id == *id);
        let (Some(point), Some(setup)) = (self.points.get_mut(id), configured) else {
            return;
        };
        let (stay, go) = std::mem::take(&mut point.links)
            .into_iter()
            .partition::<Vec<_>, _>(|link| setup.csms.contains(&link.csms));
        point.links = stay;
        let to = point.conductor.to.clone();
        self.publish_marks();
        for link in go {
            let _ = to.send(ToStation::Part(link.reader.clone())).await;
            link.end().await;
            self.turn();
        }
    }

    /// Pulse meters go on from what is durable; until they are told they tell nothing.
    async fn tell_counts(&self, bus: &BusSetup, handle: &BusHandle) -> Result<(), GatewayError> {
        if !matches!(bus.link, domain::Link::Gpio(_)) {
            return Ok(());
        }
        let durable = counts::known(&self.store).await?;
        let heard = self.counted.borrow().clone();
        for device in &bus.devices {
            let most = durable.get(&device.id).max(heard.get(&device.id));
            let counted = ToBus::Counted {
                device: device.id.clone(),
                pulses: most.copied().unwrap_or(0),
            };
            let _ = handle.to.send(counted).await;
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
        let points = self.setup.charge_points.iter();
        let readers: Vec<ReaderId> = points
            .flat_map(|cp| cp.csms.iter().map(|csms| links::reader_of(cp, csms)))
            .collect();
        let readers: Vec<ReaderId> = readers
            .into_iter()
            .chain(sideways::readers(&self.setup))
            .collect();
        Ok(self.store.retain_readers(&readers).await?)
    }

    /// Starts the station with the link of the CSMS in control.
    async fn start_point(&mut self, setup: CpSetup) -> Result<(), GatewayError> {
        let Some(csms) = setup.csms.first().cloned() else {
            tracing::error!(cp = %setup.id, "has no CSMS and is left out");
            return Ok(());
        };
        let seed = self.next_seed();
        let machine = links::machine(&self.store, &setup, &csms, seed).await?;
        let state = self.store.scope(&format!("station/{}", setup.id)).await?;
        let (params, reader) = (machine.params(), links::reader_of(&setup, &csms));
        let mut station = Station::new(
            setup.clone(),
            params.clone(),
            self.next_seed(),
            &state,
            reader.clone(),
        );
        self.take_shares(&setup, &mut station);
        let (to, inbox) = mpsc::channel(STATION_QUEUE);
        let world = self.link_world().await;
        let link = Link::start(&setup, &csms, machine, world, to.clone(), self.next_seed());
        let exchange = Exchange::new(setup.id.clone(), reader, link.uplink.to.clone(), params);
        let around = Surroundings {
            clock: self.clock.clone(),
            store: self.store.clone(),
            profiles: self.profiles(),
            buses: self.bus_of_device(),
            fuses: self.fuses.clone(),
            time: self.time.clone(),
            pulse: self.vitals.pulse.clone(),
            yard: self.yard.clone(),
            easel: self.easel.clone(),
            names: self.names.clone(),
        };
        let past = self.past(&setup.id).await?;
        let (conductor, task) =
            conductor::prepare(setup.clone(), station, exchange, around, past, (to, inbox));
        let join = tokio::spawn(task);
        let point = ChargePoint {
            setup,
            conductor,
            join,
            links: vec![link],
        };
        self.points.insert(point.setup.id.clone(), point);
        Ok(())
    }

    /// What telemetry goes on with: what was told in this process, else what an earlier one has left.
    async fn past(&mut self, cp: &CpId) -> Result<Past, StoreError> {
        let told = match self.told.remove(cp) {
            Some(told) => told,
            None => recall::load(&self.store, cp).await?,
        };
        let epochs = Epochs::new(self.store.epochs().await?);
        Ok(Past { told, epochs })
    }

    /// Back ends of telemetry that are configured otherwise than they run are ended or begun.
    async fn keep_sideways(&mut self) -> Result<(), GatewayError> {
        let world = sideways::World {
            clock: self.clock.clone(),
            store: self.store.clone(),
            names: self.names.clone(),
            easel: self.easel.clone(),
            scene: self.scene.subscribe(),
            stations: self.stations.subscribe(),
            epoch: self.clock.clone(),
            seed: self.next_seed(),
        };
        self.sideways.follow(&self.setup, world).await
    }

    /// A station behind a shared fuse starts from its present share, or from nothing, never from its own maximum.
    fn take_shares(&self, setup: &CpSetup, station: &mut Station) {
        let shares = self.shares.borrow();
        let members = self.setup.fuses.iter().flat_map(|fuse| &fuse.members);
        for member in members.filter(|(cp, _)| *cp == setup.id) {
            let share = Some(shares.get(member).copied().unwrap_or_default());
            let evse = member.1;
            station.handle(self.clock.now(), Input::SharedFuse { evse, share });
        }
    }

    /// Starts the links of CSMSs that only read, where they do not run yet.
    async fn start_links(&mut self, setup: &CpSetup) -> Result<(), GatewayError> {
        for csms in &setup.csms {
            let runs = |point: &ChargePoint| point.links.iter().any(|link| link.csms == *csms);
            if self.points.get(&setup.id).is_none_or(runs) {
                continue;
            }
            self.start_link(setup, csms).await?;
        }
        if let Some(point) = self.points.get_mut(&setup.id) {
            point.setup = setup.clone();
        }
        Ok(())
    }

    async fn start_link(&mut self, setup: &CpSetup, csms: &CsmsSetup) -> Result<(), GatewayError> {
        let (seed, jitter) = (self.next_seed(), self.next_seed());
        let mut machine = links::machine(&self.store, setup, csms, seed).await?;
        let world = self.link_world().await;
        let Some(point) = self.points.get_mut(&setup.id) else {
            return Ok(());
        };
        machine.follow(&point.conductor.params.borrow());
        let to = point.conductor.to.clone();
        let link = Link::start(setup, csms, machine, world, to.clone(), jitter);
        let joins = ToStation::Join(link.reader.clone(), link.uplink.to.clone());
        if to.send(joins).await.is_err() {
            tracing::error!(cp = %setup.id, "the charge point's task has ended");
        }
        point.links.push(link);
        Ok(())
    }

    async fn link_world(&self) -> LinkWorld {
        LinkWorld {
            clock: self.clock.clone(),
            store: self.store.clone(),
            trust_dir: self.setup.trust_dir.clone(),
            state_dir: self.setup.state_dir.clone(),
            epochs: self.epochs().await,
        }
    }

    async fn epochs(&self) -> Vec<(domain::BootId, i64)> {
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

    fn profiles(&self) -> BTreeMap<DeviceId, String> {
        let devices = self.setup.buses.iter().flat_map(|bus| &bus.devices);
        devices.map(|d| (d.id.clone(), d.profile.clone())).collect()
    }

    fn publish_routes(&self) {
        let mut routes = Routes::default();
        let devices = self.buses.values().flat_map(|bus| &bus.setup.devices);
        let signed = devices
            .filter(|device| device.accept_no_failsafe)
            .map(|device| device.id.clone())
            .collect();
        let mut stations = Stations::new();
        for point in self.points.values() {
            router::add_routes(&mut routes, &point.setup, &signed, &point.conductor.to);
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
        let mut marks = Marks::new();
        for bus in self.buses.values() {
            marks.insert(format!("bus {}", bus.setup.id), bus.handle.heartbeat.clone());
        }
        for point in self.points.values() {
            let id = &point.setup.id;
            marks.insert(format!("charge point {id}"), point.conductor.heartbeat.clone());
            for link in &point.links {
                let reader = &link.reader;
                marks.insert(format!("CSMS link {reader}"), link.uplink.heartbeat.clone());
                marks.insert(format!("commands of {reader}"), link.commands.clone());
            }
        }
        self.vitals.publish(marks);
    }

    fn next_seed(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.seed
    }

    /// Has every charge point note a security event of the gateway.
    pub fn note_security(&self, event: &SecurityEvent) {
        for point in self.points.values() {
            let input = Input::Security(event.clone());
            if point.conductor.to.try_send(ToStation::input(input)).is_err() {
                tracing::warn!(cp = %point.setup.id, "too busy to note a security event: {}", event.name);
            }
        }
    }

    /// Ends in an orderly way: chargers to their safe state, links closed with 1001, ledger shut.
    pub async fn stop(mut self) {
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
        self.sideways.end().await;
        for (_, point) in self.points {
            end_point(point).await;
        }
        for (_, bus) in self.buses {
            end_bus(bus).await;
        }
        // With the last bus goes the last sender of events; what it told is written before the ledger closes.
        drop(self.from_bus);
        for task in self.count_tasks {
            if timeout(FAREWELL, task).await.is_err() {
                tracing::warn!("pulse counts may not have reached the ledger; their files have them");
            }
        }
        let bytes = self.sideways.bytes();
        measure::close(self.measures, &self.clock, &self.store, bytes).await;
        if timeout(FAREWELL, self.store.close()).await.is_err() {
            tracing::error!(
                "the ledger did not close in time; what was acknowledged is durable all the same"
            );
        }
    }
}

/// Ends one charge point without touching its charger. Gives what telemetry was told of it.
async fn end_point(point: ChargePoint) -> AllTold {
    futures_util::future::join_all(point.links.into_iter().map(Link::end)).await;
    let _ = point.conductor.to.send(ToStation::Stop).await;
    if timeout(FAREWELL, point.join).await.is_err() {
        tracing::error!(cp = %point.setup.id, "the charge point's task did not end in time");
    }
    let told = point.conductor.told.borrow();
    told.clone()
}

async fn end_bus(mut bus: Bus) {
    let _ = bus.handle.to.try_send(ToBus::Stop);
    if timeout(FAREWELL, &mut bus.handle.join).await.is_err() {
        bus.handle.join.abort();
    }
}
