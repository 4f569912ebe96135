//! Which machine speaks which protocol.

use super::file_stream::Sent;
use super::iec62056::Pushed;
use super::iec62056::asker::Asker;
use super::obis::listener::{Listener, Telegrams};
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
}

/// What finds the telegrams of a meter that speaks by itself; `None`: whatever speaks the protocol does not.
pub(super) fn telegrams(protocol: Protocol, profile: &Profile) -> Option<Box<dyn Telegrams>> {
    let telegram = profile.telegram();
    Some(match (protocol, telegram.sent) {
        (Protocol::Sml, _) => Box::new(Sml::new(telegram.message_crc)),
        (Protocol::DsmrP1, _) => Box::new(P1::new(telegram.checksum)),
        (Protocol::Iec62056, Sent::Pushed) => Box::new(Pushed::default()),
        _ => return None,
    })
}

/// The machine of a port; `None`: there is no device on it, or no machine speaks this protocol (Modbus has a driver for
/// each device instead).
#[must_use]
pub fn stream_machine(protocol: Protocol, port: StreamPort) -> Option<Box<dyn StreamMachine>> {
    let first = port.devices.first()?;
    if let Some(telegrams) = telegrams(protocol, &first.profile) {
        return Some(Box::new(Listener::new(first, telegrams)));
    }
    Some(match protocol {
        Protocol::Iec62056 => Box::new(Asker::new(port)),
        Protocol::Rfid | Protocol::RfidHid => {
            let format = first.profile.card()?.clone();
            Box::new(Reader::new(first, format, protocol == Protocol::RfidHid))
        }
        Protocol::Modbus | Protocol::Gpio | Protocol::Sml | Protocol::DsmrP1 => return None,
        Protocol::Rapi => Box::new(RapiLine::new(RapiSetup::of(first)?)),
        Protocol::Twc => {
            let units: Vec<TwcUnit> = port.devices.iter().map(TwcUnit::of).collect();
            Box::new(TwcLine::new(&units))
        }
    })
}
