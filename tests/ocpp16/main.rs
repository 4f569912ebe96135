//! OCPP 1.6J told as transcripts: what the machine says and does when a CSMS behaves, and when it does not.

mod connection;
mod ledger;
mod pair;
