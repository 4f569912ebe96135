//! The real gateway as a process of its own, for whoever wants to kill it: demo and tests.

use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// How often a state that nobody announces is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// What did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The system.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A state was not reached.
    #[error("did not happen within {within:?}: {what}; the log is {}; last status: {last}", log.display())]
    Missing {
        /// What was awaited.
        what: String,
        /// How long.
        within: Duration,
        /// Where the gateway's log is.
        log: PathBuf,
        /// The last answer of the gateway.
        last: String,
    },
}

/// A gateway in a folder: `retrovolt.toml` is its configuration, `ctl.sock` its socket, `gateway.log` its log.
#[derive(Debug)]
pub struct GatewayProcess {
    exe: PathBuf,
    dir: PathBuf,
    child: Option<Child>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl GatewayProcess {
    /// Writes the configuration; nothing runs yet.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn new(exe: impl Into<PathBuf>, dir: impl Into<PathBuf>, configuration: &str) -> io::Result<Self> {
        let process = Self {
            exe: exe.into(),
            dir: dir.into(),
            child: None,
            arguments: vec!["--strict".to_owned()],
            environment: Vec::new(),
        };
        process.configure(configuration)?;
        Ok(process)
    }

    /// Starts it with these arguments of `run` instead of `--strict`.
    #[must_use]
    pub fn with_arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        self
    }

    /// Starts it with this in its environment.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Replaces the configuration; takes effect at the next start or reload.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn configure(&self, configuration: &str) -> io::Result<()> {
        // In one step: a gateway that reads it at this moment must not see half of it, or an empty one.
        let (file, new) = (
            self.dir.join("retrovolt.toml"),
            self.dir.join("retrovolt.toml.new"),
        );
        std::fs::write(&new, configuration)?;
        if let Ok(old) = std::fs::metadata(&file) {
            std::fs::set_permissions(&new, old.permissions())?;
        }
        std::fs::rename(new, file)
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its control socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.join("ctl.sock")
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.dir.join("gateway.log")
    }

    /// Process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self) -> io::Result<()> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())?;
        let child = Command::new(&self.exe)
            .args(["run", "--log-format", "text", "--config"])
            .arg(self.dir.join("retrovolt.toml"))
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    /// SIGKILL, and awaits its end.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&mut self) -> io::Result<()> {
        match self.child.take() {
            Some(mut child) => child.kill().await,
            None => Ok(()),
        }
    }

    /// Sends SIGHUP.
    ///
    /// # Errors
    /// When it does not run.
    pub fn reload(&self) -> io::Result<()> {
        self.signal(rustix::process::Signal::HUP)
    }

    /// SIGSTOP: it stands still until [`GatewayProcess::resume`].
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> io::Result<()> {
        self.signal(rustix::process::Signal::STOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> io::Result<()> {
        self.signal(rustix::process::Signal::CONT)
    }

    /// SIGTERM, and awaits its end.
    ///
    /// # Errors
    /// `TimedOut` when it does not end, `NotFound` when it does not run.
    pub async fn stop(&mut self, within: Duration) -> io::Result<ExitStatus> {
        self.signal(rustix::process::Signal::TERM)?;
        self.ended(within).await
    }

    /// Awaits its end without asking for it.
    ///
    /// # Errors
    /// `TimedOut` when it does not end, `NotFound` when it does not run.
    pub async fn ended(&mut self, within: Duration) -> io::Result<ExitStatus> {
        let mut child = self.child.take().ok_or(io::ErrorKind::NotFound)?;
        timeout(within, child.wait()).await?
    }

    fn signal(&self, signal: rustix::process::Signal) -> io::Result<()> {
        let pid = self
            .pid()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(rustix::process::Pid::from_raw);
        Ok(rustix::process::kill_process(
            pid.ok_or(io::ErrorKind::NotFound)?,
            signal,
        )?)
    }

    /// Asks it for its status.
    ///
    /// # Errors
    /// While it does not answer.
    pub async fn status(&self) -> io::Result<Value> {
        let mut stream = UnixStream::connect(self.socket()).await?;
        stream.write_all(b"{\"ask\":\"status\"}\n").await?;
        let mut line = String::new();
        timeout(
            Duration::from_secs(5),
            BufReader::new(stream).read_line(&mut line),
        )
        .await??;
        serde_json::from_str(&line).map_err(io::Error::other)
    }

    /// Awaits a status.
    ///
    /// # Errors
    /// [`ProcessError::Missing`] when it is not reached in time.
    pub async fn until(
        &self,
        what: &str,
        within: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value, ProcessError> {
        let end = Instant::now() + within;
        let mut last = "none".to_owned();
        while Instant::now() < end {
            if let Ok(status) = self.status().await {
                if wanted(&status) {
                    return Ok(status);
                }
                last = status.to_string();
            }
            sleep(LOOK).await;
        }
        Err(ProcessError::Missing {
            what: what.to_owned(),
            within,
            log: self.log(),
            last,
        })
    }
}

/// Questions one asks of a status.
pub mod status {
    use serde_json::Value;

    fn stations(status: &Value) -> impl Iterator<Item = &Value> {
        status["charge_points"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|p| &p["station"])
    }

    /// EVSEs of all charge points.
    pub fn evses(status: &Value) -> impl Iterator<Item = &Value> {
        stations(status).flat_map(|s| s["evses"].as_array().into_iter().flatten())
    }

    /// Charge points accepted by their CSMS.
    #[must_use]
    pub fn online(status: &Value) -> usize {
        stations(status)
            .filter(|s| s["online"] == Value::Bool(true))
            .count()
    }

    /// Links to CSMSs that are open and accepted, be the CSMS in control or not.
    #[must_use]
    pub fn links_online(status: &Value) -> usize {
        let points = status["charge_points"].as_array().into_iter().flatten();
        points
            .flat_map(|p| p["links"].as_array().into_iter().flatten())
            .filter(|l| l["link"]["connected"] == true && l["link"]["ocpp"]["registration"] == "accepted")
            .count()
    }

    /// Running sessions.
    #[must_use]
    pub fn sessions(status: &Value) -> usize {
        evses(status).filter(|e| e["tx"].is_object()).count()
    }

    /// Ledger rows some reader has not done, and batches that are still to become rows; all bits set while the ledger
    /// does not say.
    #[must_use]
    pub fn waiting(status: &Value) -> u64 {
        let unwritten: u64 = stations(status).filter_map(|s| s["unwritten"].as_u64()).sum();
        let readers = status["ledger"]["readers"].as_array();
        let pending = |r: &Vec<Value>| r.iter().filter_map(|r| r["pending"].as_u64()).sum::<u64>();
        readers.map_or(u64::MAX, |r| pending(r) + unwritten)
    }

    /// Ports that are open (`ports`) or devices that answer (`devices`).
    #[must_use]
    pub fn up(status: &Value, what: &str) -> usize {
        status["south"][what]
            .as_object()
            .map_or(0, |m| m.values().filter(|v| v[0] == Value::Bool(true)).count())
    }
}
