//! South shell: one task owns each port.
//!
//! * [`frame`]: Modbus frames on serial lines and TCP.
//! * [`direct`]: a port for oneself, for the installer's tools.
//! * `task`: keeps a port open, takes commands, delivers events. `outbox`: events for a consumer that may hang.
//! * `modbus`: the drivers of a Modbus port; `queue`: whose turn it is; `port`: silence, echoes, late answers,
//!   time-outs; one exchange at a time.
//! * `stream`: a port that one machine owns, for protocols that are not Modbus.

pub mod direct;
pub mod frame;
mod gpio;
mod modbus;
mod outbox;
mod port;
mod queue;
mod stream;
mod task;
#[cfg(test)]
pub(crate) mod tests;
mod timer;

/// What finds answers in the bytes of a serial line, for the fuzzer.
pub mod scanners {
    pub use super::port::{AsciiScan, Found, Scan, Wanted};
}

use crate::device::{
    Driver, FailsafeReport, Library, LinkCost, Profile, StreamDevice, StreamPort, stream_machine,
};
use crate::domain::{
    BusId, BusSetup, BusTally, Clock, DeviceCommand, DeviceId, DeviceSetup, DriveError, Link, Mono,
    Observation, Protocol,
};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Commands not yet taken in by a bus; a sender waits when it is full.
const COMMANDS: usize = 64;
/// Thinking time the read planner assumes until told better.
const THINK: Duration = Duration::from_millis(10);

/// To the task of a bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToBus {
    /// Answered with one [`FromBus::Done`]. An unknown device is answered `Unsupported`.
    Drive {
        /// Which device.
        device: DeviceId,
        /// Ties the answer to it.
        ticket: u64,
        /// What to do.
        command: DeviceCommand,
        /// Whether a limit is at or below the one in force.
        lowering: bool,
    },
    /// The watchdog of a device may be fed before this time.
    Lease {
        /// Which device.
        device: DeviceId,
        /// The end.
        until: Mono,
    },
    /// A pulse meter counted at least so many pulses before; its count is told from then on.
    Counted {
        /// Which device.
        device: DeviceId,
        /// How many.
        pulses: u64,
    },
    /// Write what is under way, then end; at most two seconds.
    Stop,
}

/// From the task of a bus.
#[derive(Clone, Debug, PartialEq)]
pub enum FromBus {
    /// A device said something. What a slow consumer did not take is merged to the latest.
    Observed {
        /// On which bus.
        bus: BusId,
        /// Who.
        device: DeviceId,
        /// What.
        observations: Vec<Observation>,
    },
    /// A device began or ceased to answer.
    Link {
        /// On which bus.
        bus: BusId,
        /// Who.
        device: DeviceId,
        /// Whether it answers.
        up: bool,
        /// Why it does not.
        cause: Option<DriveError>,
    },
    /// The end of a command.
    Done {
        /// Which device.
        device: DeviceId,
        /// Which command.
        ticket: u64,
        /// How.
        result: Result<(), DriveError>,
    },
    /// The port was opened or lost.
    Port {
        /// Which bus.
        bus: BusId,
        /// Whether it is open.
        up: bool,
        /// In words for the operator.
        detail: String,
    },
    /// What is known of a device's own safe state.
    Failsafe {
        /// Which device.
        device: DeviceId,
        /// The report.
        report: FailsafeReport,
    },
}

/// Why a bus cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// A device names a profile nobody has.
    #[error("device {device}: no profile named {profile:?}")]
    Profile {
        /// The device.
        device: DeviceId,
        /// The profile.
        profile: String,
    },
    /// No machine speaks the protocol.
    #[error("bus {bus}: this version does not speak {protocol}")]
    Protocol {
        /// The bus.
        bus: BusId,
        /// The protocol.
        protocol: Protocol,
    },
    /// The kernel gives no timer.
    #[error("no timer for bus {bus}: {source}")]
    Timer {
        /// The bus.
        bus: BusId,
        /// What it says.
        source: io::Error,
    },
}

/// A running bus.
#[derive(Debug)]
pub struct BusHandle {
    /// Commands.
    pub to: mpsc::Sender<ToBus>,
    /// When its loop last turned; at least once a second while it is healthy.
    pub heartbeat: watch::Receiver<Mono>,
    /// What it has counted since it was started. Looking is all it is for: no change is announced.
    pub tally: watch::Receiver<BusTally>,
    /// Its end.
    pub join: JoinHandle<()>,
}

/// Starts the task of a bus. The port is opened by the task and may be absent now.
///
/// # Errors
/// A profile that is not in the library, a protocol without a machine, or a kernel without timers.
pub fn spawn(
    setup: BusSetup,
    library: &Library,
    clock: Arc<dyn Clock>,
    events: mpsc::Sender<FromBus>,
    seed: u64,
) -> Result<BusHandle, BusError> {
    let devices = devices_of(&setup, library)?;
    if let Link::Gpio(link) = &setup.link {
        let link = link.clone();
        return Ok(gpio::spawn(setup, link, devices, clock, events));
    }
    // Tried once here, so that a kernel without timers is an error at start and not a bus that never opens.
    timer::Timer::system().map_err(|source| BusError::Timer {
        bus: setup.id.clone(),
        source,
    })?;
    let opener = port::opener(setup.link.clone());
    let timer = timer::Timer::system;
    if setup.protocol == Protocol::Modbus {
        let hosts = hosts(&setup, devices, seed);
        return Ok(task::start(setup, hosts, clock, events, opener, timer));
    }
    let ids = setup.devices.iter().map(|device| device.id.clone()).collect();
    let port = StreamPort {
        devices,
        serial: port::serial::settings(&setup.link),
    };
    let machine = stream_machine(setup.protocol, port).ok_or_else(|| BusError::Protocol {
        bus: setup.id.clone(),
        protocol: setup.protocol,
    })?;
    let stream = stream::Stream::new(ids, machine);
    Ok(task::start(setup, stream, clock, events, opener, timer))
}

fn devices_of(setup: &BusSetup, library: &Library) -> Result<Vec<StreamDevice>, BusError> {
    let of = |device: &DeviceSetup| {
        let profile = library.get(&device.profile).ok_or_else(|| BusError::Profile {
            device: device.id.clone(),
            profile: device.profile.clone(),
        })?;
        let setup = device.clone();
        Ok(StreamDevice { setup, profile })
    };
    setup.devices.iter().map(of).collect()
}

/// A driver for each device of a Modbus port.
fn hosts(setup: &BusSetup, devices: Vec<StreamDevice>, seed: u64) -> modbus::Hosts {
    let host = |(
        index,
        StreamDevice {
            setup: device,
            profile,
        },
    ): (u64, StreamDevice)| {
        let cost = link_cost(setup, &profile);
        let driver = Driver::new(profile, &device, cost, seed.wrapping_add(index));
        modbus::Host::new(&device, setup.timeout, Box::new(driver))
    };
    modbus::Hosts::new((0..).zip(devices).map(host).collect())
}

/// What the read planner knows of the wire and of the silence before each request to this device: a longer one than
/// the line's own costs every read as much as a slower device would.
fn link_cost(setup: &BusSetup, profile: &Profile) -> LinkCost {
    let micros = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    let line = port::serial::Pace::of(&setup.link, Duration::ZERO);
    let gap = profile.link().min_gap.max(setup.min_gap);
    let least = Duration::from_micros(1);
    LinkCost {
        char_us: micros(line.char.max(least)),
        silence_us: micros(line.silence),
        think_us: micros(THINK + gap.saturating_sub(line.silence)),
    }
}
