//! Everything wired: what `Gateway::start` does, with a line in memory, a store without disk and a link without CSMS.

use super::freeze::Freezer;
use super::street::Street;
use crate::bus::tests::{TokioClock, device, prepare, serial};
use crate::bus::{FromBus, ToBus};
use crate::device::Library;
use crate::domain::*;
use crate::runtime::conductor::{self, ConductorHandle, Surroundings, ToStation};
use crate::runtime::counts::Counts;
use crate::runtime::devices::Devices;
use crate::runtime::exchange::Exchange;
use crate::runtime::fuses::{self, Asked, Stations};
use crate::runtime::porter::Yard;
use crate::runtime::pseudonym::Pseudonyms;
use crate::runtime::recall::Past;
use crate::runtime::router::{self, Boards, Routes, South};
use crate::runtime::vitals::{self, Marker, Marks, TURN};
use crate::sim::{DeviceSpec, Ev, EvSpec, Format, WireRules};
use crate::site::Shares;
use crate::station::{Snapshot, Station};
use crate::store::double;
use crate::telemetry::{Easel, Picture};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Wait for the first byte of an answer; the devices think for 5 ms.
const TIMEOUT: Duration = Duration::from_millis(200);

/// What a rig is made of.
pub(super) struct Plan {
    pub(super) charger: &'static str,
    pub(super) baud: u32,
    pub(super) seed: u64,
    /// The charger and its meter hang on a fuse of 25 A.
    pub(super) fuse: bool,
    /// Without one the charger's own register is billed.
    pub(super) metered: bool,
    /// How often fast registers are read.
    pub(super) poll: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            charger: "heidelberg-energy-control",
            baud: 19_200,
            seed: 1,
            fuse: true,
            metered: true,
            poll: Duration::from_secs(1),
        }
    }
}

/// The running tasks.
pub(super) struct Rig {
    pub(super) street: Street,
    pub(super) tasks: Freezer,
    pub(super) station: ConductorHandle,
    pub(super) rows: double::Rows,
    pub(super) south: watch::Receiver<South>,
    /// When a device was last heard, by its id.
    pub(super) heard: Arc<Mutex<BTreeMap<String, Mono>>>,
    _stations: watch::Sender<Stations>,
    _routes: watch::Sender<Routes>,
}

fn devices(plan: &Plan) -> Vec<DeviceSetup> {
    let charger = DeviceSetup {
        id: DeviceId::new("charger"),
        profile: plan.charger.to_owned(),
        poll: Some(plan.poll),
        timeout: Some(TIMEOUT),
        ..device(1)
    };
    let meter = DeviceSetup {
        id: DeviceId::new("meter"),
        profile: "eastron-sdm630".to_owned(),
        poll: Some(plan.poll),
        timeout: Some(TIMEOUT),
        ..device(2)
    };
    [charger, meter]
        .into_iter()
        .take(if plan.metered { 2 } else { 1 })
        .collect()
}

pub(super) fn charge_point(plan: &Plan) -> CpSetup {
    let evse = EvseSetup {
        id: EvseId(1),
        charger: DeviceId::new("charger"),
        meter: plan.metered.then(|| DeviceId::new("meter")),
        reader: None,
        has_lock: false,
        switches_phases: false,
        contacts: Vec::new(),
        phases: 3,
        first_phase: Phase::L1,
        max_current: MilliAmps(16_000),
        min_current: MilliAmps(6_000),
        dimmed_current: MilliAmps(6_000),
        nominal_voltage: 230,
        auth: AuthMode::Free(IdToken::new("anybody", TokenKind::Central)),
        meter_stale_after: Duration::from_secs(5),
    };
    CpSetup {
        id: CpId::new("CP1"),
        vendor: "Acme".to_owned(),
        model: "Box".to_owned(),
        serial: None,
        evses: vec![evse],
        csms: Vec::new(),
        keys: BTreeMap::new(),
        variables: BTreeMap::new(),
        firmware: None,
    }
}

fn street(plan: &Plan, library: &Library, clock: &Arc<dyn Clock>) -> Street {
    let spec = |name: &str, profile: &str, unit| {
        DeviceSpec::new(name, library.get(profile).expect("it is shipped"), unit)
    };
    let rules = WireRules {
        format: Format::none(plan.baud),
        fifo: 8,
        strict: false,
        echo: false,
        seed: plan.seed,
    };
    let (charger, meter) = (
        spec("charger", plan.charger, 1),
        spec("meter", "eastron-sdm630", 2),
    );
    Street::new(charger, meter, rules, Arc::clone(clock))
}

/// A link without a CSMS: it takes what it is told and turns.
async fn link(mut inbox: mpsc::Receiver<crate::uplink::ToUplink>, marker: Marker) {
    loop {
        marker.turn();
        if let Ok(None) = tokio::time::timeout(TURN, inbox.recv()).await {
            return;
        }
    }
}

/// A task that does nothing but turn, for those that are no part of this rig.
async fn turning(marker: Marker) {
    let mut tick = tokio::time::interval(TURN);
    loop {
        tick.tick().await;
        marker.turn();
    }
}

/// Passes events on and notes who was heard.
async fn listen(
    mut from: mpsc::Receiver<FromBus>,
    to: mpsc::Sender<FromBus>,
    heard: Arc<Mutex<BTreeMap<String, Mono>>>,
    clock: Arc<dyn Clock>,
) {
    while let Some(event) = from.recv().await {
        if let FromBus::Observed { device, .. } | FromBus::Link { device, up: true, .. } = &event {
            let now = clock.now().mono;
            heard
                .lock()
                .expect("no test panics here")
                .insert(device.to_string(), now);
        }
        if to.send(event).await.is_err() {
            return;
        }
    }
}

/// The tasks and their marks while a rig is put together.
struct Site {
    clock: Arc<dyn Clock>,
    tasks: Freezer,
    marks: Marks,
}

/// What reports and takes commands of the south side.
struct SouthSide {
    to_bus: mpsc::Sender<ToBus>,
    routes: watch::Sender<Routes>,
    south: watch::Receiver<South>,
    heard: Arc<Mutex<BTreeMap<String, Mono>>>,
}

impl Site {
    fn marker(&mut self, name: &str) -> Marker {
        let (marker, mark) = Marker::new(Arc::clone(&self.clock));
        self.marks.insert(name.to_owned(), mark);
        marker
    }

    fn south_side(&mut self, plan: &Plan, library: &Library, street: &Street) -> SouthSide {
        let (events, raw) = mpsc::channel(256);
        let (onward, bus_events) = mpsc::channel(256);
        let heard = Arc::default();
        tokio::spawn(listen(raw, onward, Arc::clone(&heard), Arc::clone(&self.clock)));
        let bus = BusSetup {
            id: BusId::new("line"),
            link: serial(plan.baud),
            protocol: Protocol::Modbus,
            framing: Framing::Rtu,
            min_gap: Duration::ZERO,
            timeout: Duration::from_millis(500),
            reopen_wait: Duration::from_secs(1),
            devices: devices(plan),
        };
        let (to_bus, mark, bus, openings) = prepare(bus, library, Arc::clone(&self.clock), events);
        tokio::spawn(street.clone().run(openings));
        self.tasks.spawn("bus", bus);
        self.marks.insert("bus".to_owned(), mark);
        let (routes, routes_rx) = watch::channel(Routes::default());
        let (south_tx, south) = watch::channel(South::default());
        let (count, _) = watch::channel(Counts::new());
        let boards = Boards {
            south: south_tx,
            counts: count,
            devices: watch::channel(Devices::default()).0,
        };
        let router = router::run(bus_events, routes_rx, boards, self.marker("router"));
        self.tasks.spawn("router", router);
        SouthSide {
            to_bus,
            routes,
            south,
            heard,
        }
    }

    fn fuses(&mut self, plan: &Plan, stations: watch::Receiver<Stations>) -> mpsc::Sender<Asked> {
        let (to_fuses, demands) = mpsc::channel(256);
        let fuse = FuseSetup {
            name: "main".to_owned(),
            max_current: MilliAmps(25_000),
            members: vec![(CpId::new("CP1"), EvseId(1))],
        };
        let fuses = if plan.fuse { vec![fuse] } else { Vec::new() };
        let marker = self.marker("fuses");
        let (setups, (shares, _)) = (watch::channel(fuses).1, watch::channel(Shares::new()));
        let task = fuses::run(setups, demands, stations, shares, Arc::clone(&self.clock), marker);
        self.tasks.spawn("fuses", task);
        to_fuses
    }
}

impl Rig {
    pub(super) fn new(plan: &Plan) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(TokioClock(Instant::now()));
        let library = Library::builtin();
        let street = street(plan, &library, &clock);
        let mut site = Site {
            clock: Arc::clone(&clock),
            tasks: Freezer::default(),
            marks: Marks::new(),
        };
        let rows = double::Rows::default();
        let (store, serving) = double::store(Arc::clone(&rows));
        site.tasks.spawn("ledger", serving);
        let south_side = site.south_side(plan, &library, &street);
        let (stations, stations_rx) = watch::channel(Stations::new());
        let to_fuses = site.fuses(plan, stations_rx);
        let (to_link, link_inbox) = mpsc::channel(64);
        let marker = site.marker("CSMS link");
        site.tasks.spawn("CSMS link", link(link_inbox, marker));
        for name in ["commands", "main"] {
            let marker = site.marker(name);
            site.tasks.spawn(name, turning(marker));
        }

        let now = clock.now().mono;
        let (pulse_tx, pulse) = watch::channel(now);
        let marker = site.marker("ledger");
        tokio::spawn(vitals::ask_ledger(store.clone(), marker));
        let bus = &south_side.to_bus;
        let around = Surroundings {
            profiles: BTreeMap::new(),
            clock: Arc::clone(&clock),
            names: Pseudonyms::new(store.token_names().clone()),
            store,
            buses: ["charger", "meter"]
                .map(|name| (DeviceId::new(name), bus.clone()))
                .into(),
            fuses: to_fuses,
            time: mpsc::channel(16).0,
            pulse,
            easel: Arc::new(Easel::new(Picture::blank())),
            // Nobody asks for files.
            yard: Yard::new(&super::marks::site(std::path::Path::new("unused"))),
        };
        let setup = charge_point(plan);
        let (station, inbox) = Self::station(&setup, to_link, around, &mut site.tasks);
        let mut routes = Routes::default();
        router::add_routes(&mut routes, &setup, &BTreeSet::new(), &inbox);
        stations.send_replace(Stations::from([(setup.id.clone(), inbox)]));
        south_side.routes.send_replace(routes);
        site.marks.insert("station".to_owned(), station.heartbeat.clone());
        let taker = Marker::new(clock).0;
        let vitals = vitals::run(watch::channel(site.marks).1, pulse_tx, taker);
        site.tasks.spawn("vitals", vitals);
        Self {
            street,
            tasks: site.tasks,
            station,
            rows,
            south: south_side.south,
            heard: south_side.heard,
            _stations: stations,
            _routes: south_side.routes,
        }
    }

    fn station(
        setup: &CpSetup,
        to_link: mpsc::Sender<crate::uplink::ToUplink>,
        around: Surroundings,
        tasks: &mut Freezer,
    ) -> (ConductorHandle, mpsc::Sender<ToStation>) {
        let params = Params {
            sample_interval: Duration::from_secs(10),
            sampled: [
                Quantity::EnergyImport,
                Quantity::Power,
                Quantity::Current,
                Quantity::Voltage,
            ]
            .map(Measurand::all)
            .to_vec(),
            ..Params::default()
        };
        let reader = ReaderId::new("csms");
        let station = Station::new(setup.clone(), params.clone(), 1, &[], reader.clone());
        let exchange = Exchange::new(setup.id.clone(), reader, to_link, params);
        let (to, inbox) = mpsc::channel(256);
        let (handle, task) = conductor::prepare(
            setup.clone(),
            station,
            exchange,
            around,
            Past::default(),
            (to.clone(), inbox),
        );
        tasks.spawn("station", task);
        (handle, to)
    }

    /// A vehicle that never gets full is plugged in.
    pub(super) fn plug(&self) {
        let spec = EvSpec {
            capacity: MilliWattHours::from_base(1_000_000_000),
            ..EvSpec::default()
        };
        self.street.houses().charger.body.ev = Some(Ev::new(spec));
    }

    /// A rig with a session that charges for a while already.
    pub(super) async fn charging(plan: &Plan) -> Self {
        let rig = Self::new(plan);
        rig.plug();
        rig.pass(30).await;
        let offered = rig.street.houses().charger.body.offered();
        assert_eq!(offered, MilliAmps(16_000), "{:?}", rig.shown());
        rig
    }

    pub(super) async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    pub(super) fn shown(&self) -> Snapshot {
        self.station.snapshot.borrow().clone()
    }
}
