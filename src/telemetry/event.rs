//! What is published of things that happen: events as they come, records out of the ledger, answers to commands.

use super::payload::{Session, Status};
use super::picture::{Happening, What};
use super::units::{At, Milli, Slug};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// `cp/CP/event/TYPE`: something that happened at an EVSE.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Event {
    /// When.
    pub ts: At,
    /// Counts the events of this EVSE since the start of the process, from 1, without gaps.
    pub seq: u64,
    /// What.
    #[serde(flatten)]
    pub what: EventData,
}

/// What happened; `event_type` is the last level of the topic.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "event_type", rename_all = "snake_case")]
pub enum EventData {
    /// The status changed.
    Status {
        /// From; `null`: nothing was known.
        from: Option<Status>,
        /// To.
        to: Status,
    },
    /// A token was presented.
    Tag {
        /// Keyed hash of it.
        id_tag_hash: String,
    },
    /// A session began, or ended (`ended_at`).
    Session(Session),
    /// Something is wrong, or well again (`null`).
    Fault {
        /// In words.
        fault: Option<String>,
    },
    /// Another limit holds.
    Limit {
        /// Per phase; 0: paused.
        limit_a: Milli,
        /// Why.
        limit_source: String,
    },
    /// The meter was swapped or reset, or its register ran over: the register shown has begun anew. A swap within a session
    /// is told when the session ends; until then the register goes on.
    Meter {
        /// The epoch that begins.
        meter_epoch: u32,
        /// Where the register stood before; `null`: not known.
        energy_before_wh: Option<u64>,
        /// Where it stands now; `null`: not read yet.
        energy_import_wh: Option<u64>,
    },
    /// The configuration of this EVSE changed.
    Config,
}

/// Last levels under `event/`.
pub const EVENT_TYPES: [&str; 7] = ["status", "tag", "session", "fault", "limit", "meter", "config"];

impl Event {
    /// As it is published.
    #[must_use]
    pub fn of(happening: &Happening) -> Self {
        let what = match &happening.what {
            What::Status { from, to } => EventData::Status { from: *from, to: *to },
            What::Tag { id_tag_hash } => EventData::Tag {
                id_tag_hash: id_tag_hash.clone(),
            },
            What::Session(session) => EventData::Session(session.clone()),
            What::Fault(fault) => EventData::Fault { fault: fault.clone() },
            What::Limit { limit_a, source } => EventData::Limit {
                limit_a: *limit_a,
                limit_source: source.clone(),
            },
            What::Meter {
                meter_epoch,
                before_wh,
                now_wh,
            } => EventData::Meter {
                meter_epoch: *meter_epoch,
                energy_before_wh: *before_wh,
                energy_import_wh: *now_wh,
            },
            What::Config => EventData::Config,
        };
        Self {
            ts: happening.at,
            seq: happening.seq,
            what,
        }
    }

    /// The last level of its topic.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match &self.what {
            EventData::Status { .. } => "status",
            EventData::Tag { .. } => "tag",
            EventData::Session(_) => "session",
            EventData::Fault { .. } => "fault",
            EventData::Limit { .. } => "limit",
            EventData::Meter { .. } => "meter",
            EventData::Config => "config",
        }
    }
}

/// `cp/CP/record`: a row of the ledger about a session or its energy, delivered at least once and in order, also after an
/// outage. Who has seen `seq` of a charge point drops the repeat.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Record {
    /// Number in the ledger; grows, with gaps.
    pub seq: u64,
    /// When it happened, not when it was sent.
    pub ts: At,
    /// That time can be believed.
    pub ts_trusted: bool,
    /// What.
    pub record: RecordKind,
    /// The transaction; `null`: none ran.
    pub session_id: Option<String>,
    /// Register.
    pub energy_import_wh: Option<Milli>,
    /// Register of the other direction.
    pub energy_export_wh: Option<Milli>,
    /// Active power.
    pub power_w: Option<Milli>,
    /// Of the vehicle.
    pub soc_pct: Option<Milli>,
    /// Energy of the session; only with `ended`.
    pub session_energy_wh: Option<Milli>,
    /// Why it ended; only with `ended`.
    pub reason: Option<String>,
    /// Keyed hash of the token.
    pub id_tag_hash: Option<String>,
}

/// What a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// A session began.
    Began,
    /// Values during a session, or outside of one.
    Sampled,
    /// A session ended.
    Ended,
}

/// `response/USER/OP`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Response {
    /// How it went.
    pub status: ResponseStatus,
    /// Why not, in words.
    pub error: Option<String>,
    /// What was asked for, or what was changed.
    pub data: Option<Value>,
    /// As in the request.
    pub transaction: Option<Value>,
    /// When it was answered.
    pub ts: At,
}

/// How a request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResponseStatus {
    /// Done.
    Ok,
    /// It should have worked and did not.
    Error,
    /// It was not allowed, or makes no sense.
    Rejected,
}

/// What a command was about, in [`Response::data`].
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Change {
    /// Where.
    pub cp: Slug,
    /// Which key.
    pub key: String,
    /// Before.
    pub old: Option<Value>,
    /// Afterwards.
    pub new: Option<Value>,
}
