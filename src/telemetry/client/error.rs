//! What goes wrong with a broker, and what to do next: every text is `what is seen; what to do`.

use crate::domain::BrokerSetup;
use rustls::{AlertDescription, CertificateError, Error as TlsError};
use std::io;

/// How far an attempt to connect had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Looking the name up.
    Name,
    /// Opening the TCP connection.
    Tcp,
    /// Agreeing on TLS.
    Tls,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Name => "the look-up of its name",
            Self::Tcp => "the TCP connection",
            Self::Tls => "the TLS handshake",
        })
    }
}

/// What is wrong with the certificate of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It leads to no authority that is trusted here.
    Authority,
    /// It is for another name.
    Name,
    /// It has expired, by the clock of this machine.
    Expired,
    /// It is not valid yet, by the clock of this machine.
    NotYet,
}

impl Flaw {
    fn advice(self) -> &'static str {
        match self {
            Self::Authority => "name its authority in `ca_file`",
            Self::Name => "write a name that stands in it into `url`, or have one issued for this name",
            Self::Expired => "renew it on the broker, unless it is the clock of this machine that is wrong",
            Self::NotYet => "set the clock of this machine",
        }
    }
}

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
    /// The name has no address.
    #[error(
        "the name {host} cannot be resolved: {reason}; check how it is spelled, and the name server of this machine"
    )]
    UnknownName {
        /// Host.
        host: String,
        /// In words.
        reason: String,
    },
    /// No answer.
    #[error(
        "{host}:{port} has not answered {stage} within {wait_s} s; see whether the machine is on, and whether a firewall drops packets to this port"
    )]
    Late {
        /// Host.
        host: String,
        /// Port.
        port: u16,
        /// To what.
        stage: Stage,
        /// How long.
        wait_s: u64,
    },
    /// One of our own files.
    #[error("{reason}; mend or replace the file")]
    OwnFiles {
        /// In words, with the file.
        reason: String,
    },
    /// The broker's certificate is not good.
    #[error("the certificate of {host} is not accepted: {reason}; {}", flaw.advice())]
    Certificate {
        /// Host.
        host: String,
        /// What about it.
        flaw: Flaw,
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
    /// The client id.
    #[error(
        "{host} does not take the client id '{client_id}': {reason}; set a `client_id` that the broker allows for this account"
    )]
    ClientId {
        /// Host.
        host: String,
        /// Which.
        client_id: String,
        /// As the broker says.
        reason: String,
    },
    /// Another refusal.
    #[error("{host} refuses the connection: {reason}; look into the log of the broker")]
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
    /// It closed the connection instead of an answer to our first words.
    #[error(
        "{host}:{port} closed the connection without an answer: {reason}; check that this is the port of the broker, and whether TLS is wanted there (`mqtts://`)"
    )]
    NotSpoken {
        /// Host.
        host: String,
        /// Port.
        port: u16,
        /// In words.
        reason: String,
    },
    /// The connection was lost.
    #[error("the broker closed the connection: {reason}; look into the log of the broker")]
    Closed {
        /// In words.
        reason: String,
    },
    /// Somebody else has connected with our client id.
    #[error(
        "another client has connected with the client id '{client_id}' and taken the place of this one; give each client its own `client_id`, each gateway its own `gateway_id`"
    )]
    TakenOver {
        /// Which.
        client_id: String,
    },
    /// Too much is on the way already.
    #[error(
        "{} messages are on the way to the broker, which is slow; look at its load",
        super::WINDOW
    )]
    Full,
    /// The broker does not want this message.
    #[error("the broker does not take '{topic}': {reason}; allow it in its access list")]
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

    /// What is seen, and what to do.
    #[must_use]
    pub fn in_two(&self) -> (String, String) {
        let text = self.to_string();
        match text.rsplit_once("; ") {
            Some((seen, next)) => (seen.to_owned(), next.to_owned()),
            None => (text, String::new()),
        }
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
    /// The client id.
    ClientId(String),
    /// No answer within so many seconds.
    Silent(u64),
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
            Self::Closed(error) => tls(&error, setup).unwrap_or(LinkError::NotSpoken {
                host,
                port: setup.port,
                reason: error.to_string(),
            }),
            Self::ClientId(reason) => LinkError::ClientId {
                host,
                client_id: setup.client_id.clone(),
                reason,
            },
            Self::Silent(wait_s) => LinkError::Silent { host, wait_s },
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

/// What an error of the resolver means.
pub(super) fn name(error: &io::Error, setup: &BrokerSetup) -> LinkError {
    LinkError::UnknownName {
        host: setup.host.clone(),
        reason: error.to_string(),
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
        TlsError::InvalidCertificate(certificate) => LinkError::Certificate {
            host,
            flaw: flaw(certificate),
            reason,
        },
        TlsError::NoCertificatesPresented => LinkError::Certificate {
            host,
            flaw: Flaw::Authority,
            reason,
        },
        TlsError::AlertReceived(
            A::CertificateRequired
            | A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::UnknownCA
            | A::AccessDenied
            // A signature that does not verify: an authority of the same name has signed ours, or the key is another's.
            | A::DecryptError
            | A::NoCertificate,
        ) => LinkError::OurCertificate { host, reason },
        _ => LinkError::Tls { host, port, reason },
    })
}

fn flaw(certificate: &CertificateError) -> Flaw {
    use CertificateError as E;
    match certificate {
        E::Expired | E::ExpiredContext { .. } => Flaw::Expired,
        E::NotValidYet | E::NotValidYetContext { .. } => Flaw::NotYet,
        E::NotValidForName | E::NotValidForNameContext { .. } => Flaw::Name,
        _ => Flaw::Authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::MqttVersion;
    use std::time::Duration;

    fn word() -> String {
        "x".to_owned()
    }

    fn of_the_way() -> Vec<LinkError> {
        let port = 1;
        let certificate = |flaw| LinkError::Certificate {
            host: word(),
            flaw,
            reason: word(),
        };
        vec![
            LinkError::Nobody { host: word(), port },
            LinkError::Unreachable {
                host: word(),
                port,
                reason: word(),
            },
            LinkError::UnknownName {
                host: word(),
                reason: word(),
            },
            LinkError::Late {
                host: word(),
                port,
                stage: Stage::Tcp,
                wait_s: 9,
            },
            LinkError::OwnFiles { reason: word() },
            certificate(Flaw::Authority),
            certificate(Flaw::Name),
            certificate(Flaw::Expired),
            certificate(Flaw::NotYet),
            LinkError::OurCertificate {
                host: word(),
                reason: word(),
            },
            LinkError::Tls {
                host: word(),
                port,
                reason: word(),
            },
        ]
    }

    fn of_the_broker() -> Vec<LinkError> {
        vec![
            LinkError::Version { host: word() },
            LinkError::NotAuthorised {
                host: word(),
                who: word(),
                reason: word(),
            },
            LinkError::ClientId {
                host: word(),
                client_id: word(),
                reason: word(),
            },
            LinkError::Refused {
                host: word(),
                reason: word(),
            },
            LinkError::Silent {
                host: word(),
                wait_s: 9,
            },
            LinkError::NotSpoken {
                host: word(),
                port: 1,
                reason: word(),
            },
            LinkError::Closed { reason: word() },
            LinkError::TakenOver { client_id: word() },
            LinkError::Full,
            LinkError::Rejected {
                topic: word(),
                reason: word(),
            },
            LinkError::NotSubscribed {
                filter: word(),
                reason: word(),
            },
        ]
    }

    #[test]
    fn every_text_says_what_to_do() {
        for error in of_the_way().into_iter().chain(of_the_broker()) {
            let (seen, next) = error.in_two();
            assert!(!seen.is_empty() && next.len() > 8, "{error:?}: {seen} / {next}");
            assert!(!seen.contains("; "), "{seen}");
        }
    }

    fn told(alert: AlertDescription) -> LinkError {
        let setup = BrokerSetup {
            host: "broker".to_owned(),
            port: 8883,
            tls: true,
            client_id: "gw".to_owned(),
            user: None,
            password: None,
            ca_file: None,
            identity: None,
            version: MqttVersion::Auto,
            keep_alive: Duration::from_secs(30),
        };
        let error = io::Error::other(TlsError::AlertReceived(alert));
        tls(&error, &setup).expect("it is of TLS")
    }

    #[test]
    fn what_a_broker_has_against_our_certificate_is_told_as_that_and_nothing_else_is() {
        use AlertDescription as A;
        for alert in [A::CertificateRequired, A::UnknownCA, A::DecryptError] {
            assert!(
                matches!(told(alert), LinkError::OurCertificate { .. }),
                "{alert:?}"
            );
        }
        assert!(matches!(told(A::ProtocolVersion), LinkError::Tls { .. }));
    }
}
