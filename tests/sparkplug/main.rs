//! Sparkplug B toward a host application that is not ours (PyPI `pysparkplug`), over real mosquitto.
#![allow(
    clippy::too_many_lines,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "these tests run in real time over real sockets"
)]

#[path = "../mqtt/broker.rs"]
#[allow(dead_code, reason = "shared with the tests of MQTT")]
mod broker;
mod cable;
mod host;
mod node;
#[path = "../gateway/rig.rs"]
#[allow(dead_code, reason = "shared with the tests of the gateway")]
mod rig;
mod stories;
