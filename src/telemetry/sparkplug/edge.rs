//! The edge node: one connection after the other, births, the primary host, rebirths, commands. Pure.
//!
//! ```text
//!            due                CONNACK                births
//! Idle ------------> Connecting --------> Waiting ---------------> Live
//!  ^  (bdSeq is kept,    |    (subscribed;   | (primary host online,  |
//!  |   will carries it)  |     no host: at   |  or none configured)   |
//!  +---------------------+----- once Live) --+------------------------+
//!        refused, lost, host offline, or nothing heard of the host where there are other servers
//! ```
//!
//! * `bdSeq` rises with every CONNECT, and its successor is kept before it ([`Effect::Keep`] is a barrier);
//! * before an intentional disconnect stands NDEATH (6.4.19), whether it is a stop or the host's going;
//! * a rebirth repeats `bdSeq`; hosts get at most one in [`REBIRTH_SPACING`], and what changes until then is kept as history.

mod orders;

use super::super::client::Message;
use super::super::picture::Picture;
use super::super::units::At;
use super::command::Order;
use super::host::{Host, State};
use super::sheet::Sheets;
use super::topic::{Inbound, Topics};
use super::voice::Voice;
use crate::domain::{Backoff, Mono, Now, Thrift};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Hosts get one rebirth in this time.
pub const REBIRTH_SPACING: Duration = Duration::from_secs(5);
/// How long a server may say nothing of the primary host before the next one is tried.
pub const HOST_PATIENCE: Duration = Duration::from_secs(30);
/// Orders that wait for an answer at most.
const ORDERS: usize = 32;
/// One write of a metric in this time, and a stop at any. What closes a contactor is spaced further by the desk.
pub const WRITE_SPACING: Duration = Duration::from_secs(1);
/// Near the budget measured values are told so often, times what the stage says.
const MEASURED_EVERY: Duration = Duration::from_secs(60);
/// Metrics of one command at most; one with more is refused as a whole.
const WRITES: usize = 64;

/// What the node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Group id.
    pub group: String,
    /// Edge node id; with the group unique in the whole system.
    pub node: String,
    /// The primary host it obeys.
    pub host: Option<String>,
    /// Data carries aliases instead of names.
    pub aliases: bool,
    /// Hosts may write.
    pub commands: bool,
    /// Servers in the list.
    pub servers: usize,
    /// Shortest and longest wait between attempts.
    pub retry: (Duration, Duration),
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The site is another.
    Picture(Arc<Picture>),
    /// The connection that was asked for is there.
    Connected,
    /// It is not, or no longer.
    Closed,
    /// A message for us.
    Heard {
        /// Its topic.
        topic: String,
        /// Its bytes.
        payload: Vec<u8>,
        /// The broker had kept it.
        retained: bool,
    },
    /// What came of an order.
    Answered {
        /// Which.
        id: u64,
        /// The error is in words.
        result: Result<(), String>,
    },
    /// How sparing the brokers are to be told measured values.
    Thrift(Thrift),
    /// Take leave.
    Stop,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Keep the `bdSeq` of the next connection; before anything behind it.
    Keep(u8),
    /// Connect, with a clean session.
    Connect {
        /// Which of the list.
        server: usize,
        /// NDEATH.
        will: Message,
    },
    /// Subscribe, with `QoS` 1; before anything behind it.
    Subscribe(Vec<String>),
    /// Publish, in this order.
    Publish(Message),
    /// Disconnect; with MQTT 5 by reason 0x04 if a birth was sent.
    Disconnect {
        /// The broker publishes the will.
        with_will: bool,
    },
    /// Have it done; to be answered.
    Order(Order),
    /// Put on record what a host wrote.
    Audit(Audit),
}

/// What a host wrote, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Device, or the node.
    pub target: String,
    /// Metric.
    pub metric: String,
    /// What it was, as told last.
    pub old: Option<String>,
    /// What it was to become.
    pub wanted: String,
    /// The error is in words.
    pub result: Result<(), String>,
}

/// For people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// In a word.
    pub stage: &'static str,
    /// Which server of the list.
    pub server: usize,
    /// `bdSeq` of the connection.
    pub bd_seq: u8,
    /// Devices that are alive for hosts.
    pub devices: usize,
    /// Births so far.
    pub births: u64,
    /// Messages so far.
    pub messages: u64,
    /// Values that wait to be told as historical, and values lost.
    pub kept: (usize, u64),
}

impl Snapshot {
    /// It is connected to a broker, be it that its births still wait.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(self.stage, WAITING | ONLINE)
    }
}

/// In a word: births wait for the primary host.
const WAITING: &str = "waits for the primary host";
/// In a word: births were published.
const ONLINE: &str = "online";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Idle { until: Mono },
    Connecting,
    Waiting { since: Mono },
    Live { since: Mono },
    Stopped,
}

/// An order that waits for its answer.
#[derive(Debug)]
struct Pending {
    device: String,
    metric: String,
    old: Option<String>,
    wanted: String,
}

/// An edge node.
#[derive(Debug)]
pub struct EdgeNode {
    role: Role,
    topics: Topics,
    voice: Voice,
    stage: Stage,
    sheets: Option<Sheets>,
    thrift: Thrift,
    /// Measured values were told last.
    measured: Mono,
    server: usize,
    /// Servers tried since the last birth.
    tried: usize,
    bd_seq: u8,
    next_bd_seq: u8,
    hosts: Vec<Host>,
    backoff: Backoff,
    last_rebirth: Option<Mono>,
    rebirth_due: Option<Mono>,
    orders: BTreeMap<u64, Pending>,
    next_order: u64,
    /// When a metric was last written, by device and name, and whether that stopped something.
    written: BTreeMap<(String, Arc<str>), (Mono, bool)>,
    births: u64,
    messages: u64,
    effects: VecDeque<Effect>,
}

impl EdgeNode {
    /// A node that is not connected; `bd_seq`: what was kept last, 0 at the very first.
    #[must_use]
    pub fn new(role: Role, bd_seq: u8, seed: u64) -> Self {
        let topics = Topics::new(&role.group, &role.node, role.host.as_deref());
        Self {
            voice: Voice::new(topics.clone(), role.aliases),
            topics,
            stage: Stage::Idle { until: Mono(0) },
            sheets: None,
            thrift: Thrift::Free,
            measured: Mono(0),
            server: 0,
            tried: 0,
            bd_seq,
            next_bd_seq: bd_seq,
            hosts: vec![Host::default(); role.servers.max(1)],
            backoff: Backoff::new(role.retry.0, role.retry.1, seed),
            last_rebirth: None,
            rebirth_due: None,
            orders: BTreeMap::new(),
            next_order: 0,
            written: BTreeMap::new(),
            births: 0,
            messages: 0,
            effects: VecDeque::new(),
            role,
        }
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Tick => {}
            Input::Picture(picture) => self.see(now, &picture),
            Input::Connected => self.connected(now),
            Input::Closed => self.closed(now),
            Input::Heard {
                topic,
                payload,
                retained,
            } => self.hear(now, &topic, &payload, retained),
            Input::Answered { id, result } => self.answered(now, id, result),
            Input::Thrift(thrift) => self.thrift = thrift,
            Input::Stop => {
                // What was not said yet need not be.
                self.effects
                    .retain(|effect| !matches!(effect, Effect::Publish(_)));
                self.leave(now);
                self.stage = Stage::Stopped;
            }
        }
        self.turn(now);
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Input::Tick`] is due at the latest, and why.
    #[must_use]
    pub fn next_deadline(&self) -> Option<(Mono, &'static str)> {
        match self.stage {
            Stage::Idle { until } if self.sheets.is_some() => Some((until, "connect")),
            Stage::Waiting { since } if self.role.servers > 1 => {
                Some((since.plus(HOST_PATIENCE), "the primary host is silent"))
            }
            Stage::Live { .. } => self.rebirth_due.map(|due| (due, "rebirth")),
            Stage::Idle { .. } | Stage::Waiting { .. } | Stage::Connecting | Stage::Stopped => None,
        }
    }

    /// For people.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            stage: match self.stage {
                Stage::Idle { .. } => "not connected",
                Stage::Connecting => "connecting",
                Stage::Waiting { .. } => WAITING,
                Stage::Live { .. } => ONLINE,
                Stage::Stopped => "stopped",
            },
            server: self.server,
            bd_seq: self.bd_seq,
            devices: self.voice.alive(),
            births: self.births,
            messages: self.messages,
            kept: self.voice.kept(),
        }
    }

    fn turn(&mut self, now: Now) {
        match self.stage {
            Stage::Idle { until } if until <= now.mono && self.sheets.is_some() => self.connect(now),
            Stage::Waiting { since } if self.role.servers > 1 && now.mono.since(since) >= HOST_PATIENCE => {
                self.leave(now);
                self.walk(now);
            }
            Stage::Live { .. } if self.rebirth_due.is_some_and(|due| due <= now.mono) => {
                self.last_rebirth = Some(now.mono);
                self.give_birth(now);
            }
            _ => {}
        }
    }

    fn connect(&mut self, now: Now) {
        self.bd_seq = self.next_bd_seq;
        self.next_bd_seq = self.bd_seq.wrapping_add(1);
        self.effects.push_back(Effect::Keep(self.next_bd_seq));
        self.effects.push_back(Effect::Connect {
            server: self.server,
            will: self.voice.death(wall(now), self.bd_seq),
        });
        self.stage = Stage::Connecting;
    }

    fn connected(&mut self, now: Now) {
        if self.stage != Stage::Connecting {
            return;
        }
        let wanted = self.topics.wanted(self.role.commands);
        self.effects.push_back(Effect::Subscribe(wanted));
        self.stage = Stage::Waiting { since: now.mono };
        if self.role.host.is_none() {
            self.go_live(now);
        }
    }

    fn closed(&mut self, now: Now) {
        // What was meant for that connection is of no use to the next.
        self.effects
            .retain(|effect| matches!(effect, Effect::Order(_) | Effect::Audit(_)));
        match self.stage {
            Stage::Connecting | Stage::Waiting { .. } => self.walk(now),
            Stage::Live { since } => {
                if now.mono.since(since) >= self.backoff.lasting() {
                    self.backoff.reset();
                }
                self.stage = Stage::Idle {
                    until: now.mono.plus(self.backoff.next()),
                };
            }
            Stage::Idle { .. } | Stage::Stopped => {}
        }
        self.voice.silence();
        self.rebirth_due = None;
    }

    /// On to the next server; after the last one, or if there is but one, after a while.
    fn walk(&mut self, now: Now) {
        let servers = self.role.servers.max(1);
        self.server = (self.server + 1) % servers;
        self.tried += 1;
        let wait = if self.tried.is_multiple_of(servers) {
            self.backoff.next()
        } else {
            Duration::ZERO
        };
        self.stage = Stage::Idle {
            until: now.mono.plus(wait),
        };
    }

    /// Takes leave of the broker.
    fn leave(&mut self, now: Now) {
        match self.stage {
            Stage::Live { .. } => {
                let last = self.voice.death(wall(now), self.bd_seq);
                self.say(vec![last]);
                self.effects.push_back(Effect::Disconnect { with_will: true });
            }
            Stage::Waiting { .. } | Stage::Connecting => {
                self.effects.push_back(Effect::Disconnect { with_will: false });
            }
            Stage::Idle { .. } | Stage::Stopped => {}
        }
        self.voice.silence();
        self.rebirth_due = None;
    }

    fn go_live(&mut self, now: Now) {
        self.stage = Stage::Live { since: now.mono };
        self.tried = 0;
        self.give_birth(now);
    }

    fn give_birth(&mut self, now: Now) {
        self.rebirth_due = None;
        self.measured = now.mono;
        if let Some(sheets) = &self.sheets {
            let said = self.voice.births(wall(now), sheets, self.bd_seq);
            self.births += 1;
            self.say(said);
        }
    }

    fn say(&mut self, messages: Vec<Message>) {
        self.messages += messages.len() as u64;
        self.effects.extend(messages.into_iter().map(Effect::Publish));
    }

    fn see(&mut self, now: Now, picture: &Picture) {
        if picture.info.started_at == At::default() {
            return; // A blank picture: nothing is known yet.
        }
        self.sheets = Some(Sheets::of(picture, self.role.commands));
        self.tell(now);
    }

    /// Tells what is news, or keeps it.
    fn tell(&mut self, now: Now) {
        let Some(sheets) = &self.sheets else { return };
        let every = match self.thrift {
            Thrift::Free => Duration::ZERO,
            sparing => MEASURED_EVERY * sparing.stretch(),
        };
        let measured = now.mono.since(self.measured) >= every;
        if measured {
            self.measured = now.mono;
        }
        if matches!(self.stage, Stage::Live { .. }) && self.rebirth_due.is_none() {
            let said = self.voice.report(wall(now), sheets, self.bd_seq, measured);
            self.say(said);
        } else {
            self.voice.remember(sheets, measured);
        }
    }

    fn hear(&mut self, now: Now, topic: &str, payload: &[u8], retained: bool) {
        let live = matches!(self.stage, Stage::Live { .. });
        match self.topics.read(topic) {
            Some(Inbound::State) => self.hear_host(now, payload),
            Some(Inbound::NodeCommand) if live => self.node_command(now, payload, retained),
            Some(Inbound::DeviceCommand(device)) if live => {
                self.device_command(now, device, payload, retained);
            }
            Some(Inbound::NodeCommand | Inbound::DeviceCommand(_)) | None => {}
        }
    }

    fn hear_host(&mut self, now: Now, payload: &[u8]) {
        let Some(state) = State::read(payload) else { return };
        let counts = self
            .hosts
            .get_mut(self.server)
            .is_some_and(|host| host.hear(state));
        match self.stage {
            Stage::Waiting { .. } if counts && state.online => self.go_live(now),
            Stage::Live { .. } if counts && !state.online => {
                self.leave(now);
                self.walk(now);
            }
            // With one server there is nothing to do but wait.
            Stage::Waiting { .. } if counts && !state.online && self.role.servers > 1 => {
                self.leave(now);
                self.walk(now);
            }
            _ => {}
        }
    }
}

fn wall(now: Now) -> At {
    At(now.wall.unix_ms)
}
