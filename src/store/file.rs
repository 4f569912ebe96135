//! The files: directory, lock, opening, checking, setting a damaged database aside.

use super::error::StoreError;
use super::schema::{self, SMALL_TABLES, Step};
use super::{Options, ledger};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The database within the state directory.
pub(super) const FILE: &str = "ledger.db";
const LOCK: &str = "lock";
/// Present when a running store met damage: the next start checks every page and row.
const SUSPECT: &str = "ledger.suspect";
/// Up to this size every page is checked at every start; beyond it only the small tables, because a start must
/// not take longer the longer an outage lasted.
const FULL_CHECK_BYTES: u64 = 2 * 1024 * 1024;

/// Makes the state directory, open to its owner only.
pub(super) fn make_dir(dir: &Path) -> Result<(), StoreError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|e| StoreError::path(dir, &e))?;
    let mode = std::fs::metadata(dir)
        .map_err(|e| StoreError::path(dir, &e))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        let tighter = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(dir, tighter).map_err(|e| StoreError::path(dir, &e))?;
    }
    Ok(())
}

fn private(path: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .mode(0o600)
        .open(path);
    file.map_err(|e| StoreError::path(path, &e))
}

/// Takes the lock of the state directory; it is free again when the file is dropped, or the process dies.
pub(super) fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK);
    let file = private(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: dir.to_owned() }),
        Err(TryLockError::Error(error)) => Err(StoreError::path(&path, &error)),
    }
}

/// Marks the database for a whole check at the next start.
pub(super) fn mark_suspect(dir: &Path) {
    if let Err(error) = private(&dir.join(SUSPECT)) {
        tracing::warn!(%error, "cannot mark the damaged database for a check");
    }
}

/// Opens, checks and migrates the database; a damaged one is set aside and a new one begun.
pub(super) fn open(
    dir: &Path,
    steps: &[Step],
    options: &Options,
) -> Result<(Connection, Option<PathBuf>), StoreError> {
    match prepare(dir, steps, options) {
        Ok(db) => Ok((db, None)),
        Err(StoreError::Corrupt(detail)) => {
            let aside = set_aside(dir)?;
            tracing::warn!(%detail, kept = %aside.display(), "the database was damaged; a new one is begun");
            Ok((prepare(dir, steps, options)?, Some(aside)))
        }
        Err(other) => Err(other),
    }
}

fn prepare(dir: &Path, steps: &[Step], options: &Options) -> Result<Connection, StoreError> {
    let path = dir.join(FILE);
    let size = private(&path)?
        .metadata()
        .map_err(|e| StoreError::path(&path, &e))?
        .len();
    let wal = std::fs::metadata(beside(&path, "-wal")).map_or(0, |meta| meta.len());
    if size == 0 && wal > 0 {
        // SQLite would silently delete the log of an emptied database.
        return Err(StoreError::Corrupt(
            "the file is empty, but its log is not".into(),
        ));
    }
    if size > 0 {
        refuse_newer(&path, wal, steps)?;
    }
    let mut db = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    tune(&db)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "wal_autocheckpoint", options.wal_pages)?;
    db.pragma_update(
        None,
        "journal_size_limit",
        4096 * i64::from(options.wal_pages) * 4,
    )?;
    schema::migrate(&mut db, steps)?;
    let suspect = dir.join(SUSPECT);
    if suspect.exists() {
        check(&db, None)?;
        ledger::verify(&db)?;
        std::fs::remove_file(&suspect).map_err(|e| StoreError::path(&suspect, &e))?;
    } else if size <= FULL_CHECK_BYTES {
        check(&db, None)?;
        ledger::verify_small(&db)?;
    } else {
        SMALL_TABLES
            .iter()
            .try_for_each(|table| check(&db, Some(table)))?;
        ledger::verify_small(&db)?;
    }
    Ok(db)
}

/// A ledger of a later release is looked at without a change to a byte of it, be it only the log that SQLite would write
/// back on closing. Whatever else is wrong is found by who opens it to write.
fn refuse_newer(path: &Path, wal: u64, steps: &[Step]) -> Result<(), StoreError> {
    // Without a log nothing beside the file is needed; SQLite would make one otherwise.
    let alone = if wal == 0 { "?immutable=1" } else { "" };
    let uri = format!("file:{}{alone}", uri_path(path));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let look = || {
        let db = Connection::open_with_flags(uri, flags)?;
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        tune(&db)?;
        schema::refuse_newer(&db, steps).map(drop)
    };
    match look() {
        Err(newer @ StoreError::Newer { .. }) => Err(newer),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A path within a URI: everything but the plainest characters in hexadecimal.
fn uri_path(path: &Path) -> String {
    let mut text = String::new();
    for &byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push_str(&format!("{byte:02X}"));
        }
    }
    text
}

/// Opens a second connection for reads, which never hold the writer up.
pub(super) fn open_reader(dir: &Path) -> Result<Connection, StoreError> {
    let db = Connection::open_with_flags(dir.join(FILE), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    tune(&db)?;
    Ok(db)
}

/// A small cache: the resident memory must not grow with the ledger.
fn tune(db: &Connection) -> Result<(), StoreError> {
    db.busy_timeout(Duration::from_secs(5))?;
    db.pragma_update(None, "cache_size", -512)?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.pragma_update(None, "trusted_schema", false)?;
    Ok(())
}

/// Checks the structure of one table, or of everything, indices against their tables included.
fn check(db: &Connection, table: Option<&str>) -> Result<(), StoreError> {
    let pragma = match table {
        Some(table) => format!("PRAGMA quick_check('{table}')"),
        None => "PRAGMA integrity_check(1)".to_owned(),
    };
    let verdict: String = db.query_row(&pragma, [], |row| row.get(0))?;
    if verdict == "ok" {
        Ok(())
    } else {
        Err(StoreError::Corrupt(verdict))
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Renames the database and its log to the first free number and returns the new name. The database goes first:
/// without its log it might look sound and lack the last commits.
fn set_aside(dir: &Path) -> Result<PathBuf, StoreError> {
    let path = dir.join(FILE);
    let aside = (1_u32..)
        .map(|number| beside(&path, &format!(".bad-{number}")))
        .find(|candidate| !candidate.exists() && !beside(candidate, "-wal").exists())
        .unwrap_or_else(|| beside(&path, ".bad"));
    std::fs::rename(&path, &aside).map_err(|e| StoreError::path(&path, &e))?;
    for (suffix, keep) in [("-wal", true), ("-shm", false)] {
        let file = beside(&path, suffix);
        let done = if keep {
            std::fs::rename(&file, beside(&aside, suffix))
        } else {
            std::fs::remove_file(&file)
        };
        match done {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::path(&file, &error));
            }
            _ => {}
        }
    }
    let suspect = dir.join(SUSPECT);
    match std::fs::remove_file(&suspect) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StoreError::path(&suspect, &error)),
        _ => sync_dir(dir).map(|()| aside),
    }
}

/// Makes renames in the directory durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    let synced = File::open(dir).and_then(|handle| handle.sync_all());
    synced.map_err(|e| StoreError::path(dir, &e))
}
