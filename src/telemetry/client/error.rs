//! What goes wrong with a broker, and what to do next.

use crate::domain::BrokerSetup;
use rustls::{AlertDescription, Error as TlsError};
use std::io;

/// Why there is no connection, or why a message did not get through.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Nobody listens.
    #[error(
        "nothing listens at {host}:{port}; start the broker, or give it a `listener {port}` line (mosquitto without one listens on its own machine only)"
    )]
    Nobody {
        /// Host.
        host: String,
        /// Port.
        port: u16,
    },
    /// No way there.
    #[error("{host}:{port} cannot be reached: {reason}; check the name, the network and the firewall")]
    Unreachable {
        /// Host.
        host: String,
        /// Port.
        port: u16,
        /// In words.
        reason: String,
    },
    /// One of our own files.
    #[error("{reason}")]
    OwnFiles {
        /// In words, with the file.
        reason: String,
    },
    /// The broker's certificate is not good.
    #[error(
        "the certificate of {host} is not accepted: {reason}; name its authority in `ca_file`, or use the name that stands in it"
    )]
    Certificate {
        /// Host.
        host: String,
        /// In words.
        reason: String,
    },
    /// Our certificate is missing, or not to its liking.
    #[error(
        "{host} does not accept our certificate: {reason}; set `certificate_file` and `key_file` to a pair its authority has signed"
    )]
    OurCertificate {
        /// Host.
        host: String,
        /// In words.
        reason: String,
    },
    /// Another failure of TLS.
    #[error("no TLS with {host}:{port}: {reason}; is this its TLS port (usually 8883)?")]
    Tls {
        /// Host.
        host: String,
        /// Port.
        port: u16,
        /// In words.
        reason: String,
    },
    /// It does not speak this version.
    #[error("{host} refuses this version of MQTT; set protocol = \"auto\"")]
    Version {
        /// Host.
        host: String,
    },
    /// User or password.
    #[error(
        "{host} does not let {who} in ({reason}); check user and password, and that the broker knows them"
    )]
    NotAuthorised {
        /// Host.
        host: String,
        /// `user 'x'` or `us without a user`.
        who: String,
        /// As the broker says.
        reason: String,
    },
    /// Another refusal.
    #[error("{host} refuses the connection: {reason}")]
    Refused {
        /// Host.
        host: String,
        /// As the broker says.
        reason: String,
    },
    /// It says nothing.
    #[error(
        "{host} took the connection and said nothing for {wait_s} s; is it a broker, and is TLS wanted there?"
    )]
    Silent {
        /// Host.
        host: String,
        /// How long.
        wait_s: u64,
    },
    /// The connection was lost.
    #[error("the broker closed the connection: {reason}")]
    Closed {
        /// In words.
        reason: String,
    },
    /// Too much is on the way already.
    #[error("the broker is slow; {} messages are on the way to it", super::WINDOW)]
    Full,
    /// The broker does not want this message.
    #[error("the broker does not take '{topic}': {reason}")]
    Rejected {
        /// Its topic.
        topic: String,
        /// As the broker says.
        reason: String,
    },
    /// The broker does not let us subscribe.
    #[error("the broker does not let us subscribe to '{filter}': {reason}; allow it in its access list")]
    NotSubscribed {
        /// What.
        filter: String,
        /// As the broker says.
        reason: String,
    },
}

impl LinkError {
    /// The same message may get through later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        !matches!(self, Self::Rejected { .. })
    }

    /// Nobody was there: another attempt soon troubles no broker.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Nobody { .. } | Self::Unreachable { .. })
    }
}

/// What an attempt to connect came to, before it is put into words.
pub(super) enum Failure {
    /// The broker does not speak the version.
    Version,
    /// It closed the connection before it had answered.
    Closed(io::Error),
    /// User or password.
    Login(String),
    /// Another answer.
    Refused(String),
    /// Told already.
    Told(LinkError),
}

impl Failure {
    pub(super) fn told(self, setup: &BrokerSetup) -> LinkError {
        let host = setup.host.clone();
        match self {
            Self::Version => LinkError::Version { host },
            Self::Closed(error) => tls(&error, setup).unwrap_or(LinkError::Closed {
                reason: format!("{error}; is this the right port, and is TLS wanted there?"),
            }),
            Self::Login(reason) => LinkError::NotAuthorised {
                host,
                who: match &setup.user {
                    Some(user) => format!("user '{user}'"),
                    None => "us without a user".to_owned(),
                },
                reason,
            },
            Self::Refused(reason) => LinkError::Refused { host, reason },
            Self::Told(error) => error,
        }
    }
}

/// What an error of TCP means.
pub(super) fn tcp(error: &io::Error, setup: &BrokerSetup) -> LinkError {
    let (host, port) = (setup.host.clone(), setup.port);
    if error.kind() == io::ErrorKind::ConnectionRefused {
        return LinkError::Nobody { host, port };
    }
    LinkError::Unreachable {
        host,
        port,
        reason: error.to_string(),
    }
}

/// What an error of the TLS handshake, or of the first bytes after it, means; `None`: it is not of TLS.
pub(super) fn tls(error: &io::Error, setup: &BrokerSetup) -> Option<LinkError> {
    use AlertDescription as A;
    let error = error.get_ref()?.downcast_ref::<TlsError>()?;
    let (host, port, reason) = (setup.host.clone(), setup.port, error.to_string());
    Some(match error {
        TlsError::InvalidCertificate(_) | TlsError::NoCertificatesPresented => {
            LinkError::Certificate { host, reason }
        }
        TlsError::AlertReceived(
            A::CertificateRequired
            | A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::UnknownCA
            | A::AccessDenied
            | A::NoCertificate,
        ) => LinkError::OurCertificate { host, reason },
        _ => LinkError::Tls { host, port, reason },
    })
}
