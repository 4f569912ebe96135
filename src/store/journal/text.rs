//! The text of a record: what is hashed and signed, byte for byte.
//!
//! JSON in the canonical form of RFC 8785: one object without nesting but for lists of texts, names sorted, no spaces,
//! whole numbers only, texts in UTF-8 with the shortest escapes. `docs/sessions.md` lists the names.

use crate::domain::{ClockQuality, SessionRecord, Stamp, TokenKind};
use crate::store::error::StoreError;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Version of the form.
pub(super) const VERSION: u32 = 1;

/// The names of a record and their values.
pub(super) type Fields = BTreeMap<&'static str, Value>;

/// The bytes that are hashed and signed.
pub(super) fn canonical(fields: &Fields) -> Result<String, StoreError> {
    serde_json::to_string(fields).map_err(|error| StoreError::Refused(error.to_string()))
}

/// What is kept of a session. `token` is its keyed hash.
pub(super) fn session(session: &SessionRecord, token: Option<String>, row: u64) -> Fields {
    let mut fields = Fields::from([
        ("kind", json!("session")),
        ("cp", json!(session.cp)),
        ("evse", json!(session.evse)),
        ("tx", json!(session.tx)),
        ("row", json!(row)),
        ("meter_start_mwh", json!(session.meter_start)),
        ("meter_stop_mwh", json!(session.meter_stop)),
        ("meter_raw_mwh", json!(session.meter_raw)),
        ("energy_mwh", json!(session.energy())),
        ("reason", json!(session.reason)),
        ("token", json!(token)),
        ("token_kind", json!(session.token.as_ref().map(|t| kind(t.kind)))),
    ]);
    let flags: Vec<&str> = session.flags.iter().map(|flag| flag.word()).collect();
    fields.insert("flags", json!(flags));
    let names = [
        ["begin_ms", "begin_clock", "begin_run", "begin_run_ms"],
        ["end_ms", "end_clock", "end_run", "end_run_ms"],
    ];
    for (names, at) in names.into_iter().zip([session.begun, Some(session.ended)]) {
        fields.extend(names.into_iter().zip(time(at)));
    }
    let meter = session.meter.as_ref();
    fields.insert("meter", json!(meter.map(|meter| meter.device.as_str())));
    fields.insert("meter_profile", json!(meter.and_then(|m| m.profile.as_ref())));
    fields.insert("meter_model", json!(meter.and_then(|m| m.model.as_ref())));
    fields.insert("meter_serial", json!(meter.and_then(|m| m.serial.as_ref())));
    fields
}

/// Unix milliseconds as believed then, how far, the run of the process and the milliseconds since its start.
fn time(at: Option<Stamp>) -> [Value; 4] {
    let Some(at) = at else {
        return [Value::Null, Value::Null, Value::Null, Value::Null];
    };
    [
        json!(at.wall.unix_ms),
        json!(clock(at.wall.quality)),
        json!(at.boot),
        json!(at.mono),
    ]
}

/// The word for how far a clock is believed.
fn clock(quality: ClockQuality) -> &'static str {
    match quality {
        ClockQuality::Unset => "unset",
        ClockQuality::Restored => "restored",
        ClockQuality::Csms => "csms",
        ClockQuality::Ntp => "ntp",
    }
}

fn kind(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::Central => "central",
        TokenKind::Iso14443 => "iso14443",
        TokenKind::Iso15693 => "iso15693",
        TokenKind::Local => "local",
        TokenKind::NoAuthorization => "no_authorization",
    }
}
