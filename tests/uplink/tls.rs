//! TLS with an authority of the test's own.

use crate::rig::{CP, Door, Plan, Rig, accept_boot, soon};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use retrovolt::domain::{BootId, Clock, ClockQuality, Mono, Now, Security, Wall};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

/// 2026-11-24, wherever and whenever the test runs.
pub struct Noon(pub ClockQuality);

/// A clock with an empty battery: it says 2099, and all that is certain is that it is not before [`Noon`].
struct Dead(ClockQuality);

impl Clock for Dead {
    fn now(&self) -> Now {
        let mut now = Noon(self.0).now();
        now.wall.unix_ms = 4_070_908_800_000;
        now
    }

    fn floor_ms(&self) -> i64 {
        Noon(self.0).now().wall.unix_ms
    }
}

impl Clock for Noon {
    fn now(&self) -> Now {
        Now {
            mono: Mono(1),
            wall: Wall {
                unix_ms: 1_795_500_000_000,
                quality: self.0,
            },
            boot: BootId(1),
        }
    }
}

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
    pub pem: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2090, 1, 1));
        let certificate = params.self_signed(&key).expect("a certificate");
        Self {
            der: certificate.der().clone(),
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for this name, valid from and until the first of January of these years.
    fn issue(&self, name: &str, years: (i32, i32), usage: ExtendedKeyUsagePurpose) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.extended_key_usages = vec![usage];
        (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Issued {
            der: certificate.der().clone(),
            pem: certificate.pem(),
            key,
        }
    }

    pub fn server(&self, name: &str, years: (i32, i32)) -> Issued {
        self.issue(name, years, ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a root");
        roots
    }
}

pub struct Issued {
    der: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

pub const GOOD: (i32, i32) = (2025, 2080);

/// A CSMS behind TLS; with `clients`, only for those that show a certificate of that authority.
pub fn acceptor(issued: &Issued, clients: Option<&Authority>) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = match clients {
        Some(authority) => {
            let roots = Arc::new(authority.roots());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        }
        None => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::try_from(issued.key.serialize_der()).expect("a key");
    let config = builder
        .with_single_cert(vec![issued.der.clone()], key)
        .expect("a certificate");
    TlsAcceptor::from(Arc::new(config))
}

struct World {
    door: Door,
    dir: TempDir,
    ours: Authority,
}

impl World {
    async fn new() -> Self {
        let world = Self {
            door: Door::open().await,
            dir: TempDir::new().expect("a directory"),
            ours: Authority::new("Ours"),
        };
        world.file("ours.pem", &world.ours.pem);
        world
    }

    fn file(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).expect("a file");
    }

    fn plan(&self) -> Plan {
        let mut plan = Plan::to(format!("wss://localhost:{}/ocpp/{CP}", self.door.port()));
        plan.trust_dir = Some(self.dir.path().to_owned());
        plan.clock = Arc::new(Noon(ClockQuality::Ntp));
        plan
    }

    /// Offers this certificate once; gives what the operator is told and the security events.
    async fn offer(&self, issued: &Issued, plan: Plan) -> (String, Vec<String>) {
        let acceptor = acceptor(issued, None);
        let mut rig = plan.start();
        let tcp = self.door.tcp().await;
        let refused = soon("a handshake", acceptor.accept(tcp)).await;
        assert!(refused.is_err(), "no handshake with this certificate");
        let detail = rig.down().await;
        let shelf = rig.shelf.clone();
        rig.stop().await;
        let events = shelf.security.lock().unwrap();
        (detail, events.iter().map(|event| event.name.clone()).collect())
    }

    async fn served(&self, acceptor: &TlsAcceptor, rig: &mut Rig) {
        let tls = soon("a handshake", acceptor.accept(self.door.tcp().await)).await;
        #[allow(clippy::result_large_err, reason = "the signature is the library's")]
        let choose = |_: &Request, mut response: Response| {
            let value = "ocpp1.6".parse().expect("a header value");
            response.headers_mut().insert("sec-websocket-protocol", value);
            Ok(response)
        };
        let tls: TlsStream<TcpStream> = tls.expect("a handshake");
        let mut socket = soon("an upgrade", accept_hdr_async(tls, choose))
            .await
            .expect("an upgrade");
        accept_boot(&mut socket).await;
        rig.online(true).await;
    }
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_is_good_even_beside_a_broken_file() {
    let world = World::new().await;
    world.file(
        "aaa.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    world.file("readme.txt", "not a certificate");
    let acceptor = acceptor(&world.ours.server("localhost", GOOD), None);
    let mut rig = world.plan().start();
    world.served(&acceptor, &mut rig).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_wrong_name_is_refused_and_both_names_are_told() {
    let world = World::new().await;
    let (detail, events) = world
        .offer(&world.ours.server("csms.example", GOOD), world.plan())
        .await;
    assert!(
        detail.starts_with("the certificate is not for localhost; it is for "),
        "{detail}"
    );
    assert!(detail.contains("csms.example"), "{detail}");
    assert_eq!(events, ["InvalidCsmsCertificate"]);
}

#[tokio::test]
async fn an_unknown_authority_is_refused() {
    let world = World::new().await;
    let (detail, events) = world
        .offer(&Authority::new("Theirs").server("localhost", GOOD), world.plan())
        .await;
    assert!(detail.contains("not issued by a trusted authority"), "{detail}");
    assert!(detail.contains("into the trust directory"), "{detail}");
    assert_eq!(events, ["InvalidCsmsCertificate"]);
}

#[tokio::test]
async fn time_is_judged_by_the_gateways_clock_and_the_operator_is_told_how_it_knows() {
    let world = World::new().await;
    let (detail, events) = world
        .offer(&world.ours.server("localhost", (2021, 2026)), world.plan())
        .await;
    assert!(
        detail.contains("has expired by the clock of this machine (2026-11-2"),
        "{detail}"
    );
    assert!(detail.contains("set by NTP"), "{detail}");
    assert_eq!(events, ["InvalidCsmsCertificate"]);
    let mut plan = world.plan();
    plan.clock = Arc::new(Noon(ClockQuality::Csms));
    let (detail, _) = world
        .offer(&world.ours.server("localhost", (2079, 2080)), plan)
        .await;
    assert!(detail.contains("is not valid yet"), "{detail}");
    assert!(
        detail.contains("set by a CSMS); set the clock of this machine"),
        "{detail}"
    );
}

#[tokio::test]
async fn an_untrusted_clock_counts_for_its_floor_only() {
    for quality in [ClockQuality::Unset, ClockQuality::Restored] {
        let world = World::new().await;
        // Good from the floor on, ended for the clock that says 2099; and issued while the gateway was switched off.
        for years in [(2025, 2027), (2030, 2080)] {
            let acceptor = acceptor(&world.ours.server("localhost", years), None);
            let mut plan = world.plan();
            plan.clock = Arc::new(Dead(quality));
            let mut rig = plan.start();
            world.served(&acceptor, &mut rig).await;
            rig.stop().await;
        }
        let mut plan = world.plan();
        plan.clock = Arc::new(Dead(quality));
        let ended = world.ours.server("localhost", (2021, 2026));
        let (detail, events) = world.offer(&ended, plan).await;
        assert!(detail.contains("has expired"), "{detail}");
        assert_eq!(events, ["InvalidCsmsCertificate"]);
        let mut plan = world.plan();
        plan.clock = Arc::new(Dead(quality));
        let (detail, _) = world
            .offer(&Authority::new("Theirs").server("localhost", (2030, 2080)), plan)
            .await;
        assert!(detail.contains("not issued by a trusted authority"), "{detail}");
    }
}

#[tokio::test]
async fn a_trusted_clock_that_says_2099_is_believed() {
    let world = World::new().await;
    let mut plan = world.plan();
    plan.clock = Arc::new(Dead(ClockQuality::Ntp));
    let (detail, _) = world
        .offer(&world.ours.server("localhost", (2025, 2080)), plan)
        .await;
    assert!(
        detail.contains("has expired by the clock of this machine (2099-"),
        "{detail}"
    );
}

#[tokio::test]
async fn the_same_refusal_is_one_security_event_however_often_it_is_tried() {
    let world = World::new().await;
    let acceptor = acceptor(&Authority::new("Theirs").server("localhost", GOOD), None);
    let rig = world.plan().start();
    for _ in 0..5 {
        let tcp = world.door.tcp().await;
        assert!(soon("a handshake", acceptor.accept(tcp)).await.is_err());
    }
    let shelf = rig.shelf.clone();
    rig.stop().await;
    assert_eq!(shelf.security.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_csms_that_wants_a_client_certificate_gets_ours_or_says_no() {
    let world = World::new().await;
    let acceptor = acceptor(&world.ours.server("localhost", GOOD), Some(&world.ours));
    let mut rig = world.plan().start();
    let tcp = world.door.tcp().await;
    assert!(soon("a handshake", acceptor.accept(tcp)).await.is_err());
    let detail = rig.down().await;
    assert!(
        detail.starts_with("localhost does not accept our TLS client certificate, or wants one"),
        "{detail}"
    );
    rig.stop().await;

    let client = world.ours.issue(CP, GOOD, ExtendedKeyUsagePurpose::ClientAuth);
    world.file("client.crt", &client.pem);
    world.file("client.key", &client.key.serialize_pem());
    let mut plan = world.plan();
    plan.csms.security = Security::Client {
        certificate: world.dir.path().join("client.crt"),
        key: world.dir.path().join("client.key"),
    };
    let mut rig = plan.start();
    world.served(&acceptor, &mut rig).await;
    rig.stop().await;
}

#[tokio::test]
async fn own_files_that_cannot_be_used_are_named_and_not_quoted() {
    let world = World::new().await;
    world.file("client.pem", &world.ours.pem);
    world.file("client.key", "s3cret that is no PEM");
    let mut plan = world.plan();
    plan.csms.security = Security::Client {
        certificate: world.dir.path().join("client.pem"),
        key: world.dir.path().join("client.key"),
    };
    let mut rig = plan.start();
    let _held = world.door.tcp().await;
    let detail = rig.down().await;
    assert!(
        detail.contains("client.key cannot be used") && !detail.contains("s3cret"),
        "{detail}"
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_plain_server_on_a_tls_url_is_told_as_such() {
    let world = World::new().await;
    let mut rig = world.plan().start();
    let mut tcp = world.door.tcp().await;
    let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
    tcp.write_all(answer).await.expect("sent");
    let detail = rig.down().await;
    assert!(detail.starts_with("TLS with localhost failed"), "{detail}");
    assert!(
        detail.contains("for a plain one the URL begins ws://"),
        "{detail}"
    );
    rig.stop().await;
}

#[tokio::test]
async fn n5_a_server_that_settles_for_tls_1_1_is_refused() {
    let world = World::new().await;
    let mut rig = world.plan().start();
    let mut tcp = world.door.tcp().await;
    // A record with a ServerHello of TLS 1.1 (RFC 4346 section 7.4.1.3): no session, a suite of that time, no compression.
    let hello = [&[3, 2][..], &[7; 32], &[0, 0xC0, 0x13, 0]].concat();
    let length = u8::try_from(hello.len()).expect("short");
    let record = [&[22, 3, 2, 0, length + 4, 2, 0, 0, length][..], &hello].concat();
    tcp.write_all(&record).await.expect("a peer");
    let detail = rig.down().await;
    assert!(detail.contains("speaks no TLS that is allowed"), "{detail}");
    let shelf = rig.shelf.clone();
    rig.stop().await;
    let events = shelf.security.lock().unwrap();
    let told: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(told, ["InvalidTLSVersion"]);
}

#[tokio::test]
async fn an_alert_blames_no_more_than_it_says() {
    let world = World::new().await;
    for (alert, words, event) in [
        (40, "ended the TLS handshake without saying why", None),
        (70, "speaks no TLS that is allowed", Some("InvalidTLSVersion")),
        (71, "allows no cipher suite", Some("InvalidTLSCipherSuite")),
    ] {
        let mut rig = world.plan().start();
        let mut tcp = world.door.tcp().await;
        // A record with a fatal alert (RFC 8446 sections 5.1 and 6).
        tcp.write_all(&[21, 3, 3, 0, 2, 2, alert]).await.expect("a peer");
        let detail = rig.down().await;
        assert!(detail.contains(words), "{alert}: {detail}");
        let shelf = rig.shelf.clone();
        rig.stop().await;
        let events = shelf.security.lock().unwrap();
        let told: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
        assert_eq!(told, Vec::from_iter(event), "{alert}");
    }
}
