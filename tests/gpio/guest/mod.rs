//! What happens in the machine. Each story is a test that only the machine runs.

mod chip;

use crate::story::{GATEWAY, GUEST};
use chip::Chip;
use retrovolt::sim::GatewayProcess;
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::{online, sessions, up, waiting};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

const CP: &str = "GPIO-1";
const LABEL: &str = "rv-lab";
const LINES: &[&str] = &["RELAY", "PULSE", "PLUG", "ESTOP", "DOOR", "DIM"];
const PATIENCE: Duration = Duration::from_secs(60);
/// The shortest S0 pulse and pause (IEC 62053-31).
const S0: Duration = Duration::from_millis(30);
/// What the meter's display showed at first, Wh.
const START: i64 = 1_234_567;

/// A gateway with a contactor and an S0 meter, and a CSMS.
struct Rig {
    chip: Chip,
    csms: Csms,
    gateway: GatewayProcess,
    dir: PathBuf,
}

impl Rig {
    /// Chip and CSMS are there, the gateway is configured and not started.
    async fn new() -> Self {
        Self::with(str::to_owned).await
    }

    /// The same with another configuration.
    async fn with(change: impl Fn(&str) -> String) -> Self {
        assert!(
            std::env::var_os(GUEST).is_some(),
            "this story runs in the machine that the test of the same name boots"
        );
        let chip = Chip::new(LABEL, LINES, &["PULSE"]);
        let csms = Csms::start().await.expect("a CSMS");
        let dir = PathBuf::from("/tmp/site");
        std::fs::create_dir_all(&dir).expect("a folder");
        let toml = change(&configuration(&dir, &csms.url("{id}")));
        let gateway = GatewayProcess::new(GATEWAY, &dir, &toml).expect("the configuration is written");
        Self {
            chip,
            csms,
            gateway,
            dir,
        }
    }

    /// Sends the gateway a signal.
    fn signal(&self, signal: Signal) {
        let id = self.gateway.pid().and_then(|id| i32::try_from(id).ok());
        let pid = id.and_then(Pid::from_raw).expect("it runs");
        kill_process(pid, signal).expect("sent");
    }

    /// Starts the gateway and awaits device and CSMS.
    async fn start(&mut self) {
        self.restart().await;
        self.until("the CSMS accepts", |s| online(s) == 1).await;
    }

    /// Starts the gateway and awaits the device.
    async fn restart(&mut self) {
        self.gateway.start().expect("the gateway starts");
        self.until("the lines are taken", |s| up(s, "devices") == 1).await;
    }

    /// Awaits a status.
    async fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        match self.gateway.until(what, PATIENCE, wanted).await {
            Ok(status) => status,
            Err(error) => panic!("{error}\n{}", self.log()),
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.gateway.log()).unwrap_or_default()
    }

    /// Plugs a vehicle in, starts a session for it and awaits the relay.
    async fn charge(&self) {
        self.chip.set("PLUG", true);
        self.until("the vehicle is seen", |s| evse(s)["status"] == "Preparing")
            .await;
        let start = json!({ "connectorId": 1, "idTag": "CARD" });
        let answer = self.csms.call(CP, "RemoteStartTransaction", start).await;
        assert_eq!(answer.expect("an answer")["status"], "Accepted");
        self.chip.until("RELAY", true).await;
    }

    /// Lets the meter count so many pulses at the fastest rate there is.
    async fn count(&self, pulses: usize) {
        self.chip.pulses("PULSE", pulses, S0, S0).await;
    }

    /// Awaits the register, which must come to exactly so many Wh above its start.
    async fn register(&self, wh: i64) {
        let wanted = (START + wh) * 1000;
        let status = self
            .until(&format!("the register stands at {wanted} mWh or above"), |s| {
                register(s) >= Some(wanted)
            })
            .await;
        assert_eq!(register(&status), Some(wanted), "{}", self.log());
    }

    /// What the count's file holds.
    fn kept(&self) -> i64 {
        let text = std::fs::read_to_string(self.dir.join("state/counts/box")).expect("a count");
        text.split(' ')
            .next()
            .and_then(|n| n.parse().ok())
            .expect("a number")
    }

    /// Ends the session by pulling the plug and checks what the CSMS was told.
    async fn finish(&mut self, wh: i64) {
        self.chip.set("PLUG", false);
        self.chip.until("RELAY", false).await;
        let stop = self.csms.wait_call(0, PATIENCE, CP, "StopTransaction").await;
        assert!(stop.is_some(), "no StopTransaction\n{}", self.log());
        self.until("the session is over and acknowledged", |s| {
            sessions(s) == 0 && waiting(s) == 0
        })
        .await;
        let verdict = self.csms.verdict();
        assert!(
            verdict.is_clean() && (verdict.begun, verdict.ended) == (1, 1),
            "{verdict:#?}"
        );
        let frames = self.csms.frames();
        let told = |action: &str, key: &str| {
            let call = frames.iter().find_map(|frame| frame.call(action));
            call.and_then(|payload| payload[key].as_i64())
        };
        assert_eq!(told("StartTransaction", "meterStart"), Some(START));
        assert_eq!(told("StopTransaction", "meterStop"), Some(START + wh));
        let ended = self.gateway.stop(PATIENCE).await.expect("it ends");
        assert!(ended.success(), "{}", self.log());
    }
}

fn evse(status: &Value) -> &Value {
    &status["charge_points"][0]["station"]["evses"][0]
}

fn register(status: &Value) -> Option<i64> {
    evse(status)["register"].as_i64()
}

/// No `bias`: to `gpio-sim` the resistor is what drives the line.
fn configuration(dir: &Path, url: &str) -> String {
    format!(
        r#"[gateway]
state_dir = "{dir}/state"
socket = "{dir}/ctl.sock"

[[bus]]
id = "pins"
gpio = "{LABEL}"
reopen_wait = "200ms"

[[device]]
id = "box"
bus = "pins"
profile = "gpio-contactor"
accept_no_failsafe = true

[device.gpio]
rated_current = "16A"
min_off = "1s"
pulses_per_kwh = 1000
meter_start_wh = {START}

[[device.line]]
signal = "relay"
line = "RELAY"

[[device.line]]
signal = "pulse"
line = "PULSE"
active_low = true

[[device.line]]
signal = "vehicle"
line = "PLUG"

[[device.line]]
signal = "emergency_stop"
line = "ESTOP"
debounce = "10ms"

[[charge_point]]
id = "{CP}"

[[charge_point.evse]]
charger = "box"
max_current = "16A"
auth = "remote"

[[charge_point.csms]]
url = "{url}"
reconnect_min = "1s"
"#,
        dir = dir.display()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs in the machine"]
async fn a_contactor_and_an_s0_meter_run_a_full_session() {
    let mut rig = Rig::new().await;
    rig.start().await;
    assert!(!rig.chip.level("RELAY"), "open before anybody may charge");
    rig.charge().await;
    rig.count(40).await;
    rig.until("current flows by the pulses", |s| evse(s)["status"] == "Charging")
        .await;
    rig.register(40).await;

    rig.count(20).await;
    rig.register(60).await;
    rig.finish(60).await;
}

/// Contacts that were not heard yet count as the safe case: nothing begins, and it is dimmed.
fn dimmed(status: &Value) -> bool {
    let limits = evse(status)["limits"].as_array();
    limits.is_none_or(|all| all.iter().any(|one| one["source"] == "grid_operator"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs in the machine"]
async fn an_emergency_stop_of_the_site_ends_the_session_for_good() {
    let mut rig = Rig::with(|toml| {
        let device = |estop: &str| {
            format!(
                "[[device]]\nid = \"site-inputs\"\nbus = \"pins\"\nprofile = \"gpio-contacts\"\n\n{estop}\n\
                 [[device.line]]\nsignal = \"tamper\"\nline = \"DOOR\"\n\n\
                 [[device.line]]\nsignal = \"dimming\"\nline = \"DIM\"\n\n[[charge_point]]"
            )
        };
        let estop = "[[device.line]]\nsignal = \"emergency_stop\"\nline = \"ESTOP\"\ndebounce = \"10ms\"\n";
        toml.replace(estop, "")
            .replace("[[charge_point]]", &device(estop))
            .replace(
                "charger = \"box\"",
                "charger = \"box\"\ncontacts = [\"site-inputs\"]",
            )
    })
    .await;
    rig.gateway.start().expect("the gateway starts");
    rig.until("the CSMS is there, and what the contacts say", |s| {
        up(s, "devices") == 2 && online(s) == 1 && !dimmed(s)
    })
    .await;
    rig.charge().await;
    rig.count(10).await;
    rig.register(10).await;

    // A relay cannot give less than its wallbox offers: dimmed it waits until it has been closed for a minute.
    rig.chip.set("DIM", true);
    rig.until("it is dimmed", |s| {
        let applied = &evse(s)["applied"];
        applied["source"] == "grid_operator" && applied["amps"] == 6_000
    })
    .await;
    rig.chip.set("DIM", false);
    rig.until("it is not dimmed any more", |s| evse(s)["commanded"] == 16_000)
        .await;

    rig.chip.set("ESTOP", true);
    rig.chip.until("RELAY", false).await;
    let stop = rig.csms.wait_call(0, PATIENCE, CP, "StopTransaction").await;
    let stop = stop.expect("it ended");
    assert_eq!(stop["reason"], "EmergencyStop");
    assert_eq!(stop["meterStop"], START + 10);
    rig.until("the stop is shown", |s| evse(s)["status"] == "Faulted")
        .await;
    rig.chip.set("ESTOP", false);
    rig.until("nothing goes on", |s| evse(s)["status"] == "Finishing")
        .await;
    assert!(!rig.chip.level("RELAY"));

    let mark = rig.csms.mark();
    rig.chip.set("DOOR", true);
    let told = rig
        .csms
        .wait_call(mark, PATIENCE, CP, "SecurityEventNotification")
        .await;
    assert_eq!(told.expect("an event")["type"], "TamperDetectionActivated");

    let start = json!({ "connectorId": 1, "idTag": "CARD" });
    let answer = rig.csms.call(CP, "RemoteStartTransaction", start).await;
    assert_eq!(answer.expect("an answer")["status"], "Accepted");
    rig.chip.until("RELAY", true).await;
    let ended = rig.gateway.stop(PATIENCE).await.expect("it ends");
    assert!(ended.success(), "{}", rig.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs in the machine"]
async fn kills_and_restarts_neither_lose_nor_double_a_pulse() {
    let mut rig = Rig::new().await;
    rig.start().await;
    rig.charge().await;
    let mut counted = 0;
    for _ in 0..3 {
        rig.count(20).await;
        counted += 20;
        rig.register(counted).await;
        // The next pulse has begun when the gateway is killed, and ends when it is back.
        rig.chip.set("PULSE", true);
        rig.gateway.kill().await.expect("killed");
        rig.chip.until("RELAY", false).await;
        rig.restart().await;
        rig.chip.until("RELAY", true).await;
        rig.chip.set("PULSE", false);
        counted += 1;
        rig.register(counted).await;
    }

    // Killed in the middle of a train, with nobody waiting for anything: what had been counted is what is kept.
    rig.count(10).await;
    rig.gateway.kill().await.expect("killed");
    let kept = rig.kept();
    assert!(
        (counted + 9..=counted + 10).contains(&kept),
        "{kept} kept of {}",
        counted + 10
    );
    counted = kept;
    rig.restart().await;
    rig.register(counted).await;

    // A power cut takes the files in the midst of a session. Some pulses are gone, but the count stands at or above
    // what the session's records stand on: the next pulses show in full.
    rig.count(7).await;
    rig.gateway.kill().await.expect("killed");
    std::fs::remove_dir_all(rig.dir.join("state/counts")).expect("there are counts");
    rig.restart().await;
    // Before that the register shown may be the one of the session's last record.
    rig.chip.until("RELAY", true).await;
    let status = rig.until("the register is read", |s| register(s).is_some()).await;
    let found = register(&status).unwrap_or_default() / 1000 - START;
    assert!((0..=counted + 7).contains(&found), "{found} of {}", counted + 7);
    counted = found + 5;
    rig.count(5).await;
    rig.register(counted).await;

    // A stop in good order, and a power cut that takes the files: the ledger knows the count.
    rig.count(5).await;
    counted += 5;
    rig.register(counted).await;
    let ended = rig.gateway.stop(PATIENCE).await.expect("it ends");
    assert!(ended.success());
    assert!(!rig.chip.level("RELAY"), "released by a gateway that leaves");
    std::fs::remove_dir_all(rig.dir.join("state/counts")).expect("there are counts");
    rig.restart().await;
    rig.register(counted).await;
    rig.chip.until("RELAY", true).await;
    rig.count(5).await;
    rig.register(counted + 5).await;
    rig.finish(counted + 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs in the machine"]
async fn a_chip_that_vanishes_is_found_again_by_its_label() {
    let mut rig = Rig::new().await;
    rig.start().await;
    rig.charge().await;
    rig.count(10).await;
    rig.register(10).await;

    rig.chip.unplug();
    rig.until("the loss is noticed", |s| {
        up(s, "ports") == 0 && up(s, "devices") == 0 && evse(s)["status"] == "Faulted"
    })
    .await;
    // Another chip takes its number meanwhile.
    let other = Chip::new("another", &["X"], &[]);
    rig.chip.plug();
    rig.chip.set("PLUG", true);
    rig.until("it is back", |s| up(s, "ports") == 1 && up(s, "devices") == 1)
        .await;
    rig.chip.until("RELAY", true).await;
    rig.count(10).await;
    rig.register(20).await;
    assert!(!other.level("X"));
    rig.finish(20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs in the machine"]
async fn a_line_somebody_else_holds_is_named_and_taken_once_it_is_free() {
    let mut rig = Rig::new().await;
    let holder = gpiocdev::Request::builder()
        .on_chip("/dev/gpiochip0")
        .with_consumer("somebody")
        .with_line(0)
        .as_output(gpiocdev::line::Value::Active)
        .request()
        .expect("the line is free");
    rig.gateway.start().expect("the gateway starts");
    let status = rig
        .until("the CSMS accepts", |s| {
            online(s) == 1 && !s["south"]["ports"]["pins"].is_null()
        })
        .await;
    assert_eq!(up(&status, "devices"), 0);
    let said = status["south"]["ports"]["pins"].to_string();
    assert!(said.contains("RELAY") && said.contains("somebody"), "{said}");
    assert!(rig.chip.level("RELAY"), "not ours, not touched");

    drop(holder);
    rig.until("the line is taken", |s| up(s, "devices") == 1).await;
    assert!(!rig.chip.level("RELAY"), "taken means released");
    rig.charge().await;
    rig.count(5).await;
    rig.register(5).await;
    rig.finish(5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs in the machine"]
async fn edges_wait_in_the_kernel_and_those_it_drops_are_missed_by_number() {
    const LED: Duration = Duration::from_millis(2);
    let mut rig = Rig::with(|toml| {
        toml.replace(
            "pulses_per_kwh = 1000",
            "pulses_per_kwh = 10000\npulse_width = \"1ms\"",
        )
    })
    .await;
    rig.start().await;
    rig.chip.pulses("PULSE", 100, LED, LED).await;
    rig.register(10).await;

    // The process stands still for 400 pulses, 800 edges; the kernel keeps them with their times.
    rig.signal(Signal::STOP);
    rig.chip.pulses("PULSE", 400, LED, LED).await;
    rig.signal(Signal::CONT);
    rig.register(50).await;

    // Twice as many are more than it keeps.
    rig.signal(Signal::STOP);
    rig.chip.pulses("PULSE", 800, LED, LED).await;
    rig.signal(Signal::CONT);
    let dropped = |log: &str| -> Option<i64> {
        let line = log
            .lines()
            .find(|line| line.contains("were dropped by the kernel"))?;
        line.split_whitespace().find_map(|word| word.parse().ok())
    };
    rig.until("the loss is told", |_| dropped(&rig.log()).is_some())
        .await;
    let lost = dropped(&rig.log()).unwrap_or_default();
    assert!(
        (500..=700).contains(&lost),
        "{lost} of 1600 edges do not fit into 1024"
    );
    // What is left is counted, in whole pulses; of the one that was cut in two nothing is guessed.
    let left = (1600 - lost) / 2;
    let status = rig
        .until("the rest is counted", |s| {
            register(s) >= Some(START * 1000 + 50_000 + (left - 1) * 100)
        })
        .await;
    let counted = (register(&status).unwrap_or_default() - START * 1000 - 50_000) / 100;
    assert!(
        (left - 1..=left).contains(&counted),
        "{counted} counted, {lost} edges lost"
    );
    let ended = rig.gateway.stop(PATIENCE).await.expect("it ends");
    assert!(ended.success(), "{}", rig.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs in the machine"]
async fn without_a_vehicle_contact_sessions_follow_each_other_and_a_meter_of_its_own_bills_them() {
    let mut rig = Rig::with(|toml| {
        let meter = format!(
            "[[device]]\nid = \"meter\"\nbus = \"pins\"\nprofile = \"s0-meter\"\n\n[device.gpio]\n\
             pulses_per_kwh = 1000\nmeter_start_wh = {START}\n\n\
             [[device.line]]\nsignal = \"pulse\"\noffset = 1\nactive_low = true\n\n[[charge_point]]"
        );
        let own = format!("pulses_per_kwh = 1000\nmeter_start_wh = {START}\n");
        toml.replace(&own, "")
            .replace(
                "[[device.line]]\nsignal = \"pulse\"\nline = \"PULSE\"\nactive_low = true\n",
                "",
            )
            .replace("[[device.line]]\nsignal = \"vehicle\"\nline = \"PLUG\"\n", "")
            .replace("[[charge_point]]", &meter)
            .replace("charger = \"box\"", "charger = \"box\"\nmeter = \"meter\"")
    })
    .await;
    rig.gateway.start().expect("the gateway starts");
    rig.until("the vehicle that is always there and the CSMS are there", |s| {
        up(s, "devices") == 2 && online(s) == 1 && evse(s)["status"] == "Preparing"
    })
    .await;
    for session in 1..=2 {
        let mark = rig.csms.mark();
        let start = json!({ "connectorId": 1, "idTag": "CARD" });
        let answer = rig.csms.call(CP, "RemoteStartTransaction", start).await;
        assert_eq!(answer.expect("an answer")["status"], "Accepted");
        rig.chip.until("RELAY", true).await;
        rig.count(5).await;
        rig.register(5 * session).await;
        let begun = rig.csms.wait_call(mark, PATIENCE, CP, "StartTransaction").await;
        assert_eq!(begun.expect("it began")["meterStart"], START + 5 * (session - 1));
        rig.until("it is told", |s| waiting(s) == 0).await;
        let stop = json!({ "transactionId": session });
        let answer = rig.csms.call(CP, "RemoteStopTransaction", stop).await;
        assert_eq!(answer.expect("an answer")["status"], "Accepted");
        rig.chip.until("RELAY", false).await;
        let ended = rig.csms.wait_call(mark, PATIENCE, CP, "StopTransaction").await;
        assert_eq!(ended.expect("it ended")["meterStop"], START + 5 * session);
        rig.until("the vehicle counts as plugged in still", |s| {
            evse(s)["status"] == "Finishing"
        })
        .await;
    }
    rig.until("all is acknowledged", |s| waiting(s) == 0).await;
    let verdict = rig.csms.verdict();
    assert!(
        verdict.is_clean() && (verdict.begun, verdict.ended) == (2, 2),
        "{verdict:#?}"
    );
    let ended = rig.gateway.stop(PATIENCE).await.expect("it ends");
    assert!(ended.success(), "{}", rig.log());
}

/// A relay board that switches on at a low level: released is high, which is what the line must show before it is given
/// back. What it shows after that is the driver's affair: `gpio-sim` says low.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs in the machine"]
async fn the_relay_moves_neither_at_a_reload_nor_before_it_must_and_is_released_before_its_line_is() {
    const CLOSED: bool = false;
    let mut rig =
        Rig::with(|toml| toml.replace("line = \"RELAY\"", "line = \"RELAY\"\nactive_low = true")).await;
    rig.start().await;
    assert_eq!(rig.chip.level("RELAY"), !CLOSED, "open before anybody may charge");
    rig.chip.set("PLUG", true);
    rig.until("the vehicle is seen", |s| evse(s)["status"] == "Preparing")
        .await;
    let start = json!({ "connectorId": 1, "idTag": "CARD" });
    let answer = rig.csms.call(CP, "RemoteStartTransaction", start).await;
    assert_eq!(answer.expect("an answer")["status"], "Accepted");
    rig.chip.until("RELAY", CLOSED).await;
    rig.count(5).await;
    rig.register(5).await;

    // A fuse more, then what builds the charge point anew: another model and back.
    let toml = std::fs::read_to_string(rig.dir.join("retrovolt.toml")).expect("a configuration");
    let fuse = format!("{toml}\n[[fuse]]\nname = \"house\"\nmax_current = \"32A\"\nmembers = [\"{CP}\"]\n");
    let other = fuse.replacen(
        &format!("id = \"{CP}\""),
        &format!("id = \"{CP}\"\nmodel = \"Other\""),
        1,
    );
    assert_ne!(fuse, other);
    let watch = rig.chip.watch("RELAY");
    for (reloads, text) in [(1_u8, &fuse), (2, &other), (3, &fuse)] {
        rig.gateway.configure(text).expect("written");
        rig.gateway.reload().expect("a signal");
        rig.until("it is taken over, and the session goes on", |s| {
            rig.log().matches("configuration reloaded").count() == usize::from(reloads)
                && online(s) == 1
                && sessions(s) == 1
        })
        .await;
        rig.count(5).await;
        rig.register(5 * i64::from(reloads + 1)).await;
    }
    rig.gateway.configure("[gatewy]\n").expect("written");
    rig.gateway.reload().expect("a signal");
    rig.until("it is refused", |_| rig.log().contains("is not used"))
        .await;
    rig.count(5).await;
    rig.register(25).await;
    assert_eq!(watch.end(), [CLOSED], "the relay moved at a reload");

    let watch = rig.chip.watch("RELAY");
    let ended = rig.gateway.stop(PATIENCE).await.expect("it ends");
    assert!(ended.success(), "{}", rig.log());
    let seen = watch.end();
    assert_eq!(
        seen[..2],
        [CLOSED, !CLOSED],
        "released by us, before the driver had a say"
    );
}
