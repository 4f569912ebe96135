//! Lines that are not Modbus RTU: the devices on them speak a protocol or a framing of their own.

use super::ascii::AsciiSpeech;
use super::device::SimDevice;
use super::meter::MeterSpeech;
use super::rapi::RapiSpeech;
use super::slave::Answer;
use super::twc::TwcSpeech;
use crate::device::SerialFraming;
use crate::domain::{Mono, Protocol};
use std::collections::BTreeMap;

/// All devices by name.
pub(super) type Devices = BTreeMap<String, SimDevice>;

/// A protocol on a line, for all devices that speak it there.
pub(super) trait Speech: Send {
    /// The master said this; what is said to it.
    fn hear(&mut self, now: Mono, devices: &mut Devices, bytes: &[u8]) -> Option<Answer>;
    /// What is said unasked by now.
    fn speak(&mut self, now: Mono, devices: &mut Devices) -> Vec<u8>;
}

/// The speech of a line with these devices; `None`: it is Modbus RTU, or nobody speaks it here.
pub(super) fn of(names: &[String], devices: &mut Devices) -> Option<Box<dyn Speech>> {
    let first = devices.get(names.first()?)?;
    let profile = std::sync::Arc::clone(&first.spec().profile);
    let ascii = profile
        .link()
        .serial
        .is_some_and(|serial| serial.framing != SerialFraming::Rtu);
    match profile.protocol() {
        Protocol::Modbus if ascii => Some(Box::new(AsciiSpeech::new(names))),
        Protocol::Twc => Some(Box::new(TwcSpeech::new(names, devices))),
        Protocol::Rapi => Some(Box::new(RapiSpeech::new(names.first()?, devices))),
        Protocol::Sml | Protocol::DsmrP1 | Protocol::Iec62056 => {
            Some(Box::new(MeterSpeech::new(names.first()?, &profile)))
        }
        Protocol::Modbus | Protocol::Rfid | Protocol::RfidHid | Protocol::Gpio => None,
    }
}
