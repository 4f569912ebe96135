//! Whom to trust, and when a certificate counts as valid.
//!
//! * trusted are the system's roots, every PEM file of the trust directory, and the roots a CSMS has installed;
//! * while the clock is trusted, a certificate is judged by it;
//! * while it is not, all that is known is a floor: the later of the last run and the build. A certificate that ended
//!   before it is refused. One that begins later is not: the true time may be later too, and a gateway without a
//!   battery behind its clock would never again reach the CSMS that tells it the time.

use super::error::ConnectError;
use crate::domain::Clock;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Certificates of a chain that may each begin later than the floor.
const CHAIN_LENGTH: usize = 8;

/// A moment by which certificates are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Unix seconds: the present, or what it is not before.
    pub(super) unix_s: i64,
    /// Whether it is the present.
    pub(super) is_now: bool,
}

impl Moment {
    pub(super) fn of(clock: &dyn Clock) -> Self {
        let wall = clock.now().wall;
        let is_now = wall.quality.is_trusted();
        let unix_ms = if is_now { wall.unix_ms } else { clock.floor_ms() };
        Self {
            unix_s: unix_ms.div_euclid(1_000),
            is_now,
        }
    }

    /// Whether a validity from and until these seconds holds.
    pub(super) fn is_within(self, not_before: i64, not_after: i64) -> bool {
        self.unix_s <= not_after && (not_before <= self.unix_s || !self.is_now) && not_before <= not_after
    }

    /// Judges a chain. Where the clock is not trusted, it is valid if there is any moment from the floor on at which all
    /// of it is.
    pub(super) fn judge<T>(self, check: impl Fn(UnixTime) -> Result<T, Error>) -> Result<T, Error> {
        let seconds = u64::try_from(self.unix_s).unwrap_or(0);
        let mut at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        for _ in 0..CHAIN_LENGTH {
            match check(at) {
                Err(Error::InvalidCertificate(CertificateError::NotValidYetContext {
                    not_before, ..
                })) if !self.is_now && not_before.as_secs() > at.as_secs() => {
                    at = not_before;
                }
                other => return other,
            }
        }
        check(at)
    }
}

/// The verifier of the library, asked about the right moment.
#[derive(Debug)]
struct Verifier {
    library: Arc<WebPkiServerVerifier>,
    clock: Watch,
}

struct Watch(Arc<dyn Clock>);

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Moment::of(self.clock.0.as_ref()).judge(|at| {
            self.library
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, at)
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.library.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.library.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.library.supported_verify_schemes()
    }
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The library's own verifier; `None`: there is no root.
pub(super) fn library(roots: RootCertStore) -> Option<Arc<WebPkiServerVerifier>> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .ok()
}

/// Checks server certificates against these roots; `None`: there is not one.
pub(super) fn verifier(roots: RootCertStore, clock: Arc<dyn Clock>) -> Option<Arc<dyn ServerCertVerifier>> {
    let clock = Watch(clock);
    library(roots).map(|library| {
        let verifier: Arc<dyn ServerCertVerifier> = Arc::new(Verifier { library, clock });
        verifier
    })
}

/// The roots of the system, of the trust directory and those that were installed.
pub(super) fn roots(trust_dir: Option<&Path>, installed: &[CertificateDer<'static>]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // A machine without system roots is fine where the operator gives his own.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for (path, found) in chosen(trust_dir) {
        let added = found.and_then(|found| {
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
    roots.add_parsable_certificates(installed.iter().cloned());
    roots
}

/// What is in the files of the trust directory.
pub(super) fn chosen(
    trust_dir: Option<&Path>,
) -> impl Iterator<Item = (PathBuf, Result<Vec<CertificateDer<'static>>, ConnectError>)> {
    let files = trust_dir.map(pem_files).unwrap_or_default();
    files.into_iter().map(|path| {
        let found = certificates(&path);
        (path, found)
    })
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

/// The certificates of a PEM file.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| own_file(path, &pem_words(&error)))?;
    if chain.is_empty() {
        return Err(own_file(path, "there is no certificate in it"));
    }
    Ok(chain)
}

pub(super) fn own_file(path: &Path, reason: &str) -> ConnectError {
    ConnectError::OwnFiles {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Never quotes the file: a key may stand in it.
pub(super) fn pem_words(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "nothing usable is in it".to_owned(),
        _ => "it is not well-formed PEM".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ClockQuality, Now, Wall};

    /// A clock whose battery is empty: it says 2099, and all that is known is the floor.
    struct Dead;

    impl Clock for Dead {
        fn now(&self) -> Now {
            Now {
                wall: Wall {
                    unix_ms: 4_070_908_800_000,
                    quality: ClockQuality::Restored,
                },
                ..Now::default()
            }
        }

        fn floor_ms(&self) -> i64 {
            1_790_000_000_500
        }
    }

    #[test]
    fn an_untrusted_clock_counts_for_nothing_but_its_floor() {
        let moment = Moment::of(&Dead);
        assert_eq!((moment.unix_s, moment.is_now), (1_790_000_000, false));
        assert!(moment.is_within(0, 1_790_000_000));
        assert!(!moment.is_within(0, 1_789_999_999), "it ended before the floor");
        assert!(
            moment.is_within(1_800_000_000, 1_900_000_000),
            "the present may be later"
        );
        let known = Moment {
            is_now: true,
            ..moment
        };
        assert!(!known.is_within(1_800_000_000, 1_900_000_000));
        assert!(known.is_within(1_790_000_000, 1_790_000_000));
    }

    #[test]
    fn the_chain_must_be_valid_at_one_moment_not_before_the_floor() {
        // A chain as the library judges it: the first certificate out of its time is told.
        let chain = |validities: &'static [(u64, u64)]| {
            move |at: UnixTime| {
                for &(from, until) in validities {
                    if at.as_secs() < from {
                        let not_before = UnixTime::since_unix_epoch(Duration::from_secs(from));
                        let error = CertificateError::NotValidYetContext { time: at, not_before };
                        return Err(Error::InvalidCertificate(error));
                    }
                    if at.as_secs() > until {
                        return Err(Error::InvalidCertificate(CertificateError::Expired));
                    }
                }
                Ok(at.as_secs())
            }
        };
        let floor = Moment {
            unix_s: 100,
            is_now: false,
        };
        let known = Moment {
            unix_s: 100,
            is_now: true,
        };
        assert_eq!(floor.judge(chain(&[(0, 200), (150, 300)])), Ok(150));
        assert!(known.judge(chain(&[(0, 200), (150, 300)])).is_err());
        assert_eq!(floor.judge(chain(&[(120, 200), (150, 300), (10, 180)])), Ok(150));
        assert!(
            floor.judge(chain(&[(0, 140), (150, 300)])).is_err(),
            "never valid together"
        );
        assert!(floor.judge(chain(&[(0, 99)])).is_err());
    }
}
