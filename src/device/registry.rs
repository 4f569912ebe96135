//! Which machine speaks which protocol.

use super::file_stream::Sent;
use super::iec62056::Pushed;
use super::iec62056::asker::Asker;
use super::obis::listener::Listener;
use super::p1::P1;
use super::profile::{Profile, Serial};
use super::rapi::{RapiLine, RapiSetup};
use super::rfid::Reader;
use super::sml::Sml;
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

/// The machine of a port; `None`: there is no device on it, or no machine speaks this protocol (Modbus has a driver for
/// each device instead).
#[must_use]
pub fn stream_machine(protocol: Protocol, port: StreamPort) -> Option<Box<dyn StreamMachine>> {
    let first = port.devices.first()?;
    let telegram = first.profile.telegram();
    Some(match protocol {
        Protocol::Sml => Box::new(Listener::new(first, Sml::new(telegram.message_crc))),
        Protocol::DsmrP1 => Box::new(Listener::new(first, P1::new(telegram.checksum))),
        Protocol::Iec62056 => match telegram.sent {
            Sent::Asked => Box::new(Asker::new(port)),
            Sent::Pushed => Box::new(Listener::new(first, Pushed::default())),
        },
        Protocol::Rfid | Protocol::RfidHid => {
            let format = first.profile.card()?.clone();
            Box::new(Reader::new(first, format, protocol == Protocol::RfidHid))
        }
        Protocol::Modbus => return None,
        Protocol::Rapi => Box::new(RapiLine::new(RapiSetup::of(first)?)),
        Protocol::Twc => {
            let units: Vec<TwcUnit> = port.devices.iter().map(TwcUnit::of).collect();
            Box::new(TwcLine::new(&units))
        }
    })
}
