//! What a CSMS that looks closely says about the charge points it served.

use super::{Frame, Kind, Side};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The figures of promise D1 as seen from the far end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Distinct transaction messages taken (begin, meter values of a transaction, end).
    pub events: u64,
    /// Transactions begun.
    pub begun: u64,
    /// Transactions ended.
    pub ended: u64,
    /// Transactions begun and not ended, as `charge point/transaction`.
    pub open: Vec<String>,
    /// Repeats of a message whose answer may have been lost: the first was the last CALL on its connection, or
    /// its answer was swallowed.
    pub repeats_excused: u64,
    /// Repeats without that excuse.
    pub doubled: u64,
    /// A message of a transaction before its begin, after its end, or dated before the one sent before it.
    pub order_violations: u64,
    /// Numbers left out in a 2.0.1 transaction's `seqNo`.
    pub gaps: u64,
    /// Messages of a transaction that never began.
    pub phantoms: u64,
    /// Meter stop below meter start.
    pub energy_backwards: u64,
    /// CALLs sent while the one before was not answered.
    pub pipelined: u64,
    /// Texts that are no OCPP-J frame, and CALLs we had to answer with an error.
    pub malformed: u64,
}

impl Verdict {
    /// Nothing doubled, out of order, missing, invented or malformed. Open transactions are for the caller to judge.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let faults = [
            self.doubled,
            self.order_violations,
            self.gaps,
            self.phantoms,
            self.energy_backwards,
            self.pipelined,
            self.malformed,
        ];
        faults.iter().all(|count| *count == 0)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Begin,
    Middle,
    End,
}

struct Told {
    step: Step,
    /// 1.6: empty for a begin, as its id is in the answer.
    tx: String,
    at: Option<String>,
    seq: Option<i64>,
    meter: Option<i64>,
}

/// A transaction message, if it is one.
fn told(action: &str, payload: &Value) -> Option<Told> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let of = |step, at: &Value, meter: &Value| Told {
        step,
        tx: payload["transactionId"]
            .as_i64()
            .map(|id| id.to_string())
            .unwrap_or_default(),
        at: text(at),
        seq: None,
        meter: meter.as_i64(),
    };
    match action {
        "StartTransaction" => Some(of(Step::Begin, &payload["timestamp"], &payload["meterStart"])),
        "StopTransaction" => Some(of(Step::End, &payload["timestamp"], &payload["meterStop"])),
        "MeterValues" if payload["transactionId"].is_i64() => Some(of(
            Step::Middle,
            &payload["meterValue"][0]["timestamp"],
            &Value::Null,
        )),
        "TransactionEvent" => Some(Told {
            step: match payload["eventType"].as_str() {
                Some("Started") => Step::Begin,
                Some("Ended") => Step::End,
                _ => Step::Middle,
            },
            tx: text(&payload["transactionInfo"]["transactionId"]).unwrap_or_default(),
            at: text(&payload["timestamp"]),
            seq: payload["seqNo"].as_i64(),
            meter: None,
        }),
        _ => None,
    }
}

struct Taken {
    link: u64,
    lost: bool,
    /// Position among the CALLs of its connection.
    nth: u64,
}

#[derive(Default)]
struct Transaction {
    seq: Option<i64>,
    meter: Option<i64>,
    ended: bool,
}

#[derive(Default)]
struct Judge {
    verdict: Verdict,
    taken: BTreeMap<(String, String, String), Taken>,
    calls: BTreeMap<u64, u64>,
    outstanding: BTreeMap<u64, String>,
    begins: BTreeMap<(u64, String), Option<i64>>,
    transactions: BTreeMap<(String, String), Transaction>,
    latest: BTreeMap<String, jiff::Timestamp>,
    answered_errors: BTreeSet<(u64, String)>,
}

/// Judges a record.
pub(super) fn judge<'a>(frames: impl Iterator<Item = &'a Frame> + Clone) -> Verdict {
    let mut judge = Judge::default();
    for frame in frames.clone() {
        if frame.from == Side::ChargePoint && matches!(frame.kind, Kind::Call { .. }) {
            *judge.calls.entry(frame.link).or_default() += 1;
        }
    }
    let mut nth: BTreeMap<u64, u64> = BTreeMap::new();
    for frame in frames {
        match (&frame.kind, frame.from) {
            (Kind::Call { action, payload }, Side::ChargePoint) => {
                let nth = nth.entry(frame.link).or_default();
                *nth += 1;
                if judge.outstanding.insert(frame.link, frame.id.clone()).is_some() {
                    judge.verdict.pipelined += 1;
                }
                judge.call(frame, *nth, action, payload);
            }
            (Kind::Result { payload }, Side::Csms) => judge.answer(frame, payload),
            (Kind::Error { .. }, Side::Csms) => {
                judge.outstanding.remove(&frame.link);
                if judge.answered_errors.insert((frame.link, frame.id.clone())) {
                    judge.verdict.malformed += 1;
                }
            }
            (Kind::Garbage(_), Side::ChargePoint) => judge.verdict.malformed += 1,
            (Kind::Call { .. } | Kind::Garbage(_), Side::Csms)
            | (Kind::Result { .. } | Kind::Error { .. }, Side::ChargePoint)
            | (Kind::Opened { .. } | Kind::Closed, _) => {}
        }
    }
    judge.finish()
}

impl Judge {
    fn call(&mut self, frame: &Frame, nth: u64, action: &str, payload: &Value) {
        let Some(told) = told(action, payload) else { return };
        let key = (frame.cp.clone(), action.to_owned(), payload.to_string());
        let taken = Taken {
            link: frame.link,
            lost: frame.lost,
            nth,
        };
        if let Some(first) = self.taken.insert(key, taken) {
            let last_of_link = self.calls.get(&first.link) == Some(&first.nth);
            if first.lost || (last_of_link && first.link != frame.link) {
                self.verdict.repeats_excused += 1;
            } else {
                self.verdict.doubled += 1;
            }
            if action == "StartTransaction" {
                self.begins.insert((frame.link, frame.id.clone()), told.meter);
            }
            return;
        }
        self.verdict.events += 1;
        self.in_time(&frame.cp, told.at.as_deref());
        if action == "StartTransaction" {
            self.begins.insert((frame.link, frame.id.clone()), told.meter);
            self.verdict.begun += 1;
        } else {
            self.of_transaction(&frame.cp, &told);
        }
    }

    /// A 1.6 transaction gets its id from the answer, whether or not that arrived.
    fn answer(&mut self, frame: &Frame, payload: &Value) {
        self.outstanding.remove(&frame.link);
        let Some(meter) = self.begins.remove(&(frame.link, frame.id.clone())) else {
            return;
        };
        if let Some(id) = payload["transactionId"].as_i64() {
            let begun = Transaction {
                meter,
                ..Transaction::default()
            };
            self.transactions
                .entry((frame.cp.clone(), id.to_string()))
                .or_insert(begun);
        }
    }

    fn in_time(&mut self, cp: &str, at: Option<&str>) {
        let Some(at) = at.and_then(|at| at.parse::<jiff::Timestamp>().ok()) else {
            self.verdict.malformed += 1;
            return;
        };
        let latest = self.latest.entry(cp.to_owned()).or_insert(at);
        if at < *latest {
            self.verdict.order_violations += 1;
        }
        *latest = at.max(*latest);
    }

    fn of_transaction(&mut self, cp: &str, told: &Told) {
        let key = (cp.to_owned(), told.tx.clone());
        if told.step == Step::Begin {
            self.verdict.begun += 1;
            if self.transactions.contains_key(&key) {
                self.verdict.order_violations += 1;
            }
            self.transactions.entry(key.clone()).or_default();
        }
        let Some(transaction) = self.transactions.get_mut(&key) else {
            self.verdict.phantoms += 1;
            return;
        };
        if transaction.ended {
            self.verdict.order_violations += 1;
        }
        if let Some(seq) = told.seq {
            let expected = transaction.seq.map_or(0, |last| last + 1);
            match seq - expected {
                0 => {}
                ahead @ 1.. => self.verdict.gaps += ahead.unsigned_abs(),
                _ => self.verdict.order_violations += 1,
            }
            transaction.seq = Some(transaction.seq.map_or(seq, |last| last.max(seq)));
        }
        if told.step == Step::End {
            transaction.ended = true;
            self.verdict.ended += 1;
            if matches!((transaction.meter, told.meter), (Some(start), Some(stop)) if stop < start) {
                self.verdict.energy_backwards += 1;
            }
        }
    }

    fn finish(mut self) -> Verdict {
        let open = self.transactions.iter().filter(|(_, t)| !t.ended);
        self.verdict.open = open.map(|((cp, tx), _)| format!("{cp}/{tx}")).collect();
        self.verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A little script: the charge point's CALLs on numbered connections, each answered unless lost.
    #[derive(Default)]
    struct Script {
        frames: Vec<Frame>,
        next: u32,
    }

    impl Script {
        fn say(&mut self, link: u64, action: &str, payload: Value, answer: Option<Value>) -> &mut Self {
            self.next += 1;
            let id = self.next.to_string();
            let kind = Kind::Call {
                action: action.to_owned(),
                payload,
            };
            let mut call = Frame::now("CP", link, Side::ChargePoint, id.clone(), kind);
            call.lost = answer.is_none();
            self.frames.push(call);
            if let Some(payload) = answer {
                self.frames
                    .push(Frame::now("CP", link, Side::Csms, id, Kind::Result { payload }));
            }
            self
        }
        fn start(&mut self, link: u64, second: u32, tx: i64) -> &mut Self {
            let payload = json!({ "timestamp": at(second), "meterStart": 1000 });
            self.say(
                link,
                "StartTransaction",
                payload,
                Some(json!({ "transactionId": tx })),
            )
        }
        fn stop(&mut self, link: u64, second: u32, tx: i64, meter: i64) -> &mut Self {
            let payload = json!({ "transactionId": tx, "timestamp": at(second), "meterStop": meter });
            self.say(link, "StopTransaction", payload, Some(json!({})))
        }
        fn verdict(&self) -> Verdict {
            judge(self.frames.iter())
        }
    }

    fn at(second: u32) -> String {
        format!("2026-01-01T00:00:{second:02}.000Z")
    }

    #[test]
    fn a_clean_session_is_clean() {
        let verdict = Script::default().start(1, 1, 7).stop(2, 5, 7, 2000).verdict();
        assert!(verdict.is_clean(), "{verdict:?}");
        assert_eq!((verdict.events, verdict.begun, verdict.ended), (2, 1, 1));
        assert!(verdict.open.is_empty());
    }

    #[test]
    fn a_repeat_is_excused_only_where_the_answer_may_be_lost() {
        let cut = Script::default().start(1, 1, 7).start(2, 1, 7).verdict();
        assert_eq!((cut.repeats_excused, cut.doubled, cut.open.len()), (1, 0, 1));
        let twice = Script::default().start(1, 1, 7).start(1, 1, 7).verdict();
        assert_eq!((twice.repeats_excused, twice.doubled), (0, 1));
        let late = Script::default()
            .start(1, 1, 7)
            .stop(1, 2, 7, 1000)
            .start(2, 1, 7)
            .verdict();
        assert_eq!((late.repeats_excused, late.doubled), (0, 1));
    }

    #[test]
    fn order_phantoms_and_lost_energy_are_seen() {
        let backwards = Script::default().start(1, 9, 7).stop(1, 5, 7, 900).verdict();
        assert_eq!((backwards.order_violations, backwards.energy_backwards), (1, 1));
        assert_eq!(Script::default().stop(1, 5, 3, 900).verdict().phantoms, 1);
        let after = Script::default()
            .start(1, 1, 7)
            .stop(1, 5, 7, 2000)
            .stop(1, 6, 7, 2000)
            .verdict();
        assert_eq!(after.order_violations, 1);
    }

    #[test]
    fn a_hole_in_the_sequence_is_a_lost_event() {
        let event = |kind: &str, seq: i64| json!({ "eventType": kind, "seqNo": seq, "timestamp": at(1), "transactionInfo": { "transactionId": "t" } });
        let mut script = Script::default();
        for (kind, seq) in [("Started", 0), ("Updated", 1), ("Updated", 4), ("Ended", 5)] {
            script.say(1, "TransactionEvent", event(kind, seq), Some(json!({})));
        }
        let verdict = script.verdict();
        assert_eq!((verdict.gaps, verdict.order_violations, verdict.ended), (2, 0, 1));
        assert!(!verdict.is_clean());
    }

    #[test]
    fn two_calls_in_flight_are_counted() {
        let mut script = Script::default();
        script
            .say(1, "Heartbeat", json!({}), None)
            .say(1, "Heartbeat", json!({}), Some(json!({})));
        assert_eq!(script.verdict().pipelined, 1);
    }
}
