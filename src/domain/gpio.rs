//! GPIO as configured: which line of a chip means what to which device.

use super::ids::DeviceId;
use super::units::{MilliAmps, MilliWattHours};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A GPIO chip and the devices wired to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpioLink {
    /// Label of the chip (`pinctrl-bcm2711`), its name (`gpiochip0`) or the path of its device.
    pub chip: String,
    /// Folder in which pulse counts outlive the process.
    pub counts: PathBuf,
    /// The lines of each device.
    pub devices: BTreeMap<DeviceId, GpioDevice>,
}

/// A contactor charger, a pulse meter, or both in one, as wired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpioDevice {
    /// Its lines by what they mean.
    pub lines: BTreeMap<GpioSignal, GpioLine>,
    /// The relay; `None` for a meter.
    pub relay: Option<RelaySetup>,
    /// The pulse input; `None`: it counts nothing.
    pub pulses: Option<PulseSetup>,
}

/// What a line means. The words are those of the configuration (`device.line.signal`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GpioSignal {
    /// Output: active closes the contactor, or releases the wallbox.
    Relay,
    /// A vehicle is plugged in.
    Vehicle,
    /// The vehicle draws current, or asks for it (IEC 61851-1 state C or D).
    Charging,
    /// Mirror contact of the contactor: active while its main contacts are closed.
    Feedback,
    /// The wallbox reports a fault.
    Fault,
    /// The emergency stop is pressed.
    EmergencyStop,
    /// The housing is open.
    Tamper,
    /// The grid operator asks for less (ripple control receiver, control box).
    Dimming,
    /// S0 pulses of a meter (IEC 62053-31).
    Pulse,
}

impl GpioSignal {
    /// All there are.
    pub const ALL: [Self; 9] = [
        Self::Relay,
        Self::Vehicle,
        Self::Charging,
        Self::Feedback,
        Self::Fault,
        Self::EmergencyStop,
        Self::Tamper,
        Self::Dimming,
        Self::Pulse,
    ];

    /// The contacts of the site; what they do is the station's.
    pub const CONTACTS: [Self; 3] = [Self::EmergencyStop, Self::Tamper, Self::Dimming];

    /// The word of the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Vehicle => "vehicle",
            Self::Charging => "charging",
            Self::Feedback => "feedback",
            Self::Fault => "fault",
            Self::EmergencyStop => "emergency_stop",
            Self::Tamper => "tamper",
            Self::Dimming => "dimming",
            Self::Pulse => "pulse",
        }
    }

    /// The signal of a word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.word() == word)
    }
}

/// One line of the chip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpioLine {
    /// Which.
    pub at: LineName,
    /// Whether a low level is the active one.
    pub active_low: bool,
    /// Resistor inside the chip.
    pub bias: Bias,
    /// An input must keep a new level for so long; zero: every edge counts. Done by the kernel.
    pub debounce: Duration,
}

/// How a line is found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LineName {
    /// By the name the device tree gives it (`GPIO17`).
    Name(String),
    /// By its offset on the chip.
    Offset(u32),
}

impl std::fmt::Display for LineName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Offset(offset) => write!(f, "{offset}"),
        }
    }
}

/// Resistor inside the chip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bias {
    /// As it was found.
    #[default]
    AsIs,
    /// None.
    Disabled,
    /// To the supply.
    PullUp,
    /// To ground.
    PullDown,
}

impl Bias {
    /// The word of the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::AsIs => "as-is",
            Self::Disabled => "none",
            Self::PullUp => "pull-up",
            Self::PullDown => "pull-down",
        }
    }

    /// The resistor of a word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::AsIs, Self::Disabled, Self::PullUp, Self::PullDown]
            .into_iter()
            .find(|bias| bias.word() == word)
    }
}

/// The relay of a charger without a data line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelaySetup {
    /// What the wallbox offers once it is released, per phase; less cannot be had.
    pub rated: MilliAmps,
    /// Shortest time closed, before a limit the wallbox cannot keep opens it. A stop opens at once.
    pub min_on: Duration,
    /// Shortest time open.
    pub min_off: Duration,
}

/// A pulse output of a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PulseSetup {
    /// Pulses per kilowatt-hour.
    pub per_kwh: u32,
    /// What the meter's display showed when no pulse had been counted yet.
    pub start: MilliWattHours,
    /// Shortest pulse and shortest pause that count; IEC 62053-31 asks meters for 30 ms of both.
    pub width: Duration,
}
