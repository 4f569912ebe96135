//! What the CSMS answers. Transaction ids are allotted per payload: a repeated StartTransaction gets the id it was
//! given the first time.

use super::{BootAnswer, Manners};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a CSMS keeps in its database.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    started: BTreeMap<(String, String), i64>,
}

/// The result payload, or the error code.
pub(super) fn answer(
    protocol: &str,
    cp: &str,
    action: &str,
    payload: &Value,
    manners: &Manners,
    ledger: &mut Ledger,
) -> Result<Value, &'static str> {
    match action {
        "BootNotification" => Ok(boot(manners.boot)),
        "Heartbeat" => Ok(json!({ "currentTime": now() })),
        "DataTransfer" => Ok(json!({ "status": "Accepted" })),
        "StatusNotification"
        | "MeterValues"
        | "SecurityEventNotification"
        | "LogStatusNotification"
        | "FirmwareStatusNotification" => Ok(json!({})),
        _ if protocol == "ocpp1.6" => answer_16(cp, action, payload, manners, ledger),
        _ => answer_201(action, payload, manners),
    }
}

fn answer_16(
    cp: &str,
    action: &str,
    payload: &Value,
    manners: &Manners,
    ledger: &mut Ledger,
) -> Result<Value, &'static str> {
    let info = || json!({ "status": verdict(manners, payload["idTag"].as_str()) });
    match action {
        "Authorize" => Ok(json!({ "idTagInfo": info() })),
        "StartTransaction" => {
            let next = i64::try_from(ledger.started.len()).unwrap_or(i64::MAX) + 1;
            let id = *ledger
                .started
                .entry((cp.to_owned(), payload.to_string()))
                .or_insert(next);
            Ok(json!({ "transactionId": id, "idTagInfo": info() }))
        }
        "StopTransaction" if payload["idTag"].is_string() => Ok(json!({ "idTagInfo": info() })),
        "StopTransaction" | "DiagnosticsStatusNotification" | "SignedFirmwareStatusNotification" => {
            Ok(json!({}))
        }
        "SignCertificate" => Ok(json!({ "status": "Rejected" })),
        _ => Err("NotImplemented"),
    }
}

fn answer_201(action: &str, payload: &Value, manners: &Manners) -> Result<Value, &'static str> {
    let info = |token: &Value| json!({ "status": verdict(manners, token["idToken"].as_str()) });
    match action {
        "Authorize" => Ok(json!({ "idTokenInfo": info(&payload["idToken"]) })),
        "TransactionEvent" => Ok(match &payload["idToken"] {
            Value::Null => json!({}),
            token => json!({ "idTokenInfo": info(token) }),
        }),
        "NotifyReport"
        | "NotifyEvent"
        | "NotifyMonitoringReport"
        | "NotifyCustomerInformation"
        | "NotifyChargingLimit"
        | "ClearedChargingLimit"
        | "ReservationStatusUpdate"
        | "ReportChargingProfiles" => Ok(json!({})),
        "SignCertificate" => Ok(json!({ "status": "Rejected" })),
        _ => Err("NotImplemented"),
    }
}

fn verdict<'a>(manners: &'a Manners, token: Option<&str>) -> &'a str {
    token
        .and_then(|token| manners.tokens.get(token))
        .map_or("Accepted", String::as_str)
}

fn boot(answer: BootAnswer) -> Value {
    let (status, interval) = match answer {
        BootAnswer::Accepted(interval) => ("Accepted", interval),
        BootAnswer::Pending(interval) => ("Pending", interval),
        BootAnswer::Rejected(interval) => ("Rejected", interval),
    };
    json!({ "currentTime": now(), "interval": interval, "status": status })
}

fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
