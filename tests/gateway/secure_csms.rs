//! The real process and a strict CSMS with TLS: from a password in the clear to a client certificate that the CSMS has
//! signed, all over OCPP, and what is left of it on the disk.

use crate::kills::quick_world;
use crate::rig::Rig;
use crate::site::{PATIENCE, gateway_toml, process, quick_toml};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use retrovolt::sim::GatewayProcess;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

const CP: &str = "SAFE-1";
const OLD: &str = "c4nary-old-password";
/// As the CSMS sends it, and the bytes it stands for are shown at the login.
const NEW: &str = "c4a4a1b2c3d4e5f60718293a4b5c6d7e";

/// An operator that signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "Operator Root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2090, 1, 1));
        Self {
            pem: params.self_signed(&key).expect("a certificate").pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// Certificate and key of the CSMS.
    fn server(&self) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2090, 1, 1));
        let signed = params.signed_by(&key, &self.issuer).expect("a certificate");
        (signed.pem(), key.serialize_pem())
    }

    pub fn sign(&self, csr: &str) -> String {
        let mut csr = CertificateSigningRequestParams::from_pem(csr).expect("a request");
        (csr.params.not_before, csr.params.not_after) =
            (date_time_ymd(2020, 1, 1), date_time_ymd(2090, 1, 1));
        csr.signed_by(&self.issuer).expect("a certificate").pem()
    }
}

fn configuration(dir: &Path, world: &retrovolt::sim::World, plain: u64, secure: u64) -> String {
    std::fs::write(dir.join("password"), OLD).expect("a file");
    let password = dir.join("password").display().to_string();
    let link = format!(
        r#"url = "ws://localhost:{plain}/ocpp/{{id}}"
secure_url = "wss://localhost:{secure}/ocpp/{{id}}"
security = "basic"
password_file = "{password}"
"#
    );
    gateway_toml(dir) + &quick_toml(world, CP, "remote", &link)
}

async fn opened(rig: &mut Rig, mark: usize) -> Value {
    rig.await_line(mark, "a connection", |line| line["opened"] == CP)
        .await
}

async fn change(rig: &mut Rig, key: &str, value: &str) -> String {
    let answer = rig
        .call(CP, "ChangeConfiguration", json!({"key": key, "value": value}))
        .await;
    answer["payload"]["status"].as_str().expect("a status").to_owned()
}

async fn asked(rig: &mut Rig, action: &str, payload: Value) -> Value {
    rig.call(CP, action, payload).await["payload"].clone()
}

/// The connection that follows a change of the profile or the password.
async fn reconnected(rig: &mut Rig, key: &str, value: &str) -> Value {
    let mark = rig.mark();
    assert_eq!(change(rig, key, value).await, "Accepted");
    opened(rig, mark).await
}

fn bare(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// `retrovolt security-log`: exit code and what it told.
fn security_log(gateway: &GatewayProcess) -> (Option<i32>, Value) {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_retrovolt"))
        .args(["security-log", "--json", "--config"])
        .arg(gateway.dir().join("retrovolt.toml"))
        .output()
        .expect("it runs");
    let told = serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&out.stderr)));
    (out.status.code(), told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_profile_rises_from_1_to_3_over_ocpp_and_nothing_secret_is_left_lying_about() {
    let (dir, root) = (TempDir::new().expect("a folder"), Authority::new());
    let (certificate, key) = root.server();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let files = [
        file("server.pem", &certificate),
        file("server.key", &key),
        file("root.pem", &root.pem),
    ];
    let mut rig = Rig::start("strict_csms.py", &files.each_ref().map(String::as_str)).await;
    let secure = rig.since(0)[0]["secure"].as_u64().expect("a port");
    let world = quick_world(dir.path()).await;
    let toml = configuration(dir.path(), &world, rig.port, secure);
    let mut gateway = process(dir.path(), &toml);
    gateway.start().expect("the gateway starts");

    let first = opened(&mut rig, 0).await;
    assert_eq!(
        (&first["tls"], &first["login"]),
        (&json!(false), &json!(bare(&format!("{CP}:{OLD}"))))
    );
    rig.heard(0, CP, "BootNotification", |_| true).await;
    let second = reconnected(&mut rig, "AuthorizationKey", NEW).await;
    let new_login = json!(format!("{}{NEW}", bare(&format!("{CP}:"))));
    assert_eq!(second["login"], new_login);

    assert_eq!(
        change(&mut rig, "SecurityProfile", "2").await,
        "Rejected",
        "no root yet"
    );
    let usage = "CentralSystemRootCertificate";
    let install = json!({"certificateType": usage, "certificate": root.pem});
    assert_eq!(
        asked(&mut rig, "InstallCertificate", install).await["status"],
        "Accepted"
    );
    let third = reconnected(&mut rig, "SecurityProfile", "2").await;
    assert_eq!((&third["tls"], &third["login"]), (&json!(true), &new_login));

    assert_eq!(change(&mut rig, "CpoName", "Operator").await, "Accepted");
    assert_eq!(
        change(&mut rig, "SecurityProfile", "3").await,
        "Rejected",
        "no certificate yet"
    );
    let mark = rig.mark();
    let wanted = json!({"requestedMessage": "SignChargePointCertificate"});
    assert_eq!(
        asked(&mut rig, "ExtendedTriggerMessage", wanted).await["status"],
        "Accepted"
    );
    let request = rig.heard(mark, CP, "SignCertificate", |_| true).await;
    let chain = root.sign(request["payload"]["csr"].as_str().expect("a request"));
    let signed = asked(&mut rig, "CertificateSigned", json!({"certificateChain": chain})).await;
    assert_eq!(signed["status"], "Accepted");
    let fourth = reconnected(&mut rig, "SecurityProfile", "3").await;
    let subject = json!({"organizationName": "Operator", "commonName": CP});
    assert_eq!((&fourth["subject"], &fourth["login"]), (&subject, &Value::Null));

    let installed = asked(
        &mut rig,
        "GetInstalledCertificateIds",
        json!({"certificateType": usage}),
    )
    .await;
    let hash = installed["certificateHashData"][0].clone();
    let delete = json!({"certificateHashData": hash});
    assert_eq!(
        asked(&mut rig, "DeleteCertificate", delete).await["status"],
        "Failed",
        "it is in use"
    );
    assert_eq!(change(&mut rig, "SecurityProfile", "2").await, "Rejected");

    // A kill forgets nothing of it.
    let mark = rig.mark();
    gateway.kill().await.expect("killed");
    gateway.start().expect("the gateway starts");
    assert_eq!(opened(&mut rig, mark).await["subject"], subject);
    let event = "ReconfigurationOfSecurityParameters";
    rig.heard(0, CP, "SecurityEventNotification", |payload| {
        payload["type"] == event
    })
    .await;
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
    assert!(rig.violations().is_empty(), "{:#?}", rig.violations());
    nothing_lies_about(&gateway);
    a_tampered_log_is_found(&gateway);
}

/// The passwords and the key are in the file of the credentials, readable for nobody else, and nowhere besides.
fn nothing_lies_about(gateway: &GatewayProcess) {
    let state = gateway.dir().join("state");
    let kept = state.join("credentials").join(CP).join("main.json");
    let mode = std::fs::metadata(&kept).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let kept = std::fs::read_to_string(kept).expect("text");
    assert!(kept.contains(NEW) && kept.contains("PRIVATE KEY"));
    let mut looked_at = 0;
    for file in std::fs::read_dir(&state).expect("a folder") {
        let path = file.expect("a file").path();
        // The signing key of the journal is no secret of the CSMS, and is where it belongs.
        if path.is_file() && !path.ends_with("sessions-sign.pem") {
            clean(&path);
            looked_at += 1;
        }
    }
    clean(&gateway.log());
    assert!(looked_at > 0);
}

fn clean(path: &Path) {
    let bytes = std::fs::read(path).expect("a file");
    let text = String::from_utf8_lossy(&bytes);
    for secret in [OLD, NEW, &bare(OLD), "PRIVATE KEY"] {
        assert!(!text.contains(secret), "{secret} in {}", path.display());
    }
}

fn a_tampered_log_is_found(gateway: &GatewayProcess) {
    let (code, told) = security_log(gateway);
    assert_eq!((code, &told["intact"]), (Some(0), &json!(true)), "{told}");
    let names: Vec<&str> = told["events"]
        .as_array()
        .expect("events")
        .iter()
        .filter_map(|event| event["name"].as_str())
        .collect();
    assert!(
        names.contains(&"ReconfigurationOfSecurityParameters"),
        "{names:?}"
    );
    assert_eq!(names[0], "StartupOfTheDevice");
    let db = rusqlite::Connection::open(gateway.dir().join("state/ledger.db")).expect("the database");
    db.execute(
        "UPDATE security_log SET name = 'StartupOfTheDevice' WHERE n = 2",
        [],
    )
    .expect("changed");
    drop(db);
    let (code, told) = security_log(gateway);
    assert_eq!((code, &told["intact"]), (Some(65), &json!(false)));
    assert_eq!(told["fault"], "row 2 is not what was written");
}
