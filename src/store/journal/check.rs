//! Reading the journal and checking it: every signature, every hash, every number.

use super::keys::{PublicKey, hex, unhex};
use super::{LAST, hash};
use crate::store::error::StoreError;
use crate::store::file;
use crate::store::schema::meta;
use ring::signature::{ED25519, UnparsedPublicKey};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// Faults told one by one; of more, only the first are.
const FAULTS_TOLD: usize = 100;

/// A record as it was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JournalRecord {
    /// Its number, from 1.
    pub n: i64,
    /// The text that is hashed and signed.
    #[serde(skip)]
    pub text: String,
    /// The same, read.
    pub record: Map<String, Value>,
    /// SHA-256 of the text, hexadecimal: `prev` of the next record.
    pub hash: String,
    /// Ed25519 signature of the text, hexadecimal.
    pub signature: String,
    /// The session it tells of, with its times as they are known by now.
    #[serde(skip)]
    pub session: Option<Session>,
}

/// A session out of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Session {
    /// Number of its record.
    pub n: i64,
    /// Whose.
    pub cp: String,
    /// Where.
    pub evse: u16,
    /// Its transaction.
    pub tx: String,
    /// Row of the ledger that ended it.
    pub row: i64,
    /// When it began, Unix milliseconds.
    pub begin_ms: Option<i64>,
    /// Clock it began by.
    pub begin_clock: Option<String>,
    /// When it ended, Unix milliseconds.
    pub end_ms: i64,
    /// Clock it ended by.
    pub end_clock: String,
    /// Register at the begin, milliwatt-hours.
    pub meter_start_mwh: i64,
    /// Register at the end, milliwatt-hours.
    pub meter_stop_mwh: i64,
    /// Energy, milliwatt-hours.
    pub energy_mwh: i64,
    /// Why it ended.
    pub reason: String,
    /// Keyed hash of the token.
    pub token: Option<String>,
    /// Device that measured it.
    pub meter: Option<String>,
    /// Its profile.
    pub meter_profile: Option<String>,
    /// What it calls itself.
    pub meter_model: Option<String>,
    /// Its serial number.
    pub meter_serial: Option<String>,
    /// What to know of the figures.
    pub flags: Vec<String>,
    /// The begin was corrected by a later record.
    #[serde(default)]
    pub begin_corrected: bool,
    /// The end was corrected by a later record.
    #[serde(default)]
    pub end_corrected: bool,
}

impl Session {
    /// Whether its begin can be believed.
    #[must_use]
    pub fn begin_is_sure(&self) -> bool {
        let trusted = |clock: &String| clock == "csms" || clock == "ntp";
        self.begin_corrected || self.begin_clock.as_ref().is_some_and(trusted)
    }

    /// Whether its end can be believed.
    #[must_use]
    pub fn end_is_sure(&self) -> bool {
        self.end_corrected || matches!(self.end_clock.as_str(), "csms" | "ntp")
    }

    fn correct(&mut self, times: &Times) {
        if let Some(ms) = times.begin_ms {
            (self.begin_ms, self.begin_corrected) = (Some(ms), true);
        }
        if let Some(ms) = times.end_ms {
            (self.end_ms, self.end_corrected) = (ms, true);
        }
    }
}

/// What is wrong with the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalFault {
    /// This record, or its place, is not what was written.
    Altered(i64),
    /// This record, and perhaps others behind it, is missing.
    Missing(i64),
    /// This record is signed by a key that is not the journal's, or not the one asked for.
    ForeignKey(i64),
    /// The record that was noted elsewhere is here with another hash.
    OtherHead(i64),
    /// The record that was noted elsewhere was deleted for its age; nothing can be said of it.
    HeadPruned(i64),
}

impl fmt::Display for JournalFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered(n) => write!(f, "record {n} is not what was written"),
            Self::Missing(n) => write!(f, "record {n} is missing"),
            Self::ForeignKey(n) => write!(f, "record {n} is signed by a key that is not trusted"),
            Self::OtherHead(n) => write!(f, "record {n} has another hash than was noted"),
            Self::HeadPruned(n) => write!(
                f,
                "record {n} was deleted for its age before it was compared; note a later head"
            ),
        }
    }
}

/// A key that signs records, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JournalKey {
    /// How records name it.
    pub id: String,
    /// The key, hexadecimal.
    pub public_key: String,
    /// The record that introduced it; `None` where that was deleted for its age.
    pub since: Option<i64>,
}

/// What a check came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Records read.
    pub records: u64,
    /// Sessions among them.
    pub sessions: u64,
    /// `<number>:<hash>` of the last record: noted elsewhere, it proves the journal as it is now.
    pub head: Option<String>,
    /// Keys the journal introduces, oldest first; the last signs now.
    pub keys: Vec<JournalKey>,
    /// What is wrong, by record; empty: each record is as it was written.
    pub faults: Vec<JournalFault>,
}

/// What is asked of a check beside the chain itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected {
    pub(super) trusted: Vec<PublicKey>,
    pub(super) head: Option<(i64, String)>,
}

#[derive(Debug, Default)]
struct Times {
    begin_ms: Option<i64>,
    end_ms: Option<i64>,
}

/// What must be known before the first record is judged.
struct Overview {
    keys: Vec<JournalKey>,
    times: BTreeMap<i64, Times>,
    /// Last record that was deleted, and its hash.
    pruned: Option<(i64, String)>,
}

/// Reads the journal of a state directory record by record and checks it. The gateway may be running.
///
/// `trusted`: only these keys may have signed; empty: whatever the journal introduces. `head`: what was noted of an
/// earlier [`Checked::head`].
///
/// # Errors
/// When there is no ledger there, it cannot be read, or no gateway of a release with a journal has run on it;
/// and for a `head` that is none.
pub fn read_sessions(
    dir: &Path,
    trusted: &[PublicKey],
    head: Option<&str>,
    visit: impl FnMut(JournalRecord),
) -> Result<Checked, StoreError> {
    let head = head.map(parse_head).transpose()?;
    let expected = Expected {
        trusted: trusted.to_vec(),
        head,
    };
    check(&open(dir)?, &expected, visit)
}

/// Opens the database for reading, if it has a journal.
pub(super) fn open(dir: &Path) -> Result<Connection, StoreError> {
    let db = file::open_reader(dir)?;
    let there: bool = db.query_row(
        "SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'sessions'",
        [],
        |row| row.get(0),
    )?;
    if there {
        return Ok(db);
    }
    Err(StoreError::Io(
        "there is no journal of sessions yet; it begins when a gateway of this release runs here".to_owned(),
    ))
}

fn parse_head(text: &str) -> Result<(i64, String), StoreError> {
    let head = text.split_once(':').and_then(|(n, hash)| {
        let n: i64 = n.trim().parse().ok()?;
        (unhex(hash.trim())?.len() == 32).then(|| (n, hash.trim().to_ascii_lowercase()))
    });
    head.ok_or_else(|| {
        StoreError::Refused(format!(
            "'{text}' is no head of a journal: expected <number>:<64 hexadecimal digits>, as `retrovolt sessions verify` prints it"
        ))
    })
}

/// Checks everything within one view of the database, whatever is written meanwhile.
pub(super) fn check(
    db: &Connection,
    expected: &Expected,
    visit: impl FnMut(JournalRecord),
) -> Result<Checked, StoreError> {
    check_within(&*db.unchecked_transaction()?, expected, visit)
}

/// The same within the view of the caller.
pub(super) fn check_within(
    view: &Connection,
    expected: &Expected,
    mut visit: impl FnMut(JournalRecord),
) -> Result<Checked, StoreError> {
    let overview = overview(view)?;
    let mut chain = Chain::new(&overview, expected);
    let mut query = view.prepare("SELECT n, kind, body, signature FROM sessions ORDER BY n")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let (n, kind, text): (i64, String, String) = (row.get(0)?, text(row, 1)?, text(row, 2)?);
        let signature: Vec<u8> = row.get(3)?;
        let record = chain.take(n, &kind, text, &signature);
        visit(record);
    }
    let given = meta(view, LAST)?.unwrap_or(0);
    Ok(chain.finish(given))
}

/// A text of the table. What is no text any more was altered, and must be named as that, not end the reading.
pub(super) fn text(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<String> {
    let bytes = row.get_ref(column)?.as_bytes()?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// Keys that the journal has introduced so far, hexadecimal.
pub(super) fn introduced(db: &Connection) -> Result<Vec<String>, StoreError> {
    let keys = overview(db)?.keys;
    Ok(keys.into_iter().map(|key| key.public_key).collect())
}

fn overview(db: &Connection) -> Result<Overview, StoreError> {
    let mut query = db.prepare("SELECT n, body FROM sessions WHERE kind <> 'session' ORDER BY n")?;
    let mut rows = query.query([])?;
    let mut overview = Overview {
        keys: Vec::new(),
        times: BTreeMap::new(),
        pruned: None,
    };
    while let Some(row) = rows.next()? {
        let (n, body): (i64, String) = (row.get(0)?, text(row, 1)?);
        if let Ok(Value::Object(body)) = serde_json::from_str(&body) {
            overview.note(n, &body);
        }
    }
    Ok(overview)
}

impl Overview {
    fn note(&mut self, n: i64, body: &Map<String, Value>) {
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let number = |name: &str| body.get(name).and_then(Value::as_i64);
        match text("kind") {
            Some("opened") => {
                if let Some(key) = text("public_key") {
                    self.introduce(key, Some(n));
                }
            }
            Some("pruned") => {
                let keys = body.get("public_keys").and_then(Value::as_array);
                for key in keys.into_iter().flatten().filter_map(Value::as_str) {
                    self.introduce(key, None);
                }
                if let (Some(up_to), Some(hash)) = (number("up_to"), text("up_to_hash")) {
                    self.pruned = Some((up_to, hash.to_owned()));
                }
            }
            Some("times") => {
                if let Some(of) = number("of") {
                    let times = self.times.entry(of).or_default();
                    times.begin_ms = number("begin_ms").or(times.begin_ms);
                    times.end_ms = number("end_ms").or(times.end_ms);
                }
            }
            _ => {}
        }
    }

    fn introduce(&mut self, public_key: &str, since: Option<i64>) {
        let Some(key) = PublicKey::parse(public_key) else {
            return;
        };
        let id = key.id();
        if self.keys.iter().any(|known| known.id == id) {
            return;
        }
        let key = JournalKey {
            id,
            public_key: hex(&key.0),
            since,
        };
        match since {
            Some(_) => self.keys.push(key),
            // What is told of only behind a deletion was there before all others.
            None => self.keys.insert(0, key),
        }
    }
}

/// The walk along the records.
struct Chain<'a> {
    overview: &'a Overview,
    keys: BTreeMap<String, PublicKey>,
    head: Option<&'a (i64, String)>,
    /// Number and hash of the record before; `None` before the first, or where its hash says nothing.
    before: Option<[u8; 32]>,
    last: i64,
    out: Checked,
}

impl<'a> Chain<'a> {
    fn new(overview: &'a Overview, expected: &'a Expected) -> Self {
        let own = overview
            .keys
            .iter()
            .filter_map(|key| PublicKey::parse(&key.public_key))
            .filter(|key| expected.trusted.is_empty() || expected.trusted.contains(key));
        let (last, before) = match &overview.pruned {
            Some((up_to, hash)) => (*up_to, unhex(hash).and_then(|bytes| bytes.try_into().ok())),
            None => (0, Some(super::NOTHING)),
        };
        Self {
            overview,
            keys: own.map(|key| (key.id(), key)).collect(),
            head: expected.head.as_ref(),
            before,
            last,
            out: Checked {
                keys: overview.keys.clone(),
                ..Checked::default()
            },
        }
    }

    fn fault(&mut self, fault: JournalFault) {
        if self.out.faults.len() < FAULTS_TOLD && self.out.faults.last() != Some(&fault) {
            self.out.faults.push(fault);
        }
    }

    fn take(&mut self, n: i64, kind: &str, text: String, signature: &[u8]) -> JournalRecord {
        let record = match serde_json::from_str(&text) {
            Ok(Value::Object(record)) => record,
            _ => Map::new(),
        };
        let found = self.judge(n, kind, &record, &text, signature);
        let sound = found.is_none();
        if let Some(fault) = found {
            self.fault(fault);
        }
        let own = hash(&text);
        self.before = sound.then_some(own);
        self.last = self.last.max(n);
        self.out.records += 1;
        let hash = hex(&own);
        if self
            .head
            .is_some_and(|(noted, other)| *noted == n && *other != hash)
        {
            self.fault(JournalFault::OtherHead(n));
        }
        self.out.head = Some(format!("{n}:{hash}"));
        let mut session: Option<Session> = (kind == "session")
            .then(|| serde_json::from_str(&text).ok())
            .flatten();
        self.out.sessions += u64::from(session.is_some());
        if let (Some(session), Some(times)) = (session.as_mut(), self.overview.times.get(&n)) {
            session.correct(times);
        }
        JournalRecord {
            n,
            text,
            record,
            hash,
            signature: hex(signature),
            session,
        }
    }

    /// What is wrong with a record where it stands.
    fn judge(
        &mut self,
        n: i64,
        kind: &str,
        record: &Map<String, Value>,
        text: &str,
        signature: &[u8],
    ) -> Option<JournalFault> {
        if n <= self.last {
            // It was deleted before, and is there again.
            return Some(JournalFault::Altered(n));
        }
        if n > self.last + 1 {
            self.fault(JournalFault::Missing(self.last + 1));
            self.before = None;
        }
        let text_of = |name: &str| record.get(name).and_then(Value::as_str);
        let in_place = record.get("n").and_then(Value::as_i64) == Some(n) && text_of("kind") == Some(kind);
        if !in_place {
            return Some(JournalFault::Altered(n));
        }
        let Some(key) = text_of("key").and_then(|id| self.keys.get(id)) else {
            return Some(JournalFault::ForeignKey(n));
        };
        let genuine = UnparsedPublicKey::new(&ED25519, key.0)
            .verify(text.as_bytes(), signature)
            .is_ok();
        let follows = self
            .before
            .is_none_or(|before| text_of("prev") == Some(hex(&before).as_str()));
        (!genuine || !follows).then_some(JournalFault::Altered(n))
    }

    fn finish(mut self, given: i64) -> Checked {
        if given > self.last {
            self.fault(JournalFault::Missing(self.last + 1));
        }
        if let Some((noted, _)) = self.head {
            let first = self.overview.pruned.as_ref();
            if *noted > self.last {
                self.fault(JournalFault::Missing(self.last + 1));
            } else if let Some((up_to, hash)) = first.filter(|(up_to, _)| noted <= up_to) {
                let same = self.head.is_some_and(|(n, other)| n == up_to && other == hash);
                if !same {
                    self.fault(JournalFault::HeadPruned(*noted));
                }
            }
        }
        self.out
    }
}
