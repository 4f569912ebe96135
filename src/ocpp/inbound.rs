//! Messages of the peer: its CALLs are answered at once, its answers free the call slot.

use super::api::{Effect, Misbehaviour, Registration};
use super::dialect::{BootReason, CallCx, Reaction, Reply, Triggered};
use super::engine::{Outstanding, Purpose};
use super::frame::{self, Incoming};
use super::machine::{Asked, MAX_ASKED, MAX_TRIGGERED, Machine};
use super::outbound::is_about_form;
use super::wallclock::parse_utc;
use crate::domain::{CommandId, Direction, MessageResult, Mono, Now, Outcome, ReceiptAnswer};
use ocpp_kit::Version;
use ocpp_kit::rpc::{CallError, ErrorCode};
use serde_json::value::RawValue;

impl Machine {
    pub(super) fn receive(&mut self, now: Now, text: &str) {
        if !self.connected || self.closing {
            return;
        }
        self.last_exchange = now.mono;
        self.tally.last_heard = Some(now.mono);
        match frame::read(text, self.dialect.version()) {
            Incoming::Call { id, action, payload } => self.called(now, id, action, payload),
            Incoming::Result { id, payload } => match self.engine.answered(&id) {
                Some(waiting) => {
                    self.round_trip(now.mono, &waiting, MessageResult::Ok);
                    self.answered(now, waiting, &payload);
                }
                None => self.misbehaved(Misbehaviour::UnknownAnswer { id: short(&id) }),
            },
            Incoming::Error {
                id,
                code,
                description,
            } => match self.engine.answered(&id) {
                Some(waiting) => {
                    self.round_trip(now.mono, &waiting, MessageResult::Error);
                    self.refused(now, waiting, &code, description);
                }
                None => self.misbehaved(Misbehaviour::UnknownAnswer { id: short(&id) }),
            },
            Incoming::Bad { what, answer } => {
                self.misbehaved(what);
                self.out.extend(answer.map(Effect::Send));
            }
        }
    }

    /// Counts an answer to a CALL of ours.
    fn round_trip(&mut self, now: Mono, waiting: &Outstanding, result: MessageResult) {
        self.tally.message(waiting.action, Direction::Sent, result);
        self.tally.round_trip.record(now.since(waiting.sent));
    }

    /// Counts our answer to a CALL of the peer.
    pub(super) fn tell_answered(&mut self, action: &str, result: MessageResult) {
        let action = known_action(action, self.dialect.version());
        self.tally.message(action, Direction::Received, result);
    }

    fn called(&mut self, now: Now, message: String, action: String, payload: Box<RawValue>) {
        if self.asked.values().any(|asked| asked.message == message) {
            self.misbehaved(Misbehaviour::DuplicateCall { id: short(&message) });
            return;
        }
        if self.asked.len() >= MAX_ASKED {
            self.misbehaved(Misbehaviour::Flood);
            let busy = CallError::new(ErrorCode::GenericError, "too many requests wait for an answer");
            self.send_error(&message, &action, &busy);
            return;
        }
        self.react(now, message, action, payload);
    }

    fn react(&mut self, now: Now, message: String, action: String, payload: Box<RawValue>) {
        let cx = CallCx {
            now,
            registration: self.registration(),
            read_only: self.read_only,
        };
        let Reaction {
            reply,
            puts,
            commands,
            triggered,
        } = self.dialect.accept(&action, &payload, &cx);
        let version = self.dialect.version();
        let mut effects = Vec::new();
        match reply {
            Reply::Result(result) => {
                self.tell_answered(&action, MessageResult::Ok);
                effects.push(Effect::Send(frame::result_text(&message, &result, version)));
            }
            Reply::Error(error) => {
                self.tell_answered(&action, MessageResult::Error);
                self.misbehaved(Misbehaviour::BadCall {
                    action: short(&action),
                    code: error.code.as_wire(version).to_owned(),
                    reason: error.description.clone(),
                });
                effects.push(Effect::Send(frame::error_text(&message, &error, version)));
            }
            Reply::Ask(command) => {
                let id = self.command(command);
                self.asked.insert(id, Asked::new(message, action, payload));
            }
            Reply::Vault(request) => {
                let id = self.next_command_id();
                self.asked.insert(id, Asked::new(message, action, payload));
                self.out.push_back(Effect::Vault { id, request });
            }
        }
        for command in commands {
            let id = self.next_command_id();
            effects.push(Effect::Command { id, command });
        }
        if puts.is_empty() {
            self.out.extend(effects);
        } else {
            let commit = self.next_commit();
            self.commit(commit, puts, None);
            self.defer(commit, effects);
        }
        self.settings_changed();
        for wanted in triggered {
            self.trigger(now, wanted);
        }
    }

    pub(super) fn trigger(&mut self, now: Now, wanted: Triggered) {
        match wanted {
            Triggered::Boot => {
                self.boot_reason = BootReason::Triggered;
                self.boot.hasten(now.mono);
            }
            Triggered::Heartbeat => self.heartbeat_now = true,
            Triggered::Status(which) => self.statuses.trigger(which),
            Triggered::Call(call) => {
                if self.triggered.len() < MAX_TRIGGERED {
                    self.triggered.push_back(call);
                } else {
                    self.misbehaved(Misbehaviour::Flood);
                }
            }
        }
    }

    /// The station answered.
    pub(super) fn answer(&mut self, id: CommandId, outcome: &Outcome) {
        let Some(asked) = self.asked.remove(&id) else {
            return;
        };
        if !self.connected || self.closing {
            return;
        }
        let outcome = match outcome {
            Outcome::Sampled(told) => &Outcome::Simple(self.routing.answer_of(told)),
            other => other,
        };
        match self.dialect.answer(&asked.action, &asked.payload, outcome) {
            Ok(result) => {
                let text = frame::result_text(&asked.message, &result, self.dialect.version());
                self.tell_answered(&asked.action, MessageResult::Ok);
                self.out.push_back(Effect::Send(text));
            }
            Err(error) => self.send_error(&asked.message, &asked.action, &error),
        }
    }

    pub(super) fn send_error(&mut self, message: &str, action: &str, error: &CallError) {
        self.tell_answered(action, MessageResult::Error);
        let text = frame::error_text(message, error, self.dialect.version());
        self.out.push_back(Effect::Send(text));
    }

    fn answered(&mut self, now: Now, waiting: Outstanding, payload: &RawValue) {
        let action = waiting.action;
        let used = match waiting.purpose {
            Purpose::Boot(content) => self.boot_answered(now, &content, payload),
            Purpose::Heartbeat => self
                .dialect
                .heartbeat_reply(payload)
                .map(|time| self.time_told(now, &time)),
            Purpose::Authorize(request) => {
                let verdict = self.dialect.authorize_reply(payload, now);
                let result = verdict.as_ref().ok().cloned();
                self.out.push_back(Effect::Authorized { request, result });
                verdict.map(|_| ())
            }
            Purpose::Row => self.row_answered(now, action, payload),
            Purpose::Status(notice) => {
                self.statuses.acknowledged(notice);
                Ok(())
            }
            Purpose::Triggered => Ok(()),
        };
        if let Err(reason) = used {
            self.misbehaved(Misbehaviour::BadAnswer { action, reason });
        }
    }

    fn boot_answered(&mut self, now: Now, content: &str, payload: &RawValue) -> Result<(), String> {
        let reply = match self.dialect.boot_reply(payload) {
            Ok(reply) => reply,
            Err(reason) => {
                self.boot.failed(now.mono, &mut self.engine.rng);
                return Err(reason);
            }
        };
        self.boot.replied(now.mono, &reply, content, &mut self.engine.rng);
        self.time_told(now, &reply.time);
        if reply.status == Registration::Accepted {
            self.boot_reason = BootReason::Changed;
            if let Some(period) = reply.interval {
                let puts = self.dialect.set_heartbeat(period);
                if !puts.is_empty() {
                    let commit = self.next_commit();
                    self.commit(commit, puts, None);
                }
            }
            self.statuses.tell_all();
        }
        self.update_online();
        Ok(())
    }

    fn row_answered(&mut self, now: Now, action: &'static str, payload: &RawValue) -> Result<(), String> {
        let Some(row) = self.front_row().cloned() else {
            return Ok(());
        };
        match self.dialect.row_reply(&row, payload, now) {
            Ok(reply) => {
                if let Some((token, info)) = reply.learned {
                    self.out.push_back(Effect::Learned { token, info });
                }
                if let Some((tx, info)) = reply.verdict {
                    self.out.push_back(Effect::Verdict { tx, info });
                }
                let number = reply.number;
                self.finish_row(reply.puts, ReceiptAnswer::Accepted { number });
                Ok(())
            }
            Err(reason) => {
                self.row_refused(now, action, "unusable answer", false);
                Err(reason)
            }
        }
    }

    fn is_refused_for_good(&mut self, code: &ErrorCode) -> bool {
        let row = self.front_row().cloned();
        row.is_some_and(|row| self.dialect.row_refused(&row, code))
    }

    fn time_told(&mut self, now: Now, text: &str) {
        match parse_utc(text) {
            Some(unix_ms) => {
                self.told_time = Some((unix_ms, now.mono));
                self.out.push_back(Effect::ClockSet { unix_ms });
            }
            None => {
                let text = short(text);
                self.misbehaved(Misbehaviour::BadTime { text });
            }
        }
    }

    fn refused(&mut self, now: Now, waiting: Outstanding, code: &ErrorCode, description: String) {
        let wire = code.to_string();
        self.misbehaved(Misbehaviour::CallError {
            action: waiting.action,
            code: short(&wire),
            description,
        });
        match waiting.purpose {
            Purpose::Boot(_) => self.boot.failed(now.mono, &mut self.engine.rng),
            Purpose::Row if self.is_refused_for_good(code) => {
                self.finish_row(Vec::new(), ReceiptAnswer::GivenUp { code: short(&wire) });
            }
            Purpose::Row => self.row_refused(now, waiting.action, &short(&wire), is_about_form(code)),
            Purpose::Authorize(request) => {
                self.out.push_back(Effect::Authorized {
                    request,
                    result: None,
                });
            }
            Purpose::Status(notice) => self.statuses.acknowledged(notice),
            Purpose::Heartbeat | Purpose::Triggered => {}
        }
        // A CSMS that forgot our registration says so with SecurityError (interop rule 19).
        if *code == ErrorCode::SecurityError && self.boot.is_accepted() {
            self.boot.forgotten(now.mono, &mut self.engine.rng);
            self.statuses.forget_told();
            self.update_online();
        }
    }
}

/// The action as the specification writes it. What it does not know is counted under one name, however many a CSMS
/// invents.
fn known_action(action: &str, version: Version) -> &'static str {
    let known = match version {
        Version::V1_6 => action.parse().ok().map(ocpp_kit::v1_6::Action::as_str),
        Version::V2_0_1 => action.parse().ok().map(ocpp_kit::v2_0_1::Action::as_str),
        _ => None,
    };
    known.unwrap_or("other")
}

/// Foreign text that goes into logs, cut to 64 characters.
fn short(text: &str) -> String {
    text.chars().take(64).collect()
}
