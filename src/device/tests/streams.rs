//! What tests of stream machines share: a machine of a shipped profile, its inputs and effects.

use crate::device::{
    Library, Profile, Serial, StreamDevice, StreamEffect, StreamInput, StreamMachine, StreamPort,
    stream_machine,
};
use crate::domain::{
    DeviceFact, DeviceId, DeviceSetup, DriveError, Mono, Now, Observation, Parity, Phase, Quantity,
};
use std::sync::Arc;

/// A machine and what it said.
pub(in crate::device) struct Bench {
    pub machine: Box<dyn StreamMachine>,
    pub now: u64,
    pub effects: Vec<StreamEffect>,
}

pub(in crate::device) fn device(profile: Arc<Profile>, address: Option<&str>) -> StreamDevice {
    let setup = DeviceSetup {
        id: DeviceId::new("meter"),
        profile: profile.id().to_owned(),
        unit: 1,
        address: address.map(str::to_owned),
        connector: 1,
        poll: None,
        timeout: None,
        watchdog_timeout: None,
        watchdog_feed: None,
        failsafe_current: None,
        accept_no_failsafe: false,
        supply: None,
    };
    StreamDevice { setup, profile }
}

impl Bench {
    /// The machine of a shipped profile on an open port, at 1 s.
    pub fn shipped(id: &str) -> Self {
        let profile = Library::builtin()
            .get(id)
            .unwrap_or_else(|| panic!("{id} is shipped"));
        Self::of(vec![device(profile, None)], true)
    }

    pub fn of(devices: Vec<StreamDevice>, serial: bool) -> Self {
        let profile = devices[0].profile.clone();
        let port = StreamPort {
            serial: profile.link().serial.filter(|_| serial),
            devices,
        };
        let machine = stream_machine(profile.protocol(), port).expect("a machine");
        let mut bench = Self {
            machine,
            now: 1_000,
            effects: Vec::new(),
        };
        bench.input(StreamInput::PortBack);
        bench
    }

    pub fn input(&mut self, input: StreamInput) {
        let now = Now {
            mono: Mono(self.now),
            ..Now::default()
        };
        self.machine.handle(now, input);
        while let Some(effect) = self.machine.poll() {
            self.effects.push(effect);
        }
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.input(StreamInput::Bytes(bytes.to_vec()));
    }

    /// Lets time pass, with every deadline kept.
    pub fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        while let Some((at, why)) = self.machine.next_deadline().filter(|(at, _)| at.0 <= end) {
            let stuck = (self.now == at.0).then_some(why);
            self.now = self.now.max(at.0);
            self.input(StreamInput::Tick);
            let next = self.machine.next_deadline().map(|(at, _)| at);
            assert!(stuck.is_none() || next != Some(at), "{stuck:?} does not move on");
        }
        self.now = end;
    }

    /// The effects since the last call.
    pub fn take(&mut self) -> Vec<StreamEffect> {
        std::mem::take(&mut self.effects)
    }

    /// Readings since the last call, in milli-units.
    pub fn readings(&mut self) -> Vec<(Quantity, Phase, i64)> {
        readings(&self.take())
    }

    /// The one reading of a kind since the last call.
    pub fn reading(&mut self, quantity: Quantity, phase: Phase) -> Option<i64> {
        let all = self.readings();
        let mut fits = all
            .iter()
            .filter(|reading| (reading.0, reading.1) == (quantity, phase));
        let found = fits.next().map(|reading| reading.2);
        assert!(fits.next().is_none(), "{quantity:?} twice");
        found
    }
}

pub(in crate::device) fn readings(effects: &[StreamEffect]) -> Vec<(Quantity, Phase, i64)> {
    let mut found = Vec::new();
    for effect in effects {
        if let StreamEffect::Observed { observations, .. } = effect {
            for observation in observations {
                if let Observation::Reading(reading) = observation {
                    found.push((reading.quantity, reading.phase, reading.milli));
                }
            }
        }
    }
    found
}

pub(in crate::device) fn facts(effects: &[StreamEffect]) -> Vec<(DeviceFact, String)> {
    let mut found = Vec::new();
    for effect in effects {
        if let StreamEffect::Observed { observations, .. } = effect {
            for observation in observations {
                if let Observation::Fact(fact, text) = observation {
                    found.push((*fact, text.clone()));
                }
            }
        }
    }
    found
}

pub(in crate::device) fn links(effects: &[StreamEffect]) -> Vec<(bool, Option<DriveError>)> {
    let mut found = Vec::new();
    for effect in effects {
        if let StreamEffect::Link { up, cause, .. } = effect {
            found.push((*up, cause.clone()));
        }
    }
    found
}

pub(in crate::device) fn serial(baud: u32) -> Serial {
    Serial {
        baud,
        parity: Parity::Even,
        data_bits: 7,
        stop_bits: 1,
        framing: crate::device::SerialFraming::Rtu,
    }
}
