//! A chip of the kernel's `gpio-sim`: its inputs are pulled up and down through sysfs.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

const CONFIGFS: &str = "/sys/kernel/config/gpio-sim";
/// A relay that has not moved by then will not.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a line that tells nothing by itself is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// The chip.
pub struct Chip {
    config: PathBuf,
    lines: Vec<&'static str>,
    active_low: Vec<&'static str>,
}

impl Chip {
    /// A chip with this label and lines of these names, all inputs idle; those of `active_low` idle high.
    pub fn new(label: &str, lines: &[&'static str], active_low: &[&'static str]) -> Self {
        let config = PathBuf::from(CONFIGFS).join(label);
        let bank = config.join("bank0");
        fs::create_dir_all(&bank).expect("a simulated chip");
        fs::write(bank.join("num_lines"), lines.len().to_string()).expect("lines");
        fs::write(bank.join("label"), label).expect("a label");
        for (offset, name) in lines.iter().enumerate() {
            let line = bank.join(format!("line{offset}"));
            fs::create_dir_all(&line).expect("a line");
            fs::write(line.join("name"), name).expect("a name");
        }
        let chip = Self {
            config,
            lines: lines.to_vec(),
            active_low: active_low.to_vec(),
        };
        chip.plug();
        chip
    }

    /// Makes it appear, all inputs idle.
    pub fn plug(&self) {
        fs::write(self.config.join("live"), "1").expect("the chip appears");
        for name in &self.lines {
            self.set(name, false);
        }
    }

    /// Makes it vanish.
    pub fn unplug(&self) {
        fs::write(self.config.join("live"), "0").expect("the chip vanishes");
    }

    /// Drives an input to its active or idle level.
    pub fn set(&self, name: &str, active: bool) {
        let up = active != self.active_low.contains(&name);
        let pull = if up { "pull-up" } else { "pull-down" };
        fs::write(self.attribute(name, "pull"), pull).expect("the line is pulled");
    }

    /// Level of a line.
    pub fn level(&self, name: &str) -> bool {
        let value = fs::read_to_string(self.attribute(name, "value")).expect("a value");
        value.trim() == "1"
    }

    /// Awaits a level of a line.
    pub async fn until(&self, name: &str, level: bool) {
        let reached = async {
            while self.level(name) != level {
                sleep(LOOK).await;
            }
        };
        let reached = timeout(PATIENCE, reached).await;
        assert!(reached.is_ok(), "{name} is not {level} after {PATIENCE:?}");
    }

    /// Notes every level a line takes from now on.
    pub fn watch(&self, name: &str) -> Watch {
        let (path, over) = (self.attribute(name, "value"), Arc::new(AtomicBool::new(false)));
        let ended = Arc::clone(&over);
        let watcher = std::thread::spawn(move || {
            let mut seen: Vec<bool> = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                let level = fs::read_to_string(&path).expect("a value").trim() == "1";
                if seen.last() != Some(&level) {
                    seen.push(level);
                }
                std::thread::sleep(Duration::from_micros(100));
            }
            seen
        });
        Watch { over, watcher }
    }

    /// Pulses of a meter: so long active, so long idle.
    pub async fn pulses(&self, name: &str, count: usize, on: Duration, off: Duration) {
        for _ in 0..count {
            self.set(name, true);
            hold(on).await;
            self.set(name, false);
            hold(off).await;
        }
    }

    fn attribute(&self, name: &str, attribute: &str) -> PathBuf {
        let offset = self.lines.iter().position(|line| *line == name).expect("a line");
        let read = |path: PathBuf| fs::read_to_string(path).expect("an attribute").trim().to_owned();
        let device = read(self.config.join("dev_name"));
        let chip = read(self.config.join("bank0/chip_name"));
        PathBuf::from(format!(
            "/sys/devices/platform/{device}/{chip}/sim_gpio{offset}/{attribute}"
        ))
    }
}

/// Somebody who looks at a line all the time.
pub struct Watch {
    over: Arc<AtomicBool>,
    watcher: JoinHandle<Vec<bool>>,
}

impl Watch {
    /// The levels that were seen, each once until it changed.
    pub fn end(self) -> Vec<bool> {
        self.over.store(true, Ordering::Relaxed);
        self.watcher.join().expect("it watched")
    }
}

/// Holds a level for at least so long: a pulse has its width in real time.
async fn hold(width: Duration) {
    let end = Instant::now() + width;
    tokio::time::sleep_until(end).await;
}
