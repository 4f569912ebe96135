//! `retrovolt scan`: finds devices, read-only, and prints the configuration for them.

use super::library::of_site;
use super::line::{closed, usage};
use crate::commission::Settings;
use crate::commission::identify::order;
use crate::commission::medium::{Real, Target};
use crate::commission::ports::{Roots, list};
use crate::commission::scan::{Attempt, Depth, Event, Speech, Spot, Who, endpoint, serial};
use crate::commission::stanza::{Finding, Stanza};
use crate::device::{Library, Profile};
use crate::domain::{Framing, Protocol};
use crate::runtime::{self, exit};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Addresses of a range looked at, at most (a /22).
const MOST_HOSTS: u32 = 1_024;
/// Wait for a TCP connection in a range.
const CONNECT: Duration = Duration::from_millis(400);
/// Addresses tried at the same time.
const AT_ONCE: usize = 64;
/// Ports that network chargers listen on.
const PORTS: [u16; 3] = [502, 1502, 5020];

/// Options of `retrovolt scan`.
#[derive(Debug, Args)]
pub struct ScanArgs {
    /// The serial port; may be left out where there is only one.
    #[arg(long, conflicts_with = "tcp")]
    port: Option<PathBuf>,
    /// An address, a name, or a range such as 192.168.1.0/24.
    #[arg(long)]
    tcp: Option<String>,
    /// Likely settings and unit ids only (the default).
    #[arg(long, conflicts_with = "full")]
    fast: bool,
    /// Then every unit id at the four commonest settings.
    #[arg(long)]
    full: bool,
    /// Look for this protocol only; may be given several times. Without it: Modbus first, and where nobody answers, the
    /// others.
    #[arg(long, value_parser = protocol())]
    protocol: Vec<Protocol>,
    /// The configuration, whose own device profiles are recognised, too. There need not be one.
    #[arg(short, long, default_value_os_t = runtime::default_config().to_owned())]
    config: PathBuf,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Write the configuration of what was found into this file, which must not exist.
    #[arg(short, long)]
    output: Option<PathBuf>,
}

/// The protocols that a scan knows, in the words of the configuration.
fn protocol() -> impl TypedValueParser<Value = Protocol> {
    let known = Protocol::ALL
        .into_iter()
        .filter(|protocol| is_looked_for(*protocol));
    let words: Vec<&str> = known.map(Protocol::word).collect();
    PossibleValuesParser::new(words).map(|word| Protocol::of(&word).unwrap_or_default())
}

/// Card readers speak only when a card is held to them, and lines of a chip do not speak.
fn is_looked_for(protocol: Protocol) -> bool {
    !matches!(protocol, Protocol::Rfid | Protocol::RfidHid | Protocol::Gpio)
}

/// Scans. Ctrl-C ends it and keeps what was found, and so does a line that breaks. Exit code 69 where nothing was found.
pub async fn run(args: ScanArgs) -> ExitCode {
    let targets = match targets(&args).await {
        Ok(targets) => targets,
        Err(code) => return code,
    };
    let library = match of_site(&args.config) {
        Ok(library) => library,
        Err(unusable) => return unusable.give_up(),
    };
    let depth = if args.full { Depth::Full } else { Depth::Likely };
    let mut stanza = Stanza::default();
    let mut broken = None;
    for target in targets {
        let mut findings = Vec::new();
        let profiles = looked_for(&args, &library, &target);
        let scan = scan(&target, (depth, args.json), &profiles, &mut findings);
        let interrupted = tokio::select! {
            done = scan => match done {
                Ok(()) => false,
                Err(error) => {
                    broken = Some(closed(&target, &error));
                    false
                }
            },
            _ = tokio::signal::ctrl_c() => true,
        };
        stanza.add(&target, &findings);
        if interrupted {
            eprintln!("retrovolt: stopped; what was found so far is kept");
            break;
        }
    }
    match broken.filter(|_| stanza.text().is_empty()) {
        Some(code) => code,
        None => finish(&args, stanza.text()),
    }
}

/// The profiles of what is looked for.
fn looked_for(args: &ScanArgs, library: &Library, target: &Target) -> Vec<Arc<Profile>> {
    let wanted =
        |profile: &Arc<Profile>| args.protocol.is_empty() || args.protocol.contains(&profile.protocol());
    order(library, matches!(target, Target::Serial { .. }))
        .into_iter()
        .filter(wanted)
        .collect()
}

fn finish(args: &ScanArgs, text: &str) -> ExitCode {
    if text.is_empty() {
        eprintln!(
            "retrovolt: nothing answered; check power and wiring, then `retrovolt doctor --bus --port ...`"
        );
        return ExitCode::from(exit::UNAVAILABLE);
    }
    match &args.output {
        None if args.json => println!("{}", json!({ "schema": 1, "toml": text })),
        None => println!("\n# Copy this into the configuration:\n{text}"),
        Some(file) => {
            let written = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(file)
                .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
            if let Err(error) = written {
                eprintln!("retrovolt: {}: {error}\n{text}", file.display());
                return ExitCode::from(exit::CANT_CREATE);
            }
        }
    }
    ExitCode::SUCCESS
}

async fn scan(
    target: &Target,
    (depth, json): (Depth, bool),
    profiles: &[Arc<Profile>],
    findings: &mut Vec<Finding>,
) -> std::io::Result<()> {
    let mut medium = Real::new(target.clone(), Duration::ZERO);
    let place = target.to_string();
    let mut tell = |event: Event| {
        if json {
            println!("{}", as_json(&place, &event));
        } else {
            say(&place, &event);
        }
        if let Event::Identified { spot, matches, .. } = event {
            findings.push(Finding { spot, matches });
        }
    };
    match target {
        Target::Serial { .. } => serial(&mut medium, depth, profiles, &mut tell).await.map(drop),
        Target::Tcp { .. } => endpoint(&mut medium, depth, profiles, &mut tell).await.map(drop),
    }
}

fn say(place: &str, event: &Event) {
    let at = |settings: &Option<Settings>| settings.map_or_else(String::new, |s| format!(" at {s}"));
    match event {
        Event::Traffic { bytes, frames } => println!(
            "{place}: {bytes} bytes ({frames} Modbus frames) were heard before anything was asked: another master is on this line, or a device that speaks by itself in a way nobody knows"
        ),
        Event::Master(protocol) => {
            println!("{place}: another master steers {protocol} devices on this line already");
        }
        Event::Trying { settings, attempt } => match attempt {
            Attempt::Ask(speech) => eprintln!("{place}: asking{} ({speech})", at(settings)),
            Attempt::Listen => eprintln!("{place}: listening{}", at(settings)),
        },
        Event::Noise(settings) => eprintln!(
            "{place}: something answers{}, but cannot be understood",
            at(settings)
        ),
        Event::Found(spot) => println!(
            "{place}: {} answers{} ({})",
            spot.who,
            at(&spot.settings),
            spot.speech
        ),
        Event::Identified { spot, matches, says } => {
            let names: Vec<String> = matches
                .iter()
                .take(4)
                .map(|m| format!("{} ({:?})", m.profile.id(), m.confidence).to_lowercase())
                .collect();
            let names = if names.is_empty() {
                "no profile fits".to_owned()
            } else {
                names.join(", or ")
            };
            let says = if says.is_empty() {
                String::new()
            } else {
                format!("; it says: {says}")
            };
            println!("{place}: {} is {names}{says}", spot.who);
        }
    }
}

fn as_json(place: &str, event: &Event) -> Value {
    let at = |settings: &Option<Settings>| settings.map(|s| s.to_string());
    let (name, more) = match event {
        Event::Traffic { bytes, frames } => ("traffic", json!({ "bytes": bytes, "frames": frames })),
        Event::Master(protocol) => ("master", json!({ "protocol": protocol.word() })),
        Event::Trying { settings, attempt } => {
            let mut trying = json!({ "settings": at(settings), "listening": *attempt == Attempt::Listen });
            if let Attempt::Ask(speech) = attempt {
                spoken(&mut trying, *speech);
            }
            ("trying", trying)
        }
        Event::Noise(settings) => ("noise", json!({ "settings": at(settings) })),
        Event::Found(spot) => ("found", located(spot)),
        Event::Identified { spot, matches, says } => {
            let mut identified = located(spot);
            identified["profiles"] = matches.iter().map(|m| m.profile.id()).collect();
            identified["says"] = says.as_str().into();
            ("identified", identified)
        }
    };
    let mut object = json!({ "schema": 1, "at": place, "event": name });
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}

fn located(spot: &Spot) -> Value {
    let mut object = json!({ "settings": spot.settings.map(|settings| settings.to_string()) });
    spoken(&mut object, spot.speech);
    match &spot.who {
        Who::Unit(unit) => object["unit"] = (*unit).into(),
        Who::Address(address) => object["address"] = address.as_str().into(),
        Who::Alone => {}
    }
    object
}

fn spoken(object: &mut Value, speech: Speech) {
    object["protocol"] = speech.protocol().word().into();
    object["framing"] = speech.framing().map(Framing::word).into();
}

async fn targets(args: &ScanArgs) -> Result<Vec<Target>, ExitCode> {
    if let Some(tcp) = &args.tcp {
        return endpoints(tcp).await;
    }
    if let Some(path) = &args.port {
        return Ok(vec![Target::Serial { path: path.clone() }]);
    }
    let ports: Vec<PathBuf> = list(&Roots::default())
        .iter()
        .filter(|port| port.usb.is_some())
        .map(|port| port.best_name().to_owned())
        .collect();
    match ports.as_slice() {
        [only] => Ok(vec![Target::Serial { path: only.clone() }]),
        [] => Err(usage(
            "no USB adapter is plugged in; name the port with --port, or an address with --tcp",
        )),
        several => {
            let names: Vec<String> = several.iter().map(|path| path.display().to_string()).collect();
            Err(usage(&format!(
                "several adapters: name one with --port: {}",
                names.join(", ")
            )))
        }
    }
}

/// The endpoints of an address, or those in a range that take a connection.
async fn endpoints(tcp: &str) -> Result<Vec<Target>, ExitCode> {
    let Some((base, length)) = tcp.split_once('/') else {
        let (host, port) = match tcp.rsplit_once(':') {
            Some((host, port)) => (
                host,
                port.parse()
                    .map_err(|_| usage("the port behind the colon is no number"))?,
            ),
            None => (tcp, 502),
        };
        return Ok(vec![Target::Tcp {
            host: host.to_owned(),
            port,
        }]);
    };
    let hosts = range(base, length).map_err(|text| usage(&text))?;
    let mut open = Vec::new();
    for chunk in hosts.chunks(AT_ONCE) {
        let tries = chunk.iter().flat_map(|host| {
            PORTS.map(|port| async move {
                let connect = tokio::net::TcpStream::connect((*host, port));
                let up = tokio::time::timeout(CONNECT, connect)
                    .await
                    .is_ok_and(|c| c.is_ok());
                up.then(|| Target::Tcp {
                    host: host.to_string(),
                    port,
                })
            })
        });
        open.extend(futures_util::future::join_all(tries).await.into_iter().flatten());
    }
    Ok(open)
}

fn range(base: &str, length: &str) -> Result<Vec<Ipv4Addr>, String> {
    let base: Ipv4Addr = base
        .parse()
        .map_err(|_| format!("{base:?} is no IPv4 address; write for example 192.168.1.0/24"))?;
    let length: u32 = length
        .parse()
        .ok()
        .filter(|length| (22..=32).contains(length))
        .ok_or_else(|| format!("a range of at most {MOST_HOSTS} addresses is looked at: /22 to /32"))?;
    let count = 1_u32 << (32 - length);
    let first = u32::from(base) & !(count - 1);
    let hosts = (first..=first + (count - 1)).map(Ipv4Addr::from);
    // The first and the last address of a network are no hosts.
    Ok(if count > 2 {
        hosts.skip(1).take(count as usize - 2).collect()
    } else {
        hosts.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::hail;

    #[test]
    fn a_range_is_its_hosts() {
        let hosts = range("192.168.1.77", "30").expect("a range");
        assert_eq!(
            hosts,
            [Ipv4Addr::new(192, 168, 1, 77), Ipv4Addr::new(192, 168, 1, 78)]
        );
        assert_eq!(range("10.0.0.0", "24").expect("a range").len(), 254);
        assert_eq!(
            range("10.0.0.9", "32").expect("a range"),
            [Ipv4Addr::new(10, 0, 0, 9)]
        );
        assert_eq!(range("255.255.252.0", "22").expect("a range").len(), 1_022);
        for (base, length) in [
            ("10.0.0.0", "16"),
            ("10.0.0.0", "33"),
            ("ten", "24"),
            ("10.0.0.0", "x"),
        ] {
            assert!(range(base, length).is_err(), "{base}/{length}");
        }
    }

    #[test]
    fn every_protocol_that_a_shipped_device_can_be_hailed_in_is_looked_for() {
        let library = Library::builtin();
        for protocol in Protocol::ALL {
            let hailed = protocol == Protocol::Modbus
                || library
                    .speaking(protocol)
                    .any(|(_, profile)| hail(&profile).is_some());
            assert_eq!(is_looked_for(protocol), hailed, "{protocol:?}");
        }
    }
}
