//! The bytes under MQTT: TCP, TLS where wanted, and how many they are.

use super::error::{self, Failure, LinkError, Stage};
use super::{Dial, PATIENCE};
use crate::domain::{BrokerSetup, Bytes};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Makes the TLS settings of one connection, so that a renewed certificate needs no restart. Blocks on the file system.
/// The error is in words, with the file.
pub type MakeTls = Arc<dyn Fn() -> Result<Arc<ClientConfig>, String> + Send + Sync>;

/// Bytes over TCP, those of TLS among them.
#[derive(Debug, Default)]
pub struct Traffic {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Traffic {
    /// To the broker.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// From it.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Both ways.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        Bytes {
            sent: self.sent(),
            received: self.received(),
        }
    }
}

/// Opens what stands in the place of TCP, for tests in simulated time.
#[cfg(test)]
pub(crate) type Pipe = Arc<dyn Fn() -> io::Result<tokio::io::DuplexStream> + Send + Sync>;

/// What MQTT is spoken over.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for T {}

pub(super) type Socket = Box<dyn Duplex>;

/// A step that has gone well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::telemetry) enum Passed {
    /// The name has these addresses.
    Resolved(Vec<IpAddr>),
    /// This one accepts connections.
    Connected(SocketAddr),
    /// TLS is agreed on, in this version.
    Secured(String),
}

/// Who hears of the steps.
pub(in crate::telemetry) type Hear<'h> = &'h mut (dyn FnMut(Passed) + Send);

/// Opens TCP and, where wanted, TLS.
pub(super) async fn open(dial: &Dial, hear: Hear<'_>) -> Result<Socket, Failure> {
    let setup = &dial.setup;
    #[cfg(test)]
    if let Some(pipe) = &dial.pipe {
        let stream = pipe().map_err(|error| Failure::Told(error::tcp(&error, setup)))?;
        return Ok(Box::new(Counted {
            inner: stream,
            traffic: Arc::clone(&dial.traffic),
        }));
    }
    let addresses = timeout(PATIENCE, lookup_host((setup.host.as_str(), setup.port)))
        .await
        .map_err(|_| late(setup, Stage::Name))?
        .map_err(|error| Failure::Told(error::name(&error, setup)))?;
    let addresses: Vec<SocketAddr> = addresses.collect();
    hear(Passed::Resolved(addresses.iter().map(SocketAddr::ip).collect()));
    let tcp = timeout(PATIENCE, TcpStream::connect(&*addresses))
        .await
        .map_err(|_| late(setup, Stage::Tcp))?
        .map_err(|error| Failure::Told(error::tcp(&error, setup)))?;
    if let Ok(address) = tcp.peer_addr() {
        hear(Passed::Connected(address));
    }
    // Only a matter of latency.
    let _ = tcp.set_nodelay(true);
    let tcp = Counted {
        inner: tcp,
        traffic: Arc::clone(&dial.traffic),
    };
    if !setup.tls {
        return Ok(Box::new(tcp));
    }
    secure(dial, tcp, hear).await
}

fn late(setup: &BrokerSetup, stage: Stage) -> Failure {
    Failure::Told(LinkError::Late {
        host: setup.host.clone(),
        port: setup.port,
        stage,
        wait_s: PATIENCE.as_secs(),
    })
}

/// TLS over an open connection.
async fn secure(dial: &Dial, tcp: Counted<TcpStream>, hear: Hear<'_>) -> Result<Socket, Failure> {
    let setup = &dial.setup;
    let own = |reason| Failure::Told(LinkError::OwnFiles { reason });
    let make = Arc::clone(&dial.tls);
    let config = tokio::task::spawn_blocking(move || make())
        .await
        .map_err(|error| own(error.to_string()))?
        .map_err(own)?;
    let name = ServerName::try_from(setup.host.clone()).map_err(|error| own(error.to_string()))?;
    let stream = timeout(PATIENCE, TlsConnector::from(config).connect(name, tcp))
        .await
        .map_err(|_| late(setup, Stage::Tls))?
        .map_err(|error| {
            Failure::Told(error::tls(&error, setup).unwrap_or_else(|| LinkError::Tls {
                host: setup.host.clone(),
                port: setup.port,
                reason: error.to_string(),
            }))
        })?;
    let version = stream.get_ref().1.protocol_version();
    let version = version.map_or("TLS".to_owned(), |version| format!("{version:?}"));
    hear(Passed::Secured(version));
    Ok(Box::new(stream))
}

struct Counted<S> {
    inner: S,
    traffic: Arc<Traffic>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        self.traffic.received.fetch_add(read as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, buf))?;
        self.traffic.sent.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
