//! Charging profiles: from the wire (2.0.1 K01) and back as composite schedule (K08).

use super::super::schedule::{Wire, millis, stack_level, told_limit};
use super::super::wallclock::date_time;
use crate::domain::{
    ChargingProfile, CompositeSchedule, ProfileKind, ProfilePurpose, RateUnit, Recurrency, TxId,
};
use ocpp_kit::v2_0_1 as wire;

/// Why a profile is refused: a standard reason code and words.
pub(super) type Refusal = (&'static str, &'static str);

/// Reads a profile.
pub(super) fn read(profile: &wire::ChargingProfile) -> Result<ChargingProfile, Refusal> {
    let invalid = |words| ("InvalidProfile", words);
    let purpose = purpose(&profile.charging_profile_purpose).ok_or(invalid(
        "external constraints are set by the gateway alone (K01.FR.22)",
    ))?;
    let tx = profile.transaction_id.as_deref().map(TxId::new);
    if tx.is_some() && purpose != ProfilePurpose::Tx {
        return Err(invalid("only a TxProfile belongs to a transaction"));
    }
    // More than one is for ISO 15118 alone.
    let [schedule] = profile.charging_schedule.as_slice() else {
        return Err(("InvalidSchedule", "exactly one chargingSchedule is supported"));
    };
    Ok(ChargingProfile {
        id: profile.id,
        stack_level: stack_level(profile.stack_level).map_err(|why| ("InvalidStackLevel", why))?,
        purpose,
        kind: kind(profile).map_err(invalid)?,
        valid_from_ms: millis(profile.valid_from),
        valid_to_ms: millis(profile.valid_to),
        tx,
        schedule: wire_schedule(schedule)?
            .read()
            .map_err(|why| ("InvalidSchedule", why))?,
    })
}

/// What a profile is for.
pub(super) fn purpose(purpose: &wire::ChargingProfilePurpose) -> Option<ProfilePurpose> {
    match purpose {
        wire::ChargingProfilePurpose::ChargingStationMaxProfile => Some(ProfilePurpose::ChargePointMax),
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

fn wire_schedule(schedule: &wire::ChargingSchedule) -> Result<Wire, Refusal> {
    let periods = &schedule.charging_schedule_period;
    if periods.iter().any(|period| period.phase_to_use.is_some()) {
        return Err((
            "UnsupportedParam",
            "phases are not switched (ACPhaseSwitchingSupported)",
        ));
    }
    Ok(Wire {
        duration: schedule.duration,
        start: schedule.start_schedule,
        unit: unit(&schedule.charging_rate_unit),
        periods: periods
            .iter()
            .map(|period| (period.start_period, period.limit, period.number_phases))
            .collect(),
        min_rate: schedule.min_charging_rate,
    })
}

/// The unit of a limit.
pub(super) fn unit(unit: &wire::ChargingRateUnit) -> Option<RateUnit> {
    match unit {
        wire::ChargingRateUnit::A => Some(RateUnit::Amps),
        wire::ChargingRateUnit::W => Some(RateUnit::Watts),
        _ => None,
    }
}

/// The schedule of an accepted GetCompositeSchedule.
pub(super) fn composite(schedule: &CompositeSchedule) -> wire::CompositeSchedule {
    let periods = schedule.periods.iter().map(|period| {
        let start = i32::try_from(period.start_s).unwrap_or(i32::MAX);
        wire::ChargingSchedulePeriod::new(start, told_limit(period.limit_milli))
            .with_number_phases(i32::from(period.phases))
    });
    let unit = match schedule.unit {
        RateUnit::Amps => wire::ChargingRateUnit::A,
        RateUnit::Watts => wire::ChargingRateUnit::W,
    };
    wire::CompositeSchedule::new(
        periods.collect(),
        schedule.evse.map_or(0, |evse| i32::from(evse.0)),
        i32::try_from(schedule.duration_s).unwrap_or(i32::MAX),
        date_time(schedule.start_ms),
        unit,
    )
}
