//! The Debian package, installed into a small Debian that systemd boots in a container (promises T5 and U9).
//!
//! `tests/package/setup.sh` furnishes the Debian; where it cannot, `make test` says so and leaves this binary out. The
//! package is made of the binary under test by `deploy/debian/build`, the script that also makes the released ones.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "not a pure room"
)]

mod ansible;
mod container;
mod faults;
mod install;
mod page;
mod site;
#[path = "../gateway/slave.rs"]
#[allow(dead_code, reason = "only the page needs a slave, and no pair of ptys")]
mod slave;
mod taken_back;
mod upgrade;

/// The repository.
fn root() -> std::path::PathBuf {
    std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
