//! The machines of one run of the process, wired as `runtime` wires them, without tasks and without time of their own.

use crate::ledger::Ledger;
use crate::site::{self, Place};
use crate::south::{Buses, DEVICES};
use retrovolt::device::Library;
use retrovolt::domain::{
    BootId, ClockQuality, CpId, CpSetup, DeviceId, EvseId, Mono, Now, Observation, ReaderId, Rng, Wall,
};
use retrovolt::ocpp::{Facts, Machine};
use retrovolt::site::{Demand, Fuses, Shares};
use retrovolt::station::{Role, Station};
use std::collections::BTreeMap;

/// A charge point's machines.
pub struct Point {
    /// Its configuration.
    pub setup: CpSetup,
    /// The station.
    pub station: Station,
    /// Its side toward the CSMS.
    pub machine: Machine,
    /// What its devices said about themselves.
    pub facts: Facts,
    /// When each is to be woken; asking is too dear to be done for every happening.
    pub wakes: [Option<Mono>; 2],
}

/// One run.
pub struct Process {
    /// Which.
    pub run: u32,
    began: u64,
    /// Charge points.
    pub points: BTreeMap<CpId, Point>,
    /// Lines and drivers.
    pub buses: Buses,
    /// The shared fuse.
    pub fuses: Fuses,
    /// Shares the stations were told.
    pub told: Shares,
    /// Drives under way: by the number the bus knows, whose and by which number the station knows it.
    pub tickets: BTreeMap<u64, (CpId, u64)>,
    /// Demands the fuse knows of.
    pub demands: BTreeMap<Place, Demand>,
    last_ticket: u64,
}

/// The ledger's name for a charge point's CSMS.
pub fn reader_of(cp: &CpId) -> ReaderId {
    ReaderId::new(format!("{cp}/main"))
}

impl Process {
    /// Builds everything from what is durable.
    pub fn start(now: u64, run: u32, library: &Library, ledger: &Ledger, rng: &mut Rng) -> Self {
        let mut point = |name: &str| {
            let setup = site::charge_point(name);
            let reader = reader_of(&setup.id);
            let keys = ledger.scope(&format!("ocpp/{reader}"));
            let cursor = ledger.cursor(&reader);
            let machine = Machine::new(
                &setup,
                &site::csms(),
                reader.clone(),
                "0",
                rng.next_u64(),
                cursor,
                &keys,
            );
            let state = ledger.scope(&format!("station/{}", setup.id));
            let station = Station::new(setup.clone(), machine.params(), rng.next_u64(), &state, reader);
            let facts = Facts::default();
            let point = Point {
                setup,
                station,
                machine,
                facts,
                wakes: [None; 2],
            };
            (point.setup.id.clone(), point)
        };
        let mut process = Self {
            run,
            began: now,
            points: [point("A"), point("B")].into(),
            buses: Buses::new(library, rng.next_u64()),
            fuses: Fuses::default(),
            told: Shares::new(),
            tickets: BTreeMap::new(),
            demands: BTreeMap::new(),
            last_ticket: 0,
        };
        process.fuses.configure(process.now(now), &[site::fuse()]);
        process
    }

    /// The present as this run is told it.
    pub fn now(&self, at: u64) -> Now {
        let unix_ms = site::T0 + i64::try_from(at).expect("short");
        Now {
            mono: Mono(at - self.began),
            wall: Wall {
                unix_ms,
                quality: ClockQuality::Ntp,
            },
            boot: BootId(self.run),
        }
    }

    /// The next thing one of the machines waits for.
    pub fn deadline(&self) -> Option<u64> {
        let drivers = self
            .buses
            .hosts
            .iter()
            .filter_map(|host| host.driver.next_deadline());
        let stations = self.points.values().filter_map(|p| p.station.next_deadline());
        let machines = self.points.values().filter_map(|p| p.machine.next_deadline());
        let all = drivers
            .chain(stations)
            .chain(machines)
            .chain(self.fuses.next_deadline());
        all.map(|(at, _)| self.began + at.0).min()
    }

    /// The number a drive gets on the bus.
    pub fn ticket(&mut self, cp: &CpId, own: u64) -> u64 {
        self.last_ticket += 1;
        self.tickets.insert(self.last_ticket, (cp.clone(), own));
        self.last_ticket
    }

    /// Where what a device says is to go.
    pub fn routes(&self, device: usize) -> Vec<(CpId, EvseId, Role)> {
        let id = DeviceId::new(DEVICES[device].0);
        let mut routes = Vec::new();
        for point in self.points.values() {
            for evse in &point.setup.evses {
                if evse.charger == id {
                    routes.push((point.setup.id.clone(), evse.id, Role::Charger));
                } else if evse.meter.as_ref() == Some(&id) {
                    routes.push((point.setup.id.clone(), evse.id, Role::Meter));
                }
            }
        }
        routes
    }

    /// Demands that changed since the fuse was told.
    pub fn changed_demands(&mut self) -> Vec<(Place, Demand)> {
        let mut changed = Vec::new();
        for point in self.points.values() {
            for evse in point.station.snapshot().evses {
                let place = (point.setup.id.clone(), evse.evse);
                let setup = point
                    .setup
                    .evses
                    .iter()
                    .find(|e| e.id == evse.evse)
                    .expect("configured");
                let demand = Demand::of(setup, evse.wants_current, evse.in_force, evse.share);
                if self.demands.get(&place) != Some(&demand) {
                    changed.push((place, demand));
                }
            }
        }
        self.demands.extend(changed.iter().cloned());
        changed
    }

    /// Notes facts; whether there is something new for the BootNotification.
    pub fn note_facts(&mut self, cp: &CpId, role: Role, observations: &[Observation]) -> Option<Facts> {
        let facts = &mut self.points.get_mut(cp)?.facts;
        let before = facts.clone();
        for observation in observations {
            match (role, observation) {
                (Role::Charger, Observation::Fact(fact, text)) => facts.charger(*fact, text),
                (Role::Meter, Observation::Fact(fact, text)) => facts.meter(*fact, text),
                _ => {}
            }
        }
        (*facts != before).then(|| facts.clone())
    }

    /// Sessions that run.
    pub fn sessions(&self) -> usize {
        let of = |p: &Point| {
            p.station
                .snapshot()
                .evses
                .iter()
                .filter(|e| e.tx.is_some())
                .count()
        };
        self.points.values().map(of).sum()
    }
}
