//! What `retrovolt check-config` prints and with which code it ends.

use super::gather::LoadOptions;
use super::issue::{Report, Severity};
use super::load;
use std::path::{Path, PathBuf};

/// Checks each file as a main configuration of its own, with its drop-ins and the environment of the process.
/// Returns what to print and the exit code: 0 good, 1 warnings (only where they count as errors), 66 a file that
/// cannot be read, 78 mistakes.
#[must_use]
pub fn check(paths: &[PathBuf], json: bool, warnings_as_errors: bool) -> (String, i32) {
    check_with(paths, json, warnings_as_errors, LoadOptions::for_a_verb)
}

/// As [`check`], with the caller's options for each file.
#[must_use]
pub fn check_with(
    paths: &[PathBuf],
    json: bool,
    warnings_as_errors: bool,
    options: impl Fn(&Path) -> LoadOptions,
) -> (String, i32) {
    let reports: Vec<(&PathBuf, Report)> = paths
        .iter()
        .map(|path| (path, report(path, &options(path))))
        .collect();
    let code = reports
        .iter()
        .map(|(_, report)| match report.exit_code() {
            0 if warnings_as_errors && report.warnings() > 0 => 1,
            code => code,
        })
        .max()
        .unwrap_or(0);
    let text = if json {
        let mut text = match reports.as_slice() {
            [(path, report)] => file_json(path, report),
            many => serde_json::json!({
                "schema": 1,
                "files": many.iter().map(|(path, report)| file_json(path, report)).collect::<Vec<_>>(),
            }),
        }
        .to_string();
        text.push('\n');
        text
    } else {
        reports.iter().map(|(path, report)| human(path, report)).collect()
    };
    (text, code)
}

fn report(path: &Path, options: &LoadOptions) -> Report {
    match load(path, options) {
        Ok(loaded) => Report {
            issues: loaded.warnings,
            no_input: false,
        },
        Err(report) => report,
    }
}

fn file_json(path: &Path, report: &Report) -> serde_json::Value {
    let mut value = report.json();
    value["config"] = serde_json::Value::from(path.display().to_string());
    value
}

fn human(path: &Path, report: &Report) -> String {
    let mut text = report.human();
    let count = |number: usize, what: &str| match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    };
    let errors = report
        .issues
        .iter()
        .filter(|issue| issue.severity == Severity::Error)
        .count();
    let verdict = match (errors, report.warnings()) {
        (0, 0) => "good".to_owned(),
        (0, warnings) => format!("good, {}", count(warnings, "warning")),
        (errors, 0) => count(errors, "error"),
        (errors, warnings) => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
    };
    text.push_str(&format!("{}: {verdict}\n", path.display()));
    text
}
