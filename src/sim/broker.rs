//! A small MQTT broker, 3.1.1 and 5, that is as bad as it is told to be: away, hung, or slow. Over TCP, or over a pipe in
//! simulated time. It grants and confirms everything, and passes nothing on.

use futures_util::FutureExt;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::interval;

/// What the system holds of what was not taken yet; Linux doubles it.
const RECEIVE_BYTES: u32 = 4_096;
/// Where bytes are taken slowly, so often.
const TICK: Duration = Duration::from_secs(1);
/// `seq` at the begin of an event.
const SEQ: &str = "\"seq\":";

/// How the way to the broker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Nobody listens.
    Away,
    /// A connection is accepted and granted, and nothing is read from then on.
    Hung,
    /// So many bytes a second are taken.
    Slow(usize),
    /// The same, and no subscription is answered.
    Unsubscribed(usize),
}

#[derive(Default)]
struct Seen {
    connections: u64,
    counts: BTreeMap<String, u64>,
    last: BTreeMap<String, String>,
    /// The last `seq` of each topic, and whether one was not larger than the one before it.
    seqs: BTreeMap<String, (u64, bool)>,
    to_say: Vec<u8>,
    /// Which topics are kept whole, by their ending, and what came on them.
    keeps: Option<&'static str>,
    kept: Vec<(String, String)>,
}

/// The broker; clones share it.
#[derive(Clone)]
pub struct Broker {
    way: Way,
    seen: Arc<Mutex<Seen>>,
}

impl Broker {
    /// A broker that nobody has reached yet.
    #[must_use]
    pub fn new(way: Way) -> Self {
        let seen = Arc::default();
        Self { way, seen }
    }

    /// A broker at a port of 127.0.0.1; at one nobody listens at, where it is away. Needs a tokio runtime.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn listen(way: Way) -> io::Result<(Self, SocketAddr)> {
        let (broker, socket) = (Self::new(way), TcpSocket::new_v4()?);
        socket.set_recv_buffer_size(RECEIVE_BYTES)?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = socket.local_addr()?;
        if way == Way::Away {
            return Ok((broker, address));
        }
        let (listener, all) = (socket.listen(16)?, broker.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(all.clone().serve(stream));
            }
        });
        Ok((broker, address))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connections so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.seen().connections
    }

    /// Messages published on a topic.
    #[must_use]
    pub fn count(&self, topic: &str) -> u64 {
        self.seen().counts.get(topic).copied().unwrap_or_default()
    }

    /// The last message on a topic; empty: none.
    #[must_use]
    pub fn last(&self, topic: &str) -> String {
        self.seen().last.get(topic).cloned().unwrap_or_default()
    }

    /// Whether `seq` rose with every message of a topic that had one.
    #[must_use]
    pub fn is_in_order(&self, topic: &str) -> bool {
        self.seen().seqs.get(topic).is_some_and(|(_, mixed)| !mixed)
    }

    /// From now on every message is kept whose topic ends so.
    pub fn keep(&self, ending: &'static str) {
        self.seen().keeps = Some(ending);
    }

    /// What was kept: topic and payload, in the order in which they came.
    #[must_use]
    pub fn kept(&self) -> Vec<(String, String)> {
        self.seen().kept.clone()
    }

    /// Sends whoever is connected a short message in 3.1.1, quality 0.
    pub fn say(&self, topic: &str, payload: &str) {
        let mut body = string(topic);
        body.extend(payload.as_bytes());
        self.seen().to_say.extend(packet(0x30, &body));
    }

    /// One connection, until its end.
    pub async fn serve(self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        self.seen().connections += 1;
        let rate = match self.way {
            Way::Slow(rate) | Way::Unsubscribed(rate) => rate,
            Way::Away | Way::Hung => 4_096,
        };
        let (mut talk, mut chunk) = (Talk::default(), vec![0; rate]);
        let mut tick = interval(TICK);
        loop {
            tick.tick().await;
            // Whatever is there by now; nothing is an answer, too.
            match stream.read(&mut chunk).now_or_never() {
                Some(Ok(0) | Err(_)) => return,
                Some(Ok(read)) => talk.bytes.extend_from_slice(&chunk[..read]),
                None => {}
            }
            let mut answer = std::mem::take(&mut self.seen().to_say);
            while let Some((head, body)) = talk.take() {
                answer.extend(self.hear(&mut talk, head, &body).unwrap_or_default());
            }
            if stream.write_all(&answer).await.is_err() {
                return;
            }
            if self.way == Way::Hung && talk.level > 0 {
                // Held open, and never looked at again.
                std::future::pending::<()>().await;
            }
        }
    }

    /// What is answered to a packet (MQTT 3.1.1 and 5, 3); `None`: it is too short to be one.
    fn hear(&self, talk: &mut Talk, head: u8, body: &[u8]) -> Option<Vec<u8>> {
        let five = talk.level == 5;
        Some(match head >> 4 {
            1 => {
                talk.level = *body.get(6)?;
                let properties: &[u8] = if talk.level == 5 { &[0] } else { &[] };
                packet(0x20, &[&[0, 0], properties].concat())
            }
            3 => {
                let (topic, mut at) = text(body)?;
                let quality = head >> 1 & 3;
                let id = body.get(at..at + 2);
                at += if quality > 0 { 2 } else { 0 };
                at += if five { 1 + usize::from(*body.get(at)?) } else { 0 };
                self.note(topic, body.get(at..)?);
                match quality {
                    0 => Vec::new(),
                    _ => packet(0x40, id?),
                }
            }
            8 if !matches!(self.way, Way::Unsubscribed(_)) => {
                let properties: &[u8] = if five { &[0] } else { &[] };
                packet(0x90, &[body.get(..2)?, properties, &[1]].concat())
            }
            12 => packet(0xD0, &[]),
            _ => Vec::new(),
        })
    }

    fn note(&self, topic: String, payload: &[u8]) {
        let text = String::from_utf8_lossy(payload).into_owned();
        let mut seen = self.seen();
        *seen.counts.entry(topic.clone()).or_default() += 1;
        if let Some(seq) = number_after(&text, SEQ) {
            let (last, mixed) = seen.seqs.entry(topic.clone()).or_default();
            *mixed |= seq <= *last;
            *last = seq;
        }
        if seen.keeps.is_some_and(|ending| topic.ends_with(ending)) {
            seen.kept.push((topic.clone(), text.clone()));
        }
        seen.last.insert(topic, text);
    }
}

/// What was heard of a connection and is no packet yet.
#[derive(Default)]
struct Talk {
    bytes: Vec<u8>,
    /// Version of the protocol: 4 is 3.1.1; 0: no CONNECT yet.
    level: u8,
}

impl Talk {
    /// The first packet, if all of it is there (2.2.3).
    fn take(&mut self) -> Option<(u8, Vec<u8>)> {
        let head = *self.bytes.first()?;
        let (mut length, mut at) = (0_usize, 1);
        loop {
            let byte = *self.bytes.get(at)?;
            length |= usize::from(byte & 0x7F) << (7 * (at - 1));
            at += 1;
            if byte & 0x80 == 0 || at > 4 {
                break;
            }
        }
        let body = self.bytes.get(at..at + length)?.to_vec();
        self.bytes.drain(..at + length);
        Some((head, body))
    }
}

/// A short packet.
fn packet(head: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).ok().filter(|length| *length < 0x80);
    let mut packet = vec![head, length.expect("what a test says is short")];
    packet.extend(body);
    packet
}

fn string(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("what a test says is short");
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

/// The text at the begin, and where it ends.
fn text(body: &[u8]) -> Option<(String, usize)> {
    let length = u16::from_be_bytes([*body.first()?, *body.get(1)?]);
    let end = 2 + usize::from(length);
    let text = String::from_utf8_lossy(body.get(2..end)?).into_owned();
    Some((text, end))
}

/// The number behind a key of a flat JSON object.
fn number_after(text: &str, key: &str) -> Option<u64> {
    let rest = text.split_once(key)?.1;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}
