//! The reading thread: a second connection, so that a long read never holds a commit up.

use super::error::StoreError;
use super::security::{self, SecurityEntry};
use super::{Counters, ReaderStats, Stats, file, ledger};
use crate::domain::{BootId, CpId, Row};
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::{mpsc, oneshot};

/// Pending rows are counted up to here.
const PENDING_BOUND: u64 = 10_000;

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// A question.
#[derive(Debug)]
pub(super) enum Ask {
    Rows {
        cp: CpId,
        after: u64,
        limit: usize,
        reply: Reply<Vec<Row>>,
    },
    Scope {
        scope: String,
        reply: Reply<Vec<(String, String)>>,
    },
    SecurityLog {
        cp: CpId,
        reply: Reply<Vec<SecurityEntry>>,
    },
    Epochs(Reply<Vec<(BootId, i64)>>),
    Stats(Reply<Stats>),
    /// Answered at once: the thread turns.
    Ping(oneshot::Sender<()>),
    Close(oneshot::Sender<()>),
}

/// Answers until the last handle is gone or the store is closed.
pub(super) fn run(db: Connection, counters: &Counters, dir: &Arc<PathBuf>, mut asks: mpsc::Receiver<Ask>) {
    while let Some(ask) = asks.blocking_recv() {
        match ask {
            Ask::Rows {
                cp,
                after,
                limit,
                reply,
            } => answer(dir, reply, ledger::rows(&db, &cp, after, limit)),
            Ask::Scope { scope, reply } => answer(dir, reply, ledger::scope(&db, &scope)),
            Ask::SecurityLog { cp, reply } => answer(dir, reply, security::of(&db, &cp)),
            Ask::Epochs(reply) => answer(dir, reply, ledger::epochs(&db)),
            Ask::Stats(reply) => answer(dir, reply, stats(&db, counters)),
            Ask::Ping(reply) => {
                let _ = reply.send(());
            }
            Ask::Close(reply) => {
                drop(db);
                let _ = reply.send(());
                return;
            }
        }
    }
}

fn answer<T>(dir: &Arc<PathBuf>, reply: Reply<T>, result: Result<T, StoreError>) {
    if result.as_ref().is_err_and(StoreError::is_corruption) {
        file::mark_suspect(dir);
    }
    let _ = reply.send(result);
}

fn stats(db: &Connection, counters: &Counters) -> Result<Stats, StoreError> {
    let mut readers = Vec::new();
    for row in ledger::readers(db)? {
        let pending = ledger::pending(db, &row, PENDING_BOUND)?;
        let oldest = if pending == 0 {
            None
        } else {
            ledger::oldest(db, &row)?
        };
        readers.push(ReaderStats {
            reader: row.reader,
            cp: row.cp,
            cursor: row.cursor,
            pending,
            oldest,
        });
    }
    let pages: i64 = db.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    let size: i64 = db.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    Ok(Stats {
        last_seq: counters.last_seq.load(Relaxed),
        commits: counters.jobs.load(Relaxed),
        transactions: counters.transactions.load(Relaxed),
        pruned: counters.pruned.load(Relaxed),
        bytes: u64::try_from(pages.saturating_mul(size)).unwrap_or(0),
        readers,
    })
}
