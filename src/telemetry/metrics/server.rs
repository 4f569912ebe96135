//! The endpoint: a small HTTP server that answers `GET /metrics` and nothing else.
//!
//! Rules kept here:
//! * whoever asks takes nothing from anybody else: so many connections, so many bytes of a request, so much time, one
//!   request a connection;
//! * nothing can be changed here, and no answer holds a token, a session or a text of an error;
//! * a port or path that cannot be had is told once and tried again.

use super::figures::{Figures, page};
use super::page::Format;
use crate::domain::Listen;
use crate::telemetry::Picture;
use futures_util::future::BoxFuture;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Connections at once; Prometheus needs one.
const MOST_CONNECTIONS: usize = 8;
/// Largest head of a request.
const MOST_REQUEST_BYTES: usize = 8 * 1024;
/// Most header lines.
const MOST_HEADERS: usize = 64;
/// A connection lasts no longer, whatever the other side does.
const PATIENCE: Duration = Duration::from_secs(10);
/// Wait before a port that could not be had is tried again.
const BIND_RETRY: Duration = Duration::from_secs(15);
/// Wait after the system had no connection to give.
const ACCEPT_RETRY: Duration = Duration::from_millis(500);

/// Whom the endpoint asks for figures.
pub trait Source: Send + Sync {
    /// What there is to tell now.
    fn figures(&self) -> BoxFuture<'_, Figures>;
}

/// What every answer is made of.
#[derive(Clone)]
pub struct Exhibit {
    /// The site.
    pub picture: watch::Receiver<Arc<Picture>>,
    /// Everything else.
    pub source: Arc<dyn Source>,
}

/// Serves until it is dropped.
pub async fn serve(listen: Listen, exhibit: Exhibit) {
    let mut told = None;
    loop {
        let error = match Door::open(&listen).await {
            Ok(door) => {
                tracing::info!(%listen, "metrics are served");
                told = None;
                door.serve(&exhibit).await
            }
            Err(error) => error,
        };
        let words = error.to_string();
        if told.as_ref() != Some(&words) {
            tracing::warn!(%listen, "metrics cannot be served: {words}; tried again every {BIND_RETRY:?}");
            told = Some(words);
        }
        sleep(BIND_RETRY).await;
    }
}

/// Where connections come in.
enum Door {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        _file: SocketFile,
    },
}

/// Takes the socket's file away with it.
struct SocketFile(std::path::PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Door {
    async fn open(listen: &Listen) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => Ok(Self::Tcp(TcpListener::bind(address).await?)),
            Listen::Unix(path) => {
                let socket = unix(path)?;
                Ok(Self::Unix {
                    listener: socket,
                    _file: SocketFile(path.clone()),
                })
            }
        }
    }

    /// Serves until the door itself is broken.
    async fn serve(&self, exhibit: &Exhibit) -> io::Error {
        let mut guests = JoinSet::new();
        loop {
            while guests.try_join_next().is_some() {}
            if guests.len() >= MOST_CONNECTIONS {
                // Who is served now leaves within its patience; until then the kernel keeps the others waiting.
                guests.join_next().await;
                continue;
            }
            let exhibit = exhibit.clone();
            let come = match self {
                Self::Tcp(listener) => listener.accept().await.map(|(stream, _)| {
                    guests.spawn(guest(stream, exhibit));
                }),
                Self::Unix { listener, .. } => listener.accept().await.map(|(stream, _)| {
                    guests.spawn(guest(stream, exhibit));
                }),
            };
            match come {
                Ok(()) => {}
                Err(error) if is_passing(&error) => sleep(ACCEPT_RETRY).await,
                Err(error) => return error,
            }
        }
    }
}

/// Whether only this connection is lost, or the system short of something; else the door itself is broken.
fn is_passing(error: &io::Error) -> bool {
    error.kind() != io::ErrorKind::InvalidInput
}

/// A socket in a file (mode 0660). What a dead process left there is taken away; a living one keeps it.
fn unix(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another process serves there",
        ));
    }
    match std::fs::symlink_metadata(path) {
        Ok(found) if std::os::unix::fs::FileTypeExt::is_socket(&found.file_type()) => {
            std::fs::remove_file(path)?;
        }
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "there is a file that is no socket",
            ));
        }
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

async fn guest(stream: impl AsyncRead + AsyncWrite + Unpin, exhibit: Exhibit) {
    // Who is too slow is cut off.
    let _ = timeout(PATIENCE, converse(stream, &exhibit)).await;
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, exhibit: &Exhibit) -> io::Result<()> {
    let mut head = Vec::with_capacity(1024);
    let request = loop {
        let mut chunk = [0; 1024];
        let count = stream.read(&mut chunk).await?;
        if count == 0 {
            return Ok(());
        }
        head.extend_from_slice(&chunk[..count]);
        if let Some(request) = understood(&head) {
            break request;
        }
    };
    let answer = match request {
        Request::Metrics { format, head_only } => {
            let figures = exhibit.source.figures().await;
            let picture = exhibit.picture.borrow().clone();
            let text = page(&figures, &picture).text(format);
            response("200 OK", format.content_type(), &text, "", head_only)
        }
        Request::Refused(status, words, more) => response(
            status,
            "text/plain; charset=utf-8",
            &format!("{words}\n"),
            more,
            false,
        ),
    };
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Request {
    Metrics {
        format: Format,
        head_only: bool,
    },
    /// Status, words, further header lines.
    Refused(&'static str, &'static str, &'static str),
}

/// `None`: there is more to come.
fn understood(head: &[u8]) -> Option<Request> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) if head.len() < MOST_REQUEST_BYTES => return None,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            let status = "431 Request Header Fields Too Large";
            return Some(Request::Refused(status, "the request is too large", ""));
        }
        Err(_) => return Some(Request::Refused("400 Bad Request", "this is no HTTP request", "")),
    }
    let head_only = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => {
            let (status, allow) = ("405 Method Not Allowed", "Allow: GET, HEAD\r\n");
            return Some(Request::Refused(status, "nothing can be changed here", allow));
        }
    };
    let path = request.path.unwrap_or_default();
    if path.split('?').next() != Some("/metrics") {
        return Some(Request::Refused(
            "404 Not Found",
            "the metrics are at /metrics",
            "",
        ));
    }
    let accepts = request
        .headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case("accept"));
    let accept: Vec<String> = accepts
        .map(|header| String::from_utf8_lossy(header.value).into_owned())
        .collect();
    Some(Request::Metrics {
        format: Format::accepted(&accept.join(",")),
        head_only,
    })
}

fn response(status: &str, content_type: &str, body: &str, more: &str, head_only: bool) -> String {
    let length = body.len();
    let body = if head_only { "" } else { body };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nVary: Accept\r\n\
         X-Content-Type-Options: nosniff\r\n{more}Connection: close\r\n\r\n{body}"
    )
}

#[cfg(test)]
#[path = "tests/server.rs"]
mod tests;
