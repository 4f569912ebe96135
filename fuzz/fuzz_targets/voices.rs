//! `cargo +nightly fuzz run voices`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| retrovolt_fuzz::run("voices", data));
