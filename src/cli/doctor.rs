//! `retrovolt doctor`: causes with evidence and next step.

use super::csms::{self, CsmsArgs};
use super::library::of_site;
use super::line::{self, LineArgs, Spot, of_device};
use super::{brokers, host};
use crate::commission::doctor::{Finding, Line, Subject, broken, endpoint, serial, unopened};
use crate::commission::identify::order;
use crate::commission::medium::{Medium, Real, Target};
use crate::commission::ports::Roots;
use crate::device::{Library, Profile};
use crate::domain::BusSetup;
use crate::runtime::exit;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;
use std::sync::Arc;

/// Findings at least this sure count as failures.
const SURE: u8 = 75;

/// Options of `retrovolt doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Examine the machine: clock, disk, power, permissions, service, serial ports. Without --machine, --bus, --csms and
    /// --mqtt everything is examined.
    #[arg(long)]
    machine: bool,
    /// Examine the buses and their devices.
    #[arg(long)]
    bus: bool,
    /// Examine the way to each CSMS: name, TCP, TLS, clock, login, sub-protocol, identity. No OCPP message is sent, and
    /// where the running gateway is connected nothing beyond TLS is tried.
    #[arg(long)]
    csms: bool,
    /// Examine the way to each MQTT broker: name, TCP, TLS, clock, login, version, rights on the topics that are needed, Home
    /// Assistant, the primary host of Sparkplug. With a client id of its own; what is published for it is taken away again.
    #[arg(long)]
    mqtt: bool,
    #[command(flatten)]
    line: LineArgs,
    #[command(flatten)]
    back_end: CsmsArgs,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// What was examined, and what was found.
struct Examined {
    name: String,
    findings: Vec<Finding>,
}

/// Examines. Exit codes: 0 all good, 75 something doubtful, 69 a failure.
pub async fn run(args: DoctorArgs) -> ExitCode {
    let all = !args.bus && !args.csms && !args.machine && !args.mqtt;
    let config = args.line.config().to_owned();
    let names_something = args.back_end.names_something() || args.line.names_something();
    let buses = args.bus || (all && !args.back_end.names_something());
    let csms = args.csms || args.back_end.names_something() || (all && !args.line.names_something());
    let mut told = json!({ "schema": 1 });
    let mut code = 0;
    if args.machine || (all && !names_something) {
        let checks = host::checks(args.line.config()).await;
        code = host::worst(&checks);
        if args.json {
            told["machine"] = json!(checks);
        } else {
            print!("{}", host::screen(&checks));
        }
    }
    if buses {
        let examined = match lines(&args).await {
            Ok(examined) => examined,
            Err(code) => return code,
        };
        code = worse(code, worst(&examined));
        if args.json {
            let report = |e: &Examined| json!({ "bus": e.name, "findings": e.findings });
            told["buses"] = examined.iter().map(report).collect();
        } else {
            examined.iter().for_each(tell);
        }
    }
    if csms {
        let reports = match csms::examine(args.back_end, args.line.config()).await {
            Ok(reports) => reports,
            Err(code) => return code,
        };
        code = worse(code, csms::worst(&reports));
        if args.json {
            told["csms"] = reports;
        } else {
            print!("{}", csms::screen(&reports));
        }
    }
    if args.mqtt || (all && !names_something) {
        let reports = match brokers::examine(&config).await {
            Ok(reports) => reports,
            Err(code) => return code,
        };
        code = worse(code, csms::worst(&reports));
        if args.json {
            told["mqtt"] = reports;
        } else {
            // Who has asked for everything need not hear that there is none.
            print!("{}", brokers::screen(&reports, args.mqtt));
        }
    }
    if args.json {
        println!("{told}");
    }
    ExitCode::from(code)
}

async fn lines(args: &DoctorArgs) -> Result<Vec<Examined>, ExitCode> {
    let mut examined = Vec::new();
    let (jobs, library) = jobs(args)?;
    for job in jobs {
        if !args.json {
            eprintln!("examining {} ...", job.name);
        }
        examined.push(Examined {
            findings: examine(&job, &library).await,
            name: job.name,
        });
    }
    Ok(examined)
}

fn worst(examined: &[Examined]) -> u8 {
    let findings = examined.iter().flat_map(|e| &e.findings);
    match findings.map(|finding| finding.weight).max() {
        None => 0,
        Some(weight) if weight >= SURE => exit::UNAVAILABLE,
        Some(_) => exit::TEMPORARY,
    }
}

/// A failure is worse than a doubt.
fn worse(one: u8, other: u8) -> u8 {
    if [one, other].contains(&exit::UNAVAILABLE) {
        exit::UNAVAILABLE
    } else {
        one.max(other)
    }
}

/// A line with the devices that should be on it.
struct Job {
    name: String,
    line: Spot,
    subjects: Vec<Subject>,
}

/// What is to be examined, and the profiles of the site.
fn jobs(args: &DoctorArgs) -> Result<(Vec<Job>, Library), ExitCode> {
    if args.line.names_something() {
        let line = args.line.spot()?;
        let subject = Subject {
            id: format!("unit {}", line.unit),
            unit: line.unit,
            connector: line.connector,
            profile: line.profile.clone(),
        };
        let library = of_site(args.line.config()).map_err(|unusable| unusable.give_up())?;
        let job = Job {
            name: line.target.to_string(),
            line,
            subjects: vec![subject],
        };
        return Ok((vec![job], library));
    }
    let loaded = args.line.load()?;
    let mut jobs = Vec::new();
    for bus in &loaded.setup.buses {
        match of_bus(bus, &loaded.library) {
            Ok(job) => jobs.push(job),
            Err(why) => eprintln!("retrovolt: left out: {why}"),
        }
    }
    Ok((jobs, loaded.library))
}

fn of_bus(bus: &BusSetup, library: &Library) -> Result<Job, String> {
    let (target, settings, echo) = line::of_bus(bus)?;
    let spots: Vec<Spot> = bus
        .devices
        .iter()
        .filter_map(|device| of_device(bus, device, library).ok())
        .collect();
    let subjects = bus.devices.iter().map(|device| Subject {
        id: device.id.to_string(),
        unit: device.unit,
        connector: device.connector,
        profile: library.get(&device.profile),
    });
    Ok(Job {
        name: format!("bus {} ({target})", bus.id),
        subjects: subjects.collect(),
        line: Spot {
            target,
            settings,
            framing: bus.framing,
            echo,
            unit: 1,
            connector: 1,
            profile: None,
            timeout: spots.iter().map(|spot| spot.timeout).max().unwrap_or(bus.timeout),
            gap: spots.iter().map(|spot| spot.gap).max().unwrap_or(bus.min_gap),
            socket: None,
        },
    })
}

async fn examine(job: &Job, library: &Library) -> Vec<Finding> {
    let line = &job.line;
    let is_serial = matches!(line.target, Target::Serial { .. });
    let library: Vec<Arc<Profile>> = order(library, is_serial);
    let mut medium = Real::new(line.target.clone(), line.gap);
    if let Err(error) = medium.open(line.settings).await {
        return unopened(&line.target, &error, &Roots::default());
    }
    if !is_serial {
        return endpoint(&mut medium, line.framing, line.timeout, &job.subjects, &library).await;
    }
    let known = Line {
        settings: line.settings,
        framing: line.framing,
        echo: line.echo,
        timeout: line.timeout,
    };
    serial(&mut medium, known, &job.subjects, &library)
        .await
        .unwrap_or_else(|error| broken(&line.target, &error, &Roots::default()))
}

fn tell(examined: &Examined) {
    println!("{}", examined.name);
    if examined.findings.is_empty() {
        println!("    nothing is wrong here");
    }
    for finding in &examined.findings {
        let device = finding
            .device
            .as_ref()
            .map_or_else(String::new, |device| format!("{device}: "));
        println!("  {:>3} %  {device}{}", finding.weight, words(finding));
        println!("         seen: {}", finding.evidence);
        println!("         next: {}", finding.next);
    }
}

/// A cause in words.
fn words(finding: &Finding) -> &'static str {
    use crate::commission::doctor::Cause;
    match finding.cause {
        Cause::Unplugged => "the adapter is not plugged in",
        Cause::Renumbered => "the adapter has another name now",
        Cause::NoPermission => "no permission to open the port",
        Cause::PortHeld => "another program holds the port",
        Cause::Unreachable => "the endpoint cannot be reached",
        Cause::ConnectionBroken => "the connection broke while it was used",
        Cause::SecondMaster => "a second master is on the line",
        Cause::LocalEcho => "the adapter hears its own requests",
        Cause::WrongBaud => "wrong baud rate",
        Cause::WrongParity => "wrong parity",
        Cause::WrongStopBits => "wrong number of stop bits",
        Cause::FramingMixUp => "Modbus RTU and TCP mixed up",
        Cause::WrongUnit => "wrong unit id",
        Cause::SwappedWires => "A and B swapped",
        Cause::DeviceSilent => "the device is off or not on this line",
        Cause::NoTermination => "no termination, or a disturbed line",
        Cause::DuplicateAddress => "two devices share a unit id",
        Cause::SlowDevice => "the device answers too slowly",
        Cause::OffByOne => "registers are off by one",
        Cause::WordOrder => "wrong word order",
        Cause::WrongProfile => "another device than the profile says",
        Cause::WatchdogNotFed => "the charger fell back: its watchdog is not fed",
    }
}
