//! Every shipped profile can be simulated, and what the simulated device shows is what the decoder reads.

use retrovolt::device::{
    Caution, Electrical, Image, Library, LinkCost, Pdu, Profile, RecipeContext, Reply, Step, milli_of,
};
use retrovolt::domain::{
    DeviceCommand, FaultKind, MilliAmps, Mono, Observation, Phase, Protocol, Quantity, VehicleState,
};
use retrovolt::sim::{DeviceSpec, Ev, EvSpec, STEP_MS, SimDevice};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A device with the clock in its hand.
struct Bench {
    profile: Arc<Profile>,
    device: SimDevice,
    now: Mono,
    image: Image,
}

/// What one look at every point brought.
#[derive(Debug, Default)]
struct Seen {
    readings: BTreeMap<(Quantity, Phase), i64>,
    vehicle: Option<VehicleState>,
    fault: Option<FaultKind>,
    token: Option<String>,
    read_back: Option<MilliAmps>,
}

fn bytes(pdu: &Pdu) -> Vec<u8> {
    let words =
        |fc: u8, addr: u16, second: u16| [&[fc][..], &addr.to_be_bytes(), &second.to_be_bytes()].concat();
    match pdu {
        Pdu::Read { fc, addr, count } => words(fc.code(), *addr, *count),
        Pdu::WriteSingle { addr, value } => words(6, *addr, *value),
        Pdu::WriteCoil { addr, on } => words(5, *addr, if *on { 0xFF00 } else { 0 }),
        Pdu::WriteMulti { addr, values } => {
            let count = u16::try_from(values.len()).unwrap();
            let mut out = words(16, *addr, count);
            out.push(u8::try_from(2 * count).unwrap());
            out.extend(values.iter().flat_map(|v| v.to_be_bytes()));
            out
        }
        Pdu::WriteCoils { addr, values } => {
            let mut out = words(15, *addr, u16::try_from(values.len()).unwrap());
            let mut packed = vec![0; values.len().div_ceil(8)];
            for (i, value) in values.iter().enumerate() {
                packed[i / 8] |= u8::from(*value) << (i % 8);
            }
            out.push(u8::try_from(packed.len()).unwrap());
            out.extend(packed);
            out
        }
    }
}

fn reply(pdu: &Pdu, answer: &[u8]) -> Reply {
    assert_eq!(answer[0], pdu.function(), "{pdu:?} was refused: {answer:02X?}");
    match pdu {
        Pdu::Read { fc, .. } if fc.is_bits() => Reply::Bits(
            answer[2..]
                .iter()
                .flat_map(|b| (0..8).map(move |i| b >> i & 1 == 1))
                .collect(),
        ),
        Pdu::Read { .. } => Reply::Registers(
            answer[2..]
                .chunks(2)
                .map(|w| u16::from_be_bytes([w[0], w[1]]))
                .collect(),
        ),
        _ => Reply::Written,
    }
}

impl Bench {
    fn new(id: &str) -> Self {
        let profile = Library::builtin().get(id).expect("a shipped profile");
        let device = SimDevice::new(DeviceSpec::new("d", Arc::clone(&profile), 1), Mono(0));
        Self {
            profile,
            device,
            now: Mono(0),
            image: Image::new(),
        }
    }

    fn send(&mut self, pdu: &Pdu) -> Reply {
        let answer = self.device.call(self.now, &bytes(pdu)).expect("an answer");
        reply(pdu, &answer.pdu)
    }

    fn run(&mut self, time: Duration) {
        let steps = u64::try_from(time.as_millis()).unwrap() / STEP_MS;
        for _ in 0..steps {
            self.now = self.now.plus(Duration::from_millis(STEP_MS));
            self.device.body.step(self.now, STEP_MS.cast_signed());
        }
    }

    /// Reads every point, twice where a point depends on one read later.
    fn look(&mut self) -> Seen {
        let cost = LinkCost {
            char_us: 573,
            silence_us: 2_005,
            think_us: 5_000,
        };
        let profile = Arc::clone(&self.profile);
        let mut seen = Seen::default();
        for _ in 0..3 {
            for block in profile.plan(cost, 1, &self.image, Caution::Normal) {
                let reply = self.send(&block.pdu());
                let observations = profile
                    .decode(
                        &block,
                        &reply,
                        1,
                        Electrical::default(),
                        &mut self.image,
                        self.now,
                    )
                    .expect("an answer of the right length");
                observations
                    .into_iter()
                    .for_each(|observation| seen.take(observation));
            }
        }
        seen
    }

    fn command(&mut self, command: DeviceCommand) {
        let profile = Arc::clone(&self.profile);
        let image = self.image.clone();
        let steps = profile
            .recipe(command, &RecipeContext::new(&image))
            .expect("a recipe");
        for step in steps {
            let Step::Write { pdu, verify, .. } = step else {
                continue;
            };
            self.send(&pdu);
            if let Some(check) = verify {
                let answer = self.send(&check.read);
                check
                    .judge(&answer)
                    .unwrap_or_else(|e| panic!("{}: {command:?}: {e}", profile.id()));
            }
        }
    }
}

impl Seen {
    fn take(&mut self, observation: Observation) {
        match observation {
            Observation::Reading(r) => {
                self.readings.insert((r.quantity, r.phase), r.milli);
            }
            Observation::Vehicle { state, .. } => self.vehicle = Some(state),
            Observation::Fault(fault) => self.fault = fault.map(|fault| fault.kind),
            Observation::Token(token) => self.token = token.map(|token| token.text),
            Observation::LimitReadBack(amps) => self.read_back = Some(amps),
            Observation::HardwareLimit(_) | Observation::Fact(..) => {}
        }
    }
}

fn chargers() -> Vec<String> {
    let library = Library::builtin();
    library
        .speaking(Protocol::Modbus)
        .filter(|(_, profile)| profile.kind() == retrovolt::device::Kind::Charger)
        .map(|(id, _)| id.to_owned())
        .collect()
}

/// The least step a point can show, in milli-units.
fn grain(profile: &Profile, quantity: Quantity, phase: Phase, value: i64) -> i64 {
    let point = profile.points().iter().find(|point| {
        matches!(&point.role, retrovolt::device::Role::Reading { quantity: q, phase: p, .. }
            if *q == quantity && *p == phase)
    });
    let point = point.expect("the point that was read");
    if point.layout.kind.is_float() {
        return value.abs() / 8_000_000 + 1;
    }
    let of = |raw| milli_of(point, &retrovolt::device::Raw::Int(raw));
    of(1).zip(of(0)).map_or(1, |(one, zero)| (one - zero).abs())
}

#[test]
fn every_shipped_device_reads_back_through_its_decoder() {
    for (id, _) in Library::builtin().speaking(Protocol::Modbus) {
        let mut bench = Bench::new(id);
        bench.device.body.ev = Some(Ev::new(EvSpec::default()));
        if bench.device.is_charger() {
            bench.run(Duration::from_secs(5));
        } else {
            let mut ev = Ev::new(EvSpec::default());
            let flow = ev.step(5_000, MilliAmps::from_base(16), [230_000; 3]);
            bench.device.body.carry(flow, 3_600_000);
        }
        let seen = bench.look();
        assert_ne!(
            bench.profile.matches(&bench.image),
            Some(false),
            "{id} is not recognised"
        );
        for ((quantity, phase), milli) in &seen.readings {
            let truth = bench.device.body.measure(*quantity, *phase);
            let grain = grain(&bench.profile, *quantity, *phase, truth);
            assert!(
                (milli - truth).abs() <= grain,
                "{id}: {quantity:?} {phase:?} reads {milli}, is {truth}"
            );
        }
        if bench.device.is_charger() {
            assert_eq!(seen.vehicle, Some(VehicleState::Charging), "{id}");
        } else {
            assert!(
                seen.readings
                    .contains_key(&(Quantity::EnergyImport, Phase::Total)),
                "{id}"
            );
        }
    }
}

#[test]
fn states_come_through_the_inverted_map() {
    for id in chargers() {
        let mut bench = Bench::new(&id);
        assert_eq!(bench.look().vehicle, Some(VehicleState::Absent), "{id}");
        let mut ev = Ev::new(EvSpec::default());
        ev.ask(false);
        bench.device.body.ev = Some(ev);
        let idle = bench.look().vehicle;
        assert_eq!(idle.and_then(VehicleState::plugged), Some(true), "{id}: {idle:?}");
        bench.device.body.ev = Some(Ev::new(EvSpec::default()));
        assert_eq!(bench.look().vehicle, Some(VehicleState::Charging), "{id}");
        bench.device.body.fault = Some(FaultKind::GroundFailure);
        let broken = bench.look().vehicle;
        assert!(matches!(broken, Some(VehicleState::Fault(_))), "{id}: {broken:?}");
    }
}

#[test]
fn recipes_move_the_simulated_charger() {
    for id in chargers() {
        let mut bench = Bench::new(&id);
        bench.look();
        bench.device.body.ev = Some(Ev::new(EvSpec::default()));
        for amps in [10, 6, 13] {
            bench.command(DeviceCommand::Limit(MilliAmps::from_base(amps)));
            bench.run(Duration::from_secs(4));
            assert_eq!(bench.device.body.offered().base(), amps, "{id}");
            assert_eq!(bench.device.body.flow.milliamps[0], amps * 1000, "{id}");
            let seen = bench.look();
            assert!(
                seen.read_back.is_none_or(|read| read.base() == amps),
                "{id}: {seen:?}"
            );
        }
        bench.command(DeviceCommand::Limit(MilliAmps::ZERO));
        bench.run(Duration::from_secs(1));
        assert_eq!(bench.device.body.offered(), MilliAmps::ZERO, "{id}");
        assert_eq!(bench.device.body.flow.total_milliwatts(), 0, "{id}");
        assert!(!bench.device.body.writes.is_empty(), "{id}");
    }
}

#[test]
fn a_silent_gateway_leaves_the_charger_at_its_fallback() {
    let mut watched = 0;
    for id in chargers() {
        let mut bench = Bench::new(&id);
        bench.look();
        let Some(timeout) = bench.profile.watchdog_timeout(None) else {
            continue;
        };
        watched += 1;
        bench.command(DeviceCommand::ArmWatchdog);
        bench.command(DeviceCommand::Limit(MilliAmps::from_base(16)));
        let steps = bench
            .profile
            .feed(&RecipeContext::new(&bench.image))
            .expect("a feed");
        for step in steps {
            if let Step::Write { pdu, .. } = step {
                bench.send(&pdu);
            }
        }
        let armed = bench.device.body.supervision.expect("a watchdog");
        assert!(
            armed.timeout <= timeout && armed.timeout + Duration::from_secs(1) > timeout,
            "{id}: {armed:?}"
        );
        assert_eq!(bench.device.body.offered().base(), 16, "{id}");
        bench.run(armed.timeout - Duration::from_millis(2 * STEP_MS));
        assert_eq!(bench.device.body.offered().base(), 16, "{id}: too early");
        bench.run(Duration::from_millis(3 * STEP_MS));
        assert_eq!(bench.device.body.offered(), armed.fallback, "{id}");
        assert_eq!(bench.device.body.supervision.map(|s| s.trips), Some(1), "{id}");
    }
    assert!(watched >= 2, "only {watched} shipped chargers have a watchdog");
}

#[test]
fn what_the_profile_forbids_is_refused() {
    let mut bench = Bench::new("heidelberg-energy-control");
    let mut refused = |pdu: &[u8]| bench.device.call(Mono(0), pdu).expect("an answer").pdu;
    assert_eq!(
        refused(&[6, 1, 5, 0, 30]),
        [0x86, 3],
        "3 A is not an allowed limit"
    );
    assert_eq!(refused(&[6, 1, 44, 0, 0]), [0x86, 2], "no register 300");
    assert_eq!(refused(&[6, 0, 5, 0, 7]), [0x86, 2], "the status is read-only");
    assert_eq!(refused(&[4, 0, 4, 0, 31]), [0x84, 3], "31 registers are too many");
    assert_eq!(refused(&[6, 1, 5, 0, 100]), [6, 1, 5, 0, 100]);
    assert_eq!(bench.device.register(3, 261), Some(100));
    assert_eq!(bench.device.body.limit, MilliAmps::from_base(10));
}
