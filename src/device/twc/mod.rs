//! The load-sharing line of Tesla's Wall Connectors of the second generation: RS-485, 9,600 baud, 8N1. The gateway
//! is the master, each unit (rotary switch at F) a slave. Sans-IO.
//!
//! Rules it enforces:
//!
//! * After the port opens the start-up sequence is sent; a unit that announces itself is registered in its slot by
//!   its two-byte id. What another unit says never counts for it.
//! * One heartbeat a second in turn, each waits for its answer. Heartbeats keep a unit alive: without a lease (S6)
//!   there are none, nor questions; a stop is said all the same.
//! * Every heartbeat carries what is wanted until the unit shows it, zero for ever: the bus knows no authorisation,
//!   and what nobody asked for is not offered. Lowering is said at once, raising at most every 5 s.
//! * A command is done when a heartbeat that carried it was answered with that limit in force. A unit that shows
//!   more after 8 s does not obey.
//! * The documented trick of raising the limit for a while to free a vehicle that stays at 6 A is not played: it
//!   would offer more than is allowed (S8).
//!
//! ```text
//!  Unknown --link-ready--> Up --3 unanswered and 10 s silent--> Down --26 s silent--> dropped
//!                           ^------------ an answer --------------'                      |
//!                           ^------------------------- link-ready -----------------------'
//! ```

mod codec;
mod contactor;
mod machine;
mod meter;
mod plug;
#[cfg(test)]
mod tests;
mod unit;
mod vin;

use codec::{Deframer, Said, Version, parse};
pub use machine::{TwcLine, TwcUnit};
use std::collections::BTreeMap;
use std::time::Duration;

/// A unit without a master announces itself this often.
pub(super) const READY_EVERY: Duration = Duration::from_secs(10);

/// A unit that was heard on a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Overheard {
    /// Its id as the configuration writes it.
    pub(super) address: String,
    /// Its current and protocol in words.
    pub(super) says: String,
    /// It answers a master.
    pub(super) led: bool,
}

/// The units that speak in these bytes, by their ids. Their energy, VIN and acknowledgements are answers to a master too,
/// but none comes without heartbeats.
pub(super) fn overheard(bytes: &[u8]) -> Vec<Overheard> {
    let mut units: BTreeMap<[u8; 2], Overheard> = BTreeMap::new();
    let mut deframer = Deframer::default();
    for frame in bytes
        .iter()
        .filter_map(|byte| deframer.push(crate::domain::Mono(0), *byte))
    {
        let (id, version, current, led) = match parse(&frame) {
            Some(Said::LinkReady { id, most, version }) => (id, version, most, false),
            Some(Said::Heartbeat {
                id, limit, version, ..
            }) => (id, version, limit, true),
            Some(Said::Energy { .. } | Said::Vin { .. } | Said::Switched { .. }) | None => continue,
        };
        let form = if version == Version::One { 1 } else { 2 };
        let [hi, lo] = id.0;
        units.insert(
            id.0,
            Overheard {
                address: format!("{hi:02X}{lo:02X}"),
                says: format!("{} A, protocol {form}", current / 100),
                led,
            },
        );
    }
    units.into_values().collect()
}
