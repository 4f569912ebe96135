//! An OpenEVSE.

use super::streams::{Cut, charging, feed_under, machine};

/// Any bytes from an OpenEVSE, cut anywhere, at any pace.
pub fn rapi(data: &[u8]) {
    let cut = Cut {
        bits: 6,
        step_ms: 300,
    };
    feed_under(&mut *machine("openevse"), charging(0).to_vec(), cut, data);
}
