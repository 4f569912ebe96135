//! The task between the picture and the broker.

mod answers;
mod left;
mod opening;
mod pace;
mod rows;

use super::super::client::{Dial, Farewell, Link, LinkError, Message, Qos, WINDOW};
use super::super::event::Event;
use super::super::picture::{Happening, View};
use super::board::{Board, Extent};
use super::leaves::leaves;
use super::leftovers::Leftovers;
use super::orders::{About, Gatekeeper};
use super::outbox::{Outbox, Slot};
use super::verdicts::Verdicts;
use super::waits::Waits;
use super::{Announcer, Desk, Ledger, Topics, told};
use crate::domain::{Clock, MqttSetup, Rng, Thrift};
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
pub use left::Left;
use opening::subscribed;
use pace::{Pace, Parcel};
use rows::{Reading, read_on};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

/// A connection that lasted as long counts as a success.
const LASTING: Duration = Duration::from_secs(10);
/// How long a clean stop may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a hub is made of.
pub struct Hub {
    /// As configured.
    pub setup: MqttSetup,
    /// How the broker is reached.
    pub dial: Dial,
    /// What it sees.
    pub view: View,
    /// Who announces what is here, e.g. to Home Assistant.
    pub announcer: Option<Box<dyn Announcer>>,
    /// Sessions and energy.
    pub ledger: Option<Arc<dyn Ledger>>,
    /// Who carries out commands; without one there are none.
    pub desk: Option<Arc<dyn Desk>>,
    /// What the hub before it has left.
    pub left: Left,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// How sparing the broker is to be told measured values.
    pub thrift: watch::Receiver<Thrift>,
    /// For waits.
    pub seed: u64,
}

/// How the connection is, for `retrovolt status`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HubStatus {
    /// Connected, and the whole picture is told.
    pub online: bool,
    /// In words: the version spoken, or what is in the way.
    pub detail: String,
    /// Events that wait.
    pub waiting: usize,
    /// What waits, bytes.
    pub bytes: usize,
    /// Events given up for want of room.
    pub dropped: u64,
    /// Messages that the broker has, since the start of this hub.
    pub confirmed: u64,
    /// Messages that the broker refused.
    pub rejected: u64,
    /// Messages of measured values not published because of the budget.
    pub thinned: u64,
    /// The last connection was lost to another client with the same id.
    pub taken_over: bool,
    /// Connections in a row that were lost soon after they stood.
    pub short_lived: u32,
}

/// A running hub from outside.
#[derive(Debug)]
pub struct HubHandle {
    /// How it is.
    pub status: watch::Receiver<HubStatus>,
    stop: watch::Sender<bool>,
    join: JoinHandle<Left>,
}

impl HubHandle {
    /// Says `offline`, closes and waits for the end, at most some seconds; what was not told is left to the next hub.
    pub async fn end(mut self) -> Left {
        self.stop.send_replace(true);
        // Each of the three steps of a farewell has its own limit.
        match timeout(FAREWELL * 4, &mut self.join).await {
            Ok(Ok(left)) => left,
            Ok(Err(_)) | Err(_) => {
                self.join.abort();
                Left::lost(self.status.borrow().waiting)
            }
        }
    }
}

/// Starts a hub.
#[must_use]
pub fn spawn(hub: Hub) -> HubHandle {
    let (stop, stopped) = watch::channel(false);
    let (status, shown) = watch::channel(HubStatus::default());
    HubHandle {
        status: shown,
        stop,
        join: tokio::spawn(Task::new(hub, stopped, status).run()),
    }
}

/// Why a connection has ended.
enum End {
    Stop,
    Lost(LinkError),
}

impl From<LinkError> for End {
    fn from(error: LinkError) -> Self {
        Self::Lost(error)
    }
}

type Sent = BoxFuture<'static, (What, Parcel, Result<(), LinkError>)>;
type Done = BoxFuture<'static, (About, Result<(Value, Value), String>)>;
type Asked = BoxFuture<'static, Result<(), LinkError>>;

/// What a receipt is about.
#[derive(Clone, Copy)]
enum What {
    Kept(Slot),
    Row,
}

struct Task {
    hub: Hub,
    topics: Topics,
    board: Board,
    leftovers: Leftovers,
    outbox: Outbox,
    gate: Option<Gatekeeper>,
    reading: Reading,
    sent: FuturesUnordered<Sent>,
    pace: Pace,
    confirmed: u64,
    rejected_by_broker: u64,
    orders: FuturesUnordered<Done>,
    rng: Rng,
    stopped: watch::Receiver<bool>,
    status: watch::Sender<HubStatus>,
    /// How many of the states that wait are the picture which a new connection begins with: nothing else goes before.
    opening: usize,
    /// The picture waits for the announcer, and everything else waits for the picture.
    held: bool,
    /// Subscriptions the broker has not answered yet.
    subscribing: FuturesUnordered<Asked>,
    /// `online` was said on this connection: the whole picture is told, and commands are heard.
    greeted: bool,
    /// Everything is told again then, on the wish of an announcer.
    again: Option<Instant>,
    /// Everything was told last.
    refreshed: Instant,
    verdicts: Verdicts,
    /// The announcer is asked once more then.
    announce_at: Option<Instant>,
    taken_over: bool,
    short_lived: u32,
    /// Since when the connection stands.
    since: Instant,
}

impl Task {
    fn new(mut hub: Hub, stopped: watch::Receiver<bool>, status: watch::Sender<HubStatus>) -> Self {
        // Without somebody to carry them out, no command topic is even subscribed.
        let rights = hub.desk.as_ref().and(hub.setup.commands.clone());
        let outbox = std::mem::take(&mut hub.left).taken_over(&mut hub.view);
        Self {
            topics: Topics::new(&hub.setup.prefix, &hub.setup.gateway),
            board: Board::default(),
            leftovers: Leftovers::default(),
            outbox,
            verdicts: Verdicts::of(rights.iter().flat_map(BTreeMap::keys).cloned()),
            gate: rights.map(Gatekeeper::new),
            reading: Reading::Idle,
            sent: FuturesUnordered::new(),
            pace: Pace::default(),
            confirmed: 0,
            rejected_by_broker: 0,
            orders: FuturesUnordered::new(),
            rng: Rng::new(hub.seed),
            stopped,
            status,
            opening: 0,
            held: false,
            subscribing: FuturesUnordered::new(),
            greeted: false,
            again: None,
            refreshed: Instant::now(),
            announce_at: None,
            taken_over: false,
            short_lived: 0,
            since: Instant::now(),
            hub,
        }
    }

    async fn run(mut self) -> Left {
        let mut waits = Waits::new(self.rng.next_u64());
        let mut wait = waits.first();
        let mut last_told = String::new();
        self.count();
        loop {
            let link = match self.reach(wait).await {
                Ok(link) => link,
                Err(End::Stop) => return self.left(),
                Err(End::Lost(error)) => {
                    let reason = error.to_string();
                    // The same reason is not told again and again for three days.
                    if reason != last_told {
                        tracing::warn!("MQTT: {reason}");
                        last_told.clone_from(&reason);
                    }
                    self.show(false, reason);
                    wait = waits.next(error.is_absence());
                    continue;
                }
            };
            tracing::info!(
                "MQTT: connected to {}, {:?}",
                self.hub.setup.broker.host,
                link.version()
            );
            last_told.clear();
            self.since = Instant::now();
            let end = self.serve(link).await;
            self.outbox.lost();
            self.sent.clear();
            self.pace = Pace::default();
            self.reading = Reading::Idle;
            match end {
                End::Stop => return self.left(),
                End::Lost(error) => {
                    tracing::warn!("MQTT: {error}");
                    let lasted = self.since.elapsed() >= LASTING;
                    self.short_lived = if lasted {
                        0
                    } else {
                        self.short_lived.saturating_add(1)
                    };
                    self.taken_over = matches!(error, LinkError::TakenOver { .. });
                    self.show(false, error.to_string());
                    waits.lost(lasted);
                    wait = waits.next(false);
                }
            }
        }
    }

    fn show(&self, online: bool, detail: String) {
        self.status.send_modify(|shown| {
            shown.online = online;
            shown.detail = detail;
        });
        self.count();
    }

    /// Shows what has been counted.
    fn count(&self) {
        self.status.send_if_modified(|shown| {
            let stands = shown.online && self.since.elapsed() >= LASTING;
            let now = HubStatus {
                online: shown.online,
                detail: std::mem::take(&mut shown.detail),
                waiting: self.outbox.events(),
                bytes: self.outbox.bytes(),
                dropped: self.outbox.dropped(),
                confirmed: self.confirmed,
                rejected: self.rejected_by_broker,
                thinned: self.board.thinned(),
                taken_over: self.taken_over && !stands,
                short_lived: if stands { 0 } else { self.short_lived },
            };
            let differs = (now.waiting, now.dropped) != (shown.waiting, shown.dropped);
            *shown = now;
            differs
        });
    }

    /// Waits, then connects; what happens meanwhile is kept.
    async fn reach(&mut self, wait: Duration) -> Result<Link, End> {
        let will = Message::retained(self.topics.status(), "offline");
        let dial = self.hub.dial.clone();
        let mut connecting = Box::pin(async move {
            tokio::time::sleep(wait).await;
            dial.connect(Some(&will)).await
        });
        loop {
            tokio::select! {
                () = told_to_stop(&mut self.stopped) => return Err(End::Stop),
                link = &mut connecting => return Ok(link?),
                happening = self.hub.view.happenings.recv() => {
                    self.happened(happening)?;
                    self.count();
                }
            }
        }
    }

    fn happened(&mut self, happening: Result<Happening, RecvError>) -> Result<(), End> {
        match happening {
            Ok(happening) => {
                let event = Event::of(&happening);
                let topic = self
                    .topics
                    .point(&happening.point, format_args!("event/{}", event.word()));
                let payload = serde_json::to_vec(&event).unwrap_or_default();
                self.outbox.event(Message::passing(topic, payload));
                Ok(())
            }
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!("MQTT: {missed} events were missed");
                self.outbox.missed(missed);
                Ok(())
            }
            // Whoever paints the picture has ended.
            Err(RecvError::Closed) => Err(End::Stop),
        }
    }

    fn tell_all(&mut self) {
        self.look(Extent::All);
    }

    /// What of the picture is told between two refreshes.
    fn extent(&self) -> Extent {
        match *self.hub.thrift.borrow() {
            Thrift::Free => Extent::Moved,
            Thrift::Sparing | Thrift::Bare => Extent::Words,
        }
    }

    /// When everything is told whether or not it has changed.
    fn next_refresh(&self) -> Instant {
        self.refreshed + self.hub.setup.refresh * self.hub.thrift.borrow().stretch()
    }

    /// Takes over what is new in the picture.
    fn look(&mut self, extent: Extent) {
        let picture = Arc::clone(&self.hub.view.picture.borrow_and_update());
        let news = |announcer: &mut Box<dyn Announcer>| announcer.news(&picture);
        // While it waits for something, it will see by itself.
        if self.announce_at.is_none() && self.hub.announcer.as_mut().is_some_and(news) {
            self.announce();
        }
        if extent == Extent::All {
            self.refreshed = Instant::now();
        }
        let leaves = leaves(&self.topics, &picture, self.hub.setup.flat);
        for message in self.board.compare(leaves, extent) {
            self.outbox.state(message);
        }
        // In safe mode nothing is known, which does not mean that nothing is there.
        if !(picture.points.is_empty() && picture.meters.is_empty()) {
            for message in self.board.gone() {
                self.outbox.state(message);
            }
        }
    }

    async fn serve(&mut self, mut link: Link) -> End {
        self.open(&link);
        loop {
            if let Err(end) = self.flush(&link) {
                return end;
            }
            self.count();
            let refresh = self.next_refresh();
            let turned = tokio::select! {
                biased;
                () = told_to_stop(&mut self.stopped) => {
                    self.leave(link).await;
                    return End::Stop;
                }
                Some((what, parcel, how)) = self.sent.next() => self.confirmed(what, &parcel, how),
                Some((about, how)) = self.orders.next() => { self.carried_out(&about, how); Ok(()) }
                Some(answer) = self.subscribing.next() => subscribed(answer),
                happening = self.hub.view.happenings.recv() => self.happened(happening),
                changed = self.hub.view.picture.changed() => {
                    if !self.held {
                        self.look(self.extent());
                    }
                    changed.map_err(|_| End::Stop)
                }
                () = read_on(&mut self.reading) => { self.ask_on(); Ok(()) }
                // A stage has changed: the next refresh is due sooner or later.
                _ = told(&mut self.hub.thrift) => Ok(()),
                () = sleep_until(refresh), if !self.held => { self.tell_all(); Ok(()) }
                () = sleep_until(self.announce_at.unwrap_or(refresh)), if self.announce_at.is_some() => {
                    self.announce_once_more();
                    Ok(())
                }
                () = sleep_until(self.again.unwrap_or(refresh)), if self.again.is_some() => {
                    self.again = None;
                    self.tell_again();
                    if self.greeted {
                        self.tell_online();
                    }
                    Ok(())
                }
                // Last: whoever floods us with commands keeps nothing else from being done.
                incoming = link.next() => incoming.map(|incoming| self.heard(&incoming)).map_err(End::from),
            };
            if let Err(end) = turned {
                return end;
            }
        }
    }

    /// Sends what there is room for.
    fn flush(&mut self, link: &Link) -> Result<(), End> {
        while !self.held && self.sent.len() < usize::from(WINDOW) {
            self.greet();
            let event = self.outbox.next_event().filter(|_| self.opening == 0);
            let (what, message) = if let Some((id, event)) = event {
                (What::Kept(Slot::Event(id)), event.clone())
            } else if let Some(state) = self.outbox.next_state() {
                (What::Kept(Slot::State), state.clone())
            } else if let Some(row) = self.next_row() {
                (What::Row, row)
            } else {
                break;
            };
            if !self.pace.has_room(&message) {
                break;
            }
            match link.publish(&message) {
                Ok(receipt) => self.on_its_way(link, what, &message, receipt.done().boxed()),
                Err(LinkError::Full) => break,
                Err(error @ LinkError::Rejected { .. }) => {
                    self.on_its_way(link, what, &message, std::future::ready(Err(error)).boxed());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn on_its_way(
        &mut self,
        link: &Link,
        what: What,
        message: &Message,
        done: BoxFuture<'static, Result<(), LinkError>>,
    ) {
        match what {
            What::Kept(slot) => {
                self.outbox.sent(slot);
                if slot == Slot::State && self.opening > 0 {
                    self.opening -= 1;
                    if self.opening == 0 && self.greeted {
                        self.show(true, format!("{:?}", link.version()));
                    }
                }
            }
            What::Row => self.row_sent(),
        }
        let parcel = self.pace.sent(message);
        self.sent.push(async move { (what, parcel, done.await) }.boxed());
    }

    fn confirmed(&mut self, what: What, parcel: &Parcel, how: Result<(), LinkError>) -> Result<(), End> {
        match how {
            Err(error @ LinkError::Rejected { .. }) => {
                // It would be rejected again; holding all others up for it would help nobody.
                tracing::warn!("MQTT: {error}");
                self.rejected_by_broker += 1;
            }
            other => {
                other?;
                self.confirmed += 1;
            }
        }
        self.pace.confirmed(parcel);
        match what {
            What::Kept(slot) => self.outbox.confirmed(slot),
            What::Row => self.row_confirmed(),
        }
        Ok(())
    }

    /// What waits is sent as far as time allows, `offline` last.
    async fn leave(&mut self, link: Link) {
        let finished = async {
            while self.opening == 0 && (self.outbox.next_event().is_some() || !self.sent.is_empty()) {
                if self.flush(&link).is_err() {
                    return;
                }
                let Some((what, parcel, how)) = self.sent.next().await else {
                    return;
                };
                if self.confirmed(what, &parcel, how).is_err() {
                    return;
                }
            }
        };
        let _ = timeout(FAREWELL, finished).await;
        let offline = Message::retained(self.topics.status(), "offline");
        if let Ok(receipt) = link.publish(&offline) {
            let _ = timeout(FAREWELL, receipt.done()).await;
        }
        link.close(Farewell::Quiet, FAREWELL).await;
    }
}

async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    // Whoever holds the handle has dropped it: the same.
    let _ = stopped.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests;
