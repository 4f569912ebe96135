//! What is wrong with the way to a CSMS: step by step, each with what was seen, the cause, and what to do next.
//!
//! Rules kept here:
//! * no OCPP message is ever sent: a doctor must not boot a charge point a second time. What a silent CSMS does with a
//!   BootNotification is told by the gateway's own link, if the gateway runs;
//! * where the running gateway is connected, or may be, nothing beyond TLS is tried: a second connection with the same
//!   identity would push its link out;
//! * everything is over within 14 s: [`CONNECT_WAIT`] + [`WATCH`] + [`FAREWELL`];
//! * no password, key, query or user part of a URL comes into a report.

use super::connect::{Passed, Socket};
use super::error::{ConnectError, Stage};
use super::vault::Vault;
use super::wire::closed_by_peer;
use crate::domain::{Check, Checkup, Clock, CpId, CsmsSetup, Verdict};
use crate::ocpp::{FLOOR_UNIX_MS, format_utc};
use futures_util::{SinkExt, StreamExt};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Message, Utf8Bytes};

/// Longest wait for name, TCP, TLS and upgrade together.
pub const CONNECT_WAIT: Duration = Duration::from_secs(9);
/// How long an open connection is watched: a CSMS that does not know the identity closes it soon.
pub const WATCH: Duration = Duration::from_secs(3);
/// How long the close may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// A cause the doctor knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The URL cannot be used.
    BadUrl,
    /// The name has no address.
    NameUnknown,
    /// The name server does not answer.
    DnsSilent,
    /// Nobody listens on the port.
    Refused,
    /// There is no way to the host.
    Unreachable,
    /// Packets to the port vanish.
    TcpSilent,
    /// Our own certificate or key cannot be used.
    OwnFiles,
    /// The port does not speak TLS.
    NotTls,
    /// The server speaks only TLS older than 1.2.
    TlsVersion,
    /// The server allows only cipher suites that are not allowed here.
    TlsCipher,
    /// The server ended the TLS handshake without saying why.
    TlsRefused,
    /// The TLS handshake hangs.
    TlsSilent,
    /// The certificate is of an authority that is not trusted here.
    TlsChain,
    /// The certificate is for another name.
    TlsName,
    /// The certificate has expired.
    TlsExpired,
    /// The clock of this machine is wrong.
    Clock,
    /// The CSMS wants another client certificate, or one at all.
    ClientCertificate,
    /// HTTP 401.
    Unauthorized,
    /// HTTP 403.
    Forbidden,
    /// HTTP 404.
    NotFound,
    /// Another HTTP status.
    HttpStatus,
    /// The upgrade is accepted without the sub-protocol.
    NoSubprotocol,
    /// The upgrade is accepted with another sub-protocol.
    WrongSubprotocol,
    /// What answers is no WebSocket.
    NotWebSocket,
    /// The upgrade is never answered.
    SilentServer,
    /// The CSMS closes at once: it does not know this identity.
    WrongIdentity,
    /// The connection is dropped at once without a close.
    Dropped,
    /// The connection is open and nothing answers on it.
    NoPong,
    /// The CSMS has not accepted the registration.
    NotAccepted,
    /// The running gateway is not connected.
    GatewayOffline,
    /// The running gateway cannot be asked.
    GatewayUnknown,
}

/// What was found about one CSMS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Which charge point.
    pub charge_point: String,
    /// Which of its CSMSs.
    pub csms: String,
    /// Its URL without what could be secret.
    pub url: String,
    /// The worst of the checks.
    pub result: Verdict,
    /// The cause to look at first; `None`: there is nothing wrong.
    pub cause: Option<Cause>,
    /// All of them, in the order they were made: `url`, `clock`, `dns`, `tcp`, `tls`, `upgrade`, `alive` or `gateway`.
    pub checks: Vec<Check<Cause>>,
}

/// What the running gateway says about its own link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gateway {
    /// It does not run, or does not serve this CSMS.
    Absent,
    /// It runs and cannot be asked: why.
    Unknown(String),
    /// It runs.
    Link {
        /// The socket is open.
        connected: bool,
        /// `accepted`, `pending`, `rejected` or `none`.
        registration: String,
        /// The CALL that waits for its answer.
        waiting_for: Option<String>,
        /// Last event in words.
        detail: String,
    },
}

/// What is to be examined.
pub struct Subject {
    /// The CSMS.
    pub csms: CsmsSetup,
    /// The identity.
    pub cp: CpId,
    /// PEM files trusted beside the system's own.
    pub trust_dir: Option<PathBuf>,
    /// Where the gateway keeps what a CSMS has changed of the credentials; `None`: there is nothing of the kind.
    pub state_dir: Option<PathBuf>,
    /// The clock certificates are judged by: the gateway's, never behind the build.
    pub clock: Arc<dyn Clock>,
    /// What this machine's clock really says, Unix milliseconds.
    pub machine_unix_ms: i64,
    /// The gateway's own link.
    pub gateway: Gateway,
}

/// Examines the way to a CSMS.
pub async fn examine(subject: Subject) -> Report {
    let mut visit = Visit {
        checkup: Checkup::default(),
        clock_is_wrong: subject.machine_unix_ms < FLOOR_UNIX_MS,
    };
    let csms = CsmsSetup {
        connect_timeout: subject.csms.connect_timeout.min(CONNECT_WAIT),
        ..subject.csms.clone()
    };
    let state_dir = subject.state_dir.as_deref();
    let dial = Vault::open(
        csms,
        subject.cp.clone(),
        subject.trust_dir,
        state_dir,
        subject.clock,
    )
    .dial();
    visit.clock(subject.machine_unix_ms);
    match dial.approach(&mut |passed| visit.passed(&passed)).await {
        Err(error) => visit.failed(&error),
        Ok(ready) if may_connect(&subject.gateway) => match dial.upgrade(ready).await {
            Ok(socket) => {
                visit
                    .checkup
                    .good("upgrade", format!("accepted, {}", dial.subprotocol()));
                visit.alive(socket).await;
            }
            Err(error) => visit.failed(&error),
        },
        Ok(_) => visit.checkup.skip(
            "upgrade",
            "not tried: a second connection with this identity could push the gateway's own out",
        ),
    }
    visit.gateway(&subject.gateway);
    visit.report(subject.cp.as_str(), &subject.csms)
}

/// Only where the gateway is known not to be connected.
fn may_connect(gateway: &Gateway) -> bool {
    match gateway {
        Gateway::Absent => true,
        Gateway::Unknown(_) => false,
        Gateway::Link { connected, .. } => !connected,
    }
}

struct Visit {
    checkup: Checkup<Cause>,
    clock_is_wrong: bool,
}

impl Visit {
    fn clock(&mut self, machine_unix_ms: i64) {
        let shown = format_utc(machine_unix_ms);
        if self.clock_is_wrong {
            let evidence =
                format!("this machine's clock says {shown}, which is before this program was built");
            let next = "set the clock of this machine, by NTP if it can be had";
            self.checkup.warning("clock", evidence, Cause::Clock, next);
        } else {
            self.checkup
                .good("clock", format!("this machine's clock says {shown}"));
        }
    }

    fn passed(&mut self, passed: &Passed) {
        match passed {
            Passed::Url(host, port) => self.checkup.good("url", format!("leads to {host}, port {port}")),
            Passed::Resolved(addresses) => {
                let shown: Vec<String> = addresses.iter().take(4).map(|a| a.ip().to_string()).collect();
                self.checkup.good("dns", shown.join(", "));
            }
            Passed::Connected(address) => self.checkup.good("tcp", format!("{address} accepts connections")),
            Passed::Secured(version) => self
                .checkup
                .good("tls", format!("{version}, certificate trusted")),
        }
    }

    fn failed(&mut self, error: &ConnectError) {
        let (check, cause) = placed(error);
        // The certificate is not to blame where the clock is known to be wrong.
        let by_clock = self.clock_is_wrong && cause == Cause::TlsExpired;
        let (cause, next) = if by_clock {
            let first = "set the clock of this machine; only then the certificate can be judged";
            (Cause::Clock, first)
        } else {
            (cause, error.next_step())
        };
        self.checkup.failure(check, error.to_string(), cause, next);
    }

    /// Watches the open connection: a close says that the identity is not welcome, a pong that somebody is there.
    async fn alive(&mut self, mut socket: Socket) {
        let until = Instant::now() + WATCH;
        let asked = socket.send(Message::Ping(Bytes::from_static(b"doctor"))).await;
        let mut pong = false;
        let ended = loop {
            if let Err(error) = &asked {
                break Some((Cause::Dropped, format!("the connection is lost at once: {error}")));
            }
            match timeout_at(until, socket.next()).await {
                Err(_) => break None,
                Ok(Some(Ok(Message::Pong(_)))) => pong = true,
                Ok(Some(Ok(Message::Close(frame)))) => {
                    break Some((Cause::WrongIdentity, closed_by_peer(frame.as_ref())));
                }
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(error))) => {
                    break Some((Cause::Dropped, format!("the connection is lost at once: {error}")));
                }
                Ok(None) => break Some((Cause::Dropped, "the connection is lost at once".to_owned())),
            }
        };
        match ended {
            Some((cause, evidence)) => {
                let next = match cause {
                    Cause::WrongIdentity => {
                        "check with the CSMS operator that this identity is on its list, spelled exactly so"
                    }
                    _ => "look into the log of the CSMS, or of the proxy before it",
                };
                self.checkup.failure("alive", evidence, cause, next);
            }
            None if pong => {
                self.checkup.good("alive", "stays open and answers a ping");
                goodbye(&mut socket).await;
            }
            None => {
                let evidence = format!("open, but no answer to a ping within {WATCH:?}");
                let next = "ask the CSMS operator whether a proxy in between swallows WebSocket pings; if so set ping = 0";
                self.checkup.warning("alive", evidence, Cause::NoPong, next);
                goodbye(&mut socket).await;
            }
        }
    }

    fn gateway(&mut self, gateway: &Gateway) {
        match gateway {
            Gateway::Absent => {}
            Gateway::Unknown(why) => {
                let evidence = format!("the running gateway cannot be asked: {why}");
                let next = "run this as root or as a member of the group of its socket";
                self.checkup
                    .warning("gateway", evidence, Cause::GatewayUnknown, next);
            }
            Gateway::Link {
                connected: true,
                registration,
                waiting_for,
                ..
            } => self.connected(registration, waiting_for.as_deref()),
            Gateway::Link { detail, .. } => {
                let evidence = format!("the running gateway is not connected: {detail}");
                let next = "if all checks above are good, wait for its next attempt and look again";
                self.checkup
                    .warning("gateway", evidence, Cause::GatewayOffline, next);
            }
        }
    }

    fn connected(&mut self, registration: &str, waiting_for: Option<&str>) {
        if registration == "accepted" {
            return self
                .checkup
                .good("gateway", "the running gateway is connected and accepted");
        }
        let silent = waiting_for.map_or_else(String::new, |action| format!(", {action} not answered yet"));
        let evidence =
            format!("the running gateway is connected, its registration is '{registration}'{silent}");
        let next = "have the CSMS operator accept this charge point; if nothing is answered, look into the log of the CSMS";
        self.checkup
            .warning("gateway", evidence, Cause::NotAccepted, next);
    }

    fn report(self, cp: &str, csms: &CsmsSetup) -> Report {
        let (result, cause, checks) = self.checkup.concluded();
        Report {
            charge_point: cp.to_owned(),
            csms: csms.name.clone(),
            url: shown(&csms.url),
            result,
            cause,
            checks,
        }
    }
}

async fn goodbye(socket: &mut Socket) {
    let close = CloseFrame {
        code: CloseCode::Normal,
        reason: Utf8Bytes::from_static("the doctor has seen enough"),
    };
    // A peer that does not take it has been examined all the same.
    let _ = timeout(FAREWELL, socket.close(Some(close))).await;
}

/// The check an error belongs to, and its cause.
fn placed(error: &ConnectError) -> (&'static str, Cause) {
    match error {
        ConnectError::BadUrl { .. } => ("url", Cause::BadUrl),
        ConnectError::Dns { .. } => ("dns", Cause::NameUnknown),
        ConnectError::Refused { .. } => ("tcp", Cause::Refused),
        ConnectError::Unreachable { .. } => ("tcp", Cause::Unreachable),
        ConnectError::OwnFiles { .. } => ("tls", Cause::OwnFiles),
        ConnectError::TlsChain { .. } => ("tls", Cause::TlsChain),
        ConnectError::TlsName { .. } => ("tls", Cause::TlsName),
        ConnectError::TlsExpired { .. } => ("tls", Cause::TlsExpired),
        ConnectError::TlsNotYetValid { .. } => ("tls", Cause::Clock),
        ConnectError::TlsClient { .. } => ("tls", Cause::ClientCertificate),
        ConnectError::TlsVersion { .. } => ("tls", Cause::TlsVersion),
        ConnectError::TlsCipher { .. } => ("tls", Cause::TlsCipher),
        ConnectError::TlsRefused { .. } => ("tls", Cause::TlsRefused),
        ConnectError::Tls { .. } => ("tls", Cause::NotTls),
        ConnectError::Unauthorized => ("upgrade", Cause::Unauthorized),
        ConnectError::Forbidden => ("upgrade", Cause::Forbidden),
        ConnectError::NotFound => ("upgrade", Cause::NotFound),
        ConnectError::Status { .. } => ("upgrade", Cause::HttpStatus),
        ConnectError::NoSubprotocol { .. } => ("upgrade", Cause::NoSubprotocol),
        ConnectError::WrongSubprotocol { .. } => ("upgrade", Cause::WrongSubprotocol),
        ConnectError::NotWebSocket { .. } => ("upgrade", Cause::NotWebSocket),
        ConnectError::Timeout { stage, .. } => match stage {
            Stage::Dns => ("dns", Cause::DnsSilent),
            Stage::Tcp => ("tcp", Cause::TcpSilent),
            Stage::Tls => ("tls", Cause::TlsSilent),
            Stage::Upgrade => ("upgrade", Cause::SilentServer),
        },
    }
}

/// A URL without user, password and query.
fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let cut = rest.find(['?', '#']).unwrap_or(rest.len());
    let (rest, more) = rest.split_at(cut);
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let more = if more.is_empty() { "" } else { "?..." };
    format!("{scheme}://{host}{path}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_could_be_secret() {
        for (url, wanted) in [
            ("wss://csms.example/ocpp/CP1", "wss://csms.example/ocpp/CP1"),
            ("ws://me:s3cret@csms.example:9000/a/", "ws://csms.example:9000/a/"),
            ("wss://h/CP1?token=s3cret", "wss://h/CP1?..."),
            ("wss://h?token=s3/cret@x", "wss://h?..."),
            ("wss://me:s3cret@h", "wss://h"),
        ] {
            assert_eq!(shown(url), wanted);
        }
    }

    #[test]
    fn a_connection_is_tried_only_where_it_pushes_nobody_out() {
        let link = |connected| Gateway::Link {
            connected,
            registration: "none".to_owned(),
            waiting_for: None,
            detail: String::new(),
        };
        assert!(may_connect(&Gateway::Absent) && may_connect(&link(false)));
        assert!(!may_connect(&link(true)) && !may_connect(&Gateway::Unknown(String::new())));
    }
}
