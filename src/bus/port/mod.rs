//! Ports: opening them, and Modbus on them: RTU or ASCII frames on a serial line or behind a serial device
//! server, or a TCP connection with MBAP. Any does one exchange at a time.

mod ascii;
mod auto;
mod ghost;
mod input;
pub(crate) mod line;
mod scan;
pub(crate) mod serial;
pub(crate) mod tcp;
mod think;

pub use ascii::AsciiScan;
pub use scan::{Found, Scan, Wanted};

use super::frame::FrameError;
use super::timer::Timer;
use crate::device::{Pdu, Reply, Serial};
use crate::domain::{BusSetup, DriveError, Framing, Link};
use futures_util::future::BoxFuture;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::Notify;

/// Bytes in and out.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {
    /// Bytes written that have not left the port, as far as that can be known.
    fn unsent(&self) -> io::Result<u32> {
        Ok(0)
    }

    /// Changes the settings of a serial port. Whatever else it is has none.
    fn set(&mut self, _settings: &Serial) -> io::Result<()> {
        Ok(())
    }
}

impl Wire for tokio::net::TcpStream {}
#[cfg(test)]
impl Wire for tokio::io::DuplexStream {}

/// Opens the same port again and again, by its stable name.
pub(crate) type Opener = Box<dyn FnMut() -> BoxFuture<'static, io::Result<Box<dyn Wire>>> + Send>;

/// The opener of a configured link.
pub(crate) fn opener(link: Link) -> Opener {
    Box::new(move || {
        let link = link.clone();
        Box::pin(async move {
            match link {
                Link::Serial { .. } => serial::open(&link),
                Link::Input { path } => input::open(&path),
                Link::Tcp { host, port } => tcp::connect(&host, port).await,
                Link::Gpio(_) => Err(io::ErrorKind::Unsupported.into()),
            }
        })
    })
}

/// Why an exchange gave no reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// Not a byte of an answer.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// Only bytes that are no answer to this request.
    #[error("{0}")]
    Garbled(FrameError),
    /// The device refused.
    #[error("exception {0:#04x}")]
    Exception(u8),
    /// Not sent: a stop goes first.
    #[error("a stop goes first")]
    Yielded,
    /// The port is gone.
    #[error("{0}")]
    Lost(#[from] io::Error),
}

impl From<&Fault> for DriveError {
    fn from(fault: &Fault) -> Self {
        match fault {
            Fault::Timeout(after) => Self::Timeout(*after),
            Fault::Garbled(_) => Self::Garbled,
            Fault::Exception(code) => Self::Exception(*code),
            Fault::Yielded => Self::Superseded,
            Fault::Lost(_) => Self::PortLost,
        }
    }
}

/// One exchange to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange<'a> {
    /// To which unit.
    pub unit: u8,
    /// What.
    pub pdu: &'a Pdu,
    /// Wait for the first byte of the answer.
    pub timeout: Duration,
    /// Silence before it, where more than the line's own is wanted.
    pub gap: Duration,
    /// Rung when a stop waits: an overdue answer is then given up.
    pub urgent: &'a Notify,
}

/// Counts of what was seen on the line, for logs and the doctor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Requests sent.
    pub sent: u64,
    /// Replies and exceptions taken.
    pub taken: u64,
    /// Frames dropped because they answered something else.
    pub foreign: u64,
    /// Bytes dropped because they were no frame.
    pub noise: u64,
    /// Answers dropped because they may have been an earlier request's.
    pub ambiguous: u64,
    /// Own requests heard again.
    pub echoes: u64,
    /// From the last byte of the last request that was answered to the last of its answer.
    pub answer_took: Duration,
}

/// An open port with Modbus.
pub(crate) enum Line {
    /// RTU or ASCII frames.
    Serial(line::SerialLine),
    /// Modbus TCP.
    Mbap(tcp::MbapLine),
    /// A TCP connection whose framing is not known yet.
    Auto(auto::AutoLine),
}

impl Line {
    /// A line for freshly opened `wire`. `known`: the framing that was answered before, where it was to be found out.
    pub(crate) fn new(setup: &BusSetup, known: Option<Framing>, wire: Box<dyn Wire>, timer: Timer) -> Self {
        match (&setup.link, setup.framing) {
            (Link::Tcp { host, port }, Framing::Auto) => {
                let auto = auto::AutoLine::new((host.clone(), *port), known, wire, timer, setup.min_gap);
                Self::Auto(auto)
            }
            (Link::Tcp { .. } | Link::Gpio(_), framing) => {
                Self::over_tcp(framing, wire, timer, setup.min_gap)
            }
            (link, framing) => {
                let echo = matches!(link, Link::Serial { echo: true, .. });
                let pace = serial::Pace::of(&setup.link, setup.min_gap);
                Self::Serial(match framing {
                    Framing::Ascii => line::SerialLine::ascii(wire, timer, pace, echo),
                    Framing::Rtu | Framing::Tcp | Framing::Auto => {
                        line::SerialLine::new(wire, timer, pace, echo)
                    }
                })
            }
        }
    }

    /// A line in this framing behind a TCP connection.
    fn over_tcp(framing: Framing, wire: Box<dyn Wire>, timer: Timer, min_gap: Duration) -> Self {
        let pace = serial::Pace::behind_tcp(min_gap);
        match framing {
            Framing::Rtu => Self::Serial(line::SerialLine::new(wire, timer, pace, false).behind_tcp()),
            Framing::Ascii => Self::Serial(line::SerialLine::ascii(wire, timer, pace, false).behind_tcp()),
            Framing::Tcp | Framing::Auto => Self::Mbap(tcp::MbapLine::new(wire, timer, min_gap)),
        }
    }

    /// Sends a request and waits for its reply.
    pub(crate) async fn exchange(&mut self, what: Exchange<'_>) -> Result<Reply, Fault> {
        match self {
            Self::Serial(line) => line.exchange(what).await,
            Self::Mbap(line) => line.exchange(what).await,
            Self::Auto(line) => Box::pin(line.exchange(what)).await,
        }
    }

    /// Watches the idle port: returns only when it is lost. What comes in unasked is dropped.
    pub(crate) async fn watch(&mut self) -> io::Error {
        match self {
            Self::Serial(line) => line.watch().await,
            Self::Mbap(line) => line.watch().await,
            Self::Auto(line) => Box::pin(line.watch()).await,
        }
    }

    /// How long a request must still be held back so that a late answer cannot be taken for its own.
    pub(crate) fn hold(&self, unit: u8, pdu: &Pdu) -> Option<Duration> {
        match self {
            Self::Serial(line) => line.hold(unit, pdu),
            Self::Mbap(_) => None,
            Self::Auto(line) => line.line().hold(unit, pdu),
        }
    }

    /// Counts so far.
    pub(crate) fn seen(&self) -> Seen {
        match self {
            Self::Serial(line) => line.seen,
            Self::Mbap(line) => line.seen,
            Self::Auto(line) => line.line().seen(),
        }
    }

    /// The framing that was answered, where it was to be found out.
    pub(crate) fn known(&self) -> Option<Framing> {
        match self {
            Self::Auto(line) => line.known(),
            Self::Serial(_) | Self::Mbap(_) => None,
        }
    }
}

/// Reads what is there. Zero bytes mean that the other end is gone: a pseudo-terminal without a master, an
/// adapter pulled out, a closed connection.
pub(super) async fn read(wire: &mut dyn Wire, buf: &mut Vec<u8>) -> io::Result<usize> {
    let mut chunk = [0; 256];
    match wire.read(&mut chunk).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => {
            buf.extend_from_slice(&chunk[..count]);
            Ok(count)
        }
    }
}
