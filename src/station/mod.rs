//! The heart: per-EVSE state, transactions, authorisation, limit arbitration, safe state. Pure.
//!
//! One [`Station`] is one charge point. It never knows which OCPP dialect is spoken: it is asked in
//! [`Command`](crate::domain::Command)s and tells in ledger events and notices.
//!
//! | file | what it is about |
//! |---|---|
//! | `io` | inputs and effects |
//! | `evse` | one EVSE: facts and machines |
//! | `tokens`, `auth`, `list` | cards, and who may charge |
//! | `reserve` | EVSEs kept for a token |
//! | `tx`, `running`, `samples`, `energy` | transactions, their records and meter values, the billing register |
//! | `plausible` | what no device can truly have measured |
//! | `composite`, `smart`, `limits` | the limit stack, charging profiles, what the charger is told |
//! | `local`, `phases` | what somebody on the site has set: a limit, a hold, one phase or three |
//! | `contacts` | emergency stop, tamper contact, dimming by the grid operator |
//! | `lease` | when the charger's watchdog may be fed |
//! | `logs`, `firmware` | records on their way to the back end, updates on their way to an installer |
//! | `status` | connector status |
//! | `commands` | what back ends ask |
//! | `persist`, `outbox`, `snapshot` | what is stored, how effects leave, what a person is shown |

mod auth;
mod commands;
mod composite;
mod contacts;
mod energy;
mod evse;
mod firmware;
mod io;
mod lease;
mod limits;
mod list;
mod local;
mod logs;
mod outbox;
mod persist;
mod phases;
mod plausible;
mod reserve;
mod running;
mod samples;
mod smart;
mod snapshot;
mod status;
mod tokens;
mod tx;

#[cfg(test)]
mod tests;

pub use io::{Effect, Input, Role};
pub use lease::REACH as LEASE_REACH;
pub use snapshot::{Brief, EvseSnapshot, LimitSnapshot, Snapshot, TxSnapshot};

use crate::domain::{
    BootId, ConnectorStatus, CpSetup, DeviceCommand, ErrorCode, EvseId, Mono, Notice, Now, Observation,
    Params, ReaderId, ResetKind, Rng, TokenInfo, TransferOrder, VehicleState,
};
use evse::Evse;
use lease::Health;
use outbox::Outbox;
use std::collections::BTreeMap;

/// One charge point.
#[derive(Debug)]
pub struct Station {
    setup: CpSetup,
    params: Params,
    seed: u64,
    controlling: ReaderId,
    scope: String,
    outbox: Outbox,
    now: Now,
    awake: bool,
    /// The run of the process whose start is on record.
    known_boot: Option<BootId>,
    online: bool,
    leaving: bool,
    inoperative: bool,
    reboot: Option<ResetKind>,
    /// Boxed: a node of the map has room for eleven.
    evses: BTreeMap<EvseId, Box<Evse>>,
    known: auth::Known,
    reservations: reserve::Reservations,
    logs: logs::Logs,
    updates: firmware::Updates,
    smart: smart::Smart,
    contacts: contacts::Contacts,
    grid: samples::Grid,
    /// The same for samples kept for the stop message.
    kept_grid: samples::Grid,
    teller: status::Teller,
    asks: BTreeMap<u64, tokens::Ask>,
    /// Questions to the CSMS: they leave behind the answer to what made them necessary.
    questions: Vec<Effect>,
    unlocking: BTreeMap<u64, commands::Unlocking>,
    /// Transactions whose EVSE is not configured any more.
    orphans: Vec<(EvseId, running::TxRecord)>,
    requests: u64,
    tickets: u64,
    /// Orders given to whoever carries files.
    orders: u64,
    /// Transactions begun in the life of the charge point.
    begun: u64,
}

impl Station {
    /// A station as configured, with what it had stored under the scope `station/<cp>`.
    #[must_use]
    pub fn new(
        setup: CpSetup,
        params: Params,
        seed: u64,
        restored: &[(String, String)],
        controlling: ReaderId,
    ) -> Self {
        let evses: BTreeMap<EvseId, Box<Evse>> = setup
            .evses
            .iter()
            .map(|e| (e.id, Box::new(Evse::new(e.clone()))))
            .collect();
        let mut station = Self {
            scope: format!("station/{}", setup.id),
            setup,
            params,
            seed,
            controlling,
            outbox: Outbox::default(),
            now: Now::default(),
            awake: false,
            known_boot: None,
            online: false,
            leaving: false,
            inoperative: false,
            reboot: None,
            evses,
            known: auth::Known::default(),
            reservations: reserve::Reservations::default(),
            logs: logs::Logs::default(),
            updates: firmware::Updates::default(),
            smart: smart::Smart::default(),
            contacts: contacts::Contacts::default(),
            grid: samples::Grid::default(),
            kept_grid: samples::Grid::default(),
            teller: status::Teller::default(),
            asks: BTreeMap::new(),
            questions: Vec::new(),
            unlocking: BTreeMap::new(),
            orphans: Vec::new(),
            requests: 0,
            tickets: 0,
            orders: 0,
            begun: 0,
        };
        station.restore(restored);
        station
    }

    /// Takes in what happened and works out what follows from it.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.now = now;
        if !self.awake {
            self.awake = true;
            self.wake(now);
        }
        self.date_local();
        match input {
            Input::Observed {
                evse,
                role,
                observations,
            } => self.observed(evse, role, observations),
            Input::Link { evse, role, up, .. } => self.link(evse, role, up),
            Input::Failsafe {
                evse,
                unguarded,
                fallback,
            } => {
                if let Some(evse) = self.evses.get_mut(&evse) {
                    (evse.unguarded, evse.fallback) = (unguarded, fallback);
                }
            }
            Input::Contacts { device, levels } => self.contacts_read(&device, &levels),
            Input::ContactsLost { device } => self.contacts_lost(&device),
            Input::Driven { ticket, result } => {
                self.unlocked(ticket, Some(&result));
                self.driven(ticket, &result);
            }
            Input::Command { id, command } => self.command(id, command),
            Input::Authorized { request, result } => self.authorized(request, result),
            Input::Verdict { tx, info } => self.verdict(&tx, &with_time(info, now)),
            Input::Learned { token, info } => self.learn(&token, &with_time(info, now)),
            Input::Online(online) => self.set_online(online),
            Input::SharedFuse { evse, share } => {
                if let Some(evse) = self.evses.get_mut(&evse) {
                    evse.shared = share;
                }
            }
            Input::Security(event) => self.record_security(event),
            Input::Transferred { order, result } => {
                self.log_transferred(order, &result);
                self.firmware_transferred(order, &result);
            }
            Input::Committed(id) => self.outbox.committed(id),
            Input::Leaving => self.leave(),
            Input::Tick => {}
        }
        for question in std::mem::take(&mut self.questions) {
            self.outbox.push(question);
        }
        self.follow();
    }

    fn observed(&mut self, id: EvseId, role: Role, observations: Vec<Observation>) {
        let now = self.now.mono;
        let card = self.evses.get_mut(&id).and_then(|evse| {
            let back = evse.is_down(role);
            let card = evse.observe(role, observations, now);
            if back && role == Role::Charger {
                evse.actuator.forget();
                evse.switch.back();
            }
            card
        });
        if let Some(token) = card {
            self.outbox.push_express(Effect::Presented {
                evse: id,
                token: token.clone(),
            });
            self.card_presented(id, role, token);
        }
    }

    /// The next thing to do, as far as the ordering law lets it go.
    pub fn poll(&mut self) -> Option<Effect> {
        self.outbox.pop(self.now.mono)
    }

    /// When to call [`Input::Tick`] at the latest, and why.
    #[must_use]
    pub fn next_deadline(&self) -> Option<(Mono, &'static str)> {
        let now = self.now.mono;
        let min_status = self.params.min_status_duration;
        let mut due = self.own_deadlines();
        for (id, evse) in &self.evses {
            due.extend(
                evse.teller
                    .deadline(min_status)
                    .map(|at| (at, "a status is told")),
            );
            due.extend(Self::tx_deadline(evse, now));
            due.extend(
                evse.wakes
                    .map(|at| (at, "a vehicle or its meter is not heard of")),
            );
            due.extend(evse.lease.deadline().map(|at| (at, "a lease is renewed")));
            due.extend(
                evse.actuator
                    .deadline(evse.applied.amps)
                    .map(|at| (at, "a charger is told again")),
            );
            due.extend(self.stack(*id, evse).1.map(|at| (at, "a limit changes")));
            if let Some(pending) = &evse.pending
                && evse.plugged != Some(true)
                && !self.params.connection_timeout.is_zero()
            {
                due.push((
                    pending.since.plus(self.params.connection_timeout),
                    "no vehicle came",
                ));
            }
            if evse.tx.is_some()
                && let Some(at) = evse.register.read_at()
                && !evse.meter_stale(now)
            {
                let stale = at.plus(evse.setup.meter_stale_after);
                due.push((Mono(stale.0.saturating_add(1)), "a meter is stale"));
            }
        }
        // What was due by now was dealt with by the last input, or waits for another.
        due.into_iter().filter(|(at, _)| *at > now).min()
    }

    /// Deadlines that belong to no EVSE.
    fn own_deadlines(&self) -> Vec<(Mono, &'static str)> {
        let min_status = self.params.min_status_duration;
        let mut due: Vec<(Mono, &'static str)> = Vec::new();
        due.extend(
            self.asks
                .values()
                .map(|a| (a.deadline(), "the CSMS has not judged a token")),
        );
        due.extend(
            self.unlocking
                .values()
                .map(|u| (u.deadline(), "a lock takes too long to open")),
        );
        due.extend(
            [&self.grid, &self.kept_grid]
                .into_iter()
                .filter_map(|grid| grid.deadline(self.now))
                .map(|at| (at, "a clock-aligned sample")),
        );
        due.extend(
            self.teller
                .deadline(min_status)
                .map(|at| (at, "a status is told")),
        );
        due.extend(
            self.reservations
                .deadline(self.now)
                .map(|at| (at, "a reservation ends")),
        );
        due.extend(self.logs.deadline());
        due.extend(self.updates.deadline(self.now));
        due
    }

    /// The reader of the ledger whose CSMS is in control.
    #[must_use]
    pub fn controlling(&self) -> &ReaderId {
        &self.controlling
    }

    /// Works out everything that follows from what is known now.
    fn follow(&mut self) {
        self.expire_asks();
        self.expire_unlocks();
        self.follow_reservations();
        self.follow_log();
        self.follow_firmware();
        let ids: Vec<EvseId> = self.evses.keys().copied().collect();
        for id in &ids {
            self.stop_in_emergency(*id);
            self.follow_plug(*id);
            self.expire_pending(*id);
            self.begin_if_ready(*id);
            self.end_if_refused(*id);
            self.sample_if_due(*id);
        }
        self.sample_aligned_if_due();
        for id in &ids {
            self.follow_first_look(*id);
            self.switch_phases(*id);
            self.steer(*id);
            self.follow_charging_state(*id);
            self.save_tx_if_due(*id);
        }
        self.tell();
        for id in &ids {
            self.renew_lease(*id);
        }
        self.reboot_if_idle();
    }

    /// Brings the charger to what the limit stack says.
    fn steer(&mut self, id: EvseId) {
        let now = self.now.mono;
        let Some(evse) = self.evses.get(&id) else { return };
        let entries = self.stack(id, evse).0;
        let applied = limits::winner(&entries, evse.setup.min_current);
        let own_way = matches!(evse.setup.auth, crate::domain::AuthMode::Charger(_));
        let live = evse.tx.as_ref().is_some_and(|tx| tx.live);
        let enable = !self.leaving && (live || (own_way && !evse.done && !evse.is_out()));
        let Some(evse) = self.evses.get_mut(&id) else {
            return;
        };
        evse.entries = entries;
        evse.applied = applied;
        if evse.heard.is_none() && evse.links.is_empty() || evse.wakes.is_some() || self.leaving {
            return;
        }
        let draws = evse.vehicle == Some(VehicleState::Charging);
        for order in evse.actuator.orders(now, applied.amps, enable, draws) {
            self.tickets += 1;
            evse.actuator.sent(order, self.tickets);
            let limits::Order { command, lowering } = order;
            self.outbox.push(Effect::Drive {
                evse: id,
                ticket: self.tickets,
                command,
                lowering,
            });
        }
    }

    fn driven(&mut self, ticket: u64, result: &Result<(), crate::domain::DriveError>) {
        let now = self.now.mono;
        for evse in self.evses.values_mut() {
            evse.switch.driven(ticket, result);
        }
        let failed = self
            .evses
            .iter_mut()
            .find_map(|(id, e)| e.actuator.driven(now, ticket, result).map(|order| (*id, order)));
        if let Some((id, order)) = failed {
            self.drive(id, order.command, order.lowering);
        }
    }

    fn link(&mut self, id: EvseId, role: Role, up: bool) {
        let Some(evse) = self.evses.get_mut(&id) else {
            return;
        };
        let before = evse.links.insert(role, up);
        if role == Role::Meter && up && before == Some(false) {
            evse.lease.hint();
        }
        if role == Role::Charger && up && before != Some(true) {
            // It may have been without power and have forgotten everything.
            evse.actuator.forget();
            evse.switch.back();
        }
    }

    fn set_online(&mut self, online: bool) {
        self.online = online;
        if online {
            self.teller.forget();
            for evse in self.evses.values_mut() {
                evse.teller.forget();
            }
        }
    }

    /// Chargers go to their safe state; running transactions are stored and go on after the restart.
    fn leave(&mut self) {
        if self.leaving {
            return;
        }
        self.leaving = true;
        let ids: Vec<EvseId> = self.evses.keys().copied().collect();
        for id in ids {
            self.drive(id, DeviceCommand::SafeState, true);
            self.save_tx(id);
            if let Some(evse) = self.evses.get_mut(&id) {
                evse.pending = None;
            }
        }
    }

    /// Tells what changed of the status, connector 0 first.
    fn tell(&mut self) {
        let min = self.params.min_status_duration;
        let whole = if self.inoperative {
            ConnectorStatus::Unavailable
        } else {
            ConnectorStatus::Available
        };
        let mut notices = Vec::new();
        notices.extend(
            self.teller
                .update(self.now, None, whole, ErrorCode::default(), min),
        );
        let kept: Vec<bool> = self.evses.keys().map(|id| self.is_kept(*id)).collect();
        for ((id, evse), kept) in self.evses.iter_mut().zip(kept) {
            let (status, error) = status::of(evse, evse.is_out(), kept, self.now.mono);
            notices.extend(evse.teller.update(self.now, Some(*id), status, error, min));
        }
        for notice in notices {
            self.outbox.push(Effect::Notify(Notice::Status(notice)));
        }
    }

    fn renew_lease(&mut self, id: EvseId) {
        let now = self.now.mono;
        let stuck = self.outbox.is_stuck(now);
        let Some(evse) = self.evses.get_mut(&id) else {
            return;
        };
        let metered = evse.tx.is_none() || evse.meter_well(now);
        let silent = evse.lease.too_silent(evse.heard, now);
        let answers = evse.links.get(&Role::Charger) == Some(&true);
        let health = if self.leaving || stuck {
            Health::Bad
        } else if !answers || silent || evse.actuator.is_not_obeying() || (!metered && evse.meters_itself()) {
            Health::Doubtful
        } else if metered {
            Health::Good
        } else {
            Health::Bad
        };
        if let Some(until) = evse.lease.renew(health, now) {
            self.outbox.push_express(Effect::Lease { evse: id, until });
        }
    }

    /// Gives an order to whoever carries files, under a number of its own.
    fn order(&mut self, what: TransferOrder) -> u64 {
        self.orders += 1;
        let order = self.orders;
        self.outbox.push(Effect::Transfer { order, what });
        order
    }

    /// The id of the next transaction: the same for the same seed and history, another for every transaction.
    fn tx_uuid(&self) -> String {
        Rng::new(self.seed ^ self.begun.wrapping_mul(0xD1B5_4A32_D192_ED03)).uuid()
    }
}

fn with_time(info: TokenInfo, now: Now) -> TokenInfo {
    TokenInfo {
        known_since: Some(now.stamp()),
        ..info
    }
}
