//! The machine itself in `retrovolt doctor`: named checks, each with what was seen, the cause and the next step.

use crate::commission::host::{Check, Gateway, Machine, Needs, Verdict, examine, room, timekeeping};
use crate::config::{self, LoadOptions};
use crate::domain::{Clock, Link};
use crate::runtime::clock::SystemClock;
use crate::runtime::control::running;
use crate::runtime::exit;
use serde_json::Value;
use std::fmt::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Examines the machine for what a configuration needs of it. One that cannot be used leaves the defaults.
pub async fn checks(config: &Path) -> Vec<Check> {
    let options = LoadOptions::for_a_verb(config);
    let (mut needs, doubtful) = match config::load(config, &options) {
        Ok(loaded) => {
            let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
            (needs(&loaded), Some(of_configuration(Verdict::Doubt, &warnings)))
        }
        Err(report) => {
            let places = config::whereabouts(config, &options);
            let needs = Needs {
                state_dir: places.state_dir,
                socket: places.socket,
                ..Needs::default()
            };
            let errors: Vec<String> = report.issues.iter().map(ToString::to_string).collect();
            (needs, Some(of_configuration(Verdict::Failure, &errors)))
        }
    };
    let mut gateway = None;
    needs.gateway = match running(&needs.socket).await {
        Ok(Some(status)) => {
            gateway = of_gateway(&status["configuration"]["blocked"]);
            Gateway::Runs {
                watchdog_ms: status["watchdog_ms"].as_u64(),
            }
        }
        Ok(None) => Gateway::Absent,
        Err(why) => Gateway::Silent(why),
    };
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let machine = Machine {
        root: Path::new("/"),
        unix_ms: i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        floor_unix_ms: SystemClock::for_a_tool().floor_ms(),
        room: &room,
        time: &timekeeping().await,
    };
    let mut checks: Vec<Check> = doubtful.into_iter().chain(gateway).collect();
    checks.extend(examine(&machine, &needs));
    checks
}

fn needs(loaded: &config::Loaded) -> Needs {
    let setup = &loaded.setup;
    let port = |link: &Link| match link {
        Link::Serial { path, .. } => Some(path.clone()),
        Link::Input { .. } | Link::Tcp { .. } | Link::Gpio(_) => None,
    };
    Needs {
        ports: setup.buses.iter().filter_map(|bus| port(&bus.link)).collect(),
        state_dir: setup.state_dir.clone(),
        socket: setup.socket.clone(),
        secrets: loaded.secret_files.clone(),
        gateway: Gateway::Absent,
    }
}

fn of_configuration(verdict: Verdict, told: &[String]) -> Check {
    let good = told.is_empty();
    let (cause, next) = match (good, verdict) {
        (true, _) => ("", ""),
        (false, Verdict::Failure) => (
            "somebody changed it",
            "mend it; `retrovolt check-config` shows each line",
        ),
        (false, _) => ("it can be used, but", "`retrovolt check-config` shows each line"),
    };
    Check {
        name: "configuration",
        verdict: if good { Verdict::Good } else { verdict },
        evidence: if good {
            "without mistakes".to_owned()
        } else {
            told.join("; ")
        },
        cause,
        next: next.to_owned(),
    }
}

/// A gateway in safe mode says itself what is in its way.
fn of_gateway(blocked: &Value) -> Option<Check> {
    Some(Check {
        name: "gateway",
        verdict: Verdict::Failure,
        evidence: format!("safe mode: it cannot start: {}", blocked["problem"].as_str()?),
        cause: "see what it says",
        next: blocked["next"].as_str().unwrap_or_default().to_owned(),
    })
}

/// The exit code: 69 where something does not work, 75 where somebody should look.
pub fn worst(checks: &[Check]) -> u8 {
    match checks.iter().map(|check| check.verdict).max() {
        Some(Verdict::Failure) => exit::UNAVAILABLE,
        Some(Verdict::Doubt) => exit::TEMPORARY,
        _ => 0,
    }
}

/// For a person.
pub fn screen(checks: &[Check]) -> String {
    let mut out = "this machine\n".to_owned();
    for check in checks {
        let mark = match check.verdict {
            Verdict::Good => "good",
            Verdict::Unknown => "-",
            Verdict::Doubt => "DOUBT",
            Verdict::Failure => "FAIL",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {mark:<6} {:<17} {}", check.name, check.evidence);
        if !check.cause.is_empty() {
            let _ = writeln!(
                out,
                "         cause: {}\n         next: {}",
                check.cause, check.next
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_cause_and_next_step_and_the_worst_gives_the_code() {
        let good = of_configuration(Verdict::Doubt, &[]);
        let doubt = of_configuration(Verdict::Doubt, &["a.toml:1:1: x".to_owned()]);
        let failure = of_configuration(Verdict::Failure, &["a.toml:1:1: x".to_owned()]);
        let blocked = serde_json::json!({ "problem": "ledger: full", "next": "make room" });
        let told = of_gateway(&blocked).expect("a check");
        assert!(told.evidence.ends_with("ledger: full") && told.next == "make room");
        assert_eq!(of_gateway(&Value::Null), None);
        assert_eq!(worst(&[]), 0);
        assert_eq!(worst(std::slice::from_ref(&good)), 0);
        assert_eq!(worst(&[good.clone(), doubt.clone()]), 75);
        assert_eq!(worst(&[failure.clone(), doubt]), 69);
        let shown = screen(&[good, failure]);
        assert!(
            shown.contains("good   configuration     without mistakes"),
            "{shown}"
        );
        assert!(
            shown.contains("FAIL") && shown.contains("next: mend it"),
            "{shown}"
        );
    }
}
