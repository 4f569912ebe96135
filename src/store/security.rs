//! The security log: every security event of every charge point, each row bound to the one before by a hash, so that a
//! row that was altered, removed or moved is found (promise X3).
//!
//! The hash of a row is SHA-256 over the hash before it and the row itself. Both ends are kept apart: the last, so that
//! rows missing at the end are seen, and the last one that was deleted for its age. Whoever can write the whole file
//! and knows this can make another chain; only a hash that was noted elsewhere shows that.

use super::error::StoreError;
use super::file;
use super::ledger::{epochs, quality_code, quality_of};
use crate::domain::{BootId, CpId, Mono, SecurityEvent, Stamp, Wall};
use ring::digest::{Context, SHA256};
use rusqlite::{Connection, OptionalExtension};
use serde::Serialize;
use std::fmt;
use std::path::Path;

/// Rows kept; the oldest go first.
const KEPT: i64 = 10_000;

/// Events of a charge point that a CSMS is told when it asks for them.
const TOLD: usize = 1_000;

/// Length of a hash.
const HASH: usize = 32;

/// A row of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SecurityEntry {
    /// Its number, without gaps.
    pub n: i64,
    /// Whose event.
    pub cp: CpId,
    /// When it happened, as noted then.
    pub at: Stamp,
    /// When it happened by what is known of that run's clock now, Unix milliseconds.
    pub unix_ms: i64,
    /// Name of the event as in OCPP 2.x.
    pub name: String,
    /// What else is known.
    pub info: Option<String>,
}

impl SecurityEntry {
    /// Whether the clock could be trusted then, or its run is known by now.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        self.at.wall.quality.is_trusted() || self.unix_ms != self.at.wall.unix_ms
    }
}

/// What is wrong with the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFault {
    /// This row, or its place, is not what was written.
    Altered(i64),
    /// This row is missing.
    Missing(i64),
    /// What is kept of the ends of the log is gone.
    NoEnds,
}

impl fmt::Display for LogFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered(n) => write!(f, "row {n} is not what was written"),
            Self::Missing(n) => write!(f, "row {n} is missing"),
            Self::NoEnds => f.write_str("what was kept of the ends of the log is gone"),
        }
    }
}

/// The log as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityLog {
    /// Its rows, oldest first.
    pub entries: Vec<SecurityEntry>,
    /// Hash of the last row, hexadecimal: noted elsewhere, it proves the log as it is now.
    pub head: String,
    /// The first thing that is wrong.
    pub fault: Option<LogFault>,
}

/// A row as it lies in the table.
struct Line {
    n: i64,
    cp: String,
    numbers: [i64; 4],
    name: String,
    info: Option<String>,
    hash: Vec<u8>,
}

impl Line {
    fn hash_behind(&self, before: &[u8]) -> Vec<u8> {
        let mut context = Context::new(&SHA256);
        let mut eat = |part: &[u8]| {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        };
        eat(before);
        eat(&self.n.to_le_bytes());
        eat(self.cp.as_bytes());
        for number in self.numbers {
            eat(&number.to_le_bytes());
        }
        eat(self.name.as_bytes());
        eat(&[u8::from(self.info.is_some())]);
        eat(self.info.as_deref().unwrap_or_default().as_bytes());
        context.finish().as_ref().to_vec()
    }

    fn entry(self, epochs: &[(BootId, i64)]) -> Option<SecurityEntry> {
        let [boot, mono_ms, unix_ms, quality] = self.numbers;
        let at = Stamp {
            boot: BootId(u32::try_from(boot).ok()?),
            mono: Mono(u64::try_from(mono_ms).ok()?),
            wall: Wall {
                unix_ms,
                quality: quality_of(quality).ok()?,
            },
        };
        let epoch = epochs.iter().find(|(boot, _)| *boot == at.boot);
        Some(SecurityEntry {
            n: self.n,
            cp: CpId::new(self.cp),
            at,
            unix_ms: at.corrected(epoch.map(|(_, unix_ms)| *unix_ms)),
            name: self.name,
            info: self.info,
        })
    }
}

/// One end of the log: the number and hash of a row.
fn end(db: &Connection, which: &str) -> Result<Option<(i64, Vec<u8>)>, StoreError> {
    let mut query = db.prepare_cached("SELECT n, hash FROM security_ends WHERE which = ?1")?;
    Ok(query
        .query_row([which], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

fn set_end(db: &Connection, which: &str, n: i64, hash: &[u8]) -> Result<(), StoreError> {
    db.prepare_cached("INSERT OR REPLACE INTO security_ends(which, n, hash) VALUES(?1, ?2, ?3)")?
        .execute((which, n, hash))?;
    Ok(())
}

/// Adds an event behind the last, within the transaction of its caller.
pub(super) fn append(
    db: &Connection,
    cp: &CpId,
    at: &Stamp,
    event: &SecurityEvent,
) -> Result<(), StoreError> {
    let (last, before) = end(db, "last")?.unwrap_or((0, vec![0; HASH]));
    let mut line = Line {
        n: last + 1,
        cp: cp.to_string(),
        numbers: [
            i64::from(at.boot.0),
            i64::try_from(at.mono.0).unwrap_or(i64::MAX),
            at.wall.unix_ms,
            quality_code(at.wall.quality),
        ],
        name: event.name.clone(),
        info: event.info.clone(),
        hash: Vec::new(),
    };
    line.hash = line.hash_behind(&before);
    let [boot, mono_ms, wall_ms, quality] = line.numbers;
    db.prepare_cached(
        "INSERT INTO security_log(n, cp, boot, mono_ms, wall_ms, quality, name, info, hash)
         VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute((
        line.n, &line.cp, boot, mono_ms, wall_ms, quality, &line.name, &line.info, &line.hash,
    ))?;
    set_end(db, "last", line.n, &line.hash)?;
    drop_oldest(db, line.n - KEPT)
}

/// Deletes what is older than the rows kept; its last hash stays as the begin of what is left.
fn drop_oldest(db: &Connection, up_to: i64) -> Result<(), StoreError> {
    if up_to < 1 {
        return Ok(());
    }
    let hash: Option<Vec<u8>> = db
        .prepare_cached("SELECT hash FROM security_log WHERE n = ?1")?
        .query_row([up_to], |row| row.get(0))
        .optional()?;
    let Some(hash) = hash else { return Ok(()) };
    db.prepare_cached("DELETE FROM security_log WHERE n <= ?1")?
        .execute([up_to])?;
    set_end(db, "first", up_to, &hash)
}

/// Reads the log of a state directory and checks it. The gateway may be running.
///
/// # Errors
/// When there is no ledger there, or it cannot be read.
pub fn read_security_log(dir: &Path) -> Result<SecurityLog, StoreError> {
    read(&file::open_reader(dir)?)
}

/// The last events of one charge point, oldest first, whatever is wrong with the log.
pub(super) fn of(db: &Connection, cp: &CpId) -> Result<Vec<SecurityEntry>, StoreError> {
    let mut entries = read(db)?.entries;
    entries.retain(|entry| entry.cp == *cp);
    let surplus = entries.len().saturating_sub(TOLD);
    Ok(entries.split_off(surplus))
}

fn read(db: &Connection) -> Result<SecurityLog, StoreError> {
    // One view of rows and ends, whatever is written meanwhile.
    let view = db.unchecked_transaction()?;
    let (mut n, mut before) = end(&view, "first")?.unwrap_or((0, vec![0; HASH]));
    let mut query = view.prepare(
        "SELECT n, cp, boot, mono_ms, wall_ms, quality, name, info, hash FROM security_log ORDER BY n",
    )?;
    let lines = query.query_map([], |row| {
        Ok(Line {
            n: row.get(0)?,
            cp: row.get(1)?,
            numbers: [row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?],
            name: row.get(6)?,
            info: row.get(7)?,
            hash: row.get(8)?,
        })
    })?;
    // Without them the log still tells its events.
    let epochs = epochs(&view).unwrap_or_default();
    let (mut entries, mut fault) = (Vec::new(), None);
    for line in lines {
        let line = line?;
        let found = match line.n {
            // Rows before the begin were put there.
            early if early <= n => Some(LogFault::Altered(early)),
            late if late > n + 1 => Some(LogFault::Missing(n + 1)),
            _ if line.hash != line.hash_behind(&before) => Some(LogFault::Altered(line.n)),
            _ => None,
        };
        fault = fault.or(found);
        n = n.max(line.n);
        before.clone_from(&line.hash);
        let number = line.n;
        match line.entry(&epochs) {
            Some(entry) => entries.push(entry),
            None => fault = fault.or(Some(LogFault::Altered(number))),
        }
    }
    let at_end = match end(&view, "last")? {
        Some((last, _)) if last > n => Some(LogFault::Missing(n + 1)),
        Some((last, hash)) if last < n || hash != before => Some(LogFault::Altered(n)),
        Some(_) => None,
        None if n == 0 => None,
        None => Some(LogFault::NoEnds),
    };
    let head = before.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(SecurityLog {
        entries,
        head,
        fault: fault.or(at_end),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema;

    fn filled(count: i64) -> Connection {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db, schema::STEPS).unwrap();
        for n in 1..=count {
            let at = Stamp {
                boot: BootId(2),
                mono: Mono(u64::try_from(n).unwrap()),
                ..Stamp::default()
            };
            let event = SecurityEvent::new("StartupOfTheDevice", (n % 2 == 0).then_some("info"));
            append(&db, &CpId::new("CP1"), &at, &event).unwrap();
        }
        db
    }

    fn fault(db: &Connection) -> Option<LogFault> {
        read(db).unwrap().fault
    }

    #[test]
    fn an_event_of_a_run_without_a_clock_is_told_with_its_time_once_that_is_known() {
        let db = filled(1);
        let told = |db: &Connection| {
            let entry = read(db).unwrap().entries.remove(0);
            (entry.unix_ms, entry.is_certain(), entry.at.wall.unix_ms)
        };
        assert_eq!(told(&db), (0, false, 0));
        db.execute("INSERT INTO boots (boot, epoch_ms) VALUES (2, 1790000000000)", [])
            .unwrap();
        assert_eq!(told(&db), (1_790_000_000_001, true, 0));
    }

    #[test]
    fn what_was_written_is_whole_and_each_row_changes_the_head() {
        let mut heads = Vec::new();
        for count in 0..5 {
            let log = read(&filled(count)).unwrap();
            assert_eq!(
                (log.fault, log.entries.len()),
                (None, usize::try_from(count).unwrap())
            );
            assert!(!heads.contains(&log.head));
            heads.push(log.head);
        }
        let log = read(&filled(2)).unwrap();
        assert_eq!(log.entries[1].info.as_deref(), Some("info"));
        assert_eq!((log.entries[1].n, log.entries[1].at.mono), (2, Mono(2)));
    }

    #[test]
    fn any_altered_column_of_any_row_is_found() {
        for change in [
            "cp = 'CP2'",
            "boot = boot + 1",
            "mono_ms = mono_ms + 1",
            "wall_ms = 5",
            "quality = 3",
            "name = 'ResetOrReboot'",
            "info = 'other'",
            "hash = zeroblob(32)",
        ] {
            for n in 1..=5 {
                let db = filled(5);
                db.execute(&format!("UPDATE security_log SET {change} WHERE n = {n}"), [])
                    .unwrap();
                assert!(fault(&db).is_some(), "{change} of row {n}");
            }
        }
        let db = filled(5);
        db.execute("UPDATE security_log SET info = NULL WHERE n = 4", [])
            .unwrap();
        assert_eq!(fault(&db), Some(LogFault::Altered(4)));
        let db = filled(5);
        db.execute("UPDATE security_log SET info = '' WHERE n = 3", [])
            .unwrap();
        assert_eq!(
            fault(&db),
            Some(LogFault::Altered(3)),
            "nothing and an empty text differ"
        );
    }

    #[test]
    fn a_removed_row_is_found_at_the_begin_in_the_middle_and_at_the_end() {
        for n in 1..=5 {
            let db = filled(5);
            db.execute("DELETE FROM security_log WHERE n = ?1", [n]).unwrap();
            assert_eq!(fault(&db), Some(LogFault::Missing(n)));
        }
        let db = filled(5);
        db.execute("DELETE FROM security_log", []).unwrap();
        assert_eq!(fault(&db), Some(LogFault::Missing(1)));
        db.execute("DELETE FROM security_ends", []).unwrap();
        let db = filled(5);
        db.execute("DELETE FROM security_ends", []).unwrap();
        assert_eq!(fault(&db), Some(LogFault::NoEnds));
        // Removed and numbered anew.
        let db = filled(5);
        db.execute("DELETE FROM security_log WHERE n = 3", []).unwrap();
        db.execute("UPDATE security_log SET n = n - 1 WHERE n > 3", [])
            .unwrap();
        db.execute("UPDATE security_ends SET n = 4", []).unwrap();
        assert_eq!(fault(&db), Some(LogFault::Altered(3)));
    }

    #[test]
    fn swapped_and_added_rows_are_found() {
        let db = filled(5);
        for (from, to) in [(2, 99), (4, 2), (99, 4)] {
            db.execute("UPDATE security_log SET n = ?2 WHERE n = ?1", (from, to))
                .unwrap();
        }
        assert_eq!(fault(&db), Some(LogFault::Altered(2)));
        let db = filled(5);
        db.execute(
            "INSERT INTO security_log SELECT 6, cp, boot, mono_ms, wall_ms, quality, name, info, hash
             FROM security_log WHERE n = 5",
            [],
        )
        .unwrap();
        assert_eq!(fault(&db), Some(LogFault::Altered(6)));
        let db = filled(5);
        db.execute(
            "INSERT INTO security_log SELECT 0, cp, boot, mono_ms, wall_ms, quality, name, info, hash
             FROM security_log WHERE n = 1",
            [],
        )
        .unwrap();
        assert_eq!(fault(&db), Some(LogFault::Altered(0)));
    }

    #[test]
    fn the_oldest_rows_go_and_the_rest_stays_provable() {
        let db = filled(7);
        drop_oldest(&db, 3).unwrap();
        let log = read(&db).unwrap();
        assert_eq!((log.fault, log.entries.len(), log.entries[0].n), (None, 4, 4));
        assert_eq!(log.head, read(&filled(7)).unwrap().head);
        db.execute("DELETE FROM security_log WHERE n = 4", []).unwrap();
        assert_eq!(fault(&db), Some(LogFault::Missing(4)));
    }
}
