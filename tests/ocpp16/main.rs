//! OCPP 1.6J told as transcripts: what the machine says and does when a CSMS behaves, and when it does not.
#![allow(
    clippy::needless_pass_by_value,
    reason = "transcripts read better with payloads in place"
)]

mod certification;
mod connection;
mod docs;
mod hostile;
mod ledger;
mod misbehaviours;
mod pair;
mod readonly;
mod receipts;
mod requests;
mod restarts;
mod routing;
mod stack;
