//! A TCP connection of which nobody said whether Modbus TCP or RTU frames go through it: the one that is answered.
//!
//! Modbus TCP is tried first. A server that took the other framing for its own may wait for the rest of a frame that
//! never comes, so each attempt has a connection of its own. Only reads are attempts: a stop goes out in the framing of
//! the moment and must not wait. Once something was answered the framing stays.

use super::{Exchange, Fault, Line, Wire, tcp};
use crate::bus::timer::Timer;
use crate::device::Reply;
use crate::domain::Framing;
use std::io;
use std::time::Duration;

/// Reads without an answer until the other framing is tried.
const ATTEMPTS: u8 = 2;
/// A server that hangs up on either framing, and then again, has another reason.
const HANG_UPS: u8 = 2;

/// Such a connection.
pub(crate) struct AutoLine {
    server: (String, u16),
    min_gap: Duration,
    line: Box<Line>,
    framing: Framing,
    known: bool,
    misses: u8,
    hang_ups: u8,
    /// The connection for the other framing is being made.
    turning: bool,
}

impl AutoLine {
    /// A line on a fresh connection. `known`: what was answered on one before.
    pub(super) fn new(
        server: (String, u16),
        known: Option<Framing>,
        wire: Box<dyn Wire>,
        timer: Timer,
        min_gap: Duration,
    ) -> Self {
        let framing = known.unwrap_or(Framing::Tcp);
        Self {
            server,
            min_gap,
            line: Box::new(Line::over_tcp(framing, wire, timer, min_gap)),
            framing,
            known: known.is_some(),
            misses: 0,
            hang_ups: 0,
            turning: false,
        }
    }

    /// The line in the framing of the moment.
    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// The framing, once it was answered.
    pub(super) fn known(&self) -> Option<Framing> {
        self.known.then_some(self.framing)
    }

    /// See [`Line::watch`]. While the framing is not known a server that hangs up on a request, however late, may only
    /// have disliked it: then the other framing. May be cancelled at any time.
    pub(super) async fn watch(&mut self) -> io::Error {
        loop {
            if self.turning
                && let Err(error) = self.turn().await
            {
                return error;
            }
            let lost = self.line.watch().await;
            if self.known || self.line.seen().sent == 0 || !self.disliked() {
                return lost;
            }
        }
    }

    /// The server hung up. Whether that may be because of the framing: then it is to be the other one.
    fn disliked(&mut self) -> bool {
        let again = self.hang_ups < HANG_UPS;
        if again {
            self.hang_ups += 1;
            self.turning = true;
        }
        again
    }

    /// See [`Line::exchange`].
    pub(super) async fn exchange(&mut self, what: Exchange<'_>) -> Result<Reply, Fault> {
        if self.known {
            return self.line.exchange(what).await;
        }
        if self.turning || self.misses >= ATTEMPTS {
            self.turn().await?;
        }
        let result = self.line.exchange(what).await;
        match &result {
            Ok(_) | Err(Fault::Exception(_)) => {
                self.known = true;
                tracing::info!(server = %self.server.0, framing = self.framing.word(), "framing found");
            }
            Err(Fault::Timeout(_) | Fault::Garbled(_)) if !what.pdu.is_write() => self.misses += 1,
            Err(Fault::Timeout(_) | Fault::Garbled(_) | Fault::Yielded) => {}
            Err(Fault::Lost(_)) if self.disliked() => {
                // It hung up on a frame it did not understand: the other framing, and the request again.
                self.turn().await?;
                return Err(Fault::Yielded);
            }
            Err(Fault::Lost(_)) => {}
        }
        result
    }

    /// Connects anew for the other framing.
    async fn turn(&mut self) -> io::Result<()> {
        self.turning = true;
        let framing = match self.framing {
            Framing::Tcp => Framing::Rtu,
            Framing::Rtu | Framing::Ascii | Framing::Auto => Framing::Tcp,
        };
        let wire = tcp::connect(&self.server.0, self.server.1).await?;
        let timer = Timer::system()?;
        *self.line = Line::over_tcp(framing, wire, timer, self.min_gap);
        (self.framing, self.misses, self.turning) = (framing, 0, false);
        Ok(())
    }
}
