//! How long to wait before the next attempt to connect.
//!
//! * never sooner than the shortest wait: the other side may not have let go of the old connection yet;
//! * the wait doubles up to the longest one, and half of it is jitter, so that many charge points spread;
//! * only success resets it: a server that accepts and closes again and again is not success.

use super::rng::Rng;
use std::time::Duration;

/// The first attempt of a run is spread over at most this.
const FIRST_SPREAD: Duration = Duration::from_secs(1);

/// Waits between attempts.
#[derive(Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
    rng: Rng,
}

impl Backoff {
    /// Waits between these two; the same seed gives the same ones.
    #[must_use]
    pub fn new(min: Duration, max: Duration, seed: u64) -> Self {
        Self {
            min,
            max: max.max(min),
            failures: 0,
            rng: Rng::new(seed),
        }
    }

    /// The wait before the first attempt of a run.
    pub fn first(&mut self) -> Duration {
        let spread = self.min.min(FIRST_SPREAD);
        self.between(Duration::ZERO, spread)
    }

    /// The wait after a close or a failed attempt.
    #[expect(clippy::should_implement_trait, reason = "it never ends, and is no iterator")]
    pub fn next(&mut self) -> Duration {
        let doubled = self
            .min
            .saturating_mul(2_u32.saturating_pow(self.failures.saturating_add(1)));
        let longest = doubled.min(self.max);
        self.failures = self.failures.saturating_add(1);
        self.between(self.min.max(longest / 2), longest)
    }

    /// The other side has accepted us, or the connection lasted.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// How long a connection must have lasted to count as a success.
    #[must_use]
    pub fn lasting(&self) -> Duration {
        self.max
    }

    fn between(&mut self, shortest: Duration, longest: Duration) -> Duration {
        let spread = longest.saturating_sub(shortest).as_millis();
        let spread = u64::try_from(spread).unwrap_or(u64::MAX - 1);
        shortest + Duration::from_millis(self.rng.below(spread + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_secs(1);
    const MAX: Duration = Duration::from_secs(120);

    #[test]
    fn waits_double_with_jitter_up_to_the_longest() {
        for seed in 0..200 {
            let mut backoff = Backoff::new(MIN, MAX, seed);
            for exponent in 0..40 {
                let top = MIN.saturating_mul(2_u32.saturating_pow(exponent + 1)).min(MAX);
                let wait = backoff.next();
                assert!(
                    (MIN.max(top / 2)..=top).contains(&wait),
                    "{wait:?} after {exponent} failures"
                );
            }
        }
    }

    #[test]
    fn ten_thousand_reconnects_never_come_too_soon_and_are_spread() {
        let mut backoff = Backoff::new(MIN, MAX, 7);
        let mut seen = std::collections::BTreeSet::new();
        for n in 0..10_000 {
            let wait = backoff.next();
            assert!(wait >= MIN && wait <= MAX);
            seen.insert(wait);
            if n % 3 == 0 {
                backoff.reset();
            }
        }
        assert!(seen.len() > 1_000, "only {} different waits", seen.len());
    }

    #[test]
    fn success_resets_and_a_longest_below_the_shortest_is_lifted() {
        let mut backoff = Backoff::new(MIN, MAX, 1);
        (0..10).for_each(|_| {
            backoff.next();
        });
        backoff.reset();
        assert!(backoff.next() <= MIN * 2);
        let mut odd = Backoff::new(MIN, Duration::ZERO, 1);
        assert_eq!(odd.next(), MIN);
    }

    #[test]
    fn the_first_attempt_of_a_run_is_spread_over_a_second() {
        let mut latest = Duration::ZERO;
        for seed in 0..100 {
            let first = Backoff::new(Duration::from_secs(30), MAX, seed).first();
            assert!(first <= FIRST_SPREAD);
            latest = latest.max(first);
        }
        assert!(latest > FIRST_SPREAD / 2);
    }
}
