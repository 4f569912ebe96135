//! Stories of a bus in simulated time, over a line in memory.

mod ascii;
mod auto;
mod cost;
mod late;
mod line;
mod stop;
mod stream;
mod tally;

use super::modbus::{Host, Hosts, Machine};
use super::port::{Opener, Wire};
use super::timer::Timer;
use super::{BusHandle, FromBus, ToBus, devices_of, frame, hosts, task};
use crate::device::Library;
use crate::domain::{
    BusId, BusSetup, Clock, DeviceId, DeviceSetup, Framing, Link, Mono, Now, Parity, Protocol,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// tokio's clock as the house's clock.
pub(crate) struct TokioClock(pub(crate) Instant);

impl Clock for TokioClock {
    fn now(&self) -> Now {
        let ms = self.0.elapsed().as_millis();
        Now {
            mono: Mono(u64::try_from(ms).expect("short tests")),
            ..Now::default()
        }
    }
}

pub(crate) fn serial(baud: u32) -> Link {
    Link::Serial {
        path: PathBuf::from("in-memory"),
        baud,
        parity: Parity::None,
        data_bits: 8,
        stop_bits: 1,
        echo: false,
    }
}

pub(crate) fn device(unit: u8) -> DeviceSetup {
    DeviceSetup {
        id: DeviceId::new(format!("unit-{unit}")),
        profile: String::new(),
        unit,
        address: None,
        connector: 1,
        poll: None,
        timeout: None,
        watchdog_timeout: None,
        watchdog_feed: None,
        failsafe_current: None,
        accept_no_failsafe: false,
        supply: None,
    }
}

/// Starts a bus of scripted machines on a line in memory; the far end of each opening comes out of the channel.
fn start(
    baud: u32,
    timeout: Duration,
    machines: Vec<(u8, Box<dyn Machine>)>,
    events: mpsc::Sender<FromBus>,
) -> (BusHandle, mpsc::UnboundedReceiver<DuplexStream>) {
    let setup = BusSetup {
        id: BusId::new("bus"),
        link: serial(baud),
        protocol: Protocol::Modbus,
        framing: Framing::Rtu,
        min_gap: Duration::ZERO,
        timeout,
        reopen_wait: Duration::from_secs(1),
        devices: machines.iter().map(|(unit, _)| device(*unit)).collect(),
    };
    let hosts: Vec<Host> = setup
        .devices
        .iter()
        .zip(machines)
        .map(|(device, (_, machine))| Host::new(device, timeout, machine))
        .collect();
    let (opener, far) = in_memory();
    let clock = Arc::new(TokioClock(Instant::now()));
    (
        task::start(setup, Hosts::new(hosts), clock, events, opener, || {
            Ok(Timer::tokio())
        }),
        far,
    )
}

/// A bus of the drivers of its set-up on a line in memory, to be spawned.
#[allow(clippy::type_complexity, reason = "the parts of a bus, for one caller")]
pub(crate) fn prepare(
    setup: BusSetup,
    library: &Library,
    clock: Arc<dyn Clock>,
    events: mpsc::Sender<FromBus>,
) -> (
    mpsc::Sender<ToBus>,
    watch::Receiver<Mono>,
    impl Future<Output = ()> + Send + 'static,
    mpsc::UnboundedReceiver<DuplexStream>,
) {
    let devices = devices_of(&setup, library).expect("shipped profiles");
    let hosts = hosts(&setup, devices, 1);
    let (opener, far) = in_memory();
    let (outside, task) = task::prepare(setup, hosts, clock, events, opener, || Ok(Timer::tokio()));
    (outside.to, outside.heartbeat, task, far)
}

/// Opens a line in memory; the far end of each opening comes out of the channel.
fn in_memory() -> (Opener, mpsc::UnboundedReceiver<DuplexStream>) {
    let (far_ends, far) = mpsc::unbounded_channel();
    let opener: Opener = Box::new(move || {
        let (near, far) = tokio::io::duplex(4096);
        let sent = far_ends.send(far);
        Box::pin(async move {
            sent.map_err(|_| std::io::ErrorKind::NotFound)?;
            Ok(Box::new(near) as Box<dyn Wire>)
        })
    });
    (opener, far)
}

/// Body and checksum.
fn sealed(mut body: Vec<u8>) -> Vec<u8> {
    let crc = frame::crc16(&body);
    body.extend_from_slice(&crc.to_le_bytes());
    body
}
