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

    /// See [`Line::watch`]. While the framing is not known a server that hangs up may only have disliked it.
    pub(super) async fn watch(&mut self) -> io::Error {
        self.line.watch().await
    }

    /// See [`Line::exchange`].
    pub(super) async fn exchange(&mut self, what: Exchange<'_>) -> Result<Reply, Fault> {
        if self.known {
            return self.line.exchange(what).await;
        }
        if self.misses >= ATTEMPTS {
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
            Err(Fault::Lost(_)) if self.hang_ups < HANG_UPS => {
                // It hung up on a frame it did not understand: the other framing, and the request again.
                self.hang_ups += 1;
                self.turn().await?;
                return Err(Fault::Yielded);
            }
            Err(Fault::Lost(_)) => {}
        }
        result
    }

    /// Connects anew for the other framing.
    async fn turn(&mut self) -> io::Result<()> {
        self.framing = match self.framing {
            Framing::Tcp => Framing::Rtu,
            Framing::Rtu | Framing::Ascii | Framing::Auto => Framing::Tcp,
        };
        self.misses = 0;
        let wire = tcp::connect(&self.server.0, self.server.1).await?;
        let timer = Timer::system()?;
        *self.line = Line::over_tcp(self.framing, wire, timer, self.min_gap);
        Ok(())
    }
}
