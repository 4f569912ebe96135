//! Device profiles as data, and the sans-IO driver that turns them into requests and observations. Pure.

mod check;
mod condition;
mod crc;
mod decimal;
mod decode;
mod driver;
mod encode;
mod error;
mod file;
mod file_control;
mod file_stream;
mod gpio;
mod iec62056;
mod library;
mod load;
mod load_control;
mod load_points;
mod load_stream;
mod load_units;
mod obis;
mod p1;
mod page;
mod pdu;
mod plan;
mod profile;
mod query;
mod rapi;
mod recipe;
mod registry;
mod rfid;
mod sml;
mod stream;
mod sunspec;
mod twc;
mod value;
mod voice;
mod wanted;
mod watts;

use condition::masked;
pub use condition::{Condition, Image, Test, all_hold};
pub use decimal::Decimal;
pub use driver::{Driver, Effect, FailsafeReport, Input, Request, Snapshot};
pub use encode::{Electrical, Factor, current_of, current_raw, milli_of, time_raw};
pub use error::ProfileError;
pub use file_stream::Sent;
pub use gpio::{Edge, GpioEffect, GpioInput, GpioMachine, GpioSnapshot};
pub use library::Library;
pub use obis::{ObisCode, ObisMeaning, ObisPoint, Term, Unit};
pub use page::index as devices_index;
pub use pdu::{Pdu, ReadFc, Reply};
pub use plan::{Block, Caution, LinkCost};
pub use profile::{
    About, Cadence, Confidence, Dimension, FactFormat, FaultMap, FaultRule, Feed, Identify, Kind, Limits,
    LinkDefaults, PhaseSwitch, Point, PointId, Profile, Role, Serial, SerialFraming, Span, StateMap,
    StateRule, Telegram, Watchdog, Wiring, WriteFcs,
};
pub use query::SAFE_WITHIN;
pub use rapi::{RapiLine, RapiSetup};
pub use recipe::{
    Action, Check, Compare, RecipeContext, Recipes, Refusal, Step, StepSpec, ValueSpec, WriteSpec,
};
pub use registry::{StreamDevice, StreamPort, stream_machine};
pub use rfid::CardFormat;
pub use sml::MessageCrc;
pub use stream::{StreamEffect, StreamInput, StreamMachine};
pub use sunspec::{Chain, Found, Model, Outcome, Walk};
pub use twc::{TwcLine, TwcUnit};
pub use value::{Layout, Order, Raw, ValueType};
pub use voice::{Hail, Voice, answer, hail, voices};

/// The JSON Schema of the profile format, as checked in under `config/schema/device.schema.json`.
#[must_use]
pub fn json_schema() -> String {
    let mut text = serde_json::to_string_pretty(load::schema()).unwrap_or_default();
    text.push('\n');
    text
}

/// The JSON Schema of profiles whose protocol is not Modbus, as `config/schema/stream-device.schema.json`.
#[must_use]
pub fn stream_json_schema() -> String {
    let mut text = serde_json::to_string_pretty(load_stream::schema()).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests;
