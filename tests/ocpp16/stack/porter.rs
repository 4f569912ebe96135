//! Who carries files in a story: it does what the story says, and takes its time.

use retrovolt::domain::*;
use std::collections::VecDeque;

pub struct Porter {
    /// Entries of a record that is asked for.
    pub entries: u64,
    /// Milliseconds an upload or download takes.
    pub takes: u64,
    /// How the next attempts and checks go wrong, in order; `None`: well. Beyond them all is well.
    pub goes: VecDeque<Option<TransferError>>,
    under_way: Vec<Carried>,
}

struct Carried {
    at: u64,
    order: u64,
    result: Result<TransferDone, TransferError>,
}

impl Default for Porter {
    fn default() -> Self {
        Self {
            entries: 12,
            takes: 3_000,
            goes: VecDeque::new(),
            under_way: Vec::new(),
        }
    }
}

impl Porter {
    /// Takes an order; gives what a person would say of it.
    pub fn take(&mut self, now: u64, order: u64, what: TransferOrder) -> String {
        let mut wait = 0;
        let mut result = Ok(TransferDone::Done);
        let line = match &what {
            TransferOrder::Collect {
                name,
                oldest_ms,
                latest_ms,
                ..
            } => {
                let entries = self.entries;
                result = Ok(TransferDone::Collected { entries });
                match (oldest_ms, latest_ms) {
                    (None, None) => format!("> collect {name}"),
                    _ => format!(
                        "> collect {name} from {} to {}",
                        since(*oldest_ms),
                        since(*latest_ms)
                    ),
                }
            }
            TransferOrder::Upload { name, location } => {
                wait = self.takes;
                format!("> upload {name} to {location}")
            }
            TransferOrder::Drop { name } => return format!("> drop {name}"),
            other => panic!("nobody carries that: {other:?}"),
        };
        if !matches!(what, TransferOrder::Collect { .. })
            && let Some(Some(error)) = self.goes.pop_front()
        {
            result = Err(error);
        }
        self.under_way.push(Carried {
            at: now + wait,
            order,
            result,
        });
        line
    }

    pub fn call_off(&mut self, order: u64) {
        self.under_way.retain(|carried| carried.order != order);
    }

    /// When something will be done.
    pub fn deadline(&self) -> Option<u64> {
        self.under_way.iter().map(|carried| carried.at).min()
    }

    /// What is done by now.
    pub fn done(&mut self, now: u64) -> Option<(u64, Result<TransferDone, TransferError>)> {
        let place = self.under_way.iter().position(|carried| carried.at <= now)?;
        let Carried { order, result, .. } = self.under_way.remove(place);
        Some((order, result))
    }

    /// The process was killed.
    pub fn forget(&mut self) {
        self.under_way.clear();
    }
}

/// Seconds since the begin of the story.
fn since(unix_ms: Option<i64>) -> String {
    unix_ms.map_or("-".to_owned(), |ms| ((ms - super::NOON) / 1_000).to_string())
}
