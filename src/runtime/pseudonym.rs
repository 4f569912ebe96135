//! Tokens as telemetry may show them: the same card has the same name, and nobody can guess it from the name.

use crate::domain::IdToken;
use ring::hmac;

/// Bytes of the keyed hash that are shown.
const SHOWN: usize = 8;

/// Gives names to tokens by a key of this site.
#[derive(Clone, Debug)]
pub struct Pseudonyms(hmac::Key);

impl Pseudonyms {
    /// Names by this key.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The name of a token, 16 hexadecimal digits. Tokens that a back end takes as equal have the same.
    #[must_use]
    pub fn of(&self, token: &IdToken) -> String {
        let tag = hmac::sign(&self.0, token.key().as_bytes());
        tag.as_ref()
            .iter()
            .take(SHOWN)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TokenKind;

    #[test]
    fn a_token_has_one_name_under_one_key() {
        let (here, there) = (Pseudonyms::new(b"here"), Pseudonyms::new(b"there"));
        let token = |text: &str| IdToken::new(text, TokenKind::Central);
        assert_eq!(here.of(&token("04AABB")), here.of(&token("04aabb")));
        assert_ne!(here.of(&token("04AABB")), here.of(&token("04AABC")));
        assert_ne!(here.of(&token("04AABB")), there.of(&token("04AABB")));
        assert_eq!(here.of(&token("04AABB")).len(), 16);
    }
}
