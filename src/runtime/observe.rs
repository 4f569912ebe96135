//! Paints the picture of the site for telemetry: ten times a second at most, at least once a second.
//!
//! It only looks: at what stations, links, buses and devices show of themselves. Nobody waits for it.

mod site;

use super::clock::SystemClock;
use super::devices::{Devices, Said};
use super::gauges::Gauges;
use super::machine::Machine;
use super::narrator::{fault_text, name_of, status_word};
use super::recall::{AllTold, Told};
use super::registers::{Heard, Registers};
use super::router::South;
use crate::domain::{
    Availability, Clock, CpSetup, DeviceFact, DeviceId, DeviceSetup, EvseSetup, Now, Phase, Quantity,
    SiteSetup, VehicleState,
};
use crate::station::{EvseSnapshot, Snapshot};
use crate::store::{Store, StoreError};
use crate::telemetry::{
    At, Device, Easel, LinkState, Meter, MeterState, Milli, Phases, Picture, Point, PointState, Reach, Slug,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// The picture is painted at least this often.
const SLOWEST: Duration = Duration::from_secs(1);
/// And at most this often.
const QUICKEST: Duration = Duration::from_millis(100);
/// Below this a phase does not carry current, milliampere.
const IDLE_MA: i64 = 500;
/// A start that moved by more was told by another clock, milliseconds.
const CLOCK_SET_MS: u64 = 2_000;

/// What there is to look at.
#[derive(Clone, Default)]
pub struct Scene {
    /// As configured.
    pub site: Option<Arc<SiteSetup>>,
    /// The running charge points.
    pub points: Vec<Subject>,
}

/// One running charge point.
#[derive(Clone)]
pub struct Subject {
    /// As configured.
    pub setup: CpSetup,
    /// Its station.
    pub snapshot: watch::Receiver<Snapshot>,
    /// What was told of it.
    pub told: watch::Receiver<AllTold>,
}

/// Begins to paint, with what an earlier run has left of the registers of meters; gives the easel and where the scene is set.
///
/// # Errors
/// When the store cannot be read.
pub async fn start(
    clock: &Arc<SystemClock>,
    store: &Store,
    (south, devices): (watch::Receiver<South>, watch::Receiver<Devices>),
    gauges: &Arc<Gauges>,
) -> Result<(Arc<Easel>, watch::Sender<Scene>), StoreError> {
    let registers = Registers::load(store).await?;
    let easel = Arc::new(Easel::new(Picture::blank()));
    let (scene, seen) = watch::channel(Scene::default());
    let painter = Painter {
        easel: easel.clone(),
        clock: clock.clone(),
        store: store.clone(),
        scene: seen,
        south,
        devices,
        gauges: gauges.clone(),
        machine: Machine::here(),
    };
    tokio::spawn(painter.run(registers));
    Ok((easel, scene))
}

/// What the painter looks at.
struct Painter {
    easel: Arc<Easel>,
    clock: Arc<SystemClock>,
    store: Store,
    scene: watch::Receiver<Scene>,
    south: watch::Receiver<South>,
    devices: watch::Receiver<Devices>,
    gauges: Arc<Gauges>,
    machine: Machine,
}

impl Painter {
    /// Paints until the gateway is gone.
    async fn run(mut self, registers: Registers) {
        let mut tick = interval(SLOWEST);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut memory = Memory {
            registers,
            started: None,
        };
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                changed = self.scene.changed() => if changed.is_err() { return },
                changed = self.devices.changed() => if changed.is_err() { return },
                changed = self.south.changed() => if changed.is_err() { return },
            }
            let picture = self.paint(&mut memory);
            if let Some(batch) = memory.registers.due(self.clock.now().mono, &picture) {
                let store = self.store.clone();
                tokio::spawn(async move {
                    if let Err(error) = store.commit(batch).await {
                        tracing::warn!("where meters stand could not be written to the ledger: {error}");
                    }
                });
            }
            self.easel.show(picture);
            sleep(QUICKEST).await;
        }
    }

    fn paint(&mut self, memory: &mut Memory) -> Picture {
        let now = self.clock.now();
        let scene = self.scene.borrow_and_update().clone();
        let south = self.south.borrow_and_update().clone();
        let devices = self.devices.borrow_and_update().clone();
        let mut picture = Picture::blank();
        let Some(site) = &scene.site else { return picture };
        let light = Light {
            now,
            site,
            south: &south,
            devices: &devices,
            gauges: &self.gauges,
        };
        for subject in &scene.points {
            light.points(subject, memory, &mut picture);
        }
        light.meters(memory, &mut picture);
        picture.buses = self.gauges.bus_states();
        picture.site = light.site(&scene.points, &picture);
        picture.health = self.gauges.health();
        let linked = |point: &Point| point.csms.state == LinkState::Connected;
        picture.health.csms_connected =
            (!picture.points.is_empty()).then(|| picture.points.values().all(linked));
        picture.info.hardware.clone_from(&self.machine.hardware);
        picture.info.os.clone_from(&self.machine.os);
        picture.info.url.clone_from(&site.page_url);
        picture.info.started_at = memory.started_at(At(light.unix_ms(0)));
        picture.info.charge_points = picture.points.keys().cloned().collect();
        picture.info.meters = picture.meters.keys().cloned().collect();
        picture.info.buses = picture.buses.keys().cloned().collect();
        picture
    }
}

/// What a picture must know of the one before.
#[derive(Debug)]
struct Memory {
    registers: Registers,
    /// When the process started, as last shown.
    started: Option<At>,
}

impl Memory {
    /// When the process started: two clocks say it, a little apart each time, and only a change of the clock is news.
    fn started_at(&mut self, now_said: At) -> At {
        let shown = self.started.get_or_insert(now_said);
        if shown.0.abs_diff(now_said.0) > CLOCK_SET_MS {
            *shown = now_said;
        }
        *shown
    }
}

/// What falls on the scene at one moment.
struct Light<'a> {
    now: Now,
    site: &'a SiteSetup,
    south: &'a South,
    devices: &'a Devices,
    gauges: &'a Gauges,
}

impl Light<'_> {
    /// Wall time of a moment of this run, milliseconds since its start.
    fn unix_ms(&self, mono_ms: u64) -> i64 {
        let ago = self.now.mono.0.saturating_sub(mono_ms);
        self.now
            .wall
            .unix_ms
            .saturating_sub(i64::try_from(ago).unwrap_or(i64::MAX))
    }

    fn points(&self, subject: &Subject, memory: &mut Memory, picture: &mut Picture) {
        let snapshot = subject.snapshot.borrow().clone();
        let told = subject.told.borrow().clone();
        let csms = self.gauges.controlling(&subject.setup).unwrap_or_default();
        for evse in &snapshot.evses {
            let Some(setup) = subject.setup.evses.iter().find(|e| e.id == evse.evse) else {
                continue;
            };
            let name = name_of(&subject.setup.id, evse.evse);
            let told = told.get(&evse.evse).cloned().unwrap_or_default();
            if let Some(meter) = &setup.meter {
                memory.registers.billed(meter, told.count.epoch);
            }
            let point = Point {
                device: Arc::new(self.charger(&subject.setup, setup)),
                reach: reach(setup),
                available: self.answers(&setup.charger),
                state: self.state(setup, evse, &told),
                session: told.session,
                csms: csms.clone(),
                totals: told.totals,
            };
            picture.points.insert(name, point);
        }
    }

    fn charger(&self, cp: &CpSetup, evse: &EvseSetup) -> Device {
        let said = self.devices.said(&evse.charger);
        let fact = |fact| said.and_then(|said| said.fact(fact));
        Device {
            name: if evse.id.0 == 1 {
                cp.id.to_string()
            } else {
                format!("{} EVSE {}", cp.id, evse.id)
            },
            vendor: Some(cp.vendor.clone()),
            model: Some(cp.model.clone()),
            serial: cp.serial.clone().or_else(|| fact(DeviceFact::SerialNumber)),
            firmware: fact(DeviceFact::FirmwareVersion),
        }
    }

    fn answers(&self, device: &DeviceId) -> bool {
        self.south.devices.get(device.as_str()).is_some_and(|(up, _)| *up)
    }

    fn state(&self, setup: &EvseSetup, evse: &EvseSnapshot, told: &Told) -> PointState {
        let value = |quantity, phase| {
            let of = |p: &&crate::domain::SamplePoint| p.quantity == quantity && p.phase == phase;
            evse.measured.iter().find(of).map(|p| Milli(p.milli))
        };
        let current_a = phases(|phase| value(Quantity::Current, phase), setup);
        let carrying = current_a.iter().flatten().filter(|a| a.0 >= IDLE_MA).count();
        let youngest = [Some(&setup.charger), setup.meter.as_ref()]
            .into_iter()
            .flatten()
            .filter_map(|device| self.devices.said(device)?.youngest())
            .map(|reading| reading.taken_at.0)
            .max();
        let heard = evse.vehicle.is_some();
        PointState {
            ts: At(self.unix_ms(youngest.unwrap_or(self.now.mono.0))),
            seq: told.seq,
            status: heard.then(|| status_word(evse.status)),
            connected: evse.vehicle.and_then(VehicleState::plugged),
            charging: evse.vehicle == Some(VehicleState::Charging),
            enabled: evse.availability == Availability::Operative && !evse.held,
            fault: fault_text(&evse.error),
            power_w: evse.power.map(|power| Milli(power.0)),
            current_a,
            voltage_v: phases(|phase| value(Quantity::Voltage, phase), setup),
            energy_import_wh: told.count.shown_wh,
            energy_export_wh: value(Quantity::EnergyExport, Phase::Total)
                .and_then(|wh| u64::try_from(wh.0 / 1000).ok()),
            meter_epoch: told.count.epoch,
            limit_a: Some(Milli(evse.applied.amps.0)),
            limit_source: Some(evse.applied.source.to_string()),
            phases_active: u8::try_from(carrying)
                .ok()
                .filter(|_| current_a != Phases::default()),
            phases_allowed: Some(evse.phases_allowed),
            mode: None,
            priority: None,
            temperature_c: value(Quantity::Temperature, Phase::Total),
            soc_pct: value(Quantity::Soc, Phase::Total),
            session_energy_wh: told.session.energy_wh,
            session_start: told.session.started_at,
            id_tag_hash: told
                .session
                .id_tag_hash
                .clone()
                .filter(|_| told.session.ended_at.is_none()),
        }
    }

    fn meters(&self, memory: &mut Memory, picture: &mut Picture) {
        for device in self.site.buses.iter().flat_map(|bus| &bus.devices) {
            if let Some(meter) = self.meter(device, memory) {
                picture.meters.insert(Slug::of(device.id.as_str()), meter);
            }
        }
    }

    /// A device that is billed by, or that measures and switches nothing.
    fn meter(&self, device: &DeviceSetup, memory: &mut Memory) -> Option<Meter> {
        let mut evses = self.site.charge_points.iter().flat_map(|cp| &cp.evses);
        let charges = self
            .site
            .charge_points
            .iter()
            .flat_map(|cp| &cp.evses)
            .any(|evse| evse.charger == device.id);
        let bills = evses.any(|evse| evse.meter.as_ref() == Some(&device.id));
        let said = self.devices.said(&device.id);
        let measures = said.is_some_and(|said| !said.readings.is_empty());
        if charges || !(bills || measures) {
            return None;
        }
        let blank = Said::default();
        let said = said.unwrap_or(&blank);
        let value = |quantity| said.value(quantity, Phase::Total).map(Milli);
        let energy = |quantity| {
            said.value(quantity, Phase::Total)
                .and_then(|mwh| u64::try_from(mwh / 1000).ok())
        };
        let each =
            |quantity| [Phase::L1, Phase::L2, Phase::L3].map(|phase| said.value(quantity, phase).map(Milli));
        let serial = said.fact(DeviceFact::SerialNumber);
        let import = said.readings.get(&(Quantity::EnergyImport, Phase::Total));
        let heard = Heard {
            reading: import.and_then(|r| Some((u64::try_from(r.milli / 1000).ok()?, r.taken_at))),
            serial: serial.as_deref(),
        };
        let name = Slug::of(&format!("m-{}", device.id));
        let (energy_import_wh, meter_epoch) = memory.registers.judge(&name, &device.id, heard);
        Some(Meter {
            device: Arc::new(Device {
                name: device.id.to_string(),
                vendor: None,
                model: said
                    .fact(DeviceFact::Model)
                    .or_else(|| Some(device.profile.clone())),
                serial,
                firmware: said.fact(DeviceFact::FirmwareVersion),
            }),
            available: self.answers(&device.id),
            state: MeterState {
                ts: At(self.unix_ms(said.youngest().map_or(self.now.mono.0, |r| r.taken_at.0))),
                power_w: value(Quantity::Power),
                current_a: each(Quantity::Current),
                voltage_v: each(Quantity::Voltage),
                frequency_hz: value(Quantity::Frequency),
                energy_import_wh,
                energy_export_wh: energy(Quantity::EnergyExport),
                meter_epoch,
            },
        })
    }
}

/// Values by grid phase: what a device calls L1 is the phase its L1 is wired to. A device that measures one total on
/// one phase has that there.
fn phases(value: impl Fn(Phase) -> Option<Milli>, setup: &EvseSetup) -> Phases {
    let mut own = [Phase::L1, Phase::L2, Phase::L3].map(&value);
    if own == Phases::default() && setup.phases == 1 {
        own[0] = value(Phase::Total);
    }
    let first = match setup.first_phase {
        Phase::L2 => 1,
        Phase::L3 => 2,
        Phase::L1 | Phase::N | Phase::Total => 0,
    };
    own.rotate_right(first);
    own
}

fn reach(setup: &EvseSetup) -> Reach {
    Reach {
        min_a: Milli(setup.min_current.0),
        max_a: Milli(setup.max_current.0),
        phases: setup.phases,
        switches_phases: setup.switches_phases,
        unlocks: setup.has_lock,
    }
}
