//! The verbs as an electrician types them: the real program on simulated hardware.

use retrovolt::device::Library;
use retrovolt::domain::Parity;
use retrovolt::sim::clock::RealClock;
use retrovolt::sim::{DeviceSpec, EvSpec, Format, LineSetup, World, WorldSpec};
use serde_json::Value;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

struct Bench {
    dir: TempDir,
    world: World,
}

impl Bench {
    /// A wallbox and a meter on one line, and a meter behind a TCP endpoint.
    async fn new() -> Self {
        let dir = TempDir::new().expect("a folder");
        let library = Library::builtin();
        let device = |name: &str, profile: &str, unit| {
            DeviceSpec::new(name, library.get(profile).expect("a shipped profile"), unit)
        };
        let format = Format {
            parity: Parity::Even,
            ..Format::even(19_200)
        };
        let mut line = LineSetup::new(dir.path().join("line.tty"), format);
        line.check_speed = true;
        let spec = WorldSpec {
            lines: vec![(
                "line".into(),
                line,
                vec![
                    device("wallbox", "heidelberg-energy-control", 1),
                    device("meter", "eastron-sdm630", 2).measuring(&["wallbox"]),
                ],
            )],
            servers: vec![("net".into(), vec![device("far", "eastron-sdm630", 1)])],
        };
        let world = World::start(spec, Arc::new(RealClock::start()))
            .await
            .expect("the hardware");
        world.plug("wallbox", EvSpec::default()).expect("a charger");
        Self { dir, world }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn endpoint(&self) -> String {
        self.world.address("net").expect("a server").to_string()
    }
}

async fn retrovolt(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_retrovolt"))
        .args(args)
        .kill_on_drop(true)
        .output()
        .await
        .expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

async fn json(args: &[&str], code: i32) -> Vec<Value> {
    let output = retrovolt(args).await;
    assert_eq!(
        output.status.code(),
        Some(code),
        "{args:?}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    let lines = text(&output.stdout);
    lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_finds_both_devices_and_writes_their_configuration() {
    let bench = Bench::new().await;
    let (port, file) = (bench.path("line.tty"), bench.path("found.toml"));
    let events = json(&["scan", "--port", &port, "--json", "--output", &file], 0).await;
    let identified: Vec<(&Value, &Value)> = events
        .iter()
        .filter(|event| event["event"] == "identified")
        .map(|event| (&event["unit"], &event["profiles"][0]))
        .collect();
    assert_eq!(identified.len(), 2, "{events:#?}");
    assert_eq!(identified[0].1, "heidelberg-energy-control");
    let found = std::fs::read_to_string(&file).expect("the configuration");
    assert!(
        found.contains("profile = \"heidelberg-energy-control\"\nunit = 1"),
        "{found}"
    );
    assert!(
        found.contains("unit = 2") && found.contains("baud = 19200"),
        "{found}"
    );
    // What is there already is not overwritten.
    let again = retrovolt(&["scan", "--tcp", &bench.endpoint(), "--output", &file]).await;
    assert_eq!(again.status.code(), Some(73), "{}", text(&again.stderr));
    assert!(
        text(&again.stderr).contains("host = \"127.0.0.1\""),
        "{}",
        text(&again.stderr)
    );
    assert_eq!(std::fs::read_to_string(&file).expect("still there"), found);
}

/// The profiles of the site are known to every verb, whether there is a configuration yet or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn profiles_of_ones_own_are_recognised_and_may_be_named() {
    let bench = Bench::new().await;
    let folder = bench.dir.path().join("devices.d");
    std::fs::create_dir(&folder).expect("a folder");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/devices/eastron/sdm630.toml");
    let text = std::fs::read_to_string(shipped).expect("a shipped profile");
    let own = text.replace("id = \"eastron-sdm630\"", "id = \"my-meter\"");
    std::fs::write(folder.join("mine.toml"), &own).expect("a file");
    let (config, endpoint) = (bench.path("site.toml"), bench.endpoint());
    let scan = ["scan", "--tcp", &endpoint, "--json", "--config", &config];
    let events = json(&scan, 0).await;
    let identified = events.iter().find(|event| event["event"] == "identified");
    let names = &identified.expect("the meter")["profiles"];
    assert!(
        names
            .as_array()
            .expect("names")
            .contains(&Value::from("my-meter")),
        "{names}"
    );
    let (host, port) = endpoint.split_once(':').expect("a port");
    let probe = [
        "probe",
        "--json",
        "--host",
        host,
        "--tcp-port",
        port,
        "--profile",
        "my-meter",
        "--config",
    ];
    let probed = json(&[&probe[..], &[&config]].concat(), 0).await.remove(0);
    assert_eq!(probed["profile"], "my-meter");
    // A mistake in one is told, not passed over.
    std::fs::write(
        folder.join("mine.toml"),
        own.replace("kind = \"meter\"", "kind = \"metre\""),
    )
    .expect("a file");
    let told = retrovolt(&scan).await;
    assert_eq!(told.status.code(), Some(65), "{}", text_of(&told));
    assert!(text_of(&told).contains("mine.toml"), "{}", text_of(&told));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_is_not_there_is_no_input_to_every_verb() {
    let verbs: [&[&str]; 5] = [
        &["doctor", "--csms"],
        &["doctor", "--bus"],
        &["probe", "wallbox"],
        &["read", "wallbox", "--addr", "0"],
        &["commission", "wallbox", "--yes"],
    ];
    for verb in verbs {
        let none = ["--config", "/nowhere/retrovolt.toml"];
        let output = retrovolt(&[verb, &none].concat()).await;
        assert_eq!(output.status.code(), Some(66), "{verb:?}: {}", text_of(&output));
    }
}

fn text_of(output: &Output) -> String {
    text(&output.stderr)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_is_probed_read_and_written() {
    let bench = Bench::new().await;
    let port = bench.path("line.tty");
    let line = ["--port", &port, "--baud", "19200", "--parity", "even"];
    let on = |verb: &[&'static str], more: &[&'static str]| -> Vec<String> {
        verb.iter()
            .chain(&line)
            .chain(more)
            .map(|word| (*word).to_owned())
            .collect()
    };
    let run = |words: Vec<String>, code| async move {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        json(&words, code).await.remove(0)
    };
    let probed = run(
        on(
            &["probe", "--json", "--profile", "eastron-sdm630"],
            &["--unit", "2"],
        ),
        0,
    )
    .await;
    let points = probed["points"].as_array().expect("points");
    let voltage = points
        .iter()
        .find(|p| p["name"] == "voltage_l1")
        .expect("a voltage");
    assert!(
        voltage["value"].as_str().is_some_and(|v| v.ends_with(" V")),
        "{voltage}"
    );
    let read = on(
        &["read", "--json", "--addr", "0", "--fc", "4", "--type", "f32"],
        &["--unit", "2"],
    );
    let read = run(read, 0).await;
    let volts: f64 = read["value"]
        .as_str()
        .expect("a value")
        .parse()
        .expect("a number");
    assert!((80.0..480.0).contains(&volts), "{read}");
    let guessed = run(
        on(
            &["read", "--json", "--addr", "1", "--fc", "4", "--guess"],
            &["--unit", "2"],
        ),
        0,
    )
    .await;
    // 230 V make the same bits in three ways; the right one is among them.
    let right = |g: &Value| g["type"] == "f32" && g["addr"] == 0 && g["order"] == "abcd";
    assert!(
        guessed["guesses"]
            .as_array()
            .is_some_and(|all| all.iter().any(right)),
        "{guessed}"
    );
    // Without a terminal nothing is written unless told twice.
    let unasked = on(&["write", "--addr", "261", "--value", "80"], &["--unit", "1"]);
    let unasked: Vec<&str> = unasked.iter().map(String::as_str).collect();
    assert_eq!(retrovolt(&unasked).await.status.code(), Some(64));
    assert_ne!(bench.world.register("wallbox", 3, 261).expect("a box"), Some(80));
    let meant = [&unasked[..], &["--yes"]].concat();
    let written = retrovolt(&meant).await;
    assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
    assert_eq!(bench.world.register("wallbox", 3, 261).expect("a box"), Some(80));
    let nobody = on(&["read", "--addr", "0", "--timeout-ms", "50"], &["--unit", "9"]);
    let nobody: Vec<&str> = nobody.iter().map(String::as_str).collect();
    let silent = retrovolt(&nobody).await;
    assert_eq!(silent.status.code(), Some(76));
    assert!(
        text(&silent.stderr).contains("does not answer"),
        "{}",
        text(&silent.stderr)
    );
}

/// The configuration of the line with this speed and these units.
fn configuration(dir: &Path, baud: u32, meter_unit: u8) -> String {
    let shown = dir.display();
    let file = dir.join("site.toml");
    let toml = format!(
        r#"
[gateway]
state_dir = "{shown}/state"
socket = "{shown}/ctl.sock"

[[bus]]
id = "line"
port = "{shown}/line.tty"
baud = {baud}
parity = "even"

[[device]]
id = "wallbox"
bus = "line"
profile = "heidelberg-energy-control"
unit = 1

[[device]]
id = "meter"
bus = "line"
profile = "eastron-sdm630"
unit = {meter_unit}

[[charge_point]]
id = "CP-1"
vendor = "Test"
model = "Test"

[[charge_point.evse]]
charger = "wallbox"
meter = "meter"
phases = 3
max_current = "16A"
auth = "remote"

[[charge_point.csms]]
url = "ws://127.0.0.1:1/{{id}}"
"#
    );
    std::fs::write(&file, toml).expect("a file");
    file.display().to_string()
}

/// What the doctor finds first on the bus of a configuration that is wrong.
async fn first_finding(baud: u32, meter_unit: u8) -> Value {
    let bench = Bench::new().await;
    let file = configuration(bench.dir.path(), baud, meter_unit);
    let mut told = json(&["doctor", "--json", "--config", &file], 69).await;
    told.remove(0)["buses"][0]["findings"][0].take()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_finds_nothing_on_the_bus_of_a_good_configuration() {
    let bench = Bench::new().await;
    let good = configuration(bench.dir.path(), 19_200, 2);
    let healthy = json(&["doctor", "--bus", "--json", "--config", &good], 0)
        .await
        .remove(0);
    assert_eq!(
        healthy["buses"][0]["findings"],
        serde_json::json!([]),
        "{healthy}"
    );
    let gone = retrovolt(&["doctor", "--port", "/dev/serial/by-id/usb-none"]).await;
    assert_eq!(gone.status.code(), Some(69));
    assert!(
        text(&gone.stdout).contains("not plugged in"),
        "{}",
        text(&gone.stdout)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_finds_the_unit_a_device_answers_under() {
    let first = first_finding(19_200, 3).await;
    assert_eq!(first["device"], "meter", "{first}");
    assert_eq!(first["cause"], "wrong_unit", "{first}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_finds_the_speed_of_a_line() {
    let first = first_finding(9_600, 2).await;
    assert_eq!(first["cause"], "wrong_baud", "{first}");
}

/// Stands where the gateway's socket is and gives this answer to everything.
fn gateway_that_says(dir: &Path, answer: &str) -> tokio::task::JoinHandle<()> {
    let path = dir.join("ctl.sock");
    drop(std::fs::remove_file(&path));
    let listener = tokio::net::UnixListener::bind(path).expect("a socket");
    let answer = format!("{answer}\n");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (read, mut write) = stream.into_split();
            let mut request = String::new();
            BufReader::new(read)
                .read_line(&mut request)
                .await
                .expect("a request");
            assert_eq!(request.trim(), r#"{"ask":"status"}"#);
            write.write_all(answer.as_bytes()).await.expect("an answer");
        }
    })
}

/// A register is not written during a session, nor where nobody can tell; a charger is not driven beside the gateway.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_running_gateway_is_asked_before_anything_is_written() {
    let bench = Bench::new().await;
    let dir = bench.dir.path();
    let good = configuration(dir, 19_200, 2);
    let write = [
        "write", "wallbox", "--config", &good, "--addr", "261", "--value", "80", "--yes",
    ];
    let status = |tx: &str| {
        format!(
            r#"{{"charge_points":[{{"station":{{"evses":[{{"evse":1,"tx":null}},{{"evse":2,"tx":{tx}}}]}}}}]}}"#
        )
    };
    let charging = status(r#"{"id":"a"}"#);
    for (answer, words) in [
        (charging.as_str(), "a session is running"),
        ("nonsense", "cannot be told"),
        ("{}", "a session is running"),
    ] {
        let gateway = gateway_that_says(dir, answer);
        let refused = retrovolt(&write).await;
        assert_eq!(refused.status.code(), Some(77), "{answer}");
        assert!(text(&refused.stderr).contains(words), "{}", text(&refused.stderr));
        assert_ne!(bench.world.register("wallbox", 3, 261).expect("a box"), Some(80));
        let commission = retrovolt(&["commission", "wallbox", "--config", &good, "--yes"]).await;
        assert_eq!(commission.status.code(), Some(73), "{}", text(&commission.stderr));
        gateway.abort();
    }
    let before = bench.world.writes("wallbox").expect("a box").len();
    assert_eq!(before, 0, "nothing was written by what was refused");
    let gateway = gateway_that_says(dir, &status("null"));
    let written = retrovolt(&write).await;
    assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
    assert_eq!(bench.world.register("wallbox", 3, 261).expect("a box"), Some(80));
    gateway.abort();
    let gateway = gateway_that_says(dir, &charging);
    let forced = [&write[..7], &["90", "--yes", "--force"]].concat();
    let written = retrovolt(&forced).await;
    assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
    assert_eq!(bench.world.register("wallbox", 3, 261).expect("a box"), Some(90));
    gateway.abort();
}
