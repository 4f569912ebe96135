//! Frames in and out: caps before anything is parsed, then `ocpp-kit`'s OCPP-J framing.

use super::api::Misbehaviour;
use ocpp_kit::Version;
use ocpp_kit::rpc::{CallError, CallErrorRef, ErrorCode, Frame, FrameError, FrameReply};
use ocpp_kit::types::MessageId;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Larger messages are dropped unread (promise N1).
pub const MAX_MESSAGE_BYTES: usize = 256 * 1024;

/// Deeper nested messages are dropped unread (promise N1).
pub const MAX_DEPTH: usize = 32;

/// A frame of the peer.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A CALL.
    Call {
        /// Its id, echoed as it came.
        id: String,
        /// Its action as it came.
        action: String,
        /// Its payload, unread.
        payload: Box<RawValue>,
    },
    /// A CALLRESULT.
    Result {
        /// The id it answers.
        id: String,
        /// Its payload, unread.
        payload: Box<RawValue>,
    },
    /// A CALLERROR.
    Error {
        /// The id it answers.
        id: String,
        /// The code.
        code: ErrorCode,
        /// The words with it.
        description: String,
    },
    /// Something else: what to count and what to answer.
    Bad {
        /// What is wrong.
        what: Misbehaviour,
        /// A CALLERROR, where the version asks for one.
        answer: Option<String>,
    },
}

/// Reads one text message.
pub(super) fn read(text: &str, version: Version) -> Incoming {
    if text.len() > MAX_MESSAGE_BYTES {
        let what = Misbehaviour::TooBig { bytes: text.len() };
        return Incoming::Bad { what, answer: None };
    }
    if too_deep(text) {
        return Incoming::Bad {
            what: Misbehaviour::TooDeep,
            answer: None,
        };
    }
    match Frame::parse(text, version) {
        Ok(Frame::Call { id, action, payload }) => Incoming::Call {
            id: id.into_string(),
            action: action.into_owned(),
            payload: payload.into_owned(),
        },
        Ok(Frame::CallResult { id, payload }) => Incoming::Result {
            id: id.into_string(),
            payload: payload.into_owned(),
        },
        Ok(Frame::CallError { id, error }) => Incoming::Error {
            id: id.into_string(),
            code: error.code,
            description: error.description.chars().take(255).collect(),
        },
        Ok(other) => bad(format!("{} is not spoken", other.message_type()), None),
        Err(error) => refuse(text, &error, version),
    }
}

fn bad(reason: String, answer: Option<String>) -> Incoming {
    Incoming::Bad {
        what: Misbehaviour::BadFrame { reason },
        answer,
    }
}

/// What a broken frame gets: in 1.6 a CALLERROR only where the id of a CALL can be read; in 2.x also with id "-1".
fn refuse(text: &str, error: &FrameError, version: Version) -> Incoming {
    let reason = error.to_string();
    if error.reply(version) != FrameReply::CallError {
        return bad(reason, None);
    }
    let code = match version {
        Version::V1_6 => ErrorCode::FormatViolation,
        _ => error.error_code(),
    };
    let id = match (salvage_call_id(text), version) {
        (Some(id), _) => id,
        (None, Version::V1_6) => return bad(reason, None),
        // An answer to an answer would carry an id of ours, which means nothing to the peer.
        (None, _) if is_answer(text) => return bad(reason, None),
        (None, _) => error.reply_id().into_string(),
    };
    let answer = error_text(&id, &CallError::new(code, reason.clone()), version);
    bad(reason, Some(answer))
}

/// Whether what is broken calls itself a CALLRESULT or a CALLERROR.
fn is_answer(text: &str) -> bool {
    let elements: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
    matches!(elements.first().and_then(|first| number(first)), Some(3 | 4))
}

/// A type of message.
fn number(element: &RawValue) -> Option<u8> {
    serde_json::from_str(element.get()).ok()
}

/// The id of a CALL that is broken behind its id.
fn salvage_call_id(text: &str) -> Option<String> {
    let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    let number = number(elements.first()?)?;
    let id: String = serde_json::from_str(elements.get(1)?.get()).ok()?;
    (number == 2 && !id.is_empty()).then_some(id)
}

/// Whether brackets outside strings nest deeper than [`MAX_DEPTH`].
fn too_deep(text: &str) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return true;
                }
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// A CALL as text.
pub(super) fn call_text(id: &str, action: &str, payload: &RawValue, version: Version) -> String {
    let frame = Frame::Call {
        id: MessageId::from_wire(id),
        action: Cow::Borrowed(action),
        payload: Cow::Borrowed(payload),
    };
    frame.to_json(version).unwrap_or_default()
}

/// A CALLRESULT as text.
pub(super) fn result_text(id: &str, payload: &RawValue, version: Version) -> String {
    let frame = Frame::CallResult {
        id: MessageId::from_wire(id),
        payload: Cow::Borrowed(payload),
    };
    frame.to_json(version).unwrap_or_default()
}

/// A CALLERROR as text.
pub(super) fn error_text(id: &str, error: &CallError, version: Version) -> String {
    let frame = Frame::CallError {
        id: MessageId::from_wire(id),
        error: CallErrorRef::from(error),
    };
    frame.to_json(version).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_strings_only() {
        assert!(!too_deep(&"[".repeat(MAX_DEPTH)));
        assert!(too_deep(&"[".repeat(MAX_DEPTH + 1)));
        assert!(!too_deep(&format!("[\"{}\"]", "[{\\\"".repeat(100))));
    }

    #[test]
    fn a_broken_call_is_answered_where_its_id_can_be_read() {
        let Incoming::Bad {
            answer: Some(answer), ..
        } = read(r#"[2,"abc",7,{}]"#, Version::V1_6)
        else {
            panic!("expected an answer");
        };
        assert!(answer.starts_with(r#"[4,"abc","FormationViolation""#), "{answer}");
        for silent in [
            "",
            "{}",
            "[9,\"a\",{}]",
            "[3,\"a\"]",
            "[4,\"a\"]",
            "[2,7,\"Reset\",{}]",
            "[5,\"a\",\"b\",\"\",{}]",
        ] {
            assert!(
                matches!(read(silent, Version::V1_6), Incoming::Bad { answer: None, .. }),
                "{silent}"
            );
        }
    }
}
