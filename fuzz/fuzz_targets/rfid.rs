//! `cargo +nightly fuzz run rfid`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| retrovolt_fuzz::run("rfid", data));
