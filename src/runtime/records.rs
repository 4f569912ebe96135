//! The ledger as MQTT reads it: sessions and their energy, from a cursor that moves only when the broker has confirmed.

use super::clock::SystemClock;
use super::narrator::{name_of, reason_word};
use super::pseudonym::Pseudonyms;
use crate::domain::{
    Batch, Begin, BootId, Clock, CpId, End, Event, EvseId, IdToken, Phase, Quantity, ReaderId, Row,
    SamplePoint, Stamp,
};
use crate::store::{Store, StoreError};
use crate::telemetry::mqtt::{Entry, Ledger};
use crate::telemetry::{At, Milli, Record, RecordKind, Slug};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Rows of one charge point that are taken at a time.
const ROWS: usize = 32;
/// How often it is looked for new rows, and wait before a question the store could not answer is asked again.
const LOOK: Duration = Duration::from_secs(1);

/// The reader of a charge point. No CSMS can have this name.
pub(super) fn reader_of(cp: &CpId) -> ReaderId {
    ReaderId::new(format!("{cp}/@mqtt"))
}

/// Rows behind the cursors.
pub(super) struct Records {
    store: Store,
    names: Pseudonyms,
    clock: Arc<SystemClock>,
    cursors: Mutex<BTreeMap<CpId, u64>>,
}

impl Records {
    /// Registers a reader for each charge point.
    pub async fn open(
        store: Store,
        names: Pseudonyms,
        clock: Arc<SystemClock>,
        points: &[CpId],
    ) -> Result<Self, StoreError> {
        let mut cursors = BTreeMap::new();
        for cp in points {
            cursors.insert(cp.clone(), store.register(&reader_of(cp), cp).await?);
        }
        Ok(Self {
            store,
            names,
            clock,
            cursors: Mutex::new(cursors),
        })
    }

    fn cursors(&self) -> BTreeMap<CpId, u64> {
        self.cursors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn look(&self) -> Result<Vec<Entry>, StoreError> {
        let mut rows = Vec::new();
        for (cp, after) in self.cursors() {
            rows.extend(self.store.rows(&cp, after, ROWS).await?);
        }
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let mut epochs: BTreeMap<BootId, i64> = self.store.epochs().await?.into_iter().collect();
        if let Some(epoch) = self.clock.epoch() {
            epochs.insert(self.clock.now().boot, epoch);
        }
        let entry = |row: &Row| Entry {
            cp: row.cp.clone(),
            seq: row.seq,
            record: record(row, &epochs, &self.names),
        };
        Ok(rows.iter().map(entry).collect())
    }
}

impl Ledger for Records {
    fn next(self: Arc<Self>) -> BoxFuture<'static, Vec<Entry>> {
        async move {
            loop {
                match self.look().await {
                    Ok(entries) if !entries.is_empty() => return entries,
                    Ok(_) => {}
                    Err(error) => tracing::error!("MQTT cannot read the ledger: {error}; trying again"),
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        .boxed()
    }

    fn done(self: Arc<Self>, entries: Vec<(CpId, u64)>) -> BoxFuture<'static, ()> {
        async move {
            let cursors = entries.iter().map(|(cp, seq)| (reader_of(cp), *seq)).collect();
            let batch = Batch {
                cursors,
                ..Batch::default()
            };
            while let Err(error) = self.store.commit(batch.clone()).await {
                tracing::error!("cannot note what the broker has got: {error}; trying again");
                tokio::time::sleep(LOOK).await;
            }
            let mut cursors = self.cursors.lock().unwrap_or_else(PoisonError::into_inner);
            for (cp, seq) in entries {
                cursors.insert(cp, seq);
            }
        }
        .boxed()
    }
}

/// A row as published; `None`: it is about something else.
fn record(row: &Row, epochs: &BTreeMap<BootId, i64>, names: &Pseudonyms) -> Option<(Slug, Record)> {
    let (evse, kind) = match &row.event {
        Event::Began(begin) => (begin.evse, RecordKind::Began),
        Event::Sampled { evse, .. } => (evse.unwrap_or(EvseId(1)), RecordKind::Sampled),
        Event::Ended(end) => (end.evse, RecordKind::Ended),
        Event::Changed { .. } | Event::Security(_) | Event::Log(_) | Event::Firmware(_) => return None,
    };
    let (ts, ts_trusted) = time_of(row.at, epochs);
    let mut record = Record {
        seq: row.seq,
        ts,
        ts_trusted,
        record: kind,
        session_id: row.event.tx().map(ToString::to_string),
        energy_import_wh: None,
        energy_export_wh: None,
        power_w: None,
        soc_pct: None,
        session_energy_wh: None,
        reason: None,
        id_tag_hash: None,
    };
    let hash = |token: &Option<IdToken>| token.as_ref().map(|token| names.of(token));
    match &row.event {
        Event::Began(Begin { token, meter, .. }) => {
            record.energy_import_wh = Some(Milli(meter.0));
            record.id_tag_hash = hash(token);
        }
        Event::Sampled { points, .. } => {
            let value = |quantity| of(points, quantity).map(Milli);
            record.energy_import_wh = value(Quantity::EnergyImport);
            record.energy_export_wh = value(Quantity::EnergyExport);
            record.power_w = value(Quantity::Power);
            record.soc_pct = value(Quantity::Soc);
        }
        Event::Ended(End {
            token,
            meter,
            energy,
            reason,
            ..
        }) => {
            record.energy_import_wh = Some(Milli(meter.0));
            record.session_energy_wh = Some(Milli(energy.0));
            record.reason = Some(reason_word(*reason).to_owned());
            record.id_tag_hash = hash(token);
        }
        _ => {}
    }
    Some((name_of(&row.cp, evse), record))
}

fn of(points: &[SamplePoint], quantity: Quantity) -> Option<i64> {
    let total = |point: &&SamplePoint| point.quantity == quantity && point.phase == Phase::Total;
    points.iter().find(total).map(|point| point.milli)
}

/// When it happened, corrected where that is known by now, and whether that can be believed.
fn time_of(stamp: Stamp, epochs: &BTreeMap<BootId, i64>) -> (At, bool) {
    let epoch = epochs.get(&stamp.boot).copied();
    let trusted = stamp.wall.quality.is_trusted() || epoch.is_some();
    (At(stamp.corrected(epoch)), trusted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::*;

    fn row(event: Event, quality: ClockQuality) -> Row {
        Row {
            seq: 7,
            cp: CpId::new("CP-1"),
            at: Stamp {
                boot: BootId(2),
                mono: Mono(5_000),
                wall: Wall { unix_ms: 42, quality },
            },
            event,
        }
    }

    fn began() -> Event {
        Event::Began(Begin {
            tx: TxId::new("tx-1"),
            evse: EvseId(2),
            token: Some(IdToken::new("04SECRET", TokenKind::Central)),
            group: None,
            meter: MilliWattHours(1_234_567),
            quality: Quality::Good,
            trigger: TxTrigger::Authorized,
            charging_state: ChargingState::Charging,
            remote_start_id: None,
            reservation_id: None,
            offline: true,
        })
    }

    #[test]
    fn a_record_has_its_own_time_and_never_the_token() {
        let names = Pseudonyms::new(crate::store::TokenNames::new(b"key"));
        let epochs = BTreeMap::from([(BootId(2), 1_000_000)]);
        let (point, told) = record(&row(began(), ClockQuality::Unset), &epochs, &names).unwrap();
        assert_eq!(
            (point.as_str(), told.ts, told.ts_trusted),
            ("cp-1-2", At(1_005_000), true)
        );
        let text = serde_json::to_string(&told).unwrap();
        assert!(
            text.contains(r#""energy_import_wh":1234.567"#) && !text.contains("SECRET"),
            "{text}"
        );
        let (_, untrusted) = record(&row(began(), ClockQuality::Unset), &BTreeMap::new(), &names).unwrap();
        assert_eq!((untrusted.ts, untrusted.ts_trusted), (At(42), false));
        let other = Event::Security(SecurityEvent::new("StartupOfTheDevice", None));
        assert_eq!(record(&row(other, ClockQuality::Ntp), &epochs, &names), None);
    }
}
