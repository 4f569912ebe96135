//! Meters that are not Modbus.

use super::streams::{feed, machine};
use retrovolt::device::{Library, Profile, answer, voices as heard};
use std::sync::{Arc, OnceLock};

/// Any bytes from an SML meter, in the standard's checksum and in the other one.
pub fn sml(data: &[u8]) {
    feed(&mut *machine("sml-meter"), data);
    feed(&mut *machine("holley-dtz541"), data);
}

/// Any bytes from a P1 port, with and without checksum.
pub fn dsmr_p1(data: &[u8]) {
    feed(&mut *machine("dsmr-p1"), data);
    feed(&mut *machine("dsmr-p1-v2"), data);
}

/// Any bytes from a meter that is asked.
pub fn iec62056_asked(data: &[u8]) {
    feed(&mut *machine("iec62056-meter"), data);
}

/// Any bytes from a meter that speaks by itself.
pub fn iec62056_pushed(data: &[u8]) {
    feed(&mut *machine("iec62056-push-meter"), data);
}

/// Any bytes that a scan overhears on a line.
pub fn voices(data: &[u8]) {
    static PROFILES: OnceLock<Vec<Arc<Profile>>> = OnceLock::new();
    let profiles = PROFILES.get_or_init(|| {
        let library = Library::builtin();
        library.ids().filter_map(|id| library.get(id)).collect()
    });
    assert!(
        heard(data, profiles)
            .iter()
            .all(|voice| !voice.profiles.is_empty())
    );
    for profile in profiles {
        let _ = answer(data, profile);
    }
}
