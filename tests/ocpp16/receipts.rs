//! What is noted for the journal of sessions: each begin and end, with the answer and the register that was sent.

use crate::pair::{Pair, began, cp, csms, ended, sampled};
use retrovolt::domain::*;
use serde_json::json;

/// Part, answer and register of each receipt; all are of transaction `a`.
fn noted(pair: &Pair) -> Vec<(ReceiptPart, ReceiptAnswer, Option<i64>)> {
    let told = pair.receipts.iter().map(|receipt| {
        assert_eq!((receipt.tx.as_str(), receipt.reader.as_str()), ("a", "CP1-main"));
        let row = pair
            .ledger
            .iter()
            .find(|row| row.seq == receipt.row)
            .expect("its row");
        assert_eq!(row.event.tx(), Some(&receipt.tx));
        (
            receipt.part,
            receipt.answer.clone(),
            receipt.register.map(|r| r.0),
        )
    });
    told.collect()
}

fn accepted(number: Option<i64>) -> ReceiptAnswer {
    ReceiptAnswer::Accepted { number }
}

#[test]
fn an_acknowledged_session_is_noted_with_its_number_and_what_was_sent() {
    let mut pair = Pair::accepted();
    pair.append(began("a", 100));
    let (id, _) = pair.call("StartTransaction");
    assert_eq!(noted(&pair), [], "nothing before the answer");
    pair.reply(
        &id,
        json!({"transactionId": 42, "idTagInfo": {"status": "Accepted"}}),
    );
    pair.append(sampled(Some("a"), 100_500));
    let (id, _) = pair.call("MeterValues");
    pair.reply(&id, json!({}));
    pair.append(ended("a", 200));
    let (id, _) = pair.call("StopTransaction");
    pair.reply(&id, json!({}));
    assert_eq!(
        noted(&pair),
        [
            (ReceiptPart::Begin, accepted(Some(42)), Some(100_000)),
            (ReceiptPart::End, accepted(None), Some(200_000)),
        ],
        "whole watt-hours, as they were on the wire"
    );
}

#[test]
fn a_session_that_was_given_up_is_noted_with_the_last_answer() {
    let mut pair = Pair::accepted();
    pair.append(began("a", 100));
    pair.append(ended("a", 200));
    for action in ["StartTransaction", "StopTransaction"] {
        for _ in 0..3 {
            let (id, _) = pair.call(action);
            pair.refuse(&id, "InternalError");
            if pair.wire.is_empty() {
                pair.pass(600);
            }
        }
    }
    let given_up = ReceiptAnswer::GivenUp {
        code: "InternalError".to_owned(),
    };
    assert_eq!(
        noted(&pair),
        [
            (ReceiptPart::Begin, given_up.clone(), Some(100_000)),
            (ReceiptPart::End, given_up, Some(200_000)),
        ]
    );
}

#[test]
fn a_session_of_another_tag_is_noted_once_as_not_for_it() {
    let mut rule = TagRule::default();
    rule.add("04A1*").expect("a pattern");
    let mut pair = Pair::of(CpSetup {
        csms: vec![CsmsSetup {
            tags: rule,
            ..csms(OcppVersion::V16)
        }],
        ..cp()
    });
    pair.boot("Accepted", 3600);
    pair.append(began("a", 100));
    pair.append(sampled(Some("a"), 100_500));
    pair.append(ended("a", 200));
    pair.quiet();
    assert_eq!(noted(&pair), [(ReceiptPart::End, ReceiptAnswer::NotForIt, None)]);
}

#[test]
fn many_sessions_of_other_tags_are_noted_in_bounded_steps() {
    let mut rule = TagRule::default();
    rule.add("04A1*").expect("a pattern");
    let mut pair = Pair::of(CpSetup {
        csms: vec![CsmsSetup {
            tags: rule,
            ..csms(OcppVersion::V16)
        }],
        ..cp()
    });
    for n in 0..500 {
        let tx = format!("tx-{n}");
        pair.append(began(&tx, 100));
        pair.append(ended(&tx, 200));
    }
    pair.boot("Accepted", 3600);
    pair.quiet();
    assert_eq!(pair.receipts.len(), 500);
    assert_eq!(pair.cursor, pair.ledger.last().expect("rows").seq);
}
