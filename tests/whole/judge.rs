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
    profiles: BTreeMap<(CpId, i32), (Option<EvseId>, ChargingProfile)>,
    /// What the chargers offered when last looked at.
    offered: BTreeMap<Place, MilliAmps>,
    /// What a charger that has fallen back offered before.
    fallen: BTreeMap<Place, MilliAmps>,
    /// Commands judged that offer current.
    pub judged: u64,
    /// Most that was ever offered to vehicles together.
    pub most: MilliAmps,
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

    /// The CSMS asks: whatever may be replaced counts no more.
    pub fn asked(&mut self, cp: &CpId, command: &Command) {
        match command {
            Command::SetProfile { evse, profile } => self.profiles.retain(|(owner, _), (at, old)| {
                let same =
                    (at == evse && old.purpose == profile.purpose && old.stack_level == profile.stack_level)
                        || old.id == profile.id;
                owner != cp || !same
            }),
            Command::ClearProfiles(_) => self.profiles.retain(|(owner, _), _| owner != cp),
            _ => {}
        }
    }

    /// The station accepted, which it says only when it is durable.
    pub fn answered(&mut self, cp: &CpId, command: &Command) {
        if let Command::SetProfile { evse, profile } = command {
            self.profiles
                .insert((cp.clone(), profile.id), (*evse, profile.clone()));
        }
    }

    /// The most an EVSE may be told.
    pub fn allowed(&self, place: &Place) -> MilliAmps {
        let granted = self.grants.get(place).copied().unwrap_or_default();
        let prevailing = |purpose: ProfilePurpose| {
            self.profiles
                .iter()
                .filter(|((cp, _), (evse, profile))| {
                    *cp == place.0 && evse.is_none_or(|e| e == place.1) && profile.purpose == purpose
                })
                .max_by_key(|(_, (evse, profile))| (profile.stack_level, evse.is_some()))
                .map(|(_, (_, profile))| MilliAmps(profile.schedule.periods[0].limit_milli))
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
