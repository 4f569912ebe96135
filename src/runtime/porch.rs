//! The door of a gateway that does not run: its control socket answers, systemd is told that the process lives.

use super::HOUSEKEEPING;
use super::begin::RETRY;
use super::configuration::Configuration;
use super::control::{self, Ask, Question};
use super::own_file::OwnFile;
use super::signals::{Signals, Told};
use super::{exit, notify};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// The way back to who asked for a reload.
pub(super) type Back = oneshot::Sender<Value>;

/// Who wants something that the porch itself cannot answer.
pub(super) enum Knock {
    /// Somebody wants the configuration to be read again.
    Reload(Option<Back>),
    /// It is time to try again.
    Again,
}

/// The door; closed until it is opened.
#[derive(Default)]
pub(super) struct Porch {
    ajar: Option<Ajar>,
}

struct Ajar {
    socket: PathBuf,
    listener: Option<JoinHandle<()>>,
    /// Nobody can ask, and that was said.
    silent: bool,
    questions: mpsc::Sender<Question>,
    asked: mpsc::Receiver<Question>,
    alive: Interval,
    retry: Interval,
    own: Option<OwnFile>,
}

impl Porch {
    /// Opens it, where it is not open; a socket that could not be had is tried again.
    pub async fn open(&mut self, socket: &Path) {
        if let Some(other) = self.ajar.take_if(|ajar| ajar.socket != socket) {
            other.shut();
        }
        let ajar = self.ajar.get_or_insert_with(|| Ajar::new(socket));
        if ajar.listener.is_none() {
            match listen(socket, &ajar.questions).await {
                Ok(task) => ajar.listener = Some(task),
                Err(why) if ajar.silent => tracing::debug!("{why}"),
                Err(why) => {
                    ajar.silent = true;
                    tracing::error!("no control socket at {}: {why}", socket.display());
                }
            }
        }
    }

    /// Closes it; answers under way have tasks of their own.
    pub fn close(self) {
        if let Some(ajar) = self.ajar {
            ajar.shut();
        }
    }

    /// Answers until somebody wants something else. `Err`: the process is to end.
    pub async fn knock(
        &mut self,
        signals: &mut Signals,
        configuration: &Configuration,
    ) -> Result<Knock, ExitCode> {
        let Some(ajar) = self.ajar.as_mut() else {
            return Ok(Knock::Again);
        };
        let wanted = loop {
            tokio::select! {
                told = signals.next() => match told {
                    Told::End => break Err(ExitCode::SUCCESS),
                    Told::Reload => break Ok(Knock::Reload(None)),
                },
                _ = ajar.alive.tick() => notify::alive(),
                _ = ajar.retry.tick() => break ajar.again(),
                Some((ask, back)) = ajar.asked.recv() => match ask {
                    Ask::Reload => break Ok(Knock::Reload(Some(back))),
                    ask => { let _ = back.send(configuration.answer(&ask)); }
                },
            }
        };
        match wanted {
            Ok(Knock::Reload(_)) => notify::reloading(),
            Ok(Knock::Again) => {}
            Err(_) => std::mem::take(self).close(),
        }
        wanted
    }

    /// Awaits something; where the porch is open, questions are answered meanwhile. A reload has to wait its turn.
    pub async fn attend<T>(&mut self, work: impl Future<Output = T>, configuration: &Configuration) -> T {
        let Some(ajar) = self.ajar.as_mut() else {
            return work.await;
        };
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = ajar.alive.tick() => notify::alive(),
                Some((ask, back)) = ajar.asked.recv() => { let _ = back.send(configuration.answer(&ask)); }
            }
        }
    }
}

impl Ajar {
    fn new(socket: &Path) -> Self {
        let (questions, asked) = mpsc::channel(8);
        let period = notify::feeding_period().unwrap_or(HOUSEKEEPING);
        let every = |period| {
            let mut ticks = interval_at(Instant::now() + period, period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        Self {
            socket: socket.to_owned(),
            listener: None,
            silent: false,
            questions,
            asked,
            alive: every(period),
            retry: every(RETRY),
            own: OwnFile::of_this_process(),
        }
    }

    /// Another program in the place of this one is let in by an end, where somebody starts it.
    fn again(&self) -> Result<Knock, ExitCode> {
        let replaced = notify::is_supervised() && self.own.as_ref().is_some_and(OwnFile::is_replaced);
        if replaced {
            tracing::warn!("the program was replaced; systemd starts the new one");
            return Err(exit::TEMPORARY.into());
        }
        Ok(Knock::Again)
    }

    fn shut(self) {
        if let Some(task) = self.listener {
            task.abort();
            let _ = std::fs::remove_file(&self.socket);
        }
    }
}

/// Without the ledger's lock only the silence of the socket says that no other daemon has it.
async fn listen(socket: &Path, questions: &mpsc::Sender<Question>) -> Result<JoinHandle<()>, String> {
    match control::running(socket).await {
        Ok(None) => control::listen(socket, questions.clone()).map_err(|error| error.to_string()),
        Ok(Some(_)) => Err("another gateway answers there".to_owned()),
        Err(why) => Err(why),
    }
}

/// Answers who asked, if somebody did.
pub(super) fn tell(back: Option<Back>, answer: Value) {
    if let Some(back) = back {
        let _ = back.send(answer);
    }
}
