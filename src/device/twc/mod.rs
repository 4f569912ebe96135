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

pub use machine::{TwcLine, TwcUnit};
