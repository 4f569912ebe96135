//! Cards: what presenting one does (OCPP 1.6 sections 3.5, 4.1, 5.11; 2.0.1 blocks C and F).
//!
//! Rules:
//! * The card that started a transaction, or one of its group, stops it.
//! * The card that waits for a vehicle, presented again, gives up waiting.
//! * The card whose plug stayed locked, or one of its group, gets it back.
//! * Any other card is authorised for a free EVSE: one where a vehicle waits before one that is empty.
//! * An EVSE kept for another is not used; where only a group is known to, the CSMS is asked for it first.
//! * A reader shared by several EVSEs is heard once, at the first of them, and serves them all.

use super::Station;
use super::auth::Decision;
use super::evse::Evse;
use super::io::{Effect, Role};
use super::reserve::Claim;
use super::running::TxRecord;
use super::tx::Pending;
use crate::domain::{
    AuthMode, AuthStatus, Batch, ChargingProfile, DeviceCommand, EvseId, IdToken, Mono, Notice, Params,
    StopReason, TokenInfo, TxId, TxTrigger, VehicleState,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long the CSMS may take to judge a token before we decide as if offline.
const ASK_TIMEOUT: Duration = Duration::from_secs(35);

/// A token that is to start a transaction.
#[derive(Clone, Debug)]
pub(super) struct StartWish {
    pub(super) token: IdToken,
    pub(super) group: Option<String>,
    pub(super) remote_start_id: Option<i32>,
    pub(super) profile: Option<ChargingProfile>,
    pub(super) trigger: TxTrigger,
}

impl StartWish {
    fn of_card(token: IdToken) -> Self {
        Self {
            token,
            group: None,
            remote_start_id: None,
            profile: None,
            trigger: TxTrigger::Authorized,
        }
    }
}

#[derive(Clone, Debug)]
enum Purpose {
    Start(Box<StartWish>),
    /// Stop, if its group turns out to be the transaction's.
    Stop(TxId, IdToken),
}

/// A question the CSMS has not answered yet.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    evse: EvseId,
    purpose: Purpose,
    since: Mono,
}

impl Ask {
    /// When it is decided without the CSMS.
    pub(super) fn deadline(&self) -> Mono {
        self.since.plus(ASK_TIMEOUT)
    }

    fn token(&self) -> &IdToken {
        match &self.purpose {
            Purpose::Start(wish) => &wish.token,
            Purpose::Stop(_, token) => token,
        }
    }
}

/// Whose plug stays locked at the end of a transaction until his card, or one of its group, is presented: it was refused
/// (errata 3.5), or the vehicle was unplugged and that is to release nothing (section 4.10).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Owner {
    token: IdToken,
    group: Option<String>,
}

impl Evse {
    /// A transaction is over: what to store of that until the vehicle leaves.
    pub(super) fn finish(
        &mut self,
        record: &TxRecord,
        reason: StopReason,
        params: &Params,
    ) -> Option<String> {
        self.done = self.plugged != Some(false);
        let locked = match reason {
            StopReason::DeAuthorized => true,
            StopReason::EVDisconnected => !params.unlock_on_ev_disconnect,
            _ => false,
        };
        let owner = record.token.clone().filter(|_| locked && self.setup.has_lock);
        self.locked_for = owner.map(|token| Owner {
            token,
            group: record.group.clone(),
        });
        let owner = self.locked_for.as_ref();
        let owner = owner.and_then(|owner| serde_json::to_string(owner).ok());
        self.done.then(|| owner.unwrap_or_else(|| "1".to_owned()))
    }
}

impl Station {
    /// A card was presented at a device of an EVSE.
    pub(super) fn card_presented(&mut self, at: EvseId, role: Role, token: IdToken) {
        if self.leaving || token.text.is_empty() {
            return;
        }
        let served = self.served_by(at, role);
        if served.first() != Some(&at) {
            return;
        }
        if role == Role::Charger
            && let Some(evse) = self.evses.get_mut(&at)
        {
            evse.reported = Some((token.clone(), self.now.mono));
        }
        if self.stop_by_card(&served, &token)
            || self.give_up_by_card(&served, &token)
            || self.release_by_card(&served, &token)
        {
            return;
        }
        let free = self.best_free(&served, &token, None, |e| {
            matches!(e.setup.auth, AuthMode::Reader)
        });
        if let Some(id) = free {
            self.wish_start(id, StartWish::of_card(token));
        } else {
            self.ask_for_group(&served, token);
        }
    }

    /// Authorises a token for an EVSE. Gives whether it was not refused at once.
    pub(super) fn wish_start(&mut self, id: EvseId, wish: StartWish) -> bool {
        match self
            .known
            .decide(&wish.token, self.online, &self.params, self.now)
        {
            Decision::Known(info) => self.start_decided(id, wish, &info),
            Decision::Ask => {
                self.ask(id, Purpose::Start(Box::new(wish)));
                true
            }
        }
    }

    /// The CSMS answered, or did not.
    pub(super) fn authorized(&mut self, request: u64, result: Option<TokenInfo>) {
        let Some(ask) = self.asks.remove(&request) else {
            return;
        };
        let info = match result {
            Some(info) => {
                self.learn(ask.token(), &info);
                info
            }
            None => self.known.decide_offline(ask.token(), &self.params, self.now),
        };
        match ask.purpose {
            Purpose::Start(wish) => {
                self.start_decided(ask.evse, *wish, &info);
            }
            Purpose::Stop(tx, token) => self.stop_decided(ask.evse, &tx, token, &info),
        }
    }

    /// Takes in what the CSMS said about a token, whatever it was asked for.
    pub(super) fn learn(&mut self, token: &IdToken, info: &TokenInfo) {
        let lesson = self.known.learn(&self.scope, token, info, &self.params, self.now);
        self.outbox.commit(Batch {
            puts: lesson.puts,
            ..Batch::default()
        });
        if lesson.conflict {
            let at = self.now.stamp();
            self.outbox.push(Effect::Notify(Notice::ListConflict(at)));
        }
    }

    /// Whoever wanted to start at an EVSE must ask anew.
    pub(super) fn forget_starts(&mut self, id: EvseId) {
        if let Some(evse) = self.evses.get_mut(&id) {
            evse.pending = None;
        }
        self.asks
            .retain(|_, ask| ask.evse != id || !matches!(ask.purpose, Purpose::Start(_)));
    }

    /// Decides what the CSMS has not answered in time.
    pub(super) fn expire_asks(&mut self) {
        let now = self.now.mono;
        let late: Vec<u64> = self
            .asks
            .iter()
            .filter(|(_, a)| now >= a.deadline())
            .map(|(r, _)| *r)
            .collect();
        for request in late {
            self.authorized(request, None);
        }
    }

    /// Of some EVSEs the best for a token to start at: with a vehicle that waits, then one kept for it, then any.
    pub(super) fn best_free(
        &self,
        among: &[EvseId],
        token: &IdToken,
        group: Option<&str>,
        fits: impl Fn(&Evse) -> bool,
    ) -> Option<EvseId> {
        among
            .iter()
            .filter_map(|id| self.evses.get(id).map(|e| (*id, e)))
            .filter(|(id, e)| fits(e) && self.is_free(*id, e))
            .map(|(id, e)| (id, e, self.claim_of(id, token, group)))
            .filter(|(_, _, claim)| *claim != Claim::Kept)
            .min_by_key(|(id, e, claim)| {
                let own = matches!(claim, Claim::Own(_));
                (e.plugged != Some(true), !own, e.done, *id)
            })
            .map(|(id, _, _)| id)
    }

    /// Puts an accepted token at an EVSE.
    pub(super) fn hold(&mut self, id: EvseId, wish: StartWish) {
        let since = self.now.mono;
        let Some(evse) = self.evses.get_mut(&id) else {
            return;
        };
        evse.pending = Some(Pending {
            token: Some(wish.token),
            group: wish.group,
            remote_start_id: wish.remote_start_id,
            profile: wish.profile,
            // A vehicle that is not there yet completes the conditions when it comes.
            trigger: match wish.trigger {
                TxTrigger::Authorized if evse.plugged != Some(true) => TxTrigger::CablePluggedIn,
                other => other,
            },
            since,
        });
    }

    /// Whether a transaction could be started at an EVSE.
    fn is_free(&self, id: EvseId, evse: &Evse) -> bool {
        evse.tx.is_none()
            && evse.pending.is_none()
            && !evse.is_out()
            && !matches!(
                evse.vehicle,
                None | Some(VehicleState::Fault(_) | VehicleState::Unavailable)
            )
            && !evse.is_down(Role::Charger)
            && evse.fault.is_none()
            && evse.emergency.is_idle()
            && !evse.actuator.is_not_obeying()
            && !self
                .asks
                .values()
                .any(|a| a.evse == id && matches!(a.purpose, Purpose::Start(_)))
    }

    fn served_by(&self, at: EvseId, role: Role) -> Vec<EvseId> {
        let reader = self.evses.get(&at).and_then(|e| e.setup.reader.clone());
        match (role, reader) {
            (Role::Reader, Some(reader)) => self
                .evses
                .iter()
                .filter(|(_, e)| e.setup.reader.as_ref() == Some(&reader))
                .map(|(id, _)| *id)
                .collect(),
            _ => vec![at],
        }
    }

    fn stop_by_card(&mut self, served: &[EvseId], token: &IdToken) -> bool {
        let group = self.known.group(token, &self.params, self.now);
        let stops = |e: &Evse| {
            e.tx.as_ref().is_some_and(|tx| {
                let same = tx.record.token.as_ref() == Some(token);
                let related = group.is_some() && tx.record.group == group;
                tx.live && (same || related)
            })
        };
        let found = served
            .iter()
            .copied()
            .find(|id| self.evses.get(id).is_some_and(|e| stops(e)));
        if let Some(id) = found {
            self.end_tx(id, StopReason::Local, Some(token.clone()));
        }
        found.is_some()
    }

    /// Whose plug stayed locked gets it back. Gives whether that is all there is to it: where no vehicle is left, the
    /// card may also be meant for the next session.
    fn release_by_card(&mut self, served: &[EvseId], token: &IdToken) -> bool {
        let group = self.known.group(token, &self.params, self.now);
        let owns = |owner: &Owner| owner.token == *token || (group.is_some() && owner.group == group);
        let found = served.iter().copied().find(|id| {
            // A vehicle that came since then is the next one.
            let waits = |evse: &&Evse| evse.tx.is_none() && (evse.done || evse.plugged == Some(false));
            let evse = self.evses.get(id).map(Box::as_ref).filter(waits);
            evse.and_then(|evse| evse.locked_for.as_ref()).is_some_and(owns)
        });
        let Some(id) = found else { return false };
        let Some(evse) = self.evses.get_mut(&id) else {
            return false;
        };
        evse.locked_for = None;
        let done = evse.done;
        let puts = done.then(|| self.put_text(format!("done/{id}"), Some("1".to_owned())));
        self.outbox.commit(Batch {
            puts: puts.into_iter().collect(),
            ..Batch::default()
        });
        self.drive(id, DeviceCommand::Unlock, false);
        done
    }

    fn give_up_by_card(&mut self, served: &[EvseId], token: &IdToken) -> bool {
        let waits = |e: &Evse| {
            e.pending
                .as_ref()
                .is_some_and(|p| p.token.as_ref() == Some(token))
        };
        let found = served
            .iter()
            .copied()
            .find(|id| self.evses.get(id).is_some_and(|e| waits(e)));
        if let Some(evse) = found.and_then(|id| self.evses.get_mut(&id)) {
            evse.pending = None;
        }
        let asked = self
            .asks
            .iter()
            .find(|(_, a)| served.contains(&a.evse) && a.token() == token)
            .map(|(request, _)| *request);
        // Still being asked: the second presentation adds nothing.
        found.is_some() || asked.is_some()
    }

    /// An unknown card at an occupied EVSE may belong to the group of its transaction.
    fn ask_for_group(&mut self, served: &[EvseId], token: IdToken) {
        let found = served.iter().find_map(|id| {
            let tx = self.evses.get(id)?.tx.as_ref()?;
            tx.record.group.as_ref().filter(|_| tx.live)?;
            Some((*id, tx.record.id.clone()))
        });
        let Some((id, tx)) = found else { return };
        if self.online && self.known.group(&token, &self.params, self.now).is_none() {
            self.ask(id, Purpose::Stop(tx, token));
        }
    }

    fn ask(&mut self, evse: EvseId, purpose: Purpose) {
        self.requests += 1;
        let ask = Ask {
            evse,
            purpose,
            since: self.now.mono,
        };
        let token = ask.token().clone();
        self.questions.push(Effect::Authorize {
            request: self.requests,
            evse,
            token,
        });
        self.asks.insert(self.requests, ask);
    }

    fn start_decided(&mut self, id: EvseId, mut wish: StartWish, info: &TokenInfo) -> bool {
        if info.status != AuthStatus::Accepted || self.leaving {
            return false;
        }
        wish.group = wish.group.or_else(|| info.group.clone());
        let claim = self.claim_of(id, &wish.token, wish.group.as_deref());
        let kept = matches!(claim, Claim::Kept | Claim::Unclear);
        if !kept && self.evses.get(&id).is_some_and(|e| self.is_free(id, e)) {
            self.hold(id, wish);
            return true;
        }
        false
    }

    fn stop_decided(&mut self, id: EvseId, tx: &TxId, token: IdToken, info: &TokenInfo) {
        let matches = self
            .evses
            .get(&id)
            .and_then(|e| e.tx.as_ref())
            .is_some_and(|running| {
                running.record.id == *tx
                    && running.record.group.is_some()
                    && running.record.group == info.group
            });
        if matches && info.status == AuthStatus::Accepted {
            self.end_tx(id, StopReason::Local, Some(token));
        }
    }
}
