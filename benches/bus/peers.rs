//! Masters we did not write, each a program of its own that polls units in turn as its library's users do.

use super::kit::{Outcome, python, root};
use super::slaves::REGISTERS;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A master.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The library.
    pub name: &'static str,
    program: PathBuf,
    /// What comes before the line on its command line.
    before: Vec<PathBuf>,
}

/// What it says it got.
#[derive(Clone, Copy, Debug)]
pub struct Polled {
    /// Good answers.
    pub good: u32,
    /// Polls without one.
    pub bad: u32,
    /// Seconds it took.
    pub took: f64,
    /// Seconds of processor time it took.
    pub cpu: f64,
}

impl Polled {
    /// Wire time needed for what was answered over time taken.
    pub fn efficiency(&self, poll: Duration) -> f64 {
        f64::from(self.good) * poll.as_secs_f64() / self.took
    }

    /// Share of polls without an answer.
    pub fn failed(&self) -> f64 {
        f64::from(self.bad) / f64::from((self.good + self.bad).max(1))
    }
}

/// Those that `make setup` has furnished.
pub fn peers(dir: &Path) -> Vec<Peer> {
    libmodbus(dir)
        .into_iter()
        .chain(pymodbus("pymodbus sync", "sync"))
        .chain(pymodbus("pymodbus async", "async"))
        .collect()
}

/// Nothing but tokio-modbus on tokio-serial: what the gateway's poller would be without a gateway around it.
pub fn bare() -> Outcome<Peer> {
    Ok(Peer {
        name: "tokio-modbus",
        program: std::env::current_exe()?,
        before: vec![BARE.into()],
    })
}

/// The first word of the command line that makes this program a bare master.
pub const BARE: &str = "--tokio-modbus";

fn libmodbus(dir: &Path) -> Option<Peer> {
    let program = dir.join("libmodbus_master");
    let built = Command::new("cc")
        .args(["-O2", "-Wall", "-o"])
        .arg(&program)
        .arg(root().join("benches/peers/libmodbus_master.c"))
        .args(["-I/usr/include/modbus", "-lmodbus"])
        .output();
    built.is_ok_and(|done| done.status.success()).then_some(Peer {
        name: "libmodbus",
        program,
        before: Vec::new(),
    })
}

fn pymodbus(name: &'static str, mode: &str) -> Option<Peer> {
    Some(Peer {
        name,
        program: python()?,
        before: vec![root().join("benches/peers/pymodbus_master.py"), mode.into()],
    })
}

impl Peer {
    /// Polls units 1 to `slaves` in turn for so long.
    pub fn run(
        &self,
        path: &Path,
        baud: u32,
        slaves: u8,
        time: Duration,
        timeout: Duration,
    ) -> Outcome<Polled> {
        self.reading(path, (baud, slaves, REGISTERS), time, timeout)
    }

    /// The same with so many registers in each read.
    pub fn reading(
        &self,
        path: &Path,
        (baud, slaves, registers): (u32, u8, u16),
        time: Duration,
        timeout: Duration,
    ) -> Outcome<Polled> {
        let done = Command::new(&self.program)
            .args(&self.before)
            .arg(path)
            .args([
                baud.to_string(),
                slaves.to_string(),
                registers.to_string(),
                time.as_millis().to_string(),
                timeout.as_millis().to_string(),
            ])
            .output()?;
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        let mut words = said.split_whitespace();
        let mut next = || words.next().ok_or_else(|| self.silent(&said, &done.stderr));
        Ok(Polled {
            good: next()?.parse()?,
            bad: next()?.parse()?,
            took: next()?.parse()?,
            cpu: next()?.parse()?,
        })
    }

    fn silent(&self, said: &str, complained: &[u8]) -> String {
        let complained = String::from_utf8_lossy(complained);
        format!("{} said {said:?} and {complained:?}", self.name)
    }
}
