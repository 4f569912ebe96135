//! Card readers.

use super::outcome::Outcome;
use super::streams::shipped;

/// Any bytes from a reader of each form.
pub fn rfid(data: &[u8]) -> Outcome {
    shipped(
        &[
            "rfid-em4100",
            "rfid-keyboard",
            "rfid-keyboard-decimal",
            "rfid-serial-decimal",
            "rfid-serial-hex",
        ],
        false,
        data,
    )
}
