//! The driver's faces and what commands come to.

use super::book::Book;
use super::current::{Current, Standing};
use super::errand::{Errand, Job, Lanes};
use super::flights::{CLASSES, Flights, Purpose};
use super::link::{Change, Link};
use super::polling::{Pace, Polling};
use super::run::Run;
use super::watchdog::Watchdog;
use super::{Effect, Input, Snapshot};
use crate::device::{Check, LinkCost, Profile};
use crate::domain::{DeviceCommand, DeviceSetup, DriveError, MilliAmps, Mono, Now, Priority, Rng};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// The watchdog's registers are looked at this often (promise S5).
pub(super) const ARM_CHECK_EVERY: Duration = Duration::from_secs(3600);
/// An arming that failed is tried again after this.
pub(super) const ARM_RETRY: Duration = Duration::from_secs(60);

/// How well the device is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not asked yet.
    Born,
    /// It does not answer.
    Away,
    /// It answers; what is read once is being read.
    Learning,
    /// Everything recipes may depend on is known.
    Settled,
}

/// Why a register is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Does the commanded current still hold?
    Current,
    /// Does the watchdog's setting still hold?
    Arm,
}

/// Looks at registers that were written earlier.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    /// To be read, in order.
    pub(super) looks: VecDeque<(Look, Check)>,
    /// Next round for the current.
    pub(super) current_at: Mono,
    /// Next round for the watchdog.
    pub(super) arm_at: Mono,
}

/// The sans-IO machine of one device; see the [module](super).
#[derive(Clone, Debug)]
pub struct Driver {
    pub(super) book: Book,
    pub(super) rng: Rng,
    pub(super) stage: Stage,
    pub(super) link: Link,
    /// When it last answered.
    pub(super) heard_at: Option<Mono>,
    /// When an answer was last damaged.
    pub(super) garbled_at: Option<Mono>,
    pub(super) polling: Polling,
    pub(super) lanes: Lanes,
    pub(super) flights: Flights,
    pub(super) current: Current,
    /// The phases last commanded.
    pub(super) phases: Option<u8>,
    /// The phases it has confirmed since it was last heard to come back.
    pub(super) phased: Option<u8>,
    /// Whether the fallback was last told to hold, where that depends on a setting.
    pub(super) fallback_told: Option<bool>,
    pub(super) watchdog: Watchdog,
    pub(super) feed: Option<Run>,
    pub(super) watch: Watch,
    /// The walk along the models of a SunSpec device goes on then.
    pub(super) survey_at: Mono,
    pub(super) effects: VecDeque<Effect>,
    pub(super) wake: Option<(Mono, &'static str)>,
}

impl Driver {
    /// A driver that has not asked anything yet; its first deadline has passed already. The seed spreads the
    /// polls of devices that start together.
    #[must_use]
    pub fn new(profile: Arc<Profile>, setup: &DeviceSetup, cost: LinkCost, seed: u64) -> Self {
        let book = Book::new(profile, setup, cost);
        Self {
            watchdog: Watchdog::new(book.terms()),
            book,
            rng: Rng::new(seed),
            stage: Stage::Born,
            link: Link::Unknown { failures: 0 },
            heard_at: None,
            garbled_at: None,
            polling: Polling::default(),
            lanes: Lanes::default(),
            flights: Flights::default(),
            current: Current::new(),
            phases: None,
            phased: None,
            fallback_told: None,
            feed: None,
            watch: Watch::default(),
            survey_at: Mono(0),
            effects: VecDeque::new(),
            wake: Some((Mono(0), "start")),
        }
    }

    /// Takes an input.
    pub fn handle(&mut self, now: Now, input: Input) {
        let now = now.mono;
        if self.stage == Stage::Born {
            self.stage = Stage::Away;
            self.timetable(now);
        }
        match input {
            Input::Replied { id, result } => self.replied(now, id, result),
            Input::Drive {
                ticket,
                command,
                lowering,
            } => self.drive(now, ticket, command, lowering),
            Input::Lease { until } => {
                if self.watchdog.lease(now, until) && self.stage == Stage::Settled {
                    // The device has been left alone and may have fallen back.
                    self.current.forget();
                    self.arm(now);
                    self.restore(now);
                }
            }
            Input::PortLost => {
                if let Some(change) = self.link.port_lost() {
                    self.link_changed(now, change);
                }
            }
            Input::PortBack => self.link.port_back(now),
            Input::Probe => self.link.probe(now),
            Input::Tick => {}
        }
        self.pump(now);
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call again with [`Input::Tick`], and why.
    #[must_use]
    pub fn next_deadline(&self) -> Option<(Mono, &'static str)> {
        self.wake
    }

    /// Its state for the status page.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            link: match self.link {
                Link::Unknown { .. } => "unknown",
                Link::Up { .. } => "up",
                Link::Down { .. } => "down",
                Link::NoPort => "no port",
            },
            commanded: self.current.wish.offered(),
            in_force: matches!(self.current.standing, Standing::InForce { disputes: 0 | 1, .. }),
            armed: self.watchdog.is_armed(),
            outstanding: self.flights.count(),
        }
    }

    /// Draws the time table of the read plan anew; what was read once stays read.
    pub(super) fn timetable(&mut self, now: Mono) {
        self.polling = Polling::new(self.book.paces(), now, &mut self.rng);
        for (index, (block, pace)) in self.book.blocks().iter().zip(self.book.paces()).enumerate() {
            if pace == Pace::Once && self.book.is_known(block) {
                self.polling.asked(index, now);
            }
        }
    }

    pub(super) fn done(&mut self, tickets: Vec<u64>, result: &Result<(), DriveError>) {
        for ticket in tickets {
            self.effects.push_back(Effect::Done {
                ticket,
                result: result.clone(),
            });
        }
    }

    fn drive(&mut self, now: Mono, ticket: u64, command: DeviceCommand, lowering: bool) {
        let before = self.current.wish;
        let mut lane = match command {
            DeviceCommand::Limit(limit) => {
                let limit = if self.book.pauses(limit) {
                    MilliAmps::ZERO
                } else {
                    limit
                };
                self.current.limit(limit);
                if !self.book.has_switch() {
                    self.current.wish.enabled = None;
                }
                let lower = self.current.most.is_some_and(|most| limit <= most);
                command.priority(lowering || lower)
            }
            DeviceCommand::Enable(on) if self.book.has_switch() => {
                self.current.switch(on);
                command.priority(lowering)
            }
            DeviceCommand::Enable(true) => {
                let Some(limit) = self.current.resume.filter(|_| self.current.wish.is_off()) else {
                    // The limit alone decides, and it is on its way or in force already.
                    return self.done(vec![ticket], &Ok(()));
                };
                self.current.limit(limit);
                command.priority(false)
            }
            DeviceCommand::Enable(false) => {
                self.current.limit(MilliAmps::ZERO);
                Priority::Stop
            }
            DeviceCommand::SafeState => {
                self.current.safe(self.book.fallback());
                Priority::Stop
            }
            DeviceCommand::Phases(phases) => {
                if self.phased == Some(phases) && !self.lanes.has(Errand::Phases) {
                    // It does so already: a pause would be for nothing.
                    return self.done(vec![ticket], &Ok(()));
                }
                (self.phases, self.phased) = (Some(phases), None);
                return self.errand(now, Errand::Phases, Priority::Write, vec![ticket]);
            }
            DeviceCommand::Unlock => return self.errand(now, Errand::Unlock, Priority::Write, vec![ticket]),
            DeviceCommand::ArmWatchdog => {
                return self.errand(now, Errand::Arm, Priority::Write, vec![ticket]);
            }
        };
        if self.current.wish.is_off() {
            lane = Priority::Stop;
        } else if self.lanes.has_begun(Errand::Phases) {
            // Even a lower limit would offer current in the middle of switching.
            lane = Priority::Write;
        }
        let mut tickets = vec![ticket];
        if command == DeviceCommand::Enable(true) && self.book.has_switch() && before.enabled != Some(false) {
            // It adds to the limit that is still on its way and does not replace it.
            if !self.lanes.errands(Priority::Stop).is_empty() {
                lane = Priority::Stop;
            }
            tickets.splice(0..0, self.take_back(Errand::Current));
        }
        self.errand(now, Errand::Current, lane, tickets);
    }

    /// Puts an errand in its lane in place of an older one.
    fn errand(&mut self, now: Mono, errand: Errand, lane: Priority, tickets: Vec<u64>) {
        let older = self.take_back(errand);
        self.done(older, &Err(DriveError::Superseded));
        if errand == Errand::Current {
            self.forget_looks(Look::Current);
            self.current.standing = Standing::Pending;
        }
        match self.link.outage() {
            // A stop is tried even on a device that seems to be away.
            Some(cause) if self.link == Link::NoPort || lane != Priority::Stop => {
                if errand == Errand::Current {
                    self.current.failed(Vec::new(), false);
                }
                self.done(tickets, &Err(cause));
            }
            _ => self.lanes.put(lane, errand, Job::new(tickets, now)),
        }
    }

    /// Takes an errand out of its lane, with its request; who waited for it is returned.
    pub(super) fn take_back(&mut self, errand: Errand) -> Vec<u64> {
        let mut tickets = Vec::new();
        for lane in [Priority::Stop, Priority::Write] {
            if let Some(job) = self.lanes.take(lane, errand) {
                tickets.extend(job.tickets);
                if self.flights.purpose(lane) == Some(&Purpose::Lane(errand)) {
                    self.cancel(lane);
                }
            }
        }
        tickets
    }

    /// Gives up the request of a class; a recipe or block it belonged to wants it again.
    pub(super) fn recall(&mut self, now: Mono, class: Priority) {
        if let Some(Purpose::Lane(errand)) = self.flights.purpose(class).cloned()
            && let Some(run) = self.lanes.get(class, errand).and_then(|job| job.run.as_mut())
        {
            run.recall(now);
        }
        if let Some(Purpose::Block(block)) = self.flights.purpose(class)
            && let Some(index) = self.book.blocks().iter().position(|known| known == block)
        {
            self.polling.again_at(index, now);
        }
        self.cancel(class);
    }

    pub(super) fn cancel(&mut self, class: Priority) {
        if let Some(flight) = self.flights.give_up(class) {
            self.effects.push_back(Effect::Cancel(flight.id));
        }
    }

    /// Drops looks that became pointless, with the request of the one under way.
    pub(super) fn forget_looks(&mut self, why: Look) {
        let under_way = self.flights.purpose(Priority::Read) == Some(&Purpose::Look);
        if under_way && self.watch.looks.front().is_some_and(|(of, _)| *of == why) {
            self.cancel(Priority::Read);
        }
        self.watch.looks.retain(|(of, _)| *of != why);
    }

    /// Writes watchdog and settings again.
    pub(super) fn arm(&mut self, now: Mono) {
        if !self.lanes.has(Errand::Arm) {
            self.lanes
                .put(Priority::Write, Errand::Arm, Job::new(Vec::new(), now));
        }
        self.watch.arm_at = now.plus(ARM_CHECK_EVERY);
    }

    /// Switches to the last commanded phases again.
    pub(super) fn rephase(&mut self, now: Mono) {
        self.phased = None;
        if self.phases.is_some() && !self.lanes.has(Errand::Phases) {
            self.lanes
                .put(Priority::Write, Errand::Phases, Job::new(Vec::new(), now));
        }
    }

    /// Writes the last commanded current again.
    pub(super) fn restore(&mut self, now: Mono) {
        let wish = self.current.wish;
        if self.lanes.has(Errand::Current) || (wish.limit.is_none() && wish.enabled.is_none()) {
            return;
        }
        let lane = if wish.is_off() || wish.safe {
            Priority::Stop
        } else {
            Priority::Write
        };
        self.forget_looks(Look::Current);
        self.current.standing = Standing::Pending;
        self.lanes.put(lane, Errand::Current, Job::new(Vec::new(), now));
    }

    /// The vehicle is seen to use another number of phases: a limit in watt is made anew. Fewer is a lower limit.
    pub(super) fn spread(&mut self, now: Mono, (before, after): (u8, u8)) {
        let wish = self.current.wish;
        let idle = wish.limit.is_none() || wish.is_off();
        if before == after || idle || self.stage != Stage::Settled || self.lanes.has_begun(Errand::Phases) {
            return;
        }
        let tickets = self.take_back(Errand::Current);
        self.current.forget();
        self.forget_looks(Look::Current);
        self.current.standing = Standing::Pending;
        let lane = if after < before || wish.safe {
            Priority::Stop
        } else {
            Priority::Write
        };
        self.lanes.put(lane, Errand::Current, Job::new(tickets, now));
    }

    pub(super) fn link_changed(&mut self, now: Mono, change: Change) {
        match change {
            Change::Up => {
                self.book.forget();
                self.survey_at = now;
                self.came_up(now);
            }
            Change::Down(cause) => self.went_down(&cause),
        }
    }

    /// The device is there; what is known of where its registers are stays known.
    pub(super) fn came_up(&mut self, now: Mono) {
        self.effects.push_back(Effect::Link {
            up: true,
            cause: None,
        });
        self.stage = Stage::Learning;
        self.current.forget();
        self.watchdog.set_armed(now, false);
        self.timetable(now);
        self.watch.current_at = now.plus(self.book.watch_period());
        if self.current.wish.is_off() {
            // A stop need not wait until the device is known.
            self.restore(now);
        }
    }

    fn went_down(&mut self, cause: &DriveError) {
        let port_lost = self.link == Link::NoPort;
        self.stage = Stage::Away;
        for class in CLASSES {
            if port_lost || class != Priority::Stop {
                self.cancel(class);
            }
        }
        self.watch.looks.clear();
        self.feed = None;
        for lane in [Priority::Stop, Priority::Write] {
            for errand in self.lanes.errands(lane) {
                let waits = self
                    .lanes
                    .get(lane, errand)
                    .is_some_and(|job| !job.tickets.is_empty());
                if lane == Priority::Stop && waits && !port_lost {
                    continue;
                }
                if lane == Priority::Stop {
                    self.cancel(lane);
                }
                if let Some(job) = self.lanes.take(lane, errand) {
                    if errand == Errand::Current {
                        self.current.failed(Vec::new(), false);
                    }
                    self.done(job.tickets, &Err(cause.clone()));
                }
            }
        }
        self.effects.push_back(Effect::Link {
            up: false,
            cause: Some(cause.clone()),
        });
    }
}
