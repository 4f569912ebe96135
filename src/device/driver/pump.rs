//! What the driver does of its own accord: after every input each class is asked once more whether it can go on.

use super::book::covers;
use super::current::Standing;
use super::errand::Errand;
use super::flights::Purpose;
use super::link::Link;
use super::machine::{Driver, Look, Stage};
use super::run::{Run, Want};
use super::watchdog::FedBy;
use super::{Effect, Request};
use crate::device::{Block, Cadence, Pdu, Refusal, Step};
use crate::domain::{DeviceCommand, DriveError, Mono, Priority};
use std::time::Duration;

/// A command that must wait for the lease, or for the device to be known, is given up after this.
const HOLD: Duration = Duration::from_secs(10);

impl Driver {
    pub(super) fn pump(&mut self, now: Mono) {
        loop {
            self.wake = None;
            self.obey_lease(now);
            let moved = self.settle(now)
                || self.drive_lane(now, Priority::Stop)
                || self.drive_lane(now, Priority::Write)
                || self.drive_feed(now)
                || self.look(now)
                || self.read(now);
            if !moved {
                return;
            }
        }
    }

    /// Notes a time at which something can go on. What is past goes on by an answer, not by time.
    fn wake_at(&mut self, now: Mono, at: Mono, why: &'static str) {
        if at > now && self.wake.is_none_or(|(known, _)| at < known) {
            self.wake = Some((at, why));
        }
    }

    fn issue(&mut self, class: Priority, purpose: Purpose, pdu: Pdu, due: Mono) {
        let id = self.flights.start(class, purpose, pdu.is_write());
        let (timeout, gap) = (self.book.timeout(), self.book.gap());
        self.effects.push_back(Effect::Request(Request {
            id,
            priority: class,
            due,
            timeout,
            gap,
            pdu,
        }));
    }

    /// Takes back whatever would feed after the end of the lease.
    fn obey_lease(&mut self, now: Mono) {
        if let Some(end) = self.watchdog.lease_end(now) {
            self.wake_at(now, end, "lease end");
        }
        if !self.watchdog.may_feed(now) {
            self.cancel(Priority::Feed);
            self.feed = None;
            self.recall(now, Priority::Write);
        }
        if !self.watchdog.may_poll(now) {
            self.recall(now, Priority::Read);
            let own = self
                .lanes
                .get(Priority::Stop, Errand::Current)
                .is_some_and(|job| job.tickets.is_empty());
            if own {
                self.recall(now, Priority::Stop);
            }
        }
    }

    /// Once everything that is read once is known, the device gets its settings back.
    fn settle(&mut self, now: Mono) -> bool {
        let learning = matches!(self.flights.purpose(Priority::Read), Some(Purpose::Block(block)) if block.cadence == Cadence::Once);
        if self.stage != Stage::Learning || learning || !self.polling.onces_done() {
            return false;
        }
        if self.book.is_undecided() || self.book.survey().is_some() {
            return false;
        }
        if self.book.replan() {
            self.timetable(now);
            return true;
        }
        self.stage = Stage::Settled;
        self.watchdog.set_terms(self.book.terms());
        self.watchdog.fed(now);
        self.arm(now);
        self.rephase(now);
        self.restore(now);
        true
    }

    fn drive_lane(&mut self, now: Mono, lane: Priority) -> bool {
        if !self.flights.is_free(lane) {
            return false;
        }
        for errand in self.lanes.errands(lane) {
            if !self.may_go(now, lane, errand) {
                continue;
            }
            match self.want(now, lane, errand) {
                Err(error) => {
                    self.finish(now, lane, errand, &Err(error));
                    return true;
                }
                Ok(None) => {
                    if self.given_up(now, lane, errand) {
                        return true;
                    }
                }
                Ok(Some(Want::Nothing)) => {
                    self.finish(now, lane, errand, &Ok(()));
                    return true;
                }
                Ok(Some(Want::Wait(at))) => self.wake_at(now, at, "recipe"),
                Ok(Some(Want::Answer)) => {}
                Ok(Some(Want::Send(pdu))) => {
                    if self.may_write(now, &pdu) {
                        self.send_step(now, lane, errand, pdu);
                        return true;
                    }
                }
            }
        }
        false
    }

    fn send_step(&mut self, now: Mono, lane: Priority, errand: Errand, pdu: Pdu) {
        if errand == Errand::Current && pdu.is_write() {
            self.current.writing();
        }
        if let Some(run) = self.lanes.get(lane, errand).and_then(|job| job.run.as_mut()) {
            run.sent();
        }
        self.issue(lane, Purpose::Lane(errand), pdu, now);
    }

    /// Whether a job may go on now. A command that waited too long for that is answered.
    fn may_go(&mut self, now: Mono, lane: Priority, errand: Errand) -> bool {
        if lane == Priority::Write && errand != Errand::Phases && self.lanes.has_begun(Errand::Phases) {
            return false;
        }
        if errand == Errand::Phases && self.lanes.is_unfinished(Errand::Current) {
            // A limit that settles would be taken for the pause of the switch, and the other way round.
            return false;
        }
        let Some(job) = self.lanes.get(lane, errand) else {
            return false;
        };
        let asked = !job.tickets.is_empty();
        if lane == Priority::Stop {
            return asked || self.watchdog.may_poll(now);
        }
        if !self.lanes.errands(Priority::Stop).is_empty() {
            return false;
        }
        if self.watchdog.may_feed(now) && self.stage == Stage::Settled {
            return true;
        }
        self.given_up(now, lane, errand);
        false
    }

    /// Answers a command that has been held back for too long.
    fn given_up(&mut self, now: Mono, lane: Priority, errand: Errand) -> bool {
        let held = self
            .lanes
            .get(lane, errand)
            .filter(|job| !job.tickets.is_empty())
            .map(|job| job.since.plus(HOLD));
        let Some(until) = held else { return false };
        if now < until {
            self.wake_at(now, until, "command held");
            return false;
        }
        self.finish(now, lane, errand, &Err(DriveError::Timeout(HOLD)));
        true
    }

    /// What a job wants; its recipe is made when its turn has come. `None`: the device is not known well enough.
    fn want(&mut self, now: Mono, lane: Priority, errand: Errand) -> Result<Option<Want>, DriveError> {
        let unborn = self.lanes.get(lane, errand).is_some_and(|job| job.run.is_none());
        if unborn {
            let steps = match errand {
                Errand::Current => self.book.bring_about(&self.current),
                Errand::Unlock => self.book.recipe(DeviceCommand::Unlock, &self.current),
                Errand::Arm => self.arm_steps(),
                Errand::Phases => {
                    let phases = DeviceCommand::Phases(self.phases.unwrap_or(3));
                    self.book.recipe(phases, &self.current)
                }
            };
            let known = self.stage == Stage::Settled || self.link.outage().is_some();
            let steps = match steps {
                Ok(steps) => steps,
                Err(Refusal::NoStepFits) if !known => return Ok(None),
                Err(Refusal::Unsupported | Refusal::NoStepFits | Refusal::Unencodable { .. }) => {
                    return Err(DriveError::Unsupported);
                }
            };
            if errand == Errand::Current {
                self.current.pausing = self.book.is_pause(&self.current);
            }
            if errand == Errand::Phases {
                // Until it is over the device may be on one phase, and charging is paused.
                self.book.assume_phases(1);
                self.current.forget();
                self.forget_looks(Look::Current);
                self.current.standing = Standing::Pending;
            }
            if let Some(job) = self.lanes.get(lane, errand) {
                job.run = Some(Run::new(steps, now));
            }
        }
        let run = self.lanes.get(lane, errand).and_then(|job| job.run.as_mut());
        Ok(run.map(|run| run.want(now)))
    }

    /// Nothing to write is no failure where the watchdog needs no setting, or where there is none and nobody asked.
    fn arm_steps(&mut self) -> Result<Vec<Step>, Refusal> {
        let asked = self
            .lanes
            .get(Priority::Write, Errand::Arm)
            .is_some_and(|job| !job.tickets.is_empty());
        match self.book.recipe(DeviceCommand::ArmWatchdog, &self.current) {
            Err(Refusal::Unsupported) if self.book.has_watchdog() || !asked => Ok(Vec::new()),
            other => other,
        }
    }

    /// Whether the device takes this request now: between two writes it may want a pause.
    fn may_write(&mut self, now: Mono, pdu: &Pdu) -> bool {
        if !pdu.is_write() {
            return true;
        }
        match self.flights.write_from(self.book.write_gap()) {
            None => false,
            Some(at) => {
                self.wake_at(now, at, "write gap");
                now >= at
            }
        }
    }

    fn drive_feed(&mut self, now: Mono) -> bool {
        if self.stage != Stage::Settled
            || !self.flights.is_free(Priority::Feed)
            || !self.watchdog.may_feed(now)
        {
            return false;
        }
        if self.feed.is_none() {
            let Some(due) = self.watchdog.feed_due() else {
                return false;
            };
            if now < due {
                self.wake_at(now, due, "feed");
                return false;
            }
            if self.watchdog.fed_by() == Some(FedBy::AnyRequest) {
                return self.feed_by_read(now);
            }
            match self.book.feed(&self.current) {
                Ok(steps) => self.feed = Some(Run::new(steps, now)),
                Err(_refused) => {
                    self.unfed(now, &DriveError::Unsupported);
                    return true;
                }
            }
        }
        match self.feed.as_mut().map(|run| run.want(now)) {
            Some(Want::Send(pdu)) if self.may_write(now, &pdu) => {
                if let Some(run) = self.feed.as_mut() {
                    run.sent();
                }
                // Some devices are fed by the limit itself.
                self.current.writing();
                self.issue(Priority::Feed, Purpose::Feed, pdu, now);
                true
            }
            Some(Want::Nothing) => {
                match self.feed.take() {
                    Some(run) if run.wrote() => self.watchdog.fed(now),
                    // Nothing went to the device.
                    Some(_) | None => self.unfed(now, &DriveError::Unsupported),
                }
                true
            }
            Some(Want::Wait(at)) => {
                self.wake_at(now, at, "feed step");
                false
            }
            Some(Want::Send(_) | Want::Answer) | None => false,
        }
    }

    /// Polls have starved: a read of its own keeps the device fed.
    fn feed_by_read(&mut self, now: Mono) -> bool {
        let Some(block) = self.book.probe() else {
            return false;
        };
        let pdu = block.pdu();
        self.issue(Priority::Feed, Purpose::Block(block), pdu, now);
        true
    }

    /// Looks at registers that were written earlier and that no block covers.
    fn look(&mut self, now: Mono) -> bool {
        if self.stage != Stage::Settled || !self.watchdog.may_poll(now) {
            return false;
        }
        self.wake_at(now, self.watch.current_at, "look at the current");
        self.wake_at(now, self.watch.arm_at, "look at the watchdog");
        if now >= self.watch.current_at {
            self.watch.current_at = now.plus(self.book.watch_period());
            let uncovered = |check: &&_| {
                !self
                    .book
                    .blocks()
                    .iter()
                    .any(|block: &Block| covers(block, check))
            };
            let checks: Vec<_> = self.current.checks().iter().filter(uncovered).cloned().collect();
            self.forget_looks(Look::Current);
            self.watch
                .looks
                .extend(checks.into_iter().map(|check| (Look::Current, check)));
            return true;
        }
        if now >= self.watch.arm_at {
            self.look_at_watchdog(now);
            return true;
        }
        if !self.flights.is_free(Priority::Read) {
            return false;
        }
        let Some(pdu) = self.watch.looks.front().map(|(_, check)| check.read.clone()) else {
            return false;
        };
        self.issue(Priority::Read, Purpose::Look, pdu, now);
        true
    }

    fn look_at_watchdog(&mut self, now: Mono) {
        if !self.watchdog.is_armed() && self.book.has_watchdog() {
            return self.arm(now);
        }
        self.watch.arm_at = now.plus(super::machine::ARM_CHECK_EVERY);
        self.forget_looks(Look::Arm);
        let checks = self.book.arm_checks(&self.current);
        self.watch
            .looks
            .extend(checks.into_iter().map(|check| (Look::Arm, check)));
    }

    /// Polls and probes.
    fn read(&mut self, now: Mono) -> bool {
        if !self.flights.is_free(Priority::Read) || !self.watchdog.may_poll(now) {
            return false;
        }
        match &self.link {
            Link::NoPort => false,
            Link::Down { probe_at, .. } => {
                let mut at = *probe_at;
                let survey = self.book.survey();
                if survey.is_some() && self.link.is_unlike() {
                    at = at.max(self.survey_at);
                }
                self.wake_at(now, at, "probe");
                if let Some(pdu) = survey.filter(|_| now >= at) {
                    self.issue(Priority::Read, Purpose::Survey, pdu, now);
                    return true;
                }
                let Some(block) = self.book.probe().filter(|_| now >= at) else {
                    return false;
                };
                let pdu = block.pdu();
                self.issue(Priority::Read, Purpose::Block(block), pdu, now);
                true
            }
            Link::Unknown { .. } | Link::Up { .. } => self.read_due(now),
        }
    }

    fn read_due(&mut self, now: Mono) -> bool {
        if let Some(pdu) = self.book.survey() {
            self.wake_at(now, self.survey_at, "a walk along the models");
            if now < self.survey_at {
                return false;
            }
            self.issue(Priority::Read, Purpose::Survey, pdu, now);
            return true;
        }
        let Some((index, deadline)) = self.polling.due(now) else {
            if let Some(at) = self.polling.next() {
                self.wake_at(now, at, "poll");
            }
            return false;
        };
        // A read that is not urgent would keep the device's urgent ones waiting on a full bus.
        let soon = self.polling.shortest().map(|period| now.plus(period));
        let deadline = soon.map_or(deadline, |soon| deadline.min(soon));
        self.polling.asked(index, now);
        if let Some(block) = self.book.blocks().get(index).cloned() {
            let pdu = block.pdu();
            self.issue(Priority::Read, Purpose::Block(block), pdu, deadline);
        }
        true
    }
}
