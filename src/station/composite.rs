//! The stack of limits of an EVSE, now or at a moment ahead: one code for what is enforced and for what is announced.

use super::Station;
use super::evse::Evse;
use super::io::Role;
use super::limits::winner;
use super::smart::{Ceiling, Moment, watts_per_amp};
use crate::domain::{
    AuthMode, CompositePeriod, CompositeSchedule, EvseId, EvseSetup, LimitEntry, LimitSource, MilliAmps,
    Mono, RateUnit, VehicleState,
};

/// Most periods in an answer.
const PERIODS_MAX: usize = 1024;
/// Longest schedule that is computed, seconds: a week and a day.
const DURATION_MAX_S: u32 = 8 * 86_400;

/// The lasting restrictions at one moment, and how long they last.
struct Standing {
    entries: Vec<LimitEntry>,
    /// The ceiling of the transaction as its profile says it, for answers in the same unit.
    tx: Option<Ceiling>,
    left_ms: i64,
}

impl Station {
    /// Every restriction of an EVSE now, and when the next of them changes.
    pub(super) fn stack(&self, id: EvseId, evse: &Evse) -> (Vec<LimitEntry>, Option<Mono>) {
        let standing = self.standing(id, evse, self.moment(evse), 0);
        let mut entries = standing.entries;
        entries.extend(self.momentary(evse));
        entries.sort_by_key(|e| (e.amps, e.source));
        let until = u64::try_from(standing.left_ms)
            .ok()
            .filter(|_| standing.left_ms < i64::MAX)
            .map(|ms| Mono(self.now.mono.0.saturating_add(ms)));
        (entries, until)
    }

    /// What the CSMS leaves all EVSEs together just now, per phase as the first of them is wired.
    pub(super) fn ceiling(&self) -> Option<MilliAmps> {
        let (id, evse) = self.evses.first_key_value()?;
        let whole = self.smart.ceilings(*id, self.moment(evse)).charge_point?;
        Some(whole.amps(&evse.setup))
    }

    /// Answers GetCompositeSchedule.
    pub(super) fn composite(
        &self,
        evse: Option<EvseId>,
        duration_s: u32,
        unit: Option<RateUnit>,
    ) -> Result<CompositeSchedule, &'static str> {
        let concerned: Vec<(EvseId, &Evse)> = match evse {
            Some(id) => vec![(id, self.evses.get(&id).ok_or("no such EVSE")?)],
            None => self.evses.iter().map(|(id, e)| (*id, &**e)).collect(),
        };
        let unit = unit.or_else(|| self.smart.usual_unit()).unwrap_or(RateUnit::Amps);
        let duration_s = duration_s.min(DURATION_MAX_S);
        let mut periods: Vec<CompositePeriod> = Vec::new();
        let mut at_s = 0;
        while at_s < duration_s && periods.len() < PERIODS_MAX {
            let (period, left_ms) = self.period(&concerned, evse.is_none(), at_s, unit);
            let same = |p: &CompositePeriod| {
                CompositePeriod {
                    start_s: p.start_s,
                    ..period
                } == *p
            };
            if !periods.last().is_some_and(same) {
                periods.push(period);
            }
            let step = left_ms.saturating_add(999) / 1000;
            at_s = at_s.saturating_add(u32::try_from(step.max(1)).unwrap_or(u32::MAX));
        }
        Ok(CompositeSchedule {
            evse,
            start_ms: self.now.wall.unix_ms,
            duration_s,
            unit,
            periods,
        })
    }

    /// The moment as the profiles of an EVSE see it.
    fn moment(&self, evse: &Evse) -> Moment {
        Moment {
            unix_ms: self.now.wall.unix_ms,
            clock: self.now.wall.quality > crate::domain::ClockQuality::Unset,
            into_tx_ms: evse.tx.as_ref().map_or(0, |tx| tx.ran_ms(self.now.mono)),
        }
    }

    fn period(
        &self,
        concerned: &[(EvseId, &Evse)],
        all: bool,
        at_s: u32,
        unit: RateUnit,
    ) -> (CompositePeriod, i64) {
        let ahead_ms = i64::from(at_s) * 1000;
        let mut sum = 0i64;
        let mut left_ms = i64::MAX;
        let mut tightest: Option<(MilliAmps, LimitSource)> = None;
        let mut phases = 1;
        let mut bound = None;
        for (id, evse) in concerned {
            let moment = self.moment(evse).after(ahead_ms);
            let standing = self.standing(*id, evse, moment, ahead_ms);
            let limit = winner(&standing.entries, evse.setup.min_current);
            phases = phases.max(evse.setup.phases);
            left_ms = left_ms.min(standing.left_ms);
            if tightest.is_none_or(|(amps, _)| limit.amps < amps) {
                tightest = Some((limit.amps, limit.source));
            }
            // In its own unit a profile is repeated exactly; otherwise the enforced current is converted.
            let as_said = standing
                .tx
                .filter(|c| c.unit == unit && c.source == limit.source && limit.amps.0 > 0);
            sum = sum
                .saturating_add(as_said.map_or_else(|| in_unit(limit.amps, &evse.setup, unit), |c| c.milli));
            if all {
                bound = self.smart.ceilings(*id, moment).charge_point;
            }
        }
        let mut source = tightest.map_or(LimitSource::Installation, |(_, source)| source);
        if let Some(ceiling) = bound {
            let most = match concerned.first() {
                Some((_, evse)) if ceiling.unit != unit => {
                    in_unit(ceiling.amps(&evse.setup), &evse.setup, unit)
                }
                _ => ceiling.milli,
            };
            if most < sum {
                sum = most;
                source = ceiling.source;
            }
        }
        (
            CompositePeriod {
                start_s: at_s,
                limit_milli: sum,
                phases,
                source,
            },
            left_ms,
        )
    }

    /// What restricts an EVSE for longer than a moment.
    fn standing(&self, id: EvseId, evse: &Evse, moment: Moment, ahead_ms: i64) -> Standing {
        let (mut entries, own) = own_entries(evse, self.now.mono, ahead_ms);
        let mut left_ms = own;
        let ceilings = self.smart.ceilings(id, moment);
        left_ms = left_ms.min(ceilings.left_ms);
        entries.extend(ceilings.tx.map(|c| entry(c.amps(&evse.setup), c.source)));
        let mut tx = ceilings.tx;
        if let Some(ceiling) = ceilings.charge_point {
            let amps = self.share_of(id, evse, &ceiling, moment, ahead_ms);
            entries.push(entry(amps, ceiling.source));
            if self.evses.len() == 1 && tx.is_none_or(|t| ceiling.amps(&evse.setup) < t.amps(&evse.setup)) {
                tx = Some(ceiling);
            }
        }
        Standing { entries, tx, left_ms }
    }

    /// The part of the charge point's ceiling that falls to one EVSE: it holds for all of them together
    /// (section 3.13.3). Whoever charges gets its least current, in order of EVSE; the rest is filled up evenly.
    /// Nobody gets what another may still be drawing.
    fn share_of(
        &self,
        id: EvseId,
        evse: &Evse,
        ceiling: &Ceiling,
        moment: Moment,
        ahead_ms: i64,
    ) -> MilliAmps {
        let factor = |setup: &EvseSetup| match ceiling.unit {
            RateUnit::Amps => 1,
            RateUnit::Watts => watts_per_amp(setup, ceiling.phases),
        };
        if self.evses.len() == 1 {
            return ceiling.amps(&evse.setup);
        }
        let mut rest = ceiling.milli;
        let mut chosen: Vec<(EvseId, i64)> = Vec::new();
        for (other_id, other) in self.evses.iter().filter(|(i, e)| **i == id || e.wants_current()) {
            let floor = other.setup.min_current.0 * factor(&other.setup);
            let floor = floor.max(ceiling.min_rate.unwrap_or(0).min(ceiling.milli));
            if floor <= rest {
                rest -= floor;
                let (mut entries, _) = own_entries(other, self.now.mono, ahead_ms);
                let own = self.smart.ceilings(*other_id, moment).tx;
                entries.extend(own.map(|c| entry(c.amps(&other.setup), c.source)));
                let most = winner(&entries, other.setup.min_current).amps.0 * factor(&other.setup);
                chosen.push((*other_id, (most - floor).max(0)));
            }
        }
        chosen.sort_by_key(|(other, room)| (*room, *other));
        let mut share = 0;
        let mut left = i64::try_from(chosen.len()).unwrap_or(i64::MAX);
        for (other, room) in chosen {
            let more = room.min(rest / left.max(1));
            rest -= more;
            left -= 1;
            if other == id {
                let floor = evse.setup.min_current.0 * factor(&evse.setup);
                share = floor.max(ceiling.min_rate.unwrap_or(0).min(ceiling.milli)) + more;
            }
        }
        if ahead_ms == 0 {
            let others: i64 = self
                .evses
                .iter()
                .filter(|(i, _)| **i != id)
                .map(|(_, e)| e.may_draw(self.now.mono).0 * factor(&e.setup))
                .sum();
            share = share.min((ceiling.milli - others).max(0));
        }
        MilliAmps(share / factor(&evse.setup))
    }

    /// What restricts an EVSE just now and is no part of any plan.
    fn momentary(&self, evse: &Evse) -> Vec<LimitEntry> {
        let mut entries = Vec::new();
        let mut stop = |source| entries.push(entry(MilliAmps::ZERO, source));
        let live = evse.tx.as_ref().is_some_and(|tx| tx.live) || evse.wakes.is_some();
        let own_way = matches!(evse.setup.auth, AuthMode::Charger(_)) && !evse.done && !evse.is_out();
        if self.is_refused(evse) || (!live && (evse.tx.is_some() || !own_way)) {
            stop(LimitSource::NotAuthorised);
        }
        let stopped = !evse.emergency.is_idle();
        if self.leaving || evse.actuator.is_not_obeying() || evse.is_faulty() || stopped {
            stop(LimitSource::Failsafe);
        }
        // Whoever would keep its last current for ever gets none that is worth keeping (S5).
        let metered = evse.meter_well(self.now.mono) || evse.wakes.is_some();
        if live && (!metered || evse.unguarded.is_some()) {
            entries.push(entry(evse.setup.min_current, LimitSource::Failsafe));
        }
        entries
    }
}

impl Evse {
    /// Whether the charger reports a fault.
    pub(super) fn is_faulty(&self) -> bool {
        self.fault.is_some() || matches!(self.vehicle, Some(VehicleState::Fault(_)))
    }

    /// Whether it would use current if it were given some.
    pub(super) fn wants_current(&self) -> bool {
        (self.wakes.is_some() || self.tx.as_ref().is_some_and(|tx| tx.live)) && self.plugged != Some(false)
            || self.vehicle == Some(VehicleState::Charging)
    }

    /// The most its vehicle may be drawing now. A charger that is not fed may have fallen back by itself, to more
    /// than it was told, and to a vehicle of which nobody heard.
    pub(super) fn may_draw(&self, now: Mono) -> MilliAmps {
        let told = if self.plugged == Some(false) {
            MilliAmps::ZERO
        } else {
            self.actuator.in_force()
        };
        if self.is_down(Role::Charger) || !self.lease.holds(now) {
            told.max(self.fallback.unwrap_or_default())
        } else {
            told
        }
    }

    /// Whether the billing register is fresh and moves.
    pub(super) fn meter_well(&self, now: Mono) -> bool {
        !self.meter_stale(now)
            && !self.register.is_frozen(self.setup.meter_stale_after)
            && !self.is_down(self.meter_role())
    }

    /// Whether the charger itself is the meter.
    pub(super) fn meters_itself(&self) -> bool {
        self.meter_role() == Role::Charger
    }
}

/// What the EVSE itself, its hardware, its fuse and its operator allow at a time ahead, and for how long.
fn own_entries(evse: &Evse, now: Mono, ahead_ms: i64) -> (Vec<LimitEntry>, i64) {
    let mut entries = vec![entry(evse.setup.max_current, LimitSource::Installation)];
    entries.extend(evse.hardware.map(|amps| entry(amps, LimitSource::Hardware)));
    entries.extend(
        evse.shared
            .map(|share| entry(share.amps, LimitSource::SharedFuse)),
    );
    // Nobody knows when it ends: foretold for as long as is asked.
    if !evse.dimming.is_idle() {
        entries.push(entry(evse.setup.dimmed_current, LimitSource::GridOperator));
    }
    if evse.held {
        entries.push(entry(MilliAmps::ZERO, LimitSource::Local));
    }
    let mut left_ms = i64::MAX;
    if let Some(local) = evse.local {
        let rest = local.until.map_or(i64::MAX, |until| {
            i64::try_from(until.0.saturating_sub(now.0))
                .unwrap_or(i64::MAX)
                .saturating_sub(ahead_ms)
        });
        if rest > 0 {
            entries.push(local);
            left_ms = rest;
        }
    }
    (entries, left_ms)
}

fn entry(amps: MilliAmps, source: LimitSource) -> LimitEntry {
    LimitEntry {
        amps,
        source,
        until: None,
    }
}

/// A current per phase of an EVSE in a unit.
fn in_unit(amps: MilliAmps, evse: &EvseSetup, unit: RateUnit) -> i64 {
    match unit {
        RateUnit::Amps => amps.0,
        RateUnit::Watts => amps.0.saturating_mul(watts_per_amp(evse, evse.phases)),
    }
}
