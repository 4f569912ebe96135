//! What each fuzz target does with its bytes (promise X4): nothing panics, nothing grows, no deadline lies in the past,
//! what is taken is what was sent, and where bytes are cut does not matter.
//! `cargo +nightly fuzz run TARGET` finds bytes; `tests/fuzz_corpora.rs` runs every committed one again with each test
//! run and holds it to the outcome in `outcomes/`; `make corpora` grows the corpora by inputs with an outcome of their own.
//!
//! A new target is a function here with a line in [`TARGETS`], a file in `fuzz_targets/`, a `[[bin]]` in `Cargo.toml`,
//! at least one file in `corpus/TARGET/` and valid bytes in `tests/fuzz_corpora/`.

mod cards;
pub mod modbus;
mod outcome;
mod rapi;
mod sparkplug;
mod streams;
mod telegrams;
mod texts;
mod twc;

pub use outcome::Outcome;

/// What is done with bytes, and what came of it.
pub type Target = fn(&[u8]) -> Outcome;

/// Every target by its name, which is that of its corpus.
pub const TARGETS: [(&str, Target); 16] = [
    ("config", texts::config),
    ("dsmr_p1", telegrams::dsmr_p1),
    ("iec62056_asked", telegrams::iec62056_asked),
    ("iec62056_pushed", telegrams::iec62056_pushed),
    ("modbus_ascii", modbus::ascii),
    ("modbus_rtu", modbus::rtu),
    ("modbus_scan", modbus::scan),
    ("modbus_tcp", modbus::tcp),
    ("ocpp_text", texts::ocpp),
    ("profile", texts::profile),
    ("rapi", rapi::rapi),
    ("rfid", cards::rfid),
    ("sml", telegrams::sml),
    ("sparkplug", sparkplug::sparkplug),
    ("twc", twc::twc),
    ("voices", telegrams::voices),
];

/// Runs a target by its name.
///
/// # Panics
/// If there is none of that name.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let _ = target.expect("a target of this name").1(data);
}
