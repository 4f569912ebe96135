//! What answers lead to.

use super::book::part_for;
use super::errand::Errand;
use super::flights::{Flight, Purpose};
use super::link::{Change, is_silence};
use super::machine::{ARM_CHECK_EVERY, ARM_RETRY, Driver, Look};
use super::run::{ATTEMPTS, Progress};
use super::{Effect, FailsafeReport};
use crate::device::{Block, Cadence, Reply};
use crate::domain::{DriveError, Mono, Observation, Priority};
use std::time::Duration;

/// A block that is read once and was not answered is asked for again after this.
const ONCE_RETRY: Duration = Duration::from_millis(500);
/// A device that does not carry the models of its profile is looked at again after this.
const SURVEY_RETRY: Duration = Duration::from_secs(60);
/// A line is disturbed for this long after a damaged answer. Noise that also eats whole answers leaves one here
/// and there.
const NOISE_REMEMBERED: Duration = Duration::from_secs(60);
/// But not for one that never gets through: its settings are wrong, or two share its address.
const USED_TO_ANSWER: Duration = Duration::from_secs(600);
/// A block the device refused is asked for again after this.
const REFUSED_RETRY: Duration = Duration::from_secs(600);

impl Driver {
    pub(super) fn replied(&mut self, now: Mono, id: u64, result: Result<Reply, DriveError>) {
        let Some((class, flight)) = self.flights.land(id, now, self.book.write_gap()) else {
            return;
        };
        match &result {
            Err(error) if is_silence(error) => {
                let error = error.clone();
                self.route(now, class, flight, result);
                if error == DriveError::Garbled {
                    self.garbled_at = Some(now);
                }
                let within = |at: Option<Mono>, time| at.is_some_and(|at| now.since(at) < time);
                let noisy =
                    within(self.garbled_at, NOISE_REMEMBERED) && within(self.heard_at, USED_TO_ANSWER);
                if let Some(change) = self.link.failed(now, &error, noisy) {
                    self.link_changed(now, change);
                }
            }
            Ok(_) | Err(_) => {
                self.watchdog.heard(now);
                self.heard_at = Some(now);
                // A device that is not the one of its profile is not up because it answers.
                if !self.link.is_unlike()
                    && let Some(change) = self.link.heard()
                {
                    self.link_changed(now, change);
                }
                self.route(now, class, flight, result);
            }
        }
    }

    fn route(&mut self, now: Mono, class: Priority, flight: Flight, result: Result<Reply, DriveError>) {
        match flight.purpose {
            Purpose::Lane(errand) => self.step_replied(now, class, errand, result),
            Purpose::Block(block) => self.block_replied(now, class, &block, result),
            Purpose::Look => self.look_replied(now, result),
            Purpose::Survey => self.survey_replied(now, result),
            Purpose::Feed => {
                let progress = self.feed.as_mut().map(|run| run.replied(now, result, ATTEMPTS));
                if let Some(Progress::Failed(error)) = progress {
                    self.feed = None;
                    self.unfed(now, &error);
                }
            }
        }
    }

    /// A feed did not reach the device, or was refused: it is tried again soon. Who refuses it may fall back at any
    /// time, so the watchdog does not count as armed until it has been armed anew.
    pub(super) fn unfed(&mut self, now: Mono, error: &DriveError) {
        self.watchdog.feed_failed(now);
        if is_silence(error) || !self.watchdog.is_armed() {
            return;
        }
        self.watchdog.set_armed(now, false);
        self.watch.arm_at = now.plus(ARM_RETRY);
        if let Some(report) = self.book.failsafe(&Err(error.clone())) {
            let detail = format!("the watchdog could not be fed: {error}");
            self.effects
                .push_back(Effect::Failsafe(FailsafeReport { detail, ..report }));
        }
    }

    fn survey_replied(&mut self, now: Mono, result: Result<Reply, DriveError>) {
        let over = match result {
            Ok(reply) => self.book.surveyed(Some(&reply)),
            Err(DriveError::Exception(1..=4)) => self.book.surveyed(None),
            Err(_) => {
                self.survey_at = now.plus(ONCE_RETRY);
                return;
            }
        };
        match over {
            None => self.survey_at = now,
            Some(false) => {
                self.survey_at = now.plus(SURVEY_RETRY);
                if let Some(change) = self.link.unlike(now, SURVEY_RETRY) {
                    self.link_changed(now, change);
                }
            }
            Some(true) => {
                if let Some(Change::Up) = self.link.heard() {
                    self.came_up(now);
                }
                self.timetable(now);
            }
        }
    }

    fn step_replied(&mut self, now: Mono, lane: Priority, errand: Errand, result: Result<Reply, DriveError>) {
        let most = if self.link.outage().is_some() { 1 } else { ATTEMPTS };
        let Some(run) = self.lanes.get(lane, errand).and_then(|job| job.run.as_mut()) else {
            return;
        };
        let seen = match (run.check(), &result) {
            (Some(check), Ok(reply)) if errand == Errand::Current => self
                .book
                .limit_read_back(check, reply)
                .map(|said| (said, check.judge(reply).is_ok())),
            _ => None,
        };
        let progress = run.replied(now, result, most);
        // A register on its way to the new value is nobody's business.
        if let Some((said, agrees)) = seen
            && (agrees || matches!(progress, Progress::Failed(_)))
        {
            self.effects.push_back(Effect::Observed(vec![said]));
        }
        if let Progress::Failed(error) = progress {
            self.finish(now, lane, errand, &Err(error));
        }
    }

    /// A job is over.
    pub(super) fn finish(
        &mut self,
        now: Mono,
        lane: Priority,
        errand: Errand,
        result: &Result<(), DriveError>,
    ) {
        let Some(job) = self.lanes.take(lane, errand) else {
            return;
        };
        let checks = job.run.as_ref().map(|run| run.checks()).unwrap_or_default();
        match (errand, result) {
            (Errand::Current, Ok(())) => {
                self.current.done(checks, job.tickets.is_empty());
                self.watch.current_at = now.plus(self.book.watch_period());
            }
            (Errand::Current, Err(error)) => {
                // Written again once by the driver itself; if that changes nothing either, nothing will.
                let disputed = job.tickets.is_empty() && matches!(error, DriveError::NotObeyed { .. });
                self.current.failed(checks, disputed);
                self.watch.current_at = now.plus(self.book.watch_period());
            }
            (Errand::Arm, _) => self.armed(now, result),
            (Errand::Phases, result) => self.phased(now, result),
            (Errand::Unlock, _) => {}
        }
        self.done(job.tickets, result);
    }

    /// Phases are switched, or could not be: the current is offered again either way.
    fn phased(&mut self, now: Mono, result: &Result<(), DriveError>) {
        match result {
            Ok(()) => {
                self.phased = self.phases;
                self.book.assume_phases(self.phases.unwrap_or(1));
            }
            Err(DriveError::Unsupported) => {
                self.phases = None;
                self.book.assume_phases(u8::MAX);
            }
            Err(_) => {}
        }
        self.current.forget();
        self.restore(now);
    }

    fn armed(&mut self, now: Mono, result: &Result<(), DriveError>) {
        let armed = result.is_ok() && self.book.has_watchdog();
        self.watchdog.set_armed(now, armed);
        self.watch.arm_at = now.plus(if result.is_ok() {
            ARM_CHECK_EVERY
        } else {
            ARM_RETRY
        });
        self.fallback_told = self.book.fallback_holds();
        if let Some(report) = self.book.failsafe(result) {
            self.effects.push_back(Effect::Failsafe(report));
        }
    }

    fn block_replied(
        &mut self,
        now: Mono,
        class: Priority,
        block: &Block,
        result: Result<Reply, DriveError>,
    ) {
        if class == Priority::Feed && result.is_err() {
            self.watchdog.feed_failed(now);
        }
        let index = self.book.blocks().iter().position(|known| known == block);
        match result {
            Ok(reply) => match self.book.decode(block, &reply, now) {
                Ok(observations) => {
                    let turned = self.book.uses(now, &observations);
                    self.observed(observations);
                    self.compare(now, block, &reply);
                    self.tell_fallback();
                    if let Some(turned) = turned {
                        self.spread(now, turned);
                    }
                }
                Err(_) => self.unanswered(now, index, block),
            },
            Err(DriveError::Exception(1..=4)) => {
                if self.book.refuse(block) {
                    self.timetable(now);
                } else if let (Some(index), true) = (index, block.cadence != Cadence::Once) {
                    self.polling.again_at(index, now.plus(REFUSED_RETRY));
                }
            }
            Err(_) => self.unanswered(now, index, block),
        }
    }

    /// Tells the safe state anew when the setting it depends on has changed.
    fn tell_fallback(&mut self) {
        let holds = self.book.fallback_holds();
        if self.watchdog.is_armed()
            && holds != self.fallback_told
            && let Some(report) = self.book.failsafe(&Ok(()))
        {
            self.fallback_told = holds;
            self.effects.push_back(Effect::Failsafe(report));
        }
    }

    fn unanswered(&mut self, now: Mono, index: Option<usize>, block: &Block) {
        if let (Some(index), Cadence::Once) = (index, block.cadence) {
            self.polling.again_at(index, now.plus(ONCE_RETRY));
        }
    }

    fn observed(&mut self, observations: Vec<Observation>) {
        if !observations.is_empty() {
            self.effects.push_back(Effect::Observed(observations));
        }
    }

    /// Compares a block with what was commanded, as far as it shows it.
    fn compare(&mut self, now: Mono, block: &Block, reply: &Reply) {
        let shown =
            |check: &_| part_for(check, block, reply).map(|part| crate::device::Check::judge(check, &part));
        let verdicts: Vec<_> = self.current.checks().iter().filter_map(shown).collect();
        if verdicts
            .iter()
            .any(|verdict| matches!(verdict, Err(DriveError::NotObeyed { .. })))
        {
            self.disputed(now);
        } else if !verdicts.is_empty() {
            self.current.agreed();
        }
    }

    fn look_replied(&mut self, now: Mono, result: Result<Reply, DriveError>) {
        let Some((why, check)) = self.watch.looks.pop_front() else {
            return;
        };
        let verdict = result
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|reply| check.judge(reply));
        match (why, verdict) {
            (Look::Current, Ok(())) => {
                if !self.watch.looks.iter().any(|(of, _)| *of == Look::Current) {
                    self.current.agreed();
                }
            }
            (Look::Current, Err(DriveError::NotObeyed { .. })) => {
                let said = result
                    .ok()
                    .and_then(|reply| self.book.limit_read_back(&check, &reply));
                self.observed(said.into_iter().collect());
                self.disputed(now);
            }
            (Look::Arm, Err(error @ DriveError::NotObeyed { .. })) => {
                self.watchdog.set_armed(now, false);
                if let Some(report) = self.book.failsafe(&Err(error)) {
                    self.effects.push_back(Effect::Failsafe(report));
                }
                self.forget_looks(Look::Arm);
                self.arm(now);
            }
            (Look::Current | Look::Arm, _) => {}
        }
    }

    /// Somebody else wrote, or the device restarted so fast that nobody noticed: the current is written once more,
    /// and the watchdog looked at. What still differs then is only told.
    fn disputed(&mut self, now: Mono) {
        self.forget_looks(Look::Current);
        if self.current.disputed() {
            self.restore(now);
            self.watch.arm_at = now;
        }
    }
}
