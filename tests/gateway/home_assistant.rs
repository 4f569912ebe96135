//! The whole process with vehicles, a CSMS, a real broker and a real Home Assistant (`make test-ha`). The story is told by
//! tests/ha/gateway.py; here are the gateway and the hardware it asks for.

use crate::kills::QUICK_BOX;
use crate::rig::{python, root};
use crate::site::{PATIENCE, gateway_toml, process, until};
use retrovolt::device::{Library, Profile};
use retrovolt::sim::clock::RealClock;
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::online;
use retrovolt::sim::{DeviceSpec, EvSpec, GatewayProcess, World, WorldSpec};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

/// As in tests/ha/parts.py.
const PASSWORD: &str = "secret of the test";

/// Two charge points, of which one can go.
const POINTS: [&str; 2] = ["KILL-1", "KILL-2"];

/// [`QUICK_BOX`] with everything that a charge point of Home Assistant can have.
fn whole_box() -> String {
    let more = r#"
voltage = { at = 130, type = "u16", scale = 0.1, quantity = "voltage", phases = ["l1", "l2", "l3"] }
temperature = { at = 133, type = "i16", scale = 0.1, quantity = "temperature" }
soc = { at = 134, type = "u16", scale = 0.1, quantity = "soc" }
card = { at = 136, type = "u32", role = "token" }
plug = { at = 140, type = "u16", access = "w", allowed = [1] }

[state]
"#;
    QUICK_BOX
        .replace("test-quick-box", "test-whole-box")
        .replace("\n[state]\n", more)
        .replace(
            "[recipes]\n",
            "[recipes]\nunlock = [{ write = \"plug\", value = 1 }]\n",
        )
}

/// Two chargers and a meter that measures the first of them, behind one gateway of Modbus TCP.
async fn hardware(dir: &Path) -> World {
    let text = whole_box();
    std::fs::create_dir_all(dir.join("devices.d")).expect("a folder");
    std::fs::write(dir.join("devices.d/whole.toml"), &text).expect("a profile");
    let profile = Arc::new(Profile::parse("whole.toml", &text).expect("a good profile"));
    let meter = Library::builtin()
        .get("eastron-sdm630")
        .expect("a shipped profile");
    let charger = |id: &str, unit| {
        let mut device = DeviceSpec::new(id, profile.clone(), unit);
        device.think = Duration::from_millis(1);
        device
    };
    let devices = vec![
        charger("box", 1),
        charger("box2", 2),
        DeviceSpec::new("meter", meter, 3).measuring(&["box"]),
    ];
    let spec = WorldSpec {
        lines: Vec::new(),
        servers: vec![("net".into(), devices)],
    };
    World::start(spec, Arc::new(RealClock::start()))
        .await
        .expect("the hardware")
}

fn bus_toml(world: &World) -> String {
    let address = world.address("net").expect("a server");
    let (ip, port) = (address.ip(), address.port());
    let bus =
        format!("\n[[bus]]\nid = \"net\"\nhost = \"{ip}\"\ntcp_port = {port}\nreopen_wait = \"100ms\"\n");
    let device = |id: &str, profile: &str, unit: u8, more: &str| {
        format!(
            "\n[[device]]\nid = \"{id}\"\nbus = \"net\"\nprofile = \"{profile}\"\nunit = {unit}\n{more}\n"
        )
    };
    bus + &device("box", "test-whole-box", 1, "accept_no_failsafe = true")
        + &device("box2", "test-whole-box", 2, "accept_no_failsafe = true")
        + &device("meter", "eastron-sdm630", 3, "poll = \"500ms\"")
}

fn point_toml(id: &str, csms: &Csms) -> String {
    let url = csms.url("{id}");
    let evse = if id == POINTS[0] {
        "charger = \"box\"\nmeter = \"meter\"\nauth = \"free\"\nid_token = \"FREE\""
    } else {
        "charger = \"box2\"\nauth = \"reader\""
    };
    format!(
        r#"
[[charge_point]]
id = "{id}"
vendor = "Test"
model = "Test"
ocpp16 = {{ MeterValueSampleInterval = 1 }}

[[charge_point.evse]]
phases = 3
max_current = "16A"
{evse}

[[charge_point.csms]]
url = "{url}"
version = "1.6"
reconnect_min = "1s"
reconnect_max = "1s"
message_timeout = "10s"
"#
    )
}

/// What the gateway is configured as: `form` of the announcements, and how many of the [`POINTS`] there are.
fn toml(dir: &Path, world: &World, csms: &Csms, port: &str, form: &str, points: usize) -> String {
    let secret = dir.join("mqtt.password");
    std::fs::write(&secret, PASSWORD).expect("a file");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).expect("its owner");
    let secret = secret.display();
    let points: Vec<String> = POINTS[..points].iter().map(|id| point_toml(id, csms)).collect();
    let mqtt = format!(
        r#"
[[fuse]]
name = "yard"
max_current = "40A"
members = ["{first}"]

[mqtt]
url = "mqtt://127.0.0.1:{port}"
user = "gw"
password_file = "{secret}"
gateway_id = "gw1"
commands = "allow-list"
ha_discovery = "{form}"
ha_user = "homeassistant"

[[mqtt.allow]]
name = "homeassistant"
set = ["enabled", "limit_a", "phases", "unlock", "reset"]

[[mqtt.allow]]
name = "installer"
set = ["authorize"]
"#,
        first = POINTS[0]
    );
    gateway_toml(dir) + &bus_toml(world) + &points.concat() + &mqtt
}

/// The gateway, its hardware and its CSMS.
struct Yard {
    dir: TempDir,
    csms: Csms,
    world: World,
    gateway: Option<GatewayProcess>,
    port: String,
}

impl Yard {
    fn gateway(&mut self) -> &mut GatewayProcess {
        self.gateway.as_mut().expect("it was started")
    }

    fn toml(&self, form: &str, points: usize) -> String {
        toml(self.dir.path(), &self.world, &self.csms, &self.port, form, points)
    }

    /// Does what the story asks for; the answer.
    async fn grant(&mut self, wish: &str) -> String {
        let words: Vec<&str> = wish.split(' ').collect();
        match words[..] {
            ["broker", port] => {
                port.clone_into(&mut self.port);
                let made = process(self.dir.path(), &self.toml("device", 2));
                self.gateway.insert(made).start().expect("the gateway starts");
                until(self.gateway(), "it is online", |s| online(s) == 2).await;
                return format!("done {}", self.gateway().log().display());
            }
            ["plug", id] => self.world.plug(id, EvSpec::default()).expect("a charger"),
            ["unplug", id] => self.world.unplug(id).expect("a charger"),
            ["kill"] => self.gateway().kill().await.expect("it is killed"),
            ["stop"] => {
                self.gateway().stop(PATIENCE).await.expect("it ends");
            }
            ["start"] => self.gateway().start().expect("the gateway starts"),
            ["reload", form, points] => {
                let toml = self.toml(form, points.parse().expect("a number"));
                self.gateway().configure(&toml).expect("written");
                self.gateway().reload().expect("a signal");
            }
            _ => panic!("what is '{wish}'?"),
        }
        "done".to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a real Home Assistant in .lab/ha; `make test-ha` runs it"]
async fn u7_a_real_home_assistant_shows_and_commands_everything() {
    let dir = TempDir::new().expect("a folder");
    let mut yard = Yard {
        csms: Csms::start().await.expect("a CSMS"),
        world: hardware(dir.path()).await,
        gateway: None,
        port: String::new(),
        dir,
    };
    let mut story = Command::new(python())
        .arg(root().join("tests/ha/gateway.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // Not killed: when we are gone its next wish fails, and it ends what it has started.
        .spawn()
        .expect("Python");
    let mut answer = story.stdin.take().expect("piped");
    let mut said = BufReader::new(story.stdout.take().expect("piped")).lines();
    while let Some(line) = said.next_line().await.expect("text") {
        let Some(wish) = line.strip_prefix("> ") else {
            println!("{line}");
            continue;
        };
        let granted = yard.grant(wish).await + "\n";
        answer.write_all(granted.as_bytes()).await.expect("a pipe");
    }
    let told = story.wait().await.expect("ended").success();
    if !told {
        let log = std::fs::read_to_string(yard.gateway().log()).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(40).collect();
        println!("{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
    }
    assert!(told, "see above");
    yard.gateway().stop(PATIENCE).await.expect("it ends");
}
