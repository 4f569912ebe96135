//! A profile that reads the wrong registers: off by one, or words in the other order. The registers around are read
//! again and the reading that makes sense is named.

use crate::commission::judge::Verdict;
use crate::commission::medium::Medium;
use crate::commission::probe::possible;
use crate::commission::talk::Talk;
use crate::device::{Block, Electrical, Image, Pdu, Profile, Reply};
use crate::domain::{Mono, Observation, Quantity, Reading};
use std::io;

/// How registers are read for a trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Trial {
    /// Added to every address.
    pub offset: i8,
    /// Words of wide values in the other order.
    pub swapped: bool,
}

/// How much sense a trial makes: values a grid has, less those it cannot have. The fingerprint counts most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sense {
    /// The fingerprint fits.
    pub fits: bool,
    /// Voltages and frequencies as a grid has them, less impossible values.
    pub score: i32,
}

impl Sense {
    /// Whether nothing speaks against it.
    pub(super) fn is_good(self) -> bool {
        self.fits && self.score >= 0
    }
}

/// Reads everything the fingerprint and the measurements need in a trial.
pub(super) async fn sense<M: Medium>(
    talk: &mut Talk<'_, M>,
    unit: u8,
    connector: u16,
    profile: &Profile,
    trial: Trial,
) -> io::Result<Sense> {
    let mut image = Image::new();
    let mut score = 0;
    let fingerprint = profile.identify_reads();
    let measured = profile
        .numbered()
        .filter(|(_, point)| {
            matches!(point.role, crate::device::Role::Reading { .. }) && point.when.is_empty()
        })
        .filter_map(|(id, _)| profile.block_of(id, connector));
    let blocks: Vec<Block> = fingerprint.into_iter().chain(measured).collect();
    for block in blocks {
        let Some(reply) = read(talk, unit, &block, trial).await? else {
            continue;
        };
        let seen = profile.decode(
            &block,
            &reply,
            connector,
            Electrical::default(),
            &mut image,
            Mono(0),
        );
        for observation in seen.unwrap_or_default() {
            if let Observation::Reading(reading) = observation {
                score += weigh(&reading);
            }
        }
    }
    Ok(Sense {
        fits: profile.identify().is_none() || profile.matches(&image) == Some(true),
        score,
    })
}

async fn read<M: Medium>(
    talk: &mut Talk<'_, M>,
    unit: u8,
    block: &Block,
    trial: Trial,
) -> io::Result<Option<Reply>> {
    let Some(addr) = block.addr.checked_add_signed(i16::from(trial.offset)) else {
        return Ok(None);
    };
    let pdu = Pdu::Read {
        fc: block.fc,
        addr,
        count: block.count,
    };
    Ok(match talk.ask(unit, &pdu).await?.judged.verdict {
        Verdict::Reply(Reply::Registers(mut registers)) => {
            if trial.swapped && matches!(registers.len(), 2 | 4) {
                registers.reverse();
            }
            Some(Reply::Registers(registers))
        }
        Verdict::Reply(reply) => Some(reply),
        _ => None,
    })
}

/// A grid has no less than this, millivolt.
const LEAST_VOLTAGE: i64 = 80_000;

/// +2 for a value as a grid has it, -3 for one that cannot be.
fn weigh(reading: &Reading) -> i32 {
    let (least, most) = possible(reading.quantity);
    let can_be = (least..=most).contains(&reading.milli);
    match reading.quantity {
        // Terminals without supply.
        Quantity::Voltage | Quantity::Frequency if reading.milli == 0 => 0,
        Quantity::Voltage if reading.milli < LEAST_VOLTAGE => -3,
        Quantity::Voltage | Quantity::Frequency if can_be => 2,
        _ if can_be => 0,
        _ => -3,
    }
}
