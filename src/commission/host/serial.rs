//! What else on the machine wants the serial ports, and how they are set.

use super::{Check, Machine};
use crate::commission::ports;
use std::path::{Path, PathBuf};

/// A latency timer above it shows in every answer.
const QUICK_MS: u64 = 2;

pub(super) fn checks(machine: &Machine<'_>, wanted: &[PathBuf]) -> Vec<Check> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let mut checks = Vec::new();
    for port in wanted {
        let device = device_of(machine, port);
        checks.push(name(machine, port));
        checks.push(console(machine, port, &device));
        checks.extend(latency(machine, port, &device));
    }
    checks.extend(modem_manager(machine));
    checks.extend(braille(machine));
    checks
}

/// The kernel's name of a port: `ttyAMA0` for `/dev/serial0`.
fn device_of(machine: &Machine<'_>, port: &Path) -> String {
    let at = machine.at(port);
    let real = std::fs::canonicalize(&at).unwrap_or(at);
    real.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
        .to_owned()
}

/// A name that may be another adapter's after the next start.
fn name(machine: &Machine<'_>, port: &Path) -> Check {
    const NAME: &str = "port name";
    let shown = port.display();
    let last = port
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    if !port.starts_with("/dev/") || !(last.starts_with("ttyUSB") || last.starts_with("ttyACM")) {
        return Check::good(NAME, format!("{shown} is a name that stays"));
    }
    let there = ports::list(&machine.roots());
    let device = machine.at(port);
    let stable = there
        .iter()
        .find(|known| known.device == device)
        .and_then(|known| known.stable.first());
    let next = stable.map_or_else(
        || "write the name below /dev/serial/by-id or /dev/serial/by-path into the configuration; `retrovolt ports` shows it".to_owned(),
        |path| {
            let path = path.strip_prefix(machine.root).unwrap_or(path);
            format!("write port = \"/{}\" into the configuration", path.display())
        },
    );
    Check::doubt(
        NAME,
        format!("the configuration says {shown}"),
        "numbers are given away anew at every start: another adapter may get this one",
        next,
    )
}

/// A console of the kernel, or a login, on the port.
fn console(machine: &Machine<'_>, port: &Path, device: &str) -> Check {
    const NAME: &str = "serial console";
    let shown = port.display();
    let line = machine.text("/proc/cmdline").unwrap_or_default();
    let consoles = line
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("console="));
    let on_port = consoles
        .map(|console| console.split(',').next().unwrap_or_default())
        .find(|console| *console == device || device_of(machine, &Path::new("/dev").join(console)) == device);
    if let Some(console) = on_port {
        let next = "`raspi-config`, Interface Options, Serial Port: no login shell, port enabled; or take it out of /boot/firmware/cmdline.txt and restart";
        return Check::failure(
            NAME,
            format!("the kernel's command line says console={console}, which is {shown}"),
            "the kernel talks into the line",
            next,
        );
    }
    let getty = format!("/run/systemd/units/invocation:serial-getty@{device}.service");
    if machine.exists(getty) {
        let next = format!("`systemctl disable --now serial-getty@{device}.service`");
        return Check::failure(
            NAME,
            format!("a login waits on {shown}"),
            "the port is still set up as a console",
            next,
        );
    }
    Check::good(NAME, format!("no console on {shown}"))
}

/// FTDI chips collect bytes for so long before they hand them over.
fn latency(machine: &Machine<'_>, port: &Path, device: &str) -> Option<Check> {
    const NAME: &str = "latency timer";
    let text = machine.text(format!("/sys/bus/usb-serial/devices/{device}/latency_timer"))?;
    let ms: u64 = text.parse().ok()?;
    let evidence = format!("{}: {ms} ms", port.display());
    Some(if ms <= QUICK_MS {
        Check::good(NAME, evidence)
    } else {
        let next = format!(
            "the package's udev rule sets it when the adapter is plugged in again; at once: echo 1 > /sys/bus/usb-serial/devices/{device}/latency_timer"
        );
        Check::doubt(
            NAME,
            evidence,
            "the adapter waits before it hands an answer over: each costs up to so much more",
            next,
        )
    })
}

/// Whether a program of this name runs.
fn runs(machine: &Machine<'_>, name: &str) -> bool {
    let ids = machine
        .names("/proc")
        .into_iter()
        .filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()));
    ids.filter_map(|id| machine.text(format!("/proc/{id}/comm")))
        .any(|comm| comm == name)
}

fn modem_manager(machine: &Machine<'_>) -> Option<Check> {
    const NAME: &str = "ModemManager";
    if !runs(machine, "ModemManager") {
        return None;
    }
    let rules = ["/etc/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d"];
    let ignored = rules.iter().any(|folder| {
        let ours = machine
            .names(folder)
            .into_iter()
            .filter(|name| name.contains("retrovolt"));
        ours.filter_map(|name| machine.text(format!("{folder}/{name}")))
            .any(|text| text.contains("ID_MM_DEVICE_IGNORE"))
    });
    Some(if ignored {
        Check::good(NAME, "it runs, and our udev rule keeps it off the adapters")
    } else {
        let next = "install the package's udev rules, or `systemctl disable --now ModemManager` where there is no modem";
        Check::doubt(
            NAME,
            "it runs, and no udev rule of ours keeps it off",
            "it talks to every new serial port to find a modem: bad frames for half a minute after each start",
            next,
        )
    })
}

fn braille(machine: &Machine<'_>) -> Option<Check> {
    runs(machine, "brltty").then(|| {
        Check::doubt(
            "brltty",
            "it runs",
            "it takes CH340 adapters for Braille displays and unplugs them from everybody else",
            "`apt remove brltty`, unless somebody needs it",
        )
    })
}
