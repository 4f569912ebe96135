//! Whether the device answers.
//!
//! ```text
//!            answer                       3 failures in a row
//!  Unknown ---------> Up <---------------------------------------.
//!     |                |                                          |
//!     | 3 failures     | 3 failures         answer                |
//!     `---------------> Down{probe at, wait} ----------> Up (re-armed)
//!                        ^ | failed probe: wait doubles, 1 s to 30 s
//!                        | `--'
//!  any --port lost--> NoPort --port back--> Down{probe now}
//! ```
//!
//! On a line on which damaged answers were heard of late the wait does not grow: somebody is there, and is to be
//! heard again within a second of the end of the noise (S1).

use crate::domain::{DriveError, Mono};
use std::time::Duration;

/// Failures in a row that make a device count as away.
const FAILURES: u8 = 3;
/// First and longest wait between probes.
const PROBE_FIRST: Duration = Duration::from_secs(1);
const PROBE_MOST: Duration = Duration::from_secs(30);
/// Wait between probes on a disturbed line.
const PROBE_NOISY: Duration = Duration::from_millis(300);

/// The link to one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::device) enum Link {
    /// Nothing heard yet.
    Unknown { failures: u8 },
    /// It answers.
    Up { failures: u8 },
    /// It does not.
    Down {
        cause: DriveError,
        probe_at: Mono,
        wait: Duration,
    },
    /// The port is gone, and with it every device on it.
    NoPort,
}

/// A change worth telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::device) enum Change {
    /// It answers for the first time or again.
    Up,
    /// It went away.
    Down(DriveError),
}

impl Link {
    /// A device answered, be it with an exception.
    pub(in crate::device) fn heard(&mut self) -> Option<Change> {
        match self {
            Self::Up { failures } => {
                *failures = 0;
                None
            }
            Self::Unknown { .. } | Self::Down { .. } => {
                *self = Self::Up { failures: 0 };
                Some(Change::Up)
            }
            Self::NoPort => None,
        }
    }

    /// A request failed; `noisy`: damaged answers were heard of late.
    pub(in crate::device) fn failed(&mut self, now: Mono, cause: &DriveError, noisy: bool) -> Option<Change> {
        let first = if noisy { PROBE_NOISY } else { PROBE_FIRST };
        match self {
            Self::Unknown { failures } | Self::Up { failures } => {
                *failures = failures.saturating_add(1);
                if *failures < FAILURES {
                    return None;
                }
                *self = Self::Down {
                    cause: cause.clone(),
                    probe_at: now.plus(first),
                    wait: PROBE_FIRST,
                };
                Some(Change::Down(cause.clone()))
            }
            Self::Down { probe_at, wait, .. } => {
                if noisy {
                    *wait = PROBE_FIRST;
                    *probe_at = now.plus(PROBE_NOISY);
                } else if now >= *probe_at {
                    *wait = (*wait * 2).min(PROBE_MOST);
                    *probe_at = now.plus(*wait);
                }
                None
            }
            Self::NoPort => None,
        }
    }

    /// The device answers, but is not the one of its profile; it is looked at again after `wait`.
    pub(in crate::device) fn unlike(&mut self, now: Mono, wait: Duration) -> Option<Change> {
        let known = self.is_unlike();
        *self = Self::Down {
            cause: DriveError::OtherDevice,
            probe_at: now.plus(wait),
            wait,
        };
        (!known).then_some(Change::Down(DriveError::OtherDevice))
    }

    /// Whether the device was last found not to be the one of its profile.
    pub(in crate::device) fn is_unlike(&self) -> bool {
        matches!(
            self,
            Self::Down {
                cause: DriveError::OtherDevice,
                ..
            }
        )
    }

    /// The port is gone.
    pub(in crate::device) fn port_lost(&mut self) -> Option<Change> {
        let known = !matches!(self, Self::NoPort);
        *self = Self::NoPort;
        known.then_some(Change::Down(DriveError::PortLost))
    }

    /// The port is there again; the device is asked at once.
    pub(in crate::device) fn port_back(&mut self, now: Mono) {
        if *self == Self::NoPort {
            *self = Self::Down {
                cause: DriveError::PortLost,
                probe_at: now,
                wait: PROBE_FIRST,
            };
        }
    }

    /// The device is asked at once, unless it answers or the port is gone.
    pub(super) fn probe(&mut self, now: Mono) {
        if let Self::Down { probe_at, .. } = self {
            *probe_at = now.min(*probe_at);
        }
    }

    /// Why nothing can be asked of the device now.
    pub(in crate::device) fn outage(&self) -> Option<DriveError> {
        match self {
            Self::Unknown { .. } | Self::Up { .. } => None,
            Self::Down { cause, .. } => Some(cause.clone()),
            Self::NoPort => Some(DriveError::PortLost),
        }
    }
}

/// Whether an error means that the device itself was not heard. Exceptions 10 and 11 come from a gateway in its
/// place (Modbus Application Protocol V1.1b3, 7).
pub(in crate::device) fn is_silence(error: &DriveError) -> bool {
    match error {
        DriveError::Timeout(_)
        | DriveError::Garbled
        | DriveError::Exception(10 | 11)
        | DriveError::PortLost => true,
        DriveError::Exception(_)
        | DriveError::NotObeyed { .. }
        | DriveError::Unsupported
        | DriveError::OtherDevice
        | DriveError::Superseded => false,
    }
}
