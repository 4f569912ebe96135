//! Charging profiles: from the wire (7.8, 7.13) and back as composite schedule (6.22).

use super::keys::{MAX_PERIODS, MAX_STACK_LEVEL};
use super::txmap::TxMap;
use crate::domain::{
    ChargingProfile, CompositeSchedule, ProfileKind, ProfilePurpose, RateUnit, Recurrency, Schedule,
    SchedulePeriod,
};
use ocpp_kit::types::{DateTime, Decimal};
use ocpp_kit::v1_6 as wire;

/// Reads a profile. `Err` says why it is refused (errata 3.38, 3.39, 3.45).
pub(super) fn read(profile: &wire::ChargingProfile, map: &TxMap) -> Result<ChargingProfile, &'static str> {
    if !(0..=MAX_STACK_LEVEL).contains(&profile.stack_level) {
        return Err("stackLevel out of range");
    }
    let purpose = purpose(&profile.charging_profile_purpose).ok_or("unknown purpose")?;
    let tx = match (purpose, profile.transaction_id) {
        (ProfilePurpose::Tx, Some(number)) => Some(map.tx(number).ok_or("unknown transactionId")?.clone()),
        _ => None,
    };
    Ok(ChargingProfile {
        id: profile.charging_profile_id,
        stack_level: u32::try_from(profile.stack_level).unwrap_or(0),
        purpose,
        kind: kind(profile)?,
        valid_from_ms: millis(profile.valid_from),
        valid_to_ms: millis(profile.valid_to),
        tx,
        schedule: schedule(&profile.charging_schedule)?,
    })
}

/// What a profile is for.
pub(super) fn purpose(purpose: &wire::ChargingProfilePurpose) -> Option<ProfilePurpose> {
    match purpose {
        wire::ChargingProfilePurpose::ChargePointMaxProfile => Some(ProfilePurpose::ChargePointMax),
        wire::ChargingProfilePurpose::TxDefaultProfile => Some(ProfilePurpose::TxDefault),
        wire::ChargingProfilePurpose::TxProfile => Some(ProfilePurpose::Tx),
        _ => None,
    }
}

fn kind(profile: &wire::ChargingProfile) -> Result<ProfileKind, &'static str> {
    match (&profile.charging_profile_kind, &profile.recurrency_kind) {
        (wire::ChargingProfileKind::Absolute, _) => Ok(ProfileKind::Absolute),
        (wire::ChargingProfileKind::Relative, _) => Ok(ProfileKind::Relative),
        (wire::ChargingProfileKind::Recurring, Some(wire::RecurrencyKind::Daily)) => {
            Ok(ProfileKind::Recurring(Recurrency::Daily))
        }
        (wire::ChargingProfileKind::Recurring, Some(wire::RecurrencyKind::Weekly)) => {
            Ok(ProfileKind::Recurring(Recurrency::Weekly))
        }
        (wire::ChargingProfileKind::Recurring, _) => Err("Recurring without recurrencyKind"),
        _ => Err("unknown kind"),
    }
}

fn millis(time: Option<DateTime>) -> Option<i64> {
    time.map(|time| time.timestamp().as_millisecond())
}

fn schedule(schedule: &wire::ChargingSchedule) -> Result<Schedule, &'static str> {
    let periods = &schedule.charging_schedule_period;
    if periods.is_empty() || periods.len() > MAX_PERIODS {
        return Err("number of periods out of range");
    }
    if periods[0].start_period != 0 {
        return Err("the first startPeriod is not 0");
    }
    if periods
        .windows(2)
        .any(|pair| pair[0].start_period >= pair[1].start_period)
    {
        return Err("periods are not in order");
    }
    if schedule.duration.is_some_and(|seconds| seconds <= 0) {
        return Err("duration is not positive");
    }
    Ok(Schedule {
        duration_s: schedule.duration.and_then(|seconds| u32::try_from(seconds).ok()),
        start_ms: millis(schedule.start_schedule),
        unit: unit(&schedule.charging_rate_unit).ok_or("unknown chargingRateUnit")?,
        periods: periods.iter().map(period).collect::<Result<_, _>>()?,
        min_rate_milli: schedule.min_charging_rate.and_then(milli),
    })
}

fn period(period: &wire::ChargingSchedulePeriod) -> Result<SchedulePeriod, &'static str> {
    let limit_milli = milli(period.limit)
        .filter(|limit| *limit >= 0)
        .ok_or("limit out of range")?;
    let phases = match period.number_phases {
        None => None,
        Some(phases @ 1..=3) => u8::try_from(phases).ok(),
        Some(_) => return Err("numberPhases out of range"),
    };
    Ok(SchedulePeriod {
        start_s: u32::try_from(period.start_period).map_err(|_| "startPeriod is negative")?,
        limit_milli,
        phases,
    })
}

/// A decimal in milli-units.
fn milli(value: Decimal) -> Option<i64> {
    Some(value.round_to(3)?.rescale(3)?.mantissa())
}

/// The unit of a limit.
pub(super) fn unit(unit: &wire::ChargingRateUnit) -> Option<RateUnit> {
    match unit {
        wire::ChargingRateUnit::A => Some(RateUnit::Amps),
        wire::ChargingRateUnit::W => Some(RateUnit::Watts),
        _ => None,
    }
}

/// GetCompositeSchedule.conf for an accepted request. Limits have one digit at most (7.14), rounded down so that
/// more is never promised than is enforced.
pub(super) fn composite(connector: i32, schedule: &CompositeSchedule) -> wire::GetCompositeScheduleResponse {
    let periods = schedule.periods.iter().map(|period| {
        let limit = Decimal::new(period.limit_milli.div_euclid(100), 1).normalized();
        let start = i32::try_from(period.start_s).unwrap_or(i32::MAX);
        wire::ChargingSchedulePeriod::new(start, limit).with_number_phases(i32::from(period.phases))
    });
    let unit = match schedule.unit {
        RateUnit::Amps => wire::ChargingRateUnit::A,
        RateUnit::Watts => wire::ChargingRateUnit::W,
    };
    let start = super::super::wallclock::date_time(schedule.start_ms);
    let told = wire::ChargingSchedule::new(unit, periods.collect())
        .with_duration(i32::try_from(schedule.duration_s).unwrap_or(i32::MAX))
        .with_start_schedule(start);
    let mut response = wire::GetCompositeScheduleResponse::new(wire::GetCompositeScheduleStatus::Accepted);
    response.connector_id = Some(connector);
    response.schedule_start = Some(start);
    response.charging_schedule = Some(told);
    response
}
