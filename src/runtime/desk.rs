//! Commands of MQTT users: to the station they are about, and every verdict on record.

use super::conductor::ToStation;
use super::fuses::Stations;
use super::narrator::name_of;
use super::observe::Scene;
use super::spacing::{Pause, Spacing, Where};
use crate::domain::{
    Accepted, Batch, Clock, Command, CpId, EvseId, IdToken, LimitEntry, LimitSource, MilliAmps, Outcome, Put,
    ResetOutcome, RunningTx, TokenKind, UnlockOutcome,
};
use crate::station::EvseSnapshot;
use crate::store::{Store, StoreError};
use crate::telemetry::mqtt::{Ask, Audit, Desk, Order, Until};
use crate::telemetry::{At, Milli, Slug};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

/// Longest wait for a station; a plug may take 25 s to open.
const PATIENCE: Duration = Duration::from_secs(30);
/// Audit records that are kept in the ledger's database; older ones are written over.
const KEPT: u64 = 1000;
/// Records that may wait for the disk; what finds no room is in the log all the same.
const WAITING: usize = 64;
/// Where they are kept.
const SCOPE: &str = "mqtt/audit";

/// Between the users of a broker and the stations.
pub(super) struct StationDesk {
    scene: watch::Receiver<Scene>,
    stations: watch::Receiver<Stations>,
    clock: Arc<dyn Clock>,
    audits: mpsc::Sender<String>,
    spacing: Mutex<Spacing>,
}

/// An EVSE as it is found.
struct Found {
    whom: Where,
    evse: EvseSnapshot,
    /// Less than this pauses.
    least: MilliAmps,
}

/// What is asked of a station, what held before and what holds afterwards.
type Task = (Command, Value, Value);

impl StationDesk {
    /// A desk that goes on behind the last audit record.
    pub async fn open(
        scene: watch::Receiver<Scene>,
        stations: watch::Receiver<Stations>,
        clock: Arc<dyn Clock>,
        store: Store,
    ) -> Result<Self, StoreError> {
        let kept = store.scope(SCOPE).await?;
        let number = |text: &str| serde_json::from_str::<Value>(text).ok()?.get("number")?.as_u64();
        let last = kept
            .iter()
            .filter_map(|(_, text)| number(text))
            .max()
            .unwrap_or(0);
        let (audits, waiting) = mpsc::channel(WAITING);
        tokio::spawn(keep(store, waiting, last));
        Ok(Self {
            scene,
            stations,
            clock,
            audits,
            spacing: Mutex::default(),
        })
    }

    fn spacing(&self) -> MutexGuard<'_, Spacing> {
        self.spacing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose this EVSE is, and how it is.
    fn find(&self, point: &Slug) -> Option<Found> {
        let scene = self.scene.borrow();
        scene.points.iter().find_map(|subject| {
            let snapshot = subject.snapshot.borrow();
            let evse = snapshot
                .evses
                .iter()
                .find(|evse| name_of(&snapshot.cp, evse.evse) == *point)?;
            let setup = subject.setup.evses.iter().find(|setup| setup.id == evse.evse)?;
            Some(Found {
                whom: (snapshot.cp.clone(), evse.evse),
                evse: evse.clone(),
                least: setup.min_current,
            })
        })
    }

    async fn ask(&self, cp: &CpId, command: Command) -> Result<Outcome, String> {
        let station = self.stations.borrow().get(cp).cloned();
        let station = station.ok_or("the charge point does not run at present")?;
        let (asker, answer) = oneshot::channel();
        station
            .try_send(ToStation::Ask(Box::new(command), asker))
            .map_err(|_| "the charge point is busy; try again")?;
        match timeout(PATIENCE, answer).await {
            Ok(Ok(outcome)) => Ok(outcome),
            _ => Err("the charge point did not answer".to_owned()),
        }
    }

    async fn work(&self, order: Order) -> Result<(Value, Value), String> {
        let found = self
            .find(&order.point)
            .ok_or("the charge point does not run at present")?;
        let (command, old, new) = self.task(&found, order.ask)?;
        let done = self.ask(&found.whom.0, command).await;
        let told = done.and_then(|outcome| told(outcome, new));
        if told.is_err() {
            self.spacing().undone(&found.whom);
        }
        Ok((old, told?))
    }

    /// What a station is to be asked, unless that comes too often.
    fn task(&self, found: &Found, ask: Ask) -> Result<Task, String> {
        let (whom, evse, now) = (&found.whom, found.evse.evse, self.clock.now().mono);
        let shown = Pause::of(found.evse.held, found.evse.local, found.least);
        let mut spacing = self.spacing();
        let before = spacing.pause(whom, shown);
        Ok(match ask {
            Ask::Enabled(allowed) => {
                let held = allowed == Some(false);
                spacing.change(now, whom, before, Pause { held, ..before })?;
                let command = Command::Hold { evse, held };
                (command, json!(!found.evse.held), json!(!held))
            }
            Ask::Limit(amps, until) => {
                let entry = amps.map(|amps| self.entry(amps, until));
                let after = Pause::of(before.held, entry, found.least);
                spacing.change(now, whom, before, after)?;
                let old = found.evse.local.map(|local| Milli(local.amps.0));
                (Command::SetLimit { evse, entry }, json!(old), json!(amps))
            }
            Ask::Phases(phases) => {
                spacing.switch(now, whom, before)?;
                let old = json!(found.evse.phases_allowed);
                (Command::SetPhases { evse, phases }, old, json!(phases))
            }
            Ask::Unlock => (unlock(evse), Value::Null, json!("unlocked")),
            Ask::Authorize(token) => {
                let token = IdToken::new(token, TokenKind::Local);
                (Command::Present { evse, token }, Value::Null, json!("presented"))
            }
            Ask::Reset(kind) => {
                spacing.restart(now, &whom.0)?;
                let command = Command::Reset { kind, evse: None };
                (command, Value::Null, json!("restarting"))
            }
        })
    }

    fn entry(&self, amps: Milli, until: Until) -> LimitEntry {
        let now = self.clock.now();
        let until = match until {
            Until::Replaced => None,
            Until::For(time) => Some(now.mono.plus(time)),
            Until::At(unix_ms) => {
                let left = u64::try_from(unix_ms.saturating_sub(now.wall.unix_ms)).unwrap_or(0);
                Some(now.mono.plus(Duration::from_millis(left)))
            }
        };
        LimitEntry {
            amps: MilliAmps(amps.0),
            source: LimitSource::Local,
            until,
        }
    }
}

/// Who has no say over a running session does not end it: the plug stays locked then.
fn unlock(evse: EvseId) -> Command {
    Command::Unlock {
        evse,
        running: RunningTx::Keeps,
    }
}

/// What a station's answer means to the user.
fn told(outcome: Outcome, new: Value) -> Result<Value, String> {
    match outcome {
        Outcome::Simple(Accepted::Yes)
        | Outcome::Reset(ResetOutcome::Accepted)
        | Outcome::Unlock(UnlockOutcome::Unlocked) => Ok(new),
        Outcome::Reset(ResetOutcome::Scheduled) => Ok(json!("when no session runs any more")),
        Outcome::Simple(Accepted::No(why)) => Err(why.to_owned()),
        Outcome::Reset(ResetOutcome::Rejected) => Err("it cannot be restarted now".to_owned()),
        Outcome::Unlock(UnlockOutcome::NotSupported) => {
            Err("this charger cannot be told to release the plug".to_owned())
        }
        Outcome::Unlock(UnlockOutcome::TransactionRunning) => Err("a session runs".to_owned()),
        other => Err(format!("it did not work: {other:?}")),
    }
}

impl Desk for StationDesk {
    fn carry_out(self: Arc<Self>, order: Order) -> BoxFuture<'static, Result<(Value, Value), String>> {
        async move { self.work(order).await }.boxed()
    }

    fn note(&self, audit: &Audit) {
        let Audit {
            user,
            topic,
            old,
            new,
            reason,
            unrecorded,
            ..
        } = audit;
        let shown = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), Value::to_string);
        let (old_text, new_text) = (shown(old), shown(new));
        match reason {
            None => tracing::info!(
                user,
                topic,
                old = old_text,
                new = new_text,
                "MQTT command accepted"
            ),
            Some(reason) => tracing::warn!(
                user,
                topic,
                new = new_text,
                unrecorded,
                "MQTT command rejected: {reason}"
            ),
        }
        let record = json!({
            "ts": At(self.clock.now().wall.unix_ms),
            "user": user,
            "topic": topic,
            "old": old,
            "new": new,
            "rejected": reason,
            "unrecorded": unrecorded,
        });
        if self.audits.try_send(record.to_string()).is_err() {
            tracing::error!("the disk is too slow for audit records; this one is in the log only");
        }
    }
}

/// Writes audit records, each over the one that is [`KEPT`] older.
async fn keep(store: Store, mut waiting: mpsc::Receiver<String>, mut number: u64) {
    while let Some(text) = waiting.recv().await {
        number += 1;
        let Ok(Value::Object(mut record)) = serde_json::from_str(&text) else {
            continue;
        };
        record.insert("number".to_owned(), json!(number));
        let batch = Batch {
            puts: vec![Put {
                scope: SCOPE.to_owned(),
                key: format!("{:03}", number % KEPT),
                value: Some(Value::Object(record).to_string()),
            }],
            ..Batch::default()
        };
        if let Err(error) = store.commit(batch).await {
            tracing::error!("an audit record could not be written: {error}");
        }
    }
}
