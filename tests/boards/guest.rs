//! What happens in the machine. The story is a test that only the machine runs.

use crate::story::{GATEWAY, GUEST};
use retrovolt::sim::GatewayProcess;
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::{online, sessions, up, waiting};
use rustix::fs::{Mode, OFlags, open};
use rustix::termios::{ControlModes, tcgetattr};
use serde_json::{Value, json};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

const CP: &str = "UART-1";
const PORT: &str = "/dev/ttyS1";
/// The line control register of the second UART of a PC.
const LINE_CONTROL: u64 = 0x2f8 + 3;
/// Eight data bits, parity on, parity even, one stop bit (16550 data sheet, LCR).
const EIGHT_EVEN_ONE: u8 = 0b0001_1011;
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks the world outside for a hand.
fn order(what: &str) {
    println!("\nORDER {what}");
}

fn evse(status: &Value) -> &Value {
    &status["charge_points"][0]["station"]["evses"][0]
}

async fn until(gateway: &GatewayProcess, what: &str, wanted: impl Fn(&Value) -> bool) {
    if let Err(error) = gateway.until(what, PATIENCE, wanted).await {
        let log = std::fs::read_to_string(gateway.log()).unwrap_or_default();
        panic!("{error}\n{log}");
    }
}

async fn accepted(csms: &Csms, action: &str, payload: Value) {
    let answer = csms.call(CP, action, payload).await.expect("an answer");
    assert_eq!(answer["status"], "Accepted", "{action}: {answer}");
}

/// What the UART was told, by the kernel and by the UART itself, while the gateway uses it.
fn line_is_19200_8e1() {
    let port = open(
        PORT,
        OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK,
        Mode::empty(),
    );
    let settings = tcgetattr(port.expect("root may look")).expect("a terminal");
    let modes = settings.control_modes;
    assert!(modes.contains(ControlModes::PARENB), "parity is on: {modes:?}");
    assert!(!modes.contains(ControlModes::PARODD), "and even: {modes:?}");
    assert_eq!(modes & ControlModes::CSIZE, ControlModes::CS8);
    assert!(!modes.contains(ControlModes::CSTOPB), "one stop bit: {modes:?}");
    assert_eq!(
        (settings.input_speed(), settings.output_speed()),
        (19_200, 19_200)
    );

    let mut ports = std::fs::File::open("/dev/port").expect("I/O ports");
    let mut register = [0];
    ports.seek(SeekFrom::Start(LINE_CONTROL)).expect("a register");
    ports.read_exact(&mut register).expect("its value");
    assert_eq!(register[0], EIGHT_EVEN_ONE, "{:08b}", register[0]);
}

/// The kernel's own book: a 16550A, bytes both ways, no error of parity, framing or speed.
fn line_was_clean() {
    // Called `serial` by kernels before 7.
    let books = ["serial_8250", "serial"].map(|name| Path::new("/proc/tty/driver").join(name));
    let book = books.iter().find_map(|path| std::fs::read_to_string(path).ok());
    let book = book.expect("a book");
    let line = book.lines().find(|line| line.starts_with("1:")).expect("ttyS1");
    assert!(line.contains("uart:16550A"), "{line}");
    let bytes = |name: &str| -> u32 {
        let found = line.split(' ').find_map(|word| word.strip_prefix(name));
        found.and_then(|n| n.parse().ok()).unwrap_or_default()
    };
    assert!(bytes("tx:") > 100 && bytes("rx:") > 100, "{line}");
    for error in [" pe:", " fe:", " oe:", " brk:"] {
        assert!(!line.contains(error), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs in the machine"]
async fn a_session_at_19200_8e1_through_a_real_16550() {
    assert!(
        std::env::var_os(GUEST).is_some(),
        "this story runs in the machine that the test of the same name boots"
    );
    let csms = Csms::start().await.expect("a CSMS");
    let dir = Path::new("/tmp/site");
    std::fs::create_dir_all(dir).expect("a folder");
    let toml = configuration(dir, &csms.url("{id}"));
    let mut gateway = GatewayProcess::new(GATEWAY, dir, &toml).expect("the configuration is written");
    gateway.start().expect("the gateway starts");
    until(&gateway, "both units answer and the CSMS accepts", |s| {
        up(s, "devices") == 2 && online(s) == 1
    })
    .await;
    line_is_19200_8e1();

    order("plug");
    until(&gateway, "the vehicle is seen", |s| {
        evse(s)["status"] == "Preparing"
    })
    .await;
    let start = json!({ "connectorId": 1, "idTag": "CARD" });
    accepted(&csms, "RemoteStartTransaction", start).await;
    until(&gateway, "current flows through the meter", |s| {
        evse(s)["status"] == "Charging" && evse(s)["power"].as_i64() > Some(10_000_000)
    })
    .await;
    let schedule =
        json!({ "chargingRateUnit": "A", "chargingSchedulePeriod": [{ "startPeriod": 0, "limit": 10 }] });
    let profile = json!({
        "chargingProfileId": 1, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative", "chargingSchedule": schedule,
    });
    let set = json!({ "connectorId": 1, "csChargingProfiles": profile });
    accepted(&csms, "SetChargingProfile", set).await;
    until(&gateway, "the meter shows the limit", |s| {
        let power = evse(s)["power"].as_i64();
        power.is_some_and(|mw| (6_000_000..7_500_000).contains(&mw))
    })
    .await;

    order("unplug");
    until(&gateway, "the session is over and told", |s| {
        sessions(s) == 0 && waiting(s) == 0
    })
    .await;
    let verdict = csms.verdict();
    assert!(
        verdict.is_clean() && (verdict.begun, verdict.ended) == (1, 1),
        "{verdict:#?}"
    );
    let frames = csms.frames();
    let told = |action: &str, key: &str| {
        let call = frames.iter().find_map(|frame| frame.call(action));
        call.and_then(|payload| payload[key].as_i64()).unwrap_or_default()
    };
    println!(
        "\nBILLED {} {}",
        told("StartTransaction", "meterStart"),
        told("StopTransaction", "meterStop")
    );
    line_is_19200_8e1();
    line_was_clean();
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
}

fn configuration(dir: &Path, url: &str) -> String {
    let dir = dir.display();
    format!(
        r#"[gateway]
state_dir = "{dir}/state"
socket = "{dir}/ctl.sock"

[[bus]]
id = "line"
port = "{PORT}"
baud = 19200
parity = "even"

[[device]]
id = "wallbox"
bus = "line"
profile = "heidelberg-energy-control"
unit = 1
poll = "500ms"

[[device]]
id = "meter"
bus = "line"
profile = "eastron-sdm630"
unit = 2
poll = "500ms"

[[charge_point]]
id = "{CP}"
ocpp16 = {{ MeterValueSampleInterval = 1 }}

[[charge_point.evse]]
charger = "wallbox"
meter = "meter"
max_current = "16A"
auth = "remote"

[[charge_point.csms]]
url = "{url}"
reconnect_min = "1s"
"#
    )
}
