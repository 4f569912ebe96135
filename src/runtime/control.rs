//! The local socket the command line talks to: one JSON request a line, one JSON answer a line.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// A request is a few words; more is not ours.
const REQUEST_MAX: u64 = 64 * 1024;
/// Nobody keeps the socket busy without saying anything.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longer than a reload that ends many charge points takes.
const LONGEST_ANSWER: Duration = Duration::from_secs(120);
/// A support bundle is far smaller.
const ANSWER_MAX: u64 = 16 * 1024 * 1024;

/// A daemon answers at once or hangs.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// The whole picture.
    Status,
    /// Read the configuration again.
    Reload,
    /// Whether the gateway itself is well.
    Health,
    /// What belongs into a support bundle.
    Diag,
}

/// A question with the way back.
pub type Question = (Ask, oneshot::Sender<Value>);

/// Makes the socket (mode 0660, in a directory that exists) and serves it until the task is dropped.
///
/// # Errors
/// When the path cannot be bound, e.g. because the directory is missing.
pub fn listen(path: &Path, questions: mpsc::Sender<Question>) -> io::Result<tokio::task::JoinHandle<()>> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    // The ledger's lock already says that no other daemon of this site runs: what is left here is dead.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o660))?;
    Ok(tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let questions = questions.clone();
                    tokio::spawn(async move {
                        let _ = serve(stream, questions).await;
                    });
                }
                Err(error) => {
                    tracing::warn!("control socket: {error}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }))
}

async fn serve(stream: UnixStream, questions: mpsc::Sender<Question>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read.take(REQUEST_MAX)).lines();
    while let Some(line) = timeout(PATIENCE, lines.next_line()).await?? {
        let answer = match serde_json::from_str::<Ask>(&line) {
            Err(error) => {
                serde_json::json!({ "error": format!("not a request: {error}; expected {{\"ask\":\"status\"}}") })
            }
            Ok(ask) => {
                let (back, answer) = oneshot::channel();
                if questions.send((ask, back)).await.is_err() {
                    return Ok(());
                }
                timeout(LONGEST_ANSWER, answer)
                    .await?
                    .unwrap_or_else(|_| serde_json::json!({ "error": "the daemon is stopping" }))
            }
        };
        timeout(PATIENCE, write.write_all(format!("{answer}\n").as_bytes())).await??;
    }
    Ok(())
}

/// The whole picture of the daemon behind this socket; `None`: none runs.
///
/// # Errors
/// In words: there is a socket, but nothing sensible comes out of it, or it is not ours to use.
pub async fn running(path: &Path) -> Result<Option<Value>, String> {
    match timeout(AT_ONCE, ask(path, &Ask::Status)).await {
        Ok(Ok(status)) => Ok(Some(status)),
        Ok(Err(error)) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
            _ => Err(error.to_string()),
        },
        Err(_) => Err(format!("no answer within {AT_ONCE:?}")),
    }
}

/// Asks a running daemon.
///
/// # Errors
/// `NotFound` or `ConnectionRefused` when no daemon runs; `PermissionDenied` when the socket is not ours to use;
/// `InvalidData` when the answer is not JSON.
pub async fn ask(path: &Path, ask: &Ask) -> io::Result<Value> {
    let mut stream = UnixStream::connect(path).await?;
    let request = serde_json::to_string(ask).map_err(io::Error::other)?;
    stream.write_all(format!("{request}\n").as_bytes()).await?;
    let mut line = String::new();
    BufReader::new(stream.take(ANSWER_MAX))
        .read_line(&mut line)
        .await?;
    serde_json::from_str(&line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
