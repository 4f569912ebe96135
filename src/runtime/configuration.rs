//! Which configuration is in force: the file, the last good one, or none (safe mode).
//!
//! * A file that was taken over is kept as the last good one.
//! * A bad file at the start: the last good one runs, buses, stations and links alike, and every way of asking says so.
//! * A bad file and no last good one: safe mode. No bus is touched; the control socket answers.
//! * A bad file at a reload changes nothing.
//! * The next good file ends either state. Nothing of this ever ends the process, unless `--strict` was given.
//! * A good one with which the gateway cannot start, be it for the ledger: safe mode as well, until the cause is gone.

use super::RunOptions;
use super::begin::Blocked;
use super::control::Ask;
use super::log;
use crate::config::{self, Issue, Keepsake, Loaded, Report, Severity, Whereabouts};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use tokio::time::timeout;

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
    /// When they had last been changed by then.
    refused_as_of: Option<SystemTime>,
    /// Why the last good one cannot be used either.
    beyond: Option<Report>,
    /// Why the gateway cannot start with what is in force.
    blocked: Option<Blocked>,
}

impl Configuration {
    pub(super) fn new(options: RunOptions) -> Self {
        Self {
            options,
            mode: Mode::Safe,
            refused: None,
            refused_as_of: None,
            beyond: None,
            blocked: None,
        }
    }

    /// Whatever is in the way ends the process.
    pub(super) fn strict(&self) -> bool {
        self.options.strict
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

    /// The configuration to start with: the files, or the last good one unless `--strict` was given.
    ///
    /// # Errors
    /// Where safe mode is to be asked, and where nothing is.
    pub(super) fn first(&mut self) -> Result<Loaded, Whereabouts> {
        match self.read() {
            Ok(loaded) => {
                heed(&loaded);
                self.mode = Mode::File;
                return Ok(loaded);
            }
            Err(report) => {
                tracing::error!("the configuration cannot be used:\n{report}");
                self.refused = Some(report);
                self.refused_as_of = self.last_change();
            }
        }
        let places = config::whereabouts(&self.options.config, &self.options.load);
        if self.options.strict {
            return Err(places);
        }
        match config::last_good(&self.options.config, &self.options.load, &places.state_dir) {
            Some(Ok(loaded)) => {
                tracing::error!(
                    "the last good configuration runs instead; mend the file, then `retrovolt reload` or SIGHUP"
                );
                log::follow(&loaded.log);
                self.mode = Mode::LastGood;
                return Ok(loaded);
            }
            Some(Err(report)) => {
                tracing::error!("the last good configuration cannot be used either:\n{report}");
                self.beyond = Some(report);
            }
            None => {}
        }
        tracing::error!("safe mode: no bus is touched; mend the file, then `retrovolt reload` or SIGHUP");
        Err(places)
    }

    /// The files, where nobody has touched them since they were refused and they can be used now: what they name is there at
    /// last, be it a folder on a disk that is slow to come. What somebody works on waits for his word.
    pub(super) fn cured(&mut self) -> Option<Loaded> {
        let loaded = self.read().ok()?;
        // Files that are not there, then or now, are not the same ones.
        if self.last_change()? != self.refused_as_of? {
            return None;
        }
        tracing::info!("what was missing is there: the configuration can be used");
        heed(&loaded);
        self.accept();
        Some(loaded)
    }

    fn last_change(&self) -> Option<SystemTime> {
        config::last_change(&self.options.config, &self.options.load)
    }

    /// Reads the files again while nothing runs. `Err`: the answer to whoever asked.
    pub(super) fn read_again(&mut self) -> Result<Loaded, Value> {
        let loaded = self.read().map_err(|report| self.refuse(report))?;
        heed(&loaded);
        self.accept();
        Ok(loaded)
    }

    /// The gateway cannot start: safe mode. The same reason is said once.
    pub(super) fn block(&mut self, blocked: Blocked) {
        if self.blocked.as_ref() != Some(&blocked) {
            tracing::error!(
                "safe mode: no bus is touched; the gateway cannot start: {}; next: {}",
                blocked.problem,
                blocked.next
            );
            self.blocked = Some(blocked);
        }
    }

    /// It has started.
    pub(super) fn unblocked(&mut self) {
        if self.blocked.take().is_some() {
            tracing::info!("safe mode is over");
        }
    }

    /// What is said while nothing runs. A reload that comes while the gateway is just starting has to come again.
    pub(super) fn answer(&self, ask: &Ask) -> Value {
        match ask {
            Ask::Status => json!({
                "schema": 1,
                "version": env!("CARGO_PKG_VERSION"),
                "configuration": self.status(),
                "hung": [],
                "south": { "ports": {}, "devices": {} },
                "charge_points": [],
            }),
            Ask::Health => health(self.ailing()),
            Ask::Diag => json!({ "files": { "state.json": format!("{:#}", self.answer(&Ask::Status)) } }),
            Ask::Reload => {
                json!({ "reloaded": false, "error": "the gateway is just starting; say that again in a moment" })
            }
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
                tracing::error!("the configuration is not kept as the last good one yet: the disk hangs");
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
        self.refused_as_of = self.last_change();
        answer
    }

    /// What stands against health.
    pub(super) fn ailing(&self) -> Option<String> {
        if let Some(blocked) = &self.blocked {
            let Blocked { problem, next, .. } = blocked;
            return Some(format!(
                "safe mode: the gateway cannot start: {problem}; next: {next}"
            ));
        }
        let words = match self.mode {
            Mode::File => return None,
            Mode::LastGood => "the configuration cannot be used; the last good one runs",
            Mode::Safe => "safe mode: the configuration cannot be used and there is no last good one",
        };
        Some(words.to_owned())
    }

    /// For `retrovolt status`.
    pub(super) fn status(&self) -> Value {
        json!({
            "mode": self.blocked.as_ref().map_or(self.mode, |_| Mode::Safe).word(),
            "blocked": self.blocked.as_ref().map(Blocked::status),
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
        if let Some(Blocked { problem, next, .. }) = &self.blocked {
            return format!("SAFE MODE, nothing runs: {problem}; next: {next}");
        }
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

/// Logs as it says, and what somebody should look at.
fn heed(loaded: &Loaded) {
    log::follow(&loaded.log);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
}
