//! Certificates: what may be a root, whether a signed one is ours, hashes by which they are named, requests.

use super::super::trust::{self, Moment};
use crate::domain::{CertificateHash, HashAlgorithm};
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use ring::digest;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use std::fmt::Write as _;
use std::sync::Arc;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{X509Name, X509Version};

/// Keys of at least 112 bits of security (A00.FR.502, A00.FR.503).
const LEAST_RSA_BITS: usize = 2_048;
const LEAST_EC_BITS: usize = 224;

/// Signature algorithms with SHA-1, which are not allowed any more (A00.FR.504).
const SHA1: [&str; 3] = ["1.2.840.113549.1.1.5", "1.3.14.3.2.29", "1.2.840.10045.4.1"];

/// The certificates of a PEM text; `None`: it is none, or something else is among them.
pub(super) fn chain(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let found = found.ok()?;
    let borders = pem.matches("-----BEGIN ").count();
    (!found.is_empty() && borders == found.len()).then_some(found)
}

/// A certificate that is alone in its PEM text.
pub(super) fn one(pem: &str) -> Option<CertificateDer<'static>> {
    let mut found = chain(pem)?;
    if found.len() > 1 {
        return None;
    }
    found.pop()
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    rest.is_empty().then_some(certificate)
}

fn has_strong_key(certificate: &X509Certificate<'_>) -> bool {
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => key.key_size() >= LEAST_RSA_BITS,
        Ok(PublicKey::EC(point)) => point.key_size() >= LEAST_EC_BITS,
        // Ed25519, whose algorithm has but one length; anything else fails at its signature.
        Ok(PublicKey::Unknown(_)) => true,
        Ok(_) | Err(_) => false,
    }
}

/// Whether this is a certificate of an authority that stands for itself.
fn is_own_issuer(certificate: &X509Certificate<'_>) -> bool {
    certificate.is_ca()
        && certificate.issuer().as_raw() == certificate.subject().as_raw()
        && certificate.verify_signature(None).is_ok()
}

/// Whether a certificate may be installed as a root: M05 with the properties of A00.FR.501 to A00.FR.508.
pub(super) fn check_root(der: &CertificateDer<'_>, moment: Moment) -> Result<(), &'static str> {
    let certificate = parse(der).ok_or("it is no X.509 certificate")?;
    if certificate.version() != X509Version::V3 {
        return Err("it is not of version 3");
    }
    let signs = match certificate.key_usage() {
        Ok(usage) => usage.is_none_or(|usage| usage.value.key_cert_sign()),
        Err(_) => return Err("its key usage cannot be read"),
    };
    if !certificate.is_ca() || !signs {
        return Err("it is not that of an authority");
    }
    if SHA1.contains(&certificate.signature_algorithm.algorithm.to_id_string().as_str()) {
        return Err("it is signed with SHA-1");
    }
    if !has_strong_key(&certificate) {
        return Err("its key is too short");
    }
    if !is_own_issuer(&certificate) {
        return Err("it is not signed by itself: no root");
    }
    let validity = certificate.validity();
    if !moment.is_within(validity.not_before.timestamp(), validity.not_after.timestamp()) {
        return Err("it is not valid at this time");
    }
    let usable = RootCertStore::empty().add(der.clone().into_owned()).is_ok();
    usable.then_some(()).ok_or("TLS cannot use it")
}

/// From and until when a certificate is valid, Unix seconds.
pub(super) fn validity(der: &CertificateDer<'_>) -> Option<(i64, i64)> {
    let certificate = parse(der)?;
    let validity = certificate.validity();
    Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
}

/// The subject in words, for the log.
pub(super) fn subject(der: &CertificateDer<'_>) -> String {
    let words = parse(der).map_or_else(String::new, |certificate| certificate.subject().to_string());
    words.chars().filter(|c| !c.is_control()).take(150).collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn hash(algorithm: HashAlgorithm, bytes: &[u8]) -> String {
    let algorithm = match algorithm {
        HashAlgorithm::Sha256 => &digest::SHA256,
        HashAlgorithm::Sha384 => &digest::SHA384,
        HashAlgorithm::Sha512 => &digest::SHA512,
    };
    hexadecimal(digest::digest(algorithm, bytes).as_ref())
}

fn serial(certificate: &X509Certificate<'_>) -> String {
    let digits = hexadecimal(certificate.raw_serial()).to_ascii_uppercase();
    let bare = digits.trim_start_matches('0');
    if bare.is_empty() { "0" } else { bare }.to_owned()
}

/// How a root is named (whitepaper 6.1, RFC 6960): it is its own issuer. `None`: it is no root.
pub(super) fn hash_of_root(der: &CertificateDer<'_>, algorithm: HashAlgorithm) -> Option<CertificateHash> {
    let certificate = parse(der).filter(is_own_issuer)?;
    Some(CertificateHash {
        algorithm,
        issuer_name: hash(algorithm, certificate.issuer().as_raw()),
        // The content of the bit string: neither tag nor length nor the count of unused bits.
        issuer_key: hash(algorithm, &certificate.public_key().subject_public_key.data),
        serial: serial(&certificate),
    })
}

/// Whether a hash names this certificate by issuer and serial number, whoever its issuer is.
pub(super) fn is_named(der: &CertificateDer<'_>, wanted: &CertificateHash) -> bool {
    parse(der).is_some_and(|certificate| {
        wanted
            .issuer_name
            .eq_ignore_ascii_case(&hash(wanted.algorithm, certificate.issuer().as_raw()))
            && wanted.serial.eq_ignore_ascii_case(&serial(&certificate))
    })
}

/// Whether two hashes name the same certificate.
pub(super) fn is_same(one: &CertificateHash, other: &CertificateHash) -> bool {
    one.algorithm == other.algorithm
        && one.issuer_name.eq_ignore_ascii_case(&other.issuer_name)
        && one.issuer_key.eq_ignore_ascii_case(&other.issuer_key)
        && one
            .serial
            .trim_start_matches('0')
            .eq_ignore_ascii_case(other.serial.trim_start_matches('0'))
}

/// A new key and the request for its certificate, both PEM (A02.FR.02, A02.FR.03, A02.FR.13).
pub(super) fn request(common_name: &str, organisation: &str) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, organisation);
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let csr = params.serialize_request(&key)?.pem()?;
    Ok((key.serialize_pem(), csr))
}

fn only<'a>(
    mut found: impl Iterator<Item = &'a x509_parser::x509::AttributeTypeAndValue<'a>>,
) -> Option<&'a str> {
    found.next()?.as_str().ok()
}

fn is_for(name: &X509Name<'_>, common_name: &str, organisation: &str) -> bool {
    only(name.iter_common_name()) == Some(common_name) && only(name.iter_organization()) == Some(organisation)
}

/// Whether a signed certificate is the one that was requested and is usable (A02.FR.06): for our key and our name, within
/// its time, and issued by one of these roots. One that begins later is not refused for that.
pub(super) fn check_own(
    chain: &[CertificateDer<'static>],
    key: &str,
    (common_name, organisation): (&str, &str),
    roots: RootCertStore,
    moment: Moment,
) -> Result<(), &'static str> {
    let (own, intermediates) = chain.split_first().ok_or("there is no certificate")?;
    let certificate = parse(own).ok_or("it is no X.509 certificate")?;
    let ours = KeyPair::from_pem(key).map_err(|_| "the key that was kept is damaged")?;
    if certificate.public_key().subject_public_key.data.as_ref() != ours.public_key_raw() {
        return Err("it is not for the key that was requested");
    }
    if certificate.is_ca() {
        return Err("it is that of an authority");
    }
    if !is_for(certificate.subject(), common_name, organisation) {
        return Err("its subject is not the one that was requested");
    }
    let validity = certificate.validity();
    let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    let begins = Moment {
        unix_s: moment.unix_s.max(from),
        ..moment
    };
    if until < begins.unix_s || until < from {
        return Err("it has expired");
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), trust::provider())
        .build()
        .map_err(|_| "there is no root to check it against")?;
    begins
        .judge(|at| verifier.verify_client_cert(own, intermediates, at))
        .map(drop)
        .map_err(|_| "it does not lead to a root of this CSMS, or may not be used for this")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{
        BasicConstraints, CertificateSigningRequestParams, IsCa, Issuer, SerialNumber, date_time_ymd,
    };

    const NOW: Moment = Moment {
        unix_s: 1_790_000_000,
        is_now: true,
    };

    fn ca(name: &str) -> (CertificateParams, KeyPair) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2090, 1, 1));
        (params, KeyPair::generate().unwrap())
    }

    #[test]
    fn a_root_is_an_authority_that_signs_itself_and_is_valid() {
        let (params, key) = ca("Root");
        let root = params.self_signed(&key).unwrap();
        assert_eq!(check_root(root.der(), NOW), Ok(()));
        let issuer = Issuer::new(params.clone(), key);
        let (lower, lower_key) = ca("Lower");
        let intermediate = lower.signed_by(&lower_key, &issuer).unwrap();
        assert_eq!(
            check_root(intermediate.der(), NOW),
            Err("it is not signed by itself: no root")
        );
        let leaf_key = KeyPair::generate().unwrap();
        let mut leaf = CertificateParams::new(["leaf".to_owned()]).unwrap();
        let signed = leaf.signed_by(&leaf_key, &issuer).unwrap();
        assert_eq!(
            check_root(signed.der(), NOW),
            Err("it is not that of an authority")
        );
        leaf.is_ca = IsCa::ExplicitNoCa;
        let signed = leaf.self_signed(&leaf_key).unwrap();
        assert_eq!(
            check_root(signed.der(), NOW),
            Err("it is not that of an authority")
        );
        let (mut old, key) = ca("Old");
        old.not_after = date_time_ymd(2026, 1, 1);
        let old = old.self_signed(&key).unwrap();
        assert_eq!(check_root(old.der(), NOW), Err("it is not valid at this time"));
        assert!(check_root(&CertificateDer::from(vec![0x30, 0x80]), NOW).is_err());
        let mut trailing = root.der().to_vec();
        trailing.push(0);
        assert!(check_root(&CertificateDer::from(trailing), NOW).is_err());
        let mut forged = root.der().to_vec();
        let last = forged.len() - 1;
        forged[last] ^= 1;
        assert!(check_root(&CertificateDer::from(forged), NOW).is_err());
    }

    #[test]
    fn a_pem_text_is_certificates_and_nothing_else() {
        let (params, key) = ca("Root");
        let pem = params.self_signed(&key).unwrap().pem();
        assert!(one(&pem).is_some());
        assert!(one(&format!("{pem}{pem}")).is_none());
        assert_eq!(chain(&format!("{pem}\n{pem}")).map(|all| all.len()), Some(2));
        assert!(chain(&format!("{pem}{}", key.serialize_pem())).is_none());
        for bad in ["", "nonsense", &pem[..pem.len() / 2]] {
            assert!(chain(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn hashes_are_over_the_name_and_the_content_of_the_bit_string() {
        let (mut params, key) = ca("Root");
        params.serial_number = Some(SerialNumber::from(vec![0x0f, 0xff]));
        let root = params.self_signed(&key).unwrap();
        let found = hash_of_root(root.der(), HashAlgorithm::Sha256).unwrap();
        assert_eq!(found.serial, "FFF");
        assert_eq!(
            found.issuer_key,
            hash(HashAlgorithm::Sha256, key.public_key_raw())
        );
        let der = root.der().to_vec();
        let name = parse(root.der()).unwrap().issuer().as_raw().to_vec();
        assert!(name.starts_with(&[0x30]) && der.windows(name.len()).any(|part| part == name));
        assert_eq!(
            usize::from(name[1]),
            name.len() - 2,
            "the whole of it, tag and length too"
        );
        assert_eq!(found.issuer_name, hash(HashAlgorithm::Sha256, &name));
        assert_eq!(found.issuer_name.len(), 64);
        for (algorithm, length) in [(HashAlgorithm::Sha384, 96), (HashAlgorithm::Sha512, 128)] {
            assert_eq!(
                hash_of_root(root.der(), algorithm).unwrap().issuer_key.len(),
                length
            );
        }
        let upper = CertificateHash {
            issuer_key: found.issuer_key.to_uppercase(),
            serial: "0fff".to_owned(),
            ..found.clone()
        };
        assert!(is_same(&found, &upper) && is_named(root.der(), &found));
    }

    /// Made by openssl; name and key are the bytes that its `-ocspid` hashes, cut out of the DER and hashed by sha256sum.
    const OPENSSL: &str = "-----BEGIN CERTIFICATE-----\n\
        MIIBuTCCAV+gAwIBAgICD6UwCgYIKoZIzj0EAwIwMjEZMBcGA1UECgwQRXhhbXBs\n\
        ZSBPcGVyYXRvcjEVMBMGA1UEAwwMRXhhbXBsZSBSb290MCAXDTI2MTEyNjAxMjg1\n\
        MloYDzIwODEwODI5MDEyODUyWjAyMRkwFwYDVQQKDBBFeGFtcGxlIE9wZXJhdG9y\n\
        MRUwEwYDVQQDDAxFeGFtcGxlIFJvb3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n\
        AASw9VEOgnK0w4Y859JrGa4qZDH7qGV4/IPHamt0Te3O4l2FtZjyNAoQFGqkYtss\n\
        wTDK/V9P0VG+DFfD8HLrhufVo2MwYTAdBgNVHQ4EFgQUDbgb+id6WMJIIm4Ml5Xs\n\
        dQljZBswHwYDVR0jBBgwFoAUDbgb+id6WMJIIm4Ml5XsdQljZBswDwYDVR0TAQH/\n\
        BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAQYwCgYIKoZIzj0EAwIDSAAwRQIgUQOdUKG9\n\
        dZnr+uiqdQ9ud66SXW5gjtqndb2yS7BMG14CIQCI5N1p2JuWhpWHf/5vTovpWgem\n\
        L6FKcGt6V63hbqqsyA==\n\
        -----END CERTIFICATE-----\n";

    #[test]
    fn hashes_are_those_of_openssl() {
        let root = one(OPENSSL).unwrap();
        let found = hash_of_root(&root, HashAlgorithm::Sha256).unwrap();
        assert_eq!(
            found.issuer_name,
            "a48e8f9f85d5c245cc86f16cefa67ede036a2ce8faf750588840e62371d188e5"
        );
        assert_eq!(
            found.issuer_key,
            "639a94ff3ba95ec878802da98f31c345f5b9072c8650a17e8a31ce9d49907955"
        );
        assert_eq!(found.serial, "FA5");
    }

    #[test]
    fn no_flipped_bit_of_a_root_gets_through_and_none_is_a_panic() {
        let root = one(OPENSSL).unwrap();
        let moment = Moment {
            unix_s: 1_800_000_000,
            is_now: true,
        };
        assert_eq!(check_root(&root, moment), Ok(()));
        for bit in 0..root.len() * 8 {
            let mut flipped = root.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let flipped = CertificateDer::from(flipped);
            assert!(check_root(&flipped, moment).is_err(), "bit {bit}");
            let _ = (
                hash_of_root(&flipped, HashAlgorithm::Sha512),
                subject(&flipped),
                validity(&flipped),
            );
        }
        for length in 0..root.len() {
            assert!(check_root(&CertificateDer::from(root[..length].to_vec()), moment).is_err());
        }
    }

    #[test]
    fn a_signed_certificate_must_be_ours_in_every_respect() {
        let (params, key) = ca("Root");
        let root = params.self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(root.der().clone()).unwrap();
        let issuer = Issuer::new(params, key);
        let (ours, csr) = request("CP1", "Operator").unwrap();
        let sign = |csr: &str, years: (i32, i32)| {
            let mut csr = CertificateSigningRequestParams::from_pem(csr).unwrap();
            (csr.params.not_before, csr.params.not_after) =
                (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
            vec![csr.signed_by(&issuer).unwrap().der().clone()]
        };
        let check =
            |chain: &[CertificateDer<'static>], names| check_own(chain, &ours, names, roots.clone(), NOW);
        let names = ("CP1", "Operator");
        let good = sign(&csr, (2025, 2030));
        assert_eq!(check(&good, names), Ok(()));
        assert_eq!(
            check(&sign(&csr, (2028, 2030)), names),
            Ok(()),
            "it may begin later"
        );
        assert_eq!(check(&sign(&csr, (2020, 2026)), names), Err("it has expired"));
        for wrong in [("CP2", "Operator"), ("CP1", "Other")] {
            assert_eq!(
                check(&good, wrong),
                Err("its subject is not the one that was requested")
            );
        }
        let (_, other) = request("CP1", "Operator").unwrap();
        assert_eq!(
            check(&sign(&other, (2025, 2030)), names),
            Err("it is not for the key that was requested")
        );
        let (stranger, key) = ca("Stranger");
        let mut theirs = RootCertStore::empty();
        theirs
            .add(stranger.self_signed(&key).unwrap().der().clone())
            .unwrap();
        assert!(check_own(&good, &ours, names, theirs, NOW).is_err());
        assert!(check_own(&good, &ours, names, RootCertStore::empty(), NOW).is_err());
        assert!(check(&[], names).is_err());
    }
}
