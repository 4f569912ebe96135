//! Devices without a data line: a contactor or enable relay with contacts around it, a meter with a pulse output.
//! Pure; `bus::gpio` owns the lines.
//!
//! The faces are those of every machine: `handle`, `poll`, `next_deadline`, `snapshot`.

mod counter;
mod machine;
mod pulses;
mod relay;
#[cfg(test)]
mod tests;

pub use machine::{GpioMachine, GpioSnapshot};
pub use pulses::Edge;

use super::FailsafeReport;
use crate::domain::{DeviceCommand, DriveError, GpioSignal, Mono, Observation};
use std::collections::BTreeMap;

/// What happened to the lines of a device, or what the station wants.
#[derive(Clone, Debug, PartialEq)]
pub enum GpioInput {
    /// The lines are ours (again), outputs released; inputs have these levels, `true` is active.
    LinesBack(BTreeMap<GpioSignal, bool>),
    /// The lines are gone: chip removed, or never there.
    LinesLost,
    /// An edge of an input, in the order of the kernel.
    Edge(GpioSignal, Edge),
    /// The levels as read now, so that nothing missed stays missed.
    Levels(BTreeMap<GpioSignal, bool>),
    /// At least so many pulses were counted in the life of the device. The first of these lets the count be told.
    Counted(u64),
    /// A command; answered with exactly one [`GpioEffect::Done`].
    Drive {
        /// Ties the answer to it.
        ticket: u64,
        /// What to do.
        command: DeviceCommand,
    },
    /// The relay may stay closed until then.
    Lease {
        /// The end.
        until: Mono,
    },
    /// The gateway leaves: the relay opens.
    Leave,
    /// A deadline has passed.
    Tick,
}

/// What a device wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum GpioEffect {
    /// Energise (true) or release the relay.
    Relay(bool),
    /// So many pulses in the life of the device: to be kept beyond the process.
    Keep(u64),
    /// What the device said.
    Observed(Vec<Observation>),
    /// The end of a command.
    Done {
        /// Which.
        ticket: u64,
        /// How.
        result: Result<(), DriveError>,
    },
    /// The lines came or went.
    Link {
        /// Whether they are there.
        up: bool,
        /// Why not.
        cause: Option<DriveError>,
    },
    /// What happens to the relay without the gateway.
    Failsafe(FailsafeReport),
    /// Something a person should look at.
    Remark(String),
}
