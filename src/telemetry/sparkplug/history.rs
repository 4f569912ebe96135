//! What changed while nobody listened: told with its own timestamps when somebody does again. Bounded; the oldest goes first.

use super::super::units::At;
use super::datum::Datum;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Values that are kept.
pub const ROOM: usize = 4096;

/// Who changed; `None`: the node itself.
pub type Who = Option<Arc<str>>;

/// A value of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// Name of the metric.
    pub name: Arc<str>,
    /// Value; `None`: null.
    pub value: Option<Datum>,
    /// When it was sampled.
    pub at: At,
}

/// Values of the past.
#[derive(Debug, Default)]
pub struct History {
    entries: VecDeque<(Who, Past)>,
    dropped: u64,
}

impl History {
    /// Keeps a value.
    pub fn keep(&mut self, who: Who, past: Past) {
        if self.entries.len() >= ROOM {
            self.entries.pop_front();
            self.dropped += 1;
        }
        self.entries.push_back((who, past));
    }

    /// Takes out what can be told, by who changed, in order of time; forgets what never can be.
    pub fn take(&mut self, fate: impl Fn(&Who, &Past) -> Fate) -> BTreeMap<Who, Vec<Past>> {
        let mut told: BTreeMap<Who, Vec<Past>> = BTreeMap::new();
        for (who, past) in std::mem::take(&mut self.entries) {
            match fate(&who, &past) {
                Fate::Tell => told.entry(who).or_default().push(past),
                Fate::Wait => self.entries.push_back((who, past)),
                Fate::Forget => self.dropped += 1,
            }
        }
        for all in told.values_mut() {
            all.sort_by_key(|past| past.at);
        }
        told
    }

    /// Values kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Values lost.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// What becomes of a value of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It can be told.
    Tell,
    /// Its device is away for now.
    Wait,
    /// There is no such metric any more.
    Forget,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(at: i64) -> Past {
        Past {
            name: Arc::from("Power"),
            value: None,
            at: At(at),
        }
    }

    #[test]
    fn the_oldest_goes_first_and_is_counted() {
        let mut history = History::default();
        for at in 0..=i64::try_from(ROOM).unwrap() {
            history.keep(None, past(at));
        }
        assert_eq!((history.len(), history.dropped()), (ROOM, 1));
        let told = history.take(|_, _| Fate::Tell);
        assert_eq!(told[&None][0].at, At(1));
        assert_eq!(history.len(), 0);
    }

    #[test]
    fn what_is_told_is_in_order_and_what_cannot_be_waits_or_goes() {
        let mut history = History::default();
        let device = |name: &str| Some(Arc::from(name));
        for (who, at) in [("a", 3), ("b", 2), ("a", 1), ("gone", 0)] {
            history.keep(device(who), past(at));
        }
        let told = history.take(|who, _| match who.as_deref() {
            Some("a") => Fate::Tell,
            Some("b") => Fate::Wait,
            _ => Fate::Forget,
        });
        assert_eq!(told.len(), 1);
        assert_eq!(
            told[&device("a")].iter().map(|p| p.at.0).collect::<Vec<_>>(),
            [1, 3]
        );
        assert_eq!((history.len(), history.dropped()), (1, 1));
    }
}
