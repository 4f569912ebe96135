//! `cargo bench --bench broker`: what a broker that is away, hung or slow does to the cycle in which the real gateway reads
//! and steers its chargers (goal N4; `docs/benches.md`).
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "not a pure room"
)]

#[path = "broker/tap.rs"]
mod tap;

mod kit;

use kit::{Goals, Options, Outcome, median, row};
use retrovolt::device::Profile;
use retrovolt::sim::broker::{Broker, Way};
use retrovolt::sim::clock::RealClock;
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::{online, sessions};
use retrovolt::sim::{DeviceSpec, EvSpec, GatewayProcess, World, WorldSpec};
use serde_json::json;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tap::Tap;
use tokio::time::{interval, sleep, timeout};

const PROFILE: &str = include_str!("broker/box.toml");
const PATIENCE: Duration = Duration::from_secs(60);
/// Charge points, each with a charger of its own on one Modbus TCP connection.
const POINTS: u8 = 4;
/// What a broker may add to the jitter, milliseconds.
const ADDED_MS: f64 = 5.0;
/// Between two limits of the CSMS.
const LIMITS_EVERY: Duration = Duration::from_millis(470);

/// What stands at the other end of `[mqtt]`.
const BROKERS: [(&str, Option<Way>); 5] = [
    ("no MQTT", None),
    ("quick", Some(Way::Slow(1 << 20))),
    ("away", Some(Way::Away)),
    ("hung", Some(Way::Hung)),
    ("100 B/s", Some(Way::Slow(100))),
];

/// One measurement, milliseconds.
#[derive(Clone, Copy, Debug)]
struct Cycle {
    /// How far 99 of 100 intervals between two reads of a charger are off the middle one, at most.
    jitter: f64,
    /// The same of all.
    worst: f64,
    /// From a limit of the CSMS to its write on the wire, the middle one.
    reaction: f64,
}

fn main() -> ExitCode {
    kit::main(|options| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        runtime.block_on(run(options))
    })
}

async fn run(options: Options) -> Outcome<Goals> {
    let rounds = if options.quick { 1 } else { 5 };
    println!(
        "Cycle of {POINTS} chargers polled every 100 ms, in a session each, beside a broker ({})",
        kit::profile()
    );
    println!("Milliseconds; medians of {rounds} rounds, taken in turn.\n");
    let mut measured: Vec<Vec<Cycle>> = vec![Vec::new(); BROKERS.len()];
    for _ in 0..rounds {
        for ((_, way), cycles) in BROKERS.iter().zip(&mut measured) {
            cycles.push(measure(options, *way).await?);
        }
    }
    row(&["broker", "jitter p99", "longest", "reaction", "jitter added"]);
    let mut goals = Goals::default();
    let of = |cycles: &[Cycle], pick: fn(&Cycle) -> f64| median(&cycles.iter().map(pick).collect::<Vec<_>>());
    let bare = of(&measured[0], |cycle| cycle.jitter);
    for ((name, way), cycles) in BROKERS.iter().zip(&measured) {
        let jitter = of(cycles, |cycle| cycle.jitter);
        let cells = [
            jitter,
            of(cycles, |cycle| cycle.worst),
            of(cycles, |cycle| cycle.reaction),
            jitter - bare,
        ];
        let cells = cells.map(|ms| format!("{ms:.2}"));
        let cells: Vec<&str> = std::iter::once(*name)
            .chain(cells.iter().map(String::as_str))
            .collect();
        row(&cells);
        if way.is_some() {
            goals.at_most(
                format!("N4 jitter added, ms, broker {name}"),
                jitter - bare,
                ADDED_MS,
            );
        }
    }
    Ok(goals)
}

/// One run of the gateway beside one broker.
async fn measure(options: Options, way: Option<Way>) -> Outcome<Cycle> {
    let dir = tempfile::tempdir()?;
    let csms = Csms::start().await?;
    let world = hardware(dir.path()).await?;
    let tap = Tap::before(world.address("net")?).await?;
    let mut toml = configuration(dir.path(), &csms, tap.address());
    let mut broker = None;
    if let Some(way) = way {
        let (there, address) = Broker::listen(way).await?;
        toml += &mqtt(address.port());
        broker = Some(there);
    }
    let mut gateway = GatewayProcess::new(env!("CARGO_BIN_EXE_retrovolt"), dir.path(), &toml)?;
    gateway.start()?;
    for unit in 1..=POINTS {
        world.plug(&charger(unit), EvSpec::default())?;
    }
    let all = usize::from(POINTS);
    gateway
        .until("every charge point charges", PATIENCE, |s| {
            online(s) == all && sessions(s) == all
        })
        .await?;
    let (settle, length) = if options.quick { (1, 4) } else { (5, 15) };
    sleep(Duration::from_secs(settle)).await;
    tap.forget();
    let asked = timeout(Duration::from_secs(length), limits(&csms, &tap)).await;
    if let Ok(Err(error)) = asked {
        return Err(error);
    }
    let cycle = Cycle {
        jitter: tap.jitter_ms(99.0)?,
        worst: tap.jitter_ms(100.0)?,
        reaction: median(&tap.reactions_ms()),
    };
    let reached = broker.is_none_or(|broker| broker.connections() > 0 || way == Some(Way::Away));
    if !reached {
        return Err("the gateway has not reached the broker".into());
    }
    gateway.stop(PATIENCE).await?;
    Ok(cycle)
}

/// The CSMS changes a limit now and then, for as long as it is let.
async fn limits(csms: &Csms, tap: &Tap) -> Outcome<()> {
    let mut tick = interval(LIMITS_EVERY);
    for number in 0_u32.. {
        tick.tick().await;
        let cp = point(1);
        let amps = if number % 2 == 0 { 10 } else { 16 };
        let schedule = json!({
            "chargingRateUnit": "A", "chargingSchedulePeriod": [{ "startPeriod": 0, "limit": amps }],
        });
        let profile = json!({
            "chargingProfileId": 1, "stackLevel": 1, "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Relative", "chargingSchedule": schedule,
        });
        let payload = json!({ "connectorId": 1, "csChargingProfiles": profile });
        let call = json!([2, format!("limit-{number}"), "SetChargingProfile", payload]);
        tap.asked(amps * 10);
        csms.send_raw(&cp, &call.to_string()).await?;
    }
    Ok(())
}

fn charger(unit: u8) -> String {
    format!("box-{unit}")
}

fn point(unit: u8) -> String {
    format!("BENCH-{unit}")
}

async fn hardware(dir: &Path) -> Outcome<World> {
    std::fs::create_dir_all(dir.join("devices.d"))?;
    std::fs::write(dir.join("devices.d/box.toml"), PROFILE)?;
    let profile = Profile::parse("box.toml", PROFILE).map_err(|errors| format!("{errors:?}"))?;
    let profile = Arc::new(profile);
    let device = |unit| {
        let mut device = DeviceSpec::new(charger(unit), Arc::clone(&profile), unit);
        device.think = Duration::from_millis(1);
        device
    };
    let spec = WorldSpec {
        lines: Vec::new(),
        servers: vec![("net".into(), (1..=POINTS).map(device).collect())],
    };
    Ok(World::start(spec, Arc::new(RealClock::start())).await?)
}

/// Everything that MQTT can be asked to say, as often as it can be.
fn mqtt(port: u16) -> String {
    format!(
        "\n[mqtt]\nurl = \"mqtt://127.0.0.1:{port}\"\ngateway_id = \"bench\"\nrefresh = \"5s\"\nflat = true\n\
         ha_discovery = \"device\"\n"
    )
}

fn configuration(dir: &Path, csms: &Csms, bus: SocketAddr) -> String {
    let (url, dir) = (csms.url("{id}"), dir.display());
    let (ip, port) = (bus.ip(), bus.port());
    let mut text = format!(
        "[gateway]\nstate_dir = \"{dir}/state\"\nsocket = \"{dir}/ctl.sock\"\ndevice_dir = \"{dir}/devices.d\"\n\n\
         [[bus]]\nid = \"net\"\nhost = \"{ip}\"\ntcp_port = {port}\n"
    );
    for unit in 1..=POINTS {
        let (name, id) = (charger(unit), point(unit));
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            r#"
[[device]]
id = "{name}"
bus = "net"
profile = "bench-quick-box"
unit = {unit}
accept_no_failsafe = true

[[charge_point]]
id = "{id}"
ocpp16 = {{ MeterValueSampleInterval = 1 }}

[[charge_point.evse]]
charger = "{name}"
max_current = "16A"
auth = "free"
id_token = "FREE"

[[charge_point.csms]]
url = "{url}"
version = "1.6"
"#
        );
    }
    text
}
