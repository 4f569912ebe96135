//! From the command line to a gateway that runs: a configuration, the ledger, the gateway. Whatever is in the way is waited
//! for.
//!
//! * Nothing here ends the process but a signal, and, with `--strict`, whatever is in the way (its exit code says what). An
//!   end would be a loop of starts under systemd, once a second for ever.
//! * While it waits no bus is touched: chargers fall back by their own watchdogs. The control socket answers, systemd's
//!   watchdog is fed, and the cause is told with the next step.
//! * It is tried again every [`RETRY`] and at every reload.
//! * A ledger that takes long to open (a large one that is checked, a disk that hangs) is waited for in the same way.

use super::clock::SystemClock;
use super::configuration::{Configuration, applied};
use super::gateway::{Gateway, GatewayError};
use super::porch::{Back, Knock, Porch, tell};
use super::signals::Signals;
use super::{exit, notify};
use crate::config::{Keepsake, Loaded};
use crate::device::Library;
use crate::domain::SiteSetup;
use crate::ocpp::FLOOR_UNIX_MS;
use crate::store::{Opened, Store, StoreError};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How often a start that failed is tried again.
pub(super) const RETRY: Duration = Duration::from_secs(5);
/// A ledger that is not open after this time is told as the reason for the wait.
const LONG: Duration = Duration::from_secs(20);
/// How long a ledger may take to close after a start that failed.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why the gateway cannot start with a configuration that is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blocked {
    /// What is in the way.
    pub problem: String,
    /// What to do.
    pub next: String,
    /// How `run --strict` ends.
    pub code: u8,
    /// It may go away without a restart or a reload.
    pub passes: bool,
}

impl Blocked {
    /// For `retrovolt status`.
    pub fn status(&self) -> Value {
        json!({ "problem": self.problem, "next": self.next })
    }

    fn ledger(error: &StoreError, dir: &Path) -> Self {
        let place = dir.display();
        let next = match error {
            StoreError::Path { .. } => {
                format!("`chown -R retrovolt: {place}`, or see what is mounted there: `findmnt -T {place}`")
            }
            StoreError::Locked { .. } => {
                "end the other one (`systemctl status retrovolt`, `pgrep -a retrovolt`), or give this one a `gateway.state_dir` of its own"
                    .to_owned()
            }
            StoreError::Newer { .. } => format!(
                "install the later release again; to lose what it has not delivered yet, move {place}/ledger.db* to another folder instead"
            ),
            StoreError::Full => format!("make room: `df -h {place}`, `journalctl --vacuum-size=50M`"),
            StoreError::ReadOnly => format!(
                "`dmesg` says why; a worn card makes itself read-only and is to be replaced, else `mount -o remount,rw` what `findmnt -T {place}` shows"
            ),
            StoreError::Corrupt(_) | StoreError::Io(_) | StoreError::Refused(_) => {
                format!("look for faults of the disk in `dmesg`; move {place}/ledger.db* to another folder if they are of the past")
            }
            StoreError::Busy => format!("see who else has it open: `fuser -v {place}/ledger.db`"),
            StoreError::UnknownReader(_) | StoreError::CursorAhead { .. } | StoreError::Closed => {
                "please report this".to_owned()
            }
        };
        Self {
            problem: format!("ledger: {error}"),
            next,
            code: match error {
                StoreError::Locked { .. } => exit::CANT_CREATE,
                _ => exit::OS,
            },
            // Each try with a damaged database would set one more aside.
            passes: !error.is_corruption(),
        }
    }

    fn gateway(error: &GatewayError, dir: &Path) -> Self {
        match error {
            GatewayError::Store(error) => Self::ledger(error, dir),
            GatewayError::Bus(_) | GatewayError::Random(_) => Self {
                problem: error.to_string(),
                next: "see what the system is short of: `systemctl status retrovolt`, `dmesg`".to_owned(),
                code: exit::SOFTWARE,
                passes: true,
            },
        }
    }

    fn slow(dir: &Path) -> Self {
        Self {
            problem: format!(
                "ledger: {}/ledger.db is not open after {} s",
                dir.display(),
                LONG.as_secs()
            ),
            next: "wait: a large one that was found damaged is checked as a whole; if `dmesg` tells of a disk that hangs, mend that".to_owned(),
            code: exit::OS,
            passes: true,
        }
    }
}

/// A gateway that runs, and what it was made from.
pub(super) struct Started {
    pub gateway: Gateway,
    pub opened: Opened,
    pub keepsake: Keepsake,
    pub socket: PathBuf,
    pub state_dir: PathBuf,
}

impl Gateway {
    /// Takes over its first configuration. What has begun when that fails is ended: it is not to go on beside the next attempt.
    pub(super) async fn begun(mut self, setup: SiteSetup, library: &Library) -> Result<Self, GatewayError> {
        if let Err(error) = self.apply(setup, library).await {
            self.stop().await;
            return Err(error);
        }
        Ok(self)
    }
}

/// Begins; `Err`: the process is to end with this code.
pub(super) async fn begin(
    configuration: &mut Configuration,
    signals: &mut Signals,
) -> Result<Started, ExitCode> {
    let mut porch = Porch::default();
    let (mut loaded, mut back) = match configuration.first() {
        Ok(loaded) => (loaded, None),
        Err(_) if configuration.strict() => return Err(exit::CONFIG.into()),
        Err(places) => {
            porch.open(&places.socket).await;
            mended(configuration, &mut porch, signals).await?
        }
    };
    loop {
        let blocked = match attempt(&loaded, configuration, &mut porch, signals).await? {
            Ok((gateway, opened)) => {
                configuration.unblocked();
                tell(back, applied());
                porch.close();
                return Ok(Started {
                    gateway,
                    opened,
                    keepsake: loaded.keepsake,
                    socket: loaded.setup.socket,
                    state_dir: loaded.setup.state_dir,
                });
            }
            Err(blocked) => blocked,
        };
        tell(back.take(), still(&blocked));
        if configuration.strict() {
            tracing::error!("{}; {}", blocked.problem, blocked.next);
            return Err(blocked.code.into());
        }
        let passes = blocked.passes;
        configuration.block(blocked);
        porch.open(&loaded.setup.socket).await;
        notify::ready(&configuration.summary(""));
        loop {
            match porch.knock(signals, configuration).await? {
                Knock::Again if passes => break,
                Knock::Again => {}
                Knock::Reload(asker) => match configuration.read_again() {
                    Ok(good) => {
                        (loaded, back) = (good, asker);
                        break;
                    }
                    Err(refused) => tell(asker, refused),
                },
            }
            notify::ready(&configuration.summary(""));
        }
    }
}

/// Waits for a configuration that can be used.
async fn mended(
    configuration: &mut Configuration,
    porch: &mut Porch,
    signals: &mut Signals,
) -> Result<(Loaded, Option<Back>), ExitCode> {
    loop {
        notify::ready(&configuration.summary(""));
        match porch.knock(signals, configuration).await? {
            Knock::Reload(asker) => match configuration.read_again() {
                Ok(loaded) => return Ok((loaded, asker)),
                Err(refused) => tell(asker, refused),
            },
            Knock::Again => {
                if let Some(loaded) = configuration.cured() {
                    return Ok((loaded, None));
                }
            }
        }
    }
}

/// One attempt to start. Outer `Err`: the process is to end.
async fn attempt(
    loaded: &Loaded,
    configuration: &mut Configuration,
    porch: &mut Porch,
    signals: &mut Signals,
) -> Result<Result<(Gateway, Opened), Blocked>, ExitCode> {
    let (setup, dir) = (&loaded.setup, &loaded.setup.state_dir);
    let state_dir = dir.clone();
    let opening = tokio::task::spawn_blocking(move || Store::open(&state_dir));
    let (store, opened) = match opened(opening, setup, configuration, porch, signals).await? {
        Ok(opened) => opened,
        Err(error) => return Ok(Err(Blocked::ledger(&error, dir))),
    };
    let clock = Arc::new(SystemClock::new(opened.boot, opened.last_wall_ms, FLOOR_UNIX_MS));
    let start = Gateway::start(
        setup.clone(),
        &loaded.library,
        clock,
        store.clone(),
        configuration.seed(),
    );
    // Not broken off by a signal: a charger that was told something is to be told the end, too.
    Ok(match porch.attend(start, configuration).await {
        Ok(gateway) => Ok((gateway, opened)),
        Err(error) => {
            let _ = timeout(FAREWELL, store.close()).await;
            Err(Blocked::gateway(&error, dir))
        }
    })
}

type Open = Result<(Store, Opened), StoreError>;

/// Awaits the ledger, which is opened beside the main task.
async fn opened(
    mut opening: JoinHandle<Open>,
    setup: &SiteSetup,
    configuration: &mut Configuration,
    porch: &mut Porch,
    signals: &mut Signals,
) -> Result<Open, ExitCode> {
    if configuration.strict() {
        return ended(&mut opening, signals).await;
    }
    let soon = timeout(LONG, ended(&mut opening, signals));
    if let Ok(result) = porch.attend(soon, configuration).await {
        return result;
    }
    configuration.block(Blocked::slow(&setup.state_dir));
    porch.open(&setup.socket).await;
    notify::ready(&configuration.summary(""));
    porch.attend(ended(&mut opening, signals), configuration).await
}

/// The end of the opening, or of the process.
async fn ended(opening: &mut JoinHandle<Open>, signals: &mut Signals) -> Result<Open, ExitCode> {
    tokio::select! {
        () = signals.end() => Err(ExitCode::SUCCESS),
        opened = opening => Ok(opened.unwrap_or_else(|error| Err(StoreError::Io(error.to_string())))),
    }
}

/// The answer to a reload after which the gateway still cannot start.
fn still(blocked: &Blocked) -> Value {
    json!({
        "reloaded": false,
        "blocked": blocked.status(),
        "error": format!("the gateway cannot start: {}; next: {}", blocked.problem, blocked.next),
    })
}

#[cfg(test)]
mod tests {
    use super::super::RunOptions;
    use super::*;
    use crate::config::LoadOptions;

    /// A ledger that takes its time is told as the reason, and comes in the end.
    #[tokio::test(start_paused = true)]
    async fn a_ledger_that_is_long_in_opening_is_told_and_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "[gateway]\nstate_dir = \"{0}/state\"\nsocket = \"{0}/ctl.sock\"\n",
            dir.path().display()
        );
        let config = dir.path().join("retrovolt.toml");
        std::fs::write(&config, text).unwrap();
        let mut configuration = Configuration::new(RunOptions {
            load: LoadOptions::for_file(&config),
            config,
            strict: false,
            seed: None,
        });
        let loaded = configuration.first().expect("a good configuration");
        let mut signals = Signals::catch().expect("signals");
        let mut porch = Porch::default();
        let begin = tokio::time::Instant::now();
        let opening = tokio::spawn(async {
            tokio::time::sleep(LONG * 3).await;
            Err(StoreError::Full)
        });
        let result = opened(
            opening,
            &loaded.setup,
            &mut configuration,
            &mut porch,
            &mut signals,
        )
        .await;
        assert_eq!(result.expect("no end").map(|_| ()), Err(StoreError::Full));
        assert!(begin.elapsed() >= LONG * 3, "{:?}", begin.elapsed());
        let told = configuration.status()["blocked"]["problem"].to_string();
        assert!(told.contains("ledger.db is not open after 20 s"), "{told}");
        assert!(loaded.setup.socket.exists(), "it can be asked");
        porch.close();
        assert!(!loaded.setup.socket.exists());
    }

    #[test]
    fn every_reason_has_a_next_step_and_only_damage_is_not_tried_again_by_itself() {
        let dir = Path::new("/var/lib/retrovolt");
        let errors = [
            StoreError::Path {
                path: dir.to_owned(),
                detail: "Permission denied".to_owned(),
            },
            StoreError::Locked { path: dir.to_owned() },
            StoreError::Newer { found: 9, known: 3 },
            StoreError::Corrupt("x".to_owned()),
            StoreError::Full,
            StoreError::ReadOnly,
            StoreError::Io("x".to_owned()),
            StoreError::Busy,
            StoreError::Refused("x".to_owned()),
            StoreError::Closed,
        ];
        for error in errors {
            let blocked = Blocked::ledger(&error, dir);
            assert_eq!(blocked.passes, !error.is_corruption(), "{blocked:?}");
            assert!(
                blocked.problem.contains(&error.to_string()) && !blocked.next.is_empty(),
                "{blocked:?}"
            );
            let code = if matches!(error, StoreError::Locked { .. }) {
                73
            } else {
                71
            };
            assert_eq!(blocked.code, code);
            let answer = still(&blocked);
            assert!(
                answer["error"]
                    .as_str()
                    .is_some_and(|words| words.contains(&blocked.next))
            );
        }
        let error = GatewayError::Store(StoreError::Full);
        assert_eq!(
            Blocked::gateway(&error, dir),
            Blocked::ledger(&StoreError::Full, dir)
        );
    }
}
