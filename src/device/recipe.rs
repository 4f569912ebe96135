//! Recipes: what a command comes to in register writes.
//!
//! Rules held here and nowhere else: every rounding is down; a current below the device's minimum pauses; no
//! current above its maximum is written; a value the profile forbids is never written.

use super::condition::{Condition, Image, all_hold};
use super::encode::{Electrical, current_raw, time_raw};
use super::pdu::{Pdu, Reply};
use super::profile::{Feed, Point, PointId, Profile};
use super::value::{Layout, Raw};
use crate::domain::{DeviceCommand, DriveError, MilliAmps};
use std::time::Duration;

/// The recipes of a profile; an empty one is not there.
#[derive(Clone, Debug, Default)]
pub struct Recipes {
    /// Offer a current.
    pub limit: Vec<StepSpec>,
    /// Stop offering current.
    pub pause: Vec<StepSpec>,
    /// Allow charging, where that is a switch apart from the limit.
    pub enable: Vec<StepSpec>,
    /// Forbid charging.
    pub disable: Vec<StepSpec>,
    /// Release the plug.
    pub unlock: Vec<StepSpec>,
    /// Write watchdog and other settings after the device came up.
    pub arm: Vec<StepSpec>,
    /// Leave the device in a safe state.
    pub safe: Vec<StepSpec>,
}

/// One step as the profile has it.
#[derive(Clone, Debug)]
pub struct StepSpec {
    /// What to do.
    pub action: Action,
    /// Only while all of these hold.
    pub when: Vec<Condition>,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Write a point.
    Write(WriteSpec),
    /// Do nothing for this long.
    Wait(Duration),
}

/// A write as the profile has it.
#[derive(Clone, Debug)]
pub struct WriteSpec {
    /// Which point.
    pub point: PointId,
    /// Which value.
    pub value: ValueSpec,
    /// The point to read back, which may be another one.
    pub verify: Option<PointId>,
    /// How far the read-back may be off, raw.
    pub tolerance: u64,
    /// What read-back agrees.
    pub compare: Compare,
    /// How long the device may take until the read-back agrees.
    pub settle: Duration,
    /// Read first and write only when it differs.
    pub unless_equal: bool,
    /// Only when charging is, or may be, paused.
    pub when_paused: bool,
    /// Only when an earlier step of the same run wrote something.
    pub after_write: bool,
}

/// What read-back agrees with what was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// The same value.
    #[default]
    Exact,
    /// The same or a smaller one: another limit may win inside the device.
    AtMost,
    /// The same or a larger one: the register is only raised.
    AtLeast,
}

/// Where a written value comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueSpec {
    /// The commanded current.
    Limit,
    /// The fallback current of the watchdog.
    Failsafe,
    /// The time-out of the watchdog.
    Timeout,
    /// 1 and 0 in turn.
    Toggle,
    /// This raw value.
    Constant(i128),
}

/// One step on the wire.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Write.
    Write {
        /// The request.
        pdu: Pdu,
        /// Read `verify` first; when it holds already, the step is done without writing.
        unless_equal: bool,
        /// Skip it when no earlier step of this run wrote anything.
        after_write: bool,
        /// Read this afterwards; it must hold before `settle` is over.
        verify: Option<Check>,
        /// The time the device may take. Without `verify`: wait this long.
        settle: Duration,
    },
    /// Do nothing for this long.
    Wait(Duration),
}

/// A read-back with what is expected of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// The request that reads.
    pub read: Pdu,
    /// Where the value stands in the answer, in registers.
    pub at: u16,
    /// How the answer is read.
    pub layout: Layout,
    /// Bits that count, shifted down.
    pub mask: Option<u64>,
    /// The raw value expected.
    pub expected: Raw,
    /// How far it may be off.
    pub tolerance: u64,
    /// On which side it may be.
    pub compare: Compare,
}

impl Check {
    /// The whole value in an answer, before any mask; `None`: the answer has the wrong shape.
    #[must_use]
    pub fn raw(&self, reply: &Reply) -> Option<Raw> {
        let Pdu::Read { count, .. } = self.read else {
            return None;
        };
        self.layout
            .in_reply(reply, usize::from(self.at), usize::from(count))
    }

    /// Judges the answer.
    ///
    /// # Errors
    /// [`DriveError::NotObeyed`] when the device says another value, [`DriveError::Garbled`] when the answer has
    /// the wrong shape.
    pub fn judge(&self, reply: &Reply) -> Result<(), DriveError> {
        let raw = super::condition::masked(&self.raw(reply).ok_or(DriveError::Garbled)?, self.mask);
        let beyond = match (raw.number(), self.expected.number(), self.compare) {
            (Some(read), Some(expected), Compare::AtMost) => read <= expected,
            (Some(read), Some(expected), Compare::AtLeast) => read >= expected,
            _ => false,
        };
        let agrees = beyond
            || match (&raw, &self.expected) {
                (Raw::Int(read), Raw::Int(expected)) => read.abs_diff(*expected) <= self.tolerance.into(),
                // A float register gives back what was written, or a value rounded to less than a milli-unit.
                (Raw::Float(read), Raw::Float(expected)) => (read - expected).abs() < 1e-3,
                _ => false,
            };
        if agrees {
            return Ok(());
        }
        Err(DriveError::NotObeyed {
            wrote: self.expected.bits(),
            read: raw.bits(),
        })
    }
}

/// What a recipe is made concrete with.
#[derive(Clone, Copy, Debug)]
pub struct RecipeContext<'a> {
    /// What is known of the device.
    pub image: &'a Image,
    /// Connector, from 1.
    pub connector: u16,
    /// Phases and voltage, for limits in watt.
    pub electrical: Electrical,
    /// Whether charging is, or may be, paused: true until a limit recipe has run to its end.
    pub maybe_paused: bool,
    /// The limit in force, for feeds that rewrite it.
    pub limit: MilliAmps,
    /// The watchdog time-out of the configuration.
    pub timeout: Option<Duration>,
    /// The fallback current of the configuration.
    pub failsafe: Option<MilliAmps>,
    /// Next value of a life bit; the driver flips it after every feed.
    pub toggle: bool,
}

impl<'a> RecipeContext<'a> {
    /// A context for connector 1 with nothing configured.
    #[must_use]
    pub fn new(image: &'a Image) -> Self {
        Self {
            image,
            connector: 1,
            electrical: Electrical::default(),
            maybe_paused: true,
            limit: MilliAmps::ZERO,
            timeout: None,
            failsafe: None,
            toggle: true,
        }
    }
}

/// Why there are no steps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The profile has no such recipe.
    #[error("the device profile has no recipe for this command")]
    Unsupported,
    /// Every step depends on a point that was not read yet, or on a version the device does not have.
    #[error("no step of the recipe fits what is known of the device so far")]
    NoStepFits,
    /// The value cannot be written without breaking a rule of the profile.
    #[error("`{point}` cannot take this value")]
    Unencodable {
        /// Whose.
        point: String,
    },
}

impl Profile {
    /// The least and most current the device takes; a current below the least pauses.
    #[must_use]
    pub fn pauses(&self, limit: MilliAmps) -> bool {
        limit <= MilliAmps::ZERO || self.limits.is_some_and(|limits| limit < limits.min)
    }

    /// Whether a limit comes to a pause: it is below the minimum, or no value that may be written lies between.
    #[must_use]
    pub fn must_pause(&self, limit: MilliAmps, ctx: &RecipeContext<'_>) -> bool {
        let unencodable = || {
            let steps = self.wire_steps(&self.recipes.limit, limit, ctx);
            matches!(steps, Err(Refusal::Unencodable { .. }))
        };
        self.pauses(limit) || unencodable()
    }

    /// The wire steps of a command.
    ///
    /// [`DeviceCommand::Limit`] below the minimum gives the pause recipe. [`DeviceCommand::Enable`]`(false)`
    /// falls back to the pause recipe, [`DeviceCommand::SafeState`] to a limit of the watchdog's fallback current
    /// or a pause; `Enable(true)` without a recipe is refused and is answered by a limit.
    ///
    /// # Errors
    /// [`Refusal`]; nothing may be written then.
    pub fn recipe(&self, command: DeviceCommand, ctx: &RecipeContext<'_>) -> Result<Vec<Step>, Refusal> {
        let recipes = &self.recipes;
        match command {
            DeviceCommand::Limit(amps) if self.pauses(amps) => self.pause(ctx),
            DeviceCommand::Limit(amps) => match self.wire_steps(&recipes.limit, amps, ctx) {
                // No allowed value lies between the minimum and the command.
                Err(Refusal::Unencodable { .. }) => self.pause(ctx),
                other => other,
            },
            DeviceCommand::Enable(true) => self.wire_steps(&recipes.enable, ctx.limit, ctx),
            DeviceCommand::Enable(false) if recipes.disable.is_empty() => self.pause(ctx),
            DeviceCommand::Enable(false) => self.wire_steps(&recipes.disable, ctx.limit, ctx),
            DeviceCommand::Phases(phases) => self.switch_phases(phases, ctx),
            DeviceCommand::Unlock => self.wire_steps(&recipes.unlock, ctx.limit, ctx),
            DeviceCommand::ArmWatchdog => self.wire_steps(&recipes.arm, ctx.limit, ctx),
            DeviceCommand::SafeState if !recipes.safe.is_empty() => {
                self.wire_steps(&recipes.safe, self.fallback_current(ctx.failsafe), ctx)
            }
            DeviceCommand::SafeState => {
                self.recipe(DeviceCommand::Limit(self.fallback_current(ctx.failsafe)), ctx)
            }
        }
    }

    /// Pause, rest, switch, rest; the current is offered again by whoever asked.
    fn switch_phases(&self, phases: u8, ctx: &RecipeContext<'_>) -> Result<Vec<Step>, Refusal> {
        let switch = self.phase_switch.as_ref().ok_or(Refusal::Unsupported)?;
        if !all_hold(&switch.when, ctx.image) {
            return Err(Refusal::NoStepFits);
        }
        let specs = match phases {
            1 => &switch.one,
            3 => &switch.three,
            _ => return Err(Refusal::Unsupported),
        };
        let mut steps = if switch.pause {
            self.pause(ctx)?
        } else {
            Vec::new()
        };
        let rest = |time: Duration| (!time.is_zero()).then_some(Step::Wait(time));
        steps.extend(rest(switch.before));
        steps.extend(self.wire_steps(specs, ctx.limit, ctx)?);
        steps.extend(rest(switch.after));
        Ok(steps)
    }

    /// The wire steps that feed the watchdog; empty where any request does.
    ///
    /// # Errors
    /// [`Refusal`], [`Refusal::Unsupported`] for a device without a watchdog.
    pub fn feed(&self, ctx: &RecipeContext<'_>) -> Result<Vec<Step>, Refusal> {
        match self.watchdog.as_ref().map(|watchdog| &watchdog.feed) {
            None => Err(Refusal::Unsupported),
            Some(Feed::AnyRequest) => Ok(Vec::new()),
            Some(Feed::Steps(specs)) => self.wire_steps(specs, ctx.limit, ctx),
        }
    }

    /// The watchdog time-out that will be written: configured or default, within what the device takes.
    #[must_use]
    pub fn watchdog_timeout(&self, configured: Option<Duration>) -> Option<Duration> {
        let watchdog = self.watchdog.as_ref()?;
        Some(
            configured
                .unwrap_or(watchdog.timeout)
                .clamp(watchdog.min_timeout, watchdog.max_timeout),
        )
    }

    /// The current a charger is to fall back to: configured or default.
    #[must_use]
    pub fn fallback_current(&self, configured: Option<MilliAmps>) -> MilliAmps {
        let default = self.watchdog.as_ref().map(|watchdog| watchdog.failsafe);
        configured.or(default).unwrap_or_default()
    }

    fn pause(&self, ctx: &RecipeContext<'_>) -> Result<Vec<Step>, Refusal> {
        let recipes = &self.recipes;
        let specs = [&recipes.pause, &recipes.disable]
            .into_iter()
            .find(|specs| !specs.is_empty());
        // Without a recipe of its own a pause is the limit recipe with the register's off value.
        self.wire_steps(specs.unwrap_or(&recipes.limit), MilliAmps::ZERO, ctx)
    }

    fn wire_steps(
        &self,
        specs: &[StepSpec],
        limit: MilliAmps,
        ctx: &RecipeContext<'_>,
    ) -> Result<Vec<Step>, Refusal> {
        if specs.is_empty() {
            return Err(Refusal::Unsupported);
        }
        let (mut steps, mut fits) = (Vec::new(), false);
        for spec in specs.iter().filter(|spec| all_hold(&spec.when, ctx.image)) {
            match &spec.action {
                Action::Wait(time) => steps.push(Step::Wait(*time)),
                Action::Write(write) if all_hold(&self.point(write.point).when, ctx.image) => {
                    fits = true;
                    if !write.when_paused || ctx.maybe_paused {
                        steps.push(self.write_step(write, limit, ctx)?);
                    }
                }
                Action::Write(_) => {}
            }
        }
        if fits { Ok(steps) } else { Err(Refusal::NoStepFits) }
    }

    fn write_step(
        &self,
        write: &WriteSpec,
        limit: MilliAmps,
        ctx: &RecipeContext<'_>,
    ) -> Result<Step, Refusal> {
        let point = self.point(write.point);
        let refuse = || Refusal::Unencodable {
            point: point.name.clone(),
        };
        let raw = self.value(point, write.value, limit, ctx).ok_or_else(refuse)?;
        if !point.permits(&raw) {
            return Err(refuse());
        }
        let pdu = write_pdu(point, &raw, ctx.connector).ok_or_else(refuse)?;
        let check = match write.verify {
            Some(id) => self.check(id, write, (point, raw), limit, ctx),
            None => None,
        };
        Ok(Step::Write {
            pdu,
            unless_equal: write.unless_equal && check.is_some(),
            after_write: write.after_write,
            verify: check,
            settle: write.settle,
        })
    }

    fn value(
        &self,
        point: &Point,
        value: ValueSpec,
        limit: MilliAmps,
        ctx: &RecipeContext<'_>,
    ) -> Option<Raw> {
        match value {
            ValueSpec::Limit => current_raw(point, limit, self.limits, ctx.electrical),
            ValueSpec::Failsafe => current_raw(
                point,
                self.fallback_current(ctx.failsafe),
                self.limits,
                ctx.electrical,
            ),
            ValueSpec::Timeout => time_raw(point, self.watchdog_timeout(ctx.timeout)?),
            ValueSpec::Toggle => Some(Raw::Int(i128::from(ctx.toggle))),
            ValueSpec::Constant(raw) if point.layout.kind.is_float() =>
            {
                #[allow(clippy::cast_precision_loss, reason = "constants in profiles are small")]
                Some(Raw::Float(raw as f64))
            }
            ValueSpec::Constant(raw) => Some(Raw::Int(raw)),
        }
    }

    /// What the read-back is expected to say. `None` where the point cannot be read on this firmware.
    fn check(
        &self,
        id: PointId,
        write: &WriteSpec,
        (target, written): (&Point, Raw),
        limit: MilliAmps,
        ctx: &RecipeContext<'_>,
    ) -> Option<Check> {
        let point = self.point(id);
        if !all_hold(&point.when, ctx.image) {
            return None;
        }
        let same = std::ptr::eq(point, target);
        let expected = if same {
            written
        } else {
            self.value(point, write.value, limit, ctx)?
        };
        let (read, at) = self.read(point, ctx.connector)?;
        Some(Check {
            read,
            at,
            layout: point.layout,
            mask: point.mask_for(ctx.connector),
            compare: if point.off.is_some() && expected.int() == point.off {
                // A pause is a pause and nothing less.
                Compare::Exact
            } else {
                write.compare
            },
            expected,
            tolerance: write.tolerance,
        })
    }
}

/// The request that writes a raw value with a function the point takes.
fn write_pdu(point: &Point, raw: &Raw, connector: u16) -> Option<Pdu> {
    let (write, addr) = (point.write?, point.addr_for(connector));
    if point.layout.kind == super::value::ValueType::Bit {
        let on = raw.int()? != 0;
        return Some(if write.single {
            Pdu::WriteCoil { addr, on }
        } else {
            Pdu::WriteCoils {
                addr,
                values: vec![on],
            }
        });
    }
    let values = point.layout.write(raw)?;
    match values.as_slice() {
        [value] if write.single => Some(Pdu::WriteSingle { addr, value: *value }),
        _ if write.multi => Some(Pdu::WriteMulti { addr, values }),
        _ => None,
    }
}
