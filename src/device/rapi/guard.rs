//! The heartbeat supervision of the device, and the lease under which it is fed (S6).

use super::ask::Ask;
use crate::device::FailsafeReport;
use crate::domain::{DriveError, MilliAmps, Mono};
use std::time::Duration;

/// The setting is looked at this often (S5).
const CHECK_EVERY: Duration = Duration::from_secs(3600);
/// Arming that failed is tried again after this.
const RETRY: Duration = Duration::from_secs(60);
/// A pulse that was not answered is sent again after this.
const PULSE_AGAIN: Duration = Duration::from_millis(500);
/// The fallback cannot be less: the device rounds up to its own least current.
const LEAST: u16 = 6;

/// The trigger word of a device that missed a pulse.
pub(super) const MISSED: u16 = 2;

/// What has to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Check,
    Arm,
}

/// Supervision and lease.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    seconds: u16,
    amps: u16,
    every: Duration,
    until: Mono,
    ended: bool,
    next: (Next, Mono),
    pulse_at: Mono,
    /// The firmware refused to be supervised.
    without: bool,
    /// A pulse was missed: the current is what the device fell back to.
    pub(super) missed: bool,
    /// Commands that wait for it.
    pub(super) tickets: Vec<u64>,
}

impl Guard {
    /// Falls back to `fallback` after `timeout`; fed every `every`.
    pub(super) fn new(timeout: Duration, fallback: MilliAmps, every: Duration) -> Self {
        Self {
            seconds: u16::try_from(timeout.as_secs()).unwrap_or(u16::MAX).max(2),
            amps: u16::try_from(fallback.base()).unwrap_or(LEAST).max(LEAST),
            every,
            until: Mono(0),
            ended: false,
            next: (Next::Arm, Mono(0)),
            pulse_at: Mono(0),
            without: false,
            missed: false,
            tickets: Vec::new(),
        }
    }

    /// A new end of the lease. Returns whether feeding begins again after it had ended.
    pub(super) fn lease(&mut self, now: Mono, until: Mono) -> bool {
        self.until = until;
        now < until && std::mem::take(&mut self.ended)
    }

    /// Whether anything may be done that keeps the device going. Notes the end of the lease.
    pub(super) fn is_leased(&mut self, now: Mono) -> bool {
        let leased = now < self.until;
        self.ended |= !leased;
        leased
    }

    /// The device has (re)started or is to be armed for another reason.
    pub(super) fn arm(&mut self, now: Mono) {
        self.next = (Next::Arm, now);
    }

    /// The command that is due under the lease, or when the next one will be.
    pub(super) fn due(&self, now: Mono) -> Result<Ask, Mono> {
        let (next, at) = self.next;
        if now >= at {
            return Ok(match next {
                Next::Check => Ask::Supervision,
                Next::Arm => Ask::Arm(self.seconds, self.amps),
            });
        }
        if self.without {
            return Err(at);
        }
        if now >= self.pulse_at {
            return Ok(Ask::Pulse);
        }
        Err(at.min(self.pulse_at))
    }

    /// One of its commands was not answered.
    pub(super) fn unanswered(&mut self, now: Mono, ask: Ask) {
        if ask == Ask::Pulse {
            self.pulse_at = now.plus(PULSE_AGAIN);
        } else {
            self.next.1 = now.plus(PULSE_AGAIN);
        }
    }

    /// One of its commands was answered, with this setting where the answer has one. Gives the outcome of an arming
    /// or check, if it is one that is to be told.
    pub(super) fn answered(
        &mut self,
        now: Mono,
        ask: Ask,
        ok: bool,
        setting: Option<(u16, u16, bool)>,
    ) -> Option<Result<(), DriveError>> {
        let fits = setting.is_some_and(|(seconds, amps, _)| (seconds, amps) == (self.seconds, self.amps));
        let missed = setting.is_some_and(|(_, _, missed)| missed);
        self.missed |= missed;
        match ask {
            Ask::Pulse => {
                self.pulse_at = now.plus(self.every);
                // Armed once more the device forgets the miss without first going to its most, as after `$SY 165`.
                // Where that has just failed it waits for its turn.
                if (missed || !fits) && self.next.0 == Next::Check {
                    self.arm(now);
                }
                None
            }
            Ask::Supervision if ok && fits && !missed => {
                self.next = (Next::Check, now.plus(CHECK_EVERY));
                None
            }
            Ask::Supervision => {
                self.arm(now);
                setting.map(|setting| Err(self.disobeyed(setting)))
            }
            // One that still shows the miss did not take: its current is what it fell back to.
            _ => Some(self.armed(now, ok && fits && !missed, setting)),
        }
    }

    fn armed(&mut self, now: Mono, ok: bool, setting: Option<(u16, u16, bool)>) -> Result<(), DriveError> {
        self.without = setting.is_none();
        let Some(setting) = setting else {
            self.next = (Next::Arm, now.plus(CHECK_EVERY));
            return Err(DriveError::Unsupported);
        };
        if !ok {
            self.next = (Next::Arm, now.plus(RETRY));
            return Err(self.disobeyed(setting));
        }
        self.pulse_at = now.plus(self.every);
        self.next = (Next::Check, now.plus(CHECK_EVERY));
        Ok(())
    }

    /// The first word of the setting that is not what it should be.
    fn disobeyed(&self, (seconds, amps, missed): (u16, u16, bool)) -> DriveError {
        let trigger = if missed { MISSED } else { 0 };
        let words = [(self.seconds, seconds), (self.amps, amps), (0, trigger)];
        let other = words.into_iter().find(|(wrote, read)| wrote != read);
        let (wrote, read) = other.unwrap_or(words[0]);
        DriveError::NotObeyed {
            wrote: u64::from(wrote),
            read: u64::from(read),
        }
    }

    /// The report on an outcome. `fallback` and `safe`: as the profile says.
    pub(super) fn report(
        &self,
        outcome: &Result<(), DriveError>,
        fallback: &str,
        safe: bool,
    ) -> FailsafeReport {
        let detail = match outcome {
            Ok(()) => fallback.to_owned(),
            Err(DriveError::Unsupported) => {
                "this firmware has no heartbeat supervision: it keeps its last current \
                                             when the gateway falls silent"
                    .to_owned()
            }
            Err(error) => format!("the supervision could not be set: {error}"),
        };
        FailsafeReport {
            armed: outcome.is_ok(),
            timeout: Some(Duration::from_secs(u64::from(self.seconds))),
            fallback: Some(MilliAmps::from_base(i64::from(self.amps))),
            safe: safe && outcome.is_ok(),
            detail,
        }
    }
}
