//! A second account of the limits, kept beside the gateway and simpler than it: never stricter than what holds, so
//! that whatever goes beyond it is wrong.

use crate::site::{EVSE_MAX, FUSE, Place, charger_of, places};
use crate::south::World;
use retrovolt::domain::{ChargingProfile, Command, CpId, DeviceCommand, EvseId, MilliAmps, ProfilePurpose};
use std::collections::BTreeMap;

/// The account.
#[derive(Debug, Default)]
pub struct Account {
    grants: BTreeMap<Place, MilliAmps>,
    profiles: Vec<Entry>,
    /// What the chargers offered when last looked at.
    offered: BTreeMap<Place, MilliAmps>,
    /// What a charger that has fallen back offered before.
    fallen: BTreeMap<Place, MilliAmps>,
    /// Commands judged that offer current.
    pub judged: u64,
    /// Most that was ever offered to vehicles together.
    pub most: MilliAmps,
}

/// A charging profile that is or may be in force.
#[derive(Debug)]
struct Entry {
    cp: CpId,
    evse: Option<EvseId>,
    profile: ChargingProfile,
    /// It is. Otherwise a kill decides: it is not confirmed, or what takes it away is not.
    sure: bool,
}

impl Entry {
    /// Whether a profile that is set takes its place.
    fn gives_way(&self, cp: &CpId, evse: Option<EvseId>, profile: &ChargingProfile) -> bool {
        let slot = |of: &ChargingProfile| (of.purpose, of.stack_level);
        self.cp == *cp
            && (self.profile.id == profile.id || (self.evse == evse && slot(&self.profile) == slot(profile)))
    }
}

impl Account {
    /// A new run: the fuse has granted nothing. Accepted profiles are durable.
    pub fn restart(&mut self) {
        self.grants.clear();
    }

    /// The fuse has spoken.
    pub fn granted(&mut self, place: Place, amps: MilliAmps) {
        self.grants.insert(place, amps);
    }

    /// The CSMS asks: until it is answered it is not sure what is in force.
    pub fn asked(&mut self, cp: &CpId, command: &Command) {
        match command {
            Command::SetProfile { evse, profile } => {
                for entry in &mut self.profiles {
                    entry.sure &= !entry.gives_way(cp, *evse, profile);
                }
                self.profiles.push(Entry {
                    cp: cp.clone(),
                    evse: *evse,
                    profile: profile.clone(),
                    sure: false,
                });
            }
            Command::ClearProfiles(_) => {
                let own = self.profiles.iter_mut().filter(|entry| entry.cp == *cp);
                own.for_each(|entry| entry.sure = false);
            }
            _ => {}
        }
    }

    /// The station accepted, which it says only when it is durable.
    pub fn answered(&mut self, cp: &CpId, command: &Command) {
        match command {
            Command::SetProfile { evse, profile } => {
                self.profiles.retain(|entry| !entry.gives_way(cp, *evse, profile));
                self.profiles.push(Entry {
                    cp: cp.clone(),
                    evse: *evse,
                    profile: profile.clone(),
                    sure: true,
                });
            }
            Command::ClearProfiles(_) => self.profiles.retain(|entry| entry.cp != *cp || entry.sure),
            _ => {}
        }
    }

    /// The most an EVSE may be told.
    pub fn allowed(&self, place: &Place) -> MilliAmps {
        let granted = self.grants.get(place).copied().unwrap_or_default();
        // The highest that is sure, or what may stand above it. Where none is sure there may be none.
        let prevailing = |purpose: ProfilePurpose| {
            let of = |entry: &&Entry| {
                entry.cp == place.0
                    && entry.evse.is_none_or(|evse| evse == place.1)
                    && entry.profile.purpose == purpose
            };
            let rank = |entry: &&Entry| (entry.profile.stack_level, entry.evse.is_some());
            let amps = |entry: &Entry| MilliAmps(entry.profile.schedule.periods[0].limit_milli);
            let own = || self.profiles.iter().filter(of);
            let sure = own().filter(|entry| entry.sure).max_by_key(rank)?;
            let above = own().filter(|entry| !entry.sure && rank(entry) >= rank(&sure));
            Some(above.map(amps).fold(amps(sure), MilliAmps::max))
        };
        [ProfilePurpose::ChargePointMax, ProfilePurpose::TxDefault]
            .into_iter()
            .filter_map(prevailing)
            .fold(EVSE_MAX.min(granted), MilliAmps::min)
    }

    /// A command leaves a station.
    pub fn judge_command(&mut self, place: &Place, command: DeviceCommand, at: u64) {
        if let DeviceCommand::Limit(amps) = command
            && amps > MilliAmps::ZERO
        {
            let most = self.allowed(place);
            self.judged += 1;
            assert!(
                amps <= most,
                "{at}: {place:?} is told {amps} where {most} is allowed"
            );
        }
    }

    /// A charger took a write: nobody is raised above what holds, nor all together above the fuse.
    pub fn judge_world(&mut self, world: &World, at: u64) {
        let mut sum = MilliAmps::ZERO;
        let mut raised = None;
        for place in places() {
            let device = charger_of(&place);
            let plugged = world.devices[device].body.ev.is_some();
            let offered = world.offered(device);
            sum = sum + if plugged { offered } else { MilliAmps::ZERO };
            let before = self.offered.insert(place.clone(), offered).unwrap_or(offered);
            let fallen = world.fallback(device);
            if plugged && offered > before {
                // By itself: to its fallback, or, asked again, from there to what it was told before.
                let back = self.fallen.get(&place).copied();
                let most = self.allowed(&place).max(fallen.or(back).unwrap_or_default());
                assert!(
                    offered <= most,
                    "{at}: {place:?} offers {offered} where {most} is allowed"
                );
                raised = Some(place.clone());
            }
            match fallen {
                Some(_) => {
                    self.fallen.entry(place).or_insert(before);
                }
                None => {
                    self.fallen.remove(&place);
                }
            }
        }
        if let Some(place) = raised {
            self.most = self.most.max(sum);
            assert!(
                sum <= FUSE,
                "{at}: {place:?} is raised and all together get {sum} from a fuse of {FUSE}"
            );
        }
    }
}
