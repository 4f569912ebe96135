//! The acceptance of a charger: on simulated hardware that behaves, and on one that does not.

use retrovolt::commission::acceptance::{FOLLOWS, Plan, Report, Verdict, accept};
use retrovolt::device::{Library, Profile};
use retrovolt::domain::{BusId, BusSetup, Clock, DeviceId, DeviceSetup, Link, MilliAmps, Parity};
use retrovolt::sim::clock::RealClock;
use retrovolt::sim::{DeviceSpec, EvSpec, Format, LineSetup, World, WorldSpec};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const ALL: Plan = Plan {
    most: MilliAmps(16_000),
    vehicle: true,
    follows: FOLLOWS,
    phases: false,
    failsafe: true,
    unlock: false,
};

/// Longer than the two seconds the simulated vehicle takes; the bare box is polled every 100 ms.
const QUICK: Duration = Duration::from_secs(6);

/// Nothing is plugged in, and the line is not left alone.
const EMPTY: Plan = Plan {
    vehicle: false,
    failsafe: false,
    ..ALL
};

async fn box_on_a_line(dir: &Path) -> World {
    let library = Library::builtin();
    let profile = library
        .get("heidelberg-energy-control")
        .expect("a shipped profile");
    let format = Format {
        parity: Parity::Even,
        ..Format::even(19_200)
    };
    let line = LineSetup::new(dir.join("line.tty"), format);
    let spec = WorldSpec {
        lines: vec![("line".into(), line, vec![DeviceSpec::new("wallbox", profile, 1)])],
        servers: Vec::new(),
    };
    World::start(spec, Arc::new(RealClock::start()))
        .await
        .expect("the hardware")
}

fn bus(dir: &Path) -> BusSetup {
    BusSetup {
        protocol: retrovolt::domain::Protocol::Modbus,
        framing: retrovolt::domain::Framing::Rtu,
        id: BusId::new("line"),
        link: Link::Serial {
            path: dir.join("line.tty"),
            baud: 19_200,
            parity: Parity::Even,
            data_bits: 8,
            stop_bits: 1,
            echo: false,
        },
        min_gap: Duration::ZERO,
        timeout: Duration::from_secs(1),
        reopen_wait: Duration::from_millis(200),
        devices: vec![DeviceSetup {
            address: None,
            id: DeviceId::new("wallbox"),
            profile: "heidelberg-energy-control".into(),
            unit: 1,
            connector: 1,
            poll: Some(Duration::from_millis(500)),
            timeout: None,
            watchdog_timeout: Some(Duration::from_secs(3)),
            watchdog_feed: None,
            failsafe_current: Some(MilliAmps(6_000)),
            accept_no_failsafe: false,
            supply: None,
        }],
    }
}

/// A box that takes up to 32 A, has a switch beside its limit, and no watchdog.
const BARE_BOX: &str = r#"
format = 1
id = "test-bare-box"
kind = "charger"
vendor = "Test"
models = ["Bare"]
phases = 3
source = ["made up for this test"]

[link]
tcp_port = 502
unit = 1
timeout_ms = 500
poll_ms = 100
max_read_regs = 60

[defaults]
fc = 3
write_fc = [6]

[points]
state = { at = 100, type = "u16" }
current = { at = 101, type = "u16", scale = 0.01, quantity = "current", phases = ["l1", "l2", "l3"] }
limit = { at = 120, type = "u16", access = "rw", scale = 0.1, unit = "A", role = "limit_read_back", allowed = [[60, 320]] }
switch = { at = 121, type = "u16", access = "rw", allowed = [[0, 1]] }

[state]
point = "state"
map = [
  { raw = 0, iec = "A" },
  { raw = 1, iec = "B1" },
  { raw = 2, iec = "B2" },
  { raw = 3, iec = "C1" },
  { raw = 4, iec = "C2" },
]
otherwise = "F"

[limits]
min_a = 6
max_a = 32

[recipes]
limit = [{ write = "limit", value = "limit", verify = "limit", settle_ms = 200 }]
pause = [{ write = "switch", value = 0, verify = "switch", settle_ms = 200 }]
enable = [{ write = "switch", value = 1, verify = "switch", settle_ms = 200 }]
disable = [{ write = "switch", value = 0, verify = "switch", settle_ms = 200 }]
"#;

/// The report on a bare box whose hardware is as this profile says, with this vehicle at it, which follows by then.
async fn accepted_bare(hardware: &str, ev: EvSpec, follows: Duration) -> (Report, World) {
    let mut library = Library::builtin();
    library.add("bare.toml", BARE_BOX).expect("a good profile");
    let profile = Profile::parse("hardware.toml", hardware).expect("a good profile");
    let mut spec = DeviceSpec::new("wallbox", Arc::new(profile), 1);
    spec.think = Duration::from_millis(1);
    let spec = WorldSpec {
        lines: Vec::new(),
        servers: vec![("net".into(), vec![spec])],
    };
    let clock: Arc<dyn Clock> = Arc::new(RealClock::start());
    let world = World::start(spec, Arc::clone(&clock))
        .await
        .expect("the hardware");
    world.plug("wallbox", ev).expect("a charger");
    let address = world.address("net").expect("a server");
    let mut setup = bus(Path::new(""));
    setup.framing = retrovolt::domain::Framing::Tcp;
    setup.link = Link::Tcp {
        host: address.ip().to_string(),
        port: address.port(),
    };
    setup.devices[0].profile = "test-bare-box".into();
    setup.devices[0].poll = None;
    setup.devices[0].accept_no_failsafe = true;
    let plan = Plan { follows, ..ALL };
    let report = accept(setup, &library, clock, plan, &mut |_| {})
        .await
        .expect("the bus starts");
    (report, world)
}

/// The limit is taken, confirmed and read back, and the vehicle draws what it likes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charger_whose_limit_does_nothing_fails_at_that_step() {
    let deaf = BARE_BOX
        .replace("limit = { at = 120,", "limit = { at = 130,")
        .replace(
            "switch = {",
            "deaf = { at = 120, type = \"u16\", access = \"rw\", allowed = [[60, 320]] }\nswitch = {",
        );
    // Only the least limit is less than it draws.
    let ev = EvSpec {
        max: MilliAmps(10_000),
        ..EvSpec::default()
    };
    let (report, world) = accepted_bare(&deaf, ev, QUICK).await;
    assert!(!report.passed);
    let limit = report
        .steps
        .iter()
        .find(|step| step.step == "limit 6 A")
        .expect("the step");
    assert_eq!(limit.verdict, Verdict::Failed, "{report:#?}");
    assert!(limit.seen.contains(" A"), "what flowed instead: {limit:?}");
    let pause = report
        .steps
        .iter()
        .find(|step| step.step == "pause")
        .expect("the step");
    assert_eq!(pause.verdict, Verdict::Passed, "the switch works: {report:#?}");
    assert_eq!(
        world.offered("wallbox"),
        Ok(MilliAmps(0)),
        "it is left off all the same"
    );
}

/// The watchdog is armed as it should be, and does not bite.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charger_that_does_not_fall_back_fails_at_that_step() {
    let dir = TempDir::new().expect("a folder");
    let world = box_on_a_line(dir.path()).await;
    world.plug("wallbox", EvSpec::default()).expect("a charger");
    world
        .device("wallbox", |device| device.body.supervision = None)
        .expect("a charger");
    let report = accepted(dir.path(), ALL).await;
    assert!(!report.passed);
    let failed: Vec<&str> = verdicts(&report)
        .into_iter()
        .filter(|(_, verdict)| *verdict == Verdict::Failed)
        .map(|(step, _)| step)
        .collect();
    assert_eq!(
        failed,
        ["it falls back when the gateway is silent"],
        "{report:#?}"
    );
}

/// What the installation carries is all that is offered, the switch is used as a station uses it, and a charger that
/// would keep its last current is not left with one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charger_without_a_watchdog_is_never_offered_more_than_the_installation_carries_nor_left_on() {
    let (report, world) = accepted_bare(BARE_BOX, EvSpec::default(), FOLLOWS).await;
    assert!(report.passed, "{report:#?}");
    let steps = verdicts(&report);
    assert_eq!(
        steps[2..6],
        ["6 A", "11 A", "16 A", "6 A"]
            .map(|amps| (["limit ", amps].concat(), Verdict::Passed))
            .each_ref()
            .map(|(step, verdict)| (step.as_str(), *verdict)),
        "{report:#?}"
    );
    assert_eq!(
        steps[10],
        ("it falls back when the gateway is silent", Verdict::Skipped)
    );
    let writes = world.writes("wallbox").expect("a charger");
    let to = |addr| {
        let of = writes.iter().filter(move |w| w.addr == addr);
        of.filter_map(|w| w.values.first().copied())
    };
    assert_eq!(to(120).max(), Some(160), "{writes:?}");
    assert_eq!(to(121).next_back(), Some(0), "{writes:?}");
    assert_eq!(world.offered("wallbox"), Ok(MilliAmps(0)));
}

async fn accepted(dir: &Path, plan: Plan) -> Report {
    let clock: Arc<dyn Clock> = Arc::new(RealClock::start());
    let mut told = 0;
    let mut tell = |_: &_| told += 1;
    let report = accept(bus(dir), &Library::builtin(), clock, plan, &mut tell)
        .await
        .expect("the bus starts");
    assert_eq!(told, report.steps.len(), "every step is told as it ends");
    report
}

fn verdicts(report: &Report) -> Vec<(&str, Verdict)> {
    report
        .steps
        .iter()
        .map(|step| (step.step.as_str(), step.verdict))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charger_that_obeys_passes_and_falls_back_in_silence() {
    let dir = TempDir::new().expect("a folder");
    let world = box_on_a_line(dir.path()).await;
    world.plug("wallbox", EvSpec::default()).expect("a charger");
    let report = accepted(dir.path(), ALL).await;
    assert!(report.passed, "{report:#?}");
    assert_eq!(
        verdicts(&report),
        [
            ("it answers", Verdict::Passed),
            ("its watchdog is armed", Verdict::Passed),
            ("limit 6 A", Verdict::Passed),
            ("limit 11 A", Verdict::Passed),
            ("limit 16 A", Verdict::Passed),
            ("limit 6 A", Verdict::Passed),
            ("pause", Verdict::Passed),
            ("1 phases", Verdict::Skipped),
            ("3 phases", Verdict::Skipped),
            ("unlock", Verdict::Skipped),
            ("it falls back when the gateway is silent", Verdict::Passed),
            ("it is left in its safe state", Verdict::Passed),
        ],
        "{report:#?}"
    );
    assert!(report.facts.contains_key("register map"), "{report:#?}");
    let silence = &report.steps[report.steps.len() - 2];
    assert!(silence.seen.contains("its fallback is 6 A"), "{silence:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_vehicle_nothing_has_to_flow() {
    let dir = TempDir::new().expect("a folder");
    let _world = box_on_a_line(dir.path()).await;
    assert!(
        accepted(dir.path(), EMPTY).await.passed,
        "nothing flows, and nothing has to"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_charger_fails() {
    let dir = TempDir::new().expect("a folder");
    let world = box_on_a_line(dir.path()).await;
    world.set_silent("wallbox", true).expect("a charger");
    let report = accepted(dir.path(), EMPTY).await;
    assert!(!report.passed);
    assert_eq!(verdicts(&report), [("it answers", Verdict::Failed)]);
}
