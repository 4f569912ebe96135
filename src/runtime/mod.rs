//! Wiring: tasks, clock, signals, systemd, the local socket. Every room meets here; none knows it.
//!
//! [`run`] is the daemon: it loads the configuration, opens the ledger, starts a [`gateway::Gateway`] and then only
//! waits: for signals, for questions on the socket, for the time, and for a task that hangs.

mod begin;
mod budget;
mod bundle;
pub mod clock;
mod conductor;
mod configuration;
pub mod control;
mod counts;
mod desk;
mod devices;
mod diag;
pub mod doctor;
mod exchange;
mod feed;
mod fuses;
mod gateway;
mod gauges;
mod inhibit;
mod links;
pub mod log;
mod machine;
mod narrator;
mod notify;
mod observe;
mod own_file;
pub mod pack;
mod panel;
mod porch;
mod porter;
mod process;
mod pseudonym;
mod recall;
mod records;
mod registers;
mod ring;
mod router;
mod sideways;
mod signals;
mod spacing;
mod spool;
#[cfg(test)]
mod tests;
mod vitals;

pub use gateway::GatewayError;

use crate::config;
use crate::domain::SecurityEvent;
use crate::store::Opened;
use begin::{Started, begin};
use configuration::Configuration;
use control::{Ask, Question};
use gateway::Gateway;
use signals::{Signals, Told};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};

/// Exit codes of sysexits(3) that the daemon uses.
pub mod exit {
    /// The command line is wrong.
    pub const USAGE: u8 = 64;
    /// Data that was given has mistakes.
    pub const DATA: u8 = 65;
    /// A file that was named cannot be read.
    pub const NO_INPUT: u8 = 66;
    /// Nothing to serve, or not reachable.
    pub const UNAVAILABLE: u8 = 69;
    /// A bug.
    pub const SOFTWARE: u8 = 70;
    /// The system refused something.
    pub const OS: u8 = 71;
    /// Held by another process.
    pub const CANT_CREATE: u8 = 73;
    /// Reading or writing failed.
    pub const IO: u8 = 74;
    /// A device did not answer as its protocol asks.
    pub const PROTOCOL: u8 = 76;
    /// Degraded, or later again.
    pub const TEMPORARY: u8 = 75;
    /// No permission.
    pub const NO_PERMISSION: u8 = 77;
    /// Bad configuration.
    pub const CONFIG: u8 = 78;
}

/// How often the clock is looked after and the status line refreshed.
const HOUSEKEEPING: Duration = Duration::from_secs(15);

/// How long a process that cannot even wait in safe mode puts its end off.
const HELD_BACK: Duration = Duration::from_secs(30);

/// What the daemon is started with.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The configuration file.
    pub config: PathBuf,
    /// Where drop-ins and environment come from.
    pub load: config::LoadOptions,
    /// End on a bad configuration (78), or whatever else is in the way of the start, instead of waiting.
    pub strict: bool,
    /// Makes every random choice repeat itself; for tests.
    pub seed: Option<u64>,
}

/// Runs the daemon until SIGTERM or SIGINT.
pub async fn run(options: RunOptions) -> ExitCode {
    let Some(mut signals) = Signals::catch() else {
        tracing::error!("the system refuses signal handlers");
        hold_back();
        return exit::OS.into();
    };
    let mut configuration = Configuration::new(options);
    let started = match begin(&mut configuration, &mut signals).await {
        Ok(started) => started,
        Err(code) => return code,
    };
    let Started {
        gateway,
        opened,
        keepsake,
        socket,
        state_dir,
    } = started;
    configuration.taken(keepsake, state_dir).await;
    note_lost_log(&gateway, &opened);
    let (questions, asked) = mpsc::channel(8);
    let listener = match control::listen(&socket, questions) {
        Ok(task) => Some(task),
        Err(error) => {
            tracing::warn!(
                "no control socket at {}: {error}; `retrovolt status` will not work",
                socket.display()
            );
            None
        }
    };
    let summary = configuration.summary(&gateway.summary());
    notify::ready(&summary);
    tracing::info!("running: {summary}");
    serve(gateway, configuration, asked, signals).await;
    if let Some(task) = listener {
        task.abort();
        let _ = std::fs::remove_file(&socket);
    }
    tracing::info!("stopped");
    ExitCode::SUCCESS
}

/// The security log goes with the database.
fn note_lost_log(gateway: &Gateway, opened: &Opened) {
    if let Some(aside) = &opened.set_aside {
        tracing::error!(
            "the ledger was damaged; the old file is kept at {}",
            aside.display()
        );
        let why = "the database was damaged and has been set aside";
        gateway.note_security(&SecurityEvent::new("SecurityLogWasCleared", Some(why)));
    }
}

/// The life of the daemon between ready and stopping.
async fn serve(
    mut gateway: Gateway,
    mut configuration: Configuration,
    mut asked: mpsc::Receiver<Question>,
    mut signals: Signals,
) {
    let mut housekeeping = interval(HOUSEKEEPING);
    let mut alive = interval(notify::feeding_period().unwrap_or(HOUSEKEEPING));
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut turn = interval(vitals::TURN);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut feeder = notify::Feeder::default();
    let (wishes, wish) = watch::channel(inhibit::Wish::default());
    tokio::spawn(inhibit::run(wish));
    loop {
        gateway.turn();
        let wish = gateway.wish();
        wishes.send_if_modified(|old| std::mem::replace(old, wish) != wish);
        tokio::select! {
            _ = turn.tick() => gateway.count_bytes(),
            told = signals.next() => match told {
                Told::End => break,
                Told::Reload => { reload(&mut gateway, &mut configuration).await; }
            },
            Some((ask, back)) = asked.recv() => answer(&mut gateway, &mut configuration, &ask, back).await,
            Some(unix_ms) = gateway.time_told.recv() => gateway.take_time(unix_ms).await,
            _ = housekeeping.tick() => {
                gateway.keep_time().await;
                notify::status(&configuration.summary(&gateway.summary()));
            }
            _ = alive.tick() => feeder.feed(&gateway.late()),
        }
    }
    tracing::info!("stopping");
    notify::stopping();
    gateway.stop().await;
}

/// Answers a question of the control socket.
async fn answer(
    gateway: &mut Gateway,
    configuration: &mut Configuration,
    ask: &Ask,
    back: oneshot::Sender<serde_json::Value>,
) {
    let told = match ask {
        Ask::Status => {
            let mut status = gateway.status().await;
            status["configuration"] = configuration.status();
            let watchdog = notify::watchdog().map(|limit| limit.as_millis());
            status["watchdog_ms"] = serde_json::json!(watchdog);
            status
        }
        Ask::Reload => reload(gateway, configuration).await,
        Ask::Health => {
            configuration::health(gateway.ailing().await.into_iter().chain(configuration.ailing()))
        }
        Ask::Diag => return gateway.tell_diagnostics(configuration.status(), back).await,
    };
    let _ = back.send(told);
}

/// Reads the configuration again; a bad one changes nothing.
async fn reload(gateway: &mut Gateway, configuration: &mut Configuration) -> serde_json::Value {
    notify::reloading();
    let told = match configuration.read() {
        Err(report) => configuration.refuse(report),
        Ok(loaded) => {
            let state_dir = gateway.state_dir().to_owned();
            match gateway.reload(loaded.setup, &loaded.library).await {
                Ok(()) => {
                    log::follow(&loaded.log);
                    tracing::info!("configuration reloaded");
                    configuration.accept();
                    configuration.taken(loaded.keepsake, state_dir).await;
                    configuration::applied()
                }
                Err(error) => {
                    tracing::error!("the new configuration could not be taken over: {error}");
                    serde_json::json!({ "reloaded": false, "error": error.to_string() })
                }
            }
        }
    };
    notify::ready(&configuration.summary(&gateway.summary()));
    told
}

/// Waits half a minute where systemd would start the process again at once: what the system is short of does not come back
/// the sooner for it.
pub fn hold_back() {
    if notify::is_supervised() {
        std::thread::sleep(HELD_BACK);
    }
}

/// The configuration file used when none is named: `/etc/retrovolt/retrovolt.toml`.
#[must_use]
pub fn default_config() -> &'static Path {
    Path::new("/etc/retrovolt/retrovolt.toml")
}
