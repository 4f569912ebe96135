//! `cargo +nightly fuzz run sml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| retrovolt_fuzz::run("sml", data));
