//! State map, limits, recipes and watchdog of the file, checked against the points.

use super::condition::Condition;
use super::error::Path;
use super::file_control::{FeedTable, Iec, NamedValue, StepTable, StepValue, WatchdogTable};
use super::load::{Loader, raws};
use super::load_units::milli;
use super::profile::{
    Cadence, Dimension, Feed, Limits, PhaseSwitch, Point, PointId, Role, StateMap, StateRule, Watchdog,
};
use super::recipe::{Action, Compare, Recipes, StepSpec, ValueSpec, WriteSpec};
use super::value::{Raw, ValueType};
use crate::domain::{FaultKind, MilliAmps, VehicleState};
use std::time::Duration;

/// Where a recipe stands in the life of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Again and again.
    Cyclic,
    /// Once per connection or seldom.
    Seldom,
    /// Once per connection, and verified hourly.
    Arm,
}

impl Loader<'_> {
    /// The state map.
    pub fn state(&mut self) -> Option<StateMap> {
        let raw = self.raw.state.as_ref()?;
        let path = Path::default().key("state");
        let point = self.named(&raw.point, &path.key("point"))?;
        self.status_point(point, &path.key("point"));
        let mut rules: Vec<StateRule> = Vec::new();
        for (index, line) in raw.map.iter().enumerate() {
            let path = path.key("map").index(index);
            let when = self.conditions(&line.when, &path.key("when"));
            self.poll_for(&when, Cadence::Fast, &path.key("when"));
            if line.fault.is_some() && line.iec != Iec::E {
                self.wrong(&path.key("fault"), "goes with `iec = \"E\"` only");
            }
            let state = vehicle(line.iec, line.fault);
            let values = line.raw.as_ref().map(raws).unwrap_or_default();
            self.judge_values(&values, point, &path.key("raw"));
            let hidden = |rule: &&StateRule| {
                rule.when.is_empty()
                    && (rule.raw.is_empty() || values.iter().any(|raw| rule.raw.contains(raw)))
            };
            if rules.iter().find(hidden).is_some() {
                self.wrong(&path, "can never be reached: an earlier line takes the value");
            }
            rules.push(StateRule {
                raw: values,
                when,
                state,
            });
        }
        let otherwise = vehicle(raw.otherwise.unwrap_or(Iec::F), None);
        Some(StateMap {
            point,
            rules,
            otherwise,
        })
    }

    fn status_point(&mut self, id: PointId, path: &Path) {
        let point = &mut self.points[usize::from(id.0)];
        if point.role != Role::Helper || point.fc.is_none() {
            self.wrong(
                path,
                "expected a readable point without `quantity`, `role` and `fact`",
            );
            return;
        }
        point.role = Role::Status;
        point.cadence = Cadence::Fast;
        point.polled = true;
    }

    fn judge_values(&mut self, values: &[Raw], point: PointId, path: &Path) {
        let kind = self.points[usize::from(point.0)].layout.kind;
        let fits = |raw: &Raw| match raw {
            Raw::Int(value) => kind
                .bounds()
                .is_some_and(|(least, most)| (least..=most).contains(value)),
            Raw::Text(_) => matches!(kind, ValueType::Ascii | ValueType::Utf16),
            Raw::Float(_) | Raw::Bytes(_) => false,
        };
        if !values.iter().all(fits) {
            self.wrong(path, "is a value the type of the point cannot have");
        }
    }

    /// What the charger can be told.
    pub fn limits(&mut self) -> Option<Limits> {
        let raw = self.raw.limits.as_ref()?;
        let path = Path::default().key("limits");
        let mut amps = |value: f64, key: &str, least: i64| {
            let value = milli(value, None).filter(|value| *value >= least);
            if value.is_none() {
                self.wrong(
                    &path.key(key),
                    "expected a current above 0, at most three decimals",
                );
            }
            MilliAmps(value.unwrap_or(0))
        };
        let limits = Limits {
            min: amps(raw.min_a.unwrap_or(6.0), "min_a", 1),
            max: amps(raw.max_a, "max_a", 1),
            step: raw.step_a.map_or(MilliAmps::ZERO, |step| amps(step, "step_a", 1)),
        };
        if limits.min > limits.max {
            self.wrong(&path.key("max_a"), "is below `min_a`");
        }
        Some(limits)
    }

    /// All recipes.
    pub fn recipes(&mut self) -> Recipes {
        let raw = &self.raw.recipes;
        let path = Path::default().key("recipes");
        Recipes {
            limit: self.steps(&raw.limit, Use::Cyclic, &path.key("limit")),
            pause: self.steps(&raw.pause, Use::Cyclic, &path.key("pause")),
            enable: self.steps(&raw.enable, Use::Cyclic, &path.key("enable")),
            disable: self.steps(&raw.disable, Use::Cyclic, &path.key("disable")),
            unlock: self.steps(&raw.unlock, Use::Seldom, &path.key("unlock")),
            arm: self.steps(&raw.arm, Use::Arm, &path.key("arm")),
            safe: self.steps(&raw.safe, Use::Seldom, &path.key("safe")),
        }
    }

    fn fallback_when(&mut self, raw: &WatchdogTable, path: &Path) -> Vec<Condition> {
        let path = path.key("fallback_when");
        if !raw.fallback_safe && !raw.fallback_when.is_empty() {
            self.wrong(&path, "goes with `fallback_safe = true`");
        }
        let when = self.conditions(&raw.fallback_when, &path);
        self.poll_for(&when, Cadence::Slow, &path);
        when
    }

    /// Switching of phases.
    pub fn phase_switch(&mut self) -> Option<PhaseSwitch> {
        let raw = self.raw.phase_switch.as_ref()?;
        let path = Path::default().key("phase_switch");
        let rest = |ms: Option<u32>| Duration::from_millis(ms.unwrap_or(0).into());
        for (steps, key) in [(&raw.one, "one"), (&raw.three, "three")] {
            if !steps.iter().any(|step| step.write.is_some()) {
                self.wrong(&path.key(key), "expected at least one step that writes");
            }
        }
        let when = self.conditions(&raw.when, &path.key("when"));
        self.poll_for(&when, Cadence::Once, &path.key("when"));
        Some(PhaseSwitch {
            when,
            one: self.steps(&raw.one, Use::Seldom, &path.key("one")),
            three: self.steps(&raw.three, Use::Seldom, &path.key("three")),
            pause: raw.pause.unwrap_or(true),
            before: rest(raw.before_ms),
            after: rest(raw.after_ms),
        })
    }

    /// Whether some recipe stops charging.
    pub fn can_pause(&self, recipes: &Recipes) -> bool {
        let has_off = |spec: &StepSpec| match &spec.action {
            Action::Write(write) => {
                write.value != ValueSpec::Limit || self.points[usize::from(write.point.0)].off.is_some()
            }
            Action::Wait(_) => true,
        };
        let limit_pauses = recipes.limit.iter().all(has_off);
        !recipes.pause.is_empty() || !recipes.disable.is_empty() || limit_pauses
    }

    fn steps(&mut self, raw: &[StepTable], used: Use, path: &Path) -> Vec<StepSpec> {
        let mut steps = Vec::new();
        for (index, table) in raw.iter().enumerate() {
            let path = path.index(index);
            let when = self.conditions(&table.when, &path.key("when"));
            self.poll_for(&when, Cadence::Once, &path.key("when"));
            if let Some(action) = self.action(table, used, &path) {
                steps.push(StepSpec { action, when });
            }
        }
        steps
    }

    fn action(&mut self, raw: &StepTable, used: Use, path: &Path) -> Option<Action> {
        match (&raw.write, raw.value, raw.wait_ms) {
            (None, None, Some(ms)) => Some(Action::Wait(Duration::from_millis(ms.into()))),
            (Some(name), Some(value), None) => {
                let point = self.named(name, &path.key("write"))?;
                let verify = match &raw.verify {
                    Some(name) => Some(self.named(name, &path.key("verify"))?),
                    None => None,
                };
                let write = WriteSpec {
                    point,
                    value: value_spec(value),
                    verify,
                    tolerance: raw.tolerance.unwrap_or(0).into(),
                    compare: raw.compare.unwrap_or_default(),
                    settle: Duration::from_millis(raw.settle_ms.unwrap_or(0).into()),
                    unless_equal: raw.unless_equal || (used == Use::Arm && verify.is_some()),
                    when_paused: raw.when_paused,
                    after_write: raw.after_write,
                };
                self.judge_write(&write, used, path);
                Some(Action::Write(write))
            }
            _ => {
                self.wrong(path, "expected either `write` and `value`, or `wait_ms`");
                None
            }
        }
    }

    fn judge_write(&mut self, write: &WriteSpec, used: Use, path: &Path) {
        let point = self.points[usize::from(write.point.0)].clone();
        if point.write.is_none() {
            self.wrong(
                &path.key("write"),
                "is not writable: give the point `access = \"w\"` or `\"rw\"`",
            );
        }
        if point.wear && used == Use::Cyclic {
            self.wrong(
                &path.key("write"),
                "wears out (`wear`), so it must not be written in turn",
            );
        }
        if point.wear && used != Use::Cyclic && write.verify.is_none() {
            self.wrong(
                &path.key("write"),
                "wears out (`wear`): give `verify`, so that it is only written when it differs",
            );
        }
        if write.compare != Compare::Exact && write.verify.is_none() {
            self.wrong(&path.key("compare"), "needs `verify`");
        }
        if write.unless_equal && write.verify.is_none() {
            self.wrong(&path.key("unless_equal"), "needs `verify`");
        }
        if let Some(message) = misfit(&point, write.value) {
            self.wrong(&path.key("value"), message);
        }
        if let Some(id) = write.verify {
            let read_back = self.points[usize::from(id.0)].clone();
            if read_back.fc.is_none() {
                self.wrong(&path.key("verify"), "cannot be read back: it is write-only");
            } else if id != write.point && misfit(&read_back, write.value).is_some_and(|m| m != NOT_ALLOWED) {
                self.wrong(&path.key("verify"), "cannot hold the written value");
            }
        }
    }

    /// The watchdog.
    pub fn watchdog(&mut self) -> Option<Watchdog> {
        let raw = self.raw.watchdog.as_ref()?;
        let path = Path::default().key("watchdog");
        let feed = match &raw.feed {
            FeedTable::By(_) => Feed::AnyRequest,
            FeedTable::Steps(steps) => {
                if steps.is_empty() {
                    self.wrong(&path.key("feed"), "expected \"any_request\" or at least one step");
                }
                Feed::Steps(self.steps(steps, Use::Cyclic, &path.key("feed")))
            }
        };
        let ms = |value: u32| Duration::from_millis(value.into());
        let (least, most) = timeouts(raw);
        if !(least..=most).contains(&raw.timeout_ms) {
            self.wrong(
                &path.key("timeout_ms"),
                "lies outside `min_timeout_ms` to `max_timeout_ms`",
            );
        }
        let failsafe = milli(raw.failsafe_a, None).filter(|amps| *amps >= 0);
        if failsafe.is_none() {
            self.wrong(&path.key("failsafe_a"), "expected 0 or a current");
        }
        Some(Watchdog {
            timeout: ms(raw.timeout_ms),
            min_timeout: ms(least),
            max_timeout: ms(most),
            failsafe: MilliAmps(failsafe.unwrap_or(0)),
            fallback_safe: raw.fallback_safe,
            fallback_when: self.fallback_when(raw, &path),
            fallback: raw.fallback.clone(),
            persistent: raw.persistent,
            feed,
            feeds_per_timeout: raw.feeds_per_timeout.unwrap_or(2),
        })
    }
}

fn timeouts(raw: &WatchdogTable) -> (u32, u32) {
    (
        raw.min_timeout_ms.unwrap_or(raw.timeout_ms),
        raw.max_timeout_ms.unwrap_or(raw.timeout_ms),
    )
}

const NOT_ALLOWED: &str = "must not be written to this point";

/// Why a point cannot take a value.
fn misfit(point: &Point, value: ValueSpec) -> Option<&'static str> {
    let scaled = point.to_milli.mantissa > 0;
    match value {
        ValueSpec::Limit | ValueSpec::Failsafe => match point.dimension {
            _ if point.layout.kind.width().is_none() || !scaled => {
                Some("needs a number type and a scale above 0")
            }
            Dimension::Current | Dimension::Power | Dimension::PercentOf(_) | Dimension::Duty => None,
            Dimension::Plain | Dimension::Time => {
                Some("is a current: give the point `unit` A, mA, W, kW, duty, or % with `full_a`")
            }
        },
        ValueSpec::Timeout if point.dimension == Dimension::Time && scaled => None,
        ValueSpec::Timeout => Some("is a time: give the point `unit` ms, s or min"),
        ValueSpec::Toggle => constant(point, 0).or_else(|| constant(point, 1)),
        ValueSpec::Constant(raw) => constant(point, raw),
    }
}

fn constant(point: &Point, raw: i128) -> Option<&'static str> {
    let fits = match point.layout.kind.bounds() {
        Some((least, most)) => (least..=most).contains(&raw),
        None => point.layout.kind.is_float(),
    };
    if !fits {
        return Some("does not fit the type of the point");
    }
    (!point.permits(&Raw::Int(raw))).then_some(NOT_ALLOWED)
}

fn value_spec(value: StepValue) -> ValueSpec {
    match value {
        StepValue::Raw(raw) => ValueSpec::Constant(raw.into()),
        StepValue::Named(NamedValue::Limit) => ValueSpec::Limit,
        StepValue::Named(NamedValue::FailsafeCurrent) => ValueSpec::Failsafe,
        StepValue::Named(NamedValue::WatchdogTimeout) => ValueSpec::Timeout,
        StepValue::Named(NamedValue::Toggle) => ValueSpec::Toggle,
    }
}

fn vehicle(iec: Iec, fault: Option<FaultKind>) -> VehicleState {
    match iec {
        Iec::A => VehicleState::Absent,
        Iec::B1 => VehicleState::Connected,
        Iec::B2 => VehicleState::Ready,
        Iec::C1 | Iec::D1 => VehicleState::Waiting,
        Iec::C2 | Iec::D2 => VehicleState::Charging,
        Iec::E => VehicleState::Fault(fault.unwrap_or_default()),
        Iec::F => VehicleState::Unavailable,
    }
}
