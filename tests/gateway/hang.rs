//! S7 over the whole process: stops reach the chargers' registers while the disk, the CSMS, the broker and metrics hang.
//!
//! The disk hangs as SQLite sees it: another connection holds the write lock of the ledger, so that no batch becomes
//! durable. The CSMS takes every CALL and answers none; in the last round there is no link at all. The broker of MQTT and that
//! of Sparkplug grant a connection and read nothing from then on; a scraper asks for metrics and does not take them.

use crate::kills::QUICK_BOX;
use crate::site::{Point, gateway_toml, process, until, uptime};
use retrovolt::device::Profile;
use retrovolt::domain::MilliAmps;
use retrovolt::sim::broker::{Broker, Way};
use retrovolt::sim::clock::RealClock;
use retrovolt::sim::csms::{Csms, Kind, Reach};
use retrovolt::sim::status::{online, sessions, up};
use retrovolt::sim::{DeviceSpec, EvSpec, GatewayProcess, World, WorldSpec};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::time::{Instant, interval};

/// Charge points, each with a charger of its own.
const CHARGERS: u8 = 12;
/// Rounds with a CSMS that does not answer; one more without any.
const ROUNDS: u32 = 2;
/// No stop takes longer, whatever hangs.
const LONGEST: Duration = Duration::from_secs(1);
/// Far longer than any stop takes, far shorter than the disk hangs.
const WITHIN: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s7_stops_reach_the_chargers_while_disk_and_csms_hang() {
    let dir = TempDir::new().expect("a folder");
    let csms = Csms::start().await.expect("a CSMS");
    let world = Arc::new(garage(dir.path()).await);
    let (broker, address) = Broker::listen(Way::Hung).await.expect("a port");
    let toml = configuration(dir.path(), &csms, &world) + &sideways(dir.path(), address.port());
    let mut gateway = process(dir.path(), &toml);
    gateway.start().expect("the gateway starts");
    let mut took = Vec::new();
    for round in 0..=ROUNDS {
        everybody_charges(&gateway, &csms, &world).await;
        let scraper = scraper(dir.path()).await;
        let disk = hang(dir.path());
        let commits = until(&gateway, "the ledger is asked", |s| {
            s["ledger"]["commits"].is_u64()
        })
        .await;
        csms.set_reach(Reach::Hang);
        // A sample each second: by then every station waits for the disk with one.
        let since = uptime(&commits);
        until(&gateway, "every station waits for the disk", |s| {
            uptime(s) >= since + 3 && (0..CHARGERS).all(|n| unwritten(s, n) > 0)
        })
        .await;
        if round == ROUNDS {
            csms.set_reach(Reach::NoUpgrade);
            csms.cut();
            until(&gateway, "the links are lost", |s| online(s) == 0).await;
        }
        for number in 1..=CHARGERS {
            let begin = Instant::now();
            stop(&csms, &world, number, round == ROUNDS).await;
            arrives(&world, number).await;
            took.push(begin.elapsed());
        }
        let since = uptime(&gateway.status().await.expect("a status"));
        until(&gateway, "the ends wait for the disk", |s| {
            assert_eq!(
                s["ledger"]["commits"], commits["ledger"]["commits"],
                "the disk does not hang"
            );
            uptime(s) > since && (0..CHARGERS).all(|n| unwritten(s, n) > 0)
        })
        .await;
        drop((disk, scraper));
        csms.set_reach(Reach::Up);
        for number in 1..=CHARGERS {
            world.unplug(&charger(number)).expect("a charger");
        }
        until(&gateway, "the sessions have ended and are delivered", |s| {
            online(s) == usize::from(CHARGERS) && sessions(s) == 0 && waiting(s) == 0
        })
        .await;
    }
    let verdict = csms.verdict();
    let expected = u64::from(CHARGERS) * u64::from(ROUNDS + 1);
    assert!(verdict.is_clean(), "{verdict:#?}");
    assert_eq!((verdict.begun, verdict.ended), (expected, expected));
    assert!(
        broker.connections() >= 2,
        "MQTT and Sparkplug reach the broker that hangs"
    );
    until(&gateway, "events wait for the broker", |s| {
        s["mqtt"]["events_waiting"].as_u64() > Some(u64::from(CHARGERS))
    })
    .await;
    took.sort_unstable();
    let (median, longest) = (took[took.len() / 2], took[took.len() - 1]);
    println!("{} stops, median {median:?}, longest {longest:?}", took.len());
    // One may have met a moment in which the whole machine stood still.
    let second = took[took.len() - 2];
    assert!(second <= LONGEST, "stops took {second:?} and {longest:?}");
    assert!(
        gateway
            .stop(crate::site::PATIENCE)
            .await
            .expect("it ends")
            .success()
    );
}

/// One of the ways a session is stopped. Without a link only its vehicle can.
async fn stop(csms: &Csms, world: &World, number: u8, alone: bool) {
    let cp = point(number);
    let call =
        |action: &str, payload: Value| json!([2, format!("stop-{number}"), action, payload]).to_string();
    match number % 3 {
        1 if !alone => {
            let payload = json!({ "transactionId": transaction(csms, &cp) });
            let text = call("RemoteStopTransaction", payload);
            csms.send_raw(&cp, &text).await.expect("connected");
        }
        2 if !alone => {
            let schedule = json!({
                "chargingRateUnit": "A", "chargingSchedulePeriod": [{ "startPeriod": 0, "limit": 0 }],
            });
            let profile = json!({
                "chargingProfileId": 1, "stackLevel": 1, "chargingProfilePurpose": "TxProfile",
                "chargingProfileKind": "Relative", "chargingSchedule": schedule,
                "transactionId": transaction(csms, &cp),
            });
            let text = call(
                "SetChargingProfile",
                json!({ "connectorId": 1, "csChargingProfiles": profile }),
            );
            csms.send_raw(&cp, &text).await.expect("connected");
        }
        _ => world.unplug(&charger(number)).expect("a charger"),
    }
}

/// The limit register holds zero.
async fn arrives(world: &World, number: u8) {
    let end = Instant::now() + WITHIN;
    let mut look = interval(Duration::from_millis(5));
    loop {
        look.tick().await;
        let raw = world.register(&charger(number), 3, 120).expect("a charger");
        if raw == Some(0) {
            return;
        }
        assert!(
            Instant::now() < end,
            "no stop at charger {number}: its limit is {raw:?}"
        );
    }
}

async fn everybody_charges(gateway: &GatewayProcess, csms: &Csms, world: &World) {
    let all = usize::from(CHARGERS);
    until(gateway, "every charge point is online", |s| {
        online(s) == all && up(s, "devices") == all
    })
    .await;
    let mark = csms.mark();
    for number in 1..=CHARGERS {
        world
            .plug(&charger(number), EvSpec::default())
            .expect("a charger");
    }
    until(gateway, "every charger offers its current", |s| {
        sessions(s) == all
            && (1..=CHARGERS).all(|n| world.offered(&charger(n)) == Ok(MilliAmps::from_base(16)))
    })
    .await;
    for number in 1..=CHARGERS {
        csms.wait_call(mark, WITHIN, &point(number), "StartTransaction")
            .await
            .expect("a begin");
    }
    until(gateway, "every begin is answered", |s| waiting(s) == 0).await;
}

/// What waits for the disk or a CSMS; rows for the broker wait as long as that hangs.
fn waiting(status: &Value) -> u64 {
    let readers = status["ledger"]["readers"].as_array().into_iter().flatten();
    let of_csms = |reader: &&Value| !reader["reader"].as_str().unwrap_or_default().ends_with("/@mqtt");
    let pending = |reader: &Value| reader["pending"].as_u64().unwrap_or_default();
    let unwritten: u64 = (0..CHARGERS).map(|station| unwritten(status, station)).sum();
    readers.filter(of_csms).map(pending).sum::<u64>() + unwritten
}

/// Batches of a station that are still to become rows.
fn unwritten(status: &Value, station: u8) -> u64 {
    status["charge_points"][usize::from(station)]["station"]["unwritten"]
        .as_u64()
        .unwrap_or_default()
}

/// Asks for metrics and does not read them.
async fn scraper(dir: &Path) -> UnixStream {
    let mut stream = UnixStream::connect(dir.join("m.sock"))
        .await
        .expect("the endpoint");
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(request).await.expect("it listens");
    stream
}

/// Everything that is only told and never waited for.
fn sideways(dir: &Path, broker: u16) -> String {
    let dir = dir.display();
    format!(
        r#"
[metrics]
listen = "unix:{dir}/m.sock"

[mqtt]
url = "mqtt://127.0.0.1:{broker}"
gateway_id = "hang"
keep_alive = "5s"
refresh = "5s"
flat = true

[sparkplug]
group = "hang"
edge_node = "gw"

[[sparkplug.broker]]
url = "mqtt://127.0.0.1:{broker}"
keep_alive = "5s"
"#
    )
}

/// Takes the write lock of the ledger until it is dropped.
fn hang(dir: &Path) -> Connection {
    let ledger = Connection::open(dir.join("state/ledger.db")).expect("the ledger");
    ledger.busy_timeout(WITHIN).expect("a wait");
    ledger.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    ledger
}

/// The number the CSMS gave the last transaction of a charge point.
fn transaction(csms: &Csms, cp: &str) -> Value {
    let frames = csms.frames();
    let start = frames
        .iter()
        .rev()
        .find(|f| f.cp == cp && f.call("StartTransaction").is_some())
        .expect("a begin");
    let answer = frames.iter().rev().find_map(|f| match &f.kind {
        Kind::Result { payload } if f.cp == cp && f.id == start.id => Some(payload["transactionId"].clone()),
        _ => None,
    });
    answer.expect("an answered begin")
}

fn charger(number: u8) -> String {
    format!("box-{number}")
}

fn point(number: u8) -> String {
    format!("HANG-{number}")
}

async fn garage(dir: &Path) -> World {
    std::fs::create_dir_all(dir.join("devices.d")).expect("a folder");
    // Twelve on one connection: without this the silence between requests is all there is.
    let text = QUICK_BOX.replace("poll_ms = 100", "poll_ms = 100\nmin_gap_ms = 1");
    std::fs::write(dir.join("devices.d/quick.toml"), &text).expect("a profile");
    let profile = Arc::new(Profile::parse("quick.toml", &text).expect("a good profile"));
    let device = |number| {
        let mut device = DeviceSpec::new(charger(number), Arc::clone(&profile), number);
        device.think = Duration::from_millis(1);
        device
    };
    let spec = WorldSpec {
        lines: Vec::new(),
        servers: vec![("net".into(), (1..=CHARGERS).map(device).collect())],
    };
    World::start(spec, Arc::new(RealClock::start()))
        .await
        .expect("the hardware")
}

fn configuration(dir: &Path, csms: &Csms, world: &World) -> String {
    let address = world.address("net").expect("a server");
    let mut text = gateway_toml(dir)
        + &format!(
            "\n[[bus]]\nid = \"net\"\nhost = \"{}\"\ntcp_port = {}\n",
            address.ip(),
            address.port()
        );
    for number in 1..=CHARGERS {
        let (name, id) = (charger(number), point(number));
        let setup = Point {
            id: &id,
            url: csms.url("{id}"),
            version: "1.6",
            auth: "free",
        };
        text += &format!(
            "\n[[device]]\nid = \"{name}\"\nbus = \"net\"\nprofile = \"test-quick-box\"\nunit = {number}\n\
             accept_no_failsafe = true\n"
        );
        text += &setup
            .toml(&name, &name)
            .replace(&format!("meter = \"{name}\"\n"), "")
            // Longer than a round, so that the link to the CSMS that does not answer is kept; shorter than the patience with
            // what comes once it answers again.
            .replace("message_timeout = \"10s\"", "message_timeout = \"25s\"");
    }
    text
}
