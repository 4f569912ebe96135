//! What is counted while the gateway runs: plain values that the shells fill and telemetry tells. Nothing here falls.

use super::time::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// Upper bounds of the times of a bus, milliseconds: from a quick answer over TCP to the longest time-out.
pub const BUS_BOUNDS_MS: &[u32] = &[5, 10, 20, 50, 100, 200, 500, 1_000, 2_000];
/// Upper bounds of the round trips to a CSMS, milliseconds.
pub const CSMS_BOUNDS_MS: &[u32] = &[20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000];

/// Answers whose time is remembered one by one, for the median and the like.
const RECENT: usize = 128;
/// Longest text kept of an error.
const WORDS_MAX: usize = 160;

/// Times, counted in classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    bounds_ms: &'static [u32],
    counts: Vec<u64>,
    over: u64,
    sum_us: u64,
}

impl Histogram {
    /// Nothing counted yet; the bounds rise.
    #[must_use]
    pub fn new(bounds_ms: &'static [u32]) -> Self {
        debug_assert!(bounds_ms.is_sorted(), "bounds rise");
        Self {
            bounds_ms,
            counts: vec![0; bounds_ms.len()],
            over: 0,
            sum_us: 0,
        }
    }

    /// Counts a time. One that is exactly a bound is within it.
    pub fn record(&mut self, took: Duration) {
        let us = micros(took);
        self.sum_us = self.sum_us.saturating_add(us);
        let class = self
            .bounds_ms
            .iter()
            .position(|bound| us <= u64::from(*bound) * 1_000);
        match class.and_then(|class| self.counts.get_mut(class)) {
            Some(count) => *count += 1,
            None => self.over += 1,
        }
    }

    /// Adds what another of the same bounds has counted.
    pub fn add(&mut self, other: &Self) {
        debug_assert_eq!(self.bounds_ms, other.bounds_ms, "classes are the same");
        for (own, others) in self.counts.iter_mut().zip(&other.counts) {
            *own += others;
        }
        self.over += other.over;
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }

    /// Each bound in milliseconds and how many took no longer.
    pub fn cumulative(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        let classes = self.bounds_ms.iter().zip(&self.counts);
        classes.scan(0, |sum, (bound, count)| {
            *sum += count;
            Some((*bound, *sum))
        })
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.over
    }

    /// All of them together, microseconds.
    #[must_use]
    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// How a request on a bus ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BusResult {
    /// Answered well; a telegram understood, where nobody asks.
    Ok,
    /// Not answered in time.
    Timeout,
    /// A damaged or foreign answer.
    Crc,
    /// The device refused.
    Exception,
    /// Nothing came but the request itself.
    Echo,
}

impl BusResult {
    /// All there are.
    pub const ALL: [Self; 5] = [Self::Ok, Self::Timeout, Self::Crc, Self::Exception, Self::Echo];

    /// As told.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Timeout => "timeout",
            Self::Crc => "crc",
            Self::Exception => "exception",
            Self::Echo => "echo",
        }
    }
}

/// What one bus has counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusTally {
    results: [u64; 5],
    /// Requests that repeated the one before them, which had failed.
    pub retries: u64,
    /// How long the line was in use, microseconds.
    pub busy_us: u64,
    /// From request to answer, of those answered.
    pub latency: Histogram,
    recent_us: Vec<u64>,
    next: usize,
    /// What went wrong last, in words.
    pub last_error: Option<String>,
}

impl Default for BusTally {
    fn default() -> Self {
        Self {
            results: [0; 5],
            retries: 0,
            busy_us: 0,
            latency: Histogram::new(BUS_BOUNDS_MS),
            recent_us: Vec::new(),
            next: 0,
            last_error: None,
        }
    }
}

impl BusTally {
    /// A request was answered, or refused, after so long.
    pub fn answered(&mut self, result: BusResult, took: Duration) {
        self.ended(result, took);
        self.latency.record(took);
        let us = micros(took);
        if self.recent_us.len() < RECENT {
            self.recent_us.push(us);
        } else if let Some(oldest) = self.recent_us.get_mut(self.next) {
            *oldest = us;
        }
        self.next = (self.next + 1) % RECENT;
    }

    /// A request ended, whatever the answer; the line was in use for so long.
    pub fn ended(&mut self, result: BusResult, busy: Duration) {
        self.results[result as usize] += 1;
        self.busy(busy);
    }

    /// The line was in use for so long.
    pub fn busy(&mut self, busy: Duration) {
        self.busy_us = self.busy_us.saturating_add(micros(busy));
    }

    /// Keeps what went wrong, cut to what a person reads.
    pub fn failed(&mut self, words: &str) {
        self.last_error = Some(words.chars().take(WORDS_MAX).collect());
    }

    /// How many ended so.
    #[must_use]
    pub fn of(&self, result: BusResult) -> u64 {
        self.results[result as usize]
    }

    /// How many ended at all.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.results.iter().sum()
    }

    /// The time, in microseconds, that so many of 100 of the last answers did not exceed; `None`: there were none.
    #[must_use]
    pub fn percentile_us(&self, of_100: usize) -> Option<u64> {
        let mut sorted = self.recent_us.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * of_100.min(100)).div_ceil(100).max(1);
        sorted.get(rank - 1).copied()
    }

    /// Adds what a bus of the same name that is gone had counted.
    pub fn add(&mut self, gone: &Self) {
        for (own, others) in self.results.iter_mut().zip(&gone.results) {
            *own += others;
        }
        self.retries += gone.retries;
        self.busy_us = self.busy_us.saturating_add(gone.busy_us);
        self.latency.add(&gone.latency);
        if self.last_error.is_none() {
            self.last_error.clone_from(&gone.last_error);
        }
    }
}

/// Who sent a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// We.
    Sent,
    /// The CSMS.
    Received,
}

impl Direction {
    /// As told.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Received => "received",
        }
    }
}

/// What became of a message that asks for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageResult {
    /// Answered.
    Ok,
    /// Answered with a CALLERROR.
    Error,
    /// Not answered in time.
    Timeout,
    /// The connection ended first.
    Lost,
}

impl MessageResult {
    /// As told.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Lost => "lost",
        }
    }
}

/// An action, who sent it, what became of it. Actions are those of the specification: their number is bounded.
pub type Message = (&'static str, Direction, MessageResult);

/// What one link to a CSMS has counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkTally {
    /// Messages whose end is known.
    pub messages: BTreeMap<Message, u64>,
    /// From our message to its answer.
    pub round_trip: Histogram,
    /// Samples that were not told because of the budget.
    pub thinned: u64,
    /// When the CSMS last said anything.
    pub last_heard: Option<Mono>,
    /// Since when the link is as it is.
    pub since: Option<Mono>,
    /// Through the socket.
    pub bytes: Bytes,
}

impl Default for LinkTally {
    fn default() -> Self {
        Self {
            messages: BTreeMap::new(),
            round_trip: Histogram::new(CSMS_BOUNDS_MS),
            thinned: 0,
            last_heard: None,
            since: None,
            bytes: Bytes::default(),
        }
    }
}

impl LinkTally {
    /// A message has found its end.
    pub fn message(&mut self, action: &'static str, direction: Direction, result: MessageResult) {
        *self.messages.entry((action, direction, result)).or_default() += 1;
    }

    /// Adds what a link of the same name that is gone had counted.
    pub fn add(&mut self, gone: &Self) {
        for (message, count) in &gone.messages {
            *self.messages.entry(*message).or_default() += count;
        }
        self.round_trip.add(&gone.round_trip);
        self.thinned += gone.thinned;
        self.last_heard = self.last_heard.max(gone.last_heard);
        self.bytes.add(gone.bytes);
    }
}

/// Bytes both ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Bytes {
    /// From us.
    pub sent: u64,
    /// To us.
    pub received: u64,
}

impl Bytes {
    /// Adds more of both.
    pub fn add(&mut self, more: Self) {
        self.sent = self.sent.saturating_add(more.sent);
        self.received = self.received.saturating_add(more.received);
    }

    /// What has been added since `earlier`; zero where the count began anew.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            sent: self.sent.saturating_sub(earlier.sent),
            received: self.received.saturating_sub(earlier.received),
        }
    }

    /// Both ways together.
    #[must_use]
    pub fn total(self) -> u64 {
        self.sent.saturating_add(self.received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_bound_belongs_to_its_class_and_what_is_longer_to_none() {
        let mut times = Histogram::new(&[5, 10]);
        for ms in [1, 5, 6, 10, 11, 5_000] {
            times.record(MS(ms));
        }
        assert_eq!(times.cumulative().collect::<Vec<_>>(), [(5, 2), (10, 4)]);
        assert_eq!((times.count(), times.sum_us()), (6, 5_033_000));
    }

    #[test]
    fn the_last_answers_give_median_and_slowest() {
        let mut bus = BusTally::default();
        assert_eq!(bus.percentile_us(50), None);
        for ms in 1..=200 {
            bus.answered(BusResult::Ok, MS(ms));
        }
        // The last 128: 73 to 200 ms.
        assert_eq!(bus.percentile_us(50), Some(136_000));
        assert_eq!(bus.percentile_us(100), Some(200_000));
        assert_eq!(bus.percentile_us(0), Some(73_000));
        assert_eq!((bus.requests(), bus.of(BusResult::Ok)), (200, 200));
    }

    #[test]
    fn what_is_gone_is_added_and_nothing_falls() {
        let mut gone = BusTally::default();
        gone.answered(BusResult::Ok, MS(7));
        gone.ended(BusResult::Timeout, MS(500));
        gone.failed("no answer");
        let mut bus = BusTally::default();
        bus.answered(BusResult::Exception, MS(3));
        bus.add(&gone);
        assert_eq!(
            (bus.requests(), bus.busy_us, bus.latency.count()),
            (3, 510_000, 2)
        );
        assert_eq!(bus.last_error.as_deref(), Some("no answer"));
        let mut link = LinkTally::default();
        link.message("Heartbeat", Direction::Sent, MessageResult::Ok);
        let before = link.clone();
        link.add(&before);
        assert_eq!(
            link.messages[&("Heartbeat", Direction::Sent, MessageResult::Ok)],
            2
        );
    }

    #[test]
    fn a_count_that_began_anew_adds_nothing() {
        let bytes = |sent, received| Bytes { sent, received };
        assert_eq!(bytes(5, 7).since(bytes(2, 3)), bytes(3, 4));
        assert_eq!(bytes(1, 1).since(bytes(2, 3)), bytes(0, 0));
    }
}
