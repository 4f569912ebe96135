//! `cargo +nightly fuzz run dsmr_p1`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| retrovolt_fuzz::run("dsmr_p1", data));
