//! The schema, told as steps. Each step runs in one transaction together with its version number, so that a
//! kill at any moment leaves either the old schema or the new one. A step, once released, never changes.

use super::error::StoreError;
use super::sum::sum;
use rusqlite::{Connection, TransactionBehavior};

/// One migration: what turns version `n` into `n + 1`.
pub(super) type Step = &'static str;

/// Marks the file as a ledger of this program (`RVLT`).
const APPLICATION_ID: u32 = 0x5256_4c54;

/// From nothing to the present. Security events are kept twice, because the security log (1.6 whitepaper N01.FR.05) outlives
/// their delivery. The ledger has no AUTOINCREMENT: it would cost one more page in every commit;
/// `meta.high_water` and the readers' cursors keep numbers from being used twice. The third step is the journal of
/// sessions (ADR 14).
pub(super) const STEPS: &[Step] = &[
    "
CREATE TABLE ledger(
  seq INTEGER PRIMARY KEY,
  cp TEXT NOT NULL,
  boot INTEGER NOT NULL,
  mono_ms INTEGER NOT NULL,
  wall_ms INTEGER NOT NULL,
  quality INTEGER NOT NULL,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,
  sum INTEGER NOT NULL
) STRICT;
CREATE INDEX ledger_by_cp ON ledger(cp, seq);
CREATE TABLE readers(
  reader TEXT PRIMARY KEY,
  cp TEXT NOT NULL,
  cursor INTEGER NOT NULL,
  sum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE kv(
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  sum INTEGER NOT NULL,
  PRIMARY KEY(scope, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE boots(
  boot INTEGER PRIMARY KEY,
  epoch_ms INTEGER
) STRICT;
CREATE TABLE meta(
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL,
  sum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
",
    "
CREATE TABLE security_log(
  n INTEGER PRIMARY KEY,
  cp TEXT NOT NULL,
  boot INTEGER NOT NULL,
  mono_ms INTEGER NOT NULL,
  wall_ms INTEGER NOT NULL,
  quality INTEGER NOT NULL,
  name TEXT NOT NULL,
  info TEXT,
  hash BLOB NOT NULL
) STRICT;
CREATE TABLE security_ends(
  which TEXT PRIMARY KEY,
  n INTEGER NOT NULL,
  hash BLOB NOT NULL
) STRICT, WITHOUT ROWID;
",
    "
CREATE TABLE sessions(
  n INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,
  signature BLOB NOT NULL
) STRICT;
CREATE INDEX sessions_others ON sessions(n) WHERE kind <> 'session';
CREATE TABLE session_times(
  n INTEGER NOT NULL,
  side TEXT NOT NULL,
  boot INTEGER NOT NULL,
  mono_ms INTEGER NOT NULL,
  PRIMARY KEY(n, side)
) STRICT, WITHOUT ROWID;
CREATE TABLE receipts(
  tx TEXT NOT NULL,
  reader TEXT NOT NULL,
  part TEXT NOT NULL,
  row INTEGER NOT NULL,
  answer TEXT NOT NULL,
  code TEXT,
  number INTEGER,
  register_mwh INTEGER,
  sum INTEGER NOT NULL,
  PRIMARY KEY(tx, reader, part)
) STRICT, WITHOUT ROWID;
",
];

/// Tables small enough to be checked at every start, whatever the length of the ledger.
pub(super) const SMALL_TABLES: &[&str] = &["meta", "readers", "kv", "boots"];

/// Version of the schema in the file.
fn version(db: &Connection) -> Result<u32, StoreError> {
    Ok(db.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

/// Version of a file that this release can bring to the last of `steps`; reads only.
///
/// # Errors
/// As [`migrate`].
pub(super) fn refuse_newer(db: &Connection, steps: &[Step]) -> Result<u32, StoreError> {
    let known = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    let found = version(db)?;
    check_identity(db, found)?;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    Ok(found)
}

/// Brings the file to the last of `steps`.
///
/// # Errors
/// [`StoreError::Newer`] for a file of a later release; [`StoreError::Corrupt`] when the file is not a ledger.
pub(super) fn migrate(db: &mut Connection, steps: &[Step]) -> Result<(), StoreError> {
    let found = refuse_newer(db, steps)?;
    for (at, step) in steps.iter().enumerate().skip(found as usize) {
        let to = i64::try_from(at + 1).unwrap_or(i64::MAX);
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch(step)?;
        set_meta(&tx, "schema", to)?;
        set_meta(&tx, "schema_sum", schema_sum(&tx)?)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", to)?;
        #[cfg(test)]
        super::tests::die_here("within", to);
        tx.commit()?;
        #[cfg(test)]
        super::tests::die_here("after", to);
    }
    Ok(())
}

/// Version and text of the schema are kept twice: a flipped bit in the header must not look like a later release,
/// nor one in the schema like a mistake of ours.
fn check_identity(db: &Connection, version: u32) -> Result<(), StoreError> {
    let damage = |error| match error {
        StoreError::Refused(detail) => StoreError::Corrupt(detail),
        other => other,
    };
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if version == 0 && tables == 0 {
        return Ok(());
    }
    let id: u32 = db.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let kept = meta(db, "schema").map_err(damage)?;
    let kept_sum = meta(db, "schema_sum").map_err(damage)?;
    if id == APPLICATION_ID && kept == Some(i64::from(version)) && kept_sum == Some(schema_sum(db)?) {
        return Ok(());
    }
    Err(StoreError::Corrupt(format!(
        "header says application {id:#010x} and schema {version}, the table says schema {kept:?}"
    )))
}

/// Checksum over the statements that made the schema.
fn schema_sum(db: &Connection) -> Result<i64, StoreError> {
    let mut query = db.prepare("SELECT coalesce(sql, '') FROM sqlite_schema ORDER BY type, name")?;
    let texts = query
        .query_map([], |row| row.get::<_, String>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    Ok(sum(&texts.iter().map(String::as_bytes).collect::<Vec<_>>()))
}

/// A number of `meta`.
pub(super) fn meta(db: &Connection, name: &str) -> Result<Option<i64>, StoreError> {
    let mut query = db.prepare_cached("SELECT value, sum FROM meta WHERE name = ?1")?;
    let mut rows = query.query([name])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let value: i64 = row.get(0)?;
    if row.get::<_, i64>(1)? != sum(&[name.as_bytes(), &value.to_le_bytes()]) {
        return Err(StoreError::Corrupt(format!("checksum of meta.{name}")));
    }
    Ok(Some(value))
}

/// Writes a number of `meta`.
pub(super) fn set_meta(db: &Connection, name: &str, value: i64) -> Result<(), StoreError> {
    db.prepare_cached("INSERT OR REPLACE INTO meta(name, value, sum) VALUES(?1, ?2, ?3)")?
        .execute((name, value, sum(&[name.as_bytes(), &value.to_le_bytes()])))?;
    Ok(())
}
