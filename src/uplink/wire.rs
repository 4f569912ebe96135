//! One open WebSocket: what is to be sent, what is received, pings, and an orderly end.
//!
//! * a missing pong is a dead connection, and so is a peer that takes nothing;
//! * binary frames are refused and counted; too many of them, an oversize message, bad UTF-8 or a breach of
//!   RFC 6455 end the connection with the code of its section 7.4.1;
//! * a close is waited for, but not for ever.

use super::connect::Socket;
use futures_util::{Sink, Stream};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Message, Utf8Bytes};

/// How long the peer may take to close after our close frame, or we after its.
pub(super) const CLOSE_WAIT: Duration = Duration::from_secs(3);

/// Binary frames that are only counted; the next one ends the connection.
const BINARY_TOLERATED: u32 = 16;

/// Messages of ours that may wait; above it nothing more is read, so that a flood cannot fill the memory.
const QUEUE_HIGH: usize = 64;

/// What happened on the connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum WireEvent {
    /// A text message.
    Text(String),
    /// Something was refused at the socket; to be counted.
    Refused(&'static str),
    /// A control frame was handled.
    Quiet,
    /// The connection is over: why.
    Gone(Cow<'static, str>),
}

/// An open connection.
pub(super) struct Wire {
    socket: Socket,
    queue: VecDeque<Message>,
    opened: Instant,
    ended: Option<Instant>,
    /// Since when the peer takes nothing.
    stuck_since: Option<Instant>,
    unflushed: bool,
    ping_every: Duration,
    last_ping: Instant,
    pong_due: Option<Instant>,
    patience: Duration,
    binaries: u32,
    /// We are closing: until when to wait, and why it ends.
    closing: Option<(Instant, Cow<'static, str>)>,
    /// Nothing can be read any more.
    deaf: bool,
}

impl Wire {
    /// `patience` is the wait for a pong and for the peer to take what is sent.
    pub(super) fn new(socket: Socket, ping_every: Duration, patience: Duration) -> Self {
        let now = Instant::now();
        Self {
            socket,
            queue: VecDeque::new(),
            opened: now,
            ended: None,
            stuck_since: None,
            unflushed: false,
            ping_every,
            last_ping: now,
            pong_due: None,
            patience,
            binaries: 0,
            closing: None,
            deaf: false,
        }
    }

    pub(super) fn send(&mut self, text: String) {
        if self.closing.is_none() {
            self.queue.push_back(Message::text(text));
        }
    }

    pub(super) fn set_ping(&mut self, every: Duration) {
        self.ping_every = every;
        if every.is_zero() {
            self.pong_due = None;
        }
    }

    /// How long it was of use; the wait for the other side's close does not count.
    pub(super) fn lasted(&self) -> Duration {
        self.ended.unwrap_or_else(Instant::now) - self.opened
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Says goodbye; [`WireEvent::Gone`] follows within [`CLOSE_WAIT`].
    pub(super) fn close(&mut self, code: u16, reason: &'static str) {
        if self.closing.is_some() {
            return;
        }
        self.queue.push_back(Message::Close(Some(CloseFrame {
            code: CloseCode::from(code),
            reason: Utf8Bytes::from_static(reason),
        })));
        self.end(format!("closed with {code}: {reason}").into());
    }

    fn end(&mut self, why: Cow<'static, str>) {
        self.pong_due = None;
        if self.closing.is_none() {
            let now = Instant::now();
            self.ended = Some(now);
            self.closing = Some((now + CLOSE_WAIT, why));
        }
    }

    /// When [`Self::tick`] is wanted.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if let Some((until, _)) = self.closing {
            return Some(until);
        }
        let stuck = self.stuck_since.map(|since| since + self.patience);
        let ping = match self.pong_due {
            Some(due) => Some(due),
            None if self.ping_every.is_zero() => None,
            None => Some(self.last_ping + self.ping_every),
        };
        [stuck, ping].into_iter().flatten().min()
    }

    /// Does what the time asks for. Returns why the connection is over, if it is.
    pub(super) fn tick(&mut self) -> Option<Cow<'static, str>> {
        let now = Instant::now();
        if let Some((until, why)) = &self.closing {
            return (*until <= now).then(|| why.clone());
        }
        if self.stuck_since.is_some_and(|since| since + self.patience <= now) {
            return Some("the CSMS does not take what is sent".into());
        }
        if self.pong_due.is_some_and(|due| due <= now) {
            return Some(format!("no pong within {:?}", self.patience).into());
        }
        let due = self.pong_due.is_none() && !self.ping_every.is_zero();
        if due && self.last_ping + self.ping_every <= now {
            self.queue
                .push_back(Message::Ping(Bytes::from_static(b"retrovolt")));
            self.last_ping = now;
            self.pong_due = Some(now + self.patience);
        }
        None
    }

    /// The next event. Nothing is read while `may_read` is false. Cancel safe.
    pub(super) async fn next(&mut self, may_read: bool) -> WireEvent {
        std::future::poll_fn(|cx| self.poll(cx, may_read)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>, may_read: bool) -> Poll<WireEvent> {
        match self.poll_write(cx) {
            Poll::Ready(Ok(())) => self.stuck_since = None,
            Poll::Ready(Err(error)) => return Poll::Ready(self.gone(Some(error))),
            Poll::Pending if self.stuck_since.is_none() => {
                self.stuck_since = Some(Instant::now());
                // The caller has to learn of the new deadline.
                return Poll::Ready(WireEvent::Quiet);
            }
            Poll::Pending => {}
        }
        if self.deaf && self.stuck_since.is_none() {
            return Poll::Ready(self.gone(None));
        }
        let read = !self.deaf && (self.closing.is_some() || (may_read && self.queue.len() < QUEUE_HIGH));
        if !read {
            return Poll::Pending;
        }
        Poll::Ready(match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
            Some(Ok(message)) => self.received(message),
            Some(Err(error)) => self.broken(error),
            None => self.gone(None),
        })
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while !self.queue.is_empty() {
            ready!(Pin::new(&mut self.socket).poll_ready(cx))?;
            if let Some(message) = self.queue.pop_front() {
                self.unflushed = true;
                Pin::new(&mut self.socket).start_send(message)?;
            }
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn received(&mut self, message: Message) -> WireEvent {
        match message {
            Message::Text(_) if self.closing.is_some() => WireEvent::Quiet,
            Message::Text(text) => WireEvent::Text(text.as_str().to_owned()),
            Message::Binary(_) => {
                self.binaries += 1;
                if self.binaries > BINARY_TOLERATED {
                    self.close(1003, "binary messages are not OCPP-J");
                }
                WireEvent::Refused("binary frame")
            }
            Message::Ping(_) => {
                // The library has queued the pong; it has to be flushed.
                self.unflushed = true;
                WireEvent::Quiet
            }
            Message::Pong(_) => {
                self.pong_due = None;
                WireEvent::Quiet
            }
            Message::Close(frame) => {
                // Nothing may follow our answer, which the library has queued.
                self.queue.clear();
                self.unflushed = true;
                self.end(closed_by_peer(frame.as_ref()).into());
                WireEvent::Quiet
            }
            Message::Frame(_) => WireEvent::Quiet,
        }
    }

    /// Reading failed. What the peer did wrong is told to it, if it still listens.
    fn broken(&mut self, error: Error) -> WireEvent {
        let (code, what) = match &error {
            Error::Capacity(CapacityError::MessageTooLong { .. }) => (1009, "message too big"),
            Error::Utf8(_) => (1007, "text that is not UTF-8"),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => return self.gone(Some(error)),
            Error::Protocol(_) | Error::AttackAttempt => (1002, "breach of the WebSocket protocol"),
            _ => return self.gone(Some(error)),
        };
        self.deaf = true;
        self.close(code, what);
        WireEvent::Refused(what)
    }

    fn gone(&mut self, error: Option<Error>) -> WireEvent {
        WireEvent::Gone(match (self.closing.take(), error) {
            (Some((_, why)), _) => why,
            (None, Some(error)) => format!("connection lost: {error}").into(),
            (None, None) => "connection lost".into(),
        })
    }
}

pub(super) fn closed_by_peer(frame: Option<&CloseFrame>) -> String {
    let Some(frame) = frame else {
        return "closed by the CSMS without a code".to_owned();
    };
    let reason: String = frame.reason.chars().filter(|c| !c.is_control()).collect();
    let code = u16::from(frame.code);
    let words = if reason.is_empty() {
        "without a reason"
    } else {
        reason.as_str()
    };
    let step = match code {
        1008 => "; check identity and password with the CSMS operator",
        1000 if reason.is_empty() => "; it may not know this charge point",
        _ => "",
    };
    format!("closed by the CSMS with {code}: {words}{step}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_of_the_csms_is_told_with_its_reason_and_without_control_characters() {
        let frame = |code: u16, reason: &'static str| CloseFrame {
            code: CloseCode::from(code),
            reason: Utf8Bytes::from_static(reason),
        };
        assert_eq!(
            closed_by_peer(Some(&frame(1008, "unknown\u{1b}[2J station"))),
            "closed by the CSMS with 1008: unknown[2J station; check identity and password with the CSMS operator"
        );
        assert_eq!(
            closed_by_peer(Some(&frame(1000, ""))),
            "closed by the CSMS with 1000: without a reason; it may not know this charge point"
        );
        assert_eq!(closed_by_peer(None), "closed by the CSMS without a code");
    }
}
