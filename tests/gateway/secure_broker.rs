//! The whole process and a real mosquitto with TLS, accounts, client certificates and an access list by user pattern: what is
//! not as it must be is refused and told, charging goes on, and what happened meanwhile arrives once it is.

use crate::broker::{Authority, Broker, Subscriber};
use crate::kills::{configuration, quick_world};
use crate::mqtt::{Witness, accounts};
use crate::site::{PATIENCE, process, until};
use retrovolt::domain::MilliAmps;
use retrovolt::sim::EvSpec;
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::{online, sessions};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const CANARY: &str = "cAnArY-7c1e";

const LINES: &str = "allow_anonymous false\npassword_file DIR/passwords\nacl_file DIR/acl\ncafile DIR/ca.pem\n\
    certfile DIR/server.pem\nkeyfile DIR/server.key\nrequire_certificate true\n";

async fn broker() -> Broker {
    Broker::mosquitto(LINES, |dir| {
        let authority = Authority::new(dir);
        authority.sign(dir, "server", &["localhost"]);
        authority.sign(dir, "gw", &[]);
        authority.sign(dir, "person", &[]);
        // Nobody here knows this authority.
        let other = dir.join("other");
        std::fs::create_dir(&other).expect("a folder");
        Authority::new(&other).sign(&other, "gw", &[]);
        for key in ["gw.key", "other/gw.key"] {
            let mode = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(dir.join(key), mode).expect("a file");
        }
        accounts(dir, CANARY);
    })
    .await
}

/// How the gateway presents itself, and to whom.
struct Guest<'a> {
    host: &'a str,
    ca: &'a str,
    identity: Option<&'a str>,
    password: &'a str,
}

const GOOD: Guest<'_> = Guest {
    host: "localhost",
    ca: "ca.pem",
    identity: Some("gw"),
    password: CANARY,
};

impl Guest<'_> {
    fn toml(&self, broker: &Broker, dir: &Path) -> String {
        let secret = dir.join("mqtt.password");
        std::fs::write(&secret, self.password).expect("a file");
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&secret, mode).expect("a file");
        let files = broker.dir.path().display();
        let identity = self.identity.map_or_else(String::new, |name| {
            format!("certificate_file = \"{files}/{name}.pem\"\nkey_file = \"{files}/{name}.key\"\n")
        });
        format!(
            r#"
[mqtt]
url = "mqtts://{host}:{port}"
user = "gw"
password_file = "{secret}"
ca_file = "{files}/{ca}"
{identity}gateway_id = "gw"
commands = "allow-list"

[[mqtt.allow]]
name = "ha"
set = ["limit_a"]
"#,
            host = self.host,
            port = broker.port,
            secret = secret.display(),
            ca = self.ca,
        )
    }
}

/// Options of mosquitto's own clients for a person with an account.
fn person(dir: &Path, user: &str) -> Vec<String> {
    let file = |name: &str| -> PathBuf { dir.join(name) };
    let paths = [
        ("--cafile", file("ca.pem")),
        ("--cert", file("person.pem")),
        ("--key", file("person.key")),
    ];
    let mut options: Vec<String> = ["-h", "localhost", "-u", user, "-P", &user[..1]]
        .map(str::to_owned)
        .to_vec();
    for (option, path) in paths {
        options.extend([option.to_owned(), path.display().to_string()]);
    }
    options
}

async fn subscriber(broker: &Broker, user: &str) -> Subscriber {
    let options = person(broker.dir.path(), user);
    let mut options: Vec<&str> = options.iter().map(String::as_str).collect();
    options.extend(["-t", "retrovolt/#"]);
    broker.subscriber(&options).await
}

async fn say(broker: &Broker, user: &str, topic: &str, payload: &str) {
    let options = person(broker.dir.path(), user);
    let mut options: Vec<&str> = options.iter().map(String::as_str).collect();
    options.extend(["-q", "1", "-t", topic, "-m", payload]);
    broker.publish(&options).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_with_tls_accounts_and_certificates_and_everything_that_can_be_wrong_with_it() {
    let dir = TempDir::new().expect("a folder");
    let csms = Csms::start().await.expect("a CSMS");
    let world = quick_world(dir.path()).await;
    let broker = broker().await;
    let site = configuration(dir.path(), &csms, &world, "1.6");
    let unknown = Guest {
        ca: "other/ca.pem",
        ..GOOD
    };
    let mut gateway = process(dir.path(), &(site.clone() + &unknown.toml(&broker, dir.path())));
    gateway.start().expect("the gateway starts");
    world.plug("box", EvSpec::default()).expect("a charger");
    let offers = |amps: i64| world.offered("box") == Ok(MilliAmps::from_base(amps));
    let charges = |s: &serde_json::Value| {
        online(s) == 1 && sessions(s) == 1 && world.offered("box") == Ok(MilliAmps::from_base(16))
    };
    until(&gateway, "a session at 16 A", charges).await;

    let name = Guest {
        host: "127.0.0.1",
        ..GOOD
    };
    let nothing = Guest {
        identity: None,
        ..GOOD
    };
    let foreign = Guest {
        identity: Some("other/gw"),
        ..GOOD
    };
    let password = Guest {
        password: "guessed",
        ..GOOD
    };
    for (guest, told) in [
        (unknown, "the certificate of localhost is not accepted"),
        (name, "the certificate of 127.0.0.1 is not accepted"),
        (nothing, "localhost does not accept our certificate"),
        (foreign, "localhost does not accept our certificate"),
        (password, "localhost does not let user 'gw' in"),
    ] {
        gateway
            .configure(&(site.clone() + &guest.toml(&broker, dir.path())))
            .expect("written");
        gateway.reload().expect("a signal");
        until(&gateway, told, |s| {
            let mqtt = &s["mqtt"];
            let detail = mqtt["detail"].as_str().unwrap_or_default();
            charges(s) && mqtt["online"] == json!(false) && detail.starts_with(told)
        })
        .await;
        let log = std::fs::read_to_string(gateway.log()).unwrap_or_default();
        assert!(log.contains(&format!("MQTT: {told}")), "{told} is not in the log");
    }

    let mut witness = Witness::with(subscriber(&broker, "reader").await);
    gateway
        .configure(&(site + &GOOD.toml(&broker, dir.path())))
        .expect("written");
    gateway.reload().expect("a signal");
    witness.until("status", |v| v == "online").await;
    // It began while nobody was let in.
    witness
        .until("cp/kill-1/record", |v| v["record"] == "began")
        .await;
    // Another's name is no way in: the broker drops it by its pattern.
    say(&broker, "reader", "retrovolt/gw/as/ha/cp/kill-1/limit_a/set", "7").await;
    broker.logged("Denied PUBLISH from").await;
    say(&broker, "ha", "retrovolt/gw/as/ha/cp/kill-1/limit_a/set", "10").await;
    let got = witness.until("response/ha/limit_a", |_| true).await;
    assert_eq!(
        (&got["status"], &got["data"]["new"]),
        (&json!("ok"), &json!(10)),
        "{got}"
    );
    assert_eq!(got["data"]["old"], json!(null), "nobody set 7 A");
    until(&gateway, "10 A", |_| offers(10)).await;

    world.unplug("box").expect("a charger");
    witness
        .until("cp/kill-1/record", |v| v["record"] == "ended")
        .await;
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
    let log = std::fs::read_to_string(gateway.log()).unwrap_or_default();
    assert!(!log.contains(CANARY) && !log.contains("PRIVATE KEY"));
}
