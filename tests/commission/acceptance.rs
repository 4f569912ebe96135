//! The acceptance of a charger: on simulated hardware that behaves, and on one that does not.

use retrovolt::commission::acceptance::{Plan, Report, Verdict, accept};
use retrovolt::device::Library;
use retrovolt::domain::{BusId, BusSetup, Clock, DeviceId, DeviceSetup, Link, MilliAmps, Parity};
use retrovolt::sim::clock::RealClock;
use retrovolt::sim::{DeviceSpec, EvSpec, Format, LineSetup, World, WorldSpec};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const ALL: Plan = Plan {
    vehicle: true,
    phases: false,
    failsafe: true,
    unlock: false,
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
        }],
    }
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
        ],
        "{report:#?}"
    );
    assert!(report.facts.contains_key("register map"), "{report:#?}");
    let last = report.steps.last().expect("steps");
    assert!(last.seen.contains("its fallback is 6 A"), "{last:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_vehicle_nothing_has_to_flow_and_a_silent_charger_fails() {
    let dir = TempDir::new().expect("a folder");
    let world = box_on_a_line(dir.path()).await;
    let mut plan = Plan {
        failsafe: false,
        ..ALL
    };
    plan.vehicle = false;
    assert!(
        accepted(dir.path(), plan).await.passed,
        "nothing flows, and nothing has to"
    );
    world.set_silent("wallbox", true).expect("a charger");
    let report = accepted(dir.path(), plan).await;
    assert!(!report.passed);
    assert_eq!(verdicts(&report), [("it answers", Verdict::Failed)]);
}
