//! A whole arm64 Debian with systemd and the installed package: a session lives through a reboot on a machine whose clock
//! begins at 1970. `make test-board` runs it, not CI: an emulated Debian takes its time.

use crate::agent::Board;
use crate::arm64::times_are_of_today;
use crate::machine::{Arch, Load, Machine};
use crate::slave::{Slave, pymodbus};
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::{online, sessions, up, waiting};
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempPath;

const CP: &str = "DEBIAN-1";
/// An emulated Debian needs about half a minute; a busy machine several times that.
const BOOT: Duration = Duration::from_secs(300);
const MINUTE: Duration = Duration::from_secs(60);

/// Finds the disk, lets the real system begin.
const INIT: &str = r#"#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs devtmpfs /dev
for module in failover net_failover virtio_net virtio_blk configfs gpio-sim; do $b insmod /lab/$module.ko; done
$b mkdir /root/disk
until $b mount -t ext4 /dev/vda /root/disk 2>/dev/null; do $b sleep 0.1; done
$b umount /dev
exec $b switch_root /root/disk /sbin/init
"#;

/// The machine, and its disk, which goes with the test.
fn boot() -> (Machine, TempPath) {
    let lab = Arch::Arm64.lab();
    let image = lab.join("debian.img");
    assert!(
        image.exists(),
        "no {}: `make test-board` makes it",
        image.display()
    );
    // Each run begins with a fresh disk.
    let disk = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a file");
    let disk = disk.into_temp_path();
    std::fs::copy(&image, &disk).expect("a disk");
    let load = Load {
        arch: Arch::Arm64,
        init: INIT.to_owned(),
        programs: Vec::new(),
        modules: &[
            "failover",
            "net_failover",
            "virtio_net",
            "virtio_blk",
            "configfs",
            "gpio-sim",
        ],
    };
    let mut qemu = Arch::Arm64.qemu();
    qemu.args(["-smp", "2", "-rtc", "base=1970-01-01", "-initrd"])
        .arg(load.pack().expect("the initramfs is packed"))
        .args([
            "-netdev",
            "user,id=lan",
            "-device",
            "virtio-net-pci,netdev=lan,romfile=",
        ])
        .arg("-drive")
        .arg(format!(
            "file={},format=raw,if=virtio,cache=writeback",
            disk.display()
        ))
        .arg("-append")
        .arg(Arch::Arm64.words("systemd.show_status=0 systemd.log_level=err"));
    (Machine::boot(qemu), disk)
}

/// The clock in the hardware begins at 1970 with the machine. systemd lets that of the kernel begin no earlier than its own
/// release, which is not today either.
async fn knows_no_time(board: &mut Board) {
    let hardware = board.ask("cat /sys/class/rtc/rtc0/since_epoch").await;
    let hardware: u64 = hardware.parse().expect("seconds");
    assert!(hardware < 86_400, "the board's clock is of 1970: {hardware}");
    let told: u64 = board.ask("date +%s").await.parse().expect("seconds");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("later");
    let behind = now.saturating_sub(Duration::from_secs(told));
    println!("hardware clock {hardware} s, clock of the board {behind:?} behind");
    assert!(behind > Duration::from_secs(30 * 86_400), "{behind:?} behind");
}

/// Whether a service with the unit's policy and this class of devices may open the first GPIO chip.
async fn may_open_a_chip(board: &mut Board, class: &str) -> bool {
    let policy = format!("-p DevicePolicy=closed -p 'DeviceAllow={class} rw'");
    let open = "sh -c 'exec 3<>/dev/gpiochip0'";
    board
        .run(&format!("systemd-run --quiet --wait {policy} {open}"))
        .await
        .1
        == 0
}

/// The installed service takes a chip that is plugged in while it runs; its list of devices is in force.
async fn a_chip_is_taken_when_it_is_plugged_in(board: &mut Board) {
    let place = "/etc/retrovolt/conf.d/pins.toml";
    board.put(place, PINS).await;
    board.ask("systemctl reload retrovolt").await;
    board
        .until("the chip is awaited", |s| {
            s["charge_points"][0]["id"] == "PINS-1" && up(s, "ports") == 0
        })
        .await;
    board.ask("chip_make rv-debian RELAY PULSE && plug_in 1").await;
    board
        .until("the chip is taken", |s| {
            up(s, "ports") == 1 && up(s, "devices") == 1
        })
        .await;
    assert!(may_open_a_chip(board, "char-gpiochip").await);
    assert!(!may_open_a_chip(board, "char-ttyUSB").await);
    board
        .ask(&format!("rm {place} && systemctl restart retrovolt && plug_in 0"))
        .await;
}

const PINS: &str = r#"[[bus]]
id = "pins"
gpio = "rv-debian"
reopen_wait = "200ms"

[[device]]
id = "box"
bus = "pins"
profile = "gpio-contactor"
accept_no_failsafe = true

[device.gpio]
rated_current = "16A"
pulses_per_kwh = 1000

[[device.line]]
signal = "relay"
line = "RELAY"

[[device.line]]
signal = "pulse"
line = "PULSE"
active_low = true

[[charge_point]]
id = "PINS-1"

[[charge_point.evse]]
charger = "box"
max_current = "16A"
auth = "remote"

[[charge_point.csms]]
url = "ws://10.0.2.2:9/ocpp/{id}"
"#;

fn evse(status: &Value) -> &Value {
    &status["charge_points"][0]["station"]["evses"][0]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a campaign: make test-board"]
async fn a_session_on_a_whole_debian_outlives_a_reboot_with_a_clock_of_1970() {
    let begun = Instant::now();
    let mut slave = Slave::start(pymodbus(&["--tcp"])).await;
    let csms = Csms::start().await.expect("a CSMS");
    let (machine, _disk) = boot();
    let mut board = Board::ready(machine, "/run/retrovolt/ctl.sock", BOOT).await;
    println!("booted after {:?}", begun.elapsed());
    knows_no_time(&mut board).await;
    a_chip_is_taken_when_it_is_plugged_in(&mut board).await;
    let toml = configuration(slave.port, csms.address().port());
    board.put("/etc/retrovolt/conf.d/site.toml", &toml).await;
    board
        .ask("retrovolt check-config && systemctl reload retrovolt")
        .await;
    board
        .until("both devices answer and the CSMS accepts", |s| {
            up(s, "devices") == 2 && online(s) == 1
        })
        .await;
    let this_boot = "cat /proc/sys/kernel/random/boot_id";
    let first = board.ask(this_boot).await;

    slave.say("plug").await;
    board
        .until("the vehicle is seen", |s| evse(s)["status"] == "Preparing")
        .await;
    let mark = slave.mark();
    let start = json!({ "connectorId": 1, "idTag": "CARD" });
    let answer = csms.call(CP, "RemoteStartTransaction", start).await;
    assert_eq!(answer.expect("an answer")["status"], "Accepted");
    slave.wrote(mark, "WRITE 1 261 160").await;
    board
        .until("current flows", |s| evse(s)["power"].as_i64() > Some(10_000_000))
        .await;

    // Nobody asks the gateway, nobody ends the session.
    let (mark, frames) = (slave.mark(), csms.mark());
    let down = Instant::now();
    // It may be down before it can answer.
    board
        .tell("systemctl --no-block reboot --check-inhibitors=no")
        .await;
    board.back(BOOT).await;
    println!("back {:?} after the reboot was ordered", down.elapsed());
    knows_no_time(&mut board).await;
    board
        .until("the session goes on", |s| {
            online(s) == 1 && sessions(s) == 1 && evse(s)["power"].as_i64() > Some(10_000_000)
        })
        .await;
    slave.wrote(mark, "WRITE 1 261 160").await;
    let before = csms.wait_call(0, Duration::ZERO, CP, "StartTransaction").await;
    assert!(before.is_some());
    let again = csms
        .wait_call(frames, Duration::ZERO, CP, "StartTransaction")
        .await;
    assert!(again.is_none(), "one session, one begin: {again:?}");

    let mark = slave.mark();
    slave.say("unplug").await;
    board
        .until("the session is over and told", |s| {
            sessions(s) == 0 && waiting(s) == 0
        })
        .await;
    let counted = slave.wrote(mark, "ENERGY").await;
    let counted: f64 = counted
        .rsplit(' ')
        .next()
        .and_then(|wh| wh.parse().ok())
        .expect("Wh");
    let stop = csms
        .wait_call(0, MINUTE, CP, "StopTransaction")
        .await
        .expect("it ended");
    let billed = stop["meterStop"].as_i64().expect("Wh");
    let verdict = csms.verdict();
    assert!(
        verdict.is_clean() && (verdict.begun, verdict.ended) == (1, 1),
        "{verdict:#?}"
    );
    times_are_of_today(&csms);
    let billed = f64::from(i32::try_from(billed).expect("small"));
    assert!(
        (counted - 10.0..=counted + 0.5).contains(&billed),
        "billed {billed} of {counted} Wh"
    );
    println!("billed up to {billed} Wh, the meter stood at {counted} Wh");
    assert_ne!(board.ask(this_boot).await, first, "it was another boot");
    println!("{:?} in all", begun.elapsed());
    board.off("systemctl poweroff --no-block").await;
}

fn configuration(modbus: u16, csms: u16) -> String {
    format!(
        r#"[[bus]]
id = "lan"
host = "10.0.2.2"
tcp_port = {modbus}

[[device]]
id = "wallbox"
bus = "lan"
profile = "heidelberg-energy-control"
unit = 1
poll = "500ms"

[[device]]
id = "meter"
bus = "lan"
profile = "eastron-sdm630"
unit = 2
poll = "500ms"

[[charge_point]]
id = "{CP}"
ocpp16 = {{ MeterValueSampleInterval = 5 }}

[[charge_point.evse]]
charger = "wallbox"
meter = "meter"
max_current = "16A"
auth = "remote"

[[charge_point.csms]]
url = "ws://10.0.2.2:{csms}/ocpp/{{id}}"
reconnect_min = "1s"
"#
    )
}
