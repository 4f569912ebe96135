//! TLS toward a CSMS: whom to trust, which certificate to show, what a failure means.
//!
//! * TLS 1.2 and 1.3, never less, never without checking the certificate (1.6 whitepaper ed. 3 section 2; N5);
//! * trusted are the system's roots and every PEM file of the trust directory;
//! * validity is judged by the gateway's own clock, which is never behind the build and does not jump with the
//!   system's;
//! * files are read anew for each attempt, so a renewed certificate needs no restart.

use super::error::ConnectError;
use crate::domain::{Clock, ClockQuality, Security};
use crate::ocpp::format_utc;
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible, RootCertStore};
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

/// Reads the files and makes the settings of one connection. Blocks on the file system.
pub(super) fn client_config(
    security: &Security,
    trust_dir: Option<&Path>,
    clock: Arc<dyn Clock>,
) -> Result<ClientConfig, ConnectError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_details(provider, Arc::new(GatewayTime(clock)))
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectError::Tls {
            host: "any host".to_owned(),
            reason: error.to_string(),
        })?
        .with_root_certificates(roots(trust_dir));
    let mut config = match security {
        Security::Client { certificate, key } => {
            let chain = certificates(certificate)?;
            let secret =
                PrivateKeyDer::from_pem_file(key).map_err(|error| own_file(key, &pem_words(&error)))?;
            builder
                .with_client_auth_cert(chain, secret)
                .map_err(|error| own_file(key, &error.to_string()))?
        }
        Security::None | Security::Basic { .. } => builder.with_no_client_auth(),
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
    let mut config = client_config(&Security::None, trust_dir, clock)?;
    config.resumption = Resumption::in_memory_sessions(4);
    let mut roots = rustls_native_certs::load_native_certs().certs;
    for path in trust_dir.map(pem_files).unwrap_or_default() {
        // What is wrong with a file was told by the settings above.
        roots.extend(certificates(&path).unwrap_or_default());
    }
    Ok((config, roots))
}

fn roots(trust_dir: Option<&Path>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // A machine without system roots is fine where the operator gives his own.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for path in trust_dir.map(pem_files).unwrap_or_default() {
        let added = certificates(&path).and_then(|found| {
            found.into_iter().try_for_each(|one| {
                roots
                    .add(one)
                    .map_err(|error| own_file(&path, &error.to_string()))
            })
        });
        // One bad file must not take the good ones down with it.
        if let Err(error) = added {
            tracing::warn!("not trusted: {error}");
        }
    }
    roots
}

fn pem_files(dir: &Path) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => {
            if error.kind() != std::io::ErrorKind::NotFound {
                tracing::warn!("the trust directory {} cannot be read: {error}", dir.display());
            }
            return Vec::new();
        }
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
            ["pem", "crt", "cer"]
                .iter()
                .any(|known| extension.eq_ignore_ascii_case(known))
        })
        .collect();
    files.sort();
    files
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| own_file(path, &pem_words(&error)))?;
    if chain.is_empty() {
        return Err(own_file(path, "there is no certificate in it"));
    }
    Ok(chain)
}

fn own_file(path: &Path, reason: &str) -> ConnectError {
    ConnectError::OwnFiles {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Never quotes the file: a key may stand in it.
fn pem_words(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "nothing usable is in it".to_owned(),
        _ => "it is not well-formed PEM".to_owned(),
    }
}

/// What an error of the TLS handshake, or of the first bytes after it, means.
pub(super) fn explain(error: &std::io::Error, host: &str, clock: &dyn Clock) -> Option<ConnectError> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    let host = host.to_owned();
    Some(match error {
        Error::InvalidCertificate(certificate) => refused_certificate(certificate, host, clock),
        Error::AlertReceived(alert) if is_about_ours(*alert) => ConnectError::TlsClient {
            host,
            reason: error.to_string(),
        },
        Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13)
        | Error::AlertReceived(AlertDescription::ProtocolVersion) => ConnectError::TlsVersion {
            host,
            reason: error.to_string(),
        },
        Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon)
        | Error::AlertReceived(AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity) => {
            ConnectError::TlsCipher {
                host,
                reason: error.to_string(),
            }
        }
        _ => ConnectError::Tls {
            host,
            reason: error.to_string(),
        },
    })
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
