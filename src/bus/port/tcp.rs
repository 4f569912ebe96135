//! Modbus TCP (Messaging on TCP/IP V1.0b): one request in flight, late answers told apart by transaction id.

use super::{Exchange, Fault, Seen, Wire, read};
use crate::bus::frame::{Answer, FrameError, mbap};
use crate::bus::timer::Timer;
use crate::device::Reply;
use rustix::net::sockopt;
use std::io;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Name look-up and handshake together.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// After this silence the kernel asks whether the peer is there, this often, so many times.
const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEP_ALIVE_PAUSE: Duration = Duration::from_secs(5);
const KEEP_ALIVE_PROBES: u32 = 3;
/// The peer takes our bytes within this or the connection is lost.
const WRITE_LIMIT: Duration = Duration::from_secs(1);
/// An answer later than this is given up when a stop waits.
const OVERDUE: Duration = Duration::from_millis(150);
/// After so many requests in a row without a byte the connection counts as dead: a peer that lost its power sends
/// no reset, and the kernel would retransmit for a quarter of an hour.
const SILENT_LIMIT: u8 = 3;

/// Connects.
pub(crate) async fn connect(host: &str, port: u16) -> io::Result<Box<dyn Wire>> {
    let stream = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect((host, port)))
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no TCP connection within 5 s"))??;
    stream.set_nodelay(true)?;
    // A meter behind a serial server may never be asked anything, so only the kernel can notice that it is gone.
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, KEEP_ALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(&stream, KEEP_ALIVE_PAUSE)?;
    sockopt::set_tcp_keepcnt(&stream, KEEP_ALIVE_PROBES)?;
    Ok(Box::new(stream))
}

/// A connection with Modbus TCP.
pub(crate) struct MbapLine {
    wire: Box<dyn Wire>,
    timer: Timer,
    gap: Duration,
    traffic: Duration,
    buf: Vec<u8>,
    transaction: u16,
    silent: u8,
    pub(super) seen: Seen,
}

impl MbapLine {
    /// A line on a fresh connection.
    pub(crate) fn new(wire: Box<dyn Wire>, timer: Timer, gap: Duration) -> Self {
        let traffic = timer.now();
        Self {
            wire,
            timer,
            gap,
            traffic,
            buf: Vec::new(),
            transaction: 0,
            silent: 0,
            seen: Seen::default(),
        }
    }

    /// See [`super::Line::watch`].
    pub(super) async fn watch(&mut self) -> io::Error {
        loop {
            if let Err(lost) = read(&mut *self.wire, &mut self.buf).await {
                return lost;
            }
            if let Err(lost) = self.drop_stale() {
                return lost;
            }
        }
    }

    /// Sends a request and waits for its reply.
    pub(super) async fn exchange(&mut self, what: Exchange<'_>) -> Result<Reply, Fault> {
        if self.silent >= SILENT_LIMIT {
            let text = "no answer to three requests in a row; connecting anew";
            return Err(io::Error::new(io::ErrorKind::TimedOut, text).into());
        }
        self.transaction = self.transaction.wrapping_add(1);
        let request = mbap::encode(self.transaction, what.unit, what.pdu).map_err(Fault::Garbled)?;
        if !self.settle(what.gap.max(self.gap), what.urgent).await? {
            return Err(Fault::Yielded);
        }
        self.send(&request).await?;
        let answer = self.receive(&what).await;
        self.silent = match answer {
            Err(Fault::Timeout(_)) => self.silent + 1,
            _ => 0,
        };
        match answer? {
            Answer::Reply(reply) => Ok(reply),
            Answer::Exception(code) => Err(Fault::Exception(code)),
        }
    }

    async fn settle(&mut self, gap: Duration, urgent: &tokio::sync::Notify) -> io::Result<bool> {
        let until = self.traffic + gap;
        loop {
            tokio::select! {
                biased;
                () = urgent.notified() => return Ok(false),
                heard = read(&mut *self.wire, &mut self.buf) => { heard?; self.drop_stale()?; }
                passed = self.timer.until(until) => { passed?; return Ok(true); }
            }
        }
    }

    async fn send(&mut self, request: &[u8]) -> io::Result<()> {
        let limit = self.timer.now() + WRITE_LIMIT;
        tokio::select! {
            biased;
            written = self.wire.write_all(request) => written?,
            passed = self.timer.until(limit) => { passed?; return Err(io::ErrorKind::TimedOut.into()); }
        }
        self.traffic = self.timer.now();
        self.seen.sent += 1;
        Ok(())
    }

    async fn receive(&mut self, what: &Exchange<'_>) -> Result<Answer, Fault> {
        let sent = self.traffic;
        let mut until = sent + what.timeout;
        loop {
            while let Some(frame) = self.frame()? {
                match mbap::decode(self.transaction, what.unit, what.pdu, &frame) {
                    Ok(answer) => {
                        self.seen.taken += 1;
                        self.seen.answer_took = self.timer.now().saturating_sub(sent);
                        return Ok(answer);
                    }
                    Err(FrameError::Transaction { .. }) => self.seen.foreign += 1,
                    // The transaction is ours, so nothing better is to come.
                    Err(error) => return Err(Fault::Garbled(error)),
                }
            }
            tokio::select! {
                biased;
                heard = read(&mut *self.wire, &mut self.buf) => { heard?; self.traffic = self.timer.now(); }
                passed = self.timer.until(until) => {
                    passed?;
                    return Err(Fault::Timeout(until.saturating_sub(sent)));
                }
                () = what.urgent.notified() => until = until.min(sent + OVERDUE),
            }
        }
    }

    fn drop_stale(&mut self) -> io::Result<()> {
        while self.frame()?.is_some() {
            self.seen.foreign += 1;
        }
        Ok(())
    }

    /// The next whole frame. A stream that lost its frames is lost altogether.
    fn frame(&mut self) -> io::Result<Option<Vec<u8>>> {
        let lost = |error: FrameError| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
        let len = mbap::frame_len(&self.buf).map_err(lost)?;
        Ok(len
            .filter(|len| *len <= self.buf.len())
            .map(|len| self.buf.drain(..len).collect()))
    }
}
