//! How a connection ends and how it comes back.

use crate::rig::{CP, Door, Plan, ask, close_code, frame, soon};
use futures_util::{SinkExt, StreamExt};
use retrovolt::domain::ResetKind;
use retrovolt::sim::csms::{Csms, Frame, Kind};
use retrovolt::uplink::ToUplink;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

const BOUND: Duration = Duration::from_secs(20);

#[tokio::test]
async fn no_attempt_comes_sooner_than_the_shortest_wait_after_a_close() {
    let door = Door::open().await;
    let mut plan = Plan::to(door.url());
    plan.csms.reconnect_min = Duration::from_millis(150);
    plan.csms.reconnect_max = Duration::from_millis(300);
    let rig = plan.start();
    let mut socket = door.serve().await;
    for round in 0..4 {
        // By turns cut without a word, and closed in due form.
        if round % 2 == 1 {
            socket.send(Message::Close(None)).await.expect("sent");
            close_code(&mut socket).await;
        }
        drop(socket);
        let closed = Instant::now();
        socket = door.back().await;
        assert!(
            closed.elapsed() >= Duration::from_millis(150),
            "after {:?}",
            closed.elapsed()
        );
    }
    rig.stop().await;
}

#[tokio::test]
async fn the_wait_grows_while_nobody_accepts_and_starts_anew_afterwards() {
    let door = Door::open().await;
    let mut plan = Plan::to(door.url());
    plan.csms.reconnect_min = Duration::from_millis(50);
    plan.csms.reconnect_max = Duration::from_millis(1600);
    let rig = plan.start();
    let mut last = Instant::now();
    let mut waits = Vec::new();
    for _ in 0..6 {
        drop(door.tcp().await);
        waits.push(last.elapsed());
        last = Instant::now();
    }
    // 50-100, 100-200, 200-400, 400-800, 800-1600.
    for (wait, least) in waits[1..].iter().zip([50, 100, 200, 400, 800]) {
        assert!(*wait >= Duration::from_millis(least), "{waits:?}");
    }
    // An accepted boot makes the next wait short again: it begins below what a grown one would at least be.
    drop(door.serve().await);
    let closed = Instant::now();
    let tcp = door.tcp().await;
    assert!(
        closed.elapsed() < Duration::from_millis(800),
        "{:?}",
        closed.elapsed()
    );
    drop(tcp);
    rig.stop().await;
}

#[tokio::test]
async fn an_upgrade_that_is_closed_at_once_does_not_count_as_success() {
    let door = Door::open().await;
    let mut plan = Plan::to(door.url());
    plan.csms.reconnect_max = Duration::from_millis(640);
    let mut rig = plan.start();
    let mut last = Instant::now();
    for _ in 0..7 {
        let mut socket = door.upgrade(Some("ocpp1.6")).await;
        let reason = CloseFrame {
            code: 1008.into(),
            reason: "who are you".into(),
        };
        socket.send(Message::Close(Some(reason))).await.expect("sent");
        close_code(&mut socket).await;
        drop(socket);
        assert!(
            rig.down()
                .await
                .starts_with("closed by the CSMS with 1008: who are you; check identity")
        );
        last = Instant::now();
    }
    let socket = door.upgrade(Some("ocpp1.6")).await;
    assert!(
        last.elapsed() >= Duration::from_millis(320),
        "{:?}",
        last.elapsed()
    );
    drop(socket);
    rig.stop().await;
}

#[tokio::test]
async fn a_missing_pong_is_a_lost_connection() {
    let door = Door::open().await;
    let mut plan = Plan::to(door.url());
    plan.csms.ping = Duration::from_millis(50);
    plan.csms.message_timeout = Duration::from_millis(1500);
    let mut rig = plan.start();
    // Nothing is read after the boot, so no ping is answered, while TCP stays up.
    let frozen = door.serve().await;
    rig.online(true).await;
    assert_eq!(rig.down().await, "no pong within 1.5s");
    rig.online(false).await;
    let mut living = door.back().await;
    rig.online(true).await;
    // Pongs come by themselves while the socket is read: several periods pass and the line is still there.
    let mut pings = 0;
    while pings < 2 {
        match soon("a ping", living.next()).await {
            Some(Ok(Message::Ping(_))) => pings += 1,
            Some(Ok(_)) => {}
            end => panic!("the line is gone: {end:?}"),
        }
    }
    assert!(rig.handle.status.borrow().connected);
    drop((frozen, living));
    rig.stop().await;
}

#[tokio::test]
async fn a_stop_says_1001_and_ends_in_every_phase() {
    let door = Door::open().await;
    let mut rig = Plan::to(door.url()).start();
    let mut socket = door.serve().await;
    rig.online(true).await;
    let (code, ()) = tokio::join!(close_code(&mut socket), rig.stop());
    assert_eq!(code, Some(1001));

    // While connecting, to a server that says nothing.
    let rig = Plan::to(door.url()).start();
    let silent = door.tcp().await;
    let begun = Instant::now();
    rig.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(2));
    drop(silent);

    // With a peer that never closes: the wait is bounded.
    let mut rig = Plan::to(door.url()).start();
    let deaf = door.serve().await;
    rig.online(true).await;
    rig.stop().await;
    drop(deaf);
}

#[tokio::test]
async fn when_nobody_is_left_to_say_stop_the_uplink_ends() {
    let door = Door::open().await;
    let mut rig = Plan::to(door.url()).start();
    let mut socket = door.serve().await;
    rig.online(true).await;
    drop(rig.handle.to);
    assert_eq!(close_code(&mut socket).await, Some(1001));
    drop(socket);
    soon("the end", rig.handle.join).await.expect("no panic");
}

#[tokio::test]
async fn a_reset_closes_the_old_socket_before_the_new_one_is_opened() {
    let door = Door::open().await;
    let mut rig = Plan::to(door.url()).start();
    let mut socket = door.serve().await;
    rig.online(true).await;
    rig.tell(ToUplink::Reboot(ResetKind::Hard)).await;
    assert_eq!(close_code(&mut socket).await, Some(1001));
    // The end of the old socket is seen before a new connection is taken.
    assert_eq!(close_code(&mut socket).await, None);
    drop(socket);
    let again = door.serve().await;
    rig.online(true).await;
    drop(again);
    rig.stop().await;
}

#[tokio::test]
async fn a_csms_that_restarts_gets_its_charge_point_back() {
    let csms = Csms::start().await.expect("a port");
    let address = csms.address();
    let mut rig = Plan::to(csms.url(CP)).start();
    rig.online(true).await;
    csms.cut();
    drop(csms);
    rig.online(false).await;
    let csms = Csms::start_at(address).await.expect("the same port");
    rig.online(true).await;
    let opened = |frame: &Frame| matches!(frame.kind, Kind::Opened { .. });
    csms.wait(0, BOUND, opened).await.expect("a connection");
    let keys = csms
        .call(CP, "GetConfiguration", json!({"key": ["HeartbeatInterval"]}))
        .await;
    assert_eq!(keys.expect("an answer")["configurationKey"][0]["value"], "300");
    rig.stop().await;
}

#[tokio::test]
async fn a_registered_charge_point_that_is_thrown_out_at_once_backs_off_all_the_same() {
    let door = Door::open().await;
    let mut plan = Plan::to(door.url());
    plan.csms.reconnect_max = Duration::from_millis(640);
    let mut rig = plan.start();
    drop(door.serve().await);
    rig.down().await;
    let mut last = Instant::now();
    for _ in 0..6 {
        drop(door.back().await);
        rig.down().await;
        last = Instant::now();
    }
    let socket = door.back().await;
    assert!(
        last.elapsed() >= Duration::from_millis(320),
        "{:?}",
        last.elapsed()
    );
    drop(socket);
    rig.stop().await;
}

#[tokio::test]
async fn a_call_without_an_answer_ends_the_connection() {
    let door = Door::open().await;
    let mut plan = Plan::to(door.url());
    plan.csms.message_timeout = Duration::from_secs(2);
    let mut rig = plan.start();
    let mut socket = door.upgrade(Some("ocpp1.6")).await;
    assert_eq!(frame(&mut socket).await.expect("a boot")[2], "BootNotification");
    assert_eq!(close_code(&mut socket).await, Some(1001));
    drop(socket);
    assert!(rig.down().await.contains("a CALL stayed without an answer"));
    let mut again = door.serve().await;
    rig.online(true).await;
    let keys = ask(
        &mut again,
        "q1",
        "GetConfiguration",
        json!({"key": ["HeartbeatInterval"]}),
    )
    .await;
    assert_eq!(keys["configurationKey"][0]["value"], "300", "{keys}");
    drop(again);
    rig.stop().await;
}
