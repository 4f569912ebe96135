//! What passes between the south side (`bus`) and the station: observations up, commands down.

use super::auth::IdToken;
use super::evse::{FaultKind, VehicleState};
use super::gpio::GpioSignal;
use super::reading::Reading;
use super::units::MilliAmps;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Something a device said about itself in one poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A measured value.
    Reading(Reading),
    /// The vehicle state by the profile's state map.
    Vehicle {
        /// The state.
        state: VehicleState,
        /// The raw status register, for logs and `vendorErrorCode`.
        raw: u64,
    },
    /// An error register that is not zero (or is zero again: `None`).
    Fault(Option<DeviceFault>),
    /// A card was presented; `None`: the point reads "no card".
    Token(Option<IdToken>),
    /// What the cable or the box's own switches allow at most.
    HardwareLimit(MilliAmps),
    /// The limit register as read back; zero is "paused".
    LimitReadBack(MilliAmps),
    /// A fact that seldom changes.
    Fact(DeviceFact, String),
    /// A contact of the site: emergency stop, tamper, dimming by the grid operator. Only the signal; the station acts.
    Contact {
        /// Which.
        contact: GpioSignal,
        /// Whether it is active.
        active: bool,
    },
    /// Pulses counted in the life of a pulse meter; made durable together with what depends on it.
    Pulses(u64),
}

/// A fault with the vendor's code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceFault {
    /// Its kind by the profile's fault map.
    pub kind: FaultKind,
    /// The vendor's code as text.
    pub code: String,
}

/// Facts for BootNotification and the status page.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DeviceFact {
    /// Serial number.
    SerialNumber,
    /// Firmware version.
    FirmwareVersion,
    /// Model or product code.
    Model,
    /// Register layout version.
    MapVersion,
}

/// What a charger can be told. `device` turns it into register writes by the profile's recipes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceCommand {
    /// Offer this current per phase; zero pauses. Rounded down to the device's step; below the device's
    /// minimum it pauses.
    Limit(MilliAmps),
    /// Allow (true) or forbid (false) charging, where the device has a switch apart from the limit.
    Enable(bool),
    /// Charge on this many phases, 1 or 3. Where the device needs it, charging is paused meanwhile.
    Phases(u8),
    /// Release the plug lock.
    Unlock,
    /// Write watchdog time-out and fallback registers and read them back.
    ArmWatchdog,
    /// Let the device fall to its safe current or pause it, as its profile says, because the gateway leaves.
    SafeState,
}

impl DeviceCommand {
    /// Bus priority. `lowering` says whether a limit is at or below the one in force.
    #[must_use]
    pub fn priority(self, lowering: bool) -> Priority {
        match self {
            Self::Limit(MilliAmps(0)) | Self::Enable(false) | Self::SafeState => Priority::Stop,
            Self::Limit(_) if lowering => Priority::Stop,
            Self::Limit(_) | Self::Enable(true) | Self::Phases(_) | Self::Unlock | Self::ArmWatchdog => {
                Priority::Write
            }
        }
    }
}

/// Order of requests on one bus; smaller goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Stops and lowering writes.
    Stop,
    /// Other writes.
    Write,
    /// Watchdog feeds.
    Feed,
    /// Reads, by deadline.
    Read,
}

/// Why a command did not reach the device or was not obeyed. Every variant says what to do next in its message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DriveError {
    /// No answer.
    #[error("no answer within {0:?}; check wiring, unit id and that the device is powered")]
    Timeout(Duration),
    /// The port is gone.
    #[error("the port is not there; it is re-opened as soon as it comes back")]
    PortLost,
    /// A Modbus exception (Modbus Application Protocol V1.1b3, 7).
    #[error("the device refused with Modbus exception {0:#04x}")]
    Exception(u8),
    /// Damaged or foreign answers.
    #[error("the answer was damaged or belonged to another request")]
    Garbled,
    /// The read-back does not agree.
    #[error("wrote {wrote} but the device reads back {read} after its settle time")]
    NotObeyed {
        /// Value written, raw.
        wrote: u64,
        /// Value read, raw.
        read: u64,
    },
    /// The profile has no recipe for this.
    #[error("the device profile has no recipe for this command")]
    Unsupported,
    /// What answers is not what the profile describes.
    #[error("it answers, but does not carry the SunSpec models of its profile; check unit id and profile")]
    OtherDevice,
    /// A newer command for the same thing took its place.
    #[error("replaced by a newer command")]
    Superseded,
}
