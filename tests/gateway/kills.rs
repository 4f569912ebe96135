//! D1: the real process is killed at random points. What the ledger recorded arrives, once and in order.

use crate::site::{Point, gateway_toml, process, until};
use retrovolt::device::{Library, Profile};
use retrovolt::domain::{CpId, Event, Rng, Row};
use retrovolt::sim::clock::RealClock;
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::{online, sessions, waiting};
use retrovolt::sim::{DeviceSpec, EvSpec, World, WorldSpec};
use retrovolt::store::{Standing, Store, read_sessions, reconcile_sessions};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;

pub const CP: &str = "KILL-1";

/// Kills in CI; the campaign sets `RETROVOLT_KILLS`.
const KILLS: u64 = 200;

/// A box that is quick: no gaps, its own billing meter, Modbus TCP.
pub const QUICK_BOX: &str = r#"
format = 1
id = "test-quick-box"
kind = "charger"
vendor = "Test"
models = ["Quick"]
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

[identify]
confidence = "low"
checks = [{ point = "state", min = 0, max = 9 }]

[points]
state = { at = 100, type = "u16" }
current = { at = 101, type = "u16", scale = 0.01, quantity = "current", phases = ["l1", "l2", "l3"] }
power = { at = 104, type = "u32", quantity = "power" }
energy = { at = 106, type = "u64", scale = 0.001, unit = "Wh", quantity = "energy_import" }
limit = { at = 120, type = "u16", access = "rw", scale = 0.1, unit = "A", role = "limit_read_back", off = 0, allowed = [0, [60, 320]] }
phases_used = { at = 121, type = "u16", access = "rw" }

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
limit = [{ write = "limit", value = "limit", verify = "limit", settle_ms = 500 }]

[phase_switch]
one = [{ write = "phases_used", value = 1, verify = "phases_used", settle_ms = 500 }]
three = [{ write = "phases_used", value = 3, verify = "phases_used", settle_ms = 500 }]
before_ms = 100
after_ms = 100
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_event_is_lost_doubled_or_invented_by_kills() {
    kill_at_random("1.6", KILLS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_event_is_lost_doubled_or_invented_by_kills_in_2_0_1() {
    kill_at_random("2.0.1", KILLS / 2).await;
}

async fn kill_at_random(version: &str, kills: u64) {
    let from = |name: &str| std::env::var(name).ok().and_then(|n| n.parse().ok());
    let kills = from("RETROVOLT_KILLS").unwrap_or(kills);
    let seed = from("RETROVOLT_SEED").unwrap_or(1);
    let mut rng = Rng::new(seed);
    let dir = TempDir::new().expect("a folder");
    let csms = Csms::start().await.expect("a CSMS");
    let world = Arc::new(quick_world(dir.path()).await);
    let mut gateway = process(dir.path(), &configuration(dir.path(), &csms, &world, version));
    let plugs = Arc::new(AtomicU64::new(0));
    let traffic = tokio::spawn(drive_up_and_away(
        Arc::clone(&world),
        Arc::clone(&plugs),
        Rng::new(seed + 1),
    ));
    let mut audit: Vec<Row> = Vec::new();

    for kill in 0..kills {
        gateway.start().expect("the gateway starts");
        // Not a wait for anything: the moment of the kill is what is drawn at random.
        tokio::time::sleep(Duration::from_millis(40 + rng.below(900))).await;
        if rng.below(8) == 0 {
            csms.cut();
        }
        gateway.kill().await.expect("a kill");
        read_on(dir.path(), &mut audit).await;
        assert!(kill < 50 || !audit.is_empty(), "nothing is ever recorded");
    }
    traffic.abort();
    let _ = traffic.await;
    world.unplug("box").expect("a charger");
    gateway.start().expect("the gateway starts");
    until(&gateway, "everything is delivered", |s| {
        online(s) == 1 && sessions(s) == 0 && waiting(s) == 0
    })
    .await;
    gateway.stop(crate::site::PATIENCE).await.expect("it ends");
    read_on(dir.path(), &mut audit).await;

    journal_agrees(dir.path(), &audit);
    let verdict = csms.verdict();
    let sent = |row: &&Row| match row.event {
        Event::Changed { .. } => version != "1.6",
        Event::Began(_) | Event::Sampled { .. } | Event::Ended(_) => row.event.tx().is_some(),
        Event::Security(_) | Event::Log(_) | Event::Firmware(_) => false,
    };
    let recorded = audit.iter().filter(sent).count() as u64;
    let begun = audit
        .iter()
        .filter(|r| matches!(r.event, Event::Began(_)))
        .count() as u64;
    let ended = audit
        .iter()
        .filter(|r| matches!(r.event, Event::Ended(_)))
        .count() as u64;
    println!(
        "kills {kills}, plug-ins {}, recorded {recorded}, sessions {begun}, seen {}, repeats after a lost answer {}",
        plugs.load(Ordering::Relaxed),
        verdict.events,
        verdict.repeats_excused
    );
    assert!(verdict.is_clean(), "{verdict:#?}");
    assert_eq!(verdict.events, recorded, "lost or phantom: {verdict:#?}");
    assert_eq!(begun, ended, "a session without an end");
    assert_eq!((verdict.begun, verdict.ended), (begun, ended));
    assert!(
        begun <= plugs.load(Ordering::Relaxed),
        "more sessions than vehicles"
    );
    assert!(begun >= kills / 20, "too few sessions to prove anything: {begun}");
    assert!(verdict.open.is_empty(), "{:?}", verdict.open);
}

/// Each session that was recorded is in the journal once, with the same energy, and the CSMS has acknowledged it.
fn journal_agrees(dir: &Path, audit: &[Row]) {
    let recorded: Vec<(String, i64)> = audit
        .iter()
        .filter_map(|row| match &row.event {
            Event::Ended(end) => Some((end.tx.to_string(), end.energy.0)),
            _ => None,
        })
        .collect();
    let mut kept = Vec::new();
    let checked = read_sessions(&dir.join("state"), &[], None, |record| {
        kept.extend(record.session.map(|s| (s.tx, s.energy_mwh)));
    })
    .expect("the journal reads");
    assert_eq!(checked.faults, []);
    assert_eq!(
        kept, recorded,
        "a session is lost, doubled or another in the journal"
    );
    let (_, reconciled) = reconcile_sessions(&dir.join("state"), |_| true).expect("it reads");
    assert_eq!(reconciled.len(), recorded.len());
    for one in reconciled {
        assert_eq!(one.standing, Standing::Acknowledged, "{one:?}");
    }
}

/// The same site with the meter that bills what goes through its box; the meter's poll is the shortest that its line takes.
pub fn metered(toml: &str) -> String {
    let (box_only, both) = ("charger = \"box\"\n", "charger = \"box\"\nmeter = \"meter\"\n");
    assert!(toml.contains(box_only));
    toml.replace(box_only, both)
        + "\n[[device]]\nid = \"meter\"\nbus = \"net\"\nprofile = \"eastron-sdm630\"\nunit = 3\npoll = \"500ms\"\n"
}

/// Chargers on Modbus TCP with the made-up profile, dropped into the device folder, and a meter of the first.
pub async fn quick_world(dir: &Path) -> World {
    quick_servers(dir, &[("net", &["box", "box2"])]).await
}

/// Boxes behind servers; their units are counted from 1, and behind them comes a meter of `box`.
pub async fn quick_servers(dir: &Path, servers: &[(&str, &[&str])]) -> World {
    std::fs::create_dir_all(dir.join("devices.d")).expect("a folder");
    std::fs::write(dir.join("devices.d/quick.toml"), QUICK_BOX).expect("a profile");
    let profile = Profile::parse("quick.toml", QUICK_BOX).expect("a good profile");
    assert!(
        Library::builtin().get(profile.id()).is_none(),
        "the device is unknown to the binary"
    );
    let profile = Arc::new(profile);
    let quick = |(unit, id): (u8, &&str)| {
        let mut device = DeviceSpec::new(*id, profile.clone(), unit);
        device.think = Duration::from_millis(1);
        device
    };
    let meter = Library::builtin()
        .get("eastron-sdm630")
        .expect("a shipped profile");
    let server = |(name, boxes): &(&str, &[&str])| {
        let mut devices: Vec<_> = (1..).zip(*boxes).map(quick).collect();
        if boxes.contains(&"box") {
            let unit = u8::try_from(boxes.len() + 1).expect("few boxes");
            devices.push(DeviceSpec::new("meter", meter.clone(), unit).measuring(&["box"]));
        }
        ((*name).into(), devices)
    };
    let spec = WorldSpec {
        lines: Vec::new(),
        servers: servers.iter().map(server).collect(),
    };
    World::start(spec, Arc::new(RealClock::start()))
        .await
        .expect("the hardware")
}

/// The configuration of [`quick_world`].
pub fn configuration(dir: &Path, csms: &Csms, world: &World, version: &str) -> String {
    let address = world.address("net").expect("a server");
    let point = Point {
        id: CP,
        url: csms.url("{id}"),
        version,
        auth: "free",
    };
    let bus = format!(
        "\n[[bus]]\nid = \"net\"\nhost = \"{}\"\ntcp_port = {}\nreopen_wait = \"100ms\"\n",
        address.ip(),
        address.port()
    );
    let device = "\n[[device]]\nid = \"box\"\nbus = \"net\"\nprofile = \"test-quick-box\"\naccept_no_failsafe = true\n";
    let point = point.toml("box", "box").replace("meter = \"box\"\n", "");
    gateway_toml(dir) + &bus + device + &point
}

/// Vehicles come and go for ever.
async fn drive_up_and_away(world: Arc<World>, plugs: Arc<AtomicU64>, mut rng: Rng) {
    loop {
        world.plug("box", EvSpec::default()).expect("a charger");
        plugs.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(300 + rng.below(1500))).await;
        world.unplug("box").expect("a charger");
        tokio::time::sleep(Duration::from_millis(200 + rng.below(500))).await;
    }
}

/// Reads the rows recorded since the last look, while nobody else has the ledger.
async fn read_on(dir: &Path, audit: &mut Vec<Row>) {
    let (store, _) = Store::open(&dir.join("state")).expect("the ledger opens after every kill");
    let after = audit.last().map_or(0, |r| r.seq);
    let rows = store
        .rows(&CpId::new(CP), after, 100_000)
        .await
        .expect("the ledger reads");
    audit.extend(rows);
    store.close().await;
}
