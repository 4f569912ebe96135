//! A serial line on a pseudo-terminal, at the real speed: one thread moves the bytes and sleeps to the nanosecond
//! timer, because the 1 ms wheel of an async runtime would cost an eighth of a 115,200-baud line.
//!
//! A pseudo-terminal knows neither parity nor modem lines; the speed the master sets can be read and is checked
//! when asked for.

use super::slave::Units;
use super::wire::{Fault, Format, Noise, Wire, WireRules, WireStats};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, ioctl_tiocnxcl, tcgetattr, tcsetattr};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How a line is set up.
#[derive(Clone, Debug)]
pub struct LineSetup {
    /// Where the port appears: a symbolic link that stays the same when the pseudo-terminal changes.
    pub path: PathBuf,
    /// Timing and behaviour.
    pub rules: WireRules,
    /// A request sent at another speed than the line's is noise to the slaves, and what they send is noise at the master.
    pub check_speed: bool,
}

impl LineSetup {
    /// A line as found in the field: UART of 8 bytes, tolerant slaves, no echo.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, format: Format) -> Self {
        let rules = WireRules {
            format,
            fifo: 8,
            strict: false,
            echo: false,
            seed: 0,
        };
        Self {
            path: path.into(),
            rules,
            check_speed: false,
        }
    }

    /// The same with slaves that ignore what begins inside the silence.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.rules.strict = true;
        self
    }
}

enum Order {
    Unplug(mpsc::SyncSender<io::Result<()>>),
    Replug(mpsc::SyncSender<io::Result<()>>),
    Stop,
}

/// A running line. Dropping it pulls the plug for good.
pub struct Line {
    setup: LineSetup,
    wire: Arc<Mutex<Wire>>,
    orders: mpsc::Sender<Order>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Line {
    /// Opens the pseudo-terminal, sets the link and starts the thread.
    ///
    /// # Errors
    /// What the system says to opening a pseudo-terminal or making the link.
    pub fn open(setup: LineSetup, units: Box<dyn Units>) -> io::Result<Self> {
        let port = Port::open(&setup)?;
        let wire = Arc::new(Mutex::new(Wire::new(setup.rules, units)));
        let wake = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
        let (orders, inbox) = mpsc::channel();
        let mover = Mover {
            setup: setup.clone(),
            wire: Arc::clone(&wire),
            wake: Arc::clone(&wake),
            inbox,
            port: Some(port),
            start: Instant::now(),
        };
        let thread = std::thread::Builder::new()
            .name("sim-line".into())
            .spawn(move || mover.run())?;
        Ok(Self {
            setup,
            wire,
            orders,
            wake,
            thread: Some(thread),
        })
    }

    /// Where the master opens it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.setup.path
    }

    /// Its speed and shape.
    #[must_use]
    pub fn format(&self) -> Format {
        self.setup.rules.format
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> WireStats {
        self.lock().stats().clone()
    }

    /// Starts counting afresh.
    pub fn reset_stats(&self) {
        self.lock().reset_stats();
    }

    /// From now on, this noise.
    pub fn set_noise(&self, noise: Noise) {
        self.lock().set_noise(noise);
    }

    /// Queues a fault for the next answer without one.
    pub fn inject(&self, fault: Fault) {
        self.lock().inject(fault);
    }

    /// Pulls the adapter: the link goes, whoever has the port open reads an error.
    ///
    /// # Errors
    /// When the link cannot be removed.
    pub fn unplug(&self) -> io::Result<()> {
        self.order(Order::Unplug)
    }

    /// Puts it back: a new pseudo-terminal under the same link.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn replug(&self) -> io::Result<()> {
        self.order(Order::Replug)
    }

    fn order(&self, order: impl FnOnce(mpsc::SyncSender<io::Result<()>>) -> Order) -> io::Result<()> {
        let (answer, done) = mpsc::sync_channel(1);
        let gone = || io::Error::other("the line's thread has ended");
        self.orders.send(order(answer)).map_err(|_| gone())?;
        self.ring()?;
        done.recv().map_err(|_| gone())?
    }

    fn ring(&self) -> io::Result<()> {
        rustix::io::write(&*self.wake, &1_u64.to_ne_bytes())?;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // A thread that has already ended needs neither the order nor the bell.
        let _ = self.orders.send(Order::Stop);
        let _ = self.ring();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Both ends of a pseudo-terminal and the link to it.
struct Port {
    master: OwnedFd,
    /// Kept open so that the master end never reads end-of-file between two masters of the bus, and to lift
    /// the exclusive mark that a killed one leaves behind.
    peer: OwnedFd,
    link: PathBuf,
}

impl Port {
    fn open(setup: &LineSetup) -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let peer = ioctl_tiocgptpeer(&master, flags)?;
        let mut termios = tcgetattr(&peer)?;
        termios.make_raw();
        termios.set_speed(setup.rules.format.baud)?;
        tcsetattr(&peer, OptionalActions::Now, &termios)?;
        rustix::fs::fcntl_setfl(&master, rustix::fs::fcntl_getfl(&master)? | OFlags::NONBLOCK)?;
        let name = ptsname(&master, Vec::new())?;
        let target = Path::new(OsStr::from_bytes(name.as_bytes()));
        if let Some(parent) = setup.path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        // Renamed into place: whoever looks finds the old port or the new one, never none.
        let fresh = setup.path.with_extension("fresh");
        let _ = std::fs::remove_file(&fresh);
        std::os::unix::fs::symlink(target, &fresh)?;
        std::fs::rename(&fresh, &setup.path)?;
        Ok(Self {
            master,
            peer,
            link: setup.path.clone(),
        })
    }

    fn speed(&self) -> Option<u32> {
        Some(tcgetattr(&self.peer).ok()?.output_speed())
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // The link may already be gone with the directory it lay in.
        let _ = std::fs::remove_file(&self.link);
    }
}

/// The thread's own state.
struct Mover {
    setup: LineSetup,
    wire: Arc<Mutex<Wire>>,
    wake: Arc<OwnedFd>,
    inbox: mpsc::Receiver<Order>,
    port: Option<Port>,
    start: Instant,
}

impl Mover {
    fn run(mut self) {
        // A coarser timer only makes the line a little slower than its speed; it is not worth an error.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
        loop {
            if self.obey() {
                return;
            }
            self.take();
            let due = self.give();
            if self.wait(due).is_err() {
                return;
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Carries out orders; true: end.
    fn obey(&mut self) -> bool {
        let mut bell = [0; 8];
        let _ = rustix::io::read(&*self.wake, &mut bell);
        loop {
            match self.inbox.try_recv() {
                Ok(Order::Unplug(answer)) => {
                    self.port = None;
                    lock(&self.wire).clear();
                    let _ = answer.try_send(Ok(()));
                }
                Ok(Order::Replug(answer)) => {
                    self.port = None;
                    let opened = Port::open(&self.setup).map(|port| self.port = Some(port));
                    let _ = answer.try_send(opened);
                }
                Ok(Order::Stop) | Err(mpsc::TryRecvError::Disconnected) => return true,
                Err(mpsc::TryRecvError::Empty) => return false,
            }
        }
    }

    /// Takes what the master wrote.
    fn take(&mut self) {
        let Some(port) = &self.port else { return };
        let mut buffer = [0; 512];
        while let Ok(count @ 1..) = rustix::io::read(&port.master, &mut buffer) {
            let right = self.is_right_speed();
            let now = self.now();
            lock(&self.wire).arrived(now, &buffer[..count], right);
        }
        // Without this a master that was killed would leave the port marked as taken, for all but root.
        let _ = ioctl_tiocnxcl(&port.peer);
    }

    /// Whether the master is set to the speed of the line.
    fn is_right_speed(&self) -> bool {
        let port = self.port.as_ref().filter(|_| self.setup.check_speed);
        port.is_none_or(|port| port.speed() == Some(self.setup.rules.format.baud))
    }

    /// Hands over what has arrived at the master; when to look again.
    fn give(&self) -> Option<u64> {
        let right = self.is_right_speed();
        let mut wire = lock(&self.wire);
        loop {
            let now = self.now();
            match wire.poll(now) {
                // A master that does not read loses bytes, as with a real receiver.
                Some(mut bytes) => {
                    if !right {
                        bytes
                            .iter_mut()
                            .for_each(|byte| *byte = byte.rotate_left(3) ^ 0xA5);
                    }
                    if let Some(port) = &self.port {
                        let _ = rustix::io::write(&port.master, &bytes);
                    }
                }
                None if wire.due().is_some_and(|due| due <= now) => {}
                None => return wire.due(),
            }
        }
    }

    fn wait(&self, due: Option<u64>) -> io::Result<()> {
        // The idle period only serves to lift the exclusive mark of a master killed before its first request.
        let wait = due.map_or(Duration::from_millis(200), |due| {
            Duration::from_nanos(due.saturating_sub(self.now()))
        });
        let timeout = Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(1),
            tv_nsec: i64::from(wait.subsec_nanos()),
        };
        let mut fds = vec![PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN)];
        if let Some(port) = &self.port {
            fds.push(PollFd::from_borrowed_fd(port.master.as_fd(), PollFlags::IN));
        }
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn lock(wire: &Mutex<Wire>) -> MutexGuard<'_, Wire> {
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}
