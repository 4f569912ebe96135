//! What a CSMS may ask of the credentials of its own link, and the answers (1.6 security whitepaper ed. 3, use cases
//! A01 to A05 and M03 to M05).

use std::fmt;

/// Most root certificates a CSMS may install on its link (whitepaper 7.4 `CertificateStoreMaxLength`).
pub const ROOTS_MAX: usize = 10;

/// Longest chain of CertificateSigned in characters (whitepaper 7.3 `CertificateSignedMaxChainSize`).
pub const CHAIN_MAX: usize = 10_000;

/// Bytes that are never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The secret itself.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What a root certificate is for (whitepaper 6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateUse {
    /// The server certificate of the CSMS and our own are checked against it.
    CentralSystemRoot,
    /// The manufacturer's certificates are checked against it.
    ManufacturerRoot,
}

/// How the hashes of a certificate are computed (whitepaper 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// Names a certificate (whitepaper 6.1); hexadecimal digits in either case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateHash {
    /// How the hashes were computed.
    pub algorithm: HashAlgorithm,
    /// Hash of the issuer's name in DER.
    pub issuer_name: String,
    /// Hash of the issuer's public key, the content of the bit string.
    pub issuer_key: String,
    /// Serial number without leading zeroes.
    pub serial: String,
}

/// A request to the keeper of a link's credentials. Each is answered with exactly one [`VaultAnswer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VaultRequest {
    /// Use this password for HTTP Basic (A01).
    Password(Secret),
    /// Use this security profile, 0 to 3 (A05).
    Profile(u8),
    /// Trust a root certificate (M05).
    Install {
        /// For what.
        usage: CertificateUse,
        /// PEM.
        pem: String,
    },
    /// Trust it no longer (M04).
    Delete(CertificateHash),
    /// Name the root certificates (M03) -> [`VaultAnswer::Listed`].
    List(CertificateUse),
    /// Make a key pair and a request for its certificate (A02, A03) -> [`VaultAnswer::Request`].
    Sign {
        /// CN of the subject.
        common_name: String,
        /// O of the subject.
        organisation: String,
    },
    /// The certificate that was requested, with its chain (A02, A03).
    Signed {
        /// PEM, the own certificate first.
        chain: String,
    },
}

/// The answer to a [`VaultRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VaultAnswer {
    /// Done and durable.
    Done {
        /// It takes a new connection to use it.
        reconnect: bool,
    },
    /// Refused for what it is; the reason is for the log.
    Refused(&'static str),
    /// Right, but it could not be done; the reason is for the log.
    Failed(&'static str),
    /// There is no such certificate.
    NotFound,
    /// Certificates.
    Listed(Vec<CertificateHash>),
    /// A certificate signing request, PEM.
    Request(String),
}

/// How a link presents itself at present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Security profile in use, 0 to 3.
    pub profile: u8,
    /// When the client certificate in use expires, Unix milliseconds; `None`: there is none that we could renew.
    pub expires_ms: Option<i64>,
}
