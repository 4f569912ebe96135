//! Charging profiles: from the wire (7.8, 7.13) and back as composite schedule (6.22).

use super::super::schedule::{Wire, millis, stack_level, told_limit};
use super::txmap::TxMap;
use crate::domain::{ChargingProfile, CompositeSchedule, ProfileKind, ProfilePurpose, RateUnit, Recurrency};
use ocpp_kit::v1_6 as wire;

/// Reads a profile. `Err` says why it is refused (errata 3.38, 3.39, 3.45).
pub(super) fn read(profile: &wire::ChargingProfile, map: &TxMap) -> Result<ChargingProfile, &'static str> {
    let stack_level = stack_level(profile.stack_level)?;
    let purpose = purpose(&profile.charging_profile_purpose).ok_or("unknown purpose")?;
    let tx = match (purpose, profile.transaction_id) {
        (ProfilePurpose::Tx, Some(number)) => Some(map.tx(number).ok_or("unknown transactionId")?.clone()),
        _ => None,
    };
    Ok(ChargingProfile {
        id: profile.charging_profile_id,
        stack_level,
        purpose,
        kind: kind(profile)?,
        valid_from_ms: millis(profile.valid_from),
        valid_to_ms: millis(profile.valid_to),
        tx,
        schedule: wire_schedule(&profile.charging_schedule).read()?,
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

fn wire_schedule(schedule: &wire::ChargingSchedule) -> Wire {
    let periods = schedule.charging_schedule_period.iter();
    Wire {
        duration: schedule.duration,
        start: schedule.start_schedule,
        unit: unit(&schedule.charging_rate_unit),
        periods: periods
            .map(|period| (period.start_period, period.limit, period.number_phases))
            .collect(),
        min_rate: schedule.min_charging_rate,
    }
}

/// The unit of a limit.
pub(super) fn unit(unit: &wire::ChargingRateUnit) -> Option<RateUnit> {
    match unit {
        wire::ChargingRateUnit::A => Some(RateUnit::Amps),
        wire::ChargingRateUnit::W => Some(RateUnit::Watts),
        _ => None,
    }
}

/// GetCompositeSchedule.conf for an accepted request.
pub(super) fn composite(connector: i32, schedule: &CompositeSchedule) -> wire::GetCompositeScheduleResponse {
    let periods = schedule.periods.iter().map(|period| {
        let start = i32::try_from(period.start_s).unwrap_or(i32::MAX);
        wire::ChargingSchedulePeriod::new(start, told_limit(period.limit_milli))
            .with_number_phases(i32::from(period.phases))
    });
    let unit = match schedule.unit {
        RateUnit::Amps => wire::ChargingRateUnit::A,
        RateUnit::Watts => wire::ChargingRateUnit::W,
    };
    let start = super::super::wallclock::date_time(schedule.start_ms);
    // Without `startSchedule` (errata 3.57): `scheduleStart` says it.
    let told = wire::ChargingSchedule::new(unit, periods.collect())
        .with_duration(i32::try_from(schedule.duration_s).unwrap_or(i32::MAX));
    let mut response = wire::GetCompositeScheduleResponse::new(wire::GetCompositeScheduleStatus::Accepted);
    response.connector_id = Some(connector);
    response.schedule_start = Some(start);
    response.charging_schedule = Some(told);
    response
}
