//! `retrovolt doctor --csms` as a person runs it, beside a gateway that runs and without one.

use crate::site::{PATIENCE, Point, Site};
use retrovolt::sim::csms::{Csms, Kind, Reach};
use retrovolt::sim::status::online;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::process::Command;

const CP: &str = "DOC-1";
const PASSWORD: &str = "c4nary-password-0001";

/// Exit code, stdout and stderr.
async fn doctor(args: &[&str]) -> (i32, String, String) {
    let begin = Instant::now();
    let run = Command::new(env!("CARGO_BIN_EXE_retrovolt")).args(args).output();
    let output = tokio::time::timeout(PATIENCE, run)
        .await
        .expect("it ends")
        .expect("it runs");
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(!out.contains(PASSWORD) && !err.contains(PASSWORD), "{out}{err}");
    (output.status.code().expect("no signal"), out, err)
}

async fn report(config: &Path) -> (i32, Value) {
    let config = config.display().to_string();
    let (code, out, err) = doctor(&["doctor", "--csms", "--json", "--config", &config]).await;
    let told: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("not JSON: {out}{err}"));
    assert_eq!(told["schema"], 1);
    (code, told["csms"][0].clone())
}

fn opened(csms: &Csms) -> usize {
    let frames = csms.frames();
    frames
        .iter()
        .filter(|f| matches!(f.kind, Kind::Opened { .. }))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_names_what_is_wrong_and_never_pushes_a_running_gateway_out() {
    let csms = Csms::start().await.expect("a CSMS");
    csms.set_password(Some(PASSWORD.to_owned()));
    let point = Point {
        id: CP,
        url: csms.url("{id}"),
        version: "1.6",
        auth: "free",
    };
    let mut site = Site::build(&point).await;
    let dir = site.gateway.dir().to_owned();
    let config = dir.join("retrovolt.toml");
    let secret = dir.join("csms.password");
    std::fs::write(&secret, PASSWORD).expect("a file");
    let plain = std::fs::read_to_string(&config).expect("a configuration");
    let secure = format!(
        "version = \"1.6\"\nsecurity = \"basic\"\npassword_file = \"{}\"",
        secret.display()
    );
    let toml = plain.replace("version = \"1.6\"", &secure);
    site.gateway.configure(&toml).expect("written");

    let (code, told) = report(&config).await;
    assert_eq!((code, &told["result"]), (0, &Value::from("good")), "{told:#}");
    assert_eq!(opened(&csms), 1, "without a gateway the way is tried to its end");

    site.gateway.start().expect("the gateway starts");
    site.until("the charge point is accepted", |s| online(s) == 1)
        .await;
    let (code, told) = report(&config).await;
    assert_eq!(code, 0, "{told:#}");
    let gateway = told["checks"].as_array().and_then(|c| c.last()).expect("checks");
    assert_eq!(
        gateway["evidence"],
        "the running gateway is connected and accepted"
    );
    assert_eq!(opened(&csms), 2, "the doctor and the gateway, once each");
    assert!(csms.is_connected(CP));

    csms.set_password(Some("another-password-0001".to_owned()));
    csms.cut();
    site.until("the gateway is thrown out", |s| online(s) == 0).await;
    let (code, told) = report(&config).await;
    assert_eq!(
        (code, &told["cause"]),
        (69, &Value::from("unauthorized")),
        "{told:#}"
    );
    csms.set_password(Some(PASSWORD.to_owned()));
    site.until("the gateway is back", |s| online(s) == 1).await;
    // On a new link it says nothing unless there is something to say.
    let ask = json!({ "requestedMessage": "Heartbeat" });
    let answer = csms.call(CP, "TriggerMessage", ask).await;
    assert_eq!(answer.expect("an answer")["status"], "Accepted");

    assert!(site.gateway.stop(PATIENCE).await.expect("it ends").success());
    csms.set_reach(Reach::NoUpgrade);
    let (code, told) = report(&config).await;
    assert_eq!(
        (code, &told["cause"]),
        (69, &Value::from("silent_server")),
        "{told:#}"
    );

    csms.set_reach(Reach::Up);
    let (url, file) = (csms.url(CP), secret.display().to_string());
    let named = [
        "doctor",
        "--csms",
        "--url",
        &url,
        "--password-file",
        &file,
        "--config",
        "/nowhere",
    ];
    let (code, out, _) = doctor(&named).await;
    assert!(
        code == 0 && out.contains("ok       alive    stays open"),
        "{code}: {out}"
    );
    let (code, out, _) = doctor(&["doctor", "--csms", "--url", &url, "--config", "/nowhere"]).await;
    assert!(
        code == 69 && out.contains("next: check the password"),
        "{code}: {out}"
    );
    let (code, _, err) = doctor(&["doctor", "--csms", "--config", "/nowhere"]).await;
    assert!(code == 66 && err.contains("/nowhere"), "{code}: {err}");
    let (code, _, err) = doctor(&["doctor", "--csms", "--url", "ws://me:secret@h/CP"]).await;
    assert!(code == 64 && !err.contains("secret"), "{code}: {err}");
    let talked: BTreeSet<u64> = csms
        .frames()
        .iter()
        .filter(|f| !matches!(f.kind, Kind::Opened { .. } | Kind::Closed))
        .map(|f| f.link)
        .collect();
    assert_eq!(
        (opened(&csms), talked.len()),
        (4, 2),
        "OCPP was spoken on the gateway's two links alone"
    );
}
