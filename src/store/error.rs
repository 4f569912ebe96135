//! What can go wrong with the store, and what the caller should do about it.

use crate::domain::ReaderId;
use rusqlite::ErrorCode;
use std::path::{Path, PathBuf};

/// Failure of a store operation. Cloneable, because one failed sync answers every commit it would have carried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The state directory or a file in it cannot be made or opened.
    #[error("{path}: {detail}; check that the directory exists and belongs to the user of the service")]
    Path {
        /// Which.
        path: PathBuf,
        /// What the system says.
        detail: String,
    },
    /// Another daemon uses the state directory.
    #[error("{path} is in use by another retrovolt; two daemons cannot share a state directory")]
    Locked {
        /// The state directory.
        path: PathBuf,
    },
    /// The database was written by a later release.
    #[error(
        "the database has schema {found}, this release knows up to {known}: it was written by a later release. \
         Install that release again, or move the file away to start with an empty ledger"
    )]
    Newer {
        /// In the file.
        found: u32,
        /// Of this build.
        known: u32,
    },
    /// The file is damaged. It is marked, checked as a whole at the next start and set aside then.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    /// No space left.
    #[error("no space left for the database")]
    Full,
    /// The file system is read-only.
    #[error("the database is on a read-only file system")]
    ReadOnly,
    /// Input or output failed.
    #[error("input/output error of the database: {0}")]
    Io(String),
    /// The database was locked for too long.
    #[error("the database is busy")]
    Busy,
    /// A cursor of a reader that is not registered.
    #[error("reader {0} is not registered")]
    UnknownReader(ReaderId),
    /// A cursor beyond the last row.
    #[error("reader {reader} cannot be at {cursor}: the last row is {last}")]
    CursorAhead {
        /// Which reader.
        reader: ReaderId,
        /// Where it wants to be.
        cursor: u64,
        /// The last row there is.
        last: u64,
    },
    /// A value that cannot be written as JSON, or a statement SQLite refuses.
    #[error("refused by the database: {0}")]
    Refused(String),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether the same call may succeed later: the caller keeps its batch and tries again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Full | Self::ReadOnly | Self::Io(_) | Self::Busy => true,
            Self::Path { .. }
            | Self::Locked { .. }
            | Self::Newer { .. }
            | Self::Corrupt(_)
            | Self::UnknownReader(_)
            | Self::CursorAhead { .. }
            | Self::Refused(_)
            | Self::Closed => false,
        }
    }

    /// Whether only a restart helps, which checks the whole file and sets it aside when it is bad.
    #[must_use]
    pub fn is_corruption(&self) -> bool {
        matches!(self, Self::Corrupt(_))
    }

    pub(super) fn path(path: &Path, error: &std::io::Error) -> Self {
        Self::Path {
            path: path.to_owned(),
            detail: error.to_string(),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as E;
        match &error {
            E::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::DiskFull => Self::Full,
                ErrorCode::ReadOnly => Self::ReadOnly,
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Corrupt(error.to_string()),
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy,
                ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::OutOfMemory => {
                    Self::Io(error.to_string())
                }
                _ => Self::Refused(error.to_string()),
            },
            E::InvalidColumnType(..)
            | E::FromSqlConversionFailure(..)
            | E::IntegralValueOutOfRange(..)
            | E::Utf8Error(..)
            | E::QueryReturnedNoRows => Self::Corrupt(error.to_string()),
            _ => Self::Refused(error.to_string()),
        }
    }
}
