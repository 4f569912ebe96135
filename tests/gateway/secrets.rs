//! X2 and U6: the real process with a secret in every place that takes one, through a session, an outage, bad
//! configurations, a kill and all that asks it, at the loudest log level. None of them comes up anywhere.
//!
//! What is kept on purpose: passwords and keys that a CSMS has set, in files of mode 0600 below `state/csms` and the like;
//! tokens in the ledger, for they are what a session is billed by, and in the configuration that is kept. Tokens are no
//! credentials of the gateway: the status of the local socket names them. Logs and support bundles do not.

use crate::canaries::{Canaries, files};
use crate::kills::quick_world;
use crate::site::{gateway_toml, process, quick_toml, until};
use flate2::read::GzDecoder;
use retrovolt::sim::csms::{CallError, Csms, Reach};
use retrovolt::sim::status::{links_online, online, sessions};
use retrovolt::sim::{EvSpec, GatewayProcess, World};
use serde_json::json;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::Instant;

const CP: &str = "CANARY";
/// What the CSMS sets as password: hexadecimal digits, as 1.6 wants it.
const SET_BY_CSMS: &str = "c4a4a1b2c3d4e5f60718293a4b5c6d7e";

/// The site and everything that was said.
struct Story {
    dir: TempDir,
    csms: Csms,
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

fn put(dir: &Path, name: &str, text: &str) -> String {
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
        let good = configuration(dir.path(), &csms, &world, &mut secrets, &mut tokens);
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
        assert!(facts.len() <= 5_000_000, "{} bytes", facts.len());
        assert_eq!(facts.permissions().mode() & 0o777, 0o600);
        self.bundles.push(path);
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

    a_csms_full_of_secrets(&mut story).await;
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

fn says(log: &Path, word: &str) -> bool {
    let text = std::fs::read(log).unwrap_or_default();
    text.windows(word.len()).any(|part| part == word.as_bytes())
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
    for bundle in &story.bundles {
        let bytes = std::fs::read(bundle).expect("a bundle");
        let mut archive = tar::Archive::new(GzDecoder::new(bytes.as_slice()));
        for entry in archive.entries().expect("an archive") {
            let mut entry = entry.expect("an entry");
            let name = entry.path().expect("a name").display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("readable");
            story.secrets.none_in(&name, &bytes);
            story.tokens.none_in(&name, &bytes);
        }
    }
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
