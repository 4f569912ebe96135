//! Smart Message Language (SML 1.04, BSI TR-03109-1), as German meters push it once every 1 to 4 s. Pure.
//!
//! Rules kept here:
//! * a telegram is taken only if the checksum over all of it is right ([`transport`]); bytes escaped by doubling are
//!   undone; one that breaks off is dropped at the next start;
//! * a message is taken only if its own checksum is right too ([`message`]);
//! * depth, number and length of everything is bounded, nothing is guessed ([`tree`]).

pub(super) mod message;
pub(super) mod transport;
pub(super) mod tree;

use super::crc::{Crc16, KERMIT, X25};
use super::obis::item::Item;
use super::obis::listener::{Damage, Telegrams};
use transport::Transport;

/// Checksum inside the messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MessageCrc {
    /// CRC-16/X-25, as the standard has it.
    #[default]
    X25,
    /// CRC-16/KERMIT, as some meters have it.
    Kermit,
}

impl MessageCrc {
    fn crc(self) -> Crc16 {
        match self {
            Self::X25 => X25,
            Self::Kermit => KERMIT,
        }
    }
}

/// Telegrams of one meter.
#[derive(Debug)]
pub(super) struct Sml {
    transport: Transport,
    crc: MessageCrc,
}

impl Sml {
    /// None yet.
    pub fn new(crc: MessageCrc) -> Self {
        Self {
            transport: Transport::default(),
            crc,
        }
    }
}

impl Telegrams for Sml {
    fn feed(&mut self, bytes: &[u8]) -> Vec<Result<Vec<Item>, Damage>> {
        self.transport
            .feed(bytes)
            .into_iter()
            .map(|payload| message::values(&payload?, self.crc.crc()))
            .collect()
    }

    fn reset(&mut self) {
        self.transport.reset();
    }
}

#[cfg(test)]
mod tests;
