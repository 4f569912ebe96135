//! Supply voltage, heat and memory.

use super::{Check, Machine};
use crate::domain::{THROTTLED_FILE, Throttled};

/// From here on boards slow down.
const HOT_MILLI_C: i64 = 80_000;
/// From here on somebody should look.
const WARM_MILLI_C: i64 = 70_000;
const MIB: u64 = 1024 * 1024;
/// A gateway needs a tenth of it; the system needs the rest.
const TIGHT: u64 = 48 * MIB;
const LITTLE: u64 = 96 * MIB;

const WEAK: &str = "the supply or its cable is too weak";
const SUPPLY: &str = "use the maker's own power supply with a short, thick cable; power hungry USB devices by a hub of their own";

pub(super) fn checks(machine: &Machine<'_>) -> Vec<Check> {
    vec![supply(machine), heat(machine), memory(machine), limits(machine)]
}

fn supply(machine: &Machine<'_>) -> Check {
    const NAME: &str = "power supply";
    let text = machine.text(format!("/sys/{THROTTLED_FILE}"));
    let flags = text.and_then(|text| Throttled::parse(&text));
    let alarm = machine.names("/sys/class/hwmon").into_iter().find_map(|chip| {
        let fact = |file: &str| machine.text(format!("/sys/class/hwmon/{chip}/{file}"));
        (fact("name")? == "rpi_volt").then(|| fact("in0_lcrit_alarm"))?
    });
    if flags.is_none() && alarm.is_none() {
        return Check::unknown(NAME, "this machine does not tell its supply voltage");
    }
    let flags = flags.unwrap_or(Throttled(0));
    let bits = flags.0;
    if flags.is_under_voltage() || alarm.as_deref() == Some("1") {
        return Check::failure(NAME, format!("under-voltage now (flags {bits:#x})"), WEAK, SUPPLY);
    }
    if flags.was_under_voltage() {
        return Check::doubt(
            NAME,
            format!("there has been under-voltage since power-on (flags {bits:#x})"),
            WEAK,
            SUPPLY,
        );
    }
    if flags.is_or_was_slow() {
        let next = "give the board air, or a heat sink; in a meter cabinet in the sun a fan";
        return Check::doubt(
            NAME,
            format!("the board has slowed down (flags {bits:#x})"),
            "the board is or was too hot",
            next,
        );
    }
    Check::good(NAME, "no under-voltage since power-on")
}

fn heat(machine: &Machine<'_>) -> Check {
    const NAME: &str = "temperature";
    let zones = machine
        .names("/sys/class/thermal")
        .into_iter()
        .filter_map(|zone| {
            let fact = |file: &str| machine.text(format!("/sys/class/thermal/{zone}/{file}"));
            Some((
                fact("temp")?.parse::<i64>().ok()?,
                fact("type").unwrap_or(zone.clone()),
            ))
        });
    let Some((milli, zone)) = zones.max() else {
        return Check::unknown(NAME, "this machine does not tell its temperature");
    };
    let evidence = format!(
        "{zone}: {}.{} degrees Celsius",
        milli / 1000,
        (milli % 1000 / 100).abs()
    );
    let next = "give the board air, or a heat sink; move it away from the sun and from warm devices";
    match milli {
        HOT_MILLI_C.. => Check::failure(NAME, evidence, "the board is too hot and slows down", next),
        WARM_MILLI_C.. => Check::doubt(
            NAME,
            evidence,
            "the board is warm; on a hot day it will slow down",
            next,
        ),
        _ => Check::good(NAME, evidence),
    }
}

fn memory(machine: &Machine<'_>) -> Check {
    const NAME: &str = "memory";
    let table = machine.text("/proc/meminfo").unwrap_or_default();
    let kib = |key: &str| {
        let line = table.lines().find(|line| line.starts_with(key))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    let (Some(free), Some(all)) = (kib("MemAvailable:"), kib("MemTotal:")) else {
        return Check::unknown(NAME, "the machine does not tell its memory");
    };
    let evidence = format!("{} MiB of {} MiB can be had", free / 1024, all / 1024);
    let next = "find what takes it: `ps axo rss,comm --sort -rss | head`";
    match free * 1024 {
        0..TIGHT => Check::failure(NAME, evidence, "other programs take nearly all memory", next),
        TIGHT..LITTLE => Check::doubt(NAME, evidence, "other programs take much memory", next),
        _ => Check::good(NAME, evidence),
    }
}

/// `MemoryMax=` of the unit works only where the kernel counts memory by control group.
fn limits(machine: &Machine<'_>) -> Check {
    const NAME: &str = "memory limits";
    match machine.text("/sys/fs/cgroup/cgroup.controllers") {
        None => Check::unknown(NAME, "no unified control groups"),
        Some(text) if text.split_whitespace().any(|word| word == "memory") => {
            Check::good(NAME, "the kernel keeps them")
        }
        Some(_) => Check::doubt(
            NAME,
            "the kernel does not keep memory limits",
            "the memory controller is off, as some kernels of Raspberry Pi OS have it",
            "add cgroup_enable=memory to the kernel's command line (/boot/firmware/cmdline.txt) and restart",
        ),
    }
}
