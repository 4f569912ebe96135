//! The site as configured: what `config` builds and every other room is given. Checked, never changed in place.

use super::auth::IdToken;
use super::gpio::{GpioLink, GpioSignal};
use super::ids::{BusId, CpId, DeviceId, EvseId};
use super::mqtt::MqttSetup;
use super::protocol::{Framing, Protocol};
use super::reading::Phase;
use super::sparkplug::SparkplugSetup;
use super::tags::TagRule;
use super::units::MilliAmps;
use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Everything the gateway serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteSetup {
    /// Ports and the devices on them.
    pub buses: Vec<BusSetup>,
    /// Charge points toward CSMSs.
    pub charge_points: Vec<CpSetup>,
    /// Fuses shared by several EVSEs.
    pub fuses: Vec<FuseSetup>,
    /// The own topic tree on a broker; `None`: there is none.
    pub mqtt: Option<MqttSetup>,
    /// The gateway as an edge node of Sparkplug B.
    pub sparkplug: Option<SparkplugSetup>,
    /// Database and everything else that must survive.
    pub state_dir: PathBuf,
    /// Records the journal of sessions keeps.
    pub session_records: u32,
    /// Local control socket.
    pub socket: PathBuf,
    /// PEM files trusted beside the system's own.
    pub trust_dir: Option<PathBuf>,
    /// Profiles of the user; the same id wins over a shipped one.
    pub device_dir: Option<PathBuf>,
    /// Page about the gateway for people, as an `http` or `https` URL.
    pub page_url: Option<String>,
    /// Most a session holds up a shutdown of the machine; zero: never.
    pub inhibit_shutdown: Duration,
    /// Where metrics are served; `None`: nowhere.
    pub metrics: Option<Listen>,
    /// What back ends may cost in a month, bytes, by the reader (`CP/CSMS`) or as
    /// [`SiteSetup::BROKER`] and [`SiteSetup::SPARKPLUG`].
    pub budgets: BTreeMap<String, u64>,
}

/// Where a local server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A socket in the file system.
    Unix(PathBuf),
    /// A port.
    Tcp(SocketAddr),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

impl SiteSetup {
    /// The name of the MQTT broker among back ends; no CSMS can have it, for its name has a slash.
    pub const BROKER: &str = "mqtt";
    /// The name of the brokers of Sparkplug among back ends.
    pub const SPARKPLUG: &str = "sparkplug";

    /// A device by its name, with its bus.
    #[must_use]
    pub fn device(&self, id: &str) -> Option<(&BusSetup, &DeviceSetup)> {
        self.buses.iter().find_map(|bus| {
            let own = bus.devices.iter().find(|device| device.id.as_str() == id)?;
            Some((bus, own))
        })
    }
}

/// One south-side port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusSetup {
    /// Its id.
    pub id: BusId,
    /// What it is.
    pub link: Link,
    /// What is spoken on it.
    pub protocol: Protocol,
    /// How Modbus frames are wrapped.
    pub framing: Framing,
    /// Silence to keep after a frame, where more than the standard's 3.5 characters is wanted.
    pub min_gap: Duration,
    /// Reply time-out where neither device nor profile says one.
    pub timeout: Duration,
    /// Wait before a lost port is tried again.
    pub reopen_wait: Duration,
    /// Devices on it.
    pub devices: Vec<DeviceSetup>,
}

/// How a bus is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// A serial port.
    Serial {
        /// Stable path, `/dev/serial/by-id/...`.
        path: PathBuf,
        /// Bits per second.
        baud: u32,
        /// Parity.
        parity: Parity,
        /// 7 or 8.
        data_bits: u8,
        /// 1 or 2.
        stop_bits: u8,
        /// The adapter repeats what we send; it is taken off the answer.
        echo: bool,
    },
    /// A keyboard, by its event device; it is taken from everybody else.
    Input {
        /// Stable path, `/dev/input/by-id/...-event-kbd`.
        path: PathBuf,
    },
    /// A TCP connection: Modbus TCP, or the byte stream of a serial device server.
    Tcp {
        /// Name or address.
        host: String,
        /// Usually 502 for Modbus.
        port: u16,
    },
    /// Lines of a GPIO chip.
    Gpio(GpioLink),
}

/// Parity bit of a serial port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Parity {
    /// None.
    #[default]
    None,
    /// Even.
    Even,
    /// Odd.
    Odd,
}

impl Parity {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::None, Self::Even, Self::Odd];

    /// The word of the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Even => "even",
            Self::Odd => "odd",
        }
    }

    /// The parity of a word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|parity| parity.word() == word)
    }
}

/// One device on a bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceSetup {
    /// Its id.
    pub id: DeviceId,
    /// Profile id, e.g. `heidelberg-energy-control`.
    pub profile: String,
    /// Modbus unit id.
    pub unit: u8,
    /// Address of the device where the protocol has one that is no Modbus unit id.
    pub address: Option<String>,
    /// Which connector or channel of the device, from 1 (register offset by the profile).
    pub connector: u16,
    /// Poll period of fast points; `None`: the profile's.
    pub poll: Option<Duration>,
    /// Reply time-out; `None`: the profile's, else the bus's.
    pub timeout: Option<Duration>,
    /// Watchdog time-out to write; `None`: the profile's default.
    pub watchdog_timeout: Option<Duration>,
    /// Longest pause between feeds; `None`: by the profile and the time-out.
    pub watchdog_feed: Option<Duration>,
    /// Fallback current to write into the device; `None`: the profile's default.
    pub failsafe_current: Option<MilliAmps>,
    /// The operator signs for a device without a watchdog or with an unsafe fallback.
    pub accept_no_failsafe: bool,
    /// What feeds the charger, for limits in watt; `None`: no charger, or not known.
    pub supply: Option<Supply>,
}

/// What feeds an EVSE, as far as a limit in watt depends on it (ADR 13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supply {
    /// Phases that are wired, 1 or 3.
    pub phases: u8,
    /// Nominal phase-to-neutral voltage, volt.
    pub volts: u32,
    /// What one phase may carry at any time, whatever the limit is; zero where that depends on what others draw.
    pub spare: MilliAmps,
}

/// One charge point as a CSMS sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpSetup {
    /// Its identity in the OCPP URL.
    pub id: CpId,
    /// BootNotification vendor, at most 20 characters in 1.6.
    pub vendor: String,
    /// BootNotification model, at most 20 characters.
    pub model: String,
    /// Serial number, at most 25 characters.
    pub serial: Option<String>,
    /// EVSEs, ids 1..n without gaps.
    pub evses: Vec<EvseSetup>,
    /// Back ends; the first is in control.
    pub csms: Vec<CsmsSetup>,
    /// Initial OCPP 1.6 keys; a value stored by the CSMS wins.
    pub keys: BTreeMap<String, String>,
    /// What firmware is here; `None`: there is none to update.
    pub firmware: Option<FirmwareSetup>,
    /// Initial OCPP 2.x variables, `Component.Variable` or `Component.Variable[Instance]`; a stored value wins.
    pub variables: BTreeMap<String, String>,
}

impl CpSetup {
    /// Whether a back end of this charge point is in control; every other only reads.
    #[must_use]
    pub fn is_controlled_by(&self, csms: &CsmsSetup) -> bool {
        self.csms.first().is_none_or(|first| first.name == csms.name)
    }
}

/// What the site has as firmware, and how it is handed over (ADR 12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirmwareSetup {
    /// Folder that an installer watches.
    pub spool: PathBuf,
    /// What the files are, for the installer.
    pub kind: FirmwareKind,
    /// PEM file with the manufacturer's roots: only signed updates are taken. `None`: only unsigned ones are.
    pub roots: Option<PathBuf>,
    /// Largest file.
    pub max_bytes: u64,
    /// An installation waits for the end of sessions, and keeps new ones away.
    pub waits_for_sessions: bool,
    /// How long an installer may say nothing final.
    pub install_timeout: Duration,
}

/// What a firmware file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirmwareKind {
    /// A package of the gateway's own system.
    Package,
    /// An image for the charger.
    Charger,
}

impl FirmwareKind {
    /// As written in the configuration and in the spool.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Package => "package",
            Self::Charger => "charger",
        }
    }
}

/// One EVSE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvseSetup {
    /// Its id within the charge point.
    pub id: EvseId,
    /// The device that switches.
    pub charger: DeviceId,
    /// The device whose register is billed; `None`: the charger's own.
    pub meter: Option<DeviceId>,
    /// A separate token source.
    pub reader: Option<DeviceId>,
    /// The contacts of the site it heeds: those wired to its own devices, and those of devices it names for them.
    pub contacts: Vec<ContactSetup>,
    /// How many phases are wired, 1 or 3.
    pub phases: u8,
    /// To which grid phase the EVSE's L1 is wired; L2 and L3 follow in order.
    pub first_phase: Phase,
    /// Most the installation allows, per phase.
    pub max_current: MilliAmps,
    /// Least the vehicle can be told, 6 A by IEC 61851-1.
    pub min_current: MilliAmps,
    /// What is left per phase while the grid operator dims; below `min_current` charging pauses.
    pub dimmed_current: MilliAmps,
    /// Nominal phase-to-neutral voltage in volt, for limits in watt.
    pub nominal_voltage: u32,
    /// Who may charge.
    pub auth: AuthMode,
    /// Meter readings older than this are stale.
    pub meter_stale_after: Duration,
    /// The charger can be told to release the plug.
    pub has_lock: bool,
    /// Three phases are wired, and the charger can be told to use one.
    pub switches_phases: bool,
}

/// The contacts of the site on one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactSetup {
    /// To which they are wired.
    pub device: DeviceId,
    /// Which there are, of [`GpioSignal::CONTACTS`].
    pub signals: BTreeSet<GpioSignal>,
}

/// How a session gets its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// Anybody; sessions carry this token and the CSMS is not asked.
    Free(IdToken),
    /// Only remote starts.
    Remote,
    /// A card reader (a device of its own, or a point of the charger), authorised by cache, list and CSMS.
    Reader,
    /// The charger itself decides and starts charging; the reported or default token goes into the records.
    Charger(Option<IdToken>),
}

/// Which OCPP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OcppVersion {
    /// 1.6J.
    V16,
    /// 2.0.1.
    V201,
}

/// One back end of a charge point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsmsSetup {
    /// Its name in logs and reader ids.
    pub name: String,
    /// Full URL with the identity filled in, prefix and trailing slash as configured.
    pub url: String,
    /// Where it is reached by TLS once it has raised the security profile; `None`: at `url`, with `wss`.
    pub secure_url: Option<String>,
    /// The one version offered.
    pub version: OcppVersion,
    /// Transport security.
    pub security: Security,
    /// First reconnect wait; doubles up to `reconnect_max`, with jitter.
    pub reconnect_min: Duration,
    /// Longest reconnect wait.
    pub reconnect_max: Duration,
    /// Wait for the answer to a CALL; the connection counts as dead after it.
    pub message_timeout: Duration,
    /// Wait for TCP, TLS and upgrade.
    pub connect_timeout: Duration,
    /// WebSocket ping period; zero: none.
    pub ping: Duration,
    /// Retry wait for BootNotification where the CSMS gives none.
    pub boot_retry: Duration,
    /// Whose sessions it is told of.
    pub tags: TagRule,
}

impl CsmsSetup {
    /// The security profile, 0 to 3 (1.6 whitepaper ed. 3 section 2; 2.0.1 A00).
    #[must_use]
    pub fn security_profile(&self) -> u8 {
        match (&self.security, self.url.starts_with("wss:")) {
            (Security::None, _) => 0,
            (Security::Basic { .. }, false) => 1,
            (Security::Basic { .. }, true) => 2,
            (Security::Client { .. }, _) => 3,
        }
    }
}

/// Security profile of a back end (1.6 whitepaper ed. 3 section 2; 2.0.1 A00).
#[derive(Clone, PartialEq, Eq)]
pub enum Security {
    /// Profile 0: nothing (only 1.6), or profile 2 without a password where the URL is `wss`.
    None,
    /// Profiles 1 (`ws`) and 2 (`wss`): HTTP Basic.
    Basic {
        /// The secret; never printed.
        password: String,
    },
    /// Profile 3: client certificate.
    Client {
        /// PEM chain.
        certificate: PathBuf,
        /// PEM key.
        key: PathBuf,
    },
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Basic { .. } => f.write_str("Basic { password: *** }"),
            Self::Client { certificate, .. } => write!(f, "Client {{ certificate: {certificate:?} }}"),
        }
    }
}

/// A fuse shared by EVSEs of any charge point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FuseSetup {
    /// Its name.
    pub name: String,
    /// Rating per phase.
    pub max_current: MilliAmps,
    /// Who hangs on it.
    pub members: Vec<(CpId, EvseId)>,
}
