//! Real brokers and foreign subscribers as child processes.

use retrovolt::domain::{BrokerSetup, MqttVersion, Secret};
use retrovolt::telemetry::client::{Dial, MakeTls, Traffic};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// Longest wait for anything in these tests.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running broker.
pub struct Broker {
    pub port: u16,
    pub dir: tempfile::TempDir,
    config: String,
    program: &'static str,
    child: Option<Child>,
    log: Arc<Mutex<String>>,
}

/// A port nobody listens at. None of those the system gives out by itself, so that nobody else gets it before it is used,
/// and never the same twice.
pub fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id()
            .wrapping_mul(97)
            .wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + u16::try_from(number % 20_000).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Broker {
    /// Mosquitto that lets anybody in.
    pub async fn open() -> Self {
        Self::mosquitto("allow_anonymous true\n", |_| {}).await
    }

    /// Mosquitto with lines of its configuration; `DIR` in them is a folder that `furnish` has filled.
    pub async fn mosquitto(lines: &str, furnish: impl FnOnce(&Path)) -> Self {
        let (port, dir) = (free_port(), tempfile::tempdir().unwrap());
        furnish(dir.path());
        let mut config = String::from("log_dest stderr\nlog_type all\nuser root\npersistence false\n");
        write!(config, "listener {port} 127.0.0.1\n{lines}").unwrap();
        let config = config.replace("DIR", &dir.path().display().to_string());
        let mut broker = Self {
            port,
            dir,
            config,
            program: "mosquitto",
            child: None,
            log: Arc::default(),
        };
        broker.start().await;
        broker
    }

    /// nats-server with its MQTT side, which knows 3.1.1 only.
    pub async fn nats() -> Self {
        let (port, dir) = (free_port(), tempfile::tempdir().unwrap());
        let store = dir.path().display();
        let config = format!(
            "server_name: test\nhost: 127.0.0.1\nport: -1\njetstream {{ store_dir: \"{store}\" }}\nmqtt {{ host: 127.0.0.1, port: {port} }}\n"
        );
        let mut broker = Self {
            port,
            dir,
            config,
            program: "nats-server",
            child: None,
            log: Arc::default(),
        };
        broker.start().await;
        broker
    }

    /// Starts it, again if need be, and waits until it serves.
    pub async fn start(&mut self) {
        let file = self.dir.path().join("broker.conf");
        std::fs::write(&file, &self.config).unwrap();
        let mut child = Command::new(self.program)
            .arg("-c")
            .arg(&file)
            .env(
                "PATH",
                "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin",
            )
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{} ({error}); run `make setup`", self.program));
        let ready = if self.program == "mosquitto" {
            " running"
        } else {
            "Server is ready"
        };
        await_line(
            BufReader::new(child.stderr.take().unwrap()).lines(),
            ready,
            self.log.clone(),
        )
        .await;
        self.child = Some(child);
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until it has logged something.
    pub async fn logged(&self, what: &str) {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        while !self.log().contains(what) {
            tick.tick().await;
        }
    }

    /// Kills it.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.unwrap();
        }
    }

    /// How to reach it, without TLS.
    pub fn setup(&self, client_id: &str) -> BrokerSetup {
        setup(self.port, client_id)
    }

    /// A subscriber that is not ours.
    pub async fn subscriber(&self, more: &[&str]) -> Subscriber {
        Subscriber::start(self.port, more).await
    }

    /// Publishes as somebody else, with mosquitto's own client.
    pub async fn publish(&self, more: &[&str]) {
        let port = self.port.to_string();
        let done = Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &port])
            .args(more)
            .status();
        assert!(timeout(PATIENCE, done).await.unwrap().unwrap().success());
    }
}

/// Reads until a line is there, and goes on reading so that the program can write.
async fn await_line<R>(mut lines: Lines<BufReader<R>>, wanted: &'static str, log: Arc<Mutex<String>>)
where
    R: tokio::io::AsyncRead + Unpin + Send + 'static,
{
    let found = async {
        while let Ok(Some(line)) = lines.next_line().await {
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
            if line.contains(wanted) {
                return;
            }
        }
        panic!("no '{wanted}' in:\n{}", log.lock().unwrap());
    };
    timeout(PATIENCE, found).await.unwrap();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
}

/// Anybody on the broker at a port.
pub fn setup(port: u16, client_id: &str) -> BrokerSetup {
    BrokerSetup {
        host: "127.0.0.1".to_owned(),
        port,
        tls: false,
        client_id: client_id.to_owned(),
        user: None,
        password: None,
        ca_file: None,
        identity: None,
        version: MqttVersion::Auto,
        keep_alive: Duration::from_secs(30),
    }
}

/// The same with a user.
pub fn as_user(setup: BrokerSetup, user: &str, password: &str) -> BrokerSetup {
    BrokerSetup {
        user: Some(user.to_owned()),
        password: Some(Secret::new(password)),
        ..setup
    }
}

/// A dial without TLS.
pub fn dial(setup: BrokerSetup) -> Dial {
    let tls: MakeTls = Arc::new(|| Err("no TLS in this test".to_owned()));
    Dial::new(setup, tls, Arc::new(Traffic::default()))
}

/// `mosquitto_sub`.
pub struct Subscriber {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// A message as the subscriber has got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    pub retained: bool,
    pub qos: u8,
    pub topic: String,
    pub payload: String,
}

impl Got {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.payload).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

impl Subscriber {
    async fn start(port: u16, more: &[&str]) -> Self {
        let port = port.to_string();
        // With -d it tells when the broker has taken its subscription.
        let mut child = Command::new("stdbuf")
            .args([
                "-oL",
                "mosquitto_sub",
                "-d",
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-q",
                "1",
            ])
            .args(["-F", "MESSAGE %r %q %t %p"])
            .args(more)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("mosquitto_sub; run `make setup`");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let subscribed = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if line.starts_with("Subscribed") {
                    return;
                }
            }
            panic!("mosquitto_sub did not subscribe");
        };
        timeout(PATIENCE, subscribed).await.unwrap();
        Self { _child: child, lines }
    }

    /// The next message.
    pub async fn next(&mut self) -> Got {
        let next = async {
            loop {
                let line = self
                    .lines
                    .next_line()
                    .await
                    .unwrap()
                    .expect("mosquitto_sub has ended");
                if let Some(told) = line.strip_prefix("MESSAGE ") {
                    let mut parts = told.splitn(4, ' ');
                    return Got {
                        retained: parts.next() == Some("1"),
                        qos: parts.next().unwrap().parse().unwrap(),
                        topic: parts.next().unwrap().to_owned(),
                        payload: parts.next().unwrap_or_default().to_owned(),
                    };
                }
            }
        };
        timeout(PATIENCE, next).await.expect("no message")
    }

    /// The next message on a topic; others are passed over.
    pub async fn on(&mut self, topic: &str) -> Got {
        loop {
            let got = self.next().await;
            if got.topic == topic {
                return got;
            }
        }
    }
}

/// A certificate authority and what it has signed, as files.
pub struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    pub fn new(dir: &Path) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "Test Authority");
        let own = params.self_signed(&key).unwrap();
        std::fs::write(dir.join("ca.pem"), own.pem()).unwrap();
        Self {
            issuer: rcgen::Issuer::new(params, key),
        }
    }

    /// Signs a certificate for a name: `NAME.pem` and `NAME.key`.
    pub fn sign(&self, dir: &Path, name: &str, hosts: &[&str]) -> (PathBuf, PathBuf) {
        self.sign_for(dir, name, hosts, (1975, 4096))
    }

    /// The same, valid from the first day of one year to that of another.
    pub fn sign_for(
        &self,
        dir: &Path,
        name: &str,
        hosts: &[&str],
        (from, to): (i32, i32),
    ) -> (PathBuf, PathBuf) {
        let key = rcgen::KeyPair::generate().unwrap();
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(hosts).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        let (certificate, secret) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
        std::fs::write(&certificate, signed.pem()).unwrap();
        std::fs::write(&secret, key.serialize_pem()).unwrap();
        (certificate, secret)
    }
}
