//! Charging profiles: what is installed, and what it allows at a moment (OCPP 1.6 section 3.13, 5.16, errata 3.7-3.8,
//! 3.43-3.45; 2.0.1 block K).
//!
//! Rules:
//! * Same EVSE, purpose and stack level replaces; so does the same id.
//! * Per purpose the highest level that has something to say at the moment wins; a gap falls to the next level.
//! * A default of one EVSE hides the default of connector 0 at the same level.
//! * `Tx` overrules `TxDefault`; both are bounded by `ChargePointMax`.
//! * A `Tx` profile needs a running transaction and dies with it.
//! * Without a clock an absolute or recurring profile holds by its lowest period: nothing is delivered that the
//!   right time might forbid.

use crate::domain::{
    Accepted, ChargingProfile, ClearProfiles, EvseId, EvseSetup, LimitSource, MilliAmps, PROFILES_MAX,
    ProfileKind, ProfilePurpose, Put, RateUnit, Recurrency, SchedulePeriod,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most periods of a schedule.
const PERIODS_MAX: usize = 1024;

/// The moment a limit is asked for, which may lie ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Unix milliseconds.
    pub(super) unix_ms: i64,
    /// Whether `unix_ms` can be believed.
    pub(super) clock: bool,
    /// How long the transaction has run; zero where none runs.
    pub(super) into_tx_ms: i64,
}

impl Moment {
    /// The moment `ms` later.
    pub(super) fn after(self, ms: i64) -> Self {
        Self {
            unix_ms: self.unix_ms.saturating_add(ms),
            into_tx_ms: self.into_tx_ms.saturating_add(ms),
            ..self
        }
    }
}

/// What the profiles of one purpose allow at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ceiling {
    /// Unit of `milli`.
    pub(super) unit: RateUnit,
    /// Milliampere per phase or milliwatt in all.
    pub(super) milli: i64,
    /// Phases the period names; 3 where it names none (section 7.14).
    pub(super) phases: u8,
    /// Below this the vehicle charges badly, milli-units.
    pub(super) min_rate: Option<i64>,
    /// Which purpose.
    pub(super) source: LimitSource,
}

impl Ceiling {
    /// The ceiling in ampere per phase of an EVSE, by nominal voltage (section 7.12). No more phases are counted
    /// than the EVSE has: a total of 3.68 kW is 16 A on a single-phase one.
    pub(super) fn amps(&self, evse: &EvseSetup) -> MilliAmps {
        match self.unit {
            RateUnit::Amps => MilliAmps(self.milli),
            RateUnit::Watts => MilliAmps(self.milli / watts_per_amp(evse, self.phases)),
        }
    }
}

/// Watt that one ampere per phase makes at an EVSE with at most so many phases in use.
pub(super) fn watts_per_amp(evse: &EvseSetup, phases: u8) -> i64 {
    i64::from(evse.nominal_voltage.max(1)) * i64::from(phases.min(evse.phases).max(1))
}

/// What the profiles say about one EVSE at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ceilings {
    /// Of the transaction, by its own or a default profile.
    pub(super) tx: Option<Ceiling>,
    /// Of the charge point as a whole.
    pub(super) charge_point: Option<Ceiling>,
    /// Milliseconds until any of it may change; `i64::MAX`: never.
    pub(super) left_ms: i64,
}

type Key = (Option<EvseId>, ProfilePurpose, u32);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Installed {
    evse: Option<EvseId>,
    profile: ChargingProfile,
    /// When it was installed, Unix milliseconds: the anchor of a relative profile of the whole charge point.
    since_ms: i64,
}

/// The installed profiles.
#[derive(Debug, Default)]
pub(super) struct Smart {
    installed: BTreeMap<Key, Installed>,
}

impl Smart {
    /// Takes back what was stored under `profile/...`.
    pub(super) fn restore(&mut self, value: &str) {
        if let Ok(installed) = serde_json::from_str::<Installed>(value) {
            let key = (
                installed.evse,
                installed.profile.purpose,
                installed.profile.stack_level,
            );
            self.installed.insert(key, installed);
        }
    }

    /// Installs a checked profile; the puts make it last.
    pub(super) fn install(
        &mut self,
        scope: &str,
        evse: Option<EvseId>,
        profile: ChargingProfile,
        unix_ms: i64,
    ) -> Result<Vec<Put>, &'static str> {
        let key = (evse, profile.purpose, profile.stack_level);
        let same = |k: &Key, i: &Installed| i.profile.id == profile.id && *k != key;
        let old: Vec<Key> = self
            .installed
            .iter()
            .filter(|(k, i)| same(k, i))
            .map(|(k, _)| *k)
            .collect();
        if self.installed.len() - old.len() >= PROFILES_MAX && !self.installed.contains_key(&key) {
            return Err("too many charging profiles");
        }
        let mut puts: Vec<Put> = old.iter().map(|k| remove(scope, k)).collect();
        for k in old {
            self.installed.remove(&k);
        }
        let installed = Installed {
            evse,
            profile,
            since_ms: unix_ms,
        };
        puts.push(Put {
            scope: scope.to_owned(),
            key: key_text(&key),
            value: serde_json::to_string(&installed).ok(),
        });
        self.installed.insert(key, installed);
        Ok(puts)
    }

    /// Removes what matches; nothing matched gives no puts.
    pub(super) fn clear(&mut self, scope: &str, which: &ClearProfiles) -> Vec<Put> {
        self.remove_where(scope, |i| match which.id {
            Some(id) => i.profile.id == id,
            None => {
                which.evse.is_none_or(|evse| evse == i.evse)
                    && which.purpose.is_none_or(|purpose| purpose == i.profile.purpose)
                    && which
                        .stack_level
                        .is_none_or(|level| level == i.profile.stack_level)
            }
        })
    }

    /// The transaction of an EVSE is over: its profiles go with it.
    pub(super) fn end_of_tx(&mut self, scope: &str, evse: EvseId) -> Vec<Put> {
        self.remove_where(scope, |i| {
            i.evse == Some(evse) && i.profile.purpose == ProfilePurpose::Tx
        })
    }

    /// What holds for an EVSE at a moment.
    pub(super) fn ceilings(&self, evse: EvseId, moment: Moment) -> Ceilings {
        let mut left_ms = i64::MAX;
        let mut of = |purpose| {
            let (ceiling, left) = self.prevailing(evse, purpose, moment);
            left_ms = left_ms.min(left);
            ceiling
        };
        let own = of(ProfilePurpose::Tx);
        let default = of(ProfilePurpose::TxDefault);
        let charge_point = of(ProfilePurpose::ChargePointMax);
        Ceilings {
            tx: own.or(default),
            charge_point,
            left_ms,
        }
    }

    /// The unit of the first installed profile, for answers where none is asked for.
    pub(super) fn usual_unit(&self) -> Option<RateUnit> {
        self.installed.values().next().map(|i| i.profile.schedule.unit)
    }

    fn prevailing(&self, evse: EvseId, purpose: ProfilePurpose, m: Moment) -> (Option<Ceiling>, i64) {
        let mut levels: BTreeMap<u32, &Installed> = BTreeMap::new();
        for installed in self.installed.values().filter(|i| i.profile.purpose == purpose) {
            let level = installed.profile.stack_level;
            let here = installed.evse.is_none() || installed.evse == Some(evse);
            let hidden = installed.evse.is_none() && levels.get(&level).is_some_and(|l| l.evse.is_some());
            if here && !hidden {
                levels.insert(level, installed);
            }
        }
        let mut left = i64::MAX;
        let mut found = None;
        for installed in levels.values().rev() {
            let slot = slot(installed, m);
            left = left.min(slot.left_ms);
            if found.is_none() {
                found = slot.period.map(|p| ceiling(&installed.profile, p));
            }
        }
        (found, left)
    }

    fn remove_where(&mut self, scope: &str, matches: impl Fn(&Installed) -> bool) -> Vec<Put> {
        let keys: Vec<Key> = self
            .installed
            .iter()
            .filter(|(_, i)| matches(i))
            .map(|(k, _)| *k)
            .collect();
        for key in &keys {
            self.installed.remove(key);
        }
        keys.iter().map(|k| remove(scope, k)).collect()
    }
}

/// Whether a profile can be used at all, apart from where it is to go.
pub(super) fn check(profile: &ChargingProfile) -> Accepted {
    let schedule = &profile.schedule;
    if schedule.periods.first().is_none_or(|p| p.start_s != 0) {
        return Accepted::No("the first period must start at 0");
    }
    if schedule.periods.windows(2).any(|w| w[0].start_s >= w[1].start_s) {
        return Accepted::No("periods must ascend");
    }
    if schedule.periods.len() > PERIODS_MAX {
        return Accepted::No("too many periods");
    }
    if schedule
        .periods
        .iter()
        .any(|p| p.limit_milli < 0 || p.phases.is_some_and(|n| !(1..=3).contains(&n)))
    {
        return Accepted::No("limit or number of phases out of range");
    }
    if matches!(profile.kind, ProfileKind::Recurring(_)) && schedule.start_ms.is_none() {
        return Accepted::No("a recurring profile needs a start");
    }
    if profile
        .valid_from_ms
        .zip(profile.valid_to_ms)
        .is_some_and(|(from, to)| to <= from)
    {
        return Accepted::No("validity ends before it begins");
    }
    Accepted::Yes
}

fn ceiling(profile: &ChargingProfile, period: SchedulePeriod) -> Ceiling {
    Ceiling {
        unit: profile.schedule.unit,
        milli: period.limit_milli,
        phases: period.phases.unwrap_or(3),
        min_rate: profile.schedule.min_rate_milli,
        source: match profile.purpose {
            ProfilePurpose::ChargePointMax => LimitSource::ChargePointMaxProfile,
            ProfilePurpose::TxDefault => LimitSource::TxDefaultProfile,
            ProfilePurpose::Tx => LimitSource::TxProfile,
        },
    }
}

/// What a profile says at a moment, and for how long it says so.
struct Slot {
    period: Option<SchedulePeriod>,
    left_ms: i64,
}

impl Slot {
    fn silent(left_ms: i64) -> Self {
        Self {
            period: None,
            left_ms,
        }
    }
}

fn slot(installed: &Installed, m: Moment) -> Slot {
    let profile = &installed.profile;
    let anchored = match (profile.kind, profile.schedule.start_ms) {
        (ProfileKind::Relative, _) | (_, None) => None,
        (_, Some(start)) => Some(start),
    };
    let by_clock = anchored.is_some() || profile.purpose == ProfilePurpose::ChargePointMax;
    if !m.clock && by_clock {
        let lowest = profile.schedule.periods.iter().min_by_key(|p| p.limit_milli);
        return Slot {
            period: lowest.copied(),
            left_ms: i64::MAX,
        };
    }
    let mut left_ms = i64::MAX;
    if m.clock {
        if let Some(ahead) = profile
            .valid_from_ms
            .map(|from| from.saturating_sub(m.unix_ms))
            .filter(|a| *a > 0)
        {
            return Slot::silent(ahead);
        }
        if let Some(to) = profile.valid_to_ms {
            left_ms = to.saturating_sub(m.unix_ms);
            if left_ms <= 0 {
                return Slot::silent(i64::MAX);
            }
        }
    }
    let into = match anchored {
        Some(start) => m.unix_ms.saturating_sub(start),
        None if profile.purpose == ProfilePurpose::ChargePointMax => {
            m.unix_ms.saturating_sub(installed.since_ms).max(0)
        }
        None => m.into_tx_ms,
    };
    if into < 0 {
        return Slot::silent(left_ms.min(-into));
    }
    let (into, cycle_left) = match profile.kind {
        ProfileKind::Recurring(recurrency) if anchored.is_some() => {
            let cycle = cycle_ms(recurrency);
            (into % cycle, Some(cycle - into % cycle))
        }
        _ => (into, None),
    };
    in_schedule(profile, into, cycle_left, left_ms)
}

fn in_schedule(profile: &ChargingProfile, into: i64, cycle_left: Option<i64>, mut left_ms: i64) -> Slot {
    let schedule = &profile.schedule;
    if let Some(cycle_left) = cycle_left {
        left_ms = left_ms.min(cycle_left);
    }
    if let Some(duration) = schedule.duration_s {
        let rest = i64::from(duration) * 1000 - into;
        if rest <= 0 {
            // A recurring schedule speaks again in its next cycle, any other never.
            return Slot::silent(if cycle_left.is_some() { left_ms } else { i64::MAX });
        }
        left_ms = left_ms.min(rest);
    }
    let next = schedule
        .periods
        .iter()
        .map(|p| i64::from(p.start_s) * 1000)
        .find(|start| *start > into);
    if let Some(next) = next {
        left_ms = left_ms.min(next - into);
    }
    let period = schedule
        .periods
        .iter()
        .rev()
        .find(|p| i64::from(p.start_s) * 1000 <= into);
    Slot {
        period: period.copied(),
        left_ms,
    }
}

fn cycle_ms(recurrency: Recurrency) -> i64 {
    match recurrency {
        Recurrency::Daily => 86_400_000,
        Recurrency::Weekly => 7 * 86_400_000,
    }
}

fn key_text(key: &Key) -> String {
    let (evse, purpose, level) = key;
    let purpose = match purpose {
        ProfilePurpose::ChargePointMax => "max",
        ProfilePurpose::TxDefault => "default",
        ProfilePurpose::Tx => "tx",
    };
    format!("profile/{}/{purpose}/{level}", evse.map_or(0, |e| e.0))
}

fn remove(scope: &str, key: &Key) -> Put {
    Put {
        scope: scope.to_owned(),
        key: key_text(key),
        value: None,
    }
}
