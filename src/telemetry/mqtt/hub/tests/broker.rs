//! A broker of MQTT 3.1.1 in simulated time, at the other end of a pipe.

use crate::telemetry::client::Pipe;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::sleep;

/// What the systems on both sides hold between them.
const SOCKET_BYTES: usize = 16 * 1024;

/// How the line to the broker is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Line {
    /// Nobody listens.
    Away,
    /// A connection is accepted, and nothing read after its first packet.
    Hung,
    /// So many bytes a second are taken.
    Slow(usize),
}

#[derive(Default)]
struct Seen {
    connections: u64,
    counts: BTreeMap<String, u64>,
    last: BTreeMap<String, String>,
    /// The largest `seq` of each topic, and whether one came after a larger one.
    seqs: BTreeMap<String, (u64, bool)>,
    to_say: Vec<Vec<u8>>,
}

/// The broker.
#[derive(Clone)]
pub(super) struct Broker {
    line: Line,
    seen: Arc<Mutex<Seen>>,
}

impl Broker {
    pub(super) fn at(line: Line) -> Self {
        let seen = Arc::default();
        Self { line, seen }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// What takes the place of TCP.
    pub(super) fn pipe(&self) -> Pipe {
        let broker = self.clone();
        Arc::new(move || {
            if matches!(broker.line, Line::Away) {
                return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
            }
            broker.seen().connections += 1;
            let (theirs, ours) = duplex(SOCKET_BYTES);
            tokio::spawn(broker.clone().serve(ours));
            Ok(theirs)
        })
    }

    pub(super) fn connections(&self) -> u64 {
        self.seen().connections
    }

    /// Messages published on a topic.
    pub(super) fn count(&self, topic: &str) -> u64 {
        self.seen().counts.get(topic).copied().unwrap_or_default()
    }

    /// The last message on a topic.
    pub(super) fn last(&self, topic: &str) -> String {
        self.seen().last.get(topic).cloned().unwrap_or_default()
    }

    /// No message of a topic came after one with a larger `seq`.
    pub(super) fn is_in_order(&self, topic: &str) -> bool {
        self.seen().seqs.get(topic).is_some_and(|(_, mixed)| !mixed)
    }

    /// Sends a message to the hub, quality 0.
    pub(super) fn say(&self, topic: &str, payload: &str) {
        let length = u16::try_from(topic.len()).unwrap();
        let mut packet = vec![0x30, u8::try_from(2 + topic.len() + payload.len()).unwrap()];
        packet.extend(length.to_be_bytes());
        packet.extend(topic.as_bytes());
        packet.extend(payload.as_bytes());
        self.seen().to_say.push(packet);
    }

    async fn serve(self, mut pipe: DuplexStream) {
        let mut buffer = Vec::new();
        let rate = match self.line {
            Line::Slow(rate) => rate,
            Line::Away | Line::Hung => 1_000,
        };
        let mut chunk = vec![0; rate];
        loop {
            sleep(Duration::from_secs(1)).await;
            let to_say = std::mem::take(&mut self.seen().to_say);
            let read = tokio::time::timeout(Duration::from_millis(1), pipe.read(&mut chunk)).await;
            match read {
                Ok(Ok(0) | Err(_)) => return,
                Ok(Ok(read)) => buffer.extend_from_slice(&chunk[..read]),
                Err(_) => {}
            }
            let mut answer: Vec<u8> = to_say.concat();
            while let Some(packet) = take(&mut buffer) {
                answer.extend(self.hear(&packet));
            }
            if pipe.write_all(&answer).await.is_err() {
                return;
            }
            if matches!(self.line, Line::Hung) && !answer.is_empty() {
                // Held open, and never looked at again.
                std::future::pending::<()>().await;
            }
        }
    }

    /// What is answered to a packet (MQTT 3.1.1, 3).
    fn hear(&self, packet: &Packet) -> Vec<u8> {
        let body = &packet.body;
        match packet.head >> 4 {
            1 => vec![0x20, 2, 0, 0],
            3 => {
                let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
                let topic = String::from_utf8_lossy(&body[2..2 + length]).into_owned();
                let quality = packet.head >> 1 & 3;
                let payload = 2 + length + if quality > 0 { 2 } else { 0 };
                self.note(topic, &body[payload..]);
                match quality {
                    0 => Vec::new(),
                    _ => vec![0x40, 2, body[2 + length], body[3 + length]],
                }
            }
            8 => vec![0x90, 3, body[0], body[1], 1],
            12 => vec![0xD0, 0],
            _ => Vec::new(),
        }
    }

    fn note(&self, topic: String, payload: &[u8]) {
        let text = String::from_utf8_lossy(payload).into_owned();
        let mut seen = self.seen();
        *seen.counts.entry(topic.clone()).or_default() += 1;
        if topic.contains("/event/") {
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            let seq = value["seq"].as_u64().unwrap();
            let (largest, mixed) = seen.seqs.entry(topic.clone()).or_default();
            *mixed |= seq <= *largest;
            *largest = seq.max(*largest);
        }
        seen.last.insert(topic, text);
    }
}

struct Packet {
    head: u8,
    body: Vec<u8>,
}

/// The first packet, if all of it is there (2.2.3).
fn take(buffer: &mut Vec<u8>) -> Option<Packet> {
    let head = *buffer.first()?;
    let (mut length, mut at) = (0_usize, 1);
    loop {
        let byte = *buffer.get(at)?;
        length |= usize::from(byte & 0x7F) << (7 * (at - 1));
        at += 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let body = buffer.get(at..at + length)?.to_vec();
    buffer.drain(..at + length);
    Some(Packet { head, body })
}
