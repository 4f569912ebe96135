//! A port taken for oneself, outside the running gateway: one request at a time, and everything that is heard. For the
//! installer's tools; drivers use the bus task.

use super::port::serial::{self, Pace};
use super::port::{self, Wire, tcp};
use super::timer::Timer;
use crate::domain::Link;
use std::io;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// What is overheard counts as ended after this much silence: longer than the latency of a USB adapter.
const ENDED: Duration = Duration::from_millis(30);
/// A frame that never ends is cut here.
const MOST_BYTES: usize = 4096;

/// What was heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Every byte, in order, our own included where the adapter echoes.
    pub bytes: Vec<u8>,
    /// From the last byte sent to the first byte heard.
    pub first: Option<Duration>,
}

/// How long to listen on, by what was heard so far; `None`: it is enough.
pub type ListenOn<'a> = &'a (dyn Fn(&[u8]) -> Option<Duration> + Send + Sync);

/// An open port.
pub struct Direct {
    wire: Box<dyn Wire>,
    timer: Timer,
    pace: Pace,
    traffic: Duration,
}

impl Direct {
    /// Opens a serial port for this process alone, or connects.
    ///
    /// # Errors
    /// What the system says.
    pub async fn open(link: &Link, min_gap: Duration) -> io::Result<Self> {
        let wire = match link {
            Link::Serial { .. } => serial::open(link)?,
            Link::Tcp { host, port } => tcp::connect(host, *port).await?,
            Link::Gpio(_) | Link::Input { .. } => return Err(io::ErrorKind::Unsupported.into()),
        };
        let timer = Timer::system()?;
        let traffic = timer.now();
        Ok(Self {
            wire,
            pace: Pace::of(link, min_gap),
            timer,
            traffic,
        })
    }

    /// Sends a request after the silence the line wants, and hears what comes, as long as `more` says, or until
    /// `wait` has passed without a byte.
    ///
    /// # Errors
    /// The port is gone.
    pub async fn ask(&mut self, request: &[u8], wait: Duration, more: ListenOn<'_>) -> io::Result<Heard> {
        // What is heard meanwhile is somebody else's, and the silence begins anew behind it.
        let gap = self.pace.gap;
        self.hear(self.traffic + gap, &move |_| Some(gap)).await?;
        let begin = self.timer.now();
        self.wire.write_all(request).await?;
        let sent = begin + self.pace.bytes(request.len());
        self.traffic = sent;
        let mut heard = self.hear(sent + wait, more).await?;
        heard.first = heard.first.map(|at| at.saturating_sub(sent));
        Ok(heard)
    }

    /// Listens without asking anything.
    ///
    /// # Errors
    /// The port is gone.
    pub async fn listen(&mut self, wait: Duration) -> io::Result<Vec<u8>> {
        let until = self.timer.now() + wait;
        let mut all = Vec::new();
        while self.timer.now() < until && all.len() < MOST_BYTES {
            all.extend(self.hear(until, &|_| Some(ENDED)).await?.bytes);
        }
        Ok(all)
    }

    /// Reads until `first` without a byte, then as long as `more` says. The `first` that is told is an instant.
    async fn hear(&mut self, first: Duration, more: ListenOn<'_>) -> io::Result<Heard> {
        let mut heard = Heard::default();
        while heard.bytes.len() < MOST_BYTES {
            let until = match (heard.first, more(&heard.bytes)) {
                (None, _) => first,
                (Some(_), None) => break,
                (Some(_), Some(pause)) => self.traffic + pause,
            };
            tokio::select! {
                biased;
                count = port::read(&mut *self.wire, &mut heard.bytes) => { count?; }
                passed = self.timer.until(until) => { passed?; break; }
            }
            self.traffic = self.timer.now();
            heard.first.get_or_insert(self.traffic);
        }
        Ok(heard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn the_silence_before_a_request_begins_anew_behind_foreign_bytes() {
        let (near, mut far) = tokio::io::duplex(64);
        let gap = Duration::from_millis(50);
        let timer = Timer::tokio();
        let mut direct = Direct {
            wire: Box::new(near),
            pace: Pace::behind_tcp(gap),
            traffic: timer.now(),
            timer,
        };
        let foreign = async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_millis(30)).await;
                far.write_all(&[0x55]).await.expect("the port is open");
            }
            let last = Instant::now();
            let mut request = [0; 2];
            far.read_exact(&mut request).await.expect("it is asked at last");
            last.elapsed()
        };
        let asked = direct.ask(&[1, 3], Duration::from_millis(10), &|_| None);
        let (silence, heard) = tokio::join!(foreign, asked);
        assert!(silence >= gap, "asked {silence:?} behind a foreign byte");
        assert_eq!(heard.expect("the port is open"), Heard::default());
    }
}
