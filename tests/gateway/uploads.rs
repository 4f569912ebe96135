//! Logs on their way to file servers we did not write, through the whole gateway: FTP, FTPS, HTTP and HTTPS, and what can
//! go wrong on the way.

use crate::rig::Rig;
use crate::site::{PATIENCE, Point, garage_toml, gateway_toml, process};
use retrovolt::sim::GatewayProcess;
use retrovolt::sim::status::online;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const CP: &str = "TEST-1";
const PASSWORD: &str = "a-password-of-the-csms";

/// A gateway, a CSMS that checks every frame, and file servers.
pub struct Files {
    _dir: TempDir,
    pub csms: Rig,
    pub servers: Rig,
    pub gateway: GatewayProcess,
    pub folder: PathBuf,
    ports: Value,
}

/// A key and a certificate for 127.0.0.1, and beside it the same as a root to trust.
pub fn certificate(dir: &Path) -> PathBuf {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]);
    let made = made.expect("a certificate");
    let pem = made.cert.pem();
    std::fs::create_dir_all(dir.join("trust.d")).expect("a folder");
    std::fs::write(dir.join("trust.d/files.pem"), &pem).expect("written");
    let both = dir.join("server.pem");
    std::fs::write(&both, made.signing_key.serialize_pem() + &pem).expect("written");
    both
}

impl Files {
    /// All of it, the charge point accepted; `more` goes into the configuration.
    pub async fn start(more: &str) -> Self {
        let dir = TempDir::new().expect("a folder");
        let folder = dir.path().join("served");
        std::fs::create_dir_all(&folder).expect("a folder");
        let pem = certificate(dir.path());
        let args = [folder.display().to_string(), pem.display().to_string()];
        let servers = Rig::start("file_servers.py", &[&args[0], &args[1]]).await;
        let ports = servers.since(0)[0].clone();
        let csms = Rig::start("strict_csms.py", &[]).await;
        let point = Point {
            id: CP,
            url: format!("ws://127.0.0.1:{}/ocpp/{CP}", csms.port),
            version: "1.6",
            auth: "free",
        };
        let trust = format!("trust_dir = \"{}/trust.d\"\n", dir.path().display());
        let security = format!("security = \"basic\"\npassword = \"{PASSWORD}\"\n");
        let toml = gateway_toml(dir.path())
            + &trust
            + more
            + &garage_toml(dir.path())
            + &point.toml("wallbox", "meter")
            + &security;
        let mut gateway = process(dir.path(), &toml);
        gateway.start().expect("the gateway starts");
        let files = Self {
            _dir: dir,
            csms,
            servers,
            gateway,
            folder,
            ports,
        };
        crate::site::until(&files.gateway, "the charge point is accepted", |s| online(s) == 1).await;
        files
    }

    /// An address on one of the servers.
    pub fn at(&self, scheme: &str, login: &str, path: &str) -> String {
        format!("{scheme}://{login}@localhost:{}/{path}", self.ports[scheme])
    }

    /// Asks for a log and awaits its end: the name of the file, and the last status.
    pub async fn get_log(&mut self, kind: &str, location: &str, id: i64) -> (String, String) {
        let mark = self.csms.mark();
        let payload = json!({
            "logType": kind, "requestId": id, "retries": 1, "retryInterval": 1,
            "log": {"remoteLocation": location}
        });
        let answer = self.csms.call(CP, "GetLog", payload).await;
        assert_eq!(answer["payload"]["status"], "Accepted", "{answer}");
        let name = answer["payload"]["filename"].as_str().expect("a name").to_owned();
        let end = self
            .csms
            .heard(mark, CP, "LogStatusNotification", |payload| {
                payload["requestId"] == id && payload["status"] != "Uploading"
            })
            .await;
        let status = end["payload"]["status"].as_str().expect("a status").to_owned();
        (name, status)
    }

    /// Ends it; nobody may have complained.
    pub async fn end(mut self) {
        let end = self.gateway.stop(PATIENCE).await.expect("it ends");
        assert!(end.success(), "{end}");
        assert_eq!(self.csms.violations(), Vec::<Value>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn diagnostics_reach_every_kind_of_server_without_secrets() {
    let mut files = Files::start("").await;
    for (n, scheme) in ["ftp", "ftps", "http", "https"].into_iter().enumerate() {
        let mark = files.servers.mark();
        let location = files.at(scheme, "op:secret", "");
        let id = i64::try_from(n).expect("few");
        let (name, status) = files.get_log("DiagnosticsLog", &location, id).await;
        assert_eq!(status, "Uploaded", "{scheme}");
        let got = files
            .servers
            .await_line(mark, "the file", |v| {
                v["got"] == name.as_str() && v["by"] == scheme
            })
            .await;
        let text = std::fs::read_to_string(files.folder.join(&name)).expect("the file");
        assert_eq!(got["bytes"], text.len(), "{scheme}");
        for part in ["== configuration ==", "== state ==", "== ledger ==", "running:"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        for secret in [PASSWORD, "op:secret", "FREE"] {
            assert!(!text.contains(secret), "{secret} stands in\n{text}");
        }
    }
    let log = std::fs::read_to_string(files.gateway.log()).expect("a log");
    assert!(
        log.contains("ftp://***@localhost") && !log.contains("secret"),
        "{log}"
    );
    files.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_security_log_and_diagnostics_by_the_older_message() {
    let mut files = Files::start("").await;
    let location = files.at("ftp", "op:secret", "");
    let (name, status) = files.get_log("SecurityLog", &location, 1).await;
    assert_eq!(status, "Uploaded");
    let text = std::fs::read_to_string(files.folder.join(&name)).expect("the file");
    let first: Value = serde_json::from_str(text.lines().next().expect("an event")).expect("JSON");
    assert_eq!(first["type"], "StartupOfTheDevice", "{text}");

    let mark = files.csms.mark();
    let answer = files
        .csms
        .call(CP, "GetDiagnostics", json!({"location": location}))
        .await;
    let name = answer["payload"]["fileName"].as_str().expect("a name").to_owned();
    for status in ["Uploading", "Uploaded"] {
        files
            .csms
            .heard(mark, CP, "DiagnosticsStatusNotification", |p| {
                p["status"] == status
            })
            .await;
    }
    assert!(files.folder.join(name).is_file());
    let past = json!({"location": location, "stopTime": "2020-01-01T00:00:00Z"});
    let answer = files.csms.call(CP, "GetDiagnostics", past).await;
    assert_eq!(answer["payload"], json!({}));
    files.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_is_told_and_a_retry_makes_a_broken_connection_good() {
    let mut files = Files::start("").await;
    let mut id = 0;
    for scheme in ["ftp", "ftps", "http", "https"] {
        id += 10;
        let refused = files.at(scheme, "op:wrong", "");
        let (_, status) = files.get_log("SecurityLog", &refused, id).await;
        assert_eq!(status, "PermissionDenied", "{scheme}");

        let mark = files.servers.mark();
        files.servers.order(&json!({ "break": 1 })).await;
        let location = files.at(scheme, "op:secret", "");
        let (name, status) = files.get_log("DiagnosticsLog", &location, id + 1).await;
        assert_eq!(status, "Uploaded", "{scheme}");
        let broke = |v: &Value| !v["broke"].is_null() && v["by"] == scheme;
        files.servers.await_line(mark, "the break", broke).await;
        let got = |v: &Value| v["got"] == name.as_str();
        files.servers.await_line(mark, "the whole file", got).await;
    }
    let missing = files.at("ftp", "op:secret", "no/such/folder/");
    assert_eq!(files.get_log("SecurityLog", &missing, 1).await.1, "UploadFailure");
    let (_, status) = files.get_log("SecurityLog", "sftp://localhost/d/", 2).await;
    assert_eq!(status, "NotSupportedOperation");
    let (_, status) = files.get_log("SecurityLog", "what is this", 3).await;
    assert_eq!(status, "BadMessage");
    files.servers.order(&json!({ "methods": ["POST"] })).await;
    let location = files.at("http", "op:secret", "");
    assert_eq!(files.get_log("SecurityLog", &location, 4).await.1, "Uploaded");
    files.servers.order(&json!({ "methods": [] })).await;
    assert_eq!(
        files.get_log("SecurityLog", &location, 5).await.1,
        "NotSupportedOperation"
    );
    // A certificate of nobody we trust.
    std::fs::remove_dir_all(files.gateway.dir().join("trust.d")).expect("it was there");
    for (n, scheme) in ["ftps", "https"].into_iter().enumerate() {
        let location = files.at(scheme, "op:secret", "");
        let id = 6 + i64::try_from(n).expect("few");
        assert_eq!(
            files.get_log("SecurityLog", &location, id).await.1,
            "UploadFailure"
        );
    }
    files.end().await;
}
