//! The bus's own timer: tokio's wheel has a grain of one millisecond, which at 115,200 baud would cost an eighth
//! of the bus (t3.5 is 1.75 ms there).

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// A timer of one bus. Instants are the time since an origin that never changes.
#[derive(Debug)]
pub(crate) enum Timer {
    /// A `timerfd` on `CLOCK_MONOTONIC`: grain of the kernel's high-resolution timers.
    System {
        /// The timer.
        fd: AsyncFd<OwnedFd>,
        /// What it is set to; setting it again costs a system call for each byte that comes in.
        armed: Option<Duration>,
    },
    /// For tests: tokio's clock, which simulated time moves. Grain of one millisecond, never early.
    #[cfg(test)]
    Tokio(tokio::time::Instant),
}

impl Timer {
    /// A timer of the kernel.
    pub(crate) fn system() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(
            deprecated,
            reason = "tokio's replacement `register` is unsafe, which this package forbids; what it asks of its \
                      caller, one descriptor that stays open, an `OwnedFd` that is never taken out gives by itself"
        )]
        let fd = AsyncFd::new(timer)?;
        Ok(Self::System { fd, armed: None })
    }

    /// A timer that follows tokio's clock, paused or not.
    #[cfg(test)]
    pub(crate) fn tokio() -> Self {
        Self::Tokio(tokio::time::Instant::now())
    }

    /// The present.
    pub(crate) fn now(&self) -> Duration {
        match self {
            Self::System { .. } => {
                let now = clock_gettime(ClockId::Monotonic);
                Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
            }
            #[cfg(test)]
            Self::Tokio(origin) => origin.elapsed(),
        }
    }

    /// Waits until `at`; at once when it is past. May be dropped and begun anew.
    pub(crate) async fn until(&mut self, at: Duration) -> io::Result<()> {
        if at <= self.now() {
            return Ok(());
        }
        match self {
            #[cfg(test)]
            Self::Tokio(origin) => tokio::time::sleep_until(*origin + at).await,
            Self::System { fd, armed } => {
                if *armed != Some(at) {
                    arm(fd, at)?;
                    *armed = Some(at);
                }
                fired(fd).await?;
                *armed = None;
            }
        }
        Ok(())
    }
}

fn arm(fd: &AsyncFd<OwnedFd>, at: Duration) -> io::Result<()> {
    let zero = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let value = Timespec {
        tv_sec: i64::try_from(at.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: at.subsec_nanos().into(),
    };
    let once = Itimerspec {
        it_interval: zero,
        it_value: value,
    };
    timerfd_settime(fd.get_ref(), TimerfdTimerFlags::ABSTIME, &once)?;
    Ok(())
}

async fn fired(fd: &AsyncFd<OwnedFd>) -> io::Result<()> {
    let mut count = [0; 8];
    loop {
        let mut guard = fd.readable().await?;
        match guard.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut count)?)) {
            Ok(read) => return read.map(|_| ()),
            Err(_not_yet) => {}
        }
    }
}
