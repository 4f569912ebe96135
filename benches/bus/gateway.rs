//! The daemon's own bus task with its own drivers, as the daemon starts them: only the profile is the bench's, because
//! no shipped device has enough registers to fill a line.

use super::kit::Outcome;
use retrovolt::bus::{self, BusHandle, FromBus, ToBus};
use retrovolt::device::Library;
use retrovolt::domain::{BusId, BusSetup, DeviceId, DeviceSetup, Link, Parity};
use retrovolt::sim::clock::RealClock;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// Blocks of each device: all devices together have more than a line of 115,200 baud can carry in the shortest
/// poll period (15), so that the line is always full.
pub fn blocks(slaves: u8) -> u16 {
    (40 / u16::from(slaves)).max(3)
}

/// A running bus. Dropping it ends it.
pub struct Master {
    runtime: Runtime,
    bus: Option<BusHandle>,
    readings: Arc<AtomicU64>,
}

/// A meter of so many blocks of ten registers that cannot be read together.
pub fn profile(blocks: u16) -> String {
    let mut text = String::from(
        r#"
format = 1
id = "bench-meter"
kind = "meter"
vendor = "Bench"
models = ["Bench"]
phases = 1
source = ["made up for the bench"]

[link]
serial = { baud = 9600, parity = "even" }
unit = 1
timeout_ms = 1000
min_gap_ms = 0
poll_ms = 100
max_read_regs = 10

[defaults]
fc = 4

[points]
"#,
    );
    for block in 0..blocks {
        let at = block * 20;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "a{block} = {{ at = {at}, type = \"u64\", quantity = \"energy_import\" }}\n\
             b{block} = {{ at = {}, type = \"u64\", quantity = \"energy_export\" }}\n\
             c{block} = {{ at = {}, type = \"i32\", quantity = \"power\" }}",
            at + 4,
            at + 8,
        );
    }
    text
}

impl Master {
    /// Polls units 1 to `slaves`.
    pub fn start(path: PathBuf, baud: u32, slaves: u8) -> Outcome<Self> {
        Self::with(&profile(blocks(slaves)), path, baud, slaves)
    }

    /// Polls units 1 to `slaves` by a profile named `bench-meter`.
    pub fn with(profile: &str, path: PathBuf, baud: u32, slaves: u8) -> Outcome<Self> {
        let mut library = Library::builtin();
        library
            .add("bench.toml", profile)
            .map_err(|errors| format!("{errors:?}"))?;
        // As `retrovolt run` does it.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let (events, from) = mpsc::channel(256);
        let readings = Arc::new(AtomicU64::new(0));
        let bus = {
            let _inside = runtime.enter();
            tokio::spawn(count(from, Arc::clone(&readings)));
            bus::spawn(
                setup(path, baud, slaves),
                &library,
                Arc::new(RealClock::start()),
                events,
                1,
            )?
        };
        Ok(Self {
            runtime,
            bus: Some(bus),
            readings,
        })
    }

    /// Blocks that came out as readings so far.
    pub fn readings(&self) -> u64 {
        self.readings.load(Ordering::Relaxed)
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        if let Some(bus) = self.bus.take() {
            // A bus that has ended already needs no telling.
            self.runtime.block_on(async {
                let _ = bus.to.send(ToBus::Stop).await;
                let _ = bus.join.await;
            });
        }
    }
}

async fn count(mut from: mpsc::Receiver<FromBus>, readings: Arc<AtomicU64>) {
    while let Some(event) = from.recv().await {
        if let FromBus::Observed { observations, .. } = event {
            // Three values a block; what the bus merged for a slow listener counts as often as it was read.
            readings.fetch_add(
                u64::try_from(observations.len()).unwrap_or(0) / 3,
                Ordering::Relaxed,
            );
        }
    }
}

fn setup(path: PathBuf, baud: u32, slaves: u8) -> BusSetup {
    let device = |unit: u8| DeviceSetup {
        address: None,
        id: DeviceId::new(format!("meter-{unit}")),
        profile: "bench-meter".into(),
        unit,
        connector: 1,
        poll: None,
        timeout: None,
        watchdog_timeout: None,
        watchdog_feed: None,
        failsafe_current: None,
        accept_no_failsafe: false,
        supply: None,
    };
    BusSetup {
        protocol: retrovolt::domain::Protocol::Modbus,
        framing: retrovolt::domain::Framing::Rtu,
        id: BusId::new("bench"),
        link: Link::Serial {
            path,
            baud,
            parity: Parity::Even,
            data_bits: 8,
            stop_bits: 1,
            echo: false,
        },
        min_gap: Duration::ZERO,
        timeout: Duration::from_secs(1),
        reopen_wait: Duration::from_secs(1),
        devices: (1..=slaves).map(device).collect(),
    }
}
