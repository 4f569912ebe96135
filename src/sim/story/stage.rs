//! One driver, one simulated device and the time between them.

use super::super::body::Supervision;
use super::super::device::{DeviceSpec, SimDevice};
use super::super::world::STEP_MS;
use crate::device::{
    Action, Driver, Effect, Electrical, FailsafeReport, Image, Input, LinkCost, Pdu, Point, Profile, Raw,
    Reply, Request, Role, StepSpec, ValueSpec, all_hold, current_of, current_raw,
};
use crate::domain::{
    DeviceCommand, DeviceFault, DeviceId, DeviceSetup, DriveError, IdToken, MilliAmps, MilliWattHours, Mono,
    Now, Observation, Phase, Quantity, Supply, VehicleState,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Time a request takes on the wire.
const WIRE_MS: u64 = 20;
/// Longest patience with a command.
const PATIENCE: Duration = Duration::from_secs(120);
/// A lease that does not end by itself.
const FOREVER: Mono = Mono(u64::MAX / 4);
/// Time-out that is armed where the device takes it, so that the story does not take hours.
const SHORT_TIMEOUT: Duration = Duration::from_secs(20);

/// What the driver told since it was last forgotten.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) readings: BTreeMap<(Quantity, Phase), i64>,
    pub(super) vehicle: Option<VehicleState>,
    pub(super) fault: Option<DeviceFault>,
    pub(super) token: Option<Option<IdToken>>,
    pub(super) read_back: Option<MilliAmps>,
    pub(super) failsafe: Option<FailsafeReport>,
}

/// The stage.
pub(super) struct Stage {
    pub(super) profile: Arc<Profile>,
    pub(super) device: SimDevice,
    pub(super) seen: Seen,
    /// Vehicle, counters and watchdog stand still, so that slow and fast readings can be compared.
    pub(super) frozen: bool,
    /// Whether the device answers, as the driver has it.
    pub(super) up: Option<bool>,
    driver: Driver,
    now: Mono,
    stepped: Mono,
    queue: Vec<Request>,
    done: BTreeMap<u64, Result<(), DriveError>>,
    tickets: u64,
}

impl Stage {
    pub(super) fn new(profile: Arc<Profile>) -> Self {
        Self::with(profile, BTreeMap::new())
    }

    /// A device whose points begin with these raw values. Every phase bears all it can take.
    pub(super) fn with(profile: Arc<Profile>, presets: BTreeMap<String, Raw>) -> Self {
        let spare = profile.limits().map_or(MilliAmps::ZERO, |limits| limits.max);
        Self::fed_by(profile, presets, spare)
    }

    /// The same where one phase may always carry only so much.
    pub(super) fn fed_by(profile: Arc<Profile>, presets: BTreeMap<String, Raw>, spare: MilliAmps) -> Self {
        let supply = Supply {
            phases: profile.about().phases.clamp(1, 3),
            volts: Electrical::default().volts,
            spare,
        };
        let timeout = profile
            .watchdog()
            .map(|watchdog| SHORT_TIMEOUT.clamp(watchdog.min_timeout, watchdog.max_timeout));
        let setup = DeviceSetup {
            address: None,
            id: DeviceId::new("device"),
            profile: profile.id().to_owned(),
            unit: 1,
            connector: 1,
            poll: None,
            timeout: None,
            watchdog_timeout: timeout,
            watchdog_feed: None,
            failsafe_current: None,
            accept_no_failsafe: true,
            supply: Some(supply),
        };
        let cost = LinkCost {
            char_us: 573,
            silence_us: 2_005,
            think_us: 5_000,
        };
        let driver = Driver::new(Arc::clone(&profile), &setup, cost, 1);
        let mut spec = spec(&profile);
        spec.presets = presets;
        let device = SimDevice::new(spec, Mono(0));
        Self {
            profile,
            device,
            seen: Seen::default(),
            frozen: false,
            up: None,
            driver,
            now: Mono(0),
            stepped: Mono(0),
            queue: Vec::new(),
            done: BTreeMap::new(),
            tickets: 0,
        }
    }

    /// The device loses its power and gets it back: everything a power cut resets is as delivered.
    pub(super) fn power_cycle(&mut self) {
        let (energy, ev) = (self.device.body.energy().whole(), self.device.body.ev.take());
        let mut spec = self.device.spec().clone();
        spec.energy = energy;
        self.device = SimDevice::new(spec, self.now);
        self.device.body.ev = ev;
    }

    /// Feeding is allowed until it is taken back.
    pub(super) fn lease(&mut self) {
        self.input(Input::Lease { until: FOREVER });
    }

    /// Feeding is no longer allowed.
    pub(super) fn end_lease(&mut self) {
        self.input(Input::Lease { until: self.now });
    }

    fn input(&mut self, input: Input) {
        let now = Now {
            mono: self.now,
            ..Now::default()
        };
        self.driver.handle(now, input);
        while let Some(effect) = self.driver.poll() {
            match effect {
                Effect::Request(request) => self.queue.push(request),
                Effect::Cancel(id) => self.queue.retain(|request| request.id != id),
                Effect::Observed(list) => list
                    .into_iter()
                    .for_each(|observation| self.seen.take(observation)),
                Effect::Done { ticket, result } => {
                    self.done.insert(ticket, result);
                }
                Effect::Link { up, .. } => self.up = Some(up),
                Effect::Failsafe(report) => self.seen.failsafe = Some(report),
            }
        }
    }

    /// Moves time on, and with it vehicle, watchdog and counters.
    fn pass(&mut self, to: Mono) {
        while self.stepped.0 + STEP_MS <= to.0 {
            self.stepped = Mono(self.stepped.0 + STEP_MS);
            if self.device.is_charger() && !self.frozen {
                self.device.body.step(self.stepped, STEP_MS.cast_signed());
            }
        }
        self.now = to.max(self.now);
    }

    fn answer_one(&mut self) -> bool {
        let next = (0..self.queue.len()).min_by_key(|i| (self.queue[*i].priority, self.queue[*i].due));
        let Some(place) = next else { return false };
        let request = self.queue.remove(place);
        let answer = self.device.call(self.now, &bytes(&request.pdu));
        let (result, ms) = match answer {
            None => (Err(DriveError::Timeout(request.timeout)), 500),
            Some(answer) => (reply(&request.pdu, &answer.pdu), WIRE_MS),
        };
        self.pass(self.now.plus(Duration::from_millis(ms)));
        self.input(Input::Replied {
            id: request.id,
            result,
        });
        true
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now.plus(time);
        self.run_until(end, |_| false);
    }

    /// Lets time pass until something holds; whether it came to hold.
    fn run_until(&mut self, end: Mono, holds: impl Fn(&Self) -> bool) -> bool {
        self.input(Input::Tick);
        loop {
            while self.now < end && !holds(self) && self.answer_one() {}
            if holds(self) {
                return true;
            }
            let due = self
                .driver
                .next_deadline()
                .map(|(at, _)| at)
                .filter(|at| *at <= end);
            let Some(at) = due else { break };
            self.pass(at);
            self.input(Input::Tick);
        }
        self.pass(end);
        holds(self)
    }

    /// Awaits something the driver tells.
    pub(super) fn await_that(
        &mut self,
        what: &str,
        within: Duration,
        holds: impl Fn(&Self) -> bool,
    ) -> Result<(), String> {
        let end = self.now.plus(within);
        match self.run_until(end, holds) {
            true => Ok(()),
            false => Err(format!("{what}: did not come about within {within:?}")),
        }
    }

    /// Gives a command and awaits its end.
    pub(super) fn drive(&mut self, command: DeviceCommand) -> Result<(), String> {
        self.tickets += 1;
        let ticket = self.tickets;
        self.input(Input::Drive {
            ticket,
            command,
            lowering: false,
        });
        let end = self.now.plus(PATIENCE);
        self.run_until(end, |stage| stage.done.contains_key(&ticket));
        match self.done.remove(&ticket) {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(format!("{command:?}: {error}")),
            None => Err(format!("{command:?}: not done within {PATIENCE:?}")),
        }
    }

    /// Forgets what was told so far and awaits that every fast point was read again, as a charging vehicle needs
    /// time to follow.
    pub(super) fn look(&mut self) {
        let poll = self.profile.link().poll;
        self.run(Duration::from_secs(3));
        self.seen = Seen::default();
        self.run(poll + poll / 4 + Duration::from_secs(1));
    }

    /// As [`Stage::look`], for slow points as well.
    pub(super) fn look_long(&mut self) {
        let link = self.profile.link();
        let slow = link.slow_poll.max(link.poll);
        self.seen = Seen::default();
        self.run(slow + slow / 4 + Duration::from_secs(1));
    }

    /// The current a command comes to: what the register can say of it.
    pub(super) fn expected(&self, amps: MilliAmps) -> Result<MilliAmps, String> {
        if self.profile.pauses(amps) {
            return Ok(MilliAmps::ZERO);
        }
        let image = self.device.image();
        let point = self
            .limit_point(&image)
            .ok_or("no limit point exists on this firmware")?;
        let electrical = electrical(&self.profile);
        let raw = current_raw(point, amps, self.profile.limits(), electrical);
        Ok(raw
            .and_then(|raw| current_of(point, &raw, electrical))
            .unwrap_or(MilliAmps::ZERO))
    }

    /// What flows on one phase when all of the power that was written does; zero while paused.
    pub(super) fn on_one_phase(&self) -> Option<MilliAmps> {
        if self.device.body.offered() <= MilliAmps::ZERO {
            return None;
        }
        let image = self.device.image();
        let point = self.limit_point(&image)?;
        let id = self.profile.find(&point.name)?;
        current_of(point, image.get(id)?, Electrical::default())
    }

    fn limit_point(&self, image: &Image) -> Option<&Point> {
        let limits = |step: &&StepSpec| all_hold(&step.when, image);
        let written = self.profile.recipes().limit.iter().filter(limits);
        let mut points = written.filter_map(|step| match &step.action {
            Action::Write(write) if write.value == ValueSpec::Limit => Some(self.profile.point(write.point)),
            Action::Write(_) | Action::Wait(_) => None,
        });
        points.rfind(|point| all_hold(&point.when, image))
    }

    /// Whether the device offers a current, give or take what rounding in its unit costs.
    pub(super) fn offers(&self, amps: MilliAmps) -> Result<(), String> {
        let offered = self.device.body.offered();
        match (offered.0 - amps.0).abs() <= 20 {
            true => Ok(()),
            false => Err(format!("the device offers {offered}, expected {amps}")),
        }
    }

    /// The supervision inside the device, which is there by the profile.
    pub(super) fn supervision(&self) -> Result<Supervision, String> {
        self.device
            .body
            .supervision
            .ok_or_else(|| "the simulated device has no watchdog".to_owned())
    }

    /// Whether a point with this role is there on the simulated firmware.
    pub(super) fn has_role(&self, role: impl Fn(&Role) -> bool) -> bool {
        let image = self.device.image();
        let points = self.profile.points().iter();
        points
            .filter(|point| point.fc.is_some() && all_hold(&point.when, &image))
            .any(|point| role(&point.role))
    }

    /// What was written since the list was cleared.
    pub(super) fn writes(&self) -> Vec<String> {
        let line = |write: &super::super::body::Write| {
            let words: Vec<String> = write.values.iter().map(ToString::to_string).collect();
            format!("{} {} = {}", write.fc, write.addr, words.join(" "))
        };
        self.device.body.writes.iter().map(line).collect()
    }
}

impl Seen {
    fn take(&mut self, observation: Observation) {
        match observation {
            Observation::Reading(reading) => {
                self.readings
                    .insert((reading.quantity, reading.phase), reading.milli);
            }
            Observation::Vehicle { state, .. } => self.vehicle = Some(state),
            Observation::Fault(fault) => self.fault = fault,
            Observation::Token(token) => self.token = Some(token),
            Observation::LimitReadBack(amps) => self.read_back = Some(amps),
            Observation::HardwareLimit(_)
            | Observation::Fact(..)
            | Observation::Contact { .. }
            | Observation::Pulses(_) => {}
        }
    }
}

fn electrical(profile: &Profile) -> Electrical {
    Electrical {
        phases: profile.about().phases.clamp(1, 3),
        ..Electrical::default()
    }
}

/// A device as delivered, its energy register at a value that the register can hold.
fn spec(profile: &Arc<Profile>) -> DeviceSpec {
    let mut spec = DeviceSpec::new("device", Arc::clone(profile), 1);
    for point in profile.points() {
        let is_energy = matches!(
            point.role,
            Role::Reading {
                quantity: Quantity::EnergyImport,
                ..
            }
        );
        if let Some((_, most)) = point.layout.kind.bounds().filter(|_| is_energy)
            && let Some(full) = point.to_milli.scale(most)
        {
            spec.energy = spec.energy.min(MilliWattHours(full.abs() / 4));
        }
    }
    spec
}

/// A request as a slave reads it.
fn bytes(pdu: &Pdu) -> Vec<u8> {
    let words =
        |fc: u8, addr: u16, second: u16| [&[fc][..], &addr.to_be_bytes(), &second.to_be_bytes()].concat();
    let length = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
    let byte = |length: usize| u8::try_from(length).unwrap_or(u8::MAX);
    match pdu {
        Pdu::Read { fc, addr, count } => words(fc.code(), *addr, *count),
        Pdu::WriteSingle { addr, value } => words(6, *addr, *value),
        Pdu::WriteCoil { addr, on } => words(5, *addr, if *on { 0xFF00 } else { 0 }),
        Pdu::WriteMulti { addr, values } => {
            let mut out = words(16, *addr, length(values.len()));
            out.push(byte(2 * values.len()));
            out.extend(values.iter().flat_map(|value| value.to_be_bytes()));
            out
        }
        Pdu::WriteCoils { addr, values } => {
            let mut out = words(15, *addr, length(values.len()));
            let mut packed = vec![0; values.len().div_ceil(8)];
            for (i, value) in values.iter().enumerate() {
                packed[i / 8] |= u8::from(*value) << (i % 8);
            }
            out.push(byte(packed.len()));
            out.extend(packed);
            out
        }
    }
}

/// A slave's answer as the driver reads it.
fn reply(pdu: &Pdu, answer: &[u8]) -> Result<Reply, DriveError> {
    let (fc, rest) = answer.split_first().ok_or(DriveError::Garbled)?;
    if *fc == pdu.function() | 0x80 {
        return Err(DriveError::Exception(rest.first().copied().unwrap_or(0)));
    }
    let data = rest.get(1..).unwrap_or_default();
    Ok(match pdu {
        Pdu::Read { fc, .. } if fc.is_bits() => Reply::Bits(
            data.iter()
                .flat_map(|b| (0..8).map(move |i| b >> i & 1 == 1))
                .collect(),
        ),
        Pdu::Read { .. } => Reply::Registers(
            data.chunks_exact(2)
                .map(|w| u16::from_be_bytes([w[0], w[1]]))
                .collect(),
        ),
        _ => Reply::Written,
    })
}
