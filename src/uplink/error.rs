//! Why a CSMS could not be reached, in words for the operator, with what to do about it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How far an attempt to connect had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Looking the name up.
    Dns,
    /// Opening the TCP connection.
    Tcp,
    /// Reading certificates and agreeing on TLS.
    Tls,
    /// The WebSocket upgrade.
    Upgrade,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Dns => "name look-up",
            Self::Tcp => "TCP connect",
            Self::Tls => "TLS handshake",
            Self::Upgrade => "WebSocket upgrade",
        })
    }
}

/// Why a connection could not be opened. Never carries a password or a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The URL cannot be used.
    #[error("the URL cannot be used: {reason}")]
    BadUrl {
        /// What is wrong with it.
        reason: String,
    },
    /// The host name has no address.
    #[error("the name {host} cannot be resolved: {reason}")]
    Dns {
        /// The name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// Nobody listens.
    #[error("{address} refuses connections")]
    Refused {
        /// Where.
        address: SocketAddr,
    },
    /// No way there.
    #[error("{address} cannot be reached: {reason}")]
    Unreachable {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// Our own TLS files cannot be used.
    #[error("{path} cannot be used: {reason}")]
    OwnFiles {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The server's certificate leads to no trusted root.
    #[error("the certificate of {host} is not issued by a trusted authority ({reason})")]
    TlsChain {
        /// Whose certificate.
        host: String,
        /// What is wrong with the chain.
        reason: String,
    },
    /// The server's certificate is for other names.
    #[error("the certificate is not for {host}; it is for {presented}")]
    TlsName {
        /// The name in the URL.
        host: String,
        /// The names in the certificate.
        presented: String,
    },
    /// The server's certificate has expired by this machine's clock.
    #[error("the certificate of {host} has expired by the clock of this machine ({clock})")]
    TlsExpired {
        /// Whose certificate.
        host: String,
        /// The time here and how it is known.
        clock: String,
    },
    /// The server's certificate is not valid yet by this machine's clock.
    #[error("the certificate of {host} is not valid yet by the clock of this machine ({clock})")]
    TlsNotYetValid {
        /// Whose certificate.
        host: String,
        /// The time here and how it is known.
        clock: String,
    },
    /// The server does not accept our certificate, or wants one.
    #[error("{host} does not accept our TLS client certificate, or wants one ({reason})")]
    TlsClient {
        /// Who refused.
        host: String,
        /// The alert received.
        reason: String,
    },
    /// The server speaks only TLS older than 1.2.
    #[error("{host} speaks no TLS that is allowed ({reason})")]
    TlsVersion {
        /// With whom.
        host: String,
        /// What the library said.
        reason: String,
    },
    /// The server allows only cipher suites that are not allowed here.
    #[error("{host} allows no cipher suite that is allowed here ({reason})")]
    TlsCipher {
        /// With whom.
        host: String,
        /// What the library said.
        reason: String,
    },
    /// The server ended the handshake and did not say why: version, cipher suites, key exchange and certificate are all
    /// possible.
    #[error("{host} ended the TLS handshake without saying why ({reason})")]
    TlsRefused {
        /// With whom.
        host: String,
        /// The alert received.
        reason: String,
    },
    /// TLS failed in another way.
    #[error("TLS with {host} failed: {reason}")]
    Tls {
        /// With whom.
        host: String,
        /// What the library said.
        reason: String,
    },
    /// HTTP 401.
    #[error("the CSMS refuses the login of this charge point (HTTP 401)")]
    Unauthorized,
    /// HTTP 403.
    #[error("the CSMS forbids this charge point to connect (HTTP 403)")]
    Forbidden,
    /// HTTP 404.
    #[error("the CSMS knows nothing at this URL (HTTP 404)")]
    NotFound,
    /// Another status than 101.
    #[error("the CSMS answers the WebSocket upgrade with HTTP {status}")]
    Status {
        /// The status code.
        status: u16,
    },
    /// The upgrade was accepted without a sub-protocol.
    #[error("the CSMS accepts the connection but not the sub-protocol {offered}")]
    NoSubprotocol {
        /// What was offered.
        offered: &'static str,
    },
    /// The upgrade was accepted with a sub-protocol that was not offered.
    #[error("the CSMS chose another sub-protocol than the offered {offered}")]
    WrongSubprotocol {
        /// What was offered.
        offered: &'static str,
    },
    /// The answer is no WebSocket upgrade.
    #[error("the answer is not a WebSocket upgrade: {reason}")]
    NotWebSocket {
        /// What is wrong with it.
        reason: String,
    },
    /// Not ready within the connect time-out.
    #[error("no connection within {after:?}; it hung at the {stage}")]
    Timeout {
        /// Where it hung.
        stage: Stage,
        /// The time-out.
        after: Duration,
    },
}

impl ConnectError {
    /// What the operator can do, as a sentence without its full stop.
    #[must_use]
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::BadUrl { .. } => "correct the URL of this CSMS in the configuration",
            Self::Dns { .. } => "check the host name in the URL and the DNS server of this machine",
            Self::Refused { .. } => "check the port in the URL and whether the CSMS is running",
            Self::Unreachable { .. } => {
                "check the network of this machine, its route and firewalls on the way"
            }
            Self::OwnFiles { .. } => "check that the file exists, is PEM and can be read by this service",
            Self::TlsChain { .. } => "put the PEM file of the issuing authority into the trust directory",
            Self::TlsName { .. } => {
                "use the name of the certificate in the URL, or have it issued for this one"
            }
            Self::TlsExpired { .. } => {
                "compare the clock of this machine with the true time; if it is right, renew the certificate of \
                 the CSMS"
            }
            Self::TlsNotYetValid { .. } => "set the clock of this machine, by NTP if it can be had",
            Self::TlsClient { .. } => {
                "check which client certificate the CSMS expects and that ours has not expired"
            }
            Self::TlsVersion { .. } => "have the CSMS offer TLS 1.2 or 1.3",
            Self::TlsCipher { .. } => "have the CSMS offer cipher suites of today",
            Self::TlsRefused { .. } => {
                "see in the log of the CSMS what it misses: a TLS version, a cipher suite, or our client certificate"
            }
            Self::Tls { .. } => {
                "check that the port speaks TLS 1.2 or 1.3; for a plain one the URL begins ws://"
            }
            Self::Unauthorized => "check the password and the charge point's identity with the CSMS operator",
            Self::Forbidden => {
                "check with the CSMS operator that this charge point and its version are allowed"
            }
            Self::NotFound => {
                "check path and trailing slash of the URL, and that the CSMS has this charge point on its list"
            }
            Self::Status { status: 300..=399 } => "use the URL it redirects to; redirects are not followed",
            Self::Status { status: 500..=599 } => {
                "the CSMS or a proxy before it is in trouble; it is tried again"
            }
            Self::Status { .. } => "check the URL; it must lead to the OCPP WebSocket of the CSMS",
            Self::NoSubprotocol { .. } | Self::WrongSubprotocol { .. } => {
                "set the version of this CSMS to one it speaks"
            }
            Self::NotWebSocket { .. } => {
                "check that host, port and path lead to the OCPP WebSocket of the CSMS"
            }
            Self::Timeout { stage, .. } => match stage {
                Stage::Dns => "check the DNS server of this machine",
                Stage::Tcp => "check the network; a firewall may swallow the packets",
                Stage::Tls => "check that the port speaks TLS",
                Stage::Upgrade => "check that the port speaks WebSocket and that the CSMS is healthy",
            },
        }
    }

    /// Whether the server's certificate was refused: a security event.
    #[must_use]
    pub fn is_certificate(&self) -> bool {
        match self {
            Self::TlsChain { .. }
            | Self::TlsName { .. }
            | Self::TlsExpired { .. }
            | Self::TlsNotYetValid { .. } => true,
            Self::BadUrl { .. }
            | Self::Dns { .. }
            | Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::OwnFiles { .. }
            | Self::TlsClient { .. }
            | Self::TlsVersion { .. }
            | Self::TlsCipher { .. }
            | Self::TlsRefused { .. }
            | Self::Tls { .. }
            | Self::Unauthorized
            | Self::Forbidden
            | Self::NotFound
            | Self::Status { .. }
            | Self::NoSubprotocol { .. }
            | Self::WrongSubprotocol { .. }
            | Self::NotWebSocket { .. }
            | Self::Timeout { .. } => false,
        }
    }

    /// Whether the server rejects who we say we are: a security event.
    #[must_use]
    pub fn is_rejection(&self) -> bool {
        matches!(
            self,
            Self::Unauthorized | Self::Forbidden | Self::TlsClient { .. }
        )
    }

    /// Whether it may be for who we say we are, or for how: a network that is down is not.
    #[must_use]
    pub fn is_about_credentials(&self) -> bool {
        let network = matches!(
            self,
            Self::Dns { .. }
                | Self::Refused { .. }
                | Self::Unreachable { .. }
                | Self::Timeout {
                    stage: Stage::Dns | Stage::Tcp | Stage::Upgrade,
                    ..
                }
        );
        !network
    }

    /// The security event it comes to (2.0.1 part 2 appendix 1), if it comes to one.
    #[must_use]
    pub fn security_event(&self) -> Option<&'static str> {
        if self.is_certificate() {
            Some("InvalidCsmsCertificate")
        } else if self.is_rejection() {
            Some("FailedToAuthenticateAtCsms")
        } else {
            match self {
                Self::TlsVersion { .. } => Some("InvalidTLSVersion"),
                Self::TlsCipher { .. } => Some("InvalidTLSCipherSuite"),
                _ => None,
            }
        }
    }

    /// The whole line for the operator.
    #[must_use]
    pub fn detail(&self) -> String {
        format!("{self}; {}", self.next_step())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_the_operator_names_cause_and_next_step() {
        assert_eq!(
            ConnectError::Unauthorized.detail(),
            "the CSMS refuses the login of this charge point (HTTP 401); check the password and the charge \
             point's identity with the CSMS operator"
        );
        let late = ConnectError::Timeout {
            stage: Stage::Upgrade,
            after: Duration::from_secs(15),
        };
        assert!(
            late.detail()
                .starts_with("no connection within 15s; it hung at the WebSocket upgrade; check")
        );
    }

    #[test]
    fn only_a_refused_certificate_is_a_security_event() {
        let host = || "csms.example".to_owned();
        assert!(
            ConnectError::TlsName {
                host: host(),
                presented: "other".into()
            }
            .is_certificate()
        );
        assert!(
            ConnectError::TlsNotYetValid {
                host: host(),
                clock: "1970".into()
            }
            .is_certificate()
        );
        assert!(
            !ConnectError::Dns {
                host: host(),
                reason: "none".into()
            }
            .is_certificate()
        );
        assert!(!ConnectError::Unauthorized.is_certificate());
    }

    #[test]
    fn a_failure_that_concerns_security_has_its_standard_name() {
        let (host, reason) = (String::new(), String::new());
        for (error, event) in [
            (ConnectError::Unauthorized, Some("FailedToAuthenticateAtCsms")),
            (ConnectError::Forbidden, Some("FailedToAuthenticateAtCsms")),
            (
                ConnectError::TlsVersion {
                    host: host.clone(),
                    reason: reason.clone(),
                },
                Some("InvalidTLSVersion"),
            ),
            (
                ConnectError::TlsCipher { host, reason },
                Some("InvalidTLSCipherSuite"),
            ),
            (ConnectError::NotFound, None),
        ] {
            assert_eq!(error.security_event(), event);
        }
    }
}
