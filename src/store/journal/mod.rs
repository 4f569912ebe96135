//! The journal of sessions: each finished session as a record that is numbered, bound to the one before by its hash, and
//! signed. `docs/sessions.md` tells the form; ADR 14 tells why.
//!
//! Rules kept here:
//! * a record is durable in one step with the row that ends its transaction, or neither is;
//! * no record is ever altered: a time that is known better later is a record of its own;
//! * the oldest records go only behind a record that names the last of them, so that what is left stays provable;
//! * a number is never used twice, even where somebody has cut records off the end.

mod check;
mod keys;
mod receipts;
mod reconcile;
#[cfg(test)]
mod tests;
mod text;

pub use check::{Checked, JournalFault, JournalKey, JournalRecord, Session, read_sessions};
pub use keys::{PublicKey, TokenNames, journal_token};
pub use reconcile::{Reconciled, Standing, reconcile_sessions};

pub(super) use keys::Keys;
pub(super) use receipts::put as put_receipt;

use super::error::StoreError;
use super::schema::{meta, set_meta};
use crate::domain::{BootId, SessionRecord, Stamp};
use keys::hex;
use ring::digest;
use rusqlite::{Connection, OptionalExtension};
use serde_json::{Value, json};
use text::Fields;

/// `meta` name of the last number given out.
const LAST: &str = "sessions";
/// Hash before the first record.
const NOTHING: [u8; 32] = [0; 32];
/// Why a record introduces a key behind others.
const ANOTHER_KEY: &str = "another_key";
/// Records kept unless told otherwise.
const KEPT: i64 = 50_000;

/// Why a chain, or a key in it, begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// There was none.
    New,
    /// The database that had it was damaged and set aside.
    SetAside,
}

/// Where the chain ends and begins. Replaced only after the transaction that changed it.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    first: i64,
    last: i64,
    hash: [u8; 32],
    kept: i64,
}

impl Chain {
    /// Bounds what is kept; takes effect with the next session.
    pub(super) fn keep(&mut self, records: u32) {
        self.kept = i64::from(records).max(1);
    }
}

/// Hash of a record.
fn hash(text: &str) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    out
}

/// Finds the end of the chain and says in it who signs from now on, if that is news. `row` is the last of the ledger.
pub(super) fn open(db: &Connection, keys: &Keys, why: Opening, row: u64) -> Result<Chain, StoreError> {
    let newest: Option<(i64, String)> = db
        .query_row("SELECT n, body FROM sessions ORDER BY n DESC LIMIT 1", [], |r| {
            Ok((r.get(0)?, check::text(r, 1)?))
        })
        .optional()?;
    let first: Option<i64> = db.query_row("SELECT min(n) FROM sessions", [], |r| r.get(0))?;
    let given = meta(db, LAST)?.unwrap_or(0);
    let last = newest.as_ref().map_or(0, |(n, _)| *n).max(given);
    let mut chain = Chain {
        first: first.unwrap_or(last + 1),
        last,
        hash: newest.as_ref().map_or(NOTHING, |(_, body)| hash(body)),
        kept: KEPT,
    };
    let signer = newest.and_then(|(_, body)| {
        let body: Value = serde_json::from_str(&body).ok()?;
        Some(body.get("key")?.as_str()?.to_owned())
    });
    let why = match (signer, why) {
        (Some(id), _) if id == keys.id => return Ok(chain),
        (Some(_), _) => ANOTHER_KEY,
        (None, Opening::New) => "new",
        (None, Opening::SetAside) => "database_set_aside",
    };
    let fields = Fields::from([
        ("kind", json!("opened")),
        ("public_key", json!(hex(&keys.public.0))),
        ("row", json!(row)),
        ("why", json!(why)),
    ]);
    write(db, &mut chain, keys, fields)?;
    Ok(chain)
}

/// Appends a finished session, within the transaction of its caller. `row` is the one that ends it.
pub(super) fn append(
    db: &Connection,
    chain: &mut Chain,
    keys: &Keys,
    session: &SessionRecord,
    row: u64,
) -> Result<(), StoreError> {
    let token = session.token.as_ref().map(|token| keys.token(token));
    let n = write(db, chain, keys, text::session(session, token.as_deref(), row))?;
    for (side, at) in [("begin", session.begun), ("end", Some(session.ended))] {
        if let Some(at) = at.filter(|at| !at.wall.quality.is_trusted()) {
            await_time(db, n, side, at)?;
        }
    }
    correct(db, chain, keys)?;
    thin(db, chain, keys)
}

fn await_time(db: &Connection, n: i64, side: &str, at: Stamp) -> Result<(), StoreError> {
    let mono = i64::try_from(at.mono.0).unwrap_or(i64::MAX);
    db.prepare_cached("INSERT INTO session_times(n, side, boot, mono_ms) VALUES(?1, ?2, ?3, ?4)")?
        .execute((n, side, at.boot.0, mono))?;
    Ok(())
}

/// Adds a record for each session whose times are known better by now.
pub(super) fn correct(db: &Connection, chain: &mut Chain, keys: &Keys) -> Result<(), StoreError> {
    let known: Vec<(i64, String, i64)> = db
        .prepare_cached(
            "SELECT n, side, epoch_ms + mono_ms FROM session_times JOIN boots USING(boot)
             WHERE epoch_ms IS NOT NULL ORDER BY n, side",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for sides in known.chunk_by(|one, other| one.0 == other.0) {
        let Some((of, ..)) = sides.first() else { continue };
        let time_of = |side: &str| {
            let known = sides.iter().find(|(_, known, _)| known == side);
            known.map_or(Value::Null, |(.., ms)| json!(ms))
        };
        let fields = Fields::from([
            ("kind", json!("times")),
            ("of", json!(of)),
            ("begin_ms", time_of("begin")),
            ("end_ms", time_of("end")),
        ]);
        write(db, chain, keys, fields)?;
        for (_, side, _) in sides {
            db.prepare_cached("DELETE FROM session_times WHERE n = ?1 AND side = ?2")?
                .execute((of, side))?;
        }
    }
    Ok(())
}

/// Deletes the oldest records once there are a twentieth too many, behind a record that names the last of them.
fn thin(db: &Connection, chain: &mut Chain, keys: &Keys) -> Result<(), StoreError> {
    let most = chain.kept + (chain.kept / 20).clamp(1, 1_000);
    if chain.last - chain.first < most {
        return Ok(());
    }
    let wanted = chain.last - chain.kept;
    let going: Option<(i64, String)> = db
        .query_row(
            "SELECT n, body FROM sessions WHERE n <= ?1 ORDER BY n DESC LIMIT 1",
            [wanted],
            |row| Ok((row.get(0)?, check::text(row, 1)?)),
        )
        .optional()?;
    let Some((up_to, body)) = going else {
        return Ok(());
    };
    let row: Option<i64> = db.query_row(
        "SELECT max(CASE WHEN json_valid(body) THEN json_extract(body, '$.row') END) FROM sessions
         WHERE n <= ?1",
        [up_to],
        |row| row.get(0),
    )?;
    let fields = Fields::from([
        ("kind", json!("pruned")),
        ("up_to", json!(up_to)),
        ("up_to_hash", json!(hex(&hash(&body)))),
        ("row", json!(row.unwrap_or(0))),
        ("public_keys", json!(check::introduced(db)?)),
    ]);
    write(db, chain, keys, fields)?;
    receipts::drop_up_to(db, up_to)?;
    db.execute("DELETE FROM session_times WHERE n <= ?1", [up_to])?;
    db.execute("DELETE FROM sessions WHERE n <= ?1", [up_to])?;
    chain.first = up_to + 1;
    Ok(())
}

/// Numbers, binds, signs and stores a record. Whatever lies under its number was put there by somebody else and goes:
/// a journal that was tampered with must hold no session up.
fn write(db: &Connection, chain: &mut Chain, keys: &Keys, mut fields: Fields) -> Result<i64, StoreError> {
    let n = chain.last + 1;
    fields.insert("v", json!(text::VERSION));
    fields.insert("n", json!(n));
    fields.insert("prev", json!(hex(&chain.hash)));
    fields.insert("key", json!(keys.id));
    let kind = fields
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let body = text::canonical(&fields)?;
    db.prepare_cached("INSERT OR REPLACE INTO sessions(n, kind, body, signature) VALUES(?1, ?2, ?3, ?4)")?
        .execute((n, &kind, &body, keys.sign(&body)))?;
    set_meta(db, LAST, n)?;
    chain.last = n;
    chain.hash = hash(&body);
    Ok(n)
}

/// Used where the clock's correction of a run is noted.
pub(super) fn corrected(
    db: &Connection,
    chain: &mut Chain,
    keys: &Keys,
    boot: BootId,
    epoch_ms: i64,
) -> Result<(), StoreError> {
    super::ledger::set_epoch(db, boot, epoch_ms)?;
    correct(db, chain, keys)
}
