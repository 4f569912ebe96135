//! The ledger reader: rows strictly in order, one at a time, repeated until answered or given up.
//!
//! Rules it keeps (1.6 sections 3.7 and 3.7.1, errata 3.18; 2.0.1 E13):
//! * the next row is sent only after the cursor of the one before is durable;
//! * a refused row waits interval x number of earlier sends, and is given up after the attempts allowed, fewer
//!   where the refusal is about its form and would repeat for ever;
//! * a row without an answer is repeated as it was: no answer never gives a row up;
//! * rows the dialect does not speak of are passed over, and their cursor moves with the next durable step.

use super::dialect::Call;
use crate::domain::{Mono, Row};
use std::collections::VecDeque;
use std::time::Duration;

/// Rows read at once; also the most that are kept in memory.
pub(super) const ROWS_AT_ONCE: usize = 32;

/// Attempts for a row that is refused for its form.
const ATTEMPTS_MALFORMED: u32 = 2;

/// What may be done with the oldest row.
#[derive(Debug, PartialEq)]
pub(super) enum Next<'a> {
    /// Nothing at present.
    Wait,
    /// Send it.
    Send(&'a Row),
}

/// What became of a refusal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is sent again at this time.
    Again(Mono),
    /// It is given up after so many sends.
    GiveUp(u32),
}

/// Position in the ledger and what is under way.
#[derive(Debug)]
pub(super) struct LedgerReader {
    /// Durable position.
    cursor: u64,
    /// Position in memory: ahead of the cursor by rows passed over.
    done: u64,
    rows: VecDeque<Row>,
    asked: bool,
    more: bool,
    grew_since_asked: bool,
    in_flight: bool,
    refusals: u32,
    not_before: Option<Mono>,
    committing: Option<(u64, u64)>,
    /// The oldest row as it was sent, so that a repeat is identical.
    rendered: Option<(u64, Call)>,
}

impl LedgerReader {
    pub(super) fn new(cursor: u64) -> Self {
        Self {
            cursor,
            done: cursor,
            rows: VecDeque::new(),
            asked: false,
            more: true,
            grew_since_asked: false,
            in_flight: false,
            refusals: 0,
            not_before: None,
            committing: None,
            rendered: None,
        }
    }

    pub(super) fn cursor(&self) -> u64 {
        self.cursor
    }

    pub(super) fn waiting(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn refusals(&self) -> u32 {
        self.refusals
    }

    /// When a refused row is due again.
    pub(super) fn not_before(&self) -> Option<Mono> {
        self.not_before
    }

    /// Whether everything known is delivered and durable.
    pub(super) fn is_drained(&self) -> bool {
        self.rows.is_empty() && !self.asked && !self.more && self.committing.is_none()
    }

    /// Whether a step is on its way to the disk.
    pub(super) fn is_committing(&self) -> bool {
        self.committing.is_some()
    }

    /// Rows were appended.
    pub(super) fn grew(&mut self) {
        self.more = true;
        self.grew_since_asked = true;
    }

    /// Where to read on, when it is time to.
    pub(super) fn need(&mut self) -> Option<u64> {
        if self.asked || !self.more || !self.rows.is_empty() {
            return None;
        }
        self.asked = true;
        self.grew_since_asked = false;
        Some(self.done)
    }

    /// Rows were read.
    pub(super) fn read(&mut self, rows: Vec<Row>) {
        self.asked = false;
        self.more = rows.len() >= ROWS_AT_ONCE || self.grew_since_asked;
        let mut last = self.rows.back().map_or(self.done, |row| row.seq);
        for row in rows {
            if row.seq > last {
                last = row.seq;
                self.rows.push_back(row);
            }
        }
    }

    /// The oldest row, if it may be sent now.
    pub(super) fn next(&self, now: Mono) -> Next<'_> {
        let blocked = self.in_flight
            || self.committing.is_some()
            || self.not_before.is_some_and(|earliest| earliest > now);
        match self.rows.front() {
            Some(row) if !blocked => Next::Send(row),
            _ => Next::Wait,
        }
    }

    /// The oldest row.
    pub(super) fn front(&self) -> Option<&Row> {
        self.rows.front()
    }

    /// The oldest row as it was sent before.
    pub(super) fn rendered(&self) -> Option<&Call> {
        let front = self.rows.front()?;
        self.rendered
            .as_ref()
            .filter(|(seq, _)| *seq == front.seq)
            .map(|(_, call)| call)
    }

    /// The oldest row is sent in this form.
    pub(super) fn sent(&mut self, call: Call) {
        self.in_flight = true;
        self.not_before = None;
        self.rendered = self.rows.front().map(|row| (row.seq, call));
    }

    /// The dialect has nothing to say about the oldest row.
    pub(super) fn pass_over(&mut self) {
        if let Some(row) = self.rows.pop_front() {
            self.done = row.seq;
        }
    }

    /// A position reached only by passing over, once there is nothing else to carry it.
    pub(super) fn idle_progress(&self) -> Option<u64> {
        let idle = self.rows.is_empty() && self.committing.is_none();
        (idle && self.done > self.cursor).then_some(self.done)
    }

    /// No answer came: the row is sent again, as it was.
    pub(super) fn unanswered(&mut self) {
        self.in_flight = false;
    }

    /// The row was refused.
    pub(super) fn refused(
        &mut self,
        now: Mono,
        malformed: bool,
        attempts: u32,
        interval: Duration,
    ) -> Refused {
        self.in_flight = false;
        self.refusals = self.refusals.saturating_add(1);
        let attempts = attempts.max(1);
        let allowed = if malformed {
            attempts.min(ATTEMPTS_MALFORMED)
        } else {
            attempts
        };
        if self.refusals >= allowed {
            return Refused::GiveUp(self.refusals);
        }
        let again = now.plus(interval.saturating_mul(self.refusals));
        self.not_before = Some(again);
        Refused::Again(again)
    }

    /// The oldest row is done (answered or given up); its cursor goes into the commit with this id.
    pub(super) fn finish(&mut self, commit: u64) -> u64 {
        self.in_flight = false;
        self.refusals = 0;
        self.not_before = None;
        self.rendered = None;
        self.pass_over();
        self.start_commit(commit);
        self.done
    }

    /// The position of [`Self::idle_progress`] goes into the commit with this id.
    pub(super) fn start_commit(&mut self, commit: u64) {
        self.committing = Some((commit, self.done));
    }

    /// A commit is durable.
    pub(super) fn committed(&mut self, commit: u64) {
        if let Some((_, seq)) = self.committing.take_if(|(id, _)| *id == commit) {
            self.cursor = self.cursor.max(seq);
        }
    }
}
