//! The CSMS of the simulated site: answers, calls, and remembers what it was told and what it could answer.

use retrovolt::domain::CpId;
use retrovolt::ocpp::format_utc;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Begin or end of a transaction as first told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// `begin` or `end`.
    pub what: &'static str,
    /// Our number of the transaction.
    pub tx: i64,
    /// Register in watt-hours.
    pub meter: i64,
    payload: Value,
    /// The run of the process that got the answer.
    answered: Option<u32>,
}

/// One charge point as the CSMS sees it.
#[derive(Debug, Default)]
pub struct Point {
    /// The open link.
    pub link: Option<u64>,
    /// Begins and ends in the order they were first told.
    pub told: Vec<Told>,
    /// Repeats that had their reason.
    pub repeats: u64,
    /// Rules that were broken.
    pub violations: Vec<String>,
    waiting: BTreeMap<String, usize>,
}

/// The CSMS.
#[derive(Debug, Default)]
pub struct Csms {
    /// By identity.
    pub points: BTreeMap<CpId, Point>,
    /// Whether a connection can be made.
    pub reachable: bool,
    /// Answers that get lost from now on.
    pub swallow: u64,
    /// Before each answer, milliseconds.
    pub delay: u64,
    calls: u64,
    links: u64,
}

impl Csms {
    /// Reachable, and known to nobody yet.
    pub fn new() -> Self {
        Self {
            reachable: true,
            ..Self::default()
        }
    }

    /// The charge point connects; the number of the link.
    pub fn connect(&mut self, cp: &CpId) -> u64 {
        self.links += 1;
        let point = self.points.entry(cp.clone()).or_default();
        point.link = Some(self.links);
        point.waiting.clear();
        self.links
    }

    /// A CALL of ours.
    pub fn call(&mut self, action: &str, payload: &Value) -> String {
        self.calls += 1;
        json!([2, format!("csms-{}", self.calls), action, payload]).to_string()
    }

    /// Takes a text of a charge point; the answer, unless it is lost.
    pub fn take(&mut self, cp: &CpId, run: u32, unix_ms: i64, text: &str) -> Option<String> {
        let frame: Value = serde_json::from_str(text).expect("JSON");
        if frame[0] != 2 {
            return None;
        }
        let id = frame[1].as_str().expect("an id").to_owned();
        let point = self.points.entry(cp.clone()).or_default();
        let answer = point.answer(
            run,
            &id,
            frame[2].as_str().expect("an action"),
            &frame[3],
            unix_ms,
        );
        if self.swallow > 0 {
            self.swallow -= 1;
            return None;
        }
        Some(json!([3, id, answer]).to_string())
    }

    /// An answer reached a charge point.
    pub fn delivered(&mut self, cp: &CpId, run: u32, text: &str) {
        let frame: Value = serde_json::from_str(text).expect("JSON");
        let Some(point) = self.points.get_mut(cp) else {
            return;
        };
        if let Some(told) = frame[1].as_str().and_then(|id| point.waiting.remove(id)) {
            point.told[told].answered = Some(run);
        }
    }

    /// A transaction that was begun and not ended, by how many are passed over.
    pub fn open(&self, cp: &CpId, skip: u64) -> Option<i64> {
        let told = &self.points.get(cp)?.told;
        let ended = |tx: i64| told.iter().any(|t| t.what == "end" && t.tx == tx);
        let open: Vec<i64> = told
            .iter()
            .filter(|t| t.what == "begin" && !ended(t.tx))
            .map(|t| t.tx)
            .collect();
        let count = u64::try_from(open.len()).expect("few");
        open.get(usize::try_from(skip % count.max(1)).expect("few"))
            .copied()
    }
}

impl Point {
    fn answer(&mut self, run: u32, id: &str, action: &str, payload: &Value, unix_ms: i64) -> Value {
        let info = json!({ "status": "Accepted" });
        match action {
            "BootNotification" => {
                json!({ "status": "Accepted", "interval": 120, "currentTime": format_utc(unix_ms) })
            }
            "Heartbeat" => json!({ "currentTime": format_utc(unix_ms) }),
            "Authorize" => json!({ "idTagInfo": info }),
            "StartTransaction" => {
                let next = 100 + i64::try_from(self.told.len()).expect("few");
                let tx = self.note(run, id, ("begin", next, "meterStart"), payload);
                json!({ "transactionId": tx, "idTagInfo": info })
            }
            "StopTransaction" => {
                let tx = payload["transactionId"].as_i64().unwrap_or_default();
                self.expect_open(tx, "end");
                self.note(run, id, ("end", tx, "meterStop"), payload);
                json!({ "idTagInfo": info })
            }
            "MeterValues" => {
                if let Some(tx) = payload["transactionId"].as_i64()
                    && self.told.iter().any(|t| t.what == "end" && t.tx == tx)
                {
                    self.violations.push(format!("a value of {tx} after its end"));
                }
                json!({})
            }
            "StatusNotification" | "SecurityEventNotification" => json!({}),
            other => {
                self.violations.push(format!("unexpected {other}"));
                json!({})
            }
        }
    }

    /// Notes a begin or end, or excuses its repetition; gives the transaction.
    fn note(
        &mut self,
        run: u32,
        id: &str,
        (what, tx, meter): (&'static str, i64, &str),
        payload: &Value,
    ) -> i64 {
        let same = |t: &Told| t.what == what && t.payload == *payload;
        let place = match self.told.iter().position(same) {
            Some(place) => {
                if self.told[place].answered == Some(run) {
                    self.violations
                        .push(format!("told again after the answer: {payload}"));
                }
                self.repeats += 1;
                place
            }
            None => {
                self.told.push(Told {
                    what,
                    tx,
                    meter: payload[meter].as_i64().unwrap_or_default(),
                    payload: payload.clone(),
                    answered: None,
                });
                self.told.len() - 1
            }
        };
        self.waiting.insert(id.to_owned(), place);
        self.told[place].tx
    }

    fn expect_open(&mut self, tx: i64, what: &str) {
        if !self.told.iter().any(|t| t.what == "begin" && t.tx == tx) {
            self.violations
                .push(format!("an {what} of {tx}, which never began"));
        }
    }

    /// Whether the charge point knows that each was taken.
    pub fn all_answered(&self) -> bool {
        self.told.iter().all(|told| told.answered.is_some())
    }
}
