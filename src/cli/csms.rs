//! The way to the CSMSs in `retrovolt doctor`: named checks, each with what was seen, the cause and the next step.

use super::line::unfit;
use crate::config::LoadOptions;
use crate::domain::OcppVersion;
use crate::runtime::doctor::{Loose, Unfit, configured, loose};
use crate::runtime::exit;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Options that name a CSMS.
#[derive(Debug, Args)]
pub struct CsmsArgs {
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
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Version {
    #[default]
    #[value(name = "1.6")]
    V16,
    #[value(name = "2.0.1")]
    V201,
}

impl CsmsArgs {
    /// Whether a CSMS was named.
    pub fn names_something(&self) -> bool {
        self.url.is_some()
    }
}

/// Examines the CSMSs of the configuration, or the one that was named: an array of reports.
pub async fn examine(args: CsmsArgs, config: &Path) -> Result<Value, ExitCode> {
    let reports = match args.url {
        None => configured(config, &LoadOptions::for_a_login(config)).await,
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
            let options = LoadOptions::for_a_verb(config);
            loose(named, config, &options).await.map(|report| vec![report])
        }
    };
    match reports {
        Ok(reports) => Ok(json!(reports)),
        Err(Unfit::Configuration(report)) => {
            eprint!("{}", report.human());
            Err(unfit(&report))
        }
        Err(Unfit::Usage(words)) => {
            eprintln!("retrovolt: {words}");
            Err(exit::USAGE.into())
        }
    }
}

/// How bad the worst is: 0, [`exit::TEMPORARY`] for warnings, [`exit::UNAVAILABLE`] for failures.
pub fn worst(reports: &Value) -> u8 {
    let results = || {
        let reports = reports.as_array().into_iter().flatten();
        reports.filter_map(|report| report["result"].as_str())
    };
    if results().any(|result| result == "failure") {
        exit::UNAVAILABLE
    } else if results().any(|result| result == "warning") {
        exit::TEMPORARY
    } else {
        0
    }
}

/// The checks of a report, their names in a column of this width.
pub fn checks(out: &mut String, report: &Value, width: usize) {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    for check in report["checks"].as_array().into_iter().flatten() {
        let mark = match check["result"].as_str() {
            Some("good") => "ok",
            Some("skipped") => "-",
            Some("warning") => "WARNING",
            _ => "FAILURE",
        };
        let evidence = text(&check["evidence"]);
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {mark:<8} {:<width$} {evidence}", text(&check["check"]));
        if let Some(next) = check["next"].as_str() {
            let _ = writeln!(out, "  {:<8} {:<width$} next: {next}", "", "");
        }
    }
}

/// For a person.
pub fn screen(reports: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut out = String::new();
    for report in reports.as_array().into_iter().flatten() {
        let (cp, csms, url) = (
            text(&report["charge_point"]),
            text(&report["csms"]),
            text(&report["url"]),
        );
        let _ = writeln!(out, "CSMS {csms} of {cp}: {url}");
        checks(&mut out, report, 8);
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
        let told = json!([{
            "charge_point": "CP1", "csms": "main", "url": "ws://h/CP1", "result": "failure", "cause": "refused",
            "checks": [
                { "check": "dns", "result": "good", "evidence": "127.0.0.1", "cause": null, "next": null },
                { "check": "tcp", "result": "failure", "evidence": "127.0.0.1:1 refuses connections",
                  "cause": "refused", "next": "check the port" },
            ],
        }]);
        assert_eq!(
            screen(&told),
            "CSMS main of CP1: ws://h/CP1\n  ok       dns      127.0.0.1\n  \
             FAILURE  tcp      127.0.0.1:1 refuses connections\n                    next: check the port\n"
        );
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst() {
        let same = |results: &[&str], wanted: u8| {
            let reports: Vec<Value> = results.iter().map(|r| json!({ "result": r })).collect();
            assert_eq!(worst(&json!(reports)), wanted);
        };
        same(&["good", "good"], 0);
        same(&[], 0);
        same(&["good", "warning"], 75);
        same(&["warning", "failure", "good"], 69);
    }
}
