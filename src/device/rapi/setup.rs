//! How one OpenEVSE is served.

use crate::device::StreamDevice;
use crate::domain::MilliAmps;
use std::time::Duration;

/// Shortest poll period, whatever is configured.
const POLL_LEAST: Duration = Duration::from_millis(200);

/// How one OpenEVSE is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RapiSetup {
    /// Between two polls.
    pub poll: Duration,
    /// Below this it is put to sleep.
    pub least: MilliAmps,
    /// Never told more than this.
    pub most: MilliAmps,
    /// Without a pulse for this long it falls back.
    pub timeout: Duration,
    /// Between two pulses.
    pub feed: Duration,
    /// Falls back to this current.
    pub fallback: MilliAmps,
    /// What that means, in words.
    pub fallback_detail: String,
    /// Whether it can be trusted to protect the installation.
    pub fallback_safe: bool,
}

impl RapiSetup {
    /// The device of a port; `None`: its profile is not that of a charger.
    #[must_use]
    pub fn of(device: &StreamDevice) -> Option<Self> {
        let (setup, profile) = (&device.setup, &device.profile);
        let (limits, watchdog) = (profile.limits()?, profile.watchdog()?);
        let timeout = profile.watchdog_timeout(setup.watchdog_timeout)?;
        let usual = timeout / u32::from(watchdog.feeds_per_timeout.max(2));
        Some(Self {
            poll: setup.poll.unwrap_or(profile.link().poll).max(POLL_LEAST),
            least: limits.min,
            most: limits.max,
            timeout,
            feed: setup.watchdog_feed.unwrap_or(usual),
            fallback: profile.fallback_current(setup.failsafe_current),
            fallback_detail: watchdog.fallback.clone(),
            fallback_safe: watchdog.fallback_safe,
        })
    }
}
