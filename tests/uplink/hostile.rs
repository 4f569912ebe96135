//! A CSMS that breaks the rules of the WebSocket itself.

use crate::rig::{Door, Plan, Served, ask, close_code};
use futures_util::SinkExt;
use retrovolt::ocpp::MAX_MESSAGE_BYTES;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::{Bytes, Message};

/// A well-formed CALL of exactly this many bytes.
fn padded(bytes: usize) -> String {
    let frame = |pad: &str| json!([2, "big", "DataTransfer", {"vendorId": "x", "data": pad}]).to_string();
    frame(&"a".repeat(bytes - frame("").len()))
}

async fn is_alive(socket: &mut Served) {
    let keys = ask(
        socket,
        "alive",
        "GetConfiguration",
        json!({"key": ["HeartbeatInterval"]}),
    )
    .await;
    assert!(keys["configurationKey"].is_array(), "{keys}");
}

#[tokio::test]
async fn binary_frames_are_counted_and_in_the_end_not_tolerated() {
    let door = Door::open().await;
    let mut rig = Plan::to(door.url()).start();
    let mut socket = door.serve().await;
    for _ in 0..16 {
        socket.send(Message::binary(vec![0_u8; 900])).await.expect("sent");
    }
    is_alive(&mut socket).await;
    rig.status("the count", |status| status.refused_frames == 16)
        .await;
    socket.send(Message::binary(Bytes::new())).await.expect("sent");
    assert_eq!(close_code(&mut socket).await, Some(1003));
    drop(socket);
    assert!(rig.down().await.contains("1003"));
    is_alive(&mut door.back().await).await;
    rig.stop().await;
}

#[tokio::test]
async fn the_largest_message_is_taken_and_one_byte_more_ends_the_connection() {
    let door = Door::open().await;
    let mut rig = Plan::to(door.url()).start();
    let mut socket = door.serve().await;
    socket
        .send(Message::text(padded(MAX_MESSAGE_BYTES)))
        .await
        .expect("sent");
    is_alive(&mut socket).await;
    assert_eq!(rig.handle.status.borrow().refused_frames, 0);
    socket
        .send(Message::text(padded(MAX_MESSAGE_BYTES + 1)))
        .await
        .ok();
    assert!(rig.down().await.contains("1009: message too big"));
    drop(socket);
    is_alive(&mut door.back().await).await;
    rig.status("the count", |status| status.refused_frames == 1).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_frame_that_claims_to_be_endless_is_refused_by_its_header() {
    let door = Door::open().await;
    let mut rig = Plan::to(door.url()).start();
    let mut socket = door.serve().await;
    let header = [&[0x81, 127][..], &(1_u64 << 62).to_be_bytes()].concat();
    socket.get_mut().write_all(&header).await.expect("sent");
    assert_eq!(close_code(&mut socket).await, Some(1009));
    assert!(rig.down().await.contains("1009"));
    is_alive(&mut door.back().await).await;
    rig.stop().await;
}

#[tokio::test]
async fn broken_text_and_broken_frames_end_the_connection_with_their_code() {
    // Text that is not UTF-8; reserved bits set; a fragment of nothing; a masked frame; an unknown opcode.
    let cases: [(&[u8], u16); 5] = [
        (&[0x81, 2, 0xC3, 0x28], 1007),
        (&[0xF1, 1, b'a'], 1002),
        (&[0x80, 1, b'a'], 1002),
        (&[0x81, 0x81, 1, 2, 3, 4, 5], 1002),
        (&[0x83, 0], 1002),
    ];
    let door = Door::open().await;
    let mut rig = Plan::to(door.url()).start();
    for (nth, (bytes, code)) in cases.into_iter().enumerate() {
        let mut socket = if nth == 0 {
            door.serve().await
        } else {
            door.back().await
        };
        socket.get_mut().write_all(bytes).await.expect("sent");
        assert_eq!(close_code(&mut socket).await, Some(code), "case {nth}");
        drop(socket);
        let detail = rig.down().await;
        assert!(
            detail.starts_with(&format!("closed with {code}")),
            "case {nth}: {detail}"
        );
    }
    is_alive(&mut door.back().await).await;
    assert_eq!(rig.handle.status.borrow().refused_frames, 5);
    rig.stop().await;
}

#[tokio::test]
async fn a_flood_of_texts_and_pings_leaves_the_inbox_and_the_heartbeat_alive() {
    let door = Door::open().await;
    let mut rig = Plan::to(door.url()).start();
    let mut socket = door.serve().await;
    rig.online(true).await;
    for n in 0..3_000 {
        socket
            .feed(Message::text(format!("[3,\"never-asked-{n}\",{{}}]")))
            .await
            .expect("sent");
        socket
            .feed(Message::Ping(Bytes::from_static(b"x")))
            .await
            .expect("sent");
    }
    socket.flush().await.expect("sent");
    is_alive(&mut socket).await;
    let told = rig
        .status("every text looked at", |status| {
            status
                .ocpp
                .as_ref()
                .is_some_and(|ocpp| ocpp.misbehaviours >= 3_000)
        })
        .await;
    assert!(told.connected);
    let before = *rig.handle.heartbeat.borrow_and_update();
    crate::rig::soon("a heartbeat", rig.handle.heartbeat.wait_for(|now| *now > before))
        .await
        .expect("the uplink runs");
    drop(socket);
    rig.stop().await;
}

#[tokio::test]
async fn a_flood_by_a_csms_that_reads_nothing_is_held_back() {
    let door = Door::open().await;
    let mut plan = Plan::to(door.url());
    plan.csms.message_timeout = std::time::Duration::from_millis(800);
    let mut rig = plan.start();
    let mut socket = door.serve().await;
    rig.online(true).await;
    // Each CALL wants an answer of several KiB, none of which is read.
    let call = json!([2, "q", "GetConfiguration", {}]).to_string();
    let flood = async {
        loop {
            if socket.feed(Message::text(call.clone())).await.is_err() {
                break;
            }
        }
    };
    let (detail, ()) = tokio::join!(rig.down(), flood);
    assert_eq!(detail, "the CSMS does not take what is sent");
    is_alive(&mut door.back().await).await;
    rig.stop().await;
}

#[tokio::test]
async fn what_is_no_ocpp_is_one_security_event_however_much_of_it_comes() {
    let door = Door::open().await;
    let rig = Plan::to(door.url()).start();
    let mut socket = door.serve().await;
    for text in ["", "no json", "[9]", "{}", "[2,7,\"Reset\",{}]"] {
        socket.send(Message::text(text)).await.expect("sent");
    }
    socket.send(Message::binary(vec![0_u8; 9])).await.expect("sent");
    is_alive(&mut socket).await;
    drop(socket);
    is_alive(&mut door.back().await).await;
    let shelf = rig.shelf.clone();
    rig.stop().await;
    let events = shelf.security.lock().unwrap();
    let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["InvalidMessages"]);
}
