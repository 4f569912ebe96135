//! What telemetry must know of an EVSE for longer than its station lives: its last session, and how often its register has
//! begun anew. A station that is built anew goes on with all of it, the next run of the process with what is stored.
//!
//! Scope `telemetry/<cp>` of the store, written in one step with the begin and the end of a session, and when a register
//! begins anew; never with a reading.
//!
//! | key | value |
//! |---|---|
//! | `session/<evse>` | the last session that ended |
//! | `register/<evse>` | the register's epoch, where it stood, and whose it is |

use super::narrator::watt_hours;
use super::pseudonym::Pseudonyms;
use crate::domain::{
    AppliedLimit, Begin, BootId, CpId, DeviceId, EvseId, MeterIdentity, Now, Put, SessionRecord, Stamp,
};
use crate::station::{Brief, TxSnapshot};
use crate::store::{Store, StoreError};
use crate::telemetry::{At, Session, Status, Totals};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Two tellings of the time closer than this are the same, milliseconds.
const SAME_MS: u64 = 2_000;

/// What was told of one EVSE, and what must be known to tell more.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// Number of the last happening.
    pub seq: u64,
    /// The running session, or the last.
    pub session: Session,
    /// Since the start of the process.
    pub totals: Totals,
    /// Its register.
    pub count: Count,
    /// The session with its times as stamps.
    pub(super) course: Option<Course>,
    pub(super) status: Option<Status>,
    pub(super) fault: Option<String>,
    pub(super) applied: Option<AppliedLimit>,
}

/// What was told of each EVSE.
pub type AllTold = BTreeMap<EvseId, Told>;

/// What a narrator goes on with.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// What was told before, by a station that is gone or by an earlier run.
    pub told: AllTold,
    /// When runs of the process began.
    pub epochs: Epochs,
}

/// Unix milliseconds at which runs of the process began, as far as a clock has told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epochs(BTreeMap<BootId, i64>);

impl Epochs {
    /// Those known.
    #[must_use]
    pub fn new(known: impl IntoIterator<Item = (BootId, i64)>) -> Self {
        Self(known.into_iter().collect())
    }

    /// Learns from the present when this run began.
    pub(super) fn follow(&mut self, now: Now) {
        if !now.wall.quality.is_trusted() {
            return;
        }
        let ran = i64::try_from(now.mono.0).unwrap_or(i64::MAX);
        let begun = now.wall.unix_ms.saturating_sub(ran);
        let known = self.0.entry(now.boot).or_insert(begun);
        if known.abs_diff(begun) > SAME_MS {
            *known = begun;
        }
    }

    /// The time of a stamp, as well as it is known by now.
    pub(super) fn at(&self, stamp: Stamp) -> At {
        At(stamp.corrected(self.0.get(&stamp.boot).copied()))
    }

    fn is_known(&self, stamp: Stamp) -> bool {
        stamp.wall.quality.is_trusted() || self.0.contains_key(&stamp.boot)
    }
}

/// A session whose times are stamps, so that they can be corrected once a clock tells better.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Course {
    id: String,
    /// `None` where an earlier release began it.
    begun: Option<Stamp>,
    /// `None`: it runs.
    ended: Option<Stamp>,
    /// How long it ran by what its station counted.
    ran_ms: u64,
    energy_wh: Option<u64>,
    meter_start_wh: Option<u64>,
    meter_stop_wh: Option<u64>,
    reason: Option<String>,
    id_tag_hash: Option<String>,
}

impl Course {
    pub(super) fn of_begin(at: Stamp, begin: &Begin, names: &Pseudonyms) -> Self {
        Self {
            id: begin.tx.to_string(),
            begun: Some(at),
            ended: None,
            ran_ms: 0,
            energy_wh: Some(0),
            meter_start_wh: watt_hours(begin.meter),
            meter_stop_wh: None,
            reason: None,
            id_tag_hash: begin.token.as_ref().map(|token| names.of(token)),
        }
    }

    pub(super) fn of_running(tx: &TxSnapshot, names: &Pseudonyms) -> Self {
        Self {
            id: tx.id.to_string(),
            begun: tx.begun,
            ended: None,
            ran_ms: tx.seconds.saturating_mul(1_000),
            energy_wh: watt_hours(tx.energy),
            meter_start_wh: watt_hours(tx.meter_start),
            meter_stop_wh: None,
            reason: None,
            id_tag_hash: tx.token.as_ref().map(|token| names.of(token)),
        }
    }

    /// Whether it is the course of this transaction.
    pub(super) fn is_of(&self, tx: &TxSnapshot) -> bool {
        self.ended.is_none() && self.id == tx.id.as_str()
    }

    /// Takes over how far it has come. A station that was built anew may know of less until it has read its meter.
    pub(super) fn go_on(&mut self, tx: &TxSnapshot) {
        self.energy_wh = watt_hours(tx.energy).max(self.energy_wh);
        self.ran_ms = tx.seconds.saturating_mul(1_000);
    }

    pub(super) fn of_end(session: &SessionRecord, reason: &str, names: &Pseudonyms) -> Self {
        Self {
            id: session.tx.to_string(),
            begun: session.begun,
            ended: Some(session.ended),
            ran_ms: u64::try_from(session.ran.as_millis()).unwrap_or(u64::MAX),
            energy_wh: watt_hours(session.energy()),
            meter_start_wh: watt_hours(session.meter_start),
            meter_stop_wh: watt_hours(session.meter_stop),
            reason: Some(reason.to_owned()),
            id_tag_hash: session.token.as_ref().map(|token| names.of(token)),
        }
    }

    /// As published.
    pub(super) fn session(&self, now: Now, epochs: &Epochs) -> Session {
        let ran_ms = self.ran_ms(self.ended.unwrap_or_else(|| now.stamp()), epochs);
        let ago = || {
            At(now
                .wall
                .unix_ms
                .saturating_sub(i64::try_from(ran_ms).unwrap_or(i64::MAX)))
        };
        let unstamped = || self.ended.is_none().then(ago);
        Session {
            id: Some(self.id.clone()),
            started_at: self.begun.map(|at| epochs.at(at)).or_else(unstamped),
            ended_at: self.ended.map(|at| epochs.at(at)),
            energy_wh: self.energy_wh,
            meter_start_wh: self.meter_start_wh,
            meter_stop_wh: self.meter_stop_wh,
            duration_s: Some(ran_ms / 1_000),
            reason: self.reason.clone(),
            id_tag_hash: self.id_tag_hash.clone(),
        }
    }

    /// How long it has run until then. Within one run of the process by the time that never jumps; over several by clocks
    /// that can be believed; else by what its station has counted.
    fn ran_ms(&self, until: Stamp, epochs: &Epochs) -> u64 {
        let Some(begun) = self.begun else {
            return self.ran_ms;
        };
        if begun.boot == until.boot {
            return until.mono.0.saturating_sub(begun.mono.0);
        }
        let known = epochs.is_known(begun) && epochs.is_known(until);
        let passed = epochs.at(until).0.saturating_sub(epochs.at(begun).0);
        u64::try_from(passed)
            .ok()
            .filter(|_| known)
            .unwrap_or(self.ran_ms)
    }
}

/// The register of an EVSE: how often it has begun anew, over restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Counts meters swapped, registers reset and run over.
    pub epoch: u32,
    /// As last shown in this run; `None`: not read yet. It never falls within an epoch.
    #[serde(skip)]
    pub shown_wh: Option<u64>,
    /// Where it stood.
    stood_wh: Option<u64>,
    /// Whose it is.
    device: Option<DeviceId>,
    serial: Option<String>,
    /// What the station that runs has counted.
    #[serde(skip)]
    anew: u32,
}

/// A register that has begun anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Anew {
    /// Where it stood before.
    pub before_wh: Option<u64>,
    /// Where it stands now; `None`: not read yet.
    pub now_wh: Option<u64>,
}

impl Count {
    /// Follows a register. All that speaks for another meter at one moment counts once.
    pub(super) fn follow(&mut self, brief: &Brief) -> Option<Anew> {
        let now_wh = brief.register.and_then(watt_hours);
        let fell = matches!((now_wh, self.stood_wh), (Some(now), Some(stood)) if now < stood);
        let begun = brief.anew > self.anew;
        let other = !brief.in_tx && self.is_other(&brief.meter);
        self.anew = brief.anew;
        let before_wh = self.stood_wh;
        if fell || begun || other {
            self.epoch = self.epoch.saturating_add(1);
            (self.device, self.serial) = (Some(brief.meter.device.clone()), brief.meter.serial.clone());
            // What the new meter says first is compared with nothing.
            self.stood_wh = now_wh.filter(|_| fell || begun);
            self.shown_wh = now_wh;
            return Some(Anew { before_wh, now_wh });
        }
        if !brief.in_tx || self.device.is_none() {
            self.device = Some(brief.meter.device.clone());
            self.serial = brief.meter.serial.clone().or(self.serial.take());
        }
        if now_wh.is_some() {
            (self.stood_wh, self.shown_wh) = (now_wh, now_wh);
        }
        None
    }

    /// Whether another meter than before is read, as far as both have said who they are.
    fn is_other(&self, meter: &MeterIdentity) -> bool {
        let device = self.device.as_ref().is_some_and(|known| *known != meter.device);
        let serial = matches!((&self.serial, &meter.serial), (Some(known), Some(said)) if known != said);
        device || serial
    }

    /// The station that counted is gone.
    pub(super) fn new_station(&mut self) {
        self.anew = 0;
    }

    /// Whether it was read at all.
    pub(super) fn is_read(&self) -> bool {
        self.stood_wh.is_some()
    }
}

fn scope(cp: &CpId) -> String {
    format!("telemetry/{cp}")
}

fn put(cp: &CpId, key: String, value: &impl Serialize) -> Option<Put> {
    let value = Some(serde_json::to_string(value).ok()?);
    let scope = scope(cp);
    Some(Put { scope, key, value })
}

/// A session, to be stored.
pub(super) fn put_session(cp: &CpId, evse: EvseId, course: &Course) -> Option<Put> {
    put(cp, format!("session/{evse}"), course)
}

/// A register, to be stored.
pub(super) fn put_count(cp: &CpId, evse: EvseId, count: &Count) -> Option<Put> {
    put(cp, format!("register/{evse}"), count)
}

/// What earlier runs have left of a charge point.
///
/// # Errors
/// When the store cannot be read. A value that cannot be understood is left out, and the log says so.
pub async fn load(store: &Store, cp: &CpId) -> Result<AllTold, StoreError> {
    let mut all = AllTold::new();
    for (key, value) in store.scope(&scope(cp)).await? {
        let Some((kind, evse)) = key.split_once('/') else {
            continue;
        };
        let Ok(evse) = evse.parse::<u16>() else { continue };
        let told = all.entry(EvseId(evse)).or_default();
        let read = match kind {
            "session" => serde_json::from_str(&value).map(|course| told.course = Some(course)),
            "register" => serde_json::from_str(&value).map(|count| told.count = count),
            _ => Ok(()),
        };
        if let Err(error) = read {
            tracing::warn!(%cp, key, "what telemetry knew of it is lost: {error}");
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
