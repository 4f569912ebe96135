//! Where a firmware file comes from: the signing certificate leads to a root of the manufacturer, and the signature over the
//! SHA-256 of the file fits its key (1.6 whitepaper L01.FR.04, FR.12, FR.23).
//!
//! RSA-PSS with 2048 to 8192 bits and a salt of 32 bytes, ECDSA on P-256 and P-384. `ECSchnorr`, which the whitepaper names too, has
//! no standard that could be kept to. Nothing is asked about revocation: there are no lists and no answers to ask with.

use super::own;
use crate::domain::{Signing, TransferError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use std::path::Path;
use webpki::ring::{ECDSA_P256_SHA256, ECDSA_P384_SHA256, RSA_PSS_2048_8192_SHA256_LEGACY_KEY};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// `id-kp-codeSigning` (RFC 5280 section 4.2.1.12), which a certificate that names any purpose must name.
const CODE_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];

/// What a signature may be made with.
static SIGNATURES: [&dyn SignatureVerificationAlgorithm; 3] = [
    ECDSA_P256_SHA256,
    ECDSA_P384_SHA256,
    RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
];

/// Checks that a certificate leads to one of the roots in a PEM file at this time.
///
/// # Errors
/// [`TransferError::Certificate`] if it does not, [`TransferError::Own`] where the roots cannot be read.
pub fn check_certificate(pem: &str, roots: &Path, unix_ms: i64) -> Result<(), TransferError> {
    let chain = chain(pem)?;
    let leaf = leaf(&chain)?;
    let anchors_der: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(roots)
        .and_then(Iterator::collect)
        .map_err(|error| TransferError::Own(format!("{}: {error}", roots.display())))?;
    let anchors: Vec<TrustAnchor<'_>> = anchors_der
        .iter()
        .filter_map(|root| anchor_from_trusted_cert(root).ok())
        .collect();
    let now = u64::try_from(unix_ms / 1_000).unwrap_or(0);
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now));
    let usage = KeyUsage::required_if_present(CODE_SIGNING);
    leaf.verify_for_usage(
        ALL_VERIFICATION_ALGS,
        &anchors,
        &chain[1..],
        now,
        usage,
        None,
        None,
    )
    .map(drop)
    .map_err(|error| TransferError::Certificate(error.to_string()))
}

/// Checks the signature of a file. All of the file is in memory meanwhile.
///
/// # Errors
/// [`TransferError::Signature`] if it does not fit, [`TransferError::Own`] where the file cannot be read.
pub fn verify(file: &Path, signing: &Signing) -> Result<(), TransferError> {
    let bad = |why: &str| TransferError::Signature(why.to_owned());
    let chain = chain(&signing.certificate)?;
    let leaf = leaf(&chain)?;
    let text: String = signing.signature.split_whitespace().collect();
    let signature = STANDARD.decode(text).map_err(|_| bad("it is not base64"))?;
    let message = std::fs::read(file).map_err(|error| own(file, &error))?;
    let fits = SIGNATURES
        .iter()
        .any(|algorithm| leaf.verify_signature(*algorithm, &message, &signature).is_ok());
    if fits {
        Ok(())
    } else {
        Err(bad("it does not fit the file"))
    }
}

fn chain(pem: &str) -> Result<Vec<CertificateDer<'static>>, TransferError> {
    let bad = |why: &str| TransferError::Certificate(why.to_owned());
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| bad("it is not well-formed PEM"))?;
    if chain.is_empty() {
        return Err(bad("there is no certificate in it"));
    }
    Ok(chain)
}

fn leaf<'a>(chain: &'a [CertificateDer<'static>]) -> Result<EndEntityCert<'a>, TransferError> {
    let first = chain
        .first()
        .ok_or_else(|| TransferError::Certificate("there is none".to_owned()))?;
    EndEntityCert::try_from(first).map_err(|error| TransferError::Certificate(error.to_string()))
}
