//! Which sessions concern a back end, told by their tokens.

use super::auth::IdToken;

/// Longest pattern: an `idToken` of OCPP 2.x has at most 36 characters.
const LONGEST: usize = 36;

/// A token rule: a session is told to a back end if its token fits one of `only` (or there is none) and none of `not`.
/// Compared without regard to case, as tokens are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagRule {
    only: Vec<TagPattern>,
    not: Vec<TagPattern>,
}

/// A token, or a pattern in which `*` stands for any characters, also none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagPattern(String);

impl TagPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Says what is wrong with it, after "is" or as a verb.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("is empty");
        }
        if text.chars().count() > LONGEST {
            return Err("is longer than any token");
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("contains a blank or a control character");
        }
        if text.contains('!') {
            return Err("contains an exclamation mark behind its begin");
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether a token fits; linear in both, because a pattern never goes back further than its last `*`.
    #[must_use]
    pub fn fits(&self, token: &str) -> bool {
        let (pattern, text) = (self.0.as_bytes(), token.as_bytes());
        let (mut p, mut t) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while t < text.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    star = Some((p, t));
                    p += 1;
                }
                Some(byte) if byte.eq_ignore_ascii_case(&text[t]) => {
                    p += 1;
                    t += 1;
                }
                _ => {
                    let Some((at, from)) = star else { return false };
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }
}

impl TagRule {
    /// Adds a pattern as it is written: `!` before it takes tokens out.
    ///
    /// # Errors
    /// As [`TagPattern::parse`].
    pub fn add(&mut self, written: &str) -> Result<(), &'static str> {
        match written.strip_prefix('!') {
            Some(rest) => self.not.push(TagPattern::parse(rest)?),
            None => self.only.push(TagPattern::parse(written)?),
        }
        Ok(())
    }

    /// Whether every session is told.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.only.is_empty() && self.not.is_empty()
    }

    /// Whether only some tokens are taken, named by what they are and not by what they are not.
    #[must_use]
    pub fn picks(&self) -> bool {
        !self.only.is_empty() && self.only.iter().all(|pattern| pattern.0 != "*")
    }

    /// Whether a session with this token is told. One without a token belongs to nobody in particular: it is told
    /// where no pattern has to fit.
    #[must_use]
    pub fn takes(&self, token: Option<&IdToken>) -> bool {
        let fits = |pattern: &TagPattern| token.is_some_and(|token| pattern.fits(&token.text));
        (self.only.is_empty() || self.only.iter().any(fits)) && !self.not.iter().any(fits)
    }

    /// The patterns as they are written.
    pub fn written(&self) -> impl Iterator<Item = String> {
        let only = self.only.iter().map(|pattern| pattern.0.clone());
        only.chain(self.not.iter().map(|pattern| format!("!{}", pattern.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TokenKind;

    fn fits(pattern: &str, token: &str) -> bool {
        TagPattern::parse(pattern).expect("a pattern").fits(token)
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, token, wanted) in [
            ("04A1*", "04a1ffee", true),
            ("04A1*", "04A1", true),
            ("04A1*", "104A1", false),
            ("*", "", true),
            ("*EE", "04A1FFEE", true),
            ("04*FF*", "04A1FFEE", true),
            ("04*FF", "04A1FFEE", false),
            ("a*b*c", "axxbyybzzc", true),
            ("CARD", "card", true),
            ("CARD", "CARD1", false),
            ("CARD1", "CARD", false),
            ("**", "x", true),
            ("ä*", "ärger", true),
        ] {
            assert_eq!(fits(pattern, token), wanted, "{pattern} {token}");
        }
    }

    #[test]
    fn a_rule_takes_what_fits_and_leaves_what_is_taken_out() {
        let rule = |patterns: &[&str]| {
            let mut rule = TagRule::default();
            patterns.iter().for_each(|p| rule.add(p).expect("a pattern"));
            rule
        };
        let card = IdToken::new("04A1FF", TokenKind::Local);
        let other = IdToken::new("FF00", TokenKind::Local);
        let takes = |rule: &TagRule| {
            [
                rule.takes(Some(&card)),
                rule.takes(Some(&other)),
                rule.takes(None),
            ]
        };
        assert_eq!(takes(&rule(&[])), [true, true, true]);
        assert_eq!(takes(&rule(&["04A1*"])), [true, false, false]);
        assert_eq!(takes(&rule(&["!04A1*"])), [false, true, true]);
        assert_eq!(takes(&rule(&["*", "!ff*"])), [true, false, false]);
        assert!(rule(&[]).is_open() && !rule(&["!x"]).is_open());
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["", "!", "a b", "a!b", "!!a", &"x".repeat(37)] {
            assert!(TagRule::default().add(text).is_err(), "{text:?}");
        }
    }
}
