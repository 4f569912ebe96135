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
    vec![time(machine), source(machine)]
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

fn source(machine: &Machine<'_>) -> Check {
    const NAME: &str = "time source";
    if machine.exists("/run/systemd/timesync/synchronized") {
        return Check::good(NAME, "systemd-timesyncd has set the clock");
    }
    if let Some((_, who)) = OTHERS.iter().find(|(mark, _)| machine.exists(mark)) {
        return Check::unknown(
            NAME,
            format!(
                "{who} keeps the clock; whether it has reached a server only its own tools tell (`chronyc tracking`, `ntpq -p`), so the gateway goes by the CSMS's time"
            ),
        );
    }
    if machine.exists("/run/systemd/timesync") {
        return Check::doubt(
            NAME,
            "systemd-timesyncd runs and has not set the clock yet",
            "no time server can be reached",
            "let UDP port 123 through, or name a server of your own in /etc/systemd/timesyncd.conf",
        );
    }
    Check::doubt(
        NAME,
        "neither systemd-timesyncd nor chrony nor ntpd",
        "nothing keeps the clock of this machine",
        "`apt install systemd-timesyncd`, then `timedatectl set-ntp true`",
    )
}
