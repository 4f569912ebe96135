//! Which brokers there are, and what the running gateway says of its connections to them.

use super::super::clock::SystemClock;
use super::super::control::running;
use super::super::sideways::tls;
use crate::config::{self, LoadOptions};
use crate::domain::{BrokerSetup, Clock, SiteSetup};
use crate::telemetry::doctor::{Gateway, Purpose, Report, Subject, examine};
use futures_util::future::join_all;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Examines every broker of the configuration, all at once.
///
/// # Errors
/// When the configuration cannot be used.
pub async fn brokers(path: &Path, options: &LoadOptions) -> Result<Vec<Report>, config::Report> {
    let setup = config::load(path, options)?.setup;
    let status = running(&setup.socket).await;
    Ok(join_all(subjects(&setup, &status).into_iter().map(examine)).await)
}

fn subjects(setup: &SiteSetup, status: &Result<Option<Value>, String>) -> Vec<Subject> {
    let clock = Arc::new(SystemClock::for_a_tool());
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let machine_unix_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    let floor_unix_ms = clock.floor_ms();
    let subject = |name: String, broker: &BrokerSetup, purpose: Purpose, gateway: Gateway| Subject {
        name,
        setup: broker.clone(),
        tls: tls(broker, setup.trust_dir.as_deref(), clock.clone()),
        purpose,
        machine_unix_ms,
        floor_unix_ms,
        gateway,
        // Without randomness the time is a number of its own.
        nonce: getrandom::u64().unwrap_or(machine_unix_ms.cast_unsigned()),
    };
    let mut all = Vec::new();
    if let Some(mqtt) = &setup.mqtt {
        let purpose = Purpose::Tree(Box::new(mqtt.clone()));
        all.push(subject("mqtt".to_owned(), &mqtt.broker, purpose, tree(status)));
    }
    if let Some(sparkplug) = &setup.sparkplug {
        for (number, broker) in sparkplug.brokers.iter().enumerate() {
            let name = match sparkplug.brokers.len() {
                1 => "sparkplug".to_owned(),
                _ => format!("sparkplug {}", number + 1),
            };
            let purpose = Purpose::Edge(Box::new(sparkplug.clone()));
            all.push(subject(name, broker, purpose, edge(status, number)));
        }
    }
    all
}

fn told<'s>(status: &'s Result<Option<Value>, String>, key: &str) -> Result<&'s Value, Gateway> {
    match status {
        Ok(Some(status)) if status[key].is_object() => Ok(&status[key]),
        Ok(_) => Err(Gateway::Absent),
        Err(why) => Err(Gateway::Unknown(why.clone())),
    }
}

fn tree(status: &Result<Option<Value>, String>) -> Gateway {
    match told(status, "mqtt") {
        Err(other) => other,
        Ok(hub) => Gateway::Link {
            online: hub["online"] == Value::Bool(true),
            detail: hub["detail"].as_str().unwrap_or_default().to_owned(),
            taken_over: hub["taken_over"] == Value::Bool(true),
            short_lived: hub["short_lived"]
                .as_u64()
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or(0),
        },
    }
}

/// An edge node is at one of its servers at a time.
fn edge(status: &Result<Option<Value>, String>, number: usize) -> Gateway {
    match told(status, "sparkplug") {
        Err(other) => other,
        Ok(node) if node["server"].as_u64() != u64::try_from(number).ok() => Gateway::Absent,
        Ok(node) => {
            let stage = node["stage"].as_str().unwrap_or_default();
            Gateway::Link {
                online: stage == "online",
                detail: format!("{stage}, births so far: {}", node["births"]),
                taken_over: false,
                short_lived: 0,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_gateways_own_connections_are_told_by_their_use() {
        let status = Ok(Some(json!({
            "mqtt": { "online": false, "detail": "why not", "taken_over": true, "short_lived": 4 },
            "sparkplug": { "stage": "online", "server": 1, "births": 2 },
        })));
        assert_eq!(
            tree(&status),
            Gateway::Link {
                online: false,
                detail: "why not".to_owned(),
                taken_over: true,
                short_lived: 4,
            }
        );
        assert_eq!(edge(&status, 0), Gateway::Absent);
        assert!(matches!(edge(&status, 1), Gateway::Link { online: true, .. }));
        let other = Ok(Some(json!({ "mqtt": null })));
        assert_eq!(
            (tree(&other), edge(&other, 0)),
            (Gateway::Absent, Gateway::Absent)
        );
        assert_eq!(tree(&Ok(None)), Gateway::Absent);
        assert_eq!(tree(&Err("no".to_owned())), Gateway::Unknown("no".to_owned()));
    }
}
