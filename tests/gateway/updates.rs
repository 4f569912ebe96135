//! Firmware through the whole gateway: fetched from a foreign server, checked, handed over in the spool, and what an
//! installer writes back told to the CSMS, also over a restart of the gateway.

use crate::uploads::Files;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use retrovolt::sim::GatewayProcess;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const CP: &str = "TEST-1";
pub const IMAGE: &[u8] = &[0x5a; 300_000];
pub const PAST: &str = "2026-01-01T00:00:00Z";

/// A manufacturer: its root, and a certificate to sign with.
pub struct Maker {
    pub root: String,
    certificate: String,
    key: EcdsaKeyPair,
}

impl Maker {
    pub fn new() -> Self {
        let mut ca = CertificateParams::new(Vec::new()).expect("parameters");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let root = CertifiedIssuer::self_signed(ca, KeyPair::generate().expect("a key")).expect("a root");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        let certificate = params.signed_by(&key, &root).expect("a certificate").pem();
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &key.serialize_der(), &random);
        Self {
            root: root.pem(),
            certificate,
            key: key.expect("a key"),
        }
    }

    pub fn sign(&self, data: &[u8]) -> String {
        let signature = self.key.sign(&SystemRandom::new(), data).expect("a signature");
        STANDARD.encode(signature.as_ref())
    }

    pub fn order(&self, id: i64, location: &str, signature: &str) -> Value {
        json!({
            "requestId": id, "retries": 1, "retryInterval": 1,
            "firmware": {
                "location": location, "retrieveDateTime": PAST,
                "signingCertificate": self.certificate, "signature": signature
            }
        })
    }
}

/// What the gateway handed over, once it is there.
pub async fn handed_over(gateway: &GatewayProcess, n: u32) -> (PathBuf, Value) {
    let spool = gateway.dir().join("firmware");
    let sheet = spool.join(format!("{CP}-{n}.json"));
    crate::site::until(gateway, "firmware is handed over", |_| sheet.is_file()).await;
    let text = std::fs::read_to_string(&sheet).expect("the sheet");
    (spool, serde_json::from_str(&text).expect("JSON"))
}

/// The installer says something, by a rename.
pub fn say(spool: &Path, n: u32, result: &Value) {
    let draft = spool.join("draft");
    std::fs::write(&draft, result.to_string()).expect("written");
    std::fs::rename(&draft, spool.join(format!("{CP}-{n}.result"))).expect("renamed");
}

async fn heard(files: &mut Files, mark: usize, message: &str, status: &str) {
    files
        .csms
        .heard(mark, CP, message, |payload| payload["status"] == status)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unsigned_update_reaches_the_installer_and_its_result_the_csms_over_a_restart() {
    let declared = "\n[firmware]\nspool = \"firmware\"\nkind = \"package\"\naccept_unsigned = true\n";
    let mut files = Files::start(declared).await;
    std::fs::write(files.folder.join("fw.bin"), IMAGE).expect("written");
    for (n, scheme) in ["ftp", "ftps", "http", "https"].into_iter().enumerate() {
        let n = u32::try_from(n).expect("few") + 1;
        let mark = files.csms.mark();
        let lost = files.servers.mark();
        // The first attempt breaks in its middle.
        files.servers.order(&json!({ "break": 1 })).await;
        let order = json!({
            "location": files.at(scheme, "op:secret", "fw.bin"), "retrieveDate": PAST,
            "retries": 1, "retryInterval": 1
        });
        let answer = files.csms.call(CP, "UpdateFirmware", order).await;
        assert_eq!(answer["payload"], json!({}), "{answer}");
        for status in ["Downloading", "Downloaded"] {
            heard(&mut files, mark, "FirmwareStatusNotification", status).await;
        }
        let broke = |v: &Value| !v["broke"].is_null() && v["by"] == scheme;
        files.servers.await_line(lost, "the break", broke).await;
        let (spool, sheet) = handed_over(&files.gateway, n).await;
        assert_eq!(
            std::fs::read(spool.join(format!("{CP}-{n}.image"))).expect("the image"),
            IMAGE
        );
        assert_eq!(sheet["kind"], "package");
        assert_eq!(sheet["bytes"], IMAGE.len());
        assert_eq!(sheet["sha256"].as_str().map(str::len), Some(64), "{sheet}");
        if n == 1 {
            files.gateway.kill().await.expect("a kill");
            say(&spool, n, &json!({"status": "installing"}));
            files.gateway.start().expect("it starts again");
        }
        say(&spool, n, &json!({"status": "installed"}));
        for status in ["Installing", "Installed"] {
            heard(&mut files, mark, "FirmwareStatusNotification", status).await;
        }
        let gone = || !spool.join(format!("{CP}-{n}.image")).exists();
        crate::site::until(&files.gateway, "the spool is empty", |_| gone()).await;
    }
    let mark = files.csms.mark();
    for (location, n) in [("nothing.bin", 5), ("fw.bin", 6)] {
        let login = if n == 5 { "op:secret" } else { "op:wrong" };
        let order = json!({
            "location": files.at("ftp", login, location), "retrieveDate": PAST, "retries": 0
        });
        files.csms.call(CP, "UpdateFirmware", order).await;
        heard(&mut files, mark, "FirmwareStatusNotification", "DownloadFailed").await;
    }
    files.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_update_is_handed_over_only_with_a_good_signature_of_the_maker() {
    let maker = Maker::new();
    let declared =
        "\n[firmware]\nspool = \"firmware\"\nkind = \"charger\"\nroots_file = \"trust.d/files.pem\"\n";
    let mut files = Files::start(declared).await;
    // The file is read for each check: now it holds the maker's root beside what TLS needs.
    let trusted = files.gateway.dir().join("trust.d/files.pem");
    let other = std::fs::read_to_string(&trusted).expect("the file");
    std::fs::write(&trusted, other + &maker.root).expect("written");
    std::fs::write(files.folder.join("fw.bin"), IMAGE).expect("written");
    let location = files.at("https", "op:secret", "fw.bin");
    let message = "SignedFirmwareStatusNotification";

    let mark = files.csms.mark();
    let answer = files
        .csms
        .call(
            CP,
            "SignedUpdateFirmware",
            Maker::new().order(1, &location, &maker.sign(IMAGE)),
        )
        .await;
    assert_eq!(answer["payload"]["status"], "InvalidCertificate", "{answer}");
    let event = |name: &'static str| move |payload: &Value| payload["type"] == name;
    files
        .csms
        .heard(
            mark,
            CP,
            "SecurityEventNotification",
            event("InvalidFirmwareSigningCertificate"),
        )
        .await;

    let wrong = maker.sign(b"something else");
    let answer = files
        .csms
        .call(CP, "SignedUpdateFirmware", maker.order(2, &location, &wrong))
        .await;
    assert_eq!(answer["payload"]["status"], "Accepted", "{answer}");
    heard(&mut files, mark, message, "InvalidSignature").await;
    files
        .csms
        .heard(
            mark,
            CP,
            "SecurityEventNotification",
            event("InvalidFirmwareSignature"),
        )
        .await;

    let mark = files.csms.mark();
    let answer = files
        .csms
        .call(
            CP,
            "SignedUpdateFirmware",
            maker.order(3, &location, &maker.sign(IMAGE)),
        )
        .await;
    assert_eq!(answer["payload"]["status"], "Accepted", "{answer}");
    heard(&mut files, mark, message, "SignatureVerified").await;
    let (spool, sheet) = handed_over(&files.gateway, 2).await;
    assert_eq!(
        (&sheet["request_id"], &sheet["signed"]),
        (&json!(3), &json!(true))
    );
    say(
        &spool,
        2,
        &json!({"status": "failed", "reason": "the charger is busy"}),
    );
    heard(&mut files, mark, message, "InstallationFailed").await;
    let answer = files
        .csms
        .call(
            CP,
            "UpdateFirmware",
            json!({"location": location, "retrieveDate": PAST}),
        )
        .await;
    assert_eq!(answer["error"], "NotSupported", "{answer}");
    files.end().await;
}
