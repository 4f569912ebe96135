//! What each back end had to say about the begin and the end of a session, one row each, kept as long as the session.

use crate::domain::{MilliWattHours, Receipt, ReceiptAnswer, ReceiptPart};
use crate::store::error::StoreError;
use crate::store::sum::sum;
use rusqlite::Connection;
use std::collections::BTreeMap;

/// A receipt as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) row: i64,
    pub(super) answer: ReceiptAnswer,
    pub(super) register: Option<MilliWattHours>,
}

/// Begin and end at one back end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Both {
    pub(super) begin: Option<Kept>,
    pub(super) end: Option<Kept>,
}

const ACCEPTED: &str = "accepted";
const GIVEN_UP: &str = "given_up";
const NOT_FOR_IT: &str = "not_for_it";

/// Columns but for the checksum.
struct Line {
    tx: String,
    reader: String,
    part: String,
    row: i64,
    answer: String,
    code: Option<String>,
    number: Option<i64>,
    register: Option<i64>,
}

impl Line {
    fn sum(&self) -> i64 {
        let number = self.number.map(i64::to_le_bytes);
        let register = self.register.map(i64::to_le_bytes);
        sum(&[
            self.tx.as_bytes(),
            self.reader.as_bytes(),
            self.part.as_bytes(),
            &self.row.to_le_bytes(),
            self.answer.as_bytes(),
            self.code.as_deref().unwrap_or("\u{0}").as_bytes(),
            number.as_ref().map_or(&[][..], |bytes| bytes),
            register.as_ref().map_or(&[][..], |bytes| bytes),
        ])
    }

    fn kept(self) -> Option<(String, ReceiptPart, Kept)> {
        let part = match self.part.as_str() {
            "begin" => ReceiptPart::Begin,
            "end" => ReceiptPart::End,
            _ => return None,
        };
        let answer = match self.answer.as_str() {
            ACCEPTED => ReceiptAnswer::Accepted { number: self.number },
            GIVEN_UP => ReceiptAnswer::GivenUp {
                code: self.code.unwrap_or_default(),
            },
            NOT_FOR_IT => ReceiptAnswer::NotForIt,
            _ => return None,
        };
        let register = self.register.map(MilliWattHours);
        let kept = Kept {
            row: self.row,
            answer,
            register,
        };
        Some((self.reader, part, kept))
    }
}

/// Writes a receipt, within the transaction of its caller.
pub(in crate::store) fn put(db: &Connection, receipt: &Receipt) -> Result<(), StoreError> {
    let (answer, code, number) = match &receipt.answer {
        ReceiptAnswer::Accepted { number } => (ACCEPTED, None, *number),
        ReceiptAnswer::GivenUp { code } => (GIVEN_UP, Some(code.clone()), None),
        ReceiptAnswer::NotForIt => (NOT_FOR_IT, None, None),
    };
    let line = Line {
        tx: receipt.tx.to_string(),
        reader: receipt.reader.to_string(),
        part: receipt.part.word().to_owned(),
        row: i64::try_from(receipt.row).unwrap_or(i64::MAX),
        answer: answer.to_owned(),
        code,
        number,
        register: receipt.register.map(|register| register.0),
    };
    db.prepare_cached(
        "INSERT OR REPLACE INTO receipts(tx, reader, part, row, answer, code, number, register_mwh, sum)
         VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute((
        &line.tx,
        &line.reader,
        &line.part,
        line.row,
        &line.answer,
        &line.code,
        line.number,
        line.register,
        line.sum(),
    ))?;
    Ok(())
}

const COLUMNS: &str = "SELECT tx, reader, part, row, answer, code, number, register_mwh, sum FROM receipts";

fn line_of(row: &rusqlite::Row<'_>) -> Result<Line, StoreError> {
    let line = Line {
        tx: row.get(0)?,
        reader: row.get(1)?,
        part: row.get(2)?,
        row: row.get(3)?,
        answer: row.get(4)?,
        code: row.get(5)?,
        number: row.get(6)?,
        register: row.get(7)?,
    };
    if row.get::<_, i64>(8)? != line.sum() {
        return Err(StoreError::Corrupt(format!(
            "checksum of the receipt of {} by {}",
            line.tx, line.reader
        )));
    }
    Ok(line)
}

/// The receipts of a transaction, by reader.
pub(super) fn of(db: &Connection, tx: &str) -> Result<BTreeMap<String, Both>, StoreError> {
    let mut query = db.prepare_cached(&format!("{COLUMNS} WHERE tx = ?1"))?;
    let mut rows = query.query([tx])?;
    let mut all: BTreeMap<String, Both> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let line = line_of(row)?;
        let Some((reader, part, kept)) = line.kept() else {
            return Err(StoreError::Corrupt(format!(
                "a receipt of {tx} says nothing known"
            )));
        };
        let both = all.entry(reader).or_default();
        match part {
            ReceiptPart::Begin => both.begin = Some(kept),
            ReceiptPart::End => both.end = Some(kept),
        }
    }
    Ok(all)
}

/// Ends that a back end was told of: transaction, reader, row.
pub(super) fn told_ends(db: &Connection) -> Result<Vec<(String, String, i64)>, StoreError> {
    let mut query = db.prepare(
        "SELECT tx, reader, row FROM receipts WHERE part = 'end' AND answer <> 'not_for_it' ORDER BY row",
    )?;
    let ends = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(ends.collect::<Result<_, _>>()?)
}

/// Deletes the receipts of sessions up to a record.
pub(super) fn drop_up_to(db: &Connection, n: i64) -> Result<(), StoreError> {
    db.execute(
        "DELETE FROM receipts WHERE tx IN
         (SELECT CASE WHEN json_valid(body) THEN json_extract(body, '$.tx') END FROM sessions
          WHERE n <= ?1 AND kind = 'session')",
        [n],
    )?;
    Ok(())
}
