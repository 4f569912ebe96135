//! The way to the MQTT brokers in `retrovolt doctor`: named checks, each with what was seen, the cause and the next step.

use super::csms;
use super::line::unfit;
use crate::config::LoadOptions;
use crate::runtime::doctor::brokers;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

/// Examines the brokers of the configuration: an array of reports.
pub async fn examine(config: &Path) -> Result<Value, ExitCode> {
    match brokers(config, &LoadOptions::for_a_login(config)).await {
        Ok(reports) => Ok(json!(reports)),
        Err(report) => {
            eprint!("{}", report.human());
            Err(unfit(&report))
        }
    }
}

/// For a person; where there is no broker, that is said on wish.
pub fn screen(reports: &Value, even_none: bool) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut out = String::new();
    for report in reports.as_array().into_iter().flatten() {
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "MQTT broker of {}: {}",
            text(&report["broker"]),
            text(&report["url"])
        );
        csms::checks(&mut out, report, 14);
    }
    if out.is_empty() && even_none {
        out.push_str("there is no MQTT broker in the configuration\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_cause_and_next_step() {
        let told = json!([{
            "broker": "mqtt", "url": "mqtt://h:1883", "result": "failure", "cause": "refused",
            "checks": [
                { "check": "tcp", "result": "failure", "evidence": "nothing listens at h:1883", "cause": "refused",
                  "next": "start the broker" },
                { "check": "home assistant", "result": "skipped", "evidence": "not seen", "cause": null, "next": null },
            ],
        }]);
        assert_eq!(
            screen(&told, false),
            "MQTT broker of mqtt: mqtt://h:1883\n  FAILURE  tcp            nothing listens at h:1883\n                          next: start the broker\n  -        home assistant not seen\n"
        );
        assert_eq!(screen(&json!([]), false), "");
        assert!(screen(&json!([]), true).contains("no MQTT broker"));
    }
}
