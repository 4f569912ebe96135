//! The ledger as MQTT reads it: sessions and their energy, from a cursor that moves only when the broker has confirmed.

use super::clock::SystemClock;
use super::narrator::{name_of, reason_word};
use super::pseudonym::Pseudonyms;
use crate::domain::{
    Batch, Begin, BootId, Clock, CpId, End, Event, EvseId, IdToken, Now, Phase, Quantity, ReaderId, Row,
    SamplePoint, Stamp,
};
use crate::store::{Store, StoreError};
use crate::telemetry::mqtt::{Entry, Ledger};
use crate::telemetry::{At, Milli, Record, RecordKind, Slug};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Rows of one charge point that are taken at a time.
const ROWS: usize = 32;
/// Rows that are looked at at a time for ones that have waited too long.
const OLD_ROWS: usize = 256;
/// First and later looks for them: by the first, a clock has usually spoken.
const OLD_LOOKS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(600));
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
    /// Records that have waited too long, since the start of the process.
    given_up: Arc<AtomicU64>,
    /// It has been told since a broker last took one.
    told: AtomicBool,
}

impl Records {
    /// Registers a reader for each charge point; `given_up` counts over reloads.
    pub async fn open(
        store: Store,
        names: Pseudonyms,
        clock: Arc<SystemClock>,
        points: &[CpId],
        given_up: Arc<AtomicU64>,
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
            given_up,
            told: AtomicBool::new(false),
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
        let epochs = self.epochs().await?;
        let entry = |row: &Row| Entry {
            cp: row.cp.clone(),
            seq: row.seq,
            record: record(row, &epochs, &self.names),
        };
        Ok(rows.iter().map(entry).collect())
    }

    /// When each run began that a clock has told of.
    async fn epochs(&self) -> Result<BTreeMap<BootId, i64>, StoreError> {
        let mut epochs: BTreeMap<BootId, i64> = self.store.epochs().await?.into_iter().collect();
        if let Some(epoch) = self.clock.epoch() {
            epochs.insert(self.clock.now().boot, epoch);
        }
        Ok(epochs)
    }

    /// Gives up what a broker has not taken within `keep`, for as long as it runs: one that is gone for good would fill
    /// the disk. Only the cursors of MQTT move.
    pub async fn keep(self: Arc<Self>, keep: Duration) {
        tokio::time::sleep(OLD_LOOKS.0).await;
        loop {
            match self.give_up(self.clock.now(), keep).await {
                Ok(0) => {}
                Ok(lost) => self.tell(lost, keep),
                Err(error) => tracing::warn!("MQTT cannot look for old records: {error}; trying again"),
            }
            tokio::time::sleep(OLD_LOOKS.1).await;
        }
    }

    fn tell(&self, lost: u64, keep: Duration) {
        let days = keep.as_secs() / 86_400;
        if self.told.swap(true, Ordering::Relaxed) {
            tracing::debug!("MQTT: {lost} more records are given up");
        } else {
            tracing::warn!(
                "MQTT: {lost} records have waited longer than keep_records ({days} days) for the broker and are given up; more will \
                 follow until it is back; the journal of sessions and the CSMSs keep theirs"
            );
        }
    }

    /// Moves each cursor past what is older than `keep`. Returns how many records that were; one that is on its way to
    /// the broker at this moment may be among them.
    async fn give_up(&self, now: Now, keep: Duration) -> Result<u64, StoreError> {
        let epochs = self.epochs().await?;
        let mut lost = 0;
        for (cp, after) in self.cursors() {
            let (bound, records) = self.too_old(&cp, after, now, keep, &epochs).await?;
            if bound > after {
                let cursors = vec![(reader_of(&cp), bound)];
                let batch = Batch {
                    cursors,
                    ..Batch::default()
                };
                self.store.commit(batch).await?;
                self.advance(cp, bound);
                lost += records;
            }
        }
        self.given_up.fetch_add(lost, Ordering::Relaxed);
        Ok(lost)
    }

    /// Up to where rows are older than `keep`, and how many records they are. What lies before such a row is older still,
    /// even if no clock ever told when it was.
    async fn too_old(
        &self,
        cp: &CpId,
        after: u64,
        now: Now,
        keep: Duration,
        epochs: &BTreeMap<BootId, i64>,
    ) -> Result<(u64, u64), StoreError> {
        let (mut bound, mut lost) = (after, 0);
        let (mut last, mut undated) = (after, 0);
        loop {
            let rows = self.store.rows(cp, last, OLD_ROWS).await?;
            for row in &rows {
                undated += u64::from(is_record(&row.event));
                match age(row.at, now, epochs) {
                    Some(age) if age > keep => {
                        bound = row.seq;
                        lost += std::mem::take(&mut undated);
                    }
                    Some(_) => return Ok((bound, lost)),
                    None => {}
                }
                last = row.seq;
            }
            if rows.len() < OLD_ROWS {
                return Ok((bound, lost));
            }
        }
    }

    fn advance(&self, cp: CpId, seq: u64) {
        let mut cursors = self.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        let cursor = cursors.entry(cp).or_default();
        *cursor = seq.max(*cursor);
    }
}

/// How long ago something was; `None`: no clock tells.
fn age(at: Stamp, now: Now, epochs: &BTreeMap<BootId, i64>) -> Option<Duration> {
    if at.boot == now.boot {
        return Some(now.mono.since(at.mono));
    }
    let (then, trusted) = time_of(at, epochs);
    let ms = now.wall.unix_ms.saturating_sub(then.0).max(0);
    (trusted && now.wall.quality.is_trusted()).then_some(Duration::from_millis(ms.unsigned_abs()))
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
            self.told.store(false, Ordering::Relaxed);
            for (cp, seq) in entries {
                self.advance(cp, seq);
            }
        }
        .boxed()
    }
}

/// Whether a row is one for the broker.
fn is_record(event: &Event) -> bool {
    matches!(event, Event::Began(_) | Event::Sampled { .. } | Event::Ended(_))
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

    const HOUR_MS: u64 = 3_600_000;

    /// A row of a charge point, so many hours after its run began.
    async fn write(store: &Store, boot: u32, hour: u64, quality: ClockQuality, event: Event) -> u64 {
        let mono = hour * HOUR_MS;
        let unix_ms = 1_772_000_000_000 + i64::try_from(mono).unwrap();
        let row = NewRow {
            cp: CpId::new("CP-1"),
            at: Stamp {
                boot: BootId(boot),
                mono: Mono(mono),
                wall: Wall { unix_ms, quality },
            },
            event,
        };
        let batch = Batch {
            rows: vec![row],
            ..Batch::default()
        };
        store.commit(batch).await.unwrap()
    }

    fn at(boot: u32, hour: u64, quality: ClockQuality) -> Now {
        let mono = hour * HOUR_MS;
        Now {
            boot: BootId(boot),
            mono: Mono(mono),
            wall: Wall {
                unix_ms: 1_772_000_000_000 + i64::try_from(mono).unwrap(),
                quality,
            },
        }
    }

    async fn records(store: &Store) -> Records {
        let names = Pseudonyms::new(store.token_names().clone());
        let clock = Arc::new(SystemClock::new(BootId(9), None, 0));
        let points = [CpId::new("CP-1")];
        Records::open(store.clone(), names, clock, &points, Arc::default())
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn what_a_broker_has_not_taken_in_time_is_given_up_and_counted_and_no_csms_loses_it() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path()).unwrap();
        let csms = ReaderId::new("CP-1/main");
        store.register(&csms, &CpId::new("CP-1")).await.unwrap();
        let records = records(&store).await;
        let security = || Event::Security(SecurityEvent::new("StartupOfTheDevice", None));
        // The second was written while no clock told anything; the third says that it is old.
        let mut seqs = Vec::new();
        for (hour, quality) in [
            (0, ClockQuality::Ntp),
            (1, ClockQuality::Unset),
            (2, ClockQuality::Ntp),
        ] {
            seqs.push(write(&store, 1, hour, quality, began()).await);
            write(&store, 1, hour, quality, security()).await;
        }
        write(&store, 1, 30, ClockQuality::Ntp, began()).await;
        let day = Duration::from_secs(24 * 3_600);
        let young = records.give_up(at(2, 24, ClockQuality::Ntp), day).await.unwrap();
        assert_eq!(young, 0, "a day old, not more");
        let blind = records
            .give_up(at(2, 900, ClockQuality::Restored), day)
            .await
            .unwrap();
        assert_eq!(blind, 0, "no clock vouches for it");
        let lost = records.give_up(at(2, 27, ClockQuality::Ntp), day).await.unwrap();
        assert_eq!((lost, records.given_up.load(Ordering::Relaxed)), (3, 3));
        let again = records.give_up(at(2, 27, ClockQuality::Ntp), day).await.unwrap();
        assert_eq!(again, 0, "once");
        let left = records.look().await.unwrap();
        let told: Vec<u64> = left
            .iter()
            .filter(|e| e.record.is_some())
            .map(|e| e.seq)
            .collect();
        assert_eq!(told, [seqs[2] + 2], "what is younger is still to come");
        // A confirmation that comes late takes nothing back.
        let records = Arc::new(records);
        records.clone().done(vec![(CpId::new("CP-1"), seqs[0])]).await;
        assert_eq!(records.look().await.unwrap().len(), left.len());
        let stats = store.stats().await.unwrap();
        let pending = |reader: &ReaderId| {
            stats
                .readers
                .iter()
                .find(|r| r.reader == *reader)
                .unwrap()
                .pending
        };
        assert_eq!((pending(&csms), pending(&reader_of(&CpId::new("CP-1")))), (7, 1));
        store.close().await;
    }

    #[tokio::test]
    async fn a_long_backlog_of_this_run_goes_by_running_time_without_any_clock() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path()).unwrap();
        let records = records(&store).await;
        for hour in 0..600 {
            write(&store, 9, hour, ClockQuality::Unset, began()).await;
        }
        let now = at(9, 600, ClockQuality::Unset);
        let lost = records
            .give_up(now, Duration::from_secs(10 * 3_600))
            .await
            .unwrap();
        assert_eq!(lost, 590);
        store.close().await;
    }
}
