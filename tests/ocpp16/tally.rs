//! What a link counts: each message once, by what became of it, under names that nobody can add to.

use crate::pair::{Pair, began, sampled};
use retrovolt::domain::{Direction, MessageResult, Thrift};
use retrovolt::ocpp::Input;
use serde_json::json;

fn count(pair: &Pair, action: &'static str, direction: Direction, result: MessageResult) -> u64 {
    let messages = &pair.machine.tally().messages;
    messages.get(&(action, direction, result)).copied().unwrap_or(0)
}

#[test]
fn every_message_counts_once_by_its_end() {
    use Direction::{Received, Sent};
    use MessageResult::{Error, Lost, Ok, Timeout};
    let mut pair = Pair::accepted();
    assert_eq!(count(&pair, "BootNotification", Sent, Ok), 1);
    assert_eq!(pair.machine.tally().round_trip.count(), 1);
    pair.ask("GetConfiguration", json!({}));
    pair.result();
    for invented in ["Invented", "retrovolt{x=\"y\"}", "Invented2"] {
        pair.ask(invented, json!({}));
        pair.error();
    }
    assert_eq!(count(&pair, "GetConfiguration", Received, Ok), 1);
    assert_eq!(count(&pair, "other", Received, Error), 3);
    pair.append(began("t", 0));
    let (id, _) = pair.call("StartTransaction");
    pair.refuse(&id, "InternalError");
    assert_eq!(count(&pair, "StartTransaction", Sent, Error), 1);
    pair.pass(120);
    pair.call("StartTransaction");
    pair.feed(Input::Disconnected);
    assert_eq!(count(&pair, "StartTransaction", Sent, Lost), 1);
    pair.feed(Input::Connected);
    pair.call("StartTransaction");
    pair.pass(120);
    assert_eq!(count(&pair, "StartTransaction", Sent, Timeout), 1);
    assert_eq!(
        pair.machine.tally().round_trip.count(),
        2,
        "only answers have a time"
    );
}

#[test]
fn over_budget_a_sample_is_passed_over_and_counted() {
    let mut pair = Pair::accepted();
    pair.append(began("t", 0));
    let (id, _) = pair.call("StartTransaction");
    pair.reply(
        &id,
        json!({ "transactionId": 7, "idTagInfo": { "status": "Accepted" } }),
    );
    pair.feed(Input::Thrift(Thrift::Bare));
    let last = pair.append(sampled(Some("t"), 1_000));
    pair.quiet();
    assert_eq!(pair.machine.tally().thinned, 1);
    assert_eq!(pair.cursor, last, "it holds nothing up");
    pair.feed(Input::Thrift(Thrift::Free));
    pair.append(sampled(Some("t"), 2_000));
    pair.call("MeterValues");
    assert_eq!(pair.machine.tally().thinned, 1);
}
