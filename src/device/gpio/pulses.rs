//! Pulses of an S0 output (IEC 62053-31), counted from edges with the kernel's time stamps.
//!
//! Rules:
//! * A pulse counts when the line has been active for the shortest width, and counts at its end. What is shorter
//!   is bounce or noise. Activity after a pause shorter than the same width belongs to the pulse before it.
//! * Counting at the end makes a restart exact: a pulse under way when the gateway went down was not counted, and
//!   its end is what the next run sees first.
//! * Time is the kernel's: how late the process reads an edge changes nothing.
//! * A gap in the line's sequence numbers means edges the kernel dropped. They are counted as lost, never guessed.
//! * Power is the pulse rate; without a pulse it falls by itself and is zero after ten minutes.
//!
//! ```text
//!  Idle --active--> Run{on: 0} --inactive--> Run{on >= width: counted once} --pause >= width, active--> Run{on: 0}
//!                     ^   \--pause < width, active--/
//!                  (at the start: on unknown, its end counts; after a gap: Idle, what was under way is lost)
//! ```

use crate::domain::{Mono, PulseSetup};
use std::time::Duration;

/// Without a pulse for so long nothing flows.
const SILENT: Duration = Duration::from_secs(600);
/// Power below this is shown as zero, milliwatt.
const LEAST_MW: i64 = 1_000;
/// Milliwatt-milliseconds in a kilowatt-hour.
const KWH: u64 = 3_600_000_000_000;

/// One edge of an input line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The level it leads to.
    pub active: bool,
    /// Kernel time stamp, `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// Its number among the edges of this line; counts from 1 with each request of the line.
    pub seqno: u32,
}

/// What became of an edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// Pulses it completed, 0 or 1.
    pub(super) pulses: u64,
    /// Edges lost before it.
    pub(super) lost: u32,
}

/// A stretch of activity.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Time active so far, bounce left out; `None`: it began unseen.
    on: Option<u64>,
    /// Since when it is active; `None`: it is in a pause.
    since: Option<u64>,
    /// The end of its last activity.
    ended: u64,
    counted: bool,
}

/// Activity that began before the line was ours.
const UNSEEN: Run = Run {
    on: None,
    since: Some(0),
    ended: 0,
    counted: false,
};

/// Counts the pulses of one line.
#[derive(Clone, Debug)]
pub(super) struct Pulses {
    setup: PulseSetup,
    run: Option<Run>,
    seqno: u32,
    lost: u64,
    /// Kernel time and ours of the last pulse.
    last: Option<(u64, Mono)>,
    /// Time between the last two pulses, ns.
    period: Option<u64>,
}

impl Pulses {
    /// A line nothing was heard of yet.
    pub(super) fn new(setup: PulseSetup) -> Self {
        Self {
            setup,
            run: None,
            seqno: 0,
            lost: 0,
            last: None,
            period: None,
        }
    }

    /// The line was taken (again); it has this level. Sequence numbers begin anew.
    pub(super) fn begin(&mut self, active: bool) {
        self.seqno = 0;
        self.run = active.then_some(UNSEEN);
        // The time between a pulse before and one after says nothing.
        self.last = None;
        self.period = None;
    }

    /// Takes an edge.
    pub(super) fn edge(&mut self, edge: Edge, now: Mono) -> Heard {
        let lost = edge.seqno.wrapping_sub(self.seqno).wrapping_sub(1);
        self.seqno = edge.seqno;
        // What runs backwards is no gap.
        let lost = if lost > u32::MAX / 2 { 0 } else { lost };
        if lost > 0 {
            self.lost = self.lost.saturating_add(lost.into());
            self.run = None;
            self.period = None;
            self.last = None;
        }
        let counted = if edge.active {
            self.rise(edge.at_ns);
            false
        } else {
            self.fall(edge.at_ns, edge.seqno == 1)
        };
        if counted {
            self.note(edge.at_ns, now);
        }
        Heard {
            pulses: u64::from(counted),
            lost,
        }
    }

    /// Edges the kernel dropped so far.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Power in milliwatt by the rate of the pulses; `None` until two were seen.
    pub(super) fn power(&self, now: Mono) -> Option<i64> {
        let (period, (_, at)) = (self.period?, self.last?);
        let silent = now.since(at);
        if silent >= SILENT {
            return Some(0);
        }
        let silent_ns = u64::try_from(silent.as_nanos()).unwrap_or(u64::MAX);
        let power = self.rate(period.max(silent_ns));
        Some(if power < LEAST_MW { 0 } else { power })
    }

    /// Power of one pulse per `period` nanoseconds.
    fn rate(&self, period: u64) -> i64 {
        let per_pulse = u128::from(KWH) * 1_000_000 / u128::from(self.setup.per_kwh.max(1));
        i64::try_from(per_pulse / u128::from(period.max(1))).unwrap_or(i64::MAX)
    }

    fn rise(&mut self, at: u64) {
        let width = self.width();
        match self.run.as_mut() {
            // It was found active, and this is where that began; or the same activity goes on.
            Some(run) if run.since.is_some() => {
                if run.on.is_none() {
                    (run.on, run.since) = (Some(0), Some(at));
                }
            }
            Some(run) if at.saturating_sub(run.ended) < width => run.since = Some(at),
            _ => {
                self.run = Some(Run {
                    on: Some(0),
                    since: Some(at),
                    ended: at,
                    counted: false,
                });
            }
        }
    }

    /// Whether this end of an activity completes a pulse. The `first` edge of all ends one that was there before.
    fn fall(&mut self, at: u64, first: bool) -> bool {
        let width = self.width();
        if first && self.run.is_none() {
            self.run = Some(UNSEEN);
        }
        let Some((run, since)) = self
            .run
            .as_mut()
            .and_then(|run| run.since.take().map(|since| (run, since)))
        else {
            return false;
        };
        run.ended = at;
        run.on = run.on.map(|on| on.saturating_add(at.saturating_sub(since)));
        if run.counted || run.on.is_some_and(|on| on < width) {
            return false;
        }
        run.counted = true;
        true
    }

    fn note(&mut self, at: u64, now: Mono) {
        if let Some((before, _)) = self.last {
            self.period = Some(at.saturating_sub(before));
        }
        self.last = Some((at, now));
    }

    fn width(&self) -> u64 {
        u64::try_from(self.setup.width.as_nanos()).unwrap_or(u64::MAX)
    }
}
