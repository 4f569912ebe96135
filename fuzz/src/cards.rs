//! Card readers.

use super::streams::{feed, machine};

/// Any bytes from a reader of each form.
pub fn rfid(data: &[u8]) {
    for profile in [
        "rfid-em4100",
        "rfid-keyboard",
        "rfid-keyboard-decimal",
        "rfid-serial-decimal",
        "rfid-serial-hex",
    ] {
        feed(&mut *machine(profile), data);
    }
}
