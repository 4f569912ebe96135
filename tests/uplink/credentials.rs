//! Credentials that a CSMS changes, over real sockets: what is sent, what is kept, the way back.

use crate::rig::{CP, Door, Plan, Rig, accept_boot, ask, close_code, soon};
use crate::tls::{Authority, GOOD, Noon, acceptor};
use base64::Engine;
use retrovolt::domain::ClockQuality;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

const OLD: &str = "the-0ld-password";
const NEW: &str = "6e65772d70617373776f72642d6e6577";
const NEW_BYTES: &str = "new-password-new";

fn plan(door: &Door, dir: &TempDir) -> Plan {
    let mut plan = Plan::to(door.url()).password(OLD);
    plan.state_dir = Some(dir.path().to_owned());
    plan
}

/// The next connection with the password it shows.
async fn served(door: &Door) -> (crate::rig::Served, String) {
    let tcp = door.tcp().await;
    let mut shown = String::new();
    #[allow(clippy::result_large_err, reason = "the signature is the library's")]
    let look = |request: &Request, mut response: Response| {
        let login = request.headers()["authorization"].to_str().expect("text");
        let login = login.strip_prefix("Basic ").expect("HTTP Basic");
        let login = base64::engine::general_purpose::STANDARD
            .decode(login)
            .expect("base64");
        shown = String::from_utf8(login).expect("text");
        let value = "ocpp1.6".parse().expect("a header value");
        response.headers_mut().insert("sec-websocket-protocol", value);
        Ok(response)
    };
    let socket = soon("an upgrade", tokio_tungstenite::accept_hdr_async(tcp, look)).await;
    (socket.expect("an upgrade"), shown)
}

/// Connected, booted, and asked to use the new password.
async fn changed(door: &Door, rig: &mut Rig) {
    let (mut socket, shown) = served(door).await;
    assert_eq!(shown, format!("{CP}:{OLD}"));
    accept_boot(&mut socket).await;
    rig.online(true).await;
    let change = json!({"key": "AuthorizationKey", "value": NEW});
    let answer = ask(&mut socket, "a", "ChangeConfiguration", change).await;
    assert_eq!(answer["status"], "Accepted");
    assert_eq!(close_code(&mut socket).await, Some(1000), "behind the answer");
}

#[tokio::test]
async fn a_new_password_comes_with_the_next_connection_and_with_every_run_after_it() {
    let (door, dir) = (Door::open().await, TempDir::new().expect("a directory"));
    let mut rig = plan(&door, &dir).start();
    changed(&door, &mut rig).await;
    let (_socket, shown) = served(&door).await;
    assert_eq!(shown, format!("{CP}:{NEW_BYTES}"));
    rig.up().await;
    rig.stop().await;

    let file = dir.path().join("credentials").join(CP).join("main.json");
    let mode = std::fs::metadata(&file).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let rig = plan(&door, &dir).start();
    let (_socket, shown) = served(&door).await;
    assert_eq!(shown, format!("{CP}:{NEW_BYTES}"));
    rig.stop().await;
}

#[tokio::test]
async fn a_refused_password_gives_way_to_the_old_one_and_is_two_events() {
    let (door, dir) = (Door::open().await, TempDir::new().expect("a directory"));
    let mut rig = plan(&door, &dir).start();
    changed(&door, &mut rig).await;
    door.refuse("401 Unauthorized").await;
    let (_socket, shown) = served(&door).await;
    assert_eq!(shown, format!("{CP}:{OLD}"));
    rig.up().await;
    let shelf = rig.shelf.clone();
    rig.stop().await;
    let events = shelf.security.lock().unwrap().clone();
    let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "ReconfigurationOfSecurityParameters",
            "FailedToAuthenticateAtCsms",
            "ReconfigurationOfSecurityParameters"
        ]
    );
    let words = format!("{events:?}");
    assert!(!words.contains(NEW) && !words.contains(NEW_BYTES) && !words.contains(OLD));
    // What was given up is not tried again.
    let rig = plan(&door, &dir).start();
    let (_socket, shown) = served(&door).await;
    assert_eq!(shown, format!("{CP}:{OLD}"));
    rig.stop().await;
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_accepted() {
    let (door, dir) = (Door::open().await, TempDir::new().expect("a directory"));
    // A file where the folder has to be.
    std::fs::write(dir.path().join("credentials"), "in the way").expect("a file");
    let mut rig = plan(&door, &dir).start();
    let (mut socket, _) = served(&door).await;
    accept_boot(&mut socket).await;
    rig.online(true).await;
    let change = json!({"key": "AuthorizationKey", "value": NEW});
    let answer = ask(&mut socket, "a", "ChangeConfiguration", change).await;
    assert_eq!(answer["status"], "Rejected");
    let again = ask(
        &mut socket,
        "b",
        "GetConfiguration",
        json!({"key": ["SecurityProfile"]}),
    )
    .await;
    assert_eq!(again["configurationKey"][0]["value"], "1");
    rig.stop().await;
}

/// A charge point of profile 1 that trusts `ours`, and is asked to rise to 2 at a door of its own.
async fn risen(plain: &Door, secure: &Door, dir: &TempDir, ours: &Authority) -> Rig {
    std::fs::create_dir_all(dir.path().join("trust")).expect("a folder");
    std::fs::write(dir.path().join("trust/ours.pem"), &ours.pem).expect("a file");
    let mut plan = plan(plain, dir);
    plan.trust_dir = Some(dir.path().join("trust"));
    plan.clock = Arc::new(Noon(ClockQuality::Ntp));
    plan.csms.secure_url = Some(format!("wss://localhost:{}/ocpp/{CP}", secure.port()));
    let mut rig = plan.start();
    let (mut socket, _) = served(plain).await;
    accept_boot(&mut socket).await;
    rig.online(true).await;
    let rise = json!({"key": "SecurityProfile", "value": "2"});
    let answer = ask(&mut socket, "a", "ChangeConfiguration", rise).await;
    assert_eq!(answer["status"], "Accepted");
    assert_eq!(close_code(&mut socket).await, Some(1000));
    rig
}

#[tokio::test]
async fn a_higher_profile_with_a_certificate_nobody_vouches_for_is_given_up() {
    let (plain, secure) = (Door::open().await, Door::open().await);
    let dir = TempDir::new().expect("a directory");
    let rig = risen(&plain, &secure, &dir, &Authority::new("Ours")).await;
    let stranger = acceptor(&Authority::new("Theirs").server("localhost", GOOD), None);
    assert!(
        soon("a handshake", stranger.accept(secure.tcp().await))
            .await
            .is_err()
    );
    let (mut socket, shown) = served(&plain).await;
    assert_eq!(shown, format!("{CP}:{OLD}"));
    let told = ask(
        &mut socket,
        "b",
        "GetConfiguration",
        json!({"key": ["SecurityProfile"]}),
    )
    .await;
    assert_eq!(told["configurationKey"][0]["value"], "1");
    let shelf = rig.shelf.clone();
    rig.stop().await;
    let events = shelf.security.lock().unwrap().clone();
    assert!(
        events.iter().any(|event| event.name == "InvalidCsmsCertificate"),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_higher_profile_that_was_reached_is_not_left_when_tls_is_blocked() {
    let (plain, secure) = (Door::open().await, Door::open().await);
    let (dir, ours) = (TempDir::new().expect("a directory"), Authority::new("Ours"));
    let mut rig = risen(&plain, &secure, &dir, &ours).await;
    let good = acceptor(&ours.server("localhost", GOOD), None);
    let tls = soon("a handshake", good.accept(secure.tcp().await))
        .await
        .expect("a handshake");
    #[allow(clippy::result_large_err, reason = "the signature is the library's")]
    let agree = |request: &Request, mut response: Response| {
        assert!(request.headers().contains_key("authorization"));
        let value = "ocpp1.6".parse().expect("a header value");
        response.headers_mut().insert("sec-websocket-protocol", value);
        Ok(response)
    };
    let socket = soon("an upgrade", tokio_tungstenite::accept_hdr_async(tls, agree)).await;
    rig.up().await;
    drop(socket);
    // Whoever sits between now lets no handshake through; the door without TLS stays shut to us.
    for _ in 0..8 {
        drop(secure.tcp().await);
    }
    let detail = rig.handle.status.borrow().detail.clone();
    assert!(!detail.contains("connected, "), "{detail}");
    let knocked = tokio::select! {
        _ = plain.tcp() => true,
        () = async { for _ in 0..4 { drop(secure.tcp().await); } } => false,
    };
    assert!(!knocked, "never again in the clear");
    rig.stop().await;
}
