//! What the system tells the daemon.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that the daemon obeys.
pub(super) struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// SIGTERM or SIGINT: end.
    End,
    /// SIGHUP: read the configuration again.
    Reload,
}

impl Signals {
    /// Catches them from now on; `None`: the system refuses.
    pub fn catch() -> Option<Self> {
        Some(Self {
            term: signal(SignalKind::terminate()).ok()?,
            int: signal(SignalKind::interrupt()).ok()?,
            hup: signal(SignalKind::hangup()).ok()?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.term.recv() => Told::End,
            _ = self.int.recv() => Told::End,
            _ = self.hup.recv() => Told::Reload,
        }
    }

    /// Returns when the process is told to end; a SIGHUP meanwhile is kept.
    pub async fn end(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}
