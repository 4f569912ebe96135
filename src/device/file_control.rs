//! The profile file as it is written, second half: fingerprint, state map, limits, recipes, watchdog.

use super::file::{ConditionTable, Scalars};
use super::profile::Confidence;
use super::recipe::Compare;
use crate::domain::FaultKind;
use schemars::JsonSchema;
use serde::Deserialize;

/// How a scan recognises the device.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IdentifyTable {
    /// All must hold.
    pub checks: Vec<ConditionTable>,
    /// How sure a match is.
    pub confidence: Confidence,
}

/// IEC 61851-1 state; the digit says whether the charger offers current (2) or not (1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub(super) enum Iec {
    /// No vehicle.
    A,
    /// Vehicle, nothing offered.
    B1,
    /// Vehicle, current offered, not asked for.
    B2,
    /// Vehicle asks, nothing offered.
    C1,
    /// Charging.
    C2,
    /// As C1, with ventilation.
    D1,
    /// As C2, with ventilation.
    D2,
    /// Fault.
    E,
    /// Not available.
    F,
}

/// Raw state to IEC 61851 state.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StateTable {
    /// The point with the raw state.
    pub point: String,
    /// Lines, the first that fits wins.
    pub map: Vec<StateLine>,
    /// What an unknown raw value is taken for; F unless given.
    pub otherwise: Option<Iec>,
}

/// One line of the state map.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StateLine {
    /// Any of these raw values; every value unless given.
    pub raw: Option<Scalars>,
    /// And all of these.
    #[serde(default)]
    pub when: Vec<ConditionTable>,
    /// The state.
    pub iec: Iec,
    /// With `iec = "E"`: the kind of fault.
    pub fault: Option<FaultKind>,
    /// A remark.
    #[allow(dead_code, reason = "for the reader of the file")]
    pub note: Option<String>,
}

/// What a charger can be told, ampere per phase.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsTable {
    /// Least current that is not a pause; 6 unless given.
    pub min_a: Option<f64>,
    /// Most the device takes.
    pub max_a: f64,
    /// Coarser steps than the register has.
    pub step_a: Option<f64>,
}

/// What commands come to: lists of steps.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RecipesTable {
    /// Offer a current.
    #[serde(default)]
    pub limit: Vec<StepTable>,
    /// Stop offering current; unless given, `disable`, or `limit` with the register's `off` value.
    #[serde(default)]
    pub pause: Vec<StepTable>,
    /// Allow charging, where that is a switch apart from the limit.
    #[serde(default)]
    pub enable: Vec<StepTable>,
    /// Forbid charging.
    #[serde(default)]
    pub disable: Vec<StepTable>,
    /// Release the plug.
    #[serde(default)]
    pub unlock: Vec<StepTable>,
    /// After the device came up: watchdog and other settings. Steps with `verify` are repeated hourly.
    #[serde(default)]
    pub arm: Vec<StepTable>,
    /// Before the gateway leaves; unless given, a limit of the fallback current.
    #[serde(default)]
    pub safe: Vec<StepTable>,
}

/// One step: `write` and `value`, or `wait_ms`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StepTable {
    /// The point to write.
    pub write: Option<String>,
    /// What to write.
    pub value: Option<StepValue>,
    /// The point to read back.
    pub verify: Option<String>,
    /// How far the read-back may be off, raw.
    pub tolerance: Option<u32>,
    /// What read-back agrees; `exact` unless given.
    pub compare: Option<Compare>,
    /// How long the device may take until the read-back agrees, or simply to rest.
    #[schemars(range(max = 600_000))]
    pub settle_ms: Option<u32>,
    /// Read first and write only when it differs; in `arm` always true where there is a `verify`.
    #[serde(default)]
    pub unless_equal: bool,
    /// Only when charging is, or may be, paused.
    #[serde(default)]
    pub when_paused: bool,
    /// Only when an earlier step of the same run wrote something.
    #[serde(default)]
    pub after_write: bool,
    /// Do nothing for this long.
    #[schemars(range(max = 600_000))]
    pub wait_ms: Option<u32>,
    /// Only while all of these hold.
    #[serde(default)]
    pub when: Vec<ConditionTable>,
    /// A remark.
    #[allow(dead_code, reason = "for the reader of the file")]
    pub note: Option<String>,
}

/// A written value.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum StepValue {
    /// This raw value.
    Raw(i64),
    /// A value by name.
    Named(NamedValue),
}

/// A value by name.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum NamedValue {
    /// The commanded current.
    Limit,
    /// The fallback current of the watchdog.
    FailsafeCurrent,
    /// The time-out of the watchdog.
    WatchdogTimeout,
    /// 1 and 0 in turn.
    Toggle,
}

/// Communication supervision inside the device.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WatchdogTable {
    /// Time-out to write unless the configuration says another, milliseconds.
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
    /// What the device does when it is not fed any more, one sentence.
    pub fallback: String,
    /// Whether that protects the installation.
    pub fallback_safe: bool,
    /// `fallback_safe` counts only while all of these hold.
    #[serde(default)]
    pub fallback_when: Vec<ConditionTable>,
    /// Whether the settings survive a power cut of the device.
    #[serde(default)]
    pub persistent: bool,
    /// How it is fed.
    pub feed: FeedTable,
    /// Feeds per time-out; 2 unless given.
    #[schemars(range(min = 2, max = 100))]
    pub feeds_per_timeout: Option<u8>,
}

/// Switching between one and three phases.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PhaseSwitchTable {
    /// The device can switch only while all of these hold.
    #[serde(default)]
    pub when: Vec<ConditionTable>,
    /// Steps to one phase.
    pub one: Vec<StepTable>,
    /// Steps to three phases.
    pub three: Vec<StepTable>,
    /// Whether charging has to be paused meanwhile; true unless given. The gateway pauses before and offers the
    /// last current again afterwards.
    pub pause: Option<bool>,
    /// Rest after the pause and before the steps, milliseconds.
    #[schemars(range(max = 600_000))]
    pub before_ms: Option<u32>,
    /// Rest after the steps and before current is offered again, milliseconds.
    #[schemars(range(max = 600_000))]
    pub after_ms: Option<u32>,
}

/// How a watchdog is fed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum FeedTable {
    /// By requests.
    By(FeedBy),
    /// By steps.
    Steps(Vec<StepTable>),
}

/// By which requests a watchdog is fed.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum FeedBy {
    /// Any the device answers.
    AnyRequest,
}
