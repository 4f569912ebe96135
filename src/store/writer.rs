//! The writer thread: the only connection that writes, and group commit that never waits. Whatever was sent while
//! the last transaction was being synced goes into the next one.

use super::error::StoreError;
use super::ledger::{self, ReaderRow};
use super::schema::set_meta;
use super::{Counters, Options, file};
use crate::domain::{Batch, BootId, CpId, ReaderId};
use rusqlite::{Connection, TransactionBehavior};
use std::collections::BTreeMap;
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
}

/// What the writer is sent. The number answered is the last row's, the reader's cursor, or zero.
#[derive(Debug)]
pub(super) enum Job {
    Do {
        work: Work,
        reply: oneshot::Sender<Result<u64, StoreError>>,
    },
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
}

pub(super) struct Writer {
    db: Connection,
    known: Known,
    options: Options,
    counters: Arc<Counters>,
    dir: PathBuf,
    _lock: File,
}

impl Writer {
    pub(super) fn new(
        db: Connection,
        options: Options,
        counters: Arc<Counters>,
        dir: PathBuf,
        lock: File,
    ) -> Result<Self, StoreError> {
        let readers = ledger::readers(&db)?;
        let known = Known {
            last: ledger::last_seq(&db)?,
            readers: readers.into_iter().map(|row| (row.reader.clone(), row)).collect(),
            moves: BTreeMap::new(),
        };
        counters.last_seq.store(known.last, Relaxed);
        Ok(Self {
            db,
            known,
            options,
            counters,
            dir,
            _lock: lock,
        })
    }

    /// Serves until the last handle is gone or the store is closed.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut closing = None;
        while closing.is_none() {
            let Some(first) = jobs.blocking_recv() else { break };
            let mut group = Vec::new();
            let mut next = Some(first);
            while let Some(job) = next {
                match job {
                    Job::Do { work, reply } => group.push((work, reply)),
                    Job::Close(reply) => {
                        closing = Some(reply);
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
            self.commit_group(group);
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
        let outcome = apply_all(&mut self.db, &mut known, works, &self.options);
        match outcome {
            Ok((answers, gone)) => {
                self.known = known;
                self.counters.transactions.fetch_add(1, Relaxed);
                self.counters.jobs.fetch_add(answers.len() as u64, Relaxed);
                self.counters.pruned.fetch_add(gone, Relaxed);
                self.counters.last_seq.store(self.known.last, Relaxed);
                Ok(answers)
            }
            Err(error) => {
                if error.is_corruption() {
                    file::mark_suspect(&self.dir);
                }
                Err(error)
            }
        }
    }
}

/// One transaction; dropping it without commit rolls back.
fn apply_all<'a>(
    db: &mut Connection,
    known: &mut Known,
    works: impl Iterator<Item = &'a Work>,
    options: &Options,
) -> Result<(Vec<u64>, u64), StoreError> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut answers = Vec::new();
    let mut gone = 0;
    for work in works {
        answers.push(match work {
            Work::Batch(batch) => append(&tx, known, batch)?,
            Work::Register { reader, cp } => register(&tx, known, reader, cp)?,
            Work::Retain(keep) => {
                gone += retain(&tx, known, keep)?;
                0
            }
            Work::Epoch { boot, epoch_ms } => ledger::set_epoch(&tx, *boot, *epoch_ms).map(|()| 0)?,
            Work::Wall(unix_ms) => set_meta(&tx, "last_wall_ms", *unix_ms).map(|()| 0)?,
        });
    }
    let due: Vec<CpId> = known
        .moves
        .iter()
        .filter(|(_, moves)| **moves >= options.prune_every)
        .map(|(cp, _)| cp.clone())
        .collect();
    for cp in due {
        gone += prune(&tx, known, &cp)?;
    }
    tx.commit()?;
    Ok((answers, gone))
}

fn append(db: &Connection, known: &mut Known, batch: &Batch) -> Result<u64, StoreError> {
    for row in &batch.rows {
        ledger::insert(db, known.last + 1, row)?;
        known.last += 1;
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
/// or, as the only one, with the oldest row kept.
fn register(db: &Connection, known: &mut Known, reader: &ReaderId, cp: &CpId) -> Result<u64, StoreError> {
    if let Some(row) = known.readers.get(reader).filter(|row| row.cp == *cp) {
        return Ok(row.cursor);
    }
    let others = known
        .readers
        .values()
        .filter(|row| row.cp == *cp && row.reader != *reader);
    let cursor = others.map(|row| row.cursor).min().unwrap_or(0);
    let row = ReaderRow {
        reader: reader.clone(),
        cp: cp.clone(),
        cursor,
    };
    ledger::put_reader(db, &row)?;
    known.readers.insert(reader.clone(), row);
    Ok(cursor)
}

/// Forgets readers that are configured no longer, so that they do not hold rows for ever. What was delivered to
/// them goes first: a later reader must not be sent it again.
fn retain(db: &Connection, known: &mut Known, keep: &[ReaderId]) -> Result<u64, StoreError> {
    let leaving: Vec<ReaderRow> = known
        .readers
        .values()
        .filter(|row| !keep.contains(&row.reader))
        .cloned()
        .collect();
    let mut gone = 0;
    // All before the first is dropped: what one of them had not taken must stay for its successor.
    for row in &leaving {
        gone += prune(db, known, &row.cp)?;
    }
    for row in leaving {
        ledger::drop_reader(db, &row.reader)?;
        known.readers.remove(&row.reader);
    }
    Ok(gone)
}

fn prune(db: &Connection, known: &mut Known, cp: &CpId) -> Result<u64, StoreError> {
    known.moves.remove(cp);
    let slowest = known
        .readers
        .values()
        .filter(|row| row.cp == *cp)
        .map(|row| row.cursor)
        .min();
    match slowest {
        Some(up_to) if up_to > 0 => Ok(ledger::prune(db, cp, up_to, known.last)? as u64),
        _ => Ok(0),
    }
}
