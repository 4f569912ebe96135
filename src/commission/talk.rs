//! One question and its answer.

use super::USUAL;
use super::judge::{Judged, Verdict, encode, is_enough, judge};
use super::medium::Medium;
use crate::device::{Pdu, ReadFc, Reply};
use crate::domain::Framing;
use std::io;
use std::time::Duration;

/// A second answer to the same question comes within this (duplicate address).
const SECOND: Duration = Duration::from_millis(30);
/// An answer that began is given up after this pause: adapters and busy machines hand it over in pieces.
const BROKEN_OFF: Duration = Duration::from_millis(120);

/// The framing to speak to an endpoint in. Where it is to be found out: the one a unit answers in, Modbus TCP first,
/// and Modbus TCP if it answers in none. A server that took one for the other may wait for the rest of a frame, so each
/// try has a connection of its own, and the last is the one to go on with.
///
/// # Errors
/// It does not take a connection.
pub async fn settled<M: Medium>(
    medium: &mut M,
    framing: Framing,
    unit: u8,
    timeout: Duration,
) -> io::Result<Framing> {
    if framing != Framing::Auto {
        return Ok(framing);
    }
    for framing in [Framing::Tcp, Framing::Rtu] {
        let mut talk = Talk {
            medium: &mut *medium,
            framing,
            timeout,
            thorough: false,
        };
        // Who hangs up has disliked the framing.
        let told = talk.knock(unit, true).await;
        if told.is_ok_and(|told| told.judged.verdict.is_alive()) {
            return Ok(framing);
        }
        medium.open(USUAL[0]).await?;
    }
    Ok(Framing::Tcp)
}

/// A line with its framing and patience.
pub struct Talk<'a, M> {
    /// The line.
    pub medium: &'a mut M,
    /// How requests are framed.
    pub framing: Framing,
    /// Wait for the first byte of an answer.
    pub timeout: Duration,
    /// Listen on behind the answer: a second one may follow (duplicate address).
    pub thorough: bool,
}

/// What a question came to, with its evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The verdict.
    pub judged: Judged,
    /// The request as sent.
    pub request: Vec<u8>,
    /// Every byte heard.
    pub heard: Vec<u8>,
    /// From the last byte sent to the first byte heard.
    pub latency: Option<Duration>,
}

impl Told {
    /// The registers, if they were told.
    #[must_use]
    pub fn registers(&self) -> Option<&[u16]> {
        match &self.judged.verdict {
            Verdict::Reply(Reply::Registers(registers)) => Some(registers),
            _ => None,
        }
    }
}

impl<M: Medium> Talk<'_, M> {
    /// Asks a unit. Devices that speak Modbus ASCII may sleep: the first question only wakes them.
    ///
    /// # Errors
    /// The port is gone, or the request itself is impossible.
    pub async fn ask(&mut self, unit: u8, pdu: &Pdu) -> io::Result<Told> {
        let told = self.ask_once(unit, pdu).await?;
        if self.framing == Framing::Ascii && told.judged.verdict == Verdict::Silence && !pdu.is_write() {
            return self.ask_once(unit, pdu).await;
        }
        Ok(told)
    }

    async fn ask_once(&mut self, unit: u8, pdu: &Pdu) -> io::Result<Told> {
        let framing = self.framing;
        let request =
            encode(framing, unit, pdu).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let (thorough, timeout) = (self.thorough, self.timeout);
        let more = |heard: &[u8]| match is_enough(framing, &request, heard) {
            true => thorough.then_some(SECOND),
            // The adapter's echo says nothing about the device's patience.
            false if request.starts_with(heard) => Some(timeout),
            false => Some(BROKEN_OFF),
        };
        let heard = self.medium.ask(&request, timeout, &more).await?;
        Ok(Told {
            judged: judge(framing, unit, pdu, &request, &heard.bytes),
            latency: heard.first,
            heard: heard.bytes,
            request,
        })
    }

    /// Reads registers or bits.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn read(&mut self, unit: u8, fc: ReadFc, addr: u16, count: u16) -> io::Result<Told> {
        self.ask(unit, &Pdu::Read { fc, addr, count }).await
    }

    /// Whether a unit is there: function 3 first, then 4. A refusal counts.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn knock(&mut self, unit: u8, also_inputs: bool) -> io::Result<Told> {
        let told = self.read(unit, ReadFc::HoldingRegisters, 0, 1).await?;
        if also_inputs && told.judged.verdict == Verdict::Silence {
            return self.read(unit, ReadFc::InputRegisters, 0, 2).await;
        }
        Ok(told)
    }
}
