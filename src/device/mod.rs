//! Device profiles as data, and the sans-IO driver that turns them into requests and observations. Pure.

mod condition;
mod decimal;
mod decode;
mod driver;
mod encode;
mod pdu;
mod plan;
mod profile;
mod recipe;
mod value;

pub use condition::{Condition, Image, Test, all_hold};
pub use decimal::Decimal;
pub use driver::{Driver, Effect, FailsafeReport, Input, Request, Snapshot};
pub use encode::{Electrical, current_of, current_raw, milli_of, time_raw};
pub use pdu::{Pdu, ReadFc, Reply};
pub use plan::{Block, Caution, LinkCost};
pub use profile::{
    About, Cadence, Confidence, Dimension, FactFormat, FaultMap, FaultRule, Feed, Identify, Kind, Limits,
    LinkDefaults, Point, PointId, Profile, Role, Serial, Span, StateMap, StateRule, Watchdog, WriteFcs,
};
pub use recipe::{Action, Check, RecipeContext, Recipes, Refusal, Step, StepSpec, ValueSpec, WriteSpec};
pub use value::{Layout, Order, Raw, ValueType};
