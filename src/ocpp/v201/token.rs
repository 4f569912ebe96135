//! Identifiers and verdicts (2.0.1 part 2, 2.24 `IdTokenType`, 2.25 `IdTokenInfoType`).

use super::super::read::{auth_status, cut};
use super::super::wallclock::read_utc;
use crate::domain::{IdToken, Now, TokenInfo, TokenKind};
use ocpp_kit::v2_0_1 as wire;
use serde_json::Value;

/// Longest `idToken`.
const LONGEST: usize = 36;

/// A token as it is told. A kind is only claimed where the text has its form (interop rule 14).
pub(super) fn told(token: &IdToken) -> wire::IdToken {
    let text = cut(&token.text, LONGEST).unwrap_or_default();
    let kind = match token.kind {
        _ if text.is_empty() => wire::IdTokenEnum::NoAuthorization,
        TokenKind::Central => wire::IdTokenEnum::Central,
        TokenKind::Iso14443 if is_hex(&text, &[8, 14]) => wire::IdTokenEnum::ISO14443,
        TokenKind::Iso15693 if is_hex(&text, &[16]) => wire::IdTokenEnum::ISO15693,
        TokenKind::NoAuthorization => wire::IdTokenEnum::NoAuthorization,
        TokenKind::Iso14443 | TokenKind::Iso15693 | TokenKind::Local => wire::IdTokenEnum::Local,
    };
    wire::IdToken::new(text, kind)
}

/// A transaction nobody identified for (C02).
pub(super) fn nobody() -> wire::IdToken {
    wire::IdToken::new("", wire::IdTokenEnum::NoAuthorization)
}

fn is_hex(text: &str, lengths: &[usize]) -> bool {
    lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A token the CSMS sent.
pub(super) fn read(token: wire::IdToken) -> IdToken {
    let kind = match token.r#type {
        wire::IdTokenEnum::ISO14443 => TokenKind::Iso14443,
        wire::IdTokenEnum::ISO15693 => TokenKind::Iso15693,
        wire::IdTokenEnum::Local => TokenKind::Local,
        wire::IdTokenEnum::NoAuthorization => TokenKind::NoAuthorization,
        _ => TokenKind::Central,
    };
    IdToken::new(token.id_token, kind)
}

/// `idTokenInfo` of an answer.
pub(super) fn verdict(value: &Value, now: Now) -> Option<TokenInfo> {
    let info = value.get("idTokenInfo")?;
    let group = info.get("groupIdToken").and_then(|group| group.get("idToken"));
    let expires = info.get("cacheExpiryDateTime").and_then(Value::as_str);
    Some(TokenInfo {
        status: auth_status(info.get("status")?.as_str()?),
        group: group.and_then(Value::as_str).and_then(|text| cut(text, LONGEST)),
        expires_ms: expires.and_then(read_utc),
        known_since: Some(now.stamp()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::AuthStatus;

    #[test]
    fn a_kind_is_claimed_only_where_the_text_has_its_form() {
        let kind = |text: &str, kind| told(&IdToken::new(text, kind)).r#type;
        assert_eq!(kind("04A1B2C3", TokenKind::Iso14443), wire::IdTokenEnum::ISO14443);
        assert_eq!(
            kind("04a1b2c3d4e5f6", TokenKind::Iso14443),
            wire::IdTokenEnum::ISO14443
        );
        assert_eq!(kind("04A1B2", TokenKind::Iso14443), wire::IdTokenEnum::Local);
        assert_eq!(
            kind("E004010012345678", TokenKind::Iso15693),
            wire::IdTokenEnum::ISO15693
        );
        assert_eq!(kind("E004", TokenKind::Iso15693), wire::IdTokenEnum::Local);
        assert_eq!(kind("VISITOR", TokenKind::Central), wire::IdTokenEnum::Central);
        assert_eq!(kind(" ", TokenKind::Local), wire::IdTokenEnum::NoAuthorization);
        assert_eq!(
            told(&IdToken::new("x".repeat(50), TokenKind::Local))
                .id_token
                .len(),
            LONGEST
        );
    }

    #[test]
    fn a_verdict_that_is_none_of_ours_refuses() {
        let read = |status: &str| {
            let value = serde_json::json!({ "idTokenInfo": { "status": status,
                "groupIdToken": { "idToken": "FLEET", "type": "Central" },
                "cacheExpiryDateTime": "2026-10-01T00:00:00Z" } });
            verdict(&value, Now::default()).expect("a verdict")
        };
        assert_eq!(read("Accepted").status, AuthStatus::Accepted);
        assert_eq!(read("Accepted").group.as_deref(), Some("FLEET"));
        assert_eq!(read("Accepted").expires_ms, Some(1_790_812_800_000));
        for status in ["NoCredit", "NotAtThisTime", "Unknown", "accepted"] {
            assert_eq!(read(status).status, AuthStatus::Invalid, "{status}");
        }
        assert_eq!(verdict(&serde_json::json!({}), Now::default()), None);
    }
}
