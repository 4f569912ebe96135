//! The far end of a bus: simulated devices behind a simulated line, under tokio's paused clock.

use crate::domain::{Clock, Mono};
use crate::sim::slave::{Answer, Units};
use crate::sim::{DeviceSpec, Flow, SimDevice, Wire, WireRules};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};

/// The world moves in steps of this.
const STEP_MS: u64 = 100;

/// A charger and the meter behind it.
pub(super) struct Houses {
    clock: Arc<dyn Clock>,
    now: Mono,
    pub(super) charger: SimDevice,
    pub(super) meter: SimDevice,
    /// The meter answers, but with what it had measured before.
    pub(super) meter_frozen: bool,
    /// When each unit was last asked.
    pub(super) asked: BTreeMap<u8, Mono>,
}

impl Houses {
    /// Runs the devices up to the present.
    fn catch_up(&mut self) {
        let present = self.clock.now().mono;
        while self.now.0 + STEP_MS <= present.0 {
            self.now = Mono(self.now.0 + STEP_MS);
            self.charger.body.step(self.now, STEP_MS.cast_signed());
            if !self.meter_frozen {
                let flow: Flow = self.charger.body.flow;
                self.meter.body.carry(flow, STEP_MS.cast_signed());
            }
        }
    }
}

/// The line and its devices; clones are the same.
#[derive(Clone)]
pub(super) struct Street {
    houses: Arc<Mutex<Houses>>,
    wire: Arc<Mutex<Wire>>,
    clock: Arc<dyn Clock>,
    origin: Instant,
}

struct Behind(Arc<Mutex<Houses>>);

impl Units for Behind {
    fn call(&mut self, unit: u8, pdu: &[u8]) -> Option<Answer> {
        let mut houses = self.0.lock().expect("no test panics here");
        houses.catch_up();
        let now = houses.now;
        houses.asked.insert(unit, now);
        let device = match unit {
            1 => &mut houses.charger,
            2 => &mut houses.meter,
            _ => return None,
        };
        device.call(now, pdu)
    }
}

impl Street {
    pub(super) fn new(
        charger: DeviceSpec,
        meter: DeviceSpec,
        rules: WireRules,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let houses = Arc::new(Mutex::new(Houses {
            now: clock.now().mono,
            charger: SimDevice::new(charger, clock.now().mono),
            meter: SimDevice::new(meter, clock.now().mono),
            clock: Arc::clone(&clock),
            meter_frozen: false,
            asked: BTreeMap::new(),
        }));
        let wire = Wire::new(rules, Box::new(Behind(Arc::clone(&houses))));
        Self {
            houses,
            wire: Arc::new(Mutex::new(wire)),
            clock,
            origin: Instant::now(),
        }
    }

    /// The devices as they are now.
    pub(super) fn houses(&self) -> MutexGuard<'_, Houses> {
        let mut houses = self.houses.lock().expect("no test panics here");
        houses.catch_up();
        houses
    }

    pub(super) fn wire(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().expect("no test panics here")
    }

    pub(super) fn now(&self) -> Mono {
        self.clock.now().mono
    }

    fn nanos(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).expect("short tests")
    }

    /// Carries bytes both ways, for every opening of the port.
    pub(super) async fn run(self, mut openings: UnboundedReceiver<DuplexStream>) {
        while let Some(far) = openings.recv().await {
            self.serve(far).await;
        }
    }

    async fn serve(&self, mut far: DuplexStream) {
        let mut chunk = [0; 256];
        loop {
            let due = self.wire().due();
            let at = due.map_or(self.origin + Duration::from_secs(1 << 30), |ns| {
                self.origin + Duration::from_nanos(ns)
            });
            tokio::select! {
                heard = far.read(&mut chunk) => match heard.expect("duplex") {
                    0 => return,
                    count => self.wire().arrived(self.nanos(), &chunk[..count], true),
                },
                () = sleep_until(at) => {
                    let bytes = self.wire().poll(self.nanos());
                    if let Some(bytes) = bytes && far.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}
