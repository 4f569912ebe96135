//! What is wrong with the machine the gateway runs on: each check with what was seen, the likeliest cause, the next step.
//!
//! Everything is read from files below one root, which tests replace by a tree of their own, and from what
//! [`timekeeping`] has told; nothing is changed.
//!
//! * `clock`, `timekeeping`: the time and what keeps it; `disk`: space, wear, read-only; `power`: supply, heat, memory
//! * `rights`: state directory, socket, secrets, ports; `service`: systemd; `serial`: what else wants the ports

mod clock;
mod disk;
mod power;
mod rights;
mod serial;
mod service;
#[cfg(test)]
mod tests;
mod timekeeping;

pub use timekeeping::{Timekeeping, timekeeping};

use super::ports::Roots;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// The machine does not tell.
    Unknown,
    /// It works, but somebody should look.
    Doubt,
    /// It does not work, or will not for long.
    Failure,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at, e.g. `disk space`.
    pub name: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was seen.
    pub evidence: String,
    /// The likeliest cause; empty where nothing is wrong.
    pub cause: &'static str,
    /// What to do next; empty where nothing is to be done.
    pub next: String,
}

impl Check {
    fn good(name: &'static str, evidence: impl Into<String>) -> Self {
        Self {
            name,
            verdict: Verdict::Good,
            evidence: evidence.into(),
            cause: "",
            next: String::new(),
        }
    }

    fn unknown(name: &'static str, evidence: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Unknown,
            ..Self::good(name, evidence)
        }
    }

    fn doubt(
        name: &'static str,
        evidence: impl Into<String>,
        cause: &'static str,
        next: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Doubt,
            cause,
            next: next.into(),
            ..Self::good(name, evidence)
        }
    }

    fn failure(
        name: &'static str,
        evidence: impl Into<String>,
        cause: &'static str,
        next: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Failure,
            ..Self::doubt(name, evidence, cause, next)
        }
    }
}

/// Room on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that may still be written.
    pub free: u64,
    /// Its size.
    pub size: u64,
    /// Files that may still be made.
    pub files: u64,
}

/// The machine, as far as it can be looked at.
#[derive(Clone, Copy)]
pub struct Machine<'a> {
    /// `/`, or the tree of a test.
    pub root: &'a Path,
    /// Its clock.
    pub unix_ms: i64,
    /// Earlier the clock cannot be right.
    pub floor_unix_ms: i64,
    /// The room where a folder is.
    pub room: &'a dyn Fn(&Path) -> std::io::Result<Room>,
    /// What systemd tells of the clock.
    pub time: &'a Timekeeping,
}

/// What the gateway needs of the machine.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Serial ports as they are configured.
    pub ports: Vec<PathBuf>,
    /// State directory.
    pub state_dir: PathBuf,
    /// Control socket.
    pub socket: PathBuf,
    /// Files with passwords and keys.
    pub secrets: Vec<PathBuf>,
    /// What the gateway says of itself.
    pub gateway: Gateway,
}

/// What the gateway says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Gateway {
    /// Nothing listens at its socket.
    #[default]
    Absent,
    /// It does not answer, or may not be asked.
    Silent(String),
    /// It answers.
    Runs {
        /// Silence after which systemd ends it, milliseconds; `None`: systemd does not watch it.
        watchdog_ms: Option<u64>,
    },
}

impl Machine<'_> {
    /// Where a path of the machine is in its tree.
    fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The text of a file, without white space around it.
    fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let text = std::fs::read(self.at(path)).ok()?;
        Some(String::from_utf8_lossy(&text).trim().to_owned())
    }

    fn exists(&self, path: impl AsRef<Path>) -> bool {
        // A link that leads nowhere is there as well: systemd keeps facts in such.
        self.at(path).symlink_metadata().is_ok()
    }

    /// Names in a folder, sorted.
    fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.at(folder)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    fn roots(&self) -> Roots {
        Roots {
            class: self.at("/sys/class/tty"),
            dev: self.at("/dev"),
            proc: self.at("/proc"),
        }
    }
}

/// Looks at everything.
#[must_use]
pub fn examine(machine: &Machine<'_>, needs: &Needs) -> Vec<Check> {
    let mut checks = clock::checks(machine);
    checks.extend(disk::checks(machine, &needs.state_dir));
    checks.extend(power::checks(machine));
    checks.extend(rights::checks(machine, needs));
    checks.extend(service::checks(machine, &needs.gateway));
    checks.extend(serial::checks(machine, &needs.ports));
    checks
}

/// The room where a folder of this machine is.
///
/// # Errors
/// When the folder cannot be looked at.
pub fn room(folder: &Path) -> std::io::Result<Room> {
    let facts = rustix::fs::statvfs(folder)?;
    Ok(Room {
        free: facts.f_bavail.saturating_mul(facts.f_frsize),
        size: facts.f_blocks.saturating_mul(facts.f_frsize),
        files: facts.f_favail,
    })
}
