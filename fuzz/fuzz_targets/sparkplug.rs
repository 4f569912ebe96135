//! `cargo +nightly fuzz run sparkplug`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| retrovolt_fuzz::run("sparkplug", data));
