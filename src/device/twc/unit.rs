//! One wall connector as the master sees it.

use super::codec::{Beat, Id, Said, Tell, Version};
use super::contactor::Contactor;
use super::meter::Meter;
use super::plug::Plug;
use super::vin::Vin;
use crate::device::FailsafeReport;
use crate::device::wanted::{Bounds, Wanted};
use crate::domain::{
    DeviceFact, DriveError, IdToken, MilliAmps, Mono, Observation, Phase, Quality, Quantity, Reading,
    TokenKind,
};
use std::time::Duration;

/// A limit is raised at most this often; it is lowered at once.
const RAISE_EVERY: Duration = Duration::from_secs(5);
/// A unit that still reports another limit after this does not obey.
const SETTLE: Duration = Duration::from_secs(8);
/// Unanswered heartbeats, and silence, that make a unit count as away. Its own patience with a master is as long.
const MISSES: u8 = 3;
const AWAY_AFTER: Duration = Duration::from_secs(10);
/// After this silence only a link-ready of the unit brings it back.
const DROPPED_AFTER: Duration = Duration::from_secs(26);
/// Currents below this are the offset of the unit's own measurement, 0.01 A.
const OFFSET: u16 = 80;
/// No unit carries more than this, 0.01 A.
const PLAUSIBLE: u16 = 10_000;
/// Protocols 1 and 2 start a vehicle at these.
const LEAST_ONE: MilliAmps = MilliAmps::from_base(5);
const LEAST_TWO: MilliAmps = MilliAmps::from_base(6);

/// Whether a unit answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// Not heard yet.
    Unknown,
    /// It answers.
    Up,
    /// It does not, or its port is gone.
    Down(DriveError),
}

/// A slave's last heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Report {
    state: u8,
    limit: u16,
    actual: u16,
}

impl Report {
    /// States in which the unit certainly repeats the limit it was given. A unit at rest may show zero.
    fn shows_limit(self) -> bool {
        matches!(self.state, 0x01 | 0x04 | 0x08 | 0x0A)
    }

    /// Whether protocol 2 still takes the limit that is given before charging.
    fn is_before_charging(self) -> bool {
        matches!(self.state, 0x00 | 0x04 | 0x08)
    }

    fn obeys(self, limit: u16) -> bool {
        self.limit == limit || (self.limit < limit && !self.shows_limit())
    }
}

/// What the answer to a heartbeat comes to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    /// What it says.
    pub(super) said: Vec<Observation>,
    /// The end of what waited for it.
    pub(super) end: Option<Result<(), DriveError>>,
}

/// The unit of one slot.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// As configured; `None`: the first that announces itself.
    pub(super) address: Option<Id>,
    ceiling: MilliAmps,
    pub(super) failsafe: FailsafeReport,
    /// Who it is, once it has announced itself.
    pub(super) id: Option<Id>,
    version: Version,
    most: MilliAmps,
    pub(super) wanted: Wanted,
    carried: MilliAmps,
    changed: Option<Mono>,
    /// It may be kept alive before this.
    pub(super) lease: Mono,
    pub(super) link: Link,
    /// It takes part: not dropped for its silence.
    pub(super) present: bool,
    heard: Mono,
    /// The last heartbeat to it.
    pub(super) beaten: Option<Mono>,
    misses: u8,
    report: Option<Report>,
    plug: Plug,
    pub(super) meter: Meter,
    pub(super) vin: Vin,
    pub(super) contactor: Contactor,
}

impl Unit {
    /// A unit nothing is known of.
    pub(super) fn new(address: Option<Id>, ceiling: MilliAmps, failsafe: FailsafeReport) -> Self {
        Self {
            address,
            ceiling,
            failsafe,
            id: None,
            version: Version::One,
            most: ceiling,
            wanted: Wanted::default(),
            carried: MilliAmps::ZERO,
            changed: None,
            lease: Mono(0),
            link: Link::Unknown,
            present: false,
            heard: Mono(0),
            beaten: None,
            misses: 0,
            report: None,
            plug: Plug::default(),
            meter: Meter::default(),
            vin: Vin::default(),
            contactor: Contactor::default(),
        }
    }

    /// Whether the gateway may act toward it of its own accord.
    pub(super) fn is_leased(&self, now: Mono) -> bool {
        now < self.lease
    }

    /// It announced itself.
    pub(super) fn announced(&mut self, now: Mono, id: Id, most: u16, version: Version) -> Vec<Observation> {
        if self.id != Some(id) {
            self.meter = Meter::default();
        }
        self.id = Some(id);
        self.version = version;
        self.most = milli(most).min(self.ceiling);
        self.heard = now;
        self.present = true;
        self.misses = 0;
        // It may have been without power: nothing of what it was told holds.
        self.report = None;
        self.beaten = None;
        self.plug = Plug::default();
        self.contactor = Contactor::default();
        self.meter.lost();
        let form = if version == Version::One { "1" } else { "2" };
        vec![
            Observation::HardwareLimit(self.most),
            Observation::Fact(DeviceFact::Model, "Wall Connector Gen 2".to_owned()),
            Observation::Fact(DeviceFact::MapVersion, form.to_owned()),
        ]
    }

    /// What the heartbeats are to carry from now on: less at once, more not too often. When to look again.
    pub(super) fn settle(&mut self, now: Mono) -> Option<Mono> {
        let wanted = self.target();
        if wanted < self.carried {
            (self.carried, self.changed) = (wanted, Some(now));
        }
        if wanted > self.carried {
            let from = self.changed.map_or(now, |changed| changed.plus(RAISE_EVERY));
            if now < from {
                return Some(from);
            }
            (self.carried, self.changed) = (wanted, Some(now));
        }
        None
    }

    /// The wanted current as this unit can be told. What nobody has asked for is not offered: the bus knows no
    /// authorisation.
    fn target(&self) -> MilliAmps {
        let least = if self.version == Version::One {
            LEAST_ONE
        } else {
            LEAST_TWO
        };
        let bounds = Bounds {
            least,
            most: self.most,
        };
        bounds.fit(self.wanted.offered().unwrap_or(MilliAmps::ZERO))
    }

    /// Whether a limit is not above what is carried now.
    pub(super) fn is_lowering(&self) -> bool {
        self.target() <= self.carried
    }

    /// The heartbeat to send now, and the limit it stands for.
    pub(super) fn beat(&mut self, now: Mono) -> Option<(Tell, u16)> {
        let (to, version, limit) = (self.id?, self.version, centi(self.carried));
        let told = self.report.is_some_and(|report| report.limit == limit);
        let early = self.report.is_none_or(Report::is_before_charging);
        let command = match version {
            // Zero is said again and again: a plain heartbeat makes some units close their contactor.
            _ if told && limit > 0 => Beat::Keep,
            Version::Two if !early => Beat::LimitCharging(limit),
            Version::One | Version::Two => Beat::Limit(limit),
        };
        self.beaten = Some(now);
        let reached = self.carried == self.target();
        if let Some(order) = self.wanted.order.as_mut().filter(|_| reached) {
            order.told.get_or_insert(now);
        }
        Some((Tell::Heartbeat { to, version, command }, limit))
    }

    /// It answered a heartbeat. `sent`: the limit of the one that waited for an answer. Gives what it says, and the
    /// end of what waited for that.
    pub(super) fn answered(&mut self, now: Mono, said: Said, sent: Option<u16>) -> Option<Answer> {
        let Said::Heartbeat {
            state,
            limit,
            actual,
            version,
            ..
        } = said
        else {
            return None;
        };
        if version != self.version || actual > PLAUSIBLE {
            return None;
        }
        let actual = if actual < OFFSET { 0 } else { actual };
        let report = Report { state, limit, actual };
        self.report = Some(report);
        self.heard = now;
        self.misses = 0;
        self.present = true;
        self.meter.flows(now, milli(actual).0);
        // Said to it, not only wanted: the heartbeat it answers carried zero.
        let told = self.carried.0 == 0 && sent.is_none_or(|sent| sent == 0);
        self.contactor.flows(now, told, told && limit == 0, actual);
        let end = sent.and_then(|sent| self.judge(now, report, sent));
        Some(Answer {
            said: self.observe(now, report),
            end,
        })
    }

    fn judge(&mut self, now: Mono, report: Report, sent: u16) -> Option<Result<(), DriveError>> {
        let reached = sent == centi(self.target());
        let order = self.wanted.order.as_mut()?;
        order.unanswered = 0;
        let told = order.told.filter(|_| reached)?;
        if report.obeys(sent) {
            return Some(Ok(()));
        }
        let patience_over = now.since(told) >= SETTLE;
        patience_over.then(|| {
            Err(DriveError::NotObeyed {
                wrote: u64::from(sent),
                read: u64::from(report.limit),
            })
        })
    }

    fn observe(&mut self, now: Mono, report: Report) -> Vec<Observation> {
        let before = self.plug.plugged();
        let vehicle = self
            .plug
            .state(now, report.state, report.limit > 0, report.actual > 0);
        let mut said: Vec<Observation> = self
            .meter
            .readings(milli(report.actual).0)
            .into_iter()
            .map(Observation::Reading)
            .collect();
        if let Some(state) = vehicle {
            let raw = u64::from(report.state);
            said.push(Observation::Vehicle { state, raw });
        }
        match (before, self.plug.plugged()) {
            (None | Some(false), Some(true)) => self.vin.plugged(now),
            (_, Some(false)) => {
                self.vin.gone();
                said.push(Observation::Token(None));
            }
            _ => {}
        }
        said.push(Observation::Reading(Reading {
            quantity: Quantity::CurrentOffered,
            phase: Phase::Total,
            milli: milli(report.limit).0,
            quality: Quality::Good,
            taken_at: now,
        }));
        // On its way to a new limit it is nobody's business, and a unit at rest need not show one.
        let carried = centi(self.carried);
        if self.wanted.order.is_none() && (report.limit >= carried || report.shows_limit()) {
            said.push(Observation::LimitReadBack(milli(report.limit)));
        }
        said
    }

    /// A heartbeat was not answered. Gives the end of what waited for that, and why the unit counts as away, if it
    /// does from now on.
    pub(super) fn missed(
        &mut self,
        now: Mono,
        timeout: Duration,
    ) -> (Option<DriveError>, Option<DriveError>) {
        self.misses = self.misses.saturating_add(1);
        let silence = DriveError::Timeout(timeout);
        // A unit that is away already is tried once.
        let most = if self.link == Link::Up { MISSES } else { 1 };
        let given_up = self.wanted.order.as_mut().is_some_and(|order| {
            order.unanswered = order.unanswered.saturating_add(1);
            order.unanswered >= most
        });
        let away = self.link == Link::Up && self.misses >= MISSES && now.since(self.heard) >= AWAY_AFTER;
        if away {
            self.link = Link::Down(silence.clone());
            self.meter.lost();
        }
        if now.since(self.heard) >= DROPPED_AFTER {
            self.present = false;
        }
        (given_up.then(|| silence.clone()), away.then_some(silence))
    }

    /// The port is gone; whether the unit was not away already.
    pub(super) fn port_lost(&mut self) -> bool {
        self.meter.lost();
        let before = std::mem::replace(&mut self.link, Link::Down(DriveError::PortLost));
        before != Link::Down(DriveError::PortLost)
    }

    /// The port is back: a unit whose patience cannot have ended goes on as if nothing had been.
    pub(super) fn port_back(&mut self, now: Mono) {
        self.present &= now.since(self.heard) < DROPPED_AFTER;
        self.misses = 0;
        self.beaten = None;
    }

    /// A question that can wait for the time between two heartbeats.
    pub(super) fn question(&mut self, now: Mono) -> Option<Tell> {
        let id = self
            .id
            .filter(|_| self.present && self.link == Link::Up && self.report.is_some())?;
        if let Some(on) = self.contactor.due(now, self.carried.0 > 0) {
            return Some(if on { Tell::Start(id) } else { Tell::Stop(id) });
        }
        if now >= self.meter.due() {
            return Some(Tell::Energy(id));
        }
        let vin = self.vin.due().filter(|due| now >= *due && self.meter.is_known());
        vin.map(|_| Tell::Vin(id, self.vin.part()))
    }

    /// A question was not answered.
    pub(super) fn unanswered(&mut self, now: Mono, question: Tell) {
        match question {
            Tell::Energy(_) => self.meter.unanswered(now),
            Tell::Vin(..) => self.vin.failed(now),
            _ => {}
        }
    }

    /// It answered a question.
    pub(super) fn told(&mut self, now: Mono, said: Said) -> Vec<Observation> {
        match said {
            Said::Energy { kwh, volts, .. } => self.meter.counted(now, kwh, volts),
            Said::Vin { part, text, .. } => {
                if self.vin.heard(now, part, text) {
                    let token = self.vin.known().map(|vin| IdToken::new(vin, TokenKind::Local));
                    return vec![Observation::Token(token)];
                }
            }
            Said::Switched { on, .. } => self.contactor.acknowledged(on),
            Said::LinkReady { .. } | Said::Heartbeat { .. } => {}
        }
        Vec::new()
    }
}

/// 0.01 A in milliampere.
fn milli(centi: u16) -> MilliAmps {
    MilliAmps(i64::from(centi) * 10)
}

fn centi(amps: MilliAmps) -> u16 {
    u16::try_from(amps.0 / 10).unwrap_or(0)
}
