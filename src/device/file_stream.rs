//! The profile file of a device that is not Modbus: these types are its schema. `protocol` says what it speaks; the
//! machine of that protocol knows the rest.

use super::file::{SerialTable, WiringTable};
use super::file_control::LimitsTable;
use super::obis::Unit;
use super::profile::Kind;
use super::rfid::card::{Frame, Number, TokenForm};
use super::sml::MessageCrc;
use crate::domain::{DeviceFact, Phase, Quality, Quantity};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Retrovolt device profile of a protocol that is not Modbus.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Retrovolt device profile, protocols that are not Modbus")]
pub(super) struct StreamFile {
    /// Version of this format: 1.
    #[schemars(range(min = 1, max = 1))]
    #[allow(dead_code, reason = "the schema allows only the one there is")]
    pub format: u8,
    /// What the device speaks.
    pub protocol: StreamProtocol,
    /// Name the configuration uses: lower-case letters, digits and dashes. A user's profile with the id of a
    /// shipped one replaces it.
    pub id: String,
    /// What the device is for.
    pub kind: Kind,
    /// Vendor.
    pub vendor: String,
    /// Models the profile is known to fit.
    pub models: Vec<String>,
    /// The same hardware under other names.
    #[serde(default)]
    pub also_sold_as: Vec<String>,
    /// Phases of the device, 1 or 3.
    #[schemars(range(min = 1, max = 3))]
    pub phases: Option<u8>,
    /// Firmware the profile is known for.
    pub firmware: Option<String>,
    /// What to wire and to switch on before the device speaks.
    pub wiring: Option<WiringTable>,
    /// Why the profile is not to be trusted blindly yet, one sentence.
    pub experimental: Option<String>,
    /// Behaviour that surprises, one sentence each.
    #[serde(default)]
    pub caveats: Vec<String>,
    /// Where the facts come from.
    pub source: Vec<String>,
    /// How the device is talked to.
    pub link: StreamLinkTable,
    /// How a meter's telegrams are made.
    #[serde(default)]
    pub telegram: TelegramTable,
    /// What a meter's values mean, by name.
    #[serde(default)]
    pub values: BTreeMap<String, ValueTable>,
    /// How a reader writes a card's number.
    pub card: Option<CardTable>,
    /// What a charger can be told.
    pub limits: Option<LimitsTable>,
    /// Communication supervision inside a charger.
    pub watchdog: Option<SupervisionTable>,
}

/// What the device speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub(super) enum StreamProtocol {
    /// Smart Message Language, pushed by meters.
    #[serde(rename = "sml")]
    Sml,
    /// IEC 62056-21 text of meters.
    #[serde(rename = "iec62056-21")]
    Iec62056,
    /// Telegrams of a P1 port.
    #[serde(rename = "dsmr-p1")]
    DsmrP1,
    /// OpenEVSE's serial commands.
    #[serde(rename = "rapi")]
    Rapi,
    /// Tesla's load sharing line.
    #[serde(rename = "twc")]
    Twc,
    /// A serial card reader.
    #[serde(rename = "rfid")]
    Rfid,
    /// Lines of a GPIO chip; the configuration says which.
    #[serde(rename = "gpio")]
    Gpio,
    /// A card reader that types as a keyboard.
    #[serde(rename = "rfid-hid")]
    RfidHid,
}

/// How the device is talked to. The configuration may say otherwise.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StreamLinkTable {
    /// Serial settings as delivered; for a protocol that changes its speed, those it begins with. Not for `gpio` and
    /// `rfid-hid`.
    pub serial: Option<SerialTable>,
    /// Port of a serial device server, where the device has one built in.
    pub tcp_port: Option<u16>,
    /// How often the device is asked or speaks by itself, milliseconds. Not for card readers.
    #[schemars(range(min = 10, max = 86_400_000))]
    pub period_ms: Option<u32>,
    /// After this silence it counts as lost, milliseconds. Not for card readers.
    #[schemars(range(min = 10, max = 86_400_000))]
    pub silence_ms: Option<u32>,
}

/// Communication supervision inside a charger. The protocol's machine knows how it is set and fed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SupervisionTable {
    /// Time-out to set unless the configuration says another, milliseconds.
    #[schemars(range(min = 1))]
    pub timeout_ms: u32,
    /// Shortest time-out the device takes; `timeout_ms` unless given.
    #[schemars(range(min = 1))]
    pub min_timeout_ms: Option<u32>,
    /// Longest time-out the device takes; `timeout_ms` unless given.
    #[schemars(range(min = 1))]
    pub max_timeout_ms: Option<u32>,
    /// Fallback current unless the configuration says another, ampere; 0 pauses.
    pub failsafe_a: f64,
    /// What the device does when it hears nothing any more, one sentence.
    pub fallback: String,
    /// Whether that protects the installation.
    pub fallback_safe: bool,
    /// Whether the settings survive a power cut of the device.
    #[serde(default)]
    pub persistent: bool,
    /// Signs of life per time-out; 2 unless given.
    #[schemars(range(min = 2, max = 100))]
    pub feeds_per_timeout: Option<u8>,
}

/// How a meter's telegrams are made.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TelegramTable {
    /// For `iec62056-21`: whether the meter is asked (mode C) or speaks by itself; `asked` unless given.
    pub sent: Option<Sent>,
    /// For `dsmr-p1`: whether telegrams end with a checksum; true unless given.
    pub checksum: Option<bool>,
    /// For `sml`: the checksum inside the messages; `x25` unless given.
    pub message_crc: Option<MessageCrc>,
}

/// When a meter speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sent {
    /// When it is asked.
    #[default]
    Asked,
    /// By itself.
    Pushed,
}

/// A value of a telegram: `quantity` or `fact`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ValueTable {
    /// OBIS code, or a sum of codes such as `1-0:1.8.1 + 1-0:1.8.2` or `1-0:1.7.0 - 1-0:2.7.0`; of several the first
    /// that the telegram has in full counts.
    pub obis: ObisTexts,
    /// The measured quantity.
    pub quantity: Option<Quantity>,
    /// Phase of the quantity; the total unless given.
    pub phase: Option<Phase>,
    /// How good a reading is at best; `good` unless given, which means: fit for billing.
    pub quality: Option<Quality>,
    /// Factor; 1 unless given. Negative turns the sign.
    pub scale: Option<f64>,
    /// The unit where the telegram names none. Without either there is no reading.
    pub unit: Option<Unit>,
    /// The fact it tells.
    pub fact: Option<DeviceFact>,
    /// A remark.
    #[allow(dead_code, reason = "for the reader of the file")]
    pub note: Option<String>,
}

/// One text or several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum ObisTexts {
    /// One.
    One(String),
    /// Of several the first that fits.
    Many(Vec<String>),
}

impl ObisTexts {
    /// All of them.
    pub fn list(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// How a reader writes a card's number.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CardTable {
    /// How the text begins and ends.
    pub frame: Frame,
    /// How the number is written.
    pub number: Number,
    /// How many digits the number may have, without a checksum; any unless given.
    #[serde(default)]
    pub digits: Vec<u8>,
    /// Whether two hexadecimal digits behind a hexadecimal number are all its bytes combined by exclusive or.
    #[serde(default)]
    pub xor: bool,
    /// Whether the bytes come last first.
    #[serde(default)]
    pub reverse: bool,
    /// Bytes of a decimal number; 4 unless given.
    #[schemars(range(min = 1, max = 8))]
    pub bytes: Option<u8>,
    /// How the token is written that goes into the records; `hex` unless given.
    pub token: Option<TokenForm>,
    /// A card repeated within this time is the same presentation, milliseconds; 2000 unless given.
    #[schemars(range(min = 100, max = 60_000))]
    pub hold_ms: Option<u32>,
}
