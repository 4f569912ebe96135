//! The running gateway behind its control socket: shared by the verbs that ask it.

use crate::runtime::control::{Ask, ask};
use crate::runtime::exit;
use clap::Args;
use serde_json::Value;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

/// Where the gateway is asked.
#[derive(Debug, Args)]
pub struct SocketArgs {
    /// Control socket of the gateway.
    #[arg(long, default_value = "/run/retrovolt/ctl.sock")]
    pub socket: PathBuf,
}

/// Why there is no answer.
#[derive(Debug)]
pub struct Silent {
    /// In words, with the next step.
    pub words: String,
    /// The exit code that says so: 69 or 77.
    pub code: u8,
    /// Nobody listens, rather than somebody who does not answer.
    pub absent: bool,
}

impl SocketArgs {
    /// Asks.
    ///
    /// # Errors
    /// When nothing comes back within `patience`.
    pub async fn ask(&self, what: &Ask, patience: Duration) -> Result<Value, Silent> {
        let place = self.socket.display();
        let error = match tokio::time::timeout(patience, ask(&self.socket, what)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error,
            Err(_) => {
                return Err(Silent {
                    words: format!("{place}: no answer within {patience:?}; the gateway hangs"),
                    code: exit::UNAVAILABLE,
                    absent: false,
                });
            }
        };
        let (next, code) = match error.kind() {
            ErrorKind::PermissionDenied => (
                "you may not use it; join the group of the socket or use sudo",
                exit::NO_PERMISSION,
            ),
            _ => (
                "no gateway answers there; is it running (`systemctl status retrovolt`)?",
                exit::UNAVAILABLE,
            ),
        };
        Err(Silent {
            words: format!("{place}: {error}: {next}"),
            code,
            absent: matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused),
        })
    }
}
