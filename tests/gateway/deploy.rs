//! The dashboard and the alerts ask for what there is: every name and label is in the table, and promtool likes them.

use crate::metrics::{promtool, says};
use crate::rig::root;
use retrovolt::telemetry::metrics::{Kind, METRICS, Metric};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tokio::process::Command;

/// What Prometheus itself adds.
const FROM_OUTSIDE: [&str; 2] = ["job", "instance"];

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join("deploy").join(name)).expect("a file of the repository")
}

/// Every text under this key, at any depth.
fn texts(value: &Value, key: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                match inner.as_str() {
                    Some(text) if name == key => found.push(text.to_owned()),
                    _ => texts(inner, key, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, key, found)),
        _ => {}
    }
}

/// Every query there is, and where it stands.
pub fn queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("grafana/retrovolt.json")).expect("JSON");
    let mut found = Vec::new();
    texts(&dashboard, "expr", &mut found);
    texts(&dashboard, "definition", &mut found);
    let rules = read("prometheus/retrovolt.rules.yml");
    let exprs = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("expr: '"));
    found.extend(exprs.map(|line| line.trim_end_matches('\'').to_owned()));
    assert!(found.len() > 50, "only {} queries", found.len());
    found
}

/// The samples a query names, with the labels it picks by.
pub fn named(query: &str) -> Vec<(String, BTreeSet<String>)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = query;
    while let Some(at) = rest
        .find("retrovolt_")
        .into_iter()
        .chain(rest.find("process_"))
        .min()
    {
        let begins = at == 0 || !rest[..at].ends_with(is_word);
        let name: String = rest[at..].chars().take_while(|c| is_word(*c)).collect();
        rest = &rest[at + name.len()..];
        let picked = rest.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let labels = picked.map(|(inner, _)| {
            inner
                .split("\",")
                .filter_map(|part| part.split(['=', '!']).next())
        });
        let labels = labels.into_iter().flatten().map(|label| label.trim().to_owned());
        if begins {
            found.push((name, labels.collect()));
        }
    }
    found
}

/// The metric of a sample.
fn metric_of(sample: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| match metric.kind {
        Kind::Counter | Kind::Gauge => metric.sample_name() == sample,
        Kind::Histogram => {
            let ending = sample.strip_prefix(metric.name);
            ending.is_some_and(|ending| ["_bucket", "_sum", "_count"].contains(&ending))
        }
    })
}

#[test]
fn dashboard_and_alerts_name_nothing_that_is_not_there() {
    let mut used = BTreeSet::new();
    for query in queries() {
        let names = named(&query);
        let mut known: BTreeSet<&str> = FROM_OUTSIDE.into();
        for (sample, labels) in &names {
            let metric = metric_of(sample).unwrap_or_else(|| panic!("{sample} of {query:?} is no metric"));
            known.extend(metric.labels);
            if metric.kind == Kind::Histogram {
                known.insert("le");
            }
            used.insert(metric.name);
            for label in labels {
                let there = metric.labels.contains(&label.as_str()) || FROM_OUTSIDE.contains(&label.as_str());
                assert!(there, "{sample} has no label {label}: {query}");
            }
        }
        assert!(
            !names.is_empty() || query.starts_with("up{job="),
            "{query} names nothing"
        );
        for group in query
            .split("by (")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            for label in group.split(',').map(str::trim) {
                assert!(known.contains(label), "{query}: nothing has the label {label}");
            }
        }
    }
    assert!(
        used.len() > 35,
        "only {} of {} metrics are shown",
        used.len(),
        METRICS.len()
    );
}

#[test]
fn a_query_is_read_as_it_is_meant() {
    let query = r#"a(retrovolt_x_total{b="1,}",c=~"$d"}[5m]) / my_retrovolt_y - process_z{job!="q"}"#;
    // A brace within a value is not in use here; what is before it is read all the same.
    let found: BTreeMap<String, BTreeSet<String>> = named(query).into_iter().collect();
    assert!(
        found.contains_key("process_z") && !found.contains_key("retrovolt_y"),
        "{found:?}"
    );
    assert_eq!(found["process_z"].iter().collect::<Vec<_>>(), ["job"]);
    assert!(found["retrovolt_x_total"].contains("b"), "{found:?}");
}

#[tokio::test]
async fn promtool_tests_every_alert() {
    let folder = root().join("deploy/prometheus");
    for args in [
        ["check", "rules", "retrovolt.rules.yml"],
        ["check", "config", "prometheus.example.yml"],
        ["test", "rules", "retrovolt.rules.test.yml"],
    ] {
        let mut command = Command::new(promtool());
        command.args(args).current_dir(&folder);
        let (good, said) = says(command, "").await;
        assert!(good && said.contains("SUCCESS"), "{args:?}: {said}");
    }
    let (rules, tests) = (
        read("prometheus/retrovolt.rules.yml"),
        read("prometheus/retrovolt.rules.test.yml"),
    );
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() > 15, "{alerts:?}");
    for alert in alerts {
        let wanted = format!("- alertname: {alert}\n");
        let cases: Vec<&str> = tests.split(&wanted).skip(1).collect();
        let quiet = cases
            .iter()
            .filter(|case| case.lines().nth(1).is_some_and(|line| line.contains("[]")))
            .count();
        assert!(
            cases.len() >= 2 && quiet >= 1 && quiet < cases.len(),
            "{alert} has no test that fires, or none that does not"
        );
    }
}
