//! T5: one task that hangs ends the feeding of systemd's watchdog, and is named.

use crate::bus::tests::TokioClock;
use crate::config::LoadOptions;
use crate::domain::Clock;
use crate::runtime::begin::begin;
use crate::runtime::configuration::Configuration;
use crate::runtime::control::{self, Ask};
use crate::runtime::signals::Signals;
use crate::runtime::vitals::{FRESH, HUNG_AFTER, LEDGER, TURN, Vitals};
use crate::runtime::{RunOptions, notify, serve};
use crate::store::double;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixDatagram;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep, timeout};

/// Longer than the slowest step.
const PATIENCE: Duration = Duration::from_secs(60);
/// Many times the period at which a healthy gateway feeds a watchdog of [`WATCHDOG_US`].
const SILENCE: Duration = Duration::from_secs(1);
const WATCHDOG_US: &str = "400000";
/// Names the folder to the process that is watched.
const FOLDER: &str = "RETROVOLT_TEST_WATCHED";

fn socket(dir: &Path) -> PathBuf {
    dir.join("ctl.sock")
}

/// The gateway as `run` has it, with systemd on the other end of its socket; for a line on its standard input the task of
/// its bus is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that another test starts and watches"]
async fn the_process_that_is_watched() {
    let dir = PathBuf::from(std::env::var_os(FOLDER).expect("started by the other test"));
    let config = dir.join("retrovolt.toml");
    let text = format!(
        "[gateway]\nstate_dir = \"{0}/state\"\nsocket = \"{1}\"\n[[bus]]\nid = \"line\"\nhost = \"127.0.0.1\"\n",
        dir.display(),
        socket(&dir).display()
    );
    std::fs::write(&config, text).unwrap();
    let mut configuration = Configuration::new(RunOptions {
        load: LoadOptions::for_file(&config),
        config,
        strict: true,
        seed: None,
    });
    let mut signals = Signals::catch().expect("signals");
    let Ok(started) = begin(&mut configuration, &mut signals).await else {
        panic!("it does not start");
    };
    let (questions, asked) = mpsc::channel(8);
    let _listener = control::listen(&started.socket, questions).unwrap();
    let tasks = started.gateway.bus_tasks();
    assert_eq!(tasks.len(), 1);
    tokio::task::spawn_blocking(move || {
        std::io::stdin().read_line(&mut String::new()).unwrap();
        tasks.iter().for_each(tokio::task::AbortHandle::abort);
    });
    notify::ready("watched");
    serve(started.gateway, configuration, asked, signals).await;
}

/// Awaits a sign of life.
async fn beat(systemd: &UnixDatagram) {
    let mut buffer = [0; 4096];
    loop {
        let count = systemd.recv(&mut buffer).await.unwrap();
        if String::from_utf8_lossy(&buffer[..count]).contains("WATCHDOG=1") {
            return;
        }
    }
}

#[tokio::test]
async fn t5_one_task_that_hangs_ends_the_feeding_of_the_watchdog_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let address = dir.path().join("systemd");
    let systemd = UnixDatagram::bind(&address).unwrap();
    let mut gateway = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture"])
        .arg("runtime::tests::watchdog::the_process_that_is_watched")
        .env(FOLDER, dir.path())
        .env("NOTIFY_SOCKET", &address)
        .env("WATCHDOG_USEC", WATCHDOG_US)
        .env_remove("WATCHDOG_PID")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // It has been fed for longer than a task may be late.
    let since = Instant::now();
    while since.elapsed() < FRESH + TURN {
        timeout(PATIENCE, beat(&systemd)).await.expect("it is fed");
    }
    let health = || async { control::ask(&socket(dir.path()), &Ask::Health).await.unwrap() };
    assert_eq!(health().await["healthy"], true);

    let mut stdin = gateway.stdin.take().unwrap();
    stdin.write_all(b"now\n").await.unwrap();
    let ended = async { while timeout(SILENCE, beat(&systemd)).await.is_ok() {} };
    timeout(PATIENCE, ended).await.expect("the feeding ends");
    let named = async {
        let mut again = interval(Duration::from_millis(100));
        loop {
            again.tick().await;
            let told = health().await;
            if told["healthy"] == false {
                return told["why"].clone();
            }
        }
    };
    let why = timeout(PATIENCE, named).await.expect("it is ill");
    assert_eq!(why, serde_json::json!(["hangs: bus line"]));
    assert!(
        timeout(SILENCE, beat(&systemd)).await.is_err(),
        "fed, and the task still hangs"
    );
    gateway.kill().await.unwrap();
}

/// Feeding goes on with the next turn of a task that was late; a ledger that never answers is not a reason.
#[tokio::test(start_paused = true)]
async fn a_task_that_was_late_once_is_forgiven_and_the_disk_is_no_reason() {
    let clock: Arc<dyn Clock> = Arc::new(TokioClock(Instant::now()));
    let (store, serving) = double::store(double::Rows::default());
    let mut vitals = Vitals::start(store, clock);
    let task = vitals.marker("a task");
    sleep(FRESH).await;
    assert!(vitals.hung(FRESH).is_empty());
    sleep(TURN).await;
    assert_eq!(vitals.hung(FRESH), ["a task"]);
    assert!(vitals.hung(HUNG_AFTER).is_empty(), "late is not hung");
    task.turn();
    assert!(vitals.hung(FRESH).is_empty());
    sleep(PATIENCE).await;
    assert!(vitals.marks().contains_key(LEDGER));
    assert_eq!(
        vitals.hung(HUNG_AFTER),
        ["a task"],
        "the ledger has not answered once"
    );
    drop(serving);
}

/// Promise T5: from the hang to the next gateway within `WatchdogSec` + 5 s.
#[test]
fn t5_the_figures_of_the_unit_and_of_the_watchdog_add_up() {
    const START: Duration = Duration::from_secs(1);
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/retrovolt.service");
    let unit = std::fs::read_to_string(unit).unwrap();
    let seconds = |key: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        Duration::from_secs(line.parse().unwrap())
    };
    assert_eq!(seconds("WatchdogSec="), Duration::from_secs(30));
    assert!(FRESH + seconds("RestartSec=") + START <= Duration::from_secs(5));
}
