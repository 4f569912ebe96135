//! A tap between the gateway and its chargers: passes Modbus TCP on and notes when each request came by.

use super::Outcome;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// Bytes before the unit id of a Modbus TCP frame.
const HEAD: usize = 6;
const WRITE_SINGLE: u8 = 6;

#[derive(Default)]
struct Seen {
    /// When each unit was asked for a block, by its first register.
    reads: BTreeMap<(u8, u16), Vec<Instant>>,
    /// What was asked of the first charger, and is not written yet.
    asked: Option<(Instant, u16)>,
    reactions: Vec<f64>,
}

/// The tap.
#[derive(Clone)]
pub struct Tap {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Tap {
    /// Stands before a server.
    pub async fn before(server: SocketAddr) -> Outcome<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let tap = Self {
            address: listener.local_addr()?,
            seen: Arc::default(),
        };
        let all = tap.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(all.clone().pass(client, server));
            }
        });
        Ok(tap)
    }

    /// Where the gateway is to connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn pass(self, client: TcpStream, server: SocketAddr) -> Option<()> {
        let there = TcpStream::connect(server).await.ok()?;
        client.set_nodelay(true).ok()?;
        there.set_nodelay(true).ok()?;
        let (mut from, mut back) = client.into_split();
        let (mut answers, mut to) = there.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut answers, &mut back).await });
        loop {
            let frame = frame(&mut from).await?;
            self.note(&frame);
            to.write_all(&frame).await.ok()?;
        }
    }

    fn note(&self, frame: &[u8]) {
        let now = Instant::now();
        let (Some(&[unit, function]), Some(&[a, b, c, d])) = (
            frame.get(HEAD..HEAD + 2).and_then(|part| part.first_chunk()),
            frame.get(HEAD + 2..HEAD + 6).and_then(|part| part.first_chunk()),
        ) else {
            return;
        };
        let (address, value) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let mut seen = self.seen();
        if function == WRITE_SINGLE {
            if let Some((since, _)) = seen.asked.take_if(|(_, wanted)| unit == 1 && *wanted == value) {
                let ms = now.duration_since(since).as_secs_f64() * 1_000.0;
                seen.reactions.push(ms);
            }
        } else {
            seen.reads.entry((unit, address)).or_default().push(now);
        }
    }

    /// Begins anew.
    pub fn forget(&self) {
        *self.seen() = Seen::default();
    }

    /// A value was asked to be written to the first charger.
    pub fn asked(&self, value: u16) {
        self.seen().asked = Some((Instant::now(), value));
    }

    /// How far so many percent of the intervals between two reads of the same block are off the middle one.
    pub fn jitter_ms(&self, percent: f64) -> Outcome<f64> {
        let seen = self.seen();
        let mut off = Vec::new();
        for times in seen.reads.values() {
            let gap = |pair: &[Instant]| pair[1].duration_since(pair[0]).as_secs_f64() * 1_000.0;
            let gaps: Vec<f64> = times.windows(2).map(gap).collect();
            let middle = super::median(&gaps);
            off.extend(gaps.iter().map(|gap| (gap - middle).abs()));
        }
        if off.len() < 100 {
            return Err(format!("only {} reads were seen", off.len()).into());
        }
        off.sort_by(f64::total_cmp);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "a place in a list of some thousands"
        )]
        let place = ((off.len() - 1) as f64 * percent / 100.0).round() as usize;
        Ok(off[place])
    }

    /// From the wish to the write.
    pub fn reactions_ms(&self) -> Vec<f64> {
        self.seen().reactions.clone()
    }
}

/// One Modbus TCP frame (Modbus Messaging on TCP/IP V1.0b, 3.1.3).
async fn frame(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut frame = vec![0; HEAD];
    from.read_exact(&mut frame).await.ok()?;
    let length = usize::from(u16::from_be_bytes([frame[4], frame[5]]));
    frame.resize(HEAD + length, 0);
    from.read_exact(&mut frame[HEAD..]).await.ok()?;
    Some(frame)
}
