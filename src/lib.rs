//! Retrovolt makes EV chargers without OCPP into real OCPP charge points.
//!
//! The rooms and who may lean on whom are told in `docs/ARCHITECTURE.md`; `tests/tidy.rs` holds the arrows.
//! Pure rooms (`domain`, `device`, `station`, `site`, `ocpp`) know no clock, socket, file or task; the shells
//! around them may read the clock, which is why only they lift the ban in `clippy.toml`.

pub mod device;
pub mod domain;
pub mod ocpp;
pub mod site;
pub mod station;

#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "shell")]
pub mod bus;
#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "shell")]
pub mod cli;
#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "shell")]
pub mod commission;
#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "shell")]
pub mod config;
#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "shell")]
pub mod runtime;
#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "shell")]
pub mod sim;
#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "shell")]
pub mod store;
#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "shell")]
pub mod telemetry;
#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "shell")]
pub mod transfer;
#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "shell")]
pub mod uplink;
