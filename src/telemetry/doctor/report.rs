//! What is told of one broker.

use super::Cause;
use crate::domain::{Check, Checkup, Verdict};
use serde::Serialize;

/// What was found about one broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What it is used for: `mqtt`, `sparkplug`.
    pub broker: String,
    /// Where it is.
    pub url: String,
    /// The worst of the checks.
    pub result: Verdict,
    /// The cause to look at first; `None`: there is nothing wrong.
    pub cause: Option<Cause>,
    /// All of them, in the order they were made: `clock`, `dns`, `tcp`, `tls`, `connect`, `offer`, `subscribe`, `publish`,
    /// `retain`, `tidy`, `announce`, `home assistant`, `host`, `alone` or `gateway`.
    pub checks: Vec<Check<Cause>>,
}

impl Report {
    pub(super) fn of(checkup: Checkup<Cause>, broker: String, url: String) -> Self {
        let (result, cause, checks) = checkup.concluded();
        Self {
            broker,
            url,
            result,
            cause,
            checks,
        }
    }
}
