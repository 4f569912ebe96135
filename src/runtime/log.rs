//! Where log lines go: the journal's own socket under systemd, plain text or JSON on stderr otherwise.
//!
//! What the command line says counts for the whole run; the rest is as the configuration in force says, so that level and form
//! can be changed by a reload.

use super::ring::{Ring, RingLayer};
use crate::config::LogSetup;
use clap::ValueEnum;
use std::io::IsTerminal;
use std::sync::{Mutex, OnceLock, PoisonError};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layered, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

/// Form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// The journal if stderr is connected to it, text otherwise.
    #[default]
    Auto,
    /// The journal where there is one, text otherwise.
    Journal,
    /// Text on stderr.
    Text,
    /// One JSON object a line on stderr.
    Json,
}

/// What the command line says; `None` is left to the configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// Form of the lines.
    pub format: Option<LogFormat>,
    /// How much is logged.
    pub level: Option<LevelFilter>,
}

impl Wish {
    /// From the counted options: more of `-v` say more, `--quiet` leaves warnings and errors.
    #[must_use]
    pub fn of(format: Option<LogFormat>, verbose: u8, quiet: bool) -> Self {
        let level = match (quiet, verbose) {
            (true, _) => Some(LevelFilter::WARN),
            (false, 0) => None,
            (false, 1) => Some(LevelFilter::DEBUG),
            (false, 2..) => Some(LevelFilter::TRACE),
        };
        Self { format, level }
    }

    /// For a verb that tells its own story: of the log only what is wrong, and more on wish.
    #[must_use]
    pub fn beside_a_story(verbose: u8, quiet: bool) -> Self {
        let level = match verbose {
            0 => LevelFilter::WARN,
            _ if quiet => LevelFilter::WARN,
            1 => LevelFilter::INFO,
            2 => LevelFilter::DEBUG,
            3.. => LevelFilter::TRACE,
        };
        Self {
            format: Some(LogFormat::Text),
            level: Some(level),
        }
    }
}

type Filtered = Layered<reload::Layer<LevelFilter, Registry>, Registry>;
type Out = Box<dyn Layer<Filtered> + Send + Sync>;

/// The log of this process.
struct Log {
    wish: Wish,
    level: reload::Handle<LevelFilter, Registry>,
    out: reload::Handle<Out, Filtered>,
    format: Mutex<LogFormat>,
}

static LOG: OnceLock<Log> = OnceLock::new();

/// The last lines of this run, for the diagnostics a CSMS asks for.
#[must_use]
pub fn ring() -> &'static Ring {
    static RING: Ring = Ring::new();
    &RING
}

/// Starts logging, as long as no configuration is known with the defaults of one. A second start changes nothing.
pub fn start(wish: Wish) {
    let format = wish.format.unwrap_or_default();
    let (filter, level) = reload::Layer::new(wish.level.unwrap_or(LevelFilter::INFO));
    let (layer, out) = reload::Layer::new(out(format));
    let registry = tracing_subscriber::registry()
        .with(filter)
        .with(layer)
        .with(RingLayer);
    if registry.try_init().is_ok() {
        let _ = LOG.set(Log {
            wish,
            level,
            out,
            format: Mutex::new(format),
        });
    }
}

/// Logs as a configuration says from now on, where the command line does not say otherwise.
pub fn follow(setup: &LogSetup) {
    let Some(log) = LOG.get() else { return };
    // The configuration knows no other words than these.
    let level = log.wish.level.or_else(|| setup.level.parse().ok());
    let format = log
        .wish
        .format
        .or_else(|| LogFormat::from_str(&setup.format, true).ok());
    let changed = level.map_or(Ok(()), |level| log.level.reload(level));
    let format = format.unwrap_or_default();
    let mut in_force = log.format.lock().unwrap_or_else(PoisonError::into_inner);
    let changed = changed.and_then(|()| match *in_force == format {
        true => Ok(()),
        false => log.out.reload(out(format)),
    });
    match changed {
        Ok(()) => *in_force = format,
        Err(error) => tracing::error!("the log goes on as before: {error}"),
    }
}

fn out(format: LogFormat) -> Out {
    let wanted = match format {
        LogFormat::Auto => stderr_is_journal(),
        LogFormat::Journal => true,
        LogFormat::Text | LogFormat::Json => false,
    };
    if let Some(journal) = wanted.then(|| tracing_journald::layer().ok()).flatten() {
        return journal.with_field_prefix(Some("RETROVOLT".to_owned())).boxed();
    }
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if format == LogFormat::Json {
        return layer.json().boxed();
    }
    let ansi = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    layer.with_target(false).with_ansi(ansi).boxed()
}

/// `JOURNAL_STREAM` names the device and inode of the journal's stream (systemd.exec(5)).
fn stderr_is_journal() -> bool {
    let Some((device, inode)) = std::env::var("JOURNAL_STREAM").ok().and_then(|text| {
        let (device, inode) = text.split_once(':')?;
        Some((device.parse::<u64>().ok()?, inode.parse::<u64>().ok()?))
    }) else {
        return false;
    };
    rustix::fs::fstat(std::io::stderr()).is_ok_and(|stat| stat.st_dev == device && stat.st_ino == inode)
}
