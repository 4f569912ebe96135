//! Ids as telemetry shows them.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// An id in a topic, `[a-z0-9][a-z0-9_-]{0,31}`: what every broker and Home Assistant accept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Slug(Arc<str>);

impl Slug {
    /// Longest slug.
    pub const LONGEST: usize = 32;

    /// The nearest slug of a text: small letters, `-` for what is not allowed, cut to [`Slug::LONGEST`].
    #[must_use]
    pub fn of(text: &str) -> Self {
        let fits = |c: char| {
            if c.is_ascii_alphanumeric() || c == '_' {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        };
        let slug: String = text
            .chars()
            .map(fits)
            .skip_while(|c| !c.is_ascii_alphanumeric())
            .take(Self::LONGEST)
            .collect();
        Self(if slug.is_empty() { "x".into() } else { slug.into() })
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Slug {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Slug".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,31}$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_what_brokers_and_home_assistant_accept() {
        let slug = |text: &str| Slug::of(text).to_string();
        assert_eq!(slug("CP-GARAGE.1"), "cp-garage-1");
        assert_eq!(slug("__Süd 2"), "s-d-2");
        assert_eq!(slug(""), "x");
        assert_eq!(slug(&"A".repeat(40)).len(), 32);
    }
}
