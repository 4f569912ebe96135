//! The hardware: simulated chargers, meters and vehicles on two lines, one exchange at a time on each.

use retrovolt::bus::frame::{self, Answer, rtu};
use retrovolt::device::{Driver, Effect, Input, Library, LinkCost, Pdu, Reply, Request};
use retrovolt::domain::{DeviceId, DeviceSetup, DriveError, MilliAmps, Mono, Now};
use retrovolt::sim::{DeviceSpec, SimDevice};
use std::time::Duration;

/// The world moves in steps of this.
const STEP_MS: u64 = 500;
/// One character of 11 bits at 19,200 baud, microseconds.
const CHAR_US: u64 = 573;

/// Name, profile, line, unit, and the charger whose current flows through it.
pub const DEVICES: [(&str, &str, usize, u8, &[&str]); 5] = [
    ("box-a", "heidelberg-energy-control", 0, 1, &[]),
    ("meter-a", "eastron-sdm630", 0, 2, &["box-a"]),
    ("box-b1", "heidelberg-energy-control", 1, 1, &[]),
    ("box-b2", "evse-wb-din", 1, 2, &[]),
    ("meter-b2", "eastron-sdm630", 1, 3, &["box-b2"]),
];
/// How many lines there are.
pub const LINES: usize = 2;

/// Devices and vehicles.
pub struct World {
    /// In the order of [`DEVICES`].
    pub devices: Vec<SimDevice>,
    at: u64,
}

impl World {
    /// Everything switched on, nobody plugged in.
    pub fn new(library: &Library) -> Self {
        let device = |(name, profile, _, unit, measures): &(&str, &str, usize, u8, &[&str])| {
            let profile = library.get(profile).expect("shipped");
            SimDevice::new(
                DeviceSpec::new(*name, profile, *unit).measuring(measures),
                Mono(0),
            )
        };
        Self {
            devices: DEVICES.iter().map(device).collect(),
            at: 0,
        }
    }

    /// Runs it up to the present.
    pub fn catch_up(&mut self, now: u64) {
        while self.at + STEP_MS <= now {
            self.at += STEP_MS;
            let ms = i64::try_from(STEP_MS).expect("small");
            for device in self.devices.iter_mut().filter(|d| d.is_charger()) {
                device.body.step(Mono(self.at), ms);
            }
            for (index, row) in DEVICES.iter().enumerate() {
                if let Some(source) = row.4.first() {
                    let flow = self.devices[index_of(source)].body.flow;
                    self.devices[index].body.carry(flow, ms);
                }
            }
        }
    }

    /// What a device answers; `None`: nothing.
    pub fn call(&mut self, now: u64, device: usize, pdu: &Pdu) -> Option<Result<Reply, DriveError>> {
        self.catch_up(now);
        let request = frame::encode(pdu).expect("a request that can be sent");
        let answer = self.devices[device].call(Mono(now), &request)?;
        Some(match frame::decode(pdu, &answer.pdu).expect("a sound answer") {
            Answer::Reply(reply) => Ok(reply),
            Answer::Exception(code) => Err(DriveError::Exception(code)),
        })
    }

    /// Current a charger has fallen back to by itself; `None`: it has not.
    pub fn fallback(&self, device: usize) -> Option<MilliAmps> {
        let supervision = self.devices[device].body.supervision.as_ref()?;
        supervision.tripped.then_some(supervision.fallback)
    }

    /// Current a charger offers on its pilot.
    pub fn offered(&self, device: usize) -> MilliAmps {
        self.devices[device].body.offered()
    }
}

/// A device's place in [`DEVICES`].
pub fn index_of(name: &str) -> usize {
    let at = DEVICES.iter().position(|(known, ..)| *known == name);
    at.expect("a known device")
}

/// A driver and what it waits for.
pub struct Host {
    /// The machine.
    pub driver: Driver,
    queue: Vec<(u64, Request)>,
}

/// The drivers of the process and whose turn it is on each line.
pub struct Buses {
    /// In the order of [`DEVICES`].
    pub hosts: Vec<Host>,
    /// The exchange under way on each line.
    pub busy: [Option<(usize, u64)>; LINES],
    serial: u64,
}

impl Buses {
    /// Drivers that have not asked anything yet.
    pub fn new(library: &Library, seed: u64) -> Self {
        let host = |(index, (name, profile, _, unit, _)): (usize, &(&str, &str, usize, u8, &[&str]))| {
            let setup = DeviceSetup {
                address: None,
                id: DeviceId::new(*name),
                profile: (*profile).into(),
                unit: *unit,
                connector: 1,
                poll: Some(Duration::from_secs(4)),
                timeout: None,
                watchdog_timeout: None,
                watchdog_feed: None,
                failsafe_current: None,
                accept_no_failsafe: true,
                supply: None,
            };
            let cost = LinkCost {
                char_us: u32::try_from(CHAR_US).expect("small"),
                silence_us: 2_005,
                think_us: 5_000,
            };
            let own = seed.wrapping_add(u64::try_from(index).expect("few"));
            Host {
                driver: Driver::new(library.get(profile).expect("shipped"), &setup, cost, own),
                queue: Vec::new(),
            }
        };
        Self {
            hosts: DEVICES.iter().enumerate().map(host).collect(),
            busy: [None; LINES],
            serial: 0,
        }
    }

    /// One input to a driver; what it wants, requests aside.
    pub fn tell(&mut self, now: Now, device: usize, input: Input) -> Vec<Effect> {
        let host = &mut self.hosts[device];
        host.driver.handle(now, input);
        let mut out = Vec::new();
        while let Some(effect) = host.driver.poll() {
            match effect {
                Effect::Request(request) => {
                    self.serial += 1;
                    host.queue.push((self.serial, request));
                }
                Effect::Cancel(id) => host.queue.retain(|(_, request)| request.id != id),
                other => out.push(other),
            }
        }
        out
    }

    /// Takes the request whose turn it is on a line that is free.
    pub fn next(&mut self, line: usize) -> Option<(usize, Request)> {
        if self.busy[line].is_some() {
            return None;
        }
        let on_line = |(device, _): &(usize, &Host)| DEVICES[*device].2 == line;
        let (_, device, place) = self
            .hosts
            .iter()
            .enumerate()
            .filter(on_line)
            .flat_map(|(device, host)| {
                let key = |(serial, request): &(u64, Request)| (request.priority, request.due, *serial);
                host.queue
                    .iter()
                    .enumerate()
                    .map(move |(place, entry)| (key(entry), device, place))
            })
            .min()?;
        let (_, request) = self.hosts[device].queue.remove(place);
        self.busy[line] = Some((device, request.id));
        Some((device, request))
    }

    /// Forgets what is queued on a line: its port is gone.
    pub fn drop_queue(&mut self, line: usize) {
        self.busy[line] = None;
        for (device, host) in self.hosts.iter_mut().enumerate() {
            if DEVICES[device].2 == line {
                host.queue.clear();
            }
        }
    }
}

/// Milliseconds an exchange that is answered takes.
pub fn exchange_ms(request: &Request) -> u64 {
    let out = rtu::encode(1, &request.pdu)
        .expect("a request that can be sent")
        .len();
    let chars = u64::try_from(out + rtu::answer_bytes(&request.pdu)).expect("short");
    (chars * CHAR_US).div_ceil(1000) + 9
}

/// Milliseconds a request waits in vain.
pub fn timeout_ms(request: &Request) -> u64 {
    match u64::try_from(request.timeout.as_millis()).expect("short") {
        0 => 1_000,
        own => own,
    }
}
