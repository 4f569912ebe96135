//! What answers of the peer have in common in every version, read member by member so that one odd member does not
//! cost the others.

use super::api::Registration;
use super::dialect::BootReply;
use crate::domain::AuthStatus;
use serde_json::Value;
use serde_json::value::RawValue;
use std::time::Duration;

/// The first `most` characters; `None` when nothing is left.
pub(super) fn cut(text: &str, most: usize) -> Option<String> {
    let cut: String = text.trim().chars().take(most).collect();
    (!cut.is_empty()).then_some(cut)
}

/// A verdict on a token as every version spells it (1.6 section 7.2, 2.0.1 `AuthorizationStatusEnumType`). What is
/// neither accepted nor one of ours counts as Invalid.
pub(super) fn auth_status(word: &str) -> AuthStatus {
    match word {
        "Accepted" => AuthStatus::Accepted,
        "Blocked" => AuthStatus::Blocked,
        "Expired" => AuthStatus::Expired,
        "ConcurrentTx" => AuthStatus::ConcurrentTx,
        _ => AuthStatus::Invalid,
    }
}

/// BootNotification.conf (1.6 section 6.4, 2.0.1 B01 to B03).
pub(super) fn boot_reply(payload: &RawValue) -> Result<BootReply, String> {
    let value = object(payload)?;
    let status = match value.get("status").and_then(Value::as_str) {
        Some("Accepted") => Registration::Accepted,
        Some("Pending") => Registration::Pending,
        Some("Rejected") => Registration::Rejected,
        other => return Err(format!("status {other:?}")),
    };
    let seconds = value.get("interval").and_then(whole).unwrap_or(0);
    let interval = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0);
    Ok(BootReply {
        status,
        interval: interval.map(Duration::from_secs),
        time: current_time(&value),
    })
}

/// An answer to Heartbeat (1.6 section 6.30, 2.0.1 G02): its `currentTime` as sent.
pub(super) fn heartbeat_reply(payload: &RawValue) -> Result<String, String> {
    Ok(current_time(&object(payload)?))
}

fn current_time(value: &Value) -> String {
    let text = value.get("currentTime").and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// The object of a payload.
pub(super) fn object(payload: &RawValue) -> Result<Value, String> {
    let value: Value = serde_json::from_str(payload.get()).map_err(|error| error.to_string())?;
    if value.is_object() {
        Ok(value)
    } else {
        Err("not an object".to_owned())
    }
}

/// A whole number however it is written: `5`, `5.0`, `"5"`.
pub(super) fn whole(value: &Value) -> Option<i64> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    let digits = text.split_once('.').map_or(text.as_str(), |(whole, part)| {
        if part.bytes().all(|byte| byte == b'0') {
            whole
        } else {
            ""
        }
    });
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_however_they_are_written() {
        let read = |text: &str| whole(&serde_json::from_str(text).expect("json"));
        assert_eq!(read("5"), Some(5));
        assert_eq!(read("5.0"), Some(5));
        assert_eq!(read("\"5\""), Some(5));
        assert_eq!(read("5.5"), None);
        assert_eq!(read("null"), None);
        assert_eq!(read("-1"), Some(-1));
    }
}
