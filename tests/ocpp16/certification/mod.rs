//! One story for each area a 1.6 charge point is certified in, on the whole charge point in simulated time. The numbers
//! are those of the certification tool's cases.
//!
//! A line is `+seconds message`; `=` marks the answer to the CSMS, `~` what the charger is told.

mod boots;
mod credentials;
mod faults;
mod firmware;
mod keys;
mod lists;
mod meters;
mod offline;
mod power;
mod remote;
mod reservations;
mod resets;
mod security;
mod sessions;
mod smart;
mod triggers;
mod unlocks;
mod uploads;
