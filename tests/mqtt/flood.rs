//! Brokers that have kept more than a connection holds at once.

use super::broker::{Broker, dial, setup};
use super::hub::mqtt;
use retrovolt::domain::{CommandRights, MqttSetup, Verdict};
use retrovolt::telemetry::client::{Farewell, Message};
use retrovolt::telemetry::doctor::{Gateway, Purpose, Subject, examine};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The answer to the next subscription stands behind commands that somebody has published with the retain flag.
#[tokio::test]
async fn the_doctor_takes_no_broker_for_silent_that_has_kept_many_commands() {
    let broker = Broker::open().await;
    let link = dial(broker.setup("careless")).connect(None).await.unwrap();
    for n in 0..200 {
        let topic = format!("retrovolt/gw/as/ha/cp/cp-{n}/limit_a/set");
        let kept = link.publish(&Message::retained(topic, "6")).unwrap();
        kept.done().await.unwrap();
    }
    link.close(Farewell::Quiet, Duration::from_secs(1)).await;
    let setup = setup(broker.port, "gw");
    let report = examine(Subject {
        name: "mqtt".to_owned(),
        purpose: Purpose::Tree(Box::new(MqttSetup {
            commands: Some(BTreeMap::from([("ha".to_owned(), CommandRights::default())])),
            ..mqtt(setup.clone())
        })),
        setup,
        tls: Arc::new(|| Err("no TLS in this test".to_owned())),
        machine_unix_ms: 1_772_359_200_000,
        floor_unix_ms: 0,
        gateway: Gateway::Absent,
        nonce: 7,
    })
    .await;
    for check in ["subscribe", "publish", "retain"] {
        let found = report.checks.iter().find(|found| found.check == check);
        assert_eq!(
            found.map(|found| found.result),
            Some(Verdict::Good),
            "{report:#?}"
        );
    }
}
