//! How long until the next attempt to connect: somebody who refuses us is asked ever less often, a broker that is away is
//! looked for all the time.

use crate::domain::Backoff;
use std::time::Duration;

/// First and longest wait after a refusal.
const REFUSED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// The same while nobody listens there, e.g. while the broker restarts: an attempt costs one packet, and all values are to be
/// back 10 s after the broker is (promise U7).
const ABSENT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// Waits between attempts.
#[derive(Debug)]
pub(super) struct Waits {
    refused: Backoff,
    absent: Backoff,
}

impl Waits {
    /// The same seed gives the same ones.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            refused: Backoff::new(REFUSED.0, REFUSED.1, seed),
            absent: Backoff::new(ABSENT.0, ABSENT.1, !seed),
        }
    }

    /// Before the first attempt.
    pub(super) fn first(&mut self) -> Duration {
        self.refused.first()
    }

    /// There was a connection and it is lost; only one that lasted counts as a success.
    pub(super) fn lost(&mut self, lasted: bool) {
        self.absent.reset();
        if lasted {
            self.refused.reset();
        }
    }

    /// Before the next attempt; `absent`: nobody was there at the last one.
    pub(super) fn next(&mut self, absent: bool) -> Duration {
        if absent {
            self.absent.next()
        } else {
            self.refused.next()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_is_away_is_found_soon_and_one_that_refuses_is_left_alone() {
        for seed in 0..50 {
            let mut waits = Waits::new(seed);
            let longest = (0..1000).map(|_| waits.next(true)).max();
            assert!(longest <= Some(Duration::from_secs(5)), "{longest:?}");
            assert!(waits.next(false) <= Duration::from_secs(2), "no refusal so far");
            assert!((0..10).any(|_| waits.next(false) >= Duration::from_secs(30)));
            waits.lost(false);
            assert!(
                waits.next(false) >= Duration::from_secs(30),
                "it closes again and again"
            );
            waits.lost(true);
            assert!(waits.next(false) <= Duration::from_secs(2));
        }
    }
}
