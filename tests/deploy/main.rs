//! What a fleet needs around the gateway: hooks of update managers, and the enrolment of many gateways. The scripts of
//! `deploy/` run as they are shipped, in a folder that stands for the device.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "not a pure room"
)]

mod ansible;
mod apt;
mod enrol;
mod gate;
mod hooks;
mod release;
mod sandbox;
mod shell;
