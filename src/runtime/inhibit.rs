//! While a session runs the machine is not shut down: an inhibitor of systemd-logind (`Inhibit` of
//! org.freedesktop.login1.Manager, systemd-inhibit(1)).
//!
//! * A `block` inhibitor for at most as long as the configuration says, a `delay` inhibitor after that, or where logind
//!   refuses the first: systemd's own rule lets a service without a login block only if polkit is told so.
//! * It is a file descriptor that logind gives away; closing it ends it, and so does the end of this process.
//! * A machine without D-Bus or logind is no fault. It is said once, and asked again now and then.

use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use zbus::OwnedFd;

/// Wait before logind is asked again.
const AGAIN: Duration = Duration::from_secs(60);
/// logind answers within it, or counts as absent.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is to be held up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// A session runs.
    pub session: bool,
    /// Most that a shutdown is blocked; zero: sessions hold nothing up.
    pub most: Duration,
}

/// How a shutdown is held up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Refused until it is released.
    Block,
    /// Put off for `InhibitDelayMaxSec=` of logind.
    Delay,
}

impl Mode {
    const fn word(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Delay => "delay",
        }
    }
}

/// Held until it is dropped.
struct Hold {
    mode: Mode,
    _fd: OwnedFd,
}

/// Carries out wishes until nobody has any more.
pub async fn run(mut wishes: watch::Receiver<Wish>) {
    let mut held: Option<Hold> = None;
    let mut since: Option<Instant> = None;
    let mut said = false;
    loop {
        let wish = *wishes.borrow_and_update();
        let mut look = None;
        if wish.session && !wish.most.is_zero() {
            let begun = *since.get_or_insert_with(Instant::now);
            let end = begun + wish.most;
            let wanted = if Instant::now() < end {
                Mode::Block
            } else {
                Mode::Delay
            };
            let is_held = held.as_ref().map(|hold| hold.mode);
            if is_held.is_none() || (is_held, wanted) == (Some(Mode::Block), Mode::Delay) {
                held = take(wanted, held, &mut said).await;
            }
            look = match held.as_ref().map(|hold| hold.mode) {
                None => Some(Instant::now() + AGAIN),
                Some(Mode::Block) => Some(end),
                Some(Mode::Delay) => None,
            };
        } else {
            since = None;
            if held.take().is_some() {
                tracing::info!("no session runs any more: the machine may be shut down");
            }
        }
        let awaited = async {
            match look {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = wishes.changed() => if changed.is_err() { return },
            () = awaited => {}
        }
    }
}

/// Takes an inhibitor, the weaker one where the stronger is refused. What was held before goes when the new one is there,
/// or cannot be had.
async fn take(wanted: Mode, _before: Option<Hold>, said: &mut bool) -> Option<Hold> {
    let modes = if wanted == Mode::Block {
        &[Mode::Block, Mode::Delay][..]
    } else {
        &[Mode::Delay][..]
    };
    let mut refused = String::new();
    for mode in modes {
        match timeout(PATIENCE, ask(*mode)).await {
            Ok(Ok(fd)) => {
                if refused.is_empty() {
                    tracing::info!(
                        "a session runs: shutdown of the machine is held up ({})",
                        mode.word()
                    );
                } else if !std::mem::replace(said, true) {
                    tracing::warn!("logind only lets a session delay a shutdown, not block it: {refused}");
                }
                return Some(Hold { mode: *mode, _fd: fd });
            }
            Ok(Err(error)) => refused = error.to_string(),
            Err(_) => refused = format!("no answer within {PATIENCE:?}"),
        }
    }
    if !std::mem::replace(said, true) {
        tracing::info!("no logind that could hold up a shutdown during sessions: {refused}");
    }
    None
}

async fn ask(mode: Mode) -> zbus::Result<OwnedFd> {
    const SERVICE: &str = "org.freedesktop.login1";
    // The system bus, or the one that DBUS_SYSTEM_BUS_ADDRESS names. Nothing is ever started.
    let bus = zbus::connection::Builder::system()
        .method_timeout(PATIENCE)
        .build()
        .await?;
    let why = ("shutdown", "Retrovolt", "a vehicle is charging", mode.word());
    let manager = Some("org.freedesktop.login1.Manager");
    let answer = bus
        .call_method(Some(SERVICE), "/org/freedesktop/login1", manager, "Inhibit", &why)
        .await?;
    answer.body().deserialize()
}
