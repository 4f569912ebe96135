//! Which verdicts are answered and recorded one by one: all that were carried out, and of each user so many rejections in
//! a [`SPAN`]. Nobody can fill the disk or the line by sending nonsense, and nobody is silenced by another who does.

use crate::domain::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// Rejections of a user that are told one by one within a span.
pub const REJECTIONS: u64 = 20;
/// A span of them.
const SPAN: Duration = Duration::from_secs(60);

/// The rejections of one user.
#[derive(Debug, Default)]
struct Tally {
    begun: Mono,
    rejected: u64,
    untold: u64,
}

/// The verdict is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Rejections of the same user that were not told since the last verdict that was.
    pub untold: u64,
    /// Further rejections of this span are only counted.
    pub last: bool,
}

/// The rejections of all users.
#[derive(Debug)]
pub struct Verdicts {
    known: BTreeMap<String, Tally>,
    /// Names are for anybody to invent, so those that are not known count together.
    others: Tally,
}

impl Verdicts {
    /// Each of these users is counted for itself.
    #[must_use]
    pub fn of(users: impl IntoIterator<Item = String>) -> Self {
        Self {
            known: users.into_iter().map(|user| (user, Tally::default())).collect(),
            others: Tally::default(),
        }
    }

    /// Whether a verdict is to be told; `None`: it is only counted.
    pub fn admit(&mut self, now: Mono, user: &str, rejected: bool) -> Option<Admission> {
        let tally = self.known.get_mut(user).unwrap_or(&mut self.others);
        if now.since(tally.begun) >= SPAN {
            (tally.begun, tally.rejected) = (now, 0);
        }
        tally.rejected += u64::from(rejected);
        if rejected && tally.rejected > REJECTIONS {
            tally.untold += 1;
            return None;
        }
        Some(Admission {
            untold: std::mem::take(&mut tally.untold),
            last: rejected && tally.rejected == REJECTIONS,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts() -> Verdicts {
        Verdicts::of(["ha", "scada"].map(str::to_owned))
    }

    fn told(untold: u64, last: bool) -> Option<Admission> {
        Some(Admission { untold, last })
    }

    #[test]
    fn rejections_beyond_a_number_are_counted() {
        let mut verdicts = verdicts();
        for n in 1..=REJECTIONS {
            assert_eq!(
                verdicts.admit(Mono(5), "ha", true),
                told(0, n == REJECTIONS),
                "{n}"
            );
        }
        assert_eq!(verdicts.admit(Mono(6), "ha", true), None);
        assert_eq!(verdicts.admit(Mono(7), "ha", true), None);
        let done = verdicts.admit(Mono(8), "ha", false);
        assert_eq!(done, told(2, false), "what was done is always told");
        assert_eq!(verdicts.admit(Mono(9), "ha", true), None);
        assert_eq!(verdicts.admit(Mono(60_000), "ha", true), told(1, false));
    }

    #[test]
    fn a_noisy_user_silences_nobody_else_and_invented_names_take_no_room() {
        let mut verdicts = verdicts();
        for n in 0..10_000 {
            verdicts.admit(Mono(5), "ha", true);
            verdicts.admit(Mono(5), &format!("nobody-{n}"), true);
        }
        assert_eq!(verdicts.admit(Mono(6), "scada", true), told(0, false));
        assert_eq!(verdicts.admit(Mono(6), "mallory", true), None);
        assert_eq!(verdicts.known.len(), 2);
        assert_eq!(verdicts.admit(Mono(70_000), "mallory", true), told(9_981, false));
    }
}
