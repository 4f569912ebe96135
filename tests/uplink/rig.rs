//! An uplink with a store in memory, a station played by the test, and a door behind which a CSMS is played frame
//! by frame.

use futures_util::future::BoxFuture;
use futures_util::{SinkExt, StreamExt};
use retrovolt::domain::*;
use retrovolt::ocpp::Machine;
use retrovolt::sim::clock::RealClock;
use retrovolt::uplink::vault::Vault;
use retrovolt::uplink::{self, Feed, FromUplink, LinkStatus, ToUplink, UplinkHandle};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

pub const CP: &str = "CP1";

/// An event is awaited at most this long; none of them should take a second.
const BOUND: Duration = Duration::from_secs(20);

pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(BOUND, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited in vain: {what}"),
    }
}

/// The store: rows appended by the test, cursors and values written by the machine.
pub struct Shelf {
    pub rows: Mutex<Vec<Row>>,
    pub cursor: Mutex<u64>,
    pub security: Mutex<Vec<SecurityEvent>>,
    /// While it is false neither reads nor writes come back.
    pub alive: watch::Sender<bool>,
    /// So many writes are refused first.
    pub refusals: Mutex<u32>,
    pub writes: watch::Sender<u32>,
}

impl Shelf {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            rows: Mutex::default(),
            cursor: Mutex::default(),
            security: Mutex::default(),
            alive: watch::Sender::new(true),
            refusals: Mutex::default(),
            writes: watch::Sender::new(0),
        })
    }

    async fn answers(&self) {
        let mut alive = self.alive.subscribe();
        alive.wait_for(|alive| *alive).await.expect("the shelf lives");
    }

    pub async fn cursor_reaches(&self, seq: u64) {
        let mut writes = self.writes.subscribe();
        let reached = writes.wait_for(|_| *self.cursor.lock().unwrap() >= seq);
        soon("cursor", reached).await.expect("the shelf lives");
    }
}

impl Feed for Shelf {
    fn rows(&self, after: u64, limit: usize) -> BoxFuture<'_, Vec<Row>> {
        Box::pin(async move {
            self.answers().await;
            let rows = self.rows.lock().unwrap();
            rows.iter()
                .filter(|row| row.seq > after)
                .take(limit)
                .cloned()
                .collect()
        })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            self.answers().await;
            {
                let mut refusals = self.refusals.lock().unwrap();
                if *refusals > 0 {
                    *refusals -= 1;
                    return false;
                }
            }
            for row in batch.rows {
                if let Event::Security(event) = row.event {
                    self.security.lock().unwrap().push(event);
                }
            }
            for (_, seq) in batch.cursors {
                let mut cursor = self.cursor.lock().unwrap();
                assert!(seq > *cursor, "the cursor never goes back");
                *cursor = seq;
            }
            self.writes.send_modify(|n| *n += 1);
            true
        })
    }
}

/// What an uplink is started with.
pub struct Plan {
    pub csms: CsmsSetup,
    pub trust_dir: Option<PathBuf>,
    /// Where what a CSMS changes of the credentials is kept.
    pub state_dir: Option<PathBuf>,
    pub serial: Option<String>,
    pub restored: Vec<(String, String)>,
    pub shelf: Arc<Shelf>,
    pub clock: Arc<dyn Clock>,
    /// Messages the station takes before it must read.
    pub room: usize,
}

impl Plan {
    pub fn to(url: impl Into<String>) -> Self {
        let csms = CsmsSetup {
            name: "main".into(),
            url: url.into(),
            secure_url: None,
            version: OcppVersion::V16,
            security: Security::None,
            reconnect_min: Duration::from_millis(20),
            reconnect_max: Duration::from_millis(80),
            message_timeout: BOUND,
            connect_timeout: BOUND,
            ping: Duration::ZERO,
            boot_retry: Duration::from_secs(1),
            tags: TagRule::default(),
        };
        Self {
            csms,
            trust_dir: None,
            state_dir: None,
            serial: None,
            restored: Vec::new(),
            shelf: Shelf::new(),
            clock: Arc::new(RealClock::start()),
            room: 64,
        }
    }

    pub fn password(mut self, password: &str) -> Self {
        self.csms.security = Security::Basic {
            password: password.to_owned(),
        };
        self
    }

    pub fn start(self) -> Rig {
        let evse = EvseSetup {
            id: EvseId(1),
            charger: DeviceId::new("wallbox"),
            meter: None,
            reader: None,
            contacts: Vec::new(),
            phases: 3,
            first_phase: Phase::L1,
            max_current: MilliAmps(16_000),
            min_current: MilliAmps(6_000),
            dimmed_current: MilliAmps(6_000),
            nominal_voltage: 230,
            auth: AuthMode::Reader,
            meter_stale_after: Duration::from_secs(30),
            has_lock: true,
            switches_phases: false,
        };
        let cp = CpSetup {
            id: CpId::new(CP),
            vendor: "Retrovolt".into(),
            model: "Gateway".into(),
            serial: self.serial,
            evses: vec![evse],
            csms: vec![self.csms.clone()],
            keys: BTreeMap::new(),
            firmware: None,
            variables: BTreeMap::new(),
        };
        let reader = ReaderId::new("CP1-main");
        let cursor = *self.shelf.cursor.lock().unwrap();
        let machine = Machine::new(&cp, &self.csms, reader, "0.1.0", 7, cursor, &self.restored);
        let (to_station, told) = mpsc::channel(self.room);
        let feed: Arc<dyn Feed> = self.shelf.clone();
        let vault = Vault::open(
            self.csms,
            cp.id,
            self.trust_dir,
            self.state_dir.as_deref(),
            self.clock,
        );
        let handle = uplink::spawn(vault, machine, feed, to_station, 11);
        Rig {
            handle,
            told,
            shelf: self.shelf,
        }
    }
}

/// A running uplink.
pub struct Rig {
    pub handle: UplinkHandle,
    pub told: mpsc::Receiver<Box<FromUplink>>,
    pub shelf: Arc<Shelf>,
}

impl Rig {
    pub async fn tell(&self, message: ToUplink) {
        soon("room in the inbox", self.handle.to.send(message))
            .await
            .expect("the uplink runs");
    }

    /// The next message to the station that is wanted.
    pub async fn heard<T>(&mut self, what: &str, wanted: impl Fn(FromUplink) -> Option<T>) -> T {
        let search = async {
            loop {
                let message = self.told.recv().await.expect("the uplink runs");
                if let Some(found) = wanted(*message) {
                    return found;
                }
            }
        };
        soon(what, search).await
    }

    /// The station takes in whatever it was told.
    pub fn listen(&mut self) {
        while self.told.try_recv().is_ok() {}
    }

    /// The next word about a link that is down.
    pub async fn down(&mut self) -> String {
        self.heard("link down", |message| match message {
            FromUplink::Link {
                connected: false,
                detail,
            } => Some(detail),
            _ => None,
        })
        .await
    }

    pub async fn up(&mut self) -> String {
        self.heard("link up", |message| match message {
            FromUplink::Link {
                connected: true,
                detail,
            } => Some(detail),
            _ => None,
        })
        .await
    }

    pub async fn online(&mut self, wanted: bool) {
        self.heard("online", |message| {
            matches!(message, FromUplink::Online(online) if online == wanted).then_some(())
        })
        .await;
    }

    pub async fn command(&mut self) -> (CommandId, Command) {
        self.heard("a command", |message| match message {
            FromUplink::Command { id, command } => Some((id, command)),
            _ => None,
        })
        .await
    }

    pub async fn status(&mut self, what: &str, wanted: impl Fn(&LinkStatus) -> bool) -> LinkStatus {
        let found = soon(what, self.handle.status.wait_for(|status| wanted(status))).await;
        found.expect("the uplink runs").clone()
    }

    pub async fn stop(self) {
        self.tell(ToUplink::Stop).await;
        // The station is gone by then, so nothing is kept for it.
        drop(self.told);
        soon("the end", self.handle.join).await.expect("no panic");
    }
}

pub type Served = WebSocketStream<TcpStream>;

/// A listening socket behind which the test plays the CSMS.
pub struct Door {
    listener: TcpListener,
}

impl Door {
    pub async fn open() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.expect("a port"),
        }
    }

    pub fn port(&self) -> u16 {
        self.listener.local_addr().expect("bound").port()
    }

    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/ocpp/{CP}", self.port())
    }

    pub async fn tcp(&self) -> TcpStream {
        soon("a connection", self.listener.accept())
            .await
            .expect("accepts")
            .0
    }

    /// Takes the next connection and agrees on this sub-protocol, be it offered or not.
    pub async fn upgrade(&self, protocol: Option<&'static str>) -> Served {
        let tcp = self.tcp().await;
        #[allow(clippy::result_large_err, reason = "the signature is the library's")]
        let choose = |_: &Request, mut response: Response| {
            if let Some(protocol) = protocol {
                let value = protocol.parse().expect("a header value");
                response.headers_mut().insert("sec-websocket-protocol", value);
            }
            Ok(response)
        };
        soon("an upgrade", accept_hdr_async(tcp, choose))
            .await
            .expect("an upgrade")
    }

    /// Takes the next connection as a good CSMS of 1.6 does, up to the accepted boot.
    pub async fn serve(&self) -> Served {
        let mut socket = self.back().await;
        accept_boot(&mut socket).await;
        socket
    }

    /// Takes the next connection of a charge point that is registered already: it does not boot again.
    pub async fn back(&self) -> Served {
        self.upgrade(Some("ocpp1.6")).await
    }

    /// Answers the next request with this status line; gives the request.
    pub async fn refuse(&self, status: &str) -> String {
        let mut tcp = self.tcp().await;
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(soon("a request", tcp.read_u8()).await.expect("a request"));
        }
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        tcp.write_all(answer.as_bytes()).await.expect("an answer");
        String::from_utf8(request).expect("text")
    }
}

/// The next text frame as JSON; `None` at the end of the connection.
pub async fn frame<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) -> Option<Value> {
    let next = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(other)) => panic!("unexpected {other:?}"),
            }
        }
    };
    soon("a frame", next).await
}

/// The close code the charge point ends with.
pub async fn close_code(socket: &mut Served) -> Option<u16> {
    loop {
        match soon("a close", socket.next()).await {
            Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return None,
        }
    }
}

pub async fn say<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>, frame: &Value) {
    socket.send(Message::text(frame.to_string())).await.expect("sent");
}

pub async fn accept_boot<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) {
    let boot = frame(socket).await.expect("a boot");
    assert_eq!(boot[2], "BootNotification", "{boot}");
    let time = format!("{:.0}", jiff::Timestamp::now());
    let answer = json!({ "status": "Accepted", "currentTime": time, "interval": 300 });
    say(socket, &json!([3, boot[1], answer])).await;
}

/// Asks with a CALL and awaits its answer, passing over what else is sent.
pub async fn ask(socket: &mut Served, id: &str, action: &str, payload: Value) -> Value {
    say(socket, &json!([2, id, action, payload])).await;
    loop {
        let answer = frame(socket).await.expect("an answer");
        if answer[1] == id {
            return answer[2].clone();
        }
    }
}
