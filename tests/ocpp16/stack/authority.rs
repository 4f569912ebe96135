//! A certificate authority of a story.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::pki_types::CertificateDer;

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

/// Years that lie around every story.
pub const GOOD: (i32, i32) = (2025, 2080);

fn authority(name: &str, years: (i32, i32)) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
    params
}

impl Authority {
    pub fn new(name: &str) -> Self {
        Self::valid(name, GOOD)
    }

    pub fn valid(name: &str, years: (i32, i32)) -> Self {
        let key = KeyPair::generate().expect("a key");
        let params = authority(name, years);
        Self {
            pem: params.self_signed(&key).expect("a certificate").pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// An authority below this one.
    pub fn below(&self, name: &str) -> String {
        let key = KeyPair::generate().expect("a key");
        let params = authority(name, GOOD);
        params.signed_by(&key, &self.issuer).expect("a certificate").pem()
    }

    /// A certificate of a server.
    pub fn server(&self, name: &str) -> CertificateDer<'static> {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (date_time_ymd(2025, 1, 1), date_time_ymd(2080, 1, 1));
        let signed = params.signed_by(&key, &self.issuer).expect("a certificate");
        signed.der().clone()
    }

    /// Signs what a charge point has requested.
    pub fn sign(&self, csr: &str, years: (i32, i32)) -> String {
        let mut csr = CertificateSigningRequestParams::from_pem(csr).expect("a request");
        (csr.params.not_before, csr.params.not_after) =
            (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
        csr.signed_by(&self.issuer).expect("a certificate").pem()
    }
}
