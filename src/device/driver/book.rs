//! What the profile says about this one device: its blocks, recipes and watchdog under what is known of it so far.

use super::FailsafeReport;
use super::polling::Pace;
use super::run::checks;
use super::usage::Usage;
use super::watchdog::{FedBy, Terms};
use crate::device::{
    Block, Cadence, Caution, Check, Dimension, Electrical, Feed, Image, Kind, LinkCost, Outcome, Pdu, Point,
    PointId, Profile, RecipeContext, Refusal, Reply, Step, Walk, all_hold, current_of, masked,
};
use crate::domain::{DeviceCommand, DeviceSetup, DriveError, MilliAmps, Mono, Observation};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::current::Current;

/// Shortest poll period, whatever is configured.
const POLL_LEAST: Duration = Duration::from_millis(100);

/// One device's view of its profile.
#[derive(Clone, Debug)]
pub(super) struct Book {
    /// As it was given.
    template: Arc<Profile>,
    /// At the addresses of this device.
    profile: Arc<Profile>,
    /// Where they are is being found out.
    walk: Option<Walk>,
    setup: DeviceSetup,
    cost: LinkCost,
    /// Phases the vehicle uses.
    usage: Usage,
    /// No more phases than this, after a switch of phases.
    assumed: u8,
    image: Image,
    caution: Caution,
    blocks: Vec<Block>,
    /// Points the device refused even when asked alone.
    refused: BTreeSet<PointId>,
    /// Points that points and recipes depend on.
    decisive: BTreeSet<PointId>,
    toggle: bool,
}

impl Book {
    pub(super) fn new(profile: Arc<Profile>, setup: &DeviceSetup, cost: LinkCost) -> Self {
        let mut book = Self {
            decisive: profile.decisive(),
            walk: profile.sunspec().map(|_| Walk::new(setup.connector)),
            template: Arc::clone(&profile),
            profile,
            setup: setup.clone(),
            cost,
            usage: Usage::default(),
            assumed: u8::MAX,
            image: Image::new(),
            caution: Caution::default(),
            blocks: Vec::new(),
            refused: BTreeSet::new(),
            toggle: true,
        };
        book.replan();
        book
    }

    /// What a limit in watt is made with now. Without a known supply that is one phase of 230 V, which never
    /// allows more than the commanded current.
    pub(super) fn electrical(&self) -> Electrical {
        let Some((supply, rated)) = self.setup.supply.zip(self.profile.rated(&self.image)) else {
            return Electrical::default();
        };
        let first = Electrical::at_first(supply, rated);
        let used = self.usage.count().unwrap_or(first.phases);
        let wired = supply.phases.min(self.profile.about().phases);
        Electrical {
            phases: used.min(wired).min(self.assumed).max(1),
            ..first
        }
    }

    /// The device charges on this many phases now, as far as the installation has them.
    pub(super) fn assume_phases(&mut self, phases: u8) {
        (self.assumed, self.usage) = (phases, Usage::default());
    }

    /// Takes the phases the vehicle is seen to use. The number a limit in watt is made with, before and after it;
    /// `None`: no limit depends on it.
    pub(super) fn uses(&mut self, now: Mono, observations: &[Observation]) -> Option<(u8, u8)> {
        let (supply, rated) = self.setup.supply.zip(self.profile.rated(&self.image))?;
        self.profile.watt_limits().next()?;
        let before = self.electrical().phases;
        self.usage.take(now, observations, supply.spare >= rated);
        Some((before, self.electrical().phases))
    }

    /// Forgets what was read: the device may have been exchanged or updated.
    pub(super) fn forget(&mut self) {
        self.image.clear();
        self.refused.clear();
        self.usage = Usage::default();
        self.profile = Arc::clone(&self.template);
        self.walk = self.template.sunspec().map(|_| Walk::new(self.setup.connector));
        self.replan();
    }

    /// The next step of the walk along the models of a SunSpec device, if it is not over.
    pub(super) fn survey(&self) -> Option<Pdu> {
        self.walk.as_ref().map(Walk::pdu)
    }

    /// A step was answered, or refused. Whether the walk goes on, found everything (`Some(true)`) or not.
    pub(super) fn surveyed(&mut self, reply: Option<&Reply>) -> Option<bool> {
        let outcome = self.walk.as_mut()?.replied(&self.template, reply);
        match outcome {
            Outcome::More => None,
            Outcome::Nothing => Some(false),
            Outcome::Done(profile) => {
                self.profile = Arc::from(profile);
                self.walk = None;
                self.replan();
                Some(true)
            }
        }
    }

    /// Makes the read plan anew; whether it changed.
    pub(super) fn replan(&mut self) -> bool {
        let blocks = match self.walk {
            // Registers that may be anything are not read.
            Some(_) => Vec::new(),
            None => self
                .profile
                .plan(self.cost, self.setup.connector, &self.image, self.caution),
        };
        let changed = blocks != self.blocks;
        self.blocks = blocks;
        changed
    }

    /// The blocks of the plan.
    pub(super) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// How often each block is read. Where polls are the feed, fast blocks are read at least that often.
    pub(super) fn paces(&self) -> Vec<Pace> {
        let link = self.profile.link();
        let fast = self.setup.poll.unwrap_or(link.poll).max(POLL_LEAST);
        let pace = |block: &Block| match block.cadence {
            Cadence::Once => Pace::Once,
            Cadence::Fast => Pace::Every(fast),
            Cadence::Slow => Pace::Every(link.slow_poll.max(fast)),
        };
        self.blocks.iter().map(pace).collect()
    }

    /// Whether everything in a block has been read, as far as the device has it.
    pub(super) fn is_known(&self, block: &Block) -> bool {
        let known = |id: &PointId| self.image.get(*id).is_some() || self.refused.contains(id);
        block.points.iter().all(known)
    }

    /// Whether something that decides which registers there are, or how they are written, was not read yet.
    pub(super) fn is_undecided(&self) -> bool {
        let planned = |id: &PointId| self.blocks.iter().any(|block| block.points.contains(id));
        let known = |id: &PointId| self.image.get(*id).is_some() || self.refused.contains(id);
        self.decisive.iter().any(|id| !known(id) && planned(id))
    }

    /// The device refused a block. Whether the plan became more careful and has to be taken over.
    pub(super) fn refuse(&mut self, block: &Block) -> bool {
        if block.points.len() > 1 && self.caution != Caution::Single {
            self.caution = if self.caution == Caution::Normal {
                Caution::Small
            } else {
                Caution::Single
            };
            self.replan();
            return true;
        }
        self.refused.extend(&block.points);
        false
    }

    /// The block a probe or feed reads: the shortest of the fastest.
    pub(super) fn probe(&self) -> Option<Block> {
        self.blocks
            .iter()
            .min_by_key(|block| (block.cadence != Cadence::Fast, block.count))
            .cloned()
    }

    /// What an answer to a block says.
    pub(super) fn decode(
        &mut self,
        block: &Block,
        reply: &Reply,
        now: Mono,
    ) -> Result<Vec<Observation>, DriveError> {
        if self.walk.is_some() {
            // Asked for before the device came up again, at addresses that may not hold any more.
            return Err(DriveError::Garbled);
        }
        let electrical = self.electrical();
        self.profile.decode(
            block,
            reply,
            self.setup.connector,
            electrical,
            &mut self.image,
            now,
        )
    }

    /// The current that the read-back of a limit shows, where its register holds one.
    pub(super) fn limit_read_back(&self, check: &Check, reply: &Reply) -> Option<Observation> {
        let place = Some((check.read.clone(), check.at));
        let is_limit = |point: &&Point| {
            self.profile.read(point, self.setup.connector) == place
                && !matches!(point.dimension, Dimension::Plain | Dimension::Time)
                && all_hold(&point.when, &self.image)
        };
        let point = self.profile.points().iter().find(is_limit)?;
        let raw = masked(&check.raw(reply)?, check.mask);
        current_of(point, &raw, self.electrical()).map(Observation::LimitReadBack)
    }

    fn context(&self, current: &Current) -> RecipeContext<'_> {
        RecipeContext {
            image: &self.image,
            connector: self.setup.connector,
            electrical: self.electrical(),
            maybe_paused: current.maybe_paused,
            limit: current.wish.offered().unwrap_or(MilliAmps::ZERO),
            timeout: self.setup.watchdog_timeout,
            failsafe: self.setup.failsafe_current,
            toggle: self.toggle,
        }
    }

    /// Whether the device has a switch apart from its limit.
    pub(super) fn has_switch(&self) -> bool {
        let recipes = self.profile.recipes();
        !recipes.enable.is_empty() && !recipes.disable.is_empty()
    }

    /// Whether the device can only pause at this current.
    pub(super) fn pauses(&self, limit: MilliAmps) -> bool {
        self.profile.pauses(limit)
    }

    /// Whether the wished limit comes to a pause, as far as the device is known.
    pub(super) fn is_pause(&self, current: &Current) -> bool {
        let must = |limit| self.profile.must_pause(limit, &self.context(current));
        current.wish.limit.is_some_and(must)
    }

    /// The steps that bring the wish about.
    pub(super) fn bring_about(&self, current: &Current) -> Result<Vec<Step>, Refusal> {
        let (wish, ctx) = (current.wish, self.context(current));
        if wish.safe {
            let ctx = RecipeContext {
                failsafe: wish.limit,
                ..ctx
            };
            return self.profile.recipe(DeviceCommand::SafeState, &ctx);
        }
        if wish.enabled == Some(false) {
            return self.profile.recipe(DeviceCommand::Enable(false), &ctx);
        }
        let enable = || self.profile.recipe(DeviceCommand::Enable(true), &ctx);
        let Some(limit) = wish.limit else { return enable() };
        let mut steps = self.profile.recipe(DeviceCommand::Limit(limit), &ctx)?;
        if wish.enabled == Some(true) && current.maybe_paused && !self.is_pause(current) {
            let written: Vec<Pdu> = steps.iter().filter_map(write_of).cloned().collect();
            let is_new = |step: &Step| write_of(step).is_none_or(|pdu| !written.contains(pdu));
            steps.extend(enable()?.into_iter().filter(is_new));
        }
        Ok(steps)
    }

    /// The steps of a command other than a current.
    pub(super) fn recipe(&self, command: DeviceCommand, current: &Current) -> Result<Vec<Step>, Refusal> {
        self.profile.recipe(command, &self.context(current))
    }

    /// The steps of the next feed; life bits turn over with every call.
    pub(super) fn feed(&mut self, current: &Current) -> Result<Vec<Step>, Refusal> {
        let steps = self.profile.feed(&self.context(current));
        self.toggle = !self.toggle;
        steps
    }

    /// The reads that show whether the watchdog and settings are still as they were written.
    pub(super) fn arm_checks(&self, current: &Current) -> Vec<Check> {
        self.recipe(DeviceCommand::ArmWatchdog, current)
            .map(|steps| checks(&steps))
            .unwrap_or_default()
    }

    /// The fallback current of the configuration or the profile.
    pub(super) fn fallback(&self) -> MilliAmps {
        self.profile.fallback_current(self.setup.failsafe_current)
    }

    /// What feeds the watchdog, and how often: as configured, else as often within the time-out as
    /// the profile says.
    pub(super) fn terms(&self) -> Option<Terms> {
        let watchdog = self.profile.watchdog()?;
        let timeout = self.profile.watchdog_timeout(self.setup.watchdog_timeout)?;
        let every = self
            .setup
            .watchdog_feed
            .unwrap_or(timeout / u32::from(watchdog.feeds_per_timeout.max(1)))
            .max(POLL_LEAST);
        let by = match watchdog.feed {
            Feed::AnyRequest => FedBy::AnyRequest,
            Feed::Steps(_) => FedBy::Write,
        };
        Some(Terms { by, every })
    }

    /// The report on the device's own safe state; `None`: it cannot charge anything.
    pub(super) fn failsafe(&self, outcome: &Result<(), DriveError>) -> Option<FailsafeReport> {
        if self.profile.kind() != Kind::Charger {
            return None;
        }
        let Some(watchdog) = self.profile.watchdog() else {
            return Some(FailsafeReport {
                armed: false,
                timeout: None,
                fallback: None,
                safe: false,
                detail: "the device has no watchdog: it keeps its last current when the gateway falls silent"
                    .into(),
            });
        };
        let kept = all_hold(&watchdog.fallback_when, &self.image);
        let detail = match outcome {
            Ok(()) if !kept => format!(
                "{} As the device is set now, its fallback protects nothing.",
                watchdog.fallback
            ),
            Ok(()) => watchdog.fallback.clone(),
            Err(error) => format!("the watchdog could not be armed: {error}"),
        };
        Some(FailsafeReport {
            armed: outcome.is_ok(),
            timeout: self.profile.watchdog_timeout(self.setup.watchdog_timeout),
            fallback: self.profile.own_fallback(self.setup.failsafe_current),
            safe: outcome.is_ok() && watchdog.fallback_safe && kept,
            detail,
        })
    }

    /// Whether the fallback protects the installation as the device is set now; `None`: that does not depend.
    pub(super) fn fallback_holds(&self) -> Option<bool> {
        let when = &self.profile.watchdog()?.fallback_when;
        (!when.is_empty()).then(|| all_hold(when, &self.image))
    }

    /// Whether the profile has a watchdog at all.
    pub(super) fn has_watchdog(&self) -> bool {
        self.profile.watchdog().is_some()
    }

    /// Wait for an answer; zero: the bus's own.
    pub(super) fn timeout(&self) -> Duration {
        self.setup.timeout.unwrap_or(self.profile.link().timeout)
    }

    /// Silence before every request.
    pub(super) fn gap(&self) -> Duration {
        self.profile.link().min_gap
    }

    /// Least time between two writes.
    pub(super) fn write_gap(&self) -> Duration {
        self.profile.link().write_gap
    }

    /// Period of the looks at registers that no block covers.
    pub(super) fn watch_period(&self) -> Duration {
        self.profile
            .link()
            .slow_poll
            .clamp(Duration::from_secs(5), Duration::from_secs(60))
    }
}

fn write_of(step: &Step) -> Option<&Pdu> {
    match step {
        Step::Write { pdu, .. } => Some(pdu),
        Step::Wait(_) => None,
    }
}

/// The part of a block's answer that answers a check, if the block covers it.
pub(super) fn part_for(check: &Check, block: &Block, reply: &Reply) -> Option<Reply> {
    let (Pdu::Read { fc, addr, count }, Reply::Registers(all)) = (&check.read, reply) else {
        return None;
    };
    let from = usize::from(addr.checked_sub(block.addr)?);
    let part = all.get(from..from + usize::from(*count))?;
    (*fc == block.fc).then(|| Reply::Registers(part.to_vec()))
}

/// Whether a block's answer will contain the answer to a check.
pub(super) fn covers(block: &Block, check: &Check) -> bool {
    let Pdu::Read { fc, addr, count } = check.read else {
        return false;
    };
    let (first, end) = (u32::from(addr), u32::from(addr) + u32::from(count));
    block.cadence != Cadence::Once
        && block.fc == fc
        && u32::from(block.addr) <= first
        && end <= u32::from(block.addr) + u32::from(block.count)
}
