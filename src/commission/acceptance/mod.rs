//! The acceptance of a charger: it is driven through start, limits, pause, phases and its fail-safe, with the operator's
//! consent, and everything it did is written down.
//!
//! The charger is driven by the very driver that will drive it later. For the fail-safe the line really falls silent; what
//! the charger does then is read without feeding it more than the reading itself does.

mod quiet;

use crate::bus::{self, BusError, BusHandle, FromBus, ToBus};
use crate::device::{FailsafeReport, Library, Profile};
use crate::domain::{
    BusSetup, Clock, DeviceCommand, DeviceFact, DeviceId, DeviceSetup, DriveError, MilliAmps, Observation,
    Phase, Quantity, SiteSetup,
};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Events of the bus that may wait.
const EVENTS: usize = 64;
/// A lease lasts this long and is renewed every second.
const LEASE: Duration = Duration::from_secs(5);
/// A device that answers at all answers within this.
const ANSWERS: Duration = Duration::from_secs(20);
/// A command is carried out and read back within this.
const OBEYS: Duration = Duration::from_secs(40);
/// A vehicle follows a new limit within this (IEC 61851-1, table 7: 5 s; slow polls on top).
pub const FOLLOWS: Duration = Duration::from_secs(30);
/// A vehicle that is offered more takes it within this (IEC 61851-1, table 7).
const RAMPS: Duration = Duration::from_secs(5);
/// A vehicle may take so much more than it is offered, per mille, beside half an ampere of the meter's own error.
const TOLERANCE_PERMILLE: i64 = 50;
const TOLERANCE: MilliAmps = MilliAmps(500);
/// Why no current is tried.
const NO_RANGE: &str = "the profile knows no limits, or the installation carries less than the least of them";
/// Below this no current flows.
const NOTHING: MilliAmps = MilliAmps(300);

/// What is to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The most that may be offered here: what the installation carries, whatever the charger could.
    pub most: MilliAmps,
    /// A vehicle that wants to charge is plugged in.
    pub vehicle: bool,
    /// It follows a new limit within this; [`FOLLOWS`] but for chargers that are known to be quicker or slower.
    pub follows: Duration,
    /// Try one and three phases.
    pub phases: bool,
    /// Fall silent and see what the charger does.
    pub failsafe: bool,
    /// Release the plug lock at the end.
    pub unlock: bool,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should.
    Passed,
    /// Not as it should.
    Failed,
    /// Not tried, for the reason told.
    Skipped,
}

/// A step with what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What was tried.
    pub step: String,
    /// How it ended.
    pub verdict: Verdict,
    /// What was seen.
    pub seen: String,
}

/// The acceptance report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Version of this form.
    pub schema: u32,
    /// The device's name.
    pub device: String,
    /// Its profile.
    pub profile: String,
    /// What it said about itself.
    pub facts: BTreeMap<String, String>,
    /// Step by step.
    pub steps: Vec<Step>,
    /// No step failed.
    pub passed: bool,
}

/// What is known of the device by now.
#[derive(Debug, Default)]
struct Known {
    up: bool,
    why_down: Option<String>,
    currents: BTreeMap<Phase, MilliAmps>,
    read_back: Option<MilliAmps>,
    facts: BTreeMap<String, String>,
    failsafe: Option<FailsafeReport>,
    done: Option<(u64, Result<(), DriveError>)>,
}

impl Known {
    fn most_current(&self) -> Option<MilliAmps> {
        self.currents.values().max().copied()
    }
}

/// One charger on its line.
struct Desk {
    bus: BusHandle,
    events: mpsc::Receiver<FromBus>,
    device: DeviceId,
    clock: Arc<dyn Clock>,
    tickets: u64,
    known: Known,
}

/// The most the installation carries at a charger: the least of what its EVSEs and the fuses before them allow; `None`: it
/// serves no EVSE.
#[must_use]
pub fn most_of(site: &SiteSetup, charger: &DeviceId) -> Option<MilliAmps> {
    let evses = site.charge_points.iter().flat_map(|cp| {
        let own = cp.evses.iter().filter(|evse| evse.charger == *charger);
        own.map(|evse| (cp.id.clone(), evse))
    });
    let most = evses.map(|(cp, evse)| {
        let member = (cp, evse.id);
        let fuses = site.fuses.iter().filter(|fuse| fuse.members.contains(&member));
        fuses
            .map(|fuse| fuse.max_current)
            .fold(evse.max_current, MilliAmps::min)
    });
    most.min()
}

/// Accepts a charger. `setup` is its line with this device alone on it, `tell` hears each step as it ends.
///
/// # Errors
/// The bus cannot be started.
pub async fn accept(
    setup: BusSetup,
    library: &Library,
    clock: Arc<dyn Clock>,
    plan: Plan,
    tell: &mut (dyn FnMut(&Step) + Send),
) -> Result<Report, BusError> {
    let device = setup.devices.first().cloned();
    let profile = device.as_ref().and_then(|device| library.get(&device.profile));
    let (Some(device), Some(profile)) = (device, profile) else {
        let missing = setup.devices.first();
        return Err(BusError::Profile {
            device: missing.map_or_else(|| DeviceId::new("none"), |device| device.id.clone()),
            profile: missing.map_or_else(String::new, |device| device.profile.clone()),
        });
    };
    let desk = Desk::open(&setup, &device, library, Arc::clone(&clock))?;
    let mut run = Run {
        desk,
        profile: Arc::clone(&profile),
        steps: Vec::new(),
        tell,
    };
    let answered = run.introduce().await;
    if answered {
        run.failsafe_armed(&device).await;
        run.limits(plan).await;
        run.pause(plan).await;
        run.phases(plan).await;
        run.unlock(plan).await;
    }
    let Run {
        desk,
        mut steps,
        tell,
        ..
    } = run;
    let facts = desk.close().await;
    if answered {
        let silence = quiet::silence(&setup, &device, &profile, plan, library, Arc::clone(&clock)).await;
        tell(&silence);
        let (verdict, seen) = match leave_safe(&setup, library, clock).await {
            Ok(()) => (Verdict::Passed, "taken".to_owned()),
            Err(why) => (Verdict::Failed, why),
        };
        let left = step_of("it is left in its safe state", verdict, seen);
        tell(&left);
        steps.extend([silence, left]);
    }
    Ok(Report {
        schema: 1,
        device: device.id.to_string(),
        profile: profile.id().to_owned(),
        facts,
        passed: steps.iter().all(|step| step.verdict != Verdict::Failed),
        steps,
    })
}

/// Puts a charger into its safe state: at the end, and where an acceptance was broken off.
///
/// # Errors
/// In words: the charger could not be reached or did not obey.
pub async fn leave_safe(setup: &BusSetup, library: &Library, clock: Arc<dyn Clock>) -> Result<(), String> {
    let device = setup.devices.first().ok_or("there is no device on the bus")?;
    let mut desk = Desk::open(setup, device, library, clock).map_err(|error| error.to_string())?;
    let left = if desk.until(OBEYS, |known| known.up).await {
        desk.drive(DeviceCommand::SafeState, true).await
    } else {
        Err(DriveError::Timeout(OBEYS))
    };
    desk.close().await;
    left.map_err(|error| error.to_string())
}

struct Run<'a> {
    desk: Desk,
    profile: Arc<Profile>,
    steps: Vec<Step>,
    tell: &'a mut (dyn FnMut(&Step) + Send),
}

impl Run<'_> {
    fn note(&mut self, step: impl Into<String>, verdict: Verdict, seen: impl Into<String>) {
        let step = step_of(step, verdict, seen);
        (self.tell)(&step);
        self.steps.push(step);
    }

    async fn introduce(&mut self) -> bool {
        let up = self.desk.until(ANSWERS, |known| known.up).await;
        let seen = match (up, &self.desk.known.why_down) {
            (true, _) => "it answers".to_owned(),
            (false, Some(why)) => why.clone(),
            (false, None) => "no answer".to_owned(),
        };
        self.note("it answers", passed_if(up), seen);
        up
    }

    /// Watchdog registers were written and read back, or there are none.
    async fn failsafe_armed(&mut self, device: &DeviceSetup) {
        let watchdog = self.profile.watchdog();
        let known = self.desk.armed(watchdog.is_some()).await;
        let report = self.desk.known.failsafe.clone();
        match (watchdog, report) {
            (None, _) => {
                let seen = if device.accept_no_failsafe {
                    "it has none; the operator has signed for that"
                } else {
                    "it has none"
                };
                self.note("its watchdog is armed", Verdict::Skipped, seen);
            }
            (Some(_), Some(report)) => self.note("its watchdog is armed", passed_if(known), report.detail),
            (Some(_), None) => self.note("its watchdog is armed", Verdict::Failed, "nothing was reported"),
        }
    }

    async fn limits(&mut self, plan: Plan) {
        let Some((least, most)) = range(&self.profile, plan) else {
            self.note("limits", Verdict::Skipped, NO_RANGE);
            return;
        };
        let middle = MilliAmps(i64::midpoint(least.0, most.0) / 1_000 * 1_000).max(least);
        let mut before = MilliAmps(0);
        for amps in [least, middle, most, least] {
            self.one_limit(amps, amps <= before, plan).await;
            before = amps;
        }
    }

    async fn one_limit(&mut self, amps: MilliAmps, lowering: bool, plan: Plan) {
        let step = format!("limit {amps}");
        if let Err(error) = self.desk.offer(amps, lowering).await {
            self.note(step, Verdict::Failed, error.to_string());
            return;
        }
        let ceiling = MilliAmps(amps.0 + amps.0 * TOLERANCE_PERMILLE / 1_000 + TOLERANCE.0);
        // What was measured before the command says nothing.
        self.desk.known.currents.clear();
        let flows = |known: &Known| {
            known
                .most_current()
                .is_some_and(|a| a <= ceiling && (!plan.vehicle || a > NOTHING))
        };
        let mut followed = self.desk.until(plan.follows, flows).await;
        if followed && plan.vehicle && !lowering {
            // On its way up the current passes below every limit, be it obeyed or not.
            let above = |known: &Known| known.most_current().is_some_and(|a| a > ceiling);
            followed = !self.desk.until(RAMPS.min(plan.follows), above).await;
        }
        let seen = match (self.desk.known.read_back, self.desk.known.most_current()) {
            (Some(read), Some(current)) => format!("reads back {read}, {current} flow"),
            (Some(read), None) => format!("reads back {read}"),
            (None, Some(current)) => format!("{current} flow"),
            (None, None) => "taken".to_owned(),
        };
        let measured = self.desk.known.most_current().is_some();
        let verdict = match (measured, plan.vehicle) {
            (true, _) => passed_if(followed),
            (false, true) => Verdict::Failed,
            (false, false) => Verdict::Passed,
        };
        self.note(step, verdict, seen);
    }

    async fn pause(&mut self, plan: Plan) {
        if let Err(error) = self.desk.drive(DeviceCommand::Limit(MilliAmps(0)), true).await {
            self.note("pause", Verdict::Failed, error.to_string());
            return;
        }
        self.desk.known.currents.clear();
        let still = |known: &Known| known.most_current().is_some_and(|a| a <= NOTHING);
        let stopped = self.desk.until(plan.follows, still).await;
        let current = self.desk.known.most_current();
        let seen = current.map_or_else(|| "taken".to_owned(), |current| format!("{current} flow"));
        let verdict = if current.is_none() && !plan.vehicle {
            Verdict::Passed
        } else {
            passed_if(stopped)
        };
        self.note("pause", verdict, seen);
    }

    async fn phases(&mut self, plan: Plan) {
        for phases in [1, 3] {
            let step = format!("{phases} phases");
            if !plan.phases {
                self.note(step, Verdict::Skipped, "not asked for");
                continue;
            }
            match self.desk.drive(DeviceCommand::Phases(phases), false).await {
                Ok(()) => self.note(step, Verdict::Passed, "taken"),
                Err(error) => self.note(step, Verdict::Failed, error.to_string()),
            }
        }
    }

    async fn unlock(&mut self, plan: Plan) {
        if !plan.unlock {
            self.note("unlock", Verdict::Skipped, "not asked for");
            return;
        }
        match self.desk.drive(DeviceCommand::Unlock, false).await {
            Ok(()) => self.note("unlock", Verdict::Passed, "taken"),
            Err(error) => self.note("unlock", Verdict::Failed, error.to_string()),
        }
    }
}

impl Desk {
    fn open(
        setup: &BusSetup,
        device: &DeviceSetup,
        library: &Library,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BusError> {
        let (tell, events) = mpsc::channel(EVENTS);
        let bus = bus::spawn(setup.clone(), library, Arc::clone(&clock), tell, 1)?;
        Ok(Self {
            bus,
            events,
            device: device.id.clone(),
            clock,
            tickets: 0,
            known: Known::default(),
        })
    }

    /// Takes what the bus says until something is known, keeping the lease alive; `false`: it did not come in time.
    async fn until(&mut self, patience: Duration, wanted: impl Fn(&Known) -> bool) -> bool {
        let end = tokio::time::Instant::now() + patience;
        let mut beat = tokio::time::interval(Duration::from_secs(1));
        while !wanted(&self.known) {
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(event) => self.take(event),
                    None => return false,
                },
                _ = beat.tick() => self.feed().await,
                () = tokio::time::sleep_until(end) => return wanted(&self.known),
            }
        }
        true
    }

    /// Waits for an armed watchdog; where the profile has none, for the charger's word that it has none.
    async fn armed(&mut self, watchdog: bool) -> bool {
        let told = |known: &Known| known.failsafe.as_ref().is_some_and(|f| f.armed || !watchdog);
        self.until(OBEYS, told).await && self.known.failsafe.as_ref().is_some_and(|f| f.armed)
    }

    async fn feed(&self) {
        let lease = ToBus::Lease {
            device: self.device.clone(),
            until: self.clock.now().mono.plus(LEASE),
        };
        // A bus that has ended is noticed by its events.
        let _ = self.bus.to.send(lease).await;
    }

    fn take(&mut self, event: FromBus) {
        match event {
            FromBus::Observed { observations, .. } => observations.into_iter().for_each(|o| self.observe(o)),
            FromBus::Link { up, cause, .. } => {
                self.known.up = up;
                self.known.why_down = cause.map(|cause| cause.to_string());
            }
            FromBus::Done { ticket, result, .. } => self.known.done = Some((ticket, result)),
            FromBus::Failsafe { report, .. } => self.known.failsafe = Some(report),
            FromBus::Port {
                up: false, detail, ..
            } => self.known.why_down = Some(detail),
            FromBus::Port { .. } => {}
        }
    }

    fn observe(&mut self, observation: Observation) {
        match observation {
            Observation::Reading(reading) if reading.quantity == Quantity::Current => {
                self.known
                    .currents
                    .insert(reading.phase, MilliAmps(reading.milli));
            }
            Observation::LimitReadBack(amps) => self.known.read_back = Some(amps),
            Observation::Fact(fact, text) => {
                let name = match fact {
                    DeviceFact::SerialNumber => "serial number",
                    DeviceFact::FirmwareVersion => "firmware",
                    DeviceFact::Model => "model",
                    DeviceFact::MapVersion => "register map",
                };
                self.known.facts.insert(name.to_owned(), text);
            }
            _ => {}
        }
    }

    /// Offers a current as a station does: the limit, then the word to go on where the device has one.
    async fn offer(&mut self, amps: MilliAmps, lowering: bool) -> Result<(), DriveError> {
        self.drive(DeviceCommand::Limit(amps), lowering).await?;
        match self.drive(DeviceCommand::Enable(true), false).await {
            Err(DriveError::Unsupported) => Ok(()),
            enabled => enabled,
        }
    }

    async fn drive(&mut self, command: DeviceCommand, lowering: bool) -> Result<(), DriveError> {
        self.tickets += 1;
        let ticket = self.tickets;
        let drive = ToBus::Drive {
            device: self.device.clone(),
            ticket,
            command,
            lowering,
        };
        if self.bus.to.send(drive).await.is_err() {
            return Err(DriveError::PortLost);
        }
        let done = |known: &Known| known.done.as_ref().is_some_and(|(of, _)| *of == ticket);
        self.until(OBEYS, done).await;
        match self.known.done.take() {
            Some((of, result)) if of == ticket => result,
            _ => Err(DriveError::Timeout(OBEYS)),
        }
    }

    /// Ends the bus: from here on the line is silent. Gives what the device said about itself.
    async fn close(self) -> BTreeMap<String, String> {
        // It may have ended already.
        let _ = self.bus.to.send(ToBus::Stop).await;
        let mut events = self.events;
        // Nobody listens any more, or the task would wait for room.
        events.close();
        let _ = self.bus.join.await;
        self.known.facts
    }
}

/// The least and the most current that is tried: no more than the installation carries.
fn range(profile: &Profile, plan: Plan) -> Option<(MilliAmps, MilliAmps)> {
    let limits = profile.limits()?;
    let most = limits.max.min(plan.most);
    (most >= limits.min).then_some((limits.min, most))
}

fn step_of(step: impl Into<String>, verdict: Verdict, seen: impl Into<String>) -> Step {
    Step {
        step: step.into(),
        verdict,
        seen: seen.into(),
    }
}

fn passed_if(condition: bool) -> Verdict {
    if condition {
        Verdict::Passed
    } else {
        Verdict::Failed
    }
}
