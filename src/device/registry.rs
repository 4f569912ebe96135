//! Which machine speaks which protocol.

use super::profile::{Profile, Serial};
use super::rapi::{RapiLine, RapiSetup};
use super::stream::StreamMachine;
use super::twc::{TwcLine, TwcUnit};
use crate::domain::{DeviceSetup, Protocol};
use std::sync::Arc;

/// A device on a port with its profile.
#[derive(Clone, Debug)]
pub struct StreamDevice {
    /// As configured.
    pub setup: DeviceSetup,
    /// What it is.
    pub profile: Arc<Profile>,
}

/// What the machine of a port is built from.
#[derive(Clone, Debug)]
pub struct StreamPort {
    /// The devices in the order of their slots.
    pub devices: Vec<StreamDevice>,
    /// The settings the port is opened with; `None`: a TCP connection to a serial device server.
    pub serial: Option<Serial>,
    /// For whatever must not happen at the same time everywhere.
    pub seed: u64,
}

/// The machine of a port; `None`: no machine speaks this protocol (Modbus has a driver for each device instead).
#[must_use]
pub fn stream_machine(protocol: Protocol, port: StreamPort) -> Option<Box<dyn StreamMachine>> {
    match protocol {
        Protocol::Modbus | Protocol::Sml | Protocol::Iec62056 | Protocol::DsmrP1 | Protocol::Rfid => None,
        Protocol::Rapi => {
            let setup = port.devices.first().and_then(RapiSetup::of)?;
            Some(Box::new(RapiLine::new(setup)))
        }
        Protocol::Twc => {
            let units: Vec<TwcUnit> = port.devices.iter().map(TwcUnit::of).collect();
            Some(Box::new(TwcLine::new(&units)))
        }
    }
}
