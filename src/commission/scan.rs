//! Finds devices on a line or endpoint. Only reads; results come as they are found, so that whoever stops early keeps
//! them.
//!
//! Rules:
//! * First it is listened: a second master makes every result worthless.
//! * Likely settings and likely unit ids first; all 247 ids only in a full scan.
//! * A refusal proves a unit as well as an answer does. Bytes that are no frame prove that somebody speaks at another
//!   speed: those settings are not given up.

use super::identify::{Match, identify};
use super::judge::Verdict;
use super::medium::Medium;
use super::talk::Talk;
use super::{LIKELY_UNITS, Settings, USUAL};
use crate::device::Profile;
use crate::domain::Framing;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long a line is listened to first.
pub const LISTEN: Duration = Duration::from_secs(2);
/// Settings that a full scan tries with every unit id.
const FULL_SETTINGS: usize = 4;

/// How far a scan goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Likely settings with likely unit ids.
    #[default]
    Likely,
    /// Then the four commonest settings with every unit id, 1 to 247.
    Full,
}

/// What is told while it goes on.
#[derive(Clone, Debug)]
pub enum Event {
    /// Bytes were heard that nobody asked for: a second master, or noise.
    Traffic {
        /// How many.
        bytes: usize,
        /// Undamaged Modbus frames among them, at the first settings.
        frames: usize,
    },
    /// These settings come next (`None`: a TCP endpoint).
    Trying(Option<Settings>),
    /// Somebody answers, but not at these settings.
    Noise(Option<Settings>),
    /// A unit answers.
    Found {
        /// At which settings.
        settings: Option<Settings>,
        /// Its id.
        unit: u8,
    },
    /// What it may be, best first; empty: no profile fits.
    Identified {
        /// At which settings.
        settings: Option<Settings>,
        /// Its id.
        unit: u8,
        /// Fingerprints that fit.
        matches: Vec<Match>,
    },
}

/// Figures of a finished scan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Questions asked to find units.
    pub knocks: u32,
    /// Units found.
    pub found: u32,
}

/// Scans a serial line.
///
/// # Errors
/// The port cannot be opened, or is gone.
pub async fn serial<M: Medium>(
    medium: &mut M,
    depth: Depth,
    profiles: &[Arc<Profile>],
    tell: &mut (dyn FnMut(Event) + Send),
) -> io::Result<Tally> {
    let mut tally = Tally::default();
    medium.open(USUAL[0]).await?;
    let overheard = medium.listen(LISTEN).await?;
    // One stray byte is a line driver waking up.
    if overheard.len() > 2 {
        tell(Event::Traffic {
            bytes: overheard.len(),
            frames: frames_in(&overheard),
        });
    }
    let mut seen: Vec<(Settings, u8)> = Vec::new();
    let rest: Vec<u8> = (1..=247).filter(|unit| !LIKELY_UNITS.contains(unit)).collect();
    let likely = USUAL.iter().map(|settings| (*settings, &LIKELY_UNITS[..]));
    let full = USUAL
        .iter()
        .take(FULL_SETTINGS)
        .map(|settings| (*settings, &rest[..]));
    let full = full.filter(|_| depth == Depth::Full);
    for (settings, units) in likely.chain(full) {
        tell(Event::Trying(Some(settings)));
        medium.open(settings).await?;
        let mut talk = Talk {
            medium: &mut *medium,
            framing: Framing::Rtu,
            timeout: settings.patience(),
            thorough: false,
        };
        let mut noisy = false;
        for unit in units {
            // A unit that was found at other settings is not looked for again.
            if seen.iter().any(|(_, known)| known == unit) {
                continue;
            }
            tally.knocks += 1;
            let verdict = talk.knock(*unit, false).await?.judged.verdict;
            if verdict.is_alive() {
                seen.push((settings, *unit));
                tally.found += 1;
                found(&mut talk, Some(settings), *unit, profiles, tell).await?;
            } else if matches!(verdict, Verdict::Damaged(_)) && !noisy {
                noisy = true;
                tell(Event::Noise(Some(settings)));
            }
        }
    }
    Ok(tally)
}

/// Scans the units behind a TCP endpoint that is open already.
///
/// # Errors
/// The connection is gone.
pub async fn endpoint<M: Medium>(
    medium: &mut M,
    framing: Framing,
    depth: Depth,
    profiles: &[Arc<Profile>],
    tell: &mut (dyn FnMut(Event) + Send),
) -> io::Result<Tally> {
    /// Unit ids that network chargers and gateways answer to.
    const UNITS: [u8; 9] = [255, 1, 2, 71, 100, 180, 200, 247, 248];
    let mut tally = Tally::default();
    let mut talk = Talk {
        medium,
        framing,
        timeout: Duration::from_millis(400),
        thorough: false,
    };
    tell(Event::Trying(None));
    let rest: Vec<u8> = (1..=247).filter(|unit| !UNITS.contains(unit)).collect();
    let rest = if depth == Depth::Full { &rest[..] } else { &[] };
    for unit in UNITS.iter().chain(rest) {
        tally.knocks += 1;
        let told = talk.knock(*unit, false).await?;
        // 0x0A and 0x0B come from a gateway whose unit is not there (Modbus Application Protocol V1.1b3, 7).
        if told.judged.verdict.is_alive() && !matches!(told.judged.verdict, Verdict::Exception(0x0A | 0x0B)) {
            tally.found += 1;
            found(&mut talk, None, *unit, profiles, tell).await?;
            if *unit == 255 && depth == Depth::Likely {
                // A device that answers to 255 is usually alone and answers to every id.
                break;
            }
        }
    }
    Ok(tally)
}

async fn found<M: Medium>(
    talk: &mut Talk<'_, M>,
    settings: Option<Settings>,
    unit: u8,
    profiles: &[Arc<Profile>],
    tell: &mut (dyn FnMut(Event) + Send),
) -> io::Result<()> {
    tell(Event::Found { settings, unit });
    // Somebody who answers may think longer about other registers.
    let patience = std::mem::replace(&mut talk.timeout, Duration::from_millis(400));
    let matches = identify(talk, unit, profiles, settings).await?;
    talk.timeout = patience;
    tell(Event::Identified {
        settings,
        unit,
        matches,
    });
    Ok(())
}

/// Undamaged frames in overheard bytes.
fn frames_in(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    let mut count = 0;
    while rest.len() >= 4 {
        match crate::bus::frame::rtu::sound_any(rest) {
            Some(len) => {
                count += 1;
                rest = &rest[len..];
            }
            None => rest = &rest[1..],
        }
    }
    count
}
