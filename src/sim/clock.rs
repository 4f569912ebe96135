//! Where the simulated world gets its time from: the machine's clock, or a hand that moves it in steps.

use crate::domain::{BootId, Clock, ClockQuality, Mono, Now, Wall};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Real time since it was made.
#[derive(Clone, Debug)]
pub struct RealClock(Instant);

impl RealClock {
    /// Starts at zero now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for RealClock {
    fn now(&self) -> Now {
        let unix_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis();
        Now {
            mono: Mono(u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)),
            wall: Wall {
                unix_ms: i64::try_from(unix_ms).unwrap_or(i64::MAX),
                quality: ClockQuality::Ntp,
            },
            boot: BootId(1),
        }
    }
}

/// Time that stands still until it is moved. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct StepClock(Arc<AtomicU64>);

impl StepClock {
    /// Moves it on.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(
            u64::try_from(by.as_millis()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }
}

impl Clock for StepClock {
    /// Wall time begins at 2026-01-01T00:00:00Z.
    fn now(&self) -> Now {
        const NEW_YEAR_2026_MS: i64 = 1_767_225_600_000;
        let ms = self.0.load(Ordering::Relaxed);
        let unix_ms = NEW_YEAR_2026_MS.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX));
        let wall = Wall {
            unix_ms,
            quality: ClockQuality::Ntp,
        };
        Now {
            mono: Mono(ms),
            wall,
            boot: BootId(1),
        }
    }
}
