//! `cargo +nightly fuzz run rapi`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| retrovolt_fuzz::run("rapi", data));
