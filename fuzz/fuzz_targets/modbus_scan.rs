//! `cargo +nightly fuzz run modbus_scan`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| retrovolt_fuzz::run("modbus_scan", data));
