//! From a URL to an open WebSocket: DNS, TCP, TLS, upgrade, all within one time-out.
//!
//! * exactly one sub-protocol is offered, and an upgrade without it is refused (interop rule 8);
//! * HTTP Basic carries the charge point's identity as user (1.6 whitepaper ed. 3 section 2.2; 2.0.1 A00.FR.204);
//! * path, prefix and trailing slash go out as they are written (interop rule 12).

use super::error::{ConnectError, Stage};
use super::tls::{self, Login};
use super::traffic::{Counted, Traffic};
use super::trust;
use crate::domain::{Clock, CpId, CsmsSetup, OcppVersion};
use crate::ocpp::MAX_MESSAGE_BYTES;
use base64::Engine;
use rustls::pki_types::{CertificateDer, ServerName};
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{ProtocolError, SubProtocolError};
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Uri, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Error};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Enough for every message of the usual day; larger ones grow it for as long as they last.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// What may wait for a peer that does not read: our largest message and room for control frames.
const WRITE_BUFFER_MAX_BYTES: usize = 1024 * 1024;

/// Plain TCP or TLS over it.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An open connection.
pub(super) type Socket = WebSocketStream<Box<dyn Stream>>;

/// What is needed to connect, cloned for each attempt.
#[derive(Clone)]
pub(super) struct Dial {
    /// The URL is that of the security profile in use.
    pub(super) setup: CsmsSetup,
    pub(super) cp: CpId,
    pub(super) login: Login,
    pub(super) trust_dir: Option<PathBuf>,
    /// Roots a CSMS has installed.
    pub(super) installed: Vec<CertificateDer<'static>>,
    pub(super) clock: Arc<dyn Clock>,
    /// Counts what goes through.
    pub(super) traffic: Arc<Traffic>,
}

/// How far an attempt has come, for whoever looks on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// The URL can be used; it leads to this host and port.
    Url(String, u16),
    /// The name has these addresses.
    Resolved(Vec<SocketAddr>),
    /// TCP is open.
    Connected(SocketAddr),
    /// TLS is agreed on; its version.
    Secured(String),
}

/// Told of every step.
pub(super) type Onlooker<'a> = &'a mut (dyn FnMut(Passed) + Send);

/// What the CSMS showed of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Peer {
    /// Its name in the URL.
    pub(super) host: String,
    /// Its certificate and what it sent with it; empty without TLS.
    pub(super) chain: Vec<CertificateDer<'static>>,
}

/// A connection ready for the upgrade.
pub(super) struct Ready {
    stream: Box<dyn Stream>,
    chain: Vec<CertificateDer<'static>>,
    request: Request,
    host: String,
    until: Until,
}

impl Dial {
    /// One attempt, within the connect time-out.
    pub(super) async fn open(self) -> Result<(Socket, Peer), ConnectError> {
        let ready = self.approach(&mut |_| {}).await?;
        let peer = Peer {
            host: ready.host.clone(),
            chain: ready.chain.clone(),
        };
        Ok((self.upgrade(ready).await?, peer))
    }

    /// Name, TCP and TLS: nothing a CSMS takes notice of.
    pub(super) async fn approach(&self, onlooker: Onlooker<'_>) -> Result<Ready, ConnectError> {
        let uri = self.uri()?;
        let target = Target::of(&uri)?;
        let request = self.request(uri)?;
        onlooker(Passed::Url(target.host.clone(), target.port));
        let until = Until {
            at: Instant::now() + self.setup.connect_timeout,
            after: self.setup.connect_timeout,
        };
        let tcp = target.connect(until, onlooker).await?;
        let tcp = Counted::new(tcp, Arc::clone(&self.traffic));
        let mut chain = Vec::new();
        let stream: Box<dyn Stream> = if target.tls {
            let tls = until.within(Stage::Tls, self.secure(tcp, &target.host)).await??;
            let session = tls.get_ref().1;
            let shown = session.peer_certificates().unwrap_or_default();
            chain = shown.iter().map(|one| one.clone().into_owned()).collect();
            let version = session.protocol_version();
            onlooker(Passed::Secured(
                version.map_or_else(String::new, |v| format!("{v:?}")),
            ));
            Box::new(tls)
        } else {
            Box::new(tcp)
        };
        let host = target.host;
        Ok(Ready {
            stream,
            chain,
            request,
            host,
            until,
        })
    }

    /// The WebSocket upgrade with login and sub-protocol: from here on the charge point is connected.
    pub(super) async fn upgrade(&self, ready: Ready) -> Result<Socket, ConnectError> {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(READ_BUFFER_BYTES)
            .max_write_buffer_size(WRITE_BUFFER_MAX_BYTES)
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let upgrade = client_async_with_config(ready.request, ready.stream, Some(config));
        let (socket, response) = ready
            .until
            .within(Stage::Upgrade, upgrade)
            .await?
            .map_err(|error| self.refused(error, &ready.host))?;
        let offered = self.subprotocol();
        match response.headers().get(header::SEC_WEBSOCKET_PROTOCOL) {
            Some(chosen) if chosen.as_bytes() == offered.as_bytes() => Ok(socket),
            Some(_) => Err(ConnectError::WrongSubprotocol { offered }),
            None => Err(ConnectError::NoSubprotocol { offered }),
        }
    }

    /// The sub-protocol offered.
    pub(super) fn subprotocol(&self) -> &'static str {
        match self.setup.version {
            OcppVersion::V16 => "ocpp1.6",
            OcppVersion::V201 => "ocpp2.0.1",
        }
    }

    fn uri(&self) -> Result<Uri, ConnectError> {
        self.setup
            .url
            .parse()
            .map_err(|error: tungstenite::http::uri::InvalidUri| bad_url(&error))
    }

    fn request(&self, uri: Uri) -> Result<Request, ConnectError> {
        let mut request = uri.into_client_request().map_err(|error| bad_url(&error))?;
        let headers = request.headers_mut();
        let offered = HeaderValue::from_static(self.subprotocol());
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, offered);
        let agent = HeaderValue::from_static(concat!("retrovolt/", env!("CARGO_PKG_VERSION")));
        headers.insert(header::USER_AGENT, agent);
        if let Login::Basic(password) = &self.login {
            // The password may be any bytes (A00.FR.205).
            let mut words = format!("{}:", self.cp).into_bytes();
            words.extend_from_slice(password.bytes());
            let login = base64::engine::general_purpose::STANDARD.encode(words);
            let mut login =
                HeaderValue::from_str(&format!("Basic {login}")).map_err(|error| bad_url(&error))?;
            login.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, login);
        }
        Ok(request)
    }

    async fn secure(
        &self,
        tcp: Counted<TcpStream>,
        host: &str,
    ) -> Result<tokio_rustls::client::TlsStream<Counted<TcpStream>>, ConnectError> {
        let (login, trust_dir, installed) =
            (self.login.clone(), self.trust_dir.clone(), self.installed.clone());
        let clock = Arc::clone(&self.clock);
        let read = move || {
            let roots = trust::roots(trust_dir.as_deref(), &installed);
            tls::client_config(&login, roots, clock)
        };
        let other = |reason: String| ConnectError::Tls {
            host: host.to_owned(),
            reason,
        };
        let config = tokio::task::spawn_blocking(read)
            .await
            .map_err(|error| other(error.to_string()))??;
        let name = ServerName::try_from(host.to_owned()).map_err(|error| bad_url(&error))?;
        TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
            .map_err(|error| {
                tls::explain(&error, host, self.clock.as_ref()).unwrap_or_else(|| other(error.to_string()))
            })
    }

    fn refused(&self, error: Error, host: &str) -> ConnectError {
        let offered = self.subprotocol();
        match error {
            Error::Http(response) => match response.status().as_u16() {
                401 => ConnectError::Unauthorized,
                403 => ConnectError::Forbidden,
                404 => ConnectError::NotFound,
                status => ConnectError::Status { status },
            },
            Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(what)) => match what {
                SubProtocolError::NoSubProtocol => ConnectError::NoSubprotocol { offered },
                SubProtocolError::InvalidSubProtocol
                | SubProtocolError::ServerSentSubProtocolNoneRequested => {
                    ConnectError::WrongSubprotocol { offered }
                }
            },
            // With TLS 1.3 a server tells only here what it thinks of our certificate.
            Error::Io(io) => {
                tls::explain(&io, host, self.clock.as_ref()).unwrap_or_else(|| ConnectError::NotWebSocket {
                    reason: io.to_string(),
                })
            }
            other => ConnectError::NotWebSocket {
                reason: other.to_string(),
            },
        }
    }
}

fn bad_url(reason: &dyn std::fmt::Display) -> ConnectError {
    ConnectError::BadUrl {
        reason: reason.to_string(),
    }
}

/// The end of an attempt.
#[derive(Clone, Copy)]
struct Until {
    at: Instant,
    after: std::time::Duration,
}

impl Until {
    async fn within<F: Future>(self, stage: Stage, future: F) -> Result<F::Output, ConnectError> {
        timeout_at(self.at, future)
            .await
            .map_err(|_| ConnectError::Timeout {
                stage,
                after: self.after,
            })
    }
}

/// Where a URL leads.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    host: String,
    port: u16,
    tls: bool,
}

impl Target {
    fn of(uri: &Uri) -> Result<Self, ConnectError> {
        let tls = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            _ => return Err(bad_url(&"it must begin with ws:// or wss://")),
        };
        let host = uri.host().unwrap_or_default();
        let host = host
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
            .unwrap_or(host);
        if host.is_empty() {
            return Err(bad_url(&"there is no host in it"));
        }
        Ok(Self {
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            tls,
        })
    }

    /// Tries the addresses in turn, each with its share of the time that is left.
    async fn connect(&self, until: Until, onlooker: Onlooker<'_>) -> Result<TcpStream, ConnectError> {
        let dns = |reason: String| ConnectError::Dns {
            host: self.host.clone(),
            reason,
        };
        let found = until
            .within(Stage::Dns, lookup_host((self.host.as_str(), self.port)))
            .await?;
        let addresses: Vec<SocketAddr> = found.map_err(|error| dns(error.to_string()))?.collect();
        onlooker(Passed::Resolved(addresses.clone()));
        let mut last = dns("it has no address".to_owned());
        for (n, address) in addresses.iter().enumerate() {
            let left = until.at.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - n).unwrap_or(u32::MAX);
            last = match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => {
                    // Small frames must not wait for each other; a socket without the option works as well.
                    let _ = tcp.set_nodelay(true);
                    onlooker(Passed::Connected(*address));
                    return Ok(tcp);
                }
                Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                    ConnectError::Refused { address: *address }
                }
                Ok(Err(error)) => ConnectError::Unreachable {
                    address: *address,
                    reason: error.to_string(),
                },
                Err(_) => ConnectError::Timeout {
                    stage: Stage::Tcp,
                    after: until.after,
                },
            };
        }
        Err(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, ConnectError> {
        Target::of(&url.parse().expect("a URI"))
    }

    #[test]
    fn ports_hosts_and_schemes_are_read_from_the_url() {
        let leads = |host: &str, port, tls| {
            Ok(Target {
                host: host.to_owned(),
                port,
                tls,
            })
        };
        assert_eq!(target("ws://csms.example/a"), leads("csms.example", 80, false));
        assert_eq!(target("wss://csms.example/a/"), leads("csms.example", 443, true));
        assert_eq!(target("wss://[fe80::1]:9000/a"), leads("fe80::1", 9000, true));
        assert!(matches!(
            target("http://csms.example/a"),
            Err(ConnectError::BadUrl { .. })
        ));
    }
}
