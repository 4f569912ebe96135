//! `retrovolt status`: the running gateway on one screen.

use super::daemon::SocketArgs;
use crate::runtime::control::Ask;
use crate::runtime::exit;
use clap::Args;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Beyond it the daemon is not healthy.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often who watches is shown the state.
const WATCH_PERIOD: Duration = Duration::from_secs(2);
/// Clears a terminal and begins at its top (ECMA-48).
const CLEARED: &str = "\x1b[2J\x1b[H";

/// Options of `retrovolt status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    socket: SocketArgs,
    /// The whole picture as one JSON object.
    #[arg(long)]
    json: bool,
    /// Again every two seconds, until Ctrl-C; with --json one object a line.
    #[arg(short, long)]
    watch: bool,
}

/// Asks and prints. Exit codes: 0 healthy, 69 not running, 75 degraded, 77 not allowed.
pub async fn run(args: StatusArgs) -> ExitCode {
    let mut again = interval(WATCH_PERIOD);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let clears = args.watch && !args.json && std::io::stdout().is_terminal();
    loop {
        again.tick().await;
        let (text, code) = match args.socket.ask(&Ask::Status, PATIENCE).await {
            Ok(status) => shown(&status, args.json),
            Err(silent) => {
                eprintln!("retrovolt: {}", silent.words);
                (String::new(), silent.code)
            }
        };
        let clear = if clears { CLEARED } else { "" };
        let mut out = std::io::stdout();
        let written = write!(out, "{clear}{text}").and_then(|()| out.flush());
        // Who watches waits for a gateway that is away, until he reads no more.
        if !args.watch || written.is_err() {
            return code.into();
        }
    }
}

fn shown(status: &Value, json: bool) -> (String, u8) {
    let text = if json {
        format!("{status}\n")
    } else {
        screen(status)
    };
    let code = if is_healthy(status) { 0 } else { exit::TEMPORARY };
    (text, code)
}

/// The links of a charge point; a daemon of an earlier release tells only the one in control.
fn links(point: &Value) -> Vec<&Value> {
    point["links"]
        .as_array()
        .map_or_else(Vec::new, |links| links.iter().collect())
}

/// Accepted by the CSMS and connected.
fn is_online(link: &Value) -> bool {
    link["connected"] == Value::Bool(true) && link["ocpp"]["registration"] == "accepted"
}

fn in_words(online: bool, link: &Value) -> &'static str {
    match (online, link["connected"].as_bool()) {
        (true, _) => "online",
        (false, Some(true)) => "connected, not accepted",
        (false, _) => "OFFLINE",
    }
}

/// The files are in force, every port open, every device answering, every CSMS online, nothing hung.
fn is_healthy(status: &Value) -> bool {
    let all_up = |map: &Value| {
        map.as_object()
            .is_none_or(|m| m.values().all(|v| v[0] == Value::Bool(true)))
    };
    let online = status["charge_points"].as_array().is_none_or(|points| {
        points.iter().all(|p| {
            p["station"]["online"] == Value::Bool(true)
                && links(p).iter().all(|link| is_online(&link["link"]))
        })
    });
    let hung = status["hung"].as_array().is_some_and(|h| !h.is_empty());
    // A daemon of an earlier release says nothing of its configuration.
    let mode = &status["configuration"]["mode"];
    let by_the_files = mode.is_null() || mode == "file";
    by_the_files
        && all_up(&status["south"]["ports"])
        && all_up(&status["south"]["devices"])
        && online
        && !hung
}

fn screen(status: &Value) -> String {
    let mut out = String::new();
    let up = status["uptime_s"].as_u64().unwrap_or(0);
    let _ = writeln!(
        out,
        "retrovolt {}   up {}h{:02}m   start no. {}   clock {}",
        text(&status["version"]),
        up / 3600,
        up / 60 % 60,
        status["boot"],
        text(&status["clock"])
    );
    configuration(&mut out, &status["configuration"]);
    for (title, key) in [("bus", "ports"), ("device", "devices")] {
        for (name, value) in status["south"][key].as_object().into_iter().flatten() {
            let state = if value[0] == Value::Bool(true) {
                "up"
            } else {
                "DOWN"
            };
            let _ = writeln!(out, "  {title:<7} {name:<16} {state:<5} {}", text(&value[1]));
        }
    }
    for point in status["charge_points"].as_array().into_iter().flatten() {
        charge_point(&mut out, point);
    }
    for reader in status["ledger"]["readers"].as_array().into_iter().flatten() {
        let _ = writeln!(
            out,
            "  ledger  {:<24} {} waiting",
            text(&reader["reader"]),
            reader["pending"]
        );
    }
    for account in status["traffic"].as_array().into_iter().flatten() {
        traffic(&mut out, account);
    }
    for hung in status["hung"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "  HUNG    {}", text(hung));
    }
    out
}

/// Which configuration is in force, where it is not the one in the files.
fn configuration(out: &mut String, configuration: &Value) {
    let blocked = &configuration["blocked"];
    if blocked.is_object() {
        let (problem, next) = (text(&blocked["problem"]), text(&blocked["next"]));
        let _ = writeln!(out, "  SAFE MODE: the gateway cannot start, nothing runs");
        let _ = writeln!(out, "    {problem}\n    next: {next}");
        let _ = writeln!(out, "    it is tried again by itself, and at `retrovolt reload`");
    }
    let headline = match (
        configuration["mode"].as_str(),
        configuration["refused"].is_array(),
    ) {
        (Some("last_good"), _) => "LAST GOOD CONFIGURATION: the files cannot be used",
        (_, false) if blocked.is_object() => return,
        (Some("safe_mode"), _) if !blocked.is_object() => "SAFE MODE: the files cannot be used, nothing runs",
        (_, true) => "the files were refused at the last reload; what ran before goes on",
        (_, false) => return,
    };
    let _ = writeln!(out, "  {headline}");
    for key in ["refused", "last_good_refused"] {
        let issues = configuration[key].as_array().into_iter().flatten();
        for issue in issues.filter(|issue| issue["severity"] != "warning") {
            let _ = writeln!(
                out,
                "    {}:{}:{}: {}: {}, expected {}; {}",
                text(&issue["file"]),
                issue["line"],
                issue["column"],
                text(&issue["key"]),
                text(&issue["problem"]),
                text(&issue["expected"]),
                text(&issue["suggestion"]),
            );
        }
    }
    let _ = writeln!(out, "    mend them, then `retrovolt reload`");
}

fn charge_point(out: &mut String, point: &Value) {
    let station = &point["station"];
    let link = in_words(station["online"] == Value::Bool(true), &point["link"]);
    let _ = writeln!(
        out,
        "  charge point {}   CSMS {link}   {}",
        text(&point["id"]),
        text(&point["link"]["detail"])
    );
    for link in links(point)
        .iter()
        .filter(|link| link["in_control"] != Value::Bool(true))
    {
        let state = in_words(is_online(&link["link"]), &link["link"]);
        let _ = writeln!(
            out,
            "    read-only CSMS {:<12} {state}   {}",
            text(&link["csms"]),
            text(&link["link"]["detail"])
        );
    }
    for evse in station["evses"].as_array().into_iter().flatten() {
        let milli = |value: &Value| value.as_i64().unwrap_or(0) as f64 / 1000.0;
        let _ = write!(
            out,
            "    EVSE {}  {:<14} limit {:.1} A ({})  {:.0} W",
            evse["evse"],
            text(&evse["status"]),
            milli(&evse["applied"]["amps"]),
            text(&evse["applied"]["source"]),
            milli(&evse["power"]),
        );
        let tx = &evse["tx"];
        if tx.is_object() {
            let energy = milli(&tx["energy"]) / 1000.0;
            let _ = write!(out, "  session {:.3} kWh, {} s", energy, tx["seconds"]);
        }
        if evse["meter_stale"] == Value::Bool(true) {
            out.push_str("  METER STALE");
        }
        out.push('\n');
    }
}

/// Bytes of a back end this month, and what follows from its budget.
fn traffic(out: &mut String, account: &Value) {
    let mega = |bytes: u64| bytes as f64 / 1e6;
    let both = |span: &Value| span["sent"].as_u64().unwrap_or(0) + span["received"].as_u64().unwrap_or(0);
    let _ = write!(
        out,
        "  bytes   {:<24} {:.3} MB this month, {:.3} MB today",
        text(&account["back_end"]),
        mega(both(&account["month"])),
        mega(both(&account["day"]))
    );
    if let Some(budget) = account["budget_bytes"].as_u64() {
        let _ = write!(
            out,
            ", budget {:.3} MB ({})",
            mega(budget),
            text(&account["stage"])
        );
    }
    out.push('\n');
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample(online: bool) -> Value {
        json!({
            "version": "0.1.0", "boot": 3, "uptime_s": 7260, "clock": "csms", "hung": [],
            "south": { "ports": { "garage": [true, "open"] }, "devices": { "wallbox": [true, ""] } },
            "charge_points": [{
                "id": "CP1", "link": { "connected": true, "detail": "accepted" },
                "station": { "online": online, "evses": [{
                    "evse": 1, "status": "Charging", "applied": { "amps": 16000, "source": "installation" },
                    "power": 11_040_000, "meter_stale": false,
                    "tx": { "energy": 1_500_000, "seconds": 60 },
                }] },
            }],
            "ledger": { "readers": [{ "reader": "CP1/main", "pending": 0 }] },
        })
    }

    #[test]
    fn a_person_reads_what_matters() {
        let screen = screen(&sample(true));
        assert!(screen.contains("up 2h01m"), "{screen}");
        assert!(
            screen.contains("Charging       limit 16.0 A (installation)  11040 W  session 1.500 kWh, 60 s"),
            "{screen}"
        );
        assert!(screen.contains("CP1/main                 0 waiting"), "{screen}");
    }

    #[test]
    fn bytes_are_shown_with_their_budget() {
        let mut status = sample(true);
        let span = |sent: u64, received: u64| json!({ "sent": sent, "received": received });
        status["traffic"] = json!([
            { "back_end": "CP1/main", "day": span(1_000, 500), "month": span(30_000_000, 11_000_000), "budget_bytes": 50_000_000, "stage": "sparing" },
            { "back_end": "CP1/fleet", "day": span(0, 0), "month": span(0, 0), "budget_bytes": null, "stage": "free" },
        ]);
        let screen = screen(&status);
        let with =
            "CP1/main                 41.000 MB this month, 0.002 MB today, budget 50.000 MB (sparing)\n";
        assert!(screen.contains(with), "{screen}");
        assert!(
            screen.contains("CP1/fleet                0.000 MB this month, 0.000 MB today\n"),
            "{screen}"
        );
    }

    #[test]
    fn every_link_is_shown_and_counts() {
        let link = |connected: bool, registration: &str| json!({ "connected": connected, "detail": "why", "ocpp": { "registration": registration } });
        let mut status = sample(true);
        let mut second = |link: Value| {
            status["charge_points"][0]["links"] = json!([
                { "csms": "main", "in_control": true, "link": { "connected": true, "ocpp": { "registration": "accepted" } } },
                { "csms": "fleet", "in_control": false, "link": link },
            ]);
            (screen(&status), is_healthy(&status))
        };
        let (online, healthy) = second(link(true, "accepted"));
        assert!(
            online.contains("read-only CSMS fleet        online   why") && healthy,
            "{online}"
        );
        assert!(!online.contains("read-only CSMS main"), "{online}");
        let (pending, healthy) = second(link(true, "pending"));
        assert!(
            pending.contains("fleet        connected, not accepted") && !healthy,
            "{pending}"
        );
        let (away, healthy) = second(link(false, "accepted"));
        assert!(away.contains("fleet        OFFLINE") && !healthy, "{away}");
    }

    #[test]
    fn a_configuration_that_is_not_in_force_is_told_with_its_mistakes() {
        let issue = json!({ "file": "/etc/r.toml", "line": 3, "column": 7, "key": "bus.baud",
            "problem": "is 7", "expected": "9600", "suggestion": "did you mean 9600" });
        let mut status = sample(true);
        let mut with = |mode: &str, refused: Value| {
            status["configuration"] = json!({ "mode": mode, "refused": refused });
            (screen(&status), is_healthy(&status))
        };
        let (text, healthy) = with("last_good", json!([issue]));
        assert!(text.contains("LAST GOOD") && text.contains("/etc/r.toml:3:7: bus.baud: is 7") && !healthy);
        let (text, healthy) = with("safe_mode", json!([issue]));
        assert!(text.contains("SAFE MODE") && !healthy, "{text}");
        let (text, healthy) = with("file", json!([issue]));
        assert!(text.contains("refused at the last reload") && healthy, "{text}");
        let (text, healthy) = with("file", Value::Null);
        assert!(!text.contains("reload") && healthy, "{text}");
    }

    #[test]
    fn offline_is_degraded() {
        assert!(is_healthy(&sample(true)));
        assert!(!is_healthy(&sample(false)));
    }
}
