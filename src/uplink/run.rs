//! The loop of one uplink: one event, then what follows from it.

use super::connect::{Dial, Peer, Socket};
use super::desk::{Desk, Done, Purpose};
use super::error::ConnectError;
use super::post::Post;
use super::vault::{Keeper, Work};
use super::wire::{Wire, WireEvent};
use super::{FromUplink, LinkStatus, ToUplink};
use crate::domain::{Backoff, Batch, Event as LedgerEvent, LinkTally, Mono, NewRow, SecurityEvent};
use crate::ocpp::{Effect, Input, Machine, Misbehaviour, Registration};
use futures_util::future::BoxFuture;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// Longest pause between two turns of the loop.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// A deadline that has passed without effect is looked at again after this, so that nothing spins.
const LEAST_SLEEP: Duration = Duration::from_millis(1);

/// A stop waits this long for the answer to the CALL on the way, so that it is not repeated after the restart.
const STOP_ANSWER_WAIT: Duration = Duration::from_secs(2);

/// A connection waits so long for credentials that are being written, and again.
const KEEPER_WAIT: Duration = Duration::from_millis(100);

/// A stop takes at most this long.
const STOP_WAIT: Duration = Duration::from_secs(6);

/// Messages to the station, or batches for the store, above which nothing more is read from the CSMS.
const BACKLOG_HIGH: usize = 64;

/// Rules broken by the CSMS that are logged as warnings per connection; the others only count.
const WARNINGS_PER_CONNECTION: u32 = 10;

/// Invalid messages are a security event at most this often.
const FRAMES_REPORT: Duration = Duration::from_secs(3600);

/// How far the connection is.
enum Phase {
    /// Until the next attempt.
    Waiting(Instant),
    /// An attempt is under way.
    Connecting(BoxFuture<'static, Result<(Socket, Peer), ConnectError>>),
    /// Open or closing.
    Open(Box<Wire>),
    /// Never again.
    Ended,
}

/// What woke the loop.
#[allow(clippy::large_enum_variant, reason = "handed on at once, never kept")]
enum Event {
    Told(Option<ToUplink>),
    Stored(Done),
    Delivered,
    Due,
    Dialled(Result<(Socket, Peer), ConnectError>),
    Kept(Work),
    Wire(WireEvent),
    Time,
}

impl Phase {
    /// The next event of the connection. Cancel safe.
    async fn next(&mut self, may_read: bool) -> Event {
        match self {
            Self::Waiting(until) => {
                sleep_until(*until).await;
                Event::Due
            }
            Self::Connecting(attempt) => Event::Dialled(attempt.await),
            Self::Open(wire) => Event::Wire(wire.next(may_read).await),
            Self::Ended => std::future::pending().await,
        }
    }
}

/// A stop under way.
#[derive(Clone, Copy)]
struct Stopping {
    close_by: Instant,
    end_by: Instant,
}

/// One uplink.
pub(super) struct Uplink {
    /// How the link was, or is next, connected.
    dial: Dial,
    keeper: Keeper,
    machine: Machine,
    desk: Desk,
    post: Post,
    inbox: mpsc::Receiver<ToUplink>,
    backoff: Backoff,
    phase: Phase,
    ping: Duration,
    online: bool,
    link: LinkStatus,
    /// The last word about the link that was told to the station.
    told: Option<(bool, String)>,
    /// The security event of the failure that lasts.
    reported: Option<&'static str>,
    /// Frames that are none are reported again after this.
    frames_reported: Option<Instant>,
    warnings: u32,
    stopping: Option<Stopping>,
    status: watch::Sender<LinkStatus>,
    tally: watch::Sender<LinkTally>,
    /// Connected, and how registered, and since when.
    state: (bool, Registration, Mono),
    heartbeat: watch::Sender<Mono>,
}

impl Uplink {
    pub(super) fn new(
        keeper: Keeper,
        machine: Machine,
        desk: Desk,
        post: Post,
        inbox: mpsc::Receiver<ToUplink>,
        seed: u64,
        watched: (
            watch::Sender<LinkStatus>,
            watch::Sender<LinkTally>,
            watch::Sender<Mono>,
        ),
    ) -> Self {
        let dial = keeper.dial();
        let now = dial.clock.now().mono;
        let mut backoff = Backoff::new(dial.setup.reconnect_min, dial.setup.reconnect_max, seed);
        let phase = Phase::Waiting(Instant::now() + backoff.first());
        Self {
            ping: dial.setup.ping,
            online: false,
            dial,
            keeper,
            machine,
            desk,
            post,
            inbox,
            backoff,
            phase,
            link: LinkStatus::default(),
            told: None,
            reported: None,
            frames_reported: None,
            warnings: 0,
            stopping: None,
            status: watched.0,
            tally: watched.1,
            state: (false, Registration::None, now),
            heartbeat: watched.2,
        }
    }

    pub(super) async fn run(mut self) {
        self.drain();
        while !self.is_finished() {
            self.publish();
            let wake = self.wake();
            let may_read = self.post.waiting() < BACKLOG_HIGH && self.desk.unwritten() < BACKLOG_HIGH;
            let event = tokio::select! {
                message = self.inbox.recv(), if self.stopping.is_none() => Event::Told(message),
                done = self.desk.next() => Event::Stored(done),
                work = self.keeper.next() => Event::Kept(work),
                () = self.post.deliver() => Event::Delivered,
                event = self.phase.next(may_read) => event,
                () = sleep_until(wake) => Event::Time,
            };
            self.take(event);
            self.on_time();
        }
        self.publish();
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Told(Some(message)) => self.told(message),
            // Nobody is left who could say stop.
            Event::Told(None) => self.stop(),
            Event::Stored(Done::Rows(rows)) => self.feed(Input::Rows(rows)),
            Event::Stored(Done::Written(Purpose::Machine(id))) => self.feed(Input::Committed(id)),
            Event::Stored(Done::Written(Purpose::OwnRows)) => self.feed(Input::LedgerGrew),
            Event::Delivered | Event::Time => {}
            Event::Kept(work) => self.kept(work),
            // What is being written may be what the connection is to be opened with.
            Event::Due if !self.keeper.is_idle() => {
                self.phase = Phase::Waiting(Instant::now() + KEEPER_WAIT);
            }
            Event::Due => {
                self.dial = self.keeper.dial();
                self.phase = Phase::Connecting(Box::pin(self.dial.clone().open()));
            }
            Event::Dialled(Ok((socket, peer))) => self.opened(socket, peer),
            Event::Dialled(Err(error)) => self.not_opened(&error),
            Event::Wire(WireEvent::Text(text)) => self.heard(text),
            Event::Wire(WireEvent::Refused(what)) => self.refused(what),
            Event::Wire(WireEvent::Quiet) => {}
            Event::Wire(WireEvent::Gone(why)) => self.lost(&why),
        }
    }

    fn told(&mut self, message: ToUplink) {
        let input = match message {
            ToUplink::Notice(notice) => Input::Notice(notice),
            ToUplink::Authorize { request, evse, token } => Input::Authorize { request, evse, token },
            ToUplink::Answer { id, outcome } => Input::Answer { id, outcome },
            ToUplink::LedgerGrew => Input::LedgerGrew,
            ToUplink::Epoch {
                boot,
                unix_ms_at_zero,
            } => Input::Epoch {
                boot,
                unix_ms_at_zero,
            },
            ToUplink::Facts(facts) => Input::Facts(facts),
            ToUplink::Params(params) => Input::Params(params),
            ToUplink::Thrift(thrift) => Input::Thrift(thrift),
            ToUplink::Reboot(kind) => Input::Reboot(kind),
            ToUplink::Stop => return self.stop(),
        };
        self.feed(input);
    }

    fn feed(&mut self, input: Input) {
        self.machine.handle(self.dial.clock.now(), input);
        self.drain();
    }

    /// A registration outlives its connection, so being online is a success only once the CSMS has said something.
    fn heard(&mut self, text: String) {
        self.feed(Input::Text(text));
        if self.online {
            self.backoff.reset();
        }
    }

    fn drain(&mut self) {
        while let Some(effect) = self.machine.poll() {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Send(text) => {
                if let Phase::Open(wire) = &mut self.phase {
                    wire.send(text);
                }
            }
            Effect::Close { code, reason } => {
                if let Phase::Open(wire) = &mut self.phase {
                    wire.close(code, reason);
                }
            }
            Effect::NeedRows { after, limit } => self.desk.read(after, limit),
            Effect::Commit { id, batch } => self.desk.write(Purpose::Machine(id), batch),
            Effect::Command { id, command } => self.post.send(FromUplink::Command { id, command }),
            Effect::Vault { id, request } => self.keeper.ask(id, request),
            Effect::Authorized { request, result } => {
                self.post.send(FromUplink::Authorized { request, result });
            }
            Effect::Verdict { tx, info } => self.post.send(FromUplink::Verdict { tx, info }),
            Effect::Learned { token, info } => self.post.send(FromUplink::Learned { token, info }),
            Effect::ClockSet { unix_ms } => self.post.send(FromUplink::ClockSet { unix_ms }),
            Effect::Online(online) => {
                self.online = online;
                self.post.send(FromUplink::Online(online));
            }
            Effect::Ping(every) => {
                self.ping = every;
                if let Phase::Open(wire) = &mut self.phase {
                    wire.set_ping(every);
                }
            }
            Effect::Misbehaviour(what) => self.misbehaved(&what),
        }
    }

    fn opened(&mut self, socket: Socket, peer: Peer) {
        let patience = self.dial.setup.message_timeout;
        self.phase = Phase::Open(Box::new(Wire::new(socket, self.ping, patience)));
        self.reported = None;
        self.warnings = 0;
        self.feed(Input::Credentials(self.keeper.credentials()));
        self.keeper.opened(peer);
        self.tell_link(true, format!("connected, {}", self.dial.subprotocol()));
        self.feed(Input::Connected);
    }

    /// The keeper has done something.
    fn kept(&mut self, work: Work) {
        if let Some(SecurityEvent { name, info }) = &work.event {
            self.report(name, info.as_deref().unwrap_or_default());
        }
        if let Some((id, answer)) = work.answer {
            self.feed(Input::Vault { id, answer });
        }
    }

    fn not_opened(&mut self, error: &ConnectError) {
        self.keeper.refused(error);
        self.down(error.detail());
        let event = error.security_event();
        if let Some(name) = event.filter(|_| event != self.reported) {
            self.reported = event;
            self.report(name, &error.to_string());
        }
    }

    fn lost(&mut self, why: &str) {
        if let Phase::Open(wire) = &self.phase
            && wire.lasted() >= self.backoff.lasting()
        {
            self.backoff.reset();
        }
        self.down(why.to_owned());
    }

    /// The connection is gone or did not come about. The old socket is closed here, before the wait begins.
    fn down(&mut self, detail: String) {
        self.phase = Phase::Ended;
        if self.stopping.is_none() {
            self.phase = Phase::Waiting(Instant::now() + self.backoff.next());
        }
        self.tell_link(false, detail);
        self.feed(Input::Disconnected);
    }

    /// Puts a security event into the ledger (2.0.1 part 2 appendix 1).
    fn report(&mut self, name: &str, info: &str) {
        let event = SecurityEvent::new(name, Some(info));
        let row = NewRow {
            cp: self.dial.cp.clone(),
            at: self.dial.clock.now().stamp(),
            event: LedgerEvent::Security(event),
        };
        let batch = Batch {
            rows: vec![row],
            ..Batch::default()
        };
        self.desk.write(Purpose::OwnRows, batch);
    }

    fn tell_link(&mut self, connected: bool, detail: String) {
        self.link.connected = connected;
        self.link.detail.clone_from(&detail);
        // The same failure again and again is news only once.
        let news = Some((connected, detail.clone()));
        if self.told != news {
            self.told = news;
            self.post.send(FromUplink::Link { connected, detail });
        }
    }

    fn refused(&mut self, what: &str) {
        self.link.refused_frames = self.link.refused_frames.saturating_add(1);
        self.invalid_frame(what);
        self.warn(what);
    }

    /// Frames that are no OCPP are a security event, seldom enough that nobody can fill the ledger with them.
    fn invalid_frame(&mut self, what: &str) {
        let now = Instant::now();
        if self
            .frames_reported
            .is_none_or(|last| now.duration_since(last) >= FRAMES_REPORT)
        {
            self.frames_reported = Some(now);
            self.report("InvalidMessages", what);
        }
    }

    fn misbehaved(&mut self, what: &Misbehaviour) {
        if what.is_no_ocpp() {
            self.invalid_frame(&what.to_string());
        }
        if what.is_loss() {
            tracing::error!(cp = %self.dial.cp, csms = %self.dial.setup.name, kind = what.kind(), "{what}");
        } else {
            self.warn(&what.to_string());
        }
    }

    /// A hostile CSMS must not fill the log.
    fn warn(&mut self, what: &str) {
        self.warnings = self.warnings.saturating_add(1);
        if self.warnings <= WARNINGS_PER_CONNECTION {
            tracing::warn!(cp = %self.dial.cp, csms = %self.dial.setup.name, "the CSMS broke a rule: {what}");
        }
    }

    fn on_time(&mut self) {
        let now = self.dial.clock.now();
        if self.machine.next_deadline().is_some_and(|(at, _)| at <= now.mono) {
            self.feed(Input::Tick);
        }
        if let Phase::Open(wire) = &mut self.phase
            && self.keeper.switches_now()
        {
            wire.close(1000, "the credentials have changed");
        }
        let over = match &mut self.phase {
            Phase::Open(wire) => wire.tick(),
            Phase::Waiting(_) | Phase::Connecting(_) | Phase::Ended => None,
        };
        if let Some(why) = over {
            self.lost(&why);
        }
        self.go_on_stopping();
    }

    fn stop(&mut self) {
        let now = Instant::now();
        self.stopping.get_or_insert(Stopping {
            close_by: now + STOP_ANSWER_WAIT,
            end_by: now + STOP_WAIT,
        });
        if !matches!(self.phase, Phase::Open(_)) {
            self.phase = Phase::Ended;
        }
    }

    fn go_on_stopping(&mut self) {
        let Some(stopping) = self.stopping else { return };
        let answered = self.machine.snapshot().waiting_for.is_none();
        if let Phase::Open(wire) = &mut self.phase
            && !wire.is_closing()
            && (answered || stopping.close_by <= Instant::now())
        {
            wire.close(1001, "the charge point goes away");
        }
    }

    fn is_finished(&self) -> bool {
        self.stopping.is_some_and(|stopping| {
            let idle = self.desk.unwritten() == 0 && self.post.waiting() == 0 && self.keeper.is_idle();
            let done = matches!(self.phase, Phase::Ended) && idle;
            done || stopping.end_by <= Instant::now()
        })
    }

    /// When the loop turns again if nothing happens.
    fn wake(&self) -> Instant {
        let now = Instant::now();
        let mono = self.dial.clock.now().mono;
        let machine = self
            .machine
            .next_deadline()
            .map(|(at, _)| now + at.since(mono).max(LEAST_SLEEP));
        let wire = match &self.phase {
            Phase::Open(wire) => wire.deadline().map(|at| at.max(now + LEAST_SLEEP)),
            Phase::Waiting(_) | Phase::Connecting(_) | Phase::Ended => None,
        };
        [machine, wire]
            .into_iter()
            .flatten()
            .fold(now + HEARTBEAT, Instant::min)
    }

    fn publish(&mut self) {
        self.link.ocpp = Some(self.machine.snapshot());
        self.status.send_if_modified(|old| {
            let changed = *old != self.link;
            if changed {
                old.clone_from(&self.link);
            }
            changed
        });
        let now = self.dial.clock.now().mono;
        self.publish_tally(now);
        self.heartbeat.send_replace(now);
    }

    /// Shows what was counted. Copied only where something passed, and nobody is woken by it.
    fn publish_tally(&mut self, now: Mono) {
        let (connected, registration, _) = self.state;
        let state = (self.link.connected, self.machine.registration());
        if state != (connected, registration) {
            self.state = (state.0, state.1, now);
        }
        let (since, bytes) = (Some(self.state.2), self.dial.traffic.bytes());
        let machine = &self.machine;
        self.tally.send_if_modified(|shown| {
            if shown.bytes != bytes || shown.since != since {
                shown.clone_from(machine.tally());
                (shown.since, shown.bytes) = (since, bytes);
            }
            false
        });
    }
}
