//! What a doctor of a connection tells: checks in the order they were made, the worst of them, and the cause to look at first.

use serde::Serialize;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Not tried, not reached, or not to be known.
    Skipped,
    /// It works, but somebody should look at it.
    Warning,
    /// It does not work.
    Failure,
}

/// One check of a doctor who knows the causes `C`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check<C> {
    /// What was looked at, e.g. `dns`, `tcp`, `tls`.
    pub check: &'static str,
    /// How it ended.
    pub result: Verdict,
    /// What was seen.
    pub evidence: String,
    /// The most likely cause; `None`: there is nothing wrong.
    pub cause: Option<C>,
    /// What to do next.
    pub next: Option<String>,
}

/// Checks as they come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkup<C>(Vec<Check<C>>);

impl<C> Default for Checkup<C> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<C: Copy> Checkup<C> {
    fn add(
        &mut self,
        check: &'static str,
        result: Verdict,
        evidence: impl Into<String>,
        found: Option<(C, String)>,
    ) {
        let (cause, next) = found.unzip();
        self.0.push(Check {
            check,
            result,
            evidence: evidence.into(),
            cause,
            next,
        });
    }

    /// As it should be.
    pub fn good(&mut self, check: &'static str, evidence: impl Into<String>) {
        self.add(check, Verdict::Good, evidence, None);
    }

    /// Not tried, or not to be known.
    pub fn skip(&mut self, check: &'static str, evidence: impl Into<String>) {
        self.add(check, Verdict::Skipped, evidence, None);
    }

    /// Not to be known, and yet there is something to do about it.
    pub fn open(
        &mut self,
        check: &'static str,
        evidence: impl Into<String>,
        cause: C,
        next: impl Into<String>,
    ) {
        self.add(check, Verdict::Skipped, evidence, Some((cause, next.into())));
    }

    /// It works, but somebody should look at it.
    pub fn warning(
        &mut self,
        check: &'static str,
        evidence: impl Into<String>,
        cause: C,
        next: impl Into<String>,
    ) {
        self.add(check, Verdict::Warning, evidence, Some((cause, next.into())));
    }

    /// It does not work.
    pub fn failure(
        &mut self,
        check: &'static str,
        evidence: impl Into<String>,
        cause: C,
        next: impl Into<String>,
    ) {
        self.add(check, Verdict::Failure, evidence, Some((cause, next.into())));
    }

    /// The worst that was found, the cause of the first check that ended so, and all checks. What was skipped says nothing.
    #[must_use]
    pub fn concluded(self) -> (Verdict, Option<C>, Vec<Check<C>>) {
        let results = self.0.iter().map(|check| check.result);
        let worst = results
            .filter(|result| *result != Verdict::Skipped)
            .max()
            .unwrap_or(Verdict::Good);
        let first = self.0.iter().find(|check| check.result == worst);
        (worst, first.and_then(|check| check.cause), self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_worst_names_the_cause_and_what_was_skipped_is_no_fault() {
        let mut checkup = Checkup::default();
        checkup.good("dns", "an address");
        checkup.open("host", "not seen", 1, "start it");
        assert_eq!(checkup.clone().concluded().0, Verdict::Good);
        checkup.warning("clock", "1970", 2, "set it");
        checkup.failure("tls", "unknown authority", 3, "trust it");
        checkup.failure("upgrade", "404", 4, "check the path");
        checkup.skip("alive", "not reached");
        let (worst, cause, checks) = checkup.concluded();
        assert_eq!((worst, cause, checks.len()), (Verdict::Failure, Some(3), 6));
        let (worst, cause, _) = Checkup::<u8>::default().concluded();
        assert_eq!((worst, cause), (Verdict::Good, None));
    }
}
