//! Charging schedules as every version writes them: the rules both sides of the wire agree on (1.6 section 7.13, errata
//! 3.38, 3.39, 3.45; 2.0.1 K01).

use crate::domain::{RateUnit, Schedule, SchedulePeriod};
use ocpp_kit::types::{DateTime, Decimal};

/// Most periods of one charging schedule.
pub(super) const MAX_PERIODS: usize = 100;
/// Highest stack level of a charging profile.
pub(super) const MAX_STACK_LEVEL: i32 = 20;

/// A schedule as it came.
#[derive(Debug)]
pub(super) struct Wire {
    /// Seconds.
    pub(super) duration: Option<i32>,
    /// `startSchedule`.
    pub(super) start: Option<DateTime>,
    /// `chargingRateUnit`, if it is one of ours.
    pub(super) unit: Option<RateUnit>,
    /// `startPeriod`, `limit`, `numberPhases`.
    pub(super) periods: Vec<(i32, Decimal, Option<i32>)>,
    /// `minChargingRate`.
    pub(super) min_rate: Option<Decimal>,
}

impl Wire {
    /// Reads it. `Err` says why it is refused.
    pub(super) fn read(&self) -> Result<Schedule, &'static str> {
        let periods = &self.periods;
        if periods.is_empty() || periods.len() > MAX_PERIODS {
            return Err("number of periods out of range");
        }
        if periods[0].0 != 0 {
            return Err("the first startPeriod is not 0");
        }
        if periods.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            return Err("periods are not in order");
        }
        if self.duration.is_some_and(|seconds| seconds <= 0) {
            return Err("duration is not positive");
        }
        Ok(Schedule {
            duration_s: self.duration.and_then(|seconds| u32::try_from(seconds).ok()),
            start_ms: millis(self.start),
            unit: self.unit.ok_or("unknown chargingRateUnit")?,
            periods: periods.iter().map(period).collect::<Result<_, _>>()?,
            min_rate_milli: self.min_rate.and_then(milli),
        })
    }
}

fn period((start, limit, phases): &(i32, Decimal, Option<i32>)) -> Result<SchedulePeriod, &'static str> {
    let limit_milli = milli(*limit)
        .filter(|limit| *limit >= 0)
        .ok_or("limit out of range")?;
    let phases = match *phases {
        None => None,
        Some(phases @ 1..=3) => u8::try_from(phases).ok(),
        Some(_) => return Err("numberPhases out of range"),
    };
    Ok(SchedulePeriod {
        start_s: u32::try_from(*start).map_err(|_| "startPeriod is negative")?,
        limit_milli,
        phases,
    })
}

/// A stack level in range.
pub(super) fn stack_level(level: i32) -> Result<u32, &'static str> {
    let in_range = (0..=MAX_STACK_LEVEL).contains(&level);
    let level = u32::try_from(level).ok().filter(|_| in_range);
    level.ok_or("stackLevel out of range")
}

/// Unix milliseconds of a time.
pub(super) fn millis(time: Option<DateTime>) -> Option<i64> {
    time.map(|time| time.timestamp().as_millisecond())
}

/// A decimal in milli-units.
fn milli(value: Decimal) -> Option<i64> {
    Some(value.round_to(3)?.rescale(3)?.mantissa())
}

/// A limit to tell: one digit at most (1.6 section 7.14), rounded down so that more is never promised than is enforced.
pub(super) fn told_limit(limit_milli: i64) -> Decimal {
    Decimal::new(limit_milli.div_euclid(100), 1).normalized()
}
