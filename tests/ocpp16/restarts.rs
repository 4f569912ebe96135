//! The process dies at any point: order is kept, and only the row without an answer is repeated, as it was.

use crate::pair::{Pair, began, ended, sampled};
use proptest::prelude::*;
use retrovolt::domain::Event;
use retrovolt::ocpp::Input;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn history() -> Vec<Event> {
    let mut events = Vec::new();
    for tx in ["a", "b", "c"] {
        events.push(began(tx, 10));
        events.push(sampled(Some(tx), 10_500));
        events.push(sampled(None, 10_600));
        events.push(ended(tx, 11));
    }
    events
}

/// A CSMS that gives numbers out and remembers every message as it came.
#[derive(Default)]
struct Book {
    seen: Vec<(String, Value)>,
    numbers: BTreeMap<String, i64>,
}

impl Book {
    fn answer(&mut self, action: &str, payload: &Value) -> Value {
        if self
            .seen
            .last()
            .is_none_or(|last| last.1 != *payload || last.0 != action)
        {
            self.seen.push((action.to_owned(), payload.clone()));
        }
        match action {
            "BootNotification" => {
                json!({"status": "Accepted", "currentTime": "2026-09-21T14:13:20Z", "interval": 3600})
            }
            "StartTransaction" => {
                let key = payload["timestamp"].as_str().expect("time").to_owned();
                let next = i64::try_from(self.numbers.len()).expect("few") + 100;
                let number = *self.numbers.entry(key).or_insert(next);
                json!({"transactionId": number, "idTagInfo": {"status": "Accepted"}})
            }
            _ => json!({}),
        }
    }
}

/// What may go wrong before the next message is handled.
#[derive(Clone, Copy, Debug)]
enum Blow {
    None,
    /// The process dies before the message is sent on.
    DieBeforeAnswer,
    /// The CSMS got the message, its answer is lost with the process.
    LoseAnswer,
    /// The answer came, the disk did not.
    DieBeforeSync,
    /// The link breaks and the answer is lost.
    DropLink,
}

fn blow() -> impl Strategy<Value = Blow> {
    prop_oneof![
        4 => Just(Blow::None),
        1 => Just(Blow::DieBeforeAnswer),
        1 => Just(Blow::LoseAnswer),
        1 => Just(Blow::DieBeforeSync),
        1 => Just(Blow::DropLink),
    ]
}

fn run(blows: &[Blow]) -> Vec<(String, Value)> {
    let mut pair = Pair::new();
    for event in history() {
        pair.now.mono.0 += 1000;
        pair.now.wall.unix_ms += 1000;
        pair.append(event);
    }
    let mut book = Book::default();
    let mut blows = blows.iter();
    pair.feed(Input::Connected);
    for _ in 0..500 {
        let Some(frame) = pair.wire.pop_front() else { break };
        let (id, action) = (frame[1].as_str().expect("id"), frame[2].as_str().expect("action"));
        match blows.next().copied().unwrap_or(Blow::None) {
            Blow::None => {
                let answer = book.answer(action, &frame[3]);
                pair.reply(id, answer);
            }
            Blow::DieBeforeAnswer => {
                pair.restart();
                pair.feed(Input::Connected);
            }
            Blow::LoseAnswer => {
                book.answer(action, &frame[3]);
                pair.restart();
                pair.feed(Input::Connected);
            }
            Blow::DieBeforeSync => {
                let answer = book.answer(action, &frame[3]);
                pair.disk = false;
                pair.reply(id, answer);
                pair.disk = true;
                pair.restart();
                pair.feed(Input::Connected);
            }
            Blow::DropLink => {
                book.answer(action, &frame[3]);
                pair.outage(1);
            }
        }
    }
    assert_eq!(
        pair.cursor,
        pair.ledger.last().expect("rows").seq,
        "everything arrived"
    );
    assert!(
        pair.kv.keys().all(|key| !key.starts_with("tx/")),
        "nothing is left behind"
    );
    book.seen.retain(|(action, _)| action != "BootNotification");
    book.seen.dedup();
    book.seen
}

#[test]
fn without_a_blow_every_row_is_told_once() {
    let told: Vec<String> = run(&[]).into_iter().map(|(action, _)| action).collect();
    let once = [
        "StartTransaction",
        "MeterValues",
        "MeterValues",
        "StopTransaction",
    ];
    assert_eq!(told, once.repeat(3));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_happens_the_csms_hears_the_same_story(blows in prop::collection::vec(blow(), 0..40)) {
        prop_assert_eq!(run(&blows), run(&[]));
    }
}
