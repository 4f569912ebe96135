//! T5: a configuration that is good and a start that fails all the same makes no loop of restarts: safe mode answers, and
//! begins by itself when the cause is gone.

use crate::notify::Notify;
use crate::site::{PATIENCE, process, until};
use crate::unattended::{Yard, ask};
use retrovolt::sim::EvSpec;
use retrovolt::sim::GatewayProcess;
use retrovolt::sim::status::{online, sessions, up};
use rusqlite::Connection;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitStatus;

/// Files of a folder that are the ledger's, byte by byte.
fn ledger(state: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(state)
        .expect("a folder")
        .map(|entry| entry.expect("an entry"));
    files
        .map(|entry| entry.file_name().into_string().expect("a name"))
        .filter(|name| name.starts_with("ledger") || name.contains("key"))
        .map(|name| (name.clone(), fs::read(state.join(&name)).expect("a file")))
        .collect()
}

/// The checksum of a number in the ledger's table `meta`, as `src/store/sum.rs` has it.
fn sum(parts: &[&[u8]]) -> i64 {
    let mut state: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        let length = (part.len() as u64).to_le_bytes();
        for byte in part.iter().chain(&length) {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    state.cast_signed()
}

/// What a later release does to the ledger: another schema, with its number.
fn of_a_later_release(state: &Path, version: i64) {
    let db = Connection::open(state.join("ledger.db")).expect("a ledger");
    let sum = sum(&[b"schema", &version.to_le_bytes()]);
    db.execute(
        "UPDATE meta SET value = ?1, sum = ?2 WHERE name = 'schema'",
        (version, sum),
    )
    .expect("written");
    db.pragma_update(None, "user_version", version).expect("written");
}

/// The answers of a gateway that cannot start.
async fn is_blocked(yard: &mut Yard, mark: usize, problem: &str, next: &str) -> Value {
    let told = yard.notify.until(mark, problem).await;
    assert!(
        told.contains("READY=1") && told.contains("STATUS=SAFE MODE") && told.contains(next),
        "{told}"
    );
    let status = until(&yard.gateway, "safe mode", |s| {
        s["configuration"]["blocked"].is_object()
    })
    .await;
    assert_eq!(status["configuration"]["mode"], "safe_mode");
    assert!(
        status["south"]["ports"]
            .as_object()
            .is_some_and(serde_json::Map::is_empty)
    );
    let said = ask(&yard.gateway, &["status"]).await;
    assert_eq!(said.code, 75, "{}", said.out);
    for words in ["SAFE MODE: the gateway cannot start", problem, next] {
        assert!(said.out.contains(words), "'{words}' in {}", said.out);
    }
    let said = ask(&yard.gateway, &["-v", "healthcheck"]).await;
    assert!(said.code == 1 && said.out.contains(problem), "{}", said.out);
    assert_eq!(ask(&yard.gateway, &["maintenance", "--can-start"]).await.code, 0);
    let said = ask(&yard.gateway, &["reload"]).await;
    assert_eq!(said.code, 75, "{}", said.out);
    assert!(
        said.out.contains(problem) && said.out.contains(next),
        "{}",
        said.out
    );
    let beats = yard.notify.alive();
    assert!(
        yard.notify.beats(PATIENCE).await && yard.notify.alive() > beats,
        "it lives"
    );
    status
}

/// How `run --strict` ends with the same files.
async fn strictly(yard: &Yard, toml: &str) -> ExitStatus {
    let mut strict = process(yard.dir.path(), toml);
    strict.start().expect("it starts");
    strict.ended(PATIENCE).await.expect("it ends")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t5_an_older_binary_over_a_newer_ledger_is_safe_mode_and_leaves_it_untouched() {
    let mut yard = Yard::new().await;
    let state = yard.dir.path().join("state");
    yard.gateway.start().expect("it starts");
    yard.world.plug("box", EvSpec::default()).expect("a charger");
    yard.charging(16).await;
    yard.stop().await;
    of_a_later_release(&state, 77);
    let before = ledger(&state);
    assert!(before.len() >= 2, "{:?}", before.keys());

    let mark = yard.notify.mark();
    yard.gateway.start().expect("it starts");
    let later = "the database has schema 77";
    is_blocked(&mut yard, mark, later, "install the later release again").await;
    // A mistake in the file is told as well, and changes nothing.
    yard.gateway
        .configure(&yard.toml.replace("[[bus]]", "[[buss]]"))
        .expect("written");
    let said = ask(&yard.gateway, &["reload"]).await;
    assert!(said.code == 78 && said.out.contains("buss"), "{}", said.out);
    let said = ask(&yard.gateway, &["status"]).await;
    assert!(
        said.out.contains(later) && said.out.contains("buss"),
        "{}",
        said.out
    );
    yard.gateway.configure(&yard.toml).expect("written");
    yard.gateway.reload().expect("a signal");
    until(&yard.gateway, "the file is good again", |s| {
        s["configuration"]["refused"].is_null() && s["configuration"]["blocked"].is_object()
    })
    .await;
    assert_eq!(ledger(&state), before, "not a byte of the ledger");
    let log = fs::read_to_string(yard.gateway.log()).expect("a log");
    assert_eq!(
        log.matches("the gateway cannot start").count(),
        1,
        "said once: {log}"
    );
    yard.stop().await;
    assert_eq!(strictly(&yard, &yard.toml).await.code(), Some(71));
    assert_eq!(ledger(&state), before, "not a byte of the ledger");

    // Moved away by somebody who accepts that, it is begun anew without a restart.
    yard.gateway.start().expect("it starts");
    until(&yard.gateway, "safe mode", |s| {
        s["configuration"]["blocked"].is_object()
    })
    .await;
    for name in before.keys().filter(|name| name.starts_with("ledger.db")) {
        fs::rename(state.join(name), yard.dir.path().join(name)).expect("moved");
    }
    let status = yard.charging(16).await;
    assert_eq!(status["configuration"]["mode"], "file");
    assert_eq!(ask(&yard.gateway, &["healthcheck"]).await.code, 0);
    yard.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t5_a_state_directory_that_cannot_be_used_is_waited_for() {
    let mut yard = Yard::new().await;
    // root may write everywhere, so rights are no obstacle to a test.
    let obstacle = yard.dir.path().join("state/ledger.db");
    fs::create_dir_all(&obstacle).expect("a folder");
    yard.gateway.start().expect("it starts");
    is_blocked(&mut yard, 0, "ledger.db: ", "chown").await;
    let mark = yard.notify.mark();
    fs::remove_dir(&obstacle).expect("removed");
    yard.notify.until(mark, "READY=1").await;
    until(&yard.gateway, "it serves", |s| {
        online(s) == 1 && up(s, "devices") == 1
    })
    .await;
    assert_eq!(ask(&yard.gateway, &["healthcheck"]).await.code, 0);
    yard.stop().await;
    assert!(!yard.gateway.socket().exists(), "the socket goes with it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t5_a_second_gateway_waits_until_the_first_has_ended_and_does_not_disturb_it() {
    let mut yard = Yard::new().await;
    yard.gateway.start().expect("it starts");
    yard.world.plug("box", EvSpec::default()).expect("a charger");
    yard.charging(16).await;
    // Its own folder only for log and notifications; ledger and socket are those of the first.
    let aside = tempfile::TempDir::new().expect("a folder");
    let mut notify = Notify::listen(aside.path());
    let mut second: GatewayProcess = process(aside.path(), &yard.toml)
        .with_arguments(&[])
        .with_env("NOTIFY_SOCKET", notify.address());
    second.start().expect("it starts");
    let told = notify.until(0, "in use by another retrovolt").await;
    assert!(told.contains("SAFE MODE"), "{told}");
    yard.charging(16).await;
    assert_eq!(
        ask(&yard.gateway, &["healthcheck"]).await.code,
        0,
        "the first answers"
    );
    assert_eq!(strictly(&yard, &yard.toml).await.code(), Some(73));

    yard.gateway.kill().await.expect("a kill");
    let status = yard.charging(16).await;
    assert_eq!(sessions(&status), 1);
    assert!(second.stop(PATIENCE).await.expect("it ends").success());
}

/// Whoever copies the right program over the wrong one by hand need not restart anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t5_safe_mode_makes_way_for_another_program_in_its_place() {
    let yard = Yard::new().await;
    let program = yard.dir.path().join("retrovolt");
    fs::copy(env!("CARGO_BIN_EXE_retrovolt"), &program).expect("copied");
    fs::create_dir_all(yard.dir.path().join("state/ledger.db")).expect("a folder in the way");
    let own = |env: Option<String>| {
        let gateway = GatewayProcess::new(&program, yard.dir.path(), &yard.toml)
            .expect("written")
            .with_arguments(&[]);
        match env {
            Some(address) => gateway.with_env("NOTIFY_SOCKET", address),
            None => gateway,
        }
    };
    let mut supervised = own(Some(yard.notify.address()));
    supervised.start().expect("it starts");
    until(&supervised, "safe mode", |s| {
        s["configuration"]["blocked"].is_object()
    })
    .await;
    let new = yard.dir.path().join("new");
    fs::write(&new, "#!/bin/sh\n").expect("written");
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("set");
    fs::rename(&new, &program).expect("moved");
    let end = supervised.ended(PATIENCE).await.expect("it ends");
    assert_eq!(end.code(), Some(75));
    let log = fs::read_to_string(supervised.log()).expect("a log");
    assert!(log.contains("the program was replaced"), "{log}");
}

/// What a configuration names may come later than the gateway, e.g. on a disk of its own. A file that somebody works on is not
/// taken before he says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t5_what_a_configuration_misses_is_waited_for_and_an_edited_file_is_not_taken_by_itself() {
    let mut yard = Yard::new().await;
    let state = yard.dir.path().join("state");
    fs::write(&state, "no folder").expect("a file");
    yard.gateway.start().expect("it starts");
    let told = yard.notify.until(0, "SAFE MODE").await;
    assert!(told.contains("is not a folder"), "{told}");
    fs::remove_file(&state).expect("removed");
    yard.charging_is_possible().await;
    yard.stop().await;

    fs::remove_dir_all(&state).expect("removed");
    yard.gateway
        .configure(&yard.toml.replace("[[bus]]", "[[buss]]"))
        .expect("written");
    let mark = yard.notify.mark();
    yard.gateway.start().expect("it starts");
    yard.notify.until(mark, "SAFE MODE").await;
    yard.gateway.configure(&yard.toml).expect("written");
    // Two more turns without a word from anybody.
    let mark = yard.notify.mark();
    for turn in 0..2 {
        yard.notify.until(mark + turn, "SAFE MODE").await;
    }
    assert_eq!(ask(&yard.gateway, &["reload"]).await.code, 0);
    yard.charging_is_possible().await;
    yard.stop().await;
}

/// What else could be in the way at a start, and is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t5_neither_a_socket_that_cannot_be_had_nor_profiles_that_cannot_be_read_end_the_process() {
    let mut yard = Yard::new().await;
    let socket = yard.gateway.socket();
    fs::create_dir(&socket).expect("a folder in its place");
    let mark = yard.notify.mark();
    yard.gateway.start().expect("it starts");
    yard.notify.until(mark, "READY=1").await;
    yard.world.plug("box", EvSpec::default()).expect("a charger");
    yard.notify.until(mark, "1 sessions").await;
    let log = fs::read_to_string(yard.gateway.log()).expect("a log");
    assert!(log.contains("no control socket"), "{log}");
    yard.stop().await;
    fs::remove_dir(&socket).expect("removed");

    let folder = yard.dir.path().join("devices.d");
    fs::rename(&folder, yard.dir.path().join("aside")).expect("moved");
    fs::write(&folder, "no folder").expect("a file");
    yard.gateway.start().expect("it starts");
    let status = yard.charging(16).await;
    assert_eq!(
        status["configuration"]["mode"], "last_good",
        "{}",
        status["configuration"]
    );
    yard.stop().await;
}
