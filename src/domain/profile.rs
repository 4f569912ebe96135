//! Charging profiles without a dialect (1.6 section 7.8 and 3.13, 2.0.1 block K).

use super::ids::{EvseId, TxId};
use super::limit::LimitSource;
use serde::{Deserialize, Serialize};

/// What a profile is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ProfilePurpose {
    /// The charge point as a whole (1.6 `ChargePointMaxProfile`, 2.x `ChargingStationMaxProfile`).
    ChargePointMax,
    /// Default of new transactions.
    TxDefault,
    /// One transaction.
    Tx,
}

/// How schedule time is anchored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProfileKind {
    /// At `start_ms`.
    Absolute,
    /// At `start_ms`, again every day or week.
    Recurring(Recurrency),
    /// At the start of charging.
    Relative,
}

/// Period of a recurring profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Recurrency {
    /// Every 24 hours.
    Daily,
    /// Every 7 days.
    Weekly,
}

/// Unit of the limits of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RateUnit {
    /// Ampere per phase.
    Amps,
    /// Watt, sum of the phases.
    Watts,
}

/// From `start_s` on, at most `limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulePeriod {
    /// Seconds from the start of the schedule.
    pub start_s: u32,
    /// Milliampere per phase or milliwatt.
    pub limit_milli: i64,
    /// Phases to use; `None`: 3 is assumed (1.6 section 7.13).
    pub phases: Option<u8>,
}

/// A schedule (1.6 `ChargingSchedule`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Ends after this many seconds; `None`: open.
    pub duration_s: Option<u32>,
    /// Start of an absolute or recurring schedule, Unix milliseconds.
    pub start_ms: Option<i64>,
    /// Unit of every limit.
    pub unit: RateUnit,
    /// Ordered by `start_s`, the first at 0.
    pub periods: Vec<SchedulePeriod>,
    /// Below this the vehicle charges badly, milli-units of `unit`.
    pub min_rate_milli: Option<i64>,
}

/// Most charging profiles installed at a time in one station.
pub const PROFILES_MAX: usize = 50;

/// An installed charging profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChargingProfile {
    /// Chosen by the CSMS.
    pub id: i32,
    /// Higher wins within one purpose.
    pub stack_level: u32,
    /// Purpose.
    pub purpose: ProfilePurpose,
    /// Kind.
    pub kind: ProfileKind,
    /// Not before, Unix milliseconds.
    pub valid_from_ms: Option<i64>,
    /// Not after, Unix milliseconds.
    pub valid_to_ms: Option<i64>,
    /// For `Tx`: the transaction; `None` in a remote start: the one that is started.
    pub tx: Option<TxId>,
    /// The schedule. (2.x allows three; the first is used and more than one is refused.)
    pub schedule: Schedule,
}

/// Answer to GetCompositeSchedule: what the EVSE will be limited to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompositeSchedule {
    /// For which EVSE; `None`: the charge point as a whole.
    pub evse: Option<EvseId>,
    /// Start, Unix milliseconds.
    pub start_ms: i64,
    /// Length in seconds.
    pub duration_s: u32,
    /// Unit of the limits.
    pub unit: RateUnit,
    /// Periods, first at 0.
    pub periods: Vec<CompositePeriod>,
}

/// One step of a composite schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompositePeriod {
    /// Seconds from the start.
    pub start_s: u32,
    /// Milliampere per phase or milliwatt.
    pub limit_milli: i64,
    /// Phases the EVSE uses.
    pub phases: u8,
    /// Who sets it.
    pub source: LimitSource,
}
