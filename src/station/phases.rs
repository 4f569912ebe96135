//! One phase or three, as somebody on the site has said. It outlives a restart.
//!
//! The driver pauses, switches and offers the current again, and switches once more when its device has lost what it was
//! told. The station tells it once; what failed is told again when the charger comes back, because each try is a pause.

use super::Station;
use super::evse::Evse;
use crate::domain::{Accepted, DeviceCommand, DriveError, EvseId};

/// What an EVSE's charger was told of phases.
#[derive(Debug, Default)]
pub(super) struct Switch {
    wanted: Option<u8>,
    told: Option<Told>,
    /// As confirmed by the charger.
    confirmed: Option<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    phases: u8,
    ticket: u64,
}

impl Switch {
    /// What is to be told now.
    fn due(&self) -> Option<u8> {
        self.wanted
            .filter(|wanted| self.told.map(|told| told.phases) != Some(*wanted))
    }

    /// The charger may have failed at it: it gets another chance.
    pub(super) fn back(&mut self) {
        if self.confirmed != self.wanted {
            self.told = None;
        }
    }

    /// A switch was carried out, or was not.
    pub(super) fn driven(&mut self, ticket: u64, result: &Result<(), DriveError>) {
        if let Some(told) = self.told.filter(|told| told.ticket == ticket) {
            self.confirmed = result.is_ok().then_some(told.phases).or(self.confirmed);
        }
    }

    /// Takes back what an earlier run was told.
    pub(super) fn restore(&mut self, value: &str) {
        self.wanted = value.parse().ok().filter(|phases| matches!(phases, 1 | 3));
    }
}

impl Evse {
    /// Phases the vehicle may use: those that are wired, but for a switch that the charger has confirmed.
    pub(super) fn phases_allowed(&self) -> u8 {
        let wired = self.setup.phases;
        self.switch.confirmed.map_or(wired, |phases| phases.min(wired))
    }
}

impl Station {
    /// `None`: as wired.
    pub(super) fn set_phases(&mut self, id: EvseId, phases: Option<u8>) -> Accepted {
        let Some(evse) = self.evses.get_mut(&id) else {
            return Accepted::No("no such EVSE");
        };
        if !evse.setup.switches_phases {
            return Accepted::No("this charger cannot switch phases");
        }
        if phases.is_some_and(|phases| !matches!(phases, 1 | 3)) {
            return Accepted::No("one phase or three can be used");
        }
        if phases.is_none() && evse.switch.wanted.is_none() {
            return Accepted::Yes;
        }
        let wanted = phases.unwrap_or(evse.setup.phases);
        // Whoever asks again has seen that it failed.
        evse.switch.told = evse.switch.told.filter(|_| evse.switch.confirmed == Some(wanted));
        evse.switch.wanted = Some(wanted);
        self.keep(format!("phases/{id}"), phases.map(|phases| phases.to_string()))
    }

    /// Tells the charger to switch, once its vehicle has been looked for.
    pub(super) fn switch_phases(&mut self, id: EvseId) {
        let Some(evse) = self.evses.get(&id) else { return };
        let waits = self.leaving || evse.wakes.is_some() || !evse.is_up(super::Role::Charger);
        let Some(phases) = evse.switch.due().filter(|_| !waits && evse.setup.switches_phases) else {
            return;
        };
        let ticket = self.drive(id, DeviceCommand::Phases(phases), false);
        if let Some(evse) = self.evses.get_mut(&id) {
            evse.switch.told = Some(Told { phases, ticket });
        }
    }
}
