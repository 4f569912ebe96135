//! Who wants to charge, and whether that is allowed.

use super::time::Stamp;
use serde::{Deserialize, Serialize};

/// Kind of an identifier (2.x `IdTokenEnumType`; 1.6 knows only the text).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// Issued by the CSMS, e.g. with a remote start.
    Central,
    /// A card with an ISO 14443 UID of 4 or 7 bytes in hexadecimal.
    Iso14443,
    /// A card with an ISO 15693 UID of 8 bytes in hexadecimal.
    Iso15693,
    /// Made locally: configuration, legacy tags of any form.
    #[default]
    Local,
    /// No identification needed (2.x `NoAuthorization`).
    NoAuthorization,
}

/// An identifier offered for authorisation: 1.6 `idTag` (at most 20 characters), 2.x `idToken` (at most 36).
/// Compared without regard to case, as OCPP's CiString asks.
#[derive(Clone, Debug, Eq, Serialize, Deserialize)]
pub struct IdToken {
    /// The identifier as read.
    pub text: String,
    /// Its kind.
    pub kind: TokenKind,
}

impl IdToken {
    /// A token of a kind.
    #[must_use]
    pub fn new(text: impl Into<String>, kind: TokenKind) -> Self {
        Self {
            text: text.into(),
            kind,
        }
    }

    /// The text in the form the cache and the local list use as key.
    #[must_use]
    pub fn key(&self) -> String {
        self.text.to_ascii_lowercase()
    }
}

impl PartialEq for IdToken {
    fn eq(&self, other: &Self) -> bool {
        self.text.eq_ignore_ascii_case(&other.text)
    }
}

/// A verdict on a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthStatus {
    /// May charge.
    Accepted,
    /// Known and refused.
    Blocked,
    /// Known and out of date.
    Expired,
    /// Unknown.
    Invalid,
    /// Already in another transaction.
    ConcurrentTx,
}

/// A verdict with what the CSMS said beside it (1.6 `IdTagInfo`, 2.x `IdTokenInfo`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenInfo {
    /// The verdict.
    pub status: AuthStatus,
    /// Group: a token of the same group may stop the transaction (1.6 `parentIdTag`, 2.x `groupIdToken`).
    pub group: Option<String>,
    /// The cached verdict ends here, Unix milliseconds.
    pub expires_ms: Option<i64>,
    /// When the verdict was received.
    pub known_since: Option<Stamp>,
}

impl TokenInfo {
    /// A bare verdict.
    #[must_use]
    pub fn of(status: AuthStatus) -> Self {
        Self {
            status,
            group: None,
            expires_ms: None,
            known_since: None,
        }
    }
}

/// Most tokens a local authorisation list can hold (1.6 `LocalAuthListMaxLength`, 2.x `LocalAuthListCtrlr.Entries`).
pub const LOCAL_LIST_MAX: usize = 5_000;

/// A change of the local authorisation list (1.6 section 5.15, 2.0.1 D01).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListUpdate {
    /// Version of the list once it is changed; 1 or more.
    pub version: i32,
    /// It replaces the list, else it is applied to it.
    pub whole: bool,
    /// Tokens with what is said of them; nothing said: the token is taken off the list.
    pub entries: Vec<(IdToken, Option<TokenInfo>)>,
}
