//! A back end over its budget hears of every session with its registers, and of no sample in between.

use crate::kills::quick_world;
use crate::metrics::{samples, scrape};
use crate::site::{PATIENCE, gateway_toml, process, quick_toml, until};
use retrovolt::sim::EvSpec;
use retrovolt::sim::csms::{Csms, Frame};
use retrovolt::sim::status::{online, sessions, waiting};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Messages of a kind, in order.
fn sent<'a>(frames: &'a [Frame], action: &str) -> Vec<&'a Value> {
    frames.iter().filter_map(|frame| frame.call(action)).collect()
}

fn stage(status: &Value) -> &Value {
    &status["traffic"][0]["stage"]
}

async fn sessions_over_budget(version: &str) -> (Csms, TempDir, usize) {
    let dir = TempDir::new().expect("a folder");
    let csms = Csms::start().await.expect("a CSMS");
    let world = quick_world(dir.path()).await;
    let metrics = format!("\n[metrics]\nlisten = \"unix:{}/m.sock\"\n", dir.path().display());
    let link = |budget: &str| {
        let keys = "ocpp16 = { MeterValueSampleInterval = 1 }\nocpp201 = { SampledDataCtrlr.TxUpdatedInterval = 1 }\n";
        let csms = format!(
            "url = \"{}\"\nversion = \"{version}\"\n{budget}",
            csms.url("{id}")
        );
        let toml = gateway_toml(dir.path()) + &quick_toml(&world, "B-1", "free", &csms) + &metrics;
        toml.replace("id = \"B-1\"\n", &format!("id = \"B-1\"\n{keys}"))
    };
    let mut gateway = process(dir.path(), &link(""));
    gateway.start().expect("the gateway starts");
    world.plug("box", EvSpec::default()).expect("a charger");
    // Without a budget samples are told; they are what uses one up.
    let action = if version == "1.6" {
        "MeterValues"
    } else {
        "TransactionEvent"
    };
    for _ in 0..3 {
        let mark = csms.mark();
        csms.wait_call(mark, PATIENCE, "B-1", action)
            .await
            .expect("a sample");
    }
    until(&gateway, "bytes", |s| {
        s["traffic"][0]["month"]["sent"].as_u64() > Some(2_000)
    })
    .await;
    gateway
        .configure(&link("monthly_budget = \"1kB\"\n"))
        .expect("written");
    gateway.reload().expect("a signal");
    until(&gateway, "a stage", |s| {
        *stage(s) == json!("bare") && s["charge_points"][0]["link"]["ocpp"]["thinned"].as_u64() >= Some(1)
    })
    .await;
    let mark = csms.mark();
    until(&gateway, "samples left out", |s| {
        s["charge_points"][0]["link"]["ocpp"]["thinned"].as_u64() >= Some(3) && waiting(s) == 0
    })
    .await;
    world.unplug("box").expect("a charger");
    until(&gateway, "the end is delivered", |s| {
        sessions(s) == 0 && waiting(s) == 0
    })
    .await;
    // The account and its stage are kept over a restart.
    gateway.stop(PATIENCE).await.expect("it ends");
    gateway.start().expect("the gateway starts");
    until(&gateway, "still over the budget", |s| {
        online(s) == 1 && *stage(s) == json!("bare")
    })
    .await;
    world.plug("box", EvSpec::default()).expect("a charger");
    until(&gateway, "a second session without samples", |s| {
        sessions(s) == 1 && s["charge_points"][0]["link"]["ocpp"]["thinned"].as_u64() >= Some(2)
    })
    .await;
    world.unplug("box").expect("a charger");
    until(&gateway, "its end is delivered", |s| {
        sessions(s) == 0 && waiting(s) == 0
    })
    .await;
    let page = samples(&scrape(&dir.path().join("m.sock"), "text/plain; version=0.0.4").await);
    assert_eq!(
        page.get("retrovolt_budget_stage{back_end=\"B-1/main\"}"),
        Some(&2.0)
    );
    let thinned = page.get("retrovolt_csms_samples_thinned_total{cp=\"b-1\",csms=\"main\"}");
    assert!(thinned.is_some_and(|thinned| *thinned >= 2.0), "{thinned:?}");
    gateway.stop(PATIENCE).await.expect("it ends");
    (csms, dir, mark)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_budget_begin_end_and_registers_arrive_and_samples_do_not() {
    let (csms, _dir, mark) = sessions_over_budget("1.6").await;
    let frames = csms.frames();
    assert!(
        sent(&frames[mark..], "MeterValues").is_empty(),
        "a sample over the budget"
    );
    let (starts, stops) = (
        sent(&frames, "StartTransaction"),
        sent(&frames, "StopTransaction"),
    );
    assert_eq!((starts.len(), stops.len()), (2, 2));
    for (start, stop) in starts.iter().zip(&stops) {
        let (begin, end) = (start["meterStart"].as_i64(), stop["meterStop"].as_i64());
        assert!(begin.is_some() && end >= begin, "{start} {stop}");
    }
    assert!(
        !sent(&frames[mark..], "StatusNotification").is_empty(),
        "statuses are told"
    );
    assert!(csms.verdict().is_clean(), "{:#?}", csms.verdict());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_budget_the_events_of_2_0_1_have_no_gaps_in_their_numbers() {
    let (csms, _dir, mark) = sessions_over_budget("2.0.1").await;
    let frames = csms.frames();
    let events = sent(&frames, "TransactionEvent");
    let periodic = |event: &&Value| event["triggerReason"] == "MeterValuePeriodic";
    let late = sent(&frames[mark..], "TransactionEvent");
    assert_eq!(late.iter().copied().filter(|event| periodic(event)).count(), 0);
    let mut next: std::collections::BTreeMap<&str, i64> = std::collections::BTreeMap::new();
    for event in &events {
        let id = event["transactionInfo"]["transactionId"].as_str().expect("an id");
        let (seq, expected) = (
            event["seqNo"].as_i64().expect("a number"),
            next.entry(id).or_default(),
        );
        assert_eq!(seq, *expected, "{event}");
        *expected += 1;
    }
    assert_eq!(next.len(), 2, "two sessions");
    let ends: Vec<&&Value> = events
        .iter()
        .filter(|event| event["eventType"] == "Ended")
        .collect();
    assert_eq!(ends.len(), 2);
    assert!(
        ends.iter()
            .all(|end| end.to_string().contains("Energy.Active.Import.Register")),
        "{ends:?}"
    );
    assert!(csms.verdict().is_clean(), "{:#?}", csms.verdict());
}
