//! EVSEs kept for a token (OCPP 1.6 sections 3.11 and 5.13; 2.0.1 block H).
//!
//! Rules:
//! * A reserved EVSE serves only the token of the reservation, or one of its group.
//! * A reservation of no particular EVSE keeps one free: others may take any but the last.
//! * It ends with the transaction it was made for, at its time, when it is given up, and when what it keeps is faulty
//!   or out of service. It survives a restart.
//! * An EVSE whose charger itself lets people charge cannot be kept from them and is not reserved.

use super::Station;
use super::evse::Evse;
use super::status;
use super::tx::Pending;
use crate::domain::{
    Accepted, AuthMode, Batch, ConnectorStatus, EvseId, IdToken, Mono, Now, Put, Reservation, ReserveOutcome,
    VehicleState,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a token may do at an EVSE as far as reservations go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It uses this reservation up.
    Own(i32),
    /// Nothing stands against it.
    Free,
    /// Only if its group, which is not known, is that of a reservation.
    Unclear,
    /// The EVSE is kept for another.
    Kept,
}

/// What is reserved, by id.
#[derive(Debug, Default)]
pub(super) struct Reservations {
    held: BTreeMap<i32, Reservation>,
}

impl Reservations {
    /// Takes back a stored reservation.
    pub(super) fn restore(&mut self, value: &str) {
        if let Ok(reservation) = serde_json::from_str::<Reservation>(value) {
            self.held.insert(reservation.id, reservation);
        }
    }

    /// The reservation of one EVSE.
    fn of(&self, id: EvseId) -> Option<&Reservation> {
        self.held
            .values()
            .find(|reservation| reservation.evse == Some(id))
    }

    /// Reservations of no particular EVSE.
    fn of_any(&self) -> impl Iterator<Item = &Reservation> {
        self.held
            .values()
            .filter(|reservation| reservation.evse.is_none())
    }

    /// When the next one ends by its time.
    pub(super) fn deadline(&self, now: Now) -> Option<Mono> {
        let next = self
            .held
            .values()
            .map(|reservation| reservation.expires_ms)
            .min()?;
        let ahead = u64::try_from(next.saturating_sub(now.wall.unix_ms)).unwrap_or(0);
        Some(now.mono.plus(Duration::from_millis(ahead)))
    }
}

fn matches(reservation: &Reservation, token: Option<&IdToken>, group: Option<&str>) -> bool {
    let own = token.is_some_and(|token| *token == reservation.token);
    let related = group.is_some() && reservation.group.as_deref() == group;
    own || related
}

impl Station {
    /// What a token may do at an EVSE; its group, where it is known.
    pub(super) fn claim(&self, id: EvseId, token: Option<&IdToken>, group: Option<&str>) -> Claim {
        let mut asked: Vec<&Reservation> = Vec::new();
        if let Some(reservation) = self.reservations.of(id) {
            asked.push(reservation);
        } else {
            let own = self
                .reservations
                .of_any()
                .find(|reservation| matches(reservation, token, group));
            if let Some(reservation) = own {
                return Claim::Own(reservation.id);
            }
            let others = self.keepable().filter(|other| *other != id).count();
            if others >= self.reservations.of_any().count() {
                return Claim::Free;
            }
            asked.extend(self.reservations.of_any());
        }
        if let Some(own) = asked
            .iter()
            .find(|reservation| matches(reservation, token, group))
        {
            return Claim::Own(own.id);
        }
        let by_group = asked.iter().any(|reservation| reservation.group.is_some());
        if by_group && group.is_none() && token.is_some() {
            Claim::Unclear
        } else {
            Claim::Kept
        }
    }

    /// The same for a token whose group only what is stored may tell.
    pub(super) fn claim_of(&self, id: EvseId, token: &IdToken, group: Option<&str>) -> Claim {
        let known = self.known.group(token, &self.params, self.now);
        self.claim(id, Some(token), group.or(known.as_deref()))
    }

    /// The reservation that a transaction to be begun uses up.
    pub(super) fn reservation_used(&self, id: EvseId, pending: &Pending) -> Option<i32> {
        let group = pending.group.as_deref();
        let claim = match &pending.token {
            Some(token) => self.claim_of(id, token, group),
            None => self.claim(id, None, group),
        };
        match claim {
            Claim::Own(reservation) => Some(reservation),
            Claim::Free | Claim::Unclear | Claim::Kept => None,
        }
    }

    /// Whether an EVSE that is not in use is shown as reserved: it is, or it is among the last that are kept.
    pub(super) fn is_kept(&self, id: EvseId) -> bool {
        let any = self.reservations.of_any().count();
        self.reservations.of(id).is_some()
            || (any > 0 && self.keepable().count() <= any && self.keepable().any(|kept| kept == id))
    }

    /// EVSEs that could serve whoever a reservation of no particular EVSE is for.
    fn keepable(&self) -> impl Iterator<Item = EvseId> {
        self.evses
            .iter()
            .filter(|(id, evse)| {
                self.is_reservable(evse)
                    && evse.tx.is_none()
                    && evse.pending.is_none()
                    && !evse.done
                    && self.reservations.of(**id).is_none()
            })
            .map(|(id, _)| *id)
    }

    /// In service, well, and obedient to us.
    fn is_reservable(&self, evse: &Evse) -> bool {
        let shown = status::of(evse, evse.is_out(), false, self.now.mono).0;
        !matches!(shown, ConnectorStatus::Faulted | ConnectorStatus::Unavailable)
            && !matches!(evse.setup.auth, AuthMode::Charger(_))
    }

    /// Reserves, or replaces the reservation of the same id.
    pub(super) fn reserve(&mut self, wanted: Reservation) -> ReserveOutcome {
        if self.leaving || self.reboot.is_some() {
            return ReserveOutcome::Rejected("the charge point is about to restart");
        }
        if wanted.expires_ms <= self.now.wall.unix_ms {
            return ReserveOutcome::Rejected("it would have ended already");
        }
        let before = self.reservations.held.remove(&wanted.id);
        let outcome = match wanted.evse {
            Some(id) => self.reserve_one(id),
            None => self.reserve_any(),
        };
        if outcome == ReserveOutcome::Accepted {
            let value = serde_json::to_string(&wanted).ok();
            let puts = vec![self.put_text(key(wanted.id), value)];
            self.reservations.held.insert(wanted.id, wanted);
            self.outbox.commit(Batch {
                puts,
                ..Batch::default()
            });
        } else if let Some(before) = before {
            self.reservations.held.insert(before.id, before);
        }
        outcome
    }

    fn reserve_one(&self, id: EvseId) -> ReserveOutcome {
        let Some(evse) = self.evses.get(&id) else {
            return ReserveOutcome::Rejected("no such EVSE");
        };
        if matches!(evse.setup.auth, AuthMode::Charger(_)) {
            return ReserveOutcome::Rejected("the charger itself decides who may charge");
        }
        match status::of(evse, evse.is_out(), false, self.now.mono).0 {
            ConnectorStatus::Faulted => ReserveOutcome::Faulted,
            ConnectorStatus::Unavailable => ReserveOutcome::Unavailable,
            ConnectorStatus::Available
                if self.reservations.of(id).is_none()
                    && self.keepable().filter(|other| *other != id).count()
                        >= self.reservations.of_any().count() =>
            {
                ReserveOutcome::Accepted
            }
            _ => ReserveOutcome::Occupied,
        }
    }

    fn reserve_any(&self) -> ReserveOutcome {
        let own = |evse: &&Evse| matches!(evse.setup.auth, AuthMode::Charger(_));
        let ours: Vec<&Evse> = self
            .evses
            .values()
            .map(Box::as_ref)
            .filter(|evse| !own(evse))
            .collect();
        if ours.is_empty() {
            return ReserveOutcome::Rejected("the chargers themselves decide who may charge");
        }
        let count = |wanted: ConnectorStatus| {
            let shown = |evse: &&&Evse| status::of(evse, evse.is_out(), false, self.now.mono).0 == wanted;
            ours.iter().filter(shown).count()
        };
        let (faulted, unavailable) = (
            count(ConnectorStatus::Faulted),
            count(ConnectorStatus::Unavailable),
        );
        if faulted == ours.len() {
            return ReserveOutcome::Faulted;
        }
        if faulted + unavailable == ours.len() {
            return ReserveOutcome::Unavailable;
        }
        let empty = |id: &EvseId| self.evses.get(id).is_some_and(|evse| evse.plugged != Some(true));
        let more = self.keepable().count() > self.reservations.of_any().count();
        if more && self.keepable().any(|id| empty(&id)) {
            ReserveOutcome::Accepted
        } else {
            ReserveOutcome::Occupied
        }
    }

    /// Gives a reservation up.
    pub(super) fn cancel_reservation(&mut self, id: i32) -> Accepted {
        match self.end_reservation(id) {
            Some(put) => {
                self.outbox.commit(Batch {
                    puts: vec![put],
                    ..Batch::default()
                });
                Accepted::Yes
            }
            None => Accepted::No("there is no such reservation"),
        }
    }

    /// Takes a reservation away; the put makes that last.
    pub(super) fn end_reservation(&mut self, id: i32) -> Option<Put> {
        self.reservations.held.remove(&id)?;
        Some(self.put_text(key(id), None))
    }

    /// Ends the reservations whose time has come and those that cannot be kept.
    pub(super) fn follow_reservations(&mut self) {
        let unix_ms = self.now.wall.unix_ms;
        let over: Vec<i32> = self
            .reservations
            .held
            .values()
            .filter(|reservation| reservation.expires_ms <= unix_ms || self.is_void(reservation))
            .map(|reservation| reservation.id)
            .collect();
        for id in over {
            let puts = self.end_reservation(id).into_iter().collect();
            self.outbox.commit(Batch {
                puts,
                ..Batch::default()
            });
        }
    }

    /// What it keeps is faulty, out of service or gone. An EVSE that was not heard of yet may be well.
    fn is_void(&self, reservation: &Reservation) -> bool {
        let unwell = |evse: &Evse| {
            let heard = evse.vehicle.is_some() || evse.is_down(super::Role::Charger);
            let shown = status::of(evse, evse.is_out(), false, self.now.mono).0;
            let out = matches!(shown, ConnectorStatus::Faulted | ConnectorStatus::Unavailable);
            evse.is_out() || (heard && out) || evse.vehicle == Some(VehicleState::Unavailable)
        };
        match reservation.evse {
            Some(id) => self.evses.get(&id).is_none_or(|evse| unwell(evse)),
            None => self.inoperative || self.evses.values().all(|evse| unwell(evse)),
        }
    }
}

fn key(id: i32) -> String {
    format!("reservation/{id}")
}
