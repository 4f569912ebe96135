//! An arm64 board with a simulated GPIO chip in its kernel and no battery for its clock. On it runs the youngest static binary
//! that `deploy/cross/build` has made of this source: in CI that of the profile `emulated`, which is not optimised; a release
//! build has the one that is shipped. The CSMS is here.

use crate::agent::Board;
use crate::machine::{Arch, Load, Machine, PATIENCE, root};
use retrovolt::sim::csms::{Csms, Kind};
use retrovolt::sim::status::{online, sessions, up, waiting};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const CP: &str = "ARM-1";
const LABEL: &str = "rv-board";
/// What the meter's display showed at first, Wh.
const START: i64 = 7_654_321;
/// From its start on the board's clock stands far below this: 2020-01-01.
const LONG_AGO: i64 = 1_577_836_800;

const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
for module in configfs gpio-sim failover net_failover virtio_net; do insmod /lab/$module.ko; done
mount -t configfs configfs /sys/kernel/config
ifconfig lo 127.0.0.1 up
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
export RUST_BACKTRACE=0
. /root/agent.sh
poweroff -f
"#;

/// The binary for such boards, of those that are built the newest: static, so that it needs nothing beside it.
fn gateway() -> PathBuf {
    let folder = root().join("target/cross/aarch64-unknown-linux-musl");
    let built = ["release", "emulated", "debug"].map(|profile| folder.join(profile).join("retrovolt"));
    let age = |path: &PathBuf| path.metadata().and_then(|meta| meta.modified()).ok();
    let found = built.into_iter().filter(|path| path.exists()).max_by_key(age);
    found.expect("the binary for arm64: `make board-binary` makes it")
}

fn boot() -> Machine {
    let load = Load {
        arch: Arch::Arm64,
        init: INIT.to_owned(),
        programs: vec![
            ("/bin/retrovolt", gateway()),
            ("/root/agent.sh", root().join("tests/boards/agent.sh")),
        ],
        modules: &["configfs", "gpio-sim", "failover", "net_failover", "virtio_net"],
    };
    let mut qemu = Arch::Arm64.qemu();
    qemu.args(["-smp", "1", "-no-reboot", "-rtc", "base=1970-01-01", "-initrd"])
        .arg(load.pack().expect("the initramfs is packed"))
        .args([
            "-netdev",
            "user,id=lan",
            "-device",
            "virtio-net-pci,netdev=lan,romfile=",
        ])
        .arg("-append")
        .arg(Arch::Arm64.words(""));
    Machine::boot(qemu)
}

fn evse(status: &Value) -> &Value {
    &status["charge_points"][0]["station"]["evses"][0]
}

async fn start(board: &mut Board) {
    board
        .ask("(retrovolt run --strict --log-format text --config /tmp/site/retrovolt.toml 2>>/tmp/site/gateway.log; echo $? >/tmp/site/ended) >/dev/null 2>&1 &")
        .await;
    board
        .until("the lines are taken", |s| up(s, "devices") == 1)
        .await;
}

/// Awaits the register, which must come to exactly so many Wh above its start.
async fn register(board: &mut Board, wh: i64) {
    let wanted = (START + wh) * 1000;
    let stands = |s: &Value| evse(s)["register"].as_i64();
    let status = board
        .until(&format!("the register stands at {wanted} mWh or above"), |s| {
            stands(s) >= Some(wanted)
        })
        .await;
    assert_eq!(stands(&status), Some(wanted));
}

/// Every time in what the CSMS was told is of this day: none is of 1970, none is older than this test.
pub fn times_are_of_today(csms: &Csms) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("later")
        .as_secs();
    let now = i64::try_from(now).expect("small");
    let mut seen = 0;
    for frame in csms.frames() {
        let Kind::Call { action, payload } = &frame.kind else {
            continue;
        };
        let samples = payload["meterValue"].as_array().into_iter().flatten();
        for time in std::iter::once(&payload["timestamp"])
            .chain(samples.map(|sample| &sample["timestamp"]))
            .filter_map(Value::as_str)
        {
            let at: jiff::Timestamp = time.parse().expect("a time");
            let age = now - at.as_second();
            assert!((-5..=900).contains(&age), "{action} is of {time}, {age} s ago");
            seen += 1;
        }
    }
    assert!(seen >= 2, "StartTransaction and StopTransaction have a time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_on_an_arm64_board_outlives_a_kill_a_lost_chip_and_a_clock_of_1970() {
    let csms = Csms::start().await.expect("a CSMS");
    let mut board = Board::ready(boot(), "/tmp/site/ctl.sock", PATIENCE).await;
    let clock: i64 = board.ask("date +%s").await.parse().expect("a time");
    assert!(clock < LONG_AGO, "a board without a battery: {clock}");
    board
        .ask(&format!("chip_make {LABEL} RELAY PULSE PLUG && plug_in 1"))
        .await;
    board
        .ask("pull PULSE up && pull PLUG down && mkdir /tmp/site")
        .await;
    let toml = configuration(csms.address().port());
    board.put("/tmp/site/retrovolt.toml", &toml).await;
    start(&mut board).await;
    board.until("the CSMS accepts", |s| online(s) == 1).await;
    board.level("RELAY", false).await;

    board.ask("pull PLUG up").await;
    board
        .until("the vehicle is seen", |s| evse(s)["status"] == "Preparing")
        .await;
    let remote = json!({ "connectorId": 1, "idTag": "CARD" });
    let answer = csms.call(CP, "RemoteStartTransaction", remote).await;
    assert_eq!(answer.expect("an answer")["status"], "Accepted");
    board.level("RELAY", true).await;
    board.ask("pulses PULSE 20").await;
    register(&mut board, 20).await;

    // The next pulse has begun when the gateway is killed, and ends when it is back.
    board.ask("pull PULSE down && kill -9 $(pidof retrovolt)").await;
    board.level("RELAY", false).await;
    start(&mut board).await;
    board.level("RELAY", true).await;
    board.ask("pull PULSE up").await;
    register(&mut board, 21).await;

    board.ask("plug_in 0").await;
    board
        .until("the loss is noticed", |s| {
            up(s, "ports") == 0 && up(s, "devices") == 0 && evse(s)["status"] == "Faulted"
        })
        .await;
    board.ask("plug_in 1 && pull PULSE up && pull PLUG up").await;
    board
        .until("it is back", |s| up(s, "ports") == 1 && up(s, "devices") == 1)
        .await;
    board.level("RELAY", true).await;
    board.ask("pulses PULSE 9").await;
    register(&mut board, 30).await;

    board.ask("pull PLUG down").await;
    board.level("RELAY", false).await;
    let stop = csms
        .wait_call(0, Duration::from_secs(60), CP, "StopTransaction")
        .await;
    assert_eq!(stop.expect("it ended")["meterStop"], START + 30);
    board
        .until("the session is over and acknowledged", |s| {
            sessions(s) == 0 && waiting(s) == 0
        })
        .await;
    let verdict = csms.verdict();
    assert!(
        verdict.is_clean() && (verdict.begun, verdict.ended) == (1, 1),
        "{verdict:#?}"
    );
    let begun = csms.wait_call(0, Duration::ZERO, CP, "StartTransaction").await;
    assert_eq!(begun.expect("it began")["meterStart"], START);
    times_are_of_today(&csms);

    board.ask("rm -f /tmp/site/ended; kill $(pidof retrovolt)").await;
    let gone =
        "for _ in $(seq 200); do [ -e /tmp/site/ended ] && break; sleep 0.1; done; cat /tmp/site/ended";
    assert_eq!(board.ask(gone).await, "0", "it ends in good order");
    assert_eq!(board.ask("level RELAY").await, "0");
    board.off("poweroff -f").await;
}

fn configuration(port: u16) -> String {
    format!(
        r#"[gateway]
state_dir = "/tmp/site/state"
socket = "/tmp/site/ctl.sock"

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

[[charge_point]]
id = "{CP}"

[[charge_point.evse]]
charger = "box"
max_current = "16A"
auth = "remote"

[[charge_point.csms]]
url = "ws://10.0.2.2:{port}/ocpp/{{id}}"
reconnect_min = "1s"
"#
    )
}
