//! Time as a value: monotonic for every interval, wall clock with its quality for every record.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Milliseconds of monotonic time since the process started. Never goes back, never jumps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mono(pub u64);

impl Mono {
    /// The instant `after` later.
    #[must_use]
    pub fn plus(self, after: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// Time passed since `earlier`; zero if `earlier` lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// How far the wall clock can be believed. Ordered: later is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockQuality {
    /// No clock: the time is the floor of the build date.
    #[default]
    Unset,
    /// Continued from the last time written by an earlier run; late by the time spent switched off.
    Restored,
    /// Set by a CSMS (BootNotification or Heartbeat `currentTime`).
    Csms,
    /// Disciplined by NTP.
    Ntp,
}

impl ClockQuality {
    /// Whether a message may carry this time without later correction.
    #[must_use]
    pub fn is_trusted(self) -> bool {
        self >= Self::Csms
    }
}

/// Wall time: milliseconds since 1970-01-01T00:00:00Z and how far to believe it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wall {
    /// Milliseconds since the Unix epoch.
    pub unix_ms: i64,
    /// How it is known.
    pub quality: ClockQuality,
}

/// The present as a machine is told it. Nothing pure reads a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic.
    pub mono: Mono,
    /// Wall.
    pub wall: Wall,
    /// Which run of the process this is.
    pub boot: BootId,
}

impl Now {
    /// The record of this moment.
    #[must_use]
    pub fn stamp(self) -> Stamp {
        Stamp {
            boot: self.boot,
            mono: self.mono,
            wall: self.wall,
        }
    }
}

/// Where the shells get [`Now`] from: the system in production, a hand-moved one in tests.
pub trait Clock: Send + Sync {
    /// The present.
    fn now(&self) -> Now;

    /// Unix milliseconds before which the present cannot be: the end of the last run or the build, and what has
    /// passed since the start. Where the wall clock is not trusted, this is all that is known of the time.
    fn floor_ms(&self) -> i64 {
        self.now().wall.unix_ms
    }
}

/// Counts the starts of the process; [`Mono`] of different boots cannot be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(pub u32);

/// When something happened, kept so that it can be corrected once the clock is trusted:
/// the true time is the boot's later known epoch plus `mono`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The run it happened in.
    pub boot: BootId,
    /// Monotonic time within that run.
    pub mono: Mono,
    /// Wall time as believed then.
    pub wall: Wall,
}

impl Stamp {
    /// The wall time to send: as believed then if trusted, else re-computed from the boot's epoch
    /// (Unix milliseconds at `Mono(0)` of that boot) if a trusted one is known by now.
    #[must_use]
    pub fn corrected(self, trusted_epoch_of_boot: Option<i64>) -> i64 {
        match trusted_epoch_of_boot {
            Some(epoch) if !self.wall.quality.is_trusted() => {
                epoch.saturating_add(i64::try_from(self.mono.0).unwrap_or(i64::MAX))
            }
            _ => self.wall.unix_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_untrusted_stamp_is_corrected_by_its_own_boot() {
        let stamp = Stamp {
            boot: BootId(3),
            mono: Mono(5_000),
            wall: Wall {
                unix_ms: 42,
                quality: ClockQuality::Unset,
            },
        };
        assert_eq!(stamp.corrected(None), 42);
        assert_eq!(stamp.corrected(Some(1_000_000)), 1_005_000);
        let trusted = Stamp {
            wall: Wall {
                unix_ms: 42,
                quality: ClockQuality::Ntp,
            },
            ..stamp
        };
        assert_eq!(trusted.corrected(Some(1_000_000)), 42);
    }
}
