//! Processor time for each 10,000 transactions on a line of 115,200 baud (goal P4): the whole daemon with its sessions,
//! its ledger and its CSMS, against a bare tokio-modbus and the peers.

use super::gateway::profile;
use super::kit::{Goals, Options, Outcome, row};
use super::peers::{BARE, Peer, bare};
use super::slaves::Bench;
use retrovolt::device::Library;
use retrovolt::sim::clock::RealClock;
use retrovolt::sim::csms::Csms;
use retrovolt::sim::{DeviceSpec, EvSpec, Format, GatewayProcess, LineSetup, World, WorldSpec};
use rustix::time::{ClockId, clock_gettime};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_modbus::client::Reader;
use tokio_modbus::client::rtu::attach_slave;
use tokio_modbus::slave::{Slave, SlaveContext};

const BAUD: u32 = 115_200;
/// Charge points, each with a charger and a meter whose ten blocks fill the line.
const POINTS: u8 = 4;
const BLOCKS: u16 = 10;
const CHARGER: &str = "heidelberg-energy-control";
const PATIENCE: Duration = Duration::from_secs(60);

/// Polls as the other masters do, if this program was started for that.
pub fn if_asked() -> Option<Outcome<()>> {
    let mut words = std::env::args().skip(1);
    (words.next()? == BARE).then(|| {
        let words: Vec<String> = words.collect();
        let [path, baud, units, registers, millis, timeout] = words.as_slice() else {
            return Err("PATH BAUD UNITS REGISTERS MILLISECONDS TIMEOUT_MS are wanted".into());
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let time = [millis, timeout].map(|text| text.parse().map(Duration::from_millis));
        let [time, timeout] = time;
        runtime.block_on(poll(
            (path, baud.parse()?, units.parse()?, registers.parse()?),
            time?,
            timeout?,
        ))
    })
}

async fn poll(
    (path, baud, units, registers): (&str, u32, u8, u16),
    time: Duration,
    timeout: Duration,
) -> Outcome<()> {
    let port = tokio_serial::SerialStream::open(&tokio_serial::new(path, baud))?;
    let mut master = attach_slave(port, Slave(1));
    let (mut good, mut bad) = (0_u32, 0_u32);
    let (begin, used) = (Instant::now(), own_seconds());
    for unit in (1..=units).cycle() {
        if begin.elapsed() >= time {
            break;
        }
        master.set_slave(Slave(unit));
        let answer = tokio::time::timeout(timeout, master.read_input_registers(0, registers)).await;
        if matches!(answer, Ok(Ok(Ok(_)))) {
            good += 1;
        } else {
            bad += 1;
        }
    }
    let took = begin.elapsed().as_secs_f64();
    println!("{good} {bad} {took:.6} {:.6}", own_seconds() - used);
    Ok(())
}

/// Processor time of this process.
fn own_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
    .as_secs_f64()
}

/// Processor time of all threads of a process.
fn seconds_of(pid: u32) -> Outcome<f64> {
    let mut nanos = 0_u64;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let told = std::fs::read_to_string(task?.path().join("schedstat"))?;
        nanos += told
            .split_whitespace()
            .next()
            .ok_or("no time in schedstat")?
            .parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos).as_secs_f64())
}

/// The table.
pub fn run(options: Options, dir: &Path, peers: &[Peer], goals: &mut Goals) -> Outcome<()> {
    println!("\nProcessor seconds for each 10,000 transactions, {BAUD} baud, {POINTS} units in turn");
    row(&["", "s / 10k", "gateway / it", "transactions/s"]);
    let time = Duration::from_secs(if options.quick { 5 } else { 20 });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let (ours, rate) = runtime.block_on(daemon(&dir.join("daemon"), time))?;
    let line = |name: &str, cost: f64, rate: f64| {
        row(&[
            name.to_owned(),
            format!("{cost:.3}"),
            format!("{:.2}", ours / cost),
            format!("{rate:.0}"),
        ]);
    };
    line("gateway, the whole daemon", ours, rate);
    let floor = bare()?;
    for peer in std::iter::once(&floor).chain(peers) {
        // Tolerant slaves: none of these keeps the silence.
        let bench = Bench::open(dir, BAUD, POINTS, false)?;
        let polled = peer.run(&bench.path(), BAUD, POINTS, time, Duration::from_millis(500))?;
        if polled.failed() > 0.02 {
            return Err(format!(
                "{}: {:.0} % of its polls fail",
                peer.name,
                polled.failed() * 100.0
            )
            .into());
        }
        let cost = polled.cpu / f64::from(polled.good) * 10_000.0;
        line(peer.name, cost, f64::from(polled.good) / polled.took);
        match peer.name {
            "tokio-modbus" => goals.at_most("P4 gateway / bare tokio-modbus", ours / cost, 1.5),
            "pymodbus async" => goals.at_most("P4 gateway / pymodbus async", ours / cost, 1.0 / 3.0),
            _ => {}
        }
    }
    Ok(())
}

/// Seconds for each 10,000 transactions of the running gateway, and transactions a second.
async fn daemon(dir: &Path, time: Duration) -> Outcome<(f64, f64)> {
    std::fs::create_dir_all(dir.join("devices"))?;
    let text = profile(BLOCKS);
    std::fs::write(dir.join("devices/bench.toml"), &text)?;
    let mut library = Library::builtin();
    library
        .add("bench.toml", &text)
        .map_err(|errors| format!("{errors:?}"))?;
    let mut devices = Vec::new();
    for unit in 1..=POINTS {
        for (name, profile, unit) in [("meter", "bench-meter", unit), ("box", CHARGER, 100 + unit)] {
            let profile = library.get(profile).ok_or("a profile is not there")?;
            devices.push(DeviceSpec::new(format!("{name}-{}", unit % 100), profile, unit));
        }
    }
    let line = LineSetup::new(dir.join("line.tty"), Format::even(BAUD));
    let spec = WorldSpec {
        lines: vec![("line".into(), line, devices)],
        servers: Vec::new(),
    };
    let world = World::start(spec, Arc::new(RealClock::start())).await?;
    let csms = Csms::start().await?;
    let toml = configuration(dir, &csms);
    let mut gateway = GatewayProcess::new(env!("CARGO_BIN_EXE_retrovolt"), dir, &toml)?;
    gateway.start()?;
    for unit in 1..=POINTS {
        world.plug(&format!("box-{unit}"), EvSpec::default())?;
    }
    for unit in 1..=POINTS {
        let cp = format!("BENCH-{unit}");
        let begun = csms.wait_call(0, PATIENCE, &cp, "StartTransaction").await;
        begun.ok_or_else(|| {
            format!(
                "no session at charge point {unit}; see {}",
                gateway.log().display()
            )
        })?;
    }
    let pid = gateway.pid().ok_or("the gateway has ended")?;
    let line = world.line("line")?;
    let (before, used, begin) = (line.stats().answers, seconds_of(pid)?, Instant::now());
    tokio::time::sleep(time).await;
    let (count, used) = (line.stats().answers - before, seconds_of(pid)? - used);
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    gateway.stop(PATIENCE).await?;
    Ok((used / count as f64 * 10_000.0, rate))
}

fn configuration(dir: &Path, csms: &Csms) -> String {
    let (url, dir) = (csms.url("{id}"), dir.display());
    let mut text = format!(
        "[gateway]\nstate_dir = \"{dir}/state\"\nsocket = \"{dir}/ctl.sock\"\ndevice_dir = \"{dir}/devices\"\n\n\
         [[bus]]\nid = \"line\"\nport = \"{dir}/line.tty\"\nbaud = {BAUD}\nparity = \"even\"\n"
    );
    for unit in 1..=POINTS {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            r#"
[[device]]
id = "meter-{unit}"
bus = "line"
profile = "bench-meter"
unit = {unit}

[[device]]
id = "box-{unit}"
bus = "line"
profile = "{CHARGER}"
unit = {}

[[charge_point]]
id = "BENCH-{unit}"
vendor = "Bench"
model = "Bench"
ocpp16 = {{ MeterValueSampleInterval = 10 }}

[[charge_point.evse]]
charger = "box-{unit}"
meter = "meter-{unit}"
phases = 3
max_current = "16A"
auth = "free"
id_token = "FREE"

[[charge_point.csms]]
url = "{url}"
version = "1.6"
"#,
            100 + unit
        );
    }
    text
}
