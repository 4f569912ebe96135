//! What is wrong with a bus: causes, each with what was seen and what to do next, the likeliest first.
//!
//! * `survey`: how a unit answers short and long questions.
//! * `examine`: from what was seen to causes; `hunt`: for units that are silent.
//! * `shift`: registers off by one, words in the other order.
//! * `port`: ports that cannot be opened, or break.

mod examine;
mod hunt;
mod port;
mod shift;
mod survey;

pub use examine::{Line, Subject, endpoint, serial};
pub use port::{broken, unopened};

use serde::Serialize;

/// A cause the doctor knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The adapter is not plugged in.
    Unplugged,
    /// The adapter has another name now.
    Renumbered,
    /// The user may not open the port.
    NoPermission,
    /// Another program has the port.
    PortHeld,
    /// The network endpoint cannot be reached.
    Unreachable,
    /// The port or connection was open, and broke.
    ConnectionBroken,
    /// Somebody else asks on this line.
    SecondMaster,
    /// The adapter hears what it sends.
    LocalEcho,
    /// The device listens at another speed.
    WrongBaud,
    /// The device uses another parity.
    WrongParity,
    /// The device uses another number of stop bits.
    WrongStopBits,
    /// Modbus RTU where Modbus TCP is spoken, or the other way round.
    FramingMixUp,
    /// The device has another unit id.
    WrongUnit,
    /// A and B are swapped.
    SwappedWires,
    /// The device is off, or not on this line.
    DeviceSilent,
    /// The line is not terminated, or disturbed.
    NoTermination,
    /// Two devices share a unit id.
    DuplicateAddress,
    /// The device answers later than it is waited for.
    SlowDevice,
    /// Registers are counted from the other number.
    OffByOne,
    /// Words of wide registers are in the other order.
    WordOrder,
    /// The device is another one than its profile says.
    WrongProfile,
    /// The charger fell back because its watchdog is not fed.
    WatchdogNotFed,
}

/// A cause with its evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The cause.
    pub cause: Cause,
    /// The device concerned; `None`: the line.
    pub device: Option<String>,
    /// What was seen.
    pub evidence: String,
    /// What to do next.
    pub next: String,
    /// How sure, 0 to 100.
    pub weight: u8,
}

impl Finding {
    fn new(cause: Cause, weight: u8, evidence: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            cause,
            device: None,
            evidence: evidence.into(),
            next: next.into(),
            weight,
        }
    }

    fn of(self, device: &str) -> Self {
        Self {
            device: Some(device.to_owned()),
            ..self
        }
    }
}

/// The surest first; a cause is named once for each device.
fn ranked(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.weight));
    let mut seen = Vec::new();
    findings.retain(|finding| {
        let key = (finding.cause, finding.device.clone());
        let new = !seen.contains(&key);
        seen.push(key);
        new
    });
    findings
}
