//! The charger left alone: whether it falls back by itself.

use super::super::judge::Verdict as Heard;
use super::super::medium::{Medium, Real, Target};
use super::super::talk::Talk;
use super::{Desk, NO_RANGE, Plan, Step, TOLERANCE, TOLERANCE_PERMILLE, Verdict, passed_if, range, step_of};
use crate::device::{
    Block, Caution, Electrical, Image, Library, LinkCost, Point, PointId, Profile, Reply, Role, current_of,
    milli_of,
};
use crate::domain::{BusSetup, Clock, DeviceSetup, MilliAmps, Mono, Protocol, Quantity};
use std::sync::Arc;
use std::time::Duration;

/// Charges again, falls silent for longer than the watchdog's time-out, and reads what the charger made of it.
pub(super) async fn silence(
    setup: &BusSetup,
    device: &DeviceSetup,
    profile: &Arc<Profile>,
    plan: Plan,
    library: &Library,
    clock: Arc<dyn Clock>,
) -> Step {
    const STEP: &str = "it falls back when the gateway is silent";
    let skip = |why: &str| step_of(STEP, Verdict::Skipped, why);
    if !plan.failsafe {
        return skip("not asked for");
    }
    let Some((_, most)) = range(profile, plan) else {
        return skip(NO_RANGE);
    };
    let Some(target) = Target::of(&setup.link).filter(|_| setup.protocol == Protocol::Modbus) else {
        return skip("only Modbus devices can be read without feeding them");
    };
    let mut desk = match Desk::open(setup, device, library, clock) {
        Ok(desk) => desk,
        Err(error) => return step_of(STEP, Verdict::Failed, error.to_string()),
    };
    let armed = desk.armed(profile.watchdog().is_some()).await;
    // Nothing is offered to a charger that would keep it when nobody talks to it any more.
    let report = desk.known.failsafe.clone().filter(|_| armed);
    let watched = report.and_then(|report| Some((report.timeout?, report.fallback?)));
    let Some((timeout, fallback)) = watched else {
        desk.close().await;
        return skip("it has no watchdog that could be armed, or its time-out or fallback is not known");
    };
    let obeyed = desk.offer(most, false).await;
    desk.close().await;
    if let Err(error) = obeyed {
        return step_of(STEP, Verdict::Failed, error.to_string());
    }
    tokio::time::sleep(timeout + Duration::from_secs(3)).await;
    let quiet = Quiet {
        setup,
        device,
        profile,
    };
    quiet.judge(STEP, target, plan, timeout, fallback).await
}

fn is_current(role: &Role) -> bool {
    matches!(
        role,
        Role::Reading {
            quantity: Quantity::Current,
            ..
        }
    )
}

/// A charger that nobody feeds, looked at with as few reads as can be.
struct Quiet<'a> {
    setup: &'a BusSetup,
    device: &'a DeviceSetup,
    profile: &'a Profile,
}

impl Quiet<'_> {
    fn points(&self, wanted: fn(&Role) -> bool) -> impl Iterator<Item = (PointId, &Point)> {
        let fits = move |(_, point): &(PointId, &Point)| wanted(&point.role) && point.when.is_empty();
        self.profile.numbered().filter(fits)
    }

    /// Looks what the charger made of the silence.
    async fn judge(
        &self,
        name: &str,
        target: Target,
        plan: Plan,
        timeout: Duration,
        fallback: MilliAmps,
    ) -> Step {
        let silence = format!("after {} s of silence", timeout.as_secs());
        let (what, result) = if plan.vehicle && self.points(is_current).next().is_some() {
            let ceiling = fallback.0 + fallback.0 * TOLERANCE_PERMILLE / 1_000 + TOLERANCE.0;
            let flows = self.read(target, is_current).await;
            ("flow", flows.map(|amps| (amps, amps.0 <= ceiling)))
        } else {
            let limit = self.read(target, |role| *role == Role::LimitReadBack).await;
            ("is its limit", limit.map(|amps| (amps, amps <= fallback)))
        };
        match result {
            Err(why) => step_of(name, Verdict::Failed, why),
            Ok((amps, fell)) => step_of(
                name,
                passed_if(fell),
                format!("{silence} {amps} {what}; its fallback is {fallback}"),
            ),
        }
    }

    /// The largest of the wanted currents.
    async fn read(&self, target: Target, wanted: fn(&Role) -> bool) -> Result<MilliAmps, String> {
        let gap = self.profile.link().min_gap.max(self.setup.min_gap);
        let mut medium = Real::new(target, gap);
        let settings = crate::commission::Settings::of(&self.setup.link);
        medium.open(settings).await.map_err(|error| error.to_string())?;
        let mut talk = Talk {
            medium: &mut medium,
            framing: self.setup.framing,
            timeout: self.device.timeout.unwrap_or(self.profile.link().timeout),
            thorough: false,
        };
        let block = self.block(wanted).ok_or("no register tells it")?;
        // The first request after a long silence may be lost: some devices wake up by it.
        for _ in 0..3 {
            let told = talk
                .ask(self.device.unit, &block.pdu())
                .await
                .map_err(|error| error.to_string())?;
            if let Heard::Reply(reply) = told.judged.verdict {
                return self.most(&block, &reply, wanted);
            }
        }
        Err("it does not answer any more".to_owned())
    }

    /// The one request that tells as much as possible of what is wanted: the answer to a second one may already show
    /// a charger that was fed by the first.
    fn block(&self, wanted: fn(&Role) -> bool) -> Option<Block> {
        let connector = self.device.connector;
        let cost = LinkCost {
            char_us: 1_000,
            silence_us: 4_000,
            think_us: 10_000,
        };
        let (first, _) = self.points(wanted).next()?;
        let planned = self
            .profile
            .plan(cost, connector, &Image::new(), Caution::default());
        let within = planned.into_iter().find(|block| block.points.contains(&first));
        within.or_else(|| self.profile.block_of(first, connector))
    }

    fn most(&self, block: &Block, reply: &Reply, wanted: fn(&Role) -> bool) -> Result<MilliAmps, String> {
        let (mut image, electrical) = (Image::new(), Electrical::default());
        self.profile
            .decode(
                block,
                reply,
                self.device.connector,
                electrical,
                &mut image,
                Mono(0),
            )
            .map_err(|error| error.to_string())?;
        let amps = self.points(wanted).filter_map(|(id, point)| {
            let raw = image.get(id)?;
            match point.role {
                Role::Reading { .. } => milli_of(point, raw).map(MilliAmps),
                _ => current_of(point, raw, electrical),
            }
        });
        amps.max().ok_or_else(|| "it is no current".to_owned())
    }
}
