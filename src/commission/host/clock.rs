//! The time, and what keeps it.

use super::{Check, Machine};

/// A clock this far beyond the build of the program was set by mistake.
const TOO_LATE_MS: i64 = 20 * 366 * 86_400_000;

/// Marks of programs that keep the clock, beside systemd's own.
const OTHERS: &[(&str, &str)] = &[
    ("/run/chrony/chronyd.pid", "chrony"),
    ("/run/chronyd.pid", "chrony"),
    ("/run/ntpd.pid", "ntpd"),
    ("/run/openntpd/ntpd.sock", "openntpd"),
];

pub(super) fn checks(machine: &Machine<'_>) -> Vec<Check> {
    let mut checks = vec![time(machine)];
    checks.extend(battery(machine));
    checks.push(source(machine));
    checks
}

fn time(machine: &Machine<'_>) -> Check {
    const NAME: &str = "clock";
    let shown = jiff::Timestamp::from_millisecond(machine.unix_ms)
        .map_or_else(|error| error.to_string(), |at| at.to_string());
    let battery = if machine.exists("/sys/class/rtc/rtc0") {
        "there is a battery clock"
    } else {
        "there is no battery clock"
    };
    let evidence = format!("{shown}; {battery}");
    if machine.unix_ms < machine.floor_unix_ms {
        let next = "connect the machine to a time server, or set the clock: `date -s`; the gateway goes by the CSMS's time meanwhile";
        return Check::failure(NAME, evidence, "the clock has not been set since power-on", next);
    }
    if machine.unix_ms > machine.floor_unix_ms + TOO_LATE_MS {
        return Check::doubt(
            NAME,
            evidence,
            "the clock was set wrongly",
            "compare it with another clock: `date`",
        );
    }
    Check::good(NAME, evidence)
}

/// Beyond a day it is no time zone.
const DAY_MS: i64 = 86_400_000;

/// The battery clock against that of the system, which was set since.
fn battery(machine: &Machine<'_>) -> Option<Check> {
    const NAME: &str = "battery clock";
    let text = machine.text("/sys/class/rtc/rtc0/since_epoch")?;
    let unix_ms = text.parse::<i64>().ok()?.checked_mul(1_000)?;
    if machine.unix_ms < machine.floor_unix_ms {
        return None;
    }
    let shown = jiff::Timestamp::from_millisecond(unix_ms).ok()?.to_string();
    Some(if (unix_ms - machine.unix_ms).abs() > DAY_MS {
        Check::doubt(
            NAME,
            shown,
            "its battery is empty or missing, so the clock is wrong after a power cut until a server is reached",
            "replace the battery, then `hwclock --systohc`",
        )
    } else {
        Check::good(NAME, shown)
    })
}

/// More than this is told, microseconds: metering needs no better.
const TOLERABLE_US: u64 = 1_000_000;
const BLOCKED: &str = "no time server can be reached";

fn source(machine: &Machine<'_>) -> Check {
    let synchronised = machine.time.synchronised;
    if machine.exists("/run/systemd/timesync/synchronized") {
        return timesyncd(machine);
    }
    if let Some((_, who)) = OTHERS.iter().find(|(mark, _)| machine.exists(mark)) {
        return other(who, synchronised);
    }
    if machine.exists("/run/systemd/timesync") {
        return Check::doubt(
            SOURCE,
            "systemd-timesyncd runs and has not set the clock yet",
            BLOCKED,
            "let UDP port 123 through, or name a server of your own in /etc/systemd/timesyncd.conf",
        );
    }
    if synchronised == Some(true) {
        return Check::good(
            SOURCE,
            "the kernel counts its clock as synchronised; who keeps it is not seen from here",
        );
    }
    let units = ["/usr/lib/systemd/system", "/lib/systemd/system"];
    let is_there = |folder: &&str| machine.exists(format!("{folder}/systemd-timesyncd.service"));
    if units.iter().any(is_there) {
        let (cause, next) = match machine.time.enabled {
            Some(true) => ("it has failed", "`systemctl status systemd-timesyncd`"),
            Some(false) | None => ("it is switched off", "`timedatectl set-ntp true`"),
        };
        return Check::doubt(
            SOURCE,
            "systemd-timesyncd does not run, nor chrony nor ntpd",
            cause,
            next,
        );
    }
    Check::doubt(
        SOURCE,
        "neither systemd-timesyncd nor chrony nor ntpd",
        "nothing keeps the clock of this machine",
        "`apt install systemd-timesyncd`, then `timedatectl set-ntp true`",
    )
}

const SOURCE: &str = "time source";

/// systemd-timesyncd, which has set the clock since the machine started.
fn timesyncd(machine: &Machine<'_>) -> Check {
    let time = machine.time;
    let by = time
        .server
        .as_ref()
        .map_or_else(String::new, |server| format!(", by {server}"));
    let told = format!("systemd-timesyncd has set the clock{by}");
    if time.synchronised == Some(false) {
        return Check::doubt(
            SOURCE,
            format!(
                "{told}, and has not heard from a server for long: the kernel counts its clock as not synchronised"
            ),
            BLOCKED,
            "`timedatectl timesync-status`; let UDP port 123 through",
        );
    }
    match time.error_us {
        Some(error) if error > TOLERABLE_US => Check::doubt(
            SOURCE,
            format!(
                "{told}, and it may be off by {}.{} s",
                error / 1_000_000,
                error / 100_000 % 10
            ),
            "the way to the server is slow, or the server is far from the root of time",
            "name a server nearby in /etc/systemd/timesyncd.conf",
        ),
        Some(error) => Check::good(SOURCE, format!("{told}, to within {} ms", error / 1_000)),
        None => Check::good(SOURCE, told),
    }
}

/// Another program, which only the kernel's view of the clock tells about.
fn other(who: &str, synchronised: Option<bool>) -> Check {
    match synchronised {
        Some(true) => Check::good(
            SOURCE,
            format!("{who} keeps the clock, and the kernel counts it as synchronised"),
        ),
        Some(false) => Check::doubt(
            SOURCE,
            format!("{who} runs, and the kernel counts its clock as not synchronised"),
            BLOCKED,
            "`chronyc sources -v` or `ntpq -p` shows which servers it asks; let UDP port 123 through",
        ),
        None => Check::unknown(
            SOURCE,
            format!(
                "{who} keeps the clock; whether it has reached a server only its own tools tell here (`chronyc tracking`, `ntpq -p`), so the gateway goes by the CSMS's time"
            ),
        ),
    }
}
