//! From the stack of limits to what the charger is told.
//!
//! Rules:
//! * The smallest entry applies and its source goes with it; what is below the least current pauses.
//! * Lowering is told at once, whatever else waits. Raising waits until the last change has settled (a vehicle must
//!   be able to follow, IEC 61851-1).
//! * The charger is told something only when it changes, when a link came back, or when it reads back or draws
//!   something else. One that still does not obey is put to its safe state and counts as faulty, and is tried again
//!   with nothing to offer.

use crate::domain::{
    AppliedLimit, DeviceCommand, DriveError, LimitEntry, LimitSource, MilliAmps, Mono, Phase,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// Raising waits this long after the last change of an offered current.
const SETTLE: Duration = Duration::from_secs(5);
/// Read-backs younger than this after a drive may still show the old value.
const READ_BACK_AFTER: Duration = Duration::from_secs(3);
/// A device may round down by its step (1 A and the rounding of PWM), milliampere.
const STEP: i64 = 1_100;
/// Read-backs above the limit by rounding, milliampere.
const ROUNDING: i64 = 50;
/// Read-backs or drives that fail in a row before a device counts as not obeying.
const PATIENCE: u32 = 3;
/// A measured current above the limit by this much is too much, milliampere.
const OVER: i64 = 2_000;
/// A vehicle must follow within 5 s; three times that, for slow polls.
const OVER_FOR: Duration = Duration::from_secs(15);
/// A device that does not obey is tried again after this.
const RETRY_NOT_OBEYING: Duration = Duration::from_secs(30);
/// Longest wait before a failed drive is repeated.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// The winner of a stack of limits. An empty stack offers nothing.
pub(super) fn winner(entries: &[LimitEntry], min_current: MilliAmps) -> AppliedLimit {
    let least = entries.iter().min_by_key(|e| (e.amps, e.source));
    least.map_or(
        AppliedLimit {
            amps: MilliAmps::ZERO,
            source: LimitSource::Failsafe,
        },
        |e| AppliedLimit {
            amps: if e.amps < min_current {
                MilliAmps::ZERO
            } else {
                e.amps
            },
            source: e.source,
        },
    )
}

/// A command to the charger, to be sent with a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// What.
    pub(super) command: DeviceCommand,
    /// It lowers or stops.
    pub(super) lowering: bool,
}

/// What the charger was told and what it made of it.
#[derive(Debug)]
pub(super) struct Actuator {
    /// Most it may offer of its own accord.
    most: MilliAmps,
    limit: Option<Told<MilliAmps>>,
    enable: Option<Told<bool>>,
    /// The most it may still be keeping: what it confirmed last, or more that it was told since. `None`: anything.
    kept: Option<MilliAmps>,
    /// Last change of a current that was on offer.
    changed: Option<Mono>,
    failures: u32,
    retry_at: Option<Mono>,
    not_obeying: bool,
    read: Option<(MilliAmps, Mono)>,
    disagreements: u32,
    flow: BTreeMap<Phase, (MilliAmps, Mono)>,
    over_since: Option<Mono>,
}

#[derive(Clone, Copy, Debug)]
struct Told<T> {
    value: T,
    at: Mono,
    /// Not confirmed yet.
    ticket: Option<u64>,
    /// Not confirmed itself: something newer took its place on the way.
    superseded: bool,
}

impl<T> Told<T> {
    fn new(value: T, at: Mono) -> Self {
        Self {
            value,
            at,
            ticket: None,
            superseded: false,
        }
    }
}

impl Actuator {
    /// A charger that was told nothing yet.
    pub(super) fn new(most: MilliAmps) -> Self {
        Self {
            most,
            limit: None,
            enable: None,
            kept: None,
            changed: None,
            failures: 0,
            retry_at: None,
            not_obeying: false,
            read: None,
            disagreements: 0,
            flow: BTreeMap::new(),
            over_since: None,
        }
    }

    /// The limit register as read back.
    pub(super) fn read_back(&mut self, amps: MilliAmps, now: Mono) {
        self.read = Some((amps, now));
    }

    /// A current as measured.
    pub(super) fn flows(&mut self, phase: Phase, amps: MilliAmps, at: Mono) {
        self.flow.insert(phase, (amps, at));
    }

    /// Whether it failed to do what it was told.
    pub(super) fn is_not_obeying(&self) -> bool {
        self.not_obeying
    }

    /// What it was last told.
    pub(super) fn told(&self) -> Option<MilliAmps> {
        self.limit.map(|t| t.value)
    }

    /// The most it may be offering now.
    pub(super) fn in_force(&self) -> MilliAmps {
        let kept = self.kept.unwrap_or(self.most);
        self.limit.map_or(kept, |t| t.value.max(kept))
    }

    /// What it was told may be lost: it is told again.
    pub(super) fn forget(&mut self) {
        self.limit = None;
        self.enable = None;
        self.retry_at = None;
        self.read = None;
        self.kept = None;
    }

    /// When something is due without anything new being heard.
    pub(super) fn deadline(&self, wanted: MilliAmps) -> Option<Mono> {
        let raise = self
            .limit
            .filter(|t| wanted > t.value)
            .and(self.changed)
            .map(|changed| changed.plus(SETTLE));
        [
            raise,
            self.retry_at,
            self.over_since.map(|since| since.plus(OVER_FOR)),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Works out what to tell the charger. `draws`: the vehicle is in the charging state.
    pub(super) fn orders(&mut self, now: Mono, wanted: MilliAmps, enable: bool, draws: bool) -> Vec<Order> {
        let again = self.retry_at.is_some_and(|at| now >= at);
        if again {
            self.retry_at = None;
            self.enable = None;
        }
        let mut orders = Vec::new();
        self.supervise(now, draws, &mut orders);
        if self.not_obeying && self.retry_at.is_some() {
            return orders;
        }
        orders.extend(self.limit_order(now, wanted, again));
        orders.extend(self.enable_order(now, wanted, enable));
        orders
    }

    fn limit_order(&mut self, now: Mono, wanted: MilliAmps, again: bool) -> Option<Order> {
        let told = self.limit.map(|t| t.value);
        if told == Some(wanted) && !again {
            return None;
        }
        // Untold a charger may offer anything: whatever is wanted may well be less.
        let lowering = told.is_none_or(|t| wanted <= t);
        let settled = self.changed.is_none_or(|changed| now.since(changed) >= SETTLE);
        // A failed drive waits for its retry, unless less is wanted now: that never waits.
        let held = self.retry_at.is_some() && told.is_none_or(|t| wanted >= t);
        if held || !(lowering || settled) {
            return None;
        }
        if told != Some(wanted) && (wanted.0 > 0 || told.is_some_and(|t| t.0 > 0)) {
            self.changed = Some(now);
        }
        // What was told and not confirmed may be on the wire already: less counts only once it is confirmed.
        self.kept = self.kept.map(|kept| told.map_or(kept, |t| t.max(kept)));
        self.limit = Some(Told::new(wanted, now));
        self.disagreements = 0;
        self.over_since = None;
        Some(Order {
            command: DeviceCommand::Limit(wanted),
            lowering,
        })
    }

    fn enable_order(&mut self, now: Mono, wanted: MilliAmps, enable: bool) -> Option<Order> {
        if wanted.0 == 0 && self.enable.is_some_and(|t| t.value && t.ticket.is_some()) {
            // Said but not heard yet: a device that has only its limit would take it as the word to go on.
            self.enable = None;
        }
        // For the same reason charging is allowed only once a current was told, not while a raise still waits: the
        // device would go on with what it offered before. A pause leaves it allowed.
        let told = self.limit.is_some_and(|t| t.value.0 > 0);
        let enable = enable && (told || self.enable.is_some_and(|t| t.value));
        if self.enable.map(|t| t.value) == Some(enable) || (self.retry_at.is_some() && enable) {
            return None;
        }
        self.enable = Some(Told::new(enable, now));
        Some(Order {
            command: DeviceCommand::Enable(enable),
            lowering: !enable,
        })
    }

    /// An order left with this ticket.
    pub(super) fn sent(&mut self, order: Order, ticket: u64) {
        match order.command {
            DeviceCommand::Limit(_) => {
                if let Some(told) = self.limit.as_mut() {
                    told.ticket = Some(ticket);
                }
            }
            DeviceCommand::Enable(_) => {
                if let Some(told) = self.enable.as_mut() {
                    told.ticket = Some(ticket);
                }
            }
            DeviceCommand::Phases(_)
            | DeviceCommand::Unlock
            | DeviceCommand::ArmWatchdog
            | DeviceCommand::SafeState => {}
        }
    }

    /// An order with this ticket was carried out or failed. Gives the safe state to order where it failed for good.
    pub(super) fn driven(
        &mut self,
        now: Mono,
        ticket: u64,
        result: &Result<(), DriveError>,
    ) -> Option<Order> {
        let of_limit = self.limit.is_some_and(|t| t.ticket == Some(ticket));
        let of_enable = self.enable.is_some_and(|t| t.ticket == Some(ticket));
        if !of_limit && !of_enable {
            return None;
        }
        match result {
            Ok(()) => self.carried_out(now, of_limit),
            // A device without a switch of its own is steered by its limit alone.
            Err(DriveError::Unsupported) if of_enable => self.carried_out(now, false),
            Err(DriveError::Superseded) => self.superseded(now, of_limit),
            Err(DriveError::NotObeyed { .. } | DriveError::Unsupported) => return Some(self.fail(now)),
            Err(DriveError::Exception(_)) => {
                self.failures += 1;
                if self.failures >= PATIENCE {
                    return Some(self.fail(now));
                }
                self.retry_later(now);
            }
            Err(
                DriveError::Timeout(_) | DriveError::PortLost | DriveError::Garbled | DriveError::OtherDevice,
            ) => {
                self.failures += 1;
                self.retry_later(now);
            }
        }
        None
    }

    /// A device does its limit and its switch in one: what is carried out speaks for what it took the place of.
    fn carried_out(&mut self, now: Mono, of_limit: bool) {
        self.failures = 0;
        let limit_too = of_limit || self.limit.is_some_and(|t| t.superseded);
        if let Some(told) = self.limit.as_mut().filter(|_| limit_too) {
            (told.ticket, told.superseded, told.at) = (None, false, now);
            self.kept = Some(told.value);
            self.not_obeying = false;
        }
        if let Some(told) = self.enable.as_mut().filter(|t| !of_limit || t.superseded) {
            (told.ticket, told.superseded) = (None, false);
        }
    }

    /// The other of the two took its place, unless nothing of ours is under way any more.
    fn superseded(&mut self, now: Mono, of_limit: bool) {
        if of_limit {
            if let Some(told) = self.limit.as_mut() {
                (told.ticket, told.superseded) = (None, true);
            }
        } else if let Some(told) = self.enable.as_mut() {
            (told.ticket, told.superseded) = (None, true);
        }
        let under_way =
            self.limit.is_some_and(|t| t.ticket.is_some()) || self.enable.is_some_and(|t| t.ticket.is_some());
        if !under_way {
            self.retry_at = Some(now.plus(Duration::from_secs(1)));
        }
    }

    fn retry_later(&mut self, now: Mono) {
        let wait = Duration::from_secs(1 << self.failures.min(4)).min(RETRY_MAX);
        self.retry_at = Some(now.plus(wait));
    }

    fn fail(&mut self, now: Mono) -> Order {
        self.not_obeying = true;
        self.failures = 0;
        self.kept = None;
        self.over_since = None;
        // Answers still on their way are no longer of interest.
        self.limit = self.limit.map(|t| Told {
            ticket: None,
            superseded: false,
            ..t
        });
        self.enable = self.enable.map(|t| Told {
            ticket: None,
            superseded: false,
            ..t
        });
        self.retry_at = Some(now.plus(RETRY_NOT_OBEYING));
        Order {
            command: DeviceCommand::SafeState,
            lowering: true,
        }
    }

    /// Compares what the charger was told with what it reads back and lets through.
    fn supervise(&mut self, now: Mono, draws: bool, orders: &mut Vec<Order>) {
        let Some(told) = self.limit.filter(|t| t.ticket.is_none()) else {
            return;
        };
        if self.not_obeying || self.kept != Some(told.value) {
            return;
        }
        if let Some((read, _)) = self.read.take_if(|(_, at)| at.since(told.at) >= READ_BACK_AFTER) {
            let above = read.0 > told.value.0 + ROUNDING;
            let below = read.0 + STEP < told.value.0;
            if !above && !below {
                self.disagreements = 0;
            } else if self.disagreements < PATIENCE {
                self.disagreements += 1;
                self.limit = Some(Told::new(told.value, now));
                orders.push(Order {
                    command: DeviceCommand::Limit(told.value),
                    lowering: above,
                });
                return;
            } else if above && (told.value.0 > 0 || draws) {
                orders.push(self.fail(now));
                return;
            }
        }
        let too_much = self.flow.values().any(|(amps, at)| {
            amps.0 > told.value.0 + OVER && at.since(told.at) > READ_BACK_AFTER && now.since(*at) < OVER_FOR
        });
        if !too_much {
            self.over_since = None;
        } else if self.over_since.get_or_insert(now).plus(OVER_FOR) <= now {
            orders.push(self.fail(now));
        }
    }
}
