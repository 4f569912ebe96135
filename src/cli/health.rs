//! `retrovolt healthcheck` and `retrovolt maintenance`: for monitors and update managers, which read exit codes.

use super::daemon::{Silent, SocketArgs};
use crate::runtime::control::Ask;
use clap::Args;
use serde_json::Value;
use std::process::ExitCode;
use std::time::Duration;

/// A gateway that takes longer is not well.
const PATIENCE: Duration = Duration::from_secs(2);

/// Options of `retrovolt healthcheck`.
#[derive(Debug, Args)]
pub struct HealthArgs {
    #[command(flatten)]
    socket: SocketArgs,
}

/// Options of `retrovolt maintenance`.
#[derive(Debug, Args)]
pub struct MaintenanceArgs {
    /// Say by the exit code whether the gateway may be stopped now: no session runs. What is unsent is on disk and loses
    /// nothing by a restart.
    #[arg(long, required = true)]
    can_start: bool,
    /// Exit code for "later": what the update manager takes for it.
    #[arg(long, default_value_t = 21, value_parser = clap::value_parser!(u8).range(1..))]
    later_code: u8,
    #[command(flatten)]
    socket: SocketArgs,
}

/// Checks. Exit codes: 0 healthy, 1 not. Silent, unless asked why.
pub async fn check(args: HealthArgs, why: bool) -> ExitCode {
    let told = verdict(args.socket.ask(&Ask::Health, PATIENCE).await);
    if why {
        match &told {
            Ok(()) => println!("healthy"),
            Err(words) => println!("not healthy: {words}"),
        }
    }
    told.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

fn verdict(answer: Result<Value, Silent>) -> Result<(), String> {
    let answer = answer.map_err(|silent| silent.words)?;
    if answer["healthy"] == Value::Bool(true) {
        return Ok(());
    }
    let why = answer["why"].as_array().into_iter().flatten();
    let words: Vec<&str> = why.filter_map(Value::as_str).collect();
    Err(if words.is_empty() {
        format!("not understood: {answer}")
    } else {
        words.join("; ")
    })
}

/// Says whether the gateway may be stopped. Exit codes: 0 now, 21 or `--later-code` later, 77 not allowed to ask.
pub async fn maintenance(args: MaintenanceArgs, why: bool) -> ExitCode {
    let (code, words) = match args.socket.ask(&Ask::Status, PATIENCE).await {
        Ok(status) => match sessions(&status) {
            0 => (0, "no session runs".to_owned()),
            1 => (args.later_code, "a session runs".to_owned()),
            many => (args.later_code, format!("{many} sessions run")),
        },
        Err(silent) if silent.absent => (0, format!("nothing to stop: {}", silent.words)),
        Err(silent) if silent.code == crate::runtime::exit::NO_PERMISSION => (silent.code, silent.words),
        // Chargers may still be running under it; the watchdog ends it soon.
        Err(silent) => (args.later_code, silent.words),
    };
    if why {
        println!("{}: {words}", if code == 0 { "now" } else { "not now" });
    }
    code.into()
}

fn sessions(status: &Value) -> usize {
    let points = status["charge_points"].as_array().into_iter().flatten();
    let evses = points.flat_map(|point| point["station"]["evses"].as_array().into_iter().flatten());
    evses.filter(|evse| evse["tx"].is_object()).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn health_is_told_with_its_reasons() {
        assert_eq!(verdict(Ok(json!({ "healthy": true, "why": [] }))), Ok(()));
        let ill = json!({ "healthy": false, "why": ["hangs: bus a", "safe mode"] });
        assert_eq!(verdict(Ok(ill)), Err("hangs: bus a; safe mode".to_owned()));
        assert!(verdict(Ok(json!({ "error": "e" }))).is_err_and(|words| words.contains("not understood")));
        let absent = Silent {
            words: "nobody".to_owned(),
            code: 69,
            absent: true,
        };
        assert_eq!(verdict(Err(absent)), Err("nobody".to_owned()));
    }

    #[test]
    fn only_evses_with_a_transaction_count_as_sessions() {
        let station = json!({ "evses": [{ "tx": null }, { "tx": { "id": "x" } }] });
        assert_eq!(
            sessions(&json!({ "charge_points": [{ "station": station }, {}] })),
            1
        );
        assert_eq!(sessions(&json!({ "charge_points": [] })), 0);
    }
}
