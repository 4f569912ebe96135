//! What the kernel tells of this process and its board. Everything may be missing: then it is not told.

use crate::domain::{THROTTLED_FILE, Throttled};
use crate::telemetry::Milli;
use crate::telemetry::metrics::ProcessFigures;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Sensors of a board that are looked at.
const MOST_ZONES: usize = 16;

/// Where to look.
#[derive(Clone, Debug)]
pub(super) struct Kernel {
    proc: PathBuf,
    sys: PathBuf,
    started_ms: i64,
}

impl Kernel {
    /// The kernel of this machine; the process has just started.
    pub fn here() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            proc: PathBuf::from("/proc/self"),
            sys: PathBuf::from("/sys"),
            started_ms: i64::try_from(since.as_millis()).unwrap_or(0),
        }
    }

    /// The process as it is now.
    pub fn process(&self) -> ProcessFigures {
        let usage = self.text("stat").and_then(|stat| ticks(&stat));
        let memory = self.text("statm").and_then(|statm| pages(&statm));
        let limits = self.text("limits");
        ProcessFigures {
            cpu_us: usage.map(|ticks| {
                ticks.saturating_mul(1_000_000) / rustix::param::clock_ticks_per_second().max(1)
            }),
            virtual_bytes: memory.map(|(whole, _)| whole),
            rss_bytes: memory.map(|(_, resident)| resident),
            open_fds: fs::read_dir(self.proc.join("fd"))
                .ok()
                // The folder being read is one of them.
                .map(|found| (found.count() as u64).saturating_sub(1)),
            max_fds: limits.as_deref().and_then(most_files),
            started_ms: self.started_ms,
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.proc.join(name)).ok()
    }

    /// The hottest sensor of the board that can be right.
    pub fn temperature(&self) -> Option<Milli> {
        let zone = |number: usize| {
            let path = self.sys.join(format!("class/thermal/thermal_zone{number}/temp"));
            let milli: i64 = fs::read_to_string(path).ok()?.trim().parse().ok()?;
            (-40_000..=150_000).contains(&milli).then_some(Milli(milli))
        };
        (0..MOST_ZONES).filter_map(zone).max()
    }

    /// Whether a Raspberry Pi is slowed down at this moment.
    pub fn throttled(&self) -> Option<bool> {
        let text = fs::read_to_string(self.sys.join(THROTTLED_FILE)).ok()?;
        Throttled::parse(&text).map(Throttled::is_now)
    }
}

/// Free space, for those who are not root, where a folder is.
pub(super) fn disk_free(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

/// User and system time of `/proc/self/stat` (proc(5)). The name of the process, in brackets, may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let behind_name = stat.rsplit_once(')')?.1;
    let mut fields = behind_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user.saturating_add(system))
}

/// Virtual and resident memory of `/proc/self/statm`.
fn pages(statm: &str) -> Option<(u64, u64)> {
    let page = u64::try_from(rustix::param::page_size()).ok()?;
    let mut fields = statm
        .split_ascii_whitespace()
        .map(|field| field.parse::<u64>().ok());
    let (whole, resident) = (fields.next()??, fields.next()??);
    Some((whole.saturating_mul(page), resident.saturating_mul(page)))
}

/// The soft limit of open files; `None`: there is none.
fn most_files(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_told_as_the_kernel_has_it() {
        let here = Kernel::here().process();
        assert!(here.rss_bytes.is_some_and(|rss| rss > 1_000_000), "{here:?}");
        assert!(
            here.virtual_bytes >= here.rss_bytes && here.open_fds.is_some_and(|fds| fds > 2),
            "{here:?}"
        );
        assert!(
            here.max_fds >= here.open_fds && here.started_ms > 1_700_000_000_000,
            "{here:?}"
        );
        assert!(here.cpu_us.is_some());
        let stat = "12 (a ) (b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!((ticks(""), pages("1"), most_files("")), (None, None, None));
        assert_eq!(
            most_files(
                "Limit  Soft\nMax open files            1024                 4096                 files\n"
            ),
            Some(1024)
        );
    }

    #[test]
    fn a_board_is_told_where_it_tells() {
        let dir = tempfile::tempdir().unwrap();
        let kernel = Kernel {
            sys: dir.path().to_owned(),
            ..Kernel::here()
        };
        assert_eq!((kernel.temperature(), kernel.throttled()), (None, None));
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("class/thermal/thermal_zone0/temp", "48200\n");
        put("class/thermal/thermal_zone1/temp", "-274000\n");
        put("class/thermal/thermal_zone2/temp", "51000\n");
        assert_eq!(kernel.temperature(), Some(Milli(51_000)));
        put(THROTTLED_FILE, "50000\n");
        assert_eq!(kernel.throttled(), Some(false), "it was, but is not");
        put(THROTTLED_FILE, "0x50005\n");
        assert_eq!(kernel.throttled(), Some(true));
        assert!(disk_free(dir.path()).is_some_and(|free| free > 0));
    }
}
