//! The package itself, and a simulated garage that the packaged gateway serves over loopback.

use crate::container::Container;
use retrovolt::device::Library;
use retrovolt::sim::clock::RealClock;
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::online;
use retrovolt::sim::{DeviceSpec, World, WorldSpec};
use rustix::fs::{FlockOperation, flock};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::SystemTime;

/// The charge point in the garage.
pub const CP: &str = "GARAGE-1";
/// The version under test.
pub const NOW: &str = "0.1.0-1";
/// The one after it.
pub const LATER: &str = "0.1.0-2";
/// One before it, whose ledger had the first schema.
pub const EARLIER: &str = "0.0.9-1";

/// The package of this build under a version; made once for all tests that ask for it.
pub fn package(version: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("package");
    std::fs::create_dir_all(&folder).expect("a folder");
    let lock = std::fs::File::create(folder.join("lock")).expect("a file");
    flock(&lock, FlockOperation::LockExclusive).expect("a lock");
    let made = folder.join(format!("retrovolt_{version}_amd64.deb"));
    let binary = Path::new(env!("CARGO_BIN_EXE_retrovolt"));
    if time_of(&made).is_none_or(|made| newest_source(binary) > made) {
        let mut build = Command::new(super::root().join("deploy/debian/build"));
        build.arg("amd64").arg(binary).args([version]).arg(&folder);
        build.env("COMPRESS", "-Zxz -z0");
        if version == EARLIER {
            build.env("SCHEMA", "1");
        }
        let output = build.output().expect("the script starts");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        std::fs::File::open(&made)
            .and_then(|file| file.set_modified(SystemTime::now()))
            .expect("the package is there");
    }
    made
}

fn time_of(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|meta| meta.modified()).ok()
}

/// When the youngest thing that goes into the package was changed.
fn newest_source(binary: &Path) -> SystemTime {
    let root = super::root();
    let mut inside = Vec::new();
    let mut folders: Vec<PathBuf> = ["debian", "udev", "updates", "provision", "enrol", "ansible"]
        .iter()
        .map(|name| root.join("deploy").join(name))
        .collect();
    folders.push(root.join("systemd"));
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let into = if path.is_dir() { &mut folders } else { &mut inside };
            into.push(path);
        }
    }
    let files = ["CHANGELOG.md", "Cargo.lock", "config/retrovolt.toml"].map(|name| root.join(name));
    inside
        .into_iter()
        .chain(files)
        .chain([binary.to_owned()])
        .filter_map(|path| time_of(&path))
        .max()
        .expect("there are files")
}

/// A container with the package in it.
pub fn installed(name: &str) -> Container {
    let container = Container::boot(name);
    let (taken, said) = container.install(&package(NOW));
    assert!(taken, "{said}");
    assert_eq!(
        container.property("ActiveState"),
        "active",
        "{}",
        container.journal()
    );
    container
}

/// A Heidelberg wallbox and an SDM630 behind a Modbus TCP bridge, and a CSMS.
pub struct Garage {
    pub world: World,
    pub csms: Csms,
}

impl Garage {
    pub async fn build() -> Self {
        let library = Library::builtin();
        let device = |id: &str, profile: &str, unit| {
            DeviceSpec::new(id, library.get(profile).expect("a shipped profile").clone(), unit)
        };
        let mut meter = device("meter", "eastron-sdm630", 2);
        meter.measures = vec!["wallbox".into()];
        let spec = WorldSpec {
            lines: Vec::new(),
            servers: vec![(
                "net".into(),
                vec![device("wallbox", "heidelberg-energy-control", 1), meter],
            )],
        };
        let world = World::start(spec, Arc::new(RealClock::start())).await;
        Self {
            world: world.expect("the hardware"),
            csms: Csms::start().await.expect("a CSMS"),
        }
    }

    /// Configures the gateway of a container for it, has it reload, and awaits charge point and devices.
    pub fn move_in(&self, container: &Container) {
        container.write("/etc/retrovolt/retrovolt.toml", &self.configuration());
        container.run(&["systemctl", "reload", "retrovolt.service"]);
        container.until("the charge point is accepted", |s| online(s) == 1);
        container.until("both devices answer", |s| {
            retrovolt::sim::status::up(s, "devices") == 2
        });
    }

    /// Its configuration.
    pub fn configuration(&self) -> String {
        let address = self.world.address("net").expect("a server");
        format!(
            r#"
[[bus]]
id = "net"
host = "{}"
tcp_port = {}
reopen_wait = "100ms"

[[device]]
id = "wallbox"
bus = "net"
profile = "heidelberg-energy-control"
unit = 1
poll = "200ms"

[[device]]
id = "meter"
bus = "net"
profile = "eastron-sdm630"
unit = 2
poll = "200ms"

[[charge_point]]
id = "{CP}"
ocpp16 = {{ MeterValueSampleInterval = 1 }}

[[charge_point.evse]]
charger = "wallbox"
meter = "meter"
max_current = "16A"
auth = "free"
id_token = "FREE"

[[charge_point.csms]]
url = "{}"
version = "1.6"
reconnect_min = "1s"
reconnect_max = "1s"
"#,
            address.ip(),
            address.port(),
            self.csms.url("{id}")
        )
    }
}
