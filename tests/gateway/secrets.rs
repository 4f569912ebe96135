//! X2 and U6: the real process with a secret in every place that takes one, through a session, an outage, bad
//! configurations, a kill and all that asks it, at the loudest log level. None of them comes up anywhere, nor in what is
//! published on a real broker.
//!
//! What is kept on purpose: passwords and keys that a CSMS has set, in files of mode 0600 below `state/csms` and the like;
//! tokens in the ledger, for they are what a session is billed by, and in the configuration that is kept. Tokens are no
//! credentials of the gateway: the status of the local socket names them. Logs and support bundles do not.

use crate::canaries::{Canaries, files};
use crate::kills::quick_world;
use crate::listened::Listened;
use crate::site::{gateway_toml, process, quick_toml, until};
use flate2::read::GzDecoder;
use retrovolt::sim::csms::{CallError, Csms, Reach};
use retrovolt::sim::status::{links_online, online, sessions};
use retrovolt::sim::{EvSpec, GatewayProcess, World};
use serde_json::json;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::Instant;

const CP: &str = "CANARY";
/// What the CSMS sets as password: hexadecimal digits, as 1.6 wants it.
const SET_BY_CSMS: &str = "c4a4a1b2c3d4e5f60718293a4b5c6d7e";

/// The log of this run that is kept in memory has been full when a bundle has so much of it.
const FULL_LOG_BYTES: usize = 180_000;
/// Promise U6: a bundle is there within this time.
const IN_TIME: Duration = Duration::from_secs(10);

/// The site and everything that was said.
struct Story {
    dir: TempDir,
    csms: Csms,
    listened: Listened,
    world: World,
    /// Credentials: nowhere.
    secrets: Canaries,
    /// Tokens of vehicles: not in logs and bundles.
    tokens: Canaries,
    card: String,
    gateway: GatewayProcess,
    good: String,
    /// Output of verbs.
    said: Vec<(String, Vec<u8>)>,
    bundles: Vec<PathBuf>,
}

pub fn put(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    std::fs::write(&path, text).expect("a file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    path.display().to_string()
}

/// A key and its certificate; the key's own letters are the canary.
fn pair(dir: &Path, name: &str, secrets: &mut Canaries) -> (String, String) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(["canary".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate").pem();
    let pem = key.serialize_pem();
    let line = pem.lines().nth(2).expect("a body").to_owned();
    secrets.plant_text(&format!("private key {name}"), &line);
    (
        put(dir, &format!("{name}.crt"), &certificate),
        put(dir, &format!("{name}.key"), &pem),
    )
}

impl Story {
    async fn new() -> Self {
        let dir = TempDir::new().expect("a folder");
        let csms = Csms::start().await.expect("a CSMS");
        let world = quick_world(dir.path()).await;
        let (mut secrets, mut tokens) = (Canaries::default(), Canaries::default());
        let card = tokens.plant("card of a remote start");
        let (mqtt, edge) = (
            secrets.plant("password of MQTT"),
            secrets.plant("password of Sparkplug"),
        );
        let listened = Listened::with(&[("gw", &mqtt), ("edge", &edge)]).await;
        let good = configuration(dir.path(), &csms, &world, &mut secrets, &mut tokens)
            + &listened.toml(dir.path(), &mqtt, &edge);
        let credentials = dir.path().join("credentials");
        let gateway = process(dir.path(), &good)
            .with_arguments(&["-vv"])
            .with_env("CREDENTIALS_DIRECTORY", credentials.display().to_string())
            .with_env(
                "RETROVOLT__CHARGE_POINT__0__CSMS__3__PASSWORD",
                secrets.plant("password in the environment"),
            )
            .with_env(
                "DATABASE_PASSWORD",
                secrets.plant("another program's environment"),
            );
        Self {
            dir,
            csms,
            listened,
            world,
            secrets,
            tokens,
            card,
            gateway,
            good,
            said: Vec::new(),
            bundles: Vec::new(),
        }
    }

    /// Runs a verb with the configuration and remembers what it said.
    async fn verb(&mut self, args: &[&str], with_config: bool) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_retrovolt"));
        command.args(args);
        if with_config {
            command
                .arg("--config")
                .arg(self.dir.path().join("retrovolt.toml"));
        }
        let out = command.output().await.expect("it runs");
        let mut all = out.stdout;
        all.extend(out.stderr);
        self.said.push((args.join(" "), all));
    }

    /// A support bundle, in time and of modest size.
    async fn diag(&mut self) {
        let path = self
            .dir
            .path()
            .join(format!("diag-{}.tar.gz", self.bundles.len()));
        let begin = Instant::now();
        self.verb(&["diag", "-o", &path.display().to_string()], true)
            .await;
        let (took, facts) = (begin.elapsed(), path.metadata().expect("a bundle"));
        println!("U6: {} bytes after {took:?}", facts.len());
        assert!(took <= IN_TIME, "{took:?}");
        assert!(facts.len() <= 5_000_000, "{} bytes", facts.len());
        assert_eq!(facts.permissions().mode() & 0o777, 0o600);
        self.bundles.push(path);
    }

    /// Has the log in memory run over: so many words about a bad configuration.
    async fn fill_the_log(&mut self) {
        let wrong: String = (0..12).map(|n| format!("wrong_{n} = {n}\n")).collect();
        let bad = self
            .good
            .replacen("[gateway]\n", &format!("[gateway]\n{wrong}"), 1);
        self.gateway.configure(&bad).expect("written");
        let socket = self.gateway.socket().display().to_string();
        for _ in 0..110 {
            let mut reload = Command::new(env!("CARGO_BIN_EXE_retrovolt"));
            reload.args(["reload", "--socket", &socket]);
            let refused = reload.output().await.expect("it runs");
            assert!(!refused.status.success(), "it is bad");
        }
    }

    async fn ask_everything(&mut self) {
        let socket = self.gateway.socket().display().to_string();
        self.verb(&["status", "--socket", &socket], false).await;
        self.verb(&["-v", "healthcheck", "--socket", &socket], false)
            .await;
        self.verb(&["reload", "--socket", &socket], false).await;
        self.verb(&["doctor", "--machine"], true).await;
        self.verb(&["security-log"], true).await;
        let file = self.dir.path().join("retrovolt.toml").display().to_string();
        self.verb(&["check-config", &file], false).await;
        self.verb(&["check-config", "--json", &file], false).await;
        self.diag().await;
    }
}

fn configuration(
    dir: &Path,
    csms: &Csms,
    world: &World,
    secrets: &mut Canaries,
    tokens: &mut Canaries,
) -> String {
    let url = csms.url("{id}");
    let file = put(dir, "secrets/main.password", &secrets.plant("password in a file"));
    let inline = secrets.plant("password in the configuration");
    put(
        dir,
        "credentials/third.password",
        &secrets.plant("password as a credential"),
    );
    let (certificate, key) = pair(dir, "client", secrets);
    let (_, second) = pair(dir, "second", secrets);
    std::fs::rename(&second, dir.join("credentials/second.key")).expect("moved");
    let second_certificate = dir.join("second.crt").display().to_string();
    let (tag, line) = (tokens.plant("pattern"), tokens.plant("pattern in a file"));
    let tags_file = put(dir, "company.tags", &format!("{line}\n"));
    let main = format!("url = \"{url}\"\nsecurity = \"basic\"\npassword_file = \"{file}\"\n");
    let further = |name: &str, keys: &str| {
        format!(
            "\n[[charge_point.csms]]\nname = \"{name}\"\nreconnect_min = \"1s\"\nreconnect_max = \"1s\"\n{keys}"
        )
    };
    // Under another name: what the story asks is to reach the link in control, not one that only reads.
    let other = csms.url("READS-{id}");
    let basic = format!("url = \"{other}\"\nsecurity = \"basic\"\n");
    let client = |certificate: &str| {
        format!(
            "url = \"wss://localhost:1/{{id}}\"\nsecurity = \"client\"\ncertificate_file = \"{certificate}\"\n"
        )
    };
    gateway_toml(dir)
        + &quick_toml(world, CP, "remote", &main)
        + &further(
            "inline",
            &format!("{basic}password = \"{inline}\"\ntags = [\"{tag}\", \"*\"]\n"),
        )
        + &further(
            "credential",
            &format!("{basic}password_credential = \"third.password\"\n"),
        )
        + &further("environment", &basic)
        + &further(
            "client",
            &format!("{}key_file = \"{key}\"\n", client(&certificate)),
        )
        + &further(
            "client2",
            &format!(
                "{}key_credential = \"second.key\"\ntags_file = \"{tags_file}\"\n",
                client(&second_certificate)
            ),
        )
}

/// Configurations that are wrong in a way that has to do with a secret.
fn bad_ones(good: &str, secrets: &mut Canaries) -> Vec<String> {
    let main = "security = \"basic\"\npassword_file";
    assert!(good.contains(main));
    let mut with = |place: &str, line: &dyn Fn(&str) -> String| {
        let secret = secrets.plant(place);
        good.replacen(main, &format!("{}\n{main}", line(&secret)), 1)
    };
    vec![
        with("misspelled key", &|s| format!("pasword = \"{s}\"")),
        with("key in another case", &|s| format!("PASSWORD = \"{s}\"")),
        with("quote that is not closed", &|s| format!("password = \"{s}")),
        with("no quotes at all", &|s| format!("password = {s}")),
        with("colon for equals", &|s| format!("password: {s}")),
        with("table where text belongs", &|s| {
            format!("password = {{ value = \"{s}\" }}")
        }),
        with("list where text belongs", &|s| format!("password = [\"{s}\"]")),
        with("second source", &|s| format!("password = \"{s}\"")),
        with("secret in a section of its own", &|s| format!("secret = \"{s}\"")),
        good.replacen(
            "url = \"ws://",
            &format!("url = \"ws://me:{}@", secrets.plant("user part of the URL")),
            1,
        ),
        good.replacen(
            "url = \"ws://",
            &format!("url = \"ws://{}@", secrets.plant("user of the URL")),
            1,
        ),
        good.to_owned()
            + &format!(
                "\n[charge_point.ocpp16]\nAuthorizationKey = \"{}\"\n",
                secrets.plant("OCPP key")
            ),
        good.to_owned() + &format!("\n[gatewy]\npassword = \"{}\"\n", secrets.plant("unknown table")),
        good.to_owned() + &format!("\n[gateway]\npassword = \"{}\"\n", secrets.plant("table twice")),
        good.replacen(
            "url = \"mqtt://",
            &format!(
                "url = \"mqtt://gw:{}@",
                secrets.plant("user part of the URL of the broker")
            ),
            1,
        ),
        good.replacen(
            "[mqtt]\n",
            &format!(
                "[mqtt]\npasword = \"{}\"\n",
                secrets.plant("misspelled key of MQTT")
            ),
            1,
        ),
        good.replacen(
            "user = \"edge\"\npassword",
            &format!(
                "user = \"edge\"\npassword = \"{}\"\npassword",
                secrets.plant("password of Sparkplug twice")
            ),
            1,
        ),
        good.to_owned()
            + &format!(
                "\nmqtt_password = \"{}\"\n",
                secrets.plant("key of another release")
            ),
        good.to_owned()
            + &format!(
                "\n[[bus]]\nid = \"x\"\nport = \"/dev/x\"\npasswd = \"{}\"\n",
                secrets.plant("key of no bus")
            ),
    ]
}

/// Both sides of the broker are there.
fn both_sides(status: &serde_json::Value) -> bool {
    status["mqtt"]["online"] == true && status["sparkplug"]["stage"] == "online"
}

/// A token is presented by MQTT, the broker goes and comes back, and refuses a password that is another one now.
async fn a_broker_full_of_secrets(story: &mut Story) {
    let card = story.tokens.plant("card by MQTT");
    let topic = format!("retrovolt/gw/as/reader/cp/{}/authorize/set", CP.to_lowercase());
    // Not planted in what is heard: whoever presents a card by MQTT tells it to the broker in the open.
    let before = story.listened.heard().len();
    let publish = ["-u", "reader", "-P", "r", "-q", "1", "-t", &topic, "-m", &card];
    story.listened.broker.publish(&publish).await;
    let answered = |heard: &[u8]| contains(heard, "retrovolt/gw/response/reader/authorize");
    until(&story.gateway, "an answer", |_| {
        answered(&story.listened.heard()[before..])
    })
    .await;
    story.listened.broker.kill().await;
    until(&story.gateway, "no broker", |s| s["mqtt"]["online"] == false).await;
    story.listened.broker.start().await;
    until(&story.gateway, "the broker again", both_sides).await;
    let file = story.dir.path().join("secrets/mqtt.password");
    let good = std::fs::read_to_string(&file).expect("a file");
    let socket = story.gateway.socket().display().to_string();
    let wrong = story.secrets.plant("wrong password of MQTT");
    for (password, online) in [(wrong, false), (good, true)] {
        std::fs::write(&file, password).expect("a file");
        story.verb(&["reload", "--socket", &socket], false).await;
        until(&story.gateway, "the verdict on the password", |s| {
            s["mqtt"]["online"] == online
                && (online || !s["mqtt"]["detail"].as_str().unwrap_or("").is_empty())
        })
        .await;
    }
}

/// What a CSMS may send with a secret in it.
async fn a_csms_full_of_secrets(story: &mut Story) {
    let (secrets, tokens) = (&mut story.secrets, &mut story.tokens);
    let ftp = format!(
        "ftp://me:{}@127.0.0.1:1/logs",
        secrets.plant("password in a location")
    );
    let signed = format!(
        "https://127.0.0.1:1/logs?sig={}",
        secrets.plant("signature in a location")
    );
    let fetched = format!(
        "https://me:{}@127.0.0.1:1/f.bin",
        secrets.plant("password of firmware")
    );
    let list = json!([
        { "idTag": tokens.plant("local list"), "idTagInfo": { "status": "Accepted", "parentIdTag": tokens.plant("parent") } },
    ]);
    let calls = [
        (
            "SendLocalList",
            json!({ "listVersion": 1, "updateType": "Full", "localAuthorizationList": list }),
        ),
        (
            "ReserveNow",
            json!({ "connectorId": 1, "idTag": tokens.plant("reservation"), "reservationId": 1, "expiryDate": "2090-01-01T00:00:00Z" }),
        ),
        ("CancelReservation", json!({ "reservationId": 1 })),
        ("GetDiagnostics", json!({ "location": ftp, "retries": 0 })),
        (
            "GetLog",
            json!({ "logType": "DiagnosticsLog", "requestId": 1, "log": { "remoteLocation": signed }, "retries": 0 }),
        ),
        (
            "UpdateFirmware",
            json!({ "location": fetched, "retrieveDate": "2020-01-01T00:00:00Z" }),
        ),
        (
            "DataTransfer",
            json!({ "vendorId": "x", "data": secrets.plant("vendor data") }),
        ),
        (
            "ChangeConfiguration",
            json!({ "key": "AuthorizationKey", "value": secrets.plant("too long a password").repeat(3) }),
        ),
        (
            "ChangeConfiguration",
            json!({ "key": "BasicAuthPassword", "value": secrets.plant("key of 2.0.1") }),
        ),
        ("GetConfiguration", json!({ "key": ["AuthorizationKey"] })),
    ];
    for (action, payload) in calls {
        // What becomes of it is told elsewhere; here it must only have been understood.
        match story.csms.call(CP, action, payload).await {
            Ok(_) | Err(CallError::Refused { .. }) => {}
            Err(error) => panic!("{action}: {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x2_no_secret_comes_up_in_logs_database_bundle_or_output() {
    let mut story = Story::new().await;
    story.gateway.start().expect("it starts");
    until(&story.gateway, "every plain link is there", |s| {
        online(s) == 1 && links_online(s) == 4
    })
    .await;

    until(&story.gateway, "both sides of the broker", both_sides).await;
    a_csms_full_of_secrets(&mut story).await;
    a_broker_full_of_secrets(&mut story).await;
    story.world.plug("box", EvSpec::default()).expect("a charger");
    let start = json!({ "connectorId": 1, "idTag": story.card });
    until(&story.gateway, "it can begin", |s| {
        online(s) == 1 && s["charge_points"][0]["station"]["evses"][0]["status"] == "Preparing"
    })
    .await;
    let answer = story.csms.call(CP, "RemoteStartTransaction", start).await;
    assert_eq!(answer.expect("an answer")["status"], "Accepted");
    until(&story.gateway, "a session", |s| sessions(s) == 1).await;
    story.ask_everything().await;

    // An outage, in which the password is refused too.
    story.csms.set_password(Some("another password".to_owned()));
    story.csms.cut();
    until(&story.gateway, "the outage", |s| online(s) == 0).await;
    story.csms.set_reach(Reach::Refuse);
    story.csms.set_reach(Reach::Up);
    story.csms.set_password(None);
    until(&story.gateway, "the links are back", |s| {
        online(s) == 1 && links_online(s) == 4
    })
    .await;

    // The CSMS in control changes the password.
    story.secrets.plant_text("password set by the CSMS", SET_BY_CSMS);
    let change = json!({ "key": "AuthorizationKey", "value": SET_BY_CSMS });
    story
        .csms
        .call(CP, "ChangeConfiguration", change)
        .await
        .expect("an answer");
    until(&story.gateway, "the link with it", |s| {
        online(s) == 1 && links_online(s) == 4
    })
    .await;

    story.fill_the_log().await;
    let good = story.good.clone();
    for bad in bad_ones(&good, &mut story.secrets) {
        story.gateway.configure(&bad).expect("written");
        let file = story.dir.path().join("retrovolt.toml").display().to_string();
        let socket = story.gateway.socket().display().to_string();
        story.verb(&["reload", "--socket", &socket], false).await;
        story
            .verb(&["check-config", "--print-effective", &file], false)
            .await;
    }
    story.ask_everything().await;

    // The last good configuration runs on: its password still stands where it stood.
    let bad = good.replace("[[bus]]", "[[buss]]");
    story.gateway.configure(&bad).expect("written");
    story.gateway.kill().await.expect("a kill");
    story.gateway = process(story.dir.path(), &bad)
        .with_arguments(&["-vv"])
        .with_env(
            "CREDENTIALS_DIRECTORY",
            story.dir.path().join("credentials").display().to_string(),
        )
        .with_env(
            "RETROVOLT__CHARGE_POINT__0__CSMS__3__PASSWORD",
            story.secrets.plant("changed in the environment"),
        );
    story.gateway.start().expect("it starts");
    let status = until(&story.gateway, "the last good one", |s| {
        links_online(s) == 4 && sessions(s) == 1
    })
    .await;
    assert_eq!(status["configuration"]["mode"], "last_good");
    story.ask_everything().await;
    story.world.unplug("box").expect("a charger");
    until(&story.gateway, "all is told", |s| {
        // A CSMS that is never there has its rows waiting for ever.
        sessions(s) == 0 && s["charge_points"][0]["station"]["unwritten"] == 0
    })
    .await;
    // Makes the loudest level speak: what a device does not answer is told at DEBUG.
    story.world.set_silent("box", true).expect("a charger");
    let log = story.gateway.log();
    until(&story.gateway, "a silent charger", |_| says(&log, "DEBUG")).await;
    story.gateway.kill().await.expect("a kill");
    story.diag().await;
    story.gateway.configure(&good).expect("written");
    story.diag().await;
    judge(&story);
}

fn contains(text: &[u8], word: &str) -> bool {
    text.windows(word.len()).any(|part| part == word.as_bytes())
}

fn says(log: &Path, word: &str) -> bool {
    contains(&std::fs::read(log).unwrap_or_default(), word)
}

fn judge(story: &Story) {
    println!(
        "{} secrets and {} tokens were planted",
        story.secrets.count(),
        story.tokens.count()
    );
    assert!(story.secrets.count() + story.tokens.count() >= 30);
    for level in ["ERROR", "INFO", "DEBUG"] {
        assert!(says(&story.gateway.log(), level), "nothing was told at {level}");
    }
    let log = std::fs::read(story.gateway.log()).expect("a log");
    story.secrets.none_in("the log", &log);
    story.tokens.none_in("the log", &log);
    for (verb, said) in &story.said {
        story.secrets.none_in(verb, said);
    }
    let mut longest_log = 0;
    for bundle in &story.bundles {
        let bytes = std::fs::read(bundle).expect("a bundle");
        let mut archive = tar::Archive::new(GzDecoder::new(bytes.as_slice()));
        for entry in archive.entries().expect("an archive") {
            let mut entry = entry.expect("an entry");
            let name = entry.path().expect("a name").display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("readable");
            if name.ends_with("log.txt") {
                longest_log = longest_log.max(bytes.len());
            }
            story.secrets.none_in(&name, &bytes);
            story.tokens.none_in(&name, &bytes);
        }
    }
    assert!(
        longest_log >= FULL_LOG_BYTES,
        "{longest_log} bytes of log at most"
    );
    judge_published(story);
    let state = story.dir.path().join("state");
    let vault = |path: &Path| {
        let set = [SET_BY_CSMS.as_bytes()];
        let bytes = std::fs::read(path).expect("a file");
        // The one exception: where what the CSMS has set is kept.
        path.extension().is_some_and(|end| end == "json")
            && bytes.windows(set[0].len()).any(|window| window == set[0])
    };
    assert_eq!(
        files(&state).iter().filter(|path| vault(path)).count(),
        1,
        "one file keeps what the CSMS has set"
    );
    story.secrets.none_below(&state, vault);
    closed(&state);
}

/// Topics and payloads of both sides of the broker.
fn judge_published(story: &Story) {
    let heard = story.listened.heard();
    println!("{} bytes were published", heard.len());
    for published in [
        "retrovolt/gw/status online",
        "retrovolt/gw/cp/canary/state {",
        "retrovolt/gw/cp/canary/record {",
        "retrovolt/gw/cp/canary/event/session {",
        "retrovolt/gw/flat/cp/canary/power_w ",
        "retrovolt/gw/ha/announced {",
        "homeassistant/device/",
        "spBv1.0/site/NBIRTH/gw ",
        "spBv1.0/site/DBIRTH/gw/canary ",
        "spBv1.0/site/DDATA/gw/canary ",
    ] {
        assert!(contains(&heard, published), "not published: {published}");
    }
    story.secrets.none_in("what was published", &heard);
    // What a user commands is that user's to tell; nothing of the gateway's repeats it.
    let commands = b"retrovolt/gw/as/";
    let mut ours = Vec::new();
    for line in heard.split(|byte| *byte == b'\n') {
        if !line.starts_with(commands) {
            ours.extend(line);
            ours.push(b'\n');
        }
    }
    story.tokens.none_in("what was published", &ours);
    let log = story.listened.broker.log();
    story.secrets.none_in("the broker's log", log.as_bytes());
}

/// Files are for their owner alone, and so are folders.
fn closed(folder: &Path) {
    let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(folder), 0o700, "{}", folder.display());
    for path in std::fs::read_dir(folder)
        .expect("a folder")
        .flatten()
        .map(|entry| entry.path())
    {
        if path.is_dir() {
            closed(&path);
        } else {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }
}
