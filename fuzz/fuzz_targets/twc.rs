//! `cargo +nightly fuzz run twc`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| retrovolt_fuzz::run("twc", data));
