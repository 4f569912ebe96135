//! OpenEVSE by RAPI on its serial port: 115,200 baud, 8N1, one charger on a line. Sans-IO.
//!
//! Rules it enforces:
//!
//! * One command at a time, with an id that the answer repeats; a line without a check that fits counts for nothing.
//!   Unanswered commands are sent once more; three failures in a row and the device counts as away, as with Modbus.
//! * A stop goes before everything else and is put to sleep (`$FS`), without a lease too. Limits are written to
//!   memory that does not wear (`$SC n V`), whole amperes, and what the device made of them is read back.
//! * The heartbeat supervision (`$SY`) is set and fed only under the lease (S6). A missed pulse is cleared by setting
//!   it again, not by `$SY 165`, after which the device first goes to its most.
//! * What a restart loses (`$AB`, or a state and a current that differ) is told again once; what still differs is
//!   only reported.

mod ask;
mod codec;
mod energy;
mod guard;
mod job;
mod machine;
mod polls;
mod replies;
mod setup;
#[cfg(test)]
mod tests;
mod values;

use ask::Ask;
use codec::{Line, Liner, encode};
pub(super) use machine::ANSWER;
pub use machine::RapiLine;
pub use setup::RapiSetup;

/// The question for the version, which every firmware knows and which changes nothing.
pub(super) fn version_request() -> Vec<u8> {
    encode(&Ask::Version.text(), None)
}

/// Firmware and protocol, where its answer is among the bytes.
pub(super) fn version(bytes: &[u8]) -> Option<(String, String)> {
    let is_version =
        |word: &String| word.contains('.') && word.starts_with(|first: char| first.is_ascii_digit());
    let mut liner = Liner::default();
    bytes.iter().find_map(|byte| match liner.push(*byte)? {
        Line::Answer { ok: true, words, .. } => match words.as_slice() {
            [firmware, protocol] if is_version(protocol) => Some((firmware.clone(), protocol.clone())),
            _ => None,
        },
        Line::Answer { ok: false, .. } | Line::State(_) | Line::Boot => None,
    })
}
