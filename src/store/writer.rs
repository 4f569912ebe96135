//! The writer thread: the only connection that writes, and group commit that never waits. Whatever was sent while
//! the last transaction was being synced goes into the next one.

use super::error::StoreError;
use super::ledger::{self, ReaderRow};
use super::schema::set_meta;
use super::{Counters, Options, file, journal, security};
use crate::domain::{Batch, BootId, CpId, Event, NewRow, ReaderId};
use rusqlite::{Connection, TransactionBehavior};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::{mpsc, oneshot};

/// Something to make durable.
#[derive(Clone, Debug)]
pub(super) enum Work {
    Batch(Batch),
    Register { reader: ReaderId, cp: CpId },
    Retain(Vec<ReaderId>),
    Epoch { boot: BootId, epoch_ms: i64 },
    Wall(i64),
    KeepSessions(u32),
}

/// What the writer is sent. The number answered is the last row's, the reader's cursor, or zero.
#[derive(Debug)]
pub(super) enum Job {
    Do {
        work: Work,
        reply: oneshot::Sender<Result<u64, StoreError>>,
    },
    /// Answered at once: the thread turns.
    Ping(oneshot::Sender<()>),
    Close(oneshot::Sender<()>),
    /// Makes the disk full beyond so many pages.
    #[cfg(test)]
    Pages(u32, oneshot::Sender<()>),
}

type Waiting = (Work, oneshot::Sender<Result<u64, StoreError>>);

/// What the writer knows without asking the database. Replaced only after the transaction that changed it.
#[derive(Clone)]
struct Known {
    last: u64,
    readers: BTreeMap<ReaderId, ReaderRow>,
    /// Cursor moves of a charge point since its rows were last deleted.
    moves: BTreeMap<CpId, u32>,
    /// Up to where rows of a charge point were taken when its last reader left.
    floors: BTreeMap<CpId, u64>,
    /// Charge points with rows to delete.
    due: BTreeSet<CpId>,
    journal: journal::Chain,
}

impl Known {
    /// Up to where every reader of a charge point is past its rows: those may go.
    fn taken(&self, cp: &CpId) -> u64 {
        let slowest = self
            .readers
            .values()
            .filter(|row| row.cp == *cp)
            .map(|row| row.cursor)
            .min();
        slowest.unwrap_or_else(|| self.floors.get(cp).copied().unwrap_or(0))
    }
}

pub(super) struct Writer {
    db: Connection,
    known: Known,
    options: Options,
    counters: Arc<Counters>,
    dir: PathBuf,
    keys: journal::Keys,
    _lock: File,
}

impl Writer {
    pub(super) fn new(
        db: Connection,
        options: Options,
        counters: Arc<Counters>,
        dir: PathBuf,
        lock: File,
        (keys, chain): (journal::Keys, journal::Chain),
    ) -> Result<Self, StoreError> {
        let readers = ledger::readers(&db)?;
        let floors = ledger::floors(&db)?;
        let known = Known {
            last: ledger::last_seq(&db)?,
            readers: readers.into_iter().map(|row| (row.reader.clone(), row)).collect(),
            moves: BTreeMap::new(),
            due: floors.keys().cloned().collect(),
            floors,
            journal: chain,
        };
        counters.last_seq.store(known.last, Relaxed);
        Ok(Self {
            db,
            known,
            options,
            counters,
            dir,
            keys,
            _lock: lock,
        })
    }

    /// Serves until the last handle is gone or the store is closed.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut closing = None;
        while closing.is_none() {
            let first = match jobs.try_recv() {
                Ok(job) => Some(job),
                // Deletion goes on in small steps while nobody asks for anything.
                Err(mpsc::error::TryRecvError::Empty) if !self.known.due.is_empty() => None,
                Err(_) => match jobs.blocking_recv() {
                    Some(job) => Some(job),
                    None => break,
                },
            };
            let group = self.collect(first, &mut jobs, &mut closing);
            self.commit_group(group);
            self.prune_step();
        }
        // Leaves a small file and no log behind; a failure only means that the next start reads the log.
        if let Err(error) = self.db.pragma_update(None, "wal_checkpoint", "TRUNCATE") {
            tracing::debug!(%error, "checkpoint at close");
        }
        drop(self);
        if let Some(reply) = closing {
            let _ = reply.send(());
        }
    }

    /// What came in while the last transaction was under way, up to a bound.
    fn collect(
        &self,
        first: Option<Job>,
        jobs: &mut mpsc::Receiver<Job>,
        closing: &mut Option<oneshot::Sender<()>>,
    ) -> Vec<Waiting> {
        let mut group = Vec::new();
        let mut next = first;
        while let Some(job) = next {
            match job {
                Job::Do { work, reply } => group.push((work, reply)),
                Job::Ping(reply) => {
                    let _ = reply.send(());
                }
                Job::Close(reply) => {
                    *closing = Some(reply);
                    break;
                }
                #[cfg(test)]
                Job::Pages(count, reply) => {
                    let _ = self.db.pragma_update(None, "max_page_count", count);
                    let _ = reply.send(());
                }
            }
            next = if group.len() < self.options.group_max {
                jobs.try_recv().ok()
            } else {
                None
            };
        }
        group
    }

    fn commit_group(&mut self, group: Vec<Waiting>) {
        if group.is_empty() {
            return;
        }
        match self.transact(group.iter().map(|(work, _)| work)) {
            Ok(answers) => {
                for ((_, reply), answer) in group.into_iter().zip(answers) {
                    let _ = reply.send(Ok(answer));
                }
            }
            // One that is refused for its own sake must not take the others with it.
            Err(error) if !error.is_retryable() && group.len() > 1 => {
                for (work, reply) in group {
                    let answer = self.transact(std::iter::once(&work));
                    let _ = reply.send(answer.map(|answers| answers.first().copied().unwrap_or(0)));
                }
            }
            Err(error) => {
                for (_, reply) in group {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }

    fn transact<'a>(&mut self, works: impl Iterator<Item = &'a Work>) -> Result<Vec<u64>, StoreError> {
        let mut known = self.known.clone();
        let outcome = apply_all(&mut self.db, &mut known, &self.keys, works);
        match &outcome {
            Ok(answers) => {
                self.known = known;
                self.counters.transactions.fetch_add(1, Relaxed);
                self.counters.jobs.fetch_add(answers.len() as u64, Relaxed);
                self.counters.last_seq.store(self.known.last, Relaxed);
            }
            Err(error) if error.is_corruption() => file::mark_suspect(&self.dir),
            Err(_) => {}
        }
        outcome
    }

    /// Deletes one chunk for each charge point that has rows everybody is past. Apart from the commits, which
    /// must not fail or wait because of it; when it fails, it is tried again after as many moves.
    fn prune_step(&mut self) {
        let every = self.options.prune_every;
        let Known { moves, due, .. } = &mut self.known;
        moves.retain(|cp, count| *count < every || !due.insert(cp.clone()));
        if self.known.due.is_empty() {
            return;
        }
        match prune(&mut self.db, &self.known) {
            Ok((gone, left)) => {
                self.counters.pruned.fetch_add(gone, Relaxed);
                self.counters.transactions.fetch_add(u64::from(gone > 0), Relaxed);
                self.known.due = left;
            }
            Err(error) => {
                tracing::debug!(%error, "delivered rows are not deleted yet");
                if error.is_corruption() {
                    file::mark_suspect(&self.dir);
                }
                self.known.due.clear();
            }
        }
    }
}

/// One transaction; dropping it without commit rolls back.
fn apply_all<'a>(
    db: &mut Connection,
    known: &mut Known,
    keys: &journal::Keys,
    works: impl Iterator<Item = &'a Work>,
) -> Result<Vec<u64>, StoreError> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut answers = Vec::new();
    for work in works {
        answers.push(match work {
            Work::Batch(batch) => append(&tx, known, keys, batch)?,
            Work::Register { reader, cp } => register(&tx, known, reader, cp)?,
            Work::Retain(keep) => retain(&tx, known, keep).map(|()| 0)?,
            Work::Epoch { boot, epoch_ms } => {
                journal::corrected(&tx, &mut known.journal, keys, *boot, *epoch_ms).map(|()| 0)?
            }
            Work::Wall(unix_ms) => set_meta(&tx, "last_wall_ms", *unix_ms).map(|()| 0)?,
            Work::KeepSessions(records) => {
                known.journal.keep(*records);
                0
            }
        });
    }
    tx.commit()?;
    Ok(answers)
}

/// Returns how many rows went and which charge points have more.
fn prune(db: &mut Connection, known: &Known) -> Result<(u64, BTreeSet<CpId>), StoreError> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut left = BTreeSet::new();
    let mut total = 0;
    for cp in &known.due {
        let gone = ledger::prune(&tx, cp, known.taken(cp), known.last)?;
        total += gone as u64;
        if gone == ledger::PRUNE_CHUNK {
            left.insert(cp.clone());
        }
    }
    tx.commit()?;
    Ok((total, left))
}

fn append(
    db: &Connection,
    known: &mut Known,
    keys: &journal::Keys,
    batch: &Batch,
) -> Result<u64, StoreError> {
    let before = known.last;
    for row in &batch.rows {
        ledger::insert(db, known.last + 1, row)?;
        if let Event::Security(event) = &row.event {
            security::append(db, &row.cp, &row.at, event)?;
        }
        known.last += 1;
    }
    for session in &batch.sessions {
        let ends = |row: &NewRow| matches!(&row.event, Event::Ended(end) if end.tx == session.tx);
        let place = batch.rows.iter().position(ends);
        let row = place.map_or(known.last, |place| before + 1 + place as u64);
        journal::append(db, &mut known.journal, keys, session, row)?;
    }
    for receipt in &batch.receipts {
        journal::put_receipt(db, receipt)?;
    }
    for put in &batch.puts {
        ledger::put(db, put)?;
    }
    for (reader, cursor) in &batch.cursors {
        let row = known
            .readers
            .get_mut(reader)
            .ok_or_else(|| StoreError::UnknownReader(reader.clone()))?;
        if *cursor > known.last {
            let (reader, last) = (reader.clone(), known.last);
            return Err(StoreError::CursorAhead {
                reader,
                cursor: *cursor,
                last,
            });
        }
        if *cursor > row.cursor {
            row.cursor = *cursor;
            ledger::put_reader(db, row)?;
            *known.moves.entry(row.cp.clone()).or_default() += 1;
        }
    }
    Ok(known.last)
}

/// A known reader goes on where it was. A new one begins where the slowest other reader of its charge point is,
/// or, as the only one, with the oldest row that none before it had taken.
fn register(db: &Connection, known: &mut Known, reader: &ReaderId, cp: &CpId) -> Result<u64, StoreError> {
    match known.readers.get(reader) {
        Some(row) if row.cp == *cp => return Ok(row.cursor),
        Some(_) => leave(db, known, reader)?,
        None => {}
    }
    let row = ReaderRow {
        reader: reader.clone(),
        cp: cp.clone(),
        cursor: known.taken(cp),
    };
    ledger::put_reader(db, &row)?;
    let since = i64::try_from(row.cursor).unwrap_or(i64::MAX);
    set_meta(db, &format!("{}{reader}", ledger::SINCE), since)?;
    let cursor = row.cursor;
    known.readers.insert(reader.clone(), row);
    Ok(cursor)
}

/// Forgets readers that are configured no longer, so that they do not hold rows for ever.
fn retain(db: &Connection, known: &mut Known, keep: &[ReaderId]) -> Result<(), StoreError> {
    let leaving: Vec<ReaderRow> = known
        .readers
        .values()
        .filter(|row| !keep.contains(&row.reader))
        .cloned()
        .collect();
    // All floors before the first leaves: what one of them had not taken is there for its successor.
    for row in &leaving {
        let floor = known.taken(&row.cp);
        if known.floors.insert(row.cp.clone(), floor) != Some(floor) {
            ledger::set_floor(db, &row.cp, floor)?;
        }
    }
    for row in leaving {
        ledger::drop_reader(db, &row.reader)?;
        known.readers.remove(&row.reader);
        known.due.insert(row.cp);
    }
    Ok(())
}

/// One reader leaves its charge point.
fn leave(db: &Connection, known: &mut Known, reader: &ReaderId) -> Result<(), StoreError> {
    let keep: Vec<ReaderId> = known
        .readers
        .keys()
        .filter(|other| *other != reader)
        .cloned()
        .collect();
    retain(db, known, &keep)
}
