//! The contract of a machine that owns a whole byte stream instead of asking for registers: SML, IEC 62056-21,
//! DSMR P1, OpenEVSE RAPI, Tesla's load sharing line, serial card readers. Pure.
//!
//! One machine serves one port with all its devices, because on such lines the protocol and not the device decides
//! who speaks when. The faces are those of every machine: `handle`, `poll`, `next_deadline`.
//! `bus` owns the port: it hands over bytes as they arrive and writes what it is given, in order.

use super::{FailsafeReport, Serial};
use crate::domain::{DeviceCommand, DriveError, Mono, Now, Observation};

/// What happened on the port, or what the station wants. `slot` is the device's place in
/// [`BusSetup::devices`](crate::domain::BusSetup::devices).
#[derive(Clone, Debug, PartialEq)]
pub enum StreamInput {
    /// Bytes arrived; cut anywhere, in order.
    Bytes(Vec<u8>),
    /// A command; answered with exactly one [`StreamEffect::Done`].
    Drive {
        /// Which device.
        slot: usize,
        /// Ties the answer to it.
        ticket: u64,
        /// What to do.
        command: DeviceCommand,
        /// Whether a limit is at or below the one in force.
        lowering: bool,
    },
    /// A device may be kept alive (watchdog fed) before this time.
    Lease {
        /// Which device.
        slot: usize,
        /// The end.
        until: Mono,
    },
    /// The port vanished; half a message is lost with it.
    PortLost,
    /// The port is open (again).
    PortBack,
    /// A deadline has passed.
    Tick,
}

/// What the machine wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamEffect {
    /// Write these bytes behind those written before.
    Write(Vec<u8>),
    /// Change the settings of a serial port once everything written has left it (IEC 62056-21 mode C).
    Settings(Serial),
    /// What a device said.
    Observed {
        /// Which device.
        slot: usize,
        /// What.
        observations: Vec<Observation>,
    },
    /// The end of a command.
    Done {
        /// Which device.
        slot: usize,
        /// Which command.
        ticket: u64,
        /// How.
        result: Result<(), DriveError>,
    },
    /// A device began or ceased to be heard.
    Link {
        /// Which device.
        slot: usize,
        /// Whether it is heard.
        up: bool,
        /// Why it is not.
        cause: Option<DriveError>,
    },
    /// What is known of a device's own safe state.
    Failsafe {
        /// Which device.
        slot: usize,
        /// The report.
        report: FailsafeReport,
    },
}

/// A protocol of its own on one port. The same inputs at the same times give the same effects (T2).
pub trait StreamMachine: Send {
    /// Takes one input.
    fn handle(&mut self, now: Now, input: StreamInput);
    /// The next effect, in order.
    fn poll(&mut self) -> Option<StreamEffect>;
    /// When [`StreamInput::Tick`] is wanted, and why.
    fn next_deadline(&self) -> Option<(Mono, &'static str)>;
}
