//! Messages as lines a person can read.

use serde_json::Value;
use std::fmt::Write as _;

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A CALL of the charge point.
pub fn call(action: &str, payload: &Value) -> String {
    let field = |name: &str| text(&payload[name]);
    let given = |name: &str| payload.get(name).map(text);
    match action {
        "Authorize" => format!("Authorize {}", field("idTag")),
        "StatusNotification" => {
            let mut line = format!("Status {} {}", field("connectorId"), field("status"));
            if payload["errorCode"] != "NoError" {
                let _ = write!(line, " {}", field("errorCode"));
            }
            if let Some(info) = given("info") {
                let _ = write!(line, " ({info})");
            }
            line
        }
        "StartTransaction" => {
            let mut line = format!(
                "Start {} {} {}",
                field("connectorId"),
                field("idTag"),
                field("meterStart")
            );
            if let Some(id) = given("reservationId") {
                let _ = write!(line, " reservation {id}");
            }
            line
        }
        "StopTransaction" => {
            let mut line = format!(
                "Stop #{} {} {}",
                field("transactionId"),
                field("meterStop"),
                field("reason")
            );
            if let Some(tag) = given("idTag") {
                let _ = write!(line, " by {tag}");
            }
            if let Some(data) = payload["transactionData"].as_array() {
                let _ = write!(line, " data {}", data.len());
            }
            line
        }
        "MeterValues" => {
            let mut line = format!("Meter {}", field("connectorId"));
            if let Some(tx) = given("transactionId") {
                let _ = write!(line, " #{tx}");
            }
            let value = &payload["meterValue"][0];
            let sampled = value["sampledValue"].as_array().map_or(0, Vec::len);
            let context = text(&value["sampledValue"][0]["context"]);
            let _ = write!(line, " {context} {sampled}");
            line
        }
        "DiagnosticsStatusNotification" => format!("Diagnostics {}", field("status")),
        "FirmwareStatusNotification" => format!("Firmware {}", field("status")),
        "LogStatusNotification" => numbered("Log", payload),
        "SignedFirmwareStatusNotification" => numbered("SignedFirmware", payload),
        "SecurityEventNotification" => format!("Security {}", field("type")),
        _ => action.to_owned(),
    }
}

fn numbered(what: &str, payload: &Value) -> String {
    let status = text(&payload["status"]);
    match payload.get("requestId") {
        Some(id) => format!("{what} #{id} {status}"),
        None => format!("{what} {status}"),
    }
}

/// The answer to a CALL of the CSMS.
pub fn result(action: &str, payload: &Value) -> String {
    let only_status = payload.as_object().is_some_and(|members| members.len() == 1);
    match payload["status"].as_str().filter(|_| only_status) {
        Some(status) => format!("= {action} {status}"),
        None => format!("= {action} {payload}"),
    }
}
