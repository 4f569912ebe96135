//! The ledger on disk: the only room that speaks SQL.
//!
//! One thread writes, one thread reads. [`Store::commit`] returns when the batch is durable, as a whole or not at
//! all; commits that come in while another is being synced share the next sync. Rows are deleted when every
//! registered reader of their charge point is past them; a row nobody is registered for is kept.
//!
//! Each finished session is also in a journal of its own, signed, with what each back end had to say about it.
//!
//! Security events are also in a log of their own, which outlives their delivery and shows when it was tampered with.
//!
//! A killed process loses nothing that was acknowledged (promise D1). A damaged file is set aside and a new one
//! begun (D3). A file of a later release is refused (D7).

#[cfg(test)]
pub(crate) mod double;
mod error;
mod file;
mod journal;
mod ledger;
mod reader;
mod schema;
mod security;
mod sum;
#[cfg(test)]
mod tests;
mod writer;

pub use error::StoreError;
pub use journal::{
    Checked, JournalFault, JournalKey, JournalRecord, PublicKey, Reconciled, Session, Standing,
    journal_token, read_sessions, reconcile_sessions,
};
pub use security::{LogFault, SecurityEntry, SecurityLog, read_security_log};

use crate::domain::{Batch, BootId, CpId, ReaderId, Row, Stamp};
use reader::Ask;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::{mpsc, oneshot};
use writer::{Job, Work};

/// Commits and questions that may wait; beyond it the caller waits.
const QUEUE: usize = 256;
/// SQLite needs little; the default of 2 MiB would only be address space.
const STACK_BYTES: usize = 512 * 1024;

/// Handle to the store; clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    jobs: mpsc::Sender<Job>,
    asks: mpsc::Sender<Ask>,
}

/// What was found at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The number of this run, durable before [`Store::open`] returns.
    pub boot: BootId,
    /// Unix milliseconds last noted by an earlier run.
    pub last_wall_ms: Option<i64>,
    /// Where a damaged database was put; the ledger is empty then.
    pub set_aside: Option<PathBuf>,
}

/// Figures for `retrovolt status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Number of the last row.
    pub last_seq: u64,
    /// Batches and settings made durable since the start.
    pub commits: u64,
    /// Transactions that took, each one sync, deletions among them.
    pub transactions: u64,
    /// Rows deleted since the start because every reader was past them.
    pub pruned: u64,
    /// Size of the database file.
    pub bytes: u64,
    /// Readers by name.
    pub readers: Vec<ReaderStats>,
}

/// One reader's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReaderStats {
    /// Which.
    pub reader: ReaderId,
    /// Of which charge point.
    pub cp: CpId,
    /// Last row it is done with.
    pub cursor: u64,
    /// Rows before it, counted up to 10,000.
    pub pending: u64,
    /// When the oldest of them happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Stamp>,
}

/// Settings that tests turn.
#[derive(Clone, Debug)]
struct Options {
    /// Most jobs of one transaction.
    group_max: usize,
    /// Cursor moves of a charge point between two deletions of its rows.
    prune_every: u32,
    /// Pages of the write-ahead log before it is reused.
    wal_pages: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            group_max: 256,
            prune_every: 64,
            wal_pages: 50,
        }
    }
}

#[derive(Debug, Default)]
struct Counters {
    last_seq: AtomicU64,
    jobs: AtomicU64,
    transactions: AtomicU64,
    pruned: AtomicU64,
}

impl Store {
    /// Opens the ledger in a state directory, which is made if need be (mode 0700, files 0600), and counts this
    /// start. Blocks for some milliseconds; longer only for a database that was found damaged in operation.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another daemon has it, [`StoreError::Newer`] for a database of a later
    /// release, [`StoreError::Path`], [`StoreError::Full`], [`StoreError::Io`] and [`StoreError::ReadOnly`] by the
    /// file system.
    pub fn open(dir: &Path) -> Result<(Self, Opened), StoreError> {
        Self::open_with(dir, schema::STEPS, Options::default())
    }

    fn open_with(dir: &Path, steps: &[schema::Step], options: Options) -> Result<(Self, Opened), StoreError> {
        file::make_dir(dir)?;
        let lock = file::lock(dir)?;
        let (mut db, set_aside) = file::open(dir, steps, &options)?;
        let keys = journal::Keys::load(dir)?;
        let tx = db.transaction()?;
        let boot = ledger::next_boot(&tx)?;
        let why = match set_aside {
            Some(_) => journal::Opening::SetAside,
            None => journal::Opening::New,
        };
        let chain = journal::open(&tx, &keys, why, ledger::last_seq(&tx)?)?;
        tx.commit()?;
        file::sync_dir(dir)?;
        let last_wall_ms = schema::meta(&db, "last_wall_ms")?;
        let read_db = file::open_reader(dir)?;
        let counters = Arc::new(Counters::default());
        let journal = (keys, chain);
        let writer = writer::Writer::new(db, options, Arc::clone(&counters), dir.to_owned(), lock, journal)?;
        let (jobs, job_queue) = mpsc::channel(QUEUE);
        let (asks, ask_queue) = mpsc::channel(QUEUE);
        thread("ledger-write", move || writer.run(job_queue))?;
        let dir = Arc::new(dir.to_owned());
        thread("ledger-read", move || {
            reader::run(read_db, &counters, &dir, ask_queue);
        })?;
        Ok((
            Self { jobs, asks },
            Opened {
                boot,
                last_wall_ms,
                set_aside,
            },
        ))
    }

    /// Makes a batch durable and returns the number of the last row of the ledger. Once handed over it is carried
    /// out even if the caller stops waiting.
    ///
    /// # Errors
    /// Where [`StoreError::is_retryable`], nothing was written and the same batch can be committed again.
    pub async fn commit(&self, batch: Batch) -> Result<u64, StoreError> {
        self.work(Work::Batch(batch)).await
    }

    /// [`Store::commit`] for a thread without a runtime.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn commit_blocking(&self, batch: Batch) -> Result<u64, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Job::Do {
            work: Work::Batch(batch),
            reply,
        };
        self.jobs.blocking_send(job).map_err(|_| StoreError::Closed)?;
        answer.blocking_recv().unwrap_or(Err(StoreError::Closed))
    }

    /// Rows of a charge point after a number, oldest first, at most 1,000.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when a row does not agree with its checksum.
    pub async fn rows(&self, cp: &CpId, after: u64, limit: usize) -> Result<Vec<Row>, StoreError> {
        let cp = cp.clone();
        self.ask(|reply| Ask::Rows {
            cp,
            after,
            limit,
            reply,
        })
        .await
    }

    /// The last thousand security events of a charge point, oldest first, delivered or not (1.6 whitepaper N01.FR.05).
    ///
    /// # Errors
    /// As [`Store::rows`].
    pub async fn security_log(&self, cp: &CpId) -> Result<Vec<SecurityEntry>, StoreError> {
        let cp = cp.clone();
        self.ask(|reply| Ask::SecurityLog { cp, reply }).await
    }

    /// All values of a scope, by key.
    ///
    /// # Errors
    /// As [`Store::rows`].
    pub async fn scope(&self, scope: &str) -> Result<Vec<(String, String)>, StoreError> {
        let scope = scope.to_owned();
        self.ask(|reply| Ask::Scope { scope, reply }).await
    }

    /// Registers a reader of a charge point and returns its cursor. A known one goes on where it was; a new one
    /// begins where the slowest other reader of the charge point is, or, as the only one, with the oldest row that
    /// none before it had taken.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn register(&self, reader: &ReaderId, cp: &CpId) -> Result<u64, StoreError> {
        self.work(Work::Register {
            reader: reader.clone(),
            cp: cp.clone(),
        })
        .await
    }

    /// Forgets every reader that is not listed: one that is configured no longer would hold rows for ever.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn retain_readers(&self, keep: &[ReaderId]) -> Result<(), StoreError> {
        self.work(Work::Retain(keep.to_vec())).await.map(drop)
    }

    /// Bounds the journal of sessions to so many records.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn keep_sessions(&self, records: u32) -> Result<(), StoreError> {
        self.work(Work::KeepSessions(records)).await.map(drop)
    }

    /// Notes the Unix time in milliseconds at `Mono(0)` of a boot, once it is trusted.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn set_epoch(&self, boot: BootId, unix_ms_at_zero: i64) -> Result<(), StoreError> {
        self.work(Work::Epoch {
            boot,
            epoch_ms: unix_ms_at_zero,
        })
        .await
        .map(drop)
    }

    /// Epochs known, by boot; those of boots no row speaks of any more are forgotten.
    ///
    /// # Errors
    /// As [`Store::rows`].
    pub async fn epochs(&self) -> Result<Vec<(BootId, i64)>, StoreError> {
        self.ask(Ask::Epochs).await
    }

    /// Notes the wall clock, which a later run without a clock continues from. Each call is one sync.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn note_wall(&self, unix_ms: i64) -> Result<(), StoreError> {
        self.work(Work::Wall(unix_ms)).await.map(drop)
    }

    /// Figures for people and metrics.
    ///
    /// # Errors
    /// As [`Store::rows`].
    pub async fn stats(&self) -> Result<Stats, StoreError> {
        self.ask(Ask::Stats).await
    }

    /// Returns once both threads have turned, without touching the disk.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub async fn turns(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        let closed = |_| StoreError::Closed;
        self.jobs
            .send(Job::Ping(reply))
            .await
            .map_err(|_| StoreError::Closed)?;
        answer.await.map_err(closed)?;
        let (reply, answer) = oneshot::channel();
        self.asks
            .send(Ask::Ping(reply))
            .await
            .map_err(|_| StoreError::Closed)?;
        answer.await.map_err(closed)
    }

    /// Writes out what was handed over and releases files and lock. Other handles answer
    /// [`StoreError::Closed`] from then on.
    pub async fn close(self) {
        let (reply, done) = oneshot::channel();
        if self.asks.send(Ask::Close(reply)).await.is_ok() {
            let _ = done.await;
        }
        let (reply, done) = oneshot::channel();
        if self.jobs.send(Job::Close(reply)).await.is_ok() {
            let _ = done.await;
        }
    }

    async fn work(&self, work: Work) -> Result<u64, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.jobs
            .send(Job::Do { work, reply })
            .await
            .map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Ask,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.asks
            .send(question(reply))
            .await
            .map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
    let started = std::thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK_BYTES)
        .spawn(body);
    started
        .map(drop)
        .map_err(|e| StoreError::Io(format!("cannot start the thread {name}: {e}")))
}
