//! Promise N5 over the whole process: the CSMS shows a certificate that is not good while a vehicle charges, and asks for less
//! security.

use crate::kills::quick_world;
use crate::rig::Rig;
use crate::site::{PATIENCE, gateway_toml, process, quick_toml, until};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use retrovolt::sim::EvSpec;
use retrovolt::sim::status::{online, sessions, waiting};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

const CP: &str = "CERT-1";
const GOOD: (i32, i32) = (2020, 2090);

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params.not_before, params.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(2090, 1, 1));
        Self {
            pem: params.self_signed(&key).expect("a certificate").pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// What a server for this name shows, valid from and until the first of January of these years.
    fn server(&self, name: &str, years: (i32, i32)) -> TlsAcceptor {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
        let shown: CertificateDer = params
            .signed_by(&key, &self.issuer)
            .expect("a certificate")
            .into();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![shown],
                PrivateKeyDer::try_from(key.serialize_der()).expect("a key"),
            );
        TlsAcceptor::from(Arc::new(config.expect("a certificate")))
    }
}

/// TLS in front of a CSMS, with a certificate that can be exchanged.
struct Front {
    port: u16,
    shown: Arc<Mutex<TlsAcceptor>>,
    open: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Front {
    async fn of(csms: u64, shown: TlsAcceptor) -> Self {
        let csms = u16::try_from(csms).expect("a port");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let front = Self {
            port: listener.local_addr().expect("bound").port(),
            shown: Arc::new(Mutex::new(shown)),
            open: Arc::default(),
        };
        let (shown, open) = (front.shown.clone(), front.open.clone());
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let acceptor = shown.lock().expect("unharmed").clone();
                let relay = tokio::spawn(async move {
                    let Ok(mut outside) = acceptor.accept(tcp).await else {
                        return;
                    };
                    if let Ok(mut inside) = TcpStream::connect(("127.0.0.1", csms)).await {
                        // However it ends, both sides are closed behind it.
                        copy_bidirectional(&mut outside, &mut inside).await.ok();
                    }
                });
                open.lock().expect("unharmed").push(relay.abort_handle());
            }
        });
        front
    }

    /// From now on this certificate is shown; what is connected is cut.
    fn show(&self, acceptor: TlsAcceptor) {
        *self.shown.lock().expect("unharmed") = acceptor;
        for relay in self.open.lock().expect("unharmed").drain(..) {
            relay.abort();
        }
    }
}

fn detail(status: &Value) -> &str {
    status["charge_points"][0]["links"][0]["link"]["detail"]
        .as_str()
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n5_a_bad_certificate_is_refused_and_told_while_charging_goes_on_and_nothing_leads_down() {
    let (dir, ours) = (TempDir::new().expect("a folder"), Authority::new("Ours"));
    std::fs::create_dir_all(dir.path().join("trust.d")).expect("a folder");
    std::fs::write(dir.path().join("trust.d/ours.pem"), &ours.pem).expect("a file");
    let mut csms = Rig::start("strict_csms.py", &[]).await;
    let front = Front::of(csms.port, ours.server("localhost", GOOD)).await;
    let world = quick_world(dir.path()).await;
    let link = format!(
        "url = \"wss://localhost:{}/ocpp/{{id}}\"\nsecurity = \"basic\"\npassword = \"a-password-of-the-csms\"\n",
        front.port
    );
    let trust = format!("trust_dir = \"{}/trust.d\"\n", dir.path().display());
    let toml = gateway_toml(dir.path()) + &trust + &quick_toml(&world, CP, "free", &link);
    let mut gateway = process(dir.path(), &toml);
    gateway.start().expect("the gateway starts");
    until(&gateway, "the charge point is accepted", |s| online(s) == 1).await;
    let (opened, asked) = (csms.since(0), json!({"key": ["SecurityProfile"]}));
    assert!(
        opened
            .iter()
            .any(|line| line["opened"] == CP && line["login"].is_string())
    );
    world.plug("box", EvSpec::default()).expect("a charger");
    until(&gateway, "the session runs", |s| sessions(s) == 1).await;
    csms.heard(0, CP, "StartTransaction", |_| true).await;

    let strangers = Authority::new("Theirs");
    for (shown, words) in [
        (ours.server("localhost", (2020, 2021)), "has expired"),
        (
            strangers.server("localhost", GOOD),
            "not issued by a trusted authority",
        ),
        (
            ours.server("csms.example", GOOD),
            "the certificate is not for localhost",
        ),
    ] {
        let mark = csms.mark();
        front.show(shown);
        until(&gateway, words, |s| online(s) == 0 && detail(s).contains(words)).await;
        let before = world.energy("box").expect("a charger");
        let charged = || world.energy("box").expect("a charger") > before;
        until(&gateway, "charging goes on", |s| sessions(s) == 1 && charged()).await;
        let talked = csms.since(mark);
        assert!(
            !talked.iter().any(|line| line["opened"] == CP),
            "{words}: {talked:?}"
        );
        front.show(ours.server("localhost", GOOD));
        let event = |payload: &Value| payload["type"] == "InvalidCentralSystemCertificate";
        csms.heard(mark, CP, "SecurityEventNotification", event).await;
        until(&gateway, "all is told", |s| {
            online(s) == 1 && sessions(s) == 1 && waiting(s) == 0
        })
        .await;
    }

    for lower in ["0", "1", "2"] {
        let change = json!({"key": "SecurityProfile", "value": lower});
        let answer = csms.call(CP, "ChangeConfiguration", change).await;
        assert_eq!(answer["payload"]["status"], "Rejected", "{lower}: {answer}");
    }
    let told = csms.call(CP, "GetConfiguration", asked).await;
    assert_eq!(told["payload"]["configurationKey"][0]["value"], "2", "{told}");
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
    assert_eq!(csms.violations(), Vec::<Value>::new());
}
