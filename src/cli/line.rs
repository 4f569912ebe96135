//! Which line, which unit: shared by the installer's verbs.

use super::library::{find, of_site};
use crate::commission::Settings;
use crate::commission::doctor::{Finding, unopened};
use crate::commission::medium::{Medium, Real, Target};
use crate::commission::ports::Roots;
use crate::commission::talk::{Talk, settled};
use crate::config::{self, LoadOptions, Loaded, Report};
use crate::device::{Library, Profile};
use crate::domain::{BusSetup, DeviceSetup, Framing, Link, Parity, Protocol};
use crate::runtime::{self, exit};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Wait for an answer where nothing says otherwise.
const PATIENCE: Duration = Duration::from_millis(500);

/// Options that name a line and a unit.
#[derive(Clone, Debug, Args)]
pub struct LineArgs {
    /// A device of the configuration: its line, settings, unit id and profile are taken from there.
    #[arg(conflicts_with_all = ["port", "host"])]
    device: Option<String>,
    /// The configuration file.
    #[arg(short, long, default_value_os_t = runtime::default_config().to_owned())]
    config: PathBuf,
    /// A serial port.
    #[arg(long, conflicts_with = "host")]
    port: Option<PathBuf>,
    /// A Modbus TCP endpoint.
    #[arg(long)]
    host: Option<String>,
    /// Port of the endpoint.
    #[arg(long, default_value_t = 502)]
    tcp_port: u16,
    /// The endpoint is a serial device server: RTU frames over TCP.
    #[arg(long, requires = "host")]
    rtu: bool,
    /// Modbus ASCII.
    #[arg(long, conflicts_with = "rtu")]
    ascii: bool,
    /// Bits per second.
    #[arg(long, default_value_t = 9_600)]
    baud: u32,
    /// Parity bit.
    #[arg(long, value_parser = parity(), default_value = Parity::None.word())]
    parity: Parity,
    /// Stop bits.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    stop_bits: u8,
    /// Unit id.
    #[arg(short, long)]
    unit: Option<u8>,
    /// Id of a profile, or a profile file.
    #[arg(long)]
    profile: Option<String>,
    /// Wait for an answer, milliseconds.
    #[arg(long)]
    timeout_ms: Option<u64>,
}

/// A parity on the command line, in the words of the configuration.
fn parity() -> impl TypedValueParser<Value = Parity> {
    PossibleValuesParser::new(Parity::ALL.map(Parity::word)).map(|word| Parity::of(&word).unwrap_or_default())
}

/// A line and a unit, found.
pub struct Spot {
    /// Where.
    pub target: Target,
    /// Serial settings; of no consequence for TCP.
    pub settings: Settings,
    /// Framing.
    pub framing: Framing,
    /// The adapter is known to echo.
    pub echo: bool,
    /// Unit id.
    pub unit: u8,
    /// Connector, from 1.
    pub connector: u16,
    /// Profile, where one is known.
    pub profile: Option<Arc<Profile>>,
    /// Wait for an answer.
    pub timeout: Duration,
    /// Silence before each request.
    pub gap: Duration,
    /// Control socket of the gateway of this configuration.
    pub socket: Option<PathBuf>,
}

impl LineArgs {
    /// Whether a line or a device was named at all.
    pub fn names_something(&self) -> bool {
        self.device.is_some() || self.port.is_some() || self.host.is_some()
    }

    /// The configuration these options speak of.
    pub fn load(&self) -> Result<Loaded, ExitCode> {
        load(&self.config)
    }

    /// The configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Finds the line and the unit.
    pub fn spot(&self) -> Result<Spot, ExitCode> {
        let mut library = None;
        let mut spot = match (&self.device, &self.port, &self.host) {
            (Some(device), _, _) => {
                let loaded = self.load()?;
                let Some((bus, own)) = loaded.setup.device(device) else {
                    let known: Vec<&str> = loaded
                        .setup
                        .buses
                        .iter()
                        .flat_map(|b| &b.devices)
                        .map(|d| d.id.as_str())
                        .collect();
                    return Err(usage(&format!(
                        "{} knows no device {device:?}; it has {}",
                        self.config.display(),
                        known.join(", ")
                    )));
                };
                let spot = of_device(bus, own, &loaded.library).map_err(|text| usage(&text))?;
                let socket = Some(loaded.setup.socket.clone());
                library = Some(loaded.library);
                Spot { socket, ..spot }
            }
            (None, Some(path), _) => self.bare(Target::Serial { path: path.clone() }),
            (None, None, Some(host)) => self.bare(Target::Tcp {
                host: host.clone(),
                port: self.tcp_port,
            }),
            (None, None, None) => {
                return Err(usage(
                    "say where: a device of the configuration, --port, or --host",
                ));
            }
        };
        if let Some(id) = &self.profile {
            let library = library.map_or_else(|| of_site(&self.config), Ok);
            let found = library.and_then(|library| find(id, &library));
            spot.profile = Some(found.map_err(|unusable| unusable.give_up())?);
        }
        if let Some(unit) = self.unit {
            spot.unit = unit;
        }
        if let Some(ms) = self.timeout_ms {
            spot.timeout = Duration::from_millis(ms);
        }
        Ok(spot)
    }

    fn bare(&self, target: Target) -> Spot {
        let framing = match target {
            _ if self.ascii => Framing::Ascii,
            Target::Tcp { .. } if !self.rtu => Framing::Tcp,
            Target::Tcp { .. } | Target::Serial { .. } => Framing::Rtu,
        };
        Spot {
            target,
            settings: Settings {
                baud: self.baud,
                data_bits: 8,
                parity: self.parity,
                stop_bits: self.stop_bits,
            },
            framing,
            echo: false,
            unit: 1,
            connector: 1,
            profile: None,
            timeout: PATIENCE,
            gap: Duration::ZERO,
            socket: None,
        }
    }
}

/// The line of a bus and a device on it.
///
/// # Errors
/// As [`of_bus`].
pub fn of_device(bus: &BusSetup, device: &DeviceSetup, library: &Library) -> Result<Spot, String> {
    let (target, settings, echo) = of_bus(bus)?;
    let profile = library.get(&device.profile);
    let own = profile.as_ref().map(|profile| profile.link().timeout);
    let gap = profile
        .as_ref()
        .map_or(bus.min_gap, |profile| profile.link().min_gap.max(bus.min_gap));
    Ok(Spot {
        target,
        settings,
        framing: bus.framing,
        echo,
        unit: device.unit,
        connector: device.connector,
        timeout: device.timeout.or(own).unwrap_or(bus.timeout),
        profile,
        gap,
        socket: None,
    })
}

/// Where a configured bus leads, how it is set, and whether its adapter is known to echo.
///
/// # Errors
/// The bus is not Modbus: these tools cannot speak to it.
pub fn of_bus(bus: &BusSetup) -> Result<(Target, Settings, bool), String> {
    let target = Target::of(&bus.link).filter(|_| bus.protocol == Protocol::Modbus);
    let echo = matches!(bus.link, Link::Serial { echo: true, .. });
    target
        .map(|target| (target, Settings::of(&bus.link), echo))
        .ok_or_else(|| {
            format!(
                "bus {} speaks {}, not Modbus; `retrovolt status` shows its devices",
                bus.id,
                bus.protocol.word()
            )
        })
}

impl Spot {
    /// Opens the line, and finds out the framing where the configuration leaves that open. What stands against it is told
    /// with the next step.
    pub async fn open(&mut self) -> Result<Real, ExitCode> {
        let mut medium = Real::new(self.target.clone(), self.gap);
        let opened = match medium.open(self.settings).await {
            Ok(()) => settled(&mut medium, self.framing, self.unit, self.timeout).await,
            Err(error) => Err(error),
        };
        self.framing = opened.map_err(|error| closed(&self.target, &error))?;
        Ok(medium)
    }

    /// A conversation on an open line.
    pub fn talk<'a>(&self, medium: &'a mut Real) -> Talk<'a, Real> {
        Talk {
            medium,
            framing: self.framing,
            timeout: self.timeout,
            thorough: false,
        }
    }
}

/// Says why a line cannot be opened.
pub fn closed(target: &Target, error: &std::io::Error) -> ExitCode {
    use crate::commission::doctor::Cause;
    let findings = unopened(target, error, &Roots::default());
    for Finding { evidence, next, .. } in findings.iter().take(1) {
        eprintln!("retrovolt: {evidence}\n           {next}");
    }
    ExitCode::from(match findings.first().map(|finding| finding.cause) {
        Some(Cause::NoPermission) => exit::NO_PERMISSION,
        Some(Cause::PortHeld) => exit::CANT_CREATE,
        _ => exit::UNAVAILABLE,
    })
}

/// A line that broke while it was used.
pub fn lost(error: &std::io::Error) -> ExitCode {
    eprintln!("retrovolt: the line is gone: {error}");
    ExitCode::from(exit::IO)
}

/// Asks a person; without a terminal nobody can agree.
pub fn agreed(question: &str) -> bool {
    if !std::io::stdin().is_terminal() {
        eprintln!("retrovolt: without a terminal --yes must say that this is meant");
        return false;
    }
    eprint!("{question} [y/N] ");
    // A question that does not show is answered blindly: not at all, then.
    if std::io::stderr().flush().is_err() {
        return false;
    }
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// A wrong command line.
pub fn usage(text: &str) -> ExitCode {
    eprintln!("retrovolt: {text}");
    ExitCode::from(exit::USAGE)
}

/// A configuration, or its mistakes.
pub fn load(file: &Path) -> Result<Loaded, ExitCode> {
    config::load(file, &LoadOptions::for_a_verb(file)).map_err(|report| {
        eprintln!("{report}");
        unfit(&report)
    })
}

/// A configuration that cannot be read, or has mistakes.
pub fn unfit(report: &Report) -> ExitCode {
    ExitCode::from(u8::try_from(report.exit_code()).unwrap_or(exit::SOFTWARE))
}
