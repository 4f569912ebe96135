//! What was published already, and whether a value has moved enough to be published again.

use super::super::client::Message;
use super::leaves::{Leaf, Watch};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a topic must be missing before it is deleted. A station that starts and a meter that has not spoken yet look the
/// same as one that is no more, and Home Assistant complains about an entity whose topic goes before it: twice as long as
/// its announcement is kept.
const GRACE: Duration = Duration::from_secs(120);
/// Most that may be missing: whoever can write to our topics could fill it.
const MISSING_MOST: usize = 16 * 1024;

/// How much is told of what has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Everything, whether or not it has moved.
    All,
    /// What has moved.
    Moved,
    /// What has moved but measured values: the broker is near its budget.
    Words,
}

/// What the broker has been told.
#[derive(Debug, Default)]
pub(super) struct Board {
    told: BTreeMap<Arc<str>, Value>,
    /// What would have been told had there been bytes to spend.
    held: BTreeMap<Arc<str>, Value>,
    thinned: u64,
    /// What it was told, and nobody tells any more, since when.
    missing: BTreeMap<Arc<str>, Instant>,
}

impl Board {
    /// What is to be published of these leaves.
    pub(super) fn compare(&mut self, leaves: Vec<Leaf>, extent: Extent) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut told = BTreeMap::new();
        for leaf in leaves {
            self.missing.remove(&leaf.topic);
            match self.told.remove(&leaf.topic) {
                Some(old) if extent != Extent::All && !self.is_news(&old, &leaf, extent) => {
                    told.insert(leaf.topic, old);
                }
                _ => {
                    self.held.remove(&leaf.topic);
                    messages.push(Message {
                        qos: leaf.qos,
                        ..Message::retained(Arc::clone(&leaf.topic), leaf.payload())
                    });
                    told.insert(leaf.topic, leaf.value);
                }
            }
        }
        let gone = std::mem::replace(&mut self.told, told);
        self.held.retain(|topic, _| self.told.contains_key(topic));
        self.miss(gone.into_keys());
        messages
    }

    fn is_news(&mut self, old: &Value, leaf: &Leaf, extent: Extent) -> bool {
        let moved = movement(old, leaf);
        if extent != Extent::Words || moved == Movement::Other {
            return moved != Movement::None;
        }
        let held = self.held.get(&leaf.topic).unwrap_or(old);
        if movement(held, leaf) != Movement::None {
            self.held.insert(Arc::clone(&leaf.topic), leaf.value.clone());
            self.thinned += 1;
        }
        false
    }

    /// Messages of measured values that were not published because of the budget.
    pub(super) fn thinned(&self) -> u64 {
        self.thinned
    }

    /// Topics that the broker has and that nobody may tell any more.
    pub(super) fn miss(&mut self, topics: impl IntoIterator<Item = Arc<str>>) {
        let now = Instant::now();
        for topic in topics {
            if self.missing.len() < MISSING_MOST && !self.told.contains_key(&topic) {
                self.missing.entry(topic).or_insert(now);
            }
        }
    }

    /// Deletes the topics that have been missing for long enough.
    pub(super) fn gone(&mut self) -> Vec<Message> {
        let due = |since: &Instant| since.elapsed() >= GRACE;
        let gone = self.missing.iter().filter(|(_, since)| due(since));
        let gone: Vec<Arc<str>> = gone.map(|(topic, _)| Arc::clone(topic)).collect();
        self.missing.retain(|_, since| !due(since));
        // An empty payload deletes what the broker has kept.
        gone.into_iter()
            .map(|topic| Message::retained(topic, ""))
            .collect()
    }

    /// Forgets all: the broker may have, too.
    pub(super) fn forget(&mut self) {
        // The topics stay known, so that one that goes meanwhile is deleted all the same.
        for value in self.told.values_mut() {
            *value = Value::Null;
        }
    }
}

/// What has moved in a leaf; the later, the more it is worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Movement {
    None,
    /// Measured values only, one of them out of its dead band.
    Measured,
    Other,
}

fn movement(old: &Value, leaf: &Leaf) -> Movement {
    match leaf.watch {
        Watch::All => {
            let name = leaf.topic.rsplit('/').find(|level| level.parse::<u8>().is_err());
            difference(name.unwrap_or(""), old, &leaf.value)
        }
        Watch::Only(keys) => {
            let of = |key: &&str| match (old.get(key), leaf.value.get(key)) {
                (Some(old), Some(new)) => difference(key, old, new),
                (None, None) => Movement::None,
                _ => Movement::Other,
            };
            if appears(old, &leaf.value) {
                return Movement::Other;
            }
            keys.iter().map(of).max().unwrap_or(Movement::None)
        }
    }
}

/// Whether something that was unknown is known now: who waits for it is not to wait for the refresh.
fn appears(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => old
            .iter()
            .any(|(key, old)| new.get(key).is_some_and(|new| appears(old, new))),
        (Value::Null, new) => !new.is_null(),
        _ => false,
    }
}

/// How a value differs from the one that was told, by the dead band of its name.
fn difference(name: &str, old: &Value, new: &Value) -> Movement {
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            if a.len() != b.len() {
                return Movement::Other;
            }
            let of = |(key, new): (&String, &Value)| {
                a.get(key)
                    .map_or(Movement::Other, |old| difference(key, old, new))
            };
            let values = b.iter().filter(|(key, _)| *key != "ts");
            values.map(of).max().unwrap_or(Movement::None)
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let values = a.iter().zip(b).map(|(old, new)| difference(name, old, new));
            values.max().unwrap_or(Movement::None)
        }
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64(), b.as_f64());
            match (band(name, a.unwrap_or(0.0)), a.zip(b)) {
                (Some(band), Some((old, new))) => {
                    // A tenth cannot be written exactly in binary.
                    let apart = (new - old).abs();
                    let beyond = apart > 0.0 && (apart >= band - 1e-9 || new == 0.0);
                    if beyond {
                        Movement::Measured
                    } else {
                        Movement::None
                    }
                }
                _ if a == b => Movement::None,
                _ => Movement::Other,
            }
        }
        _ if old == new => Movement::None,
        _ => Movement::Other,
    }
}

/// The dead band around a measured value that was told; zero is told at once. `None`: nothing of this name is measured.
fn band(name: &str, old: f64) -> Option<f64> {
    Some(match name {
        "power_w" | "grid_power_w" => f64::max(10.0, old.abs() / 100.0),
        "voltage_v" => 1.0,
        "current_a" | "headroom_a" => 0.1,
        "energy_wh" | "energy_import_wh" | "energy_export_wh" | "session_energy_wh" => 10.0,
        "temperature_c" => 0.5,
        "frequency_hz" => 0.05,
        "soc_pct" => 0.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::client::Qos;
    use super::*;
    use serde_json::json;

    fn leaf(value: Value) -> Leaf {
        Leaf {
            topic: "r/gw/cp/a/state".into(),
            value,
            watch: Watch::All,
            qos: Qos::AtLeastOnce,
        }
    }

    fn told(board: &mut Board, value: Value) -> bool {
        !board.compare(vec![leaf(value)], Extent::Moved).is_empty()
    }

    #[test]
    fn a_value_is_told_when_it_leaves_its_dead_band_and_not_for_its_time() {
        let mut board = Board::default();
        let state = |power: f64, volts: f64, amps: f64, ts: &str| json!({ "ts": ts, "power_w": power, "voltage_v": [volts, null, null], "current_a": [amps, null, null] });
        assert!(told(&mut board, state(7000.0, 230.0, 10.0, "a")), "the first");
        assert!(
            !told(&mut board, state(7000.0, 230.0, 10.0, "b")),
            "only its time"
        );
        assert!(
            !told(&mut board, state(7069.0, 230.9, 10.09, "c")),
            "within 1 %, 1 V, 0.1 A"
        );
        assert!(told(&mut board, state(7071.0, 230.0, 10.0, "d")), "over 1 %");
        assert!(told(&mut board, state(7071.0, 231.0, 10.0, "e")), "1 V");
        assert!(told(&mut board, state(7071.0, 231.0, 10.1, "f")), "0.1 A");
        assert!(told(&mut board, state(5.0, 231.0, 10.1, "g")));
        assert!(!told(&mut board, state(14.0, 231.0, 10.1, "h")), "within 10 W");
        assert!(told(&mut board, state(0.0, 231.0, 10.1, "i")), "zero at once");
        assert!(told(
            &mut board,
            json!({ "ts": "i", "power_w": null, "voltage_v": [231.0, null, null], "current_a": [10.1, null, null] })
        ));
    }

    #[test]
    fn creeping_values_are_told_once_they_have_crept_far_enough() {
        let mut board = Board::default();
        let times = (0..100).filter(|step| told(&mut board, json!({ "energy_import_wh": step })));
        assert_eq!(times.count(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_more_is_deleted_also_when_the_connection_was_new_in_between() {
        let mut board = Board::default();
        board.compare(vec![leaf(json!({}))], Extent::Moved);
        board.forget();
        assert!(board.compare(Vec::new(), Extent::All).is_empty());
        tokio::time::advance(GRACE - Duration::from_secs(1)).await;
        assert!(board.compare(Vec::new(), Extent::All).is_empty() && board.gone().is_empty());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(board.gone(), [Message::retained("r/gw/cp/a/state", "")]);
        assert!(board.gone().is_empty(), "once");
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_back_in_time_stays_and_so_does_what_is_there() {
        let mut board = Board::default();
        board.compare(vec![leaf(json!({}))], Extent::Moved);
        board.miss(["r/gw/cp/a/state".into(), "r/gw/cp/b/state".into()]);
        board.compare(Vec::new(), Extent::Moved);
        tokio::time::advance(GRACE / 2).await;
        board.compare(vec![leaf(json!({}))], Extent::Moved);
        tokio::time::advance(GRACE).await;
        assert_eq!(board.gone(), [Message::retained("r/gw/cp/b/state", "")]);
    }

    #[test]
    fn what_is_missing_is_bounded() {
        let mut board = Board::default();
        board.miss((0..2 * MISSING_MOST).map(|number| format!("r/gw/cp/{number}/state").into()));
        assert_eq!(board.missing.len(), MISSING_MOST);
    }

    #[test]
    fn the_first_value_of_a_counter_does_not_wait() {
        let mut board = Board::default();
        let bus = |requests: u64, p95: Value| Leaf {
            watch: Watch::Only(&["last_error"]),
            ..leaf(json!({ "requests": requests, "last_error": null, "latency_ms": { "p95": p95 } }))
        };
        let mut told = |leaf| board.compare(vec![leaf], Extent::Moved).len();
        assert_eq!(told(bus(0, Value::Null)), 1);
        assert_eq!(told(bus(9, Value::Null)), 0);
        assert_eq!(told(bus(9, json!(12))), 1);
        assert_eq!(told(bus(9, json!(13))), 0);
        assert_eq!(told(bus(9, Value::Null)), 0, "nor does it go in between");
    }

    #[test]
    fn counters_wait_for_the_refresh() {
        let mut board = Board::default();
        let bus = |requests: u64, error: Value| Leaf {
            watch: Watch::Only(&["last_error"]),
            ..leaf(json!({ "requests": requests, "last_error": error }))
        };
        assert_eq!(board.compare(vec![bus(1, Value::Null)], Extent::Moved).len(), 1);
        assert!(board.compare(vec![bus(2, Value::Null)], Extent::Moved).is_empty());
        assert_eq!(board.compare(vec![bus(2, json!("late"))], Extent::Moved).len(), 1);
        assert_eq!(
            board.compare(vec![bus(3, json!("late"))], Extent::All).len(),
            1,
            "a refresh"
        );
    }

    #[test]
    fn near_the_budget_measured_values_wait_and_words_do_not() {
        let mut board = Board::default();
        let state = |power: i64, volts: i64, status: &str, limit: i64| {
            leaf(
                json!({ "ts": power, "power_w": power, "voltage_v": [volts, null, null], "soc_pct": volts, "status": status, "limit_a": limit }),
            )
        };
        let mut news = |power, volts, status: &str, limit| {
            let told = board.compare(vec![state(power, volts, status, limit)], Extent::Words);
            (told.len(), board.thinned())
        };
        assert_eq!(news(7_000, 230, "charging", 16), (1, 0), "the first");
        assert_eq!(news(3_000, 225, "charging", 16), (0, 1), "measured");
        assert_eq!(news(3_000, 225, "charging", 16), (0, 1), "looked at again");
        assert_eq!(news(0, 225, "charging", 16), (0, 2), "measured, be it zero");
        assert_eq!(
            news(0, 225, "suspended_ev", 16),
            (1, 2),
            "a status takes all with it"
        );
        assert_eq!(news(0, 225, "suspended_ev", 10), (1, 2), "a limit");
        assert_eq!(news(5, 225, "suspended_ev", 10), (0, 2), "within its band");
        let whole = board.compare(vec![state(5, 225, "suspended_ev", 10)], Extent::All);
        assert_eq!(whole.len(), 1, "the refresh tells everything");
        let gone = json!({ "ts": 1, "power_w": null, "voltage_v": [225, null, null], "soc_pct": 225, "status": "suspended_ev", "limit_a": 10 });
        assert_eq!(
            board.compare(vec![leaf(gone)], Extent::Words).len(),
            1,
            "that it is not known any more"
        );
    }
}
