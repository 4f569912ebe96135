//! What lines of the device lead to, and what their absence does.

use super::ask::{Ask, Table};
use super::codec::Line;
use super::job::Job;
use super::machine::{Asked, RapiLine, Why};
use super::values::{self, State};
use crate::device::StreamEffect;
use crate::device::driver::link::{Change, Link};
use crate::domain::{DriveError, Mono};
use std::time::Duration;

/// Firmware that does not repeat ids may answer this much later still.
const LATE: Duration = Duration::from_secs(1);

impl RapiLine {
    pub(super) fn line(&mut self, now: Mono, line: Line) {
        match line {
            Line::Boot => {
                self.heard(now);
                self.restarted(now);
            }
            Line::State(words) => {
                if let Some((state, amps)) = State::announced(&words) {
                    self.heard(now);
                    self.amps = Some(amps);
                    self.new_state(now, state);
                    self.compare();
                }
            }
            Line::Answer { ok, id, words } => {
                let Some(asked) = self.asked else { return };
                if id.is_some() {
                    self.repeats_ids = Some(true);
                }
                let own = match (id, self.repeats_ids) {
                    (Some(id), _) => id == asked.id,
                    // Without an id where there should be one it refuses a line that was damaged on its way.
                    (None, Some(true)) => return self.failed(now, asked, &DriveError::Garbled),
                    (None, _) => true,
                };
                if own {
                    self.repeats_ids = self.repeats_ids.or(Some(id.is_some()));
                    self.asked = None;
                    self.heard(now);
                    self.answer(now, asked, ok, &words);
                }
            }
        }
    }

    pub(super) fn heard(&mut self, now: Mono) {
        if let Some(Change::Up) = self.link.heard() {
            self.effects.push_back(StreamEffect::Link {
                slot: 0,
                up: true,
                cause: None,
            });
            self.restarted(now);
        }
    }

    /// Nothing of what it was told need hold.
    fn restarted(&mut self, now: Mono) {
        self.learned.clear();
        self.table = Table::new(self.setup.poll, now);
        (self.state, self.amps, self.range) = (None, None, None);
        (self.in_force, self.granted) = (None, None);
        self.register.forget();
        self.guard.arm(now);
        self.job = None;
        if self.target() == Some(0) && self.wanted.order.is_none() {
            // A stop need not wait until the device is known.
            self.begin();
        }
    }

    fn answer(&mut self, now: Mono, asked: Asked, ok: bool, words: &[String]) {
        match asked.why {
            Why::Guard => self.guard_answered(now, asked.ask, ok, words),
            Why::Poll => {
                if !ok {
                    self.table.refused(asked.ask, now);
                } else if self.polled(now, asked.ask, words) {
                    self.table.answered(asked.ask, now);
                } else {
                    // Its check was right, its words were not: no reading, and no sign that all is well.
                    return self.table.unanswered(asked.ask, now);
                }
                let before = self.is_settled();
                self.learned.insert(asked.ask);
                if !before && self.is_settled() {
                    self.guard.arm(now);
                    self.restore();
                }
            }
            Why::Job(number) => self.job_answered(now, number, asked.ask, ok, words),
        }
    }

    fn job_answered(&mut self, now: Mono, number: u64, ask: Ask, ok: bool, words: &[String]) {
        let amps = words.first().and_then(|word| word.parse().ok());
        let mut seen = self.state;
        match ask {
            Ask::Limit(_) => {
                self.amps = amps.or(self.amps);
                self.granted = amps;
            }
            Ask::State => {
                seen = State::polled(words).filter(|_| ok);
                if let Some(state) = seen {
                    self.new_state(now, state);
                }
            }
            _ => {}
        }
        let Some(job) = self.job.as_mut().filter(|_| number == self.jobs) else {
            return;
        };
        if let Err(error) = job.answered(now, ok, amps, seen) {
            self.end(now, &Err(error));
        }
    }

    fn guard_answered(&mut self, now: Mono, ask: Ask, ok: bool, words: &[String]) {
        let setting = values::supervision(words);
        let outcome = self.guard.answered(now, ask, ok, setting);
        if let Some(outcome) = outcome {
            let (detail, safe) = (&self.setup.fallback_detail, self.setup.fallback_safe);
            let report = self.guard.report(&outcome, detail, safe);
            self.effects.push_back(StreamEffect::Failsafe { slot: 0, report });
            if matches!(ask, Ask::Arm(..)) {
                let tickets = std::mem::take(&mut self.guard.tickets);
                self.done(0, tickets, &outcome);
            }
        }
        if self.guard.missed && matches!(ask, Ask::Arm(..)) {
            self.guard.missed = false;
            self.in_force = None;
            self.restore();
        }
    }

    /// A command was not answered, or not with sense.
    pub(super) fn failed(&mut self, now: Mono, asked: Asked, cause: &DriveError) {
        self.asked = None;
        if self.repeats_ids != Some(true) {
            self.late_until = now.plus(LATE);
        }
        let change = self.link.failed(now, cause, false);
        let again = asked.again && change.is_none() && self.link.outage().is_none();
        let current = match asked.why {
            Why::Job(number) => number == self.jobs && self.job.is_some(),
            Why::Guard | Why::Poll => true,
        };
        if again && current {
            return self.send(now, asked.ask, asked.why, false);
        }
        match asked.why {
            Why::Guard => self.guard.unanswered(now, asked.ask),
            Why::Poll => self.table.unanswered(asked.ask, now),
            Why::Job(_) if current => {
                if !self.job.as_mut().is_some_and(Job::unanswered) {
                    self.end(now, &Err(cause.clone()));
                }
            }
            Why::Job(_) => {}
        }
        if let Some(Change::Down(cause)) = change {
            self.went_down(now, &cause);
        }
    }

    pub(super) fn went_down(&mut self, now: Mono, cause: &DriveError) {
        let stop_waits =
            self.wanted.order.as_ref().is_some_and(|order| order.urgent) && self.link != Link::NoPort;
        if !stop_waits && (self.wanted.order.is_some() || self.job.is_some()) {
            self.end(now, &Err(cause.clone()));
        }
        let tickets = std::mem::take(&mut self.guard.tickets);
        self.done(0, tickets, &Err(cause.clone()));
        let cause = Some(cause.clone());
        self.effects.push_back(StreamEffect::Link {
            slot: 0,
            up: false,
            cause,
        });
    }
}
