//! How much a back end may cost in a month, and what is given up so that it does not cost more. Pure.
//!
//! Rules kept here:
//! * a month is one of UTC; it ends when a trusted clock says so, or, where none ever speaks, after 31 days of running;
//! * what was used is compared with what the days so far allow, one day in advance: a busy first hour thins nothing;
//! * a stage is left only some way below the share at which it was entered, so that it does not flap;
//! * the begin and end of transactions, their registers, statuses and security events cost what they cost.

use super::tally::Bytes;
use super::time::Now;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// Milliseconds of an hour.
const HOUR_MS: i64 = 3_600_000;
/// Milliseconds of a day.
const DAY_MS: i64 = 24 * HOUR_MS;
/// A month without a calendar.
const MONTH_DAYS: i64 = 31;

/// Percent of the share from which on samples are told less often.
const SPARING_PCT: u64 = 70;
/// Percent of the share from which on none are told.
const BARE_PCT: u64 = 100;
/// A stage is left so many points below the percentage it is entered at.
const SLACK_PCT: u64 = 10;

/// How sparing a back end is told things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Thrift {
    /// Everything.
    #[default]
    Free,
    /// Periodic samples at most every quarter of an hour.
    Sparing,
    /// No periodic samples.
    Bare,
}

impl Thrift {
    /// As told.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Sparing => "sparing",
            Self::Bare => "bare",
        }
    }

    /// How many times longer the periods of telemetry are, where nothing but the periods can be thinned.
    #[must_use]
    pub const fn stretch(self) -> u32 {
        match self {
            Self::Free => 1,
            Self::Sparing => 5,
            Self::Bare => 60,
        }
    }

    /// For metrics: 0, 1, 2.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// The stage for what was used of a share, from the stage in force.
#[must_use]
pub fn thrift(used: u64, share: u64, before: Thrift) -> Thrift {
    let pct = u128::from(used) * 100;
    let reaches = |bound: u64| pct >= u128::from(share) * u128::from(bound);
    let bound = |of: Thrift, entered: u64| {
        if before >= of {
            entered - SLACK_PCT
        } else {
            entered
        }
    };
    if reaches(bound(Thrift::Bare, BARE_PCT)) {
        Thrift::Bare
    } else if reaches(bound(Thrift::Sparing, SPARING_PCT)) {
        Thrift::Sparing
    } else {
        Thrift::Free
    }
}

/// Bytes of a span of time, and of the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Number of the span since 1970; of a month, since year 0.
    pub number: i64,
    /// So far.
    pub bytes: Bytes,
    /// In the span before.
    pub last: Bytes,
}

impl Span {
    /// The span of this number is running now. One that lies behind is a clock put right: it goes on under it.
    fn turn(&mut self, number: i64) {
        if number > self.number {
            let follows = number == self.number + 1;
            self.last = if follows { self.bytes } else { Bytes::default() };
            self.bytes = Bytes::default();
        }
        self.number = number;
    }
}

/// What one back end has cost: this hour, this day, this month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// By the hour of UTC; without a trusted clock by hours of running.
    pub hour: Span,
    /// By the day.
    pub day: Span,
    /// By the month.
    pub month: Span,
    /// How long this month has run while no trusted clock told its day, milliseconds.
    untold_ms: i64,
    /// Whether a trusted clock has named the spans.
    dated: bool,
    /// The stage in force.
    pub thrift: Thrift,
}

impl Account {
    /// Books bytes that went through since the last time, `passed_ms` ago.
    pub fn book(&mut self, now: Now, passed_ms: u64, bytes: Bytes) {
        let passed_ms = i64::try_from(passed_ms).unwrap_or(i64::MAX);
        if now.wall.quality.is_trusted() {
            self.date(now.wall.unix_ms);
        } else {
            self.undated(passed_ms);
        }
        for span in [&mut self.hour, &mut self.day, &mut self.month] {
            span.bytes.add(bytes);
        }
    }

    /// A trusted clock speaks. What was booked without one is taken for this month.
    fn date(&mut self, unix_ms: i64) {
        let numbers = [
            unix_ms.div_euclid(HOUR_MS),
            unix_ms.div_euclid(DAY_MS),
            month(unix_ms),
        ];
        for (span, number) in [&mut self.hour, &mut self.day, &mut self.month]
            .into_iter()
            .zip(numbers)
        {
            if !self.dated {
                span.number = number;
            }
            span.turn(number);
        }
        self.dated = true;
        self.untold_ms = 0;
    }

    /// Without one the time that has passed is all that is known; spans end after their length of running.
    fn undated(&mut self, passed_ms: i64) {
        let before = self.untold_ms;
        self.untold_ms = before.saturating_add(passed_ms);
        let lengths = [HOUR_MS, DAY_MS, MONTH_DAYS * DAY_MS];
        for (span, length) in [&mut self.hour, &mut self.day, &mut self.month]
            .into_iter()
            .zip(lengths)
        {
            let ended = self.untold_ms / length - before / length;
            if ended > 0 {
                span.turn(span.number + ended);
            }
        }
        if self.untold_ms >= MONTH_DAYS * DAY_MS {
            // Numbers counted so mean nothing to a calendar.
            self.untold_ms %= MONTH_DAYS * DAY_MS;
            self.dated = false;
        }
    }

    /// What a budget allows by now: the days so far and one in advance, at most all of it.
    #[must_use]
    pub fn share(&self, now: Now, budget: u64) -> u64 {
        let (gone, length) = if now.wall.quality.is_trusted() {
            let begin = begin_ms(self.month.number);
            let length = begin_ms(self.month.number + 1) - begin;
            (now.wall.unix_ms - begin, length)
        } else {
            let gone = if self.dated {
                // Its days go on by running, each counted as it ends.
                self.day.number * DAY_MS - begin_ms(self.month.number) + self.untold_ms % DAY_MS
            } else {
                self.untold_ms
            };
            (gone, MONTH_DAYS * DAY_MS)
        };
        let allowed = (gone.max(0) + DAY_MS).min(length);
        let share = i128::from(budget) * i128::from(allowed) / i128::from(length.max(1));
        u64::try_from(share).unwrap_or(budget).min(budget)
    }

    /// Judges by the budget; `None`: there is none. Gives whether the stage has changed.
    pub fn judge(&mut self, now: Now, budget: Option<u64>) -> bool {
        let before = self.thrift;
        self.thrift = match budget {
            None => Thrift::Free,
            Some(budget) => thrift(self.month.bytes.total(), self.share(now, budget), before),
        };
        self.thrift != before
    }
}

/// Months since year 0 of a Unix time.
fn month(unix_ms: i64) -> i64 {
    let at = Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let date = at.to_zoned(TimeZone::UTC).date();
    i64::from(date.year()) * 12 + i64::from(date.month()) - 1
}

/// Unix milliseconds at which a month begins.
fn begin_ms(month: i64) -> i64 {
    let year = i16::try_from(month.div_euclid(12)).ok();
    let of_year = i8::try_from(month.rem_euclid(12) + 1).ok();
    let first = year
        .zip(of_year)
        .and_then(|(year, of_year)| Date::new(year, of_year, 1).ok());
    let begin = first.and_then(|first| first.to_zoned(TimeZone::UTC).ok());
    begin.map_or(0, |begin| begin.timestamp().as_millisecond())
}

#[cfg(test)]
#[path = "tests/budget.rs"]
mod tests;
