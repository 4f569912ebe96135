//! Meter samples: which values, when, and what of them is kept for the stop message (OCPP 1.6 section 3.16, errata 3.14,
//! 3.91; 2.0.1 block J).
//!
//! Rules:
//! * Periodic samples run from the begin of the transaction; aligned ones lie on multiples of their interval from
//!   midnight UTC, in and outside of transactions, and only once the clock is trusted.
//! * Every phase the meter has is given where the measurand names none.
//! * What is kept for the stop message is bounded: the middle is thinned, begin and end stay.

use super::Station;
use super::evse::Evse;
use super::persist::put;
use super::status;
use crate::domain::{
    Batch, Event, EvseId, Measurand, MeterSample, MilliAmps, Mono, Now, Phase, Put, Quality, Quantity,
    STOP_SAMPLES_MAX, SampleContext, SamplePoint, Stamp, Within,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// Values other than the register are not older than this in a sample.
const FRESH: Duration = Duration::from_secs(60);
/// An aligned sample later than this is left out: it would carry a time it was not taken at.
const LATE_MAX_MS: i64 = 10_000;
const DAY_MS: i64 = 86_400_000;

/// Samples kept for the stop message, each stored under a key of its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Data {
    kept: BTreeMap<u32, MeterSample>,
    next: u32,
}

impl Data {
    /// Takes back a stored sample.
    pub(super) fn restore(&mut self, number: u32, value: &str) {
        if let Ok(sample) = serde_json::from_str(value) {
            self.kept.insert(number, sample);
            self.next = self.next.max(number.saturating_add(1));
        }
    }

    /// Adds a sample; the puts make it last.
    fn add(&mut self, scope: &str, evse: EvseId, sample: MeterSample) -> Vec<Put> {
        let mut puts = Vec::new();
        if self.kept.len() >= STOP_SAMPLES_MAX {
            let middle: Vec<u32> = self.kept.keys().copied().skip(1).step_by(2).collect();
            for number in middle {
                self.kept.remove(&number);
                puts.push(put(scope, key(evse, number), None));
            }
        }
        puts.push(put(
            scope,
            key(evse, self.next),
            serde_json::to_string(&sample).ok(),
        ));
        self.kept.insert(self.next, sample);
        self.next += 1;
        puts
    }

    /// What goes into the stop message.
    pub(super) fn samples(&self) -> Vec<MeterSample> {
        self.kept.values().cloned().collect()
    }

    /// The puts that remove everything stored.
    pub(super) fn forget(&self, scope: &str, evse: EvseId) -> Vec<Put> {
        self.kept
            .keys()
            .map(|n| put(scope, key(evse, *n), None))
            .collect()
    }
}

fn key(evse: EvseId, number: u32) -> String {
    format!("data/{evse}/{number}")
}

/// The grid of clock-aligned samples.
#[derive(Debug, Default)]
pub(super) struct Grid {
    /// Next point, Unix milliseconds, and its interval.
    next: Option<(i64, i64)>,
}

impl Grid {
    /// Gives the grid point that has just been reached, if one has.
    pub(super) fn reached(&mut self, now: Now, interval: Duration) -> Option<i64> {
        let interval = i64::try_from(interval.as_millis()).unwrap_or(DAY_MS).min(DAY_MS);
        if interval == 0 || !now.wall.quality.is_trusted() {
            self.next = None;
            return None;
        }
        let unix_ms = now.wall.unix_ms;
        let reached = self.next.filter(|(at, of)| {
            *of == interval && unix_ms >= *at && unix_ms - *at <= LATE_MAX_MS.min(interval)
        });
        let keep = self
            .next
            .is_some_and(|(at, of)| of == interval && unix_ms < at && at - unix_ms <= interval);
        if !keep {
            let midnight = unix_ms - unix_ms.rem_euclid(DAY_MS);
            let ahead = (unix_ms.rem_euclid(DAY_MS) / interval + 1) * interval;
            self.next = Some((midnight + ahead.min(DAY_MS), interval));
        }
        reached.map(|(at, _)| at)
    }

    /// When the next point is reached.
    pub(super) fn deadline(&self, now: Now) -> Option<Mono> {
        let (at, _) = self.next?;
        let ahead = u64::try_from(at.saturating_sub(now.wall.unix_ms)).unwrap_or(0);
        Some(now.mono.plus(Duration::from_millis(ahead)))
    }
}

/// Values of an EVSE for a list of measurands.
pub(super) fn points(evse: &Evse, wanted: &[Measurand], now: Mono) -> Vec<SamplePoint> {
    let mut points: Vec<SamplePoint> = Vec::new();
    for measurand in wanted {
        let fits = |phase: Phase| measurand.phase.is_none_or(|p| p == phase);
        if measurand.quantity == Quantity::EnergyImport && fits(Phase::Total) {
            points.extend(evse.register.value().map(|value| SamplePoint {
                quantity: Quantity::EnergyImport,
                phase: Phase::Total,
                milli: value.0,
                quality: evse.register.quality(),
            }));
        }
        let before = points.len();
        for reading in evse.readings(measurand.quantity) {
            let register = reading.quantity == Quantity::EnergyImport && reading.phase == Phase::Total;
            if fits(reading.phase) && !register && now.since(reading.taken_at) <= FRESH {
                points.push(SamplePoint {
                    quantity: reading.quantity,
                    phase: reading.phase,
                    milli: reading.milli,
                    quality: reading.quality,
                });
            }
        }
        if measurand.quantity == Quantity::CurrentOffered && points.len() == before && fits(Phase::Total) {
            let offered = evse.actuator.told().unwrap_or(MilliAmps::ZERO);
            points.push(SamplePoint {
                quantity: Quantity::CurrentOffered,
                phase: Phase::Total,
                milli: offered.0,
                quality: Quality::Derived,
            });
        }
    }
    points
}

/// Whether something periodic is due, and when it will be next. A shorter interval counts from now.
fn is_due(next: &mut Option<Mono>, interval: Duration, now: Mono) -> bool {
    if interval.is_zero() {
        *next = None;
        return false;
    }
    let due = *next.get_or_insert_with(|| now.plus(interval));
    if now < due {
        *next = Some(due.min(now.plus(interval)));
        return false;
    }
    let after = due.plus(interval);
    *next = Some(if after > now { after } else { now.plus(interval) });
    true
}

/// The record of the grid point that has just been reached.
fn on_the_grid(now: Now, at_ms: i64) -> Stamp {
    let late = u64::try_from(now.wall.unix_ms - at_ms).unwrap_or(0);
    let mut at = now.stamp();
    at.wall.unix_ms = at_ms;
    at.mono = Mono(at.mono.0.saturating_sub(late));
    at
}

impl Station {
    /// Takes the periodic samples of a transaction that are due: to be told, and to be kept for the stop message.
    pub(super) fn sample_if_due(&mut self, id: EvseId) {
        let now = self.now;
        let (told, kept) = (self.params.sample_interval, self.params.stop_sample_interval);
        let Some(tx) = self
            .evses
            .get_mut(&id)
            .and_then(|e| e.tx.as_mut())
            .filter(|t| t.live)
        else {
            return;
        };
        let tell = is_due(&mut tx.next_sample, told, now.mono);
        let keep = is_due(&mut tx.next_kept, kept, now.mono);
        if tell {
            let wanted = self.params.sampled.clone();
            self.sample(id, SampleContext::Periodic, Within::Either, &wanted, now.stamp());
        }
        if keep {
            self.collect(id, SampleContext::Periodic, now.stamp());
        }
    }

    /// Takes the aligned samples of every EVSE, if the clock stands on their grid.
    pub(super) fn sample_aligned_if_due(&mut self) {
        let now = self.now;
        let tell = self.grid.reached(now, self.params.aligned_interval);
        let keep = self.kept_grid.reached(now, self.params.stop_aligned_interval);
        let ids: Vec<EvseId> = self.evses.keys().copied().collect();
        if let Some(at) = tell.map(|at_ms| on_the_grid(now, at_ms)) {
            let wanted = self.params.aligned.clone();
            for id in &ids {
                self.sample(*id, SampleContext::Clock, Within::Either, &wanted, at);
            }
        }
        if let Some(at) = keep.map(|at_ms| on_the_grid(now, at_ms)) {
            for id in ids {
                self.collect(id, SampleContext::Clock, at);
            }
        }
    }

    /// Records a sample of an EVSE. Gives whether there was anything to record.
    pub(super) fn sample(
        &mut self,
        id: EvseId,
        context: SampleContext,
        within: Within,
        wanted: &[Measurand],
        at: Stamp,
    ) -> bool {
        let now = self.now.mono;
        if self.outbox.is_stuck(now) {
            // The store does not answer: samples are given up before anything that is vital.
            self.outbox.give_up();
            return false;
        }
        let Some(evse) = self.evses.get_mut(&id) else {
            return false;
        };
        if evse.tx.as_ref().is_some_and(|tx| !tx.live) {
            // Not known yet whether what the meter shows belongs to the transaction.
            return false;
        }
        let points = points(evse, wanted, now);
        if points.is_empty() {
            return false;
        }
        let apart = within == Within::Apart || evse.tx.is_none();
        let charging_state = (!apart).then(|| status::charging_state(evse, now));
        let (tx, tx_seq, beside) = match evse.tx.as_mut() {
            Some(tx) if apart => (None, 0, Some(tx.record.id.clone())),
            Some(tx) => (Some(tx.record.id.clone()), tx.next_seq(), None),
            None => (None, 0, None),
        };
        let event = Event::Sampled {
            tx,
            tx_seq,
            evse: Some(id),
            context,
            points,
            charging_state,
            offline: !self.online,
            beside,
        };
        self.record_row_at(id, at, event, Batch::default());
        true
    }

    /// Keeps values for the stop message, if any are wanted there.
    pub(super) fn collect(&mut self, id: EvseId, context: SampleContext, at: Stamp) {
        let now = self.now.mono;
        let sampled = &self.params.stop_sampled;
        let aligned = &self.params.stop_aligned;
        let wanted: Vec<Measurand> = match context {
            SampleContext::Periodic => sampled.clone(),
            SampleContext::Clock => aligned.clone(),
            SampleContext::TransactionBegin | SampleContext::TransactionEnd => {
                let more = aligned.iter().filter(|m| !sampled.contains(m));
                sampled.iter().chain(more).copied().collect()
            }
            SampleContext::Trigger => return,
        };
        let Some(evse) = self.evses.get_mut(&id) else {
            return;
        };
        let points = points(evse, &wanted, now);
        let Some(tx) = evse.tx.as_mut().filter(|_| !points.is_empty()) else {
            return;
        };
        let puts = tx.data.add(&self.scope, id, MeterSample { at, context, points });
        self.outbox.commit(Batch {
            puts,
            ..Batch::default()
        });
    }
}
