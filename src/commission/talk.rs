//! One question and its answer.

use super::judge::{Framing, Judged, Verdict, encode, is_enough, judge};
use super::medium::Medium;
use crate::device::{Pdu, ReadFc, Reply};
use std::io;
use std::time::Duration;

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
    /// Asks a unit.
    ///
    /// # Errors
    /// The port is gone, or the request itself is impossible.
    pub async fn ask(&mut self, unit: u8, pdu: &Pdu) -> io::Result<Told> {
        let framing = self.framing;
        let request =
            encode(framing, unit, pdu).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let thorough = self.thorough;
        let done = |heard: &[u8]| !thorough && is_enough(framing, &request, heard);
        let heard = self.medium.ask(&request, self.timeout, &done).await?;
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
