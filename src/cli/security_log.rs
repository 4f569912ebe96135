//! `retrovolt security-log`: the security events of this gateway, and whether the log is as it was written.

use crate::config::{self, LoadOptions};
use crate::runtime::{self, exit};
use crate::store::{SecurityLog, StoreError, read_security_log};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of the verb.
#[derive(Debug, Args)]
pub struct SecurityLogArgs {
    /// The configuration file that names the state directory.
    #[arg(short, long, default_value_os_t = runtime::default_config().to_owned())]
    config: PathBuf,
    /// Only check, show no events.
    #[arg(long)]
    verify: bool,
    /// Show at most so many of the latest events.
    #[arg(long, default_value_t = 100)]
    last: usize,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Shows and checks the log. Ends with 65 when it is not as it was written.
pub fn run(args: &SecurityLogArgs) -> ExitCode {
    let loaded = match config::load(&args.config, &LoadOptions::for_a_verb(&args.config)) {
        Ok(loaded) => loaded,
        Err(report) => {
            eprint!("{}", report.human());
            return exit::CONFIG.into();
        }
    };
    match read_security_log(&loaded.setup.state_dir) {
        Ok(log) => {
            let shown = if args.verify { 0 } else { args.last };
            if args.json {
                println!("{}", object(&log, shown));
            } else {
                print!("{}", screen(&log, shown));
            }
            if log.fault.is_some() {
                exit::DATA.into()
            } else {
                ExitCode::SUCCESS
            }
        }
        Err(error) => {
            eprintln!("retrovolt: {error}");
            match error {
                StoreError::Path { .. } | StoreError::Io(_) => exit::NO_INPUT.into(),
                _ => exit::DATA.into(),
            }
        }
    }
}

fn object(log: &SecurityLog, shown: usize) -> serde_json::Value {
    let skip = log.entries.len().saturating_sub(shown);
    json!({
        "intact": log.fault.is_none(),
        "fault": log.fault.as_ref().map(ToString::to_string),
        "rows": log.entries.len(),
        "head": log.head,
        "events": log.entries.iter().skip(skip).collect::<Vec<_>>(),
    })
}

fn screen(log: &SecurityLog, shown: usize) -> String {
    let skip = log.entries.len().saturating_sub(shown);
    let mut out: String = log
        .entries
        .iter()
        .skip(skip)
        .map(|entry| {
            let info = entry.info.as_deref().unwrap_or_default();
            // Events carry foreign text; a terminal must not take orders from it.
            let info: String = info.chars().filter(|c| !c.is_control()).collect();
            let time = jiff::Timestamp::from_millisecond(entry.unix_ms).unwrap_or_default();
            let unsure = if entry.is_certain() { ' ' } else { '?' };
            format!(
                "{:>6} {time}{unsure} {} {} {info}\n",
                entry.n, entry.cp, entry.name
            )
        })
        .collect();
    out.push_str(&match &log.fault {
        None => format!(
            "{} rows, each as it was written; head {}\n",
            log.entries.len(),
            log.head
        ),
        Some(fault) => format!("NOT AS IT WAS WRITTEN: {fault}\n"),
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CpId, Stamp};
    use crate::store::{LogFault, SecurityEntry};

    #[test]
    fn a_person_sees_the_latest_events_and_the_verdict() {
        let entry = |n| SecurityEntry {
            n,
            cp: CpId::new("CP1"),
            at: Stamp::default(),
            unix_ms: 0,
            name: "StartupOfTheDevice".to_owned(),
            info: (n == 2).then(|| "a\u{1b}[2Jb".to_owned()),
        };
        let mut log = SecurityLog {
            entries: vec![entry(1), entry(2)],
            head: "ab".to_owned(),
            fault: None,
        };
        assert_eq!(
            screen(&log, 1),
            "     2 1970-01-01T00:00:00Z? CP1 StartupOfTheDevice a[2Jb\n2 rows, each as it was written; head ab\n"
        );
        log.fault = Some(LogFault::Missing(3));
        assert_eq!(screen(&log, 0), "NOT AS IT WAS WRITTEN: row 3 is missing\n");
        let told = object(&log, 2);
        assert_eq!((&told["intact"], &told["rows"]), (&json!(false), &json!(2)));
        assert_eq!(told["events"][1]["n"], 2);
    }
}
