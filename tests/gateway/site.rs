//! A site for the tests: simulated hardware, a folder, and the gateway as a process.

use retrovolt::device::Library;
use retrovolt::domain::Parity;
use retrovolt::sim::clock::RealClock;
use retrovolt::sim::{DeviceSpec, Format, GatewayProcess, LineSetup, World, WorldSpec};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Longer than the slowest step; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A Heidelberg wallbox and an SDM630 on one RS-485 line behind the gateway.
pub struct Site {
    _dir: TempDir,
    /// The hardware.
    pub world: World,
    /// The gateway, not started yet.
    pub gateway: GatewayProcess,
}

/// How the charge point is to be configured.
pub struct Point<'a> {
    /// Its id.
    pub id: &'a str,
    /// `ws://...` with the id filled in.
    pub url: String,
    /// `1.6` or `2.0.1`.
    pub version: &'a str,
    /// `free` or `remote`.
    pub auth: &'a str,
}

impl Point<'_> {
    /// Its tables of the configuration file.
    pub fn toml(&self, charger: &str, meter: &str) -> String {
        let Self {
            id,
            url,
            version,
            auth,
        } = self;
        let token = if *auth == "free" {
            "id_token = \"FREE\""
        } else {
            ""
        };
        format!(
            r#"
[[charge_point]]
id = "{id}"
vendor = "Test"
model = "Test"
ocpp16 = {{ MeterValueSampleInterval = 1 }}
ocpp201 = {{ SampledDataCtrlr.TxUpdatedInterval = 1 }}

[[charge_point.evse]]
charger = "{charger}"
meter = "{meter}"
phases = 3
max_current = "16A"
auth = "{auth}"
{token}

[[charge_point.csms]]
url = "{url}"
version = "{version}"
reconnect_min = "1s"
reconnect_max = "1s"
message_timeout = "10s"
"#
        )
    }
}

/// The first table of every configuration.
pub fn gateway_toml(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "[gateway]\nstate_dir = \"{dir}/state\"\nsocket = \"{dir}/ctl.sock\"\ndevice_dir = \"{dir}/devices.d\"\n"
    )
}

/// The bus and the devices of [`Site::build`].
pub fn garage_toml(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        r#"
[[bus]]
id = "garage"
port = "{dir}/garage.tty"
baud = 19200
parity = "even"

[[device]]
id = "wallbox"
bus = "garage"
profile = "heidelberg-energy-control"
unit = 1
poll = "500ms"

[[device]]
id = "meter"
bus = "garage"
profile = "eastron-sdm630"
unit = 2
poll = "500ms"
"#
    )
}

/// One charge point on the box of [`crate::kills::quick_world`]; `csms` has the keys of its CSMS.
pub fn quick_toml(world: &World, id: &str, auth: &str, csms: &str) -> String {
    let address = world.address("net").expect("a server");
    let (ip, port) = (address.ip(), address.port());
    let token = if auth == "free" { "id_token = \"FREE\"" } else { "" };
    format!(
        r#"
[[bus]]
id = "net"
host = "{ip}"
tcp_port = {port}
reopen_wait = "100ms"

[[device]]
id = "box"
bus = "net"
profile = "test-quick-box"
accept_no_failsafe = true

[[charge_point]]
id = "{id}"

[[charge_point.evse]]
charger = "box"
max_current = "16A"
auth = "{auth}"
{token}

[[charge_point.csms]]
reconnect_min = "1s"
reconnect_max = "1s"
{csms}"#
    )
}

impl Site {
    /// Puts the hardware up and writes the configuration of one charge point.
    pub async fn build(point: &Point<'_>) -> Self {
        Self::with(point, "", "").await
    }

    /// The same with tables of the whole site, and with more keys of the CSMS.
    pub async fn with(point: &Point<'_>, site: &str, csms: &str) -> Self {
        let dir = TempDir::new().expect("a folder");
        let library = Library::builtin();
        let device = |name: &str, profile: &str, unit| {
            DeviceSpec::new(name, library.get(profile).expect("a shipped profile"), unit)
        };
        let devices = vec![
            device("wallbox", "heidelberg-energy-control", 1),
            device("meter", "eastron-sdm630", 2).measuring(&["wallbox"]),
        ];
        let format = Format {
            parity: Parity::Even,
            ..Format::even(19_200)
        };
        let line = LineSetup::new(dir.path().join("garage.tty"), format);
        let spec = WorldSpec {
            lines: vec![("garage".into(), line, devices)],
            servers: Vec::new(),
        };
        let world = World::start(spec, Arc::new(RealClock::start()))
            .await
            .expect("the hardware");
        let (head, point) = (gateway_toml(dir.path()), point.toml("wallbox", "meter"));
        let toml = head + site + &garage_toml(dir.path()) + &point + csms;
        let gateway = process(dir.path(), &toml);
        Self {
            _dir: dir,
            world,
            gateway,
        }
    }

    /// Awaits a status of the gateway.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until(&self.gateway, what, wanted).await
    }

    /// Awaits a value in a holding register.
    pub async fn register(&self, device: &str, addr: u16, wanted: impl Fn(u16) -> bool) {
        let reads = || {
            self.world
                .register(device, 3, addr)
                .expect("the device")
                .is_some_and(&wanted)
        };
        self.until(&format!("register {addr} of {device}"), |_| reads())
            .await;
    }
}

/// The gateway under test in a folder.
pub fn process(dir: &Path, toml: &str) -> GatewayProcess {
    std::fs::create_dir_all(dir.join("devices.d")).expect("a folder");
    GatewayProcess::new(env!("CARGO_BIN_EXE_retrovolt"), dir, toml).expect("the configuration is written")
}

/// Seconds since a gateway started.
pub fn uptime(status: &Value) -> u64 {
    status["uptime_s"].as_u64().unwrap_or_default()
}

/// Awaits a status of a gateway.
pub async fn until(gateway: &GatewayProcess, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    match gateway.until(what, PATIENCE, wanted).await {
        Ok(status) => status,
        Err(error) => {
            let log = std::fs::read_to_string(gateway.log()).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            panic!(
                "{error}\n{}",
                tail.into_iter().rev().collect::<Vec<_>>().join("\n")
            );
        }
    }
}
