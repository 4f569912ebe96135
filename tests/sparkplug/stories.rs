//! What a SCADA system lives through with a gateway.

use crate::broker::Broker;
use crate::cable::Cable;
use crate::host::Host;
use crate::node::{Node, Wanted};
use retrovolt::domain::{MqttVersion, Rng};
use retrovolt::telemetry::mqtt::{Ask, Until};
use retrovolt::telemetry::{Milli, Slug};
use serde_json::json;

/// Promise U8. `RETROVOLT_SPARKPLUG` asks for other numbers of messages.
fn messages() -> u64 {
    let asked = std::env::var("RETROVOLT_SPARKPLUG").ok();
    asked.map_or(10_000, |asked| asked.parse().unwrap())
}

/// So many messages over so many cuts of the cable, every one read by the foreign host: each cut comes when all are there.
async fn through_cuts(wanted: Wanted, cuts: u64, messages: u64) {
    let broker = Broker::open().await;
    let cable = Cable::to(broker.port).await;
    let state = tempfile::tempdir().unwrap();
    let mut host = Host::start(broker.port, None).await;
    let wanted = Wanted {
        ports: vec![cable.port],
        ..wanted
    };
    let mut node = Node::start(&wanted, state.path());
    let each = messages / (cuts + 1);
    for connection in 0..=cuts {
        node.is("online", |status| {
            status.stage == "online" && u64::from(status.bd_seq) == connection
        })
        .await;
        let last = node.status.borrow().messages;
        host.got(last).await;
        let due = (each * (connection + 1)).max(last);
        for n in last..due {
            let (point, power) = (n % 2 + 1, i64::try_from(n).unwrap() * 1_000_003 % 22_000_000);
            node.change(&format!("cp-{point}"), |point| {
                point.state.power_w = Some(Milli(power));
                point.state.charging = !point.state.charging;
            });
            node.is("told", |status| status.messages > n).await;
        }
        host.got(node.status.borrow().messages).await;
        for point in ["cp-1", "cp-2"] {
            let charging = node.picture.points[&Slug::of(point)].state.charging;
            host.tag(point, "Charging", &json!(charging)).await;
        }
        if connection < cuts {
            let mark = host.mark();
            cable.cut();
            host.heard(mark, "NDEATH", "").await;
        }
    }
    let totals = host.totals().await;
    assert_eq!(totals["gaps"], 0);
    assert_eq!(totals["births"], cuts + 1);
    assert!(totals["messages"].as_u64().unwrap() >= each * (cuts + 1));
    host.content();
    node.stop().await;
}

#[tokio::test]
async fn a_foreign_host_reads_every_message_over_twenty_reconnects() {
    through_cuts(Wanted::default(), 20, messages()).await;
}

#[tokio::test]
async fn and_with_aliases_over_mqtt_3_1_1() {
    let wanted = Wanted {
        version: MqttVersion::V311,
        aliases: true,
        ..Wanted::default()
    };
    through_cuts(wanted, 3, 400).await;
}

/// What Sparkplug promises where data has quality 0: what a dead connection takes with it is lost, and nobody takes it for
/// told. Up to the cut there is no gap; then the death makes all of it stale, and the next birth tells everything as it is.
#[tokio::test]
async fn what_a_cut_takes_with_it_is_lost_but_never_unseen() {
    const CUTS: u64 = 20;
    let broker = Broker::open().await;
    let cable = Cable::to(broker.port).await;
    let state = tempfile::tempdir().unwrap();
    let mut host = Host::start(broker.port, None).await;
    let mut node = Node::start(&at(cable.port), state.path());
    let mut rng = Rng::new(8);
    let mut lost = 0;
    host.heard(0, "DBIRTH", "grid").await;
    for cut in 0..CUTS {
        // Within a message or between two of them, with fifteen more behind it at least.
        let (choked, bytes) = (5 + rng.below(20), rng.below(600));
        for n in 0..40 {
            if n == choked {
                // What was told by now is through; what follows fills the last bytes.
                host.got(node.status.borrow().messages - lost).await;
                cable.choke(bytes);
            }
            let before = node.status.borrow().messages;
            let power = i64::try_from(rng.below(22_000)).unwrap() * 1_000 + 1;
            node.change(&format!("cp-{}", n % 2 + 1), |point| {
                point.state.power_w = Some(Milli(power));
                point.state.charging = !point.state.charging;
            });
            node.is("told", |status| status.messages > before).await;
        }
        let mark = host.mark();
        cable.cut();
        host.heard(mark, "NDEATH", "").await;
        let birth = host.heard(mark, "NBIRTH", "").await;
        assert_eq!(birth["bdseq"], cut + 1);
        host.heard(mark, "DBIRTH", "grid").await;
        let totals = host.totals().await;
        assert_eq!((&totals["gaps"], &totals["births"]), (&json!(0), &json!(cut + 2)));
        let missing = node.status.borrow().messages - totals["messages"].as_u64().unwrap();
        assert!(
            (lost + 1..lost + 36).contains(&missing),
            "{missing} missing, {lost} before"
        );
        lost = missing;
        for id in ["cp-1", "cp-2"] {
            let now = node.picture.points[&Slug::of(id)].state.clone();
            host.tag(id, "Charging", &json!(now.charging)).await;
            host.tag(id, "Power", &json!(now.power_w.unwrap().value())).await;
        }
    }
    println!("{lost} messages lost over {CUTS} cuts");
    host.content();
    node.stop().await;
}

/// A broker, a host that listens there, and a node all of which the host has heard.
async fn born() -> (Broker, tempfile::TempDir, Host, Node) {
    let (broker, state) = (Broker::open().await, tempfile::tempdir().unwrap());
    let mut host = Host::start(broker.port, None).await;
    let node = Node::start(&at(broker.port), state.path());
    host.heard(0, "DBIRTH", "grid").await;
    (broker, state, host, node)
}

/// A node whose only broker is at this port.
fn at(port: u16) -> Wanted {
    Wanted {
        ports: vec![port],
        ..Wanted::default()
    }
}

/// A host whose own connection loses something sees it by the number of the next message, and a rebirth mends it.
#[tokio::test]
async fn a_host_that_missed_something_sees_it_by_the_number_and_a_rebirth_tells_everything_again() {
    let (_broker, _state, mut host, mut node) = born().await;
    host.order(json!({ "deaf": 3 })).await;
    let mark = host.mark();
    for n in 1..=4 {
        let before = node.status.borrow().messages;
        node.change("cp-1", |point| point.state.power_w = Some(Milli(n * 1_000_000)));
        node.is("told", |status| status.messages > before).await;
    }
    // NBIRTH, three DBIRTHs, and three that nobody heard.
    assert_eq!(host.heard(mark, "GAP", "").await["seq"], 7);
    host.tag("cp-1", "Power", &json!(0.0)).await;
    host.order(json!({ "ncmd": { "Node Control/Rebirth": ["BOOLEAN", true] } }))
        .await;
    let birth = host.heard(mark, "NBIRTH", "").await;
    assert_eq!(
        (birth["seq"].as_u64(), birth["bdseq"].as_u64()),
        (Some(0), Some(0))
    );
    host.heard(mark, "DBIRTH", "grid").await;
    host.tag("cp-1", "Power", &json!(4_000.0)).await;
    host.content();
    node.stop().await;
}

#[tokio::test]
async fn a_device_dies_is_born_again_and_the_host_asks_for_all_of_it() {
    let (broker, state, mut host, mut node) = born().await;
    assert_eq!(
        host.births_and_deaths(0),
        ["NBIRTH", "DBIRTH cp-1", "DBIRTH cp-2", "DBIRTH grid"]
    );
    host.tag("cp-1", "Temperature", &json!(-5.5)).await;
    host.tag("cp-1", "Vehicle/SoC", &json!(null)).await;
    host.tag("grid", "Energy/Import", &json!(1_234_567)).await;
    host.tag("", "Properties/OS", &json!("Linux")).await;

    let mark = host.mark();
    node.change("cp-1", |point| point.available = false);
    host.heard(mark, "DDEATH", "cp-1").await;
    node.change("cp-1", |point| point.available = true);
    host.heard(mark, "DBIRTH", "cp-1").await;

    let mark = host.mark();
    host.order(json!({ "ncmd": { "Node Control/Rebirth": ["BOOLEAN", true] } }))
        .await;
    let birth = host.heard(mark, "NBIRTH", "").await;
    assert_eq!(
        (birth["seq"].as_u64(), birth["bdseq"].as_u64()),
        (Some(0), Some(0))
    );
    host.heard(mark, "DBIRTH", "grid").await;

    // A stop says so itself, and the next start counts on.
    let mark = host.mark();
    node.stop().await;
    host.heard(mark, "NDEATH", "").await;
    let node = Node::start(&at(broker.port), state.path());
    let birth = host.heard(mark, "NBIRTH", "").await;
    assert_eq!(birth["bdseq"], 1);
    host.content();
    node.stop().await;
}

#[tokio::test]
async fn a_write_of_the_host_is_done_and_one_that_cannot_be_is_undone_at_the_host() {
    let (_broker, _state, mut host, mut node) = born().await;

    host.order(json!({ "dcmd": "cp-2", "write": { "Control/Limit Current": ["DOUBLE", 10.0] } }))
        .await;
    let asked = node.orders.recv().await.unwrap();
    assert_eq!(
        (asked.order.user.as_str(), asked.order.point.as_str()),
        ("sparkplug", "cp-2")
    );
    assert_eq!(asked.order.ask, Ask::Limit(Some(Milli(10_000)), Until::Replaced));
    asked.answer.send(Ok(())).unwrap();
    node.noted(1).await;
    node.change("cp-2", |point| point.state.limit_a = Some(Milli(10_000)));
    host.tag("cp-2", "Control/Limit Current", &json!(10.0)).await;
    host.tag("cp-2", "Limit/Current", &json!(10.0)).await;

    // The charge point says no.
    let before = node.status.borrow().messages;
    host.order(json!({ "dcmd": "cp-1", "write": { "Control/Enabled": ["BOOLEAN", false] } }))
        .await;
    let asked = node.orders.recv().await.unwrap();
    assert_eq!(asked.order.ask, Ask::Enabled(Some(false)));
    asked.answer.send(Err("not now".to_owned())).unwrap();
    host.got(before + 1).await;
    host.tag("cp-1", "Control/Enabled", &json!(true)).await;

    // Beyond what the installation carries: nobody is asked, the value is told again.
    host.order(json!({ "dcmd": "cp-1", "write": { "Control/Limit Current": ["INT64", 63] } }))
        .await;
    host.got(before + 2).await;
    assert!(node.orders.try_recv().is_err());

    let notes = node.noted(3).await;
    assert_eq!(notes.len(), 3);
    let told: Vec<_> = notes
        .iter()
        .map(|note| {
            (
                note.topic.as_str(),
                note.old.clone(),
                note.new.clone(),
                note.reason.as_deref(),
            )
        })
        .collect();
    let text = |text: &str| Some(json!(text));
    assert_eq!(
        told,
        [
            ("cp-2 Control/Limit Current", text("16"), text("10"), None),
            (
                "cp-1 Control/Enabled",
                text("true"),
                text("false"),
                Some("not now")
            ),
            (
                "cp-1 Control/Limit Current",
                text("16"),
                text("63"),
                Some("beyond what was announced: 0 to 32")
            ),
        ]
    );
    host.content();
    node.stop().await;
}

#[tokio::test]
async fn births_wait_for_the_primary_host_and_follow_it_to_the_next_server() {
    let (first, second) = (Broker::open().await, Broker::open().await);
    let state = tempfile::tempdir().unwrap();
    let mut here = Host::start(first.port, Some("scada")).await;
    let mut there = Host::start(second.port, Some("scada")).await;
    there.order(json!({ "state": true, "timestamp": 500 })).await;
    let wanted = Wanted {
        ports: vec![first.port, second.port],
        host: true,
        ..Wanted::default()
    };
    let mut node = Node::start(&wanted, state.path());
    node.is("waiting", |status| status.stage == "waits for the primary host")
        .await;
    assert_eq!(here.totals().await["births"], 0);
    here.order(json!({ "state": true, "timestamp": 1000 })).await;
    here.heard(0, "DBIRTH", "grid").await;

    // The will of an earlier connection of the host: nothing comes of it.
    here.order(json!({ "state": false, "timestamp": 999 })).await;
    let before = node.status.borrow().messages;
    node.change("cp-1", |point| point.state.charging = true);
    here.got(before + 1).await;

    here.order(json!({ "state": false, "timestamp": 1000 })).await;
    here.heard(0, "NDEATH", "").await;
    there.heard(0, "DBIRTH", "grid").await;
    there.tag("cp-1", "Charging", &json!(true)).await;
    assert_eq!(node.status.borrow().server, 1);
    here.content();
    there.content();
    node.stop().await;
}

#[tokio::test]
async fn what_changed_while_there_was_no_way_to_the_broker_comes_with_its_own_time() {
    let broker = Broker::open().await;
    let cable = Cable::to(broker.port).await;
    let state = tempfile::tempdir().unwrap();
    let mut host = Host::start(broker.port, None).await;
    let mut node = Node::start(&at(cable.port), state.path());
    host.heard(0, "DBIRTH", "grid").await;
    let mark = host.mark();
    cable.unplug();
    host.heard(mark, "NDEATH", "").await;
    node.is("offline", |status| status.stage != "online").await;
    let mut sampled = Vec::new();
    for (n, power) in [1_000, 2_000, 3_000].into_iter().enumerate() {
        node.change("cp-1", |point| {
            point.state.power_w = Some(Milli(power * 1_000));
            sampled.push(json!(["cp-1", "Power", power as f64, point.state.ts.0]));
        });
        node.is("kept", |status| status.kept.0 > n).await;
    }
    cable.cut();
    node.is("online", |status| status.stage == "online").await;
    host.got(node.status.borrow().messages).await;
    assert_eq!(host.totals().await["historical"], json!(sampled));
    host.tag("cp-1", "Power", &json!(3_000.0)).await;
    assert_eq!(node.status.borrow().kept, (0, 0));
    host.content();
    node.stop().await;
}
