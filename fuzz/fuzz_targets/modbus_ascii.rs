//! `cargo +nightly fuzz run modbus_ascii`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| retrovolt_fuzz::run("modbus_ascii", data));
