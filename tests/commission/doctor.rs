//! U3: faults are injected, the doctor names them.

use crate::line::{Fault, SimLine};
use retrovolt::commission::doctor::{Cause, Finding, Line, Subject, endpoint, serial, unopened};
use retrovolt::commission::medium::{Medium, Target};
use retrovolt::commission::ports::Roots;
use retrovolt::commission::talk::settled;
use retrovolt::commission::{Settings, identify};
use retrovolt::device::{Library, Profile};
use retrovolt::domain::{Framing, Mono, Parity};
use std::io;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const RIGHT: Settings = Settings::new(9_600, Parity::None);

/// A meter of which a user wrote the profile himself.
const METER: &str = r#"
format = 1
id = "my-meter"
kind = "meter"
vendor = "Test"
models = ["One"]
phases = 3
source = ["made up for this test"]

[link]
serial = { baud = 9600, parity = "none" }
unit = 1
poll_ms = 1000

[defaults]
fc = 3
word_order = "big"

[identify]
confidence = "medium"
checks = [{ point = "voltage_l1", min = 90, max = 300 }, { point = "frequency", min = 45, max = 65 }]

[points]
voltage = { at = 10, type = "f32", quantity = "voltage", phases = ["l1", "l2", "l3"] }
current = { at = 16, type = "f32", quantity = "current", phases = ["l1", "l2", "l3"] }
power = { at = 22, type = "f32", quantity = "power" }
frequency = { at = 24, type = "f32", quantity = "frequency" }
energy = { at = 30, type = "u32", unit = "Wh", quantity = "energy_import" }
"#;

fn meter(text: &str) -> Arc<Profile> {
    Arc::new(Profile::parse("my-meter.toml", text).expect("a good profile"))
}

fn shipped(id: &str) -> Arc<Profile> {
    Library::builtin().get(id).expect("a shipped profile")
}

fn subject(profile: &Arc<Profile>, unit: u8) -> Subject {
    Subject {
        id: "meter".into(),
        unit,
        connector: 1,
        profile: Some(Arc::clone(profile)),
    }
}

fn configured(settings: Settings) -> Line {
    Line {
        settings,
        framing: Framing::Rtu,
        echo: false,
        timeout: Duration::from_millis(500),
    }
}

async fn examine(mut line: SimLine, settings: Settings, subjects: &[Subject]) -> Vec<Finding> {
    let library = identify::order(&Library::builtin(), true);
    serial(&mut line, configured(settings), subjects, &library)
        .await
        .expect("the port stays")
}

fn first(findings: &[Finding]) -> Option<Cause> {
    findings.first().map(|finding| finding.cause)
}

/// One fault on the simulated line: what is named, best first.
async fn on_the_line(fault: Cause) -> Vec<Finding> {
    let right = meter(METER);
    let line = |fault| SimLine::new(RIGHT, fault).with(&right, 1);
    let own = [subject(&right, 1)];
    let even = Settings::new(9_600, Parity::Even);
    match fault {
        Cause::WrongBaud => examine(line(Fault::Nothing), Settings::new(19_200, Parity::None), &own).await,
        Cause::WrongParity => examine(line(Fault::Nothing), even, &own).await,
        Cause::WrongStopBits => examine(line(Fault::Nothing), RIGHT.two_stops(), &own).await,
        Cause::WrongUnit => {
            let other = SimLine::new(RIGHT, Fault::Nothing).with(&right, 5);
            examine(other, RIGHT, &own).await
        }
        Cause::SwappedWires => examine(line(Fault::Swapped), RIGHT, &own).await,
        Cause::DeviceSilent => {
            // Another device on the same line answers: the wires are right.
            let other = SimLine::new(RIGHT, Fault::Nothing).with(&right, 2);
            let both = [subject(&right, 2), subject(&right, 1)];
            examine(other, RIGHT, &both).await
        }
        Cause::NoTermination => {
            let long = shipped("eastron-sdm630");
            let line = SimLine::new(RIGHT, Fault::NoTermination).with(&long, 1);
            examine(line, RIGHT, &[subject(&long, 1)]).await
        }
        Cause::DuplicateAddress => examine(line(Fault::Collision).with(&right, 1), RIGHT, &own).await,
        Cause::SecondMaster => examine(line(Fault::SecondMaster), RIGHT, &own).await,
        Cause::LocalEcho => examine(line(Fault::Echo), RIGHT, &own).await,
        Cause::SlowDevice => {
            let slow = line(Fault::Nothing).thinking(Duration::from_millis(900));
            examine(slow, RIGHT, &own).await
        }
        Cause::OffByOne => {
            let mut wrong = METER.to_owned();
            for (at, shifted) in [(10, 11), (16, 17), (22, 23), (24, 25), (30, 31)] {
                wrong = wrong.replace(&format!("at = {at},"), &format!("at = {shifted},"));
            }
            examine(line(Fault::Nothing), RIGHT, &[subject(&meter(&wrong), 1)]).await
        }
        Cause::WordOrder => {
            let wrong = METER.replace("word_order = \"big\"", "word_order = \"little\"");
            examine(line(Fault::Nothing), RIGHT, &[subject(&meter(&wrong), 1)]).await
        }
        Cause::WrongProfile => {
            let other = shipped("eastron-sdm630");
            let line = SimLine::new(RIGHT, Fault::Nothing).with(&other, 1);
            examine(line, RIGHT, &[subject(&shipped("heidelberg-energy-control"), 1)]).await
        }
        Cause::WatchdogNotFed => {
            let charger = shipped("heidelberg-energy-control");
            let serial = charger.link().serial.expect("a serial wallbox");
            let settings = Settings::new(serial.baud, serial.parity);
            let mut line = SimLine::new(settings, Fault::Nothing).with(&charger, 1);
            // Left alone it fell back to 0 A: function 6, register 261.
            assert!(line.devices[0].call(Mono(0), &[6, 1, 5, 0, 0]).is_some());
            examine(line, settings, &[subject(&charger, 1)]).await
        }
        Cause::Unplugged
        | Cause::Renumbered
        | Cause::NoPermission
        | Cause::PortHeld
        | Cause::Unreachable
        | Cause::ConnectionBroken
        | Cause::FramingMixUp => unreachable!("not a fault of the line"),
    }
}

/// A machine with one USB adapter, and what it says of a port that cannot be opened.
fn at_the_port(fault: Cause) -> Vec<Finding> {
    let dir = tempfile::tempdir().expect("a folder");
    let at = |path: &str| dir.path().join(path);
    for folder in ["class/ttyUSB1", "usb/1-1/tty", "dev/serial/by-id", "proc/77/fd"] {
        std::fs::create_dir_all(at(folder)).expect("a folder");
    }
    let roots = Roots {
        class: at("class"),
        dev: at("dev"),
        proc: at("proc"),
    };
    if fault != Cause::Unplugged {
        std::fs::write(at("usb/1-1/idVendor"), "0403").expect("a file");
        symlink(at("usb/1-1/tty"), at("class/ttyUSB1/device")).expect("a link");
        std::fs::write(at("dev/ttyUSB1"), "").expect("a file");
        symlink("../../ttyUSB1", at("dev/serial/by-id/usb-FTDI")).expect("a link");
    }
    let (path, error): (PathBuf, io::ErrorKind) = match fault {
        Cause::Unplugged => (at("dev/serial/by-id/usb-FTDI"), io::ErrorKind::NotFound),
        Cause::Renumbered => (at("dev/ttyUSB0"), io::ErrorKind::NotFound),
        Cause::NoPermission => (at("dev/ttyUSB1"), io::ErrorKind::PermissionDenied),
        _ => {
            let port = std::fs::canonicalize(at("dev/ttyUSB1")).expect("there");
            symlink(port, at("proc/77/fd/4")).expect("a link");
            std::fs::write(at("proc/77/comm"), "evcc").expect("a file");
            (at("dev/ttyUSB1"), io::ErrorKind::ResourceBusy)
        }
    };
    unopened(&Target::Serial { path }, &error.into(), &roots)
}

/// A TCP endpoint that speaks the other framing.
struct Server {
    rtu: bool,
    line: SimLine,
}

impl Medium for Server {
    async fn open(&mut self, settings: Settings) -> io::Result<()> {
        self.line.settings = settings;
        self.line.open(settings).await
    }

    async fn ask(
        &mut self,
        request: &[u8],
        wait: Duration,
        more: retrovolt::bus::direct::ListenOn<'_>,
    ) -> io::Result<retrovolt::bus::direct::Heard> {
        if self.rtu {
            return self.line.ask(request, wait, more).await;
        }
        let is_mbap = request.get(2..4) == Some(&[0, 0]);
        if !is_mbap {
            return Ok(retrovolt::bus::direct::Heard::default());
        }
        let rtu = retrovolt::sim::slave::close_rtu(request[6], &request[7..]);
        let mut heard = self.line.ask(&rtu, wait, more).await?;
        if heard.bytes.len() > 3 {
            let pdu = &heard.bytes[1..heard.bytes.len() - 2];
            let length = u16::try_from(pdu.len() + 1).expect("short").to_be_bytes();
            heard.bytes = [&request[..4], &length[..], &request[6..7], pdu].concat();
        }
        Ok(heard)
    }

    async fn listen(&mut self, wait: Duration) -> io::Result<Vec<u8>> {
        self.line.listen(wait).await
    }
}

async fn at_the_endpoint(rtu: bool, configured: Framing) -> Vec<Finding> {
    let right = meter(METER);
    let line = SimLine::new(RIGHT, Fault::Nothing).with(&right, 1);
    let mut server = Server { rtu, line };
    let library = identify::order(&Library::builtin(), false);
    let timeout = Duration::from_millis(500);
    endpoint(&mut server, configured, timeout, &[subject(&right, 1)], &library).await
}

/// An endpoint that takes connections and hangs up on whatever is asked.
struct Busy;

impl Medium for Busy {
    async fn open(&mut self, _: Settings) -> io::Result<()> {
        Ok(())
    }

    async fn ask(
        &mut self,
        _: &[u8],
        _: Duration,
        _: retrovolt::bus::direct::ListenOn<'_>,
    ) -> io::Result<retrovolt::bus::direct::Heard> {
        Err(io::ErrorKind::ConnectionReset.into())
    }

    async fn listen(&mut self, _: Duration) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

async fn at_a_busy_endpoint() -> Vec<Finding> {
    let right = meter(METER);
    let mut both = [subject(&right, 1), subject(&right, 2)];
    both[1].id = "another".to_owned();
    let findings = endpoint(&mut Busy, Framing::Tcp, Duration::from_millis(500), &both, &[]).await;
    assert_eq!(findings.len(), 2, "each device is told of: {findings:#?}");
    findings
}

#[tokio::test(start_paused = true)]
async fn a_framing_that_is_left_open_is_found_out() {
    let right = meter(METER);
    for (rtu, framing) in [(true, Framing::Rtu), (false, Framing::Tcp)] {
        assert_eq!(at_the_endpoint(rtu, Framing::Auto).await, []);
        let line = SimLine::new(RIGHT, Fault::Nothing).with(&right, 1);
        let mut server = Server { rtu, line };
        server.open(RIGHT).await.expect("a connection");
        let patience = Duration::from_millis(500);
        let found = settled(&mut server, Framing::Auto, 1, patience).await;
        assert_eq!(found.expect("a connection"), framing);
    }
    let nobody = settled(&mut Busy, Framing::Auto, 1, Duration::from_millis(500)).await;
    assert_eq!(nobody.expect("a connection"), Framing::Tcp);
}

async fn named(fault: Cause) -> Vec<Finding> {
    match fault {
        Cause::Unplugged | Cause::Renumbered | Cause::NoPermission | Cause::PortHeld => at_the_port(fault),
        Cause::Unreachable => {
            let target = Target::Tcp {
                host: "192.0.2.1".into(),
                port: 502,
            };
            unopened(
                &target,
                &io::ErrorKind::ConnectionRefused.into(),
                &Roots::default(),
            )
        }
        Cause::FramingMixUp => at_the_endpoint(true, Framing::Tcp).await,
        Cause::ConnectionBroken => at_a_busy_endpoint().await,
        _ => on_the_line(fault).await,
    }
}

const FAULTS: [Cause; 22] = [
    Cause::WrongBaud,
    Cause::WrongParity,
    Cause::WrongStopBits,
    Cause::WrongUnit,
    Cause::SwappedWires,
    Cause::DeviceSilent,
    Cause::NoTermination,
    Cause::DuplicateAddress,
    Cause::SecondMaster,
    Cause::LocalEcho,
    Cause::SlowDevice,
    Cause::OffByOne,
    Cause::WordOrder,
    Cause::WrongProfile,
    Cause::WatchdogNotFed,
    Cause::FramingMixUp,
    Cause::Unreachable,
    Cause::ConnectionBroken,
    Cause::Unplugged,
    Cause::Renumbered,
    Cause::NoPermission,
    Cause::PortHeld,
];

#[tokio::test(start_paused = true)]
async fn u3_every_injected_fault_is_named_first() {
    let mut missed = Vec::new();
    for fault in FAULTS {
        let findings = named(fault).await;
        for finding in &findings {
            assert!(
                !finding.evidence.is_empty() && !finding.next.is_empty(),
                "{finding:?}"
            );
        }
        if first(&findings) != Some(fault) {
            missed.push((fault, findings));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_line_in_order_has_no_finding() {
    let right = meter(METER);
    let line = SimLine::new(RIGHT, Fault::Nothing)
        .with(&right, 1)
        .with(&right, 2);
    let both = [subject(&right, 1), subject(&right, 2)];
    assert_eq!(examine(line, RIGHT, &both).await, []);
    assert_eq!(at_the_endpoint(false, Framing::Tcp).await, []);
    assert_eq!(at_the_endpoint(true, Framing::Rtu).await, []);
    // An echo that is configured is none.
    let mut line = SimLine::new(RIGHT, Fault::Echo).with(&right, 1);
    let known = Line {
        echo: true,
        ..configured(RIGHT)
    };
    let findings = serial(&mut line, known, &both[..1], &[])
        .await
        .expect("the port stays");
    assert_eq!(findings, []);
}

#[tokio::test(start_paused = true)]
async fn two_answers_one_after_the_other_are_a_duplicate_address() {
    let right = meter(METER);
    let line = SimLine::new(RIGHT, Fault::TwoAnswers)
        .with(&right, 1)
        .with(&right, 1);
    let findings = examine(line, RIGHT, &[subject(&right, 1)]).await;
    assert_eq!(first(&findings), Some(Cause::DuplicateAddress), "{findings:#?}");
}

#[tokio::test(start_paused = true)]
async fn the_doctor_only_reads() {
    let right = meter(METER);
    for fault in [
        Fault::Nothing,
        Fault::Swapped,
        Fault::NoTermination,
        Fault::Collision,
    ] {
        let mut line = SimLine::new(RIGHT, fault).with(&right, 1);
        let library = identify::order(&Library::builtin(), true);
        let known = configured(Settings::new(19_200, Parity::Even));
        serial(&mut line, known, &[subject(&right, 1)], &library)
            .await
            .expect("the port stays");
        assert!(!line.requests.is_empty());
        assert!(line.requests.iter().all(|request| matches!(request[1], 1..=4)));
    }
}
