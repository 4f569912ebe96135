//! `cargo +nightly fuzz run iec62056_pushed`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| retrovolt_fuzz::run("iec62056_pushed", data));
