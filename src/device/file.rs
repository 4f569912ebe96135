//! The profile file as it is written: these types are the schema. What they say is checked by `check`, what they
//! mean by `load`. Here: identity, link and points.

use super::file_control::{
    IdentifyTable, LimitsTable, PhaseSwitchTable, RecipesTable, StateTable, WatchdogTable,
};
use super::profile::{Cadence, Kind, SerialFraming};
use super::value::{Order, ValueType};
use crate::domain::{DeviceFact, FaultKind, Phase, Quality, Quantity};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Retrovolt device profile: what the gateway needs to know of one device family.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Retrovolt device profile")]
pub(super) struct File {
    /// Version of this format: 1.
    #[schemars(range(min = 1, max = 1))]
    #[allow(dead_code, reason = "the schema allows only the one there is")]
    pub format: u8,
    /// What the device speaks; `modbus` unless given. Profiles of other protocols have a form of their own.
    #[allow(dead_code, reason = "the schema allows only the one there is")]
    pub protocol: Option<ModbusWord>,
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
    /// What to wire and to switch on before the device answers: a text or a table.
    pub wiring: Option<WiringTable>,
    /// Why the profile cannot be trusted yet: facts that are thin, in conflict or untried. Absent: it can.
    pub experimental: Option<String>,
    /// Behaviour that surprises, one sentence each.
    #[serde(default)]
    pub caveats: Vec<String>,
    /// Where the facts come from.
    pub source: Vec<String>,
    /// How the device is talked to.
    pub link: LinkTable,
    /// What holds for every point that does not say otherwise.
    #[serde(default)]
    pub defaults: DefaultsTable,
    /// How a scan recognises the device.
    pub identify: Option<IdentifyTable>,
    /// SunSpec: the models the points belong to, in the order in which they would follow the marker at 40000; models
    /// with the same layout may stand together. The addresses of the points are those they have there; where they
    /// really are is found out.
    #[serde(default)]
    pub sunspec: Vec<ModelTable>,
    /// Registers with a meaning, by name.
    pub points: BTreeMap<String, PointTable>,
    /// Raw state to IEC 61851 state.
    pub state: Option<StateTable>,
    /// What a charger can be told.
    pub limits: Option<LimitsTable>,
    /// What commands come to.
    #[serde(default)]
    pub recipes: RecipesTable,
    /// Communication supervision inside the device.
    pub watchdog: Option<WatchdogTable>,
    /// Switching between one and three phases.
    pub phase_switch: Option<PhaseSwitchTable>,
}

/// A SunSpec model, or several with the same layout.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum ModelTable {
    /// One.
    One(u16),
    /// Any of these.
    AnyOf(Vec<u16>),
}

/// What to wire and to switch on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum WiringTable {
    /// In one text.
    Note(String),
    /// By subject.
    Parts(WiringParts),
}

/// What to wire and to switch on, by subject.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WiringParts {
    /// Terminals of the bus, and what is special about A and B.
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

/// The protocol of these files.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ModbusWord {
    /// Modbus in any framing.
    Modbus,
}

/// How the device is talked to. The configuration may say otherwise.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkTable {
    /// Serial settings as delivered.
    pub serial: Option<SerialTable>,
    /// TCP port, usually 502.
    pub tcp_port: Option<u16>,
    /// Unit id as delivered.
    pub unit: u8,
    /// Wait for an answer, milliseconds; 1000 unless given.
    #[schemars(range(min = 10, max = 60_000))]
    pub timeout_ms: Option<u32>,
    /// Silence before every request, milliseconds; 50 unless given.
    #[schemars(range(max = 60_000))]
    pub min_gap_ms: Option<u32>,
    /// Least time between two writes, milliseconds.
    #[schemars(range(max = 60_000))]
    pub write_gap_ms: Option<u32>,
    /// Period of fast points, milliseconds.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub poll_ms: u32,
    /// Period of slow points, milliseconds; 30000 unless given.
    #[schemars(range(min = 100, max = 86_400_000))]
    pub slow_poll_ms: Option<u32>,
    /// Most registers of one read; 125 unless given.
    #[schemars(range(min = 1, max = 125))]
    pub max_read_regs: Option<u16>,
    /// Most bits of one read; 2000 unless given.
    #[schemars(range(min = 1, max = 2000))]
    pub max_read_bits: Option<u16>,
    /// Whether neighbouring points may be read by one request; true unless given.
    pub join: Option<bool>,
    /// Whether addresses without a point may be read through; false unless given.
    pub read_holes: Option<bool>,
    /// Addresses that must never be read.
    #[serde(default)]
    pub no_read: Vec<SpanTable>,
    /// Addresses that are read all at once or not at all: exactly from `first` to `last`.
    #[serde(default)]
    pub read_whole: Vec<SpanTable>,
}

/// Serial settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SerialTable {
    /// Bits per second.
    #[schemars(range(min = 300, max = 1_000_000))]
    pub baud: u32,
    /// Parity.
    pub parity: ParityName,
    /// How requests are framed; `rtu` unless given.
    pub framing: Option<SerialFraming>,
    /// Data bits; 8 unless given.
    #[schemars(range(min = 7, max = 8))]
    pub data_bits: Option<u8>,
    /// Stop bits; 1 unless given.
    #[schemars(range(min = 1, max = 2))]
    pub stop_bits: Option<u8>,
}

/// Parity bit.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ParityName {
    /// None.
    None,
    /// Even.
    Even,
    /// Odd.
    Odd,
}

/// Addresses `first..=last` of one reading function.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SpanTable {
    /// Function code that reads, 1 to 4.
    #[schemars(range(min = 1, max = 4))]
    pub fc: u8,
    /// First address.
    pub first: u16,
    /// Last address.
    pub last: u16,
}

/// What holds for every point that does not say otherwise.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DefaultsTable {
    /// Function code that reads, 1 to 4.
    #[schemars(range(min = 1, max = 4))]
    pub fc: Option<u8>,
    /// Function codes that write: 5, 6, 15, 16.
    pub write_fc: Option<Vec<u8>>,
    /// Which register of a wide number comes first; the high one (`big`) unless given. Texts begin at their first
    /// register.
    pub word_order: Option<Order>,
    /// Which byte of a number's register comes first; the high one (`big`) unless given.
    pub byte_order: Option<Order>,
    /// Registers to add per connector beyond the first.
    pub connector_offset: Option<u16>,
}

/// Who may read and write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Access {
    /// Read.
    #[default]
    R,
    /// Write.
    W,
    /// Both.
    Rw,
}

/// Meaning of a point beyond measured quantities and facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum RoleName {
    /// The error register.
    Error,
    /// The number of a presented card.
    Token,
    /// What cable or switches allow at most.
    HardwareLimit,
    /// The limit in force.
    LimitReadBack,
}

/// Unit of `raw * scale + offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub(super) enum Unit {
    /// Millivolt.
    #[serde(rename = "mV")]
    MilliVolt,
    /// Volt.
    V,
    /// Milliampere.
    #[serde(rename = "mA")]
    MilliAmpere,
    /// Ampere.
    A,
    /// Milliwatt.
    #[serde(rename = "mW")]
    MilliWatt,
    /// Watt.
    W,
    /// Kilowatt.
    #[serde(rename = "kW")]
    KiloWatt,
    /// Volt-ampere.
    #[serde(rename = "VA")]
    VoltAmpere,
    /// Kilovolt-ampere.
    #[serde(rename = "kVA")]
    KiloVoltAmpere,
    /// Var.
    #[serde(rename = "var")]
    Var,
    /// Kilovar.
    #[serde(rename = "kvar")]
    KiloVar,
    /// Watt-hour.
    Wh,
    /// Kilowatt-hour.
    #[serde(rename = "kWh")]
    KiloWattHour,
    /// Megawatt-hour.
    #[serde(rename = "MWh")]
    MegaWattHour,
    /// Volt-ampere-hour, taken as watt-hour where the quality is not good.
    #[serde(rename = "VAh")]
    VoltAmpereHour,
    /// Kilovolt-ampere-hour, taken as kilowatt-hour where the quality is not good.
    #[serde(rename = "kVAh")]
    KiloVoltAmpereHour,
    /// Var-hour.
    #[serde(rename = "varh")]
    VarHour,
    /// Kilovar-hour.
    #[serde(rename = "kvarh")]
    KiloVarHour,
    /// Hertz.
    Hz,
    /// Degree Celsius.
    #[serde(rename = "degC")]
    Celsius,
    /// Percent; of a current, `full_a` says of which.
    #[serde(rename = "%")]
    Percent,
    /// Percent duty cycle of the control pilot (IEC 61851-1).
    #[serde(rename = "duty")]
    Duty,
    /// Millisecond.
    #[serde(rename = "ms")]
    MilliSecond,
    /// Second.
    #[serde(rename = "s")]
    Second,
    /// Minute.
    #[serde(rename = "min")]
    Minute,
}

/// A register (or several in a row) with a meaning.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PointTable {
    /// Address as on the wire, counted from 0 (40001 in a vendor's table is 0 with function 3).
    pub at: u16,
    /// Type.
    #[serde(rename = "type")]
    pub kind: ValueType,
    /// Bytes in front of a text, or of bytes, that do not belong to it.
    pub skip: Option<u8>,
    /// Registers of a text or of bytes.
    #[schemars(range(min = 1, max = 125))]
    pub len: Option<u16>,
    /// Function code that reads, 1 to 4.
    #[schemars(range(min = 1, max = 4))]
    pub fc: Option<u8>,
    /// Whether it may be read, written or both; `r` unless given.
    pub access: Option<Access>,
    /// Function codes that write: 5, 6, 15, 16.
    pub write_fc: Option<Vec<u8>>,
    /// Which register of a wide value comes first.
    pub word_order: Option<Order>,
    /// Which byte of a register comes first.
    pub byte_order: Option<Order>,
    /// Registers to add per connector beyond the first.
    pub connector_offset: Option<u16>,
    /// Bits that count, shifted down to bit 0.
    #[schemars(range(min = 1))]
    pub mask: Option<u64>,
    /// Bits by which `mask` or `bit` moves up per connector beyond the first.
    #[schemars(range(min = 1, max = 32))]
    pub connector_shift: Option<u8>,
    /// The one bit that counts, 0 the lowest.
    #[schemars(range(max = 63))]
    pub bit: Option<u8>,
    /// Factor; 1 unless given. Negative turns the sign.
    pub scale: Option<f64>,
    /// Added after scaling, in `unit`.
    pub offset: Option<f64>,
    /// Points whose values are factors as well, such as the ratios of current and voltage transformers.
    #[serde(default)]
    pub times: Vec<String>,
    /// The point that holds a power of ten as one more factor (SunSpec scale factor).
    pub exponent: Option<String>,
    /// Points of the same unit whose values are added.
    #[serde(default)]
    pub plus: Vec<String>,
    /// Points of the same unit whose values are taken off.
    #[serde(default)]
    pub minus: Vec<String>,
    /// Whether an added or taken-off value that is not available counts nothing; without it there is no sum then.
    #[serde(default)]
    pub skip_na: bool,
    /// Unit of the scaled value; the base unit of the quantity unless given.
    pub unit: Option<Unit>,
    /// For `%` of a current: how many ampere are 100 %.
    pub full_a: Option<f64>,
    /// Whether the sign is dropped.
    #[serde(default)]
    pub absolute: bool,
    /// Raw values that mean "not available"; `max` and `min` are the ends of the type.
    #[serde(default)]
    pub na: Vec<NaTable>,
    /// Least and largest value, in `unit`, that is taken for a reading.
    pub valid: Option<(f64, f64)>,
    /// The measured quantity.
    pub quantity: Option<Quantity>,
    /// Phase of the quantity; the total unless given.
    pub phase: Option<Phase>,
    /// Several points of the same kind in a row, one per phase: `NAME_l1`, `NAME_l2`, ...
    pub phases: Option<Vec<Phase>>,
    /// Registers from one phase to the next; the width of the type unless given.
    pub stride: Option<u16>,
    /// How good a reading is at best; `good` unless given, which means: fit for billing.
    pub quality: Option<Quality>,
    /// Any other meaning.
    pub role: Option<RoleName>,
    /// The fact it tells.
    pub fact: Option<DeviceFact>,
    /// Write the fact in hexadecimal.
    #[serde(default)]
    pub hex: bool,
    /// Write the fact as a version: widths in bits of its parts, the highest first.
    pub parts: Option<Vec<u8>>,
    /// For `role = "error"`: raw values that mean no error, besides 0.
    #[serde(default)]
    pub no_error: Vec<i64>,
    /// For `role = "error"`: what the values or bits mean.
    #[serde(default)]
    pub faults: Vec<FaultTable>,
    /// How often it is read.
    pub every: Option<Cadence>,
    /// It exists only while all of these hold.
    #[serde(default)]
    pub when: Vec<ConditionTable>,
    /// Kept in a memory that wears out: never written in turn with anything.
    #[serde(default)]
    pub wear: bool,
    /// Raw values that may be written: single ones or `[from, to]`; all unless given.
    #[serde(default)]
    pub allowed: Vec<RawRange>,
    /// Raw values that must never be written: single ones or `[from, to]`.
    #[serde(default)]
    pub forbidden: Vec<RawRange>,
    /// Raw value that pauses, written for currents below the minimum.
    pub off: Option<i64>,
    /// Instead of a scale: pairs of value and raw value, ascending by value.
    #[serde(default)]
    pub lookup: Vec<(f64, i64)>,
    /// A remark.
    #[allow(dead_code, reason = "for the reader of the file")]
    pub note: Option<String>,
}

/// A raw value that means "not available".
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum NaTable {
    /// This value.
    Value(i64),
    /// An end of the type.
    End(TypeEnd),
}

/// An end of the type.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum TypeEnd {
    /// The largest value: all ones, for signed types 0x7FFF....
    Max,
    /// The smallest value: for signed types 0x8000....
    Min,
}

/// A raw value or a range of them, both ends included.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum RawRange {
    /// One value.
    One(i64),
    /// From, to.
    Range(i64, i64),
}

/// A raw number or text.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Scalar {
    /// Number.
    Int(i64),
    /// Text.
    Text(String),
}

/// One raw value or several.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Scalars {
    /// One.
    One(Scalar),
    /// Any of these.
    Many(Vec<Scalar>),
}

/// One text or several.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Texts {
    /// One.
    One(String),
    /// Any of these.
    Many(Vec<String>),
}

/// One line of a fault map: `raw` or `bit`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultTable {
    /// The register has this value.
    pub raw: Option<i64>,
    /// This bit is set.
    #[schemars(range(max = 63))]
    pub bit: Option<u8>,
    /// Kind of fault.
    pub kind: FaultKind,
    /// A remark.
    #[allow(dead_code, reason = "for the reader of the file")]
    pub note: Option<String>,
}

/// A test on another point.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConditionTable {
    /// Its name.
    pub point: String,
    /// The one bit that counts.
    #[schemars(range(max = 63))]
    pub bit: Option<u8>,
    /// Bits that count, shifted down to bit 0.
    #[schemars(range(min = 1))]
    pub mask: Option<u64>,
    /// Equal to one of these raw values. With `bit` alone, 1 is meant.
    pub is: Option<Scalars>,
    /// None of these raw values.
    pub is_not: Option<Scalars>,
    /// Raw value at least.
    pub min: Option<f64>,
    /// Raw value at most.
    pub max: Option<f64>,
    /// Text begins with this, or one of these; upper and lower case are alike.
    pub starts_with: Option<Texts>,
    /// Text of at least so many characters, all of them printable ASCII.
    #[schemars(range(min = 1))]
    pub min_chars: Option<u16>,
    /// Text is a version, this or later.
    pub since: Option<String>,
    /// Text is a version before this.
    pub before: Option<String>,
}
