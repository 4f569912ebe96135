//! MQTT with real brokers: mosquitto, and nats-server, which knows 3.1.1 only. Subscribers are mosquitto's own.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "these tests run in real time over real sockets"
)]

mod broker;
mod client;
