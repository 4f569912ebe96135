//! The ledger on its way to the broker: a batch at a time, and the cursors move when every row of it is confirmed.

use super::Task;
use crate::domain::CpId;
use crate::telemetry::client::Message;
use crate::telemetry::mqtt::Entry;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where the reading of the ledger stands.
pub(super) enum Reading {
    /// Nothing asked: not connected, or there is none.
    Idle,
    Fetching(BoxFuture<'static, Vec<Entry>>),
    Sending {
        rows: Vec<Entry>,
        next: usize,
        open: usize,
    },
    Noting(BoxFuture<'static, ()>),
}

impl Task {
    /// After a batch of the ledger is noted, the next one is asked for.
    pub(super) fn ask_on(&mut self) {
        if let (Reading::Idle, Some(ledger)) = (&self.reading, &self.hub.ledger) {
            self.reading = Reading::Fetching(Arc::clone(ledger).next());
        }
    }

    /// The next row of the batch to send; rows that are nothing for the broker are passed over.
    pub(super) fn next_row(&mut self) -> Option<Message> {
        let Reading::Sending { rows, next, .. } = &mut self.reading else {
            return None;
        };
        while let Some(entry) = rows.get(*next) {
            if let Some((point, record)) = &entry.record {
                let payload = serde_json::to_vec(record).unwrap_or_default();
                return Some(Message::passing(self.topics.point(point, "record"), payload));
            }
            *next += 1;
        }
        self.note_rows();
        None
    }

    /// The row told last is on its way.
    pub(super) fn row_sent(&mut self) {
        if let Reading::Sending { next, open, .. } = &mut self.reading {
            *next += 1;
            *open += 1;
        }
    }

    /// The broker has a row, or will never take it.
    pub(super) fn row_confirmed(&mut self) {
        if let Reading::Sending { open, .. } = &mut self.reading {
            *open = open.saturating_sub(1);
        }
        self.note_rows();
    }

    /// Once the broker has confirmed every row of a batch, its cursors move.
    fn note_rows(&mut self) {
        let Reading::Sending { rows, next, open } = &self.reading else {
            return;
        };
        let (true, Some(ledger)) = (*open == 0 && *next == rows.len(), &self.hub.ledger) else {
            return;
        };
        let mut last: BTreeMap<CpId, u64> = BTreeMap::new();
        for entry in rows {
            let seq = last.entry(entry.cp.clone()).or_default();
            *seq = entry.seq.max(*seq);
        }
        self.reading = Reading::Noting(Arc::clone(ledger).done(last.into_iter().collect()));
    }
}

/// Goes on with the ledger; pending while there is nothing to wait for.
pub(super) async fn read_on(reading: &mut Reading) {
    match reading {
        Reading::Idle | Reading::Sending { .. } => std::future::pending().await,
        Reading::Fetching(rows) => {
            let rows = rows.await;
            *reading = Reading::Sending {
                rows,
                next: 0,
                open: 0,
            };
        }
        Reading::Noting(done) => {
            done.await;
            *reading = Reading::Idle;
        }
    }
}
