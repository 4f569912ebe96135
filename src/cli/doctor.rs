//! `retrovolt doctor`: named checks, each with what was seen, the cause and the next step.

use crate::config::LoadOptions;
use crate::domain::OcppVersion;
use crate::runtime::doctor::{Loose, Unfit, configured, loose};
use crate::runtime::{self, exit};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// The command line is wrong.
const USAGE: u8 = 64;

/// Options of `retrovolt doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Examine the way to each CSMS: name, TCP, TLS, clock, login, sub-protocol, identity. No OCPP message is sent, and
    /// where the running gateway is connected nothing beyond TLS is tried.
    #[arg(long, required = true)]
    csms: bool,
    /// The configuration file.
    #[arg(short, long, default_value_os_t = runtime::default_config().to_owned())]
    config: PathBuf,
    /// Examine this CSMS instead of those of the configuration.
    #[arg(long)]
    url: Option<String>,
    /// Identity of the charge point, with --url.
    #[arg(long, requires = "url")]
    id: Option<String>,
    /// OCPP version to offer, with --url.
    #[arg(long, requires = "url", value_enum, default_value_t)]
    ocpp: Version,
    /// File that holds the password, with --url.
    #[arg(long, requires = "url")]
    password_file: Option<PathBuf>,
    /// PEM file with the client certificate, with --url.
    #[arg(long, requires = "url", requires = "key_file")]
    certificate_file: Option<PathBuf>,
    /// PEM file with its key.
    #[arg(long, requires = "certificate_file")]
    key_file: Option<PathBuf>,
    /// Folder of PEM files trusted beside the system's own, with --url.
    #[arg(long, requires = "url")]
    trust_dir: Option<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Version {
    #[default]
    #[value(name = "1.6")]
    V16,
    #[value(name = "2.0.1")]
    V201,
}

/// Examines and prints. Exit codes: 0 all good, 64 wrong usage, 69 failures, 75 warnings, 78 bad configuration.
pub async fn run(args: DoctorArgs) -> ExitCode {
    let options = LoadOptions::for_file(&args.config);
    let reports = match args.url {
        None => configured(&args.config, &options).await,
        Some(url) => {
            let named = Loose {
                url,
                id: args.id,
                version: match args.ocpp {
                    Version::V16 => OcppVersion::V16,
                    Version::V201 => OcppVersion::V201,
                },
                password_file: args.password_file,
                client: args.certificate_file.zip(args.key_file),
                trust_dir: args.trust_dir,
            };
            loose(named, &args.config, &options)
                .await
                .map(|report| vec![report])
        }
    };
    let told = match reports {
        Ok(reports) => json!({ "schema": 1, "csms": reports }),
        Err(Unfit::Configuration(report)) => {
            eprint!("{}", report.human());
            return exit::CONFIG.into();
        }
        Err(Unfit::Usage(words)) => {
            eprintln!("retrovolt: {words}");
            return USAGE.into();
        }
    };
    if args.json {
        println!("{told}");
    } else {
        print!("{}", screen(&told));
    }
    code(&told)
}

fn results(told: &Value) -> impl Iterator<Item = &str> {
    let reports = told["csms"].as_array().into_iter().flatten();
    reports.filter_map(|report| report["result"].as_str())
}

fn code(told: &Value) -> ExitCode {
    if results(told).any(|result| result == "failure") {
        exit::UNAVAILABLE.into()
    } else if results(told).any(|result| result == "warning") {
        exit::TEMPORARY.into()
    } else {
        ExitCode::SUCCESS
    }
}

fn screen(told: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut out = String::new();
    for report in told["csms"].as_array().into_iter().flatten() {
        let (cp, csms, url) = (
            text(&report["charge_point"]),
            text(&report["csms"]),
            text(&report["url"]),
        );
        let _ = writeln!(out, "CSMS {csms} of {cp}: {url}");
        for check in report["checks"].as_array().into_iter().flatten() {
            let mark = match check["result"].as_str() {
                Some("good") => "ok",
                Some("skipped") => "-",
                Some("warning") => "WARNING",
                _ => "FAILURE",
            };
            let evidence = text(&check["evidence"]);
            let _ = writeln!(out, "  {mark:<8} {:<8} {evidence}", text(&check["check"]));
            if let Some(next) = check["next"].as_str() {
                let _ = writeln!(out, "  {:<8} {:<8} next: {next}", "", "");
            }
        }
    }
    if out.is_empty() {
        out.push_str("there is no CSMS in the configuration\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_cause_and_next_step() {
        let told = json!({ "csms": [{
            "charge_point": "CP1", "csms": "main", "url": "ws://h/CP1", "result": "failure", "cause": "refused",
            "checks": [
                { "check": "dns", "result": "good", "evidence": "127.0.0.1", "cause": null, "next": null },
                { "check": "tcp", "result": "failure", "evidence": "127.0.0.1:1 refuses connections",
                  "cause": "refused", "next": "check the port" },
            ],
        }] });
        assert_eq!(
            screen(&told),
            "CSMS main of CP1: ws://h/CP1\n  ok       dns      127.0.0.1\n  \
             FAILURE  tcp      127.0.0.1:1 refuses connections\n                    next: check the port\n"
        );
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst() {
        let told = |results: &[&str]| {
            let reports: Vec<Value> = results.iter().map(|r| json!({ "result": r })).collect();
            json!({ "csms": reports })
        };
        let same = |results: &[&str], wanted: u8| {
            assert_eq!(
                format!("{:?}", code(&told(results))),
                format!("{:?}", ExitCode::from(wanted))
            );
        };
        same(&["good", "good"], 0);
        same(&[], 0);
        same(&["good", "warning"], 75);
        same(&["warning", "failure", "good"], 69);
    }
}
