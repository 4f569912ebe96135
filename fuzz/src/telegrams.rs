//! Meters that are not Modbus.

use super::outcome::Outcome;
use super::streams::shipped;
use retrovolt::device::{Library, Profile, answer, voices as heard};
use std::sync::{Arc, OnceLock};

/// Any bytes from an SML meter, in the standard's checksum and in the other one.
pub fn sml(data: &[u8]) -> Outcome {
    shipped(&["sml-meter", "holley-dtz541"], false, data)
}

/// Any bytes from a P1 port, with and without checksum.
pub fn dsmr_p1(data: &[u8]) -> Outcome {
    shipped(&["dsmr-p1", "dsmr-p1-v2"], false, data)
}

/// Any bytes from a meter that is asked.
pub fn iec62056_asked(data: &[u8]) -> Outcome {
    shipped(&["iec62056-meter"], true, data)
}

/// Any bytes from a meter that speaks by itself.
pub fn iec62056_pushed(data: &[u8]) -> Outcome {
    shipped(&["iec62056-push-meter"], false, data)
}

/// Any bytes that a scan overhears on a line.
pub fn voices(data: &[u8]) -> Outcome {
    static PROFILES: OnceLock<Vec<Arc<Profile>>> = OnceLock::new();
    let profiles = PROFILES.get_or_init(|| {
        let library = Library::builtin();
        library.ids().filter_map(|id| library.get(id)).collect()
    });
    let mut outcome = Outcome::default();
    for voice in heard(data, profiles) {
        assert!(!voice.profiles.is_empty());
        outcome.step("voice", format!("{voice:?}"));
    }
    for profile in profiles {
        if let Some(answer) = answer(data, profile) {
            outcome.step(format!("answer of {}", profile.id()), format!("{answer:?}"));
        }
    }
    outcome
}
