//! What is noted for the journal of sessions.

use crate::accepted;
use crate::pair::{began, ended, sampled};
use retrovolt::domain::*;
use serde_json::json;

#[test]
fn an_acknowledged_session_is_noted_with_the_registers_that_were_sent() {
    let mut pair = accepted();
    for event in [began("a", 100), sampled(Some("a"), 100_500), ended("a", 200)] {
        pair.append(event);
        let (id, _) = pair.call("TransactionEvent");
        pair.reply(&id, json!({}));
    }
    let noted: Vec<_> = pair
        .receipts
        .iter()
        .map(|r| (r.part, r.answer.clone(), r.register.map(|r| r.0)))
        .collect();
    let answer = ReceiptAnswer::Accepted { number: None };
    assert_eq!(
        noted,
        [
            (ReceiptPart::Begin, answer.clone(), Some(100_999)),
            (ReceiptPart::End, answer, Some(200_000)),
        ],
        "exactly, as 2.0.1 tells it"
    );
}

#[test]
fn without_begin_measurands_no_register_is_said_to_have_been_sent() {
    let mut pair = accepted();
    let set = json!({"setVariableData": [{"component": {"name": "SampledDataCtrlr"},
        "variable": {"name": "TxStartedMeasurands"}, "attributeValue": ""}]});
    pair.ask("SetVariables", set);
    let answer = pair.result();
    assert_eq!(
        answer["setVariableResult"][0]["attributeStatus"], "Accepted",
        "{answer}"
    );
    pair.append(began("a", 100));
    let (id, event) = pair.call("TransactionEvent");
    assert!(event["meterValue"].is_null(), "{event}");
    pair.reply(&id, json!({}));
    assert_eq!(pair.receipts.len(), 1);
    assert_eq!(pair.receipts[0].register, None);
}
