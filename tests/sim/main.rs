//! The simulated world against code that does not know it: the profiles' own decoder, a foreign Modbus master, a
//! foreign WebSocket client.

#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![allow(clippy::disallowed_methods, reason = "the ban is for pure rooms")]

mod csms;
mod devices;
mod failsafe;
mod lines;
mod profiles;
