//! How a unit answers: short questions and long ones, several times each.

use super::Subject;
use crate::bus::frame::FrameError;
use crate::commission::judge::Verdict;
use crate::commission::medium::Medium;
use crate::commission::talk::Talk;
use crate::device::{Pdu, Profile, ReadFc};
use std::io;
use std::time::Duration;

/// Questions of each length.
const TIMES: u32 = 20;

/// What came back to questions of one length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Asked.
    pub asked: u32,
    /// Answered or refused.
    pub alive: u32,
    /// Nothing heard.
    pub silent: u32,
    /// Nothing but our own request heard.
    pub only_echo: u32,
    /// Our own request heard before the answer, too.
    pub echoes: u32,
    /// Bytes, but no undamaged answer.
    pub damaged: u32,
    /// More than one answer, or bytes behind it.
    pub doubles: u32,
    /// Answers of another unit.
    pub foreign: u32,
    /// Bytes heard in all.
    pub bytes: usize,
    /// Time to the first byte of each answer.
    pub latencies: Vec<Duration>,
}

impl Tally {
    /// Damaged answers among those that came, percent.
    pub(super) fn damage(&self) -> u32 {
        let came = self.alive + self.damaged;
        (self.damaged * 100).checked_div(came).unwrap_or(0)
    }

    /// Median time to the first byte.
    pub(super) fn latency(&self) -> Option<Duration> {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }

    fn count(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Reply(_) | Verdict::Exception(_) => self.alive += 1,
            Verdict::Silence => self.silent += 1,
            Verdict::OnlyEcho => self.only_echo += 1,
            Verdict::Foreign(FrameError::Unit { .. }) => self.foreign += 1,
            Verdict::Foreign(_) | Verdict::Damaged(_) => self.damaged += 1,
        }
    }
}

/// A unit under examination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Survey {
    /// One or two registers.
    pub short: Tally,
    /// As many as the profile's own plan reads at a time.
    pub long: Tally,
}

impl Survey {
    /// Whether it ever answered.
    pub(super) fn is_alive(&self) -> bool {
        self.short.alive + self.long.alive > 0
    }
}

/// Asks a unit again and again. A unit that is silent from the first is asked three times only.
pub(super) async fn survey<M: Medium>(
    talk: &mut Talk<'_, M>,
    unit: u8,
    profile: Option<&Profile>,
    connector: u16,
) -> io::Result<Survey> {
    let (short, long) = questions(profile, connector);
    let mut seen = Survey::default();
    ask(talk, unit, &short, &mut seen.short).await?;
    if seen.is_alive() || seen.short.damaged > 0 {
        ask(talk, unit, &long, &mut seen.long).await?;
    }
    Ok(seen)
}

async fn ask<M: Medium>(talk: &mut Talk<'_, M>, unit: u8, pdu: &Pdu, tally: &mut Tally) -> io::Result<()> {
    while tally.asked < TIMES && !(tally.asked == 3 && tally.silent + tally.only_echo == 3) {
        let told = talk.ask(unit, pdu).await?;
        tally.asked += 1;
        tally.bytes += told.heard.len();
        tally.echoes += u32::from(told.judged.echo);
        tally.doubles += u32::from(told.judged.answers > 1);
        tally.count(&told.judged.verdict);
        if told.judged.verdict.is_alive() {
            tally.latencies.extend(told.latency);
        }
    }
    Ok(())
}

/// Asks a unit so many times, ends at the first answer: whether it is there at all.
pub(super) async fn knock<M: Medium>(
    talk: &mut Talk<'_, M>,
    subject: &Subject,
    times: u32,
) -> io::Result<Option<Duration>> {
    let (short, _) = questions(subject.profile.as_deref(), subject.connector);
    for _ in 0..times {
        let told = talk.ask(subject.unit, &short).await?;
        if told.judged.verdict.is_alive() {
            return Ok(Some(told.latency.unwrap_or_default()));
        }
    }
    Ok(None)
}

/// A short and a long question that the device answers, by its profile; else what almost every device answers, be it
/// with a refusal.
fn questions(profile: Option<&Profile>, connector: u16) -> (Pdu, Pdu) {
    let plain = |count| Pdu::Read {
        fc: ReadFc::HoldingRegisters,
        addr: 0,
        count,
    };
    let readable = |profile: &Profile| {
        let points = profile.numbered();
        let mut reads: Vec<Pdu> = points
            .filter(|(_, point)| point.when.is_empty())
            .filter_map(|(id, _)| Some(profile.block_of(id, connector)?.pdu()))
            .collect();
        reads.sort_by_key(width);
        reads
    };
    let reads = profile.map(readable).unwrap_or_default();
    let short = reads.first().cloned().unwrap_or_else(|| plain(1));
    let widest = reads.last().cloned().unwrap_or_else(|| plain(2));
    let long = profile
        .and_then(|profile| longest(profile, connector))
        .unwrap_or(widest);
    (short, long)
}

/// The longest read of the profile's own plan, which the device is known to answer.
fn longest(profile: &Profile, connector: u16) -> Option<Pdu> {
    let cost = crate::device::LinkCost {
        char_us: 1_000,
        silence_us: 4_000,
        think_us: 10_000,
    };
    let image = crate::device::Image::new();
    let blocks = profile.plan(cost, connector, &image, crate::device::Caution::default());
    blocks.iter().map(crate::device::Block::pdu).max_by_key(width)
}

fn width(pdu: &Pdu) -> u16 {
    match pdu {
        Pdu::Read { count, .. } => *count,
        _ => 0,
    }
}
