//! TLS toward a CSMS: which certificate to show, what a failure means.
//!
//! * TLS 1.2 and 1.3, never less, never without checking the certificate (1.6 whitepaper ed. 3 section 2; N5);
//! * files are read anew for each attempt, so a renewed certificate needs no restart.

use super::error::ConnectError;
use super::trust::{self, certificates, own_file, pem_words};
use crate::domain::{Clock, ClockQuality, Secret};
use crate::ocpp::format_utc;
use rustls::client::{ClientConfig, Resumption};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible, PeerMisbehaved, RootCertStore};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The gateway's clock as TLS sees it.
struct GatewayTime(Arc<dyn Clock>);

impl std::fmt::Debug for GatewayTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GatewayTime")
    }
}

impl TimeProvider for GatewayTime {
    fn current_time(&self) -> Option<UnixTime> {
        let unix_s = u64::try_from(self.0.now().wall.unix_ms / 1000).ok()?;
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(unix_s)))
    }
}

/// How the charge point says who it is.
#[derive(Clone)]
pub(super) enum Login {
    /// Not at all.
    Nothing,
    /// By HTTP Basic with this password.
    Basic(Secret),
    /// By a client certificate of the operator's: PEM files.
    Files { certificate: PathBuf, key: PathBuf },
    /// By a client certificate that a CSMS has had signed: PEM.
    Kept { chain: String, key: String },
}

/// Reads the files and makes the settings of one connection. Blocks on the file system.
pub(super) fn client_config(
    login: &Login,
    roots: RootCertStore,
    clock: Arc<dyn Clock>,
) -> Result<ClientConfig, ConnectError> {
    let failed = |reason: String| ConnectError::Tls {
        host: "any host".to_owned(),
        reason,
    };
    let builder =
        ClientConfig::builder_with_details(trust::provider(), Arc::new(GatewayTime(Arc::clone(&clock))))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?;
    // Without any root nobody is trusted, which the library's own verifier says in the same words.
    let builder = match trust::verifier(roots.clone(), clock) {
        Some(verifier) => builder.dangerous().with_custom_certificate_verifier(verifier),
        None => builder.with_root_certificates(roots),
    };
    let mut config = match login {
        Login::Files { certificate, key } => {
            let chain = certificates(certificate)?;
            let secret =
                PrivateKeyDer::from_pem_file(key).map_err(|error| own_file(key, &pem_words(&error)))?;
            builder
                .with_client_auth_cert(chain, secret)
                .map_err(|error| own_file(key, &error.to_string()))?
        }
        Login::Kept { chain, key } => {
            let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>();
            let secret = PrivateKeyDer::from_pem_slice(key.as_bytes());
            let (Ok(chain), Ok(secret)) = (chain, secret) else {
                return Err(failed(
                    "the client certificate that was kept is damaged".to_owned(),
                ));
            };
            builder
                .with_client_auth_cert(chain, secret)
                .map_err(|error| failed(error.to_string()))?
        }
        Login::Nothing | Login::Basic(_) => builder.with_no_client_auth(),
    };
    // One connection per configuration: kept tickets would only cost memory.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// TLS settings toward servers that files go to or come from, which are trusted as CSMSs are. Sessions are resumed, because
/// many FTPS servers ask that of a data connection. Blocks on the file system.
///
/// # Errors
/// When the provider of cryptography refuses its own defaults.
pub fn file_servers(
    trust_dir: Option<&Path>,
    clock: Arc<dyn Clock>,
) -> Result<(ClientConfig, Vec<CertificateDer<'static>>), ConnectError> {
    let mut config = client_config(&Login::Nothing, trust::roots(trust_dir, &[]), clock)?;
    config.resumption = Resumption::in_memory_sessions(4);
    let mut roots = rustls_native_certs::load_native_certs().certs;
    // What is wrong with a file was told by the settings above.
    roots.extend(
        trust::chosen(trust_dir)
            .filter_map(|(_, found)| found.ok())
            .flatten(),
    );
    Ok((config, roots))
}

/// TLS settings of one connection to a broker, which is trusted as CSMSs are, and by authorities of its own beside them. Blocks
/// on the file system.
///
/// # Errors
/// When one of the files cannot be used.
pub fn broker(
    trust_dir: Option<&Path>,
    authorities: Option<&Path>,
    identity: Option<&(PathBuf, PathBuf)>,
    clock: Arc<dyn Clock>,
) -> Result<ClientConfig, ConnectError> {
    let own = authorities.map(certificates).transpose()?.unwrap_or_default();
    let login = match identity.cloned() {
        Some((certificate, key)) => Login::Files { certificate, key },
        None => Login::Nothing,
    };
    client_config(&login, trust::roots(trust_dir, &own), clock)
}

/// What an error of the TLS handshake, or of the first bytes after it, means.
pub(super) fn explain(error: &std::io::Error, host: &str, clock: &dyn Clock) -> Option<ConnectError> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(told(error, host, clock))
}

/// An alert `handshake_failure` is what most servers say whatever they miss (RFC 8446 section 6.2): it blames nothing.
fn told(error: &Error, host: &str, clock: &dyn Clock) -> ConnectError {
    use PeerIncompatible as P;
    let (host, reason) = (host.to_owned(), error.to_string());
    match error {
        Error::InvalidCertificate(certificate) => refused_certificate(certificate, host, clock),
        Error::NoCertificatesPresented => ConnectError::TlsChain { host, reason },
        Error::PeerIncompatible(P::NoCertificateRequestSignatureSchemesInCommon) => {
            ConnectError::TlsClient { host, reason }
        }
        Error::AlertReceived(alert) if is_about_ours(*alert) => ConnectError::TlsClient { host, reason },
        Error::PeerIncompatible(
            P::ServerDoesNotSupportTls12Or13
            | P::ServerTlsVersionIsDisabledByOurConfig
            | P::SupportedVersionsExtensionRequired,
        )
        | Error::AlertReceived(AlertDescription::ProtocolVersion) => {
            ConnectError::TlsVersion { host, reason }
        }
        Error::PeerIncompatible(P::NoCipherSuitesInCommon)
        | Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedCipherSuite)
        | Error::AlertReceived(AlertDescription::InsufficientSecurity) => {
            ConnectError::TlsCipher { host, reason }
        }
        Error::AlertReceived(AlertDescription::HandshakeFailure) => ConnectError::TlsRefused { host, reason },
        _ => ConnectError::Tls { host, reason },
    }
}

fn refused_certificate(error: &CertificateError, host: String, clock: &dyn Clock) -> ConnectError {
    use CertificateError as E;
    match error {
        E::Expired | E::ExpiredContext { .. } => ConnectError::TlsExpired {
            host,
            clock: clock_words(clock),
        },
        E::NotValidYet | E::NotValidYetContext { .. } => ConnectError::TlsNotYetValid {
            host,
            clock: clock_words(clock),
        },
        E::NotValidForName => ConnectError::TlsName {
            host,
            presented: "other names".to_owned(),
        },
        E::NotValidForNameContext { presented, .. } => ConnectError::TlsName {
            host,
            presented: name_list(presented),
        },
        _ => ConnectError::TlsChain {
            host,
            reason: error.to_string(),
        },
    }
}

/// The names of a certificate, as many as fit a line: they are foreign input.
fn name_list(presented: &[String]) -> String {
    if presented.is_empty() {
        return "no name at all".to_owned();
    }
    let shown: Vec<String> = presented
        .iter()
        .take(4)
        .map(|name| name.chars().filter(|c| !c.is_control()).take(80).collect())
        .collect();
    let more = if presented.len() > 4 { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}

fn clock_words(clock: &dyn Clock) -> String {
    let wall = clock.now().wall;
    let source = match wall.quality {
        ClockQuality::Unset => "not set since power-up",
        ClockQuality::Restored => "continued from the last run",
        ClockQuality::Csms => "set by a CSMS",
        ClockQuality::Ntp => "set by NTP",
    };
    format!("{}, {source}", format_utc(wall.unix_ms))
}

/// Alerts by which a server says that our certificate is missing or not to its liking.
fn is_about_ours(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::NoCertificate
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Now;

    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> Now {
            Now::default()
        }
    }

    /// What is blamed, and the security event it comes to.
    fn blamed(error: &Error) -> (&'static str, Option<&'static str>) {
        let told = told(error, "csms.example", &Noon);
        let blamed = match told {
            ConnectError::TlsVersion { .. } => "version",
            ConnectError::TlsCipher { .. } => "cipher",
            ConnectError::TlsChain { .. } => "certificate",
            ConnectError::TlsClient { .. } => "our certificate",
            ConnectError::TlsRefused { .. } => "not said",
            ConnectError::Tls { .. } => "other",
            _ => panic!("{told}"),
        };
        (blamed, told.security_event())
    }

    #[test]
    fn version_cipher_and_certificate_are_told_apart() {
        use AlertDescription as A;
        let version = ("version", Some("InvalidTLSVersion"));
        let cipher = ("cipher", Some("InvalidTLSCipherSuite"));
        let theirs = ("certificate", Some("InvalidCsmsCertificate"));
        let ours = ("our certificate", Some("FailedToAuthenticateAtCsms"));
        let peer = Error::PeerIncompatible;
        for (error, expected) in [
            (peer(PeerIncompatible::ServerDoesNotSupportTls12Or13), version),
            (
                peer(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig),
                version,
            ),
            (Error::AlertReceived(A::ProtocolVersion), version),
            (peer(PeerIncompatible::NoCipherSuitesInCommon), cipher),
            (
                Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedCipherSuite),
                cipher,
            ),
            (Error::AlertReceived(A::InsufficientSecurity), cipher),
            (Error::NoCertificatesPresented, theirs),
            (Error::InvalidCertificate(CertificateError::UnknownIssuer), theirs),
            (Error::AlertReceived(A::CertificateRequired), ours),
            (Error::AlertReceived(A::UnknownCA), ours),
            (
                peer(PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon),
                ours,
            ),
            (Error::AlertReceived(A::HandshakeFailure), ("not said", None)),
            (peer(PeerIncompatible::NoKxGroupsInCommon), ("other", None)),
            (Error::DecryptError, ("other", None)),
        ] {
            assert_eq!(blamed(&error), expected, "{error}");
        }
    }
}
