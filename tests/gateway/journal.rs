//! The journal of sessions of the real process: through outages and kills, checked by another program, and held against
//! what each CSMS acknowledged.

use crate::kills::quick_world;
use crate::rig::{python, root};
use crate::site::{PATIENCE, process, until};
use crate::two_csmss::{BackEnd, FREE, configuration, out, session};
use retrovolt::sim::csms::{Csms, Reach};
use retrovolt::sim::status::{links_online, sessions, waiting};
use retrovolt::sim::{EvSpec, GatewayProcess};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// `retrovolt sessions` with these arguments.
fn run(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_retrovolt"))
        .arg("sessions")
        .args(args)
        .arg("--config")
        .arg(dir.join("retrovolt.toml"))
        .output()
        .expect("it runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What it says in JSON, and its exit code.
fn told(dir: &Path, args: &[&str]) -> (Option<i32>, Value) {
    let output = run(dir, &[args, &["--json"]].concat());
    let value = serde_json::from_slice(&output.stdout);
    let value = value.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), value)
}

/// Back end and standing of each session, oldest first.
fn standings(dir: &Path) -> (Option<i32>, Vec<(String, String)>) {
    let (code, value) = told(dir, &["reconcile"]);
    let all = value["sessions"].as_array().expect("a list").iter();
    let word = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    (
        code,
        all.map(|one| (word(one, "reader"), word(one, "standing")))
            .collect(),
    )
}

fn stands(csms: &str, standing: &str) -> (String, String) {
    (format!("TWO-1/{csms}"), standing.to_owned())
}

/// What a program that knows only the documentation says of a journal.
fn checked_by_python(dir: &Path, journal: &Value) -> Value {
    let key = dir.join("key.pem");
    let printed = run(dir, &["key"]);
    assert!(printed.status.success());
    std::fs::write(&key, &printed.stdout).expect("a file");
    let mut child = Command::new(python())
        .arg(root().join("tests/interop/verify_sessions.py"))
        .arg(&key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python");
    let mut stdin = child.stdin.take().expect("piped");
    stdin
        .write_all(journal.to_string().as_bytes())
        .expect("it listens");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    serde_json::from_slice(&output.stdout).expect("a verdict")
}

/// Until everything is told to both.
async fn told_to_both(gateway: &GatewayProcess) {
    until(gateway, "both are told everything", |s| {
        links_online(s) == 2 && sessions(s) == 0 && waiting(s) == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_outlives_outages_and_kills_and_agrees_with_two_csmss() {
    let dir = TempDir::new().expect("a folder");
    let (first, second) = (
        Csms::start().await.expect("a CSMS"),
        Csms::start().await.expect("a CSMS"),
    );
    let world = quick_world(dir.path()).await;
    let back_ends = [
        &BackEnd::of("main", &first, "1.6"),
        &BackEnd::of("fleet", &second, "2.0.1"),
    ];
    let toml = configuration(dir.path(), &world, FREE, &back_ends);
    let mut gateway = process(dir.path(), &toml);
    assert_eq!(
        run(dir.path(), &[]).status.code(),
        Some(66),
        "no gateway has run yet"
    );
    gateway.start().expect("the gateway starts");
    until(&gateway, "both accept the charge point", |s| links_online(s) == 2).await;
    session(&gateway, &world).await;
    told_to_both(&gateway).await;
    let both = [stands("fleet", "acknowledged"), stands("main", "acknowledged")];
    assert_eq!(standings(dir.path()), (Some(0), both.to_vec()));
    let (_, early) = told(dir.path(), &["verify"]);
    let head = early["journal"]["head"].as_str().expect("a head").to_owned();

    // One is away, and the process is killed right at the end of a session.
    out(&second);
    until(&gateway, "the one that reads is away", |s| links_online(s) == 1).await;
    let mark = first.mark();
    world.plug("box", EvSpec::default()).expect("a charger");
    until(&gateway, "a session runs", |s| sessions(s) == 1).await;
    // What a CSMS is told is on the disk; a session that never came there would leave nothing behind.
    let begun = first.wait_call(mark, PATIENCE, "TWO-1", "StartTransaction");
    begun.await.expect("the one in control hears of its begin");
    world.unplug("box").expect("a charger");
    until(&gateway, "it ends", |s| sessions(s) == 0).await;
    gateway.kill().await.expect("a kill");
    gateway.start().expect("the gateway starts again");
    until(&gateway, "the one in control is told", |s| {
        links_online(s) == 1 && sessions(s) == 0 && first.verdict().ended == 2
    })
    .await;
    let wanted = vec![
        both[0].clone(),
        both[1].clone(),
        stands("fleet", "waiting"),
        stands("main", "acknowledged"),
    ];
    until(&gateway, "what waits is told as that", |_| {
        standings(dir.path()) == (Some(75), wanted.clone())
    })
    .await;

    second.set_reach(Reach::Up);
    told_to_both(&gateway).await;
    assert_eq!(standings(dir.path()), (Some(0), [both.clone(), both].concat()));

    // Another program agrees, record by record.
    let (code, journal) = told(dir.path(), &[]);
    assert_eq!((code, &journal["intact"]), (Some(0), &json!(true)));
    let energy: i64 = journal["sessions"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|s| s["energy_mwh"].as_i64())
        .sum();
    let verdict = checked_by_python(dir.path(), &journal);
    assert_eq!(
        verdict,
        json!({"records": journal["journal"]["records"], "sessions": 2, "energy_mwh": energy,
            "head": journal["journal"]["head"], "wrong": null})
    );
    let mut forged = journal.clone();
    forged["records"][1]["record"]["energy_mwh"] = json!(1);
    forged["records"][1]["record"]["meter_stop_mwh"] = json!(
        1 + forged["records"][1]["record"]["meter_start_mwh"]
            .as_i64()
            .expect("a register")
    );
    assert_eq!(checked_by_python(dir.path(), &forged)["wrong"], 2);

    people_see_it(dir.path(), &journal, &head);
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
    tampering_is_found(dir.path(), &head);
}

/// Table, comma-separated values, filters, key, token and head.
fn people_see_it(dir: &Path, journal: &Value, head: &str) {
    let table = text(&run(dir, &[]));
    assert!(
        table.ends_with(" kWh\n") && table.contains("\n2 sessions, "),
        "{table}"
    );
    assert!(table.contains("TWO-1/1"), "{table}");
    let csv = text(&run(dir, &["--csv"]));
    assert_eq!(csv.lines().count(), 3, "{csv}");
    assert!(text(&run(dir, &["--to", "2020-01-01"])).ends_with("\n0 sessions, 0.000 kWh\n"));
    assert!(text(&run(dir, &["--cp", "OTHER"])).contains("0 sessions"));
    assert_eq!(run(dir, &["--from", "yesterday"]).status.code(), Some(64));
    let token = text(&run(dir, &["token", "free"]));
    assert_eq!(journal["sessions"][0]["token"], token.trim());
    let key = dir.join("key.pem").display().to_string();
    let checked = run(dir, &["verify", "--head", head, "--key", &key]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked));
    assert!(text(&checked).contains("each record is as it was written"));
    assert_eq!(
        run(dir, &["verify", "--head", "nonsense"]).status.code(),
        Some(64)
    );
}

fn tampering_is_found(dir: &Path, head: &str) {
    let db = rusqlite::Connection::open(dir.join("state/ledger.db")).expect("the ledger");
    let altered = db.execute(
        "UPDATE sessions SET body = replace(body, '\"reason\":\"', '\"reason\":\"x') WHERE n = 2",
        [],
    );
    assert_eq!(altered, Ok(1));
    let output = run(dir, &[]);
    assert_eq!(output.status.code(), Some(65));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("record 2 is not what was written"), "{said}");
    assert_eq!(run(dir, &["reconcile"]).status.code(), Some(65));
    db.execute("DELETE FROM sessions", []).expect("a write");
    let (code, verdict) = told(dir, &["verify", "--head", head]);
    assert_eq!(code, Some(65));
    assert_eq!(verdict["journal"]["faults"][0], json!({"missing": 1}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_csms_refuses_and_what_is_not_for_it_is_told_apart() {
    let dir = TempDir::new().expect("a folder");
    let (first, second) = (
        Csms::start().await.expect("a CSMS"),
        Csms::start().await.expect("a CSMS"),
    );
    let world = quick_world(dir.path()).await;
    let elsewhere = BackEnd {
        tags: "tags = [\"04A1*\"]",
        ..BackEnd::of("fleet", &second, "1.6")
    };
    let back_ends = [&BackEnd::of("main", &first, "1.6"), &elsewhere];
    let toml = configuration(dir.path(), &world, FREE, &back_ends).replace(
        "MeterValueSampleInterval = 1",
        "MeterValueSampleInterval = 1, TransactionMessageAttempts = 1",
    );
    let mut gateway = process(dir.path(), &toml);
    gateway.start().expect("the gateway starts");
    until(&gateway, "both accept the charge point", |s| links_online(s) == 2).await;
    first.refuse("StopTransaction", true);
    session(&gateway, &world).await;
    told_to_both(&gateway).await;
    first.refuse("StopTransaction", false);
    session(&gateway, &world).await;
    told_to_both(&gateway).await;
    assert_eq!(
        standings(dir.path()),
        (
            Some(76),
            vec![
                stands("fleet", "not_for_it"),
                stands("main", "refused"),
                stands("fleet", "not_for_it"),
                stands("main", "acknowledged"),
            ]
        )
    );
    let table = text(&run(dir.path(), &["reconcile"]));
    assert!(
        table.contains("end given up, last answer InternalError"),
        "{table}"
    );
    assert!(
        table.ends_with("1 acknowledged, 1 REFUSED, 2 not for it\n"),
        "{table}"
    );
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
}
