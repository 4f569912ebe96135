//! Finds devices on a line or endpoint. Changes nothing; results come as they are found, so that whoever stops early
//! keeps them.
//!
//! Rules:
//! * First it is listened: a second master makes every result worthless, and who speaks by himself need not be asked.
//! * What is sent: Modbus reads (functions 1 to 4), `$GV` for an OpenEVSE, `/?!` for meters of IEC 62056-21 mode C.
//!   Nothing at all is sent to meters that push and to Wall Connectors ([`hail`](crate::device::hail)).
//! * Likely first: Modbus RTU at likely settings with likely unit ids; where nobody answers ABL's Modbus ASCII, then
//!   what is not Modbus, what costs least time first. All 247 ids only in a full scan, at the end.
//! * On a line speaks one protocol: once a device was found no other protocol is tried.
//! * A refusal proves a unit as well as an answer does. Bytes that are no frame prove that somebody speaks at another
//!   speed: those settings are not given up, and those who speak by themselves are listened for at once.
//! * Only what the given profiles speak is looked for.

mod modbus;
mod other;

use super::identify::{Match, framed};
use super::medium::Medium;
use super::{Settings, USUAL};
use crate::bus::frame::rtu;
use crate::device::Profile;
use crate::domain::{Framing, Protocol};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long a line is listened to first.
pub const LISTEN: Duration = Duration::from_secs(2);
/// One stray byte is a line driver waking up, and so may be two.
const STRAY: usize = 2;

/// How far a scan goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Likely settings with likely unit ids.
    #[default]
    Likely,
    /// Then the four commonest settings with every unit id, 1 to 247.
    Full,
}

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// Modbus in this framing.
    Modbus(Framing),
    /// A protocol of its own.
    Other(Protocol),
}

impl Speech {
    /// The protocol.
    #[must_use]
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Modbus(_) => Protocol::Modbus,
            Self::Other(protocol) => protocol,
        }
    }

    /// The framing of Modbus.
    #[must_use]
    pub const fn framing(self) -> Option<Framing> {
        match self {
            Self::Modbus(framing) => Some(framing),
            Self::Other(_) => None,
        }
    }
}

impl fmt::Display for Speech {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Modbus(framing) => f.write_str(super::judge::called(*framing)),
            Self::Other(protocol) => f.write_str(protocol.word()),
        }
    }
}

/// What tells a device apart on its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Its Modbus unit id.
    Unit(u8),
    /// Its address in another protocol, as the configuration writes it.
    Address(String),
    /// Nothing: it is alone there.
    Alone,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unit(unit) => write!(f, "unit {unit}"),
            Self::Address(address) => write!(f, "unit {address}"),
            Self::Alone => f.write_str("a device"),
        }
    }
}

/// Where and as whom somebody was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// At which settings; `None`: a TCP endpoint.
    pub settings: Option<Settings>,
    /// What it speaks.
    pub speech: Speech,
    /// Who it is there.
    pub who: Who,
}

/// What is done at some settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Units are asked.
    Ask(Speech),
    /// It is only listened.
    Listen,
}

/// What is told while it goes on.
#[derive(Clone, Debug)]
pub enum Event {
    /// Bytes were heard that nobody asked for and nobody known sends: a second master, or noise.
    Traffic {
        /// How many.
        bytes: usize,
        /// Undamaged Modbus frames among them, at the first settings.
        frames: usize,
    },
    /// A master steers devices of this protocol already.
    Master(Protocol),
    /// This comes next.
    Trying {
        /// At which settings; `None`: a TCP endpoint.
        settings: Option<Settings>,
        /// What.
        attempt: Attempt,
    },
    /// Somebody answers, but not at these settings.
    Noise(Option<Settings>),
    /// Somebody is there.
    Found(Spot),
    /// What it may be, best first; empty: no profile fits.
    Identified {
        /// Where, and who.
        spot: Spot,
        /// Fingerprints that fit.
        matches: Vec<Match>,
        /// What it says of itself, in words; empty: nothing.
        says: String,
    },
}

/// Figures of a finished scan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Questions asked to find Modbus units.
    pub knocks: u32,
    /// Devices found.
    pub found: u32,
}

/// Who is told what is found.
pub type Tell<'a> = &'a mut (dyn FnMut(Event) + Send);

/// A scan under way.
struct Scan<'a, M> {
    medium: &'a mut M,
    depth: Depth,
    profiles: &'a [Arc<Profile>],
    tell: Tell<'a>,
    tally: Tally,
}

/// Scans a serial line.
///
/// # Errors
/// The port cannot be opened, or is gone.
pub async fn serial<M: Medium>(
    medium: &mut M,
    depth: Depth,
    profiles: &[Arc<Profile>],
    tell: Tell<'_>,
) -> io::Result<Tally> {
    let mut scan = Scan {
        medium,
        depth,
        profiles,
        tell,
        tally: Tally::default(),
    };
    scan.line().await?;
    Ok(scan.tally)
}

/// Scans what is behind a TCP endpoint: Modbus TCP, then what a serial device server hands on. Connects by itself.
///
/// # Errors
/// The endpoint does not take a connection.
pub async fn endpoint<M: Medium>(
    medium: &mut M,
    depth: Depth,
    profiles: &[Arc<Profile>],
    tell: Tell<'_>,
) -> io::Result<Tally> {
    let mut scan = Scan {
        medium,
        depth,
        profiles,
        tell,
        tally: Tally::default(),
    };
    scan.server().await?;
    Ok(scan.tally)
}

impl<M: Medium> Scan<'_, M> {
    async fn line(&mut self) -> io::Result<()> {
        let first = USUAL[0];
        self.medium.open(first).await?;
        let overheard = self.medium.listen(LISTEN).await?;
        let spoken = overheard.len() > STRAY;
        let mut listened = Vec::new();
        if spoken {
            let frames = rtu::sound_all(&overheard).count();
            let bytes = overheard.len();
            if self.wait_for(Some(first), overheard, frames > 0).await? {
                return Ok(());
            }
            (self.tell)(Event::Traffic { bytes, frames });
            if frames == 0 {
                listened = self.listen_at_all_but(&[first.baud]).await?;
                if self.tally.found > 0 {
                    return Ok(());
                }
                listened.push(first.baud);
            }
        }
        let seen = self.likely_units().await?;
        if self.tally.found == 0 {
            self.ascii(true).await?;
        }
        if self.tally.found == 0 {
            self.ask_others(true).await?;
        }
        if self.tally.found == 0 {
            self.listen_at_all_but(&listened).await?;
        }
        if self.depth == Depth::Full && (self.tally.found == 0 || !seen.is_empty()) {
            self.all_units(seen).await?;
        }
        Ok(())
    }

    async fn server(&mut self) -> io::Result<()> {
        self.medium.open(USUAL[0]).await?;
        for framing in [Framing::Tcp, Framing::Rtu] {
            if !self.speaks(framing) {
                continue;
            }
            if framing == Framing::Rtu {
                // A server that took the other framing for its own may wait for the rest of a frame.
                self.medium.open(USUAL[0]).await?;
            }
            match self.units_behind(framing).await {
                // Who hangs up has disliked the framing.
                Err(_) if self.tally.found == 0 => {}
                ended => ended?,
            }
            if self.tally.found > 0 {
                return Ok(());
            }
        }
        self.medium.open(USUAL[0]).await?;
        self.ascii(false).await?;
        if self.tally.found == 0 {
            self.ask_others(false).await?;
        }
        if self.tally.found == 0 {
            self.listen(None).await?;
        }
        Ok(())
    }

    /// Whether there is a profile that is framed so.
    fn speaks(&self, framing: Framing) -> bool {
        self.profiles.iter().any(|profile| framed(profile, framing))
    }

    fn found(&mut self, spot: &Spot) {
        self.tally.found += 1;
        (self.tell)(Event::Found(spot.clone()));
    }
}
