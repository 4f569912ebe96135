//! Promise N1 over the whole process: floods, the largest messages, drips, broken frames and close storms of a CSMS, while a
//! vehicle charges. Nothing stalls, nothing panics, and memory stays.

use crate::kills::quick_world;
use crate::site::{PATIENCE, gateway_toml, process, quick_toml, until};
use futures_util::{FutureExt, SinkExt, StreamExt};
use retrovolt::ocpp::MAX_MESSAGE_BYTES;
use retrovolt::sim::status::{online, sessions};
use retrovolt::sim::{EvSpec, GatewayProcess};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

const CP: &str = "HOST-1";
/// By how much the gateway may grow, in KiB.
const GROWTH: u64 = 8 * 1024;

type Socket = WebSocketStream<TcpStream>;

/// The CSMS.
struct Hostile {
    listener: TcpListener,
    asked: u64,
}

impl Hostile {
    /// The next connection of the charge point.
    async fn back(&self) -> Socket {
        let next = async {
            let (tcp, _) = self.listener.accept().await.expect("a connection");
            #[allow(clippy::result_large_err, reason = "the signature is the library's")]
            let choose = |_: &Request, mut response: Response| {
                let value = "ocpp1.6".parse().expect("a header value");
                response.headers_mut().insert("sec-websocket-protocol", value);
                Ok(response)
            };
            accept_hdr_async(tcp, choose).await.expect("an upgrade")
        };
        timeout(PATIENCE, next)
            .await
            .expect("the charge point comes back")
    }

    /// A good request is answered, and what the charge point says meanwhile as well.
    async fn is_answered(&mut self, socket: &mut Socket, after: &str) {
        self.asked += 1;
        let id = format!("good-{}", self.asked);
        let call = json!([2, id, "GetConfiguration", {"key": ["HeartbeatInterval"]}]);
        let answered = async {
            socket.send(Message::text(call.to_string())).await.expect("sent");
            loop {
                let frame = frame(socket).await;
                if frame[1] == id.as_str() {
                    return frame;
                }
                oblige(socket, &frame).await;
            }
        };
        let answer = timeout(PATIENCE, answered).await;
        let answer = answer.unwrap_or_else(|_| panic!("a stall after {after}"));
        assert_eq!(answer[0], 3, "after {after}: {answer}");
    }
}

async fn frame(socket: &mut Socket) -> Value {
    loop {
        match socket.next().await.expect("open").expect("a frame") {
            Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("unexpected {other:?}"),
        }
    }
}

/// Answers a CALL of the charge point as it wants it.
async fn oblige(socket: &mut Socket, frame: &Value) {
    if frame[0] != 2 {
        return;
    }
    let time = format!("{:.0}", jiff::Timestamp::now());
    let answer = match frame[2].as_str() {
        Some("BootNotification") => json!({"status": "Accepted", "currentTime": time, "interval": 300}),
        Some("StartTransaction") => json!({"transactionId": 1, "idTagInfo": {"status": "Accepted"}}),
        Some("Heartbeat") => json!({"currentTime": time}),
        Some("Authorize") => json!({"idTagInfo": {"status": "Accepted"}}),
        _ => json!({}),
    };
    let answer = json!([3, frame[1], answer]).to_string();
    socket.send(Message::text(answer)).await.expect("sent");
}

/// Sends all of this while reading whatever comes back.
async fn flood(socket: &mut Socket, messages: impl Iterator<Item = Message>) {
    for message in messages {
        let sending = timeout(PATIENCE, socket.feed(message)).await;
        sending.expect("it takes what is sent").expect("sent");
        // Answers are taken off the line, or it would be we who stall.
        while let Some(next) = frame(socket).now_or_never() {
            oblige(socket, &next).await;
        }
    }
    socket.flush().await.expect("sent");
}

/// Private memory of the process in KiB.
fn memory(gateway: &GatewayProcess) -> u64 {
    let pid = gateway.pid().expect("it runs");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.trim().parse().ok()).expect("a number")
}

/// A good message of exactly so many bytes.
fn padded(bytes: usize) -> String {
    let frame = |pad: &str| json!([2, "big", "DataTransfer", {"vendorId": "x", "data": pad}]).to_string();
    frame(&"a".repeat(bytes - frame("").len()))
}

/// What it is, how often it comes, and the n-th of it.
type Flood = (&'static str, usize, fn(usize) -> Message);

/// Messages that leave the connection open.
fn floods() -> Vec<Flood> {
    vec![
        ("answers to nothing", 20_000, |n| {
            Message::text(format!("[3,\"never-{n}\",{{}}]"))
        }),
        ("garbage", 20_000, |n| Message::text(format!("]{n}["))),
        ("unknown actions", 5_000, |n| {
            Message::text(json!([2, n.to_string(), "Explode", {}]).to_string())
        }),
        ("requests for everything", 500, |n| {
            Message::text(json!([2, n.to_string(), "GetConfiguration", {}]).to_string())
        }),
        ("triggers", 2_000, |n| {
            let wanted = json!({"requestedMessage": "StatusNotification"});
            Message::text(json!([2, n.to_string(), "TriggerMessage", wanted]).to_string())
        }),
        ("pings", 20_000, |_| Message::Ping(Bytes::from_static(b"ping"))),
        ("pongs", 20_000, |_| Message::Pong(Bytes::from_static(b"pong"))),
        ("the largest messages", 100, |_| {
            Message::text(padded(MAX_MESSAGE_BYTES))
        }),
        ("the deepest messages", 100, |_| {
            Message::text("[".repeat(MAX_MESSAGE_BYTES))
        }),
        ("numbers without end", 100, |_| {
            Message::text(format!("[2,\"n\",\"Reset\",{}]", "9".repeat(200_000)))
        }),
        ("long lists of tags", 20, |n| {
            let tags: Vec<Value> = (0..4_000).map(|tag| json!({"idTag": format!("{tag}")})).collect();
            let list = json!({"listVersion": n, "updateType": "Full", "localAuthorizationList": tags});
            Message::text(json!([2, n.to_string(), "SendLocalList", list]).to_string())
        }),
    ]
}

/// Bytes on the wire that end the connection, or leave it hanging; `true`: the socket is dropped behind them.
fn endings() -> Vec<(&'static str, Vec<u8>, bool)> {
    let endless = [&[0x81, 127][..], &(1_u64 << 62).to_be_bytes()].concat();
    let big = [
        &[0x81, 127][..],
        &(MAX_MESSAGE_BYTES as u64 + 1).to_be_bytes(),
        &[b'a'; 4096],
    ]
    .concat();
    vec![
        ("a frame that claims to be endless", endless, false),
        ("a message of one byte too many", big, false),
        ("text that is not UTF-8", vec![0x81, 2, 0xC3, 0x28], false),
        ("reserved bits", vec![0xF1, 1, b'a'], false),
        ("a masked frame", vec![0x81, 0x81, 1, 2, 3, 4, 5], false),
        ("half a frame and the end", vec![0x81, 100, b'['], true),
        ("a close of one byte", vec![0x88, 1, 3], false),
        ("a close without a word", vec![0x88, 0], false),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n1_a_hostile_csms_neither_stalls_the_gateway_nor_fills_its_memory_while_it_charges() {
    let dir = TempDir::new().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let world = quick_world(dir.path()).await;
    let link = format!("url = \"ws://127.0.0.1:{port}/ocpp/{{id}}\"\n");
    let toml = gateway_toml(dir.path()) + &quick_toml(&world, CP, "free", &link);
    let mut gateway = process(dir.path(), &toml);
    gateway.start().expect("the gateway starts");
    let mut csms = Hostile { listener, asked: 0 };
    let mut socket = csms.back().await;
    csms.is_answered(&mut socket, "nothing").await;
    world.plug("box", EvSpec::default()).expect("a charger");
    until(&gateway, "the session runs", |s| sessions(s) == 1).await;
    csms.is_answered(&mut socket, "the session began").await;

    let (pid, before) = (gateway.pid(), memory(&gateway));
    let mut most = ("nothing", before);
    for (name, times, make) in floods() {
        flood(&mut socket, (0..times).map(make)).await;
        csms.is_answered(&mut socket, name).await;
        most = std::cmp::max_by_key(most, (name, memory(&gateway)), |(_, kib)| *kib);
    }
    // A good message, a byte at a time.
    let text = json!([2, "drip", "ClearCache", {}]).to_string();
    let head = [0x81, u8::try_from(text.len()).expect("short")];
    for byte in head.iter().chain(text.as_bytes()) {
        socket.get_mut().write_all(&[*byte]).await.expect("sent");
        socket.get_mut().flush().await.expect("sent");
    }
    csms.is_answered(&mut socket, "a drip").await;
    for (name, bytes, gone) in endings() {
        socket.get_mut().write_all(&bytes).await.expect("sent");
        if !gone {
            // It is the charge point that ends it.
            let end = async { while socket.next().await.is_some_and(|next| next.is_ok()) {} };
            timeout(PATIENCE, end)
                .await
                .unwrap_or_else(|_| panic!("{name} is put up with"));
        }
        drop(socket);
        socket = csms.back().await;
        csms.is_answered(&mut socket, name).await;
        most = std::cmp::max_by_key(most, (name, memory(&gateway)), |(_, kib)| *kib);
    }
    let begun = world.energy("box").expect("a charger");
    let charged = || world.energy("box").expect("a charger") > begun;
    let answering = async {
        loop {
            let next = frame(&mut socket).await;
            oblige(&mut socket, &next).await;
        }
    };
    tokio::select! {
        () = answering => unreachable!("it has no end"),
        _ = until(&gateway, "it charges", |s| online(s) == 1 && sessions(s) == 1 && charged()) => {}
    }
    assert_eq!(gateway.pid(), pid, "the same process");
    let grown = most.1.saturating_sub(before);
    assert!(
        grown <= GROWTH,
        "{before} KiB before, {} KiB with {}",
        most.1,
        most.0
    );
    let log = std::fs::read_to_string(gateway.log()).expect("a log");
    assert!(!log.contains("panicked"), "{log}");
    drop(socket);
    assert!(gateway.stop(PATIENCE).await.expect("it ends").success());
}
