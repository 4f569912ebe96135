//! The SQL of rows, readers and values. Every function works inside the transaction of its caller.

use super::error::StoreError;
use super::schema::{meta, set_meta};
use super::sum::sum;
use crate::domain::{BootId, ClockQuality, CpId, Event, Mono, NewRow, Put, ReaderId, Row, Stamp, Wall};
use rusqlite::Connection;
use std::collections::BTreeMap;

/// Most rows handed out by one read.
const READ_MAX: usize = 1_000;

/// Boots whose epoch is kept although no row speaks of them: values of `kv` may.
const BOOTS_KEPT: i64 = 64;

fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn uint(value: i64, what: &str) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| StoreError::Corrupt(format!("{what} is {value}")))
}

pub(super) fn quality_code(quality: ClockQuality) -> i64 {
    match quality {
        ClockQuality::Unset => 0,
        ClockQuality::Restored => 1,
        ClockQuality::Csms => 2,
        ClockQuality::Ntp => 3,
    }
}

pub(super) fn quality_of(code: i64) -> Result<ClockQuality, StoreError> {
    match code {
        0 => Ok(ClockQuality::Unset),
        1 => Ok(ClockQuality::Restored),
        2 => Ok(ClockQuality::Csms),
        3 => Ok(ClockQuality::Ntp),
        other => Err(StoreError::Corrupt(format!("clock quality {other}"))),
    }
}

fn kind_of(event: &Event) -> &'static str {
    match event {
        Event::Began(_) => "began",
        Event::Sampled { .. } => "sampled",
        Event::Changed { .. } => "changed",
        Event::Ended(_) => "ended",
        Event::Security(_) => "security",
        Event::Log(_) => "log",
        Event::Firmware(_) => "firmware",
    }
}

/// The numbers of a row beside its texts, as they are summed and stored.
struct Numbers {
    seq: i64,
    boot: i64,
    mono_ms: i64,
    wall_ms: i64,
    quality: i64,
}

impl Numbers {
    fn of(seq: u64, at: &Stamp) -> Self {
        Self {
            seq: int(seq),
            boot: i64::from(at.boot.0),
            mono_ms: int(at.mono.0),
            wall_ms: at.wall.unix_ms,
            quality: quality_code(at.wall.quality),
        }
    }

    fn stamp(&self) -> Result<Stamp, StoreError> {
        let boot = u32::try_from(self.boot);
        Ok(Stamp {
            boot: BootId(boot.map_err(|_| StoreError::Corrupt(format!("boot {}", self.boot)))?),
            mono: Mono(uint(self.mono_ms, "mono_ms")?),
            wall: Wall {
                unix_ms: self.wall_ms,
                quality: quality_of(self.quality)?,
            },
        })
    }

    fn sum(&self, cp: &str, body: &str) -> i64 {
        let mut bytes = [0; 40];
        let numbers = [self.seq, self.boot, self.mono_ms, self.wall_ms, self.quality];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        sum(&[&bytes, cp.as_bytes(), body.as_bytes()])
    }
}

/// Appends a row under the given number.
pub(super) fn insert(db: &Connection, seq: u64, row: &NewRow) -> Result<(), StoreError> {
    let body = serde_json::to_string(&row.event).map_err(|e| StoreError::Refused(e.to_string()))?;
    let n = Numbers::of(seq, &row.at);
    db.prepare_cached(
        "INSERT INTO ledger(seq, cp, boot, mono_ms, wall_ms, quality, kind, body, sum)
         VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute((
        n.seq,
        row.cp.as_str(),
        n.boot,
        n.mono_ms,
        n.wall_ms,
        n.quality,
        kind_of(&row.event),
        &body,
        n.sum(row.cp.as_str(), &body),
    ))?;
    Ok(())
}

const COLUMNS: &str = "SELECT seq, cp, boot, mono_ms, wall_ms, quality, body, sum FROM ledger";

fn row_of(row: &rusqlite::Row<'_>) -> Result<Row, StoreError> {
    let n = Numbers {
        seq: row.get(0)?,
        boot: row.get(2)?,
        mono_ms: row.get(3)?,
        wall_ms: row.get(4)?,
        quality: row.get(5)?,
    };
    let (cp, body): (String, String) = (row.get(1)?, row.get(6)?);
    if row.get::<_, i64>(7)? != n.sum(&cp, &body) {
        return Err(StoreError::Corrupt(format!("checksum of ledger row {}", n.seq)));
    }
    let event =
        serde_json::from_str(&body).map_err(|e| StoreError::Corrupt(format!("ledger row {}: {e}", n.seq)))?;
    Ok(Row {
        seq: uint(n.seq, "seq")?,
        at: n.stamp()?,
        cp: CpId::new(cp),
        event,
    })
}

/// Rows of a charge point after a number, oldest first.
pub(super) fn rows(db: &Connection, cp: &CpId, after: u64, limit: usize) -> Result<Vec<Row>, StoreError> {
    let mut query = db.prepare_cached(&format!(
        "{COLUMNS} WHERE cp = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3"
    ))?;
    let mut found = query.query((cp.as_str(), int(after), int(limit.min(READ_MAX) as u64)))?;
    let mut out = Vec::new();
    while let Some(row) = found.next()? {
        out.push(row_of(row)?);
    }
    Ok(out)
}

/// Reads every row and value, which compares every checksum.
pub(super) fn verify(db: &Connection) -> Result<(), StoreError> {
    let mut query = db.prepare(&format!("{COLUMNS} ORDER BY seq"))?;
    let mut found = query.query([])?;
    while let Some(row) = found.next()? {
        row_of(row)?;
    }
    verify_small(db)
}

/// The part of [`verify`] that does not grow with the ledger.
pub(super) fn verify_small(db: &Connection) -> Result<(), StoreError> {
    let mut scopes = db.prepare("SELECT DISTINCT scope FROM kv")?;
    let names = scopes
        .query_map([], |row| row.get::<_, String>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    names.iter().try_for_each(|name| scope(db, name).map(drop))?;
    floors(db)?;
    readers(db).map(drop)
}

/// Highest number ever given out.
pub(super) fn last_seq(db: &Connection) -> Result<u64, StoreError> {
    let highest: i64 = db.query_row(
        "SELECT max(coalesce((SELECT max(seq) FROM ledger), 0), coalesce((SELECT max(cursor) FROM readers), 0))",
        [],
        |row| row.get(0),
    )?;
    uint(highest.max(meta(db, "high_water")?.unwrap_or(0)), "seq")
}

/// A registered reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReaderRow {
    pub reader: ReaderId,
    pub cp: CpId,
    pub cursor: u64,
}

fn reader_sum(reader: &str, cp: &str, cursor: i64) -> i64 {
    sum(&[reader.as_bytes(), cp.as_bytes(), &cursor.to_le_bytes()])
}

/// All readers, by name.
pub(super) fn readers(db: &Connection) -> Result<Vec<ReaderRow>, StoreError> {
    let mut query = db.prepare_cached("SELECT reader, cp, cursor, sum FROM readers ORDER BY reader")?;
    let mut found = query.query([])?;
    let mut out = Vec::new();
    while let Some(row) = found.next()? {
        let (reader, cp, cursor): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if row.get::<_, i64>(3)? != reader_sum(&reader, &cp, cursor) {
            return Err(StoreError::Corrupt(format!("checksum of reader {reader}")));
        }
        out.push(ReaderRow {
            reader: ReaderId::new(reader),
            cp: CpId::new(cp),
            cursor: uint(cursor, "cursor")?,
        });
    }
    Ok(out)
}

/// Writes a reader's place.
pub(super) fn put_reader(db: &Connection, row: &ReaderRow) -> Result<(), StoreError> {
    let (reader, cp, cursor) = (row.reader.as_str(), row.cp.as_str(), int(row.cursor));
    db.prepare_cached("INSERT OR REPLACE INTO readers(reader, cp, cursor, sum) VALUES(?1, ?2, ?3, ?4)")?
        .execute((reader, cp, cursor, reader_sum(reader, cp, cursor)))?;
    Ok(())
}

/// Forgets a reader.
pub(super) fn drop_reader(db: &Connection, reader: &ReaderId) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM readers WHERE reader = ?1")?
        .execute([reader.as_str()])?;
    Ok(())
}

/// Most rows deleted in one transaction: a long backlog must not hold the commits of others up.
pub(super) const PRUNE_CHUNK: usize = 256;

/// Deletes the oldest of what every reader of a charge point is past; `high_water` keeps the numbers from being
/// used again. Returns how many rows went; fewer than [`PRUNE_CHUNK`] means that is all.
pub(super) fn prune(db: &Connection, cp: &CpId, up_to: u64, last: u64) -> Result<usize, StoreError> {
    let gone = db
        .prepare_cached(
            "DELETE FROM ledger WHERE seq IN
             (SELECT seq FROM ledger WHERE cp = ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3)",
        )?
        .execute((cp.as_str(), int(up_to), int(PRUNE_CHUNK as u64)))?;
    if gone > 0 {
        set_meta(db, "high_water", int(last))?;
    }
    Ok(gone)
}

/// `meta` name of the row behind which a reader came in, before the reader's name.
pub(super) const SINCE: &str = "since/";

/// Transactions that ended with a row still here: transaction, charge point, row.
pub(super) fn ended(db: &Connection) -> Result<Vec<(String, String, i64)>, StoreError> {
    let mut query = db.prepare(
        "SELECT json_extract(body, '$.tx'), cp, seq FROM ledger WHERE kind = 'ended' ORDER BY seq",
    )?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

const FLOOR: &str = "floor/";

/// Notes up to where the last reader of a charge point had taken its rows when it left.
pub(super) fn set_floor(db: &Connection, cp: &CpId, floor: u64) -> Result<(), StoreError> {
    set_meta(db, &format!("{FLOOR}{cp}"), int(floor))
}

/// All floors by charge point.
pub(super) fn floors(db: &Connection) -> Result<BTreeMap<CpId, u64>, StoreError> {
    let mut query = db.prepare("SELECT name FROM meta WHERE name LIKE 'floor/%'")?;
    let names = query
        .query_map([], |row| row.get::<_, String>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    let mut out = BTreeMap::new();
    for name in names {
        let floor = uint(meta(db, &name)?.unwrap_or(0), "floor")?;
        out.insert(CpId::new(name.trim_start_matches(FLOOR)), floor);
    }
    Ok(out)
}

/// How many rows a reader still has before it, counted up to a bound because the ledger may hold a million.
pub(super) fn pending(db: &Connection, row: &ReaderRow, bound: u64) -> Result<u64, StoreError> {
    let count: i64 = db
        .prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM ledger WHERE cp = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3)",
        )?
        .query_row((row.cp.as_str(), int(row.cursor), int(bound)), |row| row.get(0))?;
    uint(count, "count")
}

/// When the first row that a reader still has before it happened.
pub(super) fn oldest(db: &Connection, row: &ReaderRow) -> Result<Option<Stamp>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT seq, boot, mono_ms, wall_ms, quality FROM ledger WHERE cp = ?1 AND seq > ?2 ORDER BY seq LIMIT 1",
    )?;
    let mut found = query.query((row.cp.as_str(), int(row.cursor)))?;
    let Some(row) = found.next()? else { return Ok(None) };
    let numbers = Numbers {
        seq: row.get(0)?,
        boot: row.get(1)?,
        mono_ms: row.get(2)?,
        wall_ms: row.get(3)?,
        quality: row.get(4)?,
    };
    numbers.stamp().map(Some)
}

/// Writes or removes a value.
pub(super) fn put(db: &Connection, put: &Put) -> Result<(), StoreError> {
    let (scope, key) = (put.scope.as_str(), put.key.as_str());
    match &put.value {
        Some(value) => db
            .prepare_cached(
                // An unchanged value dirties no page, hence costs no flash.
                "INSERT INTO kv(scope, key, value, sum) VALUES(?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE
                 SET value = excluded.value, sum = excluded.sum WHERE value <> excluded.value",
            )?
            .execute((
                scope,
                key,
                value,
                sum(&[scope.as_bytes(), key.as_bytes(), value.as_bytes()]),
            ))?,
        None => db
            .prepare_cached("DELETE FROM kv WHERE scope = ?1 AND key = ?2")?
            .execute((scope, key))?,
    };
    Ok(())
}

/// All values of a scope, by key.
pub(super) fn scope(db: &Connection, scope: &str) -> Result<Vec<(String, String)>, StoreError> {
    let mut query = db.prepare_cached("SELECT key, value, sum FROM kv WHERE scope = ?1 ORDER BY key")?;
    let mut found = query.query([scope])?;
    let mut out = Vec::new();
    while let Some(row) = found.next()? {
        let (key, value): (String, String) = (row.get(0)?, row.get(1)?);
        if row.get::<_, i64>(2)? != sum(&[scope.as_bytes(), key.as_bytes(), value.as_bytes()]) {
            return Err(StoreError::Corrupt(format!("checksum of {scope} {key}")));
        }
        out.push((key, value));
    }
    Ok(out)
}

/// Counts this start and forgets the boots no row speaks of any more.
pub(super) fn next_boot(db: &Connection) -> Result<BootId, StoreError> {
    let last: Option<i64> = db.query_row("SELECT max(boot) FROM boots", [], |row| row.get(0))?;
    let boot = u32::try_from(last.unwrap_or(0) + 1)
        .map_err(|_| StoreError::Corrupt(format!("boot counter {last:?}")))?;
    db.execute("INSERT INTO boots(boot, epoch_ms) VALUES(?1, NULL)", [boot])?;
    db.execute(
        "DELETE FROM boots WHERE boot < ?1
         AND boot < coalesce((SELECT boot FROM ledger ORDER BY seq LIMIT 1), ?1)",
        [i64::from(boot) - BOOTS_KEPT],
    )?;
    Ok(BootId(boot))
}

/// Notes the Unix time at `Mono(0)` of a boot.
pub(super) fn set_epoch(db: &Connection, boot: BootId, epoch_ms: i64) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE boots SET epoch_ms = ?2 WHERE boot = ?1")?
        .execute((boot.0, epoch_ms))?;
    Ok(())
}

/// Known epochs by boot.
pub(super) fn epochs(db: &Connection) -> Result<Vec<(BootId, i64)>, StoreError> {
    let mut query =
        db.prepare_cached("SELECT boot, epoch_ms FROM boots WHERE epoch_ms IS NOT NULL ORDER BY boot")?;
    let found = query.query_map([], |row| Ok((BootId(row.get(0)?), row.get(1)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}
