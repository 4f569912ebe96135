//! Transactions: when they begin, how they end, and what of them is stored.
//!
//! Rules:
//! * A transaction begins when it is authorised, a vehicle is plugged in, and the billing register was read. The
//!   record of it is durable before the charger is enabled.
//! * At its end the charger is stopped first; the record follows.
//! * Every row of a transaction is committed together with its stored state, so that a kill at any point leaves
//!   numbers without a gap, and begin and end in pairs.
//! * After a restart it is taken up again if the vehicle is still there, else it is ended with the last stored
//!   register (reason `PowerLoss`): what flowed unseen is billed to nobody.

use super::Station;
use super::evse::Evse;
use super::io::Effect;
use super::reserve::Claim;
use super::running::{Tx, TxRecord, take_up};
use super::status;
use crate::domain::{
    AuthMode, AuthStatus, Batch, Begin, ChargingProfile, ChargingState, DeviceCommand, End, Event, EvseId,
    IdToken, MilliWattHours, Mono, Put, SampleContext, SessionFlag, Stamp, StopReason, TokenInfo, TxId,
    TxTrigger, VehicleState,
};
use std::time::Duration;

/// A card the charger reported belongs to the session it starts within this time.
const REPORTED_FRESH: Duration = Duration::from_secs(120);
/// Changes of the charging state are recorded at most this often.
const CHANGE_SETTLE: Duration = Duration::from_secs(2);
/// A transaction's register is stored at least this often while it grows.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// An authorisation that waits for its vehicle.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) token: Option<IdToken>,
    pub(super) group: Option<String>,
    pub(super) remote_start_id: Option<i32>,
    pub(super) profile: Option<ChargingProfile>,
    pub(super) trigger: TxTrigger,
    /// Since when it has waited without a vehicle.
    pub(super) since: Mono,
}

impl Evse {
    /// Whether nothing stands against beginning what is authorised.
    fn can_begin(&self, now: Mono) -> bool {
        self.pending.is_some()
            && self.tx.is_none()
            && !self.inoperative
            && self.plugged == Some(true)
            && self.fault.is_none()
            && self.emergency.is_idle()
            && !matches!(
                self.vehicle,
                None | Some(VehicleState::Fault(_) | VehicleState::Unavailable)
            )
            && !self.is_down(super::Role::Charger)
            && !self.actuator.is_not_obeying()
            && self.fresh_register(now).is_some()
    }
}

impl Station {
    /// Follows the plug: what an arriving or leaving vehicle begins and ends.
    pub(super) fn follow_plug(&mut self, id: EvseId) {
        let Some(evse) = self.evses.get_mut(&id) else {
            return;
        };
        match (evse.plugged, evse.tx.is_some()) {
            (Some(plugged), true) => self.follow_plug_in_tx(id, plugged),
            (Some(false), false) if evse.done => {
                evse.done = false;
                let batch = Batch {
                    puts: vec![self.put_text(format!("done/{id}"), None)],
                    ..Batch::default()
                };
                self.outbox.commit(batch);
            }
            _ => {}
        }
        self.authorise_without_card(id);
    }

    fn follow_plug_in_tx(&mut self, id: EvseId, plugged: bool) {
        let now = self.now;
        let Some(evse) = self.evses.get_mut(&id) else {
            return;
        };
        let Some(tx) = evse.tx.as_mut() else { return };
        let stop = self.params.stop_on_ev_disconnect;
        if !tx.live {
            if plugged || !stop {
                tx.record.flags.insert(SessionFlag::Resumed);
                take_up(tx, now, &self.params);
            } else {
                self.end_tx(id, StopReason::PowerLoss, None);
            }
            return;
        }
        if matches!(evse.vehicle, Some(VehicleState::Ready | VehicleState::Charging)) {
            tx.offered = true;
        }
        if !plugged && stop {
            self.end_tx(id, StopReason::EVDisconnected, None);
            if self.params.unlock_on_ev_disconnect {
                self.drive(id, DeviceCommand::Unlock, false);
            }
        }
    }

    /// Modes in which no card is asked for: the vehicle, or the charger itself, is enough.
    fn authorise_without_card(&mut self, id: EvseId) {
        let now = self.now.mono;
        let blocked = self.leaving || self.reboot.is_some();
        let Some(evse) = self.evses.get_mut(&id) else {
            return;
        };
        if blocked || evse.tx.is_some() || evse.pending.is_some() || evse.done || evse.is_out() {
            return;
        }
        let (token, trigger) = match &evse.setup.auth {
            AuthMode::Free(token) if evse.plugged == Some(true) => {
                (Some(token.clone()), TxTrigger::CablePluggedIn)
            }
            AuthMode::Charger(default) if evse.vehicle == Some(VehicleState::Charging) => {
                let reported = evse
                    .reported
                    .take()
                    .filter(|(_, at)| now.since(*at) <= REPORTED_FRESH);
                (
                    reported.map(|(t, _)| t).or_else(|| default.clone()),
                    TxTrigger::Authorized,
                )
            }
            AuthMode::Free(_) | AuthMode::Charger(_) | AuthMode::Remote | AuthMode::Reader => return,
        };
        let own_way = matches!(evse.setup.auth, AuthMode::Charger(_));
        if !own_way && !matches!(self.claim(id, token.as_ref(), None), Claim::Own(_) | Claim::Free) {
            return;
        }
        let Some(evse) = self.evses.get_mut(&id) else {
            return;
        };
        evse.pending = Some(Pending {
            token,
            group: None,
            remote_start_id: None,
            profile: None,
            trigger,
            since: now,
        });
    }

    /// Lets an authorisation go whose vehicle did not come.
    pub(super) fn expire_pending(&mut self, id: EvseId) {
        let now = self.now.mono;
        let timeout = self.params.connection_timeout;
        let Some(evse) = self.evses.get_mut(&id) else {
            return;
        };
        let Some(pending) = evse.pending.as_mut() else {
            return;
        };
        if evse.plugged == Some(true) {
            pending.since = now;
        } else if !timeout.is_zero() && now.since(pending.since) >= timeout {
            evse.pending = None;
        }
    }

    /// Begins what can begin.
    pub(super) fn begin_if_ready(&mut self, id: EvseId) {
        let now = self.now;
        if self.leaving || self.reboot.is_some() {
            return;
        }
        let Some(evse) = self.evses.get_mut(&id) else {
            return;
        };
        if !evse.can_begin(now.mono) {
            return;
        }
        let Some(pending) = evse.pending.take() else {
            return;
        };
        let Some(meter) = evse.register.begin() else {
            return;
        };
        self.begun += 1;
        self.begin(id, pending, meter);
    }

    fn begin(&mut self, id: EvseId, pending: Pending, meter: MilliWattHours) {
        let now = self.now;
        let tx_id = TxId::new(self.tx_uuid());
        let reservation_id = self.reservation_used(id, &pending);
        let Some(evse) = self.evses.get_mut(&id) else {
            return;
        };
        let record = TxRecord {
            begun: Some(now.stamp()),
            meter: Some(evse.meter_identity()),
            flags: evse.flags_at_begin(self.online),
            id: tx_id.clone(),
            token: pending.token.clone(),
            group: pending.group.clone(),
            meter_start: meter,
            quality: evse.register.quality(),
            register: evse.register.stored().unwrap_or_default(),
            at: now.stamp(),
            ran_ms: 0,
            seq: 0,
            refused_at: None,
        };
        let begin = Begin {
            tx: tx_id.clone(),
            evse: id,
            token: pending.token,
            group: pending.group,
            meter,
            quality: record.quality,
            trigger: pending.trigger,
            charging_state: ChargingState::EVConnected,
            remote_start_id: pending.remote_start_id,
            reservation_id,
            offline: !self.online,
        };
        let mut tx = Tx::restored(record);
        take_up(&mut tx, now, &self.params);
        evse.tx = Some(tx);
        evse.done = false;
        evse.locked_for = None;
        let puts = self.begin_puts(id, tx_id, reservation_id, pending.profile);
        let batch = Batch {
            puts,
            ..Batch::default()
        };
        self.record_row(id, Event::Began(begin), batch);
        self.collect(id, SampleContext::TransactionBegin, now.stamp());
    }

    /// What is stored beside the begin of a transaction.
    fn begin_puts(
        &mut self,
        id: EvseId,
        tx: TxId,
        reservation: Option<i32>,
        profile: Option<ChargingProfile>,
    ) -> Vec<Put> {
        let mut puts = vec![
            self.put_text("count".to_owned(), Some(self.begun.to_string())),
            self.put_text(format!("done/{id}"), None),
        ];
        puts.extend(reservation.and_then(|reservation| self.end_reservation(reservation)));
        if let Some(mut profile) = profile {
            profile.tx = Some(tx);
            let installed = self
                .smart
                .install(&self.scope, Some(id), profile, self.now.wall.unix_ms);
            puts.extend(installed.unwrap_or_default());
        }
        puts
    }

    /// Ends the transaction of an EVSE.
    pub(super) fn end_tx(&mut self, id: EvseId, reason: StopReason, token: Option<IdToken>) {
        let now = self.now;
        if self
            .evses
            .get(&id)
            .and_then(|e| e.tx.as_ref())
            .is_some_and(|tx| tx.live)
        {
            self.collect(id, SampleContext::TransactionEnd, now.stamp());
        }
        let Some(evse) = self.evses.get_mut(&id) else {
            return;
        };
        let Some(record) = evse.tx_record(now) else { return };
        let Some(mut tx) = evse.tx.take() else { return };
        let meter = MilliWattHours(record.register.shown);
        let flags = evse.flags_at_end(tx.live, self.online, now.mono);
        let session = record.session(&self.setup.id, id, now.stamp(), reason, flags);
        evse.register.end();
        let done = evse.finish(&record, reason, &self.params);
        let end = End {
            tx: record.id,
            tx_seq: tx.next_seq(),
            evse: id,
            token,
            meter,
            quality: record.quality,
            reason,
            data: tx.data.samples(),
            energy: meter - record.meter_start,
            offline: !self.online,
        };
        let mut batch = Batch {
            rows: vec![self.row(now.stamp(), Event::Ended(end))],
            sessions: vec![session],
            ..Batch::default()
        };
        batch.puts.push(self.put_text(format!("tx/{id}"), None));
        batch.puts.push(self.put_text(format!("done/{id}"), done));
        batch.puts.extend(tx.data.forget(&self.scope, id));
        batch.puts.extend(self.smart.end_of_tx(&self.scope, id));
        self.outbox.commit(batch);
        // The usual end releases the plug (4.10); a refused driver gets it with his own card only (errata 3.5).
        if matches!(reason, StopReason::Local | StopReason::Remote) {
            self.drive(id, DeviceCommand::Unlock, false);
        }
    }

    /// The CSMS judged the token of a transaction (1.6 errata 3.17).
    pub(super) fn verdict(&mut self, tx_id: &TxId, info: &TokenInfo) {
        let Some((id, tx)) = self
            .evses
            .iter_mut()
            .find_map(|(id, e)| e.tx.as_mut().filter(|t| t.record.id == *tx_id).map(|t| (*id, t)))
        else {
            return;
        };
        if info.group.is_some() {
            tx.record.group.clone_from(&info.group);
        }
        let refused = info.status != AuthStatus::Accepted;
        let Some(evse) = self.evses.get_mut(&id) else {
            return;
        };
        let register = evse.register.value().unwrap_or_default();
        let Some(tx) = evse.tx.as_mut() else { return };
        if refused == tx.record.refused_at.is_some() {
            return;
        }
        tx.record.refused_at = refused.then_some(register);
        if refused && !(self.params.stop_on_invalid_id && self.params.max_energy_on_invalid_id.0 <= 0) {
            self.record_change(id, TxTrigger::Deauthorized);
        } else {
            self.save_tx(id);
        }
    }

    /// Whether a refused transaction has had the energy it may still have; equal counts (1.6 pitfall 30).
    pub(super) fn is_refused(&self, evse: &Evse) -> bool {
        let allowance = self.params.max_energy_on_invalid_id.0.max(0);
        evse.tx.as_ref().is_some_and(|tx| {
            tx.record
                .refused_at
                .is_some_and(|at| (evse.register.value().unwrap_or(at) - at).0 >= allowance)
        })
    }

    /// Ends a transaction whose token was refused, if it is to be ended.
    pub(super) fn end_if_refused(&mut self, id: EvseId) {
        let refused = self.evses.get(&id).is_some_and(|e| self.is_refused(e));
        if refused && self.params.stop_on_invalid_id {
            self.end_tx(id, StopReason::DeAuthorized, None);
        }
    }

    /// Records a change of the charging state, if it has settled.
    pub(super) fn follow_charging_state(&mut self, id: EvseId) {
        let now = self.now.mono;
        let Some(evse) = self.evses.get_mut(&id) else {
            return;
        };
        let state = status::charging_state(evse, now);
        let Some(tx) = evse.tx.as_mut().filter(|t| t.live) else {
            return;
        };
        if state == tx.state || now.since(tx.state_since) < CHANGE_SETTLE || self.outbox.is_stuck(now) {
            return;
        }
        tx.state = state;
        tx.state_since = now;
        self.record_change(id, TxTrigger::ChargingStateChanged);
    }

    /// When a change that waits will have settled, or the register is to be stored.
    pub(super) fn tx_deadline(evse: &Evse, now: Mono) -> Option<(Mono, &'static str)> {
        let tx = evse.tx.as_ref().filter(|t| t.live)?;
        let mut due = vec![(
            tx.saved.plus(SAVE_EVERY),
            "the register of a transaction is stored",
        )];
        if status::charging_state(evse, now) != tx.state {
            due.push((
                tx.state_since.plus(CHANGE_SETTLE),
                "a change of the charging state is recorded",
            ));
        }
        if let Some(at) = status::grace_deadline(evse, now) {
            due.push((at, "a beginning transaction counts as suspended"));
        }
        due.extend(tx.next_sample.map(|at| (at, "a periodic sample")));
        due.extend(tx.next_kept.map(|at| (at, "a sample for the stop message")));
        due.into_iter().min()
    }

    /// Stores the register from time to time, so that a power loss costs little.
    pub(super) fn save_tx_if_due(&mut self, id: EvseId) {
        let now = self.now;
        let Some(evse) = self.evses.get_mut(&id) else {
            return;
        };
        let grown = evse.register.stored() != evse.tx.as_ref().map(|t| t.record.register);
        let Some(tx) = evse
            .tx
            .as_mut()
            .filter(|t| t.live && now.mono.since(t.saved) >= SAVE_EVERY)
        else {
            return;
        };
        tx.saved = now.mono;
        if grown {
            self.save_tx(id);
        }
    }

    /// Stores a transaction as it is now.
    pub(super) fn save_tx(&mut self, id: EvseId) {
        let puts = self.tx_put(id).into_iter().collect();
        self.outbox.commit(Batch {
            puts,
            ..Batch::default()
        });
    }

    /// Commits a row of a running transaction together with its stored state.
    pub(super) fn record_row(&mut self, id: EvseId, event: Event, with: Batch) {
        self.record_row_at(id, self.now.stamp(), event, with);
    }

    /// The same at a given time.
    pub(super) fn record_row_at(&mut self, id: EvseId, at: Stamp, event: Event, with: Batch) {
        let mut batch = Batch {
            rows: vec![self.row(at, event)],
            ..Batch::default()
        };
        batch.puts.extend(self.tx_put(id));
        batch.append(with);
        self.outbox.commit(batch);
    }

    fn record_change(&mut self, id: EvseId, trigger: TxTrigger) {
        let now = self.now.mono;
        let Some(evse) = self.evses.get_mut(&id) else {
            return;
        };
        let charging_state = status::charging_state(evse, now);
        let Some(tx) = evse.tx.as_mut() else { return };
        let token = if trigger == TxTrigger::Deauthorized {
            tx.record.token.clone()
        } else {
            None
        };
        let event = Event::Changed {
            tx: tx.record.id.clone(),
            tx_seq: tx.next_seq(),
            evse: id,
            trigger,
            charging_state,
            token,
            offline: !self.online,
        };
        self.record_row(id, event, Batch::default());
    }

    fn tx_put(&mut self, id: EvseId) -> Option<Put> {
        let now = self.now;
        let evse = self.evses.get_mut(&id)?;
        let record = evse.tx_record(now)?;
        let value = serde_json::to_string(&record).ok()?;
        if let Some(tx) = evse.tx.as_mut() {
            tx.record.register = record.register;
            tx.saved = now.mono;
        }
        Some(self.put_text(format!("tx/{id}"), Some(value)))
    }

    /// Sends a command of its own to a charger; its outcome is of no consequence.
    pub(super) fn drive(&mut self, evse: EvseId, command: DeviceCommand, lowering: bool) -> u64 {
        self.tickets += 1;
        self.outbox.push(Effect::Drive {
            evse,
            ticket: self.tickets,
            command,
            lowering,
        });
        self.tickets
    }
}
