//! The conversation with systemd: ready, status, watchdog, stopping (sd_notify(3)).

use sd_notify::NotifyState;
use std::time::Duration;

/// The watchdog is fed at least this often.
const MOST_SELDOM: Duration = Duration::from_secs(2);

/// Tells systemd that the service is up: configuration loaded, ledger open, every bus task started.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Refreshes the line `systemctl status` shows.
pub fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// Announces a reload; [`ready`] ends it.
pub fn reloading() {
    let mut states = vec![NotifyState::Reloading];
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        states.push(now);
    }
    tell(&states);
}

/// Announces the end.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Feeds systemd's watchdog.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// `WatchdogSec`; `None` where none is set.
#[must_use]
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// How often to feed it: so often that once left out is not yet a restart.
#[must_use]
pub fn feeding_period() -> Option<Duration> {
    watchdog().map(|limit| (limit / 8).clamp(Duration::from_millis(1), MOST_SELDOM))
}

/// Feeds systemd's watchdog while no task is late, and says once when it does not.
#[derive(Debug, Default)]
pub struct Feeder {
    withheld: bool,
}

impl Feeder {
    /// It is time to feed; these are late.
    pub fn feed(&mut self, late: &[String]) {
        if late.is_empty() {
            alive();
        }
        match (late.is_empty(), self.withheld) {
            (false, false) => tracing::error!("late: {}; the watchdog is not fed", late.join(", ")),
            (true, true) => tracing::warn!("every task turns again; the watchdog is fed"),
            (true, false) | (false, true) => {}
        }
        self.withheld = !late.is_empty();
    }
}

/// Whether somebody starts this process again when it ends.
#[must_use]
pub fn is_supervised() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("systemd was not told: {error}");
    }
}
