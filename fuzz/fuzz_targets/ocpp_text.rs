//! `cargo +nightly fuzz run ocpp_text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| retrovolt_fuzz::run("ocpp_text", data));
