//! What back ends ask of the station. Every command is answered exactly once.
//!
//! An answer that promises something lasting (availability, a profile, the end of a transaction) leaves after the
//! commit that makes it last; the others leave at once.

use super::Station;
use super::io::{Effect, Role};
use super::reserve::Claim;
use super::smart;
use super::tokens::StartWish;
use crate::domain::{
    Accepted, Availability, AvailabilityOutcome, Batch, ChargingProfile, Command, CommandId, DeviceCommand,
    DriveError, EvseId, ListOutcome, ListUpdate, Mono, Outcome, ProfilePurpose, RemoteStart, ResetKind,
    ResetOutcome, RunningTx, SampleContext, SecurityEvent, Session, StopReason, Trigger, TxId, TxTrigger,
    UnlockOutcome, Within,
};
use std::time::Duration;

/// How long a lock may take to open.
const UNLOCK_TIMEOUT: Duration = Duration::from_secs(25);

/// An unlock that was ordered and not answered yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unlocking {
    id: CommandId,
    since: Mono,
}

impl Unlocking {
    /// When it is given up.
    pub(super) fn deadline(&self) -> Mono {
        self.since.plus(UNLOCK_TIMEOUT)
    }
}

impl Station {
    /// Carries out a command.
    pub(super) fn command(&mut self, id: CommandId, command: Command) {
        let outcome = match command {
            Command::RemoteStart(start) => Outcome::Simple(self.remote_start(start)),
            Command::RemoteStop { tx } => Outcome::Simple(self.remote_stop(&tx)),
            Command::ChangeAvailability { evse, to } => {
                Outcome::Availability(self.change_availability(evse, to))
            }
            Command::Reset { kind, evse } => Outcome::Reset(self.reset(kind, evse)),
            Command::Unlock { evse, running } => match self.unlock(id, evse, running) {
                Some(outcome) => Outcome::Unlock(outcome),
                None => return,
            },
            Command::ClearCache => Outcome::Simple(self.clear_cache()),
            Command::SendList(update) => Outcome::List(self.send_list(&update)),
            Command::ListVersion => Outcome::ListVersion(self.known.list.version()),
            Command::Reserve(wanted) => Outcome::Reserve(self.reserve(wanted)),
            Command::CancelReservation { id } => Outcome::Simple(self.cancel_reservation(id)),
            Command::SetProfile { evse, profile } => Outcome::Simple(self.set_profile(evse, profile)),
            Command::ClearProfiles(which) => {
                let puts = self.smart.clear(&self.scope, &which);
                let matched = !puts.is_empty();
                self.outbox.commit(Batch {
                    puts,
                    ..Batch::default()
                });
                Outcome::Simple(yes_if(matched, "no charging profile matches"))
            }
            Command::GetComposite {
                evse,
                duration_s,
                unit,
            } => Outcome::Composite(self.composite(evse, duration_s, unit)),
            Command::SetParams(params) => {
                self.params = *params;
                Outcome::Simple(Accepted::Yes)
            }
            Command::SetLimit { evse, entry } => Outcome::Simple(self.set_limit(evse, entry)),
            Command::Hold { evse, held } => Outcome::Simple(self.hold_back(evse, held)),
            Command::SetPhases { evse, phases } => Outcome::Simple(self.set_phases(evse, phases)),
            Command::Present { evse, token } => Outcome::Simple(self.present(evse, token)),
            Command::GetLog(request) => return self.get_log(id, *request),
            Command::UpdateFirmware(request) => return self.update_firmware(id, *request),
            Command::TellFirmware { signed } => return self.tell_update(id, signed),
            Command::TellLog { diagnostics } => {
                self.answer(id, Outcome::Simple(Accepted::Yes));
                return self.trigger_log(diagnostics);
            }
            Command::Trigger(trigger) => self.trigger(trigger),
        };
        self.answer(id, outcome);
    }

    /// An unlock was carried out, failed, or took too long (`None`).
    pub(super) fn unlocked(&mut self, ticket: u64, result: Option<&Result<(), DriveError>>) {
        let Some(unlocking) = self.unlocking.remove(&ticket) else {
            return;
        };
        let outcome = match result {
            Some(Ok(())) => UnlockOutcome::Unlocked,
            Some(Err(DriveError::Unsupported)) => UnlockOutcome::NotSupported,
            Some(Err(_)) | None => UnlockOutcome::Failed,
        };
        self.answer(unlocking.id, Outcome::Unlock(outcome));
    }

    /// Gives up on locks that take too long.
    pub(super) fn expire_unlocks(&mut self) {
        let now = self.now.mono;
        let late: Vec<u64> = self
            .unlocking
            .iter()
            .filter(|(_, u)| now >= u.deadline())
            .map(|(t, _)| *t)
            .collect();
        for ticket in late {
            self.unlocked(ticket, None);
        }
    }

    pub(super) fn answer(&mut self, id: CommandId, outcome: Outcome) {
        self.outbox.push(Effect::Answer { id, outcome });
    }

    fn remote_start(&mut self, start: RemoteStart) -> Accepted {
        if self.leaving || self.reboot.is_some() {
            return Accepted::No("the charge point is about to restart");
        }
        if let Some(profile) = &start.profile {
            let usable = smart::check(profile);
            if profile.purpose != ProfilePurpose::Tx || profile.tx.is_some() || !usable.is_yes() {
                return Accepted::No("the charging profile cannot be used for a transaction to be started");
            }
        }
        let among: Vec<EvseId> = match start.evse {
            Some(evse) if self.evses.contains_key(&evse) => vec![evse],
            Some(_) => return Accepted::No("no such EVSE"),
            None => self.evses.keys().copied().collect(),
        };
        let Some(id) = self.best_free(&among, &start.token, start.group.as_deref(), |_| true) else {
            return Accepted::No("the EVSE is occupied, reserved, out of service or faulty");
        };
        let claim = self.claim_of(id, &start.token, start.group.as_deref());
        let wish = StartWish {
            token: start.token,
            group: start.group,
            remote_start_id: start.remote_start_id,
            profile: start.profile,
            trigger: TxTrigger::RemoteStart,
        };
        // Whose group decides it: the CSMS is asked for it (1.6 section 5.13).
        if self.params.authorize_remote_start || claim == Claim::Unclear {
            return yes_if(self.wish_start(id, wish), "the token is not authorised");
        }
        self.hold(id, wish);
        Accepted::Yes
    }

    fn remote_stop(&mut self, tx: &TxId) -> Accepted {
        let found = self
            .evses
            .iter()
            .find(|(_, e)| e.tx.as_ref().is_some_and(|t| t.record.id == *tx))
            .map(|(id, _)| *id);
        match found {
            Some(id) => {
                self.end_tx(id, StopReason::Remote, None);
                Accepted::Yes
            }
            None => Accepted::No("no such transaction is running"),
        }
    }

    fn change_availability(&mut self, evse: Option<EvseId>, to: Availability) -> AvailabilityOutcome {
        let inoperative = to == Availability::Inoperative;
        let concerned: Vec<EvseId> = match evse {
            Some(id) if self.evses.contains_key(&id) => vec![id],
            Some(_) => return AvailabilityOutcome::Rejected,
            None => self.evses.keys().copied().collect(),
        };
        let mut puts = Vec::new();
        let value = inoperative.then(|| "inoperative".to_owned());
        if evse.is_none() {
            self.inoperative = inoperative;
            puts.push(self.put_text("availability/0".to_owned(), value.clone()));
        }
        let mut scheduled = false;
        for id in concerned {
            puts.push(self.put_text(format!("availability/{id}"), value.clone()));
            let Some(evse) = self.evses.get_mut(&id) else {
                continue;
            };
            evse.inoperative = inoperative;
            scheduled |= inoperative && evse.tx.is_some();
            if inoperative {
                evse.pending = None;
            }
        }
        self.outbox.commit(Batch {
            puts,
            ..Batch::default()
        });
        if scheduled {
            AvailabilityOutcome::Scheduled
        } else {
            AvailabilityOutcome::Accepted
        }
    }

    fn reset(&mut self, kind: ResetKind, evse: Option<EvseId>) -> ResetOutcome {
        if evse.is_some() || self.leaving {
            return ResetOutcome::Rejected;
        }
        let running: Vec<EvseId> = self
            .evses
            .iter()
            .filter(|(_, e)| e.tx.is_some())
            .map(|(id, _)| *id)
            .collect();
        let outcome = match kind {
            ResetKind::OnIdle if !running.is_empty() => ResetOutcome::Scheduled,
            ResetKind::Soft | ResetKind::Hard | ResetKind::OnIdle => ResetOutcome::Accepted,
        };
        let reason = if kind == ResetKind::Hard {
            StopReason::HardReset
        } else {
            StopReason::SoftReset
        };
        if kind != ResetKind::OnIdle {
            for id in running {
                self.end_tx(id, reason, None);
            }
        }
        // What need not wait is a reset like any other.
        self.reboot = Some(match kind {
            ResetKind::OnIdle if outcome == ResetOutcome::Accepted => ResetKind::Soft,
            ResetKind::OnIdle | ResetKind::Soft | ResetKind::Hard => kind,
        });
        outcome
    }

    /// Restarts the session with the CSMS once nothing stands against it.
    pub(super) fn reboot_if_idle(&mut self) {
        if self.evses.values().any(|e| e.tx.is_some()) {
            return;
        }
        if let Some(kind) = self.reboot.take() {
            for evse in self.evses.values_mut() {
                evse.pending = None;
            }
            let asked = Some("asked for by the CSMS");
            self.record_security(SecurityEvent::new("ResetOrReboot", asked));
            self.outbox.push(Effect::Reboot(kind));
        }
    }

    /// Orders the lock to open; `None`: answered later.
    fn unlock(&mut self, id: CommandId, evse: EvseId, running: RunningTx) -> Option<UnlockOutcome> {
        let Some(found) = self.evses.get(&evse) else {
            return Some(UnlockOutcome::UnknownConnector);
        };
        if found.tx.is_some() && running == RunningTx::Keeps {
            return Some(UnlockOutcome::TransactionRunning);
        }
        // What cannot be done anyway is no reason to end a transaction.
        if !found.setup.has_lock {
            return Some(UnlockOutcome::NotSupported);
        }
        if found.is_down(Role::Charger) {
            return Some(UnlockOutcome::Failed);
        }
        self.end_tx(evse, StopReason::UnlockCommand, None);
        let ticket = self.drive(evse, DeviceCommand::Unlock, false);
        self.unlocking.insert(
            ticket,
            Unlocking {
                id,
                since: self.now.mono,
            },
        );
        None
    }

    fn clear_cache(&mut self) -> Accepted {
        if !self.params.cache_enabled {
            return Accepted::No("there is no authorisation cache");
        }
        let puts = self.known.cache.clear(&self.scope);
        self.outbox.commit(Batch {
            puts,
            ..Batch::default()
        });
        Accepted::Yes
    }

    fn send_list(&mut self, update: &ListUpdate) -> ListOutcome {
        let (outcome, puts) = self.known.list.update(&self.scope, update);
        self.outbox.commit(Batch {
            puts,
            ..Batch::default()
        });
        outcome
    }

    fn set_profile(&mut self, evse: Option<EvseId>, mut profile: ChargingProfile) -> Accepted {
        if let Accepted::No(why) = smart::check(&profile) {
            return Accepted::No(why);
        }
        let found = evse.map(|id| self.evses.get(&id));
        match (profile.purpose, found) {
            (_, Some(None)) => return Accepted::No("no such EVSE"),
            (ProfilePurpose::ChargePointMax, Some(_)) => {
                return Accepted::No("a profile of the whole charge point belongs to connector 0");
            }
            (ProfilePurpose::Tx, None) => return Accepted::No("a profile of a transaction needs an EVSE"),
            (ProfilePurpose::Tx, Some(Some(found))) => {
                let Some(tx) = &found.tx else {
                    return Accepted::No("no transaction is running there");
                };
                if profile.tx.as_ref().is_some_and(|id| *id != tx.record.id) {
                    return Accepted::No("another transaction is running there");
                }
                profile.tx = Some(tx.record.id.clone());
            }
            (ProfilePurpose::ChargePointMax | ProfilePurpose::TxDefault, _) => {}
        }
        match self
            .smart
            .install(&self.scope, evse, profile, self.now.wall.unix_ms)
        {
            Ok(puts) => {
                self.outbox.commit(Batch {
                    puts,
                    ..Batch::default()
                });
                Accepted::Yes
            }
            Err(why) => Accepted::No(why),
        }
    }

    fn trigger(&mut self, trigger: Trigger) -> Outcome {
        match trigger {
            Trigger::Status(Some(id)) if !self.evses.contains_key(&id) => {
                Outcome::Simple(Accepted::No("no such EVSE"))
            }
            Trigger::Status(which) => {
                if which.is_none() {
                    self.teller.forget();
                }
                for (_, evse) in self
                    .evses
                    .iter_mut()
                    .filter(|(id, _)| which.is_none_or(|w| w == **id))
                {
                    evse.teller.forget();
                }
                Outcome::Simple(Accepted::Yes)
            }
            Trigger::MeterValues { evse, within } => {
                // 2.0.1 F06: values apart from a transaction are those of the aligned data.
                let wanted = match within {
                    Within::Either | Within::Transaction => self.params.sampled.clone(),
                    Within::Apart => self.params.aligned.clone(),
                };
                let ids: Vec<EvseId> = self
                    .evses
                    .iter()
                    .filter(|(id, found)| {
                        evse.is_none_or(|e| e == **id)
                            && (within != Within::Transaction || found.tx.is_some())
                    })
                    .map(|(id, _)| *id)
                    .collect();
                let at = self.now.stamp();
                let mut told = Vec::new();
                for id in ids {
                    if self.sample(id, SampleContext::Trigger, within, &wanted, at) {
                        told.push(self.session(id));
                    }
                }
                Outcome::Sampled(told)
            }
        }
    }
}

impl Station {
    /// The session that runs at an EVSE.
    fn session(&self, id: EvseId) -> Option<Session> {
        let record = &self.evses.get(&id)?.tx.as_ref()?.record;
        Some(Session {
            tx: record.id.clone(),
            token: record.token.clone(),
        })
    }
}

fn yes_if(condition: bool, otherwise: &'static str) -> Accepted {
    if condition {
        Accepted::Yes
    } else {
        Accepted::No(otherwise)
    }
}
