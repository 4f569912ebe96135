//! Two made-up chargers and a bare one: the first fed by any request with everything in one register, the second
//! fed by a write, with a switch and five seconds between writes, the third without a watchdog.

use crate::device::Profile;
use std::sync::Arc;

pub(super) const VERSION: u16 = 4;
pub(super) const STATE: u16 = 5;
pub(super) const CURRENT: u16 = 6;
pub(super) const ENERGY: u16 = 17;
pub(super) const TIMEOUT: u16 = 257;
pub(super) const STANDBY: u16 = 258;
pub(super) const LIMIT: u16 = 261;
pub(super) const FALLBACK: u16 = 262;
pub(super) const SWITCH: u16 = 300;
pub(super) const LOCK: u16 = 301;

/// What the devices hold when they have just been switched on.
pub(super) const POWER_ON: [(u16, u16); 10] = [
    (VERSION, 2),
    (STATE, 2),
    (CURRENT, 0),
    (ENERGY, 1234),
    (TIMEOUT, 60_000),
    (STANDBY, 0),
    (LIMIT, 160),
    (FALLBACK, 0),
    (SWITCH, 0),
    (LOCK, 0),
];

const HEAD: &str = r#"
format = 1
id = "made-up"
kind = "charger"
vendor = "Nobody"
models = ["None"]
source = ["made up"]
[defaults]
fc = 3
write_fc = [6, 16]
[limits]
min_a = 6
max_a = 16
[state]
point = "state"
map = [{ raw = 2, iec = "A" }, { raw = 4, iec = "B1" }, { raw = 7, iec = "C2" }]
"#;

const POINTS: &str = r#"
[points]
state = { at = 5, type = "u16" }
current = { at = 6, type = "u16", quantity = "current", every = "fast" }
energy = { at = 17, type = "u16", quantity = "energy_import", every = "slow" }
standby = { at = 258, access = "rw", type = "u16" }
fallback = { at = 262, access = "rw", type = "u16", scale = 0.1, unit = "A", off = 0, allowed = [0, [60, 160]] }
switch = { at = 300, access = "rw", type = "u16" }
lock = { at = 301, access = "rw", type = "u16" }
timeout = { at = 257, access = "rw", type = "u16", unit = "ms" }
limit = { at = 261, access = "rw", type = "u16", scale = 0.1, unit = "A", off = 0, allowed = [0, [60, 160]]"#;

/// The limit is polled.
const SHOWN: &str = r#", role = "limit_read_back", every = "slow" }
version = { at = 4, type = "u16", fact = "map_version", every = "once" }
"#;

/// The limit can only be looked at.
const HIDDEN: &str = " }\n";

const WATCHDOG: &str = r#"
[watchdog]
timeout_ms = 15000
min_timeout_ms = 1000
max_timeout_ms = 60000
failsafe_a = 6
fallback = "Falls to its fallback current."
fallback_safe = true
"#;

fn link(write_gap_ms: u32) -> String {
    format!(
        "[link]\ntcp_port = 502\nunit = 1\ntimeout_ms = 500\nmin_gap_ms = 20\nwrite_gap_ms = {write_gap_ms}\n\
         poll_ms = 1000\nslow_poll_ms = 10000\nmax_read_regs = 30\n"
    )
}

fn parse(parts: &[&str]) -> Arc<Profile> {
    Arc::new(Profile::parse("made-up.toml", &parts.concat()).expect("the profile is sound"))
}

/// Fed by any request; the limit is also the pause; standby can be switched off from map version 2.
pub(super) fn any_fed() -> Arc<Profile> {
    let recipes = r#"
[recipes]
limit = [{ write = "limit", value = "limit", verify = "limit", settle_ms = 2000 }]
unlock = [{ write = "lock", value = 1, settle_ms = 500 }]
arm = [
  { write = "standby", value = 4, verify = "standby", when = [{ point = "version", min = 2 }] },
  { write = "timeout", value = "watchdog_timeout", verify = "timeout" },
  { write = "fallback", value = "failsafe_current", verify = "fallback" },
]
"#;
    parse(&[
        HEAD,
        &link(0),
        POINTS,
        SHOWN,
        recipes,
        WATCHDOG,
        "feed = \"any_request\"\n",
    ])
}

/// As [`any_fed`], but its fallback current can only be read, and is safe from 6 A down.
pub(super) fn told_fallback() -> Arc<Profile> {
    let recipes = r#"
[recipes]
limit = [{ write = "limit", value = "limit", verify = "limit", settle_ms = 2000 }]
arm = [{ write = "timeout", value = "watchdog_timeout", verify = "timeout" }]
"#;
    let when = "fallback_when = [{ point = \"fallback\", max = 60 }]\nfeed = \"any_request\"\n";
    parse(&[HEAD, &link(0), POINTS, SHOWN, recipes, WATCHDOG, when])
}

/// As [`any_fed`], with the switch as a phase switch: charging is paused for two seconds before and one after.
pub(super) fn two_phased() -> Arc<Profile> {
    let recipes = r#"
[recipes]
limit = [{ write = "limit", value = "limit", verify = "limit", settle_ms = 2000 }]
[phase_switch]
one = [{ write = "switch", value = 1, verify = "switch", settle_ms = 1000 }]
three = [{ write = "switch", value = 3, verify = "switch", settle_ms = 1000 }]
before_ms = 2000
after_ms = 1000
"#;
    parse(&[HEAD, &link(0), POINTS, SHOWN, recipes])
}

/// A limit in steps of 100 W beside a switch that pauses.
pub(super) fn coarse() -> Arc<Profile> {
    let points = POINTS.replace(
        r#"scale = 0.1, unit = "A", off = 0, allowed = [0, [60, 160]]"#,
        r#"scale = 100, unit = "W""#,
    );
    let recipes = r#"
[recipes]
limit = [
  { write = "limit", value = "limit", verify = "limit", settle_ms = 1000 },
  { write = "switch", value = 1, when_paused = true },
]
pause = [{ write = "switch", value = 0 }]
"#;
    parse(&[HEAD, &link(0), &points, SHOWN, recipes])
}

/// Fed by writing the time-out; pauses by a switch; at least five seconds between two writes.
pub(super) fn write_fed() -> Arc<Profile> {
    let recipes = r#"
[recipes]
limit = [
  { write = "limit", value = "limit", verify = "limit", settle_ms = 1000 },
  { write = "switch", value = 1, verify = "switch", settle_ms = 1000, when_paused = true },
]
pause = [{ write = "switch", value = 0, verify = "switch", settle_ms = 1000 }]
enable = [{ write = "switch", value = 1, verify = "switch", settle_ms = 1000 }]
disable = [{ write = "switch", value = 0, verify = "switch", settle_ms = 1000 }]
safe = [{ write = "switch", value = 0, verify = "switch", settle_ms = 1000 }]
arm = [{ write = "timeout", value = "watchdog_timeout", verify = "timeout", settle_ms = 1000 }]
"#;
    let feed = "feed = [{ write = \"timeout\", value = \"watchdog_timeout\" }]\n";
    parse(&[HEAD, &link(5_000), POINTS, SHOWN, recipes, WATCHDOG, feed])
}

/// No watchdog, nothing read once, and nothing polled that would show the limit.
pub(super) fn bare() -> Arc<Profile> {
    let recipes = r#"
[recipes]
limit = [{ write = "limit", value = "limit", verify = "limit", settle_ms = 2000 }]
"#;
    parse(&[HEAD, &link(0), POINTS, HIDDEN, recipes])
}

/// As [`write_fed`], fed by the fallback current, which cannot be written below 6 A, and only while it may be paused.
pub(super) fn pickily_fed(step: &str) -> Arc<Profile> {
    let recipes = r#"
[recipes]
limit = [{ write = "limit", value = "limit", verify = "limit", settle_ms = 1000 }]
arm = [{ write = "timeout", value = "watchdog_timeout", verify = "timeout", settle_ms = 1000 }]
"#;
    let points = POINTS.replace(
        "off = 0, allowed = [0, [60, 160]] }\nswitch",
        "allowed = [[60, 160]] }\nswitch",
    );
    parse(&[
        HEAD,
        &link(0),
        &points,
        SHOWN,
        recipes,
        WATCHDOG,
        &format!("feed = [{step}]\n"),
    ])
}
