//! The last log lines of this run in memory: what the journal has too, but a CSMS cannot read that.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Bytes of text that are kept; the oldest lines go first.
const KEPT_BYTES: usize = 192 * 1024;
/// Longest line.
const LINE_BYTES: usize = 2 * 1024;

/// A line.
#[derive(Clone, Debug)]
pub struct Line {
    at: Instant,
    level: Level,
    text: String,
}

impl Line {
    /// How long ago it was said.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.at)
    }

    /// Level and words.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{:5} {}", self.level.as_str(), self.text)
    }
}

/// The lines.
#[derive(Debug)]
pub struct Ring {
    lines: Mutex<Lines>,
}

#[derive(Debug)]
struct Lines {
    kept: VecDeque<Line>,
    bytes: usize,
}

impl Ring {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        let kept = VecDeque::new();
        Self {
            lines: Mutex::new(Lines { kept, bytes: 0 }),
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        // Nothing in there can be half done.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a line.
    pub fn push(&self, level: Level, mut text: String) {
        while text.len() > LINE_BYTES {
            text.pop();
        }
        let mut lines = self.lines();
        lines.bytes += text.len();
        let at = Instant::now();
        lines.kept.push_back(Line { at, level, text });
        while lines.bytes > KEPT_BYTES {
            let Some(oldest) = lines.kept.pop_front() else {
                break;
            };
            lines.bytes -= oldest.text.len();
        }
    }

    /// All of them, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Line> {
        self.lines().kept.iter().cloned().collect()
    }
}

/// Puts every event that is logged into the ring as well.
#[derive(Clone, Copy, Debug)]
pub struct RingLayer;

impl<S: Subscriber> Layer<S> for RingLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut words = Words::default();
        event.record(&mut words);
        let Words { message, fields } = words;
        super::log::ring().push(*event.metadata().level(), message + &fields);
    }
}

/// The message, and the fields behind it.
#[derive(Default)]
struct Words {
    message: String,
    fields: String,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a string cannot fail.
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            let _ = write!(self.fields, " {}={value:?}", field.name());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_lines_go_first_and_long_ones_are_cut() {
        let ring = Ring::new();
        let line = "x".repeat(1_000);
        for n in 0..300 {
            ring.push(Level::INFO, format!("{n} {line}"));
        }
        ring.push(Level::WARN, "€".repeat(LINE_BYTES));
        let all = ring.all();
        assert!(all.iter().map(|line| line.text.len()).sum::<usize>() <= KEPT_BYTES);
        assert!(all[0].text.starts_with("107 "), "{}", all[0].text);
        let last = all.last().expect("a line");
        assert!(last.text.len() <= LINE_BYTES && last.shown().starts_with("WARN  €"));
    }
}
