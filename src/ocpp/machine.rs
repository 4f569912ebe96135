//! The machine of one (charge point, CSMS): takes inputs, keeps the order of things, gives effects.

use super::api::{Effect, Facts, Input, Misbehaviour, Registration, Snapshot};
use super::boot::Boot;
use super::dialect::{BootReason, Call, Dialect, KeyPut};
use super::engine::{Engine, Purpose};
use super::ledger::LedgerReader;
use super::routing::Routing;
use super::statuses::Statuses;
use super::thinning::Thinning;
use super::v16::V16;
use super::v201::V201;
use super::vault::Renewal;
use super::wallclock::Epochs;
use crate::domain::{
    Batch, Command, CommandId, CpSetup, CsmsSetup, Direction, IdToken, LinkTally, MessageResult, Mono,
    Notice, Now, OcppVersion, Params, Put, ReaderId, Receipt, ReceiptAnswer, ResetKind, Row, Stamp,
};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A soft reset waits this long for the ledger to be delivered before it closes.
const DRAIN_BEFORE_REBOOT: Duration = Duration::from_secs(15);

/// CALLs of the peer that may wait for the station's answer at once.
pub(super) const MAX_ASKED: usize = 32;

/// Messages the peer asked for that may wait at once.
pub(super) const MAX_TRIGGERED: usize = 64;

/// Token questions that may wait at once.
const MAX_AUTHORIZES: usize = 64;

/// A CALL of the peer that waits for the station.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) message: String,
    pub(super) action: String,
    pub(super) payload: Box<RawValue>,
}

impl Asked {
    pub(super) fn new(message: String, action: String, payload: Box<RawValue>) -> Self {
        Self {
            message,
            action,
            payload,
        }
    }
}

/// What waits for a commit of settings.
#[derive(Debug)]
pub(super) struct Deferred {
    /// Connection the answer belongs to.
    pub(super) session: u64,
    pub(super) effects: Vec<Effect>,
}

/// One machine per (charge point, CSMS). See the module documentation for what it does.
///
/// The barrier of the ordering law is kept inside: rows wait for the commit of the row before, answers to
/// ChangeConfiguration wait for the commit of the setting; every other effect passes.
pub struct Machine {
    pub(super) dialect: Box<dyn Dialect>,
    pub(super) reader: ReaderId,
    scope: String,
    pub(super) out: VecDeque<Effect>,
    pub(super) engine: Engine,
    pub(super) boot: Boot,
    /// Why the next BootNotification is sent.
    pub(super) boot_reason: BootReason,
    pub(super) ledger: LedgerReader,
    pub(super) routing: Routing,
    /// What became of sessions, on its way into the commit that moves the cursor past it.
    pub(super) receipts: Vec<Receipt>,
    pub(super) thinning: Thinning,
    /// What passed on this link.
    pub(super) tally: LinkTally,
    /// Another CSMS is in control.
    pub(super) read_only: bool,
    pub(super) epochs: Epochs,
    /// Time the CSMS told last: Unix milliseconds and when.
    pub(super) told_time: Option<(i64, Mono)>,
    pub(super) facts: Facts,
    pub(super) connected: bool,
    pub(super) closing: bool,
    pub(super) session: u64,
    lost_at: Option<Mono>,
    pub(super) online: bool,
    pub(super) asked: BTreeMap<CommandId, Asked>,
    last_command: u64,
    pub(super) authorizes: VecDeque<(u64, IdToken)>,
    pub(super) statuses: Statuses,
    /// The last CALL was a ledger row: a status may go next.
    pub(super) row_was_last: bool,
    pub(super) triggered: VecDeque<Call>,
    pub(super) heartbeat_now: bool,
    pub(super) last_exchange: Mono,
    last_commit: u64,
    deferred: BTreeMap<u64, Deferred>,
    pub(super) reboot_by: Option<Mono>,
    /// The connection is given up for one with new credentials: as soon as no CALL of ours waits, by then at the latest.
    pub(super) leave_by: Option<Mono>,
    pub(super) renewal: Renewal,
    /// Since when the oldest row waits for the epoch of its run.
    pub(super) held_since: Option<Mono>,
    /// Until when statuses and heartbeats wait for the step that is on its way to the disk, and whether that is over.
    pub(super) settle_by: Option<(Mono, bool)>,
    ping: Duration,
    misbehaviours: u64,
}

impl Machine {
    /// A machine that has not been connected yet.
    ///
    /// `restored` is the scope `ocpp/<reader>` of the store and `cursor` the reader's durable position: rows up
    /// to and including it are done. `seed` must differ from run to run, because message ids come from it.
    #[must_use]
    pub fn new(
        cp: &CpSetup,
        csms: &CsmsSetup,
        reader: ReaderId,
        firmware: &str,
        seed: u64,
        cursor: u64,
        restored: &[(String, String)],
    ) -> Self {
        let dialect: Box<dyn Dialect> = match csms.version {
            OcppVersion::V16 => Box::new(V16::new(cp, csms, firmware, restored)),
            OcppVersion::V201 => Box::new(V201::new(cp, csms, firmware, restored)),
        };
        let ping = dialect.timing().ping;
        Self {
            engine: Engine::new(dialect.version(), seed),
            dialect,
            scope: format!("ocpp/{reader}"),
            reader,
            out: VecDeque::from([Effect::Ping(ping)]),
            boot: Boot::new(csms.boot_retry),
            boot_reason: BootReason::PowerUp,
            ledger: LedgerReader::new(cursor),
            routing: Routing::new(cp, csms, restored),
            receipts: Vec::new(),
            thinning: Thinning::new(restored),
            tally: LinkTally::default(),
            read_only: !cp.is_controlled_by(csms),
            epochs: Epochs::default(),
            told_time: None,
            facts: Facts::default(),
            connected: false,
            closing: false,
            session: 0,
            lost_at: None,
            online: false,
            asked: BTreeMap::new(),
            last_command: 0,
            authorizes: VecDeque::new(),
            statuses: Statuses::default(),
            row_was_last: false,
            triggered: VecDeque::new(),
            heartbeat_now: false,
            last_exchange: Mono(0),
            last_commit: 0,
            deferred: BTreeMap::new(),
            reboot_by: None,
            leave_by: None,
            renewal: Renewal::default(),
            held_since: None,
            settle_by: None,
            ping,
            misbehaviours: 0,
        }
    }

    /// The station's settings as this CSMS has them.
    #[must_use]
    pub fn params(&self) -> Params {
        self.dialect.params()
    }

    /// Takes over what steers the station, if another CSMS sets it: it is told and rendered, not kept.
    pub fn follow(&mut self, params: &Params) {
        if self.read_only {
            self.dialect.follow(params);
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Connected => self.connect(now),
            Input::Disconnected => self.disconnect(now),
            Input::Text(text) => self.receive(now, &text),
            Input::Rows(rows) => self.ledger.read(rows),
            Input::LedgerGrew => self.ledger.grew(),
            Input::Committed(id) => self.committed(id),
            Input::Notice(Notice::Status(notice)) => {
                self.dialect.observe(&notice);
                self.statuses.notice(notice);
            }
            Input::Notice(Notice::ListConflict(at)) => self.list_conflict(now, at),
            Input::Facts(facts) => self.facts = facts,
            Input::Params(params) => self.follow(&params),
            Input::Thrift(thrift) => self.thinning.thrift = thrift,
            Input::Authorize { request, token, .. } => self.ask_about(request, token),
            Input::Answer { id, outcome } => self.answer(id, &outcome),
            Input::Vault { id, answer } => self.vault_answered(now, id, &answer),
            Input::Credentials(credentials) => {
                self.dialect.credentials(credentials);
                self.renewal.learn(credentials.expires_ms);
            }
            Input::Epoch {
                boot,
                unix_ms_at_zero,
            } => self.epochs.set(boot, unix_ms_at_zero),
            Input::Reboot(kind) => self.restart(now, kind),
            Input::Tick => {}
        }
        self.expire(now);
        self.pump(now);
    }

    /// What passed on this link since it was made.
    #[must_use]
    pub fn tally(&self) -> &LinkTally {
        &self.tally
    }

    /// The next effect, in order.
    pub fn poll(&mut self) -> Option<Effect> {
        self.out.pop_front()
    }

    /// When [`Input::Tick`] is wanted, and why.
    #[must_use]
    pub fn next_deadline(&self) -> Option<(Mono, &'static str)> {
        if !self.connected || self.closing {
            return None;
        }
        let timeout = self
            .engine
            .outstanding()
            .map(|waiting| (waiting.deadline, "message time-out"));
        let reboot = self.reboot_by.map(|at| (at, "reset"));
        let leave = self.leave_by.map(|at| (at, "new credentials"));
        let idle = if timeout.is_none() {
            self.idle_deadline()
        } else {
            None
        };
        [timeout, reboot, leave, idle].into_iter().flatten().min()
    }

    /// The machine at a glance.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            read_only: self.read_only,
            version: self.dialect.version().subprotocol(),
            connected: self.connected && !self.closing,
            registration: self.boot.state(),
            waiting_for: self.engine.outstanding().map(|waiting| waiting.action),
            cursor: self.ledger.cursor(),
            rows_waiting: self.ledger.waiting(),
            row_refusals: self.ledger.refusals(),
            heartbeat_s: self.dialect.timing().heartbeat.as_secs(),
            misbehaviours: self.misbehaviours,
            thrift: self.thinning.thrift,
            thinned: self.tally.thinned,
        }
    }

    fn connect(&mut self, now: Now) {
        if self.connected {
            self.disconnect(now);
        }
        self.connected = true;
        self.closing = false;
        self.session += 1;
        self.last_exchange = now.mono;
        let content = self.boot_content();
        self.boot.connected(now.mono, &content);
        if self.boot.is_accepted() {
            let threshold = self.dialect.timing().offline_threshold;
            match self.lost_at {
                Some(lost) if now.mono.since(lost) <= threshold => self.statuses.tell_changed(),
                _ => self.statuses.tell_all(),
            }
        }
        self.out.push_back(Effect::Ping(self.ping));
        self.update_online();
    }

    fn disconnect(&mut self, now: Now) {
        if self.connected {
            self.lost_at = Some(now.mono);
        }
        self.connected = false;
        self.closing = false;
        if let Some(waiting) = self.engine.abandon() {
            self.tally
                .message(waiting.action, Direction::Sent, MessageResult::Lost);
            self.unanswered(&waiting.purpose);
        }
        self.asked.clear();
        self.triggered.clear();
        self.statuses.disconnected();
        self.heartbeat_now = false;
        self.leave_by = None;
        self.renewal.disconnected();
        for (request, _) in std::mem::take(&mut self.authorizes) {
            self.out.push_back(Effect::Authorized {
                request,
                result: None,
            });
        }
        if self.reboot_by.take().is_some() {
            self.forget_registration(now.mono);
        }
        self.update_online();
    }

    /// A CALL of ours stays without an answer.
    pub(super) fn unanswered(&mut self, purpose: &Purpose) {
        match *purpose {
            Purpose::Row => {
                self.ledger.unanswered();
                let row = self.front_row().cloned();
                if row.is_some_and(|row| self.dialect.row_unanswered(&row)) {
                    self.finish_row(Vec::new(), ReceiptAnswer::NotForIt);
                }
            }
            Purpose::Authorize(request) => {
                self.out.push_back(Effect::Authorized {
                    request,
                    result: None,
                });
            }
            Purpose::Boot(_) | Purpose::Heartbeat | Purpose::Status(_) | Purpose::Triggered => {}
        }
    }

    fn expire(&mut self, now: Now) {
        if !self.connected || self.closing {
            return;
        }
        if let Some(waiting) = self.engine.expired(now.mono) {
            self.tally
                .message(waiting.action, Direction::Sent, MessageResult::Timeout);
            self.misbehaved(Misbehaviour::NoAnswer {
                action: waiting.action,
                after: waiting.timeout,
            });
            self.unanswered(&waiting.purpose);
            self.close(1001, "a CALL stayed without an answer");
        }
        if self.reboot_by.is_some_and(|by| by <= now.mono) {
            self.finish_reboot(now);
        }
    }

    pub(super) fn close(&mut self, code: u16, reason: &'static str) {
        if self.connected && !self.closing {
            self.closing = true;
            self.out.push_back(Effect::Close { code, reason });
            self.update_online();
        }
    }

    fn restart(&mut self, now: Now, kind: ResetKind) {
        self.boot_reason = match kind {
            ResetKind::Soft | ResetKind::Hard => BootReason::RemoteReset,
            ResetKind::OnIdle => BootReason::ScheduledReset,
        };
        if !self.online || kind == ResetKind::Hard {
            self.forget_registration(now.mono);
            self.close(1001, "the charge point restarts");
        } else {
            self.reboot_by = Some(now.mono.plus(DRAIN_BEFORE_REBOOT));
        }
    }

    pub(super) fn finish_reboot(&mut self, now: Now) {
        self.reboot_by = None;
        self.close(1001, "the charge point restarts");
        self.forget_registration(now.mono);
    }

    pub(super) fn forget_registration(&mut self, now: Mono) {
        self.boot.restart(now);
        self.statuses.forget_told();
        self.update_online();
    }

    fn ask_about(&mut self, request: u64, token: IdToken) {
        if self.online && self.authorizes.len() < MAX_AUTHORIZES {
            self.authorizes.push_back((request, token));
        } else {
            self.out.push_back(Effect::Authorized {
                request,
                result: None,
            });
        }
    }

    fn list_conflict(&mut self, now: Now, at: Stamp) {
        let unix_ms = self.status_time(now, at);
        if let Some(whole) = self.statuses.whole().filter(|_| self.online)
            && let Some(call) = self.dialect.list_conflict(whole, unix_ms)
            && self.triggered.len() < MAX_TRIGGERED
        {
            self.triggered.push_back(call);
        }
    }

    /// Tells when the CSMS begins or ceases to be there for the station.
    pub(super) fn update_online(&mut self) {
        let online = self.connected && !self.closing && self.boot.is_accepted();
        if online != self.online {
            self.online = online;
            self.out.push_back(Effect::Online(online));
        }
    }

    pub(super) fn misbehaved(&mut self, what: Misbehaviour) {
        self.misbehaviours = self.misbehaviours.saturating_add(1);
        self.out.push_back(Effect::Misbehaviour(what));
    }

    pub(super) fn command(&mut self, command: Command) -> CommandId {
        self.last_command += 1;
        let id = CommandId(self.last_command);
        self.out.push_back(Effect::Command { id, command });
        id
    }

    pub(super) fn next_command_id(&mut self) -> CommandId {
        self.last_command += 1;
        CommandId(self.last_command)
    }

    pub(super) fn next_commit(&mut self) -> u64 {
        self.last_commit += 1;
        self.last_commit
    }

    /// Emits a commit of the dialect's own state and, for rows, the cursor.
    pub(super) fn commit(&mut self, id: u64, puts: Vec<KeyPut>, cursor: Option<u64>) {
        let puts = puts
            .into_iter()
            .map(|(key, value)| Put {
                scope: self.scope.clone(),
                key,
                value,
            })
            .collect();
        let cursors = cursor.map(|seq| (self.reader.clone(), seq)).into_iter().collect();
        let receipts = if cursor.is_some() {
            std::mem::take(&mut self.receipts)
        } else {
            Vec::new()
        };
        let batch = Batch {
            puts,
            cursors,
            receipts,
            ..Batch::default()
        };
        self.out.push_back(Effect::Commit { id, batch });
    }

    pub(super) fn defer(&mut self, commit: u64, effects: Vec<Effect>) {
        let session = self.session;
        self.deferred.insert(commit, Deferred { session, effects });
    }

    fn committed(&mut self, id: u64) {
        self.ledger.committed(id);
        let Some(deferred) = self.deferred.remove(&id) else {
            return;
        };
        let alive = deferred.session == self.session && self.connected && !self.closing;
        for effect in deferred.effects {
            if alive || !matches!(effect, Effect::Send(_)) {
                self.out.push_back(effect);
            }
        }
    }

    /// Passes changed settings on to whom they concern.
    pub(super) fn settings_changed(&mut self) {
        let ping = self.dialect.timing().ping;
        if ping != self.ping {
            self.ping = ping;
            self.out.push_back(Effect::Ping(ping));
        }
    }

    /// The oldest row, if it may be sent now and its time is known.
    pub(super) fn front_row(&self) -> Option<&Row> {
        self.ledger.front()
    }

    /// How far it has come with the CSMS.
    #[must_use]
    pub fn registration(&self) -> Registration {
        self.boot.state()
    }
}
