//! `retrovolt reload`: has the running gateway read its configuration again, and says what became of it.

use super::daemon::SocketArgs;
use crate::runtime::control::Ask;
use crate::runtime::exit;
use clap::Args;
use serde_json::Value;
use std::process::ExitCode;
use std::time::Duration;

/// Ending many charge points in good order takes a while.
const PATIENCE: Duration = Duration::from_secs(120);

/// Options of `retrovolt reload`.
#[derive(Debug, Args)]
pub struct ReloadArgs {
    #[command(flatten)]
    socket: SocketArgs,
    /// The answer as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Reloads. Exit codes: 0 taken over, 78 refused (what ran goes on), 69 not running, 70 taken over in part, 75 the gateway still
/// cannot start, 77 not allowed.
pub async fn run(args: ReloadArgs) -> ExitCode {
    let answer = match args.socket.ask(&Ask::Reload, PATIENCE).await {
        Ok(answer) => answer,
        Err(silent) => {
            eprintln!("retrovolt: {}", silent.words);
            return silent.code.into();
        }
    };
    if args.json {
        println!("{answer}");
    } else {
        print!("{}", words(&answer));
    }
    code(&answer).into()
}

fn words(answer: &Value) -> String {
    if answer["reloaded"] == Value::Bool(true) {
        return "the configuration has been taken over\n".to_owned();
    }
    match (answer["text"].as_str(), answer["error"].as_str()) {
        (Some(report), _) => format!("{report}refused; what was in force goes on\n"),
        (None, Some(error)) => format!("{error}\n"),
        (None, None) => format!("not understood: {answer}\n"),
    }
}

fn code(answer: &Value) -> u8 {
    match (&answer["reloaded"], answer["report"].is_object()) {
        (Value::Bool(true), _) => 0,
        (_, true) => exit::CONFIG,
        (_, false) if answer["blocked"].is_object() => exit::TEMPORARY,
        (_, false) => exit::SOFTWARE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refusal_shows_the_report_and_what_goes_on() {
        let refused = json!({ "reloaded": false, "error": "e", "report": {}, "text": "a.toml:1:1: x\n" });
        assert_eq!(
            words(&refused),
            "a.toml:1:1: x\nrefused; what was in force goes on\n"
        );
        assert_eq!(code(&refused), 78);
        assert_eq!(code(&json!({ "reloaded": true })), 0);
        let blocked = json!({ "reloaded": false, "error": "e", "blocked": { "problem": "p", "next": "n" } });
        assert_eq!((words(&blocked).as_str(), code(&blocked)), ("e\n", 75));
        let broken = json!({ "reloaded": false, "error": "bus: no timer" });
        assert_eq!((words(&broken).as_str(), code(&broken)), ("bus: no timer\n", 70));
    }
}
