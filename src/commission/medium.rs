//! The line under the tools: a real port, or in tests a simulated one.

use super::Settings;
use crate::bus::direct::{Direct, Heard, ListenOn};
use crate::domain::Link;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A line that can be opened with any settings, asked and listened to.
pub trait Medium: Send {
    /// Opens it, or opens it anew with other settings. Those mean nothing to a TCP connection.
    fn open(&mut self, settings: Settings) -> impl Future<Output = io::Result<()>> + Send;
    /// Sends a request after the silence the line wants and hears the answer.
    fn ask(
        &mut self,
        request: &[u8],
        wait: Duration,
        more: ListenOn<'_>,
    ) -> impl Future<Output = io::Result<Heard>> + Send;
    /// Listens without asking.
    fn listen(&mut self, wait: Duration) -> impl Future<Output = io::Result<Vec<u8>>> + Send;
}

/// A port of this machine, or a TCP endpoint.
pub struct Real {
    target: Target,
    gap: Duration,
    open: Option<Direct>,
}

/// Where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A serial port.
    Serial {
        /// Its path.
        path: PathBuf,
    },
    /// A TCP endpoint.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Serial { path } => write!(f, "{}", path.display()),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl Target {
    /// Where a link leads; `None`: no bytes go there.
    #[must_use]
    pub fn of(link: &Link) -> Option<Self> {
        match link {
            Link::Serial { path, .. } => Some(Self::Serial { path: path.clone() }),
            Link::Tcp { host, port } => Some(Self::Tcp {
                host: host.clone(),
                port: *port,
            }),
            Link::Gpio(_) | Link::Input { .. } => None,
        }
    }
}

impl Real {
    /// A port that is not open yet. `gap`: silence before each request, where more than the standard's is wanted.
    #[must_use]
    pub fn new(target: Target, gap: Duration) -> Self {
        Self {
            target,
            gap,
            open: None,
        }
    }

    fn port(&mut self) -> io::Result<&mut Direct> {
        self.open
            .as_mut()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the port is not open"))
    }
}

impl Medium for Real {
    async fn open(&mut self, settings: Settings) -> io::Result<()> {
        // Closed first: a serial port is ours alone.
        self.open = None;
        let link = match &self.target {
            Target::Serial { path } => Link::Serial {
                path: path.clone(),
                baud: settings.baud,
                parity: settings.parity,
                data_bits: settings.data_bits,
                stop_bits: settings.stop_bits,
                echo: false,
            },
            Target::Tcp { host, port } => Link::Tcp {
                host: host.clone(),
                port: *port,
            },
        };
        self.open = Some(Direct::open(&link, self.gap).await?);
        Ok(())
    }

    async fn ask(&mut self, request: &[u8], wait: Duration, more: ListenOn<'_>) -> io::Result<Heard> {
        self.port()?.ask(request, wait, more).await
    }

    async fn listen(&mut self, wait: Duration) -> io::Result<Vec<u8>> {
        self.port()?.listen(wait).await
    }
}
