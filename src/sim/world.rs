//! A whole site: lines, devices on them, vehicles at the plugs, and one hand that can do to it what weather,
//! drivers and installers do.

use super::body::{Body, Write};
use super::device::{DeviceSpec, SimDevice};
use super::ev::{Ev, EvSpec, Flow};
use super::line::{Line, LineSetup};
use super::slave::{Answer, Units};
use super::speech::{self, Speech};
use super::tcp::TcpServer;
use crate::device::Raw;
use crate::domain::{Clock, FaultKind, MilliAmps, MilliWattHours, Mono, VehicleState};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The world moves in steps of this, so that what happens does not depend on who looks when.
pub const STEP_MS: u64 = 100;

/// A site to be built.
#[derive(Clone, Debug, Default)]
pub struct WorldSpec {
    /// Serial lines, each with the devices on it.
    pub lines: Vec<(String, LineSetup, Vec<DeviceSpec>)>,
    /// Modbus TCP servers, each with the units behind it.
    pub servers: Vec<(String, Vec<DeviceSpec>)>,
}

/// Why the world does not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the simulated world has no {kind} `{name}`")]
pub struct Unknown {
    kind: &'static str,
    name: String,
}

/// Devices and the time they are at.
struct Core {
    clock: Arc<dyn Clock>,
    now: Mono,
    devices: BTreeMap<String, SimDevice>,
}

impl Core {
    /// Runs the world up to the present.
    fn catch_up(&mut self) {
        let present = self.clock.now().mono;
        while self.now.0 + STEP_MS <= present.0 {
            self.now = Mono(self.now.0 + STEP_MS);
            self.step();
        }
    }

    fn step(&mut self) {
        let ms = STEP_MS.cast_signed();
        let mut flows: BTreeMap<&str, Flow> = BTreeMap::new();
        let now = self.now;
        let (chargers, meters): (Vec<_>, Vec<_>) = self
            .devices
            .iter_mut()
            .partition(|(_, device)| device.is_charger());
        for (name, device) in chargers {
            device.body.step(now, ms);
            flows.insert(name, device.body.flow);
        }
        for (_, meter) in meters {
            let through = meter
                .spec()
                .measures
                .iter()
                .filter_map(|name| flows.get(name.as_str()));
            let flow = through.fold(Flow::default(), |sum, flow| sum.plus(*flow));
            meter.body.carry(flow, ms);
        }
    }
}

/// The devices of one line or server.
struct Segment {
    core: Arc<Mutex<Core>>,
    /// Unit and name; a unit with several connectors has several names.
    units: Vec<(u8, String)>,
    /// What is spoken, where it is not Modbus.
    speech: Option<Box<dyn Speech>>,
}

impl Units for Segment {
    fn call(&mut self, unit: u8, pdu: &[u8]) -> Option<Answer> {
        let mut core = lock(&self.core);
        core.catch_up();
        let now = core.now;
        let mut last = None;
        for (_, name) in self.units.iter().filter(|(own, _)| *own == unit || unit == 0) {
            last = core
                .devices
                .get_mut(name)
                .and_then(|device| device.call(now, pdu))
                .or(last);
            let refused = last
                .as_ref()
                .is_some_and(|answer| answer.pdu.first().is_some_and(|fc| fc & 0x80 != 0));
            if !refused && unit != 0 && last.is_some() {
                break;
            }
        }
        last
    }

    fn is_foreign(&self) -> bool {
        self.speech.is_some()
    }

    fn hear(&mut self, bytes: &[u8]) -> Option<Answer> {
        let speech = self.speech.as_mut()?;
        let mut core = lock(&self.core);
        core.catch_up();
        let now = core.now;
        speech.hear(now, &mut core.devices, bytes)
    }

    fn speak(&mut self) -> Vec<u8> {
        let Some(speech) = &mut self.speech else {
            return Vec::new();
        };
        let mut core = lock(&self.core);
        core.catch_up();
        let now = core.now;
        speech.speak(now, &mut core.devices)
    }
}

fn lock(core: &Mutex<Core>) -> MutexGuard<'_, Core> {
    core.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The running site.
pub struct World {
    core: Arc<Mutex<Core>>,
    lines: BTreeMap<String, Line>,
    servers: BTreeMap<String, TcpServer>,
}

impl World {
    /// Builds it. Needs a tokio runtime where there are servers.
    ///
    /// # Errors
    /// What the system says to opening pseudo-terminals and ports.
    pub async fn start(spec: WorldSpec, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let now = Mono(clock.now().mono.0 / STEP_MS * STEP_MS);
        let core = Arc::new(Mutex::new(Core {
            clock,
            now,
            devices: BTreeMap::new(),
        }));
        let mut world = Self {
            core,
            lines: BTreeMap::new(),
            servers: BTreeMap::new(),
        };
        for (name, setup, devices) in spec.lines {
            let segment = world.settle(devices, now);
            world.lines.insert(name, Line::open(setup, Box::new(segment))?);
        }
        for (name, devices) in spec.servers {
            let segment = world.settle(devices, now);
            world
                .servers
                .insert(name, TcpServer::open(Box::new(segment)).await?);
        }
        Ok(world)
    }

    fn settle(&self, devices: Vec<DeviceSpec>, now: Mono) -> Segment {
        let mut core = lock(&self.core);
        let mut units = Vec::new();
        for spec in devices {
            units.push((spec.unit, spec.name.clone()));
            core.devices.insert(spec.name.clone(), SimDevice::new(spec, now));
        }
        let names: Vec<String> = units.iter().map(|(_, name)| name.clone()).collect();
        let speech = speech::of(&names, &mut core.devices);
        Segment {
            core: Arc::clone(&self.core),
            units,
            speech,
        }
    }

    /// A serial line.
    ///
    /// # Errors
    /// No such line.
    pub fn line(&self, name: &str) -> Result<&Line, Unknown> {
        self.lines.get(name).ok_or_else(|| Unknown {
            kind: "line",
            name: name.to_owned(),
        })
    }

    /// Where a Modbus TCP server listens.
    ///
    /// # Errors
    /// No such server.
    pub fn address(&self, name: &str) -> Result<SocketAddr, Unknown> {
        let unknown = || Unknown {
            kind: "server",
            name: name.to_owned(),
        };
        self.servers.get(name).map(TcpServer::address).ok_or_else(unknown)
    }

    /// A Modbus TCP server, to be cut off and put back.
    ///
    /// # Errors
    /// No such server.
    pub fn server(&mut self, name: &str) -> Result<&mut TcpServer, Unknown> {
        self.servers.get_mut(name).ok_or_else(|| Unknown {
            kind: "server",
            name: name.to_owned(),
        })
    }

    /// Does something with a device as it is now.
    ///
    /// # Errors
    /// No such device.
    pub fn device<T>(&self, name: &str, work: impl FnOnce(&mut SimDevice) -> T) -> Result<T, Unknown> {
        let mut core = lock(&self.core);
        core.catch_up();
        let unknown = || Unknown {
            kind: "device",
            name: name.to_owned(),
        };
        core.devices.get_mut(name).map(work).ok_or_else(unknown)
    }

    fn body<T>(&self, name: &str, work: impl FnOnce(&mut Body) -> T) -> Result<T, Unknown> {
        self.device(name, |device| work(&mut device.body))
    }

    /// Plugs a vehicle in.
    ///
    /// # Errors
    /// No such device.
    pub fn plug(&self, charger: &str, ev: EvSpec) -> Result<(), Unknown> {
        self.body(charger, |body| body.ev = Some(Ev::new(ev)))
    }

    /// Pulls the vehicle's plug.
    ///
    /// # Errors
    /// No such device.
    pub fn unplug(&self, charger: &str) -> Result<(), Unknown> {
        self.body(charger, |body| body.ev = None)
    }

    /// The vehicle asks for current, or no longer.
    ///
    /// # Errors
    /// No such device.
    pub fn ask(&self, charger: &str, asks: bool) -> Result<(), Unknown> {
        self.body(charger, |body| body.ev.iter_mut().for_each(|ev| ev.ask(asks)))
    }

    /// Breaks or mends a charger.
    ///
    /// # Errors
    /// No such device.
    pub fn set_fault(&self, charger: &str, fault: Option<FaultKind>) -> Result<(), Unknown> {
        self.body(charger, |body| body.fault = fault)
    }

    /// Takes a device off the line, or puts it back.
    ///
    /// # Errors
    /// No such device.
    pub fn set_silent(&self, device: &str, silent: bool) -> Result<(), Unknown> {
        self.device(device, |device| device.silent = silent)
    }

    /// Holds a card (hexadecimal) to the reader, or takes it away.
    ///
    /// # Errors
    /// No such device.
    pub fn present_card(&self, reader: &str, card: Option<&str>) -> Result<(), Unknown> {
        self.body(reader, |body| body.card = card.map(str::to_owned))
    }

    /// Sets the energy register: a reset, a roll-over, another meter in its place.
    ///
    /// # Errors
    /// No such device.
    pub fn set_energy(&self, meter: &str, at: MilliWattHours) -> Result<(), Unknown> {
        self.body(meter, |body| body.set_energy(at))
    }

    /// What the energy register holds.
    ///
    /// # Errors
    /// No such device.
    pub fn energy(&self, meter: &str) -> Result<MilliWattHours, Unknown> {
        self.body(meter, |body| body.energy().whole())
    }

    /// What a charger offers on its control pilot.
    ///
    /// # Errors
    /// No such device.
    pub fn offered(&self, charger: &str) -> Result<MilliAmps, Unknown> {
        self.body(charger, |body| body.offered())
    }

    /// Current and power through a device.
    ///
    /// # Errors
    /// No such device.
    pub fn flow(&self, device: &str) -> Result<Flow, Unknown> {
        self.body(device, |body| body.flow)
    }

    /// The state at a charger's plug.
    ///
    /// # Errors
    /// No such device.
    pub fn vehicle(&self, charger: &str) -> Result<VehicleState, Unknown> {
        self.body(charger, |body| body.vehicle())
    }

    /// Whether a charger's watchdog has fallen back, and how often so far.
    ///
    /// # Errors
    /// No such device.
    pub fn fallback(&self, charger: &str) -> Result<Option<(bool, u32)>, Unknown> {
        self.body(charger, |body| body.supervision.map(|s| (s.tripped, s.trips)))
    }

    /// Writes a device took, oldest first.
    ///
    /// # Errors
    /// No such device.
    pub fn writes(&self, device: &str) -> Result<Vec<Write>, Unknown> {
        self.body(device, |body| body.writes.iter().cloned().collect())
    }

    /// A register as a master would read it with function `fc` (1 to 4); `None` where it would be refused.
    ///
    /// # Errors
    /// No such device.
    pub fn register(&self, device: &str, fc: u8, addr: u16) -> Result<Option<u16>, Unknown> {
        self.device(device, |device| device.register(fc, addr))
    }

    /// A point's raw value by its name in the profile.
    ///
    /// # Errors
    /// No such device.
    pub fn point(&self, device: &str, point: &str) -> Result<Option<Raw>, Unknown> {
        self.device(device, |device| device.point(point))
    }
}
