//! Contacts of the site: emergency stop, tamper contact, dimming by the grid operator.
//!
//! Rules:
//! * An emergency stop ends the transaction at once, and with it everything that waits to begin. Its release begins
//!   nothing (ISO 13850): the session is over, as after any other end with the vehicle still there, and the next one
//!   needs a new act: a card, a remote start, or, where nobody is asked, the plug.
//! * A housing is told of once per opening; one that is found open when the process starts has been opened.
//! * What is not seen is not safe. Without its emergency stop an EVSE offers nothing and begins nothing; a
//!   transaction waits for the lines to come back. Without the contact of the grid operator it is dimmed.

use super::Station;
use crate::domain::{
    Batch, BootId, DeviceId, Event, EvseId, EvseSetup, GpioSignal, SecurityEvent, StopReason,
};
use std::collections::{BTreeMap, BTreeSet};

/// How a contact stands; of several the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// At rest, or there is none.
    Idle,
    /// Not heard of yet in this run.
    Unheard,
    /// Its lines are lost.
    Lost,
    /// Active.
    Active,
}

impl Standing {
    /// Whether all contacts are seen and at rest.
    pub(super) fn is_idle(self) -> bool {
        self == Self::Idle
    }

    /// How a contact of an EVSE stands before anything was heard.
    pub(super) fn of_unheard(setup: &EvseSetup, signal: GpioSignal) -> Self {
        Contacts::default().standing(setup, signal)
    }
}

/// What is known of all contacts.
#[derive(Debug, Default)]
pub(super) struct Contacts {
    lines: BTreeMap<DeviceId, Lines>,
    /// Open housings, and the run in which that was told.
    open: BTreeMap<DeviceId, BootId>,
}

/// The contacts of one device.
#[derive(Debug)]
enum Lines {
    Seen(BTreeMap<GpioSignal, bool>),
    Lost,
}

impl Contacts {
    /// Takes back that a housing was told open.
    pub(super) fn restore(&mut self, device: &str, boot: &str) {
        if let Ok(boot) = boot.parse() {
            self.open.insert(DeviceId::new(device), BootId(boot));
        }
    }

    /// How a contact stands for an EVSE.
    fn standing(&self, setup: &EvseSetup, signal: GpioSignal) -> Standing {
        let wired = setup.contacts.iter().filter(|c| c.signals.contains(&signal));
        wired
            .map(|contacts| match self.lines.get(&contacts.device) {
                None => Standing::Unheard,
                Some(Lines::Lost) => Standing::Lost,
                Some(Lines::Seen(levels)) => match levels.get(&signal) {
                    None => Standing::Unheard,
                    Some(false) => Standing::Idle,
                    Some(true) => Standing::Active,
                },
            })
            .max()
            .unwrap_or(Standing::Idle)
    }

    fn read(&mut self, device: &DeviceId, signal: GpioSignal, active: bool) {
        let lines = self.lines.entry(device.clone()).or_insert(Lines::Lost);
        match lines {
            Lines::Seen(levels) => {
                levels.insert(signal, active);
            }
            Lines::Lost => *lines = Lines::Seen(BTreeMap::from([(signal, active)])),
        }
    }
}

impl Station {
    /// A device told how its contacts stand.
    pub(super) fn contacts_read(&mut self, device: &DeviceId, levels: &[(GpioSignal, bool)]) {
        for (signal, active) in levels {
            self.contacts.read(device, *signal, *active);
            // One that was pressed and released within one turn was pressed.
            self.heed_contacts();
            if *signal == GpioSignal::Tamper && self.is_wired(device, *signal) {
                self.housing(device, *active);
            }
        }
    }

    /// The lines of a device are gone.
    pub(super) fn contacts_lost(&mut self, device: &DeviceId) {
        self.contacts.lines.insert(device.clone(), Lines::Lost);
        self.heed_contacts();
    }

    fn is_wired(&self, device: &DeviceId, signal: GpioSignal) -> bool {
        self.evses.values().any(|evse| {
            let mut contacts = evse.setup.contacts.iter();
            contacts.any(|c| c.device == *device && c.signals.contains(&signal))
        })
    }

    /// Tells every EVSE how its contacts stand.
    fn heed_contacts(&mut self) {
        let mut stopped = BTreeSet::new();
        for (id, evse) in &mut self.evses {
            evse.dimming = self.contacts.standing(&evse.setup, GpioSignal::Dimming);
            evse.emergency = self.contacts.standing(&evse.setup, GpioSignal::EmergencyStop);
            if evse.emergency == Standing::Active {
                stopped.insert(*id);
            }
        }
        for id in stopped {
            self.stop_in_emergency(id);
        }
    }

    /// Ends what runs at an EVSE whose emergency stop is pressed, and what waits to begin. A vehicle that is there then
    /// counts as served until it leaves.
    pub(super) fn stop_in_emergency(&mut self, id: EvseId) {
        if self
            .evses
            .get(&id)
            .is_none_or(|e| e.emergency != Standing::Active)
        {
            return;
        }
        self.end_tx(id, StopReason::EmergencyStop, None);
        self.forget_starts(id);
        let Some(evse) = self.evses.get_mut(&id) else {
            return;
        };
        if evse.plugged != Some(false) && !evse.done {
            evse.done = true;
            let puts = vec![self.put_text(format!("done/{id}"), Some("1".to_owned()))];
            self.outbox.commit(Batch {
                puts,
                ..Batch::default()
            });
        }
    }

    fn housing(&mut self, device: &DeviceId, open: bool) {
        let boot = self.now.boot;
        let before = if open {
            self.contacts.open.insert(device.clone(), boot)
        } else {
            self.contacts.open.remove(device)
        };
        let news = if open {
            before != Some(boot)
        } else {
            before.is_some()
        };
        if !news {
            return;
        }
        let mut batch = Batch::default();
        if open {
            let info = format!("the tamper contact of {device} is open");
            let event = SecurityEvent::new("TamperDetectionActivated", Some(&info));
            batch
                .rows
                .push(self.row(self.now.stamp(), Event::Security(event)));
        }
        let run = open.then(|| boot.0.to_string());
        batch.puts.push(self.put_text(format!("tamper/{device}"), run));
        self.outbox.commit(batch);
    }
}
