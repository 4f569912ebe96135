//! What the back ends acknowledged, held against the journal.

use super::ANOTHER_KEY;
use super::check::{self, Checked, Expected, Session};
use super::receipts::{self, Both, Kept};
use crate::domain::{MilliWattHours, ReceiptAnswer};
use crate::store::error::StoreError;
use crate::store::ledger;
use crate::store::schema::meta;
use rusqlite::Connection;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Registers are told in whole watt-hours by 1.6; a difference below this is that.
const ROUNDING_MWH: i64 = 1_000;

/// How one session stands with one back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Begin and end were acknowledged, with the registers of the journal.
    Acknowledged,
    /// The end waits to be told.
    Waiting,
    /// Begin or end was refused until it was given up.
    Refused,
    /// Acknowledged, but with another register than the journal has.
    Differs,
    /// Told to the back end, or ended in the ledger, and not in the journal.
    NotInJournal,
    /// The back end is past it, and nothing says what became of it.
    Unexplained,
    /// By the rule of its tags this back end is not told of it.
    NotForIt,
    /// It ended before this back end was there.
    BeforeItsTime,
    /// The back end was taken out of the configuration before it was told.
    Left,
}

impl Standing {
    /// As told to people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Waiting => "waiting",
            Self::Refused => "REFUSED",
            Self::Differs => "DIFFERS",
            Self::NotInJournal => "NOT IN THE JOURNAL",
            Self::Unexplained => "UNEXPLAINED",
            Self::NotForIt => "not for it",
            Self::BeforeItsTime => "before its time",
            Self::Left => "CSMS was removed",
        }
    }

    /// Whether somebody has to look.
    #[must_use]
    pub fn is_difference(self) -> bool {
        match self {
            Self::Refused | Self::Differs | Self::NotInJournal | Self::Unexplained => true,
            Self::Acknowledged | Self::Waiting | Self::NotForIt | Self::BeforeItsTime | Self::Left => false,
        }
    }
}

/// One session and one back end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reconciled {
    /// Its record; `None` where there is none.
    pub n: Option<i64>,
    /// Whose; `None` where only a receipt speaks of it.
    pub cp: Option<String>,
    /// Its transaction.
    pub tx: String,
    /// When it ended, Unix milliseconds.
    pub end_ms: Option<i64>,
    /// The back end, `charge point/name`; `None` where the ledger alone knows of it.
    pub reader: Option<String>,
    /// How it stands.
    pub standing: Standing,
    /// The transaction's number at the CSMS, where it gives one (1.6).
    pub number: Option<i64>,
    /// Energy of the journal, milliwatt-hours.
    pub energy_mwh: Option<i64>,
    /// Register sent with the begin, milliwatt-hours.
    pub sent_start_mwh: Option<i64>,
    /// Register sent with the end, milliwatt-hours.
    pub sent_stop_mwh: Option<i64>,
    /// Energy by the registers sent, milliwatt-hours.
    pub sent_energy_mwh: Option<i64>,
    /// What else there is to say.
    pub detail: Option<String>,
}

/// A back end as the ledger knows it.
struct Reader {
    cp: String,
    cursor: i64,
    since: i64,
}

/// Holds the journal of a state directory against what each back end acknowledged. The gateway may be running.
///
/// `wanted` chooses sessions; what is not in the journal is told in any case.
///
/// # Errors
/// As [`read_sessions`](super::read_sessions).
pub fn reconcile_sessions(
    dir: &Path,
    wanted: impl Fn(&Session) -> bool,
) -> Result<(Checked, Vec<Reconciled>), StoreError> {
    reconcile(&check::open(dir)?, wanted)
}

/// See [`reconcile_sessions`].
pub(super) fn reconcile(
    db: &Connection,
    wanted: impl Fn(&Session) -> bool,
) -> Result<(Checked, Vec<Reconciled>), StoreError> {
    let view = db.unchecked_transaction()?;
    let readers = readers(&view)?;
    let (mut sessions, mut known, mut horizon) = (Vec::new(), BTreeSet::new(), 0);
    let checked = check::check_within(&view, &Expected::default(), |record| {
        match record.session {
            Some(session) => {
                known.insert(session.tx.clone());
                if wanted(&session) {
                    sessions.push(session);
                }
            }
            // What ended before the journal began, or was deleted since for its age, is not missing.
            None => {
                let text = |name: &str| record.record.get(name).and_then(Value::as_str);
                let row = record.record.get("row").and_then(Value::as_i64);
                if text("why") != Some(ANOTHER_KEY) {
                    horizon = horizon.max(row.unwrap_or(0));
                }
            }
        }
    })?;
    let mut out = Vec::new();
    for session in &sessions {
        let receipts = receipts::of(&view, &session.tx)?;
        out.extend(each(session, &receipts, &readers));
    }
    out.extend(strangers(&view, &known, horizon)?);
    Ok((checked, out))
}

fn readers(db: &Connection) -> Result<BTreeMap<String, Reader>, StoreError> {
    let mut out = BTreeMap::new();
    for row in ledger::readers(db)? {
        let since = meta(db, &format!("{}{}", ledger::SINCE, row.reader))?;
        let reader = Reader {
            cp: row.cp.to_string(),
            cursor: i64::try_from(row.cursor).unwrap_or(i64::MAX),
            since: since.unwrap_or(0),
        };
        out.insert(row.reader.to_string(), reader);
    }
    Ok(out)
}

/// A session with each back end of its charge point, and those that were.
fn each(
    session: &Session,
    receipts: &BTreeMap<String, Both>,
    readers: &BTreeMap<String, Reader>,
) -> Vec<Reconciled> {
    let own = readers.iter().filter(|(_, reader)| reader.cp == session.cp);
    let names: BTreeSet<&String> = own.map(|(name, _)| name).chain(receipts.keys()).collect();
    let nothing = Both::default();
    names
        .into_iter()
        .map(|name| {
            one(
                session,
                name,
                receipts.get(name).unwrap_or(&nothing),
                readers.get(name),
            )
        })
        .collect()
}

fn one(session: &Session, name: &str, receipts: &Both, reader: Option<&Reader>) -> Reconciled {
    let Both { begin, end } = receipts;
    let sent = |kept: &Option<Kept>| kept.as_ref().and_then(|kept| kept.register).map(|r| r.0);
    let (start, stop) = (sent(begin), sent(end));
    let (standing, detail) = judge(session, receipts, reader);
    Reconciled {
        n: Some(session.n),
        cp: Some(session.cp.clone()),
        tx: session.tx.clone(),
        end_ms: Some(session.end_ms),
        reader: Some(name.to_owned()),
        standing,
        number: begin.as_ref().and_then(|kept| match kept.answer {
            ReceiptAnswer::Accepted { number } => number,
            ReceiptAnswer::GivenUp { .. } | ReceiptAnswer::NotForIt => None,
        }),
        energy_mwh: Some(session.energy_mwh),
        sent_start_mwh: start,
        sent_stop_mwh: stop,
        sent_energy_mwh: start.zip(stop).map(|(start, stop)| stop.saturating_sub(start)),
        detail,
    }
}

fn judge(session: &Session, receipts: &Both, reader: Option<&Reader>) -> (Standing, Option<String>) {
    let Some(end) = &receipts.end else {
        let standing = match reader {
            None => Standing::Left,
            Some(reader) if session.row <= reader.since => Standing::BeforeItsTime,
            Some(reader) if reader.cursor < session.row => Standing::Waiting,
            Some(_) => Standing::Unexplained,
        };
        return (standing, None);
    };
    let given_up = |what: &str, kept: &Kept| match &kept.answer {
        ReceiptAnswer::GivenUp { code } => Some(format!("{what} given up, last answer {code}")),
        ReceiptAnswer::Accepted { .. } | ReceiptAnswer::NotForIt => None,
    };
    if end.answer == ReceiptAnswer::NotForIt {
        return (Standing::NotForIt, None);
    }
    let begin = receipts.begin.as_ref();
    let refused = begin
        .and_then(|kept| given_up("begin", kept))
        .or_else(|| given_up("end", end));
    if refused.is_some() {
        return (Standing::Refused, refused);
    }
    let other = |what: &str, sent: Option<MilliWattHours>, own: i64| {
        let sent = sent?.0;
        (sent.abs_diff(own) >= ROUNDING_MWH.unsigned_abs())
            .then(|| format!("{what}: sent {} Wh, journal {} Wh", sent / 1_000, own / 1_000))
    };
    let differs = other(
        "begin",
        begin.and_then(|kept| kept.register),
        session.meter_start_mwh,
    )
    .or_else(|| other("end", end.register, session.meter_stop_mwh));
    match differs {
        Some(detail) => (Standing::Differs, Some(detail)),
        None if begin.is_none() => (
            Standing::Acknowledged,
            Some("its begin was told before receipts were kept".to_owned()),
        ),
        None => (Standing::Acknowledged, None),
    }
}

/// What was told or recorded as ended and is not in the journal.
fn strangers(db: &Connection, known: &BTreeSet<String>, horizon: i64) -> Result<Vec<Reconciled>, StoreError> {
    let is_strange = |tx: &String, row: i64| row > horizon && !known.contains(tx);
    let stranger = |tx: String, cp, reader, row: i64| Reconciled {
        n: None,
        cp,
        tx,
        end_ms: None,
        reader,
        standing: Standing::NotInJournal,
        number: None,
        energy_mwh: None,
        sent_start_mwh: None,
        sent_stop_mwh: None,
        sent_energy_mwh: None,
        detail: Some(format!("ended with row {row} of the ledger")),
    };
    let told = receipts::told_ends(db)?.into_iter();
    let mut out: Vec<Reconciled> = told
        .filter(|(tx, _, row)| is_strange(tx, *row))
        .map(|(tx, reader, row)| stranger(tx, None, Some(reader), row))
        .collect();
    for (tx, cp, row) in ledger::ended(db)? {
        if is_strange(&tx, row) && out.iter().all(|found| found.tx != tx) {
            out.push(stranger(tx, Some(cp), None, row));
        }
    }
    Ok(out)
}
