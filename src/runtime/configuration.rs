//! Which configuration is in force: the file, the last good one, or none (safe mode).
//!
//! * A file that was taken over is kept as the last good one.
//! * A bad file at the start: the last good one runs, buses, stations and links alike, and every way of asking says so.
//! * A bad file and no last good one: safe mode. No bus is touched; the control socket answers.
//! * A bad file at a reload changes nothing.
//! * The next good file ends either state. Nothing of this ever ends the process, unless `--strict` was given.

use super::RunOptions;
use super::control::{self, Ask, Question};
use super::notify;
use super::{HOUSEKEEPING, exit};
use crate::config::{self, Issue, Keepsake, Loaded, Report, Severity, Whereabouts};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{interval, timeout};

/// How long the main task waits for the disk.
const KEEP_WAIT: Duration = Duration::from_secs(2);

/// What is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// The files as they were when they were last read and found good.
    File,
    /// The last good one, because the files are not.
    LastGood,
    /// None.
    Safe,
}

impl Mode {
    const fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::LastGood => "last_good",
            Self::Safe => "safe_mode",
        }
    }
}

/// Reads configurations and remembers what became of them.
pub(super) struct Configuration {
    options: RunOptions,
    mode: Mode,
    /// What is wrong with the files, as last read.
    refused: Option<Report>,
    /// Why the last good one cannot be used either.
    beyond: Option<Report>,
}

impl Configuration {
    pub(super) fn new(options: RunOptions) -> Self {
        Self {
            options,
            mode: Mode::Safe,
            refused: None,
            beyond: None,
        }
    }

    /// Seed of every random choice.
    pub(super) fn seed(&self) -> Option<u64> {
        self.options.seed
    }

    /// Reads the files.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(super) fn read(&self) -> Result<Loaded, Report> {
        config::load(&self.options.config, &self.options.load)
    }

    /// The configuration to start with; `Err`: the process is to end instead. In safe mode this waits for a good one.
    pub(super) async fn first(
        &mut self,
        ends: [&mut Signal; 2],
        hup: &mut Signal,
    ) -> Result<Loaded, ExitCode> {
        match self.read() {
            Ok(loaded) => {
                warn(&loaded);
                self.mode = Mode::File;
                return Ok(loaded);
            }
            Err(report) => {
                tracing::error!("the configuration cannot be used:\n{report}");
                self.refused = Some(report);
            }
        }
        if self.options.strict {
            return Err(exit::CONFIG.into());
        }
        let places = config::whereabouts(&self.options.config, &self.options.load);
        match config::last_good(&self.options.config, &self.options.load, &places.state_dir) {
            Some(Ok(loaded)) => {
                tracing::error!(
                    "the last good configuration runs instead; mend the file, then `retrovolt reload` or SIGHUP"
                );
                self.mode = Mode::LastGood;
                Ok(loaded)
            }
            kept => {
                if let Some(Err(report)) = kept {
                    tracing::error!("the last good configuration cannot be used either:\n{report}");
                    self.beyond = Some(report);
                }
                self.safe(&places, ends, hup).await
            }
        }
    }

    /// Safe mode: no bus is touched, questions are answered, the next good configuration ends it.
    async fn safe(
        &mut self,
        places: &Whereabouts,
        [term, int]: [&mut Signal; 2],
        hup: &mut Signal,
    ) -> Result<Loaded, ExitCode> {
        tracing::error!("safe mode: no bus is touched; mend the file, then `retrovolt reload` or SIGHUP");
        let (questions, mut asked) = mpsc::channel(8);
        let listener = listen_alone(places, questions).await;
        notify::ready(&self.summary(""));
        let mut alive = interval(notify::watchdog_period().unwrap_or(HOUSEKEEPING));
        let ended = loop {
            let back = tokio::select! {
                _ = term.recv() => break Err(ExitCode::SUCCESS),
                _ = int.recv() => break Err(ExitCode::SUCCESS),
                _ = alive.tick() => { notify::alive(); continue; }
                _ = hup.recv() => None,
                Some((ask, back)) = asked.recv() => {
                    if ask != Ask::Reload {
                        let _ = back.send(self.answer(&ask));
                        continue;
                    }
                    Some(back)
                }
            };
            notify::reloading();
            match self.read() {
                Ok(loaded) => {
                    warn(&loaded);
                    (self.mode, self.refused, self.beyond) = (Mode::File, None, None);
                    tell(back, applied());
                    break Ok(loaded);
                }
                Err(report) => tell(back, self.refuse(report)),
            }
            notify::ready(&self.summary(""));
        };
        if let Some(task) = listener {
            // Answers under way have tasks of their own; the gateway binds the socket anew.
            task.abort();
        }
        ended
    }

    /// What safe mode says to a question; [`Ask::Reload`] is not answered here.
    fn answer(&self, ask: &Ask) -> Value {
        match ask {
            Ask::Status | Ask::Reload => json!({
                "schema": 1,
                "version": env!("CARGO_PKG_VERSION"),
                "configuration": self.status(),
                "hung": [],
                "south": { "ports": {}, "devices": {} },
                "charge_points": [],
            }),
            Ask::Health => health(self.ailing()),
            Ask::Diag => json!({ "files": { "state.json": format!("{:#}", self.answer(&Ask::Status)) } }),
        }
    }

    /// A configuration has been taken over: it is the last good one from now on. A disk that hangs is not waited for.
    pub(super) async fn taken(&mut self, keepsake: Keepsake, state_dir: PathBuf) {
        if self.mode == Mode::LastGood {
            return;
        }
        let kept = tokio::task::spawn_blocking(move || keepsake.keep(&state_dir));
        match timeout(KEEP_WAIT, kept).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => {
                tracing::error!("the configuration could not be kept as the last good one: {error}");
            }
            Ok(Err(_)) | Err(_) => {
                tracing::error!("the configuration is not kept as the last good one yet: the disk hangs")
            }
        }
    }

    /// A reload has brought a good one.
    pub(super) fn accept(&mut self) {
        (self.mode, self.refused, self.beyond) = (Mode::File, None, None);
    }

    /// A reload has brought a bad one; what is in force stays. The answer to whoever asked.
    pub(super) fn refuse(&mut self, report: Report) -> Value {
        tracing::error!("the new configuration is not used:\n{report}");
        let answer = refused(&report);
        self.refused = Some(report);
        answer
    }

    /// What stands against health.
    pub(super) fn ailing(&self) -> Option<&'static str> {
        match self.mode {
            Mode::File => None,
            Mode::LastGood => Some("the configuration cannot be used; the last good one runs"),
            Mode::Safe => Some("safe mode: the configuration cannot be used and there is no last good one"),
        }
    }

    /// For `retrovolt status`.
    pub(super) fn status(&self) -> Value {
        json!({
            "mode": self.mode.word(),
            "file": std::path::absolute(&self.options.config).unwrap_or_else(|_| self.options.config.clone()),
            "refused": self.refused.as_ref().map(|report| report.json()["issues"].take()),
            "last_good_refused": self.beyond.as_ref().map(|report| report.json()["issues"].take()),
        })
    }

    /// The line of `systemctl status`: what is wrong with the configuration stands before what runs.
    pub(super) fn summary(&self, running: &str) -> String {
        let is_error = |issue: &&Issue| issue.severity == Severity::Error;
        let first = self
            .refused
            .as_ref()
            .and_then(|report| report.issues.iter().find(is_error));
        let why = first.map_or_else(String::new, |issue| {
            format!(
                " ({}:{}:{}: {}: {})",
                issue.file, issue.line, issue.column, issue.key, issue.problem
            )
        });
        match (self.mode, &self.refused) {
            (Mode::File, None) => running.to_owned(),
            (Mode::File, Some(_)) => format!("reload refused{why}; {running}"),
            (Mode::LastGood, _) => format!("LAST GOOD CONFIGURATION{why}; {running}"),
            (Mode::Safe, _) => format!("SAFE MODE, nothing runs{why}; run `retrovolt check-config`"),
        }
    }
}

/// The answer to a health question.
pub(super) fn health<T: Into<String>>(why: impl IntoIterator<Item = T>) -> Value {
    let why: Vec<String> = why.into_iter().map(Into::into).collect();
    json!({ "healthy": why.is_empty(), "why": why })
}

/// The answer to a reload that was taken over.
pub(super) fn applied() -> Value {
    json!({ "reloaded": true })
}

fn refused(report: &Report) -> Value {
    json!({
        "reloaded": false,
        "error": report.to_string(),
        "report": report.json(),
        "text": report.human(),
    })
}

fn tell(back: Option<oneshot::Sender<Value>>, answer: Value) {
    if let Some(back) = back {
        let _ = back.send(answer);
    }
}

fn warn(loaded: &Loaded) {
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
}

/// The socket of safe mode. Without the ledger's lock only its silence says that no other daemon has it.
async fn listen_alone(
    places: &Whereabouts,
    questions: mpsc::Sender<Question>,
) -> Option<tokio::task::JoinHandle<()>> {
    let socket = &places.socket;
    if !matches!(control::running(socket).await, Ok(None)) {
        tracing::error!("{} is in use by another gateway", socket.display());
        return None;
    }
    match control::listen(socket, questions) {
        Ok(task) => Some(task),
        Err(error) => {
            tracing::warn!("no control socket at {}: {error}", socket.display());
            None
        }
    }
}
