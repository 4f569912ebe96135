//! The conversation with systemd: ready, status, watchdog, stopping (sd_notify(3)).

use sd_notify::NotifyState;
use std::time::Duration;

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

/// How often to feed it: half of `WatchdogSec`; `None` where none is set.
#[must_use]
pub fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
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
