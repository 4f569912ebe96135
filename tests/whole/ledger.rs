//! The ledger in memory: one writer that takes its time, and what is durable after a kill.

use retrovolt::domain::{Batch, CpId, ReaderId, Row};
use std::collections::BTreeMap;

/// What survives the process.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Every row, oldest first.
    pub rows: Vec<Row>,
    kv: BTreeMap<String, BTreeMap<String, String>>,
    cursors: BTreeMap<ReaderId, u64>,
}

impl Ledger {
    /// Makes a batch durable.
    pub fn commit(&mut self, batch: Batch) {
        for row in batch.rows {
            let seq = self.rows.last().map_or(1, |last| last.seq + 1);
            let (cp, at, event) = (row.cp, row.at, row.event);
            self.rows.push(Row { seq, cp, at, event });
        }
        for put in batch.puts {
            let scope = self.kv.entry(put.scope).or_default();
            match put.value {
                Some(value) => scope.insert(put.key, value),
                None => scope.remove(&put.key),
            };
        }
        for (reader, seq) in batch.cursors {
            let before = self.cursors.insert(reader, seq).unwrap_or_default();
            assert!(seq >= before, "a cursor goes back from {before} to {seq}");
        }
    }

    /// State of a scope.
    pub fn scope(&self, scope: &str) -> Vec<(String, String)> {
        let all = self.kv.get(scope).into_iter().flatten();
        all.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// How far a reader is.
    pub fn cursor(&self, reader: &ReaderId) -> u64 {
        self.cursors.get(reader).copied().unwrap_or_default()
    }

    /// Rows of a charge point behind `after`.
    pub fn behind(&self, cp: &CpId, after: u64, limit: usize) -> Vec<Row> {
        let rows = self.rows.iter().filter(|row| row.seq > after && row.cp == *cp);
        rows.take(limit).cloned().collect()
    }
}
