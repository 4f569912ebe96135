//! A running transaction: what is known of it in memory, what survives a restart, and what the journal keeps of it.

use super::energy::Stored;
use super::evse::Evse;
use super::samples::Data;
use crate::domain::{
    ChargingState, CpId, EvseId, IdToken, MeterIdentity, MilliWattHours, Mono, Now, Params, Quality,
    SessionFlag, SessionRecord, Stamp, StopReason, TxId,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// A running transaction. What is stored of it is [`TxRecord`].
#[derive(Clone, Debug)]
pub(super) struct Tx {
    pub(super) record: TxRecord,
    /// Taken up in this run; until then nothing is offered.
    pub(super) live: bool,
    /// Begun, or taken up again, then.
    pub(super) live_since: Mono,
    /// The vehicle was seen with current on offer.
    pub(super) offered: bool,
    /// When the next periodic sample is told.
    pub(super) next_sample: Option<Mono>,
    /// When the next one is kept for the stop message.
    pub(super) next_kept: Option<Mono>,
    pub(super) data: Data,
    pub(super) state: ChargingState,
    pub(super) state_since: Mono,
    pub(super) saved: Mono,
}

/// What survives a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct TxRecord {
    pub(super) id: TxId,
    pub(super) token: Option<IdToken>,
    pub(super) group: Option<String>,
    pub(super) meter_start: MilliWattHours,
    pub(super) quality: Quality,
    /// Register as last stored.
    pub(super) register: Stored,
    /// When it was stored.
    pub(super) at: Stamp,
    /// How long it had run then, ms.
    pub(super) ran_ms: i64,
    /// Last 2.x sequence number used.
    pub(super) seq: u32,
    /// The token was refused when the register stood here.
    pub(super) refused_at: Option<MilliWattHours>,
    /// When it began; `None` where an earlier release began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) begun: Option<Stamp>,
    /// What measures it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) meter: Option<MeterIdentity>,
    /// For the journal: what is known of it by now.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) flags: BTreeSet<SessionFlag>,
}

impl Tx {
    /// A transaction found in the store.
    pub(super) fn restored(record: TxRecord) -> Self {
        Self {
            record,
            live: false,
            live_since: Mono::default(),
            offered: false,
            next_sample: None,
            next_kept: None,
            data: Data::default(),
            state: ChargingState::EVConnected,
            state_since: Mono::default(),
            saved: Mono::default(),
        }
    }

    /// How long it has run, ms.
    pub(super) fn ran_ms(&self, now: Mono) -> i64 {
        let live = if self.live {
            now.since(self.live_since)
        } else {
            Duration::ZERO
        };
        self.record
            .ran_ms
            .saturating_add(i64::try_from(live.as_millis()).unwrap_or(i64::MAX))
    }

    /// The next sequence number.
    pub(super) fn next_seq(&mut self) -> u32 {
        self.record.seq = self.record.seq.saturating_add(1);
        self.record.seq
    }

    /// Energy so far.
    pub(super) fn energy(&self, evse: &Evse) -> MilliWattHours {
        evse.register
            .value()
            .map_or(MilliWattHours::ZERO, |v| v - self.record.meter_start)
    }
}

impl TxRecord {
    /// The session for the journal. `more` is what only its EVSE knows.
    pub(super) fn session(
        &self,
        cp: &CpId,
        evse: EvseId,
        ended: Stamp,
        reason: StopReason,
        more: BTreeSet<SessionFlag>,
    ) -> SessionRecord {
        let mut flags = more;
        flags.extend(&self.flags);
        let mut note = |is_so: bool, flag| {
            if is_so {
                flags.insert(flag);
            }
        };
        note(self.begun.is_none(), SessionFlag::BeginUnknown);
        let untrusted = |at: &Stamp| !at.wall.quality.is_trusted();
        note(
            self.begun.as_ref().is_some_and(untrusted),
            SessionFlag::BeginClockUntrusted,
        );
        note(untrusted(&ended), SessionFlag::EndClockUntrusted);
        note(self.quality != Quality::Good, SessionFlag::EndRegisterDoubtful);
        // A begin sets the offset to zero; only a reset, a roll-over or a swap moves it.
        note(self.register.offset != 0, SessionFlag::RegisterJumped);
        note(self.refused_at.is_some(), SessionFlag::TokenRefused);
        SessionRecord {
            cp: cp.clone(),
            evse,
            tx: self.id.clone(),
            begun: self.begun,
            ended,
            ran: Duration::from_millis(u64::try_from(self.ran_ms).unwrap_or(0)),
            meter_start: self.meter_start,
            meter_stop: MilliWattHours(self.register.shown),
            meter_raw: MilliWattHours(self.register.raw),
            reason,
            token: self.token.clone(),
            meter: self.meter.clone(),
            flags,
        }
    }

    /// Takes in what the meter says of itself by now: it may have said nothing yet at the begin.
    fn learn(&mut self, now: &MeterIdentity) {
        let known = self.meter.get_or_insert_with(|| now.clone());
        if known.serial.is_some() && now.serial.is_some() && known.serial != now.serial {
            self.flags.insert(SessionFlag::MeterSwapped);
        }
        if known.serial.is_none() {
            known.serial.clone_from(&now.serial);
        }
        if known.model.is_none() {
            known.model.clone_from(&now.model);
        }
    }
}

impl Evse {
    /// The stored form of the running transaction as of now.
    pub(super) fn tx_record(&self, now: Now) -> Option<TxRecord> {
        let tx = self.tx.as_ref()?;
        let mut record = tx.record.clone();
        record.learn(&self.meter_identity());
        if tx.live {
            record.register = self.register.stored().unwrap_or(record.register);
            record.quality = self.register.quality();
            record.at = now.stamp();
            record.ran_ms = tx.ran_ms(now.mono);
        }
        Some(record)
    }

    /// What the journal is to know of a transaction that begins now.
    pub(super) fn flags_at_begin(&self, online: bool) -> BTreeSet<SessionFlag> {
        let mut flags = BTreeSet::new();
        if self.register.quality() != Quality::Good {
            flags.insert(SessionFlag::BeginRegisterDoubtful);
        }
        if !online {
            flags.insert(SessionFlag::BeginOffline);
        }
        flags
    }

    /// What the journal is to know of the end of a transaction; `live`: it was taken up in this run.
    pub(super) fn flags_at_end(&self, live: bool, online: bool, now: Mono) -> BTreeSet<SessionFlag> {
        let mut flags = BTreeSet::new();
        if !live {
            flags.insert(SessionFlag::EndUnseen);
        }
        if !live || self.meter_stale(now) {
            flags.insert(SessionFlag::EndRegisterOld);
        }
        if !online {
            flags.insert(SessionFlag::EndOffline);
        }
        flags
    }
}

/// Counts a transaction as running in this run of the process from now on.
pub(super) fn take_up(tx: &mut Tx, now: Now, params: &Params) {
    tx.live = true;
    tx.live_since = now.mono;
    tx.saved = now.mono;
    tx.state_since = now.mono;
    let first = |interval: Duration| (!interval.is_zero()).then(|| now.mono.plus(interval));
    tx.next_sample = first(params.sample_interval);
    tx.next_kept = first(params.stop_sample_interval);
}
