//! Names of topics.

use super::super::units::Slug;
use std::fmt::Display;
use std::sync::Arc;

/// Topics of one gateway.
#[derive(Clone, Debug)]
pub struct Topics {
    base: String,
}

impl Topics {
    /// Topics under `prefix/gateway`.
    #[must_use]
    pub fn new(prefix: &str, gateway: &str) -> Self {
        Self {
            base: format!("{prefix}/{gateway}"),
        }
    }

    /// A topic below the gateway.
    #[must_use]
    pub fn at(&self, rest: impl Display) -> Arc<str> {
        format!("{}/{rest}", self.base).into()
    }

    /// `status`, the will.
    #[must_use]
    pub fn status(&self) -> Arc<str> {
        self.at("status")
    }

    /// What is to be subscribed for commands.
    #[must_use]
    pub fn commands(&self) -> [String; 2] {
        ["as/+/cp/+/+/set", "as/+/request/+"].map(|filter| self.at(filter).to_string())
    }

    /// A topic of an EVSE.
    #[must_use]
    pub fn point(&self, point: &Slug, rest: impl Display) -> Arc<str> {
        self.at(format_args!("cp/{point}/{rest}"))
    }

    /// A topic of a meter.
    #[must_use]
    pub fn meter(&self, meter: &Slug, rest: impl Display) -> Arc<str> {
        self.at(format_args!("meter/{meter}/{rest}"))
    }

    /// What of it is below the gateway, if it is.
    #[must_use]
    pub fn within<'t>(&self, topic: &'t str) -> Option<&'t str> {
        topic.strip_prefix(&self.base)?.strip_prefix('/')
    }
}
