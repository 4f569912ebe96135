//! A charger with its vehicle and its meter, as simple as can be.

use retrovolt::domain::*;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Outlet {
    pub limit: MilliAmps,
    pub enabled: bool,
    pub plugged: bool,
    /// The vehicle asks for current.
    pub hungry: bool,
    /// Billing register, mWh.
    pub meter: i64,
    /// It answers on its bus.
    pub link: bool,
    pub fault: Option<FaultKind>,
    /// What an unlock comes to.
    pub lock: Result<(), DriveError>,
    /// Unlocks ordered.
    pub unlocks: u32,
}

impl Default for Outlet {
    fn default() -> Self {
        Self {
            limit: MilliAmps(16_000),
            enabled: false,
            plugged: false,
            hungry: true,
            meter: 1_000_000_000,
            link: true,
            fault: None,
            lock: Ok(()),
            unlocks: 0,
        }
    }
}

impl Outlet {
    pub fn offers(&self) -> bool {
        self.enabled && self.limit.0 > 0
    }

    fn state(&self) -> VehicleState {
        match (self.fault, self.plugged, self.offers(), self.hungry) {
            (Some(kind), ..) => VehicleState::Fault(kind),
            (_, false, ..) => VehicleState::Absent,
            (_, true, false, _) => VehicleState::Connected,
            (_, true, true, false) => VehicleState::Ready,
            (_, true, true, true) => VehicleState::Charging,
        }
    }

    fn power_mw(&self) -> i64 {
        if self.state() == VehicleState::Charging {
            self.limit.0 * 230 * 3
        } else {
            0
        }
    }

    /// Energy flows.
    pub fn flow(&mut self, ms: u64) {
        self.meter += self.power_mw() * i64::try_from(ms).expect("short") / 3_600_000;
    }

    /// The answer to a poll.
    pub fn observations(&self, now: Mono) -> Vec<Observation> {
        let reading = |quantity, phase, milli| {
            Observation::Reading(Reading {
                quantity,
                phase,
                milli,
                quality: Quality::Good,
                taken_at: now,
            })
        };
        let power = self.power_mw();
        let amps = if power > 0 { self.limit.0 } else { 0 };
        let back = if self.enabled { self.limit } else { MilliAmps::ZERO };
        let (state, raw) = (self.state(), 7);
        vec![
            Observation::Vehicle { state, raw },
            Observation::LimitReadBack(back),
            reading(Quantity::EnergyImport, Phase::Total, self.meter),
            reading(Quantity::Power, Phase::Total, power),
            reading(Quantity::Current, Phase::L1, amps),
            reading(Quantity::Voltage, Phase::L1, 230_000),
        ]
    }

    /// A command reaches it.
    pub fn drive(&mut self, command: DeviceCommand) -> Result<(), DriveError> {
        if !self.link {
            return Err(DriveError::Timeout(Duration::from_millis(500)));
        }
        match command {
            DeviceCommand::Limit(amps) => self.limit = amps,
            DeviceCommand::Enable(on) => self.enabled = on,
            DeviceCommand::SafeState => self.enabled = false,
            DeviceCommand::Unlock => {
                self.unlocks += 1;
                return self.lock.clone();
            }
            DeviceCommand::ArmWatchdog | DeviceCommand::Phases(_) => {}
        }
        Ok(())
    }
}

/// A drive as a line.
pub fn told(evse: EvseId, command: DeviceCommand) -> String {
    match command {
        DeviceCommand::Limit(amps) => format!("~ {evse} limit {amps}"),
        DeviceCommand::Enable(true) => format!("~ {evse} enable"),
        DeviceCommand::Enable(false) => format!("~ {evse} disable"),
        DeviceCommand::Unlock => format!("~ {evse} unlock"),
        DeviceCommand::ArmWatchdog => format!("~ {evse} arm"),
        DeviceCommand::Phases(phases) => format!("~ {evse} phases {phases}"),
        DeviceCommand::SafeState => format!("~ {evse} safe"),
    }
}
