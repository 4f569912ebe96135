//! Sparkplug B: what anybody may publish to an edge node.

use super::outcome::{Outcome, variant};
use retrovolt::domain::{Mono, Now, Wall};
use retrovolt::telemetry::sparkplug::wire::{Metric, Payload};
use retrovolt::telemetry::sparkplug::{EdgeNode, Effect, Input, Role};
use retrovolt::telemetry::{
    At, Csms, Device, Info, Milli, Picture, Point, PointState, Reach, Session, Slug, Totals,
};
use std::sync::Arc;
use std::time::Duration;

const EPOCH: i64 = 1_700_000_000_000;

/// Any bytes as a payload, then as a command for the node, as one for a device and as the word of the host.
pub fn sparkplug(data: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    match Payload::from_bytes(data) {
        Err(error) => outcome.step(variant(&error), ""),
        Ok(payload) => {
            // Not the values: NaN is not itself.
            let bytes = payload.to_bytes();
            assert_eq!(
                Payload::from_bytes(&bytes).expect("our own bytes").to_bytes(),
                bytes
            );
            outcome.step(
                format!("payload {}", payload.seq.is_some()),
                payload.metrics.len(),
            );
            for metric in &payload.metrics {
                told(&mut outcome, metric);
            }
        }
    }
    for (topic, retained) in [
        ("spBv1.0/g/NCMD/n", false),
        ("spBv1.0/g/DCMD/n/cp", false),
        ("spBv1.0/g/DCMD/n/cp", true),
        ("spBv1.0/STATE/h", true),
    ] {
        hear(&mut outcome, topic, data, retained);
    }
    outcome
}

fn told(outcome: &mut Outcome, metric: &Metric) {
    let value = metric.value.as_ref().map(variant).unwrap_or_default();
    let flags = [
        metric.name.is_some(),
        metric.alias.is_some(),
        metric.datatype.is_some(),
        metric.is_null.is_some(),
        metric.is_historical.is_some(),
        metric.properties.is_some(),
    ]
    .map(|there| if there { '1' } else { '0' });
    outcome.step(format!("metric {value} {}", String::from_iter(flags)), "");
}

/// A node that is online hears it; nothing it says in turn is more than a few messages.
fn hear(outcome: &mut Outcome, topic: &str, data: &[u8], retained: bool) {
    let now = Now {
        mono: Mono(10_000),
        wall: Wall {
            unix_ms: EPOCH,
            ..Wall::default()
        },
        ..Now::default()
    };
    let mut node = online(now);
    node.handle(
        now,
        Input::Heard {
            topic: topic.to_owned(),
            payload: data.to_vec(),
            retained,
        },
    );
    let mut effects = 0;
    while let Some(effect) = node.poll() {
        effects += 1;
        assert!(effects <= 200, "bounded");
        match effect {
            Effect::Publish(message) => {
                let kind = message.topic.split('/').nth(2).unwrap_or_default().to_owned();
                outcome.step(kind, "");
            }
            Effect::Order(order) => outcome.step(format!("order {}", variant(&order.wish)), &order.wish),
            Effect::Audit(audit) => outcome.step(format!("audit {:?}", audit.result.err()), ""),
            other => outcome.step(variant(&other), ""),
        }
    }
}

fn online(now: Now) -> EdgeNode {
    let role = Role {
        group: "g".to_owned(),
        node: "n".to_owned(),
        host: Some("h".to_owned()),
        aliases: true,
        commands: true,
        servers: 1,
        retry: (Duration::from_secs(1), Duration::from_secs(60)),
    };
    let mut node = EdgeNode::new(role, 0, 1);
    node.handle(now, Input::Picture(Arc::new(picture())));
    node.handle(now, Input::Connected);
    node.handle(
        now,
        Input::Heard {
            topic: "spBv1.0/STATE/h".to_owned(),
            payload: br#"{"online":true,"timestamp":1}"#.to_vec(),
            retained: true,
        },
    );
    while node.poll().is_some() {}
    assert_eq!(node.snapshot().stage, "online");
    node
}

fn picture() -> Picture {
    Picture {
        info: Info {
            started_at: At(EPOCH),
            ..Picture::blank().info
        },
        points: [(Slug::of("cp"), point())].into(),
        ..Picture::blank()
    }
}

fn point() -> Point {
    Point {
        device: Arc::new(Device::default()),
        reach: Reach {
            max_a: Milli(32_000),
            ..Reach::default()
        },
        available: true,
        state: PointState {
            ts: At(EPOCH),
            enabled: true,
            ..PointState::default()
        },
        session: Session::default(),
        csms: Csms::default(),
        totals: Totals::default(),
    }
}
