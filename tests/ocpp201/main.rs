//! OCPP 2.0.1 told as transcripts: the same machine and the same rows as in 1.6, in other words.
#![allow(
    clippy::needless_pass_by_value,
    clippy::too_many_lines,
    reason = "transcripts and tables read better in one piece, with payloads in place"
)]

mod connection;
mod misbehaviours;
mod model;
#[path = "../ocpp16/pair.rs"]
#[allow(dead_code, reason = "shared with the stories in 1.6, which use all of it")]
mod pair;
mod readonly;
mod receipts;
mod requests;
mod transactions;

use pair::{Pair, cp, csms};
use retrovolt::domain::{CpSetup, OcppVersion};
use serde_json::{Value, json};

/// A pair that speaks 2.0.1.
fn pair() -> Pair {
    Pair::of(CpSetup {
        csms: vec![csms(OcppVersion::V201)],
        ..cp()
    })
}

/// One whose charge point is registered.
fn accepted() -> Pair {
    let mut pair = pair();
    pair.boot("Accepted", 3600);
    pair
}

/// Asks and expects this `status` at once, with this reason code.
#[track_caller]
fn refused(pair: &mut Pair, action: &str, payload: Value) -> (String, String) {
    pair.ask(action, payload);
    let result = pair.result();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&result["status"]), text(&result["statusInfo"]["reasonCode"]))
}

/// A `{"idToken": ..., "type": "Central"}`.
fn central(text: &str) -> Value {
    json!({ "idToken": text, "type": "Central" })
}
