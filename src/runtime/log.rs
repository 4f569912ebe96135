//! Where log lines go: the journal's own socket under systemd, plain text or JSON on stderr otherwise.

use super::ring::{Ring, RingLayer};
use clap::ValueEnum;
use std::io::IsTerminal;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Form of log lines on stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// The journal if stderr is connected to it, text otherwise.
    #[default]
    Auto,
    /// Text.
    Text,
    /// One JSON object a line.
    Json,
}

/// The last lines of this run, for the diagnostics a CSMS asks for.
#[must_use]
pub fn ring() -> &'static Ring {
    static RING: Ring = Ring::new();
    &RING
}

/// Starts logging. `verbosity` 0 is information, 1 debug, 2 everything; -1 only warnings.
pub fn start(format: LogFormat, verbosity: i8) {
    let level = match verbosity {
        i8::MIN..=-1 => LevelFilter::WARN,
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        2.. => LevelFilter::TRACE,
    };
    let registry = tracing_subscriber::registry().with(level).with(RingLayer);
    let journal = (format == LogFormat::Auto && stderr_is_journal())
        .then(|| tracing_journald::layer().ok())
        .flatten()
        .map(|layer| layer.with_field_prefix(Some("RETROVOLT".to_owned())));
    let result = if let Some(journal) = journal {
        registry.with(journal).try_init()
    } else if format == LogFormat::Json {
        registry
            .with(
                tracing_subscriber::fmt::layer()
                    .json()
                    .with_writer(std::io::stderr),
            )
            .try_init()
    } else {
        let ansi = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let layer = tracing_subscriber::fmt::layer()
            .with_target(false)
            .with_ansi(ansi)
            .with_writer(std::io::stderr);
        registry.with(layer).try_init()
    };
    // A second start keeps the first subscriber; nothing is lost by it.
    drop(result);
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
