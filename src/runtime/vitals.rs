//! Signs of life: every task marks the time of its turns, and the oldest mark is the pulse of the process.
//!
//! Rules it enforces (promise S6):
//! * A lease on a charger's watchdog reaches no further than [`LEASE_REACH`] beyond the pulse. Whichever task hangs,
//!   the ledger and the one here included, nothing is fed two periods later.
//! * A task that is gone marks no more: that is a hang too.
//! * Who hangs is said once.
//!
//! Systemd's watchdog is fed while every mark but the ledger's is younger than [`FRESH`] (promise T5). The ledger is left out
//! on purpose. Its mark is as old as the disk is slow: with 5 s for each sync (promise D4) and a commit or two in front of
//! the question it is 5 to 10 s old, and nothing is ill; chargers are steered and stopped all the same. A disk that hangs for
//! good is not mended by a restart either: the process cannot even be ended while it waits in the kernel, and the next one
//! finds no ledger and touches no bus, so that stops would reach no charger any more (promise S7). A ledger that does not
//! answer ends the leases and makes `retrovolt healthcheck` fail; who wants a restart for it has it from there.

use crate::domain::{Clock, Mono};
use crate::station::LEASE_REACH;
use crate::store::Store;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// Every task marks its turn at least this often.
pub const TURN: Duration = Duration::from_secs(1);
/// Systemd's watchdog is fed only while every task has turned within this. Systemd counts from the last time it was fed: with
/// this, `RestartSec=1` and a start of less than a second a hung task is replaced within `WatchdogSec` + 5 s (promise T5).
/// It is no false alarm when a board is busy and a task late once: feeding goes on with its next turn, and a restart takes
/// late tasks at every single look for the whole of `WatchdogSec`.
pub const FRESH: Duration = Duration::from_secs(3);
/// A task that is silent for longer is told as hung.
pub const HUNG_AFTER: Duration = Duration::from_secs(5);
/// The pulse is taken this often.
const TAKEN_EVERY: Duration = Duration::from_millis(250);

/// The ledger's mark.
pub const LEDGER: &str = "ledger";

/// When each task last turned, by its name.
pub type Marks = BTreeMap<String, watch::Receiver<Mono>>;

/// Leaves the marks of one task.
#[derive(Clone)]
pub struct Marker {
    clock: Arc<dyn Clock>,
    mark: watch::Sender<Mono>,
}

impl Marker {
    /// A marker and what it leaves.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> (Self, watch::Receiver<Mono>) {
        let (mark, marks) = watch::channel(clock.now().mono);
        (Self { clock, mark }, marks)
    }

    /// The task turns.
    pub fn turn(&self) {
        self.turned_at(self.now());
    }

    fn now(&self) -> Mono {
        self.clock.now().mono
    }

    fn turned_at(&self, at: Mono) {
        self.mark.send_replace(at);
    }
}

/// The marks of all tasks and the pulse they give.
pub struct Vitals {
    clock: Arc<dyn Clock>,
    /// Of the tasks that live as long as the process.
    lasting: Marks,
    marks: watch::Sender<Marks>,
    /// When the pulse was last taken.
    taken: watch::Receiver<Mono>,
    /// When the task that has been silent for longest last turned.
    pub pulse: watch::Receiver<Mono>,
}

impl Vitals {
    /// Begins to ask the ledger and to take the pulse.
    #[must_use]
    pub fn start(store: Store, clock: Arc<dyn Clock>) -> Self {
        let (beat, pulse) = watch::channel(clock.now().mono);
        let (marks, all) = watch::channel(Marks::new());
        let (taker, taken) = Marker::new(clock.clone());
        tokio::spawn(run(all, beat, taker));
        let mut vitals = Self {
            clock,
            lasting: Marks::new(),
            marks,
            taken,
            pulse,
        };
        tokio::spawn(ask_ledger(store, vitals.marker(LEDGER)));
        vitals
    }

    /// The marker of a task that lives as long as the process.
    pub fn marker(&mut self, name: &str) -> Marker {
        let (marker, mark) = Marker::new(self.clock.clone());
        self.lasting.insert(name.to_owned(), mark);
        self.publish(Marks::new());
        marker
    }

    /// These are the tasks beside the lasting ones now.
    pub fn publish(&self, mut marks: Marks) {
        marks.extend(self.lasting.clone());
        self.marks.send_replace(marks);
    }

    /// All marks, for whoever looks on.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Marks> {
        self.marks.subscribe()
    }

    /// All marks.
    pub fn marks(&self) -> watch::Ref<'_, Marks> {
        self.marks.borrow()
    }

    /// Names the tasks that have not turned for `most`, the ledger aside.
    #[must_use]
    pub fn hung(&self, most: Duration) -> Vec<String> {
        let now = self.clock.now().mono;
        let mut hung = names_of_late(&self.marks(), now, most);
        hung.retain(|name| name != LEDGER);
        if now.since(*self.taken.borrow()) > most {
            hung.push("vital signs".to_owned());
        }
        hung
    }
}

/// Takes the pulse until nobody wants it any more.
pub async fn run(marks: watch::Receiver<Marks>, pulse: watch::Sender<Mono>, taker: Marker) {
    let mut tick = interval(TAKEN_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = String::new();
    while !pulse.is_closed() {
        tick.tick().await;
        let now = taker.now();
        taker.turned_at(now);
        let oldest = marks.borrow().values().map(|mark| *mark.borrow()).min();
        pulse.send_replace(oldest.unwrap_or(now).min(now));
        let late = names_of_late(&marks.borrow(), now, LEASE_REACH).join(", ");
        if late != told {
            if late.is_empty() {
                tracing::warn!("every task turns again: chargers are fed");
            } else {
                tracing::error!("hangs: {late}; no charger is fed");
            }
            told = late;
        }
    }
}

/// The tasks that have not turned for longer than `most`.
pub fn names_of_late(marks: &Marks, now: Mono, most: Duration) -> Vec<String> {
    let late = |(_, mark): &(&String, &watch::Receiver<Mono>)| now.since(*mark.borrow()) > most;
    marks.iter().filter(late).map(|(name, _)| name.clone()).collect()
}

/// Asks the ledger whether its threads turn, until it is closed. The mark is the time of the question.
pub async fn ask_ledger(store: Store, marker: Marker) {
    let mut tick = interval(TURN);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let asked = marker.now();
        if store.turns().await.is_err() {
            return;
        }
        marker.turned_at(asked);
    }
}
