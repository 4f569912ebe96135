//! Who may answer, and what the operator is told when it is the wrong one.

use crate::rig::{Door, Plan, accept_boot, close_code};
use std::time::Duration;

async fn refused_with(status: &str) -> String {
    let door = Door::open().await;
    let mut rig = Plan::to(door.url()).start();
    door.refuse(status).await;
    let detail = rig.down().await;
    rig.stop().await;
    detail
}

#[tokio::test]
async fn each_refusal_has_its_words_and_its_next_step() {
    let cases = [
        ("401 Unauthorized", "HTTP 401", "check the password"),
        ("403 Forbidden", "HTTP 403", "are allowed"),
        ("404 Not Found", "HTTP 404", "trailing slash"),
        ("302 Found", "HTTP 302", "redirects are not followed"),
        ("503 Busy", "HTTP 503", "is in trouble"),
        ("426 Upgrade Required", "HTTP 426", "check the URL"),
    ];
    for (status, cause, step) in cases {
        let detail = refused_with(status).await;
        assert!(
            detail.contains(cause) && detail.contains(step),
            "{status}: {detail}"
        );
    }
}

#[tokio::test]
async fn the_agreed_sub_protocol_is_the_only_way_in() {
    let door = Door::open().await;
    let mut rig = Plan::to(door.url()).start();
    let mut none = door.upgrade(None).await;
    assert!(rig.down().await.contains("not the sub-protocol ocpp1.6"));
    assert_eq!(close_code(&mut none).await, None, "closed without a word of OCPP");
    let mut other = door.upgrade(Some("ocpp2.0.1")).await;
    assert!(
        rig.down()
            .await
            .contains("another sub-protocol than the offered ocpp1.6")
    );
    assert_eq!(close_code(&mut other).await, None);
    let mut good = door.upgrade(Some("ocpp1.6")).await;
    assert_eq!(rig.up().await, "connected, ocpp1.6");
    accept_boot(&mut good).await;
    rig.online(true).await;
    drop(good);
    rig.stop().await;
}

#[tokio::test]
async fn the_request_offers_one_protocol_keeps_the_url_and_logs_in_with_the_identity() {
    let door = Door::open().await;
    let url = format!("ws://127.0.0.1:{}/ws/oc%70p//CP1/?a=b", door.port());
    let mut rig = Plan::to(url).password("tops3cret").start();
    let request = door.refuse("401 Unauthorized").await;
    assert!(
        request.starts_with("GET /ws/oc%70p//CP1/?a=b HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("\r\nSec-WebSocket-Protocol: ocpp1.6\r\n"),
        "{request}"
    );
    assert!(
        request.contains("\r\nauthorization: Basic Q1AxOnRvcHMzY3JldA==\r\n"),
        "{request}"
    );
    let detail = rig.down().await;
    let status = format!("{:?}", rig.handle.status.borrow());
    for told in [detail, status] {
        assert!(!told.contains("tops3cret") && !told.contains("Q1Ax"), "{told}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_name_without_address_a_closed_port_and_a_bad_url_are_told_apart() {
    let mut rig = Plan::to("ws://csms.invalid/CP1").start();
    let detail = rig.down().await;
    assert!(
        detail.starts_with("the name csms.invalid cannot be resolved"),
        "{detail}"
    );
    rig.stop().await;

    let door = Door::open().await;
    let url = door.url();
    drop(door);
    let mut rig = Plan::to(url).start();
    let detail = rig.down().await;
    assert!(detail.contains("refuses connections; check the port"), "{detail}");
    rig.stop().await;

    for url in ["http://127.0.0.1/CP1", "ws://", "not a url", ""] {
        let mut rig = Plan::to(url).start();
        let detail = rig.down().await;
        assert!(detail.starts_with("the URL cannot be used"), "{url}: {detail}");
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_never_answers_the_upgrade_is_given_up_and_one_that_is_no_server_too() {
    let door = Door::open().await;
    let mut plan = Plan::to(door.url());
    plan.csms.connect_timeout = Duration::from_millis(300);
    let mut rig = plan.start();
    let silent = door.tcp().await;
    let detail = rig.down().await;
    assert!(
        detail.starts_with("no connection within 300ms; it hung at the WebSocket upgrade"),
        "{detail}"
    );
    drop(silent);
    rig.stop().await;

    let mut rig = Plan::to(door.url()).start();
    drop(door.tcp().await);
    let detail = rig.down().await;
    assert!(
        detail.starts_with("the answer is not a WebSocket upgrade"),
        "{detail}"
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_refused_login_is_one_security_event_until_it_was_let_in() {
    let door = Door::open().await;
    let mut rig = Plan::to(door.url()).password("wrong").start();
    for status in ["401 Unauthorized", "403 Forbidden", "401 Unauthorized"] {
        door.refuse(status).await;
        rig.down().await;
    }
    let mut good = door.upgrade(Some("ocpp1.6")).await;
    accept_boot(&mut good).await;
    rig.online(true).await;
    drop(good);
    rig.down().await;
    door.refuse("404 Not Found").await;
    rig.down().await;
    door.refuse("401 Unauthorized").await;
    rig.down().await;
    let shelf = rig.shelf.clone();
    rig.stop().await;
    let events = shelf.security.lock().unwrap();
    let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(
        names,
        ["FailedToAuthenticateAtCsms", "FailedToAuthenticateAtCsms"]
    );
}
