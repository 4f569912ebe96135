//! What is told of one broker.

use super::Cause;
use serde::Serialize;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Not tried, or not to be known.
    Skipped,
    /// It works, but somebody should look at it.
    Warning,
    /// It does not work.
    Failure,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// `clock`, `dns`, `tcp`, `tls`, `connect`, `offer`, `subscribe`, `publish`, `retain`, `tidy`, `announce`, `home assistant`,
    /// `host`, `alone` or `gateway`.
    pub check: &'static str,
    /// How it ended.
    pub result: Verdict,
    /// What was seen.
    pub evidence: String,
    /// The most likely cause; `None`: there is nothing wrong.
    pub cause: Option<Cause>,
    /// What to do next.
    pub next: Option<String>,
}

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
    /// All of them, in the order they were made.
    pub checks: Vec<Check>,
}

/// Checks as they come in.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    checks: Vec<Check>,
}

impl Sheet {
    fn add(
        &mut self,
        check: &'static str,
        result: Verdict,
        evidence: impl Into<String>,
        found: Option<(Cause, String)>,
    ) {
        let (cause, next) = found.unzip();
        self.checks.push(Check {
            check,
            result,
            evidence: evidence.into(),
            cause,
            next,
        });
    }

    pub fn good(&mut self, check: &'static str, evidence: impl Into<String>) {
        self.add(check, Verdict::Good, evidence, None);
    }

    pub fn skip(&mut self, check: &'static str, evidence: impl Into<String>) {
        self.add(check, Verdict::Skipped, evidence, None);
    }

    /// Not to be known, and yet there is something to do about it.
    pub fn open(
        &mut self,
        check: &'static str,
        evidence: impl Into<String>,
        cause: Cause,
        next: impl Into<String>,
    ) {
        self.add(check, Verdict::Skipped, evidence, Some((cause, next.into())));
    }

    pub fn warning(
        &mut self,
        check: &'static str,
        evidence: impl Into<String>,
        cause: Cause,
        next: impl Into<String>,
    ) {
        self.add(check, Verdict::Warning, evidence, Some((cause, next.into())));
    }

    pub fn failure(
        &mut self,
        check: &'static str,
        evidence: impl Into<String>,
        cause: Cause,
        next: impl Into<String>,
    ) {
        self.add(check, Verdict::Failure, evidence, Some((cause, next.into())));
    }

    pub fn report(self, broker: String, url: String) -> Report {
        let results = self.checks.iter().map(|check| check.result);
        let result = results
            .filter(|result| *result != Verdict::Skipped)
            .max()
            .unwrap_or(Verdict::Good);
        let first = self.checks.iter().find(|check| check.result == result);
        Report {
            broker,
            url,
            result,
            cause: first.and_then(|check| check.cause),
            checks: self.checks,
        }
    }
}
