//! A small MQTT broker, 3.1.1 and 5, that is as bad as it is told to be: away, hung, or slow. Over TCP, or over a pipe in
//! simulated time. It grants and confirms everything, and passes nothing on but what a test says or has it keep.

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
    /// Topics in the order in which they were first published on.
    topics: Vec<String>,
    /// What every subscriber is told that asks for it.
    kept: Vec<Said>,
    to_say: Vec<Said>,
    /// Which topics are heard whole, by their ending, and what came on them.
    ending: Option<&'static str>,
    heard: Vec<(String, String)>,
}

/// A message of a test, quality 0.
#[derive(Clone)]
struct Said {
    topic: String,
    payload: String,
    retained: bool,
    expires_s: Option<u32>,
}

impl Said {
    /// As in version 3.1.1 (level 4) or 5 (3.3).
    fn packet(&self, level: u8) -> Vec<u8> {
        let mut body = string(&self.topic);
        if level == 5 {
            let expiry = self
                .expires_s
                .map(|seconds| [&[2], &seconds.to_be_bytes()[..]].concat());
            let properties = expiry.unwrap_or_default();
            body.push(u8::try_from(properties.len()).expect("one property is short"));
            body.extend(properties);
        }
        body.extend(self.payload.as_bytes());
        packet(0x30 | u8::from(self.retained), &body)
    }
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

    /// Topics in the order in which they were first published on.
    #[must_use]
    pub fn topics(&self) -> Vec<String> {
        self.seen().topics.clone()
    }

    /// From now on every message is remembered whose topic ends so.
    pub fn listen_for(&self, ending: &'static str) {
        self.seen().ending = Some(ending);
    }

    /// What was remembered: topic and payload, in the order in which they came.
    #[must_use]
    pub fn heard(&self) -> Vec<(String, String)> {
        self.seen().heard.clone()
    }

    /// Sends whoever is connected a message, quality 0.
    pub fn say(&self, topic: &str, payload: &str) {
        self.seen().to_say.push(said(topic, payload));
    }

    /// The same, and it counts for so many seconds only; 3.1.1 does not tell.
    pub fn say_for(&self, topic: &str, payload: &str, expires_s: u32) {
        self.seen().to_say.push(Said {
            expires_s: Some(expires_s),
            ..said(topic, payload)
        });
    }

    /// Keeps a message for who subscribes, as if it had been published before.
    pub fn keep(&self, topic: &str, payload: &str) {
        self.seen().kept.push(Said {
            retained: true,
            ..said(topic, payload)
        });
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
            let mut answer = Vec::new();
            if talk.level > 0 {
                let to_say = std::mem::take(&mut self.seen().to_say);
                answer.extend(to_say.iter().flat_map(|said| said.packet(talk.level)));
            }
            while let Some((head, body)) = talk.take() {
                if head >> 4 == 14 {
                    return;
                }
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
                let mut answer = packet(0x90, &[body.get(..2)?, properties, &[1]].concat());
                // One filter each, behind the properties of 5, of which there are none.
                let filter = text(body.get(2 + properties.len()..)?)?.0;
                let seen = self.seen();
                let wanted = seen.kept.iter().filter(|said| is_meant(&filter, &said.topic));
                answer.extend(wanted.flat_map(|said| said.packet(talk.level)));
                answer
            }
            12 => packet(0xD0, &[]),
            _ => Vec::new(),
        })
    }

    fn note(&self, topic: String, payload: &[u8]) {
        let text = String::from_utf8_lossy(payload).into_owned();
        let mut seen = self.seen();
        if !seen.counts.contains_key(&topic) {
            seen.topics.push(topic.clone());
        }
        *seen.counts.entry(topic.clone()).or_default() += 1;
        if let Some(seq) = number_after(&text, SEQ) {
            let (last, mixed) = seen.seqs.entry(topic.clone()).or_default();
            *mixed |= seq <= *last;
            *last = seq;
        }
        if seen.ending.is_some_and(|ending| topic.ends_with(ending)) {
            seen.heard.push((topic.clone(), text.clone()));
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

/// A packet (2.2.3).
fn packet(head: u8, body: &[u8]) -> Vec<u8> {
    let (mut packet, mut length) = (vec![head], body.len());
    while length >= 0x80 {
        packet.push(0x80 | u8::try_from(length & 0x7F).expect("seven bits"));
        length >>= 7;
    }
    packet.push(u8::try_from(length).expect("seven bits"));
    packet.extend(body);
    packet
}

fn said(topic: &str, payload: &str) -> Said {
    Said {
        topic: topic.to_owned(),
        payload: payload.to_owned(),
        retained: false,
        expires_s: None,
    }
}

/// Whether a subscription to this filter brings this topic (4.7).
fn is_meant(filter: &str, topic: &str) -> bool {
    let (mut levels, mut wanted) = (topic.split('/'), filter.split('/'));
    loop {
        match (wanted.next(), levels.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
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
