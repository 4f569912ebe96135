//! What the ledger promises: order, durability, retention, refusal of what it must not touch.

mod damage;
mod durability;
mod flash;
mod group;
mod kill;
mod migrate;
mod retention;

use super::{Options, Store};
use crate::domain::{
    Batch, BootId, ClockQuality, CpId, Event, Mono, NewRow, Put, ReaderId, SecurityEvent, Stamp, Wall,
};
use std::path::Path;

/// Environment variable by which a test tells its child process what to do.
const CHILD: &str = "RETROVOLT_STORE_CHILD";

fn cp(name: &str) -> CpId {
    CpId::new(name)
}

fn reader(name: &str) -> ReaderId {
    ReaderId::new(name)
}

/// A row that can be told from every other.
fn row(cp: &str, mark: &str) -> NewRow {
    let wall = Wall {
        unix_ms: 1_790_000_000_123,
        quality: ClockQuality::Restored,
    };
    NewRow {
        cp: CpId::new(cp),
        at: Stamp {
            boot: BootId(3),
            mono: Mono(77),
            wall,
        },
        event: Event::Security(SecurityEvent {
            name: mark.to_owned(),
            info: Some("Ω ' \" \\".into()),
        }),
    }
}

fn rows(cp: &str, marks: &[&str]) -> Batch {
    Batch {
        rows: marks.iter().map(|mark| row(cp, mark)).collect(),
        ..Batch::default()
    }
}

fn put(scope: &str, key: &str, value: Option<&str>) -> Put {
    Put {
        scope: scope.into(),
        key: key.into(),
        value: value.map(str::to_owned),
    }
}

fn cursor(name: &str, at: u64) -> Batch {
    Batch {
        cursors: vec![(reader(name), at)],
        ..Batch::default()
    }
}

fn mark(event: &Event) -> &str {
    match event {
        Event::Security(event) => &event.name,
        other => panic!("only security events were written: {other:?}"),
    }
}

async fn marks(store: &Store, name: &str, after: u64) -> Vec<String> {
    let rows = store.rows(&cp(name), after, 1_000).await.unwrap();
    rows.iter().map(|row| mark(&row.event).to_owned()).collect()
}

fn open_eager(dir: &Path) -> Store {
    let options = Options {
        prune_every: 1,
        ..Options::default()
    };
    Store::open_with(dir, super::schema::STEPS, options).unwrap().0
}

/// Dies by SIGKILL when the parent asked for exactly this place.
pub(super) fn die_here(place: &str, step: i64) {
    if std::env::var(CHILD).is_ok_and(|wish| wish == format!("{place} {step}")) {
        kill_self();
    }
}

fn kill_self() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    // The signal is delivered before the call returns to user code; nothing after it runs.
    std::process::abort();
}

/// This test binary again, running one test as a child.
fn child_of(test: &str, wish: &str, dir: &Path) -> std::process::Command {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command.env(CHILD, wish).env("RETROVOLT_STORE_DIR", dir);
    command
}

/// The directory given by the parent, when this process is the child.
fn as_child() -> Option<std::path::PathBuf> {
    std::env::var_os(CHILD)?;
    std::env::var_os("RETROVOLT_STORE_DIR").map(Into::into)
}

impl Store {
    async fn limit_pages(&self, count: u32) {
        let (reply, done) = tokio::sync::oneshot::channel();
        self.jobs.send(super::Job::Pages(count, reply)).await.unwrap();
        done.await.unwrap();
    }
}
