//! What is spoken on a port.

use serde::{Deserialize, Serialize};

/// A protocol on the south side. The words are those of the configuration (`bus.protocol`) and of profiles.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
pub enum Protocol {
    /// Modbus in any framing.
    #[default]
    #[serde(rename = "modbus")]
    Modbus,
    /// Smart Message Language, pushed by German meters (BSI TR-03109-1).
    #[serde(rename = "sml")]
    Sml,
    /// IEC 62056-21 (IEC 1107) text of meters, asked for (mode C) or pushed (mode D).
    #[serde(rename = "iec62056-21")]
    Iec62056,
    /// Telegrams of a P1 port (DSMR, ESMR, Belgian and Nordic meters).
    #[serde(rename = "dsmr-p1")]
    DsmrP1,
    /// OpenEVSE's serial commands.
    #[serde(rename = "rapi")]
    Rapi,
    /// The load sharing line of Tesla's second generation wall connectors.
    #[serde(rename = "twc")]
    Twc,
    /// A card reader that writes each card's number to a serial port.
    #[serde(rename = "rfid")]
    Rfid,
    /// Nothing is spoken: lines of a GPIO chip.
    #[serde(rename = "gpio")]
    Gpio,
    /// A card reader that types each card's number as a keyboard does.
    #[serde(rename = "rfid-hid")]
    RfidHid,
}

impl Protocol {
    /// All there are, in the order of the configuration's help.
    pub const ALL: [Self; 9] = [
        Self::Modbus,
        Self::Sml,
        Self::Iec62056,
        Self::DsmrP1,
        Self::Rapi,
        Self::Twc,
        Self::Rfid,
        Self::Gpio,
        Self::RfidHid,
    ];

    /// The word of the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Modbus => "modbus",
            Self::Sml => "sml",
            Self::Iec62056 => "iec62056-21",
            Self::DsmrP1 => "dsmr-p1",
            Self::Rapi => "rapi",
            Self::Twc => "twc",
            Self::Rfid => "rfid",
            Self::Gpio => "gpio",
            Self::RfidHid => "rfid-hid",
        }
    }

    /// The protocol of a word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.word() == word)
    }

    /// Whether several devices can share one port.
    #[must_use]
    pub const fn shares_its_port(self) -> bool {
        match self {
            Self::Modbus | Self::Iec62056 | Self::Twc => true,
            Self::Sml | Self::DsmrP1 | Self::Rapi | Self::Rfid | Self::RfidHid | Self::Gpio => false,
        }
    }
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// How Modbus frames are wrapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Binary with CRC and silence in between, on a serial line or behind a serial device server.
    #[default]
    Rtu,
    /// Hexadecimal digits between `:` and CR LF.
    Ascii,
    /// Modbus TCP.
    Tcp,
    /// Behind TCP: Modbus TCP or RTU, whichever is answered.
    Auto,
}

impl Framing {
    /// The word of the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rtu => "rtu",
            Self::Ascii => "ascii",
            Self::Tcp => "tcp",
            Self::Auto => "auto",
        }
    }

    /// The framing of a word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::Rtu, Self::Ascii, Self::Tcp, Self::Auto]
            .into_iter()
            .find(|framing| framing.word() == word)
    }
}
