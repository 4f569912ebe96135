//! One task per charge point: it owns the [`Station`] and carries what goes in and out of it.
//!
//! It never waits for disk, network or another task while a command that stops power is due: commits run in
//! tasks of their own and come back as messages, uplinks are written to through an [`Exchange`], which never waits.

use super::counts;
use super::exchange::{Exchange, Heard};
use super::fuses::Asked;
use super::narrator::Narrator;
use super::porter::{Porter, Yard};
use super::pseudonym::Pseudonyms;
use super::recall::{AllTold, Past};
use crate::bus::ToBus;
use crate::domain::{
    Batch, Clock, Command, CpSetup, DeviceId, DriveError, EvseId, EvseSetup, Mono, Outcome, Params, Put,
    ReaderId,
};
use crate::site::Demand;
use crate::station::{Effect, Input, LEASE_REACH, Role, Snapshot, Station};
use crate::store::Store;
use crate::telemetry::Easel;
use crate::uplink::{FromUplink, ToUplink};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

/// Wait before a commit that failed is tried again.
const COMMIT_RETRY: Duration = Duration::from_secs(1);
/// The loop turns at least this often, so that a hang is seen.
const TURN: Duration = Duration::from_secs(1);
/// Drive tickets are unique over all stations, because a device can be shared.
static TICKETS: AtomicU64 = AtomicU64::new(1);

/// What a conductor is told. Small: a channel keeps room for 32 of them even while it is empty.
#[derive(Debug)]
pub enum ToStation {
    /// Straight into the machine.
    Input(Box<Input>),
    /// A bus has finished a drive; the ticket is the global one.
    Driven {
        /// Of [`ToBus::Drive`].
        ticket: u64,
        /// How it went.
        result: Result<(), DriveError>,
    },
    /// From the uplink of this reader.
    Uplink(ReaderId, Box<FromUplink>),
    /// Somebody in the house asks for something.
    Ask(Box<Command>, oneshot::Sender<Outcome>),
    /// A CSMS that only reads comes in.
    Join(ReaderId, mpsc::Sender<ToUplink>),
    /// It is configured no longer.
    Part(ReaderId),
    /// A reload has changed the configuration of this EVSE.
    Configured(EvseId),
    /// The process ends: chargers to their safe state.
    Leave,
    /// End this task without touching the chargers (reload).
    Stop,
}

impl ToStation {
    /// Something for the machine.
    pub fn input(input: Input) -> Self {
        Self::Input(Box::new(input))
    }
}

/// What a conductor needs of the rest of the house.
#[derive(Clone)]
pub struct Surroundings {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ledger.
    pub store: Store,
    /// Profile of each device.
    pub profiles: BTreeMap<DeviceId, String>,
    /// Bus of each device.
    pub buses: BTreeMap<DeviceId, mpsc::Sender<ToBus>>,
    /// Where demands of shared fuses go.
    pub fuses: mpsc::Sender<Asked>,
    /// Where the CSMS's time goes.
    pub time: mpsc::Sender<i64>,
    /// When the task that has been silent for longest last turned.
    pub pulse: watch::Receiver<Mono>,
    /// What is needed to carry files.
    pub yard: Yard,
    /// Where telemetry is told what happens.
    pub easel: Arc<Easel>,
    /// Names of tokens for telemetry.
    pub names: Pseudonyms,
}

/// The outside of a running conductor.
#[derive(Clone, Debug)]
pub struct ConductorHandle {
    /// Its inbox.
    pub to: mpsc::Sender<ToStation>,
    /// The station as it was after the last change.
    pub snapshot: watch::Receiver<Snapshot>,
    /// The settings in force.
    pub params: watch::Receiver<Params>,
    /// What telemetry was told.
    pub told: watch::Receiver<AllTold>,
    /// Monotonic time of its last turn, for the watchdog.
    pub heartbeat: watch::Receiver<Mono>,
}

struct Conductor {
    setup: CpSetup,
    station: Station,
    inbox: mpsc::Sender<ToStation>,
    exchange: Exchange,
    around: Surroundings,
    tickets: BTreeMap<u64, u64>,
    demands: BTreeMap<EvseId, Demand>,
    counts: counts::Heard,
    porter: Porter,
    narrator: Narrator,
    snapshot: watch::Sender<Snapshot>,
    heartbeat: watch::Sender<Mono>,
}

/// The task of one charge point, to be spawned, and its outside. Telemetry goes on from `past`.
pub fn prepare(
    setup: CpSetup,
    station: Station,
    exchange: Exchange,
    around: Surroundings,
    past: Past,
    channel: (mpsc::Sender<ToStation>, mpsc::Receiver<ToStation>),
) -> (ConductorHandle, impl Future<Output = ()> + Send + 'static) {
    let (inbox, outbox) = channel;
    let (snapshot, snapshot_rx) = watch::channel(station.snapshot());
    let (heartbeat, heartbeat_rx) = watch::channel(around.clock.now().mono);
    let params = exchange.params();
    let porter = Porter::new(setup.clone(), around.clone(), inbox.clone(), snapshot_rx.clone());
    let (easel, names, now) = (around.easel.clone(), around.names.clone(), around.clock.now());
    let narrator = Narrator::new(setup.id.clone(), easel, names, now, past);
    let told = narrator.told();
    let conductor = Conductor {
        setup,
        station,
        inbox: inbox.clone(),
        exchange,
        around,
        tickets: BTreeMap::new(),
        demands: BTreeMap::new(),
        counts: counts::Heard::default(),
        porter,
        narrator,
        snapshot,
        heartbeat,
    };
    let handle = ConductorHandle {
        to: inbox,
        snapshot: snapshot_rx,
        params,
        told,
        heartbeat: heartbeat_rx,
    };
    (handle, conductor.run(outbox))
}

impl Conductor {
    async fn run(mut self, outbox: mpsc::Receiver<ToStation>) {
        self.turn(outbox).await;
        // Who comes next goes on from here.
        self.narrator.publish(self.around.clock.now());
    }

    async fn turn(&mut self, mut outbox: mpsc::Receiver<ToStation>) {
        self.feed(Input::Tick);
        loop {
            let wake = self.wake_at();
            tokio::select! {
                message = outbox.recv() => match message {
                    None | Some(ToStation::Stop) => return,
                    Some(message) => self.take(message),
                },
                () = sleep_until(wake) => self.feed(Input::Tick),
            }
            // Whatever else waits is taken in before the world is told of the state in between.
            while let Ok(message) = outbox.try_recv() {
                if matches!(message, ToStation::Stop) {
                    return;
                }
                self.take(message);
            }
            self.publish();
        }
    }

    fn wake_at(&self) -> Instant {
        let now = self.around.clock.now().mono;
        let wait = self
            .station
            .next_deadline()
            .map_or(TURN, |(at, _)| at.since(now))
            .min(TURN);
        Instant::now() + wait
    }

    fn take(&mut self, message: ToStation) {
        match message {
            ToStation::Input(input) => self.feed(*input),
            ToStation::Driven { ticket, result } => {
                if let Some(ticket) = self.tickets.remove(&ticket) {
                    self.feed(Input::Driven { ticket, result });
                }
            }
            ToStation::Uplink(reader, message) => match self.exchange.heard(&reader, *message) {
                Some(Heard::Input(input)) => self.feed(*input),
                Some(Heard::ClockSet(unix_ms)) => self.clock_set(unix_ms),
                None => {}
            },
            ToStation::Ask(command, asker) => {
                let input = self.exchange.ask(*command, asker);
                self.feed(input);
            }
            ToStation::Join(reader, to) => self.exchange.join(reader, to),
            ToStation::Part(reader) => self.exchange.part(&reader),
            ToStation::Configured(evse) => self.narrator.configured(self.around.clock.now(), evse),
            ToStation::Leave => self.feed(Input::Leaving),
            ToStation::Stop => {}
        }
    }

    fn clock_set(&self, unix_ms: i64) {
        if self.around.time.try_send(unix_ms).is_err() {
            tracing::debug!(cp = %self.setup.id, "clock task is busy; the next heartbeat sets the time");
        }
    }

    fn feed(&mut self, input: Input) {
        if let Input::Observed {
            evse,
            role,
            observations,
        } = &input
        {
            self.note_facts(*role, observations);
            if let Some(device) = self.device(*evse, *role) {
                self.counts.hear(&device, observations);
            }
        }
        let now = self.around.clock.now();
        self.station.handle(now, input);
        while let Some(effect) = self.station.poll() {
            self.carry_out(effect);
        }
        let puts = self.narrator.look(now, &self.station);
        self.keep(puts);
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Commit { id, mut batch } => {
                self.counts.join(&self.setup.id, &mut batch);
                self.narrator.read(self.around.clock.now(), &mut batch);
                for meter in batch.sessions.iter_mut().filter_map(|s| s.meter.as_mut()) {
                    meter.profile = self.around.profiles.get(&meter.device).cloned();
                }
                self.commit(id, batch);
            }
            Effect::Drive {
                evse,
                ticket,
                command,
                lowering,
            } => {
                let Some(device) = self.evse(evse).map(|e| e.charger.clone()) else {
                    return;
                };
                let global = TICKETS.fetch_add(1, Ordering::Relaxed);
                self.tickets.insert(global, ticket);
                let drive = ToBus::Drive {
                    device: device.clone(),
                    ticket: global,
                    command,
                    lowering,
                };
                if !self.to_bus(&device, drive) {
                    self.tickets.remove(&global);
                    self.station.handle(
                        self.around.clock.now(),
                        Input::Driven {
                            ticket,
                            result: Err(DriveError::PortLost),
                        },
                    );
                }
            }
            Effect::Lease { evse, until } => {
                let until = until.min(self.around.pulse.borrow().plus(LEASE_REACH));
                let alive = until > self.around.clock.now().mono;
                if let Some(device) = self.evse(evse).map(|e| e.charger.clone()).filter(|_| alive) {
                    self.to_bus(&device.clone(), ToBus::Lease { device, until });
                }
            }
            Effect::Authorize { request, evse, token } => {
                self.exchange
                    .tell_controlling(ToUplink::Authorize { request, evse, token });
            }
            Effect::Presented { evse, token } => {
                self.narrator.presented(self.around.clock.now(), evse, &token);
            }
            Effect::Answer { id, outcome } => self.exchange.answer(id, outcome),
            Effect::Notify(notice) => self.exchange.notice(notice),
            Effect::Transfer { order, what } => self.porter.carry(order, what),
            Effect::CallOff { order } => self.porter.call_off(order),
            Effect::Reboot(kind) => {
                tracing::warn!(cp = %self.setup.id, ?kind, "restarting the OCPP sessions on request of the CSMS");
                self.exchange.tell_all(&ToUplink::Reboot(kind));
            }
        }
    }

    /// Hands a batch to the store; it is tried until it succeeds, because the station waits for it.
    fn commit(&self, id: u64, batch: Batch) {
        let (store, inbox, cp) = (
            self.around.store.clone(),
            self.inbox.clone(),
            self.setup.id.clone(),
        );
        let links = self.exchange.senders();
        tokio::spawn(async move {
            let rows = batch.rows.len();
            loop {
                match store.commit(batch.clone()).await {
                    Ok(_) => break,
                    Err(error) => {
                        tracing::error!(%cp, "cannot write to the ledger: {error}; {rows} events wait and are tried again");
                        tokio::time::sleep(COMMIT_RETRY).await;
                    }
                }
            }
            if inbox.send(ToStation::input(Input::Committed(id))).await.is_ok() && rows > 0 {
                for link in links {
                    // A full channel means the uplink is busy with rows already; it asks for more by itself.
                    let _ = link.try_send(ToUplink::LedgerGrew);
                }
            }
        });
    }

    /// Stores what telemetry is to know later. Nobody waits for it; what is lost is written again with the next session.
    fn keep(&self, puts: Vec<Put>) {
        if puts.is_empty() {
            return;
        }
        let (store, cp) = (self.around.store.clone(), self.setup.id.clone());
        let batch = Batch {
            puts,
            ..Batch::default()
        };
        tokio::spawn(async move {
            if let Err(error) = store.commit(batch).await {
                tracing::warn!(%cp, "where a register stands could not be written to the ledger: {error}");
            }
        });
    }

    fn to_bus(&self, device: &DeviceId, message: ToBus) -> bool {
        self.around
            .buses
            .get(device)
            .is_some_and(|bus| bus.try_send(message).is_ok())
    }

    /// What serves an EVSE in a role.
    fn device(&self, evse: EvseId, role: Role) -> Option<DeviceId> {
        let setup = self.evse(evse)?;
        match role {
            Role::Charger => Some(setup.charger.clone()),
            Role::Meter => setup.meter.clone(),
            Role::Reader => setup.reader.clone(),
        }
    }

    fn evse(&self, id: EvseId) -> Option<&EvseSetup> {
        self.setup.evses.iter().find(|e| e.id == id)
    }

    fn note_facts(&mut self, role: Role, observations: &[crate::domain::Observation]) {
        use crate::domain::Observation;
        self.exchange.facts(|facts| {
            for observation in observations {
                let Observation::Fact(fact, text) = observation else {
                    continue;
                };
                match role {
                    Role::Charger => facts.charger(*fact, text),
                    Role::Meter => facts.meter(*fact, text),
                    Role::Reader => {}
                }
            }
        });
    }

    /// Tells everybody else what has changed: the status page, the fuses, the watchdog.
    fn publish(&mut self) {
        self.exchange.flush();
        let snapshot = self.station.snapshot();
        self.narrator.show(self.around.clock.now(), &snapshot);
        for evse in &snapshot.evses {
            let Some(setup) = self.evse(evse.evse) else {
                continue;
            };
            // The fuse goes by what the station before it asked for, as its charger does.
            if evse.waking && evse.share > 0 {
                continue;
            }
            let demand = Demand::of(setup, evse.wants_current, evse.in_force, evse.share);
            if self.demands.get(&evse.evse) == Some(&demand) {
                continue;
            }
            let asked = (self.setup.id.clone(), evse.evse, demand);
            if self.around.fuses.try_send(asked).is_ok() {
                self.demands.insert(evse.evse, demand);
            }
        }
        self.snapshot.send_if_modified(|old| {
            let changed = *old != snapshot;
            *old = snapshot;
            changed
        });
        self.heartbeat.send_replace(self.around.clock.now().mono);
    }
}
