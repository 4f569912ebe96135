//! The harness floor: the least a master on this machine can do that keeps t3.5. It decodes nothing, checks nothing
//! but the length, and sleeps to the nanosecond.

use super::slaves::{REGISTERS, Read};
use retrovolt::sim::Format;
use retrovolt::sim::slave::close_rtu;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::thread::{clock_nanosleep_absolute, set_current_timer_slack};
use rustix::time::{ClockId, clock_gettime};
use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A running master. Dropping it ends it.
pub struct Floor {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Floor {
    /// Polls units 1 to `slaves` in turn.
    pub fn start(path: &Path, baud: u32, slaves: u8) -> io::Result<Self> {
        let count = REGISTERS.to_le_bytes()[0];
        let asks = (1..=slaves).map(|unit| (close_rtu(unit, &[4, 0, 0, 0, count]), answer_of(REGISTERS)));
        Self::asking(path, asks.collect(), Format::even(baud).silence_ns())
    }

    /// Makes these reads of unit 1 over and over, with a silence before each.
    pub fn reading(path: &Path, reads: &[Read], silence: Duration) -> io::Result<Self> {
        let ask = |&(function, addr, count): &Read| {
            let [a1, a0] = addr.to_be_bytes();
            let [c1, c0] = count.to_be_bytes();
            (close_rtu(1, &[function, a1, a0, c1, c0]), answer_of(count))
        };
        let nanos = u64::try_from(silence.as_nanos()).unwrap_or(u64::MAX);
        Self::asking(path, reads.iter().map(ask).collect(), nanos)
    }

    fn asking(path: &Path, requests: Vec<(Vec<u8>, usize)>, silence: u64) -> io::Result<Self> {
        let port = open(
            path,
            OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let thread = std::thread::Builder::new()
            .name("floor".into())
            .spawn(move || run(&port, &requests, silence, &ended))?;
        Ok(Self {
            over,
            thread: Some(thread),
        })
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Bytes of an answer with so many registers.
fn answer_of(registers: u16) -> usize {
    5 + 2 * usize::from(registers)
}

fn run(port: &OwnedFd, requests: &[(Vec<u8>, usize)], silence: u64, over: &AtomicBool) {
    // A coarser timer only makes the floor lower than it could be, which the table shows.
    let _ = set_current_timer_slack(NonZeroU64::new(1));
    for (request, answer) in requests.iter().cycle() {
        if over.load(Ordering::Relaxed) || rustix::io::write(port, request).is_err() {
            return;
        }
        let mut have = 0;
        let mut buffer = [0; 256];
        while have < *answer && readable(port) {
            match rustix::io::read(port, &mut buffer) {
                Ok(count @ 1..) => have += count,
                Ok(_) | Err(_) => return,
            }
        }
        let until = nanos(clock_gettime(ClockId::Monotonic)) + silence;
        let _ = clock_nanosleep_absolute(ClockId::Monotonic, &timespec(until));
    }
}

/// Waits half a second at most.
fn readable(port: &OwnedFd) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(port.as_fd(), PollFlags::IN)];
    poll(&mut fds, Some(&timespec(500_000_000))).is_ok_and(|ready| ready > 0)
}

fn nanos(time: Timespec) -> u64 {
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

fn timespec(nanos: u64) -> Timespec {
    Timespec {
        tv_sec: (nanos / 1_000_000_000).cast_signed(),
        tv_nsec: (nanos % 1_000_000_000).cast_signed(),
    }
}
