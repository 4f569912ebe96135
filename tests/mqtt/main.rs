//! MQTT with real brokers: mosquitto, and nats-server, which knows 3.1.1 only. Subscribers are mosquitto's own.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "these tests run in real time over real sockets"
)]

#[allow(dead_code, reason = "shared with the tests of the whole gateway")]
mod broker;
mod client;
mod doctor;
mod examples;
mod flat;
mod flood;
mod hub;
mod schema;
