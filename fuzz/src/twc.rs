//! Wall Connectors.

use super::streams::{Cut, charging, feed_under};
use retrovolt::device::{FailsafeReport, TwcLine, TwcUnit};
use retrovolt::domain::MilliAmps;

/// Any bytes on a load-sharing line, cut anywhere, at any pace.
pub fn twc(data: &[u8]) {
    let failsafe = FailsafeReport {
        armed: true,
        timeout: None,
        fallback: None,
        safe: true,
        detail: String::new(),
    };
    let unit = |address| TwcUnit {
        address,
        most: MilliAmps::from_base(32),
        failsafe: failsafe.clone(),
    };
    let mut line = TwcLine::new(&[unit(Some([0x12, 0x34])), unit(None)]);
    let cut = Cut {
        bits: 5,
        step_ms: 400,
    };
    feed_under(&mut line, [charging(0), charging(1)].concat(), cut, data);
}
