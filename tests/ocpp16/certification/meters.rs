//! Meter values: 070, 071, and those of the stop message (3.16, errata 3.14 and 3.91).

use crate::stack::{Stack, site};
use serde_json::json;

#[test]
fn sampled_values_come_at_their_interval_from_the_begin() {
    let mut s = Stack::ready(1);
    s.set("MeterValueSampleInterval", "15");
    s.set(
        "MeterValuesSampledData",
        "Energy.Active.Import.Register,Power.Active.Import,Current.Import.L1",
    );
    s.plug(1);
    s.present(1, "A");
    s.run(50);
    s.present(1, "A");
    s.run(20);
    s.expect(
        "+0 Status 1 Preparing
         +0 Authorize A
         +0 Start 1 A 1000000
         +1 Status 1 Charging
         +15 Meter 1 #1 Sample.Periodic 3
         +30 Meter 1 #1 Sample.Periodic 3
         +45 Meter 1 #1 Sample.Periodic 3
         +50 Status 1 Finishing
         +50 Stop #1 1000153 Local by A",
    );
    let told = s.csms.heard["MeterValues"]["meterValue"][0]["sampledValue"].to_string();
    assert!(
        told.contains("\"11040\"") && told.contains("\"phase\":\"L1\""),
        "{told}"
    );
}

#[test]
fn aligned_values_come_on_the_grid_in_and_outside_of_sessions() {
    let mut s = Stack::ready(2);
    s.set("ClockAlignedDataInterval", "60");
    s.plug(1);
    s.present(1, "A");
    s.run(130);
    s.expect(
        "+0 Status 1 Preparing
         +0 Authorize A
         +0 Start 1 A 1000000
         +1 Status 1 Charging
         +55 Meter 1 #1 Sample.Clock 1
         +55 Meter 2 Sample.Clock 1
         +115 Meter 1 #1 Sample.Clock 1
         +115 Meter 2 Sample.Clock 1",
    );
    let at = s.csms.heard["MeterValues"]["meterValue"][0]["timestamp"].to_string();
    assert_eq!(at, "\"2026-09-21T12:02:00Z\"", "the exact second");
}

#[test]
fn an_interval_of_zero_is_silence() {
    let mut s = Stack::charging();
    s.run(300);
    s.expect("");
}

#[test]
fn the_stop_message_carries_what_was_asked_for_with_begin_and_end() {
    let mut s = Stack::ready(1);
    s.set("MeterValueSampleInterval", "10");
    s.set("MeterValuesSampledData", "");
    s.set("StopTxnSampledData", "Energy.Active.Import.Register");
    s.charge(1, "A");
    s.run(30);
    s.present(1, "A");
    s.run(1);
    let told = s.look();
    assert_eq!(
        told.last().map(String::as_str),
        Some("+30 Stop #1 1000116 Local by A data 5"),
        "{told:?}"
    );
    let data = &s.csms.heard["StopTransaction"]["transactionData"];
    let contexts: Vec<&str> = (0..5)
        .filter_map(|n| data[n]["sampledValue"][0]["context"].as_str())
        .collect();
    assert_eq!(
        contexts,
        [
            "Transaction.Begin",
            "Sample.Periodic",
            "Sample.Periodic",
            "Sample.Periodic",
            "Transaction.End"
        ]
    );
    assert_eq!(data[0]["sampledValue"][0]["value"], "1000000");
    assert_eq!(data[4]["sampledValue"][0]["value"], "1000116.508");
}

#[test]
fn a_very_long_session_has_a_stop_message_of_bounded_size() {
    let mut s = Stack::ready(1);
    s.set("MeterValueSampleInterval", "1");
    s.set("MeterValuesSampledData", "");
    s.set(
        "StopTxnSampledData",
        "Energy.Active.Import.Register,Power.Active.Import,Current.Import,Voltage",
    );
    s.charge(1, "A");
    s.run(400);
    s.present(1, "A");
    s.run(1);
    let stop = s.csms.heard["StopTransaction"].clone();
    let data = stop["transactionData"].as_array().expect("data");
    assert!((30..=100).contains(&data.len()), "{}", data.len());
    assert_eq!(data[0]["sampledValue"][0]["context"], "Transaction.Begin");
    let last = data.last().expect("an end");
    assert_eq!(last["sampledValue"][0]["context"], "Transaction.End");
    assert!(stop.to_string().len() < 256 * 1024);
}

#[test]
fn a_single_measurand_may_name_its_phase() {
    let mut s = Stack::of(site(1));
    s.set("MeterValuesSampledData", "Voltage.L1-N");
    s.charge(1, "A");
    s.asked(
        "TriggerMessage",
        json!({"requestedMessage": "MeterValues", "connectorId": 1}),
        "Accepted\n+0 Meter 1 #1 Trigger 1",
    );
}

#[test]
fn a_stop_message_with_all_there_is_to_measure_is_bounded_too() {
    let mut s = Stack::ready(1);
    s.set("MeterValueSampleInterval", "1");
    s.set("MeterValuesSampledData", "");
    let all = "Energy.Active.Import.Register,Power.Active.Import,Current.Import,Current.Offered,Voltage,\
        Voltage.L1,Voltage.L1-N,Current.Import.L1";
    s.set("StopTxnSampledData", all);
    s.charge(1, "A");
    s.run(80);
    s.present(1, "A");
    s.run(1);
    let stop = s.csms.heard["StopTransaction"].clone();
    let data = stop["transactionData"].as_array().expect("data");
    assert!((25..=60).contains(&data.len()), "{} of 90 samples", data.len());
    assert_eq!(data[0]["sampledValue"][0]["context"], "Transaction.Begin");
    let last = data.last().expect("an end");
    assert_eq!(last["sampledValue"][0]["context"], "Transaction.End");
    let bytes = stop.to_string().len();
    assert!(
        (16 * 1024..=64 * 1024).contains(&bytes),
        "{bytes} bytes, {} samples",
        data.len()
    );
}
