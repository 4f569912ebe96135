//! Chargers that are not Modbus: a pair of Tesla Wall Connectors, one of each protocol, on one RS-485 line, and an
//! OpenEVSE on its serial port. One charge point, three sessions.

use crate::site::{PATIENCE, gateway_toml, process, until};
use retrovolt::device::{Library, Raw};
use retrovolt::domain::MilliAmps;
use retrovolt::sim::clock::RealClock;
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::{evses, online, sessions, up, waiting};
use retrovolt::sim::{DeviceSpec, EvSpec, Format, GatewayProcess, LineSetup, World, WorldSpec};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

const CP: &str = "LINES-1";
const CHARGERS: [&str; 3] = ["left", "right", "openevse"];

async fn hardware(dir: &Path) -> World {
    let library = Library::builtin();
    let device = |name: &str, profile: &str, unit| {
        DeviceSpec::new(name, library.get(profile).expect("a shipped profile"), unit)
    };
    let mut left = device("left", "tesla-wall-connector-gen2", 0x34);
    left.presets.insert("protocol".into(), Raw::Int(1));
    let mut right = device("right", "tesla-wall-connector-gen2", 0xDB);
    right
        .presets
        .insert("vin".into(), Raw::Text("5YJSA1E26HF000337".into()));
    let lines = vec![
        (
            "twc".to_owned(),
            LineSetup::new(dir.join("twc.tty"), Format::none(9_600)),
            vec![left, right],
        ),
        (
            "evse".to_owned(),
            LineSetup::new(dir.join("evse.tty"), Format::none(115_200)),
            vec![device("openevse", "openevse", 1)],
        ),
    ];
    let spec = WorldSpec {
        lines,
        servers: Vec::new(),
    };
    World::start(spec, Arc::new(RealClock::start()))
        .await
        .expect("the hardware")
}

fn configuration(dir: &Path, csms: &Csms) -> String {
    let (folder, url) = (dir.display(), csms.url(CP));
    let evse = |charger: &str, phases: u8| {
        format!(
            "[[charge_point.evse]]\ncharger = \"{charger}\"\nphases = {phases}\nmax_current = \"16A\"\nauth = \"remote\"\n"
        )
    };
    let evses = [evse("left", 3), evse("right", 3), evse("openevse", 1)].concat();
    let lines = format!(
        r#"
[[bus]]
id = "twc"
port = "{folder}/twc.tty"
protocol = "twc"

[[bus]]
id = "evse"
port = "{folder}/evse.tty"
protocol = "rapi"

[[device]]
id = "left"
bus = "twc"
profile = "tesla-wall-connector-gen2"
address = "1234"

[[device]]
id = "right"
bus = "twc"
profile = "tesla-wall-connector-gen2"
address = "12DB"

[[device]]
id = "openevse"
bus = "evse"
profile = "openevse"
poll = "500ms"

[[charge_point]]
id = "{CP}"
vendor = "Test"
model = "Test"
ocpp16 = {{ MeterValueSampleInterval = 1 }}

{evses}
[[charge_point.csms]]
url = "{url}"
version = "1.6"
reconnect_min = "1s"
reconnect_max = "1s"
"#
    );
    gateway_toml(dir) + &lines
}

async fn accepted(csms: &Csms, action: &str, payload: Value) {
    let answer = csms.call(CP, action, payload).await.expect("an answer");
    assert_eq!(answer["status"], "Accepted", "{action}");
}

fn all(status: &Value, wanted: &str) -> bool {
    evses(status).filter(|evse| evse["status"] == wanted).count() == CHARGERS.len()
}

/// Limits one connector, in ampere.
async fn limit(csms: &Csms, connector: usize, amps: u8) {
    let schedule =
        json!({ "chargingRateUnit": "A", "chargingSchedulePeriod": [{ "startPeriod": 0, "limit": amps }] });
    let profile = json!({
        "chargingProfileId": connector, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative", "chargingSchedule": schedule,
    });
    let payload = json!({ "connectorId": connector, "csChargingProfiles": profile });
    accepted(csms, "SetChargingProfile", payload).await;
}

/// The transactions by connector.
fn transactions(csms: &Csms) -> Vec<(u64, u64)> {
    let frames = csms.frames();
    let started = frames.iter().filter_map(|frame| frame.call("MeterValues"));
    let mut pairs: Vec<(u64, u64)> = started
        .filter_map(|values| Some((values["connectorId"].as_u64()?, values["transactionId"].as_u64()?)))
        .collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

async fn offered(gateway: &GatewayProcess, world: &World, amps: [i64; 3]) {
    let wanted = amps.map(MilliAmps::from_base);
    until(gateway, &format!("{amps:?} are offered"), |_| {
        CHARGERS.map(|name| world.offered(name).expect("a charger")) == wanted
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_sessions_on_lines_that_are_not_modbus() {
    let dir = TempDir::new().expect("a folder");
    let csms = Csms::start().await.expect("a CSMS");
    let world = hardware(dir.path()).await;
    let mut gateway = process(dir.path(), &configuration(dir.path(), &csms));
    gateway.start().expect("the gateway starts");
    until(&gateway, "everything answers", |s| {
        online(s) == 1 && up(s, "devices") == 3
    })
    .await;
    offered(&gateway, &world, [0, 0, 0]).await;

    for name in CHARGERS {
        let phases = if name == "openevse" { 1 } else { 3 };
        let ev = EvSpec {
            phases,
            ..EvSpec::default()
        };
        world.plug(name, ev).expect("a charger");
    }
    until(&gateway, "the vehicles are seen", |s| all(s, "Preparing")).await;
    offered(&gateway, &world, [0, 0, 0]).await;
    for connector in 1..=3 {
        let start = json!({ "connectorId": connector, "idTag": format!("CARD-{connector}") });
        accepted(&csms, "RemoteStartTransaction", start).await;
    }
    until(&gateway, "three sessions run", |s| {
        sessions(s) == 3 && all(s, "Charging")
    })
    .await;
    offered(&gateway, &world, [16, 16, 16]).await;

    limit(&csms, 1, 13).await;
    limit(&csms, 2, 10).await;
    limit(&csms, 3, 8).await;
    offered(&gateway, &world, [13, 10, 8]).await;
    until(&gateway, "meter values of all", |_| {
        transactions(&csms).len() == 3
    })
    .await;

    let line = world.line("twc").expect("a line");
    line.unplug().expect("the adapter is pulled");
    until(&gateway, "the loss is seen", |s| up(s, "devices") == 1).await;
    line.replug().expect("the adapter is back");
    until(&gateway, "the sessions go on", |s| {
        up(s, "devices") == 3 && sessions(s) == 3
    })
    .await;
    offered(&gateway, &world, [13, 10, 8]).await;

    for (_, tx) in transactions(&csms) {
        accepted(&csms, "RemoteStopTransaction", json!({ "transactionId": tx })).await;
    }
    offered(&gateway, &world, [0, 0, 0]).await;
    until(&gateway, "all is told", |s| sessions(s) == 0 && waiting(s) == 0).await;
    let verdict = csms.verdict();
    assert!(
        verdict.is_clean() && (verdict.begun, verdict.ended) == (3, 3),
        "{verdict:#?}"
    );
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
}
