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
struct Hold<T> {
    mode: Mode,
    _held: T,
}

/// Who gives inhibitors away: what is held, or why not.
trait Giver {
    /// Held until it is dropped.
    type Held;

    /// Asks for an inhibitor.
    async fn give(&mut self, mode: Mode) -> Result<Self::Held, String>;
}

/// systemd-logind.
struct Logind;

impl Giver for Logind {
    type Held = OwnedFd;

    async fn give(&mut self, mode: Mode) -> Result<OwnedFd, String> {
        match timeout(PATIENCE, ask(mode)).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {PATIENCE:?}")),
        }
    }
}

/// Carries out wishes until nobody has any more.
pub async fn run(wishes: watch::Receiver<Wish>) {
    serve(wishes, Logind).await;
}

async fn serve<G: Giver>(mut wishes: watch::Receiver<Wish>, mut giver: G) {
    let mut held: Option<Hold<G::Held>> = None;
    let mut since: Option<Instant> = None;
    let mut said = false;
    loop {
        let wish = *wishes.borrow_and_update();
        let mut look = None;
        if wish.session && !wish.most.is_zero() {
            let end = *since.get_or_insert_with(Instant::now) + wish.most;
            let over = Instant::now() >= end;
            if held.is_none() || (over && held.as_ref().is_some_and(|hold| hold.mode == Mode::Block)) {
                let wanted = if over { Mode::Delay } else { Mode::Block };
                // What was held goes when the new one is there, or cannot be had.
                held = take(&mut giver, wanted, &mut said).await;
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

/// Takes an inhibitor, the weaker one where the stronger is refused.
async fn take<G: Giver>(giver: &mut G, wanted: Mode, said: &mut bool) -> Option<Hold<G::Held>> {
    let modes: &[Mode] = match wanted {
        Mode::Block => &[Mode::Block, Mode::Delay],
        Mode::Delay => &[Mode::Delay],
    };
    let mut refused = String::new();
    for &mode in modes {
        match giver.give(mode).await {
            Ok(held) => {
                if refused.is_empty() {
                    tracing::info!(
                        "a session runs: shutdown of the machine is held up ({})",
                        mode.word()
                    );
                } else if !std::mem::replace(said, true) {
                    tracing::warn!("logind only lets a session delay a shutdown, not block it: {refused}");
                }
                return Some(Hold { mode, _held: held });
            }
            Err(why) => refused = why,
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// Notes what is given and what comes back.
    #[derive(Clone, Default)]
    struct Ledger(Arc<Mutex<Vec<String>>>);

    struct Given(Ledger, Mode);

    impl Ledger {
        fn note(&self, text: String) {
            self.0.lock().unwrap().push(text);
        }

        fn taken(&self) -> Vec<String> {
            std::mem::take(&mut *self.0.lock().unwrap())
        }
    }

    impl Drop for Given {
        fn drop(&mut self) {
            self.0.note(format!("{} back", self.1.word()));
        }
    }

    impl Giver for (Ledger, Option<Mode>) {
        type Held = Given;

        async fn give(&mut self, mode: Mode) -> Result<Given, String> {
            if self.1 == Some(mode) {
                return Err("denied".to_owned());
            }
            self.0.note(format!("{} given", mode.word()));
            Ok(Given(self.0.clone(), mode))
        }
    }

    async fn settled() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_block_becomes_a_delay_when_its_time_is_over() {
        let ledger = Ledger::default();
        let (wishes, wish) = watch::channel(Wish::default());
        tokio::spawn(serve(wish, (ledger.clone(), None)));
        let most = Duration::from_secs(3_600);
        let session = |session| wishes.send_replace(Wish { session, most });
        session(true);
        settled().await;
        assert_eq!(ledger.taken(), ["block given"]);
        tokio::time::advance(most - Duration::from_secs(1)).await;
        settled().await;
        assert!(ledger.taken().is_empty());
        tokio::time::advance(Duration::from_secs(2)).await;
        settled().await;
        assert_eq!(ledger.taken(), ["delay given", "block back"]);
        session(false);
        settled().await;
        assert_eq!(ledger.taken(), ["delay back"]);
        session(true);
        settled().await;
        assert_eq!(
            ledger.taken(),
            ["block given"],
            "the next session has its own time"
        );
        wishes.send_replace(Wish {
            session: true,
            most: Duration::ZERO,
        });
        settled().await;
        assert_eq!(ledger.taken(), ["block back"], "switched off");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_refused_asks_again_later() {
        let ledger = Ledger::default();
        let (wishes, wish) = watch::channel(Wish {
            session: true,
            most: Duration::from_secs(3_600),
        });
        tokio::spawn(serve(wish, (ledger.clone(), Some(Mode::Block))));
        settled().await;
        assert_eq!(ledger.taken(), ["delay given"]);
        drop(wishes);
        settled().await;
        assert_eq!(ledger.taken(), ["delay back"]);
    }
}
