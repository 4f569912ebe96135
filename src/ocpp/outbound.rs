//! What is sent next when the call slot is free.
//!
//! Order: BootNotification; then, once accepted: what the peer asked for, Authorize, ledger rows, statuses,
//! heartbeat. Rows and statuses take turns, so that a long queue does not hide the present. Before acceptance nothing but BootNotification and what the peer asked for.

use super::api::{Effect, Misbehaviour};
use super::dialect::{BootReason, Call, KeyPut};
use super::engine::Purpose;
use super::ledger::{Next, ROWS_AT_ONCE, Refused};
use super::machine::Machine;
use crate::domain::{Event, Mono, Now, Receipt, ReceiptAnswer, ReceiptPart, Row, Stamp};
use ocpp_kit::rpc::ErrorCode;
use std::time::Duration;

/// A row with an untrusted time waits this long for the epoch of its run, then the machine computes it itself.
const HOLD_FOR_EPOCH: Duration = Duration::from_secs(5);

/// Statuses and heartbeats wait this long for the step of the row before them: after a kill in between, that row is
/// repeated, and the CSMS sees it as the last that was said. A store that hangs holds nothing else up.
const SETTLE: Duration = Duration::from_secs(2);

/// So many receipts at most wait for a commit that carries them.
const RECEIPTS_MAX: usize = 32;

/// The time is asked for at least this often, even on a busy line (1.6 section 4.6).
const CLOCK_EVERY: Duration = Duration::from_secs(24 * 3600);

impl Machine {
    /// Sends and asks for whatever can be sent and asked for now.
    pub(super) fn pump(&mut self, now: Now) {
        if self.leave_when_due(now) {
            return;
        }
        self.renew(now);
        if self.connected
            && !self.closing
            && self.engine.outstanding().is_none()
            && let Some((call, purpose)) = self.next_call(now)
        {
            let timeout = self.dialect.timing().message_timeout;
            let text = self.engine.send(now.mono, &call, purpose, timeout);
            self.last_exchange = now.mono;
            self.out.push_back(Effect::Send(text));
        }
        self.read_on();
    }

    fn next_call(&mut self, now: Now) -> Option<(Call, Purpose)> {
        if !self.boot.is_accepted() {
            return self.before_acceptance(now);
        }
        if let Some(call) = self.next_triggered(now, false) {
            return Some(call);
        }
        if let Some((request, token)) = self.authorizes.pop_front() {
            return Some((self.dialect.authorize(&token), Purpose::Authorize(request)));
        }
        if self.is_settling(now) {
            return None;
        }
        if std::mem::take(&mut self.row_was_last)
            && let Some(call) = self.next_status(now, false)
        {
            return Some(call);
        }
        if let Some(call) = self.next_row(now) {
            self.row_was_last = true;
            return Some((call, Purpose::Row));
        }
        if self.reboot_by.is_some() && self.ledger.is_drained() {
            self.finish_reboot(now);
            return None;
        }
        if let Some(call) = self.next_status(now, false) {
            return Some(call);
        }
        self.heartbeat_due().is_some_and(|due| due <= now.mono).then(|| {
            self.heartbeat_now = false;
            (self.dialect.heartbeat(), Purpose::Heartbeat)
        })
    }

    fn is_settling(&mut self, now: Now) -> bool {
        if !self.ledger.is_committing() {
            self.settle_by = None;
            return false;
        }
        let (until, over) = self.settle_by.get_or_insert((now.mono.plus(SETTLE), false));
        *over |= *until <= now.mono;
        !*over
    }

    fn before_acceptance(&mut self, now: Now) -> Option<(Call, Purpose)> {
        if self.boot.due().is_some_and(|due| due <= now.mono) {
            self.boot.sent();
            let call = self.dialect.boot(&self.facts, self.boot_reason);
            return Some((call, Purpose::Boot(self.boot_content())));
        }
        self.next_triggered(now, true)
            .or_else(|| self.next_status(now, true))
    }

    /// What a BootNotification would say of the charge point, whatever the reason for sending it.
    pub(super) fn boot_content(&self) -> String {
        let call = self.dialect.boot(&self.facts, BootReason::default());
        call.payload.get().to_owned()
    }

    fn next_triggered(&mut self, now: Now, also_heartbeat: bool) -> Option<(Call, Purpose)> {
        if let Some(call) = self.triggered.pop_front() {
            return Some((call, Purpose::Triggered));
        }
        if also_heartbeat && std::mem::take(&mut self.heartbeat_now) {
            return Some((self.dialect.heartbeat(), Purpose::Heartbeat));
        }
        self.next_status(now, true)
    }

    fn next_status(&mut self, now: Now, only_triggered: bool) -> Option<(Call, Purpose)> {
        while let Some((notice, told)) = self.statuses.take(only_triggered) {
            if told.is_some_and(|told| self.dialect.says_the_same(told, &notice)) {
                continue;
            }
            let unix_ms = self.status_time(now, notice.at);
            if let Some(call) = self.dialect.status(&notice, unix_ms) {
                return Some((call, Purpose::Status(notice)));
            }
        }
        None
    }

    /// A status is not kept and never repeated, so the time told by the CSMS corrects it at once.
    pub(super) fn status_time(&self, now: Now, at: Stamp) -> i64 {
        let mut epochs = self.epochs.clone();
        if at.boot == now.boot
            && epochs.of(at.boot).is_none()
            && let Some(epoch) = self.own_epoch(now)
        {
            epochs.set(now.boot, epoch);
        }
        epochs.unix_ms(at)
    }

    /// The epoch of this run as the machine itself knows it.
    fn own_epoch(&self, now: Now) -> Option<i64> {
        let at_zero = |unix_ms: i64, at: Mono| unix_ms - i64::try_from(at.0).unwrap_or(i64::MAX);
        if now.wall.quality.is_trusted() {
            return Some(at_zero(now.wall.unix_ms, now.mono));
        }
        self.told_time.map(|(unix_ms, at)| at_zero(unix_ms, at))
    }

    fn next_row(&mut self, now: Now) -> Option<Call> {
        loop {
            let Next::Send(row) = self.ledger.next(now.mono) else {
                return None;
            };
            let at = row.at;
            let concerns = self.routing.concerns(&row.event);
            let call = match self.ledger.rendered().cloned() {
                Some(call) => Some(call),
                None if !concerns => None,
                None if self.must_hold(now, at) => return None,
                // Asked once for each row: who is not left out is sent now.
                None if self.leaves_front_out() => None,
                None => self.render_front(),
            };
            match call {
                Some(call) => {
                    self.ledger.sent(call.clone());
                    return Some(call);
                }
                None => {
                    if !concerns {
                        self.note_receipt(ReceiptAnswer::NotForIt);
                    }
                    self.ledger.pass_over();
                }
            }
            if self.ledger.front().is_none() {
                self.read_on();
            }
        }
    }

    /// Whether the oldest row is not told because of the budget.
    fn leaves_front_out(&mut self) -> bool {
        let left_out = self
            .ledger
            .front()
            .is_some_and(|row| self.thinning.leaves_out(row));
        self.tally.thinned += u64::from(left_out);
        left_out
    }

    fn render_front(&self) -> Option<Call> {
        let row = self.front_row()?;
        let renumbered = self.thinning.renumbered(row);
        self.dialect.row(renumbered.as_ref().unwrap_or(row), &self.epochs)
    }

    /// A row whose time is not trusted waits until the epoch of its run is known and kept, so that a repeat
    /// after a restart carries the same time.
    fn must_hold(&mut self, now: Now, at: Stamp) -> bool {
        let known = at.wall.quality.is_trusted() || self.epochs.of(at.boot).is_some();
        if known || at.boot != now.boot {
            self.held_since = None;
            return false;
        }
        let since = *self.held_since.get_or_insert(now.mono);
        if now.mono.since(since) < HOLD_FOR_EPOCH {
            return true;
        }
        if let Some(epoch) = self.own_epoch(now) {
            self.epochs.set(now.boot, epoch);
        }
        self.held_since = None;
        false
    }

    /// Asks for rows when there are none in memory, and lets rows that were passed over move the cursor.
    fn read_on(&mut self) {
        if !self.connected || self.closing || !self.boot.is_accepted() {
            return;
        }
        if self.receipts.len() < RECEIPTS_MAX
            && let Some(after) = self.ledger.need()
        {
            let limit = ROWS_AT_ONCE;
            self.out.push_back(Effect::NeedRows { after, limit });
        } else if let Some(cursor) = self.ledger.idle_progress() {
            let commit = self.next_commit();
            self.ledger.start_commit(commit);
            let puts = self.thinning.puts(None);
            self.commit(commit, puts, Some(cursor));
        }
    }

    /// A heartbeat is due after its period without any exchange, or when asked for (1.6 section 9.1.10).
    fn heartbeat_due(&self) -> Option<Mono> {
        if self.heartbeat_now {
            return Some(Mono(0));
        }
        let clock = self.told_time.map(|(_, at)| at.plus(CLOCK_EVERY));
        let period = self.dialect.timing().heartbeat;
        let idle = (!period.is_zero()).then(|| self.last_exchange.plus(period));
        [clock, idle].into_iter().flatten().min()
    }

    /// The earliest deadline while the call slot is free.
    pub(super) fn idle_deadline(&self) -> Option<(Mono, &'static str)> {
        if !self.boot.is_accepted() {
            return self.boot.due().map(|at| (at, "BootNotification"));
        }
        let waits = self
            .settle_by
            .filter(|(_, over)| !over && self.ledger.is_committing());
        let settled = waits.map(|(until, _)| until);
        let heartbeat = self
            .heartbeat_due()
            .map(|at| (settled.map_or(at, |settled| at.max(settled)), "Heartbeat"));
        let settled = settled.map(|at| (at, "the ledger does not answer"));
        let retry = self
            .ledger
            .not_before()
            .map(|at| (at, "retry of a transaction message"));
        let hold = self
            .held_since
            .map(|at| (at.plus(HOLD_FOR_EPOCH), "time of a row unknown"));
        [heartbeat, retry, hold, settled].into_iter().flatten().min()
    }

    /// A row was refused: again later, or given up.
    pub(super) fn row_refused(&mut self, now: Now, action: &'static str, code: &str, malformed: bool) {
        let Some(row) = self.front_row().cloned() else {
            return;
        };
        if malformed {
            self.misbehaved(Misbehaviour::RowMalformed {
                seq: row.seq,
                action,
                code: code.to_owned(),
            });
        }
        let timing = self.dialect.timing();
        let refused = self
            .ledger
            .refused(now.mono, malformed, timing.row_attempts, timing.row_retry);
        if let Refused::GiveUp(attempts) = refused {
            self.give_up(&row, action, code, attempts);
        }
    }

    fn give_up(&mut self, row: &Row, action: &'static str, code: &str, attempts: u32) {
        self.misbehaved(Misbehaviour::RowGivenUp {
            seq: row.seq,
            action,
            attempts,
            code: code.to_owned(),
        });
        let puts = self.dialect.row_given_up(row);
        let code = code.to_owned();
        self.finish_row(puts, ReceiptAnswer::GivenUp { code });
    }

    /// Notes for the journal of sessions what becomes of the oldest row, if it begins or ends one. A session this back
    /// end is not told of is noted once, by its end.
    fn note_receipt(&mut self, answer: ReceiptAnswer) {
        let Some(row) = self.ledger.front() else { return };
        let (tx, part) = match &row.event {
            Event::Began(begin) if answer != ReceiptAnswer::NotForIt => (&begin.tx, ReceiptPart::Begin),
            Event::Ended(end) => (&end.tx, ReceiptPart::End),
            _ => return,
        };
        let sent = self.ledger.rendered();
        self.receipts.push(Receipt {
            reader: self.reader.clone(),
            tx: tx.clone(),
            part,
            row: row.seq,
            answer,
            register: sent.and_then(|call| self.dialect.register_told(call)),
        });
    }

    /// The oldest row is done: its cursor and what the dialect remembers of it become durable together.
    pub(super) fn finish_row(&mut self, mut puts: Vec<KeyPut>, answer: ReceiptAnswer) {
        self.note_receipt(answer);
        let routing = &mut self.routing;
        let done = self.ledger.front().map(|row| &row.event);
        puts.extend(done.and_then(|event| routing.done(event)));
        puts.extend(self.thinning.puts(done));
        let commit = self.next_commit();
        let cursor = self.ledger.finish(commit);
        self.commit(commit, puts, Some(cursor));
    }
}

/// Whether a refusal is about the form of the message and repeats for ever (interop rule 6).
pub(super) fn is_about_form(code: &ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::FormatViolation
            | ErrorCode::PropertyConstraintViolation
            | ErrorCode::OccurrenceConstraintViolation
            | ErrorCode::TypeConstraintViolation
            | ErrorCode::ProtocolError
    )
}
