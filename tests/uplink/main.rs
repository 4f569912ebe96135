//! The uplink over real sockets on loopback: who may answer, how it comes back, what a bad CSMS can do to it.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "these tests run in real time over real sockets"
)]

mod connect;
mod credentials;
mod doctor;
mod hostile;
mod ledger;
mod reconnect;
mod rig;
mod tls;
