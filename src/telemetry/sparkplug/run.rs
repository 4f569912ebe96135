//! The task that drives an edge node: brokers, clock, picture and memory on one side, the machine on the other.
//!
//! Nobody waits for it, and everything it holds is bounded: the picture is only ever the latest, messages on the way are
//! at most [`WINDOW`], and what comes in while it waits for the broker at most [`HEARD`].

use super::super::client::{Dial, Farewell, Incoming, Link, LinkError, Message, Receipt, WINDOW};
use super::super::mqtt::{self, Ask, Desk, Until, Verdicts};
use super::super::picture::View;
use super::super::units::Slug;
use super::command::{Order, Wish};
use super::edge::{Audit, EdgeNode, Effect, Input, Role, Snapshot};
use super::keep::Memory;
use super::topic::Topics;
use crate::domain::{BrokerSetup, Clock, SparkplugSetup, Thrift};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use serde_json::Value;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Who commands, for the records: MQTT does not tell who it was.
const USER: &str = "sparkplug";
/// Messages that may wait for us while we wait for the broker; beyond it the oldest command is given up, and told.
const HEARD: usize = 256;
/// For the last word and the farewell.
const FAREWELL: Duration = Duration::from_secs(3);
/// Longest pause between two looks at the time.
const TURN: Duration = Duration::from_secs(1);

/// All a node needs.
pub struct Plan {
    /// What it is; `servers` is that of [`Plan::servers`].
    pub role: Role,
    /// Brokers, in the order in which they are tried.
    pub servers: Vec<Dial>,
    /// Where the number of connections is kept.
    pub state_dir: PathBuf,
    /// How sparing the brokers are to be told measured values.
    pub thrift: watch::Receiver<Thrift>,
    /// Of its waits.
    pub seed: u64,
}

impl Plan {
    /// The node as configured, with everything told; `dial`: how a broker of it is reached.
    #[must_use]
    pub fn of(
        setup: &SparkplugSetup,
        dial: impl Fn(&BrokerSetup) -> Dial,
        state_dir: &Path,
        seed: u64,
    ) -> Self {
        Self {
            role: Role {
                group: setup.group.clone(),
                node: setup.edge_node.clone(),
                host: setup.host_id.clone(),
                aliases: setup.aliases,
                commands: setup.commands,
                servers: setup.brokers.len(),
                retry: setup.retry,
            },
            servers: setup.brokers.iter().map(dial).collect(),
            state_dir: state_dir.to_owned(),
            thrift: watch::channel(Thrift::Free).1,
            seed,
        }
    }
}

/// A running node.
#[derive(Debug)]
pub struct Handle {
    stop: watch::Sender<bool>,
    status: watch::Receiver<Snapshot>,
    task: JoinHandle<()>,
}

impl Handle {
    /// How it is.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Snapshot> {
        self.status.clone()
    }

    /// Has it take leave, and waits for that a short time.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if timeout(2 * FAREWELL, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

/// Starts a node.
#[must_use]
pub fn spawn(plan: Plan, view: View, clock: Arc<dyn Clock>, desk: Arc<dyn Desk>) -> Handle {
    let memory = Memory::within(&plan.state_dir);
    let role = Role {
        servers: plan.servers.len(),
        ..plan.role
    };
    let state = Topics::new(&role.group, &role.node, role.host.as_deref()).state();
    let node = EdgeNode::new(role, memory.recall(), plan.seed);
    let (stop, stopped) = watch::channel(false);
    let (show, status) = watch::channel(node.snapshot());
    let runner = Runner {
        node,
        servers: plan.servers,
        memory,
        clock,
        desk,
        show,
        link: None,
        dialling: None,
        receipts: VecDeque::new(),
        heard: Heard {
            waiting: VecDeque::new(),
            state,
        },
        answers: FuturesUnordered::new(),
        trouble: String::new(),
        verdicts: Verdicts::of([USER.to_owned()]),
        thrift: plan.thrift,
        stopped: stopped.clone(),
    };
    let task = tokio::spawn(runner.run(view, stopped));
    Handle { stop, status, task }
}

type Dialling = BoxFuture<'static, Result<Link, LinkError>>;
type Answer = BoxFuture<'static, (u64, Result<(), String>)>;

struct Runner {
    node: EdgeNode,
    servers: Vec<Dial>,
    memory: Memory,
    clock: Arc<dyn Clock>,
    desk: Arc<dyn Desk>,
    show: watch::Sender<Snapshot>,
    link: Option<Link>,
    dialling: Option<Dialling>,
    receipts: VecDeque<Receipt>,
    heard: Heard,
    answers: FuturesUnordered<Answer>,
    /// What was said last of the connection, so that it is said once.
    trouble: String,
    verdicts: Verdicts,
    thrift: watch::Receiver<Thrift>,
    stopped: watch::Receiver<bool>,
}

/// What came in while we waited for the broker.
struct Heard {
    waiting: VecDeque<Incoming>,
    /// Where the primary host tells how it is.
    state: Option<String>,
}

impl Heard {
    /// What the primary host says of itself is worth more than any command: without it nothing is ever told.
    fn keep(&mut self, message: Incoming) {
        if self.waiting.len() >= HEARD {
            let state = self.state.as_deref();
            let of_host = |kept: &Incoming| Some(kept.topic.as_str()) == state;
            let oldest = self.waiting.iter().position(|kept| !of_host(kept));
            if let Some(gone) = self.waiting.remove(oldest.unwrap_or_default()) {
                tracing::warn!(
                    "sparkplug: more than {HEARD} messages wait; one on {} is given up",
                    gone.topic
                );
            }
        }
        self.waiting.push_back(message);
    }
}

/// What a turn of the loop is about.
enum Turn {
    Input(Input),
    Linked(Box<Link>),
    Lost(LinkError),
}

impl Runner {
    async fn run(mut self, mut view: View, mut stopped: watch::Receiver<bool>) {
        let thrift = *self.thrift.borrow_and_update();
        self.give(Input::Thrift(thrift)).await;
        let first = view.picture.borrow_and_update().clone();
        self.give(Input::Picture(first)).await;
        loop {
            let turn = match self.heard.waiting.pop_front() {
                Some(message) => Turn::Input(heard(message)),
                None => tokio::select! {
                    () = told_to_stop(&mut stopped) => {
                        self.give(Input::Stop).await;
                        return;
                    }
                    turn = self.next() => turn,
                    changed = view.picture.changed() => {
                        if changed.is_err() {
                            // Nobody paints any more: the process ends.
                            self.give(Input::Stop).await;
                            return;
                        }
                        Turn::Input(Input::Picture(view.picture.borrow_and_update().clone()))
                    }
                },
            };
            match turn {
                Turn::Input(input) => self.give(input).await,
                Turn::Linked(link) => {
                    tracing::info!("sparkplug: connected to {}", self.server());
                    self.trouble.clear();
                    self.link = Some(*link);
                    self.give(Input::Connected).await;
                }
                Turn::Lost(error) => {
                    self.lost(&error);
                    self.obey().await;
                }
            }
        }
    }

    /// What happens next, the picture aside. May be dropped at any time without losing anything.
    async fn next(&mut self) -> Turn {
        let now = self.clock.now().mono;
        let wait = self
            .node
            .next_deadline()
            .map_or(TURN, |(due, _)| due.since(now).min(TURN));
        tokio::select! {
            Some((id, result)) = self.answers.next() => Turn::Input(Input::Answered { id, result }),
            dialled = dialled(&mut self.dialling) => match dialled {
                Ok(link) => Turn::Linked(Box::new(link)),
                Err(error) => Turn::Lost(error),
            },
            incoming = incoming(&mut self.link) => match incoming {
                Ok(message) => Turn::Input(heard(message)),
                Err(error) => Turn::Lost(error),
            },
            thrift = mqtt::told(&mut self.thrift) => Turn::Input(Input::Thrift(thrift)),
            () = sleep(wait) => Turn::Input(Input::Tick),
        }
    }

    fn server(&self) -> String {
        let setup = self
            .servers
            .get(self.node.snapshot().server)
            .map(|dial| &dial.setup);
        setup.map_or_else(String::new, |setup| format!("{}:{}", setup.host, setup.port))
    }

    /// The connection is lost, or there was none to be had.
    fn lost(&mut self, error: &LinkError) {
        let trouble = format!("{}: {error}", self.server());
        if trouble != self.trouble {
            tracing::warn!("sparkplug: {trouble}");
            self.trouble = trouble;
        }
        self.hang_up();
        self.node.handle(self.clock.now(), Input::Closed);
    }

    fn hang_up(&mut self) {
        self.link = None;
        self.dialling = None;
        self.receipts.clear();
        self.heard.waiting.clear();
    }

    async fn give(&mut self, input: Input) {
        self.node.handle(self.clock.now(), input);
        self.obey().await;
    }

    /// Does what the node wants, in its order.
    async fn obey(&mut self) {
        while let Some(effect) = self.node.poll() {
            match effect {
                Effect::Keep(number) => keep(self.memory.clone(), number).await,
                Effect::Connect { server, will } => self.dial(server, will),
                Effect::Subscribe(filters) => self.subscribe(&filters).await,
                Effect::Publish(message) => self.publish(&message).await,
                Effect::Disconnect { with_will } => self.disconnect(with_will).await,
                Effect::Order(order) => self.ask(order),
                Effect::Audit(audit) => self.note(audit),
            }
        }
        let snapshot = self.node.snapshot();
        self.show.send_if_modified(|shown| {
            let differs = *shown != snapshot;
            *shown = snapshot;
            differs
        });
    }

    fn dial(&mut self, server: usize, will: Message) {
        self.hang_up();
        let dial = self.servers.get(server).cloned();
        self.dialling =
            dial.map(|dial| -> Dialling { Box::pin(async move { dial.connect(Some(&will)).await }) });
    }

    /// Waits until the broker has answered all of them, or has had its time: births are to come after the subscriptions.
    async fn subscribe(&mut self, filters: &[String]) {
        let Some(link) = &mut self.link else { return };
        let mut asked: FuturesUnordered<_> = filters.iter().map(|filter| link.subscribe(filter)).collect();
        let error = loop {
            tokio::select! {
                () = told_to_stop(&mut self.stopped) => {
                    return self.node.handle(self.clock.now(), Input::Stop);
                }
                answer = asked.next() => match answer {
                    None => return,
                    Some(Ok(())) => {}
                    // The rest still works without; the words say what to do.
                    Some(Err(error @ LinkError::NotSubscribed { .. })) => tracing::error!("sparkplug: {error}"),
                    Some(Err(error)) => break error,
                },
                // An answer cannot be read behind messages that nobody takes.
                message = link.next() => match message {
                    Ok(message) => self.heard.keep(message),
                    Err(error) => break error,
                },
            }
        };
        self.lost(&error);
    }

    /// Sends a message behind all others; waits where the broker is slow.
    async fn publish(&mut self, message: &Message) {
        loop {
            let Some(link) = &self.link else { return };
            match link.publish(message) {
                Ok(receipt) => {
                    self.receipts.push_back(receipt);
                    break;
                }
                Err(LinkError::Full) => {
                    if self.receipts.is_empty() {
                        // A subscription takes the room, for a moment.
                        tokio::task::yield_now().await;
                    } else if !self.settle().await {
                        return;
                    }
                }
                Err(error @ LinkError::Rejected { .. }) => return tracing::error!("sparkplug: {error}"),
                Err(error) => return self.lost(&error),
            }
        }
        while self.receipts.len() > usize::from(WINDOW) && self.settle().await {}
    }

    /// Waits for what becomes of the oldest message on the way; returns whether the connection stands. What comes in
    /// meanwhile is kept, since a connection whose inbox is full delivers nothing.
    async fn settle(&mut self) -> bool {
        let (Some(receipt), Some(link)) = (self.receipts.pop_front(), &mut self.link) else {
            return false;
        };
        let mut done = pin!(receipt.done());
        let error = loop {
            tokio::select! {
                result = &mut done => match result {
                    Ok(()) => return true,
                    Err(error @ LinkError::Rejected { .. }) => {
                        tracing::error!("sparkplug: {error}");
                        return true;
                    }
                    Err(error) => break error,
                },
                message = link.next() => match message {
                    Ok(message) => self.heard.keep(message),
                    Err(error) => break error,
                },
            }
        };
        self.lost(&error);
        false
    }

    async fn disconnect(&mut self, with_will: bool) {
        let farewell = if with_will {
            Farewell::WithWill
        } else {
            Farewell::Quiet
        };
        let settled = async { while !self.receipts.is_empty() && self.settle().await {} };
        let _ = timeout(FAREWELL, settled).await;
        if let Some(link) = self.link.take() {
            link.close(farewell, FAREWELL).await;
        }
        self.hang_up();
    }

    /// The same desk as for every other command by MQTT.
    fn ask(&mut self, order: Order) {
        let Order { id, point, wish } = order;
        let ask = match wish {
            Wish::Enabled(enabled) => Ask::Enabled(Some(enabled)),
            Wish::LimitCurrent(limit) => Ask::Limit(Some(limit), Until::Replaced),
            Wish::Mode(_) => {
                let no = Err("there is no choice of modes".to_owned());
                return self.answers.push(Box::pin(async move { (id, no) }));
            }
        };
        let user = USER.to_owned();
        let carried = Arc::clone(&self.desk).carry_out(mqtt::Order { user, point, ask });
        self.answers
            .push(Box::pin(async move { (id, carried.await.map(|_| ())) }));
    }

    fn note(&mut self, audit: Audit) {
        let refused = audit.result.is_err();
        let now = self.clock.now().mono;
        let Some(admission) = self.verdicts.admit(now, USER, refused) else {
            return;
        };
        self.desk.note(&mqtt::Audit {
            user: USER.to_owned(),
            topic: format!("{} {}", audit.target, audit.metric),
            point: Some(Slug::of(&audit.target)),
            old: audit.old.map(Value::String),
            new: Some(Value::String(audit.wanted)),
            reason: audit.result.err(),
            unrecorded: admission.untold,
        });
    }
}

/// `Ok` or not: without anybody to say so it is the end, too.
async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn keep(memory: Memory, number: u8) {
    let kept = tokio::task::spawn_blocking(move || memory.keep(number)).await;
    if let Ok(Err(error)) = kept {
        tracing::warn!("sparkplug: bdSeq cannot be kept ({error}); after a restart it may repeat itself");
    }
}

async fn dialled(dialling: &mut Option<Dialling>) -> Result<Link, LinkError> {
    let result = match dialling {
        Some(connecting) => connecting.await,
        None => std::future::pending().await,
    };
    *dialling = None;
    result
}

async fn incoming(link: &mut Option<Link>) -> Result<Incoming, LinkError> {
    match link {
        Some(link) => link.next().await,
        None => std::future::pending().await,
    }
}

fn heard(message: Incoming) -> Input {
    Input::Heard {
        topic: message.topic,
        payload: message.payload.into(),
        retained: message.retained,
    }
}
