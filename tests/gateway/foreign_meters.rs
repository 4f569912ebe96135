//! Meters that are not Modbus, made or read by software we did not write: a whole session billed by an SML meter whose
//! telegrams libsml makes, begun by a card at a serial reader; P1, SML and IEC 62056-21 against three Python packages.

use crate::rig::{python, root};
use crate::site::{PATIENCE, Point, gateway_toml, process, until};
use crate::slave::{PtyPair, Slave};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRng, TestRunner};
use retrovolt::device::{
    Library, StreamDevice, StreamEffect, StreamInput, StreamMachine, StreamPort, stream_machine,
};
use retrovolt::domain::{DeviceId, DeviceSetup, Mono, Now, Observation, Parity, Phase, Quantity};
use retrovolt::sim::clock::RealClock;
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::{online, sessions, up, waiting};
use retrovolt::sim::telegram::{SmlValue, p1, sml};
use retrovolt::sim::{DeviceSpec, EvSpec, Format, LineSetup, World, WorldSpec};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;

const CP: &str = "METER-1";

/// A Heidelberg wallbox on its line.
async fn wallbox(dir: &Path) -> World {
    let profile = Library::builtin()
        .get("heidelberg-energy-control")
        .expect("a shipped profile");
    let format = Format {
        parity: Parity::Even,
        ..Format::even(19_200)
    };
    let line = LineSetup::new(dir.join("garage.tty"), format);
    let spec = WorldSpec {
        lines: vec![(
            "garage".into(),
            line,
            vec![DeviceSpec::new("wallbox", profile, 1)],
        )],
        servers: Vec::new(),
    };
    World::start(spec, Arc::new(RealClock::start()))
        .await
        .expect("the hardware")
}

fn configuration(dir: &Path, csms: &Csms) -> String {
    let point = Point {
        id: CP,
        url: csms.url("{id}"),
        version: "1.6",
        auth: "reader",
    };
    let at = dir.display();
    let buses = format!(
        r#"
[[bus]]
id = "garage"
port = "{at}/garage.tty"
baud = 19200
parity = "even"

[[bus]]
id = "d0"
port = "{at}/meter.tty"
protocol = "sml"

[[bus]]
id = "cards"
port = "{at}/cards.tty"
protocol = "rfid"

[[device]]
id = "wallbox"
bus = "garage"
profile = "heidelberg-energy-control"
poll = "500ms"

[[device]]
id = "meter"
bus = "d0"
profile = "sml-meter"
timeout = "3s"

[[device]]
id = "reader"
bus = "cards"
profile = "rfid-serial-hex"
"#
    );
    let point = point
        .toml("wallbox", "meter")
        .replace("meter = \"meter\"", "meter = \"meter\"\nreader = \"reader\"");
    gateway_toml(dir) + &buses + &point
}

/// Built by `tests/interop/setup.sh`.
async fn libsml_meter(port: &Path) -> Slave {
    let program = root().join(".venv/libsml_meter");
    assert!(
        program.exists(),
        "{} is missing: run `make setup` first",
        program.display()
    );
    let mut command = tokio::process::Command::new(program);
    command.arg(port);
    Slave::start(command).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_begins_a_session_that_an_sml_meter_bills() {
    let dir = TempDir::new().expect("a folder");
    let path = |name: &str| dir.path().join(name);
    let _d0 = PtyPair::open(&path("meter.tty"), &path("meter.far")).await;
    let _cards = PtyPair::open(&path("cards.tty"), &path("cards.far")).await;
    // Held open: the pair ends with its last user.
    let mut reader = std::fs::OpenOptions::new()
        .write(true)
        .open(path("cards.far"))
        .expect("the far end");
    let mut meter = libsml_meter(&path("meter.far")).await;
    let csms = Csms::start().await.expect("a CSMS");
    csms.set_token("04A2B3C4D5E680", "Accepted");
    let world = wallbox(dir.path()).await;
    let mut gateway = process(dir.path(), &configuration(dir.path(), &csms));
    gateway.start().expect("the gateway starts");
    until(&gateway, "charger, meter and reader are there", |s| {
        up(s, "devices") == 3 && online(s) == 1
    })
    .await;

    world.plug("wallbox", EvSpec::default()).expect("a charger");
    until(&gateway, "the vehicle is seen", |s| {
        evse(s)["status"] == "Preparing"
    })
    .await;
    reader
        .write_all(b"04a2b3c4d5e680\r\n")
        .expect("a card is held to it");
    let start = csms
        .wait_call(0, PATIENCE, CP, "StartTransaction")
        .await
        .expect("a session begins");
    assert_eq!(start["idTag"], "04A2B3C4D5E680");
    assert_eq!(
        start["meterStart"], 1_234_567,
        "1234567.8 Wh, whole watt-hours counted"
    );
    meter.say("power 11000").await;
    until(&gateway, "the meter counts", |s| {
        evse(s)["tx"]["energy"].as_i64() > Some(10_000)
    })
    .await;
    meter.say("power 0").await;
    until(&gateway, "the meter shows no power", |s| evse(s)["power"] == 0).await;
    let mark = meter.mark();
    meter.say("energy").await;
    let told = meter.wrote(mark, "ENERGY").await;
    let deciwatthours: i64 = told.trim_start_matches("ENERGY ").parse().expect("a number");
    until(&gateway, "the register is the meter's", |s| {
        evse(s)["register"] == deciwatthours * 100
    })
    .await;

    // A meter that falls silent is told, and the session goes on when it is back.
    meter.say("mute").await;
    until(&gateway, "the meter is missed", |s| up(s, "devices") == 2).await;
    meter.say("speak").await;
    until(&gateway, "the meter is back", |s| {
        up(s, "devices") == 3 && sessions(s) == 1
    })
    .await;

    world.unplug("wallbox").expect("a charger");
    let stop = csms
        .wait_call(0, PATIENCE, CP, "StopTransaction")
        .await
        .expect("the session ends");
    let wanted = deciwatthours / 10;
    assert_eq!(stop["meterStop"], wanted, "{deciwatthours} tenths of a watt-hour");
    until(&gateway, "all is told", |s| sessions(s) == 0 && waiting(s) == 0).await;
    let verdict = csms.verdict();
    assert!(
        verdict.is_clean() && (verdict.begun, verdict.ended) == (1, 1),
        "{verdict:#?}"
    );
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
}

fn evse(status: &Value) -> &Value {
    &status["charge_points"][0]["station"]["evses"][0]
}

/// What a Python package says.
fn oracle(args: &[&str], input: &[u8]) -> Value {
    let mut child = Command::new(python())
        .arg(root().join("tests/interop/meters/oracle.py"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(input)
        .expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(input)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

type Readings = BTreeMap<(Quantity, Phase), i64>;

/// A machine of a shipped profile.
struct Meter(Box<dyn StreamMachine>);

impl Meter {
    fn new(profile: &str) -> Self {
        let profile = Library::builtin().get(profile).expect("a shipped profile");
        let setup = DeviceSetup {
            id: DeviceId::new("meter"),
            profile: profile.id().to_owned(),
            unit: 1,
            address: None,
            connector: 1,
            poll: None,
            timeout: None,
            watchdog_timeout: None,
            watchdog_feed: None,
            failsafe_current: None,
            accept_no_failsafe: false,
            supply: None,
        };
        let port = StreamPort {
            serial: profile.link().serial,
            devices: vec![StreamDevice {
                setup,
                profile: profile.clone(),
            }],
        };
        let mut meter = Self(stream_machine(profile.protocol(), port).expect("a machine"));
        meter.0.handle(now(0), StreamInput::PortBack);
        meter
    }

    fn read(&mut self, at: u64, bytes: &[u8]) -> Readings {
        self.0.handle(now(at), StreamInput::Bytes(bytes.to_vec()));
        let mut readings = Readings::new();
        while let Some(effect) = self.0.poll() {
            if let StreamEffect::Observed { observations, .. } = effect {
                for observation in observations {
                    if let Observation::Reading(reading) = observation {
                        readings.insert((reading.quantity, reading.phase), reading.milli);
                    }
                }
            }
        }
        readings
    }
}

fn now(ms: u64) -> Now {
    Now {
        mono: Mono(ms),
        ..Now::default()
    }
}

/// So many values of a strategy, always the same ones.
fn samples<T: std::fmt::Debug>(count: usize, strategy: &impl Strategy<Value = T>) -> Vec<T> {
    let config = Config::default();
    let rng = TestRng::deterministic_rng(config.rng_algorithm);
    let mut runner = TestRunner::new_with_rng(config, rng);
    (0..count)
        .map(|_| strategy.new_tree(&mut runner).expect("a value").current())
        .collect()
}

#[test]
fn p1_telegrams_say_what_dsmr_parser_says() {
    let milli = |value: &Value| (value.as_f64().expect("a number") * 1000.0).round() as i64;
    let mut meter = Meter::new("dsmr-p1");
    for (index, (low, high, power, volts)) in samples(
        12,
        &(
            0_u64..999_999_999,
            0_u64..999_999_999,
            0_u32..99_999,
            2070_u32..2530,
        ),
    )
    .into_iter()
    .enumerate()
    {
        let kilo = |value: u64| format!("{:06}.{:03}", value / 1000, value % 1000);
        let lines = [
            "1-3:0.2.8(50)".to_owned(),
            format!("0-0:1.0.0(2611251200{index:02}W)"),
            format!("1-0:1.8.1({}*kWh)", kilo(low)),
            format!("1-0:1.8.2({}*kWh)", kilo(high)),
            format!("1-0:1.7.0({:02}.{:03}*kW)", power / 1000, power % 1000),
            "1-0:2.7.0(00.000*kW)".to_owned(),
            format!("1-0:32.7.0({}.{}*V)", volts / 10, volts % 10),
            "0-1:24.2.1(101209112500W)(12785.123*m3)".to_owned(),
        ];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let telegram = p1(&lines, true);
        let theirs = oracle(&["p1"], &telegram);
        let ours = meter.read(1_000 * u64::try_from(index).expect("few"), &telegram);
        let import =
            milli(&theirs["ELECTRICITY_USED_TARIFF_1"]) + milli(&theirs["ELECTRICITY_USED_TARIFF_2"]);
        assert_eq!(ours[&(Quantity::EnergyImport, Phase::Total)], import * 1000);
        assert_eq!(
            ours[&(Quantity::Power, Phase::Total)],
            milli(&theirs["CURRENT_ELECTRICITY_USAGE"]) * 1000
        );
        assert_eq!(
            ours[&(Quantity::Voltage, Phase::L1)],
            milli(&theirs["INSTANTANEOUS_VOLTAGE_L1"])
        );
    }
}

#[test]
fn sml_telegrams_say_what_smllib_says() {
    let server = [0x0A, 1, b'I', b'S', b'K', 0, 4, 0x7B, 0x1A, 0x2C];
    let mut meter = Meter::new("sml-meter");
    let values = (0_i64..1 << 40, -4_i8..1, -100_000_i64..100_000, 0_i8..3);
    for (index, (energy, scaler, power, power_scaler)) in samples(12, &values).into_iter().enumerate() {
        let telegram = sml(
            &server,
            &[
                SmlValue::octets([1, 0, 96, 1, 0, 255], &server),
                SmlValue::signed([1, 0, 1, 8, 0, 255], 30, scaler, energy),
                SmlValue::signed([1, 0, 16, 7, 0, 255], 27, power_scaler, power),
            ],
        );
        let theirs = oracle(&["sml"], &telegram);
        let ours = meter.read(1_000 * u64::try_from(index).expect("few"), &telegram);
        let near = |ours: i64, theirs: &Value| {
            let theirs = theirs.as_f64().expect("a number") * 1000.0;
            (ours as f64 - theirs).abs() <= theirs.abs() * 1e-12 + 1.0
        };
        assert!(
            near(ours[&(Quantity::EnergyImport, Phase::Total)], &theirs["1.8.0"]),
            "{theirs}: {ours:?}"
        );
        assert!(
            near(ours[&(Quantity::Power, Phase::Total)], &theirs["16.7.0"]),
            "{theirs}: {ours:?}"
        );
    }
}

#[test]
fn readouts_of_another_iec_62056_21_package_are_read() {
    let unhex = |value: &Value| -> Vec<u8> {
        let text = value.as_str().expect("a text");
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal"))
            .collect()
    };
    let written = oracle(
        &[
            "iec",
            "C.1.0(12345678)",
            "1.8.0(001234.567*kWh)",
            "2.8.0(000000.001*kWh)",
            "16.7.0(-01.500*kW)",
        ],
        b"",
    );
    let mut meter = Meter::new("iec62056-meter");
    assert!(meter.read(500, &unhex(&written[0])).is_empty());
    let ours = meter.read(1_000, &unhex(&written[1]));
    assert_eq!(ours[&(Quantity::EnergyImport, Phase::Total)], 1_234_567_000);
    assert_eq!(ours[&(Quantity::EnergyExport, Phase::Total)], 1_000);
    assert_eq!(ours[&(Quantity::Power, Phase::Total)], -1_500_000);
}
