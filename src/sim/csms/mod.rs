//! A small CSMS on loopback for OCPP 1.6J and 2.0.1: answers what a charge point sends, records every frame, can
//! misbehave on request, and gives a verdict on what it was told.
//!
//! It judges, so it shares no code with the side it judges: frames are plain JSON here.

mod answer;
mod link;
mod verdict;

pub use verdict::Verdict;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// Frames kept; the oldest go first. Far above what a campaign of kills produces.
const FRAMES_KEPT: usize = 1_000_000;

/// How the CSMS can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// As usual.
    #[default]
    Up,
    /// A connection is closed as soon as it is made.
    Refuse,
    /// A connection is made, the upgrade never answered.
    NoUpgrade,
    /// The upgrade is answered, no CALL ever is.
    Hang,
}

/// Answer to BootNotification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootAnswer {
    /// `Accepted` with the heartbeat interval in seconds.
    Accepted(u32),
    /// `Pending` with the retry interval in seconds.
    Pending(u32),
    /// `Rejected` with the retry interval in seconds.
    Rejected(u32),
}

/// How an answer gets lost. The CALL was taken and counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It is never sent.
    Silent,
    /// The link is cut in its place.
    Cut,
}

/// Who sent a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The charge point.
    ChargePoint,
    /// We.
    Csms,
}

/// What a frame is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `[2, id, action, payload]`.
    Call {
        /// Which message.
        action: String,
        /// Its payload.
        payload: Value,
    },
    /// `[3, id, payload]`.
    Result {
        /// Its payload.
        payload: Value,
    },
    /// `[4, id, code, description, details]`.
    Error {
        /// The code.
        code: String,
    },
    /// A connection began; `id` is empty.
    Opened {
        /// The sub-protocol agreed on.
        protocol: String,
    },
    /// A connection ended; `id` is empty.
    Closed,
    /// Not an OCPP-J frame.
    Garbage(String),
}

/// A frame, or the beginning or end of a connection, in the order seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Since the CSMS was started.
    pub at: Duration,
    /// Charge point identity from the URL.
    pub cp: String,
    /// Number of the connection.
    pub link: u64,
    /// Who sent it.
    pub from: Side,
    /// Message id.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// For a CALL of the charge point: the answer was swallowed on purpose.
    pub lost: bool,
}

impl Frame {
    /// The payload, if it is this CALL of the charge point.
    #[must_use]
    pub fn call(&self, wanted: &str) -> Option<&Value> {
        match &self.kind {
            Kind::Call { action, payload } if self.from == Side::ChargePoint && action == wanted => {
                Some(payload)
            }
            Kind::Call { .. }
            | Kind::Result { .. }
            | Kind::Error { .. }
            | Kind::Opened { .. }
            | Kind::Closed
            | Kind::Garbage(_) => None,
        }
    }
}

/// Why a CALL to a charge point has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Not connected.
    #[error("charge point {0} is not connected")]
    Offline(String),
    /// The link went before the answer came.
    #[error("the link was lost before the answer")]
    Lost,
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// A CALLERROR.
    #[error("refused with {code}: {description}")]
    Refused {
        /// Its code.
        code: String,
        /// Its description.
        description: String,
    },
}

type CallAnswer = Result<Value, CallError>;

struct Connected {
    link: u64,
    send: mpsc::Sender<String>,
}

/// Behaviour that can be changed at any time.
struct Manners {
    reach: Reach,
    boot: BootAnswer,
    delay: Duration,
    password: Option<String>,
    tokens: BTreeMap<String, String>,
    losses: VecDeque<(String, Loss)>,
    refusals: BTreeSet<String>,
}

struct State {
    manners: Manners,
    links: BTreeMap<String, Connected>,
    pending: BTreeMap<String, oneshot::Sender<CallAnswer>>,
    frames: VecDeque<Frame>,
    forgotten: usize,
    next_link: u64,
    next_call: u64,
    ledger: answer::Ledger,
}

struct Shared {
    start: Instant,
    state: Mutex<State>,
    /// Number of frames seen; wakes whoever waits for one.
    seen: watch::Sender<usize>,
    /// Raised by one to cut every link.
    cut: watch::Sender<u64>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, state: &mut State, mut frame: Frame) {
        frame.at = self.start.elapsed();
        if state.frames.len() == FRAMES_KEPT {
            state.frames.pop_front();
            state.forgotten += 1;
        }
        state.frames.push_back(frame);
        self.seen.send_replace(state.frames.len() + state.forgotten);
    }
}

/// The CSMS. Dropping it closes everything.
pub struct Csms {
    shared: Arc<Shared>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Csms {
    /// Listens on a free port of 127.0.0.1. Needs a tokio runtime.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> io::Result<Self> {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
    }

    /// Listens on this address.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn start_at(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let manners = Manners {
            reach: Reach::Up,
            boot: BootAnswer::Accepted(300),
            delay: Duration::ZERO,
            password: None,
            tokens: BTreeMap::new(),
            losses: VecDeque::new(),
            refusals: BTreeSet::new(),
        };
        let state = State {
            manners,
            links: BTreeMap::new(),
            pending: BTreeMap::new(),
            frames: VecDeque::new(),
            forgotten: 0,
            next_link: 1,
            next_call: 1,
            ledger: answer::Ledger::default(),
        };
        let shared = Arc::new(Shared {
            start: Instant::now(),
            state: Mutex::new(state),
            seen: watch::Sender::new(0),
            cut: watch::Sender::new(0),
        });
        let task = tokio::spawn(link::listen(listener, Arc::clone(&shared)));
        Ok(Self {
            shared,
            address,
            task,
        })
    }

    /// The URL for a charge point.
    #[must_use]
    pub fn url(&self, cp: &str) -> String {
        format!("ws://{}/ocpp/{cp}", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From the next connection or CALL on, be reachable like this. Open links stay: see [`Self::cut`].
    pub fn set_reach(&self, reach: Reach) {
        self.shared.lock().manners.reach = reach;
    }

    /// Answers to BootNotification from now on.
    pub fn set_boot(&self, boot: BootAnswer) {
        self.shared.lock().manners.boot = boot;
    }

    /// Waits this long before every answer.
    pub fn set_delay(&self, delay: Duration) {
        self.shared.lock().manners.delay = delay;
    }

    /// Asks for this password by HTTP Basic from now on.
    pub fn set_password(&self, password: Option<String>) {
        self.shared.lock().manners.password = password;
    }

    /// The verdict on a token, in the words of the wire (`Blocked`, `Invalid`, ...); others are `Accepted`.
    pub fn set_token(&self, token: &str, verdict: &str) {
        self.shared
            .lock()
            .manners
            .tokens
            .insert(token.to_owned(), verdict.to_owned());
    }

    /// Loses the answer to the next CALL of this action.
    pub fn lose_answer(&self, action: &str, loss: Loss) {
        self.shared
            .lock()
            .manners
            .losses
            .push_back((action.to_owned(), loss));
    }

    /// Refuses every CALL of this action with `InternalError` from now on, or no longer. What is refused does not count.
    pub fn refuse(&self, action: &str, refuse: bool) {
        let refusals = &mut self.shared.lock().manners.refusals;
        if refuse {
            refusals.insert(action.to_owned());
        } else {
            refusals.remove(action);
        }
    }

    /// Cuts every link without a closing handshake.
    pub fn cut(&self) {
        self.shared.cut.send_modify(|n| *n += 1);
    }

    /// Whether a charge point is connected.
    #[must_use]
    pub fn is_connected(&self, cp: &str) -> bool {
        self.shared.lock().links.contains_key(cp)
    }

    /// Sends a CALL and awaits its answer.
    ///
    /// # Errors
    /// When the charge point is away, refuses, or does not answer within 30 s.
    pub async fn call(&self, cp: &str, action: &str, payload: Value) -> CallAnswer {
        const WITHIN: Duration = Duration::from_secs(30);
        let (send, text, answer) = {
            let mut guard = self.shared.lock();
            let state = &mut *guard;
            let connected = state
                .links
                .get(cp)
                .ok_or_else(|| CallError::Offline(cp.to_owned()))?;
            let (send, link) = (connected.send.clone(), connected.link);
            let id = format!("csms-{}", state.next_call);
            state.next_call += 1;
            let (tell, answer) = oneshot::channel();
            state.pending.insert(id.clone(), tell);
            let text = serde_json::json!([2, id, action, payload]).to_string();
            let kind = Kind::Call {
                action: action.to_owned(),
                payload,
            };
            let frame = Frame::now(cp, link, Side::Csms, id, kind);
            self.shared.record(state, frame);
            (send, text, answer)
        };
        send.send(text).await.map_err(|_| CallError::Lost)?;
        match tokio::time::timeout(WITHIN, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(CallError::Lost),
            Err(_) => Err(CallError::Timeout(WITHIN)),
        }
    }

    /// Sends a text as it is, be it a frame or not.
    ///
    /// # Errors
    /// When the charge point is away.
    pub async fn send_raw(&self, cp: &str, text: &str) -> Result<(), CallError> {
        let send = self.shared.lock().links.get(cp).map(|c| c.send.clone());
        let send = send.ok_or_else(|| CallError::Offline(cp.to_owned()))?;
        send.send(text.to_owned()).await.map_err(|_| CallError::Lost)
    }

    /// Number of frames seen so far: the mark to wait from.
    #[must_use]
    pub fn mark(&self) -> usize {
        *self.shared.seen.borrow()
    }

    /// Every frame seen, oldest first.
    #[must_use]
    pub fn frames(&self) -> Vec<Frame> {
        self.shared.lock().frames.iter().cloned().collect()
    }

    /// The first frame from `mark` on that is wanted; waits for it at most `within`.
    pub async fn wait(
        &self,
        mark: usize,
        within: Duration,
        wanted: impl Fn(&Frame) -> bool,
    ) -> Option<Frame> {
        let mut seen = self.shared.seen.subscribe();
        let mut from = mark;
        let found = async {
            loop {
                {
                    let state = self.shared.lock();
                    let skip = from.saturating_sub(state.forgotten);
                    if let Some(frame) = state.frames.iter().skip(skip).find(|f| wanted(f)) {
                        return Some(frame.clone());
                    }
                    from = state.frames.len() + state.forgotten;
                }
                seen.changed().await.ok()?;
            }
        };
        tokio::time::timeout(within, found).await.ok().flatten()
    }

    /// The first CALL of this action by this charge point from `mark` on: its payload.
    pub async fn wait_call(&self, mark: usize, within: Duration, cp: &str, action: &str) -> Option<Value> {
        let frame = self
            .wait(mark, within, |f| f.cp == cp && f.call(action).is_some())
            .await?;
        frame.call(action).cloned()
    }

    /// What the charge points told, judged.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        verdict::judge(self.shared.lock().frames.iter())
    }
}

impl Frame {
    fn now(cp: &str, link: u64, from: Side, id: String, kind: Kind) -> Self {
        Self {
            at: Duration::ZERO,
            cp: cp.to_owned(),
            link,
            from,
            id,
            kind,
            lost: false,
        }
    }
}

impl Drop for Csms {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}
