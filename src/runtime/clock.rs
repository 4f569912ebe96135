//! The one clock of the process: monotonic from the kernel, wall time from the best source known.

use crate::domain::{BootId, Clock, ClockQuality, Mono, Now, Wall};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// systemd-timesyncd makes this file once NTP has set the clock (systemd-timesyncd.service(8)).
const NTP_MARK: &str = "/run/systemd/timesync/synchronized";

/// Two tellings of the time closer than this are the same.
const SAME_MS: i64 = 2_000;

/// The system's clock, corrected by what a CSMS said where NTP has not spoken.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
    boot: BootId,
    known: Mutex<Known>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    ntp: bool,
    /// Unix milliseconds at `Mono(0)` by the CSMS.
    csms_epoch: Option<i64>,
    /// Unix milliseconds at `Mono(0)` below which the truth cannot lie.
    floor: i64,
    restored: bool,
}

impl SystemClock {
    /// A clock for one run. `last_wall_ms` is the last time an earlier run noted; `build_floor_ms` bounds a
    /// machine without any memory of time.
    #[must_use]
    pub fn new(boot: BootId, last_wall_ms: Option<i64>, build_floor_ms: i64) -> Self {
        let clock = Self {
            start: Instant::now(),
            boot,
            known: Mutex::new(Known {
                ntp: false,
                csms_epoch: None,
                floor: last_wall_ms.unwrap_or(build_floor_ms).max(build_floor_ms),
                restored: last_wall_ms.is_some(),
            }),
        };
        clock.look_for_ntp(Path::new(NTP_MARK));
        clock
    }

    /// A clock for a tool that keeps no records.
    #[must_use]
    pub fn for_a_tool() -> Self {
        Self::new(BootId(0), None, crate::ocpp::FLOOR_UNIX_MS)
    }

    /// Looks whether NTP has set the clock by now; called every few seconds, not at every reading.
    pub fn refresh(&self) {
        self.look_for_ntp(Path::new(NTP_MARK));
    }

    fn look_for_ntp(&self, mark: &Path) {
        self.known().ntp = mark.exists() && system_ms() > self.known().floor;
    }

    /// Takes the time of a CSMS. Returns the Unix milliseconds at `Mono(0)` of this run if it is to be used:
    /// NTP is better, and a time before the floor is refused.
    pub fn set_csms(&self, unix_ms: i64) -> Option<i64> {
        let mono = self.mono();
        let mut known = self.known();
        let epoch = unix_ms - ms(mono);
        if known.ntp || unix_ms < known.floor {
            return None;
        }
        // The answer's way takes a while, so two words of the same CSMS differ; the first stays unless it was wrong.
        if known.csms_epoch.is_some_and(|old| (epoch - old).abs() < SAME_MS) {
            return None;
        }
        known.csms_epoch = Some(epoch);
        Some(epoch)
    }

    /// Unix milliseconds at `Mono(0)` of this run, once something trusted has told.
    #[must_use]
    pub fn epoch(&self) -> Option<i64> {
        let now = self.now();
        now.wall
            .quality
            .is_trusted()
            .then(|| now.wall.unix_ms - ms(now.mono))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mono(&self) -> Mono {
        Mono(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

impl Clock for SystemClock {
    fn floor_ms(&self) -> i64 {
        self.known().floor + ms(self.mono())
    }

    fn now(&self) -> Now {
        let mono = self.mono();
        let known = *self.known();
        let wall = if known.ntp {
            Wall {
                unix_ms: system_ms(),
                quality: ClockQuality::Ntp,
            }
        } else if let Some(epoch) = known.csms_epoch {
            Wall {
                unix_ms: epoch + ms(mono),
                quality: ClockQuality::Csms,
            }
        } else {
            let quality = if known.restored {
                ClockQuality::Restored
            } else {
                ClockQuality::Unset
            };
            Wall {
                unix_ms: system_ms().max(known.floor + ms(mono)),
                quality,
            }
        };
        Now {
            mono,
            wall,
            boot: self.boot,
        }
    }
}

fn ms(mono: Mono) -> i64 {
    i64::try_from(mono.0).unwrap_or(i64::MAX)
}

fn system_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|d| i64::try_from(d.as_millis()).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: i64 = 4_000_000_000_000;

    #[test]
    fn a_machine_without_time_never_goes_behind_its_floor() {
        let clock = SystemClock::new(BootId(1), None, FLOOR);
        let now = clock.now();
        assert!(now.wall.unix_ms >= FLOOR);
        assert_eq!(now.wall.quality, ClockQuality::Unset);
        assert_eq!(clock.epoch(), None);
    }

    #[test]
    fn the_floor_is_the_later_of_the_last_run_and_the_build_and_goes_on() {
        for (last, floor) in [
            (None, FLOOR),
            (Some(FLOOR - 1), FLOOR),
            (Some(FLOOR + 9), FLOOR + 9),
        ] {
            let clock = SystemClock::new(BootId(1), last, FLOOR);
            assert!((floor..floor + 60_000).contains(&clock.floor_ms()), "{last:?}");
        }
        // The system's clock is ahead of an old floor, but nobody vouches for it.
        let clock = SystemClock::new(BootId(1), Some(1), 2);
        assert!(clock.now().wall.unix_ms > 60_000 && clock.floor_ms() < 60_000);
    }

    #[test]
    fn a_csms_sets_the_clock_but_not_before_the_floor() {
        let clock = SystemClock::new(BootId(1), Some(FLOOR + 5_000), FLOOR);
        assert_eq!(clock.now().wall.quality, ClockQuality::Restored);
        assert_eq!(clock.set_csms(FLOOR), None);
        assert!(clock.set_csms(FLOOR + 60_000).is_some());
        let now = clock.now();
        assert_eq!(now.wall.quality, ClockQuality::Csms);
        assert!(now.wall.unix_ms >= FLOOR + 60_000);
    }
}
