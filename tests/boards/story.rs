//! A story that happens in a PC: this very test binary runs in the machine, beside the gateway, as the ignored test
//! `guest::NAME`.

use crate::machine::{Arch, Load, Machine};
use std::path::PathBuf;
use tokio::process::Command;

/// What the tests in the machine know it by.
pub const GUEST: &str = "RETROVOLT_GUEST";
/// Where the gateway is in the machine.
pub const GATEWAY: &str = "/bin/retrovolt";
/// What the machine prints last.
const VERDICT: &str = "STORY ENDED WITH ";

const INIT: &str = r#"#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs devtmpfs /dev
$b mount -t tmpfs tmpfs /tmp
$b insmod /lab/configfs.ko && $b insmod /lab/gpio-sim.ko && $b mount -t configfs configfs /sys/kernel/config
$b ifconfig lo 127.0.0.1 up
export RETROVOLT_GUEST=1 RUST_BACKTRACE=0
/bin/story --ignored --exact --nocapture --test-threads=1 "guest::$1"
echo "STORY ENDED WITH $?"
$b poweroff -f
"#;

/// Boots a machine that runs a story; `more` adds hardware.
pub fn begin(story: &str, more: impl FnOnce(&mut Command)) -> Machine {
    let load = Load {
        arch: Arch::Amd64,
        init: INIT.to_owned(),
        programs: vec![
            (GATEWAY, PathBuf::from(env!("CARGO_BIN_EXE_retrovolt"))),
            ("/bin/story", std::env::current_exe().expect("this program")),
        ],
        modules: &["configfs", "gpio-sim"],
    };
    let initramfs = load.pack().expect("the initramfs is packed");
    let mut qemu = Arch::Amd64.qemu();
    qemu.args(["-smp", "1", "-no-reboot", "-initrd"])
        .arg(initramfs)
        .arg("-append")
        .arg(Arch::Amd64.words(&format!("-- {story}")));
    more(&mut qemu);
    Machine::boot(qemu)
}

/// Awaits the story's end; panics with all the machine printed if it failed.
pub async fn end(story: &str, machine: &mut Machine) {
    let said = machine.ended().await;
    assert!(
        said.contains(&format!("{VERDICT}0")) && said.contains("test result: ok. 1 passed"),
        "{story} failed in the machine:\n{said}"
    );
}
