//! Steps about what happens when somebody falls silent: the gateway, or the device.

use super::stage::Stage;
use super::{Told, charger};
use crate::domain::{DeviceCommand, MilliAmps};
use std::time::Duration;

/// A little more than the simulation's resolution.
const MARGIN: Duration = Duration::from_millis(500);

/// While the lease lasts the watchdog is fed, however long nothing else happens.
pub(super) fn fed(stage: &mut Stage) -> Told {
    if stage.profile.watchdog().is_none() {
        return Ok(None);
    }
    let most = stage.profile.limits().ok_or("a charger has limits")?.max;
    let expected = charger::offer(stage, most)?;
    let before = stage.supervision()?;
    stage.run(before.timeout * 5 / 2);
    let now = stage.supervision()?;
    if now.trips != before.trips {
        return Err(format!(
            "the watchdog of {:?} fell back {} times although the gateway was there",
            now.timeout,
            now.trips - before.trips
        ));
    }
    stage.offers(expected)?;
    Ok(Some(format!(
        "fed for {:?} at a time-out of {:?}",
        now.timeout * 5 / 2,
        now.timeout
    )))
}

/// When the lease ends nothing is fed any more, and the device falls back.
pub(super) fn silent(stage: &mut Stage) -> Told {
    let Some(watchdog) = stage.profile.watchdog().cloned() else {
        return Ok(None);
    };
    let before = stage.supervision()?;
    stage.end_lease();
    stage.run(before.timeout + before.timeout / u32::from(watchdog.feeds_per_timeout.max(1)) + MARGIN);
    let now = stage.supervision()?;
    if now.trips != before.trips + 1 {
        return Err(format!(
            "silent for more than {:?}, but the device did not fall back",
            before.timeout
        ));
    }
    let offered = stage.device.body.offered();
    if offered > now.fallback {
        return Err(format!("fell back to {offered}, more than {}", now.fallback));
    }
    Ok(Some(format!("fell back to {offered} after {:?}", now.timeout)))
}

/// The lease is given again: the last current is written again.
pub(super) fn back(stage: &mut Stage) -> Told {
    if stage.profile.watchdog().is_none() {
        return Ok(None);
    }
    stage.lease();
    stage.run(Duration::from_secs(60));
    stage.look();
    let most = stage.profile.limits().ok_or("a charger has limits")?.max;
    let expected = stage.expected(most)?;
    stage.offers(expected)?;
    Ok(Some(format!("{expected} offered again")))
}

/// The charger loses its power in the middle of a session: it gets watchdog and current back.
pub(super) fn restart(stage: &mut Stage) -> Told {
    let least = stage.profile.limits().ok_or("a charger has limits")?.min;
    let expected = charger::offer(stage, least)?;
    stage.device.silent = true;
    stage.await_that("the loss is noticed", Duration::from_secs(300), |stage| {
        stage.up == Some(false)
    })?;
    stage.power_cycle();
    stage.await_that("the device is back", Duration::from_secs(300), |stage| {
        stage.up == Some(true)
    })?;
    stage.run(Duration::from_secs(60));
    stage.look();
    stage.offers(expected)?;
    if let (Some(watchdog), Some(report)) = (stage.profile.watchdog(), &stage.seen.failsafe)
        && !report.armed
    {
        return Err(format!(
            "watchdog of {:?} not armed again: {}",
            watchdog.timeout, report.detail
        ));
    }
    Ok(Some(format!("{expected} offered again after a power cut")))
}

/// The gateway leaves: never with more than is offered already.
pub(super) fn leave(stage: &mut Stage) -> Told {
    let least = stage.profile.limits().ok_or("a charger has limits")?.min;
    charger::offer(stage, least)?;
    stage.drive(DeviceCommand::Enable(true))?;
    stage.drive(DeviceCommand::SafeState)?;
    stage.look();
    let offered = stage.device.body.offered();
    match offered <= least.max(MilliAmps::ZERO) {
        true => Ok(Some(format!("{offered} offered"))),
        false => Err(format!("{least} was offered, the safe state offers {offered}")),
    }
}
