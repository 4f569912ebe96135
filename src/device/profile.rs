//! A device profile after it was checked: points, state map, recipes, watchdog, fingerprint. Immutable.

use super::condition::Condition;
use super::decimal::Decimal;
use super::file_stream::Sent;
use super::obis::ObisPoint;
use super::pdu::ReadFc;
use super::recipe::{Recipes, StepSpec};
use super::rfid::CardFormat;
use super::sml::MessageCrc;
use super::value::{Layout, Raw};
use crate::domain::{
    DeviceFact, FaultKind, MilliAmps, Parity, Phase, Protocol, Quality, Quantity, VehicleState,
};
use serde::Deserialize;
use std::time::Duration;

/// What a device is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Switches and limits; may measure too.
    Charger,
    /// Measures.
    Meter,
    /// Reads cards.
    Reader,
    /// Contacts of the site on the lines of a GPIO chip.
    Contacts,
}

impl Kind {
    /// The word of the profile format.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Charger => "charger",
            Self::Meter => "meter",
            Self::Reader => "reader",
            Self::Contacts => "contacts",
        }
    }
}

/// Index of a point within its profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PointId(pub u16);

/// A checked profile. Everything the driver, the simulator and the scan need to know of a device family.
#[derive(Clone, Debug)]
pub struct Profile {
    pub(super) protocol: Protocol,
    pub(super) stream: StreamFacts,
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) about: About,
    pub(super) link: LinkDefaults,
    pub(super) points: Vec<Point>,
    pub(super) state: Option<StateMap>,
    pub(super) limits: Option<Limits>,
    pub(super) recipes: Recipes,
    pub(super) watchdog: Option<Watchdog>,
    pub(super) identify: Option<Identify>,
    pub(super) phase_switch: Option<PhaseSwitch>,
    pub(super) sunspec: Option<super::sunspec::Chain>,
}

/// What only profiles of protocols other than Modbus say.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamFacts {
    /// How telegrams are made.
    pub telegram: Telegram,
    /// What their values mean.
    pub values: Vec<ObisPoint>,
    /// How a reader writes a card's number.
    pub card: Option<CardFormat>,
}

/// How a meter's telegrams are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Telegram {
    /// When the meter speaks (IEC 62056-21).
    pub sent: Sent,
    /// Whether its telegrams end with a checksum (P1).
    pub checksum: bool,
    /// The checksum inside its messages (SML).
    pub message_crc: MessageCrc,
}

/// What a person wants to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Vendor.
    pub vendor: String,
    /// Models it is known to fit.
    pub models: Vec<String>,
    /// The same hardware under other names.
    pub also_sold_as: Vec<String>,
    /// Phases the device has, 1 or 3.
    pub phases: u8,
    /// Behaviour that surprises.
    pub caveats: Vec<String>,
    /// Where the facts come from.
    pub source: Vec<String>,
    /// Firmware it is known for.
    pub firmware: Option<String>,
    /// What to wire and to switch on before it answers.
    pub wiring: Wiring,
    /// Why it cannot be trusted yet; `None`: it can.
    pub experimental: Option<String>,
}

/// What to wire and to switch on, by subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wiring {
    /// Terminals of the bus.
    pub terminals: Option<String>,
    /// DIP switches, jumpers and rotary switches.
    pub switches: Option<String>,
    /// Settings in a menu, an app or a web page.
    pub settings: Option<String>,
    /// Termination of the line.
    pub termination: Option<String>,
    /// Anything else.
    pub note: Option<String>,
}

/// How the device is talked to unless the configuration says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkDefaults {
    /// Serial settings as delivered; `None`: no serial port.
    pub serial: Option<Serial>,
    /// TCP port; `None`: no Modbus TCP.
    pub tcp_port: Option<u16>,
    /// Unit id as delivered.
    pub unit: u8,
    /// Wait for an answer.
    pub timeout: Duration,
    /// Silence before every request.
    pub min_gap: Duration,
    /// Least time between two writes.
    pub write_gap: Duration,
    /// Period of fast points.
    pub poll: Duration,
    /// Period of slow points.
    pub slow_poll: Duration,
    /// Most registers of one read, 1..=125.
    pub max_read_regs: u16,
    /// Most bits of one read, 1..=2000.
    pub max_read_bits: u16,
    /// Whether neighbouring points may be read by one request.
    pub join: bool,
    /// Whether addresses without a point may be read through.
    pub read_holes: bool,
    /// Addresses that must never be read, nor read through.
    pub no_read: Vec<Span>,
    /// Addresses of connector 1 that are read exactly so, or not at all.
    pub read_whole: Vec<Span>,
}

/// Serial settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serial {
    /// Bits per second.
    pub baud: u32,
    /// Parity.
    pub parity: Parity,
    /// 7 or 8.
    pub data_bits: u8,
    /// 1 or 2.
    pub stop_bits: u8,
    /// How requests are framed.
    pub framing: SerialFraming,
}

/// How requests are framed on a serial line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SerialFraming {
    /// Modbus RTU.
    #[default]
    Rtu,
    /// Modbus ASCII.
    Ascii,
    /// The dialect of Modbus ASCII that ABL's controllers speak: answers begin with `>`.
    Abl,
}

/// Addresses `first..=last` of one reading function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Function.
    pub fc: ReadFc,
    /// First address.
    pub first: u16,
    /// Last address, included.
    pub last: u16,
}

/// How often a point is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cadence {
    /// Once after the device came up, before anything else.
    Once,
    /// At the poll period.
    Fast,
    /// At the slow poll period.
    Slow,
}

/// What a point means.
#[derive(Clone, Debug, PartialEq)]
pub enum Role {
    /// A measured value.
    Reading {
        /// What.
        quantity: Quantity,
        /// Where.
        phase: Phase,
        /// How good at best.
        quality: Quality,
    },
    /// The state register the state map begins with.
    Status,
    /// An error register.
    Error(FaultMap),
    /// A presented card.
    Token,
    /// What cable or switches allow at most.
    HardwareLimit,
    /// The limit in force.
    LimitReadBack,
    /// A fact that seldom changes.
    Fact(DeviceFact, FactFormat),
    /// Read only for conditions and verification, written by recipes, or merely known to exist.
    Helper,
}

/// How a fact is written as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FactFormat {
    /// Text as it is, numbers decimal.
    #[default]
    Plain,
    /// Numbers hexadecimal, as wide as the register.
    Hex,
    /// Groups of bits from the highest down, decimal, with dots between: a version.
    Parts(Vec<u8>),
}

/// Error register to fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultMap {
    /// Raw values that mean "no error"; always contains 0.
    pub none: Vec<i128>,
    /// First match wins; no match is [`FaultKind::OtherError`].
    pub rules: Vec<FaultRule>,
}

/// One line of a fault map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultRule {
    /// Equal to this value, or (`is_bit`) this bit is set.
    pub raw: i128,
    /// Whether `raw` is a bit number.
    pub is_bit: bool,
    /// The kind of fault.
    pub kind: FaultKind,
}

/// Functions a register is written with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteFcs {
    /// 5 or 6: one coil or register.
    pub single: bool,
    /// 15 or 16: several.
    pub multi: bool,
}

/// Unit of a point and with it what its number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// A quantity in its base unit, or a bare number.
    Plain,
    /// Ampere.
    Current,
    /// Watt, the sum over all phases.
    Power,
    /// Percent of this current.
    PercentOf(MilliAmps),
    /// Percent duty cycle of the control pilot (IEC 61851-1, annex A).
    Duty,
    /// Second.
    Time,
}

/// One point: registers with a meaning.
#[derive(Clone, Debug)]
pub struct Point {
    /// Its name, unique within the profile.
    pub name: String,
    /// Function that reads it; `None`: write-only.
    pub fc: Option<ReadFc>,
    /// 0-based address of connector 1.
    pub addr: u16,
    /// Registers to add per further connector.
    pub connector_offset: u16,
    /// Type and layout.
    pub layout: Layout,
    /// Bits that count, shifted down to bit 0 after reading.
    pub mask: Option<u64>,
    /// Bits by which the mask moves up per further connector.
    pub connector_shift: u8,
    /// Raw value to milli-units.
    pub to_milli: Decimal,
    /// Added to the scaled value, milli-units.
    pub offset_milli: i64,
    /// Points whose values are factors as well.
    pub times: Vec<PointId>,
    /// The point that holds a power of ten as one more factor.
    pub exponent: Option<PointId>,
    /// Points whose values are added.
    pub plus: Vec<PointId>,
    /// Points whose values are taken off.
    pub minus: Vec<PointId>,
    /// Whether an added or taken-off value that is not available counts nothing.
    pub skip_na: bool,
    /// Values that are taken for readings, milli-units; `None`: all.
    pub valid: Option<(i64, i64)>,
    /// What the number means.
    pub dimension: Dimension,
    /// Whether the sign is dropped.
    pub absolute: bool,
    /// Raw values that mean "not available".
    pub na: Vec<i128>,
    /// What it means.
    pub role: Role,
    /// How often it is read.
    pub cadence: Cadence,
    /// Whether it is read at all (a role, or needed by a condition or the state map).
    pub polled: bool,
    /// It exists only while all of these hold.
    pub when: Vec<Condition>,
    /// How it is written; `None`: read-only.
    pub write: Option<WriteFcs>,
    /// EEPROM: never written in turn with anything, and only when it differs.
    pub wear: bool,
    /// Raw values that may be written; empty: all the type holds.
    pub allowed: Vec<(i128, i128)>,
    /// Raw values that must never be written.
    pub forbidden: Vec<(i128, i128)>,
    /// Raw value that pauses, for currents below the minimum.
    pub off: Option<i128>,
    /// Steps the device knows instead of a scale: milli-units to raw, ascending.
    pub lookup: Vec<(i64, i128)>,
}

impl Point {
    /// The address for a connector (from 1).
    #[must_use]
    pub fn addr_for(&self, connector: u16) -> u16 {
        self.addr
            .wrapping_add(self.connector_offset.wrapping_mul(connector.saturating_sub(1)))
    }

    /// The bits that count, for a connector (from 1).
    #[must_use]
    pub fn mask_for(&self, connector: u16) -> Option<u64> {
        let by = u32::from(self.connector_shift).saturating_mul(u32::from(connector.saturating_sub(1)));
        self.mask.map(|mask| mask.checked_shl(by).unwrap_or(0))
    }

    /// Whether a raw value may be written.
    #[must_use]
    pub fn permits(&self, raw: &Raw) -> bool {
        #[allow(clippy::cast_precision_loss, reason = "for float registers only")]
        let within = |(least, most): &(i128, i128)| match raw {
            Raw::Int(value) => (*least..=*most).contains(value),
            Raw::Float(value) => (*least as f64..=*most as f64).contains(value),
            Raw::Text(_) | Raw::Bytes(_) => false,
        };
        (self.allowed.is_empty() || self.allowed.iter().any(within)) && !self.forbidden.iter().any(within)
    }
}

/// Raw state to IEC 61851 state.
#[derive(Clone, Debug, PartialEq)]
pub struct StateMap {
    /// The point with [`Role::Status`].
    pub point: PointId,
    /// First match wins.
    pub rules: Vec<StateRule>,
    /// What an unknown raw value is taken for.
    pub otherwise: VehicleState,
}

/// One line of a state map.
#[derive(Clone, Debug, PartialEq)]
pub struct StateRule {
    /// Any of these raw values; empty: every value.
    pub raw: Vec<Raw>,
    /// And all of these.
    pub when: Vec<Condition>,
    /// The state.
    pub state: VehicleState,
}

/// What the charger can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Least current that is not a pause.
    pub min: MilliAmps,
    /// Most the device takes.
    pub max: MilliAmps,
    /// Coarser steps than the register has; zero: as fine as the register.
    pub step: MilliAmps,
}

/// Communication supervision inside the device.
#[derive(Clone, Debug)]
pub struct Watchdog {
    /// Time-out written unless the configuration says another, rounded down to what the register can say.
    pub timeout: Duration,
    /// Shortest time-out the device takes.
    pub min_timeout: Duration,
    /// Longest time-out the device takes.
    pub max_timeout: Duration,
    /// Fallback current written unless the configuration says another; zero pauses.
    pub failsafe: MilliAmps,
    /// Whether the fallback can be trusted to protect the installation.
    pub fallback_safe: bool,
    /// It can only while all of these hold.
    pub fallback_when: Vec<Condition>,
    /// What the device does when it is not fed any more.
    pub fallback: String,
    /// Whether the settings survive a power cut of the device.
    pub persistent: bool,
    /// How it is fed.
    pub feed: Feed,
    /// Feeds per time-out, at least 2.
    pub feeds_per_timeout: u8,
}

/// Switching between one and three phases.
#[derive(Clone, Debug)]
pub struct PhaseSwitch {
    /// The device can switch only while all of these hold.
    pub when: Vec<Condition>,
    /// Steps to one phase.
    pub one: Vec<StepSpec>,
    /// Steps to three phases.
    pub three: Vec<StepSpec>,
    /// Whether charging is paused meanwhile.
    pub pause: bool,
    /// Rest after the pause.
    pub before: Duration,
    /// Rest after the steps.
    pub after: Duration,
}

/// How a watchdog is fed.
#[derive(Clone, Debug)]
pub enum Feed {
    /// By any request the device answers.
    AnyRequest,
    /// By these steps.
    Steps(Vec<StepSpec>),
}

/// How a scan recognises the device.
#[derive(Clone, Debug, PartialEq)]
pub struct Identify {
    /// All must hold.
    pub checks: Vec<Condition>,
    /// How sure a match is.
    pub confidence: Confidence,
}

/// How sure a match is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Many devices look like this.
    Low,
    /// Few others look like this.
    Medium,
    /// No other known device looks like this.
    High,
}
