//! Registration: when BootNotification is sent and when it is sent again (1.6 section 4.2, 2.0.1 B01 to B03).
//!
//! ```text
//! None --Accepted--> Accepted --content changed, reboot, SecurityError--> None
//!  |  \--Pending--> Pending --interval--> (boot again)
//!  |  \--Rejected-> Rejected --interval--> (boot again), silent meanwhile even over a reconnect
//!  \--CALLERROR, unusable answer--> None, back-off doubling
//! ```

use super::api::Registration;
use super::dialect::BootReply;
use crate::domain::{Mono, Rng};
use std::time::Duration;

/// Doubling of the own back-off ends at this factor.
const MAX_BACKOFF_SHIFT: u32 = 5;

/// The longest wait a CSMS can impose; longer ones are taken for mistakes.
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// Registration with one CSMS.
#[derive(Debug)]
pub(super) struct Boot {
    state: Registration,
    due: Option<Mono>,
    failures: u32,
    /// What the accepted BootNotification said.
    accepted: Option<String>,
    /// Own wait where the CSMS names none.
    retry: Duration,
}

impl Boot {
    pub(super) fn new(retry: Duration) -> Self {
        Self {
            state: Registration::None,
            due: None,
            failures: 0,
            accepted: None,
            retry: retry.max(Duration::from_secs(1)),
        }
    }

    pub(super) fn state(&self) -> Registration {
        self.state
    }

    pub(super) fn is_accepted(&self) -> bool {
        self.state == Registration::Accepted
    }

    /// The socket is open. A mere reconnect needs no BootNotification unless its content changed (2.0.1 part 4,
    /// 5.4); a rejection is respected to the end of its interval.
    pub(super) fn connected(&mut self, now: Mono, content: &str) {
        match self.state {
            Registration::Accepted if self.accepted.as_deref() == Some(content) => self.due = None,
            Registration::Rejected if self.due.is_some_and(|due| due > now) => {}
            Registration::Accepted | Registration::Rejected | Registration::Pending | Registration::None => {
                self.state = Registration::None;
                self.due = Some(now);
            }
        }
    }

    /// The charge point must register again.
    pub(super) fn restart(&mut self, now: Mono) {
        self.state = Registration::None;
        self.accepted = None;
        self.failures = 0;
        self.due = Some(now);
    }

    /// The CSMS does not know the charge point any more. It is told again after a pause: a CSMS that accepts
    /// the boot and refuses everything else must not be flooded.
    pub(super) fn forgotten(&mut self, now: Mono, rng: &mut Rng) {
        self.state = Registration::None;
        self.accepted = None;
        self.due = Some(now.plus(jittered(self.retry, rng)));
    }

    /// BootNotification is wanted now, e.g. by a trigger.
    pub(super) fn hasten(&mut self, now: Mono) {
        self.due = Some(now);
    }

    /// When BootNotification is to be sent; `None`: it is not.
    pub(super) fn due(&self) -> Option<Mono> {
        self.due
    }

    /// It was sent.
    pub(super) fn sent(&mut self) {
        self.due = None;
    }

    /// It was answered.
    pub(super) fn replied(&mut self, now: Mono, reply: &BootReply, content: &str, rng: &mut Rng) {
        self.state = reply.status;
        self.failures = 0;
        if reply.status == Registration::Accepted {
            self.accepted = Some(content.to_owned());
            self.due = None;
        } else {
            let wait = match reply.interval {
                Some(interval) => interval.min(MAX_INTERVAL),
                None => jittered(self.retry, rng),
            };
            self.due = Some(now.plus(wait));
        }
    }

    /// It was answered with a CALLERROR or with nothing that can be used.
    pub(super) fn failed(&mut self, now: Mono, rng: &mut Rng) {
        let factor = 1 << self.failures.min(MAX_BACKOFF_SHIFT);
        self.failures = self.failures.saturating_add(1);
        self.due = Some(now.plus(jittered(self.retry.saturating_mul(factor), rng)));
    }
}

/// Up to a quarter longer, so that charge points do not fall into step.
fn jittered(wait: Duration, rng: &mut Rng) -> Duration {
    let quarter = u64::try_from(wait.as_millis() / 4).unwrap_or(u64::MAX);
    wait.saturating_add(Duration::from_millis(rng.below(quarter.max(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: Registration, interval_s: Option<u64>) -> BootReply {
        BootReply {
            status,
            interval: interval_s.map(Duration::from_secs),
            time: String::new(),
        }
    }

    #[test]
    fn a_rejection_outlives_a_reconnect() {
        let mut boot = Boot::new(Duration::from_secs(10));
        let mut rng = Rng::new(1);
        boot.connected(Mono(0), "a");
        boot.replied(Mono(0), &reply(Registration::Rejected, Some(60)), "a", &mut rng);
        boot.connected(Mono(5_000), "a");
        assert_eq!(
            (boot.state(), boot.due()),
            (Registration::Rejected, Some(Mono(60_000)))
        );
    }

    #[test]
    fn only_changed_content_boots_again_on_reconnect() {
        let mut boot = Boot::new(Duration::from_secs(10));
        let mut rng = Rng::new(1);
        boot.connected(Mono(0), "a");
        boot.sent();
        boot.replied(Mono(0), &reply(Registration::Accepted, Some(60)), "a", &mut rng);
        boot.connected(Mono(1), "a");
        assert_eq!((boot.is_accepted(), boot.due()), (true, None));
        boot.connected(Mono(2), "b");
        assert_eq!((boot.is_accepted(), boot.due()), (false, Some(Mono(2))));
    }

    #[test]
    fn failures_back_off_and_interval_zero_is_our_own_choice() {
        let mut boot = Boot::new(Duration::from_secs(10));
        let mut rng = Rng::new(1);
        let mut before = 0;
        for _ in 0..4 {
            boot.failed(Mono(0), &mut rng);
            let due = boot.due().expect("due").0;
            assert!(due >= before * 3 / 2 && due >= 10_000, "{due}");
            before = due;
        }
        boot.replied(Mono(0), &reply(Registration::Pending, None), "a", &mut rng);
        let due = boot.due().expect("due").0;
        assert!((10_000..12_500).contains(&due), "{due}");
    }
}
