//! What an electrician does on the first evening: find ports, find devices, look into registers, and be told what is
//! wrong with the wiring. Works beside the gateway, on a port that the gateway does not hold.
//!
//! Nothing here writes to a device but [`registers::write`] and [`acceptance`], and these only when told to.
//!
//! * `ports`: serial ports with their stable names, chips, holders.
//! * `medium`, `talk`, `judge`: one question on a line, and what was heard judged to the byte.
//! * `identify`, `scan`: which device is it, which devices are there.
//! * `registers`: single registers, every type and order, and a guess which is meant.
//! * `doctor`: causes with evidence and next step.
//! * `host`: the same for the machine itself.
//! * `stanza`: what was found as configuration.
//! * `acceptance`: a charger driven through everything it must do, and a report of it.

pub mod acceptance;
pub mod doctor;
pub mod host;
pub mod identify;
pub mod judge;
pub mod medium;
pub mod ports;
pub mod probe;
pub mod registers;
pub mod scan;
pub mod stanza;
pub mod talk;

use crate::domain::Parity;
use std::fmt;

/// Settings of a serial port, as an electrician writes them: `9600 8N1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Settings {
    /// Bits per second.
    pub baud: u32,
    /// 7 or 8.
    pub data_bits: u8,
    /// Parity bit.
    pub parity: Parity,
    /// 1 or 2.
    pub stop_bits: u8,
}

impl From<crate::device::Serial> for Settings {
    fn from(serial: crate::device::Serial) -> Self {
        Self {
            baud: serial.baud,
            data_bits: serial.data_bits,
            parity: serial.parity,
            stop_bits: serial.stop_bits,
        }
    }
}

impl Settings {
    /// The settings of a configured link; of no consequence for one that is not serial.
    #[must_use]
    pub fn of(link: &crate::domain::Link) -> Self {
        match link {
            crate::domain::Link::Serial {
                baud,
                parity,
                data_bits,
                stop_bits,
                ..
            } => Self {
                baud: *baud,
                data_bits: *data_bits,
                parity: *parity,
                stop_bits: *stop_bits,
            },
            crate::domain::Link::Tcp { .. }
            | crate::domain::Link::Gpio(_)
            | crate::domain::Link::Input { .. } => USUAL[0],
        }
    }
}

impl Settings {
    /// 8 data bits and one stop bit.
    #[must_use]
    pub const fn new(baud: u32, parity: Parity) -> Self {
        Self {
            baud,
            data_bits: 8,
            parity,
            stop_bits: 1,
        }
    }

    /// The same with two stop bits.
    #[must_use]
    pub const fn two_stops(self) -> Self {
        Self { stop_bits: 2, ..self }
    }

    /// Wait for an answer while scanning: slow lines need longer (the answer itself takes its time).
    #[must_use]
    pub fn patience(self) -> std::time::Duration {
        std::time::Duration::from_millis(if self.baud < 4_800 { 300 } else { 60 })
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parity = match self.parity {
            Parity::None => 'N',
            Parity::Even => 'E',
            Parity::Odd => 'O',
        };
        write!(f, "{} {}{parity}{}", self.baud, self.data_bits, self.stop_bits)
    }
}

/// Settings in the order they are worth trying: what most meters and wallboxes are delivered with comes first.
pub const USUAL: [Settings; 11] = [
    Settings::new(9_600, Parity::None),
    Settings::new(9_600, Parity::Even),
    Settings::new(19_200, Parity::Even),
    Settings::new(19_200, Parity::None),
    Settings::new(57_600, Parity::None).two_stops(),
    Settings::new(57_600, Parity::None),
    Settings::new(2_400, Parity::None),
    Settings::new(38_400, Parity::None),
    Settings::new(115_200, Parity::None),
    Settings::new(38_400, Parity::Even),
    Settings::new(1_200, Parity::None),
];

/// Unit ids that devices are delivered with.
pub const LIKELY_UNITS: [u8; 18] = [
    1, 2, 3, 5, 6, 11, 50, 70, 71, 100, 101, 105, 106, 180, 201, 247, 248, 255,
];
