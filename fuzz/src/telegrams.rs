//! Meters that are not Modbus.

use super::streams::{feed, machine};

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
