//! Samples that are not told because of the budget of a back end. Pure.
//!
//! Rules kept here:
//! * only periodic and clock-aligned samples are left out: what was asked for, what belongs to a begin or an end, and
//!   everything that is no sample is told;
//! * 2.0.1 numbers the events of a transaction without gaps (E01.FR.07): the numbers behind a sample that was left out move
//!   up. How far is durable in one step with the cursor.

use super::dialect::KeyPut;
use crate::domain::{Event, EvseId, Row, SampleContext, Stamp, Thrift, TxId};
use std::collections::{BTreeMap, BTreeSet};

/// While sparing, samples of an EVSE are told at this distance, milliseconds: what most CSMSs ask for anyway.
const SPARING_EVERY_MS: u64 = 900_000;

/// Key of how many events of a transaction were left out, before its id.
const LEFT_OUT: &str = "left-out/";

/// What is left out, and was.
#[derive(Debug, Default)]
pub(super) struct Thinning {
    pub(super) thrift: Thrift,
    /// The last sample told, by EVSE.
    told: BTreeMap<Option<EvseId>, Stamp>,
    left_out: BTreeMap<TxId, u32>,
    /// Transactions whose count is not durable yet.
    changed: BTreeSet<TxId>,
}

impl Thinning {
    pub(super) fn new(restored: &[(String, String)]) -> Self {
        let counts = restored.iter().filter_map(|(key, value)| {
            let tx = key.strip_prefix(LEFT_OUT)?;
            Some((TxId::new(tx), value.parse().ok()?))
        });
        Self {
            left_out: counts.collect(),
            ..Self::default()
        }
    }

    /// Whether a row is left out; then it is as if it had never been.
    pub(super) fn leaves_out(&mut self, row: &Row) -> bool {
        let Event::Sampled {
            tx, evse, context, ..
        } = &row.event
        else {
            return false;
        };
        if !matches!(context, SampleContext::Periodic | SampleContext::Clock) {
            return false;
        }
        let told = match self.thrift {
            Thrift::Free => true,
            Thrift::Sparing => self.told.get(evse).is_none_or(|last| is_far(*last, row.at)),
            Thrift::Bare => false,
        };
        if told {
            self.told.insert(*evse, row.at);
        } else if let Some(tx) = tx {
            *self.left_out.entry(tx.clone()).or_default() += 1;
            self.changed.insert(tx.clone());
        }
        !told
    }

    /// The row as it is told: with the number it has without those left out.
    pub(super) fn renumbered(&self, row: &Row) -> Option<Row> {
        let gone = *self.left_out.get(row.event.tx()?)?;
        let mut row = row.clone();
        match &mut row.event {
            Event::Sampled { tx_seq, .. } | Event::Changed { tx_seq, .. } => {
                *tx_seq = tx_seq.saturating_sub(gone);
            }
            Event::Ended(end) => end.tx_seq = end.tx_seq.saturating_sub(gone),
            Event::Began(_) | Event::Security(_) | Event::Log(_) | Event::Firmware(_) => return None,
        }
        Some(row)
    }

    /// What is to be made durable with the cursor, now that this row is done (`None`: nothing but rows left out).
    pub(super) fn puts(&mut self, done: Option<&Event>) -> Vec<KeyPut> {
        if let Some(Event::Ended(end)) = done
            && self.left_out.remove(&end.tx).is_some()
        {
            self.changed.insert(end.tx.clone());
        }
        let changed = std::mem::take(&mut self.changed);
        let put = |tx: TxId| {
            let count = self.left_out.get(&tx).map(ToString::to_string);
            (format!("{LEFT_OUT}{tx}"), count)
        };
        changed.into_iter().map(put).collect()
    }
}

/// Whether two samples are so far apart; those of different runs of the process are.
fn is_far(last: Stamp, next: Stamp) -> bool {
    last.boot != next.boot || next.mono.0.saturating_sub(last.mono.0) >= SPARING_EVERY_MS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{BootId, CpId, Mono};

    fn sample(context: SampleContext, tx_seq: u32, second: u64) -> Row {
        let at = Stamp {
            mono: Mono(second * 1_000),
            ..Stamp::default()
        };
        Row {
            seq: u64::from(tx_seq),
            cp: CpId::new("CP1"),
            at,
            event: Event::Sampled {
                tx: Some(TxId::new("t")),
                tx_seq,
                evse: Some(EvseId(1)),
                context,
                points: Vec::new(),
                charging_state: None,
                offline: false,
                beside: None,
            },
        }
    }

    fn told(thinning: &mut Thinning, rows: &[Row]) -> Vec<u32> {
        let mut told = Vec::new();
        for row in rows {
            if !thinning.leaves_out(row) {
                let row = thinning.renumbered(row).unwrap_or_else(|| row.clone());
                if let Event::Sampled { tx_seq, .. } = row.event {
                    told.push(tx_seq);
                }
            }
        }
        told
    }

    #[test]
    fn sparing_tells_every_quarter_of_an_hour_and_numbers_without_gaps() {
        let mut thinning = Thinning {
            thrift: Thrift::Sparing,
            ..Thinning::default()
        };
        let rows: Vec<Row> = (1..=31u32)
            .map(|n| sample(SampleContext::Periodic, n, u64::from(n) * 60))
            .collect();
        // Minutes 1, 16 and 31.
        assert_eq!(told(&mut thinning, &rows), [1, 2, 3]);
        assert_eq!(
            thinning.puts(None),
            [("left-out/t".to_owned(), Some("28".to_owned()))]
        );
        assert!(thinning.puts(None).is_empty(), "told once");
        let kept = [
            ("left-out/t".to_owned(), "28".to_owned()),
            ("told/t".to_owned(), "1".to_owned()),
        ];
        let mut restored = Thinning::new(&kept);
        assert_eq!(
            told(&mut restored, &[sample(SampleContext::Periodic, 32, 1_920)]),
            [4]
        );
    }

    #[test]
    fn bare_tells_only_what_was_asked_for_or_belongs_to_begin_and_end() {
        let mut thinning = Thinning {
            thrift: Thrift::Bare,
            ..Thinning::default()
        };
        let contexts = [
            SampleContext::TransactionBegin,
            SampleContext::Periodic,
            SampleContext::Clock,
            SampleContext::Trigger,
            SampleContext::TransactionEnd,
        ];
        let rows: Vec<Row> = (1..)
            .zip(contexts)
            .map(|(n, context)| sample(context, n, 0))
            .collect();
        assert_eq!(told(&mut thinning, &rows), [1, 2, 3]);
    }

    #[test]
    fn a_restart_is_no_reason_to_wait_and_no_budget_leaves_nothing_out() {
        let mut thinning = Thinning {
            thrift: Thrift::Sparing,
            ..Thinning::default()
        };
        let first = sample(SampleContext::Periodic, 1, 100);
        let mut second = sample(SampleContext::Periodic, 2, 101);
        second.at.boot = BootId(1);
        let third = sample(SampleContext::Periodic, 3, 102);
        assert_eq!(told(&mut thinning, &[first.clone(), second, third]), [1, 2, 3]);
        let mut free = Thinning::default();
        assert_eq!(told(&mut free, &[first.clone(), first]), [1, 1]);
    }
}
