//! Tokens as telemetry may show them: the same card has the same name, and nobody can guess it from the name.

use crate::domain::IdToken;
use crate::store::TokenNames;

/// Digits of the journal's name of a token that are shown.
const SHOWN: usize = 16;

/// Gives short names to tokens by the key of this site.
#[derive(Clone, Debug)]
pub struct Pseudonyms(TokenNames);

impl Pseudonyms {
    /// The first digits of the names the journal of sessions has.
    #[must_use]
    pub fn new(names: TokenNames) -> Self {
        Self(names)
    }

    /// The name of a token, 16 hexadecimal digits: how its `token` in the journal begins.
    #[must_use]
    pub fn of(&self, token: &IdToken) -> String {
        let mut name = self.0.of(token);
        name.truncate(SHOWN);
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TokenKind;

    #[test]
    fn a_token_has_one_name_under_one_key() {
        let [here, there] = ["here", "there"].map(|key| Pseudonyms::new(TokenNames::new(key.as_bytes())));
        let token = |text: &str| IdToken::new(text, TokenKind::Central);
        assert_eq!(here.of(&token("04AABB")), here.of(&token("04aabb")));
        assert_ne!(here.of(&token("04AABB")), here.of(&token("04AABC")));
        assert_ne!(here.of(&token("04AABB")), there.of(&token("04AABB")));
        assert_eq!(here.of(&token("04AABB")).len(), 16);
    }
}
