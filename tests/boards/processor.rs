//! Single programs on an emulated 64-bit ARM processor (user-mode emulation, no kernel of its own): the pure rooms' own
//! tests, and the demo. `tests/aarch64/` builds and starts them; nothing here is compiled for this machine.
//!
//! What does not run there, and why: random walks, damage byte by byte, simulated hours of drivers and the rehearsal of
//! every shipped profile (`tests/aarch64/run.sh` names them) cost minutes under emulation and say little about a processor that
//! the others do not; tests of the rooms with sockets, files and processes are about the kernel, which here is that of this machine.
//! A kernel of its own has the board in `arm64.rs`.

use crate::machine::root;
use std::process::Command;

/// What one part of `tests/aarch64/run.sh` says, which must end well.
fn emulated(what: &str) -> String {
    let output = Command::new("bash")
        .arg(root().join("tests/aarch64/run.sh"))
        .arg(what)
        .output()
        .expect("bash starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {said}\n{complaints}");
    said
}

/// How many tests passed by the closing line of a test program, which must tell of no failed one.
fn passed(said: &str) -> usize {
    let closing = said.lines().rfind(|line| line.starts_with("test result: ok."));
    closing
        .and_then(|line| line.strip_prefix("test result: ok. "))
        .filter(|line| line.contains(" 0 failed"))
        .and_then(|line| line.split(' ').next())
        .and_then(|count| count.parse().ok())
        .unwrap_or_else(|| panic!("no closing line in:\n{said}"))
}

/// The tests of a pure room; at least so many, so that a filter that has come to fit nothing is noticed.
fn room(name: &str, at_least: usize) {
    let count = passed(&emulated(name));
    assert!(count >= at_least, "only {count} tests of {name} ran");
}

#[test]
fn the_vocabulary_holds_on_an_arm_processor() {
    room("domain", 20);
}

#[test]
fn the_device_profiles_hold_on_an_arm_processor() {
    room("device", 150);
}

#[test]
fn the_station_holds_on_an_arm_processor() {
    room("station", 100);
}

#[test]
fn the_site_holds_on_an_arm_processor() {
    room("site", 10);
}

#[test]
fn both_dialects_of_ocpp_hold_on_an_arm_processor() {
    room("ocpp", 20);
}

#[test]
fn the_demo_runs_on_an_arm_processor() {
    let said = emulated("demo");
    for words in [
        "The gateway is killed",
        "the session goes on under the same transaction id",
        "Nothing lost, nothing doubled.",
    ] {
        assert!(said.contains(words), "{words} is missing in:\n{said}");
    }
}
